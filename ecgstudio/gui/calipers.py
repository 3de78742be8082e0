"""Calipers on the signal view: where they stand, how they are drawn, and how a hand or a key moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from PySide6.QtCore import QCoreApplication, QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from ecgstudio.core.caliper import Caliper, Part
from ecgstudio.gui.ecg_paper import PaperFrame, paint_tag
from ecgstudio.gui.strip_layout import Strip, StripLayout
from ecgstudio.gui.theme import Theme

GRAB_PX: Final = 6.0
LEAST_DRAG_PX: Final = 3.0
AMPLITUDE_WIDTH_S: Final = 0.24
ARROW_PX: Final = 5.0
FAINT: Final = 90


class CaliperTool(StrEnum):
    """What a press on the paper begins."""

    NONE = "none"
    TIME = "time"
    AMPLITUDE = "amplitude"


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the paper: the strip beneath it, the time and the voltage there."""

    strip: Strip
    t_s: float
    mv: float


@dataclass(frozen=True, slots=True)
class Grip:
    """Which part of which caliper is held."""

    index: int
    part: Part


def caliper_text(caliper: Caliper) -> str:
    """Say what a caliper measures."""
    if caliper.kind == "amplitude":
        return QCoreApplication.translate("Calipers", "{mv:+.2f} mV").format(mv=caliper.amplitude_mv)
    ms, rate = 1000 * caliper.interval_s, caliper.rate_per_min
    if not math.isfinite(rate):
        return QCoreApplication.translate("Calipers", "0 ms")
    if caliper.count > 1:
        text = QCoreApplication.translate("Calipers", "{count} × {ms:.0f} ms · {rate:.0f}/min")
        return text.format(count=caliper.count, ms=ms, rate=rate)
    return QCoreApplication.translate("Calipers", "{ms:.0f} ms · {rate:.0f}/min").format(ms=ms, rate=rate)


def new_caliper(tool: CaliperTool, start: Spot, end: Spot) -> Caliper:
    """Return the caliper that a drag from one spot to another draws."""
    lead = start.strip.trace.lead
    if tool is CaliperTool.AMPLITUDE:
        half = AMPLITUDE_WIDTH_S / 2
        return Caliper("amplitude", lead, start.t_s - half, start.t_s + half, start.mv, end.mv)
    return Caliper("time", lead, start.t_s, end.t_s, start.mv)


def homes(caliper: Caliper, layout: StripLayout) -> tuple[Strip, ...]:
    """Return the strips on which a caliper stands; the first of its lead if it has left them all."""
    strips = layout.of(caliper.lead)
    return tuple(strip for strip in strips if caliper.stands_on(strip.trace)) or strips[:1]


def grip_at(
    calipers: tuple[Caliper, ...], at: QPointF, *, layout: StripLayout, frame: PaperFrame, selected: int | None
) -> Grip | None:
    """Return the part of a caliper within reach of a pixel; feet before bars, the selected caliper first."""
    order = sorted(range(len(calipers)), key=lambda index: index != selected)
    for whole in (False, True):
        for index in order:
            for strip in homes(calipers[index], layout):
                part = _part_at(calipers[index], strip, at, layout=layout, frame=frame, whole=whole)
                if part is not None:
                    return Grip(index, part)
    return None


def _part_at(
    caliper: Caliper, strip: Strip, at: QPointF, *, layout: StripLayout, frame: PaperFrame, whole: bool
) -> Part | None:
    row = layout.rows[strip.row]
    x0, x1 = (strip_x_px(strip, t_s, frame) for t_s in (caliper.t0_s, caliper.t1_s))
    y0, y1 = (frame.y_px(row.zero_mm) - mv * frame.px_per_mv for mv in (caliper.mv0, caliper.mv1))
    beside = min(x0, x1) - GRAB_PX <= at.x() <= max(x0, x1) + GRAB_PX
    if caliper.kind == "time":
        if not frame.y_px(row.top_mm) <= at.y() <= frame.y_px(row.bottom_mm):
            return None
        if whole:
            return Part.WHOLE if beside and abs(at.y() - y0) <= GRAB_PX else None
        away = {Part.SECOND: abs(at.x() - x1), Part.FIRST: abs(at.x() - x0)}
    else:
        if not beside:
            return None
        if whole:
            inside = min(y0, y1) <= at.y() <= max(y0, y1)
            return Part.WHOLE if inside and abs(at.x() - (x0 + x1) / 2) <= GRAB_PX else None
        away = {Part.SECOND: abs(at.y() - y1), Part.FIRST: abs(at.y() - y0)}
    nearest = min(away, key=lambda part: away[part])
    return nearest if away[nearest] <= GRAB_PX else None


def strip_x_px(strip: Strip, t_s: float, frame: PaperFrame) -> float:
    """Return the pixel of a moment on a strip, also beyond its ends."""
    return frame.x_px(strip.at_s + t_s - strip.trace.t0_s)


def caliper_hue(theme: Theme) -> QColor:
    """Return the calipers' colour on the signal view's paper, which is dark in the dark theme."""
    return QColor(theme.good if theme.dark else theme.caliper)


def paint_caliper(
    painter: QPainter, caliper: Caliper, *, layout: StripLayout, frame: PaperFrame, theme: Theme, selected: bool,
    inside: QRectF,
) -> None:  # fmt: skip
    """Draw a caliper on its strips, and the feet of a time caliper faintly on all others."""
    hue = caliper_hue(theme)
    at_home = homes(caliper, layout)
    if caliper.kind == "time":
        _paint_faint_feet(painter, caliper, layout=layout, frame=frame, hue=hue, without=at_home)
    for strip in at_home:
        painter.setPen(QPen(hue, 2.2 if selected else 1.4))
        lines, tag = _lines(caliper, strip, layout, frame)
        painter.drawLines(lines)
        ground = QColor(theme.paper.background)
        ground.setAlpha(225)
        font = painter.font()
        font.setPixelSize(13)
        font.setBold(selected)
        painter.setFont(font)
        paint_tag(painter, tag, caliper_text(caliper), ink=hue, ground=ground, inside=inside)


def _lines(caliper: Caliper, strip: Strip, layout: StripLayout, frame: PaperFrame) -> tuple[list[QLineF], QPointF]:
    """Return a caliper's lines on a strip, and where its text stands."""
    row = layout.rows[strip.row]
    top, bottom = frame.y_px(row.top_mm) + 1, frame.y_px(row.bottom_mm) - 1
    y0, y1 = (frame.y_px(row.zero_mm) - mv * frame.px_per_mv for mv in (caliper.mv0, caliper.mv1))
    if caliper.kind == "time":
        feet = [strip_x_px(strip, float(t_s), frame) for t_s in caliper.feet_s]
        bar = min(max(y0, top), bottom)
        lines = [QLineF(x, top, x, bottom) for x in feet]
        lines += [QLineF(feet[0], bar, feet[-1], bar)]
        for x, way in ((feet[0], 1.0), (feet[-1], -1.0)):
            lines += [QLineF(x, bar, x + way * ARROW_PX, bar + d) for d in (-ARROW_PX, ARROW_PX)]
        return lines, QPointF((feet[0] + feet[1]) / 2, bar - 3)
    x0, x1 = sorted(strip_x_px(strip, t_s, frame) for t_s in (caliper.t0_s, caliper.t1_s))
    middle = (x0 + x1) / 2
    way = math.copysign(1.0, y1 - y0)
    lines = [QLineF(x0, y0, x1, y0), QLineF(x0, y1, x1, y1), QLineF(middle, y0, middle, y1)]
    for y, turn in ((y0, way), (y1, -way)):
        lines += [QLineF(middle, y, middle + d, y + turn * ARROW_PX) for d in (-ARROW_PX, ARROW_PX)]
    return lines, QPointF(middle, min(y0, y1) - 3)


def _paint_faint_feet(
    painter: QPainter, caliper: Caliper, *, layout: StripLayout, frame: PaperFrame, hue: QColor,
    without: tuple[Strip, ...],
) -> None:  # fmt: skip
    faint = QColor(hue)
    faint.setAlpha(FAINT)
    painter.setPen(QPen(faint, 1.0, Qt.PenStyle.DashLine))
    lines = []
    for strip in layout.strips:
        row = layout.rows[strip.row]
        for t_s in caliper.feet_s:
            if strip not in without and strip.holds(float(t_s)):
                x = strip_x_px(strip, float(t_s), frame)
                lines.append(QLineF(x, frame.y_px(row.top_mm), x, frame.y_px(row.bottom_mm)))
    painter.drawLines(lines)
