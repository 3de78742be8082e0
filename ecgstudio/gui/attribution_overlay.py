"""The band under the traces of the page that shows what drove a finding: the wider, the more; its rim is darker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.gui.attribution import LEVELS, WIDTHS_MM, Attribution, driving_runs
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, stain
from ecgstudio.gui.overlays import draw_lines, on_screen
from ecgstudio.gui.theme import Theme

LEAST_PX, STEP_WIDER_PX, MOST_PX = 3.0, 1.0, 40.0
"""A page that is seen as a whole is so small that its band would be hidden by the trace."""
USUAL_PX_PER_MM: Final = 8.0
RIM_PX: Final = 1.0
FILL, RIM = 0.4, 0.8
"""How strongly paper is stained within the band and at its rim."""
STEP_PX: Final = 1.5


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
    sheet = canvas.white_sheet()
    bands = [on_screen(_lines(ecg.traces, attribution, level, camera, ratio), camera, ratio=ratio)
             for level in range(1, len(LEVELS) + 1)]  # fmt: skip
    mm_px = (px_per_mm or USUAL_PX_PER_MM) * camera.zoom
    widths_px = [
        min(MOST_PX, max(wide_mm * mm_px, LEAST_PX + STEP_WIDER_PX * level)) for level, wide_mm in enumerate(WIDTHS_MM)
    ]
    for strength, more in ((RIM, 2 * RIM_PX), (FILL, 0.0)):
        colour = stain(theme.driving, strength)
        for lines, width in zip(bands, widths_px, strict=True):
            draw_lines(sheet, lines, colour=colour, width=max(1, round((width + more) * ratio)))
    canvas.darken()


def _lines(
    traces: Sequence[LeadTrace], attribution: Attribution, level: int, camera: Camera, ratio: float
) -> list[F64]:
    """Return the stretches of one width in page pixels, with no more points than can be seen."""
    lines = []
    for trace in traces:
        placed = np.isfinite(trace.xy).all(axis=1)
        if not placed.any():
            continue
        ends = trace.xy[placed][[0, -1]]
        px = float(np.hypot(*(ends[1] - ends[0]))) * camera.zoom * ratio
        step = max(1, int(STEP_PX * len(trace.mv) / max(px, 1.0)))
        for width, start, end in driving_runs(trace, attribution):
            if width == level:
                at = np.unique(np.append(np.arange(start, end, step), end - 1))
                line = trace.xy[at]
                line = line[np.isfinite(line).all(axis=1)]
                lines.append(np.repeat(line, 2, axis=0) if len(line) == 1 else line)
    return lines
