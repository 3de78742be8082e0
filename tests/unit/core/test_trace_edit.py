"""What a human can do to whole traces: cut, join, forget, add."""

import math

import numpy as np
import pytest

from ecgstudio.core.corrections import GridEdit, apply_grid
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.trace_edit import (
    TraceAdd,
    TraceChange,
    TraceDelete,
    TraceEdit,
    TraceErase,
    TraceMerge,
    TraceRedraw,
    TraceRelabel,
    TraceSplit,
    apply_traces,
)

PX_PER_MM = 8.0
FS = 500.0
START_PX = 80.0


@pytest.fixture
def grid() -> GridFit:
    y, x = np.mgrid[:30, :60] * 5 * PX_PER_MM
    return GridFit(np.stack([x, y], -1), PaperScale(25, 10, "pulse"), 0.9)


def x_px(t_s: float) -> float:
    return START_PX + t_s * 25 * PX_PER_MM


def printed(lead: str, *, zero_y_px: float, t0_s: float = 0.0, seconds: float = 2.0) -> LeadTrace:
    """A sine of 0.5 mV at 25 mm/s and 10 mm/mV; time 0 lies 80 px from the left."""
    t = t0_s + np.arange(int(seconds * FS)) / FS
    mv = 0.5 * np.sin(2 * np.pi * t)
    xy = np.column_stack([START_PX + t * 25 * PX_PER_MM, zero_y_px - mv * 10 * PX_PER_MM])
    return LeadTrace(lead, t0_s, FS, mv.astype(np.float32), xy, np.full(len(t), 0.6, np.float32))


def edited(grid: GridFit, traces: tuple[LeadTrace, ...], *changes: TraceChange) -> tuple[LeadTrace, ...]:
    return apply_traces(DigitizedEcg(traces, "12x1"), TraceEdit(changes), grid=grid).traces


def test_a_trace_is_cut_where_the_human_points(grid: GridFit) -> None:
    whole = printed("I", zero_y_px=300)
    first, second = edited(grid, (whole,), TraceSplit((x_px(0.5), 300 - 0.5 * 0.0)))
    assert (first.lead, second.lead) == ("I", "I")
    assert second.t0_s == pytest.approx(0.5, abs=0.05)
    assert second.t0_s == pytest.approx(first.duration_s)
    np.testing.assert_array_equal(np.concatenate([first.mv, second.mv]), whole.mv)


def test_a_cut_at_the_end_of_a_trace_leaves_no_empty_part(grid: GridFit) -> None:
    assert len(edited(grid, (printed("I", zero_y_px=300),), TraceSplit((x_px(0), 300.0)))) == 1


def test_a_cut_and_a_new_name_give_the_second_part_to_another_lead(grid: GridFit) -> None:
    cut = TraceSplit((x_px(1.0), 300.0))
    parts = edited(grid, (printed("I", zero_y_px=300),), cut, TraceRelabel((x_px(1.5), 300.0), "aVR"))
    assert [trace.lead for trace in parts] == ["I", "aVR"]


def test_joining_two_parts_gives_back_the_whole(grid: GridFit) -> None:
    whole = printed("I", zero_y_px=300)
    cut, join = TraceSplit((x_px(1.0), 300.0)), TraceMerge((x_px(0.5), 300.0), (x_px(1.5), 300.0))
    (joined,) = edited(grid, (whole,), cut, join)
    np.testing.assert_array_equal(joined.mv, whole.mv)
    np.testing.assert_array_equal(joined.xy, whole.xy)
    assert joined.t0_s == whole.t0_s


def test_a_gap_between_joined_parts_stays_unread_and_has_a_place(grid: GridFit) -> None:
    left, right = printed("I", zero_y_px=300, seconds=1.0), printed("II", zero_y_px=300, t0_s=1.5, seconds=1.0)
    (joined,) = edited(grid, (right, left), TraceMerge((x_px(2.0), 300.0), (x_px(0.5), 300.0)))
    assert (joined.lead, joined.t0_s, len(joined.mv)) == ("II", 0.0, 1250)
    assert np.isnan(joined.mv[500:750]).all()
    assert np.isfinite(joined.mv[:500]).all()
    assert (joined.confidence[500:750] == 0).all()
    assert np.isfinite(joined.xy).all()


def test_where_joined_traces_overlap_the_one_pointed_at_first_counts(grid: GridFit) -> None:
    upper, lower = printed("I", zero_y_px=300), printed("I", zero_y_px=600, t0_s=1.0)
    (joined,) = edited(grid, (upper, lower), TraceMerge((x_px(0.0), 300.0), (x_px(2.5), 600.0)))
    assert joined.duration_s == 3.0
    np.testing.assert_array_equal(joined.xy[:1000], upper.xy)


def test_a_trace_is_not_joined_with_itself(grid: GridFit) -> None:
    traces = (printed("I", zero_y_px=300), printed("II", zero_y_px=340))
    assert edited(grid, traces, TraceMerge((x_px(0.0), 300.0), (x_px(1.0), 300.0))) == traces


def test_traces_that_lie_too_far_apart_in_time_are_not_joined(grid: GridFit) -> None:
    near, far = printed("I", zero_y_px=300), printed("I", zero_y_px=600)
    far = LeadTrace("I", 1e9, FS, far.mv, far.xy, far.confidence)
    joined = edited(grid, (near, far), TraceMerge((x_px(0.0), 300.0), (x_px(0.0), 600.0)))
    assert len(joined[0].mv) == len(near.mv)


def test_a_trace_is_forgotten(grid: GridFit) -> None:
    traces = (printed("I", zero_y_px=300), printed("II", zero_y_px=600))
    assert [t.lead for t in edited(grid, traces, TraceDelete((x_px(1.0), 300.0)))] == ["II"]


def test_a_change_far_from_every_trace_is_left_out(grid: GridFit) -> None:
    traces = (printed("I", zero_y_px=300),)
    for change in (TraceDelete((900.0, 900.0)), TraceSplit((900.0, 900.0)), TraceMerge((900.0, 900.0), (80.0, 300.0))):
        assert edited(grid, traces, change) == traces


def test_an_added_trace_takes_its_time_from_its_neighbours(grid: GridFit) -> None:
    known = printed("I", zero_y_px=300, t0_s=2.5)
    drawn = TraceAdd("II", np.array([[x_px(2.6), 600.0], [x_px(2.7), 520.0], [x_px(3.6), 600.0], [x_px(4.6), 600.0]]))
    _, added = edited(grid, (known,), drawn)
    assert (added.lead, added.fs) == ("II", FS)
    assert added.t0_s == pytest.approx(2.6, abs=0.002)
    assert added.duration_s == pytest.approx(2.0, abs=0.01)
    assert float(np.nanmax(added.mv)) == pytest.approx(1.0, abs=0.02)
    assert (added.confidence == 1).all()


def test_added_traces_supply_what_the_machine_could_not_read(grid: GridFit) -> None:
    drawn = TraceAdd("V1", np.array([[100.0, 300.0], [500.0, 300.0]]))
    ecg = apply_traces(None, TraceEdit((drawn, TraceRelabel((200.0, 300.0), "V2"))), grid=grid)
    assert [trace.lead for trace in ecg.traces] == ["V2"]
    with pytest.raises(ValueError, match="nothing to correct"):
        apply_traces(None, TraceEdit((TraceErase((1.0, 1.0), (2.0, 2.0)),)), grid=grid)


def test_a_line_without_length_adds_no_trace(grid: GridFit) -> None:
    assert not apply_traces(None, TraceEdit((TraceAdd("I", np.array([[9.0, 9], [9, 9]])),)), grid=grid).traces


@pytest.mark.parametrize("xy", [[[1.0, 2.0]], [[1.0, math.nan], [2.0, 3.0]]])
def test_a_line_needs_two_points_that_exist(xy: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"two points|finite"):
        TraceAdd("I", np.array(xy))


def test_the_evidence_of_the_scale_that_the_human_did_not_set_stays(grid: GridFit) -> None:
    scale = PaperScale(25, 10, "pulse", pulse_height_mm=20.0, pulse_width_mm=5.0, printed_mm_per_s=50.0)
    corrected = apply_grid(GridFit(grid.nodes, scale, 0.9), GridEdit(np.empty((0, 2, 2)), mm_per_s=50.0)).scale
    assert (corrected.mm_per_s, corrected.printed_mm_per_s, corrected.pulse_width_mm) == (50.0, None, None)
    assert corrected.pulse_height_mm == 20.0


def crossing() -> tuple[LeadTrace, LeadTrace]:
    """Two traces 4 mm apart: a beat of one reaches the other."""
    return printed("V1", zero_y_px=300), printed("V2", zero_y_px=332)


LINE = np.array([[x_px(0.25), 331.0], [x_px(0.5), 320.0], [x_px(0.75), 331.0]])


def test_a_line_that_is_said_to_be_of_a_lead_stays_on_it_where_traces_cross(grid: GridFit) -> None:
    traces = crossing()
    first, second = edited(grid, traces, TraceRedraw(LINE, "V1"))
    assert second is traces[1]
    assert first.mv[round(0.5 * FS)] == pytest.approx((300 - 320) / PX_PER_MM / 10, abs=0.01)


def test_a_line_of_a_lead_that_is_not_there_belongs_to_the_nearest_trace(grid: GridFit) -> None:
    traces = crossing()
    for lead in ("V6", None):
        first, second = edited(grid, traces, TraceRedraw(LINE, lead))
        assert first is traces[0]
        assert second is not traces[1]
    with pytest.raises(ValueError, match="no lead"):
        TraceRedraw(LINE, "V7")
