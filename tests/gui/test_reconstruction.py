"""The reconstruction in the window: a switch that is undone, saved and explained, and what it makes of the traces."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QCheckBox, QLabel, QTreeWidget, QWidget
from pytestqt.qtbot import QtBot

from ecgstudio.core.corrections import Corrections, TraceEdit, TraceErase
from ecgstudio.core.rebuilt import Mark
from ecgstudio.gui.actions import ACTIONS
from ecgstudio.gui.facts import advice
from ecgstudio.gui.legend import ENTRIES
from ecgstudio.gui.rebuilt_overlay import dash_length
from ecgstudio.gui.states import Step, page_state
from ecgstudio.gui.tools import Layer
from ecgstudio.stages.pipeline import Stage
from tests import fake_stages
from tests.gui.workstation import Bench, write_page

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
HOLE = TraceErase((60.0, 50.0), (69.0, 50.0))  # of lead I, 0.18 s long


def switch(bench: Bench) -> QCheckBox:
    [box] = [box for box in bench.window.inspector.findChildren(QCheckBox) if box.objectName() == "reconstruct"]
    return box


def open_pages(bench: Bench) -> Bench:
    bench.open(write_page(bench.folder / "a.png"), write_page(bench.folder / "b.png", seed=1))
    bench.press(Qt.Key.Key_3)
    bench.settle()
    return bench


@pytest.fixture
def without(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A window whose networks reconstruct nothing."""
    fake_stages.install(monkeypatch)
    return open_pages(Bench(qtbot, tmp_path))


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A window whose last network lifts every trace by half a millivolt."""
    fake_stages.install(monkeypatch)
    return open_pages(Bench(qtbot, tmp_path, load_runtime=lambda device: fake_stages.Lifting()))


def facts_shown(bench: Bench) -> str:
    return " ".join(label.text() for label in bench.window.inspector.findChildren(QLabel))


def tick(bench: Bench) -> None:
    bench.qtbot.mouseClick(switch(bench), Qt.MouseButton.LeftButton, pos=switch(bench).rect().center())
    bench.settle()


def lifted(bench: Bench) -> bool:
    """Tell whether the record of the page in front carries the reconstruction, and shows it in both views."""
    window = bench.window
    analysis, values = window.bridge.session.analysis(bench.page), window.bridge.values
    assert analysis.record is not None
    there = analysis.record.value.rebuilt is not None
    strips = window.signal_view.canvas.layout_shown.strips
    assert all((strip.rebuilt is not None) == there for strip in strips)
    assert (values.rebuilt is not None) == there
    return there


# --- the switch ----------------------------------------------------------------------------------------------


def test_without_the_network_the_switch_says_why_it_cannot_be_used(without: Bench) -> None:
    box, action = switch(without), without.window.actions_["reconstruct"]
    assert not box.isEnabled()
    assert not action.isEnabled()
    assert "hold none that reconstructs traces" in box.toolTip()
    assert "hold none that reconstructs traces" in box.accessibleDescription()
    assert not lifted(without)


def test_it_is_switched_on_undone_and_redone(bench: Bench) -> None:
    session = bench.window.bridge.session
    assert switch(bench).isEnabled()
    assert "hold none" not in switch(bench).toolTip()
    assert not switch(bench).isChecked()
    assert not lifted(bench)
    read = session.analysis(bench.page).traces
    tick(bench)
    assert switch(bench).isChecked()
    assert bench.window.actions_["reconstruct"].isChecked()
    assert session.settings.reconstruct.enabled
    assert session.audit[-1].text == "Reconstruct traces"
    assert lifted(bench)
    assert session.analysis(bench.page).traces is read  # nothing was read again
    bench.press(Qt.Key.Key_Z, CONTROL)
    bench.settle()
    assert not switch(bench).isChecked()
    assert not lifted(bench)
    assert session.audit[-1].text == "undo: Reconstruct traces"
    bench.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    bench.settle()
    assert switch(bench).isChecked()
    assert lifted(bench)


def test_it_has_a_key_and_a_row_of_the_table(bench: Bench) -> None:
    [row] = [row for row in ACTIONS if row.id == "reconstruct"]
    assert row.keys == "Ctrl+Shift+T"
    bench.press(Qt.Key.Key_T, CONTROL | SHIFT)
    bench.settle()
    assert lifted(bench)
    bench.press(Qt.Key.Key_T, CONTROL | SHIFT)
    bench.settle()
    assert not lifted(bench)
    assert bench.window.bridge.session.audit[-1].text == "Leave traces as read"


def test_it_holds_for_all_pages_and_is_saved(bench: Bench) -> None:
    tick(bench)
    bench.window.bridge.compute_all()
    bench.settle()
    session = bench.window.bridge.session
    for entry in session.entries:
        assert Stage.RECONSTRUCT in session.stage_states(entry.id)
    bench.script.save_to = bench.folder / "study.ecgproj"
    bench.press(Qt.Key.Key_S, CONTROL)
    bench.settle()
    bench.window.files.new_project()
    bench.window.refresh()
    assert not switch(bench).isChecked()
    bench.window.files.open_project(bench.folder / "study.ecgproj")
    bench.settle()
    assert switch(bench).isChecked()
    assert lifted(bench)


def test_a_project_that_reconstructs_opens_where_the_network_is_missing(without: Bench) -> None:
    bridge = without.window.bridge
    state = page_state(bridge.session, without.page, computing=False)
    before = advice(bridge.session.analysis(without.page), bridge.corrections, conflicts=())
    bridge.set_reconstruction(True)
    without.settle()
    analysis = bridge.session.analysis(without.page)
    assert analysis.failure is None
    assert page_state(bridge.session, without.page, computing=False) == state
    [remark] = [each for each in advice(analysis, bridge.corrections, conflicts=()) if each not in before]
    assert "hold no network" in remark.sentence
    assert switch(without).isEnabled()  # it can be switched off
    without.window.banner.actionWanted.emit(remark.action)
    without.settle()
    assert not bridge.reconstructs
    assert advice(bridge.session.analysis(without.page), bridge.corrections, conflicts=()) == before
    assert not switch(without).isEnabled()


# --- what it makes of the traces -----------------------------------------------------------------------------


def test_what_was_filled_is_named_wherever_the_lead_is(bench: Bench) -> None:
    window = bench.window
    window.bridge.edit(Corrections(traces=TraceEdit((HOLE,))), "erase")
    tick(bench)
    assert lifted(bench)
    rebuilt = window.bridge.values.rebuilt
    assert rebuilt is not None
    [number] = [i for i, trace in enumerate(rebuilt.traces) if trace.lead == "I"]
    trace = rebuilt.traces[number]
    assert (trace.mark == Mark.FILLED).any()
    assert "Filled 1 gap, " in facts_shown(bench).replace("  ", " ")
    [tree] = window.inspector.findChildren(QTreeWidget)
    tip = tree.topLevelItem(number).toolTip(0)
    assert "of the samples reconstructed; filled where not readable: " in tip
    said: list[str] = []
    window.views.cursorSaid.connect(said.append)
    moment = float(trace.filled_s[0].mean())
    window.signal_view.cursorMoved.emit(("I", moment, np.nan))
    window.signal_view.cursorMoved.emit(("II", moment, 0.0))
    assert "not readable" in said[0]
    assert "filled " in said[0]
    assert "reconstructed " in said[1]


def test_a_correction_hides_what_was_made_of_the_trace_before(bench: Bench) -> None:
    tick(bench)
    assert bench.window.bridge.values.rebuilt is not None
    bench.window.bridge.edit(Corrections(traces=TraceEdit((HOLE,))), "erase")
    assert bench.window.bridge.values.rebuilt is None  # until it is computed
    bench.settle()
    assert lifted(bench)


def count(picture_bgra: np.ndarray, hue: str) -> int:
    colour = QColor(hue)
    near = np.abs(picture_bgra[..., :3].astype(int) - (colour.blue(), colour.green(), colour.red())).max(axis=2) < 40
    return int(near.sum())


def grabbed(widget: QWidget) -> np.ndarray:
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return pixels[:, : image.width()].copy()


def test_both_views_draw_it_dashed_with_the_traces(bench: Bench) -> None:
    window = bench.window
    before = count(grabbed(window.page_view), "#00897b"), count(grabbed(window.signal_view.canvas), "#00897b")
    tick(bench)
    page, signals = grabbed(window.page_view), grabbed(window.signal_view.canvas)
    after = count(page, "#00897b"), count(signals, "#00897b")
    assert after[0] > before[0] + 200
    assert after[1] > before[1] + 200
    window.views.set_layer(Layer.TRACES, visible=False)
    assert count(grabbed(window.page_view), "#00897b") <= before[0]


def test_the_legend_names_it() -> None:
    [entry] = [entry for entry in ENTRIES if entry.role == "reconstructed"]
    assert entry.text.startswith("Dashed: reconstructed")


@pytest.mark.parametrize("zoom", [0.1, 0.5, 1.0, 3.0, 8.0])
def test_dashes_are_as_long_on_the_screen_at_every_zoom(zoom: float) -> None:
    assert 3.5 <= dash_length(Mark.CHANGED, zoom) * zoom <= 7.1
    assert 6.3 <= dash_length(Mark.FILLED, zoom) * zoom <= 12.8


def test_an_export_from_the_window_carries_it(bench: Bench) -> None:
    tick(bench)
    bench.window.desk.set_step(Step.EXPORT)
    bench.press(Qt.Key.Key_E, CONTROL)
    bench.settle()
    record = wfdb.rdrecord(str(next(bench.exports.folder.glob("*.hea")).with_suffix("")))
    assert record.sig_name[12:] == [f"{lead} reconstructed" for lead in record.sig_name[:12]]
    assert any("I reconstructed: 100.0 % of its samples changed" in line for line in record.comments)
