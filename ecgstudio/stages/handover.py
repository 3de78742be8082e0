"""Where a row's path goes over from one lead to the next: leads drawn side by side without a mark or a gap.

The network's evidence of such a border is faint, and may lie some tenths of a millimetre beside it. But the path steps
there from one lead's height to the other's, in all rows at one place, and up to that step it is followed as well as
anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.lead_ends import HALF_COLUMNS_PER_MM, half_column, unseen_borders
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading

COMMON_REACH, OWN_REACH = 10, 4  # half-columns from a border in which rows together, or one of them, may step
BESIDE, STEEPER = 3, 1.5  # a step is so much steeper than the path on either side of it
LEAST_STEP_PX, BETWEEN_PX = 4.0, 2.0  # by as many px; a half-column between the leads shows neither
MOST_WORTH_PX, ALIKE_PX, LEAST_ROWS, LEAST_SHARE = 30.0, 0.75, 2, 0.6  # rows that step at one place, of those that do
SURE_OF_LEAD, LEAST_PRESENCE = 0.9, 0.2  # near a border, heights that are one lead's


@dataclass(frozen=True, slots=True)
class Step:
    """The last half-column of a lead, the first of the next, and how many px the path steps more than beside it."""

    last: int
    first: int
    size_px: float

    @property
    def at(self) -> float:
        """Return the half-column in the middle of the step."""
        return (self.last + self.first) / 2


def step_near(height: F64, at: float, *, reach: int) -> Step | None:
    """Return where a path (heights of half-columns) steps most within reach of a half-column; None if nowhere."""
    middle, best = round(at), None
    for last in range(max(middle - reach, BESIDE - 1), min(middle + reach, len(height) - BESIDE - 2)):
        for wide in (1, 2):
            first = last + wide
            before, after = height[last - BESIDE + 1 : last + 1], height[first : first + BESIDE]
            steepest = max(np.abs(np.diff(before)).max(), np.abs(np.diff(after)).max())
            size = abs(height[first] - height[last]) - STEEPER * wide * steepest - BETWEEN_PX * (wide - 1)
            if size > (best.size_px if best is not None else LEAST_STEP_PX):
                best = Step(last, first, float(size))
    return best


def at_common_steps(slots: Sequence[Slot], readings: Sequence[StripReading]) -> list[Slot]:
    """Let leads that follow one another without a mark or a gap do so where the paths of their rows step."""
    out = list(slots)
    for pairs in unseen_borders(slots):
        if any(slots[before].end_mm != slots[after].start_mm for before, after in pairs):
            continue  # blank paper parts them
        shift_mm = _common_step_mm([(readings[slots[after].row], slots[after].start_mm) for _, after in pairs])
        for before, after in pairs:
            border_mm = slots[after].start_mm + shift_mm
            out[before] = replace(out[before], end_mm=border_mm)
            out[after] = replace(out[after], start_mm=border_mm)
    return out


def _common_step_mm(rows: Sequence[tuple[StripReading, float]]) -> float:
    """Return how far from their borders (mm) rows step; 0 unless several of them do at one place, and few elsewhere."""
    found = [
        (step.at - border, min(step.size_px, MOST_WORTH_PX)) for reading, border_mm in rows
        if (step := step_near(
            reading.height_half, border := half_column(border_mm, reading), reach=COMMON_REACH
        )) is not None
    ]  # fmt: skip
    if len(found) < LEAST_ROWS:
        return 0.0
    away, worth = np.array(found).T
    near = max((np.abs(away - each) <= 2 * ALIKE_PX for each in away), key=lambda alike: float(worth[alike].sum()))
    if near.sum() < LEAST_ROWS or worth[near].sum() < LEAST_SHARE * worth.sum():
        return 0.0
    return float(np.average(away[near], weights=worth[near])) / HALF_COLUMNS_PER_MM


def followed_from(reading: StripReading, slot: Slot, first: int) -> int:
    """Return from which half-column on a lead is followed that surely is from one near its beginning on.

    What is followed before the first lead of a row may be anything.
    """
    if slot.meets or slot.column == 0:
        return first
    limit = int(np.ceil(half_column(slot.start_mm, reading)))
    step = step_near(reading.height_half, limit, reach=OWN_REACH)
    limit = step.first if step is not None else limit
    while first > max(limit, 0) and _is_sure(reading, first - 1):
        first -= 1
    return max(first, limit)


def followed_to(reading: StripReading, slot: Slot, last: int) -> int:
    """Return up to which half-column a lead is followed that surely is up to one near its end."""
    if slot.met or slot.column == slot.columns - 1:
        return last
    limit = int(np.floor(half_column(slot.end_mm, reading)))
    step = step_near(reading.height_half, limit, reach=OWN_REACH)
    limit = step.last if step is not None else limit
    while last < min(limit, len(reading.height_half) - 1) and _is_sure(reading, last + 1):
        last += 1
    return max(min(last, limit), -1)


def _is_sure(reading: StripReading, at: int) -> bool:
    return bool(reading.mass_half[at] >= SURE_OF_LEAD and reading.presence_half[at] >= LEAST_PRESENCE)
