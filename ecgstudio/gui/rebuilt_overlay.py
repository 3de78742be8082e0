"""What the reconstruction would have, dashed over the page: in a hue that no lead has, beside what was read."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import dashes
from ecgstudio.core.rebuilt import Mark, RebuiltTrace, Reconstruction, spans
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas
from ecgstudio.gui.overlays import draw_lines, on_screen
from ecgstudio.gui.theme import Theme

WIDTHS_PX: Final = {Mark.CHANGED: 1, Mark.FILLED: 3}
"""What was filled stands where nothing was read, and stands out."""
DASH_PX: Final = {Mark.CHANGED: 5.0, Mark.FILLED: 9.0}  # on the screen, within a factor of 1.4


def draw_rebuilt(canvas: Canvas, reconstruction: Reconstruction, camera: Camera, *, ratio: float, theme: Theme) -> None:
    """Draw every sample that was changed or filled into the picture of a page."""
    for mark, width_px in WIDTHS_PX.items():
        length_px = dash_length(mark, camera.zoom)
        lines = [dash for trace in reconstruction.traces for dash in marked_dashes(trace, mark, length_px)]
        placed = on_screen(lines, camera, ratio=ratio)
        draw_lines(canvas.picture, placed, colour=theme.reconstructed, width=max(1, round(width_px * ratio)))


def dash_length(mark: Mark, zoom: float) -> float:
    """Return the length of a dash in page pixels, the same for zooms that are almost the same."""
    return float(2.0 ** np.round(np.log2(DASH_PX[mark] / zoom)))


@lru_cache(maxsize=96)  # a page has about 13 traces; while one pans they are the same in every frame
def marked_dashes(trace: RebuiltTrace, mark: Mark, length_px: float) -> tuple[F64, ...]:
    """Return the stretches with a mark as dashes in page pixels, from the sample before to the one after."""
    stretches = (trace.xy[max(first - 1, 0) : end + 1] for first, end in spans(trace.mark == mark))
    return tuple(dash for xy in stretches for dash in dashes(xy, length=length_px))
