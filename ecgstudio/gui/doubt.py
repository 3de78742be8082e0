"""How sure every sample is, as a shade around its trace: nothing where the reading is sure, the stronger the less sure.

Confidence is the probability, 0 to 1, that a sample was read rightly; it says nothing of by how much it would be wrong,
so the shade is equally wide everywhere. Numpy only.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from ecgstudio.core.arrays import Floats

LEVELS: Final = (0.9, 0.75, 0.5, 0.25)
"""A sample below one of these is shaded as that level says; eyes tell no more steps apart."""

LEAST_S: Final = 0.03  # a shorter stretch would be a dot; both ends of every lead are doubtful for 0.02 s

_ALPHAS: Final = (0.18, 0.36, 0.6, 0.85)


def alpha_of(level: float) -> float:
    """Return how strong the shade of a level is."""
    return _ALPHAS[LEVELS.index(level)]


def doubtful_runs(
    confidence: Floats, read: np.ndarray[tuple[int], np.dtype[np.bool_]], *, fs: float
) -> list[tuple[float, int, int]]:
    """Return (level, first, behind-last) of every stretch of read samples that is shaded alike, in order."""
    step = np.searchsorted(-np.array(LEVELS), -np.asarray(confidence, np.float64), side="left")
    step = np.where(read, step, 0)  # how many of the levels the sample lies below
    for start, end in _stretches(step > 0):
        if step[start] and end - start < LEAST_S * fs:
            step[start:end] = 0
    return [(LEVELS[step[start] - 1], start, end) for start, end in _stretches(step) if step[start] > 0]


def _stretches(values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> list[tuple[int, int]]:
    """Return first and behind-last index of every stretch of equal values."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    return [(int(a), int(b)) for a, b in itertools.pairwise([0, *edges, len(values)])]
