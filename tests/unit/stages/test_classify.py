"""Classifying a record: what the classifier is shown, what is refused in words, and what else is asked of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.clinical import UNKNOWN_PATIENT, Clinical
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LAYOUTS, LEADS, limb_leads
from ecgstudio.stages.classify import (
    LARGEST_SIGMA_MV,
    MIN_LEADS,
    TRACE_SIGMA_MV,
    classify_record,
    explain,
    steadiness,
    thresholds,
    trace_sigma_mv,
)
from ecgstudio.stages.contract import FloatMap, StageError
from tests.fake_classifier import CODES, FakeClassifier

FAKE = FakeClassifier()


class Watching(FakeClassifier):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.signal = self.mask = self.clinical = np.empty(0, np.float32)

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        self.signal, self.mask, self.clinical = signal, mask, clinical
        return super().classify(signal, mask, clinical)


def beats(fs: float = 500.0, seconds: float = 10.0, *, height_mv: float = 1.0) -> F64:
    """Twelve leads of narrow beats that obey Einthoven, no two alike."""
    t_s = np.arange(round(seconds * fs)) / fs
    phase_s = (t_s + 0.4) % 0.8 - 0.4
    shape = np.exp(-0.5 * (phase_s / 0.02) ** 2) + 0.2 * np.exp(-0.5 * ((phase_s - 0.25) / 0.05) ** 2)
    heights = np.concatenate([limb_leads([0.4], [0.7])[:, 0], np.linspace(0.9, 1.5, 6)])
    return height_mv * heights[:, None] * shape


def record(mv: F64 | None = None, *, fs: float = 500.0, **more: object) -> EcgRecord:
    return EcgRecord(mv=beats(fs) if mv is None else mv, fs=fs, **more)


def paper(name: str = "3x4+1") -> EcgRecord:
    """A record of which each lead is known only where this layout prints it."""
    mv, layout = beats(), LAYOUTS[name]
    known = np.zeros(mv.shape, bool)
    for row in layout.rows:
        for column, lead in enumerate(row):
            width = mv.shape[1] // len(row)
            known[LEADS.index(lead), column * width : (column + 1) * width] = True
    for lead in layout.rhythm:
        known[LEADS.index(lead)] = True
    return record(np.where(known, mv, np.nan))


# --- answers -----------------------------------------------------------------------------------------------------


def test_every_class_gets_a_finding_that_names_the_classifier() -> None:
    diagnosis = classify_record(record(), UNKNOWN_PATIENT, runtime=FAKE)
    assert [finding.code for finding in diagnosis.findings] == list(CODES)
    assert {finding.source for finding in diagnosis.findings} == {"fake 0123456789ab"}


def test_age_and_sex_reach_the_classifier_and_nothing_else_of_the_patient() -> None:
    watching = Watching()
    classify_record(record(), Clinical(age_years=80.0, sex="f", weight_kg=70.0), runtime=watching)
    np.testing.assert_array_equal(watching.clinical, [[1, 1, 0, 1]])
    classify_record(record(), UNKNOWN_PATIENT, runtime=watching)
    np.testing.assert_array_equal(watching.clinical, [[0, 0, 0, 0]])


def test_thresholds_are_told_by_code() -> None:
    assert thresholds(FAKE) == {"NORM": 0.5, "MI": 0.4, "STTC": 0.3, "CD": 0.3, "HYP": 0.3}


# --- what the classifier is shown ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 257.0, 360.0, 500.0, 1000.0])
def test_the_rate_of_a_record_does_not_matter(fs: float) -> None:
    reference, watching = Watching(), Watching()
    classify_record(record(fs=1000.0), UNKNOWN_PATIENT, runtime=reference)
    classify_record(record(fs=fs), UNKNOWN_PATIENT, runtime=watching)
    error = (watching.signal - reference.signal)[..., 10:-10]
    assert float(np.sqrt((error**2).mean())) < 0.02
    assert watching.mask.all()


def test_leads_are_put_into_their_places_whatever_their_order() -> None:
    straight, turned = Watching(), Watching()
    mv = beats()
    classify_record(record(mv), UNKNOWN_PATIENT, runtime=straight)
    classify_record(record(mv[::-1], leads=LEADS[::-1]), UNKNOWN_PATIENT, runtime=turned)
    np.testing.assert_array_equal(straight.signal, turned.signal)


def test_only_the_first_ten_seconds_are_looked_at() -> None:
    mv = beats(seconds=30.0)
    mv[:, 5500:] *= 5
    long, short = (classify_record(record(part), UNKNOWN_PATIENT, runtime=FAKE) for part in (mv, mv[:, :5000]))
    for code in CODES:
        assert long.probability(code) == pytest.approx(short.probability(code), abs=0.005)


def test_a_short_record_is_masked_behind_its_end() -> None:
    watching = Watching()
    classify_record(record(beats(seconds=6.0)), UNKNOWN_PATIENT, runtime=watching)
    assert watching.mask[0, :, :600].all()
    assert not watching.mask[0, :, 600:].any()


def test_what_was_not_printed_is_masked() -> None:
    watching = Watching()
    classify_record(paper(), UNKNOWN_PATIENT, runtime=watching)
    assert watching.mask[0].sum(axis=1).tolist() == [1000.0 if lead == "II" else 250.0 for lead in LEADS]
    assert not watching.signal[watching.mask == 0].any()


@pytest.mark.parametrize("spoil", [np.nan, 0.0, 0.7])
def test_a_lead_that_is_missing_or_flat_is_masked(spoil: float) -> None:
    mv, watching = beats(), Watching()
    mv[3] = spoil
    classify_record(record(mv), UNKNOWN_PATIENT, runtime=watching)
    assert not watching.mask[0, 3].any()
    assert watching.mask[0].sum() == 11 * 1000


@given(gone=st.sets(st.integers(0, 11)), seed=st.integers(0, 99), fs=st.sampled_from((100.0, 250.0, 500.0)))
@settings(max_examples=30, deadline=None)
def test_any_record_is_classified_or_refused_in_words(gone: set[int], seed: int, fs: float) -> None:
    mv = beats(fs)
    mv[sorted(gone)] = np.nan
    rng = np.random.default_rng(seed)
    mv[rng.random(mv.shape) < 0.1] = np.nan
    torn = record(mv, fs=fs)
    if len(gone) > 12 - MIN_LEADS:
        with pytest.raises(StageError, match=f"not classified: {12 - len(gone)} lead"):
            classify_record(torn, UNKNOWN_PATIENT, runtime=FAKE)
    else:
        diagnosis = classify_record(torn, UNKNOWN_PATIENT, runtime=FAKE)
        assert all(0 <= finding.probability <= 1 for finding in diagnosis.findings)


# --- what is refused -------------------------------------------------------------------------------------------------


def refusal(of: EcgRecord) -> StageError:
    for ask in (
        lambda: classify_record(of, UNKNOWN_PATIENT, runtime=FAKE),
        lambda: explain(of, UNKNOWN_PATIENT, "MI", runtime=FAKE),
        lambda: steadiness(of, UNKNOWN_PATIENT, runtime=FAKE),
    ):
        with pytest.raises(StageError) as refused:
            ask()
    return refused.value


def test_too_few_leads_give_words_and_no_numbers() -> None:
    few = refusal(record(beats()[:4], leads=("I", "II", "V1", "V2")))
    assert few.reason.startswith("not classified: 4 leads (I, II, V1, V2) can be used")
    assert "at least 6" in few.reason
    assert few.hint


@pytest.mark.parametrize("content", [np.nan, 0.0, 1.0])
def test_a_record_without_signal_is_refused(content: float) -> None:
    assert "not classified: 0 leads can be used" in refusal(record(np.full((12, 5000), content))).reason


def test_an_empty_record_is_refused() -> None:
    assert "not classified: 0 leads" in refusal(record(np.empty((12, 0)))).reason


def test_leads_of_half_a_second_show_no_beat() -> None:
    assert "not classified: 0 leads" in refusal(record(beats(seconds=0.5))).reason


def test_a_slow_record_is_refused_by_its_rate() -> None:
    assert "not classified: the record has 50 Hz, at least 100 Hz" in refusal(record(fs=50.0)).reason


# --- what drove the answer -----------------------------------------------------------------------------------------


def test_the_explanation_lies_on_the_record_and_adds_up() -> None:
    page = paper()
    parts = explain(page, UNKNOWN_PATIENT, "HYP", runtime=FAKE)
    assert list(parts) == list(LEADS)
    for lead, values in parts.items():
        np.testing.assert_array_equal(np.isfinite(values), np.isfinite(page.lead_mv(lead)))
    watching = Watching()
    classify_record(page, UNKNOWN_PATIENT, runtime=watching)
    whole = FAKE.attribution(watching.signal[0], watching.mask[0], watching.clinical[0], CODES.index("HYP")).sum()
    integral = sum(float(np.nansum(values)) / page.fs for values in parts.values())
    assert integral == pytest.approx(float(whole), rel=0.03)


def test_the_explanation_peaks_where_the_record_does() -> None:
    whole = record()
    values = explain(whole, UNKNOWN_PATIENT, "HYP", runtime=FAKE)["V6"]
    peaks_s = np.flatnonzero(values > 0.8 * values.max()) / whole.fs
    away_s = (peaks_s + 0.4) % 0.8 - 0.4
    assert float(np.abs(away_s).max()) < 0.02


def test_behind_ten_seconds_nothing_is_explained() -> None:
    values = explain(record(beats(seconds=12.0)), UNKNOWN_PATIENT, "MI", runtime=FAKE)["I"]
    assert np.isfinite(values[:5000]).all()
    assert np.isnan(values[5000:]).all()


def test_a_code_that_nobody_answers_for_cannot_be_explained() -> None:
    with pytest.raises(KeyError, match="AFIB"):
        explain(record(), UNKNOWN_PATIENT, "AFIB", runtime=FAKE)


# --- how steady it is ------------------------------------------------------------------------------------------------


def test_every_range_holds_the_answer_and_those_of_its_causes() -> None:
    patient = Clinical(age_years=70.0)
    found = steadiness(paper(), patient, runtime=FAKE)
    diagnosis = classify_record(paper(), patient, runtime=FAKE)
    assert list(found) == list(CODES)
    for finding in diagnosis.findings:
        steady = found[finding.code]
        assert set(steady.by_cause) == {"scale", "rotation", "trace"}
        assert steady.low == min(low for low, _ in steady.by_cause.values())
        assert steady.high == max(high for _, high in steady.by_cause.values())
        for low, high in steady.by_cause.values():
            assert low - 1e-6 <= finding.probability <= high + 1e-6


def test_a_wrong_scale_moves_what_depends_on_height_by_as_much() -> None:
    tall = record(beats(height_mv=2.0))
    low, high = steadiness(tall, UNKNOWN_PATIENT, runtime=FAKE)["HYP"].by_cause["scale"]

    def rms_mv(probability: float) -> float:
        return (np.log(probability / (1 - probability)) + 2) / 4

    assert rms_mv(high) / rms_mv(low) == pytest.approx(1.04, abs=0.015)


def test_a_turned_page_tilts_every_lead_by_its_place_on_the_paper() -> None:
    watching = Watching()
    steadiness(record(), UNKNOWN_PATIENT, runtime=watching)
    plain, turned = watching.signal[0], watching.signal[5:7]
    t_s = np.arange(1000) / 100
    quiet = np.abs((t_s + 0.4) % 0.8 - 0.4) > 0.36
    slopes = [np.polyfit(t_s[quiet], (view - plain)[0][quiet], 1)[0] for view in turned]
    per_s = np.tan(np.radians(0.5)) * 25 / 10  # mm/s over mm/mV
    assert sorted(slopes) == pytest.approx([-per_s, per_s], rel=0.02)


def test_peaks_of_a_turned_page_lean_by_their_height() -> None:
    watching = Watching()
    high = record(beats(height_mv=2.0))
    steadiness(high, UNKNOWN_PATIENT, runtime=watching)
    plain, *turned = watching.signal[[0, 5, 6], 11]  # beats of 3 mV, at 0, 0.8 s and so on

    def centre_s(view: FloatMap) -> float:
        t_s = np.arange(70, 91) / 100
        part = np.clip(view[70:91] - np.median(view[70:75]), 0, None)
        return float((part * t_s).sum() / part.sum())

    lean_s = [centre_s(view) - centre_s(plain) for view in turned]
    assert lean_s[0] * lean_s[1] < 0
    peak_s = np.tan(np.radians(0.5)) * 3 * 10 / 25  # by which the top is late
    assert np.abs(lean_s) == pytest.approx(peak_s / np.sqrt(8), rel=0.15)  # of a Gaussian wave the centre follows so


def test_the_scale_of_the_paper_decides_how_much_a_turned_page_tilts() -> None:
    usual, tall = Watching(), Watching()
    steadiness(record(), UNKNOWN_PATIENT, runtime=usual)
    steadiness(record(meta={"mm_per_s": 25.0, "mm_per_mV": 20.0}), UNKNOWN_PATIENT, runtime=tall)
    quiet = [40 + 80 * beat for beat in range(12)]
    tilts = [np.polyfit(quiet, (seen.signal[5] - seen.signal[0])[0, quiet], 1)[0] for seen in (usual, tall)]
    assert tilts[0] / tilts[1] == pytest.approx(2, rel=0.05)


def test_the_trace_is_moved_by_one_sigma() -> None:
    watching = Watching()
    steadiness(record(), UNKNOWN_PATIENT, runtime=watching, sigma_mv=0.04)
    error = watching.signal[7:] - watching.signal[0]
    assert len(error) == 8
    assert float(error.std()) == pytest.approx(0.04, rel=0.15)


def test_a_larger_sigma_makes_a_wider_range() -> None:
    def width(sigma_mv: float) -> float:
        low, high = steadiness(record(), UNKNOWN_PATIENT, runtime=FAKE, sigma_mv=sigma_mv)["HYP"].by_cause["trace"]
        return high - low

    assert width(0.0) < 1e-6
    assert width(0.01) < width(0.03) < width(0.1)


@pytest.mark.parametrize("sigma_mv", [0.01, 0.03])
def test_the_limb_leads_tell_how_far_a_trace_is_off(sigma_mv: float) -> None:
    noise = np.random.default_rng(0).normal(size=(12, 5000)) * sigma_mv
    noisy = record(beats() + noise)
    assert trace_sigma_mv(noisy) == pytest.approx(sigma_mv, rel=0.05)
    assert steadiness(noisy, UNKNOWN_PATIENT, runtime=FAKE) == steadiness(
        noisy, UNKNOWN_PATIENT, runtime=FAKE, sigma_mv=trace_sigma_mv(noisy)
    )


def test_where_no_three_leads_stand_together_a_usual_sigma_is_taken() -> None:
    assert trace_sigma_mv(record(beats()[6:], leads=LEADS[6:])) == TRACE_SIGMA_MV
    assert trace_sigma_mv(record(np.full((12, 5000), np.nan))) == TRACE_SIGMA_MV


def test_leads_that_contradict_each_other_say_no_more_than_that() -> None:
    mv = beats(height_mv=3.0)
    mv[1] *= -1
    assert trace_sigma_mv(record(mv)) == LARGEST_SIGMA_MV


def test_the_same_record_shakes_alike_every_time() -> None:
    assert steadiness(paper(), UNKNOWN_PATIENT, runtime=FAKE) == steadiness(paper(), UNKNOWN_PATIENT, runtime=FAKE)


def test_no_view_knows_more_than_the_record() -> None:
    watching, page = Watching(), paper()
    steadiness(page, UNKNOWN_PATIENT, runtime=watching)
    known = watching.mask.sum(axis=(1, 2))
    assert (known <= 1.03 * known[0]).all()
    assert not watching.mask[:, LEADS.index("V6"), :700].any()


def test_rest_of_the_meta_does_no_harm() -> None:
    odd = replace(record(), meta={"mm_per_s": "fast", "mm_per_mV": 0})
    assert steadiness(odd, UNKNOWN_PATIENT, runtime=FAKE) == steadiness(record(), UNKNOWN_PATIENT, runtime=FAKE)
