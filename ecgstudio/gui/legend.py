"""What the drawing means: a swatch and a sentence for all that is drawn over the page and on the signal paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from ecgstudio.gui.doubt import LEVELS, alpha_of
from ecgstudio.gui.theme import Theme, theme_for

SWATCH_PX: Final = (54, 22)
LEAST_WORDS_PX: Final = 220


@dataclass(frozen=True, slots=True)
class Entry:
    """How something is drawn, the theme's role of its colour, and what it means."""

    kind: str
    role: str
    text: str


BAND: Final = Entry("band", "driving", "Band under a trace: the wider, the more it spoke for the chosen finding.")

ENTRIES: Final = (
    Entry("trace", "I", "A trace as it was read; leads of a group share a colour."),
    Entry("doubt", "uncertain", "Shade around a trace: the stronger, the less sure the reading (below 90 %)."),
    BAND,
    Entry("gap", "missing", "Not readable: nothing is drawn or exported here."),
    Entry(
        "dashes",
        "reconstructed",
        "Dashed: reconstructed by the picture; thick where it fills what was not readable. It stands beside what was "
        "read and is exported in channels of its own.",
    ),
    Entry("blot", "residual", "Ink that no trace explains."),
    Entry("dashed box", "V1", "A printed name that was read without confidence."),
    Entry("tick", "fiducial", "Where P, QRS and T were measured; thick if placed by hand."),
    Entry("flat", "bad", "A sum of leads that should be flat."),
)


def tr(text: str) -> str:
    """Return a text of the table in the user's language."""
    return QCoreApplication.translate("legend", text)


class Legend(QWidget):
    """The table of swatches."""

    def __init__(self, parent: QWidget | None = None, *, theme: Theme | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("What the drawing means"))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        for number, entry in enumerate(ENTRIES):
            words = QLabel(tr(entry.text), self)
            words.setWordWrap(True)
            words.setMinimumWidth(LEAST_WORDS_PX)
            grid.addWidget(Swatch(entry, theme, self), number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(words, number, 1)
        grid.setColumnStretch(1, 1)


class Swatch(QWidget):
    """A small picture of how something is drawn, on white paper as on the page."""

    def __init__(self, entry: Entry, theme: Theme | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry, self._theme = entry, theme or theme_for(False)
        self.setFixedSize(*SWATCH_PX)

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Ask for the room of a swatch."""
        return QSize(*SWATCH_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        theme, kind = self._theme, self._entry.kind
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor("#ffffff"))
        hue = QColor(str(getattr(theme, self._entry.role, "")) or theme.lead(self._entry.role))
        width, middle = self.width(), self.height() / 2
        x = np.linspace(0, width, 40)
        wave = [QPointF(float(at), middle - 6 * float(np.sin(at / 8) ** 3)) for at in x]
        if kind == "doubt":
            part = width / len(LEVELS)
            for number, level in enumerate(LEVELS):
                shade = QColor(hue)
                shade.setAlphaF(alpha_of(level))
                painter.fillRect(QRectF(width - (number + 1) * part, 2, part, self.height() - 4), shade)
        if kind in ("trace", "doubt"):
            painter.setPen(QPen(QColor(theme.lead("I")), 2))
            painter.drawPolyline(wave)
        elif kind == "band":
            _paint_band(painter, QRectF(self.rect()), theme)
        elif kind == "gap":
            painter.setPen(QPen(hue, 1))
            painter.drawLine(QPointF(4, middle), QPointF(width - 4, middle))
            for at in range(8, width - 4, 7):
                painter.drawLine(QPointF(at, middle), QPointF(at - 6, middle + 7))
        elif kind == "dashes":
            for width_px, piece in ((1.0, wave[:28]), (3.0, wave[27:])):
                painter.setPen(QPen(hue, width_px, Qt.PenStyle.CustomDashLine, Qt.PenCapStyle.FlatCap))
                pen = painter.pen()
                pen.setDashPattern([4 / width_px, 3 / width_px])
                painter.setPen(pen)
                painter.drawPolyline(piece)
        elif kind == "blot":
            painter.setPen(QPen(hue, 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawPolyline(wave[12:28])
        elif kind == "dashed box":
            painter.setPen(QPen(hue, 1.5, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(QRectF(12, 3, 30, self.height() - 6), 3, 3)
        elif kind == "tick":
            for at, thick in ((14, 1.0), (28, 1.0), (42, 2.4)):
                painter.setPen(QPen(hue, thick))
                painter.drawLine(QPointF(at, 3), QPointF(at, self.height() - 3))
        else:
            painter.setPen(QPen(hue, 1.3))
            painter.drawLine(QPointF(2, middle), QPointF(width - 2, middle))
        painter.setPen(QPen(QColor(theme.border), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


def _paint_band(painter: QPainter, box: QRectF, theme: Theme) -> None:
    """Draw a trace on a band that grows along it."""
    middle, half = box.center().y(), box.height() / 2 - 1.5
    band = QPainterPath()
    band.moveTo(box.left() + 1, middle)
    band.lineTo(box.right() - 1, middle - half)
    band.lineTo(box.right() - 1, middle + half)
    band.closeSubpath()
    fill = QColor(theme.driving)
    painter.setPen(QPen(fill, 1.0))
    fill.setAlphaF(0.45)
    painter.setBrush(fill)
    painter.drawPath(band)
    painter.setPen(QPen(QColor(theme.lead("I")), 1.6))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawLine(QPointF(box.left() + 1, middle), QPointF(box.right() - 1, middle))
