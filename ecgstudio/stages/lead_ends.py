"""Where leads begin and end: borders that all rows show, columns equally wide, records as long as standard ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.stages.cut_off import standard_mm
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

HALF_COLUMNS_PER_MM = 2 * STRIP_PX_PER_MM
SEARCH_MM, NEAR_MM = 3.5, 1.0  # how far from where it should be a border is looked for, at first and at last
FAINT_BORDER, LEAST_EVIDENCE = 0.1, 0.5
END_WORTH = 0.5  # of the end of a row, beside 1 for a border that all rows show clearly
USUAL_MM_PER_S = 25.0  # while nobody has asked what a millimetre means
MOST_MISS_MM, BESIDE_MM = 1.0, 0.5  # a border is .03 mm off (median of 240): what lies further off is something else
CLEARLY_MET, PRESENT = 0.5, 0.5
AT_BORDER_MM, BESIDE_BORDER_MM = 0.35, (0.25, 1.0)
LACK_MM, FOOT_MM = 0.8, 0.3  # what is longer than a standard record by more than this is a pulse's foot
BOTH_SHOW_MM, SURE_OF_ONE = 0.5, 0.95  # this near to a border a column shows two leads, unless its mass is one's
ALONG, FADES_S, MOST_LED_MM, LED = 4, 0.008, 12.0, 0.5  # half-columns of a stroke, how it levels off, what it is worth
GAP_MM, MOST_PARTED = (0.3, 4.0), 0.6  # a gap's width; the share of the rows that must show one
INTO_GAP_MM = 0.25  # what is dropped at the ends of leads, where others usually are, is blank there
BORDERS_WORTH = 2.0  # rows seem to begin .03 to .12 mm late, which hangs on who drew them; borders do not


@dataclass(frozen=True, slots=True)
class Border:
    """Where a column begins, and whether the rows show clearly that two leads meet there without a gap."""

    at_mm: float
    met: bool


def column_borders(
    readings: Sequence[StripReading],
    columns: int,
    *,
    ends_mm: tuple[float, float],
    said: tuple[float, float],
    cut: tuple[bool, bool] = (False, False),
) -> list[Border]:
    """Return the borders before columns 1, 2, ... of rows that are divided alike.

    The rows seem to reach from the first to the second of `ends_mm`, or go on there outside the picture (`cut`); `said`
    is the start of the first column and the width of all (mm) by the names. A border lies where the rows show it; one
    that they hardly show, where those that they show and the ends of the rows say that it should be.
    """
    numbers = range(1, columns)
    first_mm, last_mm = ends_mm
    beyond_mm = last_mm - first_mm - columns * said[1]
    walked = dict[int, tuple[float, float]]()
    if abs(beyond_mm) < 2 * SEARCH_MM:
        lines = [(first_mm, (last_mm - first_mm) / columns), (said[0] + beyond_mm / 2, said[1]), said]
    else:  # a beginning or end is lost
        lines = [said]
        first_mm, last_mm = said[0], said[0] + columns * said[1]
        walked = _walked(said, readings, columns)
    ends = ((0.0, first_mm), (float(columns), last_mm))
    places = [(*end, END_WORTH) for end, lost in zip(ends, cut, strict=True) if not lost]
    whole_mm = standard_mm(last_mm - first_mm, mm_per_s=USUAL_MM_PER_S) if cut[0] != cut[1] else None
    if whole_mm is not None:
        lines.append((last_mm - whole_mm if cut[0] else first_mm, whole_mm / columns))
    for k in numbers:
        seen = [_seam(start + k * pitch, readings, reach_mm=SEARCH_MM) for start, pitch in lines]
        clearest = max((at for at in (*seen, walked.get(k)) if at is not None), key=lambda at: at[1], default=None)
        if clearest is not None:
            places.append((float(k), *clearest))
    start_mm, pitch_mm = _common_line(np.array(places), lines)
    found = []
    for k in numbers:
        expected_mm = start_mm + k * pitch_mm
        near = _seam(expected_mm, readings, reach_mm=NEAR_MM)
        shown = near is not None and abs(near[0] - expected_mm) < BESIDE_MM
        at_mm = near[0] if near is not None and shown else expected_mm
        found.append(Border(at_mm, _is_met(at_mm, readings)))
    return found


def _walked(
    line: tuple[float, float], readings: Sequence[StripReading], columns: int
) -> dict[int, tuple[float, float]]:
    """Return the borders that are met on a walk from column to column, each telling where the next may be.

    Names stand beside the beginnings of their leads, but not always equally far: their pitch may be some percent off.
    """
    start_mm, pitch_mm = line
    at_mm, found = start_mm, dict[int, tuple[float, float]]()
    for k in range(1, columns):
        seam = _seam(at_mm + pitch_mm, readings, reach_mm=SEARCH_MM)
        at_mm += pitch_mm
        if seam is not None:
            at_mm, found[k] = seam[0], seam
            pitch_mm = (at_mm - start_mm) / k
    return found


def _seam(expected_mm: float, readings: Sequence[StripReading], *, reach_mm: float) -> tuple[float, float] | None:
    """Return where near a place the rows together look as if leads met, and how much so (0..1); None if they do not."""
    reach = round(reach_mm * HALF_COLUMNS_PER_MM)
    centre = half_column(expected_mm, readings[0])
    at = round(centre) + np.arange(-reach, reach + 1)
    pooled = np.mean([np.interp(at, np.arange(len(r.boundary)), r.boundary, left=0, right=0) for r in readings], axis=0)
    prior = np.exp(-0.5 * ((at - centre) / (0.6 * reach)) ** 2)
    weight = np.maximum(pooled * prior - FAINT_BORDER, 0)
    if weight.sum() * len(readings) < LEAST_EVIDENCE:
        return None
    peak = int(np.argmax(np.convolve(weight, np.ones(9), mode="same")))
    near = slice(max(0, peak - 6), peak + 7)
    middle = float((at[near] * weight[near]).sum() / weight[near].sum())
    return readings[0].x0_mm + (middle + 0.5) / HALF_COLUMNS_PER_MM, float(pooled[near].max())


def _common_line(places: F64, lines: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return start and pitch of the line that most places lie on: rows (number, mm, worth); `lines` are tried too."""
    if not len(places):
        return lines[-1]
    number, at_mm, worth = places.T

    def miss(line: tuple[float, float]) -> float:
        return float((worth * np.minimum(np.abs(line[0] + number * line[1] - at_mm), MOST_MISS_MM)).sum())

    tried = list(lines)
    for i, j in combinations(range(len(number)), 2):
        pitch = (at_mm[j] - at_mm[i]) / (number[j] - number[i])
        tried.append((float(at_mm[i] - number[i] * pitch), float(pitch)))
    start, pitch = min(tried, key=miss)
    near = np.abs(start + number * pitch - at_mm) < BESIDE_MM
    if near.sum() < 2:
        return start, pitch
    slope, first = np.polyfit(number[near], at_mm[near], 1, w=np.sqrt(worth[near]))
    return float(first), float(slope)


def _is_met(at_mm: float, readings: Sequence[StripReading]) -> bool:
    """Tell whether all rows together show a border clearly, and leads on both sides of it."""
    length = min(len(reading.boundary) for reading in readings)
    evidence, presence = (
        np.mean([values[:length] for values in each], axis=0)
        for each in zip(*((reading.boundary, reading.presence_half) for reading in readings), strict=True)
    )
    middle = half_column(at_mm, readings[0])

    def part(values: F64, low_mm: float, high_mm: float) -> F64:
        low, high = (round(middle + mm * HALF_COLUMNS_PER_MM) for mm in (low_mm, high_mm))
        return values[max(low, 0) : max(high + 1, 0)]

    near, far = BESIDE_BORDER_MM
    beside = min(part(presence, *side).min(initial=1.0) for side in ((-far, -near), (near, far)))
    return bool(part(evidence, -AT_BORDER_MM, AT_BORDER_MM).max(initial=0.0) >= CLEARLY_MET and beside >= PRESENT)


def unseen_borders(slots: Sequence[Slot]) -> Iterator[list[tuple[int, int]]]:
    """Yield the leads (their indices) before and after each border of columns at which no leads are seen to meet."""
    at = {(slot.row, slot.columns, slot.column): i for i, slot in enumerate(slots)}
    for columns, column in sorted({(s.columns, s.column) for s in slots if s.column and not s.meets}):
        yield [
            (at[row, columns, column - 1], i) for (row, n, k), i in at.items()
            if (n, k) == (columns, column) and (row, columns, column - 1) in at
        ]  # fmt: skip


def parted_by_gaps(slots: Sequence[Slot], readings: Sequence[StripReading]) -> list[Slot]:
    """Let leads side by side end and begin where blank paper parts them, row by row: a print may be skewed.

    Where most rows show a gap near a border, one that does not show it has it where the others do.
    """
    out = list(slots)
    for pairs in unseen_borders(slots):
        gaps = {after: _gap(readings[slots[after].row], slots[after].start_mm) for _, after in pairs}
        seen = [(gap[0] - slots[i].start_mm, gap[1] - slots[i].start_mm) for i, gap in gaps.items() if gap is not None]
        if len(seen) < MOST_PARTED * len(pairs):
            continue
        usual_mm = np.median(seen, axis=0)
        for before, after in pairs:
            border_mm = slots[after].start_mm
            end_mm, start_mm = gaps[after] or (border_mm + usual_mm[0], border_mm + usual_mm[1])
            into_mm = min(INTO_GAP_MM, (start_mm - end_mm) / 2)
            out[before] = replace(out[before], end_mm=float(end_mm + into_mm))
            out[after] = replace(out[after], start_mm=float(start_mm - into_mm))
    return out


def _gap(reading: StripReading, border_mm: float) -> tuple[float, float] | None:
    """Return from where to where near a border (mm) no lead is seen in a row; None if there is no such gap."""
    centre, reach = half_column(border_mm, reading), SEARCH_MM * HALF_COLUMNS_PER_MM
    gone = reading.presence_half < PRESENT
    regions, _ = ndimage.label(gone)
    found = [
        (region[0].start, region[0].stop) for region in ndimage.find_objects(regions)
        if centre - reach < (region[0].start + region[0].stop) / 2 < centre + reach
        and GAP_MM[0] <= (region[0].stop - region[0].start) / HALF_COLUMNS_PER_MM <= GAP_MM[1]
    ]  # fmt: skip
    if not found:
        return None
    first, stop = max(found, key=lambda gap: gap[1] - gap[0])
    return reading.x0_mm + first / HALF_COLUMNS_PER_MM, reading.x0_mm + stop / HALF_COLUMNS_PER_MM


def half_column(x_mm: float, reading: StripReading) -> float:
    """Return the half-column of a strip in which a place on the paper lies."""
    return (x_mm - reading.x0_mm) * HALF_COLUMNS_PER_MM - 0.5


def standard_start_mm(slots: Sequence[Slot], *, first_mm: float, last_mm: float, length_mm: float) -> float:
    """Return where a record of a standard length begins that seems to reach from `first_mm` to `last_mm`.

    What it is too long is taken from its beginning, for a pulse's foot looks like trace; a slip of a tenth of a
    millimetre may be of either end. Columns that are seen to meet know it better: each is its part of the whole.
    """
    by_end_mm = last_mm - length_mm
    start_mm = by_end_mm if by_end_mm - first_mm > FOOT_MM else (first_mm + by_end_mm) / 2
    met = {(slot.columns, slot.column): slot.start_mm for slot in slots if slot.meets}
    implied = [at_mm - length_mm * column / columns for (columns, column), at_mm in met.items()]
    implied = [at_mm for at_mm in implied if abs(at_mm - start_mm) < BESIDE_MM]
    return float((start_mm + BORDERS_WORTH * np.mean(implied)) / (1 + BORDERS_WORTH)) if implied else float(start_mm)


def led_to_borders(reading: StripReading, slot: Slot, *, mm_per_s: float) -> tuple[F64, F64]:
    """Return heights and mass of a row as one of its leads has them up to where it meets the leads beside it.

    Next to such a border the network sees both leads, or the bar between them, and what is followed is neither. From
    where it is sure of one of them, that one's stroke goes on as it was drawn, and levels off.
    """
    height, mass = reading.height_half.copy(), reading.mass_half.copy()
    near = BOTH_SHOW_MM * HALF_COLUMNS_PER_MM
    fades = FADES_S * mm_per_s * HALF_COLUMNS_PER_MM
    steepest = MOST_LED_MM * STRIP_PX_PER_MM / fades
    for seen, at_mm, outward in ((slot.meets, slot.start_mm, -1), (slot.met, slot.end_mm, 1)):
        border = half_column(at_mm, reading)
        first = max(int(np.ceil(border - near)), 0)
        unsure = first + np.flatnonzero(reading.mass_half[first : max(int(border + near) + 1, 0)] < SURE_OF_ONE)
        if not seen or len(unsure) == 0:
            continue
        last_sure = int(unsure.min() - 1 if outward > 0 else unsure.max() + 1)
        stroke = last_sure - outward * np.arange(ALONG)
        beyond = np.arange(1, int(np.ceil(outward * (border - last_sure))) + 1)
        led = last_sure + outward * beyond
        ends = np.array([stroke[-1], last_sure, *led[-1:]])
        if len(led) == 0 or ends.min() < 0 or ends.max() >= len(height):
            continue
        slope = np.clip(-np.polyfit(np.arange(ALONG), reading.height_half[stroke], 1)[0], -steepest, steepest)
        height[led] = reading.height_half[last_sure] + slope * fades * (1 - np.exp(-beyond / fades))
        mass[led] = np.maximum(reading.mass_half[led], LED)
    return height, mass
