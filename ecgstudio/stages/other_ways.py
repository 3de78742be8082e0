"""Other ways that a trace may take through a few columns: where ink is that nobody else explains, and bending little.

Paths are found by Viterbi over pairs of heights, at first among some heights of each column, then finer and finer.
"""

from __future__ import annotations

import cv2
import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap

BIN_PX, MOST_BINS = 4, 32  # heights that are told apart at first, and how many of a column are tried
FINER_PX = (1.0, 0.5)  # then heights so far apart on either side of the path
FINER_REACH = 6
FREE_BEND_PX = 3.0  # heights tremble: so small a change of the slope from one half-column to the next is no bend
LEAST_COLUMNS = 2
NARROW_PX, WIDE_PX, CENTRINGS, LEAST_NEAR = 6, 14, 2, 0.05  # heights are centred in a window as tall as their stroke


def best_way(
    at: FloatMap,
    covered: FloatMap,
    path: F64,
    before: F64,
    after: F64,
    *,
    bend: float,
    pen_px: float,
    anywhere: bool = True,
) -> F64:
    """Return the heights [W] of a trace that is worth most between two heights before it and two after it.

    `at` [H, W] is what a height is worth in a half-column, `covered` (same shape) what each pixel is worth that a pen
    `pen_px` wide covers there. `path` [W] is one way, others are near it or `anywhere`; bends cost as in smooth_path.
    """
    if len(path) < LEAST_COLUMNS:
        return path
    size = (1, max(round(pen_px), 1))
    worth = at + cv2.boxFilter(covered, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    passed = np.cumsum(covered, axis=0)
    found = path
    if anywhere:
        bins = len(worth) // BIN_PX
        best = worth[: bins * BIN_PX].reshape(bins, BIN_PX, -1).max(axis=1)
        tried = best.copy()
        tried[np.clip(path / BIN_PX, 0, bins - 1).astype(int), np.arange(len(path))] = np.inf
        kept = min(MOST_BINS, bins)
        chosen = np.sort(np.argpartition(-tried, kept - 1, axis=0)[:kept], axis=0)
        heights = np.asarray(chosen * float(BIN_PX) + (BIN_PX - 1) / 2, np.float64)
        widest = np.repeat(best, BIN_PX, axis=0)  # somewhere in these rows it is worth as much
        found = smooth_path(heights, widest, passed, before, after, bend=bend)
    beside = np.arange(-FINER_REACH, FINER_REACH + 1)[:, None]
    for step_px in FINER_PX:
        found = smooth_path(found + beside * step_px, worth, passed, before, after, bend=bend)
    return found


def smooth_path(y: F64, worth: FloatMap, passed: FloatMap, before: F64, after: F64, *, bend: float) -> F64:
    """Return the best path [W] through heights [N, W] of which one is taken in each column, W at least 2.

    A height is worth what `worth` [H, W] says there; going from one to another in a column gains the difference of
    `passed` (same shape), a sum from the top down. `before` and `after` are the two heights on either side. Each change
    of the slope costs `bend` per pixel by which it exceeds FREE_BEND_PX.
    """
    y = np.clip(y, 0, len(worth) - 1)
    start = np.concatenate([y[:, :1], y[:, :-1]], axis=1)
    likely, to, from_ = (_lookup(*each).T for each in ((worth, y), (passed, y), (passed, start)))
    scaled = np.float32(bend) * y.T.astype(np.float32)
    first, second = (np.float32(bend) * each.astype(np.float32) for each in (before, after))
    steps = scaled[1:, None, :] - scaled[:-1, :, None]  # [W - 1, from, to]
    way = y.T[1:, None, :] - y.T[:-1, :, None]
    gained = np.asarray(np.sign(way) * (to[1:, None, :] - from_[1:, :, None]) + likely[1:, None, :], np.float32)
    free = np.float32(bend * FREE_BEND_PX)

    def bent(change: FloatMap) -> FloatMap:
        return np.asarray(np.maximum(np.abs(change) - free, 0))

    into = scaled[0] - first[1]
    best = likely[0] - bent(into - (first[1] - first[0]))
    cost = np.empty((len(y), len(y), len(y)), np.float32)  # [middle, from, to]
    pairs = [best[:, None] - bent(steps[0] - into[:, None]) + gained[0]]
    for column in range(1, len(steps)):
        np.subtract(steps[column][:, None, :], steps[column - 1].T[:, :, None], out=cost)
        np.abs(cost, out=cost)
        np.maximum(cost, free, out=cost)
        np.subtract(pairs[-1].T[:, :, None], cost, out=cost)
        pairs.append(cost.max(axis=1) + free + gained[column])
    out_of = second[0] - scaled[-1]
    ends = pairs[-1] - bent(out_of[None] - steps[-1]) - bent(second[1] - second[0] - out_of)[None]
    middle, last = (int(i) for i in np.unravel_index(int(ends.argmax()), ends.shape))
    chosen = [last, middle]
    for column in range(len(steps) - 1, 0, -1):
        bends = bent(steps[column][chosen[-1], chosen[-2]] - steps[column - 1][:, chosen[-1]])
        chosen.append(int((pairs[column - 1][:, chosen[-1]] - bends).argmax()))
    return np.asarray(y[chosen[::-1], np.arange(y.shape[1])], np.float64)


def _lookup(values: FloatMap, y: F64) -> FloatMap:
    """Return values [H, W] at heights [N, W] between their rows."""
    whole = np.minimum(y.astype(int), len(values) - 2)
    part = (y - whole).astype(np.float32)
    low, high = (np.take_along_axis(values, whole + i, axis=0) for i in (0, 1))
    return np.asarray(low + part * (high - low), np.float32)


def centred(chance: FloatMap, height: F64) -> F64:
    """Move heights [W] to the mean of what has a chance [H, W] near them; where nothing has they stay."""
    rows = np.arange(-WIDE_PX, WIDE_PX + 1)[:, None]
    steep = np.abs(np.gradient(height)) if len(height) > 1 else np.zeros(len(height))
    narrow = np.abs(rows) <= np.clip(NARROW_PX + steep, None, WIDE_PX)
    for _ in range(CENTRINGS):
        at = np.round(height).astype(int)[None] + rows
        inside = narrow & (at >= 0) & (at < len(chance))
        near = np.take_along_axis(chance, np.clip(at, 0, len(chance) - 1), axis=0) * inside
        mass = near.sum(axis=0)
        height = np.where(mass > LEAST_NEAR, (near * at).sum(axis=0) / np.maximum(mass, 1e-9), height)
    return np.asarray(height, np.float64)
