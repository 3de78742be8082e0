"""Columns of the same seconds show the same beats; columns that follow one another go on with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS, Layout, limb_leads
from ecgstudio.stages.same_seconds import CLEAR, Others, _beats, _same_beats, columns_are_simultaneous, simultaneity
from tests.drawn_strips import printed

patient = settings(deadline=None, max_examples=20)
FS = 200.0  # columns of a strip per second at 25 mm/s
SECONDS = 10.0
divided = st.sampled_from(["3x4", "3x4+1", "4x3", "6x2", "6x2+1", "6x2-cabrera"]).map(LAYOUTS.__getitem__)


def record(seed: int, *, irregular_s: float, interval_s: float = 0.9) -> F64:
    """Return twelve leads [12, n] of one rhythm: limb leads that obey Einthoven, chest leads of other shapes."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * FS)) / FS
    beats = np.cumsum(interval_s + rng.normal(0, irregular_s, 30)) - rng.uniform(0, interval_s)

    def lead() -> F64:
        qrs, t_wave = rng.uniform(0.4, 1.2) * rng.choice([-1, 1]), rng.uniform(0.1, 0.3)
        late = rng.uniform(-0.008, 0.008)
        shape = sum(qrs * np.exp(-(((t - b - late) / 0.014) ** 2)) for b in beats)
        return shape + sum(t_wave * np.exp(-(((t - b - 0.28) / 0.06) ** 2)) for b in beats)

    return np.concatenate([limb_leads(lead(), lead()), [lead() for _ in range(6)]])


@patient
@given(template=divided, seed=st.integers(0, 9999), together=st.booleans())
def test_an_ordinary_rhythm_tells(template: Layout, seed: int, together: bool) -> None:
    assert columns_are_simultaneous(*printed(template, record(seed, irregular_s=0.04), together=together)) is together


@patient
@given(seed=st.integers(0, 9999), together=st.booleans())
def test_a_rhythm_strip_or_limb_leads_tell_even_of_the_most_regular_rhythm(seed: int, together: bool) -> None:
    mv = record(seed, irregular_s=0.0, interval_s=0.81)
    assert columns_are_simultaneous(*printed(LAYOUTS["3x4+1"], mv, together=together)) is together


def test_a_rhythm_that_repeats_itself_in_every_column_leaves_doubt() -> None:
    mv = record(3, irregular_s=0.0, interval_s=1.0)  # five beats in five seconds, whichever five
    found = [simultaneity(*printed(LAYOUTS["6x2"], mv, together=together)) for together in (True, False)]
    assert max(map(abs, found)) < CLEAR


@pytest.mark.parametrize("interval_s", [0.625, 1.25])
@pytest.mark.parametrize("template", ["3x4", "6x2"])
def test_beats_that_meet_because_the_rhythm_is_regular_say_nothing(interval_s: float, template: str) -> None:
    mv = record(2, irregular_s=0.0, interval_s=interval_s)  # four or two beats in every 2.5 s
    slots, readings = printed(LAYOUTS[template], mv, together=False)
    assert -CLEAR < simultaneity(slots, readings) < 0


@pytest.mark.parametrize("interval_s", [0.622, 0.83])
@pytest.mark.parametrize("irregular_s", [0.004, 0.01])
def test_a_rhythm_that_nearly_comes_back_goes_on(interval_s: float, irregular_s: float) -> None:
    for seed in range(4):
        mv = record(seed, irregular_s=irregular_s, interval_s=interval_s)
        assert not columns_are_simultaneous(*printed(LAYOUTS["3x4"], mv, together=False))


def test_a_rhythm_tells_where_its_later_beats_come() -> None:
    regular = np.array([100.0, 101.0, 99.0, 100.0, 100.5, 99.5])
    back, between = (Others.of(regular, later_px=later) for later in (500.0, 550.0))
    assert back.density(0.0) > 5 * back.density(30.0)
    assert back.tell_apart(FS) < 0.2 < 0.6 < between.tell_apart(FS)
    anywhere = Others.of(regular[:2], later_px=500.0)
    assert anywhere.density(0.0) == anywhere.density(30.0) == 1 / 100.5
    assert anywhere.tell_apart(FS) == 1.0
    early = Others.of(np.r_[regular, 203.0], later_px=508.0)  # a beat between two was missed
    assert early.density(-8.0) > 2 * early.density(8.0)


@pytest.mark.parametrize(
    ("late_s", "same"), [(0.0, True), (0.008, True), (-0.012, True), (0.05, False), (-0.055, False)]
)
def test_beats_that_all_come_some_hundredths_of_a_second_later_are_others(late_s: float, same: bool) -> None:
    """Where three beats last nearly as long as a column, beats of other seconds meet, too."""
    beats = np.array([0.2, 0.84, 1.485]) * FS
    assert (_same_beats(beats, beats + late_s * FS, round(1.94 * FS), FS) > 0) is same


def test_misread_limb_leads_do_not_outvote_the_beats() -> None:
    mv = record(5, irregular_s=0.04)
    slots, readings = printed(LAYOUTS["3x4+1"], mv, together=True)
    wrong = [readings[i] for i in (1, 0, 2, 3)]  # names of two rows changed places
    assert columns_are_simultaneous(slots, wrong)


@pytest.mark.parametrize("template", ["12x1", "6x1"])
def test_a_single_column_is_no_question(template: str) -> None:
    assert simultaneity(*printed(LAYOUTS[template], record(1, irregular_s=0.04), together=False)) == -np.inf


def test_strips_without_beats_are_read_as_usual() -> None:
    assert not columns_are_simultaneous(*printed(LAYOUTS["6x2"], np.zeros((12, 2000)), together=True))


@patient
@given(seed=st.integers(0, 9999), together=st.booleans())
def test_a_column_that_is_cut_off_takes_nothing_from_the_others(seed: int, together: bool) -> None:
    slots, readings = printed(LAYOUTS["3x4"], record(seed, irregular_s=0.04), together=together)
    cut = [replace(s, end_mm=s.start_mm + 20.0) if s.column == 3 else s for s in slots]
    assert columns_are_simultaneous(cut, readings) is together


@pytest.mark.parametrize("seed", range(3))
def test_columns_of_ten_seconds_each_are_a_whole_record_side_by_side(seed: int) -> None:
    mv = np.concatenate([record(seed, irregular_s=0.0, interval_s=1.0)] * 2, axis=1)  # beats alone cannot tell
    slots, readings = printed(LAYOUTS["6x2"], mv)
    assert columns_are_simultaneous(slots, readings)


def test_the_flanks_of_wide_beats_are_one_beat() -> None:
    n, rng = 2000, np.random.default_rng(0)
    activity = np.zeros(n)
    middles = np.arange(100, n, 170)
    for middle in middles:  # of two flanks now the one, now the other is the steeper
        for side in (-1, 1):
            activity += rng.uniform(0.8, 1.2) * np.exp(-(((np.arange(n) - middle - 6 * side) / 3.0) ** 2))
    assert np.abs(_beats(activity, FS) - middles).max() < 2.0
