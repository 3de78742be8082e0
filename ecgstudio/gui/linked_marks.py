"""What page and signal view show together: the shared cursor and the calipers, on the page."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPen

from ecgstudio.core.arrays import F64
from ecgstudio.core.caliper import Caliper
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.gui.caliper_gestures import drawn
from ecgstudio.gui.calipers import caliper_text
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.hit_test import Hit
from ecgstudio.gui.overlays import colour_of, paint_handle, paint_tag
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.trace_frame import trace_of_lead

XY = tuple[float, float]

CURSOR_MM: Final = 8.0


def moment_xy(ecg: DigitizedEcg | None, lead: str, t_s: float) -> XY | None:
    """Return the place of a lead's sample at a moment; None if it was not printed then."""
    trace = trace_of_lead(ecg, lead, t_s)
    if trace is None:
        return None
    sample = round((t_s - trace.t0_s) * trace.fs)
    if not 0 <= sample < len(trace.mv) or not np.isfinite(trace.xy[sample]).all():
        return None
    return float(trace.xy[sample, 0]), float(trace.xy[sample, 1])


def paint_cursor(painter: QPainter, xy: XY, camera: Camera, theme: Theme, *, px_per_mm: float) -> None:
    """Draw the shared cursor: an upright line and a dot."""
    place = camera.to_screen(xy)
    half = CURSOR_MM * px_per_mm * camera.zoom
    painter.setPen(QPen(colour_of(theme, "cursor", alpha=0.8), 1.0))
    painter.drawLine(QPointF(place[0], place[1] - half), QPointF(place[0], place[1] + half))
    paint_handle(painter, place, theme, role="cursor", size=0.8)


def paint_calipers(
    painter: QPainter, calipers: tuple[Caliper, ...], ecg: DigitizedEcg, grid: GridFit, camera: Camera, theme: Theme,
    *, chosen: Hit | None = None, hovered: Hit | None = None,
) -> None:  # fmt: skip
    """Draw the calipers where their leads are printed, with what they measure; the one that is taken is stronger."""
    for index, caliper in enumerate(calipers):
        taken = [hit for hit in (chosen, hovered) if hit is not None and hit.index == index]
        for lines in drawn(caliper, ecg, grid):
            pen = QPen(colour_of(theme, "caliper"), 2.4 if taken else 1.6, Qt.PenStyle.SolidLine)
            painter.setPen(pen)
            for line in (lines.first, lines.second, lines.bar):
                _paint_stretch(painter, camera.to_screen(line))
            pen.setStyle(Qt.PenStyle.DashLine)
            painter.setPen(pen)
            for line in lines.march:
                _paint_stretch(painter, camera.to_screen(line))
            if lines.march:
                _paint_stretch(painter, camera.to_screen(np.stack([lines.bar[1], lines.march[-1].mean(axis=0)])))
            paint_tag(painter, camera.to_screen(lines.bar.mean(axis=0)), caliper_text(caliper), theme, role="caliper")
        for hit in taken:
            paint_handle(painter, camera.to_screen(hit.xy), theme, role="active" if hit is chosen else "caliper")


def _paint_stretch(painter: QPainter, line: F64) -> None:
    (x0, y0), (x1, y1) = line
    painter.drawLine(QPointF(x0, y0), QPointF(x1, y1))
