"""What of a sheet lies outside its picture: rows that go on beyond its border, and waves that leave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading, row_ends
from ecgstudio.stages.strips import STRIP_PX_PER_MM

BORDER_MM = 0.7  # a trace that comes as near to the border of the picture as this goes on outside it
NEAR_MM, SLANTS_MM, STEP_MM = 2.5, 3.0, 0.1  # so do rows that all end near to it though it is aslant
MOST_ROWS = 0.75  # a slanting border may cut some rows only: then the others tell where all begin
LEAVES_MM = 0.3  # so near to its border a stroke is cut
BESIDE_ENDS_MM = 2.0  # where a row itself comes near to it
STANDARD_SECONDS = (5.0, 10.0)
LEAST_SEEN = 0.75  # of a row of standard length: of shorter ones nobody knows how long they are
AS_LONG, SAID = 0.98, 0.02  # of what a lead should last; what is worth saying


@dataclass(frozen=True, slots=True, eq=False)
class CutOff:
    """Which rows go on outside the picture before their beginnings and after their ends.

    `gone` [row] tells of each half-column of a row whether its trace lies outside the picture there, or leaves it.
    """

    before: tuple[bool, ...] = ()
    after: tuple[bool, ...] = ()
    gone: tuple[NDArray[np.bool_], ...] = field(default=())

    @property
    def begins(self) -> bool:
        """Tell whether the sheet begins outside the picture: nearly all of its rows do."""
        return bool(self.before) and sum(self.before) >= MOST_ROWS * len(self.before)

    @property
    def ends(self) -> bool:
        """Tell whether the sheet ends outside the picture: nearly all of its rows do."""
        return bool(self.after) and sum(self.after) >= MOST_ROWS * len(self.after)

    @property
    def ends_inside(self) -> bool:
        """Tell whether no row goes on outside the picture after its end."""
        return not any(self.after)


NOT_CUT = CutOff()


def cut_off(page: Page, grid: GridFit, readings: Sequence[StripReading]) -> CutOff:
    """Tell which rows of a page go on outside its picture."""
    size = np.array([page.width, page.height])

    def outside(mm: F64, within_px: float = 0.0) -> NDArray[np.bool_]:
        xy = grid.to_page(mm)
        return np.asarray(~((xy > within_px - 0.5) & (xy < size - 0.5 - within_px)).all(axis=-1))

    beyond_mm = np.arange(0.0, NEAR_MM + STEP_MM, STEP_MM)[:, None]
    ends_mm, apart_mm, gone = [], [], []
    for reading in readings:
        x_mm = reading.x0_mm + (np.arange(len(reading.height_half)) + 0.5) / (2 * STRIP_PX_PER_MM)
        path_mm = reading.centre_mm + (reading.height_half - reading.half_px + 0.5) / STRIP_PX_PER_MM
        first, last = row_ends(reading)
        ends_mm.append((first, last))
        places = ([at, np.interp(at, x_mm, path_mm)] + beyond_mm * [side, 0.0] for at, side in ((first, -1), (last, 1)))
        apart_mm.append([float(beyond_mm[outside(mm)].min(initial=np.inf)) for mm in places])
        gone.append(outside(np.stack([x_mm, path_mm], axis=1), LEAVES_MM * grid.px_per_mm))
    ends, apart = np.array(ends_mm).reshape(-1, 2), np.array(apart_mm).reshape(-1, 2)
    return CutOff(_cut(ends[:, 0], apart[:, 0]), _cut(ends[:, 1], apart[:, 1]), tuple(gone))


def _cut(ends_mm: F64, apart_mm: F64) -> tuple[bool, ...]:
    """Tell of which rows one end is cut off, by where they end and how far from the picture's border (mm)."""
    slants = len(ends_mm) > 1 and bool((apart_mm <= NEAR_MM).all()) and float(np.ptp(ends_mm)) > SLANTS_MM
    return tuple(bool(apart <= (NEAR_MM if slants else BORDER_MM)) for apart in apart_mm)


def standard_mm(length_mm: float, *, mm_per_s: float) -> float | None:
    """Return how long (mm) a row is of which so much is seen: five or ten seconds; None if that is too little."""
    for seconds in STANDARD_SECONDS:
        if LEAST_SEEN * seconds * mm_per_s <= length_mm <= seconds * mm_per_s:
            return seconds * mm_per_s
    return None


def lost_share(
    slots: Sequence[Slot], readings: Sequence[StripReading], cut: CutOff, *, mm_per_s: float
) -> tuple[float, tuple[str, ...]]:
    """Return the share of what is printed that lies outside the picture, and which leads it is of.

    Leads side by side are as long as the longest column, a row of its own as long as the others or of standard length.
    """
    if not slots or not cut.before:
        return 0.0, ()
    columns_mm: dict[tuple[int, int], list[float]] = {}
    for slot in slots:
        columns_mm.setdefault((slot.columns, slot.column), []).append(slot.end_mm - slot.start_mm)
    pitch_mm: dict[int, float] = {}
    for (columns, _), found in columns_mm.items():
        pitch_mm[columns] = max(pitch_mm.get(columns, 0.0), float(np.median(found)))
    whole_mm = max((columns * mm for columns, mm in pitch_mm.items() if columns > 1), default=0.0)
    lost = dict.fromkeys((slot.lead for slot in slots), 0.0)
    for slot in slots:
        reading = readings[slot.row]
        first, last = row_ends(reading)
        left, right = max(slot.start_mm, first), min(slot.end_mm, last)
        begins = slot.column == 0 and cut.before[slot.row]
        ends = slot.column == slot.columns - 1 and cut.after[slot.row]
        seen_mm = right - left
        expected_mm = max(pitch_mm[slot.columns], slot.end_mm - slot.start_mm)
        if slot.columns == 1 and (begins or ends):
            expected_mm = max(expected_mm, whole_mm, standard_mm(seen_mm, mm_per_s=mm_per_s) or 0.0)
        x_mm = reading.x0_mm + (np.arange(len(reading.height_half)) + 0.5) / (2 * STRIP_PX_PER_MM)
        inside = (x_mm > left + BESIDE_ENDS_MM) & (x_mm < right - BESIDE_ENDS_MM)
        gone_mm = float((cut.gone[slot.row] & inside).sum()) / (2 * STRIP_PX_PER_MM)
        if (begins or ends) and seen_mm < AS_LONG * expected_mm:
            gone_mm += expected_mm - seen_mm
        lost[slot.lead] = max(lost[slot.lead], gone_mm / max(expected_mm, 1e-9))
    return sum(lost.values()) / len(lost), tuple(lead for lead in LEADS if lost.get(lead, 0.0) > SAID)
