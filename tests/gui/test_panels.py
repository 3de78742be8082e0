"""The intervals panel and the checks: numbers with units, reasons where there are none, conflicts that are answered."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.fiducials import Fiducial
from ecgstudio.core.grid import PaperScale
from ecgstudio.gui.checks_view import EINTHOVEN, SCALE, TWIN, ChecksView
from ecgstudio.gui.intervals_panel import DASH, IntervalsPanel
from ecgstudio.stages.intervals import Intervals
from ecgstudio.stages.quality import QualityReport

MEASURED = Intervals(
    np.arange(10) * 0.8,
    np.ones(10, bool),
    {Fiducial.QRS_ON: -0.05, Fiducial.QRS_OFF: 0.045, Fiducial.T_END: 0.35},
    {Fiducial.P_ON: "no P wave at a constant distance before QRS"},
)
SCALE_IN_USE = PaperScale(25.0, 10.0, "pulse", pulse_height_mm=5.0, printed_mm_per_s=25.0)
REPORT = QualityReport(
    status="review", reasons=(), confidence=0.9, leads=(), einthoven_db=20.0, goldberger_db=None, twin_lead="II",
    twin_db=3.0, twin_uv=120.0, pulse_mm=5.0, scale_agrees=False, grid_confidence=0.9, orientation_confidence=1.0,
)  # fmt: skip


@pytest.fixture
def panel(qtbot: QtBot) -> IntervalsPanel:
    widget = IntervalsPanel()
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def checks(qtbot: QtBot) -> ChecksView:
    widget = ChecksView()
    qtbot.addWidget(widget)
    return widget


def test_intervals_are_shown_with_their_units(panel: IntervalsPanel) -> None:
    panel.set_intervals(MEASURED)
    shown = {name: panel.value_text(name) for name in ("rate", "QRS", "QT", "Bazett", "Hodges")}
    assert shown == {"rate": "75 /min", "QRS": "95 ms", "QT": "400 ms", "Bazett": "447 ms", "Hodges": "426 ms"}


def test_what_was_not_measured_is_a_dash_with_its_reason(panel: IntervalsPanel) -> None:
    panel.set_intervals(MEASURED)
    assert panel.value_text("PR") == DASH
    assert panel.note_text("PR") == "no P wave at a constant distance before QRS"


def test_what_a_human_placed_says_so_and_can_be_taken_back(panel: IntervalsPanel, qtbot: QtBot) -> None:
    button = panel.findChild(QPushButton)
    assert button is not None
    panel.set_intervals(MEASURED)
    assert button.isHidden()
    panel.set_intervals(MEASURED.with_fiducial(Fiducial.T_END, 0.38))
    assert panel.note_text("QT") == "placed by hand"
    assert not button.isHidden()
    with qtbot.waitSignal(panel.revertAsked):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_an_irregular_rhythm_is_called_so(panel: IntervalsPanel) -> None:
    panel.set_intervals(replace(MEASURED, beats_s=np.cumsum([0.0, 0.6, 1.1, 0.7, 1.2, 0.5, 0.9, 1.3, 0.6, 0.8])))
    assert "irregular" in panel.note_text("rate")


def test_checks_say_in_words_what_holds_and_what_does_not(checks: ChecksView) -> None:
    checks.set_checks(REPORT, SCALE_IN_USE, None)
    assert checks.text(EINTHOVEN).startswith("✓ holds")
    assert checks.text("Goldberger").startswith("– cannot be checked")
    assert checks.text(TWIN).startswith("! lead II: differ, 120")
    assert "disagree" in checks.text(SCALE)
    assert "pulse 5.0 mm" in checks.text(SCALE)


def test_a_scale_conflict_is_answered_and_the_answer_taken_back(checks: ChecksView, qtbot: QtBot) -> None:
    checks.set_checks(REPORT, SCALE_IN_USE, None)
    button = checks.findChild(QPushButton)
    assert button is not None
    for expected in (True, False):
        with qtbot.waitSignal(checks.scaleConfirmed) as answer:
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert answer.args == [expected]
    checks.set_checks(REPORT, SCALE_IN_USE, None, answered=True)
    assert checks.text(SCALE).startswith("✓ disagree, confirmed by hand")


def test_without_a_conflict_there_is_nothing_to_answer(checks: ChecksView) -> None:
    checks.set_checks(replace(REPORT, scale_agrees=True), SCALE_IN_USE, None)
    button = checks.findChild(QPushButton)
    assert button is not None
    assert button.isHidden()


def test_both_prints_of_a_lead_are_drawn_over_each_other(checks: ChecksView) -> None:
    def trace(seconds: float) -> LeadTrace:
        count = round(seconds * 500)
        mv = np.sin(np.arange(count) / 60)
        return LeadTrace("II", 0.0, 500.0, mv, np.zeros((count, 2)), np.ones(count))

    checks.resize(500, 400)
    checks.set_checks(REPORT, SCALE_IN_USE, None)
    without = checks.grab().toImage()
    checks.set_checks(REPORT, SCALE_IN_USE, DigitizedEcg((trace(2.5), trace(10.0)), "3x4+1"))
    assert checks.grab().toImage() != without
