"""Traces as plotting programs draw them: Agg's lines, of any width, at the resolution of the picture itself.

A line that is drawn large and averaged down, or resampled with its sheet, has softer flanks than these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.synth.scan import MM_PER_INCH
from training.synth.style import PageStyle

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

MM_PER_PT: Final = MM_PER_INCH / 72
DPI: Final = (75, 96, 100, 120, 150, 150, 200, 200, 200, 250, 300)
TRACE_PT: Final = (0.35, 0.5, 0.5, 0.6, 0.75, 0.75, 0.8, 1.0, 1.0, 1.25, 1.5)
JOINS: Final = ("round", "round", "miter", "bevel")
CAPS: Final = ("projecting", "projecting", "butt", "round")


@dataclass(frozen=True, slots=True)
class AggPen:
    """How lines are drawn; `thins_out` leaves out vertices within 1/9 px of the line, as matplotlib does."""

    thins_out: bool
    join: str
    cap: str

    def __call__(self, shape: tuple[int, int], lines_px: Sequence[Floats], thick_px: float) -> Pixels:
        """Return the ink's coverage u8[h, w] of lines (x, y in px from the picture's upper left corner)."""
        from matplotlib.backends.backend_agg import RendererAgg
        from matplotlib.path import Path
        from matplotlib.transforms import Affine2D

        height, width = shape
        canvas: Any = RendererAgg(width, height, 72.0)  # type: ignore[no-untyped-call]  # a point is a pixel
        context = canvas.new_gc()
        context.set_linewidth(thick_px)
        context.set_joinstyle(self.join)
        context.set_capstyle(self.cap)
        from_below = Affine2D().scale(1.0, -1.0).translate(0.0, height)
        for line in lines_px:
            path = Path(line)
            path.should_simplify = self.thins_out and len(line) >= 128
            canvas.draw_path(context, path, from_below)
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 3])


def agg_pen(rng: Rng) -> AggPen:
    """Draw how a program draws: mostly as matplotlib does by itself."""
    return AggPen(thins_out=bool(rng.random() < 0.6), join=str(rng.choice(JOINS)), cap=str(rng.choice(CAPS)))


def agg_px_per_mm(rng: Rng) -> float:
    """Draw a picture's resolution."""
    return float(rng.choice(DPI)) / MM_PER_INCH


def with_agg_lines(style: PageStyle, rng: Rng) -> PageStyle:
    """Return a style with a line width that programs choose, not rounded to a printer's dots."""
    return replace(style, trace_mm=float(rng.choice(TRACE_PT)) * MM_PER_PT, dot_mm=0.0)
