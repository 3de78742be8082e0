"""Rows that seem a little too short or too long for a standard record: where all of them together begin and end.

A lead that begins with a step or beside its name looks like a pulse or a text, and the trace network doubts it. But it
never doubts it as much as the blank paper before: the mean of all rows rises at the true beginning, if only a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

HALF_COLUMNS_PER_MM: Final = 2 * STRIP_PX_PER_MM
STANDARD_MM: Final = (125.0, 250.0, 500.0)  # 5 s at 25 mm/s, 10 s at 25 and 50 mm/s
SAMPLE_SHARE: Final = 1 / 5000  # of a record of 500 Hz: its last sample lies one before its end
LIKE_STANDARD_MM, REACH_MM = 0.3, 4.0  # what is nearer to a standard length is left alone; how far ends are looked for
SLIP_MM, SLIP_SHARE = 0.2, 0.001  # of an end, and of the paper's scale
STEP, FAR, BEHIND = 4, 16, 8  # half-columns on both sides of a step, before it and behind it
LEAST_STEP, LEAST_BEHIND = 0.5, 0.08  # of what is seen behind it; of all rows
MOST_BEFORE, NOTHING = 0.15, 0.004  # of what is seen behind it; a probability


def standard_ends_mm(
    readings: Sequence[StripReading], *, first_mm: float, last_mm: float
) -> tuple[float, float] | None:
    """Return where rows that seem to reach from `first_mm` to `last_mm` begin and end, a standard length apart.

    None if they seem as long already, or leads do not appear and vanish so far apart near those places.
    """
    seen_mm = last_mm - first_mm
    nominal_mm = min(STANDARD_MM, key=lambda mm: abs(mm - seen_mm))
    length_mm = nominal_mm * (1 - SAMPLE_SHARE)
    if not readings or not LIKE_STANDARD_MM < abs(seen_mm - length_mm) < 2 * REACH_MM:
        return None
    at_mm, presence = _pooled(readings)
    begins, ends = _steps(presence), _steps(presence[::-1])[::-1]
    half_mm = 0.5 / HALF_COLUMNS_PER_MM
    starts = [(float(begins[i]), float(at_mm[i] - half_mm)) for i in _peaks(begins, np.abs(at_mm - first_mm))]
    stops = [(float(ends[i]), float(at_mm[i] + half_mm)) for i in _peaks(ends, np.abs(at_mm - last_mm))]
    pairs = [
        (strong + steep - abs(stop - start - length_mm), start, stop)
        for strong, start in starts
        for steep, stop in stops
        if abs(stop - start - length_mm) < SLIP_MM + SLIP_SHARE * length_mm
    ]
    return max(pairs)[1:] if pairs else None


def _pooled(readings: Sequence[StripReading]) -> tuple[F64, F64]:
    """Return the middles of half-columns (mm), and how probably a lead is printed there, in the mean of the rows."""
    first_mm = min(reading.x0_mm for reading in readings)
    last_mm = max(reading.x0_mm + len(reading.presence_half) / HALF_COLUMNS_PER_MM for reading in readings)
    at_mm = first_mm + (np.arange(round((last_mm - first_mm) * HALF_COLUMNS_PER_MM)) + 0.5) / HALF_COLUMNS_PER_MM
    each = [
        np.interp(
            at_mm,
            reading.x0_mm + (np.arange(len(reading.presence_half)) + 0.5) / HALF_COLUMNS_PER_MM,
            reading.presence_half, left=0.0, right=0.0,
        )
        for reading in readings
    ]  # fmt: skip
    return np.asarray(at_mm, np.float64), np.asarray(np.mean(each, axis=0), np.float64)


def _steps(presence: F64) -> F64:
    """Return by how much of what follows a lead appears at each half-column, out of next to nothing; else 0."""
    total = np.concatenate([[0.0], np.cumsum(presence)])
    here, count = np.arange(len(presence)), len(presence)

    def mean(first: int, stop: int) -> F64:
        """Average from `first` to before `stop` half-columns behind each, as far as there are any."""
        low, high = np.clip(here + first, 0, count), np.clip(here + stop, 0, count)
        return np.asarray((total[high] - total[low]) / np.maximum(high - low, 1), np.float64)

    behind, before = mean(1, 1 + BEHIND), mean(-FAR, -1)
    rise = mean(0, STEP) - mean(-STEP, 0)
    appears = (before <= MOST_BEFORE * behind + NOTHING) & (behind >= LEAST_BEHIND)
    return np.where(appears, rise / np.maximum(behind, LEAST_BEHIND), 0.0)


def _peaks(steps: F64, away_mm: F64) -> list[int]:
    """Return the half-columns of the strongest steps within reach."""
    near = np.flatnonzero((away_mm < REACH_MM) & (steps > LEAST_STEP))
    return [int(i) for i in near if steps[i] >= steps[max(i - 3, 0) : i + 4].max()]
