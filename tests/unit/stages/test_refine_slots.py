"""Slots begin and end where strips show it, or where the others say if their beginning is faint or lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.leads import LAYOUTS
from ecgstudio.stages.cut_off import CutOff
from ecgstudio.stages.lead_places import refine_slots
from ecgstudio.stages.printed import PageLayout, Row, Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

START_MM, PITCH_MM, COLUMNS, ROWS = 20.0, 62.5, 4, 3
HALF_COLUMNS_PER_MM = 2 * STRIP_PX_PER_MM


def seen(*, late_mm: float) -> tuple[PageLayout, list[StripReading]]:
    """Return rows of a 3x4 page, of which no trace is seen in their first millimetres, and where they were printed."""
    end_mm, width = START_MM + COLUMNS * PITCH_MM, 2400
    at_mm = (np.arange(2 * width) + 0.5) / HALF_COLUMNS_PER_MM
    present = ((at_mm > START_MM + late_mm) & (at_mm < end_mm)).astype(np.float64)
    borders = START_MM + PITCH_MM * np.arange(1, COLUMNS)
    boundary = np.where((np.abs(at_mm[:, None] - borders) < 0.15).any(axis=1), 0.95, 0.0)
    rows = tuple(Row(30.0 * (row + 1), START_MM + late_mm, end_mm, 1.0) for row in range(ROWS))
    slots = tuple(
        Slot(lead, row, column, COLUMNS, START_MM + column * PITCH_MM, START_MM + (column + 1) * PITCH_MM, 0.9, True)
        for row, leads in enumerate(LAYOUTS["3x4"].rows)
        for column, lead in enumerate(leads)
    )
    readings = [
        StripReading(
            row=row, x0_mm=0.0, centre_mm=row.y_mm, half_px=240, height_half=np.full(2 * width, 240.0),
            mass_half=np.ones(2 * width), presence_half=present, boundary=boundary,
        )
        for row in rows
    ]  # fmt: skip
    return PageLayout("3x4", rows, slots), readings


@pytest.mark.parametrize(
    ("late_mm", "starts_late_mm"),
    [
        (0.0, 0.0),
        (1.5, 1.5),  # that much may the seen end be known better than the pitch
        (2.5, 0.0),
        (5.0, 0.0),
        (7.5, 0.0),
        (20.0, 0.0),  # outside the picture, perhaps: but that is when its time begins
        (60.0, 0.0),
    ],
)
def test_a_first_lead_that_begins_faintly_begins_where_the_pitch_says(late_mm: float, starts_late_mm: float) -> None:
    for slot in refine_slots(*seen(late_mm=late_mm)):
        late = starts_late_mm if slot.column == 0 else 0.0
        assert slot.start_mm == pytest.approx(START_MM + slot.column * PITCH_MM + late, abs=0.1)
        assert slot.end_mm == pytest.approx(START_MM + (slot.column + 1) * PITCH_MM, abs=0.1)


@pytest.mark.parametrize("wider_mm", [0.0, 2.4, -3.0])
def test_names_do_not_move_a_beginning_that_is_seen_where_the_other_columns_say(wider_mm: float) -> None:
    layout, readings = seen(late_mm=0.0)
    pitch_mm = PITCH_MM + wider_mm
    slots = tuple(
        replace(s, start_mm=START_MM + s.column * pitch_mm, end_mm=START_MM + (s.column + 1) * pitch_mm)
        for s in layout.slots
    )
    for slot in refine_slots(replace(layout, slots=slots), readings):
        if slot.column == 0:
            assert slot.start_mm == pytest.approx(START_MM, abs=0.1)


def test_where_rows_end_outside_the_picture_the_names_tell_how_wide_columns_are() -> None:
    layout, readings = seen(late_mm=5.0)
    ended = [
        replace(
            reading,
            presence_half=np.where(
                np.arange(len(reading.presence_half)) < (START_MM + 3.6 * PITCH_MM) * HALF_COLUMNS_PER_MM,
                reading.presence_half, 0.0,
            ),
        )
        for reading in readings
    ]  # fmt: skip
    cut = CutOff(before=(False,) * ROWS, after=(True,) * ROWS)
    for slot in refine_slots(layout, ended, cut=cut):
        if slot.column == 0:
            assert slot.start_mm == pytest.approx(START_MM, abs=0.1)


@pytest.mark.parametrize(("second_mm", "begins_mm"), [(125.0, 1.7), (62.5, 64.2), (112.0, 18.0)])
def test_of_two_columns_the_second_tells_where_the_first_begins_if_it_is_of_usual_length(
    second_mm: float, begins_mm: float
) -> None:
    border_mm, width = 126.7, 2400
    start_mm, end_mm = 18.0 if second_mm > 100 else 80.0, border_mm + second_mm
    at_mm = (np.arange(2 * width) + 0.5) / HALF_COLUMNS_PER_MM
    rows = tuple(Row(30.0 * (row + 1), start_mm, end_mm, 1.0) for row in range(3))
    slots = [
        Slot(lead, row, column, 2, (start_mm, border_mm - 0.7)[column], (border_mm - 0.7, end_mm)[column], 0.9, True)
        for row, leads in enumerate((("I", "V1"), ("II", "V2"), ("III", "V3")))
        for column, lead in enumerate(leads)
    ]
    readings = [
        StripReading(
            row=row, x0_mm=0.0, centre_mm=row.y_mm, half_px=240, height_half=np.full(2 * width, 240.0),
            mass_half=np.ones(2 * width), presence_half=((at_mm > start_mm) & (at_mm < end_mm)).astype(np.float64),
            boundary=np.where(np.abs(at_mm - border_mm) < 0.15, 0.95, 0.0),
        )
        for row in rows
    ]  # fmt: skip
    for slot in refine_slots(PageLayout("3x2", rows, tuple(slots)), readings):
        assert slot.start_mm == pytest.approx(border_mm if slot.column else begins_mm, abs=0.15)
