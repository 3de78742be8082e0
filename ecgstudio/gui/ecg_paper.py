"""ECG paper on the screen: how many screen pixels a true millimetre has, and how paper and calibration are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QPainter, QPen
from PySide6.QtWidgets import QWidget

from ecgstudio.gui.theme import PaperColours

MM_PER_INCH: Final = 25.4
FALLBACK_DPI: Final = 96.0
PLAUSIBLE_DPI: Final = (50.0, 400.0)  # outside, the screen does not know its own size (projectors, remote desktops)
MINOR_MM, MAJOR_MM = 1.0, 5.0
MINOR_FROM_PX: Final = 2.6  # closer 1-mm lines would be a grey wash
PULSE_MV, PULSE_S, PULSE_FLAT_S = 1.0, 0.2, 0.06


@dataclass(frozen=True, slots=True)
class PaperFrame:
    """The map between the paper's seconds and millimetres and the pixels of a view that is not scrolled.

    `left_mm` and `top_mm` lie before the time axis and above the first row.
    """

    px_per_mm: float
    mm_per_s: float = 25.0
    mm_per_mV: float = 10.0
    left_mm: float = 16.0
    top_mm: float = 6.0

    @property
    def px_per_s(self) -> float:
        """Pixels per second."""
        return self.px_per_mm * self.mm_per_s

    @property
    def px_per_mv(self) -> float:
        """Pixels per millivolt."""
        return self.px_per_mm * self.mm_per_mV

    def x_px(self, at_s: float) -> float:
        """Return the pixel of a place on the time axis."""
        return (self.left_mm + at_s * self.mm_per_s) * self.px_per_mm

    def y_px(self, y_mm: float) -> float:
        """Return the pixel of a place below the top of the first row."""
        return (self.top_mm + y_mm) * self.px_per_mm

    def at_s(self, x_px: float) -> float:
        """Return the place on the time axis of a pixel."""
        return (x_px / self.px_per_mm - self.left_mm) / self.mm_per_s

    def y_mm(self, y_px: float) -> float:
        """Return the place below the top of the first row of a pixel."""
        return y_px / self.px_per_mm - self.top_mm


def screen_px_per_mm(widget: QWidget) -> float:
    """Return how many of Qt's pixels a millimetre of the widget's screen has, as far as the screen knows."""
    screen = widget.screen() or QGuiApplication.primaryScreen()
    dpi = screen.physicalDotsPerInch() if screen is not None else FALLBACK_DPI
    if not PLAUSIBLE_DPI[0] <= dpi <= PLAUSIBLE_DPI[1]:
        dpi = FALLBACK_DPI
    return dpi / MM_PER_INCH


def paint_paper(painter: QPainter, visible: QRectF, *, px_per_mm: float, colours: PaperColours) -> None:
    """Fill a part of an endless sheet whose squares begin at pixel (0, 0); lines stand on whole pixels."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.fillRect(visible, QColor(colours.background))
    steps = [(MAJOR_MM, colours.major)]
    if px_per_mm >= MINOR_FROM_PX:
        steps.insert(0, (MINOR_MM, colours.minor))
    for step_mm, colour in steps:
        hue, step = QColor(colour), step_mm * px_per_mm
        for number in range(math.floor(visible.left() / step), math.ceil(visible.right() / step) + 1):
            painter.fillRect(QRectF(math.floor(number * step), visible.top(), 1, visible.height()), hue)
        for number in range(math.floor(visible.top() / step), math.ceil(visible.bottom() / step) + 1):
            painter.fillRect(QRectF(visible.left(), math.floor(number * step), visible.width(), 1), hue)
    painter.restore()


def paint_pulse(painter: QPainter, frame: PaperFrame, *, left_px: float, zero_px: float, ink: QColor) -> None:
    """Draw the calibration pulse: 1 mV for 0.2 s."""
    painter.setPen(QPen(ink, 1.2))
    flat, wide, high = PULSE_FLAT_S * frame.px_per_s, PULSE_S * frame.px_per_s, PULSE_MV * frame.px_per_mv
    x = [left_px, left_px + flat, left_px + flat, left_px + flat + wide, left_px + flat + wide]
    y = [zero_px, zero_px, zero_px - high, zero_px - high, zero_px]
    corners = [*zip(x, y, strict=True), (left_px + 2 * flat + wide, zero_px)]
    painter.drawPolyline([QPointF(*corner) for corner in corners])


def paint_tag(painter: QPainter, at: QPointF, text: str, *, ink: QColor, ground: QColor, inside: QRectF) -> None:
    """Write a text on a rounded ground above a place, kept inside a rectangle."""
    metrics = painter.fontMetrics()
    width, height = metrics.horizontalAdvance(text) + 10.0, metrics.height() + 4.0
    left = min(max(at.x() - width / 2, inside.left() + 2), max(inside.left() + 2, inside.right() - width - 2))
    top = min(max(at.y() - height, inside.top() + 2), max(inside.top() + 2, inside.bottom() - height - 2))
    box = QRectF(left, top, width, height)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(ink)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
