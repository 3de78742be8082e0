"""Two ECGs in one picture: the window says so, and makes each a page of its own."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from ecgstudio.gui.states import Step
from ecgstudio.io.images import read_page
from ecgstudio.stages import stage0_keypoints
from tests import fake_stages
from tests.gui.workstation import Bench, write_page
from tests.several_sheets import beside, detect_on_each

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    fake_stages.install(monkeypatch)
    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", detect_on_each)
    made = Bench(qtbot, tmp_path)
    made.open(beside(tmp_path / "binder.png", 255, 250))
    return made


def mend(bench: Bench) -> QPushButton:
    """Return the button of the banner."""
    [button] = [each for each in bench.window.banner.findChildren(QPushButton) if each.isVisible()]
    return button


def test_the_window_says_that_there_are_two_and_reads_no_mixture(bench: Bench) -> None:
    assert bench.window.banner.text == "Grid: 2 ECGs are in this picture. Make each a page of its own."
    assert (mend(bench).text(), mend(bench).accessibleName()) == ("Make them pages", "Make them pages")
    assert bench.window.stage_bar.state_of(Step.NORMALIZE) == "automatic"
    assert bench.window.stage_bar.state_of(Step.GRID) == "failed"
    assert bench.window.bridge.values.traces is None
    assert bench.window.actions_["divide"].isEnabled()


def test_each_ecg_becomes_a_page_in_a_folder_of_ones_choice(bench: Bench, qtbot: QtBot, tmp_path: Path) -> None:
    bench.script.folder = tmp_path / "parts"
    picture = bench.page
    qtbot.mouseClick(mend(bench), Qt.MouseButton.LeftButton)
    bench.settle()
    assert bench.script.asked == ["Where to put each ECG of binder as a file of its own"]
    assert bench.script.started_at == tmp_path
    assert bench.names == ["binder-1", "binder-2"]
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["binder-1.png", "binder-2.png"]
    session = bench.window.bridge.session
    assert session.entry(bench.page).name == "binder-1"
    assert picture not in session
    assert all(session.analysis(entry.id).failure is None for entry in session.entries)
    both = [read_page(tmp_path / "parts" / f"binder-{n}.png", 0).pixels for n in (1, 2)]
    whole = cv2.imread(str(tmp_path / "binder.png"))
    assert np.array_equal(np.hstack(both)[..., ::-1], whole)
    assert not bench.window.actions_["divide"].isEnabled()
    assert [record.text for record in session.audit][-3:] == [
        "added binder-1",
        "added binder-2",
        "Divide binder into binder-1, binder-2",
    ]
    assert "Divide binder into binder-1, binder-2. Undo brings the picture back." in bench.said


def test_undo_brings_the_picture_back_and_dividing_again_finds_the_files(
    bench: Bench, qtbot: QtBot, tmp_path: Path
) -> None:
    bench.script.folder = tmp_path
    bench.window.actions_["divide"].trigger()
    bench.settle()
    assert "binder" not in bench.names
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert sorted(bench.names) == ["binder", "binder-1", "binder-2"]
    assert bench.window.bridge.session.entry(bench.page).name == "binder"


def test_a_file_of_that_name_is_not_replaced(bench: Bench, tmp_path: Path) -> None:
    bench.script.folder = tmp_path
    other = write_page(tmp_path / "binder-2.png")
    before = other.read_bytes()
    bench.window.actions_["divide"].trigger()
    bench.settle()
    assert bench.names == ["binder"]
    assert other.read_bytes() == before
    assert not (tmp_path / "binder-1.png").exists()
    assert f"{other} exists already and is another file; choose another folder." in bench.said


def test_thinking_better_of_it_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.window.actions_["divide"].trigger()
    bench.settle()
    assert bench.names == ["binder"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["binder.png"]


def test_a_name_that_a_page_has_already_is_not_given(bench: Bench, tmp_path: Path) -> None:
    bench.window.bridge.add_files([write_page(tmp_path / "Binder-1.png")])
    bench.settle()
    bench.window.bridge.show(next(e.id for e in bench.window.bridge.session.entries if e.name == "binder"))
    bench.settle()
    bench.script.folder = tmp_path / "parts"
    bench.window.actions_["divide"].trigger()
    bench.settle()
    assert sorted(bench.names) == ["Binder-1", "binder-ecg1", "binder-ecg2"]
