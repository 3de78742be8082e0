"""The intervals of a page in numbers: rate, PR, QRS, QT and QTc, or why they could not be measured."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ecgstudio.core.fiducials import Fiducial
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.intervals import QTC_FORMULAS, Intervals

IRREGULAR_FROM: Final = 0.10  # standard deviation of RR over its mean
DASH: Final = "–"
P_ON, QRS_ON, QRS_OFF, T_END = Fiducial
RATE, PR, QRS, QT = "rate", "PR", "QRS", "QT"
NEEDED: Final = {PR: (P_ON, QRS_ON), QRS: (QRS_ON, QRS_OFF), QT: (QRS_ON, T_END)}


class IntervalsPanel(QWidget):
    """Show what was measured; values that a human changed say so and can be taken back."""

    revertAsked = Signal()  # measure again, without what was placed by hand

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Intervals"))
        self._theme = theme_for(False)
        self._intervals: Intervals | None = None
        self._values: dict[str, QLabel] = {}
        self._notes: dict[str, QLabel] = {}
        names = {
            RATE: self.tr("Heart rate"), PR: self.tr("PR"), QRS: self.tr("QRS"), QT: self.tr("QT"),
            **{formula: self.tr("QTc {formula}").format(formula=formula) for formula in QTC_FORMULAS},
        }  # fmt: skip
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(2, 1)
        for number, (key, name) in enumerate(names.items()):
            value, note = QLabel(DASH), QLabel()
            value.setAccessibleName(name)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            note.setWordWrap(True)
            note.setAccessibleName(self.tr("Remark on {name}").format(name=name))
            grid.addWidget(QLabel(name), number, 0)
            grid.addWidget(value, number, 1)
            grid.addWidget(note, number, 2)
            self._values[key], self._notes[key] = value, note
        self._source = QLabel()
        self._source.setWordWrap(True)
        self._source.setAccessibleName(self.tr("How the intervals were measured"))
        self._revert = QPushButton(self.tr("Back to automatic"))
        self._revert.setAccessibleName(self.tr("Take back the wave marks that were placed by hand"))
        self._revert.clicked.connect(self.revertAsked)
        box = QVBoxLayout(self)
        box.addLayout(grid)
        box.addWidget(self._source)
        box.addWidget(self._revert, 0, Qt.AlignmentFlag.AlignLeft)
        box.addStretch(1)
        self.set_intervals(None)

    def set_intervals(self, intervals: Intervals | None) -> None:
        """Show these intervals; None: nothing was measured yet."""
        self._intervals = intervals
        for key in self._values:
            self._values[key].setText(DASH)
            self._notes[key].setText("")
        self._revert.setVisible(intervals is not None and bool(intervals.by_hand))
        if intervals is None:
            self._source.setText(self.tr("No record to measure yet."))
        else:
            self._show(intervals)
        self._paint_words()

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._paint_words()

    def value_text(self, name: str) -> str:
        """Return what is shown for "rate", "PR", "QRS", "QT" or a formula of QTc."""
        return self._values[name].text()

    def note_text(self, name: str) -> str:
        """Return the remark beside a value."""
        return self._notes[name].text()

    def _show(self, intervals: Intervals) -> None:
        if math.isfinite(intervals.rate_per_min):
            self._values[RATE].setText(self.tr("{rate:.0f} /min").format(rate=intervals.rate_per_min))
            if intervals.rr_spread > IRREGULAR_FROM:
                text = self.tr("irregular: RR varies by {percent:.0%}").format(percent=intervals.rr_spread)
                self._notes[RATE].setText(text)
        else:
            self._notes[RATE].setText(intervals.reasons.get("rate", ""))
        for name, value in ((PR, intervals.pr_ms), (QRS, intervals.qrs_ms), (QT, intervals.qt_ms)):
            self._show_ms(name, value)
            by_hand = intervals.by_hand.intersection(NEEDED[name])
            self._notes[name].setText(self.tr("placed by hand") if by_hand else intervals.why_not(*NEEDED[name]))
        for formula in QTC_FORMULAS:
            self._show_ms(formula, intervals.qtc_ms(formula))
        beats, alike = len(intervals.beats_s), int(intervals.alike.sum())
        text = self.tr("{beats} beats found; intervals from the mean of {alike} alike ones, over all leads together.")
        self._source.setText(text.format(beats=beats, alike=alike) + " " + self.tr("For research, not for diagnosis."))

    def _show_ms(self, name: str, value_ms: float) -> None:
        if math.isfinite(value_ms):
            self._values[name].setText(self.tr("{ms:.0f} ms").format(ms=value_ms))

    def _paint_words(self) -> None:
        for value in self._values.values():
            known = value.text() != DASH
            colour = self._theme.text if known else self._theme.muted
            value.setStyleSheet(f"color: {colour}; font-size: 15px; font-weight: {600 if known else 400};")
        for note in (*self._notes.values(), self._source):
            note.setStyleSheet(f"color: {self._theme.muted};")
