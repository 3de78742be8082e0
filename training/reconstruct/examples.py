"""Examples of pictures with the series read from them and the truth, and how series are spoilt for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.reconstruct.settings import ReconstructTraining

F32 = NDArray[np.float32]
Rng = np.random.Generator
SERIES_PARTS = 3
"""Value, read or not, confidence."""
PAPER = 235
"""Brightness that covers a blotted span."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One window: picture u8[2, H, W], series f32[leads, 3, n] (value, read, confidence), target f32[leads, n].

    Both are in the network's units; the target is NaN where it is not known. `kind` groups scores.
    """

    name: str
    kind: str
    picture: NDArray[np.uint8]
    series: F32
    target: F32


@dataclass(frozen=True, slots=True)
class ExampleShape:
    """What all examples of a set have in common: it fixes the network.

    rows_per_unit: picture rows per unit of the series, 0 if not known; unit_mv: millivolts per unit (nominally).
    """

    leads: int
    samples: int
    height: int
    width: int
    rows_per_unit: float
    unit_mv: float
    hz: float


class Examples(Protocol):
    """A set of examples; `spoilt` says that their series are the truth and have to be spoilt to be worth mending."""

    @property
    def shape(self) -> ExampleShape:
        """What they have in common."""
        ...

    @property
    def spoilt(self) -> bool:
        """Whether their series are the truth."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def prepared(
    example: Example,
    rng: Rng,
    *,
    shape: ExampleShape,
    spoilt: bool,
    settings: ReconstructTraining,
    mirrored: bool = False,
) -> Example:
    """Return what the network is given: the series spoilt if they were the truth, and some of it hidden.

    With `mirrored` it may be turned upside down or run backwards, which for ink on paper is as good.
    """
    if mirrored:
        example = _mirrored(example, rng, settings=settings)
    if spoilt:
        example = replace(example, series=_distorted(example.series, rng, shape=shape, settings=settings))
    if rng.random() < settings.hidden:
        for _ in range(int(rng.integers(1, settings.hidden_spans + 1))):
            example = _with_span_hidden(example, rng, settings=settings)
    return example


def _mirrored(example: Example, rng: Rng, *, settings: ReconstructTraining) -> Example:
    picture, series, target = example.picture, example.series, example.target
    if rng.random() < settings.flip_y:
        picture, target = picture[:, ::-1], -target
        series = series * np.array([-1, 1, 1], np.float32)[:, None]
    if rng.random() < settings.flip_x:
        picture, series, target = picture[..., ::-1], series[..., ::-1], target[..., ::-1]
    return replace(
        example,
        picture=np.ascontiguousarray(picture),
        series=np.ascontiguousarray(series),
        target=np.ascontiguousarray(target),
    )


def _distorted(series: F32, rng: Rng, *, shape: ExampleShape, settings: ReconstructTraining) -> F32:
    """Blur, wander and add noise, each as strong as chance says; confidence falls with the noise."""
    out = series.copy()
    time_s = np.arange(shape.samples) / shape.hz
    for lead in out:
        blur = rng.uniform(0, settings.blur_s) * shape.hz
        value = ndimage.gaussian_filter1d(lead[0], blur, mode="nearest") if blur > 0 else lead[0]
        turn = 2 * np.pi * (rng.uniform(0.1, 0.7) * time_s + rng.random())
        wander = rng.uniform(0, settings.wander_mv) * np.sin(turn)
        sigma = rng.uniform(0, settings.noise_mv)
        lead[0] = value + (wander + sigma * rng.standard_normal(shape.samples)) / shape.unit_mv
        lead[2] = 1 - 0.5 * sigma / max(settings.noise_mv, 1e-9)
    return out


def _with_span_hidden(example: Example, rng: Rng, *, settings: ReconstructTraining) -> Example:
    """Make a span of all leads unreadable, bridged as stage 2's gaps are, and perhaps cover it in the picture."""
    count = example.series.shape[-1]
    length = int(rng.integers(2, max(3, round(settings.hidden_share * count))))
    first = int(rng.integers(1, max(2, count - length - 1)))
    series = example.series.copy()
    span = slice(first, first + length)
    for value, read, confidence in series:
        if not read[span].any():
            continue
        read[span], confidence[span] = 0, 0
        known = np.flatnonzero(read)
        if len(known):
            hidden = np.flatnonzero(read == 0)
            value[hidden] = np.interp(hidden, known, value[known])
    picture = example.picture
    if rng.random() < settings.blotted:
        picture = picture.copy()
        columns = np.array([first, first + length]) * picture.shape[2] // count
        picture[:, :, columns[0] : columns[1] + 1] = PAPER
    return replace(example, series=series, picture=picture)
