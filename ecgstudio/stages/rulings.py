"""How dark ruled lines are on rectified paper: there they lie along rows and columns, and percentiles tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgstudio.stages.contract import FloatMap

# of a row or column of paper, less is inked; steps prime to the 8 px between ruled lines
COLUMN_PERCENTILE, ROW_PERCENTILE, SOME = 45.0, 35.0, 3
PART_PX = 192  # a line is as dark as it is near by
LEAST_FREE = 0.1  # of a row or column, to measure on


def rulings(ink: FloatMap, free: NDArray[np.bool_], *, columns_px: int | None = None) -> FloatMap:
    """Return how dark ruled lines are at each pixel [H, W] of rectified paper, by those that are free of traces.

    Columns are measured in one piece, or in parts of about `columns_px`.
    """
    paper = np.where(free, ink, np.nan)
    upright = _along(paper, COLUMN_PERCENTILE, part_px=columns_px or len(ink))
    lying = _along(paper.T, ROW_PERCENTILE, part_px=PART_PX).T
    return np.maximum(lying, upright).astype(np.float32)


def _along(paper: FloatMap, percent: float, *, part_px: int) -> FloatMap:
    """Return a percentile down each column, measured in parts and interpolated between their middles."""
    height = len(paper)
    parts = np.array_split(np.arange(height), max(1, round(height / part_px)))
    level = np.stack([_percentile(paper[part[::SOME]], percent) for part in parts])
    at = np.interp(np.arange(height), [part.mean() for part in parts], np.arange(len(parts)))
    before = np.minimum(at.astype(int), max(len(parts) - 2, 0))
    after = np.minimum(before + 1, len(parts) - 1)
    share = (at - before)[:, None].astype(np.float32)
    return np.asarray(level[before] + share * (level[after] - level[before]), np.float32)


def _percentile(values: FloatMap, percent: float) -> FloatMap:
    """Return a percentile down each column of an array in which NaN is unknown; of all where one has too few."""
    ordered = np.sort(values, axis=0)
    known = np.isfinite(ordered).sum(axis=0)
    at = np.round((known - 1) * (percent / 100)).astype(int)
    found = ordered[np.maximum(at, 0), np.arange(values.shape[1])]
    enough = known >= LEAST_FREE * len(values)
    return np.where(enough, found, np.median(found[enough]) if enough.any() else 0).astype(np.float32)
