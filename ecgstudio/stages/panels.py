"""Columns that stand apart, each on a panel of its own: where their ink begins and ends, and whether blank is time.

Most carts print columns border to border. Some programs draw every lead on a ruled panel and leave blank paper between
the panels: a lead then is as long as its own ink, and the next column goes on in time where this one ended. Others
merely interrupt the trace (for a name, for a mark): there time goes on under the gap. Both look alike in one row; how
long the rhythm strip is, what its beats say, and the usual lengths of leads tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.decode import falling_edges
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.same_seconds import MOST_BY_BEATS, go_on_in
from ecgstudio.stages.strip_reading import StripReading, row_ends
from ecgstudio.stages.strips import STRIP_PX_PER_MM

LEAST_INK_MM = 5.0  # shorter stretches are dirt, or a pulse
LEAST_BLANK_MM, MOST_BLANK = 2.0, 0.4  # the second as a share of the pitch
NEAR_BORDER = 0.2  # of the pitch: how far from where the border should be the blank lies
ROWS_THAT_SHOW = 0.75
ALIKE_MM = 2.5  # how much the widths of gaps, and the places of one in several rows, may differ
START_OFF_MM, LOST_MM = 1.5, 5.0  # a first panel that seems longer or shorter than the others by more began elsewhere
# log odds that the blank is no time
PRIOR, RHYTHM_SAYS, USUAL_SAYS = 0.5, 4.0, 3.0
SAME_LENGTH, USUAL_WITHIN = 0.02, 0.02
USUAL_MM = (62.5, 75.0, 125.0, 250.0, 500.0)  # of leads of 2.5, 3, 5 and 10 s at 25 or 50 mm/s


def on_panels(slots: Sequence[Slot], readings: Sequence[StripReading], *, mm_per_s: float = 25.0) -> list[Slot]:
    """Give leads whose columns stand apart their own beginnings and ends, and say how much blank lies before them.

    Slots whose columns meet, or between which the paper is not blank in nearly all rows, stay as they are, and so do
    those where the blank counts as time.
    """
    out = list(slots)
    for columns in {slot.columns for slot in slots if slot.columns > 1}:
        group = [slot for slot in slots if slot.columns == columns]
        gaps = _gaps(group, readings, columns=columns)
        if gaps is None:
            continue
        apart = [_on_panel(slot, gaps, group) for slot in group]
        long = [slot for slot in slots if slot.columns == 1]
        rhythm = [replace(slot, end_mm=row_ends(readings[slot.row])[1]) for slot in long]
        if _no_time(apart, rhythm, readings, mm_per_s=mm_per_s) <= 0:
            continue
        new = dict(zip([*group, *long], [*apart, *rhythm], strict=True))
        out = [new.get(slot, slot) for slot in out]
    return out


def _gaps(group: Sequence[Slot], readings: Sequence[StripReading], *, columns: int) -> F64 | None:
    """Return where each gap begins and ends, mm [columns - 1, 2]; None unless nearly all rows show all of them."""
    rows = sorted({slot.row for slot in group})
    starts = [np.median([s.start_mm for s in group if s.column == k] or [np.nan]) for k in range(columns)]
    pitch_mm = float(np.median(np.diff(starts)))
    if not np.isfinite(pitch_mm):
        return None
    blanks = [_blanks(readings[row]) for row in rows]
    found = []
    for border_mm in starts[1:]:
        near = []
        for blank in blanks:
            beside = [
                b for b in blank
                if abs(sum(b) / 2 - border_mm) < NEAR_BORDER * pitch_mm and b[1] - b[0] < MOST_BLANK * pitch_mm
            ]  # fmt: skip
            near += [max(beside, key=lambda b: b[1] - b[0])] if beside else []
        if len(near) < ROWS_THAT_SHOW * len(rows):
            return None
        middle = np.median(near, axis=0)
        agree = [b for b in near if abs(np.array(b) - middle).max() < ALIKE_MM]
        if len(agree) < ROWS_THAT_SHOW * len(rows):
            return None
        found.append(np.median(agree, axis=0))
    gaps = np.array(found)
    return gaps if np.ptp(gaps[:, 1] - gaps[:, 0]) < ALIKE_MM else None


def _blanks(reading: StripReading) -> list[tuple[float, float]]:
    """Return the stretches (mm) between those along which a trace is seen."""
    half_mm = 0.5 / STRIP_PX_PER_MM
    inked = [
        (reading.x0_mm + a * half_mm, reading.x0_mm + (b + 1) * half_mm)
        for a, b in falling_edges(reading.presence_half)
    ]
    inked = [ink for ink in inked if ink[1] - ink[0] >= LEAST_INK_MM]
    return [(a[1], b[0]) for a, b in pairwise(inked) if b[0] - a[1] >= LEAST_BLANK_MM]


def _on_panel(slot: Slot, gaps: F64, group: Sequence[Slot]) -> Slot:
    """Return a slot that reaches from the gap before it to the one behind it."""
    k, first, last = slot.column, slot.start_mm, slot.end_mm
    width_mm = _width_mm(gaps, group)
    if k > 0:
        first = float(gaps[k - 1, 1])
    elif width_mm is not None and not -LOST_MM < gaps[0, 0] - width_mm - first < START_OFF_MM:
        first = float(gaps[0, 0] - width_mm)
    if k < slot.columns - 1:
        last = float(gaps[k, 0])
    blank_mm = float((gaps[:k, 1] - gaps[:k, 0]).sum())
    return replace(slot, start_mm=first, end_mm=last, meets=False, blank_mm=blank_mm)


def _width_mm(gaps: F64, group: Sequence[Slot]) -> float | None:
    """Return how wide the panels are behind the first; of a single one that is believed if it is a usual width."""
    if len(gaps) > 1:
        return float(np.median(gaps[1:, 0] - gaps[:-1, 1]))
    width_mm = float(np.median([slot.end_mm for slot in group if slot.column == len(gaps)]) - gaps[-1, 1])
    return width_mm if _is_usual(width_mm) else None


def _no_time(
    apart: Sequence[Slot], rhythm: Sequence[Slot], readings: Sequence[StripReading], *, mm_per_s: float
) -> float:
    """Return the log odds that the blank between columns counts as no time."""
    first_mm = float(np.median([s.start_mm for s in apart if s.column == 0]))
    last_mm = float(np.median([s.end_mm for s in apart if s.column == s.columns - 1]))
    blank_mm = max(s.blank_mm for s in apart)
    span_mm, ink_mm = last_mm - first_mm, last_mm - first_mm - blank_mm
    odds = PRIOR
    for strip in rhythm:
        length_mm = strip.end_mm - strip.start_mm
        as_ink, as_span = abs(length_mm - ink_mm) / ink_mm, abs(length_mm - span_mm) / span_mm
        if min(as_ink, as_span) < SAME_LENGTH:
            odds += RHYTHM_SAYS * float(np.clip((as_span - as_ink) / SAME_LENGTH, -1, 1))
    columns = apart[0].columns
    by_ink_mm, by_span_mm = ink_mm / columns, ink_mm / columns + blank_mm / (columns - 1)
    odds += USUAL_SAYS * (_are_usual(by_ink_mm, columns) - _are_usual(by_span_mm, columns))
    for k in range(1, columns) if rhythm else ():
        part = [s for s in apart if s.column == k]
        by_ink, by_span = (
            go_on_in([readings[s.row] for s in rhythm], part, readings, late_mm=late_mm, mm_per_s=mm_per_s)
            for late_mm in (part[0].blank_mm, 0.0)
        )
        # where neither goes on the columns show the same seconds, and the strip tells nothing
        odds += float(np.clip(max(by_ink, 0.0) - max(by_span, 0.0), -MOST_BY_BEATS, MOST_BY_BEATS))
    return odds


def _are_usual(width_mm: float, columns: int) -> bool:
    """Tell whether columns of this width are usual ones, or together as long as a usual record (three of 10 s / 3)."""
    return _is_usual(width_mm) or _is_usual(columns * width_mm)


def _is_usual(length_mm: float) -> bool:
    return any(abs(length_mm / usual - 1) < USUAL_WITHIN for usual in USUAL_MM)
