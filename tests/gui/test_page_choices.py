"""What a human chooses for one page: its layout, and where its fiducials are. Undone, saved, and there again."""

from pathlib import Path

import cv2
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox, QPushButton
from pytestqt.qtbot import QtBot

from ecgstudio.core.corrections import FiducialEdit
from ecgstudio.core.fiducials import Fiducial
from ecgstudio.gui.fiducials import ticks
from ecgstudio.gui.states import Step, page_state
from ecgstudio.gui.views import Derived
from ecgstudio.stages.contract import content_digest
from ecgstudio.stages.intervals import Intervals
from ecgstudio.stages.settings import TraceSettings
from tests import fake_stages
from tests.fake_runtime import FakeRuntime, draw_page
from tests.gui.test_signal_view import drag as drag_on_paper
from tests.gui.workstation import Bench, write_page

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def choice(bench: Bench, name: str) -> QComboBox:
    """Return the box of choices of the inspector that a screen reader calls so."""
    [box] = [box for box in bench.window.inspector.findChildren(QComboBox) if box.accessibleName() == name]
    return box


def texts(box: QComboBox) -> list[str]:
    return [box.itemText(index) for index in range(box.count())]


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    fake_stages.install(monkeypatch)
    made = Bench(qtbot, tmp_path)
    made.open(write_page(tmp_path / "a.png"), write_page(tmp_path / "b.png", seed=1))
    made.press(Qt.Key.Key_1)
    return made


def read_as(bench: Bench, layout: str) -> bool:
    """Tell whether the traces of the page in front were read in this layout."""
    traces = bench.window.bridge.session.analysis(bench.page).traces
    return traces is not None and traces.key.settings == content_digest(TraceSettings(layout=layout))


# --- the layout of a page ------------------------------------------------------------------------------------


def test_a_layout_is_chosen_for_the_page_in_front_and_taken_back(bench: Bench, qtbot: QtBot) -> None:
    bridge, box = bench.window.bridge, choice(bench, "Layout of this page")
    assert box.currentText() == "automatic"
    qtbot.keyClick(box, Qt.Key.Key_6)  # the first that begins so
    bench.settle()
    assert box.currentText() == bridge.corrections.layout == "6x2"
    assert read_as(bench, "6x2")
    assert bench.window.stage_bar.state_of(Step.NORMALIZE) == "corrected"
    assert page_state(bridge.session, bench.page, computing=False) == "corrected"
    assert bridge.session.audit[-1].text == "Layout of this page: 6x2"
    [other] = [entry.id for entry in bridge.session.entries if entry.id != bench.page]
    assert bridge.session.corrections(other).layout is None

    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert (bridge.corrections.layout, box.currentText()) == (None, "automatic")
    assert read_as(bench, "auto")
    assert bench.window.stage_bar.state_of(Step.NORMALIZE) == "automatic"
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert (bridge.corrections.layout, box.currentText()) == ("6x2", "6x2")
    bench.press(Qt.Key.Key_Backspace, CONTROL)  # the step back to automatic
    bench.settle()
    assert bridge.corrections.layout is None


def test_a_page_may_differ_from_what_is_chosen_for_all(bench: Bench, qtbot: QtBot) -> None:
    everywhere, box = choice(bench, "Layout of all pages"), choice(bench, "Layout of this page")
    assert texts(box)[:2] == ["automatic", "3x4"]
    everywhere.setCurrentIndex(everywhere.findText("6x2"))
    everywhere.activated.emit(everywhere.currentIndex())
    bench.settle()
    assert texts(box)[:3] == ["as all pages (6x2)", "automatic", "3x4"]
    assert box.currentText() == "as all pages (6x2)"
    assert read_as(bench, "6x2")
    qtbot.keyClick(box, Qt.Key.Key_Down)
    bench.settle()
    assert (box.currentText(), bench.window.bridge.corrections.layout) == ("automatic", "auto")
    assert read_as(bench, "auto")


def test_the_layout_of_a_page_is_saved_with_it(bench: Bench, qtbot: QtBot, tmp_path: Path) -> None:
    qtbot.keyClick(choice(bench, "Layout of this page"), Qt.Key.Key_6)
    bench.settle()
    page = bench.page
    bench.script.save_to = tmp_path / "study.ecgproj"
    bench.press(Qt.Key.Key_S, CONTROL)
    bench.window.files.new_project()
    bench.window.refresh()
    assert not choice(bench, "Layout of this page").isEnabled()
    bench.window.files.open_project(tmp_path / "study.ecgproj")
    bench.window.bridge.show(page)
    bench.settle()
    assert bench.window.bridge.corrections.layout == "6x2"
    assert choice(bench, "Layout of this page").currentText() == "6x2"


# --- fiducials -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "ecg.png"
    assert cv2.imwrite(str(path), cv2.cvtColor(draw_page(seed=3).page.pixels, cv2.COLOR_RGB2BGR))
    return path


class Reading(Bench):
    """A window that read a drawn page, and what it showed of its intervals last."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        super().__init__(qtbot, folder, load_runtime=lambda device: FakeRuntime())
        self.derived = Derived(None, None)
        self.window.views.derivedChanged.connect(self._hear)

    def _hear(self, derived: Derived) -> None:
        self.derived = derived

    @property
    def intervals(self) -> Intervals:
        assert self.derived.intervals is not None
        return self.derived.intervals


@pytest.fixture
def reading(qtbot: QtBot, tmp_path: Path, scan: Path) -> Reading:
    made = Reading(qtbot, tmp_path)
    made.open(scan)
    return made


def drag(bench: Reading, fiducial: Fiducial, *, by_s: float) -> None:
    """Pull a fiducial along the paper with the left button."""
    view = bench.window.signal_view
    there = ticks(bench.intervals, view.canvas.layout_shown, view.frame)
    held = next(each for each in there if each.fiducial is fiducial and each.main)
    bars = view.canvas.horizontalScrollBar(), view.canvas.verticalScrollBar()
    bars[0].setValue(round(held.x_px) - 100)
    bars[1].setValue(round(held.zero_px) - 60)
    start = QPoint(round(held.x_px) - bars[0].value(), round(held.zero_px) - bars[1].value())
    end = start + QPoint(round(by_s * view.frame.px_per_s), 0)
    drag_on_paper(bench.qtbot, view, start, end)
    bench.settle()


def test_a_fiducial_placed_by_hand_is_undone_saved_and_there_again(reading: Reading, tmp_path: Path) -> None:
    bench, window = reading, reading.window
    bridge, panel = window.bridge, window.intervals_panel
    measured, before = bench.intervals, panel.value_text("QT")
    assert measured.by_hand == frozenset()

    drag(bench, Fiducial.T_END, by_s=0.04)
    edit = bridge.corrections.fiducials
    assert isinstance(edit, FiducialEdit)
    [place] = edit.places
    assert place.fiducial == "T end"
    assert place.at_s == pytest.approx(measured.fiducials[Fiducial.T_END] + 0.04, abs=0.012)
    assert bench.intervals.by_hand == {Fiducial.T_END}
    assert (panel.value_text("QT") != before, panel.note_text("QT")) == (True, "placed by hand")
    assert bridge.session.audit[-1].text == "Move the T end"
    moved = panel.value_text("QT")

    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert (bridge.corrections.fiducials, panel.value_text("QT"), panel.note_text("QT")) == (None, before, "")
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert (bridge.corrections.fiducials, panel.value_text("QT")) == (edit, moved)

    drag(bench, Fiducial.QRS_ON, by_s=-0.02)
    assert [each.fiducial for each in bridge.corrections.fiducials.places] == ["QRS onset", "T end"]
    assert bridge.session.audit[-1].text == "Move the QRS onset"

    bench.script.save_to = tmp_path / "study.ecgproj"
    bench.press(Qt.Key.Key_S, CONTROL)
    last = panel.value_text("QT")
    window.files.new_project()
    window.files.open_project(tmp_path / "study.ecgproj")
    bench.settle()
    assert bench.intervals.by_hand == {Fiducial.QRS_ON, Fiducial.T_END}
    assert panel.value_text("QT") == last

    [back] = [each for each in panel.findChildren(QPushButton) if each.isVisibleTo(panel)]
    back.click()
    bench.settle()
    assert bridge.corrections.fiducials is None
    assert panel.value_text("QT") == before
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert panel.value_text("QT") == last


def test_a_fiducial_that_is_moved_asks_no_network_and_takes_the_signature_away(reading: Reading) -> None:
    bench, bridge = reading, reading.window.bridge
    bridge.review("accepted")
    analysis = bridge.session.analysis(bench.page)
    drag(bench, Fiducial.T_END, by_s=-0.04)
    assert bridge.corrections.fiducials is not None
    assert bridge.corrections.review is None
    assert bridge.session.analysis(bench.page) is analysis
