"""The true size of a screen: a card or a ruler held against it says how many pixels a millimetre has.

Screens often do not know their own size; what was found here is remembered for each of them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QScreen
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from ecgstudio.gui.ecg_paper import screen_px_per_mm
from ecgstudio.gui.preferences import Preferences
from ecgstudio.gui.signal_view import SignalView

CARD_MM: Final = (85.60, 53.98)  # ISO/IEC 7810 ID-1: bank cards, identity cards, driving licences
CARD_CORNER_MM: Final = 3.18
RULER_MM: Final = 100
LEAST_PX_PER_MM, MOST_PX_PER_MM = 1.5, 16.0  # 38 to 406 dots per inch
STEPS_PER_PX: Final = 1000  # of the slider
NUDGE_PX: Final = 0.5  # of the whole shape; Shift: ten times as much
LEFT_PX, TOP_PX = 24.0, 34.0


def screen_key(screen: QScreen) -> str:
    """Name a screen by its maker, model and number, so that it is known again wherever it is plugged in."""
    parts = (screen.manufacturer(), screen.model(), screen.serialNumber())
    known = [part.strip() for part in parts if part.strip()]
    return quote("|".join(known) or screen.name() or "screen", safe="")


class TrueSize(QObject):
    """Keeps the signal view's millimetres those of the screen on which the window is."""

    def __init__(self, window: QWidget, *, preferences: Preferences, signal_view: SignalView) -> None:
        super().__init__(window)
        self._window, self._preferences, self._view = window, preferences, signal_view
        signal_view.screenChanged.connect(self.follow)
        self.follow()

    def follow(self) -> None:
        """Take what is known of the screen in front."""
        screen = self._window.screen()
        dots = self._preferences.screen_px_per_mm(screen_key(screen))
        self._view.set_screen_px_per_mm(None if dots is None else dots / screen.devicePixelRatio())

    def edit(self) -> None:
        """Let the user say how large the screen is."""
        screen = self._window.screen()
        ratio, key = screen.devicePixelRatio(), screen_key(screen)
        dots = self._preferences.screen_px_per_mm(key)
        dialog = ScreenSizeDialog(
            None if dots is None else dots / ratio, by_itself=screen_px_per_mm(self._window), parent=self._window
        )
        if dialog.exec():
            px = dialog.px_per_mm
            self._preferences.set_screen_px_per_mm(key, None if px is None else px * ratio)
            self.follow()
        dialog.deleteLater()


class ScreenSizeDialog(QDialog):
    """Fit a card or a ruler to the screen. `px_per_mm` is None while the screen's own word is good enough."""

    def __init__(self, px_per_mm: float | None, *, by_itself: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Size of this screen"))
        self._by_itself = by_itself
        words = QLabel(
            self.tr(
                "Hold a bank card against the screen and pull the outline to its size.\n"
                "From then on a millimetre of ECG paper is a millimetre on this screen."
            ),
            self,
        )
        words.setWordWrap(True)
        self._object = QComboBox(self)
        self._object.setAccessibleName(self.tr("What you hold against the screen"))
        self._object.addItems([self.tr("Bank card (85.6 mm wide)"), self.tr("Ruler (100 mm)")])
        self._shape = Shape(self)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(round(LEAST_PX_PER_MM * STEPS_PER_PX), round(MOST_PX_PER_MM * STEPS_PER_PX))
        self._slider.setAccessibleName(self.tr("Size of the outline"))
        self._number = QDoubleSpinBox(self)
        self._number.setRange(LEAST_PX_PER_MM, MOST_PX_PER_MM)
        self._number.setDecimals(3)
        self._number.setSingleStep(0.01)
        self._number.setSuffix(self.tr(" px/mm"))
        self._number.setAccessibleName(self.tr("Pixels per millimetre"))
        self._said = QLabel(self)
        self._said.setObjectName("fact-label")
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel, self)
        reset = buttons.addButton(self.tr("As the screen says"), QDialogButtonBox.ButtonRole.ResetRole)
        reset.clicked.connect(self._reset)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        line = QHBoxLayout()
        line.addWidget(self._object)
        line.addWidget(self._slider, 1)
        line.addWidget(self._number)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        for widget in (words, self._shape):
            column.addWidget(widget)
        column.addLayout(line)
        column.addWidget(self._said)
        column.addWidget(buttons)
        self._object.currentIndexChanged.connect(self._shape.show_ruler)
        self._slider.valueChanged.connect(self._slide)
        self._number.valueChanged.connect(self._set)
        self._shape.pulled.connect(self._set)
        self._chosen = px_per_mm is not None
        self._show(px_per_mm or by_itself)
        self._shape.setFocus()

    @property
    def px_per_mm(self) -> float | None:
        """How many pixels a millimetre has; None: as the screen says."""
        return self._shape.px_per_mm if self._chosen else None

    @property
    def shape_shown(self) -> Shape:
        """The outline that is fitted."""
        return self._shape

    def _slide(self, steps: int) -> None:
        self._set(steps / STEPS_PER_PX)

    def _set(self, px_per_mm: float) -> None:
        self._chosen = True
        self._show(px_per_mm)

    def _reset(self) -> None:
        self._chosen = False
        self._show(self._by_itself)

    def _show(self, px_per_mm: float) -> None:
        px_per_mm = min(MOST_PX_PER_MM, max(LEAST_PX_PER_MM, px_per_mm))
        self._shape.set_px_per_mm(px_per_mm)
        for field, value in ((self._slider, round(px_per_mm * STEPS_PER_PX)), (self._number, px_per_mm)):
            field.blockSignals(True)
            field.setValue(value)  # type: ignore[arg-type]  # an int for the one, a float for the other
            field.blockSignals(False)
        text = self.tr("The screen itself says {own:.2f} px/mm.").format(own=self._by_itself)
        off = px_per_mm / self._by_itself - 1
        if self._chosen and abs(off) > 0.002:
            text += " " + self.tr("It is {percent:.1f} % off.").format(percent=100 * abs(off))
        self._said.setText(text)


class Shape(QWidget):
    """The outline of a card, or a ruler, at a scale that its right edge, arrow keys and whoever sets it change."""

    pulled = Signal(float)  # px per mm

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Outline to be fitted"))
        self.setAccessibleDescription(self.tr("Arrow keys make it larger or smaller; Shift in larger steps"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(620, 360)
        self.px_per_mm = 4.0
        self._ruler = False
        self._held: float | None = None

    @property
    def width_mm(self) -> float:
        """How wide the thing is that is held against the screen."""
        return float(RULER_MM) if self._ruler else CARD_MM[0]

    @property
    def edge_px(self) -> float:
        """Where its right edge stands."""
        return LEFT_PX + self.width_mm * self.px_per_mm

    def sizeHint(self) -> QSize:
        """Ask for room for a card on a usual screen."""
        return QSize(760, 400)

    def set_px_per_mm(self, px_per_mm: float) -> None:
        """Draw at a scale."""
        self.px_per_mm = px_per_mm
        self.update()

    def show_ruler(self, ruler: int) -> None:
        """Draw a ruler in the place of the card, or the card again."""
        self._ruler = bool(ruler)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the outline, and what to grip it by."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink, accent = self.palette().text().color(), self.palette().highlight().color()
        px = self.px_per_mm
        if self._ruler:
            box = QRectF(LEFT_PX, TOP_PX, self.width_mm * px, 22 * px)
            painter.setPen(QPen(ink, 1.2))
            painter.drawRect(box)
            for mm in range(RULER_MM + 1):
                x = LEFT_PX + mm * px
                long = 9.0 if mm % 10 == 0 else 6.5 if mm % 5 == 0 else 4.0
                painter.drawLine(QPointF(x, TOP_PX), QPointF(x, TOP_PX + long * px))
                if mm % 10 == 0:
                    painter.drawText(QPointF(x + 2, TOP_PX + 13 * px), str(mm))
        else:
            box = QRectF(LEFT_PX, TOP_PX, CARD_MM[0] * px, CARD_MM[1] * px)
            fill = QColor(accent)
            fill.setAlpha(28)
            painter.setBrush(fill)
            painter.setPen(QPen(ink, 1.2))
            painter.drawRoundedRect(box, CARD_CORNER_MM * px, CARD_CORNER_MM * px)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self.tr("bank card"))
        middle = QPointF(self.edge_px, box.center().y())
        painter.setPen(QPen(accent, 3))
        painter.drawLine(QPointF(self.edge_px, box.top()), QPointF(self.edge_px, box.bottom()))
        painter.setBrush(accent)
        painter.drawEllipse(middle, 7, 7)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(accent, 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the right edge."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = event.position().x() - self.edge_px

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pull the right edge."""
        if self._held is not None:
            self._pull(event.position().x() - self._held)
        near = self._held is not None or abs(event.position().x() - self.edge_px) < 12
        self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._held = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Nudge the edge."""
        way = {Qt.Key.Key_Left: -1, Qt.Key.Key_Down: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: 1}.get(Qt.Key(event.key()))
        if way is None:
            super().keyPressEvent(event)
            return
        coarse = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        self._pull(self.edge_px + way * coarse * NUDGE_PX)

    def _pull(self, edge_px: float) -> None:
        px_per_mm = (edge_px - LEFT_PX) / self.width_mm
        self.pulled.emit(min(MOST_PX_PER_MM, max(LEAST_PX_PER_MM, px_per_mm)))
