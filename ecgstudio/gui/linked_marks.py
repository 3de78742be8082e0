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
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.overlays import colour_of, paint_handle, paint_tag
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.trace_frame import frame_of, trace_of_lead

XY = tuple[float, float]

FOOT_MM: Final = 9.0  # a time caliper's foot reaches this far above and below its bar
ARM_MM: Final = 4.0
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
    painter: QPainter, calipers: tuple[Caliper, ...], ecg: DigitizedEcg, grid: GridFit, camera: Camera, theme: Theme
) -> None:
    """Draw the calipers where their leads are printed, with what they measure."""
    for caliper in calipers:
        lines = caliper_lines(caliper, ecg, grid)
        if not lines:
            continue
        painter.setPen(QPen(colour_of(theme, "caliper"), 1.6, Qt.PenStyle.SolidLine))
        for line in lines:
            (x0, y0), (x1, y1) = camera.to_screen(line)
            painter.drawLine(QPointF(x0, y0), QPointF(x1, y1))
        paint_tag(painter, camera.to_screen(lines[-1].mean(axis=0)), caliper_text(caliper), theme, role="caliper")


def caliper_lines(caliper: Caliper, ecg: DigitizedEcg, grid: GridFit) -> list[F64]:
    """Return a caliper's feet and, last, its bar as lines [2, 2] in page pixels; none if its lead is not there."""
    trace = trace_of_lead(ecg, caliper.lead, caliper.t0_s)
    if trace is None:
        return []
    frame, scale = frame_of(trace, grid), grid.scale
    if caliper.kind == "time":
        half = FOOT_MM / scale.mm_per_mV
        feet = [
            frame.place(np.full(2, t_s), np.array([caliper.mv0 - half, caliper.mv0 + half]), grid)
            for t_s in caliper.feet_s
        ]
        bar = frame.place(caliper.feet_s[[0, -1]], np.full(2, caliper.mv0), grid)
        return [*feet, bar]
    half = ARM_MM / scale.mm_per_s
    t_s = np.array([min(caliper.t0_s, caliper.t1_s) - half, max(caliper.t0_s, caliper.t1_s) + half])
    feet = [frame.place(t_s, np.full(2, mv), grid) for mv in (caliper.mv0, caliper.mv1)]
    bar = frame.place(np.full(2, t_s.mean()), np.array([caliper.mv0, caliper.mv1]), grid)
    return [*feet, bar]


def caliper_text(caliper: Caliper) -> str:
    """Return what a caliper measures, with units."""
    if caliper.kind == "amplitude":
        return f"{caliper.amplitude_mv:+.2f} mV"
    rate = caliper.rate_per_min
    return f"{1000 * caliper.interval_s:.0f} ms" + (f" · {rate:.0f}/min" if 20 <= rate <= 300 else "")
