"""How far a print is skewed against the ruled paper: rows below one another then begin at different millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import LeadTrace

REACH_S = 0.06
ALIKE = 0.97  # correlation of two prints of one lead that surely show the same seconds
LEAST_COMMON_S = 0.8
LEAST_APART_MM = 8.0
LEAST_SKEW, LARGEST_SKEW = 0.00125, 0.02  # mm to the right per mm downwards; 0.1 mm on the way down a page is none
LEAST_SUPPOSED = 0.002  # beats of 150 records in 3x4 tell the skew to .001 (1 sigma): leads peak one after another
EDGE_S = 0.04  # so much of a lead's ends may show its neighbour
BEAT_S, STROKE_S = 0.012, 0.002  # how far beats and the strokes within them are smoothed
REACH_BEATS_S = 0.08


def print_skew(pairs: Sequence[tuple[LeadTrace, LeadTrace, float]], *, mm_per_s: float) -> float:
    """Return by how much the print moves to the right per mm downwards, by leads that are printed twice.

    Each pair is a short and a long print of one lead and how many mm the long one lies further down. Pens and print
    heads are not square to the paper's rules; 0 where that cannot be told or is too little to matter.
    """
    found = []
    for short, long, down_mm in pairs:
        shift = shift_between(short, long)
        if shift is not None and abs(down_mm) >= LEAST_APART_MM:
            found.append(shift / short.fs * mm_per_s / down_mm)
    skew = float(np.median(found)) if found else 0.0
    return skew if LEAST_SKEW <= abs(skew) <= LARGEST_SKEW else 0.0


def supposed_skew(
    columns: Sequence[Sequence[tuple[LeadTrace, float]]], starts_mm: Sequence[tuple[float, float]], *, mm_per_s: float
) -> float:
    """Return the skew of a print that shows no lead twice, by its beats and by where its rows begin.

    Columns hold leads of the same seconds, each with how many mm down the page it lies; starts are (mm down, mm to the
    right). The leads of a beat do not peak at one moment, and the first ink of a row is not always its trace: the skew
    is what both say of it, 0 where they disagree.
    """
    late_mm, down_mm = [], []
    for column in columns:
        activity = [(found, y_mm) for trace, y_mm in column if (found := _activity(trace)) is not None]
        for (a, a_mm), (b, b_mm) in combinations(activity, 2):
            shift = _later(a, b, fs=column[0][0].fs)
            if shift is not None:
                late_mm.append(shift / column[0][0].fs * mm_per_s)
                down_mm.append(b_mm - a_mm)
    slopes = [
        (b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(starts_mm, 2) if abs(b[0] - a[0]) >= LEAST_APART_MM
    ]
    if not slopes or not np.any(down_mm):
        return 0.0
    by_beats = float(np.dot(late_mm, down_mm) / np.dot(down_mm, down_mm))
    by_starts = float(np.median(slopes))
    alike = abs(by_beats - by_starts) <= LEAST_SUPPOSED
    skew = (by_beats + by_starts) / 2 if alike else min(by_beats, by_starts, key=abs)
    return skew if by_beats * by_starts > 0 and LEAST_SUPPOSED <= abs(skew) <= LARGEST_SKEW else 0.0


def _activity(trace: LeadTrace) -> F64 | None:
    """Return how steep the trace is over a beat's length, on the page's time from 0; None if too little was read."""
    mv, read = trace.mv.astype(np.float64), np.isfinite(trace.mv)
    if read.sum() < LEAST_COMMON_S * trace.fs:
        return None
    at = np.arange(len(mv))
    steep = np.abs(gaussian_filter1d(np.gradient(np.interp(at, at[read], mv[read])), STROKE_S * trace.fs))
    smooth = gaussian_filter1d(np.minimum(steep, np.percentile(steep, 99.5)), BEAT_S * trace.fs)
    edge = round(EDGE_S * trace.fs)
    smooth[:edge] = smooth[-edge:] = 0.0
    early = round(trace.t0_s * trace.fs)
    return np.sqrt(np.pad(smooth, (max(early, 0), 0))[max(-early, 0) :])


def _later(a: F64, b: F64, *, fs: float) -> float | None:
    """Return how many samples later b shows what a does; None if that is more than any skew makes."""
    reach = round(REACH_BEATS_S * fs)
    length = max(len(a), len(b))
    first = np.pad(a, (reach, length - len(a) + reach))
    second = np.pad(b, (reach, length - len(b) + reach))
    likeness = np.array([np.dot(first, np.roll(second, -k)) for k in range(-reach, reach + 1)])
    at = int(np.argmax(likeness))
    return None if at in (0, len(likeness) - 1) else at - reach + _apex(likeness[at - 1 : at + 2])


def shift_between(short: LeadTrace, long: LeadTrace) -> float | None:
    """Return how many samples later the long print shows what the short one does; None unless they are alike."""
    a, b = short.mv.astype(np.float64), long.mv.astype(np.float64)
    first, reach = round((short.t0_s - long.t0_s) * short.fs), round(REACH_S * short.fs)
    likeness = np.array([_likeness(a, b, first + k, least=LEAST_COMMON_S * short.fs) for k in range(-reach, reach + 1)])
    at = int(np.argmax(likeness))
    if likeness[at] < ALIKE or at in (0, len(likeness) - 1):
        return None
    return at - reach + _apex(likeness[at - 1 : at + 2])


def _apex(around: F64) -> float:
    """Return where a parabola through three values is highest, from the middle one."""
    before, peak, after = around
    return float((before - after) / (2 * (before - 2 * peak + after)))


def _likeness(a: F64, b: F64, first: int, *, least: float) -> float:
    at = np.arange(len(a)) + first
    inside = (at >= 0) & (at < len(b))
    other = np.where(inside, b[np.clip(at, 0, len(b) - 1)], np.nan)
    both = np.isfinite(a) & np.isfinite(other)
    if both.sum() < least or np.ptp(a[both]) == 0 or np.ptp(other[both]) == 0:
        return -1.0
    return float(np.corrcoef(a[both], other[both])[0, 1])
