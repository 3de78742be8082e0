"""Findings in the window: worked out behind it, answered undoably, never shown as if they were newer than they are."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import FindingEdit
from ecgstudio.core.page import PageId
from ecgstudio.gui import findings as findings_module
from ecgstudio.gui.dialogs import CommentDialog, ExportDialog, ShortcutSheet
from ecgstudio.gui.exporting import plan_export
from ecgstudio.gui.finding_lines import DiagnosisState, Readiness
from ecgstudio.gui.findings import FINDINGS
from ecgstudio.gui.jobs import JobKey
from ecgstudio.gui.states import Step
from ecgstudio.gui.tools import Layer
from ecgstudio.session import Session
from ecgstudio.stages import stage2_trace
from ecgstudio.stages.classify import explain
from ecgstudio.stages.contract import Runtime
from tests import fake_stages
from tests.gui.workstation import Bench, write_page

ALT = Qt.KeyboardModifier.AltModifier


def with_classifier(device: str) -> Runtime:
    return fake_stages.OnlyAClassifier()  # type: ignore[return-value]


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    fake_stages.install(monkeypatch)
    return Bench(qtbot, tmp_path, load_runtime=with_classifier)


@pytest.fixture
def classified(monkeypatch: pytest.MonkeyPatch) -> list[Clinical]:
    """Grow by the patient of every record that is classified."""
    patients: list[Clinical] = []
    original = findings_module.classify_record

    def counted(record: object, clinical: Clinical, *, runtime: object) -> object:
        patients.append(clinical)
        return original(record, clinical, runtime=runtime)  # type: ignore[arg-type]

    monkeypatch.setattr(findings_module, "classify_record", counted)
    return patients


def shown(bench: Bench) -> DiagnosisState:
    return bench.window.findings.state()


def probability(bench: Bench, code: str) -> float:
    [found] = [line.probability for line in shown(bench).lines if line.code == code]
    assert found is not None
    return found


def answers(bench: Bench) -> list[FindingEdit]:
    edit = bench.window.bridge.corrections.diagnosis
    return list(edit.findings) if edit is not None else []


def test_a_page_that_was_read_is_classified_behind_the_window(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    state = shown(bench)
    assert state.readiness is Readiness.READY
    assert {line.code for line in state.lines} == {"NORM", "MI", "STTC", "CD", "HYP"}
    assert all(line.low is not None and line.low <= (line.probability or 0) <= (line.high or 0) for line in state.lines)
    assert bench.window.diagnosis_panel.list.count() == 5


def test_nothing_is_drawn_on_a_page_before_a_finding_is_chosen(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    assert bench.window.page_view.shown.attribution is None


def test_the_window_hears_the_numbers_before_it_hears_how_steady_they_are(bench: Bench, scan: Path) -> None:
    seen: list[bool] = []
    bench.window.findings.changed.connect(lambda: seen.extend(line.low is not None for line in shown(bench).lines[:1]))
    bench.open(scan)
    assert seen[0] is False
    assert seen[-1] is True


def test_a_correction_makes_the_numbers_stale_and_then_new(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    before = probability(bench, "HYP")
    bench.window.bridge.set_gain(5.0)
    state = shown(bench)
    assert state.stale
    assert state.readiness is Readiness.WORKING
    assert probability(bench, "HYP") == before
    bench.settle()
    assert not shown(bench).stale


def test_other_traces_have_other_findings_and_the_flip_is_marked(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.open(scan)
    before = probability(bench, "HYP")
    as_read = fake_stages.read_traces

    def small(*arguments: object, **more: object) -> object:
        ecg = as_read(*arguments, **more)  # type: ignore[arg-type]
        return replace(ecg, traces=tuple(replace(trace, mv=0.2 * trace.mv) for trace in ecg.traces))

    monkeypatch.setattr(stage2_trace, "read_traces", small)
    bench.window.bridge.set_speed(50.0)
    bench.settle()
    assert probability(bench, "HYP") < before
    [line] = [line for line in shown(bench).lines if line.code == "HYP"]
    assert line.flipped
    assert line.before == pytest.approx(before)


def test_another_patient_has_other_findings(bench: Bench, scan: Path, classified: list[Clinical]) -> None:
    bench.open(scan)
    before = probability(bench, "MI")
    bench.window.findings.set_clinical(Clinical(age_years=90))
    assert shown(bench).stale
    bench.settle()
    assert probability(bench, "MI") > before
    assert classified == [Clinical(), Clinical(age_years=90)]
    bench.window.bridge.undo.undo()
    bench.settle()
    assert probability(bench, "MI") == pytest.approx(before)
    assert bench.window.bridge.corrections.clinical == Clinical()


def test_what_is_known_is_not_worked_out_again(bench: Bench, tmp_path: Path, classified: list[Clinical]) -> None:
    bench.open(write_page(tmp_path / "a.png", seed=1), write_page(tmp_path / "b.png", seed=2))
    first, second = (entry.id for entry in bench.window.bridge.session.entries)

    def look_at(*pages: PageId) -> None:
        for page in pages:
            bench.window.bridge.show(page)
            bench.settle()
            bench.qtbot.waitUntil(lambda: shown(bench).readiness is Readiness.READY, timeout=30_000)

    look_at(first, second, first)
    known = len(classified)
    assert known >= 2
    look_at(second, first, second)
    assert len(classified) == known


def test_an_answer_for_a_page_that_was_left_is_cancelled(bench: Bench, tmp_path: Path) -> None:
    bench.open(write_page(tmp_path / "a.png", seed=1), write_page(tmp_path / "b.png", seed=2))
    first, second = (entry.id for entry in bench.window.bridge.session.entries)
    bench.window.bridge.show(first)
    bench.settle()
    bench.window.findings.ask()
    assert bench.window.findings.is_working
    bench.window.bridge.show(second)
    assert JobKey(FINDINGS, str(first)) not in bench.window.runner.waiting
    bench.settle()
    bench.window.bridge.show(first)
    bench.settle()
    assert shown(bench).readiness is Readiness.READY


def test_half_an_answer_for_a_page_that_was_left_is_completed_later(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.open(write_page(tmp_path / "a.png", seed=1), write_page(tmp_path / "b.png", seed=2))
    first, second = (entry.id for entry in bench.window.bridge.session.entries)
    bench.window.bridge.show(first)
    bench.settle()
    left = threading.Event()
    original = findings_module.steadiness

    def slow(*arguments: object, **more: object) -> object:
        left.wait(30)
        return original(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(findings_module, "steadiness", slow)
    bench.window.findings.ask()
    bench.qtbot.waitUntil(lambda: shown(bench).readiness is Readiness.READY, timeout=30_000)
    assert all(line.low is None for line in shown(bench).lines)
    bench.window.bridge.show(second)
    left.set()
    bench.settle()
    bench.window.bridge.show(first)
    bench.settle()
    assert all(line.low is not None for line in shown(bench).lines)


def test_on_demand_nothing_is_worked_out_until_somebody_asks(
    bench: Bench, scan: Path, classified: list[Clinical]
) -> None:
    bench.window.preferences.set("compute/findings", "asked")
    bench.open(scan)
    assert shown(bench).readiness is Readiness.WAITING
    assert classified == []
    bench.window.actions_["classify"].trigger()
    bench.settle()
    assert shown(bench).readiness is Readiness.READY
    assert len(classified) == 1


def test_choosing_to_have_them_at_once_works_them_out_at_once(bench: Bench, scan: Path) -> None:
    bench.window.preferences.set("compute/findings", "asked")
    bench.open(scan)
    bench.window.preferences.set("compute/findings", "read")
    bench.settle()
    assert shown(bench).readiness is Readiness.READY


def test_stopping_leaves_the_findings_until_they_are_asked_for(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.findings.set_clinical(Clinical(age_years=90))
    assert bench.window.findings.is_working
    bench.window.actions_["cancel"].setEnabled(True)
    bench.window.actions_["cancel"].trigger()
    bench.settle()
    assert shown(bench).readiness is Readiness.WAITING
    assert shown(bench).stale
    bench.window.findings.ask()
    bench.settle()
    assert not shown(bench).stale


def test_networks_without_a_classifier_say_so_and_nothing_else_changes(
    qtbot: QtBot, tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stages.install(monkeypatch)
    bench = Bench(qtbot, tmp_path)
    bench.open(scan)
    state = shown(bench)
    assert state.readiness is Readiness.IMPOSSIBLE
    assert "no classifier" in state.sentence
    assert state.lines == ()
    assert not bench.said


def test_a_page_of_too_few_leads_says_what_is_missing(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fake_stages.read_traces

    def half(*arguments: object, **more: object) -> object:
        ecg = whole(*arguments, **more)  # type: ignore[arg-type]
        return replace(ecg, traces=ecg.traces[:2])

    monkeypatch.setattr(stage2_trace, "read_traces", half)
    bench.open(scan)
    state = shown(bench)
    assert state.readiness is Readiness.IMPOSSIBLE
    assert "at least 6 are needed" in state.sentence
    assert state.lines == ()


def test_a_page_that_was_not_read_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.open(write_page(tmp_path / "blank.png", blank=True))
    state = shown(bench)
    assert state.readiness is Readiness.UNREAD
    assert "could not be read" in state.sentence


def test_a_fault_of_the_classifier_is_a_sentence_in_its_place(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(findings_module, "classify_record", broken)
    bench.open(scan)
    assert "odd" in shown(bench).sentence
    assert bench.window.bridge.values.traces is not None


# --- what drove a finding ------------------------------------------------------------------------------------


def test_choosing_a_finding_draws_what_drove_it_on_page_and_signals(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    page, signals = bench.window.page_view, bench.window.signal_view
    before = page.grab().toImage(), signals.canvas.viewport().grab().toImage()
    bench.window.findings.choose("HYP")
    bench.settle()
    attribution = page.shown.attribution
    assert attribution is not None
    record = bench.window.bridge.session.analysis(bench.page).record
    assert record is not None
    parts = explain(record.value, Clinical(), "HYP", runtime=with_classifier("cpu"))  # type: ignore[arg-type]
    sums = {lead: float(np.nansum(np.maximum(parts[lead], 0))) for lead in parts}
    told = dict(shown(bench).leads)
    assert max(told.values()) == pytest.approx(max(sums.values()) / sum(sums.values()), rel=1e-3)
    assert told == pytest.approx({lead: sums[lead] / sum(sums.values()) for lead in told}, rel=1e-3)
    assert page.grab().toImage() != before[0]
    assert signals.canvas.viewport().grab().toImage() != before[1]


def test_what_drove_a_finding_goes_when_the_traces_it_was_on_go(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.findings.choose("HYP")
    bench.settle()
    bench.window.bridge.set_gain(5.0)
    assert bench.window.page_view.shown.attribution is None
    bench.settle()
    assert bench.window.page_view.shown.attribution is not None
    bench.window.findings.choose("")
    assert bench.window.page_view.shown.attribution is None


def test_a_key_hides_and_shows_what_drove_the_finding(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.findings.choose("HYP")
    bench.settle()
    with_band = bench.window.page_view.grab().toImage()
    bench.press(Qt.Key.Key_W)
    assert Layer.DRIVING not in bench.window.views.layers
    assert bench.window.page_view.grab().toImage() != with_band
    bench.press(Qt.Key.Key_W)
    assert bench.window.page_view.grab().toImage() == with_band


# --- answers -------------------------------------------------------------------------------------------------


def test_answers_are_undoable_logged_and_saved(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    window = bench.window
    window.findings.answer("MI", "accept")
    window.findings.comment("MI", "old scar")
    window.findings.answer("HYP", "reject")
    assert answers(bench) == [FindingEdit("HYP", "reject"), FindingEdit("MI", "accept", "old scar")]
    window.bridge.undo.undo()
    window.bridge.undo.undo()
    assert answers(bench) == [FindingEdit("MI", "accept")]
    window.bridge.undo.redo()
    assert [record.text for record in window.bridge.session.audit][-6:] == [
        "Accept the finding: Myocardial infarction",
        "Comment on the finding: Myocardial infarction",
        "Reject the finding: Hypertrophy",
        "undo: Reject the finding: Hypertrophy",
        "undo: Comment on the finding: Myocardial infarction",
        "redo: Comment on the finding: Myocardial infarction",
    ]
    window.bridge.session.save(tmp_path / "study.ecgproj")
    edit = Session.load(tmp_path / "study.ecgproj").corrections(bench.page).diagnosis
    assert edit is not None
    assert edit.findings == (FindingEdit("MI", "accept", "old scar"),)


def test_an_answer_computes_nothing_and_keeps_the_sign_off(
    bench: Bench, scan: Path, classified: list[Clinical]
) -> None:
    bench.open(scan)
    bench.window.bridge.review("accepted")
    bench.window.findings.answer("MI", "accept")
    assert not bench.window.runner.waiting
    assert len(classified) == 1
    assert bench.window.bridge.corrections.review is not None


def test_the_same_answer_again_takes_it_back_but_not_its_comment(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.findings.answer("MI", "accept")
    bench.window.findings.answer("MI", "accept")
    assert answers(bench) == []
    bench.window.findings.comment("MI", "look again")
    assert answers(bench) == [FindingEdit("MI", "open", "look again")]
    bench.window.findings.answer("MI", "reject")
    bench.window.findings.answer("MI", "reject")
    assert answers(bench) == [FindingEdit("MI", "open", "look again")]
    bench.window.findings.comment("MI", "")
    assert answers(bench) == []


def test_findings_are_answered_with_keys_alone(bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(dialog: CommentDialog) -> int:
        dialog.text = "seen before"
        return 1

    monkeypatch.setattr(CommentDialog, "exec", write)
    bench.open(scan)
    bench.window.desk.set_step(Step.GRID)
    bench.press(Qt.Key.Key_Down, ALT)
    assert bench.window.desk.step is Step.REVIEW
    code = shown(bench).lines[0].code
    assert bench.window.findings.chosen == code
    bench.window.refresh()
    bench.press(Qt.Key.Key_Return, ALT)
    bench.press(Qt.Key.Key_M, ALT)
    assert answers(bench) == [FindingEdit(code, "accept", "seen before")]
    bench.press(Qt.Key.Key_R, ALT)
    assert answers(bench) == [FindingEdit(code, "reject", "seen before")]
    bench.press(Qt.Key.Key_Up, ALT)
    assert bench.window.findings.chosen == shown(bench).lines[-1].code
    assert bench.window.bridge.corrections.review is None, "the page itself was neither accepted nor rejected"


def test_the_sheet_of_shortcuts_names_the_keys_of_findings(bench: Bench) -> None:
    sheet = ShortcutSheet(bench.window)
    said = {text: keys for keys, text in sheet._rows("Finding")}
    assert said["Accept the finding"].startswith("Alt+Return")
    assert said["Reject the finding"] == "Alt+R"
    sheet.deleteLater()


def test_accepted_findings_are_in_the_export_and_in_its_preview(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    window = bench.window
    window.findings.set_clinical(Clinical(63, "f"))
    window.findings.answer("MI", "accept")
    window.findings.answer("HYP", "reject")
    bench.settle()
    pages = (bench.page,)

    def plan(chosen: tuple[object, ...], folder: Path, formats: tuple[str, ...]) -> object:
        return plan_export(window.bridge.session, chosen, folder=folder, formats=formats)  # type: ignore[arg-type]

    dialog = ExportDialog([("page", pages)], plan=plan, folder=tmp_path / "out", parent=window)  # type: ignore[arg-type]
    assert dialog.findings == "With the accepted findings, in report and header: scan: Myocardial infarction."
    dialog.deleteLater()
    window.actions_["export"].trigger()
    bench.settle()
    header = (tmp_path / "out" / "scan.hea").read_text()
    assert "Accepted findings: MI" in header
    report = json.loads((tmp_path / "out" / "scan.json").read_text())
    assert {f["code"]: f["verdict"] for f in report["diagnosis"]["findings"]} == {"MI": "accept", "HYP": "reject"}
    assert report["clinical"] == {"age_years": 63, "sex": "f"}


def test_without_accepted_findings_the_export_says_nothing_of_them(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    bench.window.findings.answer("HYP", "reject")
    assert plan_export(bench.window.bridge.session, (bench.page,), folder=tmp_path, formats=("json",)).findings == ()


def test_another_project_forgets_what_was_found(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.files.new_project()
    bench.settle()
    assert shown(bench).lines == ()
    assert bench.window.page_view.shown.attribution is None


def test_a_page_taken_out_and_put_back_has_its_findings_again(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.findings.choose("HYP")
    bench.settle()
    bench.window.bridge.remove(bench.page)
    bench.settle()
    assert shown(bench).lines == ()
    bench.window.bridge.undo.undo()
    bench.settle()
    assert shown(bench).readiness is Readiness.READY


def test_the_window_does_not_wait_for_a_slow_classifier(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    """While a classifier sits on its thread the page is corrected, read again and drawn."""
    gate = threading.Event()
    original: Callable[..., object] = findings_module.classify_record

    def slow(*arguments: object, **more: object) -> object:
        gate.wait(30)
        return original(*arguments, **more)

    monkeypatch.setattr(findings_module, "classify_record", slow)
    try:
        bench.window.start((scan,))
        qtbot.waitUntil(lambda: bench.window.findings.is_working, timeout=30_000)
        bench.window.bridge.set_speed(50.0)
        qtbot.waitUntil(lambda: not bench.window.computer.is_busy, timeout=30_000)
        assert bench.window.bridge.values.grid is not None
        assert bench.window.bridge.values.grid.scale.mm_per_s == 50.0
        assert shown(bench).readiness is Readiness.WORKING
    finally:
        gate.set()
    bench.settle()
    assert shown(bench).readiness is Readiness.READY
