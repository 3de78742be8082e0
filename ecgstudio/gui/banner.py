"""The banner over the page: what is wrong in one sentence, and the button that mends it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from ecgstudio.gui.facts import Advice
from ecgstudio.gui.icons import icon, pixmap
from ecgstudio.gui.states import colour_of
from ecgstudio.gui.theme import Theme, theme_for


class Banner(QFrame):
    """Shows one piece of advice at a time; hidden while there is none."""

    actionWanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.setAccessibleName(self.tr("What is wrong"))
        self._theme = theme_for(False)
        self._advice: tuple[Advice, ...] = ()
        self._at = 0
        self._icon, self._text = QLabel(self), QLabel(self)
        self._text.setWordWrap(True)
        self._mend = QPushButton(self)
        self._mend.setAccessibleName(self.tr("Fix it"))
        self._mend.clicked.connect(self._act)
        self._next = QToolButton(self)
        self._next.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._next.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow after the words
        self._next.setAccessibleName(self.tr("Next remark"))
        self._next.clicked.connect(self._turn)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 8, 6)
        row.addWidget(self._icon)
        row.addWidget(self._text, 1)
        row.addWidget(self._mend)
        row.addWidget(self._next)
        self.hide()

    @property
    def text(self) -> str:
        """What is shown now; empty if nothing is."""
        return self._advice[self._at].sentence if self._advice else ""

    def set_advice(self, advice: tuple[Advice, ...]) -> None:
        """Show this advice, the worst first."""
        if advice != self._advice:
            self._advice, self._at = advice, 0
            self._show()

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._show()

    def _show(self) -> None:
        self.setVisible(bool(self._advice))
        if not self._advice:
            return
        one = self._advice[self._at]
        colour = colour_of(one.state, self._theme)
        self._icon.setPixmap(pixmap(one.state, colour, size_px=20, ratio=self.devicePixelRatioF()))
        self._text.setText(one.sentence)
        self._mend.setText(one.button)
        self._mend.setAccessibleName(one.button or self.tr("Fix it"))
        self._mend.setVisible(bool(one.action))
        count = len(self._advice)
        self._next.setVisible(count > 1)
        self._next.setText(self.tr("%d of %d") % (self._at + 1, count))
        self._next.setToolTip(self.tr("Next remark"))
        self._next.setIcon(icon("next", self._theme.muted))
        if self.property("state") != one.state:
            self.setProperty("state", one.state)
            self.style().unpolish(self)
            self.style().polish(self)

    def _act(self) -> None:
        self.actionWanted.emit(self._advice[self._at].action)

    def _turn(self) -> None:
        self._at = (self._at + 1) % len(self._advice)
        self._show()
