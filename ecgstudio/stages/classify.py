"""Classification: what a record shows, what drove the answer, and how far it moves when the reading is a little wrong.

The numbers are research decision support, not a diagnosis; whoever shows them says so beside them (`STATEMENT`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.clinical import Clinical
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEAD_INDEX, LEADS, einthoven_residual, goldberger_residual
from ecgstudio.stages.contract import Classifier, StageError
from ecgstudio.stages.fusion_input import FS_HZ, SAMPLES, F32Array, at_100_hz, clinical_input, signal_and_mask

STAGE: Final = "diagnosis"
STATEMENT: Final = "research decision support, not a diagnosis"

MIN_LEADS: Final = 6
"""A page of limb or chest leads only is the least that the classifier saw in training."""
MIN_LEAD_S: Final = 1.0
"""A lead of which less is known shows no whole beat."""
FLAT_RANGE_MV: Final = 0.02
"""A lead whose whole range is below 20 uV was not connected; training took it for missing, too."""

LOOKED_AT_S: Final = 11.0
"""All that is ever looked at: 10 s, and what slides into them where the time scale is doubted."""

SCALE_DOUBT: Final = 0.02
ROTATION_DOUBT_DEG: Final = 0.5
LEAN_STEPS: Final = 4
"""How often the place of a leaning sample is sought again; a steep QRS complex leans by half of its own width."""
TRACE_SIGMA_MV: Final = 0.025
"""One sigma of a trace of which nothing better is known: a quarter of a small square."""
LARGEST_SIGMA_MV: Final = 0.1
"""Beyond it leads contradict each other for another reason than a trace's error: one is misread or misnamed."""
TRACE_DRAWS: Final = 4
TRACE_SMOOTH_S: Final = 0.02
"""A trace's error goes along with it for about half the width of a QRS complex."""
SEED: Final = 20_240_229
DEFAULT_MM_PER_S, DEFAULT_MM_PER_MV = 25.0, 10.0


@dataclass(frozen=True, slots=True)
class Steadiness:
    """From where to where a class's probability moves; `by_cause` does so for "scale", "rotation" and "trace" alone."""

    low: float
    high: float
    by_cause: Mapping[str, tuple[float, float]]


def classify_record(record: EcgRecord, clinical: Clinical, *, runtime: Classifier) -> Diagnosis:
    """Return one finding per class of the classifier, with calibrated probabilities.

    Looks at the first 10 s. Raises StageError if too little of the record is known, UserError if the weights hold no
    classifier.
    """
    source = runtime.classifier
    signal, mask = signal_and_mask(input_mv(record))
    probabilities = runtime.classify(signal[None], mask[None], _clinical(clinical)[None])[0]
    return Diagnosis(
        tuple(
            Finding(code, min(max(float(probability), 0.0), 1.0), source)
            for code, probability in zip(runtime.classes, probabilities, strict=True)
        )
    )


def constant_leads(record: EcgRecord) -> tuple[str, ...]:
    """Return the leads that are known but do not move in the first 10 s: they are left out of the classification."""
    looked_at = math.ceil(SAMPLES / FS_HZ * record.fs)
    return tuple(
        lead for lead in LEADS if lead in record.leads and _is_flat(record.lead_mv(lead)[:looked_at], record.fs)
    )


def thresholds(runtime: Classifier) -> dict[str, float]:
    """Return by code the probability from which on it counts as found; raises UserError if there is no classifier."""
    return dict(zip(runtime.classes, runtime.thresholds, strict=True))


def explain(record: EcgRecord, clinical: Clinical, code: str, *, runtime: Classifier) -> dict[str, F32Array]:
    """Say by lead what each moment adds to the log odds of a code, per second, on the record's own time base.

    NaN where the lead is not known or the classifier did not look (after 10 s). Positive speaks for the code. The
    integral over all leads is the log odds less those of a record with flat leads. Raises as `classify_record` does,
    and KeyError for a code that the classifier does not know.
    """
    classes = runtime.classes
    if code not in classes:
        raise KeyError(code)
    signal, mask = signal_and_mask(input_mv(record))
    parts = runtime.attribution(signal, mask, _clinical(clinical), classes.index(code))
    time_s = record.t_s
    found = {}
    for lead in record.leads:
        row = LEAD_INDEX[lead]
        seen = np.flatnonzero(mask[row])
        values = np.full(len(time_s), np.nan, np.float32)
        if seen.size:
            known = np.isfinite(record.lead_mv(lead)) & (time_s < SAMPLES / FS_HZ)
            values[known] = np.interp(time_s[known], seen / FS_HZ, parts[row, seen] * FS_HZ)
        found[lead] = values
    return found


def steadiness(
    record: EcgRecord, clinical: Clinical, *, runtime: Classifier, sigma_mv: float | None = None
) -> dict[str, Steadiness]:
    """Return by code how far its probability moves if the page was read a little wrong.

    Tried are pixels per millimetre 2 % more and less, along and across; the page turned by half a degree either way,
    so that the zero line climbs and peaks lean; and traces one `sigma_mv` off (None: as `trace_sigma_mv` finds it) in a
    few fixed draws. The answer for the record as it is lies within. Raises as `classify_record` does.
    """
    mv = input_mv(record)
    views = [("", mv), *_views(record, trace_sigma_mv(record) if sigma_mv is None else sigma_mv)]
    inputs = [signal_and_mask(view) for _, view in views]
    signals, masks = (np.stack(each) for each in zip(*inputs, strict=True))
    answers = runtime.classify(signals, masks, np.repeat(_clinical(clinical)[None], len(views), axis=0))
    causes = [cause for cause, _ in views]
    found = {}
    for column, code in enumerate(runtime.classes):
        by_cause = {
            cause: _range([answers[row, column] for row, name in enumerate(causes) if name in ("", cause)])
            for cause in dict.fromkeys(causes[1:])
        }
        found[code] = Steadiness(*_range(answers[:, column].tolist()), by_cause)
    return found


def trace_sigma_mv(record: EcgRecord) -> float:
    """Return one sigma of a trace's error as the record itself tells it, in mV; 25 uV where it does not.

    II - I - III and aVR + aVL + aVF are zero but for the errors of three traces, wherever the three were read together.
    """
    mv = np.full((len(LEADS), record.mv.shape[1]), np.nan)
    mv[[LEAD_INDEX[lead] for lead in record.leads]] = record.mv
    errors = [error[np.isfinite(error)] for error in (einthoven_residual(mv), goldberger_residual(mv))]
    told = [float(np.std(error)) / math.sqrt(3) for error in errors if len(error) >= MIN_LEAD_S * record.fs]
    return min(float(np.mean(told)), LARGEST_SIGMA_MV) if told else TRACE_SIGMA_MV


def _range(values: list[float]) -> tuple[float, float]:
    return min(max(float(min(values)), 0.0), 1.0), min(max(float(max(values)), 0.0), 1.0)


def _clinical(clinical: Clinical) -> F32Array:
    return clinical_input(clinical.age_years, clinical.sex)


# --- what the classifier is given ----------------------------------------------------------------------------


def _twelve(record: EcgRecord) -> F64:
    """Return mv[12, n] in the order of LEADS; NaN for leads that are not there, flat, or hardly known.

    Raises StageError if too little remains.
    """
    mv = np.full((len(LEADS), record.mv.shape[1]), np.nan)
    for lead in record.leads:
        mv[LEAD_INDEX[lead]] = record.lead_mv(lead)
    looked_at = mv[:, : math.ceil(SAMPLES / FS_HZ * record.fs)]
    usable = [lead for lead in LEADS if _is_usable(looked_at[LEAD_INDEX[lead]], record.fs)]
    if len(usable) < MIN_LEADS:
        names = f" ({', '.join(usable)})" if usable else ""
        raise StageError(
            STAGE,
            f"not classified: {len(usable)} {'lead' if len(usable) == 1 else 'leads'}{names} can be used in the first "
            f"10 s, at least {MIN_LEADS} are needed",
            "a lead needs one second that was read and is not flat",
        )
    mv[[LEAD_INDEX[lead] for lead in LEADS if lead not in usable]] = np.nan
    return mv


def _is_usable(mv: Floats, fs: float) -> bool:
    return _is_long_enough(mv, fs) and not _is_flat(mv, fs)


def _is_long_enough(mv: Floats, fs: float) -> bool:
    return int(np.isfinite(mv).sum()) >= MIN_LEAD_S * fs


def _is_flat(mv: Floats, fs: float) -> bool:
    """Tell whether a lead that is long enough does not move."""
    return _is_long_enough(mv, fs) and float(np.ptp(mv[np.isfinite(mv)])) < FLAT_RANGE_MV


def input_mv(record: EcgRecord) -> F32Array:
    """Return what of a record the classifier looks at, f32[12, 1000] at 100 Hz; NaN where a lead is not known or flat.

    Raises StageError if too little of the record is known.
    """
    if record.fs < FS_HZ:
        raise StageError(
            STAGE,
            f"not classified: the record has {record.fs:g} Hz, at least {FS_HZ:g} Hz are needed",
            "use the record as it was sampled",
        )
    return at_100_hz(_twelve(record), record.fs)


# --- readings that are a little wrong --------------------------------------------------------------------------


def _views(record: EcgRecord, sigma_mv: float) -> Iterator[tuple[str, F32Array]]:
    """Yield the record as other readings of its page would have it, each with its cause."""
    mv, fs = _twelve(record), record.fs
    for tall in (1 - SCALE_DOUBT, 1 + SCALE_DOUBT):
        for long in (1 - SCALE_DOUBT, 1 + SCALE_DOUBT):
            yield "scale", at_100_hz(tall * _moved(mv, np.arange(mv.shape[1]) / long), fs)
    speed, gain = (_meta(record, name, usual) for name, usual in _USUAL_SCALE.items())
    for slope in (-math.tan(math.radians(ROTATION_DOUBT_DEG)), math.tan(math.radians(ROTATION_DOUBT_DEG))):
        yield "rotation", at_100_hz(_turned(mv, slope, fs=fs, mm_per_s=speed, mm_per_mv=gain), fs)
    rng = np.random.default_rng(SEED)
    for _ in range(TRACE_DRAWS):
        error = ndimage.gaussian_filter1d(rng.normal(size=mv.shape), TRACE_SMOOTH_S / 2 * fs, axis=1)
        error *= sigma_mv / max(float(error.std()), 1e-9)
        for sign in (-1, 1):
            yield "trace", at_100_hz(mv + sign * error, fs)


_USUAL_SCALE: Final = {"mm_per_s": DEFAULT_MM_PER_S, "mm_per_mV": DEFAULT_MM_PER_MV}


def _meta(record: EcgRecord, name: str, usual: float) -> float:
    value = record.meta.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else usual


def _moved(mv: F64, at: F64) -> F64:
    """Return each lead at these samples, [n] for all or [leads, n]; NaN where it is not known."""
    count = mv.shape[1]
    at = np.broadcast_to(at, mv.shape)
    known = np.isfinite(mv)
    result = np.full(mv.shape, np.nan)
    for row in np.flatnonzero(known.any(axis=1)):
        there = np.flatnonzero(known[row])
        bridged = np.interp(np.arange(count), there, mv[row, there])
        inside = (at[row] >= 0) & (at[row] <= count - 1)
        nearest = np.clip(np.rint(at[row]), 0, count - 1).astype(int)
        values = ndimage.map_coordinates(bridged, at[row][None], order=3, mode="nearest")
        result[row] = np.where(inside & known[row, nearest], values, np.nan)
    return result


def _turned(mv: F64, slope: float, *, fs: float, mm_per_s: float, mm_per_mv: float) -> F64:
    """Read every strip along an axis that climbs by `slope`: what is to its right seems lower, what is high later.

    A point x mm along and y mm above the true axis is found at x + slope y and y - slope x.
    """
    count = mv.shape[1]
    samples = np.arange(count)
    high_mv = np.nan_to_num(mv - _middles(mv))
    later = slope * mm_per_mv / mm_per_s * fs  # samples per mV
    at = np.broadcast_to(samples, mv.shape).astype(np.float64)
    for _ in range(LEAN_STEPS):
        at = samples - later * np.stack([np.interp(row, samples, high) for row, high in zip(at, high_mv, strict=True)])
    tilt_mv = slope * samples / fs * mm_per_s / mm_per_mv
    return _moved(mv, at) - tilt_mv


def _middles(mv: F64) -> F64:
    known = np.isfinite(mv)
    return np.nanmedian(np.where(known.any(axis=1, keepdims=True), mv, 0.0), axis=1, keepdims=True)
