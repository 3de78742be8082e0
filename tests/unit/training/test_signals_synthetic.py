"""Our own ECG: the same for the same seed, true to Einthoven, and of the size and pace of a heart's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import find_peaks

from training.signals import open_source, synthesize_record
from training.signals.record import unusable_reason
from training.signals.rhythms import RHYTHMS
from training.signals.waves import MORPHOLOGIES

ROUNDING_MV = 4e-6  # float32 at a few millivolt


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_limb_leads_obey_einthoven_and_goldberger(seed: int) -> None:
    i, ii, iii, avr, avl, avf = synthesize_record(np.random.default_rng(seed)).mv[:6].astype(np.float64)
    np.testing.assert_allclose(i + iii, ii, atol=ROUNDING_MV)
    np.testing.assert_allclose(avr, -(i + ii) / 2, atol=ROUNDING_MV)
    np.testing.assert_allclose(avl, (i - iii) / 2, atol=ROUNDING_MV)
    np.testing.assert_allclose(avf, (ii + iii) / 2, atol=ROUNDING_MV)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    duration_s=st.floats(1.0, 60.0),
    fs=st.sampled_from([100.0, 250.0, 500.0, 1000.0]),
)
def test_any_length_and_rate_gives_a_finite_record_of_that_shape(
    seed: int, duration_s: float, fs: float
) -> None:
    record = synthesize_record(np.random.default_rng(seed), duration_s=duration_s, fs=fs)
    assert record.mv.shape == (12, round(duration_s * fs))
    assert np.isfinite(record.mv).all()
    assert np.abs(record.mv).max() < 10.0


def test_the_same_index_gives_the_same_record_and_another_index_another() -> None:
    source = open_source("synthetic")
    first, again, other = source[5], open_source("synthetic")[5], source[6]
    np.testing.assert_array_equal(first.mv, again.mv)
    assert (first.id, first.labels) == (again.id, again.labels)
    assert not np.array_equal(first.mv, other.mv)


def test_train_and_validation_share_no_record() -> None:
    assert not np.array_equal(open_source("synthetic", "train")[0].mv, open_source("synthetic", "val")[0].mv)


def test_an_index_past_the_end_is_an_index_error() -> None:
    source = open_source("synthetic")
    with pytest.raises(IndexError):
        source[len(source)]


def test_synthetic_records_pass_the_checks_of_real_ones() -> None:
    source = open_source("synthetic")
    assert [index for index in range(150) if unusable_reason(source[index].mv)] == []


def test_every_rhythm_and_morphology_occurs() -> None:
    source = open_source("synthetic")
    labels = [source[index].labels for index in range(400)]
    assert {label["rhythm"] for label in labels} == set(RHYTHMS)
    assert {label["morphology"] for label in labels} == {*MORPHOLOGIES, "ventricular"}


def test_amplitudes_span_what_hearts_do() -> None:
    """Medians as in PTB-XL (0.8 to 1.5 mV in II and V2-V5), and now and then a lead beyond 3.5 mV."""
    source = open_source("synthetic")
    largest_mv = np.array([np.abs(source[index].mv).max(axis=1) for index in range(300)])
    medians = np.median(largest_mv, axis=0)
    assert (medians[[1, 7, 8, 9, 10]] > 0.7).all()
    assert (medians < 1.8).all()
    assert largest_mv.max() > 3.5


def test_a_quiet_sinus_rhythm_beats_at_its_rate() -> None:
    source = open_source("synthetic")
    seen = 0
    for index in range(60):
        record = source[index]
        if (record.labels["rhythm"], record.labels["morphology"]) != ("sinus", "normal"):
            continue
        steepness = np.abs(np.diff(record.mv[6:].astype(np.float64), axis=1)).sum(axis=0)
        smooth = np.convolve(steepness, np.ones(40) / 40, mode="same")
        beats, _ = find_peaks(smooth, height=0.5 * smooth.max(), distance=150)
        rate = 60.0 * record.fs / np.median(np.diff(beats))
        assert rate == pytest.approx(record.labels["rate_per_min"], rel=0.12)
        seen += 1
    assert seen >= 5


def test_fibrillation_is_more_irregular_than_sinus_rhythm() -> None:
    def irregularity(name: str, seed: int) -> float:
        rhythm = RHYTHMS[name][1](np.random.default_rng(seed), 30.0)
        times = np.sort([event.at_s for event in rhythm.events if event.kind == "qrs"])
        intervals = np.diff(times)
        return float(intervals.std() / intervals.mean())

    sinus = [irregularity("sinus", seed) for seed in range(20)]
    fibrillation = [irregularity("atrial fibrillation", seed) for seed in range(20)]
    assert max(sinus) < 0.12 < min(fibrillation)
