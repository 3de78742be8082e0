"""The signal view: true to scale, one cursor, calipers and fiducials that hand and key move; fast enough."""

import functools
import time
from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent
from PySide6.QtWidgets import QMenu, QToolButton
from pytestqt.qtbot import QtBot

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.fiducials import Fiducial
from ecgstudio.core.grid import PaperScale
from ecgstudio.gui.calipers import CaliperTool, caliper_text, strip_x_px
from ecgstudio.gui.ecg_paper import screen_px_per_mm
from ecgstudio.gui.signal_bar import EXTENSION
from ecgstudio.gui.signal_view import SignalView
from ecgstudio.gui.strip_layout import Arrangement
from ecgstudio.gui.theme import theme_for
from ecgstudio.stages.intervals import Intervals, measure_intervals
from training.signals import synthesize_record

FRAME_S = 1 / 30


@pytest.fixture
def record() -> EcgRecord:
    return EcgRecord(synthesize_record(np.random.default_rng(0)).mv, 500.0)


@pytest.fixture
def view(qtbot: QtBot, record: EcgRecord) -> SignalView:
    widget = SignalView()
    qtbot.addWidget(widget)
    widget.resize(1440, 900)
    widget.set_arrangement(Arrangement.STACKED)
    widget.set_ecg(None, record, PaperScale(50.0, 10.0, "printed"))
    widget.show()
    return widget


def at(view: SignalView, lead: str, t_s: float, mv: float) -> QPoint:
    """Return the pixel of the canvas at which a lead's moment and voltage stand."""
    canvas = view.canvas
    strip = canvas.layout_shown.of(lead)[0]
    row = canvas.layout_shown.rows[strip.row]
    x, y = strip_x_px(strip, t_s, view.frame), view.frame.y_px(row.zero_mm) - mv * view.frame.px_per_mv
    scrolled = QPointF(canvas.horizontalScrollBar().value(), canvas.verticalScrollBar().value())
    return (QPointF(x, y) - scrolled).toPoint()


def drag(qtbot: QtBot, view: SignalView, start: QPoint, end: QPoint) -> None:
    port = view.canvas.viewport()
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    for part in (0.3, 0.7, 1.0):
        send_move(qtbot, view, start + (end - start) * part, pressed=True)
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=end)


def send_move(qtbot: QtBot, view: SignalView, to: QPoint, *, pressed: bool = False) -> None:
    """Move the mouse with or without its button: QTest's moves never hold one."""
    port = view.canvas.viewport()
    button = Qt.MouseButton.LeftButton if pressed else Qt.MouseButton.NoButton
    place, globally = QPointF(to), QPointF(port.mapToGlobal(to))
    none = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(QEvent.Type.MouseMove, place, globally, Qt.MouseButton.NoButton, button, none)
    QCoreApplication.sendEvent(port, event)


def image(view: SignalView) -> QImage:
    return view.canvas.viewport().grab().toImage()


def colours(picture: QImage) -> set[str]:
    return {
        picture.pixelColor(x, y).name() for x in range(0, picture.width(), 2) for y in range(0, picture.height(), 2)
    }


def test_a_second_is_25_true_millimetres_and_a_millivolt_10(view: SignalView) -> None:
    assert view.frame.px_per_s == pytest.approx(25 * screen_px_per_mm(view))
    assert view.frame.px_per_mv == pytest.approx(10 * screen_px_per_mm(view))


def test_speed_gain_zoom_and_the_screens_size_change_the_scale(view: SignalView) -> None:
    mm = screen_px_per_mm(view)
    view.set_paper(mm_per_s=50.0, mm_per_mV=5.0)
    assert (view.frame.px_per_s, view.frame.px_per_mv) == pytest.approx((50 * mm, 5 * mm))
    view.set_zoom(2.0)
    assert view.frame.px_per_mm == pytest.approx(2 * mm)
    view.set_screen_px_per_mm(1.1 * mm)
    assert view.frame.px_per_mm == pytest.approx(2.2 * mm)
    view.set_screen_px_per_mm(None)
    assert view.frame.px_per_mm == pytest.approx(2 * mm)


def test_fit_makes_the_paper_as_wide_as_the_view(view: SignalView) -> None:
    view.fit()
    assert view.canvas.content_size_px()[0] == pytest.approx(view.canvas.viewport().width(), abs=2)


def test_the_paper_is_red_by_day_and_dark_by_night(view: SignalView) -> None:
    for dark in (False, True):
        theme = theme_for(dark)
        view.set_theme(theme)
        seen = colours(image(view))
        assert {QColor(theme.paper.background).name(), QColor(theme.paper.major).name()} <= seen


def test_the_cursor_under_the_mouse_tells_lead_time_and_voltage(
    view: SignalView, qtbot: QtBot, record: EcgRecord
) -> None:
    with qtbot.waitSignal(view.cursorMoved) as moved:
        send_move(qtbot, view, at(view, "II", 3.0, 0.1))
    lead, t_s, mv = moved.args[0]
    assert lead == "II"
    assert t_s == pytest.approx(3.0, abs=0.01)
    assert mv == pytest.approx(float(record.lead_mv("II")[round(t_s * 500)]), abs=1e-6)


def test_a_cursor_set_from_outside_is_drawn(view: SignalView) -> None:
    before = image(view)
    view.show_cursor("II", 2.0)
    assert image(view) != before
    view.show_cursor(None, None)
    assert image(view) == before


def test_a_click_chooses_a_lead(view: SignalView, qtbot: QtBot) -> None:
    with qtbot.waitSignal(view.leadSelected) as chosen:
        qtbot.mouseClick(view.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at(view, "III", 1.0, 0.0))
    assert chosen.args == ["III"]


def test_a_drag_with_the_time_tool_sets_a_caliper_once(view: SignalView, qtbot: QtBot) -> None:
    view.set_caliper_tool(CaliperTool.TIME)
    heard: list[tuple[Caliper, ...]] = []
    view.calipersChanged.connect(heard.append)
    drag(qtbot, view, at(view, "II", 1.0, 0.3), at(view, "II", 1.8, 0.3))
    assert len(heard) == 1
    (caliper,) = heard[0]
    assert (caliper.kind, caliper.lead) == ("time", "II")
    assert caliper.interval_s == pytest.approx(0.8, abs=0.015)
    assert "/min" in caliper_text(caliper)


def test_a_drag_with_the_amplitude_tool_measures_millivolt(view: SignalView, qtbot: QtBot) -> None:
    view.set_caliper_tool(CaliperTool.AMPLITUDE)
    heard: list[tuple[Caliper, ...]] = []
    view.calipersChanged.connect(heard.append)
    drag(qtbot, view, at(view, "II", 1.0, 0.0), at(view, "II", 1.0, 0.5))
    assert heard[0][0].amplitude_mv == pytest.approx(0.5, abs=0.04)


def test_a_foot_is_dragged_and_the_bar_moves_both(view: SignalView, qtbot: QtBot) -> None:
    view.set_calipers((Caliper("time", "II", 2.0, 3.0, mv0=0.2),))
    with qtbot.waitSignal(view.calipersChanged) as changed:
        drag(qtbot, view, at(view, "II", 3.0, 0.5), at(view, "II", 3.4, 0.5))
    (caliper,) = changed.args[0]
    assert (caliper.t0_s, caliper.t1_s) == pytest.approx((2.0, 3.4), abs=0.015)
    with qtbot.waitSignal(view.calipersChanged) as changed:
        drag(qtbot, view, at(view, "II", 2.6, 0.2), at(view, "II", 3.0, 0.2))
    (caliper,) = changed.args[0]
    assert (caliper.t0_s, caliper.t1_s) == pytest.approx((2.4, 3.8), abs=0.02)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Qt.Key.Key_Right, lambda caliper, px_s: caliper.t1_s == pytest.approx(3.0 + px_s)),
        (Qt.Key.Key_Plus, lambda caliper, px_s: caliper.count == 2),
        (Qt.Key.Key_Delete, lambda caliper, px_s: caliper is None),
    ],
)
def test_keys_nudge_march_and_delete_the_caliper_that_is_held(
    view: SignalView, qtbot: QtBot, key: Qt.Key, expected: Callable[[Caliper | None, float], bool]
) -> None:
    view.set_calipers((Caliper("time", "II", 2.0, 3.0, mv0=0.2),))
    qtbot.mouseClick(view.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at(view, "II", 3.0, 0.5))
    with qtbot.waitSignal(view.calipersChanged) as changed:
        qtbot.keyClick(view.canvas, key)
    calipers = changed.args[0]
    assert expected(calipers[0] if calipers else None, 1 / view.frame.px_per_s)


def test_a_fiducial_is_dragged_for_all_beats_at_once(view: SignalView, qtbot: QtBot, record: EcgRecord) -> None:
    intervals = measure_intervals(record)
    view.set_fiducials(intervals)
    beat_s = float(intervals.beats_s[intervals.alike][3])
    end_s = intervals.fiducials[Fiducial.T_END]
    with qtbot.waitSignal(view.fiducialsChanged) as changed:
        drag(qtbot, view, at(view, "II", beat_s + end_s, 0.0), at(view, "II", beat_s + end_s + 0.05, 0.0))
    moved: Intervals = changed.args[0]
    assert moved.qt_ms == pytest.approx(intervals.qt_ms + 50, abs=11)
    assert moved.by_hand == {Fiducial.T_END}


def test_unreadable_samples_are_a_gap_with_a_hatched_floor(qtbot: QtBot, view: SignalView, record: EcgRecord) -> None:
    mv = np.array(record.mv)
    mv[1, 1000:2000] = np.nan
    hue = QColor(theme_for(False).signal_lead("II"))
    for holed in (False, True):
        view.set_ecg(None, EcgRecord(mv if holed else record.mv, 500.0), None)
        picture = image(view)
        row = view.canvas.layout_shown.rows[1]
        left, right = at(view, "II", 2.1, 0).x(), at(view, "II", 3.9, 0).x()
        rows = range(round(view.frame.y_px(row.top_mm)) + 1, round(view.frame.y_px(row.bottom_mm)) - 1)
        inked = any(_like(picture.pixelColor(x, y), hue) for x in range(left, right) for y in rows)
        assert inked != holed
    missing = QColor(theme_for(False).missing)
    bottom = round(view.frame.y_px(row.bottom_mm))
    assert any(_like(picture.pixelColor(x, bottom - 4), missing) for x in range(left, right))


def _like(one: QColor, other: QColor) -> bool:
    return max(abs(one.red() - other.red()), abs(one.green() - other.green()), abs(one.blue() - other.blue())) < 40


def test_the_view_survives_having_nothing_to_show(view: SignalView, qtbot: QtBot) -> None:
    view.set_ecg(None, None, None)
    view.set_fiducials(None)
    view.show_cursor("II", 1.0)
    view.fit()
    assert not image(view).isNull()


def test_twelve_leads_of_ten_seconds_are_drawn_thirty_times_a_second(view: SignalView, record: EcgRecord) -> None:
    """Laid out anew, painted anew: what a zoom or a scroll costs; the cursor alone costs less."""
    view.set_fiducials(measure_intervals(record))
    assert min(_seconds(view, view.set_zoom, zoom) for zoom in (1.0, 1.1, 1.2, 1.3, 1.4)) < FRAME_S
    assert min(_seconds(view, functools.partial(view.show_cursor, "II"), t_s) for t_s in (1.0, 2.0, 3.0)) < FRAME_S


def _seconds(view: SignalView, change: Callable[[float], None], value: float) -> float:
    """Return the processor time of a change: others may be at work on this machine."""
    start = time.process_time()
    change(value)
    view.canvas.viewport().repaint()
    return time.process_time() - start


def test_every_choice_has_its_place_at_the_width_of_a_laptop(qtbot: QtBot, record: EcgRecord) -> None:
    widget = SignalView()
    qtbot.addWidget(widget)
    widget.resize(900, 400)  # what is left beside page list and inspector of a window of 1440
    widget.set_ecg(None, record, PaperScale(50.0, 10.0, "printed"))
    widget.show()
    buttons = [b for b in widget.bar.findChildren(QToolButton) if b.text()]
    assert len(buttons) >= 8
    assert [b.text() for b in buttons if not b.isVisible()] == []
    widget.resize(420, 400)
    more = widget.bar.findChild(QToolButton, EXTENSION)
    assert more is not None
    qtbot.waitUntil(more.isVisible)  # on a narrow one the rest waits behind a button


def test_the_menu_of_the_paper_changes_arrangement_speed_and_gain(view: SignalView) -> None:
    actions = {action.text(): action for menu in view.bar.findChildren(QMenu) for action in menu.actions()}
    mm = view.frame.px_per_mm
    actions["50 mm/s"].trigger()
    actions["20 mm/mV"].trigger()
    actions["Like the page"].trigger()
    assert (view.frame.px_per_s, view.frame.px_per_mv) == pytest.approx((50 * mm, 20 * mm))
    assert view.bar.arrangement is Arrangement.PAGE
    actions["Dark paper"].trigger()
    assert QColor(theme_for(True).paper.background).name() in colours(image(view))
