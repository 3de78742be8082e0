"""What traces show of having been misread: each sign rises with its cause, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LEADS, limb_leads
from ecgstudio.stages.trace_signs import (
    TraceSigns,
    crowding,
    leaps_of,
    look_at,
    odd_length,
    other_gain,
    vague_share,
)

FS = 500.0
PX_PER_MM = 8.0
TOLD = PaperScale(25.0, 10.0, "speed printed, gain pulse")
UNTOLD = PaperScale(25.0, 10.0, "speed assumed, gain assumed")


def paper(scale: PaperScale = TOLD) -> GridFit:
    y, x = np.mgrid[:60, :60] * 5 * PX_PER_MM
    return GridFit(np.stack([x, y], axis=-1), scale, 0.9)


def beats_mv(seconds: float = 10.0, *, pace_s: float = 0.8, qrs_s: float = 0.012) -> F64:
    """Return one lead's beats: a QRS of 1 mV and a T wave."""
    t_s = np.arange(round(seconds * FS)) / FS
    since = (t_s + pace_s / 2) % pace_s - pace_s / 2
    return np.exp(-0.5 * (since / qrs_s) ** 2) + 0.25 * np.exp(-0.5 * ((since - 0.25) / 0.05) ** 2)


def heart_mv(*, pace_s: float = 0.8, qrs_s: float = 0.012) -> F64:
    """Return twelve leads of which each chest lead is nearly a mixture of those beside it."""
    first = beats_mv(pace_s=pace_s, qrs_s=qrs_s)
    second = np.roll(first, 15)
    across = np.linspace(0, 2, 6)
    chest = 1.5 * (np.outer(np.cos(across), first) + np.outer(np.sin(across), second))
    return np.concatenate([limb_leads(0.6 * first, 0.8 * first), chest])


def lay(mv: F64, *, level_mm: float, lead: str = "II", confidence: float = 0.9) -> LeadTrace:
    mm = np.column_stack([10 + 25 * np.arange(len(mv)) / FS, level_mm - 10 * np.nan_to_num(mv)])
    sure = np.where(np.isfinite(mv), confidence, 0).astype(np.float32)
    return LeadTrace(lead, 0.0, FS, mv.astype(np.float32), PX_PER_MM * mm, sure)


def signs_of(mv: F64, scale: PaperScale = TOLD) -> TraceSigns:
    traces = [lay(lead_mv, level_mm=15.0 * (row + 1), lead=LEADS[row]) for row, lead_mv in enumerate(mv)]
    return look_at(traces, mv, fs=FS, grid=paper(scale))


def test_rows_apart_are_not_crowded() -> None:
    crowded, share = crowding([lay(beats_mv(), level_mm=20), lay(beats_mv(), level_mm=50, lead="V1")], paper())
    assert (crowded, share) == ({"II": 0.0, "V1": 0.0}, 0.0)


def test_a_tall_wave_that_runs_along_another_row_is_crowded_in_its_own_lead() -> None:
    tall = 3.0 * beats_mv()
    above = lay(np.zeros(len(tall)), level_mm=20, lead="I")
    crowded, share = crowding([above, lay(tall, level_mm=50)], paper())
    assert crowded["II"] > 0.1
    assert 0.1 < share <= 1
    assert crowding([above, lay(tall, level_mm=62)], paper())[1] == 0


def test_a_lead_alone_on_the_paper_is_not_crowded() -> None:
    assert crowding([lay(beats_mv(), level_mm=20)], paper()) == ({"II": 0.0}, 0.0)


def test_a_hole_is_no_company() -> None:
    mine, other = beats_mv(), np.full(5000, np.nan)
    other[:500] = 0.0
    assert crowding([lay(mine, level_mm=20), lay(other, level_mm=20, lead="V1")], paper())[0]["II"] < 0.2


def test_a_leap_is_told_with_its_lead() -> None:
    broken = beats_mv()
    broken[2600:] += 2.0
    leaps = leaps_of([lay(beats_mv(), level_mm=20, lead="I"), lay(broken, level_mm=50)])
    assert leaps["II"] > 1.5
    assert leaps["I"] < 1.0


def test_what_is_vague_is_weighed_by_its_power() -> None:
    mv = beats_mv()
    sure = np.where(mv > 0.5, 0.1, 1.0).astype(np.float32)
    waves, lines = (replace(lay(mv, level_mm=20), confidence=c) for c in (sure, 1.1 - sure))
    assert vague_share([waves]) > 0.4
    assert vague_share([lines]) < 0.4 < vague_share([waves])
    assert vague_share([]) == 1.0


def test_what_was_not_read_is_vague() -> None:
    mv = beats_mv()
    mv[2500:] = np.nan
    assert vague_share([lay(mv, level_mm=20, confidence=1.0)]) == pytest.approx(0.5, abs=0.01)


def test_chest_leads_that_follow_each_other_are_told_from_others() -> None:
    mv = heart_mv()
    wrong = mv.copy()
    wrong[8] = np.roll(1.5 * wrong[8], 40)
    right, misread = signs_of(mv), signs_of(wrong)
    good, bad = right.chest, misread.chest
    assert good is not None
    assert bad is not None
    assert good < 0.02 < 0.1 < bad
    assert max(misread.unlike, key=lambda lead: misread.unlike[lead]) in ("V2", "V3", "V4")


def test_without_beats_the_chest_leads_are_not_judged() -> None:
    assert signs_of(np.zeros((12, 5000))).chest is None


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_hearts_drawn_too_small_or_too_large_question_a_gain_that_nothing_tells(factor: float) -> None:
    assert other_gain(factor * heart_mv(), UNTOLD) > 0.5
    assert other_gain(heart_mv(), UNTOLD) < 0.2
    assert other_gain(factor * heart_mv(), TOLD) < 0.2


def test_chest_leads_alone_too_small_question_their_gain() -> None:
    mv = heart_mv()
    mv[6:] *= 0.3
    assert other_gain(mv, TOLD) > 10 * other_gain(heart_mv(), TOLD)


def test_too_few_leads_say_nothing_of_the_gain() -> None:
    mv = np.full((12, 5000), np.nan)
    mv[1] = 0.1 * beats_mv()
    assert other_gain(mv, UNTOLD) == 0


def test_slow_wide_beats_question_the_speed() -> None:
    stretched = signs_of(heart_mv(pace_s=1.7, qrs_s=0.03), UNTOLD)
    assert stretched.speed > 0.6
    assert signs_of(heart_mv(), UNTOLD).speed < 0.05
    assert signs_of(heart_mv(pace_s=1.7), TOLD).speed < 0.5  # a slow heart whose QRS is as short as any


@pytest.mark.parametrize(("seconds", "off"), [(10.0, 0.0), (9.7, 0.03), (5.0, 0.0), (2.6, 0.04), (7.5, 0.25)])
def test_a_time_that_no_cart_prints_is_told(seconds: float, off: float) -> None:
    assert odd_length([lay(beats_mv(seconds), level_mm=20)]) == pytest.approx(off, abs=0.001)


@settings(deadline=None)
@given(
    scale=st.sampled_from([TOLD, UNTOLD, PaperScale(50.0, 20.0, "speed assumed, gain pulse")]),
    factor=st.floats(1e-3, 1e3), pitch_mm=st.floats(0, 30), seed=st.integers(0, 99),
)  # fmt: skip
def test_shares_and_chances_stay_between_nothing_and_all(
    scale: PaperScale, factor: float, pitch_mm: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mv = factor * rng.normal(size=(12, 1500))
    mv[rng.random(mv.shape) < 0.05] = np.nan
    traces = [lay(each, level_mm=pitch_mm * row, lead=LEADS[row]) for row, each in enumerate(mv)]
    signs = look_at(traces, mv, fs=FS, grid=paper(scale))
    shares = (signs.crowded_share, signs.vague, signs.gain, signs.speed, signs.chest or 0.0, *signs.crowded.values())
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in shares)
