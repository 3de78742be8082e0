"""Leads that follow one another without a mark do so where the paths of their rows step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.stages.handover import at_common_steps, followed_from, followed_to, step_near
from ecgstudio.stages.lead_ends import half_column
from ecgstudio.stages.lead_heights import END_MARGIN_PX, lead_heights
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

COUNT, TRUE = 1600, 800  # half-columns of a strip, and the one with which its second lead begins
AT = np.arange(COUNT)
TRUE_MM = (TRUE + 0.0) / (2 * STRIP_PX_PER_MM)  # between two half-columns
FIRST_MM, LAST_MM = 5.0, 95.0


def strip(height: F64, mass: F64 | None = None) -> StripReading:
    ones = np.ones(COUNT)
    return StripReading(
        row=Row(30.0, FIRST_MM, LAST_MM, 1.0), x0_mm=0.0, centre_mm=30.0, half_px=240, height_half=height,
        mass_half=ones if mass is None else mass, presence_half=ones, boundary=0 * ones,
    )  # fmt: skip


def stepping(*, px: float, slope: float = 0.0, at: int = TRUE) -> F64:
    """Return a path that has a slope (px per half-column) and steps before a half-column."""
    return 240.0 + slope * (AT - at) + np.where(at <= AT, px, 0.0)


def slots(rows: int, *, border_mm: float, meets: bool = False, gap_mm: float = 0.0) -> list[Slot]:
    before = [Slot("I", row, 0, 2, FIRST_MM, border_mm - gap_mm, 0.9, True, met=meets) for row in range(rows)]
    after = [Slot("V1", row, 1, 2, border_mm, LAST_MM, 0.9, True, meets=meets) for row in range(rows)]
    return [*before, *after]


def borders(found: Sequence[Slot]) -> set[float]:
    """Return where leads begin and end between the columns."""
    return {slot.end_mm if slot.column == 0 else slot.start_mm for slot in found}


@given(st.floats(8.0, 200.0), st.booleans(), st.floats(-3.0, 3.0), st.integers(-8, 8))
def test_a_step_is_found_on_a_slope(px: float, down: bool, slope: float, away: int) -> None:
    path = stepping(px=px + 3 * abs(slope) if down else -px - 3 * abs(slope), slope=slope)
    step = step_near(path, TRUE + away, reach=10)
    assert step is not None
    assert (step.last, step.first) == (TRUE - 1, TRUE)


@given(st.floats(-40.0, 40.0), st.floats(0.0, 3.0))
def test_a_stroke_is_no_step(slope: float, noise_px: float) -> None:
    """However steep: a flank takes more than one half-column."""
    path = 240 + np.clip(slope * (AT - TRUE), -5 * abs(slope), 5 * abs(slope))
    path += noise_px * np.sin(AT)
    assert step_near(path, TRUE, reach=4) is None


def test_a_half_column_between_two_leads_is_neither_of_them() -> None:
    path = stepping(px=60.0)
    path[TRUE] = 265.0
    step = step_near(path, TRUE, reach=10)
    assert step is not None
    assert (step.last, step.first) == (TRUE - 1, TRUE + 1)


@given(st.integers(-COUNT, 2 * COUNT), st.integers(1, 12))
def test_places_beyond_the_strip_are_no_error(at: int, reach: int) -> None:
    assert step_near(stepping(px=0.0), at, reach=reach) is None


@pytest.mark.parametrize("off_mm", [-0.5, -0.2, 0.0, 0.3, 0.5])
def test_borders_move_to_where_the_rows_step(off_mm: float) -> None:
    readings = [strip(stepping(px=px)) for px in (40.0, -25.0, 0.0)]
    found = at_common_steps(slots(3, border_mm=TRUE_MM + off_mm), readings)
    assert list(borders(found)) == [pytest.approx(TRUE_MM, abs=0.02)]
    assert all(slot.start_mm == FIRST_MM for slot in found if slot.column == 0)


@pytest.mark.parametrize(
    "steps",
    [(0.0, 0.0, 0.0), (40.0, 0.0, 0.0), (2.0, 2.0, 2.0)],
    ids=["no row steps", "one row steps", "all tremble"],
)
def test_borders_stay_where_rows_do_not_step_together(steps: Sequence[float]) -> None:
    before = slots(3, border_mm=TRUE_MM + 0.4)
    assert at_common_steps(before, [strip(stepping(px=px)) for px in steps]) == before


def test_rows_that_step_at_different_places_move_nothing() -> None:
    before = slots(3, border_mm=TRUE_MM)
    readings = [strip(stepping(px=40.0, at=TRUE + away)) for away in (-7, 0, 7)]
    assert at_common_steps(before, readings) == before


@pytest.mark.parametrize("how", [{"meets": True}, {"gap_mm": 1.0}])
def test_borders_that_are_seen_stay(how: dict[str, float]) -> None:
    before = slots(3, border_mm=TRUE_MM + 0.4, **how)  # type: ignore[arg-type]
    assert at_common_steps(before, [strip(stepping(px=40.0))] * 3) == before


@pytest.mark.parametrize("off_mm", [-0.15, 0.0, 0.15])
def test_each_lead_is_followed_up_to_the_step(off_mm: float) -> None:
    """Even where the border is thought to be a little beside it: no height of the one is given to the other."""
    before, after = slots(1, border_mm=TRUE_MM + off_mm)
    reading = strip(stepping(px=40.0, slope=0.5))
    for slot, mine in ((before, AT < TRUE), (after, AT >= TRUE)):
        height, confidence = lead_heights(reading, slot, mm_per_s=25.0)
        near = np.abs(AT - TRUE) <= 30
        assert ((confidence > 0) == mine)[near].all()
        np.testing.assert_allclose(height[near & mine], reading.height_half[near & mine], atol=1e-6)


def test_where_a_row_begins_and_ends_no_other_lead_is_followed_to() -> None:
    before, after = slots(1, border_mm=TRUE_MM)
    reading = strip(stepping(px=40.0))
    for slot, end_mm in ((before, FIRST_MM), (after, LAST_MM)):
        _, confidence = lead_heights(reading, slot, mm_per_s=25.0)
        assert not confidence[np.abs(AT - half_column(end_mm, reading)) < 2 * END_MARGIN_PX - 1].any()


def test_what_is_not_surely_the_leads_is_left_out() -> None:
    mass = np.where(np.abs(AT - TRUE + 0.5) < 2, 0.6, 1.0)
    before, after = slots(1, border_mm=TRUE_MM)
    reading = strip(stepping(px=0.0), mass)
    assert lead_heights(reading, before, mm_per_s=25.0)[1][TRUE - 4 : TRUE].tolist() == [1, 1, 0, 0]
    assert lead_heights(reading, after, mm_per_s=25.0)[1][TRUE : TRUE + 4].tolist() == [0, 0, 1, 1]


def test_beside_a_border_that_is_seen_heights_are_not_believed() -> None:
    before, after = slots(1, border_mm=TRUE_MM, meets=True)
    reading = strip(stepping(px=40.0))
    margin = int(2 * END_MARGIN_PX)
    assert not lead_heights(reading, before, mm_per_s=25.0)[1][TRUE - margin : TRUE].any()
    assert not lead_heights(reading, after, mm_per_s=25.0)[1][TRUE : TRUE + margin].any()


@given(st.floats(-50.0, 150.0), st.floats(-50.0, 150.0))
def test_leads_anywhere_are_no_error(start_mm: float, end_mm: float) -> None:
    reading = strip(stepping(px=40.0))
    slot = replace(slots(1, border_mm=TRUE_MM)[0], start_mm=start_mm, end_mm=end_mm)
    first = followed_from(reading, slot, int(np.clip(half_column(start_mm, reading), 0, COUNT)))
    last = followed_to(reading, slot, int(np.clip(half_column(end_mm, reading), -1, COUNT - 1)))
    assert first >= 0
    assert -1 <= last < COUNT
    _, confidence = lead_heights(reading, slot, mm_per_s=25.0)
    seen = np.flatnonzero(confidence)
    if len(seen):
        assert start_mm - 0.1 <= seen[0] / 16
        assert seen[-1] / 16 <= end_mm + 0.1
