"""Calipers on the page: set, dragged, nudged, marched and deleted by hand, and shown on every print of a lead."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from ecgstudio.core.caliper import Caliper, Part
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.gui.caliper_gestures import drawn
from ecgstudio.gui.gestures import CaliperSet, Done
from ecgstudio.gui.hand import Hand
from ecgstudio.gui.page_view import PageView, Tool
from tests.gui.gesture_scene import Answers, at, grid, page_view, scene, trace, traces

TIME = Caliper("time", "I", 0.5, 1.5, 0.0, 0.0)  # on the trace of lead I: feet at 130 and 230 px, the bar at 140
HEIGHT = Caliper("amplitude", "II", 1.0, 1.0, 0.0, 1.0)  # on lead II: arms at 320 and 280 px, the bar at 180


def drag(
    tool: Tool, start: tuple[float, float], end: tuple[float, float], *calipers: Caliper, hand: Hand | None = None
) -> Done | None:
    hand = hand or Hand()
    hand.take(tool)
    hand.press(scene(calipers=calipers), at(*start))
    hand.move(scene(calipers=calipers), at(*end))
    return hand.release(at(*end), Answers())


def only(done: Done | None) -> Caliper:
    assert done is not None
    assert isinstance(done.edit, CaliperSet)
    (caliper,) = done.edit.calipers
    return caliper


def test_a_drag_along_a_trace_is_a_time_caliper_and_one_upright_an_amplitude_caliper() -> None:
    time = only(drag(Tool.CALIPER, (130, 138), (230, 141)))
    assert (time.kind, time.lead) == ("time", "I")
    assert (time.t0_s, time.t1_s) == (pytest.approx(0.5), pytest.approx(1.5))
    height = only(drag(Tool.CALIPER, (130, 140), (131, 100)))
    assert height.kind == "amplitude"
    assert height.amplitude_mv == pytest.approx(1.0)


@pytest.mark.parametrize("tool", [Tool.CALIPER, Tool.PAN])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((130, 120), (110, 130), (0.3, 1.5, 0.0)),  # the first foot, in time only
        ((230, 150), (280, 150), (0.5, 2.0, 0.0)),
        ((180, 140), (200, 120), (0.7, 1.7, 0.5)),  # the bar: all of it, up by 5 mm
    ],
)
def test_feet_and_bar_of_a_time_caliper_are_dragged(
    tool: Tool, start: tuple[int, int], end: tuple[int, int], expected: tuple[float, ...]
) -> None:
    after = only(drag(tool, start, end, TIME))
    assert (after.t0_s, after.t1_s, after.mv0) == pytest.approx(expected)


def test_an_arm_of_an_amplitude_caliper_is_dragged_in_voltage_only() -> None:
    after = only(drag(Tool.CALIPER, (180, 280), (200, 260), HEIGHT))
    assert (after.t0_s, after.t1_s) == (HEIGHT.t0_s, HEIGHT.t1_s)
    assert (after.mv0, after.mv1) == pytest.approx((0.0, 1.5))


def test_of_two_calipers_only_the_one_that_is_taken_moves() -> None:
    done = drag(Tool.PAN, (230, 150), (280, 150), HEIGHT, TIME)
    assert done is not None
    assert isinstance(done.edit, CaliperSet)
    assert done.edit.calipers[0] == HEIGHT
    assert done.edit.calipers[1].t1_s == pytest.approx(2.0)


def test_a_new_caliper_is_nudged_by_its_second_foot_at_once() -> None:
    hand = Hand()
    caliper = only(drag(Tool.CALIPER, (130, 138), (230, 138), hand=hand))
    nudged = only(hand.nudge(scene(calipers=(caliper,)), (3.0, 0.0)))
    assert nudged.t0_s == pytest.approx(caliper.t0_s)
    assert nudged.t1_s == pytest.approx(caliper.t1_s + 0.03)
    again = only(hand.nudge(scene(calipers=(nudged,)), (1.0, 0.0)))
    assert again.t1_s == pytest.approx(caliper.t1_s + 0.04)


def test_a_lead_that_is_printed_twice_carries_its_caliper_on_both_prints() -> None:
    long = replace(trace("II", x_px=80, y_px=420, t0_s=0.0))
    both = DigitizedEcg((*traces().traces, long), "2x2+1")
    there = drawn(Caliper("time", "II", 0.5, 1.5), both, grid())
    assert [lines.middle_of(Part.FIRST) for lines in there] == [pytest.approx((130, 320)), pytest.approx((130, 420))]


@pytest.fixture
def view(qtbot: QtBot) -> PageView:
    widget = page_view(qtbot)
    widget.set_calipers((TIME,))
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def take(view: PageView, x: int, y: int) -> None:
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(x, y))
    assert view.hand.selected is not None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Qt.Key.Key_Right, (0.5, 1.51, 1)),
        (Qt.Key.Key_Left, (0.5, 1.49, 1)),
        (Qt.Key.Key_Plus, (0.5, 1.5, 2)),
    ],
)
def test_keys_nudge_and_march_the_caliper_that_was_clicked(
    view: PageView, qtbot: QtBot, key: Qt.Key, expected: tuple[float, float, int]
) -> None:
    take(view, 230, 130)
    with qtbot.waitSignal(view.calipersChanged) as changed:
        QTest.keyClick(view, key)
    (after,) = changed.args[0]
    assert (after.t0_s, after.t1_s, after.count) == pytest.approx(expected)


def test_del_takes_the_caliper_away(view: PageView, qtbot: QtBot) -> None:
    take(view, 230, 130)
    with qtbot.waitSignal(view.calipersChanged) as changed:
        QTest.keyClick(view, Qt.Key.Key_Delete)
    assert changed.args == [()]


def test_dragging_a_foot_does_not_pan_the_page(view: PageView, qtbot: QtBot) -> None:
    before = view.camera
    with qtbot.waitSignal(view.calipersChanged) as changed:
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(230, 130))
        QTest.mouseMove(view, QPoint(250, 130))
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(250, 130))
    assert changed.args[0][0].t1_s == pytest.approx(1.7)
    assert view.camera == before


def test_the_menu_of_a_caliper_marches_and_deletes_it(view: PageView) -> None:
    menu = view.menu_at((230, 130))
    assert menu is not None
    assert [action.text() for action in menu.actions()] == ["March once more", "Delete this caliper"]
    menu.actions()[0].trigger()
    assert view.shown.calipers[0].count == 2
    menu.deleteLater()
