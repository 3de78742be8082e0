"""Whole pages through the pipeline, as read and as mended: SNR by tier, and whether diagnostic features survive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.corrections import NO_CORRECTIONS
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.fiducials import Fiducial
from ecgstudio.core.leads import LEADS
from ecgstudio.errors import InputError
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.images import read_page
from ecgstudio.stages.contract import NULL_STATUS, Failed, Runtime
from ecgstudio.stages.intervals import Intervals, measure_intervals
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Stage, advance
from ecgstudio.stages.settings import PipelineSettings, ReconstructSettings
from training.metrics import at_rate, score_record, window
from training.page_score import PageTask
from training.synth.truth import load_truth

F64 = NDArray[np.float64]
SETTINGS = PipelineSettings(reconstruct=ReconstructSettings(enabled=True))
BEFORE, AFTER = "before", "after"
QRS_MARGIN_S, ST_GAP_S, LEVEL_S = 0.01, 0.06, (0.03, 0.01)
LEAST_QRS_MV, LEAST_T_MV = 0.2, 0.1
"""Smaller waves are not compared: their relative error says nothing."""


@dataclass(frozen=True, slots=True)
class PageEffect:
    """A page's SNR before and after, and errors of its features: amplitudes relative, QT in ms; none: NaN or empty."""

    name: str
    tier: str
    snr_db: Mapping[str, float]
    filled: int = 0
    qrs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    t: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    qt_ms: Mapping[str, float] = field(default_factory=dict)


def read_truth(task: PageTask) -> tuple[F64, float]:
    """Return the record mV [12, n] that is printed on a page, NaN where nothing is, and its rate.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if task.truth is None:
            raise ValueError("there is none")
        if task.rendered:
            sheet = load_truth(task.truth).sheet
            return sheet.record_mv.astype(np.float64), sheet.record_fs
        with np.load(task.truth, allow_pickle=False) as case:
            return np.asarray(case["mv"], np.float64), float(case["fs"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"The truth {task.truth} cannot be read: {error}.") from error


def page_effect(
    task: PageTask, truth_mv: F64, fs: float, *, runtime: Runtime, cache: OutcomeCache | None = None
) -> PageEffect:
    """Read a page with the reconstruction switched on, and compare both of its records with the truth [12, n]."""
    page = read_page(task.path, 0)
    known = cache.load_analysis(page.id) if cache is not None else EMPTY_ANALYSIS
    analysis = advance(
        page, NO_CORRECTIONS, analysis=known, upto=Stage.RECORD, runtime=runtime, settings=SETTINGS, status=NULL_STATUS
    )
    if cache is not None:
        cache.store_analysis(page.id, analysis, known=known)
    record = analysis.record.value if analysis.record is not None else None
    if record is None or isinstance(record, Failed) or record.rebuilt is None:
        lost = score_record(truth_mv, fs, reading_mv=None).snr_db
        return PageEffect(task.name, task.tier, {BEFORE: lost, AFTER: lost})
    readings = {BEFORE: record.mv, AFTER: record.rebuilt.mv}
    truth = EcgRecord(at_rate(truth_mv, fs, record.fs).astype(np.float32), record.fs)
    measured = measure_intervals(truth)
    snr_db, qrs, t, qt_ms = {}, {}, {}, {}
    for when, mv in readings.items():
        result = score_record(truth_mv, fs, reading_mv=mv, reading_fs=record.fs)
        snr_db[when] = result.snr_db
        shifts = {lead: round(each.shift * record.fs / fs) for lead, each in result.leads.items()}
        aligned = np.full(truth.mv.shape, np.nan)
        for lead, shift in shifts.items():
            row = LEADS.index(lead)
            aligned[row] = window(mv[row], shift, shift + truth.mv.shape[1])
            aligned[row, np.isnan(truth.mv[row])] = np.nan
        qrs[when] = _relative(aligned, truth, measured, qrs_amplitude, least_mv=LEAST_QRS_MV)
        t[when] = _relative(aligned, truth, measured, t_amplitude, least_mv=LEAST_T_MV)
        found = measure_intervals(EcgRecord(aligned.astype(np.float32), record.fs))
        qt_ms[when] = found.qt_ms - measured.qt_ms
    filled = int((record.rebuilt.mark == 2).sum())
    return PageEffect(task.name, task.tier, snr_db, filled, qrs, t, qt_ms)


def qrs_amplitude(beat_mv: F64, t_s: F64, measured: Intervals) -> float:
    """Return the height of a beat's QRS complex from its lowest to its highest sample, in mV."""
    on_s, off_s = (measured.fiducials.get(f, np.nan) for f in (Fiducial.QRS_ON, Fiducial.QRS_OFF))
    inside = (t_s >= on_s - QRS_MARGIN_S) & (t_s <= off_s + QRS_MARGIN_S)
    return float(np.ptp(beat_mv[inside])) if inside.any() else float("nan")


def t_amplitude(beat_mv: F64, t_s: F64, measured: Intervals) -> float:
    """Return the signed height of a beat's T wave above the level before its QRS complex, in mV."""
    on_s, off_s, end_s = (
        measured.fiducials.get(f, np.nan) for f in (Fiducial.QRS_ON, Fiducial.QRS_OFF, Fiducial.T_END)
    )
    level = beat_mv[(t_s >= on_s - LEVEL_S[0]) & (t_s <= on_s - LEVEL_S[1])]
    wave = beat_mv[(t_s >= off_s + ST_GAP_S) & (t_s <= end_s)]
    if not len(level) or not len(wave):
        return float("nan")
    away = wave - level.mean()
    return float(away[np.argmax(np.abs(away))])


def _relative(
    mv: F64, truth: EcgRecord, measured: Intervals, feature: Callable[[F64, F64, Intervals], float], *, least_mv: float
) -> tuple[float, ...]:
    """Return a feature's error over its true value, beat by beat, in the leads where the whole beat is known."""
    fs = truth.fs
    reach = np.arange(-round(0.1 * fs), round(0.6 * fs))
    errors = []
    for beat_s in measured.beats_s:
        at = round(float(beat_s) * fs) + reach
        if at[0] < 0 or at[-1] >= truth.mv.shape[1]:
            continue
        for row in range(len(LEADS)):
            true_mv, read_mv = truth.mv[row, at].astype(np.float64), mv[row, at]
            if not np.isfinite(true_mv).all() or not np.isfinite(read_mv).all():
                continue
            true_value, value = (feature(each, reach / fs, measured) for each in (true_mv, read_mv))
            if np.isfinite(true_value) and abs(true_value) >= least_mv:
                errors.append((value - true_value) / true_value)
    return tuple(errors)


def effect_table(effects: Sequence[PageEffect]) -> dict[str, dict[str, float]]:
    """Average the SNR by tier and over all; of features give the median of the absolute error (% and ms)."""
    tiers = sorted({each.tier for each in effects})
    groups = {tier: [each for each in effects if each.tier == tier] for tier in tiers}
    if len(tiers) > 1:
        groups["all"] = list(effects)
    return {tier: _row(group) for tier, group in groups.items()}


def _row(group: Sequence[PageEffect]) -> dict[str, float]:
    before, after = (np.array([each.snr_db[when] for each in group]) for when in (BEFORE, AFTER))
    row = {
        "pages": float(len(group)),
        "before_db": float(before.mean()),
        "after_db": float(after.mean()),
        "gain_db": float((after - before).mean()),
        "worst_db": float((after - before).min()),
        "filled": float(sum(each.filled for each in group)),
    }
    for name, scale in (("qrs", 100.0), ("t", 100.0)):
        for when in (BEFORE, AFTER):
            errors = [value for each in group for value in getattr(each, name).get(when, ())]
            row[f"{name}_{when}_%"] = float(np.median(np.abs(errors)) * scale) if errors else float("nan")
    for when in (BEFORE, AFTER):
        errors = [each.qt_ms[when] for each in group if np.isfinite(each.qt_ms.get(when, np.nan))]
        row[f"qt_{when}_ms"] = float(np.median(np.abs(errors))) if errors else float("nan")
    return row
