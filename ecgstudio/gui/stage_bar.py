"""The stage bar: five steps from the page to the export, each with its state as icon and word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from ecgstudio.gui.icons import icon
from ecgstudio.gui.states import STEP_NAMES, WAITING, Step, colour_of, word_of
from ecgstudio.gui.theme import Theme, theme_for

ICON_PX: Final = 20


class StageBar(QWidget):
    """Five buttons; the one pressed is the stage that inspector and tools are about."""

    stepChosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("stage-bar")
        self.setAccessibleName(self.tr("Stages"))
        self._theme = theme_for(False)
        self._states: dict[Step, str] = dict.fromkeys(Step, WAITING)
        self._group = QButtonGroup(self)
        self._buttons = {step: self._button(step) for step in Step}
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.setSpacing(6)
        for button in self._buttons.values():
            row.addWidget(button, 1)
        self._group.idClicked.connect(self.stepChosen)
        self.set_step(Step.NORMALIZE)
        self._repaint()

    def set_step(self, step: Step) -> None:
        """Press a step's button without telling."""
        self._buttons[step].setChecked(True)

    def set_states(self, states: Mapping[Step, str] | None) -> None:
        """Show the state of every step; None: there is no page."""
        self._states = dict.fromkeys(Step, WAITING) if states is None else dict(states)
        self.setEnabled(states is not None)
        self._repaint()

    def state_of(self, step: Step) -> str:
        """Return the state that a step shows."""
        return self._states[step]

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._repaint()

    def _button(self, step: Step) -> QToolButton:
        button = QToolButton(self)
        button.setCheckable(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIconSize(QSize(ICON_PX, ICON_PX))
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._group.addButton(button, step.value)
        return button

    def _repaint(self) -> None:
        for step, button in self._buttons.items():
            state, name = self._states[step], self.tr(STEP_NAMES[step])
            number = f"{step.value}  " if step is not Step.EXPORT else ""
            button.setText(f"{number}{name}\n{word_of(state)}")
            button.setIcon(icon(state, colour_of(state, self._theme)))
            button.setAccessibleName(f"{name}: {word_of(state)}")
            button.setToolTip(self.tr("%s: %s (key %d)") % (name, word_of(state), step.value + 1))
