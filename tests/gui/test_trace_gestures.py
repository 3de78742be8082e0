"""Stage 2 by hand: erase, redraw, shift, relabel, split, merge, delete, add; what the hand nudges."""

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.corrections import (
    TraceAdd,
    TraceDelete,
    TraceEdit,
    TraceErase,
    TraceRedraw,
    TraceRelabel,
    TraceShift,
    apply_grid,
    apply_keypoints,
    apply_traces,
)
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.gui.gestures import Done
from ecgstudio.gui.hand import Hand, Selected, look
from ecgstudio.gui.hit_test import Kind, hit_line, hit_trace
from ecgstudio.gui.tools import Tool
from ecgstudio.gui.trace_corrections import as_function_of_time, smooth_through, with_change
from ecgstudio.gui.trace_frame import frame_of
from tests.gui.gesture_scene import Answers, at, grid, keypoints, scene, trace, traces


def stroke(tool: Tool, places: list[tuple[float, float]], ask: Answers | None = None, **values: object) -> Done | None:
    hand = Hand()
    hand.take(tool)
    hand.press(scene(**values), at(*places[0]))
    for place in places[1:]:
        hand.move(scene(**values), at(*place))
    return hand.release(at(*places[-1]), ask or Answers())


def after(edit: TraceEdit) -> tuple[LeadTrace, ...]:
    return apply_traces(traces(), edit, grid=grid()).traces


def test_wiping_along_a_trace_makes_that_span_not_readable() -> None:
    done = stroke(Tool.ERASE, [(181, 142), (200, 141), (240, 150)])
    mv = after(done.edit)[0].mv
    gone = np.flatnonzero(np.isnan(mv))
    assert (gone[0], gone[-1]) == (101, 160)
    assert done.subject == "I"


def test_wiping_needs_no_steady_hand() -> None:
    done = stroke(Tool.ERASE, [(181, 142), (240, 190)])
    assert np.isnan(after(done.edit)[0].mv).sum() == 60


def test_wiping_over_blank_paper_does_nothing() -> None:
    assert stroke(Tool.ERASE, [(181, 230), (240, 230)]) is None


def test_a_freehand_line_is_what_the_trace_follows() -> None:
    line = [(x, 140 - (x - 200) / 2) for x in range(200, 241, 4)]
    trace = after(stroke(Tool.DRAW, line).edit)[0]
    assert trace.mv[120] == pytest.approx(0.0, abs=0.02)
    assert trace.mv[158] == pytest.approx(0.475, abs=0.02)
    assert trace.confidence[140] == 1


def test_a_line_may_be_drawn_from_right_to_left_and_may_waver_back() -> None:
    line = np.array([[240, 120], [230, 125], [233, 90], [220, 130], [200, 140]], np.float64)
    forwards = as_function_of_time(line, grid=grid())
    assert (np.diff(forwards[:, 0]) > 0).all()
    assert forwards[0].tolist() == [200, 140]


def with_neighbour() -> DigitizedEcg:
    return DigitizedEcg((*traces().traces, trace("III", x_px=80, y_px=156, t0_s=0.0)), "")


@pytest.mark.parametrize(("chosen", "subject", "said"), [("", "III", None), ("III", "III", "III"), ("V1", "III", None)])
def test_a_line_is_of_the_nearest_trace(chosen: str, subject: str, said: str | None) -> None:
    line = [(x, 152.0) for x in range(150, 241, 5)]
    done = stroke(Tool.DRAW, line, traces=with_neighbour(), lead=chosen, snap=False)
    assert done is not None
    assert (done.subject, done.edit.changes[0].lead) == (subject, said)


def test_a_line_is_of_the_chosen_lead_where_traces_cross() -> None:
    line = [(x, 152.0) for x in range(150, 241, 5)]  # 1 mm from III, 3 mm from I
    done = stroke(Tool.DRAW, line, traces=with_neighbour(), lead="I", snap=False)
    assert done is not None
    assert (done.subject, done.edit.changes[0].lead) == ("I", "I")
    changed = apply_traces(with_neighbour(), done.edit, grid=grid()).traces
    np.testing.assert_array_equal(changed[-1].mv, with_neighbour().traces[-1].mv)
    assert changed[0].mv[100] == pytest.approx(-0.3, abs=0.02)


def test_a_line_before_the_chosen_lead_begins_is_of_the_lead_that_stands_there() -> None:
    line = [(x, 142.0) for x in range(370, 379)]  # I ends at 379, V1 begins at 400
    done = stroke(Tool.DRAW, line, lead="V1", snap=False)
    assert done is not None
    assert done.subject == "I"


def test_a_line_over_a_gap_is_read_again() -> None:
    done = stroke(Tool.DRAW, [(x, 320.0) for x in range(490, 611, 5)])
    assert isinstance(done.edit.changes[0], TraceRedraw)
    assert np.isfinite(after(done.edit)[3].mv).all()


def test_a_line_far_from_every_trace_is_a_new_trace_of_the_lead_that_is_chosen() -> None:
    ask = Answers(name="aVF")
    done = stroke(Tool.DRAW, [(x, 440.0) for x in range(100, 300, 5)], ask)
    assert isinstance(done.edit.changes[0], TraceAdd)
    assert after(done.edit)[-1].lead == "aVF"
    assert ask.asked[0][1][0] == "III"  # leads that are missing come first


def test_a_spline_passes_through_its_points_without_loops() -> None:
    places = np.array([[0, 0], [10, 30], [20, 0], [60, 5]], np.float64)
    line = smooth_through(places, step_px=0.5)
    for place in places:
        assert np.hypot(*(line - place).T).min() < 0.3
    assert (np.diff(line[:, 0]) > -1e-9).all()


def test_clicked_points_and_enter_redraw_a_trace_and_backspace_takes_a_point_back() -> None:
    hand, ask = Hand(), Answers()
    hand.take(Tool.SPLINE)
    for place in ((200, 140), (220, 100), (300, 300)):
        hand.press(scene(), at(*place))
        assert hand.release(at(*place), ask) is None
    assert hand.shorten()
    hand.press(scene(), at(240, 140))
    done = hand.confirm(ask)
    assert done is not None
    assert after(done.edit)[0].mv[140] == pytest.approx(1.0, abs=0.03)


def test_enter_does_not_end_a_line_of_one_point() -> None:
    hand = Hand()
    hand.take(Tool.SPLINE)
    hand.press(scene(), at(200, 140))
    assert hand.confirm(Answers()) is None
    assert hand.gesture is not None


def test_a_trace_is_shifted_in_voltage_by_dragging_it_up() -> None:
    done = stroke(Tool.SHIFT, [(120, 140), (121, 120)])
    change = done.edit.changes[0]
    assert (change.shift_s, change.shift_mv) == (0.0, pytest.approx(0.5))


def test_a_trace_is_shifted_in_time_by_dragging_it_along() -> None:
    done = stroke(Tool.SHIFT, [(120, 140), (140, 141)])
    change = done.edit.changes[0]
    assert (change.shift_s, change.shift_mv) == (pytest.approx(0.2), 0.0)


def test_shifts_of_the_same_place_add_up_to_one() -> None:
    edit = with_change(with_change(None, TraceShift((1.0, 2.0), 0.1, 0.0)), TraceShift((1.0, 2.0), 0.1, 0.5))
    assert edit.changes == (TraceShift((1.0, 2.0), 0.2, 0.5),)


def test_a_click_names_a_trace() -> None:
    done = stroke(Tool.RELABEL, [(120, 140), (120, 140)], Answers(name="III"))
    assert after(done.edit)[0].lead == "III"


def test_naming_a_trace_what_it_is_changes_nothing() -> None:
    assert stroke(Tool.RELABEL, [(120, 140), (120, 140)], Answers(name="I")) is None


def test_naming_again_replaces_the_name() -> None:
    edit = with_change(with_change(None, TraceRelabel((1.0, 2.0), "V1")), TraceRelabel((1.0, 2.0), "V2"))
    assert edit.changes == (TraceRelabel((1.0, 2.0), "V2"),)


def test_a_click_splits_a_trace_there() -> None:
    parts = after(stroke(Tool.SPLIT, [(181, 140), (181, 140)]).edit)
    assert [len(part.mv) for part in parts[:2]] == [101, 199]
    assert len(parts) == 5


@pytest.mark.parametrize("by_drag", [True, False])
def test_two_traces_are_merged_by_a_drag_or_by_two_clicks(by_drag: bool) -> None:
    if by_drag:
        done = stroke(Tool.MERGE, [(300, 140), (500, 140)])
    else:
        hand = Hand()
        hand.take(Tool.MERGE)
        for place in ((300, 140), (500, 140)):
            hand.press(scene(), at(*place))
            done = hand.release(at(*place), Answers())
    joined = after(done.edit)
    assert len(joined) == 3
    assert joined[0].lead == "I"
    assert len(joined[0].mv) == 620


def test_a_traces_frame_knows_time_and_voltage_of_every_sample() -> None:
    trace = traces().traces[1]
    frame = frame_of(trace, grid())
    places = frame.place(trace.t_s, trace.mv, grid())
    assert np.allclose(places, trace.xy, atol=1e-6)
    assert frame.read(trace.xy[70], grid()) == pytest.approx((3.9, 0.0), abs=1e-6)


# --- what the hand takes, nudges and deletes ------------------------------------------------------------------------


def test_the_trace_under_the_pointer_is_found_on_its_line_between_samples_and_on_the_floor_of_a_gap() -> None:
    assert hit_trace(traces(), (130, 118), reach_px=4).index == 0  # on the upstroke
    assert hit_trace(traces(), (550, 323), reach_px=4).index == 3
    assert hit_trace(traces(), (550, 360), reach_px=4) is None


def test_the_nearest_line_is_hit_row_or_column() -> None:
    hit = hit_line(grid(), (103, 111), reach_px=5)
    assert (hit.kind, hit.index, hit.xy) == (Kind.COLUMN, 5, (pytest.approx(100), pytest.approx(111)))


def test_hovering_says_what_the_tool_would_take() -> None:
    assert look(Tool.NODE, scene(), (203, 198)).kind is Kind.NODE
    assert look(Tool.KEYPOINT, scene(), (103, 78)).kind is Kind.KEYPOINT
    assert look(Tool.ERASE, scene(), (120, 142)).kind is Kind.TRACE
    assert look(Tool.DRAW, scene(), (120, 142)) is None


def test_a_nudge_is_one_screen_pixel_divided_by_the_zoom() -> None:
    near = scene(camera=scene().camera.zoomed(4.0, at=(0, 0)))
    hand = Hand()
    hand.take(Tool.KEYPOINT)
    hand.selected = Selected(Kind.KEYPOINT, (100.0, 80.0))
    done = hand.nudge(near, (1.0, 0.0))
    assert done is not None
    assert apply_keypoints(keypoints(), done.edit).of("I").tolist() == [[100.25, 80.0]]
    assert hand.selected.xy == (100.25, 80.0)


def test_nudging_on_moves_the_same_node_on() -> None:
    hand = Hand()
    hand.take(Tool.NODE)
    hand.selected = Selected(Kind.NODE, (200.0, 200.0))
    value, edit = grid(), None
    for _ in range(3):
        done = hand.nudge(scene(grid=value, grid_edit=edit), (10.0, 0.0))
        assert done is not None
        edit, value = done.edit, apply_grid(grid(), done.edit)
    assert value.nodes[10, 10] == pytest.approx([230, 200])


def test_nudging_a_trace_shifts_it() -> None:
    hand = Hand()
    hand.take(Tool.SHIFT)
    hand.selected = Selected(Kind.TRACE, (120.0, 140.0))
    done = hand.nudge(scene(), (0.0, -4.0))
    assert done is not None
    assert done.edit.changes[0].shift_mv == pytest.approx(0.1)


def test_del_deletes_the_selected_trace_and_only_that() -> None:
    hand = Hand()
    hand.selected = Selected(Kind.TRACE, (120.0, 140.0))
    done = hand.delete(scene())
    assert done is not None
    assert isinstance(done.edit.changes[0], TraceDelete)
    assert [trace.lead for trace in after(done.edit)] == ["V1", "II", "V2"]


def test_changes_are_added_behind_those_that_are_there() -> None:
    edit = TraceEdit((TraceErase((90.0, 140.0), (95.0, 140.0)),))
    done = stroke(Tool.ERASE, [(181, 142), (240, 150)], trace_edit=edit)
    assert done.edit.changes[0] is edit.changes[0]
    assert len(done.edit.changes) == 2


def test_letting_go_drops_the_gesture_first_and_then_the_selection() -> None:
    hand = Hand()
    hand.take(Tool.SHIFT)
    hand.press(scene(), at(120, 140))
    assert hand.let_go()
    assert hand.release(at(200, 100), Answers()) is None
    assert hand.selected is not None
    assert hand.let_go()
    assert hand.selected is None
    assert not hand.let_go()


def test_a_line_that_goes_on_beside_a_trace_is_a_new_one() -> None:
    """Columns stand side by side: the ink of an overlooked lead begins where its neighbour ends."""
    line = [(float(x), 140.0) for x in range(379, 500, 4)]  # lead I ends at 379 px, lead V1 was overlooked
    only_i = replace(traces(), traces=traces().traces[:1])
    done = stroke(Tool.DRAW, line, Answers(name="V1"), traces=only_i)
    assert [type(change) for change in done.edit.changes] == [TraceAdd]
    assert done.edit.changes[0].lead == "V1"
