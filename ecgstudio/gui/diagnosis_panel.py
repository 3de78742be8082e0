"""The diagnosis panel: what the classifier says with its doubts, a clinician's answers, and what this is not."""

from __future__ import annotations

from html import escape
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QToolButton, QVBoxLayout, QWidget

from ecgstudio.gui.finding_lines import (
    DiagnosisState,
    FindingLine,
    Readiness,
    compared,
    name_of,
    patient_words,
    steadiness_words,
)
from ecgstudio.gui.finding_list import FindingList
from ecgstudio.gui.icons import icon, pixmap
from ecgstudio.gui.legend import BAND, Swatch
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.classify import STATEMENT

VERDICTS: Final = ("accept", "reject")
BUSY_PX: Final = 3


class DiagnosisPanel(QWidget):
    """Show a state; every answer is a signal."""

    findingChosen = Signal(str)  # code, or empty
    answered = Signal(str, str)  # code; "accept" or "reject": the same again takes it back

    def __init__(
        self, *, accept: QAction, reject: QAction, comment: QAction, classify: QAction, patient: QAction,
        parent: QWidget | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.setObjectName("diagnosis-panel")
        self.setAccessibleName(self.tr("Findings"))
        self._theme = theme_for(False)
        self._state: DiagnosisState | None = None
        title = QLabel(self.tr("Findings"), self)
        title.setObjectName("sheet-heading")
        self._info = QLabel(self)
        self._statement = QLabel(f"{STATEMENT[:1].upper()}{STATEMENT[1:]}.", self)
        self._statement.setWordWrap(True)
        self._statement.setAccessibleName(self.tr("What these numbers are"))
        self._busy = QProgressBar(self)
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedHeight(BUSY_PX)
        steady = self._busy.sizePolicy()
        steady.setRetainSizeWhenHidden(True)  # the list must not jump whenever something is worked out
        self._busy.setSizePolicy(steady)
        self._busy.setAccessibleName(self.tr("The findings are being worked out"))
        self._sentence = QLabel(self)
        self._sentence.setWordWrap(True)
        self._sentence.setAccessibleName(self.tr("State of the findings"))
        self._ask = self._button(classify, self.tr("Work out the findings"))
        self.list = FindingList(self)
        self.list.chosen.connect(self.findingChosen)
        self._detail = QFrame(self)
        self._words, self._comment, self._drawn = QLabel(self), QLabel(self), QLabel(self)
        for words in (self._words, self._comment, self._drawn):
            words.setWordWrap(True)
        self._swatch = Swatch(BAND, parent=self)
        self._verdicts = {name: QToolButton(self) for name in VERDICTS}
        self._texts = {"accept": self.tr("Accept"), "reject": self.tr("Reject")}
        for (name, button), action in zip(self._verdicts.items(), (accept, reject), strict=True):
            button.setText(self._texts[name])
            button.setCheckable(True)
            button.setToolTip(action.toolTip())
            button.setAccessibleName(action.text())
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.clicked.connect(self._answer_accept if name == "accept" else self._answer_reject)
        self._note = self._button(comment, self.tr("Comment"))
        self._note.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._patient = QLabel(self)
        self._patient.setWordWrap(True)
        self._patient.setAccessibleName(self.tr("What is known about the patient"))
        self._change = self._button(patient, self.tr("Patient…"))
        self._arrange(title)
        self.set_state(DiagnosisState())

    def set_state(self, state: DiagnosisState) -> None:
        """Show this."""
        if state == self._state:
            return
        self._state = state
        working = state.readiness is Readiness.WORKING
        self._busy.setVisible(working)
        text = self._sentence_of(state)
        self._sentence.setText(text)
        self._sentence.setVisible(bool(text))
        self._ask.setVisible(state.readiness is Readiness.WAITING)
        self.list.show_lines(state.lines, chosen=state.chosen, stale=state.stale)
        self.list.setVisible(bool(state.lines))
        self._show_detail(state)
        known = patient_words(state.clinical)
        self._patient.setText(known or self.tr("Nothing is known about the patient."))

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        ratio = self.devicePixelRatioF()
        self._info.setPixmap(pixmap("info", theme.info, size_px=16, ratio=ratio))
        self._statement.setStyleSheet(f"color: {theme.text};")
        for label in (self._sentence, self._comment, self._drawn, self._patient):
            label.setStyleSheet(f"color: {theme.muted};")
        for name, button in self._verdicts.items():
            button.setIcon(icon(name, theme.text))
        self._note.setIcon(icon("comment", theme.text))
        self._paint_words()
        self.list.set_theme(theme)
        self._swatch.set_theme(theme)

    def sentence(self) -> str:
        """Return what is said instead of numbers, or about them."""
        return self._sentence.text()

    def detail(self) -> str:
        """Return what is said about the chosen finding; empty if none is chosen."""
        return "" if self._detail.isHidden() else self._words.text()

    def verdict_button(self, name: str) -> QToolButton:
        """Return the button of a verdict, "accept" or "reject"."""
        return self._verdicts[name]

    def _button(self, action: QAction, text: str) -> QToolButton:
        """Make a button for an action under a shorter text than the menu's."""
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(action.toolTip())
        button.setAccessibleName(action.text())
        button.clicked.connect(action.trigger)
        button.setEnabled(action.isEnabled())
        action.enabledChanged.connect(button.setEnabled)
        return button

    def _arrange(self, title: QLabel) -> None:
        statement = QHBoxLayout()
        statement.addWidget(self._info, 0, Qt.AlignmentFlag.AlignTop)
        statement.addWidget(self._statement, 1)
        answers = QHBoxLayout()
        answers.setSpacing(6)
        for button in (*self._verdicts.values(), self._note):
            answers.addWidget(button)
        answers.addStretch(1)
        drawn = QHBoxLayout()
        drawn.addWidget(self._swatch, 0, Qt.AlignmentFlag.AlignTop)
        drawn.addWidget(self._drawn, 1)
        inside = QVBoxLayout(self._detail)
        inside.setContentsMargins(8, 2, 0, 4)
        inside.setSpacing(6)
        inside.addWidget(self._words)
        inside.addLayout(answers)
        inside.addWidget(self._comment)
        inside.addLayout(drawn)
        patient = QHBoxLayout()
        patient.addWidget(self._patient, 1)
        patient.addWidget(self._change, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(title)
        column.addLayout(statement)
        column.addWidget(self._busy)
        column.addWidget(self.list)
        column.addWidget(self._sentence)
        column.addWidget(self._ask, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._detail)
        column.addLayout(patient)
        rule = QFrame(self)
        rule.setFrameShape(QFrame.Shape.HLine)
        rule.setObjectName("rule")
        column.addWidget(rule)

    def _sentence_of(self, state: DiagnosisState) -> str:
        if state.readiness is Readiness.READY and any(line.probability is not None for line in state.lines):
            return self.tr("▾ counts as found from here on; ├─┤ as far as small errors of reading move it.")
        if not state.stale:
            return state.sentence
        old = self.tr("These numbers are from before the last change.")
        return f"{old} {state.sentence}".strip()

    def _show_detail(self, state: DiagnosisState) -> None:
        line = state.line
        self._detail.setVisible(line is not None)
        if line is None:
            return
        words = [f"<b>{escape(name_of(line.code))}:</b>", escape(compared(line)), escape(steadiness_words(line))]
        self._words.setText(" ".join(word for word in words if word))
        for name, button in self._verdicts.items():
            button.setChecked(line.verdict == name)
        self._comment.setText(self.tr("“%s”") % line.comment if line.comment else "")
        self._comment.setVisible(bool(line.comment))
        self._show_drawn(state, line)
        self._paint_words()

    def _paint_words(self) -> None:
        stale = self._state is not None and self._state.stale
        self._words.setStyleSheet(f"color: {self._theme.muted if stale else self._theme.text};")

    def _show_drawn(self, state: DiagnosisState, line: FindingLine) -> None:
        drawn = bool(state.leads) and not state.stale
        self._swatch.setVisible(drawn)
        self._drawn.setVisible(drawn)
        if drawn:
            leads = ", ".join(f"{lead} ({100 * share:.0f} %)" for lead, share in state.leads)
            text = self.tr("Drawn under the traces: the wider the band, the more it speaks for this finding. Most: %s.")
            self._drawn.setText(text % leads)

    def _answer_accept(self) -> None:
        self._answer("accept")

    def _answer_reject(self) -> None:
        self._answer("reject")

    def _answer(self, verdict: str) -> None:
        if self._state is not None and self._state.line is not None:
            self.answered.emit(self._state.line.code, verdict)
