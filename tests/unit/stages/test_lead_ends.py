"""Leads begin and end where the rows show it, and where a standard print says where they do not show it well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.stages.lead_ends import GAP_MM, INTO_GAP_MM, column_borders, led_to_borders, parted_by_gaps
from ecgstudio.stages.lead_places import within_standard
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.stage2_trace import lead_trace
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

FIRST_MM, PITCH_MM, COLUMNS, ROWS, WIDTH_PX = 20.0, 62.5, 4, 3, 2400
BORDERS_MM = tuple(FIRST_MM + k * PITCH_MM for k in range(1, COLUMNS))
LAST_MM = FIRST_MM + COLUMNS * PITCH_MM
AT_MM = (np.arange(2 * WIDTH_PX) + 0.5) / (2 * STRIP_PX_PER_MM)


def strips(shown_mm: Sequence[float], *, evidence: float = 0.9, gap_mm: float = 0.0) -> list[StripReading]:
    """Return rows that show borders at these places, and no trace for `gap_mm` before each."""
    boundary = np.zeros(2 * WIDTH_PX)
    present = ((AT_MM > FIRST_MM) & (AT_MM < LAST_MM)).astype(np.float64)
    for at_mm in shown_mm:
        boundary[np.abs(AT_MM - at_mm) < 0.3] = evidence
        present[np.abs(AT_MM - (at_mm - gap_mm / 2)) < gap_mm / 2] = 0.0
    return [
        StripReading(
            row=Row(30.0 * (row + 1), FIRST_MM, LAST_MM, 1.0), x0_mm=0.0, centre_mm=30.0 * (row + 1), half_px=240,
            height_half=np.full(2 * WIDTH_PX, 240.0), mass_half=np.ones(2 * WIDTH_PX), presence_half=present,
            boundary=boundary,
        )
        for row in range(ROWS)
    ]  # fmt: skip


def found(
    readings: Sequence[StripReading],
    *,
    ends_mm: tuple[float, float] = (FIRST_MM, LAST_MM),
    said: tuple[float, float] = (FIRST_MM, PITCH_MM),
) -> list[float]:
    return [border.at_mm for border in column_borders(readings, COLUMNS, ends_mm=ends_mm, said=said)]


@given(st.floats(0.98, 1.02), st.floats(-0.3, 0.3))
def test_borders_lie_where_the_rows_show_them_whatever_the_names_say(stretch: float, moved_mm: float) -> None:
    shown = [at + moved_mm for at in BORDERS_MM]
    assert found(strips(shown), said=(FIRST_MM, PITCH_MM * stretch)) == pytest.approx(shown, abs=0.04)


def test_columns_that_show_no_border_are_equally_wide() -> None:
    assert found(strips(()), said=(FIRST_MM, PITCH_MM * 1.01)) == pytest.approx(BORDERS_MM, abs=0.01)


@pytest.mark.parametrize("ends_mm", [(FIRST_MM + 5.0, LAST_MM), (FIRST_MM, LAST_MM - 6.0), (FIRST_MM - 3.0, LAST_MM)])
def test_an_end_that_is_seen_elsewhere_moves_no_border_that_is_not_shown(ends_mm: tuple[float, float]) -> None:
    assert found(strips(BORDERS_MM[:2]), ends_mm=ends_mm) == pytest.approx(BORDERS_MM, abs=0.1)


def test_where_the_ends_are_far_from_the_names_the_names_count() -> None:
    assert found(strips(()), ends_mm=(FIRST_MM + 30.0, LAST_MM)) == pytest.approx(BORDERS_MM, abs=0.01)


@pytest.mark.parametrize("ends_mm", [(FIRST_MM, LAST_MM - 6.0), (FIRST_MM, LAST_MM - 4.0)])
def test_borders_that_are_hardly_shown_are_looked_for_where_the_names_have_them(ends_mm: tuple[float, float]) -> None:
    assert found(strips(BORDERS_MM, evidence=0.25), ends_mm=ends_mm) == pytest.approx(BORDERS_MM, abs=0.1)


@pytest.mark.parametrize("stretch", [0.965, 1.035])
def test_where_an_end_is_lost_each_border_tells_where_the_next_one_is(stretch: float) -> None:
    cut = {"ends_mm": (FIRST_MM, LAST_MM - 35.0), "said": (FIRST_MM, PITCH_MM * stretch)}
    assert abs(3 * PITCH_MM * (stretch - 1)) > 6  # so far no border is looked for
    assert found(strips(BORDERS_MM, evidence=0.45), **cut) == pytest.approx(BORDERS_MM, abs=0.04)


@pytest.mark.parametrize(("evidence", "gap_mm", "met"), [(0.9, 0.0, True), (0.9, 2.0, False), (0.3, 0.0, False)])
def test_leads_meet_where_all_rows_show_it_and_no_gap_lies_between(evidence: float, gap_mm: float, met: bool) -> None:
    readings = strips(BORDERS_MM, evidence=evidence, gap_mm=gap_mm)
    borders = column_borders(readings, COLUMNS, ends_mm=(FIRST_MM, LAST_MM), said=(FIRST_MM, PITCH_MM))
    assert [border.met for border in borders] == [met] * (COLUMNS - 1)


def slots(*, first_mm: float = FIRST_MM, last_mm: float = LAST_MM, met: bool = False) -> list[Slot]:
    edges = [first_mm, *BORDERS_MM, last_mm]
    return [
        Slot(lead, 0, k, COLUMNS, edges[k], edges[k + 1], 0.9, True, meets=met and k > 0)
        for k, lead in enumerate(("I", "aVR", "V1", "V4"))
    ]


def begins_mm(found: Sequence[Slot]) -> float:
    return min(slot.start_mm for slot in within_standard(list(found), mm_per_s=25.0))


def test_a_pulses_foot_is_no_part_of_a_standard_record() -> None:
    assert begins_mm(slots(first_mm=FIRST_MM - 1.5)) == pytest.approx(FIRST_MM)


def test_a_record_that_is_a_tenth_of_a_millimetre_too_short_begins_earlier() -> None:
    assert begins_mm(slots(first_mm=FIRST_MM + 0.2)) == pytest.approx(FIRST_MM + 0.1)


@given(st.floats(-0.25, 0.69), st.floats(-0.1, 0.1))  # what lacks LACK_MM is no standard record
def test_columns_that_meet_tell_best_where_their_record_begins(late_mm: float, end_late_mm: float) -> None:
    seen = {"first_mm": FIRST_MM + late_mm, "last_mm": LAST_MM + end_late_mm}
    without, with_them = (abs(begins_mm(slots(**seen, met=met)) - FIRST_MM) for met in (False, True))
    assert with_them <= without / 3 + 1e-6


@pytest.mark.parametrize("lack_mm", [1.0, 20.0])
def test_a_record_of_another_length_begins_where_it_is_seen_to(lack_mm: float) -> None:
    assert begins_mm(slots(first_mm=FIRST_MM + lack_mm)) == FIRST_MM + lack_mm


def test_a_lead_that_begins_later_than_the_first_ones_stays_where_it_is() -> None:
    late = replace(slots()[0], row=1, start_mm=FIRST_MM + 3.0)
    assert within_standard([*slots(first_mm=FIRST_MM + 0.2), late], mm_per_s=25.0)[-1] == late


def parted_rows(
    *, skew_mm: float = 0.6, gap_mm: float = 1.2, without: Sequence[int] = (), met: bool = False
) -> tuple[list[StripReading], list[Slot]]:
    """Return rows whose leads are parted by blank paper, each row `skew_mm` right of the one above, and their slots."""
    readings = [
        strips([at + (row - 1) * skew_mm for at in BORDERS_MM], gap_mm=0.0 if row in without else gap_mm)[row]
        for row in range(ROWS)
    ]
    return readings, [replace(slot, row=row) for row in range(ROWS) for slot in slots(met=met)]


@given(st.floats(-0.9, 0.9), st.floats(GAP_MM[0] + 0.1, 2.0))
def test_leads_are_parted_by_blank_paper_row_by_row(skew_mm: float, gap_mm: float) -> None:
    readings, leads = parted_rows(skew_mm=skew_mm, gap_mm=gap_mm)
    parted = parted_by_gaps(leads, readings)
    into_mm = min(INTO_GAP_MM, gap_mm / 2)
    for slot in parted:
        right_mm = (slot.row - 1) * skew_mm  # a gap ends at the border
        if slot.column:
            begins_mm = BORDERS_MM[slot.column - 1] + right_mm - into_mm
            assert slot.start_mm == pytest.approx(begins_mm, abs=0.1)
        if slot.column < COLUMNS - 1:
            assert slot.end_mm == pytest.approx(BORDERS_MM[slot.column] + right_mm - gap_mm + into_mm, abs=0.1)
    assert {slot.start_mm for slot in parted if not slot.column} == {FIRST_MM}


def test_a_row_that_shows_no_gap_is_parted_where_the_others_are() -> None:
    readings, leads = parted_rows(skew_mm=0.0, without=(1,))
    parted = parted_by_gaps(leads, readings)
    assert [s.start_mm for s in parted if s.row == 1] == pytest.approx([s.start_mm for s in parted if s.row == 0])


@pytest.mark.parametrize(
    "drawn", [{"gap_mm": 0.0}, {"gap_mm": 5.0}, {"without": (0, 2)}, {"met": True}, {"skew_mm": 9.0}]
)
def test_leads_that_meet_or_are_parted_in_few_rows_stay_where_they_are(drawn: dict[str, float]) -> None:
    readings, leads = parted_rows(**drawn)
    assert parted_by_gaps(leads, readings) == leads


BORDER_MM, AWAY_MM = BORDERS_MM[0], AT_MM - BORDERS_MM[0]


def blurred(heights: np.ndarray, *, unsure_mm: float = 0.45) -> StripReading:
    """Return a row of these heights that leads from one lead to the next near their border, sure of neither."""
    (reading, *_) = strips(BORDERS_MM)
    near = np.abs(AWAY_MM) < unsure_mm
    way = np.interp(AWAY_MM, [-unsure_mm, unsure_mm], heights[near][[0, -1]])
    mass = np.where(near, 0.7, 1.0)
    return replace(reading, height_half=np.where(near, way, heights), mass_half=mass)


def meeting(*, seen: bool = True) -> tuple[Slot, Slot]:
    """Return the lead before a border and the one after it."""
    before, after, *_ = slots()
    return replace(before, met=seen), replace(after, meets=seen)


def test_near_a_border_a_lead_stays_at_its_own_height() -> None:
    reading = blurred(np.where(AWAY_MM < 0, 40.0, 240.0))
    before, after = (led_to_borders(reading, slot, mm_per_s=25.0)[0] for slot in meeting())
    assert before[AWAY_MM < 0] == pytest.approx(40.0)
    assert after[(AWAY_MM > 0) & (AWAY_MM < 5.0)] == pytest.approx(240.0)


@given(st.floats(-8.0, 8.0))
def test_a_stroke_goes_on_towards_a_border_and_levels_off(slope: float) -> None:
    heights = np.where(AWAY_MM < 0, 240.0 + slope * AWAY_MM * 16, 40.0)
    reading = blurred(heights)
    led, mass = led_to_borders(reading, meeting()[0], mm_per_s=25.0)
    hidden = (AWAY_MM < 0) & (AWAY_MM > -0.45)
    moved = np.abs(led[hidden] - led[np.flatnonzero(hidden)[0] - 1])
    true = np.abs(heights[hidden] - led[np.flatnonzero(hidden)[0] - 1])
    assert (moved <= true + 1e-6).all()
    assert np.abs(led - heights)[hidden].max() <= np.abs(reading.height_half - heights)[hidden].max() + 1e-6
    assert (mass[hidden] < 1).all()


@given(st.floats(0.1, 2.0), st.floats(25.0, 50.0))
def test_what_is_surely_one_leads_is_never_moved(unsure_mm: float, mm_per_s: float) -> None:
    reading = blurred(np.where(AWAY_MM < 0, 40.0, 240.0), unsure_mm=unsure_mm)
    for slot, inside in zip(meeting(), (AWAY_MM < 0, AWAY_MM > 0), strict=True):
        led, mass = led_to_borders(reading, slot, mm_per_s=mm_per_s)
        sure = inside & (reading.mass_half == 1)
        assert (led[sure] == reading.height_half[sure]).all()
        assert (mass[sure] == 1).all()


def test_where_leads_are_not_seen_to_meet_what_was_followed_stays() -> None:
    reading = blurred(np.where(AWAY_MM < 0, 40.0, 240.0))
    for slot in meeting(seen=False):
        led, mass = led_to_borders(reading, slot, mm_per_s=25.0)
        assert (led == reading.height_half).all()
        assert (mass == reading.mass_half).all()


@pytest.mark.parametrize("beyond_mm", [-0.1, 0.02, 0.3, 5.0])
def test_borders_at_the_edge_of_what_was_read_are_no_error(beyond_mm: float) -> None:
    (reading, *_) = strips(BORDERS_MM)
    unsure = np.minimum(AT_MM, AT_MM[-1] - AT_MM) < 1.0
    doubted = replace(reading, mass_half=np.where(unsure, 0.5, 1.0))
    slot = replace(slots()[1], start_mm=-beyond_mm, end_mm=AT_MM[-1] + beyond_mm, meets=True, met=True)
    led, mass = led_to_borders(doubted, slot, mm_per_s=25.0)
    assert led == pytest.approx(doubted.height_half)
    assert (mass[~unsure] == 1).all()


def test_the_trace_of_a_lead_ends_as_it_is_led() -> None:
    y, x = np.mgrid[0:20, 0:80] * 5.0
    grid = GridFit(np.stack([x, y], axis=-1) * 8.0, PaperScale(25.0, 10.0, "text"), 1.0)
    reading = blurred(np.where(AWAY_MM < 0, 40.0, 240.0))
    led, blind = (lead_trace(meeting(seen=seen)[1], reading, grid, FIRST_MM) for seen in (True, False))
    assert led is not None
    assert blind is not None
    assert np.ptp(led.mv) < 1e-6
    assert np.ptp(blind.mv) > 0.2


def test_a_neighbours_stroke_does_not_bend_the_end_of_a_lead() -> None:
    (reading, *_) = strips(BORDERS_MM)
    height = np.full(len(AT_MM), 240.0)
    height[: np.searchsorted(AT_MM, BORDERS_MM[0])] = 40.0  # a jump where the leads meet
    y, x = np.mgrid[0:20, 0:80] * 5.0
    grid = GridFit(np.stack([x, y], axis=-1) * 8.0, PaperScale(25.0, 10.0, "text"), 1.0)
    trace = lead_trace(slots()[1], replace(reading, height_half=height), grid, FIRST_MM)
    assert trace is not None
    assert np.ptp(trace.mv) < 1e-6
