"""Columns that stand apart: each lead is its own ink, and blank is time only where the page says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.stages.panels import on_panels
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.same_seconds import columns_are_simultaneous
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from ecgstudio.stages.twins import name_rhythm_strips

START_MM, HALF_PX = 20.0, 240
PX_PER_S = 25 * STRIP_PX_PER_MM

LEADS_BY_THREES = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))


def voltage(t_s: F64, *, seed: int, irregular_s: float = 0.05) -> F64:
    beats = np.cumsum(0.85 + np.random.default_rng(7).normal(0, irregular_s, 40)) - 0.5
    height = np.random.default_rng(seed).uniform(0.5, 1.5)
    return np.asarray(sum(height * np.exp(-(((t_s - beat) / 0.015) ** 2)) for beat in beats))


def strip(spans: list[tuple[float, float, float]], *, seeds: list[int], y_mm: float = 50.0) -> StripReading:
    """Return a strip with ink over spans: from mm, to mm, and the second that each begins with."""
    width = round(340 * STRIP_PX_PER_MM)
    height, present = np.full(width, float(HALF_PX)), np.zeros(width)
    at_mm = (np.arange(width) + 0.5) / STRIP_PX_PER_MM
    for (first, last, second), seed in zip(spans, seeds, strict=True):
        inside = (at_mm >= first) & (at_mm < last)
        height[inside] = HALF_PX - 80 * voltage(second + (at_mm[inside] - first) / 25.0, seed=seed)
        present[inside] = 1.0
    present, ones = np.repeat(present, 2), np.ones(2 * width)
    return StripReading(
        row=Row(y_mm, spans[0][0], spans[-1][1], 1.0), x0_mm=0.0, centre_mm=y_mm, half_px=HALF_PX,
        height_half=np.repeat(height, 2), mass_half=ones, presence_half=present, boundary=0 * ones,
    )  # fmt: skip


def page(
    *, gap_mm: float, width_mm: float = 62.5, columns: int = 4, rhythm: bool = True, is_time: bool = False,
    pulse_mm: float = 0.0, together: bool = False,
) -> tuple[list[Slot], list[StripReading]]:  # fmt: skip
    """Return slots border to border, as names tell them, and strips of columns that stand apart."""
    pitch = width_mm + gap_mm
    slots, readings = [], []
    few = {2: (("I", "V1"), ("II", "V2"), ("III", "V3")), 3: LEADS_BY_THREES}
    names = LAYOUTS["3x4"].rows if columns == 4 else few[columns]
    for row, leads in enumerate(names):
        spans = []
        for k, lead in enumerate(leads):
            first = START_MM + k * pitch - (pulse_mm if k == 0 else 0.0)
            second = 0.0 if together else k * (pitch if is_time else width_mm) / 25.0
            spans.append((first, START_MM + k * pitch + width_mm, second))
            last = START_MM + (k + 1) * pitch if k < columns - 1 else START_MM + k * pitch + width_mm
            slots.append(Slot(lead, row, k, columns, first, last, 0.9, True))
        readings.append(strip(spans, seeds=[10 * row + k for k in range(columns)]))
    if rhythm:
        length_mm = columns * pitch - gap_mm if is_time else columns * width_mm
        readings.append(strip([(START_MM, START_MM + length_mm, 0.0)], seeds=[10]))
        end_mm = START_MM + columns * pitch - gap_mm  # the layout gives all rows one end
        slots.append(Slot("II", len(readings) - 1, 0, 1, START_MM, end_mm, 0.9, True))
    return slots, readings


@settings(deadline=None, max_examples=15)
@given(gap_mm=st.floats(2.5, 15.0), rhythm=st.booleans())
def test_a_lead_is_its_own_ink_and_blank_is_no_time(gap_mm: float, rhythm: bool) -> None:
    found = on_panels(*page(gap_mm=gap_mm, rhythm=rhythm))
    for slot in found:
        if slot.columns > 1:
            start_mm = START_MM + slot.column * (62.5 + gap_mm)
            assert (slot.start_mm, slot.end_mm) == pytest.approx((start_mm, start_mm + 62.5), abs=0.15)
            assert slot.blank_mm == pytest.approx(slot.column * gap_mm, abs=0.3)
        else:
            assert (slot.end_mm, slot.blank_mm) == (pytest.approx(START_MM + 250.0, abs=0.15), 0.0)


@pytest.mark.parametrize("gap_mm", [2.5, 4.0, 8.0])
def test_a_rhythm_strip_that_goes_on_under_the_gaps_shows_that_they_are_time(gap_mm: float) -> None:
    slots, readings = page(gap_mm=gap_mm, width_mm=62.5 - gap_mm, is_time=True)
    assert on_panels(slots, readings) == slots


def test_usual_lengths_tell_that_gaps_are_time_where_there_is_no_rhythm_strip() -> None:
    slots, readings = page(gap_mm=4.0, width_mm=58.5, is_time=True, rhythm=False)
    assert on_panels(slots, readings) == slots


def test_three_columns_that_last_ten_seconds_with_their_gaps_go_on_under_them() -> None:
    slots, readings = page(gap_mm=4.0, width_mm=250 / 3 - 4.0, columns=3, is_time=True, rhythm=False)
    assert on_panels(slots, readings) == slots


def test_three_panels_that_last_ten_seconds_without_their_gaps_stand_apart() -> None:
    slots, readings = page(gap_mm=4.0, width_mm=250 / 3, columns=3, rhythm=False)
    assert max(slot.blank_mm for slot in on_panels(slots, readings)) == pytest.approx(8.0, abs=0.3)


def test_columns_that_meet_stay_as_they_are() -> None:
    slots, readings = page(gap_mm=0.0)
    assert on_panels(slots, readings) == slots


def test_a_gap_that_only_one_row_shows_is_none() -> None:
    slots, readings = page(gap_mm=0.0)
    _, apart = page(gap_mm=6.0)
    mixed = [apart[0], *readings[1:]]
    assert on_panels(slots, mixed) == slots


@pytest.mark.parametrize("columns", [2, 4])
def test_a_pulse_before_the_first_panel_is_no_part_of_it(columns: int) -> None:
    width_mm = 62.5 if columns == 4 else 125.0
    found = on_panels(*page(gap_mm=6.0, width_mm=width_mm, columns=columns, pulse_mm=5.0))
    assert [s.start_mm for s in found if s.column == 0] == pytest.approx([START_MM] * 4, abs=0.2)


@pytest.mark.parametrize("together", [False, True])
def test_beats_of_panels_tell_whether_they_follow_one_another(together: bool) -> None:
    found, readings = on_panels(*page(gap_mm=6.0, together=together)), page(gap_mm=6.0, together=together)[1]
    assert columns_are_simultaneous(found, readings) is together


def test_a_rhythm_strip_is_like_the_panels_of_its_lead_though_they_stand_elsewhere() -> None:
    slots, readings = page(gap_mm=12.0)
    readings[-1] = strip([(START_MM, START_MM + 250.0, 0.0)], seeds=[3])  # V4 stands last, 36 mm to the right
    nameless = [replace(s, lead="", read=False, confidence=0.0) if s.columns == 1 else s for s in slots]
    assert name_rhythm_strips(on_panels(nameless, readings), readings)[-1].lead != ""


@pytest.mark.parametrize("rhythm", [True, False])
def test_a_gap_before_columns_of_the_same_seconds_is_time_where_the_last_is_whole(rhythm: bool) -> None:
    """Carts that print the same five seconds twice leave blank what of the first column would touch the second."""
    slots, readings = [], []
    for row, leads in enumerate((("I", "V1"), ("II", "V2"), ("III", "V3"))):
        spans = [(START_MM, START_MM + 121.8, 0.0), (START_MM + 125.0, START_MM + 249.8, 0.0)]
        readings.append(strip(spans, seeds=[10 * row, 10 * row + 1]))
        borders = [START_MM, START_MM + 125.0, START_MM + 249.8]
        slots += [Slot(lead, row, k, 2, *borders[k : k + 2], 0.9, True) for k, lead in enumerate(leads)]
    if rhythm:
        readings.append(strip([(START_MM, START_MM + 249.8, 0.0)], seeds=[10]))
        slots.append(Slot("II", 3, 0, 1, START_MM, START_MM + 249.8, 0.9, True))
    found = on_panels(slots, readings)
    assert [s.start_mm for s in found if s.column == 0] == [START_MM] * (4 if rhythm else 3)
    assert columns_are_simultaneous(found, readings)
    if rhythm:
        assert found == slots
