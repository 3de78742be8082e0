"""What the traces of a page show of having been misread: lines on each other, leaps, odd beats, a strange size.

Every sign is a share of power, as noise is of a signal; none is used to make the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.ecg import LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.stages.beats import MeanBeat, align_beats, find_beats, mean_beat, qrs_edges

COLUMN_MM: Final = 0.25  # steps along the paper at which traces are compared
EVERY: Final = 5  # samples
HOLE_MM: Final = 1.0
TOUCHING_MM: Final = 1.5  # some pens' widths: whose ink it is cannot be told
LEAST_SAMPLES: Final = 20
LEAST_MV: Final = 0.02  # standard deviation of a lead that moves
BEFORE_S: Final = 0.30
AFTER_S: Final = 0.45
OF_RR: Final = (0.4, 0.6)
LEAST_BEATS: Final = 2
USUAL_SECONDS: Final = (2.5, 5.0, 10.0)
SEEN: Final = 0.8  # of the mean beat
RIDGE: Final = 0.01

CHEST: Final = range(6, 12)
USUAL_MV: Final = (0.80, 1.54)  # median height of limb and of chest leads
USUAL_MV_SPREAD: Final = 0.37  # of its natural logarithm
USUAL_MV_TOGETHER: Final = 0.45  # how limb and chest leads correlate in that
USUAL_RR_S: Final = 0.83
USUAL_QRS_S: Final = 0.092
USUAL_TIME_SPREAD: Final = 0.23
"""Of 199 pages of PTB-XL records; a lead is as high as the middle 99 % of its samples."""
HEIGHT_PERCENTILES: Final = (0.5, 99.5)
GAINS_MM: Final = (5.0, 10.0, 20.0)
OTHER_GAIN: Final = 0.1  # of the pages that do not tell their gain, for each gain but the standard one
HALF_CHEST: Final = 0.02  # of all pages: chest leads at half the gain, and nothing tells
LEAST_LEADS: Final = 3
STRANGE: Final = 0.02  # hearts of any size, as against one of the usual size
SPEEDS_MM: Final = (25.0, 50.0)
OTHER_SPEED: Final = 0.05  # of the pages that do not tell their speed
OTHER_SPEED_THAN_TOLD: Final = 0.005

Factors = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TraceSigns:
    """Signs against the traces, each 0 where there is none.

    crowded: share of each lead's power where its line lies on that of another row. crowded_share: the same of the page.
    leaps: the largest step between two samples of each lead in multiples of its standard deviation. vague: share of the
    page's power that its confidence does not vouch for. unlike: share of each chest lead's mean beat that the leads
    beside it do not explain. chest: the same of all chest leads. gain, speed: the chance that voltages or times were
    drawn at another scale than the one in use. length: how far, as a share, the printed time is from one that carts
    print.
    """

    crowded: Mapping[str, float] = field(default_factory=dict)
    crowded_share: float = 0.0
    leaps: Mapping[str, float] = field(default_factory=dict)
    vague: float = 0.0
    unlike: Mapping[str, float] = field(default_factory=dict)
    chest: float | None = None
    gain: float = 0.0
    speed: float = 0.0
    length: float = 0.0


def look_at(traces: Sequence[LeadTrace], mv: Floats, *, fs: float, grid: GridFit) -> TraceSigns:
    """Collect all signs of a page's traces and of the record [leads, n] made of them."""
    crowded, share = crowding(traces, grid)
    usual = _usual_beat(np.asarray(mv, np.float64), fs)
    unlike, chest = ({}, None) if usual is None else chest_residual(usual[0])
    return TraceSigns(
        crowded=crowded, crowded_share=share, leaps=leaps_of(traces), vague=vague_share(traces),
        unlike=unlike, chest=chest, gain=other_gain(mv, grid.scale),
        speed=0.0 if usual is None else other_speed(*usual, fs=fs, scale=grid.scale),
        length=odd_length(traces),
    )  # fmt: skip


def odd_length(traces: Sequence[LeadTrace]) -> float:
    """Return how far the time from the first sample to the last is from one that carts print, as a share of that.

    A sheet that was cut, ends of leads that were not found and a grid that was read a little too wide all show so.
    """
    if not traces:
        return 1.0
    seconds = max(trace.t0_s + trace.duration_s for trace in traces)
    return min(abs(seconds / usual - 1) for usual in USUAL_SECONDS)


def _usual_beat(mv: F64, fs: float) -> tuple[MeanBeat, float] | None:
    """Return the beat that stands for the prevailing ones, and the usual time between beats; None without beats."""
    beats_s = find_beats(mv, fs)
    if len(beats_s) < LEAST_BEATS:
        return None
    at_s, alike = align_beats(mv, fs, beats_s)
    rr_s = float(np.median(np.diff(beats_s)))
    before_s, after_s = min(BEFORE_S, OF_RR[0] * rr_s), min(AFTER_S, OF_RR[1] * rr_s)
    chosen = at_s[alike] if alike.sum() >= LEAST_BEATS else at_s
    return mean_beat(mv, fs, chosen, before_s=before_s, after_s=after_s), rr_s


def crowding(traces: Sequence[LeadTrace], grid: GridFit) -> tuple[dict[str, float], float]:
    """Return the share of each lead's power, and of all, that lies within TOUCHING_MM of another trace."""
    height_mm = _heights(traces, grid)
    if height_mm.shape[1] == 0:
        return {}, 0.0
    known = np.isfinite(height_mm)
    away = np.full(height_mm.shape, np.inf)
    for row, mine in enumerate(height_mm):
        others = np.abs(np.delete(height_mm, row, axis=0) - mine)
        if len(others):
            away[row] = np.where(np.isfinite(others), others, np.inf).min(axis=0)
    power = np.zeros(height_mm.shape)
    for here, mine, strength in zip(known, height_mm, power, strict=True):
        if here.any():
            strength[here] = (mine[here] - np.median(mine[here])) ** 2
    touching, total = (power * (away < TOUCHING_MM)).sum(axis=1), power.sum(axis=1)
    crowded: dict[str, float] = {}
    for trace, part, whole in zip(traces, touching, total, strict=True):
        crowded[trace.lead] = max(crowded.get(trace.lead, 0.0), float(part / whole) if whole > 0 else 0.0)
    return crowded, float(touching.sum() / max(float(total.sum()), 1e-9))


def _heights(traces: Sequence[LeadTrace], grid: GridFit) -> F64:
    """Return how high on the paper each trace lies [traces, columns], in mm; NaN where it is not."""
    lines = []
    for trace in traces:
        read = np.isfinite(trace.mv) & np.isfinite(trace.xy).all(axis=1)
        mm = grid.to_mm(trace.xy[read][::EVERY])
        mm = mm[np.isfinite(mm).all(axis=1)]
        lines.append(mm[np.argsort(mm[:, 0], kind="stable")])
    ends = [x for line in lines if len(line) for x in (line[0, 0], line[-1, 0])]
    columns = np.arange(min(ends), max(ends), COLUMN_MM) if ends else np.empty(0)
    height_mm = np.full((len(lines), len(columns)), np.nan)
    for row, line in zip(height_mm, lines, strict=True):
        if len(line) > 1:
            x = line[:, 0]
            after = np.clip(np.searchsorted(x, columns), 1, len(x) - 1)
            there = (columns >= x[0]) & (columns <= x[-1]) & (x[after] - x[after - 1] <= HOLE_MM)
            row[there] = np.interp(columns[there], x, line[:, 1])
    return height_mm


def leaps_of(traces: Sequence[LeadTrace]) -> dict[str, float]:
    """Return each lead's largest step between two samples, in standard deviations of the trace; a pen does not leap."""
    leaps: dict[str, float] = {}
    for trace in traces:
        mv = trace.mv.astype(np.float64)
        steps = np.abs(np.diff(mv))
        if np.isfinite(mv).sum() > LEAST_SAMPLES and np.isfinite(steps).any():
            leap = float(np.nanmax(steps) / max(float(np.nanstd(mv)), LEAST_MV))
            leaps[trace.lead] = max(leaps.get(trace.lead, 0.0), leap)
    return leaps


def vague_share(traces: Sequence[LeadTrace]) -> float:
    """Return the share of all power for which the confidences do not vouch, unread stretches included."""
    vague = total = 0.0
    for trace in traces:
        read = np.isfinite(trace.mv)
        if read.sum() <= LEAST_SAMPLES:
            continue
        mv = trace.mv[read].astype(np.float64)
        power = (mv - np.median(mv)) ** 2
        whole = float(power.sum() / read.mean())
        vague += whole - float(power @ trace.confidence[read])
        total += whole
    return vague / total if total > 0 else 1.0


def chest_residual(beat: MeanBeat) -> tuple[dict[str, float], float | None]:
    """Return what share of each chest lead's mean beat the two leads beside it do not explain, and of all their power.

    None if no lead can be judged.

    The electrodes stand a few centimetres apart, so that each lead is nearly a mixture of its neighbours.
    """
    unlike: dict[str, float] = {}
    left = whole = 0.0
    for lead in CHEST:
        beside = (7, 8) if lead == CHEST[0] else (9, 10) if lead == CHEST[-1] else (lead - 1, lead + 1)
        told = beat.mv[[lead, *beside]]
        known = np.isfinite(told).all(axis=0)
        if known.mean() >= SEEN:
            level = told[:, known] - told[:, known].mean(axis=1, keepdims=True)
            residual, power = _unexplained(level[0], level[1:]), float(np.mean(level[0] ** 2))
            unlike[LEADS[lead]] = residual / power if power > 0 else 0.0
            left, whole = left + residual, whole + power
    return unlike, left / whole if whole > 0 else None


def _unexplained(target: F64, sources: F64) -> float:
    """Return the power of a signal that no mixture of sources [k, n] explains; large factors cost."""
    size = RIDGE * float(np.std(sources)) * np.sqrt(len(target))
    design = np.vstack([sources.T, size * np.eye(len(sources))])
    factors = np.linalg.lstsq(design, np.r_[target, np.zeros(len(sources))], rcond=None)[0]
    return float(np.mean((target - factors @ sources) ** 2))


def other_gain(mv: Floats, scale: PaperScale) -> float:
    """Return the chance that limb or chest leads were printed at another gain, by how large hearts are drawn.

    Where pulse or print tell the gain, only that of the chest leads may be another: carts halve it for tall ones.
    """
    values = np.asarray(mv, np.float64)
    heights = [_median_height(values[leads]) for leads in (slice(0, 6), slice(6, 12))]
    chances: dict[Factors, float] = {(1.0, 0.5): HALF_CHEST}
    if _assumed("gain", scale):
        chances |= {(gain / scale.mm_per_mV,) * 2: OTHER_GAIN for gain in GAINS_MM if gain != scale.mm_per_mV}
    return _other(heights, USUAL_MV, chances, spread=USUAL_MV_SPREAD, together=USUAL_MV_TOGETHER)


def other_speed(beat: MeanBeat, rr_s: float, *, fs: float, scale: PaperScale) -> float:
    """Return the chance that the paper ran at another speed, by how fast hearts beat and how long their QRS lasts."""
    edges = qrs_edges(beat, fs)
    qrs_s = None if edges is None else edges[1] - edges[0]
    prior = OTHER_SPEED if _assumed("speed", scale) else OTHER_SPEED_THAN_TOLD
    # what ran at twice the speed is read as twice as long
    chances: dict[Factors, float] = {
        (speed / scale.mm_per_s,) * 2: prior for speed in SPEEDS_MM if speed != scale.mm_per_s
    }
    return _other([rr_s, qrs_s], (USUAL_RR_S, USUAL_QRS_S), chances, spread=USUAL_TIME_SPREAD, together=0.0)


def _assumed(what: str, scale: PaperScale) -> bool:
    return f"{what} assumed" in scale.source or scale.source == "assumed"


def _other(
    read: Sequence[float | None], usual: Factors, chances: dict[Factors, float], *, spread: float, together: float
) -> float:
    """Weigh by which factors two quantities may have been misread, given their chances before they were seen."""
    known = [index for index, value in enumerate(read) if value is not None]
    if not known:
        return 0.0
    logs = np.array([np.log(value) for value in read if value is not None]) - np.log(np.array(usual)[known])
    covariance = spread**2 * np.where(np.eye(len(known), dtype=bool), 1.0, together)
    weighed = {}
    for factors, chance in ({(1.0, 1.0): 1 - sum(chances.values())} | chances).items():
        off = logs - np.log(np.array(factors)[known])
        weighed[factors] = chance * (STRANGE + float(np.exp(-0.5 * off @ np.linalg.solve(covariance, off))))
    return 1 - weighed[1.0, 1.0] / sum(weighed.values())


def _median_height(mv: F64) -> float | None:
    """Return the median over leads of how high they are in mV; None where too few are known."""
    low, high = HEIGHT_PERCENTILES
    known = [lead[np.isfinite(lead)] for lead in mv]
    heights = [
        float(np.percentile(lead, high) - np.percentile(lead, low)) for lead in known if len(lead) > LEAST_SAMPLES
    ]
    return max(float(np.median(heights)), 1e-3) if len(heights) >= LEAST_LEADS else None
