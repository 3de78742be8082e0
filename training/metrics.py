"""How good an answer is, in numbers: the challenge's SNR, its summaries over pages, and what a confidence is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.leads import LEADS

MAX_SHIFT_S = 0.2
RATIO_CAP = 384.0
"""The challenge lets no page count for more than 10 log10(384) = 25.8 dB in its aggregate."""
FAILED_DB = 5.0
SWAPPED_DB, SWAPPED_BY_DB = 8.0, 6.0
"""A lead was taken for another if its reading fits that one at least so well, and so much better than its own."""
LEAST_POWER = 1e-12
GOOD_SAMPLE_MV = 0.05
CONFIDENCE_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)

Counts = NDArray[np.int64]


# --- one page -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a reading fits the truth of one lead: truth[i] is compared with reading[i + shift] - offset_mv.

    `signal` is the power sum of the truth over the printed samples, `noise` that of the difference, in mV^2.
    """

    shift: int
    offset_mv: float
    signal: float
    noise: float

    @property
    def snr_db(self) -> float:
        """Signal over noise in dB."""
        return ratio_db(self.signal, self.noise)


@dataclass(frozen=True, slots=True)
class RecordScore:
    """A page's score: signal and noise pooled over the printed leads, and each lead's own alignment."""

    snr_db: float
    leads: dict[str, Alignment]


def ratio_db(signal: float, noise: float) -> float:
    """Return 10 log10(signal / noise); neither counts for less than a trillionth of a mV^2."""
    return float(10 * np.log10(max(signal, LEAST_POWER) / max(noise, LEAST_POWER)))


def score_record(truth_mv: Floats, fs: float, *, reading_mv: Floats | None, reading_fs: float = 0.0) -> RecordScore:
    """Score a reading [12, m] against the truth [12, n], both in mV and in the order of LEADS, NaN where not printed.

    As in the public challenge: each lead is shifted by up to 0.2 s to its best correlation and freed of its mean
    difference over the printed samples; powers are pooled over the leads. No reading (None, or a lead without any
    sample) counts as zeros, an unread sample as the mean of what was read around it.

    Raises:
        ValueError: the truth has no printed sample.
    """
    same = None if reading_mv is None else at_rate(reading_mv, reading_fs, fs)
    leads = {}
    for index, lead in enumerate(LEADS):
        if np.isfinite(truth_mv[index]).any():
            read = np.zeros(0) if same is None else same[index]
            leads[lead] = align_lead(np.asarray(truth_mv[index], np.float64), read, fs)
    if not leads:
        raise ValueError("a page without any printed sample cannot be scored")
    signal, noise = (sum(getattr(a, name) for a in leads.values()) for name in ("signal", "noise"))
    return RecordScore(ratio_db(signal, noise), leads)


def swapped_leads(truth_mv: Floats, fs: float, *, reading_mv: Floats, reading_fs: float) -> dict[str, str]:
    """Return the leads [12, n] whose reading is that of another printed lead, and of which.

    By the signals alone: what a page printed at the same time in both leads, or was not read well, cannot be told.
    """
    same = at_rate(reading_mv, reading_fs, fs)
    printed = [lead for lead, mv in zip(LEADS, truth_mv, strict=True) if np.isfinite(mv).any()]
    found = {}
    for index, lead in enumerate(LEADS):
        read = same[index]
        if not np.isfinite(read).any():
            continue
        db = {
            other: align_lead(np.asarray(truth_mv[LEADS.index(other)], np.float64), read, fs).snr_db
            for other in (*([lead] if lead in printed else []), *printed)
            if _meet(truth_mv[LEADS.index(other)], read)
        }
        best = max(db, key=lambda other: db[other], default=lead)
        if best != lead and db[best] >= max(SWAPPED_DB, db.get(lead, 0.0) + SWAPPED_BY_DB):
            found[lead] = best
    return found


def _meet(truth_mv: Floats, read: Floats) -> bool:
    """Tell whether most of a printed lead lies where there is a reading."""
    printed = np.isfinite(truth_mv)
    n = min(len(printed), len(read))
    return bool((printed[:n] & np.isfinite(read[:n])).sum() > 0.5 * printed.sum())


def align_lead(truth_mv: F64, reading_mv: Floats, fs: float) -> Alignment:
    """Find the shift within 0.2 s at which a lead's reading correlates best with its truth; see `Alignment`."""
    printed = np.flatnonzero(np.isfinite(truth_mv))
    first, last = int(printed[0]), int(printed[-1]) + 1
    reach = round(MAX_SHIFT_S * fs)
    around = window(reading_mv, first - reach, last + reach)
    read = np.isfinite(around)
    around = np.where(read, around, around[read].mean() if read.any() else 0.0)
    known = truth_mv[printed]
    centred = np.zeros(last - first)
    centred[printed - first] = known - known.mean()
    shift = int(np.argmax(np.correlate(around, centred - centred.mean(), mode="valid")))
    compared = around[printed - first + shift]
    offset_mv = float(compared.mean() - known.mean())
    noise = float(np.sum((compared - offset_mv - known) ** 2))
    return Alignment(shift - reach, offset_mv, float(np.sum(known**2)), noise)


def window(values: Floats, start: int, stop: int) -> F64:
    """Return values[start:stop] as if the sequence went on with NaN on both sides."""
    out = np.full(stop - start, np.nan)
    low, high = max(start, 0), min(stop, len(values))
    if low < high:
        out[low - start : high - start] = values[low:high]
    return out


def at_rate(values: Floats, fs: float, wanted_fs: float) -> F64:
    """Resample signals [k, n] linearly to another rate; what is nearest to a NaN stays NaN."""
    signals = np.asarray(values, np.float64)
    if abs(fs - wanted_fs) <= 1e-6:
        return signals
    at_s = np.arange(round(signals.shape[1] * wanted_fs / fs)) / wanted_fs
    known_s = np.arange(signals.shape[1]) / fs
    nearest = np.clip(np.round(at_s * fs).astype(np.intp), 0, signals.shape[1] - 1)
    out = np.full((len(signals), len(at_s)), np.nan)
    for row, signal in zip(out, signals, strict=True):
        known = np.isfinite(signal)
        if known.any():
            row[:] = np.where(known[nearest], np.interp(at_s, known_s[known], signal[known]), np.nan)
    return out


# --- many pages ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The SNR of many pages: to be read together, never one of them alone."""

    pages: int
    mean_db: float
    median_db: float
    min_db: float
    aggregate_db: float
    failures: int


def summarize_db(snr_db: Sequence[float]) -> ScoreSummary:
    """Summarise the pages' SNR; NaN where there is no page."""
    if not snr_db:
        return ScoreSummary(0, np.nan, np.nan, np.nan, np.nan, 0)
    db = np.asarray(snr_db, np.float64)
    return ScoreSummary(
        pages=len(db),
        mean_db=float(db.mean()),
        median_db=float(np.median(db)),
        min_db=float(db.min()),
        aggregate_db=aggregate_db(db),
        failures=int((db < FAILED_DB).sum()),
    )


def aggregate_db(snr_db: Floats) -> float:
    """Return the challenge's aggregate: the mean of the pages' linear ratios, each at most 384, in dB."""
    return float(10 * np.log10(np.minimum(10 ** (np.asarray(snr_db, np.float64) / 10), RATIO_CAP).mean()))


def roc_auc(suspicion: Sequence[float], bad: Sequence[bool]) -> float:
    """Return the chance that a bad page is more suspect than a good one, equal ones half; NaN without both kinds."""
    scores, is_bad = np.asarray(suspicion, np.float64), np.asarray(bad, bool)
    if is_bad.all() or not is_bad.any():
        return float("nan")
    difference = scores[is_bad][:, None] - scores[~is_bad][None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


# --- reliability --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reliability:
    """Samples counted by the bin of their confidence; bins are those between CONFIDENCE_EDGES.

    `samples` and `good` [bins] count all read samples and those within 50 uV; `confidence` [bins] sums confidences.
    """

    samples: Counts
    good: Counts
    confidence: F64

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.samples + other.samples, self.good + other.good, self.confidence + other.confidence
        )

    @property
    def calibration_error(self) -> float:
        """Mean distance between what was promised and what was kept, over the samples; NaN without any."""
        total = int(self.samples.sum())
        return float(np.abs(self.confidence - self.good).sum() / total) if total else float("nan")

    def kept_from(self, confidence: float) -> tuple[int, float]:
        """Return how many samples are at least this sure (one of the edges), and the share of them within 50 uV."""
        bins = np.asarray(CONFIDENCE_EDGES[:-1]) >= confidence - 1e-6
        total = int(self.samples[bins].sum())
        return total, float(self.good[bins].sum() / total) if total else float("nan")


def no_samples() -> Reliability:
    """Return the count of nothing, to add others to."""
    bins = len(CONFIDENCE_EDGES) - 1
    return Reliability(np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros(bins))


def sample_reliability(
    truth_mv: Floats, score: RecordScore, *, reading_mv: Floats, confidence: Floats
) -> Reliability:
    """Count a page's read samples by their confidence [12, m], after the metric's own alignment.

    Truth, reading and confidence have one sampling rate. Samples that were not printed or not read do not count.
    """
    found = no_samples()
    for lead, alignment in score.leads.items():
        index = LEADS.index(lead)
        truth = np.asarray(truth_mv[index], np.float64)
        ends = alignment.shift, alignment.shift + len(truth)
        read, sure = (window(values[index], *ends) for values in (reading_mv, confidence))
        both = np.isfinite(truth) & np.isfinite(read) & np.isfinite(sure)
        good = np.abs(read - alignment.offset_mv - truth)[both] <= GOOD_SAMPLE_MV
        found += _counted(np.clip(sure[both], 0, 1), good)
    return found


def _counted(confidence: F64, good: NDArray[np.bool_]) -> Reliability:
    bins = len(CONFIDENCE_EDGES) - 1
    bin_of = np.clip(np.searchsorted(CONFIDENCE_EDGES, confidence + 1e-6, side="right") - 1, 0, bins - 1)
    return Reliability(
        np.bincount(bin_of, minlength=bins),
        np.bincount(bin_of[good], minlength=bins),
        np.asarray(np.bincount(bin_of, weights=confidence, minlength=bins), np.float64),
    )
