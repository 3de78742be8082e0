"""The measured fiducials on the signal view: a tick at every beat they were found in, and which one is within reach."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPen

from ecgstudio.core.fiducials import Fiducial
from ecgstudio.gui.calipers import strip_x_px
from ecgstudio.gui.ecg_paper import PaperFrame
from ecgstudio.gui.strip_layout import StripLayout
from ecgstudio.gui.theme import Theme
from ecgstudio.stages.intervals import Intervals

LETTERS: Final = {Fiducial.P_ON: "P", Fiducial.QRS_ON: "Q", Fiducial.QRS_OFF: "J", Fiducial.T_END: "T"}
REACH_PX: Final = 5.0
LETTERS_FROM_PX_PER_S: Final = 70.0  # closer together they would hide each other
MAIN_TICK_MM, TICK_MM = 3.5, 1.4


@dataclass(frozen=True, slots=True)
class Tick:
    """A fiducial of one beat on one strip, in pixels; `r_px` is the beat's R peak, `main`: on a longest strip."""

    fiducial: Fiducial
    x_px: float
    r_px: float
    zero_px: float
    half_px: float
    main: bool


def ticks(intervals: Intervals | None, layout: StripLayout, frame: PaperFrame) -> tuple[Tick, ...]:
    """Return all ticks, each on the strips that hold it."""
    return tuple(_ticks(intervals, layout, frame)) if intervals is not None else ()


def _ticks(intervals: Intervals, layout: StripLayout, frame: PaperFrame) -> Iterator[Tick]:
    longest = max((strip.trace.duration_s for strip in layout.strips), default=0.0)
    for strip in layout.strips:
        main = strip.trace.duration_s > 0.9 * longest
        half_px = (MAIN_TICK_MM if main else TICK_MM) * frame.px_per_mm
        zero_px = frame.y_px(layout.rows[strip.row].zero_mm)
        for beat_s in intervals.beats_s[intervals.alike]:
            for fiducial, offset_s in intervals.fiducials.items():
                if math.isfinite(offset_s) and strip.holds(float(beat_s) + offset_s) and strip.holds(float(beat_s)):
                    r_px = strip_x_px(strip, float(beat_s), frame)
                    yield Tick(fiducial, r_px + offset_s * frame.px_per_s, r_px, zero_px, half_px, main)


def tick_at(at: QPointF, among: tuple[Tick, ...], *, frame: PaperFrame) -> Tick | None:
    """Return the tick within reach of a pixel."""
    near = [
        (abs(tick.x_px - at.x()), tick)
        for tick in among
        if abs(tick.x_px - at.x()) <= REACH_PX and abs(tick.zero_px - at.y()) <= tick.half_px + frame.px_per_mm
    ]
    return min(near, key=lambda each: each[0])[1] if near else None


def paint_ticks(
    painter: QPainter, shown: tuple[Tick, ...], *, by_hand: frozenset[Fiducial], theme: Theme, visible: QRectF,
    lettered: bool,
) -> None:  # fmt: skip
    """Draw the ticks: lettered, if asked, on the longest strips, thick where a human placed them."""
    hue = QColor(theme.signal_groups["lateral"] if theme.dark else theme.fiducial)
    font = painter.font()
    font.setPixelSize(11)
    font.setBold(True)
    painter.setFont(font)
    shown = tuple(tick for tick in shown if visible.left() - 20 <= tick.x_px <= visible.right() + 20)
    for thick in (False, True):
        painter.setPen(QPen(hue, 2.4 if thick else 0))
        some = [tick for tick in shown if (tick.fiducial in by_hand) == thick]
        painter.drawLines([QLineF(t.x_px, t.zero_px - t.half_px, t.x_px, t.zero_px + t.half_px) for t in some])
    for tick in shown:
        if tick.main and lettered:
            painter.drawText(QPointF(tick.x_px - 4, tick.zero_px + tick.half_px + 11), LETTERS[tick.fiducial])


def dragged(intervals: Intervals, tick: Tick, x_px: float, frame: PaperFrame) -> Intervals:
    """Return the intervals with the tick's fiducial at a pixel, between its neighbours."""
    order = list(Fiducial)
    place = order.index(tick.fiducial)
    before = [intervals.fiducials[f] for f in order[:place] if math.isfinite(intervals.fiducials[f])]
    after = [intervals.fiducials[f] for f in order[place + 1 :] if math.isfinite(intervals.fiducials[f])]
    at_s = (x_px - tick.r_px) / frame.px_per_s
    low, high = max(before, default=-np.inf) + 0.002, min(after, default=np.inf) - 0.002
    return intervals.with_fiducial(tick.fiducial, float(np.clip(at_s, low, high)))
