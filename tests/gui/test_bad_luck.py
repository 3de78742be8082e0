"""What goes wrong around the window: disks, other windows, files that moved: each a sentence, and nothing is lost."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QLineEdit, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from ecgstudio import cli, load_runtime
from ecgstudio.core.corrections import Corrections
from ecgstudio.core.grid import GridFit
from ecgstudio.gui import desk, project_files, views
from ecgstudio.gui.app import hear_faults
from ecgstudio.gui.dialogs import ExportDialog, QtAsk
from ecgstudio.gui.exporting import Exported, export_pages, plan_export
from ecgstudio.gui.jobs import Job, JobKey, JobStatus, Pool
from ecgstudio.io.autosave import newer_autosave, unsaved_projects, write_autosave
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.project import ProjectState
from ecgstudio.io.scans import page_entries
from ecgstudio.paths import weights_folder
from ecgstudio.session import Session
from ecgstudio.stages import stage1_grid
from tests import fake_stages
from tests.gui.workstation import Bench, write_page

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    fake_stages.install(monkeypatch)
    return Bench(qtbot, tmp_path)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_page(tmp_path / "scan.png")


def project(path: Path, *scans: Path, comment: str = "") -> Path:
    session = Session.new(user="Ada")
    for file in scans:
        [entry] = page_entries(file)
        session.add_pages([entry])
        session.set_corrections(entry.id, Corrections(comment=comment), text="comment")
    session.save(path)
    return path


def names(bench: Bench) -> list[str]:
    return [entry.name for entry in bench.window.bridge.session.entries]


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)


# --- saving --------------------------------------------------------------------------------------------------


def test_a_project_is_not_replaced_by_a_name_without_its_ending(bench: Bench, scan: Path, tmp_path: Path) -> None:
    other = project(tmp_path / "study.ecgproj", write_page(tmp_path / "other.png", seed=9))
    before = other.read_bytes()
    bench.open(scan)
    bench.script.save_to, bench.script.says_yes = tmp_path / "study", False
    assert not bench.window.files.save()
    assert "exists already" in bench.script.asked[-1]
    assert other.read_bytes() == before
    bench.script.says_yes = True
    assert bench.window.files.save()
    assert [entry.name for entry in Session.load(other).entries] == ["scan"]


def test_a_full_disk_keeps_the_project_and_the_work(
    bench: Bench, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project(tmp_path / "p.ecgproj", scan)
    before = path.read_bytes()
    bench.open(path)
    bench.window.bridge.set_speed(50.0)
    full_disk(monkeypatch)
    assert not bench.window.files.save()
    assert "the disk is full" in bench.said[0]
    assert "Nothing is lost" in bench.said[0]
    bench.window.files.autosave()
    bench.settle()
    assert "safety copy failed" in bench.said[0]
    assert path.read_bytes() == before
    assert bench.window.bridge.session.dirty
    monkeypatch.undo()
    assert bench.window.files.save()


def blocked_copies(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let the next safety copy begin, say so, and wait until it may be written."""
    begun, go, write = threading.Event(), threading.Event(), project_files.write_autosave

    def slowly(state: ProjectState, path: Path | None) -> Path:
        begun.set()
        go.wait(PATIENCE_S)
        return write(state, path)

    monkeypatch.setattr(project_files, "write_autosave", slowly)
    return begun, go


def test_work_that_was_discarded_is_not_offered_again(
    bench: Bench, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.open(scan)
    begun, go = blocked_copies(monkeypatch)
    bench.window.files.autosave()
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.05, go.set).start()
    bench.script.keep = "discard"
    bench.window.files.new_project()
    bench.settle()
    assert unsaved_projects() == ()


def test_a_project_that_was_saved_is_not_offered_as_unsaved(
    bench: Bench, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.open(scan)
    begun, go = blocked_copies(monkeypatch)
    bench.window.files.autosave()
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.05, go.set).start()
    bench.script.save_to = tmp_path / "p.ecgproj"
    assert bench.window.files.save()
    bench.settle()
    assert unsaved_projects() == ()
    assert newer_autosave(tmp_path / "p.ecgproj") is None


def test_a_safety_copy_waits_for_no_other_file(bench: Bench, scan: Path) -> None:
    bench.open(scan)
    go = threading.Event()
    for number in range(2):
        key = JobKey("slow disk", str(number))
        bench.window.runner.submit(Job(key, lambda _: go.wait(PATIENCE_S), lambda _: None, pytest.fail, pool=Pool.DISK))
    bench.window.bridge.set_speed(50.0)
    bench.window.files.autosave()
    bench.qtbot.waitUntil(lambda: not bench.window.runner.is_running(project_files.AUTOSAVE))
    assert not go.is_set()
    go.set()
    bench.settle()
    [copy] = [copy for copy in (Path(os.environ["XDG_DATA_HOME"]) / "ecgstudio" / "autosave").iterdir()]
    assert Session.recover(copy).corrections(bench.page).grid is not None


# --- what a crash left of projects that were never saved -----------------------------------------------------


def left_behind(*scans: Path) -> list[Path]:
    """Leave a copy of a new project for each scan, the oldest first."""
    copies = []
    for age, file in enumerate(reversed(scans)):
        session = Session.new(user="Ada")
        session.add_pages(page_entries(file))
        copies.append(write_autosave(session.state(), None))
        os.utime(copies[-1], (0, 1_700_000_000 - 60 * age))
    return copies[::-1]


def test_left_work_may_be_deleted_and_older_work_is_still_offered(bench: Bench, tmp_path: Path) -> None:
    older, newer = left_behind(write_page(tmp_path / "older.png", seed=1), write_page(tmp_path / "newer.png", seed=2))
    bench.script.kept_work = ["discard", "recover"]
    assert bench.window.files.offer_recovery()
    offered_newer, sure, offered_older = bench.script.asked
    assert ("newer" in offered_newer, "newer" in sure, "older" in offered_older) == (True, True, True)
    assert (newer.exists(), older.exists()) == (False, True)
    assert names(bench) == ["older"]
    bench.settle()


@pytest.mark.parametrize("answer", ["later", "discard"])
def test_left_work_is_kept_until_somebody_says_that_it_may_go(bench: Bench, tmp_path: Path, answer: str) -> None:
    copies = left_behind(write_page(tmp_path / "older.png", seed=1), write_page(tmp_path / "newer.png", seed=2))
    bench.script.kept_work, bench.script.says_yes = [answer, "later"], False
    assert not bench.window.files.offer_recovery()
    assert all(copy.exists() for copy in copies)
    assert names(bench) == []


def test_left_work_that_cannot_be_deleted_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(write_page(tmp_path / "a.png"))

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    bench.script.kept_work = ["discard"]
    assert not bench.window.files.offer_recovery()
    monkeypatch.undo()
    assert "cannot be removed" in bench.said[0]


@pytest.mark.parametrize(("button", "answer"), [("Recover", "recover"), ("Discard...", "discard"), ("", "later")])
def test_the_question_about_left_work_has_three_answers(qtbot: QtBot, button: str, answer: str) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)

    def press() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        if button:
            next(each for each in box.buttons() if each.text().replace("&", "") == button).click()
        else:
            qtbot.keyClick(box, Qt.Key.Key_Escape)

    QTimer.singleShot(0, parent, press)
    assert QtAsk(parent).keep_work("There is work.") == answer


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


# --- another window ------------------------------------------------------------------------------------------

EDITING = """
import sys
from pathlib import Path
from ecgstudio import cli, load_runtime
from ecgstudio.core.corrections import Corrections
from ecgstudio.core.grid import GridFit
from ecgstudio.paths import weights_folder
from ecgstudio.session import Session
session = Session.load(Path(sys.argv[1]))
session.set_corrections(session.entries[0].id, Corrections(comment="the other's"), text="comment")
session.autosave()
print("changed", flush=True)
input()
session.save()
print("saved", flush=True)
input()
"""


@contextmanager
def another_window(path: Path) -> Iterator[Callable[[], None]]:
    """Let another program change the project; what is given lets it save."""
    command = [sys.executable, "-c", EDITING, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "changed\n"

        def save() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "saved\n"

        yield save
        process.kill()


def test_a_project_that_is_open_twice_loses_neither_ones_work(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", scan)
    with another_window(path) as save_there:
        bench.open(path)
        assert bench.script.asked == []  # nobody crashed: nothing is to be recovered
        assert "another window" in bench.said[0]
        bench.window.bridge.comment("mine")
        bench.window.files.autosave()
        bench.settle()
        save_there()
        assert not bench.window.files.save()
        assert "another program" in bench.said[0]
        bench.script.save_to = tmp_path / "mine.ecgproj"
        assert bench.window.files.save_as()
    comments = [Session.load(file).corrections(bench.page).comment for file in (path, tmp_path / "mine.ecgproj")]
    assert comments == ["the other's", "mine"]


def test_what_another_window_left_when_it_crashed_is_offered(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", scan)
    with another_window(path):
        pass
    bench.open(path)
    assert "not saved" in bench.script.asked[0]
    assert bench.window.bridge.corrections.comment == "the other's"


def test_a_safety_copy_can_be_opened_by_its_name(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", scan, comment="kept")
    path.write_bytes(b"")
    bench.open(tmp_path / ".p.ecgproj.autosave")
    assert bench.window.bridge.corrections.comment == "kept"
    assert bench.window.bridge.session.path == path


# --- files that come and go ----------------------------------------------------------------------------------


def test_pages_come_into_the_project_that_they_were_opened_in(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", write_page(tmp_path / "own.png", seed=7))
    bench.open()
    bench.window.files.open_paths([scan])
    bench.window.files.open_project(path)
    bench.settle()
    assert names(bench) == ["own"]


def test_another_file_is_not_taken_for_a_missing_scan(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", scan)
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
    path = project(tmp_path / "p.ecgproj", scan)
    moved = tmp_path / "elsewhere.png"
    scan.rename(moved)
    bench.open(path)
    bench.window.files.open_paths([moved])
    bench.settle()
    assert names(bench) == ["scan"]
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
    assert names(bench) == ["scan"]


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
    session = Session.load(project(tmp_path / "p.ecgproj", scan))
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
