"""The shared cursor on the signal view: a line at one moment, and what the lead beneath it reads there."""

from __future__ import annotations

import math

from PySide6.QtCore import QCoreApplication, QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPen

from ecgstudio.core.arrays import F32
from ecgstudio.core.rebuilt import Mark, RebuiltTrace
from ecgstudio.gui.calipers import strip_x_px
from ecgstudio.gui.ecg_paper import PaperFrame, paint_tag
from ecgstudio.gui.strip_layout import StripLayout
from ecgstudio.gui.theme import Theme

FAINT = 110


def mv_at(values: F32, sample: float) -> float:
    """Return the voltage, or the confidence, of the sample nearest to a place; NaN outside."""
    index = round(sample)
    return float(values[index]) if 0 <= index < len(values) else math.nan


def cursor_text(lead: str, t_s: float, mv: float, sure: float) -> str:
    """Say what stands at the cursor, and how sure the reading is."""
    if math.isfinite(mv):
        text = QCoreApplication.translate("SignalView", "{lead}  {t:.3f} s  {mv:+.2f} mV  {sure:.0f} % sure")
        return text.format(lead=lead, t=t_s, mv=mv, sure=100 * sure)
    return QCoreApplication.translate("SignalView", "{lead}  {t:.3f} s  not readable").format(lead=lead, t=t_s)


def rebuilt_text(trace: RebuiltTrace, sample: float) -> str:
    """Say what the reconstruction would have at a sample, to be put behind what was read; empty where that is it."""
    index = round(sample)
    mark = Mark(trace.mark[index]) if 0 <= index < len(trace.mark) else Mark.AS_READ
    words = {Mark.CHANGED: "   reconstructed {mv:+.2f} mV", Mark.FILLED: "   filled {mv:+.2f} mV"}
    if mark is Mark.AS_READ:
        return ""
    return QCoreApplication.translate("SignalView", words[mark]).format(mv=float(trace.mv[index]))


def paint_cursor(
    painter: QPainter, lead: str, t_s: float, *, layout: StripLayout, frame: PaperFrame, theme: Theme, inside: QRectF
) -> None:
    """Draw the cursor on every strip that was printed at that moment, strongly on those of the lead."""
    hue = QColor(theme.residual if theme.dark else theme.cursor)
    faint = QColor(hue)
    faint.setAlpha(FAINT)
    font = painter.font()
    font.setPixelSize(12)
    painter.setFont(font)
    for strip in layout.strips:
        if not strip.holds(t_s):
            continue
        row = layout.rows[strip.row]
        x = strip_x_px(strip, t_s, frame)
        top, bottom = frame.y_px(row.top_mm), frame.y_px(row.bottom_mm)
        own = strip.trace.lead == lead
        painter.setPen(QPen(hue if own else faint, 1.2 if own else 1.0))
        painter.drawLine(QPointF(x, top), QPointF(x, bottom))
        if not own or not (
            inside.top() <= (top + bottom) / 2 <= inside.bottom() and inside.left() <= x <= inside.right()
        ):
            continue
        sample = (t_s - strip.trace.t0_s) * strip.trace.fs
        mv, sure = mv_at(strip.trace.mv, sample), mv_at(strip.trace.confidence, sample)
        if math.isfinite(mv):
            painter.setBrush(hue)
            painter.drawEllipse(QPointF(x, frame.y_px(row.zero_mm) - mv * frame.px_per_mv), 3.0, 3.0)
        ink, ground = QColor(theme.tag_text), QColor(theme.tag)
        text = cursor_text(lead, t_s, mv, sure) + ("" if strip.rebuilt is None else rebuilt_text(strip.rebuilt, sample))
        paint_tag(painter, QPointF(x, bottom), text, ink=ink, ground=ground, inside=inside)
