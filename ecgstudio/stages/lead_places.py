"""Where each lead begins and ends, once its row was read: borders, common ends, records of a standard length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.cut_off import LEAST_SEEN, NOT_CUT, STANDARD_SECONDS, CutOff, standard_mm
from ecgstudio.stages.handover import at_common_steps
from ecgstudio.stages.layout import common_ends
from ecgstudio.stages.lead_ends import LACK_MM, column_borders, parted_by_gaps, standard_start_mm
from ecgstudio.stages.panels import on_panels
from ecgstudio.stages.printed import PageLayout, Slot
from ecgstudio.stages.standard_ends import standard_ends_mm
from ecgstudio.stages.strip_reading import StripReading, row_ends

COMMON_END_MM = 6.0  # rows that start or end this near to the others do so where the others do
EXCESS_MM = 2.5  # of a record over a standard one
LEAST_LATE_MM = 2.0  # later than the pitch says a first lead is seen to begin: faintly, or outside the picture
HALF_ROWS_MM, HALF_WITHIN = (62.5, 125.0, 250.0), 0.04  # of 5 or 10 s at 25 or 50 mm/s


def refine_slots(layout: PageLayout, readings: Sequence[StripReading], *, cut: CutOff = NOT_CUT) -> list[Slot]:
    """Move starts and ends onto what the trace network saw; the columns' borders are common to all rows.

    A first column that begins outside the picture (`cut`) begins where its length says.
    """
    ends = [row_ends(reading) for reading in readings]
    starts = np.array(common_ends([e[0] for e in ends], within_mm=COMMON_END_MM))
    stops = np.array(common_ends([e[1] for e in ends], within_mm=COMMON_END_MM))
    _to_standard_ends(starts, stops, readings)
    slots = list(layout.slots)
    borders: dict[tuple[int, int], float] = {}
    met: set[tuple[int, int]] = set()
    for columns in {s.columns for s in slots if s.columns > 1}:
        rows = sorted({s.row for s in slots if s.columns == columns})
        first_mm, next_mm = (
            float(np.median([s.start_mm for s in slots if (s.columns, s.column) == (columns, k)])) for k in (0, 1)
        )
        pitch_mm = next_mm - first_mm
        ends_mm = float(np.median(starts[rows])), float(np.median(stops[rows]))
        alike, lost = [readings[r] for r in rows], (cut.begins, not cut.ends_inside)
        found = column_borders(alike, columns, ends_mm=ends_mm, said=(first_mm, pitch_mm), cut=lost)
        borders |= {(columns, k): border.at_mm for k, border in enumerate(found, 1)}
        met |= {(columns, k) for k, border in enumerate(found, 1) if border.met}
        behind_mm = (ends_mm[1] - borders[columns, 1]) / (columns - 1)
        if cut.ends_inside:  # few names tell the pitch worse than the columns that are seen whole
            pitch_mm = min(pitch_mm, behind_mm)
        if columns == 2:  # the names of the first are lost with its beginning, and with them the pitch
            usual_mm = [mm for mm in HALF_ROWS_MM if abs(behind_mm / mm - 1) < HALF_WITHIN and mm > pitch_mm]
            pitch_mm = usual_mm[0] if usual_mm else pitch_mm
        late_mm = starts[rows] - (borders[columns, 1] - pitch_mm)
        starts[rows] -= np.where((late_mm > LEAST_LATE_MM) & (late_mm < pitch_mm), late_mm, 0.0)
    out = []
    for s in slots:
        first = starts[s.row] if s.column == 0 else borders[s.columns, s.column]
        last = stops[s.row] if s.column == s.columns - 1 else borders[s.columns, s.column + 1]
        if last - first < 4.0:
            first, last = s.start_mm, s.end_mm
        met_before, met_after = ((s.columns, border) in met for border in (s.column, s.column + 1))
        out.append(replace(s, start_mm=float(first), end_mm=float(last), meets=met_before, met=met_after))
    parted = on_panels(at_common_steps(parted_by_gaps(out, readings), readings), readings)
    return _begun_outside(parted) if cut.begins and cut.ends else parted


def _to_standard_ends(starts: F64, stops: F64, readings: Sequence[StripReading]) -> None:
    """Move the common start and end of rows [row], in place, onto those of a standard record if that is seen."""
    first_mm, last_mm = float(np.median(starts)), float(np.median(stops))
    alike = [
        row for row, (start, stop) in enumerate(zip(starts, stops, strict=True))
        if max(abs(start - first_mm), abs(stop - last_mm)) < COMMON_END_MM
    ]  # fmt: skip
    found = standard_ends_mm([readings[row] for row in alike], first_mm=first_mm, last_mm=last_mm)
    if found is not None:
        starts[alike], stops[alike] = found


def _begun_outside(slots: list[Slot]) -> list[Slot]:
    """Let the first of two columns, neither of which is whole, begin where it does if it is of usual length.

    Nothing else says when the second one begins.
    """
    second = [slot for slot in slots if (slot.columns, slot.column) == (2, 1)]
    first = [slot for slot in slots if (slot.columns, slot.column) == (2, 0)]
    if not first or not second:
        return slots
    border_mm = float(np.median([slot.start_mm for slot in second]))
    seen_mm = max(border_mm - min(slot.start_mm for slot in first), max(slot.end_mm for slot in second) - border_mm)
    usual_mm = [mm for mm in HALF_ROWS_MM if LEAST_SEEN * mm < seen_mm < (1 + HALF_WITHIN) * mm]
    if not usual_mm:
        return slots
    start_mm = border_mm - usual_mm[0]
    return [replace(slot, start_mm=min(slot.start_mm, start_mm)) if slot in first else slot for slot in slots]


def within_standard(slots: list[Slot], *, mm_per_s: float, cut: CutOff = NOT_CUT) -> list[Slot]:
    """Let leads that together last about as long as a standard record begin so that they last as long.

    So do leads that begin outside the picture (`cut`), if they end within it.
    """
    if not slots:
        return slots
    first_mm, last_mm = min(slot.start_mm for slot in slots), max(slot.end_mm - slot.blank_mm for slot in slots)
    for seconds in STANDARD_SECONDS:
        length_mm = seconds * mm_per_s
        if -LACK_MM < last_mm - first_mm - length_mm < EXCESS_MM:
            start_mm = standard_start_mm(slots, first_mm=first_mm, last_mm=last_mm, length_mm=length_mm)
            return [
                replace(slot, start_mm=start_mm) if slot.start_mm <= max(start_mm, first_mm) else slot for slot in slots
            ]
    whole_mm = standard_mm(last_mm - first_mm, mm_per_s=mm_per_s) if cut.begins and cut.ends_inside else None
    if whole_mm is None:
        return slots
    return [
        replace(slot, start_mm=last_mm - whole_mm) if slot.start_mm <= first_mm + COMMON_END_MM else slot
        for slot in slots
    ]
