"""The page view through its own door: mouse, keys and signals on a page with everything found on it."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.corrections import apply_grid, apply_keypoints, apply_traces
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.gui.page_view import Layer, PageView, Tool
from ecgstudio.gui.theme import theme_for
from tests.gui.gesture_scene import SIZE, Answers, grid, keypoints, page, page_view, traces

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def view(qtbot: QtBot) -> PageView:
    """A page at zoom 1, in a view of its size, that shows every correction at once, as the application does."""
    widget = page_view(qtbot)
    widget.snap = False
    widget.asker = Answers()
    widget.keypointsEdited.connect(lambda edit, _: widget.set_keypoints(apply_keypoints(keypoints(), edit), edit))
    widget.gridEdited.connect(lambda edit, _: widget.set_grid(apply_grid(grid(), edit), edit))
    widget.tracesEdited.connect(lambda edit, _: widget.set_traces(apply_traces(traces(), edit, grid=grid()), edit))
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def heard(signal: object) -> list[tuple[object, ...]]:
    said: list[tuple[object, ...]] = []
    signal.connect(lambda *values: said.append(values))  # type: ignore[attr-defined]
    return said


def drag(view: PageView, start: tuple[int, int], end: tuple[int, int], *, steps: int = 4) -> None:
    a, b = QPoint(*start), QPoint(*end)
    QTest.mousePress(view, LEFT, pos=a)
    for step in range(1, steps + 1):
        QTest.mouseMove(view, a + (b - a) * (step / steps))
    QTest.mouseRelease(view, LEFT, pos=b)


def click(view: PageView, x: int, y: int) -> None:
    QTest.mouseMove(view, QPoint(x, y))
    QTest.mouseClick(view, LEFT, pos=QPoint(x, y))


def picture(view: PageView) -> np.ndarray:
    image = view.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def test_a_gesture_is_previewed_while_it_goes_on_and_is_one_signal_when_it_ends(view: PageView) -> None:
    view.set_tool(Tool.NODE)
    edits, before = heard(view.gridEdited), picture(view)
    QTest.mousePress(view, LEFT, pos=QPoint(200, 200))
    for x in (205, 210, 215):
        QTest.mouseMove(view, QPoint(x, 204))
    assert not edits
    assert (picture(view) != before).any()
    QTest.mouseRelease(view, LEFT, pos=QPoint(215, 204))
    assert [text for _, text in edits] == ["Drag a grid node"]
    assert view.shown.grid.nodes[10, 10] == pytest.approx([215, 204])


def test_esc_lets_go_of_a_gesture(view: PageView) -> None:
    view.set_tool(Tool.NODE)
    edits = heard(view.gridEdited)
    QTest.mousePress(view, LEFT, pos=QPoint(200, 200))
    QTest.mouseMove(view, QPoint(215, 204))
    QTest.keyClick(view, Qt.Key.Key_Escape)
    QTest.mouseRelease(view, LEFT, pos=QPoint(215, 204))
    assert not edits


@pytest.mark.parametrize(
    ("tool", "start", "end", "signal"),
    [
        (Tool.KEYPOINT, (100, 80), (130, 90), "keypointsEdited"),
        (Tool.ROTATE, (700, 240), (700, 260), "keypointsEdited"),
        (Tool.CORNERS, (799, 1), (790, 10), "keypointsEdited"),
        (Tool.LINE, (150, 100), (150, 106), "gridEdited"),
        (Tool.ERASE, (180, 141), (240, 141), "tracesEdited"),
        (Tool.DRAW, (180, 141), (240, 130), "tracesEdited"),
        (Tool.SHIFT, (180, 140), (180, 120), "tracesEdited"),
        (Tool.MERGE, (300, 140), (500, 140), "tracesEdited"),
        (Tool.CALIPER, (130, 140), (230, 140), "calipersChanged"),
    ],
)
def test_every_tool_that_drags_gives_one_signal(
    view: PageView, tool: Tool, start: tuple[int, int], end: tuple[int, int], signal: str
) -> None:
    names = ("keypointsEdited", "gridEdited", "tracesEdited", "calipersChanged")
    all_heard = {name: heard(getattr(view, name)) for name in names}
    view.set_tool(tool)
    drag(view, start, end)
    assert {name: len(said) for name, said in all_heard.items()} == {name: int(name == signal) for name in names}


def test_a_spline_is_clicked_and_ended_with_enter(view: PageView) -> None:
    view.set_tool(Tool.SPLINE)
    edits = heard(view.tracesEdited)
    for x, y in ((200, 140), (220, 110), (240, 140)):
        click(view, x, y)
    assert not edits
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert len(edits) == 1


def test_a_double_click_ends_a_spline(view: PageView) -> None:
    view.set_tool(Tool.SPLINE)
    edits = heard(view.tracesEdited)
    click(view, 200, 140)
    QTest.mouseClick(view, LEFT, pos=QPoint(240, 140))
    QTest.mouseDClick(view, LEFT, pos=QPoint(240, 140))
    assert len(edits) == 1


def test_four_quick_clicks_are_four_corners_even_when_two_are_a_double_click(view: PageView) -> None:
    view.asker = Answers(mm=(150.0, 70.0))
    view.set_tool(Tool.LATTICE)
    edits = heard(view.gridEdited)
    click(view, 100, 100)
    click(view, 700, 100)
    QTest.mouseDClick(view, LEFT, pos=QPoint(700, 380))
    QTest.mouseRelease(view, LEFT, pos=QPoint(700, 380))
    click(view, 100, 380)
    assert len(edits) == 1


def test_arrows_nudge_what_was_taken_and_shift_does_so_tenfold(view: PageView) -> None:
    view.set_tool(Tool.KEYPOINT)
    click(view, 100, 80)
    texts = heard(view.keypointsEdited)
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert view.shown.keypoints.of("I")[0] == pytest.approx([101, 90])
    assert [text for _, text in texts] == ["Nudge I", "Nudge I"]
    assert len(texts[-1][0].moves) == 1


def test_del_deletes_what_is_selected(view: PageView) -> None:
    click(view, 130, 105)
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert "I" not in [trace.lead for trace in view.shown.traces.traces]


def test_a_click_on_a_trace_says_whose_it_is_and_makes_it_stand_out(view: PageView, qtbot: QtBot) -> None:
    with qtbot.waitSignal(view.leadSelected) as said:
        click(view, 150, 320)
    assert said.args == ["II"]
    assert view.shown.lead == "II"


def test_a_double_click_asks_for_another_name(view: PageView) -> None:
    view.asker = Answers(name="V6")
    click(view, 420, 80)
    QTest.mouseDClick(view, LEFT, pos=QPoint(420, 80))
    QTest.mouseRelease(view, LEFT, pos=QPoint(420, 80))
    assert "V6" in view.shown.keypoints.names


def test_hovering_shows_the_handle_before_the_click(view: PageView) -> None:
    view.set_tool(Tool.LINE)
    QTest.mouseMove(view, QPoint(150, 150))
    before = picture(view)
    QTest.mouseMove(view, QPoint(150, 101))
    assert (picture(view) != before).any()
    assert view.cursor().shape() == Qt.CursorShape.PointingHandCursor


def test_the_pointer_tells_its_place_on_the_page_and_when_it_leaves_it(view: PageView) -> None:
    said = heard(view.cursorMoved)
    QTest.mouseMove(view, QPoint(300, 200))
    assert said[-1][0] == pytest.approx((300, 200), abs=1)
    view.go_to((0.0, 0.0), zoom=1.0)
    QTest.mouseMove(view, QPoint(100, 100))
    assert said[-1] == (None,)


def test_the_hand_pans_with_the_pan_tool_or_while_space_is_held(view: PageView) -> None:
    centre = view.camera.centre
    drag(view, (300, 400), (340, 410))
    assert view.camera.centre == pytest.approx((centre[0] - 40, centre[1] - 10))
    view.set_tool(Tool.DRAW)
    edits = heard(view.tracesEdited)
    QTest.keyPress(view, Qt.Key.Key_Space)
    drag(view, (300, 400), (260, 390))
    QTest.keyRelease(view, Qt.Key.Key_Space)
    assert view.camera.centre == pytest.approx(centre)
    assert not edits


def test_the_page_turns_as_the_keypoints_say_and_is_painted_so(view: PageView) -> None:
    view.set_visible_layers(frozenset())
    view.fit()
    upright = picture(view)
    view.turn_quarter(clockwise=True)
    view.turn_quarter(clockwise=True)
    assert view.shown.keypoints.orientation == 2
    assert np.abs(picture(view)[::-1, ::-1] - upright).mean() < 4


def test_mirroring_twice_is_as_if_nothing_had_been_done(view: PageView) -> None:
    view.mirror()
    assert view.shown.keypoints.mirrored
    view.mirror()
    value = view.shown.keypoints
    assert (value.orientation, value.angle_rad) == (0, pytest.approx(0.0))


def test_a_template_puts_all_its_names_on_the_page_in_one_signal(view: PageView) -> None:
    edits = heard(view.keypointsEdited)
    view.place_template(LAYOUTS["6x2"])
    assert len(edits) == 1
    assert len([name for name in view.shown.keypoints.names if name != "pulse"]) == 12


@pytest.mark.parametrize("layer", [Layer.GRID, Layer.TRACES, Layer.KEYPOINTS, Layer.RESIDUAL, Layer.UNCERTAIN])
def test_every_layer_can_be_shown_and_hidden(view: PageView, layer: Layer) -> None:
    unsure = replace(traces().traces[0], confidence=np.full(300, 0.2, np.float32))
    view.set_traces(replace(traces(), traces=(unsure, *traces().traces[1:])), None)
    mask = np.zeros((120, 200), bool)
    mask[50:60, 100:120] = True
    view.set_residual(mask)
    shown = picture(view)
    view.set_visible_layers(frozenset(Layer) - {layer})
    assert (picture(view) != shown).any()


def test_the_residual_lies_where_its_ink_is(view: PageView) -> None:
    view.set_visible_layers(frozenset({Layer.RESIDUAL}))
    plain = picture(view)
    mask = np.zeros((120, 200), bool)
    mask[50:60, 100:120] = True
    view.set_residual(mask)
    ys, xs = np.nonzero((picture(view) != plain).any(axis=2))
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((400, 479, 200, 239), abs=6)


def test_a_gap_is_hatched_and_nothing_is_drawn_in_its_place(view: PageView) -> None:
    view.set_visible_layers(frozenset({Layer.TRACES}))
    whole = replace(traces().traces[3], mv=np.nan_to_num(traces().traces[3].mv))
    gap = picture(view)[300:340, 505:595]
    view.set_traces(replace(traces(), traces=(*traces().traces[:3], whole)), None)
    read = picture(view)[300:340, 505:595]
    hue = np.array([200, 74, 0])
    assert (np.abs(read - hue).sum(axis=2) < 150).sum() > 50
    assert (np.abs(gap - hue).sum(axis=2) < 150).sum() == 0
    assert (gap[22:30].max(axis=2) < 120).any()  # strokes below the floor


def test_the_shared_cursor_stands_at_the_moment_of_its_lead(view: PageView) -> None:
    view.show_cursor("II", 1.0, None)
    assert view.shown.cursor == pytest.approx((180, 320))
    view.show_cursor(None, None, None)
    assert view.shown.cursor is None


def test_calipers_of_the_signal_view_stand_on_the_page(view: PageView) -> None:
    before = picture(view)
    view.set_calipers((Caliper("time", "V1", 3.7, 4.7), Caliper("amplitude", "II", 0.5, 0.5, 0.0, 1.0)))
    assert (picture(view) != before).any()


def test_the_magnifier_shows_the_active_point_and_can_be_switched_off(view: PageView) -> None:
    view.set_tool(Tool.NODE)
    click(view, 200, 200)
    lens = picture(view)
    view.magnifying = False
    assert (picture(view)[20:190, 600:780] != lens[20:190, 600:780]).mean() > 0.2


def test_the_menu_offers_only_what_applies(view: PageView) -> None:
    def entries(x: float, y: float) -> list[str]:
        menu = view.menu_at((x, y))
        assert menu is not None
        texts = [action.text() for action in menu.actions()]
        menu.deleteLater()
        return texts

    assert entries(150, 320)[:3] == ["This trace is", "Split the trace here", "Delete this trace of II"]
    assert entries(420, 80) == ["This is", "Delete V1"]
    assert entries(300, 420) == ["Add a lead name or marker here"]
    view.set_tool(Tool.DRAW)
    assert view.menu_at((300, 420)) is None


def test_an_entry_of_the_menu_is_one_correction(view: PageView) -> None:
    edits = heard(view.tracesEdited)
    menu = view.menu_at((150, 320))
    assert menu is not None
    menu.actions()[1].trigger()
    menu.deleteLater()
    assert [text for _, text in edits] == ["Split II"]


def test_another_page_takes_nothing_from_the_one_before(view: PageView) -> None:
    view.set_page(replace(page(), id=replace(page().id, sha256="c" * 64)))
    assert view.shown.keypoints is None
    assert view.shown.grid is None
    assert view.shown.traces is None


def test_the_page_takes_the_place_of_its_preview_without_a_jump(view: PageView) -> None:
    view.set_preview(np.full((48, 80, 3), 200, np.uint8), SIZE)
    view.go_to((100.0, 100.0), zoom=2.0)
    camera = view.camera
    view.set_page(page())
    assert view.camera == camera


def test_a_view_without_a_page_paints_and_ignores_every_gesture(qtbot: QtBot) -> None:
    widget = PageView()
    qtbot.addWidget(widget)
    widget.resize(300, 200)
    for tool in Tool:
        widget.set_tool(tool)
        drag(widget, (50, 50), (90, 70))
        QTest.keyClick(widget, Qt.Key.Key_Delete)
    widget.turn_quarter(clockwise=True)
    widget.mirror()
    widget.place_template(LAYOUTS["3x4"])
    widget.set_page(None)
    assert picture(widget).shape == (200, 300, 3)


@pytest.mark.parametrize("tool", list(Tool))
def test_no_tool_fails_on_a_page_of_which_nothing_is_known(qtbot: QtBot, tool: Tool) -> None:
    widget = PageView()
    qtbot.addWidget(widget)
    widget.resize(*SIZE)
    widget.asker = Answers(mm=(None, None))
    widget.set_page(page())
    widget.set_tool(tool)
    drag(widget, (50, 50), (90, 70))
    picture(widget)
    assert widget.hand.tool is tool


@pytest.mark.parametrize("dark", [False, True])
def test_the_desk_round_the_page_has_the_themes_colour(view: PageView, dark: bool) -> None:
    view.set_theme(theme_for(dark))
    view.go_to((0.0, 0.0), zoom=1.0)
    desk = theme_for(dark).desk
    assert tuple(picture(view)[5, 5]) == tuple(int(desk[i : i + 2], 16) for i in (1, 3, 5))


def test_five_thousand_signals_are_all_heard(view: PageView) -> None:
    count = heard(view.cursorMoved)
    for i in range(5000):
        view.cursorMoved.emit((float(i), 0.0))
    assert len(count) == 5000
