"""The page's pen: how dark paper and ink are along a strip, and what paths look like when they are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap

PAPER_PX, PAPER_PERCENTILE = 96, 80.0  # where beats of all rows stand in a column, most of it may be ink
LIGHTEST_INK, INK_SPAN = 0.25, 0.6  # of the traces' contrast: rulings are lighter, and edges of strokes are blurred
NEAR_PX = 3  # the path lies within its stroke
FINER = 3  # strokes are drawn so many times finer, then averaged
SUBPIXEL_BITS = 4
FARTHEST_PX = 8000.0  # what OpenCV's fixed-point coordinates hold, with room to spare
WIDTHS_PX = (1.9, 2.3, 2.7, 3.2, 3.8, 4.5, 5.3, 6.3, 7.4)
EDGES_PX = 0.6  # OpenCV's smooth edges make lines thicker
BLURS_PX = (0.6, 1.0, 1.5)


@dataclass(frozen=True, slots=True)
class Pen:
    """A round pen of some width, and the blur (sigma) of what scanned it, in strip pixels."""

    width_px: float
    blur_px: float

    def drawn(self, x_px: F64, y_px: F64, shape: tuple[int, int]) -> FloatMap:
        """Draw a line through pixel centres [N] on blank paper of a shape: f32, 0 paper to 1 ink."""
        beside = round(self.width_px + 4 * self.blur_px) + 1  # rows that the line cannot reach stay blank
        first, last = (int(np.clip(y, 0, shape[0])) for y in (y_px.min() - beside, y_px.max() + beside + 1))
        drawn = np.zeros(shape, np.float32)
        if first >= last:
            return drawn
        paper = np.zeros(((last - first) * FINER, shape[1] * FINER), np.uint8)
        xy = np.clip((np.stack([x_px, y_px - first], axis=1) + 0.5) * FINER - 0.5, -FARTHEST_PX, FARTHEST_PX)
        fixed = np.round(xy * 2**SUBPIXEL_BITS).astype(np.int32)
        thick = max(1, round((self.width_px - EDGES_PX) * FINER))
        cv2.polylines(paper, [fixed[:, None]], False, 255, thick, cv2.LINE_AA, SUBPIXEL_BITS)
        fine = cv2.resize(paper, (shape[1], last - first), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        drawn[first:last] = cv2.GaussianBlur(fine, (0, 0), self.blur_px)
        return drawn


BROADEST = Pen(WIDTHS_PX[-1], BLURS_PX[-1])


def ink_of(brightest: FloatMap, height_half: F64, present: NDArray[np.bool_]) -> FloatMap:
    """Return how inked a strip [H, W] is by its brightest channel: 0 paper and rulings, 1 the trace that was followed.

    Unlike `strokes.darkness` it does not take a column for paper that is mostly ink. All is 0 without a trace.
    """
    dark = darkness_of(brightest, height_half, present)
    if dark is None:
        return np.zeros_like(brightest)
    return np.asarray(np.clip((dark - LIGHTEST_INK) / INK_SPAN, 0, 1), np.float32)


def darkness_of(brightest: FloatMap, height_half: F64, present: NDArray[np.bool_]) -> FloatMap | None:
    """Return how dark a strip [H, W] is beside its paper, 1 as the trace that was followed; None without a trace."""
    width = brightest.shape[1]
    parts = np.array_split(brightest, max(width // PAPER_PX, 1), axis=1)
    paper = [float(np.percentile(part[::4, ::2], PAPER_PERCENTILE)) for part in parts]
    middles = (np.arange(len(parts)) + 0.5) * width / len(parts)
    away = np.interp(np.arange(width), middles, paper).astype(np.float32)[None] - brightest
    columns = min(width, len(height_half) // 2)
    rows = np.round(height_half[: 2 * columns : 2]).astype(int) + np.arange(-NEAR_PX, NEAR_PX + 1)[:, None]
    trace = np.take_along_axis(away[:, :columns], np.clip(rows, 0, len(away) - 1), axis=0).max(axis=0)
    seen = trace[present[: 2 * columns : 2]]
    contrast = float(np.median(seen)) if len(seen) else 0.0
    return np.asarray(away / np.float32(contrast), np.float32) if contrast > 0 else None


def fitted_pen(lines: Sequence[tuple[FloatMap, Sequence[tuple[F64, F64]]]]) -> Pen:
    """Return the pen with which lines (x, y [N] each) drawn on pieces of paper [H, W] look most like these."""

    def unlike(pen: Pen) -> float:
        total = 0.0
        for ink, paths in lines:
            again = np.maximum.reduce([pen.drawn(x, y, (ink.shape[0], ink.shape[1])) for x, y in paths])
            total += float(((ink - again) ** 2).sum())
        return total

    near = min((Pen(width, BLURS_PX[1]) for width in WIDTHS_PX), key=unlike)
    at = WIDTHS_PX.index(near.width_px)
    beside = WIDTHS_PX[max(at - 1, 0) : at + 2]  # a pen that blurs more looks a little wider
    return min((near, *(Pen(width, blur) for width in beside for blur in (BLURS_PX[0], BLURS_PX[2]))), key=unlike)
