"""How far a print is skewed against the ruled paper: rows below one another then begin at different millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import LeadTrace

REACH_S = 0.06
ALIKE = 0.97  # correlation of two prints of one lead that surely show the same seconds
LEAST_COMMON_S = 0.8
LEAST_APART_MM = 8.0
LEAST_SKEW, LARGEST_SKEW = 0.00125, 0.02  # mm to the right per mm downwards; 0.1 mm on the way down a page is none


def print_skew(pairs: Sequence[tuple[LeadTrace, LeadTrace, float]], *, mm_per_s: float) -> float:
    """Return by how much the print moves to the right per mm downwards, by leads that are printed twice.

    Each pair is a short and a long print of one lead and how many mm the long one lies further down. Pens and print
    heads are not square to the paper's rules; 0 where that cannot be told or is too little to matter.
    """
    found = []
    for short, long, down_mm in pairs:
        shift = _shift(short, long)
        if shift is not None and abs(down_mm) >= LEAST_APART_MM:
            found.append(shift / short.fs * mm_per_s / down_mm)
    skew = float(np.median(found)) if found else 0.0
    return skew if LEAST_SKEW <= abs(skew) <= LARGEST_SKEW else 0.0


def _shift(short: LeadTrace, long: LeadTrace) -> float | None:
    """Return how many samples later the long print shows what the short one does; None unless they are alike."""
    a, b = short.mv.astype(np.float64), long.mv.astype(np.float64)
    first, reach = round((short.t0_s - long.t0_s) * short.fs), round(REACH_S * short.fs)
    likeness = np.array([_likeness(a, b, first + k, least=LEAST_COMMON_S * short.fs) for k in range(-reach, reach + 1)])
    at = int(np.argmax(likeness))
    if likeness[at] < ALIKE or at in (0, len(likeness) - 1):
        return None
    before, peak, after = likeness[at - 1 : at + 2]
    return at - reach + float((before - after) / (2 * (before - 2 * peak + after)))


def _likeness(a: F64, b: F64, first: int, *, least: float) -> float:
    at = np.arange(len(a)) + first
    inside = (at >= 0) & (at < len(b))
    other = np.where(inside, b[np.clip(at, 0, len(b) - 1)], np.nan)
    both = np.isfinite(a) & np.isfinite(other)
    if both.sum() < least or np.ptp(a[both]) == 0 or np.ptp(other[both]) == 0:
        return -1.0
    return float(np.corrcoef(a[both], other[both])[0, 1])
