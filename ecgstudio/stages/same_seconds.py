"""Whether the columns of a page show the same seconds or follow one another: weighed by beats and by limb leads.

Carts print columns one after the other in time, or the same seconds side by side; no mark on the paper says which.
Beats of the same seconds come at the same instants in every column, to a few milliseconds; beats that go on do so only
by chance, and then as far apart as the rhythm is irregular. A rhythm strip goes on with columns that follow one
another. And limb leads of other columns are made of those in the first, by Einthoven, or are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.signal import find_peaks

from ecgstudio.core.arrays import F64
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from ecgstudio.stages.twins import LIMB_LEADS, MIN_SPAN_PX, common_share, limb_leads_from, span_px

PRIOR = -1.7  # log odds: most pages follow on
WHOLE_S, WHOLE_PRIOR = 9.0, 1.7  # where each column alone shows a whole record
CLEAR = 2.5  # log odds that leave no doubt worth mentioning
REFRACTORY_S, APART_S, SHIFT_S = 0.25, 0.04, 0.03  # between beats, at most within a pair, between leads
MEAN_SHIFT_S, SHIFTED = 0.012, 0.02  # how far leads lie from one another on average; the chance of any other reason
MEAN_SHIFTS = 4
BEAT_HALF_S, BEAT_HEIGHT = 0.06, 0.35
SPREADS_S = (0.0015, 0.003, 0.006, 0.01)  # how well the instant of a beat is read, from plain to poor pages
ALONE_SAME, ALONE_OTHER = 0.03, 0.5  # chances of a beat without a counterpart
BEATS_FOR_WORD = 2
MOST_BY_BEATS = 12.0  # of one column: a misread one must not outvote the others
# log odds by the share of variance that a limb lead has in common with what others make it; names may be misread
MADE_SHARE, MADE_SAYS = (0.2, 0.6, 0.88, 0.95), (-2.0, -0.5, 1.5, 3.0)
LEAST_PX = 50
# of a rhythm that goes on: what is one interval, how many tell, and how well an instant is read (px)
ONE_BEAT, LEAST_INTERVALS, READ_PX, MOST_WRAPS = 0.25, 3, 2.0, 3


def columns_are_simultaneous(slots: list[Slot], readings: list[StripReading], *, mm_per_s: float = 25.0) -> bool:
    """Tell whether all columns show the same seconds."""
    return simultaneity(slots, readings, mm_per_s=mm_per_s) > 0


def simultaneity(slots: list[Slot], readings: list[StripReading], *, mm_per_s: float = 25.0) -> float:
    """Return the log odds that all columns show the same seconds; minus infinity if there is but one."""
    columns = max((s.columns for s in slots), default=1)
    parts = [[s for s in slots if s.columns == columns and s.column == k] for k in range(columns)]
    if columns == 1 or not all(parts):
        return -np.inf
    px_per_s = STRIP_PX_PER_MM * mm_per_s
    activity = [_activities([readings[s.row] for s in part], part[0], px_per_s) for part in parts]
    rhythm = [readings[s.row] for s in slots if s.columns == 1]
    odds = PRIOR if min(map(len, activity)) < WHOLE_S * px_per_s else WHOLE_PRIOR
    beats = [_beats(each, px_per_s) for each in activity]
    intervals = np.concatenate([np.diff(each) for each in beats])
    told = list[float]()
    for part, each in zip(parts[1:], activity[1:], strict=True):
        n = min(len(activity[0]), len(each))  # a column may be cut off
        first, own = _beats(activity[0][:n], px_per_s), _beats(each[:n], px_per_s)
        later_px = (part[0].start_mm - part[0].blank_mm - parts[0][0].start_mm) * STRIP_PX_PER_MM
        others = Others.of(intervals, later_px=later_px)
        told.append(others.tell_apart(px_per_s))
        says = _same_beats(first, own, n, px_per_s, others=others)
        going_on = _going_on(rhythm, part[0], own, n, late_mm=part[0].blank_mm, px_per_s=px_per_s)
        odds += float(np.clip(says, -MOST_BY_BEATS, MOST_BY_BEATS))
        odds -= float(np.clip(going_on, -MOST_BY_BEATS, MOST_BY_BEATS))
    # beats that meet by their rhythm are made of one another, whichever seconds they are of
    made = np.interp(_made_of_first_column(parts, readings), MADE_SHARE, MADE_SAYS)
    return odds + float(np.where(made > 0, made * np.mean(told), made).sum())


def go_on_in(
    rhythm: list[StripReading], part: list[Slot], readings: Sequence[StripReading], *, late_mm: float, mm_per_s: float
) -> float:
    """Return the log odds that a rhythm strip shows the beats of a column's leads, `late_mm` further left than they."""
    px_per_s = STRIP_PX_PER_MM * mm_per_s
    activity = _activities([readings[s.row] for s in part], part[0], px_per_s)
    own = _beats(activity, px_per_s)
    return _going_on(rhythm, part[0], own, len(activity), late_mm=late_mm, px_per_s=px_per_s)


def beats_along(readings: Sequence[StripReading], *, ends_mm: tuple[float, float], mm_per_s: float = 25.0) -> F64:
    """Return the whole columns of strips at which beats come between two places, by all strips together."""
    px_per_s = STRIP_PX_PER_MM * mm_per_s
    whole = Slot("", 0, 0, 1, *ends_mm, 0.0, False)
    first = min(span_px(reading, *ends_mm)[0] for reading in readings)
    return _beats(_activities(list(readings), whole, px_per_s), px_per_s) + first


def _going_on(rhythm: list[StripReading], slot: Slot, own: F64, n: int, *, late_mm: float, px_per_s: float) -> float:
    there = replace(slot, start_mm=slot.start_mm - late_mm, end_mm=slot.end_mm - late_mm)
    meanwhile = [_beats(_activities([reading], there, px_per_s)[:n], px_per_s) for reading in rhythm]
    return max((_same_beats(beats, own, n, px_per_s) for beats in meanwhile), default=0.0)


def _made_of_first_column(parts: list[list[Slot]], readings: list[StripReading]) -> list[float]:
    """Return how much limb leads of later columns are like what those of the first column make them."""
    spans = {s: span_px(readings[s.row], s.start_mm, s.end_mm) for part in parts for s in part}
    longest = min(spans[s][1] - spans[s][0] for s in parts[0])

    def up(slot: Slot, n: int) -> F64:
        low = spans[slot][0]
        part = readings[slot.row].height_px[low : low + n]
        return np.asarray(np.median(part) - part)

    shares = []
    for slot in (slot for part in parts[1:] for slot in part):
        n = min(longest, spans[slot][1] - spans[slot][0])  # a column may be cut off
        made = limb_leads_from({s.lead: up(s, n) for s in parts[0] if s.lead in LIMB_LEADS}) if n >= MIN_SPAN_PX else {}
        if slot.lead in made:
            shares.append(common_share(up(slot, n), made[slot.lead]))
    return shares


def _activities(readings: list[StripReading], slot: Slot, px_per_s: float) -> F64:
    """Return how fast the traces of a column move: the beats stand out."""
    spans = [span_px(r, slot.start_mm, slot.end_mm) for r in readings]
    n = min(high - low for low, high in spans)
    total = np.zeros(max(n - 1, 1))
    for reading, (low, _) in zip(readings, spans, strict=True):
        speed = np.abs(np.diff(reading.height_px[low : low + n]))
        if len(speed) < LEAST_PX:
            continue
        smooth = ndimage.gaussian_filter1d(np.minimum(speed, np.percentile(speed, 99)), 3.0 * px_per_s / 200)
        beats = np.maximum(smooth - 1.5 * np.median(smooth), 0)  # a noisy lead must not drown the others
        total += beats / (np.percentile(beats, 98) + 0.05)
    return total


def _beats(activity: F64, px_per_s: float) -> F64:
    """Return the columns at which beats come, each the middle of its activity."""
    if len(activity) < LEAST_PX:
        return np.zeros(0)
    height = BEAT_HEIGHT * float(np.percentile(activity, 98))
    peaks, _ = find_peaks(activity, height=max(height, 1e-6), distance=max(1, round(REFRACTORY_S * px_per_s)))
    half = round(BEAT_HALF_S * px_per_s)
    found = []
    for peak in peaks:
        middle = float(peak)
        for _ in range(MEAN_SHIFTS):  # the flanks of a wide beat take turns in being the steepest
            low = max(0, round(middle) - half)
            weight = np.maximum(activity[low : round(middle) + half + 1] - 0.25 * activity[peak], 0)
            middle = float((weight * np.arange(low, low + len(weight))).sum() / weight.sum())
        found.append(middle)
    return np.array(found)


@dataclass(frozen=True, slots=True)
class Others:
    """Where other beats of a rhythm come beside those of a column, if a column is of later seconds (px).

    They are `late_px` late, as well as the intervals tell (`off_px`, infinite if they do not), or anywhere.
    """

    interval_px: float
    late_px: float = 0.0
    off_px: float = np.inf

    @classmethod
    def of(cls, intervals: F64, *, later_px: float) -> Others:
        """Let the rhythm of intervals [N] go on until so much later."""
        interval = float(np.median(intervals)) if len(intervals) else np.inf
        alike = intervals[np.abs(intervals - interval) < ONE_BEAT * interval]
        if len(alike) < LEAST_INTERVALS or later_px <= 0:
            return cls(interval)
        mean, count = float(alike.mean()), later_px / float(alike.mean())
        # every interval adds its own spread, and their mean is not known better than so few tell it
        off = float(alike.std()) * np.sqrt(count + count**2 / len(alike)) + READ_PX
        return cls(interval, float(-later_px % mean), off)

    def density(self, away_px: float) -> float:
        """Return how probable it is per px that beats of others come so far beside."""
        wraps = np.arange(-MOST_WRAPS, MOST_WRAPS + 1) * self.interval_px
        if not np.isfinite(self.off_px):
            return 1 / self.interval_px
        z = (away_px - self.late_px - wraps) / self.off_px
        return max(1 / self.interval_px, float(np.exp(-0.5 * z**2).sum() / (self.off_px * np.sqrt(2 * np.pi))))

    def tell_apart(self, px_per_s: float) -> float:
        """Return the chance that they do not come within reach of the same instants."""
        reach = np.arange(-(APART_S + SHIFT_S) * px_per_s, (APART_S + SHIFT_S) * px_per_s)
        if not np.isfinite(self.off_px):
            return 1.0
        return 1 - min(sum(self.density(float(away)) for away in reach), 1.0)


def _same_beats(a: F64, b: F64, n: int, px_per_s: float, *, others: Others | None = None) -> float:
    """Return the log odds that two columns [n] hold the same beats, rather than `others` of the same rhythm."""
    intervals = np.concatenate([np.diff(a), np.diff(b)])
    if min(len(a), len(b)) < BEATS_FOR_WORD or not len(intervals):
        return 0.0
    edge, within, reach = (s * px_per_s for s in (APART_S + SHIFT_S, APART_S, SHIFT_S))
    inner = [each[(each > edge) & (each < n - edge)] for each in (a, b)]
    best = -np.inf
    irregular = float(np.std(intervals))
    # the instants of beats cannot be read worse than their intervals are regular; what exceeds that is the rhythm's own
    spreads = [s * px_per_s for s in SPREADS_S if s * px_per_s <= irregular] or [SPREADS_S[0] * px_per_s]
    loose = [np.sqrt(s**2 + 2 * max(irregular**2 - s**2, 0.0)) for s in spreads]
    others = others if others is not None else Others(float(np.median(intervals)))
    for shift in np.arange(-reach, reach + 0.1):
        away = np.abs(b[:, None] - a[None, :] - shift)
        pairs = [(int(i), int(np.argmin(away[i]))) for i in range(len(b)) if away[i].min() < within]
        lost = sum(np.abs(b - x - shift).min() >= within for x in inner[0])
        lost += sum(np.abs(x - a - shift).min() >= within for x in inner[1])
        d = np.array([b[i] - a[j] for i, j in pairs])
        away_by = float(np.median(d)) if len(d) else 0.0
        same, other = (np.logaddexp.reduce([_log_density(d - away_by, s) for s in each]) for each in (spreads, loose))
        same += _log_share(away_by / px_per_s) - np.log(others.density(away_by) * px_per_s) if len(d) else 0.0
        best = max(best, float(same - other + lost * np.log(ALONE_SAME / ALONE_OTHER)))
    return best


def _log_share(away_s: float) -> float:
    """Return how likely it is, per second, that the same beats lie so far from one another."""
    nearly = np.exp(-0.5 * (away_s / MEAN_SHIFT_S) ** 2) / (MEAN_SHIFT_S * np.sqrt(2 * np.pi))
    return float(np.log((1 - SHIFTED) * nearly + SHIFTED / (2 * (SHIFT_S + APART_S))))


def _log_density(d: F64, spread: float) -> float:
    return float(np.sum(-0.5 * (d / spread) ** 2 - np.log(spread)))
