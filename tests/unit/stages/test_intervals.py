"""Intervals measured on synthetic records whose waves, and so whose intervals, are known.

A Gaussian wave's truth: its edge for QRS lies 2.5 standard deviations from its middle, where 4 % of its height is left;
the tangent to the flank of P or T meets the zero line exactly 2 standard deviations from the peak.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from ecgstudio.core.arrays import F32
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.fiducials import Fiducial, FiducialEdit, FiducialPlace
from ecgstudio.core.leads import LEADS, limb_leads
from ecgstudio.stages.intervals import QTC_FORMULAS, Intervals, measure_intervals
from training.signals import synthesize_record
from training.signals.rhythms import draw_rhythm
from training.signals.waves import LEAD_VECTORS, MORPHOLOGIES, P_WAVES, Wave

FS = 500.0
RATE_TOLERANCE, QRS_TOLERANCE_MS, QT_TOLERANCE_MS, PR_TOLERANCE_MS = 1.0, 20.0, 25.0, 20.0
PAGES = ("12x1", "3x4+1", "3x4")


@dataclass(frozen=True)
class Truth:
    mv: F32
    rate: float
    pr_ms: float
    qrs_ms: float
    qt_ms: float


def clean_ecg(
    morphology: str = "normal", *, rate: float = 75.0, p_delay_s: float = 0.0, has_p: bool = True,
    noise_mv: float = 0.0, wander_mv: float = 0.0, gain: float = 1.0,
) -> Truth:  # fmt: skip
    """Make ten seconds of a regular rhythm out of the generator's own waves."""
    rng = np.random.default_rng(3)
    t_s = np.arange(round(10 * FS)) / FS
    rr_s = 60 / rate
    pace = float(np.clip(rr_s / 0.8, 0.35, 2.0)) ** 0.5
    waves = MORPHOLOGIES[morphology][1].waves
    chest = np.zeros((8, len(t_s)))
    for at_s in np.arange(-1.877, 12.0, rr_s):
        for wave in (*waves, *(P_WAVES if has_p else ())):
            late = pace if wave.part in "tu" else 1.0
            away_s = t_s - at_s - wave.at_s * late + (p_delay_s if wave.part == "p" else 0.0)
            sigma_s = np.where(away_s < 0, wave.rise_s, wave.fall_s) * late
            vector = LEAD_VECTORS @ np.array(wave.vector_mv) * gain
            chest += vector[:, None] * np.exp(-0.5 * (away_s / sigma_s) ** 2)
    chest += noise_mv * rng.normal(size=chest.shape)
    chest += wander_mv * np.sin(2 * np.pi * 0.25 * t_s + rng.uniform(0, 6, (8, 1)))
    mv = np.concatenate([limb_leads(chest[0], chest[1]), chest[2:]]).astype(np.float32)
    qrs: list[Wave] = [wave for wave in waves if wave.part == "qrs"]
    on_s = min(wave.at_s - 2.5 * wave.rise_s for wave in qrs)
    off_s = max(wave.at_s + 2.5 * wave.fall_s for wave in qrs)
    t_wave = next(wave for wave in waves if wave.part == "t")
    p_on_s = P_WAVES[0].at_s - 2 * P_WAVES[0].rise_s - p_delay_s
    qt_s = (t_wave.at_s + 2 * t_wave.fall_s) * pace - on_s
    return Truth(mv, rate, 1000 * (on_s - p_on_s), 1000 * (off_s - on_s), 1000 * qt_s)


def printed(mv: F32, page: str) -> EcgRecord:
    """Keep what a page of this layout would show of a record."""
    if page == "12x1":
        return EcgRecord(mv, FS)
    shown = np.full_like(mv, np.nan)
    quarter = mv.shape[1] // 4
    for lead in range(12):
        column = slice(lead // 3 * quarter, (lead // 3 + 1) * quarter)
        shown[lead, column] = mv[lead, column]
    if page == "3x4+1":
        shown[LEADS.index("II")] = mv[LEADS.index("II")]
    return EcgRecord(shown, FS)


def assert_measured(found: Intervals, truth: Truth) -> None:
    assert found.rate_per_min == pytest.approx(truth.rate, abs=RATE_TOLERANCE)
    assert found.qrs_ms == pytest.approx(truth.qrs_ms, abs=QRS_TOLERANCE_MS)
    assert found.qt_ms == pytest.approx(truth.qt_ms, abs=QT_TOLERANCE_MS)
    assert found.pr_ms == pytest.approx(truth.pr_ms, abs=PR_TOLERANCE_MS)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "morphology",
    [
        "normal", "left bundle branch block", "right bundle branch block", "left ventricular hypertrophy",
        "anterior infarction", "inferior infarction", "T inversion", "peaked T",
    ],
)  # fmt: skip
def test_intervals_are_right_for_every_shape_and_layout(morphology: str, page: str) -> None:
    truth = clean_ecg(morphology)
    assert_measured(measure_intervals(printed(truth.mv, page)), truth)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("rate", [35.0, 45.0, 60.0, 100.0, 120.0])
def test_intervals_are_right_at_slow_and_fast_rates(rate: float, page: str) -> None:
    truth = clean_ecg(rate=rate)
    assert_measured(measure_intervals(printed(truth.mv, page)), truth)


@pytest.mark.parametrize("page", PAGES)
def test_a_long_pr_is_measured(page: str) -> None:
    truth = clean_ecg(p_delay_s=0.1)
    assert_measured(measure_intervals(printed(truth.mv, page)), truth)


@pytest.mark.parametrize("page", PAGES)
def test_noise_wander_and_low_voltage_do_not_hide_the_intervals(page: str) -> None:
    for truth in (clean_ecg(noise_mv=0.02, wander_mv=0.1), clean_ecg(gain=0.35, noise_mv=0.005)):
        assert_measured(measure_intervals(printed(truth.mv, page)), truth)


def test_a_fast_rhythm_in_which_p_runs_into_t_has_no_pr_but_a_reason() -> None:
    found = measure_intervals(EcgRecord(clean_ecg(rate=180.0).mv, FS))
    assert found.rate_per_min == pytest.approx(180, abs=1)
    assert math.isnan(found.pr_ms)
    assert "P" in found.why_not(Fiducial.P_ON, Fiducial.QRS_ON)


def test_without_p_waves_there_is_no_pr_but_a_reason() -> None:
    found = measure_intervals(EcgRecord(clean_ecg(has_p=False, noise_mv=0.01).mv, FS))
    assert math.isnan(found.pr_ms)
    assert found.why_not(Fiducial.P_ON, Fiducial.QRS_ON) == "no P wave at a constant distance before QRS"
    assert found.why_not(Fiducial.QRS_ON, Fiducial.T_END) == ""


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_an_empty_record_has_no_rate_but_a_reason(fill: float) -> None:
    found = measure_intervals(EcgRecord(np.full((12, 5000), fill), FS))
    assert not len(found.beats_s)
    assert math.isnan(found.rate_per_min)
    assert math.isnan(found.qtc_ms("Bazett"))
    assert found.reasons["rate"]
    assert found.why_not(Fiducial.QRS_ON, Fiducial.QRS_OFF)


def test_a_single_beat_has_intervals_but_no_rate() -> None:
    mv = clean_ecg(rate=40.0).mv.copy()
    mv[:, 1000:] = np.nan  # R peaks stand at 1.123 s and 2.623 s
    found = measure_intervals(EcgRecord(mv, FS))
    assert len(found.beats_s) == 1
    assert math.isnan(found.rate_per_min)
    assert found.reasons["rate"] == "a single beat has no rate"
    assert found.qrs_ms == pytest.approx(clean_ecg().qrs_ms, abs=QRS_TOLERANCE_MS)


def test_holes_in_the_traces_are_left_out() -> None:
    truth = clean_ecg()
    mv = truth.mv.copy()
    rng = np.random.default_rng(0)
    for lead in range(12):
        for start in rng.integers(0, 4900, 8):
            mv[lead, start : start + 40] = np.nan
    assert_measured(measure_intervals(EcgRecord(mv, FS)), truth)


def test_beats_stand_where_the_hearts_beats_are() -> None:
    truth = clean_ecg()
    expected = np.arange(-1.877, 10.0, 0.8)
    expected = expected[expected > 0]
    np.testing.assert_allclose(measure_intervals(EcgRecord(truth.mv, FS)).beats_s, expected, atol=0.02)


SINUS_SEEDS = (0, 2, 3, 4, 6, 9, 10, 11)


@pytest.mark.parametrize("seed", SINUS_SEEDS)
def test_the_rate_of_random_hearts_in_sinus_rhythm_is_right(seed: int) -> None:
    state = np.random.default_rng(seed)
    state.integers(2**32)  # the record's id is drawn first
    rhythm = draw_rhythm(state, 10.0)
    assert rhythm.name == "sinus"
    at_s = np.array([event.at_s for event in rhythm.events if event.kind == "qrs" and 0.05 <= event.at_s <= 9.95])
    record = synthesize_record(np.random.default_rng(seed))
    found = measure_intervals(printed(record.mv, "3x4+1"))
    assert found.rate_per_min == pytest.approx(60 / np.mean(np.diff(at_s)), abs=1.5)


def test_a_fiducial_moved_by_hand_changes_its_intervals_only() -> None:
    found = measure_intervals(EcgRecord(clean_ecg(has_p=False).mv, FS))
    moved = found.with_fiducial(Fiducial.T_END, found.fiducials[Fiducial.T_END] + 0.02)
    assert moved.qt_ms == pytest.approx(found.qt_ms + 20)
    assert moved.qrs_ms == found.qrs_ms
    assert moved.by_hand == {Fiducial.T_END}
    placed = moved.with_fiducial(Fiducial.P_ON, found.fiducials[Fiducial.QRS_ON] - 0.16)
    assert placed.pr_ms == pytest.approx(160)
    assert placed.why_not(Fiducial.P_ON) == ""


def test_what_a_human_placed_is_an_edit_that_gives_it_back() -> None:
    found = measure_intervals(EcgRecord(clean_ecg().mv, FS))
    assert found.edit is None
    moved = found.with_fiducial(Fiducial.T_END, 0.41).with_fiducial(Fiducial.P_ON, -0.2)
    assert moved.edit == FiducialEdit((FiducialPlace("P onset", -0.2), FiducialPlace("T end", 0.41)))
    again = found.with_edit(moved.edit)
    assert (again.fiducials, again.by_hand) == (moved.fiducials, moved.by_hand)
    assert found.with_edit(None).fiducials == found.fiducials


def test_the_four_corrections_of_qt_agree_at_sixty_and_differ_as_published_at_hundred() -> None:
    """400 ms at 100/min; by hand: 400/sqrt(0.6), 400/0.6**(1/3), 400 + 154 * 0.4, 400 + 1.75 * 40."""
    fiducials = {Fiducial.QRS_ON: 0.0, Fiducial.T_END: 0.4}
    at = {rate: Intervals(np.arange(10) * 60 / rate, np.ones(10, bool), fiducials) for rate in (60, 100)}
    assert [at[60].qtc_ms(name) for name in QTC_FORMULAS] == pytest.approx([400.0] * 4)
    expected = {"Bazett": 516.4, "Fridericia": 474.3, "Framingham": 461.6, "Hodges": 470.0}
    assert {name: at[100].qtc_ms(name) for name in QTC_FORMULAS} == pytest.approx(expected, abs=0.1)
