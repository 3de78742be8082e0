"""Where the ventricles beat in a record, which beats look alike, and the one beat that stands for all of these.

Leads may be printed at different times and have holes: at every moment the leads that are there speak together.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ecgstudio.core.arrays import F64, Floats

Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

QRS_BAND_HZ = (5.0, 15.0)  # Pan and Tompkins 1985: where a QRS is strongest against P, T, muscle and wander
INTEGRATE_S = 0.12
BRIDGE_S = 0.06  # holes up to this long are bridged for detection, never for measuring
SHORTEST_S = 0.6
LEAST_MV = 0.05  # a stretch that moves less than this holds no QRS
REFRACTORY_S = 0.24
T_WAVE_S, T_WAVE_SHARE = 0.36, 0.6  # a lower peak this soon after a QRS is its T wave (Pan and Tompkins 1985)
QRS_SHARE, MISSED_SHARE, MISSED_RR = 0.40, 0.22, 1.66
PQ_S, PQ_HALF_S = 0.075, 0.010  # before the R peak: where the paper's zero line is taken
ALIGN_S, ALIGN_REACH_S = 0.09, 0.030
ALIKE = 0.85  # correlation from which two beats are of one kind
ANCHOR_SHARE = 0.85  # a lead that shows this share of all beats can tell how they lie to each other


@dataclass(frozen=True, slots=True, eq=False)
class MeanBeat:
    """The median of alike beats in every lead: `mv` [leads, m] at `t_s` [m] from the R peak, NaN where not seen.

    `singles` [beats, leads, m] are the beats it was made of, on the same zero line.
    """

    t_s: F64
    mv: F64
    singles: F64


def find_beats(mv: Floats, fs: float) -> F64:
    """Return the times of all QRS complexes in a record [leads, n], in seconds and in order.

    Pan and Tompkins, IEEE Trans Biomed Eng 32:230 (1985), in every printed stretch: band-pass, slope, square, moving
    sum. The envelopes of all leads that are present at a moment are averaged, each relative to its own peaks and
    weighed by how far these stand out; a missed beat is searched at a lower threshold.
    """
    envelope = _joint_envelope(np.asarray(mv, np.float64), fs)
    if not np.isfinite(envelope).any():
        return np.empty(0)
    height = np.sqrt(np.nan_to_num(envelope))
    at, shown = signal.find_peaks(height, height=1e-9, distance=max(1, round(REFRACTORY_S * fs)))
    if not len(at):
        return np.empty(0)
    tall = shown["peak_heights"]
    usual = float(np.median(tall[tall > 0.5 * np.percentile(tall, 90)]))
    beats = _without_t_waves(at[tall > QRS_SHARE * usual], height, fs)
    if len(beats) > 2:
        longest = MISSED_RR * np.median(np.diff(beats))
        low = at[(tall > MISSED_SHARE * usual) & (tall <= QRS_SHARE * usual)]
        gaps = [(a, b) for a, b in itertools.pairwise(beats) if b - a > longest]
        inside = [low[(low > a + T_WAVE_S * fs) & (low < b - T_WAVE_S * fs)] for a, b in gaps]
        found = [each[np.argmax(height[each])] for each in inside if len(each)]
        beats = np.sort(np.concatenate([beats, np.array(found, np.intp)]))
    return np.asarray(beats / fs, np.float64)


def align_beats(mv: Floats, fs: float, beats_s: F64) -> tuple[F64, Bools]:
    """Move the beats so that alike ones lie on each other, and say which are of the prevailing kind.

    Leads that show (nearly) all beats decide, if there are any: where columns follow one another, no other lead can
    compare beats of two columns. Between kinds that are equally frequent the less premature is the prevailing one.
    """
    values = np.asarray(mv, np.float64)
    if not len(beats_s):
        return beats_s, np.zeros(0, bool)
    half, reach = round(ALIGN_S * fs), round(ALIGN_REACH_S * fs)
    at = np.round(beats_s * fs).astype(np.intp)
    wide = _windows(values, at, half + reach, half + reach + 1)
    seen: Bools = np.asarray(np.isfinite(wide).all(axis=2))
    anchors = seen.mean(axis=0) >= ANCHOR_SHARE
    if anchors.any():
        wide, seen = wide[:, anchors], seen[:, anchors]
    alike = _alike_to_prevailing(wide[:, :, reach:-reach], seen, at)
    if anchors.any() and alike.sum() > 1:
        at += _shifts(wide, seen, alike, reach=reach)
    return np.asarray(at / fs, np.float64), alike


def mean_beat(mv: Floats, fs: float, beats_s: F64, *, before_s: float, after_s: float) -> MeanBeat:
    """Lay the beats of every lead over each other and take the median.

    The zero line of every lead runs straight from one PQ segment to the next (Meyer and Keiser, Comput Biomed Res
    10:459, 1977, who draw a cubic there), which takes the wander out and leaves ST and T alone.
    """
    values = np.asarray(mv, np.float64)
    at = np.round(beats_s * fs).astype(np.intp)
    before, after = round(before_s * fs), round(after_s * fs)
    level = np.stack([lead - _zero_line(lead, at, fs) for lead in values])
    singles = _windows(level, at, before, after + 1)
    count = np.isfinite(singles).sum(axis=0)
    mean = np.full(count.shape, np.nan)
    most = count.max(axis=1, keepdims=True)
    enough = (count > 0) & (count >= 0.5 * most)  # no step where one of two beats runs out of paper
    for lead in range(len(mean)):
        here = enough[lead]
        if here.any():
            mean[lead, here] = np.nanmedian(singles[:, lead, here], axis=0)
    return MeanBeat(np.arange(-before, after + 1) / fs, mean, singles)


def _joint_envelope(mv: F64, fs: float) -> F64:
    """Average the QRS envelopes of all leads that are present; NaN where none is."""
    total, weights = np.zeros(mv.shape[1]), np.zeros(mv.shape[1])
    sections = signal.butter(2, QRS_BAND_HZ, btype="band", fs=fs, output="sos")
    box = np.ones(max(1, round(INTEGRATE_S * fs)))
    for lead in mv:
        for start, stop in _stretches(lead, fs):
            part = _bridged(lead[start:stop])
            if np.ptp(part) < LEAST_MV:
                continue
            slope = np.gradient(signal.sosfiltfilt(sections, part))
            energy = np.convolve(slope**2, box / len(box), mode="same")
            top = float(np.percentile(energy, 97))
            if top <= 0:
                continue
            stands_out = top / max(float(np.median(energy)), 1e-12)
            weight = float(np.clip((stands_out - 3) / 20, 0.02, 1.0))
            total[start:stop] += weight * np.minimum(energy / top, 2.0)
            weights[start:stop] += weight
    with np.errstate(invalid="ignore"):
        return np.where(weights > 0, total / weights, np.nan)


def _stretches(lead: F64, fs: float) -> list[tuple[int, int]]:
    """Return where a lead is known, without its short holes."""
    known = np.flatnonzero(np.isfinite(lead))
    if not len(known):
        return []
    cuts = np.flatnonzero(np.diff(known) > BRIDGE_S * fs)
    starts, stops = known[np.r_[0, cuts + 1]], known[np.r_[cuts, len(known) - 1]] + 1
    long_enough = max(SHORTEST_S * fs, 30)
    return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True) if b - a >= long_enough]


def _bridged(part: F64) -> F64:
    known = np.isfinite(part)
    at = np.arange(len(part))
    return np.interp(at, at[known], part[known])


def _without_t_waves(at: Indices, height: F64, fs: float) -> Indices:
    kept: list[int] = []
    for peak in at:
        soon = bool(kept) and peak - kept[-1] < T_WAVE_S * fs
        if not (soon and height[peak] < T_WAVE_SHARE * height[kept[-1]]):
            kept.append(int(peak))
    return np.array(kept, np.intp)


def _windows(mv: F64, at: Indices, before: int, after: int) -> F64:
    """Cut [beats, leads, before + after] around samples; NaN outside the record."""
    margin = max(before, after) + 1
    padded = np.pad(mv, ((0, 0), (margin, margin)), constant_values=np.nan)
    index = at[:, None] + np.arange(-before, after)[None] + margin
    index = np.clip(index, 0, padded.shape[1] - 1)
    return np.ascontiguousarray(np.moveaxis(padded[:, index], 0, 1))


def _alike_to_prevailing(windows: F64, seen: Bools, at: Indices) -> Bools:
    """Say which beats are of the most frequent kind; a beat that can be compared with none of them is let pass."""
    x = np.nan_to_num(windows - np.mean(np.nan_to_num(windows), axis=2, keepdims=True)) * seen[:, :, None]
    dot = np.einsum("alt,blt->ab", x, x)
    power = np.einsum("alt,alt,bl->ab", x, x, seen.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        likeness = dot / np.sqrt(power * power.T)
    comparable = (seen.astype(int) @ seen.T.astype(int)) > 0
    alike = comparable & (np.nan_to_num(likeness) >= ALIKE)
    since = np.r_[0.0, np.diff(at)]  # to the beat before
    lateness = np.array([since[row].mean() if row.any() else 0.0 for row in alike])
    votes = alike.sum(axis=1) + 0.5 * lateness / max(float(lateness.max()), 1e-9)
    chosen = int(np.argmax(votes))
    return np.asarray(alike[chosen] | ~comparable[chosen], bool)


def _shifts(wide: F64, seen: Bools, alike: Bools, *, reach: int) -> Indices:
    """Return by how many samples each alike beat is to be moved to fit the median of them."""
    shifts = np.zeros(len(wide), np.intp)
    inner = wide.shape[2] - 2 * reach
    leads = seen[alike].all(axis=0)
    if not leads.any():
        return shifts
    lags = np.arange(-reach, reach + 1)
    for _ in range(2):
        moved = np.stack([w[leads, reach + s : reach + s + inner] for w, s in zip(wide, shifts, strict=True)])
        template = np.nanmedian(moved[alike], axis=0)
        template = template - template.mean(axis=1, keepdims=True)
        for beat in np.flatnonzero(alike):
            candidates = np.stack([wide[beat][leads, reach + lag : reach + lag + inner] for lag in lags])
            candidates = candidates - candidates.mean(axis=2, keepdims=True)
            fit = np.einsum("klt,lt->k", candidates, template) / np.sqrt(
                np.einsum("klt,klt->k", candidates, candidates)
            )
            shifts[beat] = lags[int(np.argmax(np.nan_to_num(fit)))]
    return shifts


def _zero_line(lead: F64, at: Indices, fs: float) -> F64:
    """Return the line through the PQ segments; flat beyond the outer ones, the median if there is none."""
    knots = at - round(PQ_S * fs)
    half = max(1, round(PQ_HALF_S * fs))
    places, levels = [], []
    for knot in knots:
        part = lead[max(0, knot - half) : knot + half + 1] if knot > half else lead[:0]
        if len(part) and np.isfinite(part).mean() > 0.5:
            places.append(knot)
            levels.append(float(np.nanmedian(part)))
    if not places:
        known = lead[np.isfinite(lead)]
        return np.full(len(lead), float(np.median(known)) if len(known) else 0.0)
    return np.interp(np.arange(len(lead)), places, levels)
