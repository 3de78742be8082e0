"""A 12-lead record for training, the promise of every source, and the checks a record must pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import signal

LOG = logging.getLogger(__name__)

LEAD_COUNT = 12
TARGET_FS = 500.0
TRAINABLE_SPLITS = ("train", "val")
"""Splits a source gives out to those who train; never the test split: nothing may learn from it or tune on it."""
SCORED_SPLITS = (*TRAINABLE_SPLITS, "test")
"""Splits a source gives out to those who only measure (``scoring=True``)."""

DIAGNOSTIC_CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")  # PTB-XL's superclasses
ARTEFACT_MV = 10.0
"""No heart reaches this in a surface lead; records that do are electrode faults (about ten in PTB-XL)."""
FLAT_RANGE_MV = 0.02
"""A lead whose whole range is below 20 uV was not connected; the weakest real lead spans several times it."""


@dataclass(frozen=True, slots=True)
class Record:
    """Hold `mv` f32[12, n] in millivolt (I II III aVR aVL aVF V1..V6) sampled at `fs` Hz, read-only.

    `split` is None where the source defines none. Raises ValueError for another shape or a bad rate.
    """

    id: str
    mv: NDArray[np.float32]
    fs: float
    source: str
    split: str | None = None
    labels: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mv = np.array(self.mv, np.float32)
        if mv.ndim != 2 or mv.shape[0] != LEAD_COUNT or mv.shape[1] == 0:
            raise ValueError(f"record {self.id}: mv must be (12, n), got {mv.shape}")
        if not self.fs > 0:
            raise ValueError(f"record {self.id}: fs must be positive, got {self.fs}")
        mv.flags.writeable = False
        object.__setattr__(self, "mv", mv)
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the mapping proxy, so that records cross process borders."""
        return Record, (self.id, self.mv, self.fs, self.source, self.split, dict(self.labels))

    @property
    def duration_s(self) -> float:
        """Length of the record in seconds."""
        return float(self.mv.shape[1] / self.fs)


class RecordSource(Protocol):
    """Give records by index, always the same record for the same index; IndexError past the end."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


def check_split(split: str, *, scoring: bool = False) -> str:
    """Return the split if training, or with `scoring` measuring, may see it; raise ValueError otherwise."""
    allowed = SCORED_SPLITS if scoring else TRAINABLE_SPLITS
    if split not in allowed:
        raise ValueError(f"split must be one of {', '.join(allowed)}, not {split!r}")
    return split


def unusable_reason(mv: NDArray[np.float32]) -> str | None:
    """Say why a record must not be drawn as a page, or None where it may."""
    if not np.isfinite(mv).all():
        return "missing samples"
    if np.abs(mv).max() > ARTEFACT_MV:
        return f"artefact beyond {ARTEFACT_MV:g} mV"
    if (np.ptp(mv, axis=1) < FLAT_RANGE_MV).any():
        return "flat lead"
    return None


class ScreenedSource:
    """Give the records of `read(0 .. count-1)`, with the next usable record in place of an unusable one.

    Reading is lazy, so the length counts unusable records too; each of them is logged once.
    """

    def __init__(self, read: Callable[[int], Record], count: int) -> None:
        self._read = read
        self._count = count
        self._unusable: set[int] = set()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self._count:
            raise IndexError(f"record {index} of {self._count}")
        for step in range(self._count):
            candidate = (index + step) % self._count
            if candidate in self._unusable:
                continue
            record = self._read(candidate)
            reason = unusable_reason(record.mv)
            if reason is None:
                return record
            LOG.info("skipping record %s of %s: %s", record.id, record.source, reason)
            self._unusable.add(candidate)
        raise ValueError("the source holds no usable record")

    def as_stored(self) -> Iterator[Record]:
        """Give every record once, the unusable ones too: a classifier has to answer for them."""
        return map(self._read, range(self._count))


def resample_mirrored(mv: NDArray[np.float32], fs: float, target_fs: float) -> NDArray[np.float32]:
    """Resample mv[..., n] to `target_fs` through the FFT of the record joined to its mirror image.

    The mirror makes the period continuous, so the ends do not ring. Sample 0 keeps its time. The new length
    is n * target_fs / fs, rounded.
    """
    if fs == target_fs:
        return mv
    count = mv.shape[-1]
    wanted = round(count * target_fs / fs)
    mirrored = np.concatenate([mv, mv[..., ::-1]], axis=-1).astype(np.float64)
    return np.asarray(signal.resample(mirrored, 2 * wanted, axis=-1)[..., :wanted], np.float32)
