"""The metric is the challenge's, to the last rule: each is checked against a case that one can compute by hand."""

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LEADS
from training.metrics import (
    CONFIDENCE_EDGES,
    RecordScore,
    aggregate_db,
    align_lead,
    no_samples,
    roc_auc,
    sample_reliability,
    score_record,
    summarize_db,
    swapped_leads,
)

FS = 500.0
T_S = np.arange(2000) / FS


def sine(hz: float, mv: float = 1.0) -> F64:
    """A sine over whole periods: its mean is zero and its power is half the square of its size."""
    return mv * np.sin(2 * np.pi * hz * T_S)


def record(**leads: F64) -> F64:
    """A record of some leads."""
    mv = np.full((12, len(T_S)), np.nan)
    for name, values in leads.items():
        mv[LEADS.index(name), : len(values)] = values
    return mv


def score(truth: F64, reading: F64 | None, *, reading_fs: float = FS) -> RecordScore:
    return score_record(truth, FS, reading_mv=reading, reading_fs=reading_fs)


def test_noise_of_a_tenth_of_the_signal_is_20_db() -> None:
    truth = record(I=sine(1))
    assert score(truth, truth + sine(25, 0.1)).snr_db == pytest.approx(20, abs=1e-6)


def test_an_offset_does_not_count() -> None:
    truth = record(I=sine(1))
    assert score(truth, truth + 0.7).snr_db > 100


@pytest.mark.parametrize(("shift_s", "found"), [(0.19, True), (-0.19, True), (0.26, False)])
def test_a_shift_of_up_to_200_ms_does_not_count(shift_s: float, found: bool) -> None:
    pulse = np.exp(-0.5 * ((T_S - 2.0) / 0.02) ** 2)
    moved = np.exp(-0.5 * ((T_S - 2.0 - shift_s) / 0.02) ** 2)
    assert (score(record(I=pulse), record(I=moved)).snr_db > 25) is found


def test_the_shift_says_where_the_truth_is_in_the_reading() -> None:
    pulse = np.exp(-0.5 * ((T_S - 2.0) / 0.02) ** 2)
    assert align_lead(pulse, np.roll(pulse, 30), FS).shift == 30


def test_powers_are_pooled_over_leads_and_a_missing_lead_counts_as_zeros() -> None:
    truth = record(I=sine(1, 2.0), II=sine(1, 1.0))
    missed = score(truth, record(I=sine(1, 2.0)))
    assert missed.snr_db == pytest.approx(10 * np.log10((4 + 1) / 1), abs=1e-6)
    assert missed.leads["II"].snr_db == pytest.approx(0, abs=1e-6)


def test_no_reading_at_all_is_0_db_for_a_signal_without_offset() -> None:
    assert score(record(I=sine(1)), None).snr_db == pytest.approx(0, abs=1e-6)


def test_unread_samples_count_as_the_mean_of_the_others() -> None:
    truth = record(I=sine(1))
    half = truth.copy()
    half[0, 1000:] = np.nan
    assert score(truth, half).snr_db == pytest.approx(10 * np.log10(2), abs=1e-6)


def test_samples_that_were_not_printed_do_not_count() -> None:
    truth = record(I=sine(1)[:1000])
    longer = record(I=np.concatenate([sine(1)[:1000], np.full(1000, 9.0)]))
    assert score(truth, longer).snr_db > 100


def test_a_reading_at_another_rate_is_resampled() -> None:
    reading = record(I=sine(1))[:, ::2]
    assert score(record(I=sine(1)), reading, reading_fs=FS / 2).snr_db > 60


def test_a_truth_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="printed"):
        score(record(), record())


def test_a_page_counts_for_at_most_384_in_the_aggregate() -> None:
    assert aggregate_db(np.array([100.0, 0.0])) == pytest.approx(10 * np.log10((384 + 1) / 2))


def test_pages_under_5_db_are_failures() -> None:
    summary = summarize_db([20.0, 4.9, -3.0])
    assert (summary.pages, summary.failures) == (3, 2)
    assert (summary.mean_db, summary.median_db, summary.min_db) == pytest.approx((7.3, 4.9, -3.0))


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert roc_auc([3, 2, 1, 0], [True, False, True, False]) == pytest.approx(3 / 4)


def test_equally_suspect_pages_count_half() -> None:
    assert roc_auc([1, 1], [True, False]) == pytest.approx(0.5)


def test_auc_needs_good_and_bad_pages() -> None:
    assert np.isnan(roc_auc([1, 0], [True, True]))


def test_samples_are_counted_in_the_bin_of_their_confidence() -> None:
    truth = record(I=sine(1))
    reading = truth + sine(25, 0.02) + 0.5
    reading[0, :500] = np.nan
    confidence = np.full(truth.shape, 0.97)
    confidence[0, 1000:] = 0.55
    found = sample_reliability(truth, score(truth, reading), reading_mv=reading, confidence=confidence)
    by_bin = dict(zip(CONFIDENCE_EDGES[:-1], found.samples.tolist(), strict=True))
    assert {low: count for low, count in by_bin.items() if count} == {0.95: 500, 0.5: 1000}


def test_a_good_sample_is_within_50_uv_of_the_truth() -> None:
    truth = record(I=sine(1))
    reading = truth.copy()
    reading[0, 600:700] += 0.1
    reading[0, 800:900] -= 0.1
    sure = np.full(truth.shape, 0.99)
    found = sample_reliability(truth, score(truth, reading), reading_mv=reading, confidence=sure)
    assert found.kept_from(0.95) == (2000, pytest.approx(1800 / 2000))
    assert found.calibration_error == pytest.approx(0.99 - 0.9)


def swapped(reading: F64, truth: F64) -> dict[str, str]:
    return swapped_leads(truth, FS, reading_mv=reading, reading_fs=FS)


def test_leads_whose_readings_changed_places_are_told() -> None:
    truth = record(V1=sine(1), V2=sine(2.3), V3=sine(3.1))
    reading = truth.copy()
    first, second = LEADS.index("V1"), LEADS.index("V2")
    reading[[first, second]] = reading[[second, first]]
    assert swapped(reading, truth) == {"V1": "V2", "V2": "V1"}


def test_a_lead_that_was_read_for_one_that_is_not_printed_is_told() -> None:
    truth, reading = record(V1=sine(1)), record(V4=sine(1))
    assert swapped(reading, truth) == {"V4": "V1"}


def test_a_lead_that_was_read_badly_or_not_at_all_is_not_swapped() -> None:
    truth = record(V1=sine(1), V2=sine(2.3))
    reading = truth.copy()
    reading[LEADS.index("V1")] = sine(7.7)
    reading[LEADS.index("V2")] = np.nan
    assert swapped(reading, truth) == {}
    assert swapped(truth, truth) == {}


def test_leads_printed_at_different_times_are_not_compared() -> None:
    truth, reading = record(V1=sine(1), V2=sine(2.3)), record(V1=sine(7.7))
    truth[LEADS.index("V2"), : truth.shape[1] // 2] = np.nan
    reading[LEADS.index("V1"), truth.shape[1] // 2 :] = np.nan
    assert swapped(reading, truth) == {}


def test_nothing_read_has_no_calibration() -> None:
    assert np.isnan(no_samples().calibration_error)
