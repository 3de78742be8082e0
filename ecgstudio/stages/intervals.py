"""Heart rate, PR, QRS, QT and QTc of a record, with the fiducials they were measured between.

Everything is measured once, on the mean beat of all leads together (the "global" intervals of Kligfield et al.,
Circulation 115:1306, 2007), and never guessed: what cannot be measured is NaN and comes with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy import signal

from ecgstudio.core.arrays import F64, check_finite, frozen_array
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.fiducials import Fiducial, FiducialEdit, FiducialPlace
from ecgstudio.stages.beats import (
    SMOOTH_S,
    Bools,
    MeanBeat,
    align_beats,
    find_beats,
    mean_beat,
    mean_of_known,
    qrs_edges,
)

ST_GAP_S = 0.04
PQ_GAP_S = 0.012
T_LATEST_SHARE, T_SEARCH_S = 0.45, 0.22  # of the square root of RR; how far behind its peak T may end
T_LEAST_MV, P_LEAST_MV = 0.035, 0.012
ABOVE_FLOOR = 3.0
PR_REACH_S, P_GAP_S, P_CLEAR_S = 0.34, 0.02, 0.012
P_CONSTANT = 4.0  # of the mean's power over what chance leaves of beats that do not belong together
MIN_BEATS_FOR_CHANCE = 3
RATE_LIMITS = (20.0, 300.0)


QTC_FORMULAS: Final[Mapping[str, Callable[[float, float], float]]] = MappingProxyType(
    {  # QT and RR in seconds
        "Bazett": lambda qt_s, rr_s: qt_s / math.sqrt(rr_s),  # Heart 7:353, 1920
        "Fridericia": lambda qt_s, rr_s: qt_s / rr_s ** (1 / 3),  # Acta Med Scand 53:469, 1920
        "Framingham": lambda qt_s, rr_s: qt_s + 0.154 * (1 - rr_s),  # Sagie et al., Am J Cardiol 70:797, 1992
        "Hodges": lambda qt_s, rr_s: qt_s + 0.00175 * (60 / rr_s - 60),  # J Am Coll Cardiol 1:694, 1983
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """The beats of a record and its intervals.

    `beats_s` [n] are the R peaks on the record's time axis, `alike` [n] says which of them the mean beat is made of.
    `fiducials` are seconds from the R peak, NaN where not found; `reasons` says why not, by fiducial, and under "rate"
    why there is no rate. `by_hand` names what a human placed.
    """

    beats_s: F64
    alike: Bools
    fiducials: Mapping[Fiducial, float]
    reasons: Mapping[str, str] = field(default_factory=dict)
    by_hand: frozenset[Fiducial] = frozenset()

    def __post_init__(self) -> None:
        beats_s = frozen_array(self.beats_s, dtype=np.float64, shape=(None,), name="beats_s")
        check_finite(beats_s, "beats_s")
        object.__setattr__(self, "beats_s", beats_s)
        alike = frozen_array(self.alike, dtype=np.bool_, shape=beats_s.shape, name="alike")
        object.__setattr__(self, "alike", alike)
        places = {fiducial: float(self.fiducials.get(fiducial, math.nan)) for fiducial in Fiducial}
        object.__setattr__(self, "fiducials", MappingProxyType(places))
        object.__setattr__(self, "reasons", MappingProxyType(dict(self.reasons)))

    @property
    def rr_s(self) -> float:
        """Mean time from beat to beat; NaN with fewer than two beats."""
        if len(self.beats_s) < 2:
            return math.nan
        return float((self.beats_s[-1] - self.beats_s[0]) / (len(self.beats_s) - 1))

    @property
    def rate_per_min(self) -> float:
        """Mean ventricular rate."""
        return 60.0 / self.rr_s

    @property
    def rr_spread(self) -> float:
        """Standard deviation of the time from beat to beat over its mean; NaN with fewer than three beats."""
        if len(self.beats_s) < 3:
            return math.nan
        return float(np.std(np.diff(self.beats_s)) / self.rr_s)

    @property
    def pr_ms(self) -> float:
        """From P onset to QRS onset."""
        return self.between_ms(Fiducial.P_ON, Fiducial.QRS_ON)

    @property
    def qrs_ms(self) -> float:
        """From QRS onset to QRS end."""
        return self.between_ms(Fiducial.QRS_ON, Fiducial.QRS_OFF)

    @property
    def qt_ms(self) -> float:
        """From QRS onset to T end."""
        return self.between_ms(Fiducial.QRS_ON, Fiducial.T_END)

    def qtc_ms(self, formula: str) -> float:
        """QT corrected for the mean rate by one of QTC_FORMULAS; NaN without QT or rate."""
        if not (math.isfinite(self.qt_ms) and math.isfinite(self.rr_s)):
            return math.nan
        return 1000 * QTC_FORMULAS[formula](self.qt_ms / 1000, self.rr_s)

    def between_ms(self, first: Fiducial, second: Fiducial) -> float:
        """Time from one fiducial to another; NaN if either is missing."""
        return 1000 * (self.fiducials[second] - self.fiducials[first])

    def why_not(self, *needed: Fiducial) -> str:
        """Say why an interval between these fiducials is missing; "" if it is not."""
        missing = [self.reasons.get(f, "not found") for f in needed if not math.isfinite(self.fiducials[f])]
        return "; ".join(dict.fromkeys(missing))

    def with_fiducial(self, fiducial: Fiducial, at_s: float) -> Intervals:
        """Return the intervals with a fiducial where a human placed it, in seconds from the R peak."""
        places = {**self.fiducials, fiducial: at_s}
        reasons = {name: reason for name, reason in self.reasons.items() if name != fiducial}
        return replace(self, fiducials=places, reasons=reasons, by_hand=self.by_hand | {fiducial})

    def with_edit(self, edit: FiducialEdit | None) -> Intervals:
        """Return the intervals with all fiducials where a human placed them."""
        placed = self
        for place in edit.places if edit is not None else ():
            placed = placed.with_fiducial(Fiducial(place.fiducial), place.at_s)
        return placed

    @property
    def edit(self) -> FiducialEdit | None:
        """What a human changed about the fiducials; None if nothing."""
        places = tuple(
            FiducialPlace(fiducial, self.fiducials[fiducial]) for fiducial in Fiducial if fiducial in self.by_hand
        )
        return FiducialEdit(places) if places else None


def measure_intervals(record: EcgRecord) -> Intervals:
    """Measure what a record allows. Missing samples, leads and times are left out, never filled."""
    mv, fs = record.mv.astype(np.float64), record.fs
    beats_s = find_beats(mv, fs)
    beats_s, alike = align_beats(mv, fs, beats_s)
    if not alike.any():
        return _nothing(beats_s, alike, "no QRS complex was found in full")
    rr_s = float(np.median(np.diff(beats_s))) if len(beats_s) > 1 else math.nan
    reasons = {} if math.isfinite(rr_s) else {"rate": "a single beat has no rate"}
    if math.isfinite(rr_s) and not RATE_LIMITS[0] <= 60 / rr_s <= RATE_LIMITS[1]:
        return _nothing(beats_s, alike, "the beats are too irregular to be measured")
    known_rr_s = rr_s if math.isfinite(rr_s) else 1.0
    reach = {"before_s": min(0.45, 0.62 * known_rr_s), "after_s": min(0.75, max(0.35, known_rr_s - 0.08))}
    edges = qrs_edges(mean_beat(mv, fs, beats_s[alike], **reach), fs)
    found = Intervals(beats_s, alike, {}, reasons)
    if edges is None:
        reasons |= dict.fromkeys(Fiducial, "no QRS that stands clear of what is beside it")
        return replace(found, reasons=reasons)
    beat = mean_beat(mv, fs, beats_s[alike], **reach, pq_s=PQ_GAP_S - edges[0])
    return _measured(beat, found, qrs=qrs_edges(beat, fs) or edges, fs=fs, rr_s=known_rr_s)


def _nothing(beats_s: F64, alike: Bools, reason: str) -> Intervals:
    return Intervals(beats_s, alike, {}, {"rate": reason, **dict.fromkeys(Fiducial, reason)})


def _measured(beat: MeanBeat, found: Intervals, *, qrs: tuple[float, float], fs: float, rr_s: float) -> Intervals:
    places: dict[Fiducial, float] = {Fiducial.QRS_ON: qrs[0], Fiducial.QRS_OFF: qrs[1]}
    reasons = dict(found.reasons)
    t_end = _t_end(beat, qrs[1], fs=fs, rr_s=rr_s)
    previous_t_s = (t_end if isinstance(t_end, float) else 0.3) - rr_s
    p_on = _p_onset(beat, qrs[0], previous_t_s=previous_t_s, fs=fs)
    for fiducial, answer in ((Fiducial.T_END, t_end), (Fiducial.P_ON, p_on)):
        if isinstance(answer, str):
            reasons[fiducial] = answer
        else:
            places[fiducial] = answer
    return replace(found, fiducials=places, reasons=reasons)


def _magnitude(mv: F64, fs: float) -> F64:
    """Return the smoothed root mean square over the leads, less the floor that noise leaves of it."""
    window = max(5, round(2 * SMOOTH_S * fs) // 2 * 2 + 1)
    power = mean_of_known(signal.savgol_filter(mv, window, 2, axis=1, mode="nearest") ** 2)
    return np.sqrt(power)


def _t_end(beat: MeanBeat, qrs_off_s: float, *, fs: float, rr_s: float) -> float | str:
    """Find where the tangent to the steepest end of T meets the zero line (Lepeschkin and Surawicz 1952).

    Taken on the root mean square of all leads, in which a lead with a flat T does not count; a U wave lies behind the
    steepest slope and is cut off.
    """
    magnitude = _magnitude(beat.mv, fs)
    latest_s = min(T_LATEST_SHARE * math.sqrt(rr_s) + 0.03, 0.70 * rr_s)
    search = (beat.t_s >= qrs_off_s + ST_GAP_S) & (beat.t_s <= latest_s) & np.isfinite(magnitude)
    if search.sum() < 0.05 * fs:
        return "T runs into the next beat or is not on the paper"
    inside = np.flatnonzero(search)
    peaks, _ = signal.find_peaks(magnitude[inside])
    tallest = float(magnitude[inside].max())
    peaks = peaks[magnitude[inside][peaks] > 0.5 * tallest]
    peak = int(inside[peaks[-1] if len(peaks) else np.argmax(magnitude[inside])])
    floor = _floor(magnitude)
    if magnitude[peak] < max(T_LEAST_MV, ABOVE_FLOOR * floor):
        return "T is too flat to see where it ends"
    stop = min(len(magnitude), peak + round(T_SEARCH_S * fs))
    end = _tangent(magnitude[peak:stop], level=floor)
    return float(beat.t_s[peak] + end / fs) if end is not None else "T does not come to an end on the paper"


def _p_onset(beat: MeanBeat, qrs_on_s: float, *, previous_t_s: float, fs: float) -> float | str:
    """Find where the tangent to the steepest rise of P meets the line between T and QRS; P must keep its distance."""
    start_s = max(qrs_on_s - PR_REACH_S, previous_t_s, float(beat.t_s[0]) + 0.01)
    window = np.flatnonzero((beat.t_s >= start_s) & (beat.t_s <= qrs_on_s - 0.004))
    if len(window) < 0.09 * fs:
        return "there is no room between T and QRS in which to look for P"
    level = _levelled(beat.mv[:, window], fs)
    magnitude = _magnitude(level, fs)
    rise = magnitude[: len(window) - round(P_GAP_S * fs)]
    if not np.isfinite(rise).all():
        return "the time before QRS was not printed or not read"
    peak = int(np.argmax(rise))
    floor = _floor(magnitude)
    if rise[peak] < max(P_LEAST_MV, ABOVE_FLOOR * floor) or not _is_constant(beat.singles[:, :, window], fs):
        return "no P wave at a constant distance before QRS"
    start = _tangent(rise[peak::-1], level=floor)
    if start is None or peak - start < P_CLEAR_S * fs:
        return "P does not stand clear of the T before it"
    return float(beat.t_s[window[peak]] - start / fs)


def _floor(magnitude: F64) -> float:
    return float(np.nanpercentile(magnitude, 8))


def _tangent(falling: F64, *, level: float) -> float | None:
    """Return after how many samples the tangent to the steepest fall from a peak (the first sample) meets the level."""
    known = np.isfinite(falling)
    falling = falling[: int(np.argmin(known)) if not known.all() else len(falling)]
    if len(falling) < 5:
        return None
    low = np.flatnonzero(falling - level < 0.12 * (falling[0] - level))
    slope = np.gradient(falling[: low[0] + 1] if len(low) else falling)
    steepest = int(np.argmin(slope))
    if slope[steepest] >= 0 or (not len(low) and steepest >= len(slope) - 2):
        return None
    return float(steepest + (falling[steepest] - level) / -slope[steepest])


def _levelled(mv: F64, fs: float) -> F64:
    """Subtract from each lead the line between the two ends of the window (the last axis is time)."""
    edge = max(2, round(0.016 * fs))
    ends = mv[..., :edge].mean(axis=-1), mv[..., -edge:].mean(axis=-1)
    ramp = np.clip((np.arange(mv.shape[-1]) - edge / 2) / max(1, mv.shape[-1] - edge), 0, 1)
    return np.asarray(mv - (ends[0][..., None] * (1 - ramp) + ends[1][..., None] * ramp))


def _is_constant(singles: F64, fs: float) -> bool:
    """Say whether what stands before QRS is the same in all beats, far beyond what chance would leave in their mean."""
    level = _levelled(singles, fs)
    by_chance = common = 0.0
    for lead in range(level.shape[1]):
        beats = level[np.isfinite(level[:, lead]).all(axis=1), lead]
        if len(beats) >= MIN_BEATS_FOR_CHANCE:
            common += len(beats) * float((beats.mean(axis=0) ** 2).mean())
            by_chance += float(beats.var(axis=0, ddof=1).mean())
    return by_chance == 0.0 or common / by_chance > P_CONSTANT
