"""A pulse's foot that runs into a lead is no part of it; a lead that begins flat is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.stages.lead_ends import half_column
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.pulse_feet import _below_one_another, _Foot, begins_after_foot, off_pulse_tops
from ecgstudio.stages.strip_reading import StripReading, row_ends
from ecgstudio.stages.strips import STRIP_PX_PER_MM

PER_MM = round(2 * STRIP_PX_PER_MM)
HALF_PX, EDGE_MM, PULSE_MM, RECORD_MM = 240, 20.0, 5.0, 250.0
BEAT_MM = 21.0


def lead_mm(length_mm: float, *, offset_mm: float, rng: np.random.Generator) -> F64:
    """Return heights of a lead that wanders, with a beat now and then; the first half a beat after it begins."""
    at = np.arange(round(length_mm * PER_MM)) / PER_MM
    beats = np.arange(BEAT_MM / 2, length_mm, BEAT_MM)
    level = offset_mm + 0.8 * np.sin(at / 11.0 + rng.uniform(0, 6)) + 0.1 * np.sin(at / 1.3 + rng.uniform(0, 6))
    for beat in beats:
        level += 8 * np.exp(-(((at - beat) / 0.6) ** 2)) + 2 * np.exp(-(((at - beat - 7) / 2) ** 2))
    return level


def strip(level_mm: F64, *, number: int, x0_mm: float, starts_mm: float, ends_mm: float) -> StripReading:
    at = x0_mm + (np.arange(len(level_mm)) + 0.5) / PER_MM
    present = ((at > starts_mm) & (at < ends_mm)).astype(np.float64)
    return StripReading(
        row=Row(30.0 * (number + 1), starts_mm, ends_mm, 1.0), x0_mm=x0_mm, centre_mm=30.0 * (number + 1),
        half_px=HALF_PX, height_half=HALF_PX - 0.5 - level_mm * STRIP_PX_PER_MM, mass_half=np.ones(len(at)),
        presence_half=present, boundary=np.zeros(len(at)),
    )  # fmt: skip


def page(
    feet_mm: Sequence[float],
    *,
    record_mm: float = RECORD_MM,
    pulse: bool = True,
    noise_mm: float = 0.01,
    jumps_mm: Sequence[float] = (0.9, -0.6, 1.4, -1.1),
    x0_mm: float = 8.0,
    calm: bool = False,
) -> list[StripReading]:
    """Return rows of pulse, foot and lead, all present from the pulse's end on.

    The leads are `calm` if they run level between their beats, as they are at their beginning.
    """
    rng = np.random.default_rng(1)
    rows = []
    for number, (foot_mm, jump_mm) in enumerate(zip(feet_mm, jumps_mm, strict=False)):
        lead = lead_mm(record_mm, offset_mm=jump_mm, rng=rng)
        if calm:
            at = np.arange(len(lead)) / PER_MM
            near = np.abs(at % BEAT_MM - BEAT_MM / 2) < 4
            lead = np.where(near, lead - jump_mm, 0.0)
        top = np.full(round(PULSE_MM * PER_MM), 10.0 if pulse else 0.0)
        before = np.zeros(round((EDGE_MM - PULSE_MM) * PER_MM))
        level = np.concatenate([before, top, np.zeros(round(foot_mm * PER_MM)), lead, np.zeros(10 * PER_MM)])
        level = (level + rng.normal(0, noise_mm, len(level)))[round(x0_mm * PER_MM) :]
        ends_mm = EDGE_MM + foot_mm + record_mm
        rows.append(strip(level, number=number, x0_mm=x0_mm, starts_mm=EDGE_MM, ends_mm=ends_mm))
    return rows


def begins(readings: Sequence[StripReading], slots: Sequence[Slot] = (), **known: object) -> list[float] | None:
    return begins_after_foot(readings, slots, markers_mm=known.get("markers_mm", ()))  # type: ignore[arg-type]


@given(st.floats(3.0, 12.0), st.floats(0.003, 0.04), st.integers(3, 4))
def test_rows_begin_where_their_feet_end(foot_mm: float, noise_mm: float, rows: int) -> None:
    found = begins(page([foot_mm] * rows, noise_mm=noise_mm))
    assert found == pytest.approx([EDGE_MM + foot_mm] * rows, abs=0.25)


def test_one_row_that_goes_on_as_the_foot_ran_is_cut_with_the_others() -> None:
    found = begins(page([7.0] * 4, jumps_mm=(0.9, 0.0, 1.4, -1.1)))
    assert found == pytest.approx([EDGE_MM + 7.0] * 4, abs=0.25)


def test_a_foot_is_known_by_its_flatness_where_the_record_has_no_usual_length() -> None:
    assert begins(page([7.0] * 3, record_mm=203.0)) == pytest.approx([EDGE_MM + 7.0] * 3, abs=0.25)


def test_leads_that_begin_flat_are_kept_if_the_record_is_whole_with_that() -> None:
    assert begins(page([7.0] * 3, record_mm=RECORD_MM - 7.0)) is None


def test_leads_that_begin_as_calm_as_they_are_later_are_kept() -> None:
    assert begins(page([0.0] * 3, record_mm=211.0, calm=True)) is None


def test_feet_that_end_in_every_row_elsewhere_are_the_leads_own() -> None:
    assert begins(page([3.0, 5.5, 9.0])) is None


def test_one_row_of_four_may_seem_to_leave_its_foot_early() -> None:
    assert begins(page([7.0, 7.0, 5.8, 7.0])) == pytest.approx([EDGE_MM + 7.0] * 4, abs=0.25)
    assert begins(page([7.0, 7.0, 5.8])) is None


def test_what_ends_elsewhere_than_the_other_pulses_is_none() -> None:
    feet = [_Foot(edge_mm, 6.8, 0.01, jumps=True) for edge_mm in (18.1, 18.2, 24.9, 18.1)]
    assert _below_one_another([*feet[:2], None, *feet[2:]]) == [*feet[:2], None, None, feet[3]]
    assert _below_one_another([None, None]) == [None, None]


def test_without_a_pulse_there_is_no_foot() -> None:
    assert begins(page([7.0] * 3, pulse=False)) is None


def test_a_first_column_as_wide_as_the_others_has_no_foot_in_it() -> None:
    readings = page([7.0] * 3, record_mm=203.0)
    lengths = {False: 203.0 / 4, True: 210.0 / 4}

    def slots(flat_is_lead: bool) -> list[Slot]:
        pitch, first = lengths[flat_is_lead], EDGE_MM + (0.0 if flat_is_lead else 7.0)
        at = [EDGE_MM, *(first + k * pitch for k in range(1, 5))]
        return [Slot("I", r, k, 4, at[k], at[k + 1], 0.9, True, meets=k > 0) for r in range(3) for k in range(4)]

    assert begins(readings, slots(flat_is_lead=True)) is None
    assert begins(readings, slots(flat_is_lead=False)) == pytest.approx([EDGE_MM + 7.0] * 3, abs=0.25)


@pytest.mark.parametrize("marked", [True, False])
def test_a_pulse_in_which_the_strip_begins_counts_if_it_was_seen(marked: bool) -> None:
    readings = page([7.0] * 3, x0_mm=EDGE_MM - 0.6)
    markers_mm = [(EDGE_MM - PULSE_MM / 2, reading.centre_mm - 5.0) for reading in readings] if marked else []
    found = begins(readings, markers_mm=markers_mm)
    assert (found == pytest.approx([EDGE_MM + 7.0] * 3, abs=0.25)) if marked else found is None


def test_a_row_that_begins_long_before_the_pulses_keeps_its_beginning() -> None:
    readings = page([7.0] * 3)
    rng = np.random.default_rng(2)
    longer = lead_mm(EDGE_MM + 7.0 + RECORD_MM - 9.0, offset_mm=0.0, rng=rng)
    other = strip(longer, number=3, x0_mm=8.0, starts_mm=9.0, ends_mm=EDGE_MM + 7.0 + RECORD_MM)
    found = begins([*readings, other])
    assert found is not None
    assert found[3] == -np.inf


def test_leads_seen_to_begin_behind_the_foot_are_left_alone() -> None:
    rows = [
        strip((HALF_PX - 0.5 - r.height_half) / STRIP_PX_PER_MM, number=k, x0_mm=8.0, starts_mm=EDGE_MM + 7.5,
              ends_mm=EDGE_MM + 7.0 + RECORD_MM)
        for k, r in enumerate(page([7.0] * 3))
    ]  # fmt: skip
    assert [row_ends(row)[0] for row in rows] == pytest.approx([EDGE_MM + 7.5] * 3, abs=0.1)
    assert begins(rows) is None


def first_slot(number: int) -> Slot:
    return Slot("I", number, 0, 1, EDGE_MM, EDGE_MM + RECORD_MM, 1.0, read=True)


@pytest.mark.parametrize("stays_mm", [0.1, 0.75, 1.5, 3.0])
def test_a_lead_begins_where_its_path_has_left_the_top_of_the_pulse(stays_mm: float) -> None:
    (row,) = page([0.0], jumps_mm=(0.0,))
    begin = round(2 * float(row.x_px(EDGE_MM)) + 0.5)
    stays = round(stays_mm * PER_MM)
    height = row.height_half.copy()
    height[begin : begin + stays] = height[begin - 10]  # another lead's stroke falls later
    read = [replace(row, height_half=height)]
    (off,) = off_pulse_tops(read, [first_slot(0)])
    if not 0.25 <= stays_mm <= 2:
        assert off is read[0]
    else:
        assert not off.presence_half[: begin + stays].any()
        assert (off.presence_half[begin + stays + 3 :] == row.presence_half[begin + stays + 3 :]).all()


def test_a_lead_that_does_not_follow_a_pulse_begins_as_it_does() -> None:
    for rows in (page([0.0], pulse=False), page([3.0]), page([0.0], x0_mm=EDGE_MM - 0.5)):
        assert off_pulse_tops(rows, [first_slot(0)])[0] is rows[0]


@pytest.mark.parametrize("above_mm", [9.0, -9.0])
@pytest.mark.parametrize("followed", [True, False])
def test_only_a_stroke_that_was_followed_above_a_lead_is_a_pulse_s_top(above_mm: float, followed: bool) -> None:
    """Before a lead on blank paper the network's path may lie anywhere, as level as a pulse's top."""
    (row,) = page([0.0])
    begin = round(half_column(EDGE_MM, row))
    height, mass = row.height_half.copy(), row.mass_half.copy()
    height[begin - 3 * PER_MM : begin + PER_MM] = HALF_PX - above_mm * STRIP_PX_PER_MM
    mass[:begin] = 1.0 if followed else 0.2
    read = replace(row, height_half=height, mass_half=mass)
    (off,) = off_pulse_tops([read], [first_slot(0)])
    assert (off is not read) == (followed and above_mm > 0)
