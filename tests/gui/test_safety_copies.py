"""Work is not lost: to a full disk, a crash, or another window with the same project."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from ecgstudio.gui import project_files
from ecgstudio.gui.dialogs import QtAsk
from ecgstudio.gui.jobs import Job, JobKey, Pool
from ecgstudio.io.autosave import newer_autosave, unsaved_projects, write_autosave
from ecgstudio.io.project import ProjectState
from ecgstudio.io.scans import page_entries
from ecgstudio.session import Session
from tests.gui.workstation import Bench, save_project, write_page

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)


# --- saving --------------------------------------------------------------------------------------------------


def test_a_project_is_not_replaced_by_a_name_without_its_ending(bench: Bench, scan: Path, tmp_path: Path) -> None:
    other = save_project(tmp_path / "study.ecgproj", write_page(tmp_path / "other.png", seed=9))
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
    path = save_project(tmp_path / "p.ecgproj", scan)
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
    assert bench.names == ["older"]
    bench.settle()


@pytest.mark.parametrize("answer", ["later", "discard"])
def test_left_work_is_kept_until_somebody_says_that_it_may_go(bench: Bench, tmp_path: Path, answer: str) -> None:
    copies = left_behind(write_page(tmp_path / "older.png", seed=1), write_page(tmp_path / "newer.png", seed=2))
    bench.script.kept_work, bench.script.says_yes = [answer, "later"], False
    assert not bench.window.files.offer_recovery()
    assert all(copy.exists() for copy in copies)
    assert bench.names == []


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
    path = save_project(tmp_path / "p.ecgproj", scan)
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
    path = save_project(tmp_path / "p.ecgproj", scan)
    with another_window(path):
        pass
    bench.open(path)
    assert "not saved" in bench.script.asked[0]
    assert bench.window.bridge.corrections.comment == "the other's"


def test_a_safety_copy_can_be_opened_by_its_name(bench: Bench, scan: Path, tmp_path: Path) -> None:
    path = save_project(tmp_path / "p.ecgproj", scan, comment="kept")
    path.write_bytes(b"")
    bench.open(tmp_path / ".p.ecgproj.autosave")
    assert bench.window.bridge.corrections.comment == "kept"
    assert bench.window.bridge.session.path == path
