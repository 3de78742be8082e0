"""From column log-probabilities to heights and from heights to evenly sampled voltage; no networks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from ecgstudio.core.arrays import F64

FloatMap = NDArray[np.float32]

MASS_WINDOW_PX = 26  # a steep stroke spreads its mass over many rows: the path follows mass, not single pixels
JUMP_COST_PER_PX = 0.015  # where nobody says what is inked
INKED_COST_PER_PX, BLANK_COST_PER_PX = 0.005, 0.2  # a pen that moves up or down leaves ink on its way
SURELY_INKED = 0.3
EXPECT_HALF_PX = 28
RECENTRINGS = 3
FAINT = 0.15
SHARPENING = np.array([-0.056, 0.028, 0.293, 0.47, 0.293, 0.028, -0.056])


def trace_path(log_columns: FloatMap, ink: FloatMap | None = None) -> tuple[F64, F64]:
    """Follow the traces of B strips: heights f64[B, W] in rows, and the probability mass around them, 0..1.

    `log_columns` f32[B, H, W] is a log-softmax over H; `ink` f32[B, H / 4, W / 4] tells how probably any trace runs
    through a cell. Viterbi on windowed mass (at half resolution), where each row passed costs, most of all a blank
    one, then a re-centred expectation; a plain argmax loses 1-3 dB.
    """
    probability = np.exp(log_columns)
    batch, n, width = probability.shape
    coarse = probability[:, 0::2] + probability[:, 1::2]
    coarse = (coarse[..., 0::2] + coarse[..., 1::2]) / 2
    window = (1, MASS_WINDOW_PX // 2)
    mass_map = np.stack([
        cv2.boxFilter(strip, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT) for strip in coarse
    ])  # fmt: skip
    path = _viterbi(np.log(mass_map + np.float32(1e-4)), passing_cost(ink, mass_map.shape))
    height = np.repeat(2.0 * path + 0.5, 2, axis=1).ravel()
    strip, column = (index.ravel() for index in np.indices((batch, width)))
    mass = np.zeros_like(height)
    moved = np.arange(len(height))
    for _ in range(RECENTRINGS):
        middle = np.round(height[moved]).astype(np.intp)
        rows = middle[:, None] + np.arange(-EXPECT_HALF_PX, EXPECT_HALF_PX + 1)
        near = probability[strip[moved, None], np.clip(rows, 0, n - 1), column[moved, None]]
        near = np.where((rows >= 0) & (rows < n), near, 0)
        mass[moved] = found = near.sum(axis=1, dtype=np.float64)
        height[moved] = np.where(found > 1e-6, (near * rows).sum(axis=1) / np.maximum(found, 1e-9), height[moved])
        moved = moved[np.round(height[moved]) != middle]  # others would see the same again
    return height.reshape(batch, width), np.clip(mass, 0, 1).reshape(batch, width)


def passing_cost(ink: FloatMap | None, shape: tuple[int, ...]) -> FloatMap:
    """Return what it costs to pass a row of [B, H / 2, W / 2] on the way from the column before: f32 of that shape."""
    if ink is None:
        return np.full(shape, 2 * JUMP_COST_PER_PX, np.float32)
    doubled = np.repeat(np.repeat(ink, 2, axis=1), 2, axis=2)
    doubled[:, :, 1:] = np.maximum(doubled[:, :, 1:], doubled[:, :, :-1])
    blank = np.clip(1 - doubled / SURELY_INKED, 0, 1)
    return np.asarray(2 * (INKED_COST_PER_PX + BLANK_COST_PER_PX * blank), np.float32)


def _viterbi(score: FloatMap, cost: FloatMap) -> NDArray[np.intp]:
    """Return the best path [B, W]; costs add up along the rows passed: a running maximum in both directions.

    Where the path came from is looked up again on the way back, for one row per column instead of for all of them.
    """
    batch, _, width = score.shape
    by_column = np.ascontiguousarray(np.moveaxis(score, -1, 0))
    so_far = np.ascontiguousarray(np.moveaxis(np.cumsum(cost, axis=1, dtype=np.float32), -1, 0))
    upwards, downwards = np.empty_like(by_column), np.empty_like(by_column)
    best = by_column[0].copy()
    up, down = np.empty_like(best), np.empty_like(best)
    for column in range(1, width):
        climbed = so_far[column]
        np.add(best, climbed, out=upwards[column])
        np.subtract(best, climbed, out=downwards[column])
        np.maximum.accumulate(upwards[column], axis=1, out=up)
        np.maximum.accumulate(downwards[column, :, ::-1], axis=1, out=down[:, ::-1])
        up -= climbed
        down += climbed
        np.maximum(up, down, out=best)
        best += by_column[column]
    path = np.empty((batch, width), np.intp)
    path[:, -1] = best.argmax(axis=1)
    for strip in range(batch):
        row = int(path[strip, -1])
        for column in range(width - 1, 0, -1):
            # of rows equally good the nearest, and rather one above than one below
            above = row - int(upwards[column, strip, row::-1].argmax())
            below = row + int(downwards[column, strip, row:].argmax())
            climbed = so_far[column, strip, row]
            is_below = downwards[column, strip, below] + climbed > upwards[column, strip, above] - climbed
            path[strip, column - 1] = row = below if is_below else above
    return path


def pair_average(values: F64) -> F64:
    """Average half-columns to whole columns: the two halves' noise is independent (+0.4 dB measured)."""
    return np.asarray(values.reshape(*values.shape[:-1], -1, 2).mean(axis=-1))


def sharpened(height: F64) -> F64:
    """Filter the heights of half-columns by the symmetric filter that brings them nearest to the drawn curve.

    Fitted by least squares to the network's answers on rendered validation pages. It removes the noise that alternates
    between half-columns as the average of pairs does (+0.4 dB), and keeps twice as many samples (+0.2 dB).
    """
    reach = len(SHARPENING) // 2
    if len(height) <= reach:
        return height
    around = np.pad(height, reach, mode="reflect", reflect_type="odd")  # a stroke goes on as it ends
    return np.convolve(around, SHARPENING, mode="valid")


def resample_heights(x_px: F64, height_px: F64, confidence: F64, at_px: F64, *, max_gap_px: float) -> tuple[F64, F64]:
    """Interpolate heights (PCHIP) at new positions; NaN where no good column is within half the longest gap.

    Columns below FAINT confidence are bridged if the gap is short, missing otherwise.
    """
    good = np.isfinite(height_px) & (confidence >= FAINT)
    if good.sum() < 4:
        return np.full(len(at_px), np.nan), np.zeros(len(at_px))
    x, y = x_px[good], height_px[good]
    value = PchipInterpolator(x, y, extrapolate=False)(np.clip(at_px, x[0], x[-1]))
    right = np.clip(np.searchsorted(x, at_px), 1, len(x) - 1)
    gap = x[right] - x[right - 1]
    value = np.where((gap > max_gap_px) & (at_px > x[0]) & (at_px < x[-1]), np.nan, value)
    beyond = (at_px < x[0] - max_gap_px / 2) | (at_px > x[-1] + max_gap_px / 2)
    value[beyond] = np.nan
    sure = np.interp(at_px, x_px, np.nan_to_num(confidence))
    return np.asarray(value, np.float64), np.where(np.isfinite(value), sure, 0.0)


def falling_edges(presence: F64, *, threshold: float = 0.5) -> list[tuple[int, int]]:
    """Return [first, last] half-columns of the stretches in which a lead is present, short breaks closed."""
    on = ndimage.binary_closing(np.pad(presence > threshold, 40), np.ones(33))[40:-40]
    regions, count = ndimage.label(on)
    found = ndimage.find_objects(regions)
    return [(where[0].start, where[0].stop - 1) for where in found[:count] if where is not None]
