"""A user's journey through the real window: read, correct by hand, sign off, save, open again, export, and be right."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from ecgstudio.commands.doctor import record_snr_db
from ecgstudio.core.arrays import F64
from ecgstudio.core.corrections import TraceRedraw
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS, SCALE_TEXTS
from ecgstudio.gui.facts import value_of
from ecgstudio.gui.overlays import Tool
from ecgstudio.gui.states import Step
from ecgstudio.stages.contract import FloatMap
from tests.fake_runtime import DrawnPage, FakeRuntime, draw_page
from tests.gui.workstation import Bench

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ACCURATE_DB = 25.0
DRAG_PX = 6.0  # of the page


@dataclass(frozen=True)
class MisreadsGain(FakeRuntime):
    """Perfect networks but for one word: they read 5 mm/mV where 10 is printed."""

    weights_hash: str = "misreads the gain"

    def texts(self, crops: FloatMap) -> FloatMap:
        answers = super().texts(crops)
        right, wrong = 1 + SCALE_TEXTS.index("gain10"), 1 + SCALE_TEXTS.index("gain5")
        answers[:, [right, wrong]] = answers[:, [wrong, right]]
        return answers


@pytest.fixture(scope="module")
def drawn() -> DrawnPage:
    return draw_page()


@pytest.fixture
def scan(drawn: DrawnPage, tmp_path: Path) -> Path:
    path = tmp_path / "ecg.png"
    assert cv2.imwrite(str(path), cv2.cvtColor(drawn.page.pixels, cv2.COLOR_RGB2BGR))
    return path


def record_of(bench: Bench) -> EcgRecord:
    record = value_of(bench.window.bridge.session.analysis(bench.page).record)
    assert record is not None
    return record


def snr_db(record: EcgRecord, drawn: DrawnPage) -> float:
    return record_snr_db(record, drawn.mv, fs=500.0)


def drag(bench: Bench, xy: F64) -> None:
    """Pull the pointer over the page along page pixels, with the left button down."""
    view, left = bench.window.page_view, Qt.MouseButton.LeftButton
    places = [QPoint(round(x), round(y)) for x, y in view.camera.to_screen(xy)]
    bench.qtbot.mouseMove(view, places[0])
    bench.qtbot.mousePress(view, left, pos=places[0])
    for place in places[1:]:
        bench.qtbot.mouseMove(view, place)
    bench.qtbot.mouseRelease(view, left, pos=places[-1])


def take(bench: Bench, step: Qt.Key, tool: Qt.Key, expected: Tool) -> None:
    """Turn to a step and take a tool by their keys."""
    bench.press(step)
    bench.press(tool)
    assert bench.window.page_view.hand.tool is expected


def exported_mv(folder: Path) -> F64:
    table = np.genfromtxt(folder / "ecg.csv", delimiter=",", names=True)
    return np.stack([table[lead] for lead in LEADS])


def test_a_page_from_the_scan_to_the_exported_record(
    qtbot: QtBot, tmp_path: Path, scan: Path, drawn: DrawnPage, computed: Counter[str]
) -> None:
    bench = Bench(qtbot, tmp_path, load_runtime=lambda device: FakeRuntime())
    window, bridge = bench.window, bench.window.bridge

    # The page is read at once, and right.
    bench.open(scan)
    assert window.stage_bar.state_of(Step.DIGITIZE) == "automatic"
    assert snr_db(record_of(bench), drawn) > ACCURATE_DB
    assert "/min" in window.intervals_panel.value_text("rate")

    # A node is dragged by hand: the grid is corrected, and only what comes after it is computed again.
    take(bench, Qt.Key.Key_2, Qt.Key.Key_A, Tool.NODE)
    grid = bridge.values.grid
    assert grid is not None
    node = grid.nodes[grid.nodes.shape[0] // 2, grid.nodes.shape[1] // 2]
    before = Counter(computed)
    drag(bench, np.linspace(node, node + np.array([DRAG_PX, 0.0]), 5))
    bench.settle()
    assert bridge.corrections.grid is not None
    assert window.stage_bar.state_of(Step.GRID) == "corrected"
    assert computed - before == Counter(read_traces=1)

    # It was a mistake: taken back, the record is what it was.
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert bridge.corrections.grid is None
    assert window.stage_bar.state_of(Step.GRID) == "automatic"
    assert snr_db(record_of(bench), drawn) > ACCURATE_DB

    # A span of the rhythm strip is drawn anew, undone, and done again; no network is asked.
    take(bench, Qt.Key.Key_3, Qt.Key.Key_D, Tool.DRAW)
    ecg = bridge.values.traces
    assert ecg is not None
    longest = max(ecg.traces, key=lambda trace: len(trace.mv))
    before = Counter(computed)
    drag(bench, longest.xy[1000:1600:20])
    bench.settle()
    edit = bridge.corrections.traces
    assert edit is not None
    assert [type(change) for change in edit.changes] == [TraceRedraw]
    assert computed == before
    redrawn = record_of(bench)
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert bridge.corrections.traces is None
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert bridge.corrections.traces is edit
    np.testing.assert_array_equal(record_of(bench).mv, redrawn.mv)

    # Signed off, saved, opened again: all of it is there, and nothing is computed a second time.
    bench.press(Qt.Key.Key_Return)
    bench.script.save_to = tmp_path / "study.ecgproj"
    bench.press(Qt.Key.Key_S, CONTROL)
    window.files.new_project()
    before = Counter(computed)
    window.files.open_project(tmp_path / "study.ecgproj")
    bench.settle()
    assert computed == before
    assert window.stage_bar.state_of(Step.REVIEW) == "accepted"
    assert window.stage_bar.state_of(Step.DIGITIZE) == "corrected"
    np.testing.assert_array_equal(record_of(bench).mv, redrawn.mv)

    # Exported, the record is the truth within what stage 2 can do (a span of it was drawn by hand).
    bench.press(Qt.Key.Key_E, CONTROL)
    bench.settle()
    assert {path.name for path in bench.exports.folder.iterdir()} == {"ecg.hea", "ecg.dat", "ecg.csv", "ecg.json"}
    exported = EcgRecord(exported_mv(bench.exports.folder).astype(np.float32), 500.0)
    assert snr_db(exported, drawn) > ACCURATE_DB / 2


def test_a_wrong_gain_set_right_by_hand_makes_the_record_better(
    qtbot: QtBot, tmp_path: Path, scan: Path, drawn: DrawnPage
) -> None:
    bench = Bench(qtbot, tmp_path, load_runtime=lambda device: MisreadsGain())
    bench.open(scan)
    automatic = snr_db(record_of(bench), drawn)
    bench.window.inspector.gainChosen.emit(10.0)
    bench.settle()
    assert snr_db(record_of(bench), drawn) > max(ACCURATE_DB, automatic + 10)
