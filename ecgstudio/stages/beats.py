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
PQ_S, PQ_HALF_S = 0.075, 0.007  # before the R peak: where the zero line is taken until the QRS onset is known
ALIGN_S, ALIGN_REACH_S = 0.09, 0.030
ALIKE = 0.85  # correlation from which two beats are of one kind
ANCHOR_SHARE = 0.85  # a lead that shows this share of all beats can tell how they lie to each other
SMOOTH_S = 0.018
QRS_EDGE = 0.06  # of the largest spatial velocity: QRS has begun, has not ended
QRS_AGAIN, AGAIN_S = 0.15, 0.045  # as fast as this, this near behind a quiet moment: a notch or a delta wave, still QRS
NOISE_MARGIN = 1.35
QUIET_S = 0.012  # velocity stays low for this long before QRS began and after it ended
QRS_REACH_S, QRS_END_REACH_S = 0.08, 0.20
QRS_LIMITS_MS = (40.0, 260.0)
COMPANY, COMPANY_S = 2, 1.5  # so many other leads, for so long, tell whether a lead's beats lie where they should


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

    Leads that show (nearly) all beats decide, if there are any. Without them, no lead can compare the beats of two
    columns: the beats of each column are aligned among themselves, and the columns by the middle of their QRS. Between
    kinds that are equally frequent the less premature is the prevailing one.
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
        values, seen = values[anchors], seen[:, anchors]
        at += _lags(wide[:, anchors], _typical(wide[:, anchors, reach:-reach], seen), reach=reach)
        wide = _windows(values, at, half + reach, half + reach + 1)
    alike = _alike_to_prevailing(wide[:, :, reach:-reach], seen, at)
    if anchors.any():
        at = np.where(alike, at + _shifts(wide, alike, reach=reach), np.round(beats_s * fs).astype(np.intp))
        return np.asarray(at / fs, np.float64), alike
    leads_of = np.unique(seen.T, axis=0)
    for pattern in leads_of[leads_of.any(axis=1)]:
        leads = (pattern == seen.T).all(axis=1)
        beats = np.flatnonzero(pattern & alike)
        if len(beats):
            at[beats] += _shifts(wide[np.ix_(beats, leads)], np.ones(len(beats), bool), reach=reach)
            column = mean_beat(values[leads], fs, at[beats] / fs, before_s=0.25, after_s=0.25)
            edges = qrs_edges(column, fs)
            at[beats] += 0 if edges is None else round(sum(edges) / 2 * fs)
    return np.asarray(at / fs, np.float64), alike


def mean_beat(mv: Floats, fs: float, beats_s: F64, *, before_s: float, after_s: float, pq_s: float = PQ_S) -> MeanBeat:
    """Lay the beats of every lead over each other and take the median.

    The zero line of every lead runs straight from one PQ segment, `pq_s` before the R peak, to the next (Meyer and
    Keiser, Comput Biomed Res 10:459, 1977, who draw a cubic there): the wander goes, ST and T stay.
    """
    values = np.asarray(mv, np.float64)
    at = np.round(beats_s * fs).astype(np.intp)
    before, after = round(before_s * fs), round(after_s * fs)
    level = np.stack([lead - _zero_line(lead, at - round(pq_s * fs), fs) for lead in values])
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


def qrs_edges(beat: MeanBeat, fs: float) -> tuple[float, float] | None:
    """Find where the heart vector begins and ceases to move fast; None without a plausible QRS.

    The spatial velocity (root mean square of all leads' slopes) against a threshold, as in van Bemmel et al., Comput
    Biomed Res 23:1 (1990): a lead in which the first or last forces do not show cannot shorten the QRS.
    """
    velocity = _spatial_velocity(beat, fs)
    near = np.abs(beat.t_s) <= QRS_REACH_S
    if not np.isfinite(velocity[near]).any():
        return None
    peak = int(np.flatnonzero(near)[np.nanargmax(velocity[near])])
    on = _first_quiet(velocity[: peak + 1][::-1], fs)
    off = _first_quiet(velocity[peak:], fs)
    if on is None or off is None or not QRS_LIMITS_MS[0] <= 1000 * (on + off) / fs <= QRS_LIMITS_MS[1]:
        return None
    return float(beat.t_s[peak - on]), float(beat.t_s[peak + off])


def mean_of_known(values: F64) -> F64:
    """Average over leads [leads, n]; NaN where no lead is known."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, np.nan_to_num(values).sum(axis=0) / count, np.nan)


def _spatial_velocity(beat: MeanBeat, fs: float) -> F64:
    window = max(5, round(SMOOTH_S * fs) // 2 * 2 + 1)
    slopes = signal.savgol_filter(beat.mv, window, 2, deriv=1, delta=1 / fs, axis=1, mode="nearest")
    return np.sqrt(mean_of_known(slopes**2))


def _first_quiet(velocity: F64, fs: float) -> int | None:
    """Return after how many samples from the peak the velocity falls to the level beside QRS for good."""
    reach = velocity[: round(QRS_END_REACH_S * fs)]
    known = reach[np.isfinite(reach)]
    if len(known) < QUIET_S * fs:
        return None
    noise, tall = float(np.percentile(known, 15)), float(velocity[0])
    calm = np.isfinite(reach) & (reach**2 <= NOISE_MARGIN * noise**2 + (QRS_EDGE * tall) ** 2)
    run = max(2, round(QUIET_S * fs))
    for quiet in np.flatnonzero(np.convolve(calm, np.ones(run), mode="valid") == run):
        soon = reach[quiet : quiet + round(AGAIN_S * fs)]
        if not (soon > noise + QRS_AGAIN * tall).any():
            return int(quiet)
    return None


def coincidence(mv: Floats, fs: float) -> F64:
    """Return how well each lead's beats [leads, n] lie at the times of the others', as a correlation of QRS envelopes.

    NaN where a lead is flat, or shares less than COMPANY_S with two others. Leads that were put at a wrong time, or
    read at a wrong scale of time, stand out by this; leads that were taken for each other do not.
    """
    lead_mv = np.asarray(mv, np.float64)
    own, weights = _envelopes(lead_mv, fs)
    shown = weights > 0
    # a root, so that high beats and low ones count alike
    height = np.sqrt(np.divide(own, weights, out=np.zeros_like(own), where=shown))
    count, total = shown.sum(axis=0), height.sum(axis=0)
    agreement = np.full(len(lead_mv), np.nan)
    for i, (seen, mine) in enumerate(zip(shown, height, strict=True)):
        together = seen & (count > COMPANY)
        others = (total - mine)[together] / (count[together] - 1)
        if together.sum() >= COMPANY_S * fs and np.ptp(others) > 0 and np.ptp(mine[together]) > 0:
            agreement[i] = np.corrcoef(mine[together], others)[0, 1]
    return agreement


def _joint_envelope(mv: F64, fs: float) -> F64:
    """Average the QRS envelopes of all leads that are present; NaN where none is."""
    own, weights = _envelopes(mv, fs)
    total, weight = own.sum(axis=0), weights.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(weight > 0, total / weight, np.nan)


def _envelopes(mv: F64, fs: float) -> tuple[F64, F64]:
    """Return each lead's QRS envelope times its weight, and the weight: how far its peaks stand out, 0 if unknown."""
    weighted, weights = np.zeros(mv.shape), np.zeros(mv.shape)
    sections = signal.butter(2, QRS_BAND_HZ, btype="band", fs=fs, output="sos")
    box = np.ones(max(1, round(INTEGRATE_S * fs)))
    for i, lead in enumerate(mv):
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
            weights[i, start:stop] = float(np.clip((stands_out - 3) / 20, 0.02, 1.0))
            weighted[i, start:stop] = weights[i, start:stop] * np.minimum(energy / top, 2.0)
    return weighted, weights


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


def _likeness(windows: F64, seen: Bools) -> tuple[F64, Bools]:
    """Return how well every two beats correlate over the leads that show both, and whether there are any."""
    x = np.nan_to_num(windows - np.mean(np.nan_to_num(windows), axis=2, keepdims=True)) * seen[:, :, None]
    dot = np.einsum("alt,blt->ab", x, x)
    power = np.einsum("alt,alt,bl->ab", x, x, seen.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        likeness = np.nan_to_num(dot / np.sqrt(power * power.T))
    return likeness, (seen.astype(int) @ seen.T.astype(int)) > 0


def _typical(windows: F64, seen: Bools) -> F64:
    """Return the beat [leads, n] that is most like the others."""
    likeness, comparable = _likeness(windows, seen)
    return np.asarray(windows[int(np.argmax((likeness * comparable).sum(axis=1)))])


def _alike_to_prevailing(windows: F64, seen: Bools, at: Indices) -> Bools:
    """Say which beats are of the most frequent kind.

    A beat that can be compared with none of them passes; one that no lead shows in full does not.
    """
    likeness, comparable = _likeness(windows, seen)
    alike = comparable & (likeness >= ALIKE)
    since = np.r_[0.0, np.diff(at)]  # to the beat before
    lateness = np.array([since[row].mean() if row.any() else 0.0 for row in alike])
    votes = alike.sum(axis=1) + 0.5 * lateness / max(float(lateness.max()), 1e-9)
    chosen = int(np.argmax(votes))
    return np.asarray((alike[chosen] | ~comparable[chosen]) & seen.any(axis=1), bool)


def _shifts(wide: F64, alike: Bools, *, reach: int) -> Indices:
    """Return by how many samples each alike beat is to be moved to fit the median of them."""
    shifts = np.zeros(len(wide), np.intp)
    inner = wide.shape[2] - 2 * reach
    leads = np.isfinite(wide[alike]).all(axis=(0, 2))
    if not leads.any() or alike.sum() < 2:
        return shifts
    chosen = wide[np.ix_(alike, leads)]
    for _ in range(2):
        moved = np.stack([w[:, reach + s : reach + s + inner] for w, s in zip(chosen, shifts[alike], strict=True)])
        shifts[alike] = _lags(chosen, np.asarray(np.median(moved, axis=0)), reach=reach)
    return shifts


def _lags(wide: F64, template: F64, *, reach: int) -> Indices:
    """Return by how many samples each beat is to be moved to fit a template [leads, n] best."""
    pattern = np.nan_to_num(template - template.mean(axis=1, keepdims=True))
    sliding = np.lib.stride_tricks.sliding_window_view(wide, template.shape[1], axis=2)
    level = sliding - sliding.mean(axis=-1, keepdims=True)
    dot, size = np.einsum("blkt,lt->bk", level, pattern), np.einsum("blkt,blkt->bk", level, level)
    fit = np.nan_to_num(dot / np.sqrt(np.maximum(size, 1e-12)), nan=-np.inf)
    return np.where(np.isfinite(fit).any(axis=1), np.argmax(fit, axis=1) - reach, 0)


def _zero_line(lead: F64, knots: Indices, fs: float) -> F64:
    """Return the line through the PQ segments; flat beyond the outer ones, the median if there is none."""
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
