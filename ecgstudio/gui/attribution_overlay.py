"""The band under the traces of the page that shows what drove a finding: the wider, the more; its rim is darker."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.gui.attribution import LEVELS, WIDTHS_MM, Attribution, driving_runs
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, stain
from ecgstudio.gui.overlays import draw_lines, on_screen
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.trace_overlay import in_sight, sample_step, thinned

LEAST_PX, STEP_WIDER_PX, MOST_PX = 3.0, 1.0, 40.0
"""A page that is seen as a whole is so small that its band would be hidden by the trace."""
USUAL_PX_PER_MM: Final = 8.0
RIM_PX: Final = 1.0
FILL, RIM = 0.4, 0.8
"""How strongly paper is stained within the band and at its rim."""


def draw_attribution(
    canvas: Canvas,
    ecg: DigitizedEcg,
    attribution: Attribution,
    camera: Camera,
    *,
    px_per_mm: float | None,
    ratio: float,
    theme: Theme,
) -> None:
    """Stain the paper under what drove the finding; the ink stays dark."""
    view, px_per_px = camera.visible_box(), camera.zoom * ratio
    seen = [driving_lines(t, attribution, sample_step(t, px_per_px)) for t in ecg.traces if in_sight(t, view)]
    by_level = [[line for lines in seen for line in lines[level]] for level in range(len(LEVELS))]
    if not any(by_level):
        return
    sheet = canvas.white_sheet()
    bands = [on_screen(lines, camera, ratio=ratio) for lines in by_level]
    mm_px = (px_per_mm or USUAL_PX_PER_MM) * camera.zoom
    widths_px = [
        min(MOST_PX, max(wide_mm * mm_px, LEAST_PX + STEP_WIDER_PX * level)) for level, wide_mm in enumerate(WIDTHS_MM)
    ]
    for strength, more in ((RIM, 2 * RIM_PX), (FILL, 0.0)):
        colour = stain(theme.driving, strength)
        for lines, width in zip(bands, widths_px, strict=True):
            draw_lines(sheet, lines, colour=colour, width=max(1, round((width + more) * ratio)), smooth=False)
    canvas.darken()


@lru_cache(maxsize=256)
def driving_lines(trace: LeadTrace, attribution: Attribution, step: int) -> tuple[tuple[F64, ...], ...]:
    """Return by level the stretches that drove a finding as polylines in page pixels, thinned by a step."""
    by_level: list[list[F64]] = [[] for _ in LEVELS]
    for level, start, end in driving_runs(trace, attribution):
        line = trace.xy[start : end + 1]
        line = line[np.isfinite(line).all(axis=1)]
        if len(line) > 1:
            by_level[level - 1].append(thinned(line, step))
    return tuple(map(tuple, by_level))
