"""The row of choices over the signal view: how the leads are arranged and printed, and what is measured on them.

It fits a window of 1280 pixels; what a narrower one has no room for waits behind the bar's last button.
"""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from ecgstudio.gui.calipers import CaliperTool
from ecgstudio.gui.icons import icon
from ecgstudio.gui.strip_layout import Arrangement
from ecgstudio.gui.theme import Theme

SPEEDS: Final = (12.5, 25.0, 50.0)  # mm/s
GAINS: Final = (5.0, 10.0, 20.0)  # mm/mV
USUAL: Final = 1
EXTENSION: Final = "qt_toolbar_ext_button"  # Qt's own name of the button that stands for what has no room


class ElidedLabel(QLabel):
    """A text that takes what room is left, and says the rest in its tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self.setToolTip(text)

    def sizeHint(self) -> QSize:
        """Ask for nothing: the choices come first."""
        return QSize(8, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Ask for nothing."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Write as much as there is room for, at the right end."""
        painter = QPainter(self)
        room = self.contentsRect().adjusted(4, 0, -4, 0)
        text = QFontMetrics(self.font()).elidedText(self.text(), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


class SignalBar(QToolBar):
    """Holds the choices; tells when one was made."""

    changed = Signal()  # arrangement, speed, gain, paper or checks
    trueSizeAsked = Signal()
    fitAsked = Signal()
    toolChosen = Signal(object)  # CaliperTool
    clearAsked = Signal()
    marksToggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("How the signals are shown"))
        self._menu = QMenu(self)
        self._groups: dict[str, QActionGroup] = {}
        self._add_group("arrangement", self.tr("Arrangement"), (self.tr("Like the page"), self.tr("12 leads stacked")))
        self._add_group("speed", self.tr("Paper speed"), tuple(f"{v:g} mm/s" for v in SPEEDS), chosen=USUAL)
        self._add_group("gain", self.tr("Gain"), tuple(f"{v:g} mm/mV" for v in GAINS), chosen=USUAL)
        papers = (self.tr("Paper like the window"), self.tr("Red paper"), self.tr("Dark paper"))
        self._add_group("paper", self.tr("Paper"), papers)
        self._paper = self._button("", self.tr("Arrangement, paper speed, gain and paper of this view"))
        self._paper.setAccessibleName(self.tr("Paper"))
        self._paper.setObjectName("paper-choice")
        self._paper.setMenu(self._menu)
        self._paper.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        true_size = self._button(self.tr("1:1"), self.tr("True size: a millimetre is a millimetre on this screen"))
        true_size.clicked.connect(self.trueSizeAsked)
        fit = self._button(self.tr("Fit"), self.tr("As wide as the view"))
        fit.clicked.connect(self.fitAsked)
        self._size = QLabel(self)
        self._size.setAccessibleName(self.tr("Size of the paper on the screen"))
        self._size.setMargin(4)
        self._tools = {
            CaliperTool.TIME: self._button(
                self.tr("Time"),
                self.tr("Time caliper: drag along a lead. + and − march it, arrows nudge it, Del removes it."),
                checkable=True,
            ),
            CaliperTool.AMPLITUDE: self._button(
                self.tr("Amplitude"), self.tr("Amplitude caliper: drag up or down on a lead."), checkable=True
            ),
        }
        for button in self._tools.values():
            button.clicked.connect(self._on_tool)
        self._clear = self._button(self.tr("Clear"), self.tr("Remove all calipers"))
        self._clear.setEnabled(False)
        self._clear.clicked.connect(self.clearAsked)
        self._marks = self._button(
            self.tr("Wave marks"),
            self.tr("Show where P, QRS and T were measured; drag a mark to correct it for all beats"),
            checkable=True,
        )
        self._marks.setChecked(True)
        self._marks.toggled.connect(self.marksToggled)
        self._checks = self._button(
            self.tr("Checks"), self.tr("Show II − (I + III) and aVR + aVL + aVF, which should be flat"), checkable=True
        )
        self._checks.setChecked(True)
        self._checks.toggled.connect(self.changed)
        self._printed = ElidedLabel(self)
        self._printed.setAccessibleName(self.tr("Scale of the printed page"))
        for widget in (self._paper, true_size, fit, self._size):
            self.addWidget(widget)
        self.addSeparator()
        for widget in (*self._tools.values(), self._clear):
            self.addWidget(widget)
        self.addSeparator()
        for widget in (self._marks, self._checks, self._printed):
            self.addWidget(widget)
        self._name_paper()

    # --- what is chosen ------------------------------------------------------------------------------------------

    @property
    def arrangement(self) -> Arrangement:
        """How the leads are arranged."""
        return list(Arrangement)[self._chosen("arrangement")]

    @property
    def mm_per_s(self) -> float:
        """The speed at which the view prints."""
        return SPEEDS[self._chosen("speed")]

    @property
    def mm_per_mV(self) -> float:
        """The gain at which the view prints."""
        return GAINS[self._chosen("gain")]

    @property
    def dark_paper(self) -> bool | None:
        """Whether the paper is dark; None: as the window."""
        return (None, False, True)[self._chosen("paper")]

    @property
    def checks(self) -> bool:
        """Whether the lines that should be flat are shown."""
        return self._checks.isChecked()

    @property
    def marks(self) -> bool:
        """Whether the marks of the waves are shown."""
        return self._marks.isChecked()

    def choose(
        self,
        *,
        arrangement: Arrangement | None = None,
        mm_per_s: float | None = None,
        mm_per_mV: float | None = None,
    ) -> None:
        """Choose as if by hand."""
        for name, value, values in (
            ("arrangement", arrangement, tuple(Arrangement)), ("speed", mm_per_s, SPEEDS), ("gain", mm_per_mV, GAINS),
        ):  # fmt: skip
            if value is not None:
                self._groups[name].actions()[values.index(value)].trigger()

    # --- what is said --------------------------------------------------------------------------------------------

    def show_tool(self, tool: CaliperTool) -> None:
        """Show which caliper a drag would set."""
        for each, button in self._tools.items():
            button.setChecked(each is tool)

    def show_size(self, text: str) -> None:
        """Show how large the paper is."""
        self._size.setText(text)

    def show_printed(self, text: str) -> None:
        """Show how the page was printed."""
        self._printed.setText(text)

    def enable_clear(self, *, enabled: bool) -> None:
        """Offer to remove the calipers, if there are any."""
        self._clear.setEnabled(enabled)

    def set_theme(self, theme: Theme) -> None:
        """Draw the button for what has no room so that it is seen."""
        more = self.findChild(QToolButton, EXTENSION)
        if more is not None:
            more.setIcon(icon("next", theme.text))
            more.setToolTip(self.tr("More"))
            more.setAccessibleName(self.tr("More"))

    # --- inside --------------------------------------------------------------------------------------------------

    def _add_group(self, name: str, title: str, texts: tuple[str, ...], *, chosen: int = 0) -> None:
        self._menu.addSection(title)
        group = self._groups[name] = QActionGroup(self)
        for index, text in enumerate(texts):
            action = QAction(text, group)
            action.setCheckable(True)
            action.setChecked(index == chosen)
            self._menu.addAction(action)
        group.triggered.connect(self._on_choice)

    def _chosen(self, name: str) -> int:
        group = self._groups[name]
        action = group.checkedAction()
        return group.actions().index(action) if action is not None else 0

    def _on_choice(self) -> None:
        self._name_paper()
        self.changed.emit()

    def _name_paper(self) -> None:
        self._paper.setText(f"{self.mm_per_s:g} mm/s · {self.mm_per_mV:g} mm/mV")

    def _on_tool(self) -> None:
        chosen = next((tool for tool, button in self._tools.items() if button is self.sender()), CaliperTool.NONE)
        pressed = chosen is not CaliperTool.NONE and self._tools[chosen].isChecked()
        self.toolChosen.emit(chosen if pressed else CaliperTool.NONE)

    def _button(self, text: str, hint: str, *, checkable: bool = False) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(hint)
        button.setAccessibleName(text)
        button.setAccessibleDescription(hint)
        button.setCheckable(checkable)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return button
