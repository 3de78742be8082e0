"""The diagnosis panel by itself: numbers in words, doubts, answers, and what stands there instead of numbers."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QImage
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import DiagnosisEdit, FindingEdit
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.gui.diagnosis_panel import DiagnosisPanel
from ecgstudio.gui.finding_lines import (
    DiagnosisState,
    FindingLine,
    Readiness,
    compared,
    lines_of,
    patient_words,
    percent,
    spoken,
    steadiness_words,
)
from ecgstudio.stages.classify import Steadiness

SAID = Diagnosis((Finding("NORM", 0.2, "net"), Finding("MI", 0.62, "net"), Finding("HYP", 0.1, "net")))
THRESHOLDS = {"NORM": 0.5, "MI": 0.45, "HYP": 0.3}
STEADY = {"MI": Steadiness(0.4, 0.7, {"scale": (0.4, 0.65), "trace": (0.6, 0.7)})}
LINES = lines_of(SAID, THRESHOLDS, STEADY, before={"MI": 0.3}, edit=None)
READY = DiagnosisState(Readiness.READY, "", LINES)


@pytest.fixture
def panel(qtbot: QtBot) -> DiagnosisPanel:
    actions = [QAction(name) for name in ("accept", "reject", "comment", "classify", "patient")]
    accept, reject, comment, classify, patient = actions
    widget = DiagnosisPanel(accept=accept, reject=reject, comment=comment, classify=classify, patient=patient)
    for action in actions:
        action.setParent(widget)
    qtbot.addWidget(widget)
    widget.resize(320, 700)
    widget.show()
    return widget


def texts(panel: DiagnosisPanel) -> str:
    return " ".join(label.text() for label in panel.findChildren(QLabel) if label.isVisible())


def test_findings_stand_in_the_order_of_their_probability() -> None:
    assert [line.code for line in LINES] == ["MI", "NORM", "HYP"]


def test_a_finding_says_number_threshold_and_what_moves_it_most() -> None:
    said = spoken(LINES[0], stale=False).replace("\N{NO-BREAK SPACE}", " ")
    assert said == (
        "Myocardial infarction: 62 %, above its threshold of 45 %. Before the last change it was 30 %. "
        "40 % to 70 % when the page is read a little differently, most of all by the scale: not steady, it crosses "
        "the threshold."
    )


def test_only_what_stays_on_its_side_of_the_threshold_is_steady() -> None:
    assert LINES[0].wavers
    assert not replace(LINES[0], low=0.5).wavers
    assert not replace(LINES[0], probability=0.3, low=0.2, high=0.4).wavers
    assert "not steady" not in steadiness_words(replace(LINES[0], low=0.5))


def test_a_number_that_did_not_cross_its_threshold_is_not_called_flipped() -> None:
    assert LINES[0].flipped
    assert not replace(LINES[0], before=0.5).flipped
    assert "Before" not in compared(replace(LINES[0], before=0.5))


@pytest.mark.parametrize(
    ("probability", "said"), [(None, "–"), (0.0, "< 1 %"), (0.004, "< 1 %"), (0.016, "2 %"), (1.0, "> 99 %")]
)
def test_no_probability_is_certain(probability: float | None, said: str) -> None:
    assert percent(probability).replace("\N{NO-BREAK SPACE}", " ") == said


def test_what_was_answered_is_shown_without_a_classifier() -> None:
    lines = lines_of(Diagnosis(), {}, None, before={}, edit=DiagnosisEdit((FindingEdit("MI", "accept", "old"),)))
    assert [(line.code, line.probability, line.verdict, line.comment) for line in lines] == [
        ("MI", None, "accept", "old")
    ]
    assert spoken(lines[0], stale=False) == "Myocardial infarction: Not worked out. accepted old"


def test_a_class_without_a_name_keeps_its_code() -> None:
    assert spoken(FindingLine("AFIB", 0.5, 0.4), stale=False).startswith("AFIB: 50")


def test_the_statement_stands_where_the_numbers_stand(panel: DiagnosisPanel) -> None:
    panel.set_state(READY)
    assert "Research decision support, not a diagnosis." in texts(panel)


def test_choosing_a_finding_and_choosing_it_again_lets_it_go(panel: DiagnosisPanel, qtbot: QtBot) -> None:
    panel.set_state(READY)
    place = panel.list.visualItemRect(panel.list.item(1)).center()
    with qtbot.waitSignal(panel.findingChosen) as chosen:
        qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert chosen.args == ["NORM"]
    panel.set_state(replace(READY, chosen="NORM"))
    assert "Normal" in panel.detail()
    with qtbot.waitSignal(panel.findingChosen) as chosen:
        qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert chosen.args == [""]


def test_findings_are_chosen_and_let_go_with_keys_alone(panel: DiagnosisPanel, qtbot: QtBot) -> None:
    panel.set_state(READY)
    panel.list.setFocus()
    for key, code in ((Qt.Key.Key_Down, "NORM"), (Qt.Key.Key_Down, "HYP"), (Qt.Key.Key_Escape, "")):
        with qtbot.waitSignal(panel.findingChosen) as chosen:
            qtbot.keyClick(panel.list, key)
        assert chosen.args == [code]


def test_showing_a_state_is_no_choice_of_the_user(panel: DiagnosisPanel, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(panel.findingChosen):
        panel.set_state(replace(READY, chosen="MI"))
        panel.set_state(READY)


def test_a_verdict_is_asked_for_about_the_chosen_finding(panel: DiagnosisPanel, qtbot: QtBot) -> None:
    panel.set_state(replace(READY, chosen="MI"))
    for verdict in ("accept", "reject"):
        with qtbot.waitSignal(panel.answered) as answer:
            qtbot.mouseClick(panel.verdict_button(verdict), Qt.MouseButton.LeftButton)
        assert answer.args == ["MI", verdict]


def test_the_verdict_that_was_given_is_pressed_and_the_comment_shown(panel: DiagnosisPanel) -> None:
    edit = DiagnosisEdit((FindingEdit("MI", "reject", "an old scar"),))
    panel.set_state(replace(READY, lines=lines_of(SAID, THRESHOLDS, None, before={}, edit=edit), chosen="MI"))
    assert [panel.verdict_button(name).isChecked() for name in ("accept", "reject")] == [False, True]
    assert "“an old scar”" in texts(panel)


def test_stale_numbers_say_so_and_are_pale(panel: DiagnosisPanel) -> None:
    panel.set_state(READY)
    fresh = panel.list.grab().toImage()
    panel.set_state(replace(READY, readiness=Readiness.WORKING, sentence="The page is being read again.", stale=True))
    assert panel.sentence() == "These numbers are from before the last change. The page is being read again."
    assert panel.list.grab().toImage() != fresh
    assert "from before the last change" in panel.list.item(0).data(Qt.ItemDataRole.AccessibleTextRole)


def test_instead_of_numbers_there_is_a_sentence(panel: DiagnosisPanel) -> None:
    panel.set_state(DiagnosisState(Readiness.IMPOSSIBLE, "The installed networks hold no classifier."))
    assert panel.sentence() == "The installed networks hold no classifier."
    assert panel.list.isHidden()
    assert panel.detail() == ""


def test_threshold_span_and_answer_are_drawn_not_only_coloured(panel: DiagnosisPanel) -> None:
    """Each changes the picture by itself: nothing that is said is said by colour alone."""
    plain = FindingLine("MI", 0.6)
    others = replace(plain, threshold=0.3), replace(plain, low=0.5, high=0.7), replace(plain, verdict="accept")
    pictures = []
    for line in (plain, *others):
        panel.set_state(DiagnosisState(Readiness.READY, "", (line,)))
        pictures.append(panel.list.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8))
    assert all(a != b for i, a in enumerate(pictures) for b in pictures[:i])


def test_a_patient_is_told_in_words() -> None:
    said = patient_words(Clinical(63, "f", 168, 72.5, 140, None, False))
    assert said == "63 years, female, 168 cm, 72.5 kg, 140/– mmHg, no diabetes"
    assert patient_words(Clinical()) == ""
