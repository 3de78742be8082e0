"""Rows that seem too short begin and end where all of them appear and vanish, a standard length apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.stages.lead_places import refine_slots
from ecgstudio.stages.printed import PageLayout, Row, Slot
from ecgstudio.stages.standard_ends import SAMPLE_SHARE, standard_ends_mm
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

WIDTH_PX, FIRST_MM = 2400, 20.0
AT_MM = (np.arange(2 * WIDTH_PX) + 0.5) / (2 * STRIP_PX_PER_MM)
NOMINAL_MM = 250.0
LENGTH_MM = NOMINAL_MM * (1 - SAMPLE_SHARE)
LAST_MM = FIRST_MM + LENGTH_MM


def rows(
    doubted: Sequence[float], *, until_mm: float, first_mm: float = FIRST_MM, last_mm: float = LAST_MM
) -> list[StripReading]:
    """Return rows whose leads are as likely as `doubted` says from their beginning to `until_mm`, sure from there."""
    out = []
    for row, likely in enumerate(doubted):
        present = ((first_mm < AT_MM) & (last_mm > AT_MM)).astype(np.float64)
        present[(first_mm < AT_MM) & (until_mm > AT_MM)] = likely
        out.append(
            StripReading(
                row=Row(30.0 * (row + 1), first_mm, last_mm, 1.0), x0_mm=0.0, centre_mm=30.0 * (row + 1), half_px=240,
                height_half=np.full(2 * WIDTH_PX, 240.0), mass_half=np.ones(2 * WIDTH_PX), presence_half=present,
                boundary=np.zeros(2 * WIDTH_PX),
            )
        )  # fmt: skip
    return out


@given(st.floats(0.5, 3.0), st.floats(-1.0, 1.0))
def test_what_all_rows_doubt_at_their_beginning_is_theirs(late_mm: float, moved_mm: float) -> None:
    first_mm, last_mm = FIRST_MM + moved_mm, LAST_MM + moved_mm
    doubting = rows((0.2, 0.1, 0.3), until_mm=first_mm + late_mm, first_mm=first_mm, last_mm=last_mm)
    ends = standard_ends_mm(doubting, first_mm=first_mm + late_mm, last_mm=last_mm)
    assert ends == pytest.approx((first_mm, last_mm), abs=0.13)


@given(st.floats(0.5, 3.0))
def test_an_end_that_is_doubted_is_found_as_well(early_mm: float) -> None:
    length_mm = 2 * WIDTH_PX / (2 * STRIP_PX_PER_MM)
    moved = [
        replace(reading, x0_mm=FIRST_MM + LAST_MM - length_mm, presence_half=reading.presence_half[::-1])
        for reading in rows((0.3, 0.2), until_mm=FIRST_MM + early_mm)
    ]
    ends = standard_ends_mm(moved, first_mm=FIRST_MM, last_mm=LAST_MM - early_mm)
    assert ends == pytest.approx((FIRST_MM, LAST_MM), abs=0.13)


def test_rows_that_are_as_long_as_a_standard_record_are_left_alone() -> None:
    sure = rows((1.0, 1.0), until_mm=FIRST_MM)
    assert standard_ends_mm(sure, first_mm=FIRST_MM + 0.1, last_mm=LAST_MM) is None


def test_a_shorter_record_over_blank_paper_is_a_shorter_record() -> None:
    shorter = rows((1.0, 1.0, 1.0), until_mm=FIRST_MM, first_mm=FIRST_MM + 2.0)
    assert standard_ends_mm(shorter, first_mm=FIRST_MM + 2.0, last_mm=LAST_MM) is None


def test_a_far_shorter_record_is_none_of_a_standard_length() -> None:
    shorter = rows((0.2, 0.2), until_mm=FIRST_MM + 20.0)
    assert standard_ends_mm(shorter, first_mm=FIRST_MM + 20.0, last_mm=LAST_MM) is None


def test_a_slow_rise_is_no_beginning() -> None:
    slow = rows((1.0, 1.0), until_mm=FIRST_MM)
    for reading in slow:
        ramp = np.clip((AT_MM - FIRST_MM) / 4.0, 0, 1)
        reading.presence_half[:] = np.minimum(reading.presence_half, ramp)
    assert standard_ends_mm(slow, first_mm=FIRST_MM + 2.0, last_mm=LAST_MM) is None


def test_no_rows_have_no_ends() -> None:
    assert standard_ends_mm([], first_mm=FIRST_MM + 2.0, last_mm=LAST_MM) is None


def test_slots_begin_and_end_there() -> None:
    late_mm, leads = 1.5, ("I", "II", "III")
    readings = rows((0.2, 0.2, 0.2), until_mm=FIRST_MM + late_mm)
    slots = tuple(Slot(lead, row, 0, 1, FIRST_MM + late_mm, LAST_MM, 0.9, True) for row, lead in enumerate(leads))
    refined = refine_slots(PageLayout("few", tuple(reading.row for reading in readings), slots), readings)
    assert [slot.start_mm for slot in refined] == pytest.approx([FIRST_MM] * 3, abs=0.13)
    assert [slot.end_mm for slot in refined] == pytest.approx([LAST_MM] * 3, abs=0.13)
