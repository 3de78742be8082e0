"""Labelled examples of several modalities: what a data set is, and the checks it must pass; no file is read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstudio.errors import InputError

Values = NDArray[Any]
FLAT_SPREAD = 1e-6
"""A lead that varies less (in its own unit) is constant."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Hold N examples: arrays by name of modality, each [N, ...], labels u8[N, C], ids and class names.

    Modalities: ``signal`` f32[N, leads, n] in mV (NaN: not known), ``clinical`` f32[N, K], ``gaf``, ``mtf`` and
    ``image`` u8[N, channels, h, w], ``series`` f32[N, n]. Raises ValueError where lengths differ.
    """

    ids: tuple[str, ...]
    inputs: Mapping[str, Values]
    labels: NDArray[np.uint8]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.ids), len(self.classes)):
            raise ValueError(f"labels must be {(len(self.ids), len(self.classes))}, not {self.labels.shape}")
        for name, values in self.inputs.items():
            if len(values) != len(self.ids):
                raise ValueError(f"{name}: {len(values)} rows for {len(self.ids)} examples")
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Examples:
        """Return the examples of these rows, in this order."""
        at = np.asarray(rows, int)
        return Examples(
            tuple(self.ids[row] for row in at),
            {name: values[at] for name, values in self.inputs.items()},
            self.labels[at],
            self.classes,
        )

    def having(self, **more: Values) -> Examples:
        """Return the examples with further modalities."""
        return Examples(self.ids, {**self.inputs, **more}, self.labels, self.classes)


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples that train, that choose (early stopping, thresholds), and that only measure."""

    train: Examples
    val: Examples
    test: Examples

    def __post_init__(self) -> None:
        if len({part.classes for part in (self.train, self.val, self.test)}) != 1:
            raise ValueError("all splits must have the same classes")

    def named(self) -> dict[str, Examples]:
        """Return the splits by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def check_signals(signals: Values, ids: Sequence[str], *, leads: Sequence[str], where: str) -> None:
    """Refuse signals [N, leads, n] that hold no row, NaN, or a constant lead.

    Raises:
        InputError: names the first bad row and its lead.
    """
    if not len(signals):
        raise InputError(f"{where} is empty: there is not one record in it.")
    finite = np.isfinite(signals).all(axis=-1)
    if not finite.all():
        row, lead = np.argwhere(~finite)[0]
        sample = int(np.flatnonzero(~np.isfinite(signals[row, lead]))[0])
        raise InputError(f"{where}, row {ids[row]}, lead {leads[lead]}: sample {sample} is not a number.")
    flat = np.ptp(signals, axis=-1) < FLAT_SPREAD
    if flat.any():
        row, lead = np.argwhere(flat)[0]
        raise InputError(f"{where}, row {ids[row]}, lead {leads[lead]}: the signal is constant.")


def check_length(count: int, *, fs: float, seconds: float, where: str) -> None:
    """Refuse signals whose number of samples says that they were taken at another rate.

    Raises:
        InputError: names the rate that the number of samples means.
    """
    if count != round(fs * seconds):
        raise InputError(
            f"{where}: {count} samples in {seconds:g} s mean {count / seconds:g} Hz, but {fs:g} Hz "
            f"({round(fs * seconds)} samples) are needed. Resample the signals first."
        )


def check_classes(labels: NDArray[np.uint8], classes: Sequence[str], *, where: str) -> None:
    """Refuse labels in which a class has no positive or no negative example: nothing could be learned or measured.

    Raises:
        InputError: names the class.
    """
    if not len(labels):
        raise InputError(f"{where} is empty: there is not one labelled row in it.")
    for column, name in enumerate(classes):
        positives = int(labels[:, column].sum())
        if positives in (0, len(labels)):
            have = "no row" if positives == 0 else f"every one of {len(labels)} rows"
            raise InputError(f"{where}, column {name}: {have} is positive, so there is only one class to learn.")
