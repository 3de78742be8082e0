"""Two prints of one lead tell how far the print is skewed against the paper."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import LeadTrace
from ecgstudio.stages.print_skew import print_skew, supposed_skew

FS = 500.0


def wave(t_s: F64) -> F64:
    return np.asarray(sum(np.exp(-0.5 * ((t_s - beat) / 0.012) ** 2) for beat in np.arange(0.3, 10, 0.83)))


def trace(mv: F64, *, t0_s: float = 0.0) -> LeadTrace:
    return LeadTrace("II", t0_s, FS, mv.astype(np.float32), np.zeros((len(mv), 2)), np.ones(len(mv), np.float32))


def prints(late_s: float, *, t0_s: float = 2.5) -> tuple[LeadTrace, LeadTrace]:
    t_s = np.arange(5000) / FS
    return trace(wave(t_s[:1250] + t0_s), t0_s=t0_s), trace(wave(t_s - late_s))


@pytest.mark.parametrize("skew", [0.004, -0.009, 0.0151])
@pytest.mark.parametrize("down_mm", [25.0, 60.0, -40.0])
def test_the_shift_between_two_prints_is_the_skew_times_their_distance(skew: float, down_mm: float) -> None:
    pair = (*prints(skew * down_mm / 25.0), down_mm)
    assert print_skew([pair], mm_per_s=25.0) == pytest.approx(skew, abs=3e-4)


def test_a_skew_too_small_to_matter_is_none() -> None:
    assert print_skew([(*prints(0.001), 60.0)], mm_per_s=25.0) == 0.0


@pytest.mark.parametrize("late_s", [0.1, 0.055])
def test_a_shift_beyond_all_skews_is_none(late_s: float) -> None:
    assert print_skew([(*prints(late_s), 25.0)], mm_per_s=25.0) == 0.0


def test_prints_that_are_not_alike_tell_nothing() -> None:
    short, long = prints(0.02)
    noisy = trace(long.mv + np.random.default_rng(1).normal(0, 0.2, 5000))
    assert print_skew([(short, noisy, 40.0)], mm_per_s=25.0) == 0.0
    assert print_skew([], mm_per_s=25.0) == 0.0
    assert print_skew([(short, long, 3.0)], mm_per_s=25.0) == 0.0


def column(skew: float, *, t0_s: float = 0.0) -> list[tuple[LeadTrace, float]]:
    """Three leads of the same seconds whose waves differ in height and sign, 25 mm below one another."""
    t_s = t0_s + np.arange(1250) / FS
    rows = ((40.0, 1.0), (65.0, 0.4), (90.0, -0.7))
    return [(trace(height * wave(t_s - skew * y_mm / 25.0), t0_s=t0_s), y_mm) for y_mm, height in rows]


def starts(skew: float, *off_mm: float) -> list[tuple[float, float]]:
    return [(y_mm, 12.0 + skew * y_mm + off) for y_mm, off in zip((40.0, 65.0, 90.0), off_mm or (0, 0, 0), strict=True)]


@pytest.mark.parametrize("skew", [0.004, -0.009, 0.015])
def test_beats_and_beginnings_of_rows_tell_the_skew_together(skew: float) -> None:
    columns = [column(skew), column(skew, t0_s=2.5)]
    assert supposed_skew(columns, starts(skew), mm_per_s=25.0) == pytest.approx(skew, abs=5e-4)


@pytest.mark.parametrize(
    ("by_beats", "by_starts", "expected"),
    [
        (0.008, 0.003, 0.003),
        (0.004, 0.012, 0.004),
        (0.006, -0.006, 0),
        (0.0, 0.006, 0),
        (0.006, 0.0, 0),
        (0.001, 0.002, 0),
    ],
)
def test_only_what_beats_and_beginnings_both_say_counts(by_beats: float, by_starts: float, expected: float) -> None:
    found = supposed_skew([column(by_beats)], starts(by_starts), mm_per_s=25.0)
    assert found == pytest.approx(expected, abs=5e-4)


def test_one_row_that_begins_late_is_no_skew() -> None:
    assert supposed_skew([column(0.0)], starts(0.0, 0, 0, 4.0), mm_per_s=25.0) == 0.0
    assert supposed_skew([column(0.006)], starts(0.006, 0, 0, 4.0), mm_per_s=25.0) == pytest.approx(0.006, abs=5e-4)


def test_without_simultaneous_leads_or_rows_nothing_is_supposed() -> None:
    lone = [[each] for each in column(0.01)]
    unread = [(trace(np.full(1250, np.nan)), y_mm) for y_mm in (40.0, 65.0)]
    assert supposed_skew(lone, starts(0.01), mm_per_s=25.0) == 0.0
    assert supposed_skew([unread], starts(0.01), mm_per_s=25.0) == 0.0
    assert supposed_skew([column(0.01)], starts(0.01)[:1], mm_per_s=25.0) == 0.0
    assert supposed_skew([], [], mm_per_s=25.0) == 0.0
