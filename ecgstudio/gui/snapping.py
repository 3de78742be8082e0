"""Where the ink is under the hand: the crossing of two grid lines, or the line of a trace. Numpy and OpenCV only."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from ecgstudio.core.arrays import F64, U8
from ecgstudio.core.grid import GridFit

XY = tuple[float, float]

PER_MM: Final = 12  # samples
CROSSING_REACH_MM: Final = 0.9  # less than to the next 1-mm line: a wrong snap costs more than a small error
LOOK_MM: Final = 4.0  # along a grid line, so that a trace crossing it does not count
CLEAR_LINE: Final = 8.0  # grey levels by which a printed line must stand out
TRACE_REACH_MM: Final = 1.0
CLEAR_INK: Final = 40.0


def snap_to_crossing(pixels: U8, xy: XY, *, grid: GridFit) -> XY:
    """Return the crossing of printed grid lines near a place; the place itself where none stands out."""
    mm = grid.to_mm(np.array(xy))
    if not np.isfinite(mm).all():
        return xy
    shape = grid.jacobian(mm)
    out = np.array(xy)
    for axis in range(2):
        offset_mm = _line_offset(pixels, xy, across=shape[:, axis], along=shape[:, 1 - axis])
        out = out + shape[:, axis] * offset_mm
    return float(out[0]), float(out[1])


def _line_offset(pixels: U8, xy: XY, *, across: F64, along: F64) -> float:
    """Return how far the strongest line near a place lies along `across` (page px per mm), 0 where none is clear."""
    reach = np.arange(-2 * PER_MM, 2 * PER_MM + 1) / PER_MM  # mm: the paper beside the line counts as well
    look = np.arange(-LOOK_MM * PER_MM / 2, LOOK_MM * PER_MM / 2 + 1) / (PER_MM / 2)
    places = np.array(xy) + reach[:, None, None] * across + look[None, :, None] * along
    ink = 255.0 - _sample(pixels, places).min(axis=-1)
    profile = cv2.GaussianBlur(np.median(ink, axis=1)[:, None], (1, 5), 0.0)[:, 0]
    near = np.abs(reach) <= CROSSING_REACH_MM
    inside = np.where(near, profile, -np.inf)
    best = int(np.argmax(inside))
    peak = 0 < best < len(profile) - 1 and profile[best] >= profile[best - 1] and profile[best] >= profile[best + 1]
    if not peak or profile[best] - np.median(profile) < CLEAR_LINE:
        return 0.0
    left, middle, right = profile[best - 1 : best + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float((best + np.clip(shift, -0.5, 0.5)) / PER_MM + reach[0])


def snap_to_ink(pixels: U8, line: F64, *, grid: GridFit) -> F64:
    """Move each point of a drawn line [N, 2] up or down onto the trace's ink, where there is ink within 1 mm."""
    mm = grid.to_mm(line)
    known = np.isfinite(mm).all(axis=1)
    out = line.copy()
    if not known.any():
        return out
    down = grid.jacobian(mm[known])[:, :, 1]
    reach = np.arange(-TRACE_REACH_MM * PER_MM, TRACE_REACH_MM * PER_MM + 1) / PER_MM
    places = line[known][:, None, :] + reach[None, :, None] * down[:, None, :]
    ink = 255.0 - _sample(pixels, places).max(axis=-1)  # coloured grid lines are bright in one channel, ink in none
    strength = np.clip(ink - np.median(ink, axis=1, keepdims=True) - CLEAR_INK / 2, 0, None) ** 2
    total = strength.sum(axis=1)
    clear = ink.max(axis=1) - np.median(ink, axis=1) >= CLEAR_INK
    offset = np.where(clear, (strength * reach).sum(axis=1) / np.maximum(total, 1e-9), 0.0)
    out[known] += offset[:, None] * down
    return out


def _sample(pixels: U8, places: F64) -> np.ndarray:
    """Sample the page at places [A, B, 2], linearly, from a copy of the part that is needed."""
    low = np.maximum(np.floor(places.min(axis=(0, 1))).astype(int) - 1, 0)
    high = np.minimum(np.ceil(places.max(axis=(0, 1))).astype(int) + 2, [pixels.shape[1], pixels.shape[0]])
    if (high - low < 2).any() or (high - low > 16_000).any():
        return np.full((*places.shape[:2], 3), 255.0)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    x, y = (np.ascontiguousarray(places[..., axis] - low[axis], np.float32) for axis in range(2))
    return np.asarray(cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float64)
