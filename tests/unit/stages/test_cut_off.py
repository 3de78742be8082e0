"""A sheet of which a part lies outside its picture: what is missing is known, said, and when its time begins, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.grid import GridFit
from ecgstudio.core.leads import LAYOUTS, LEADS
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.cut_off import NOT_CUT, CutOff, cut_off, lost_share, standard_mm
from ecgstudio.stages.lead_places import refine_slots, within_standard
from ecgstudio.stages.paper_map import UNKNOWN_SCALE
from ecgstudio.stages.printed import PageLayout, Row, Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

PX_PER_MM, MM_PER_S = 6.0, 25.0
FIRST_MM, LAST_MM = 12.0, 262.0  # ten seconds on a sheet of which the picture shows a part
COLUMNS, ROWS = 4, 3
PITCH_MM = (LAST_MM - FIRST_MM) / COLUMNS
NAMES = LAYOUTS["3x4"].rows
patient = settings(deadline=None, max_examples=20)


def picture(left_mm: float = 0.0, right_mm: float = 280.0, *, height_mm: float = 120.0) -> tuple[Page, GridFit]:
    """Return a picture of what of a sheet lies between two places (mm), and the map of the whole sheet."""
    shape = (round(height_mm * PX_PER_MM), round((right_mm - left_mm) * PX_PER_MM), 3)
    x, y = np.meshgrid(np.arange(57) * 5.0, np.arange(25) * 5.0)
    nodes = (np.stack([x - left_mm, y], axis=-1)) * PX_PER_MM - 0.5
    page = Page(PageId("0" * 64, 0), np.full(shape, 240, np.uint8), None, "page.png")
    return page, GridFit(nodes, UNKNOWN_SCALE, 0.9)


def rows_seen(left_mm: float, right_mm: float, *, columns: int = COLUMNS) -> tuple[list[Slot], list[StripReading]]:
    """Return rows of leads side by side as they are read between two places: each lead a slot as it was seen."""
    first, last = max(FIRST_MM, left_mm), min(LAST_MM, right_mm)
    width = 2400
    at_mm = (np.arange(2 * width) + 0.5) / (2 * STRIP_PX_PER_MM)
    pitch = (LAST_MM - FIRST_MM) / columns
    edges = [first, *(FIRST_MM + k * pitch for k in range(1, columns)), last]
    slots, readings = [], []
    for row in range(ROWS):
        y_mm = 30.0 * (row + 1)
        borders = np.array(edges[1:-1])
        readings.append(StripReading(
            row=Row(y_mm, first, last, 1.0), x0_mm=0.0, centre_mm=y_mm, half_px=240,
            height_half=np.full(2 * width, 239.5), mass_half=np.ones(2 * width),
            presence_half=((at_mm > first) & (at_mm < last)).astype(np.float64),
            boundary=np.where((np.abs(at_mm[:, None] - borders) < 0.15).any(axis=1), 0.95, 0.0),
        ))  # fmt: skip
        leads = NAMES[row] if columns == COLUMNS else LEADS[columns * row : columns * (row + 1)]
        slots += [
            Slot(leads[k], row, k, columns, edges[k], edges[k + 1], 0.9, True) for k in range(columns)
        ]  # fmt: skip
    return slots, readings


@pytest.mark.parametrize(
    ("left_mm", "right_mm", "before", "after"),
    [(0.0, 280.0, False, False), (30.0, 280.0, True, False), (0.0, 240.0, False, True), (25.0, 250.0, True, True)],
)
def test_rows_that_reach_the_border_go_on_outside(left_mm: float, right_mm: float, before: bool, after: bool) -> None:
    _, readings = rows_seen(left_mm, right_mm)
    cut = cut_off(*picture(left_mm, right_mm), readings)
    assert (cut.begins, cut.ends) == (before, after)
    assert cut.before == (before,) * ROWS
    assert cut.after == (after,) * ROWS


@patient
@given(st.floats(3.0, 55.0))
def test_of_what_is_cut_off_at_the_end_the_share_and_the_leads_are_told(lost_mm: float) -> None:
    slots, readings = rows_seen(0.0, LAST_MM - lost_mm)
    share, leads = lost_share(slots, readings, cut_off(*picture(0.0, LAST_MM - lost_mm), readings), mm_per_s=MM_PER_S)
    assert leads == ("V4", "V5", "V6")
    assert share == pytest.approx(3 * lost_mm / PITCH_MM / 12, abs=0.01)


def test_a_whole_sheet_lacks_nothing() -> None:
    slots, readings = rows_seen(0.0, 280.0)
    assert lost_share(slots, readings, cut_off(*picture(), readings), mm_per_s=MM_PER_S) == (0.0, ())
    tight = cut_off(*picture(FIRST_MM, LAST_MM), readings)  # the picture ends where the rows do
    assert (tight.begins, tight.ends) == (True, True)
    assert lost_share(slots, readings, tight, mm_per_s=MM_PER_S) == (0.0, ())
    assert lost_share(slots, readings, NOT_CUT, mm_per_s=MM_PER_S) == (0.0, ())


def test_a_sheet_that_is_cut_aslant_begins_where_the_rows_that_are_not_cut_do() -> None:
    """A narrow sheet: nothing says that its rows last longer than they are seen to."""
    slots, _ = rows_seen(90.0, 280.0)
    some = CutOff((True, True, False), (False,) * ROWS, ())
    assert not some.begins
    assert within_standard(slots, mm_per_s=MM_PER_S, cut=some) == slots


def test_a_margin_of_a_millimetre_is_no_cut() -> None:
    _, readings = rows_seen(0.0, 280.0)
    cut = cut_off(*picture(FIRST_MM - 1.2, LAST_MM + 1.2), readings)
    assert (cut.begins, cut.ends) == (False, False)


def test_waves_that_leave_the_picture_are_lost() -> None:
    slots, readings = rows_seen(0.0, 280.0)
    height = readings[0].height_half.copy()
    top = slice(round(2 * STRIP_PX_PER_MM * 80.0), round(2 * STRIP_PX_PER_MM * 86.25))  # a tenth of aVR's width
    height[top] = 239.5 - 31.0 * STRIP_PX_PER_MM
    readings[0] = replace(readings[0], height_half=height)
    share, leads = lost_share(slots, readings, cut_off(*picture(), readings), mm_per_s=MM_PER_S)
    assert leads == ("aVR",)
    assert share == pytest.approx(0.1 / 12, rel=0.1)


def test_a_strip_of_its_own_lasts_as_long_as_the_columns_above_it() -> None:
    slots, readings = rows_seen(0.0, 200.0)
    strip = replace(slots[0], lead="II", row=2, column=0, columns=1, start_mm=FIRST_MM, end_mm=200.0)
    cut = cut_off(*picture(0.0, 200.0), readings)
    whole = [slot for slot in slots if slot.row < 2 and slot.column < 3]
    _, leads = lost_share([*whole, strip], readings, cut, mm_per_s=MM_PER_S)
    assert leads == ("II",)


@pytest.mark.parametrize(
    ("length_mm", "whole_mm"),
    [(240.0, 250.0), (190.0, 250.0), (120.0, 125.0), (140.0, None), (90.0, None), (251.0, None)],
)
def test_of_rows_seen_for_the_most_part_the_length_is_known(length_mm: float, whole_mm: float | None) -> None:
    assert standard_mm(length_mm, mm_per_s=MM_PER_S) == whole_mm


@pytest.mark.parametrize("left_mm", [16.0, 30.0, 60.0])
def test_a_record_that_begins_outside_the_picture_is_as_long_as_a_standard_one(left_mm: float) -> None:
    slots, readings = rows_seen(left_mm, 280.0)
    cut = cut_off(*picture(left_mm, 280.0), readings)
    even_mm = (LAST_MM - left_mm) / COLUMNS  # all that is known before borders are looked for
    evenly = [
        replace(s, start_mm=left_mm + s.column * even_mm, end_mm=left_mm + (s.column + 1) * even_mm) for s in slots
    ]
    refined = refine_slots(PageLayout("3x4", tuple(r.row for r in readings), tuple(evenly)), readings, cut=cut)
    placed = within_standard(refined, mm_per_s=MM_PER_S, cut=cut)
    for slot in placed:
        assert slot.start_mm == pytest.approx(FIRST_MM + slot.column * PITCH_MM, abs=0.2)


@pytest.mark.parametrize("cut", [NOT_CUT, CutOff((True,) * ROWS, (True,) * ROWS, ())])
def test_a_short_record_begins_where_it_is_seen_to_if_nothing_says_otherwise(cut: CutOff) -> None:
    strips = [Slot(lead, row, 0, 1, 40.0, LAST_MM, 0.9, True) for row, lead in enumerate(("V1", "V2", "V3"))]
    assert within_standard(strips, mm_per_s=MM_PER_S, cut=cut) == strips


@pytest.mark.parametrize(("left_mm", "right_mm"), [(20.0, 240.0), (30.0, 255.0), (50.0, 250.0)])
def test_two_columns_cut_on_both_sides_begin_where_the_second_says(left_mm: float, right_mm: float) -> None:
    slots, readings = rows_seen(left_mm, right_mm, columns=2)
    cut = cut_off(*picture(left_mm, right_mm), readings)
    layout = PageLayout("3x2", tuple(r.row for r in readings), tuple(slots))
    for slot in refine_slots(layout, readings, cut=cut):
        assert slot.start_mm == pytest.approx(FIRST_MM + slot.column * 125.0, abs=0.2)
