"""What goes wrong around the window: files that moved or broke, exports, odd faults: each a sentence."""

import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from ecgstudio import cli, load_runtime
from ecgstudio.core.corrections import Corrections
from ecgstudio.core.grid import GridFit
from ecgstudio.gui import desk, views
from ecgstudio.gui.app import hear_faults
from ecgstudio.gui.dialogs import ExportDialog
from ecgstudio.gui.exporting import Exported, export_pages, plan_export
from ecgstudio.gui.jobs import JobStatus
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.paths import weights_folder
from ecgstudio.session import Session
from ecgstudio.stages import stage1_grid
from tests import fake_stages
from tests.gui.workstation import Bench, save_project, write_page

PATIENCE_S = 20.0

# --- files that come and go ----------------------------------------------------------------------------------


def test_pages_come_into_the_project_that_they_were_opened_in(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = save_project(tmp_path / "p.ecgproj", write_page(tmp_path / "own.png", seed=7))
    bench.open()
    bench.window.files.open_paths([scan])
    bench.window.files.open_project(path)
    bench.settle()
    assert bench.names == ["own"]


def test_another_file_is_not_taken_for_a_missing_scan(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = save_project(tmp_path / "p.ecgproj", scan)
    wrong = write_page(tmp_path / "wrong.png", seed=5)
    scan.rename(tmp_path / "hidden.dat")
    bench.open(path)
    before = bench.window.bridge.session.entries, len(bench.window.bridge.session.audit)
    bench.script.files = [wrong]
    bench.window.actions_["relink"].trigger()
    bench.settle()
    assert "wrong.png is not the scan of scan" in bench.said[0]
    assert (bench.window.bridge.session.entries, len(bench.window.bridge.session.audit)) == before


def test_a_missing_scan_that_is_opened_again_is_found(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = save_project(tmp_path / "p.ecgproj", scan)
    moved = tmp_path / "elsewhere.png"
    scan.rename(moved)
    bench.open(path)
    bench.window.files.open_paths([moved])
    bench.settle()
    assert bench.names == ["scan"]
    assert bench.window.bridge.session.entries[0].source == moved
    assert bench.window.bridge.page is not None


def test_recent_files_that_cannot_be_asked_after_are_left_out(qtbot: QtBot, tmp_path: Path, scan: Path) -> None:
    from ecgstudio.gui.preferences import Preferences

    preferences = Preferences()
    for path in (scan, Path("/" + "x" * 300), Path("a\0b")):
        preferences.add_recent(path)
    Bench(qtbot, tmp_path).open()
    preferences.deleteLater()


def test_a_page_that_was_removed_and_opened_again_begins_anew(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    bench.window.bridge.comment("once")
    bench.window.actions_["remove-page"].trigger()
    bench.window.files.open_paths([scan])
    bench.settle()
    assert bench.window.bridge.corrections == Corrections()
    bench.window.actions_["undo"].trigger()
    bench.settle()
    assert bench.window.bridge.corrections.comment == "once"
    assert bench.names == ["scan"]


# --- exporting -----------------------------------------------------------------------------------------------


def test_what_the_user_waits_for_goes_before_the_rest_of_an_export(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = [write_page(tmp_path / f"{number}.png", seed=number) for number in range(1, 4)]
    bench.open(*scans)
    begun, go, write, order = threading.Event(), threading.Event(), desk.export_pages, list[str]()

    def slowly(*arguments: object) -> Exported:
        begun.set()
        go.wait(PATIENCE_S)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(desk, "export_pages", slowly)
    bench.window.runner.ended.connect(lambda key: order.append(key.purpose))
    session, folder = bench.window.bridge.session, tmp_path / "out"
    pages = [entry.id for entry in session.entries]
    bench.window.desk.run_export(desk.export_request(session, pages, folder=folder, formats=("csv",), overwrite=False))
    assert begun.wait(PATIENCE_S)
    bench.window.bridge.set_speed(50.0)
    bench.window.actions_["export"].trigger()
    assert "wait for it or stop it" in bench.said[0]
    bench.script.says_yes = False
    assert not bench.window.close()
    assert "Pages that are finished are kept" in bench.script.asked[-1]
    go.set()
    bench.settle()
    assert order.index("analysis") < len(order) - 1 - order[::-1].index("export")
    assert sorted(path.name for path in folder.iterdir()) == ["1.csv", "2.csv", "3.csv"]
    assert "3 files were written" in bench.said[0]
    bench.script.says_yes = True


def test_an_export_has_the_bytes_of_a_replay_whatever_was_computed(
    bench: Bench, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction was made over an answer that other networks would not give; the cache knows neither."""
    bench.open(scan)
    bench.window.bridge.set_speed(50.0)
    bench.settle()
    bench.script.save_to = path = tmp_path / "p.ecgproj"
    assert bench.window.files.save()

    def other(*arguments: object, **others: object) -> GridFit:
        return replace(fake_stages.fit_grid(*arguments, **others), confidence=0.99)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", other)
    assert cli.main(["replay", str(path)]) == 0
    session = Session.load(path)
    pages = [entry.id for entry in session.entries]
    request = desk.export_request(
        session, pages, folder=tmp_path / "out", formats=("wfdb", "csv", "json"), overwrite=False
    )
    cache = OutcomeCache(tmp_path / "empty")
    assert not export_pages(request, fake_stages.NoNetworks(), cache, JobStatus(0, lambda _: None)).problems  # type: ignore[arg-type]
    assert '"grid": "needs review"' in (tmp_path / "out" / "scan.json").read_text()
    for name in ("scan.hea", "scan.dat", "scan.csv", "scan.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "p-replay" / name).read_bytes()


def test_a_page_whose_scan_is_gone_does_not_stop_an_export(bench: Bench, tmp_path: Path) -> None:
    scans = [write_page(tmp_path / f"{number}.png", seed=number) for number in range(1, 4)]
    bench.open(*scans)
    scans[1].unlink()
    session, folder = bench.window.bridge.session, tmp_path / "out"
    pages = [entry.id for entry in session.entries]
    bench.window.desk.run_export(desk.export_request(session, pages, folder=folder, formats=("csv",), overwrite=False))
    bench.settle()
    assert sorted(path.name for path in folder.iterdir()) == ["1.csv", "3.csv"]
    assert "2: The scan of 2 is missing" in bench.said[1]


@pytest.mark.parametrize(("folder", "allowed"), [("", False), ("~nobody-of-that-name/x", True), ("x" * 5000, True)])
def test_any_folder_can_be_typed(qtbot: QtBot, tmp_path: Path, scan: Path, folder: str, *, allowed: bool) -> None:
    session = Session.load(save_project(tmp_path / "p.ecgproj", scan))
    pages = tuple(entry.id for entry in session.entries)
    dialog = ExportDialog(
        [("All", pages)],
        plan=lambda chosen, where, formats: plan_export(session, chosen, folder=where, formats=formats),
        folder=tmp_path,
    )
    qtbot.addWidget(dialog)
    field = dialog.findChild(QLineEdit)
    assert isinstance(field, QLineEdit)
    field.setText(folder)
    assert dialog.can_export is allowed
    assert dialog.folder


# --- the rest ------------------------------------------------------------------------------------------------


def test_damaged_networks_are_said_once_for_all_pages(qtbot: QtBot, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(weights_folder(), weights)
    damaged = next(weights.glob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    bench = Bench(qtbot, tmp_path, load_runtime=lambda device: load_runtime("cpu", weights))
    bench.open(*(write_page(tmp_path / f"{seed}.png", seed=seed) for seed in range(3)))
    for entry in bench.window.bridge.session.entries:
        bench.window.bridge.show(entry.id)
        bench.settle()
    assert [text for text in bench.said if "damaged" in text] == bench.said
    assert len(bench.said) == 1


def test_a_fault_that_nobody_caught_is_said(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.open()
    before, sys.excepthook = sys.excepthook, sys.__excepthook__
    try:
        with hear_faults(bench.window.warned.emit):
            sys.excepthook(ZeroDivisionError, ZeroDivisionError("division by zero"), None)
    finally:
        sys.excepthook = before
    assert bench.said[0] == "Something unexpected went wrong (division by zero); your work is kept."
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_was_computed_long_ago_is_cleared_away(bench: Bench, monkeypatch: pytest.MonkeyPatch, scan: Path) -> None:
    pruned: list[object] = []
    monkeypatch.setattr(OutcomeCache, "prune", lambda cache: pruned.append(cache))
    bench.open(scan)
    assert len(pruned) == 1


def test_intervals_that_cannot_be_worked_out_are_a_sentence(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(views, "print_back", broken)
    said: list[str] = []
    bench.window.views.said.connect(said.append)
    bench.open(scan)
    assert any("could not be worked out" in sentence for sentence in said)
    assert bench.window.bridge.values.traces is not None
