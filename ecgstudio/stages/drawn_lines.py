"""Traces drawn into a PDF: where a line goes along what was read, it says exactly where the trace runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

LEAST_MM, LEAST_POINTS_PER_MM = 5.0, 0.4  # frames, grids and underlines have few points
BACKWARDS_MM = 0.05  # no pen goes back in time
NEAR_MM, LEAST_NEAR, LEAST_MASS = 0.4, 0.8, 0.5  # the reading may lose its way in crossings, but not in most of a lead
OVERLAP_MM = 1.0
OWN = 0.6  # of a line, or of a lead: a line that reaches into a lead a little is its neighbour's
BEYOND_MM = 2.5  # a line that goes on farther shows other leads, too
WITHIN_MM = 12.0  # what was read before a line begins is a pulse's foot


def lines_on_paper(lines: Sequence[F64], grid: GridFit) -> list[F64]:
    """Return those lines [N, 2] (page pixels) that may be traces, in paper mm from left to right."""
    found = []
    for line in lines:
        mm = grid.to_mm(line)
        mm = mm[np.isfinite(mm).all(axis=1)]
        if len(mm) < 2:
            continue
        if mm[-1, 0] < mm[0, 0]:
            mm = mm[::-1]
        width_mm = mm[-1, 0] - mm[0, 0]
        back = np.maximum.accumulate(mm[:, 0]) - mm[:, 0]
        if width_mm >= LEAST_MM and len(mm) >= LEAST_POINTS_PER_MM * width_mm and back.max() <= BACKWARDS_MM:
            found.append(np.column_stack([np.maximum.accumulate(mm[:, 0]), mm[:, 1]]))
    return found


def lines_along(lines_mm: Sequence[F64], slot: Slot, reading: StripReading) -> list[F64]:
    """Return the lines that a lead's trace was read along, those that it is nearest to first; none overlap."""
    shares = [(_share_near(line, slot, reading), k) for k, line in enumerate(lines_mm)]
    kept: list[F64] = []
    for share, k in sorted(shares, key=lambda pair: (-pair[0], pair[1])):
        line = lines_mm[k]
        if share >= LEAST_NEAR and all(_overlap_mm(line, other) <= OVERLAP_MM for other in kept):
            kept.append(line)
    return kept


def ending_with_lines(slots: Sequence[Slot], lines: Sequence[Sequence[F64]]) -> list[Slot]:
    """Let leads begin and end where the lines along them do, if that is near; what is read beyond was drawn apart."""
    out = []
    for slot, along in zip(slots, lines, strict=True):
        start_mm, end_mm = slot.start_mm, slot.end_mm
        if along:
            first_mm, last_mm = min(float(line[0, 0]) for line in along), max(float(line[-1, 0]) for line in along)
            own = last_mm - first_mm < (1 + OWN) * (end_mm - start_mm)  # the lead alone, not its whole row
            beyond_mm = WITHIN_MM if own else BEYOND_MM
            start_mm = first_mm if -beyond_mm <= first_mm - start_mm <= WITHIN_MM else start_mm
            end_mm = last_mm if -WITHIN_MM <= last_mm - end_mm <= beyond_mm else end_mm
        out.append(replace(slot, start_mm=start_mm, end_mm=end_mm))
    return out


def _share_near(line: F64, slot: Slot, reading: StripReading) -> float:
    """Return the share of a lead's columns under a line at which the reading lies at the line."""
    x_mm = reading.x0_mm + (np.arange(len(reading.height_half)) + 0.5) / (2 * STRIP_PX_PER_MM)
    low, high = max(slot.start_mm, line[0, 0]), min(slot.end_mm, line[-1, 0])
    under = (x_mm >= low) & (x_mm <= high) & (reading.mass_half >= LEAST_MASS)
    shorter_mm = min(slot.end_mm - slot.start_mm, line[-1, 0] - line[0, 0])
    if high - low < max(LEAST_MM, OWN * shorter_mm) or not under.any():
        return 0.0
    y_mm = reading.centre_mm + (reading.height_half[under] - reading.half_px + 0.5) / STRIP_PX_PER_MM
    return float((np.abs(np.interp(x_mm[under], line[:, 0], line[:, 1]) - y_mm) < NEAR_MM).mean())


def _overlap_mm(a: F64, b: F64) -> float:
    return float(min(a[-1, 0], b[-1, 0]) - max(a[0, 0], b[0, 0]))
