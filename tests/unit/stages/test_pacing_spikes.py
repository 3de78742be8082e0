"""Pacing spikes: needles of many rows at once, beat after beat; single needles, ticks, marks and scribbles are none."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.stages.pacing_spikes import pacing_spikes, with_spikes
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.stage2_trace import lead_trace
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

HALF_PX = 240
WIDTH_MM = 250.0
AXES_MM = (40.0, 65.0, 90.0)
TIMES_MM = (30.0, 55.0, 100.0, 150.0, 200.0)
UP_MM = (8.0, -12.0, 4.0)  # lead by lead: a heart's leads see a pulse from different sides


def reading(axis_mm: float, tips_mm: list[tuple[float, float]]) -> StripReading:
    """Return a level trace with needles whose tips (x, mm above the axis) these are."""
    halves = round(WIDTH_MM * STRIP_PX_PER_MM) * 2
    level = np.full(halves, HALF_PX - 0.5)
    found = [
        (x * 2 * STRIP_PX_PER_MM - 0.5, HALF_PX - 0.5 - up * STRIP_PX_PER_MM, abs(up) * STRIP_PX_PER_MM)
        for x, up in sorted(tips_mm)
    ]
    return StripReading(
        Row(axis_mm, 5.0, 245.0, 0.9), 0.0, axis_mm, HALF_PX, level, np.ones(halves), np.ones(halves), np.zeros(halves),
        needles=np.array(found, np.float64).reshape(-1, 3),
    )  # fmt: skip


def slots(rows: int) -> list[Slot]:
    return [Slot("II", row, 0, 1, 5.0, 245.0, 0.9, True) for row in range(rows)]


def page(
    ups_mm: tuple[float, ...] = UP_MM, times_mm: tuple[float, ...] = TIMES_MM, axes_mm: tuple[float, ...] = AXES_MM
) -> list[StripReading]:
    return [reading(axis, [(x, up) for x in times_mm]) for axis, up in zip(axes_mm, ups_mm, strict=True)]


def test_spikes_of_all_rows_are_found() -> None:
    for spikes, axis, up in zip(pacing_spikes(page(), slots(3)), AXES_MM, UP_MM, strict=True):
        assert spikes[:, 0] == pytest.approx(TIMES_MM, abs=0.01)
        assert spikes[:, 1] == pytest.approx(np.full(len(TIMES_MM), axis - up), abs=0.01)


def test_all_leads_see_a_spike_at_the_same_time_whatever_the_skew() -> None:
    skew, wrong_mm = 0.004, (0.02, -0.03, 0.01)
    rows = [
        reading(axis, [(x + skew * (axis - 65.0) + off, up) for x in TIMES_MM])
        for axis, up, off in zip(AXES_MM, UP_MM, wrong_mm, strict=True)
    ]
    at_mm = [
        spikes[:, 0] - skew * (axis - 65.0)
        for spikes, axis in zip(pacing_spikes(rows, slots(3), skew=skew), AXES_MM, strict=True)
    ]
    assert at_mm[0] == pytest.approx(TIMES_MM, abs=0.02)
    assert at_mm[0] == pytest.approx(at_mm[1], abs=1e-6)
    assert at_mm[0] == pytest.approx(at_mm[2], abs=1e-6)


def test_two_phases_of_a_spike_keep_their_order() -> None:
    rows = [reading(axis, [(x, up) for x in TIMES_MM] + [(x + 0.15, -up) for x in TIMES_MM])
            for axis, up in zip(AXES_MM, UP_MM, strict=True)]  # fmt: skip
    first = pacing_spikes(rows, slots(3))[0]
    assert first[::2, 0] == pytest.approx(TIMES_MM, abs=0.01)
    assert first[1::2, 0] == pytest.approx(np.array(TIMES_MM) + 0.15, abs=0.01)
    assert (first[::2, 1] < AXES_MM[0]).all()
    assert (first[1::2, 1] > AXES_MM[0]).all()


def none(rows: list[StripReading], where: list[Slot]) -> bool:
    return all(not len(spikes) for spikes in pacing_spikes(rows, where))


def test_one_row_among_many_shows_no_pacing() -> None:
    rows = [reading(axis, []) for axis in AXES_MM]
    rows[1] = page()[1]
    assert none(rows, slots(3))


def test_a_page_of_one_row_may_show_pacing() -> None:
    assert none([reading(40.0, [(x, 8.0) for x in TIMES_MM])], slots(1))  # all alike: marks
    (spikes,) = pacing_spikes(
        [reading(40.0, [(x, up) for x, up in zip(TIMES_MM, (4.0, 8.0, 12.0, 16.0, 5.5), strict=True)])], slots(1)
    )
    assert len(spikes) == len(TIMES_MM)


def test_fewer_than_three_needles_in_time_are_no_pacing() -> None:
    assert none(page(times_mm=TIMES_MM[:2]), slots(3))


def test_marks_that_are_alike_in_all_leads_are_no_voltage() -> None:
    assert none(page((10.0, 9.5, 10.5)), slots(3))


def test_rows_close_together_are_left_alone() -> None:
    assert none(page(axes_mm=(40.0, 50.0, 60.0)), slots(3))


def test_ticks_between_columns_are_no_spikes() -> None:
    columns = [Slot("II", row, k, 5, a, b, 0.9, True) for row in range(3)
               for k, (a, b) in enumerate(zip((5.0, *TIMES_MM), TIMES_MM, strict=False))]  # fmt: skip
    assert none(page(), columns)


def test_a_stroke_that_comes_near_another_row_is_that_rows() -> None:
    assert none(page((-24.0, -24.5, 24.0)), slots(3))


def test_scribbles_are_no_spikes() -> None:
    rows = [reading(axis, [(x + k, up + k) for x in TIMES_MM for k in (0.0, 1.0, 2.0)])
            for axis, up in zip(AXES_MM, UP_MM, strict=True)]  # fmt: skip
    assert none(rows, slots(3))


def test_a_page_without_needles_has_none() -> None:
    assert none([reading(axis, []) for axis in AXES_MM], slots(3))


def test_a_spike_is_as_high_as_its_tip_and_as_narrow_as_a_record_allows() -> None:
    x_mm = np.arange(0, 50, 0.05)
    y_mm = with_spikes(x_mm, np.full(len(x_mm), 40.0), np.array([[20.0, 31.0]]), mm_per_s=25.0)
    assert y_mm.min() == pytest.approx(31.0, abs=0.05)
    assert 3 <= (np.abs(y_mm - 40.0) > 0.5).sum() <= 5  # samples of 2 ms
    assert y_mm[np.abs(x_mm - 20.0) > 0.3] == pytest.approx(40.0, abs=0.01)


def test_the_record_of_a_lead_shows_its_spikes() -> None:
    x, y = np.meshgrid(np.arange(0, WIDTH_MM + 5, GRID_PITCH_MM), np.arange(0, 105, GRID_PITCH_MM))
    grid = GridFit(np.stack([x, y], axis=-1) * 8.0, PaperScale(25.0, 10.0, "test"), 0.9)
    plain, paced = (
        lead_trace(slots(1)[0], reading(40.0, []), grid, 5.0, spikes_mm=spikes)
        for spikes in ((), np.array([[100.0, 28.0]]))
    )
    assert plain is not None
    assert paced is not None
    assert np.abs(plain.mv).max() < 0.01
    assert paced.mv.max() == pytest.approx(1.2, abs=0.02)
    at_s = paced.t0_s + int(paced.mv.argmax()) / paced.fs
    assert at_s == pytest.approx((100.0 - 5.0) / 25.0, abs=0.003)
