"""The window as its users meet it: pages come in, are seen to and signed off, and bad luck ends in a sentence."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QDoubleSpinBox, QLineEdit
from pytestqt.qtbot import QtBot

from ecgstudio.core.grid import PaperScale
from ecgstudio.errors import UserError
from ecgstudio.gui.actions import ACTIONS
from ecgstudio.gui.states import Step
from ecgstudio.session import Session
from ecgstudio.stages import stage1_grid
from tests import fake_stages
from tests.gui.workstation import Bench, write_page

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def test_without_pages_there_is_only_the_welcome(bench: Bench) -> None:
    bench.open()
    assert bench.window.welcome.isVisible()
    assert not bench.window.page_list.isVisible()
    assert not bench.window.actions_["accept"].isEnabled()


def test_an_opened_page_is_read_at_once(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    states = [bench.window.stage_bar.state_of(step) for step in Step]
    assert states == ["automatic"] * 4 + ["ready"]
    assert bench.window.bridge.values.traces is not None
    assert len(bench.window.bridge.values.traces.traces) == 12


def test_enter_accepts_with_the_name_of_the_user_and_brings_the_next_page(bench: Bench, tmp_path: Path) -> None:
    bench.window.preferences.set("user/name", "Dr. Who")
    bench.open(write_page(tmp_path / "a.png", seed=1), write_page(tmp_path / "b.png", seed=2))
    first = bench.page
    bench.press(Qt.Key.Key_Return)
    review = bench.window.bridge.session.corrections(first).review
    assert review is not None
    assert (review.verdict, review.by) == ("accepted", "Dr. Who")
    assert bench.page != first


def test_r_rejects(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.press(Qt.Key.Key_R)
    review = bench.window.bridge.corrections.review
    assert review is not None
    assert review.verdict == "rejected"


def test_an_edit_takes_the_sign_off_back(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.press(Qt.Key.Key_Return)
    bench.window.bridge.set_speed(50.0)
    assert bench.window.bridge.corrections.review is None


def test_tab_goes_to_the_next_lead_and_from_the_last_to_the_first(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.views.select_lead("V5")
    chosen = []
    for _ in range(3):
        bench.press(Qt.Key.Key_Tab)
        chosen.append(bench.window.page_view.shown.lead)
    assert chosen == ["V6", "I", "II"]


def test_every_edit_can_be_undone_and_done_again(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.inspector.speedChosen.emit(50.0)
    bench.settle()
    assert bench.window.stage_bar.state_of(Step.GRID) == "corrected"
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert bench.window.bridge.corrections.grid is None
    assert bench.window.stage_bar.state_of(Step.GRID) == "automatic"
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert bench.window.bridge.corrections.grid is not None
    assert [record.text for record in bench.window.bridge.session.audit][-2:] == [
        "undo: Set paper speed",
        "redo: Set paper speed",
    ]


def test_a_removed_page_comes_back_with_its_corrections_to_its_place(bench: Bench, tmp_path: Path) -> None:
    bench.open(*(write_page(tmp_path / f"{name}.png", seed=seed) for seed, name in enumerate("abc")))
    bridge = bench.window.bridge
    middle = bridge.session.entries[1].id
    bridge.show(middle)
    bridge.comment("kept")
    bench.window.actions_["remove-page"].trigger()
    bench.settle()
    assert bench.names == ["a", "c"]
    assert bench.window.actions_["undo"].text() == "Undo Remove b"
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert bench.names == ["a", "b", "c"]
    assert (bench.page, bridge.corrections.comment) == (middle, "kept")
    assert bridge.values.traces is not None
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert bench.names == ["a", "c"]
    assert [record.text for record in bridge.session.audit][-3:] == ["Remove b", "undo: Remove b", "redo: Remove b"]


def test_the_last_page_that_is_removed_comes_back_too(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.actions_["remove-page"].trigger()
    assert bench.window.bridge.current is None
    bench.window.actions_["undo"].trigger()
    bench.settle()
    assert bench.window.bridge.page is not None


def test_the_layout_of_all_pages_can_be_undone_on_any_page(bench: Bench, tmp_path: Path) -> None:
    bench.open(*(write_page(tmp_path / f"{name}.png", seed=seed) for seed, name in enumerate("ab")))
    bridge = bench.window.bridge
    first, second = (entry.id for entry in bridge.session.entries)
    bridge.show(first)
    bench.window.inspector.layoutChosen.emit("6x2")
    bridge.show(second)
    bench.settle()
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert bridge.session.settings.traces.layout == "auto"
    assert bench.window.inspector._layout_box.currentData() == "auto"
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert bench.window.inspector._layout_box.currentData() == "6x2"
    assert bridge.session.audit[-1].text == "redo: Layout of all pages: 6x2"


def test_reverting_brings_the_automatic_answer_back(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.bridge.set_gain(20.0)
    bench.window.desk.set_step(Step.GRID)
    bench.settle()
    bench.window.actions_["revert"].trigger()
    bench.settle()
    assert bench.window.bridge.values.grid is not None
    assert bench.window.bridge.values.grid.scale.mm_per_mV == 10.0


def test_a_page_without_an_ecg_says_which_stage_failed_and_why(bench: Bench, tmp_path: Path) -> None:
    bench.open(write_page(tmp_path / "blank.png", blank=True))
    assert bench.window.stage_bar.state_of(Step.NORMALIZE) == "failed"
    assert "no ECG on this page" in bench.window.banner.text
    assert not bench.window.actions_["accept"].isEnabled()


def test_a_file_that_is_no_page_is_named_in_a_message(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    bench.open(bad, scan)
    assert "bad.png" in bench.said[-1]
    assert len(bench.window.bridge.session.entries) == 1


def test_a_scan_that_vanished_is_found_again(bench: Bench, scan: Path, tmp_path: Path) -> None:
    project = tmp_path / f"p{'.ecgproj'}"
    bench.open(scan)
    bench.script.save_to = project
    assert bench.window.files.save()
    moved = tmp_path / "elsewhere" / "moved.png"
    moved.parent.mkdir()
    scan.rename(moved)
    bench.window.files.open_project(project)
    bench.settle()
    assert "missing" in bench.said[0]
    assert bench.window.page_model._state_of(bench.page) == "failed"
    bench.script.files = [moved]
    bench.window.actions_["relink"].trigger()
    bench.settle()
    assert bench.window.bridge.page is not None
    assert bench.window.stage_bar.state_of(Step.EXPORT) == "ready"


def test_without_weights_pages_can_still_be_looked_at(qtbot: QtBot, scan: Path, tmp_path: Path) -> None:
    def no_weights(device: str) -> fake_stages.NoNetworks:
        raise UserError("The weights are missing; install ECG Studio again.")

    bench = Bench(qtbot, tmp_path, load_runtime=no_weights)  # type: ignore[arg-type]
    bench.open(scan)
    assert "weights are missing" in bench.said[-1]
    assert bench.window.bridge.page is not None
    assert bench.window.stage_bar.state_of(Step.GRID) == "waiting"
    bench.window.actions_["export"].trigger()
    assert "Without automatic reading nothing can be exported" in bench.said[0]


@pytest.mark.logs("the networks say that they go on with the processor")
def test_running_out_of_gpu_memory_is_said(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    logging.getLogger("ecgstudio.nets.torch_runtime").warning("cuda is out of memory: it runs on the CPU")
    bench.settle()
    assert bench.said[0] == "Cuda is out of memory: it runs on the CPU."


def test_a_folder_that_cannot_be_written_to_loses_nothing(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    bench.window.bridge.set_speed(50.0)
    bench.script.save_to = scan / "project.ecgproj"  # its folder is a file
    assert not bench.window.files.save()
    assert "cannot be written" in bench.said[0]
    assert bench.window.bridge.session.dirty
    assert bench.window.bridge.corrections.grid is not None
    bench.settle()


def test_a_project_comes_back_as_it_was_saved(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    bench.window.bridge.set_speed(50.0)
    bench.press(Qt.Key.Key_Return)
    bench.settle()
    bench.script.save_to = tmp_path / "p"
    bench.press(Qt.Key.Key_S, CONTROL)
    bench.window.files.new_project()
    bench.window.files.open_project(tmp_path / "p.ecgproj")
    bench.settle()
    assert bench.window.bridge.values.grid is not None
    assert bench.window.bridge.values.grid.scale.mm_per_s == 50.0
    assert bench.window.stage_bar.state_of(Step.REVIEW) == "accepted"
    assert not bench.window.bridge.session.dirty


def test_a_project_of_a_newer_version_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    newer = tmp_path / "newer.ecgproj"
    newer.write_text(json.dumps({"format": "ecgstudio-project", "version": 99}))
    bench.open(newer)
    assert "newer version" in bench.said[0]


def test_of_a_damaged_project_the_last_good_copy_is_offered(bench: Bench, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    bench.script.save_to = tmp_path / "p.ecgproj"
    assert bench.window.files.save()
    (tmp_path / "p.ecgproj").write_text('{"format": "ecgstudio-project", "vers')
    bench.window.files.open_project(tmp_path / "p.ecgproj")
    bench.settle()
    assert "damaged" in bench.script.asked[-1]
    assert bench.names == ["scan"]


def test_work_that_was_never_saved_is_offered_after_a_crash(bench: Bench, scan: Path) -> None:
    crashed = Session.new()
    from ecgstudio.io.scans import page_entries

    crashed.add_pages(page_entries(scan))
    crashed.autosave()
    bench.open()
    assert "without saving" in bench.script.asked[0]
    assert bench.names == ["scan"]


def test_a_safety_copy_is_written_while_one_works(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.bridge.set_speed(50.0)
    bench.window.files.autosave()
    bench.settle()
    from ecgstudio.io.autosave import read_autosave
    from ecgstudio.paths import state_folder

    (copy,) = (state_folder() / "autosave").iterdir()
    assert read_autosave(copy).state.pages[0].corrections.grid is not None


def test_a_scale_in_doubt_blocks_accepting_and_exporting_until_it_is_answered(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_in_doubt(*arguments: object, **more: object) -> object:
        grid = fake_stages.fit_grid(*arguments, **more)  # type: ignore[arg-type]
        return replace(grid, scale=PaperScale(25.0, 10.0, "assumed", pulse_height_mm=20.0))

    monkeypatch.setattr(stage1_grid, "fit_grid", fit_in_doubt)
    bench.open(scan)
    assert bench.window.stage_bar.state_of(Step.EXPORT) == "blocked"
    bench.press(Qt.Key.Key_Return)
    assert bench.window.bridge.corrections.review is None
    bench.window.actions_["export"].trigger()
    assert "20.0 mm high" in bench.exports.plans[0].blocked[0][1]
    assert not bench.exports.folder.exists()
    bench.window.banner.actionWanted.emit("confirm-scale")
    bench.settle()
    bench.press(Qt.Key.Key_Return)
    bench.window.actions_["export"].trigger()
    bench.settle()
    assert (bench.exports.folder / "scan.hea").is_file()


def test_a_correction_over_another_answer_is_looked_at_and_kept(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_better(*arguments: object, **more: object) -> object:
        return replace(fake_stages.fit_grid(*arguments, **more), confidence=0.99)  # type: ignore[arg-type]

    bench.open(scan)
    bench.window.inspector.speedChosen.emit(50.0)
    bench.settle()
    assert not bench.window.actions_["confirm-corrections"].isEnabled()
    monkeypatch.setattr(stage1_grid, "fit_grid", fit_better)
    bench.window.bridge.compute_again()
    bench.settle()
    assert bench.window.stage_bar.state_of(Step.GRID) == "needs review"
    assert bench.window.actions_["confirm-corrections"].isEnabled()
    bench.window.banner.actionWanted.emit("confirm-corrections")
    bench.settle()
    assert bench.window.stage_bar.state_of(Step.GRID) == "corrected"
    assert not bench.window.actions_["confirm-corrections"].isEnabled()
    assert bench.window.bridge.session.audit[-1].text == "confirm grid"


def test_an_export_replaces_nothing_silently(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.exports.folder.mkdir()
    (bench.exports.folder / "scan.csv").write_text("mine")
    bench.window.actions_["export"].trigger()
    bench.settle()
    assert [path.name for path in bench.exports.plans[0].existing] == ["scan.csv"]
    assert (bench.exports.folder / "scan.csv").read_text() == "mine"
    assert "exists already" in bench.said[0]


def test_keys_turn_to_the_stages(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    for key, step in zip((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4, Qt.Key.Key_5), Step, strict=True):
        bench.press(key)
        assert bench.window.desk.step is step


def test_page_keys_walk_along_the_list(bench: Bench, tmp_path: Path) -> None:
    bench.open(*(write_page(tmp_path / f"{number}.png", seed=number) for number in range(1, 4)))
    order = bench.window.page_model.pages
    bench.window.bridge.show(order[0])
    bench.settle()
    bench.press(Qt.Key.Key_PageDown)
    bench.settle()
    assert bench.page == order[1]
    bench.press(Qt.Key.Key_PageUp)
    assert bench.page == order[0]
    bench.settle()


def test_enter_in_a_field_is_for_the_field(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.desk.set_step(Step.NORMALIZE)
    field = bench.window.inspector.findChild(QAbstractSpinBox)
    assert isinstance(field, QDoubleSpinBox)
    field.setFocus()
    field.selectAll()
    bench.qtbot.keyClicks(field, "1.5")
    bench.qtbot.keyClick(field, Qt.Key.Key_Return)
    bench.settle()
    assert bench.window.bridge.corrections.review is None
    assert bench.window.bridge.corrections.keypoints is not None


def test_the_original_is_shown_while_its_key_is_held(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    view = bench.window.page_view
    layers = view.shown.layers
    view.setFocus()
    bench.qtbot.keyPress(view, Qt.Key.Key_O)
    assert view.shown.layers == frozenset()
    bench.qtbot.keyRelease(view, Qt.Key.Key_O)
    assert view.shown.layers == layers


def test_closing_during_work_is_clean(bench: Bench, tmp_path: Path) -> None:
    for number in range(8):
        write_page(tmp_path / f"{number}.png", seed=number)
    bench.window.start((tmp_path,))
    bench.qtbot.waitUntil(lambda: bool(bench.window.runner.waiting))
    bench.window.close()
    assert not bench.window.runner.waiting


def test_dark_and_light_are_chosen_in_the_preferences(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    shades = []
    for theme in ("dark", "light"):
        bench.window.preferences.set("view/theme", theme)
        shades.append(bench.window.palette().window().color().lightness())
    assert shades[0] < 80 < 180 < shades[1]


def test_the_arrangement_is_remembered(bench: Bench, scan: Path, qtbot: QtBot, tmp_path: Path) -> None:
    bench.open(scan)
    bench.window.docks["signals"].hide()
    bench.window.close()
    again = Bench(qtbot, tmp_path)
    again.open(scan)
    assert again.window.docks["signals"].isHidden()
    assert again.window.docks["pages"].isVisible()


def test_every_control_has_a_name_for_those_who_do_not_see_it(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox)
    controls = [widget for kind in kinds for widget in bench.window.findChildren(kind)]
    nameless = [
        widget
        for widget in controls
        if not (widget.accessibleName() or getattr(widget, "text", str)() or widget.toolTip())
        and not widget.objectName().startswith("qt_")
        and not isinstance(widget.parent(), (QComboBox, QAbstractSpinBox))
    ]
    assert not nameless


def test_every_action_does_something_and_no_key_means_two_things() -> None:
    keys = [key for row in ACTIONS for key in row.keys.split()]
    assert len(keys) == len(set(keys))
    assert len({row.id for row in ACTIONS}) == len(ACTIONS)
