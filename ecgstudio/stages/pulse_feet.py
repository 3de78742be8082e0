"""Where leads begin after a calibration pulse: its second foot runs straight into the lead, and is no part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.lead_ends import HALF_COLUMNS_PER_MM, half_column
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.standard_ends import STANDARD_MM
from ecgstudio.stages.strip_reading import StripReading, row_ends
from ecgstudio.stages.strips import STRIP_PX_PER_MM

BEFORE_MM, AFTER_MM = 14.0, 6.0  # how far around a row's seen beginning the end of its pulse is looked for
FALL_MM = 0.3  # a pulse falls within twice that
PULSE_HEIGHT_MM, PULSE_WIDTH_MM = (3.5, 23.0), (2.5, 13.0)
LEVEL_TOP, LEVEL_TOP_MM = 0.08, 0.15  # how level a pulse's top is read: of its height, and mm more
LEVEL_FOOT_MM, SETTLED_MM = 0.25, 0.6  # the same of its foot, over so much of it
MOSTLY_LEVEL, MARKER_SLIP_MM = 0.6, 1.0
LEAVES_MM, LEAVES_NOISE = (0.12, 0.3), 5.0  # a trace that is so far from the foot's level has left it
LEAST_FOOT_MM, LONG_FOOT_MM, LONGEST_FOOT_MM = 1.0, 3.0, 16.0
AGREE_MM, FEW_ROWS = 0.4, 0.25  # rows whose feet end together, and how few may leave theirs before that
STANDARD_SHARE, STANDARD_SLIP_MM = 0.003, 0.5
PERFECTLY_FLAT, FLAT = 0.45, 0.7  # a foot's noise, of that of the row's quietest part that is as long
QUIETEST = 2.0  # per cent of a row that count as that
NO_PULSE_SLIP_MM = 2.0  # a row that begins farther before the others' feet has its own beginning
STEP_MM, MANY_ROWS, SOME_ROWS = 0.25, 2 / 3, 1 / 3
BORDER_SEEN, BORDER_MM, PITCH_SHARE = 0.4, 0.4, 0.01
ENOUGH, ENOUGH_ALONE = 2.0, 3.0  # evidence that rows, or a single one, begin after a foot
TOP_MM, TOP_LEVEL_MM, AWAY_MM = 2.0, 0.25, 5.0  # before a lead: as much of a pulse's top, how level, how far above it
FOLLOWED = 0.5  # of the mass: where nothing is drawn no path has so much
STAYS_MM, STAYED, LONGEST_STAY_MM = 1.5, 4, 2.0  # the path is still on a top: so near, half-columns at least, at most


@dataclass(frozen=True, slots=True)
class _Foot:
    """What follows a pulse in one row: from where to where its line is level, how much so, and whether it jumps."""

    edge_mm: float
    length_mm: float
    noise_mm: float
    jumps: bool


def begins_after_foot(
    readings: Sequence[StripReading],
    slots: Sequence[Slot],
    *,
    markers_mm: Sequence[tuple[float, float]],
    scaled: bool = True,
) -> list[float] | None:
    """Return where each row begins (mm) if rows begin after the level foot of a pulse; None unless that is evident.

    A lead may well begin flat: so the foot has to end in all rows at once, and either be more level than any part of
    the leads, or make the record too long. `slots` are the leads as they were divided with the foot; `markers_mm` the
    places where pulses are seen. Unless the page is `scaled`, what seems a millimetre may be some percent more or less.
    """
    feet = _below_one_another([_foot(reading, markers_mm) for reading in readings])
    known = [(reading, foot) for reading, foot in zip(readings, feet, strict=True) if foot is not None]
    if len(known) < max(1, len(readings) / 2):
        return None
    length_mm = _common_length(np.array([foot.length_mm for _, foot in known]))
    if length_mm is None:
        return None
    ends = [row_ends(reading) for reading, _ in known]
    if np.median([foot.edge_mm + length_mm - start for (_, foot), (start, _) in zip(known, ends, strict=True)]) <= 0:
        return None  # the leads are seen to begin behind it anyway
    lasts_mm = float(np.median([end - foot.edge_mm for (_, foot), (_, end) in zip(known, ends, strict=True)]))
    evidence = (
        _by_flatness(known, length_mm) + scaled * _by_length(lasts_mm, length_mm) + _by_borders(slots, known, length_mm)
        + _by_pitch(slots, lasts_mm, length_mm)
    )  # fmt: skip
    if evidence > 0:
        evidence += _by_jumps(known) + _by_ends_seen(known, length_mm)
    if evidence < (ENOUGH if len(known) > 1 else ENOUGH_ALONE):
        return None
    usual_mm = float(np.median([foot.edge_mm for _, foot in known]))
    return [
        foot.edge_mm + length_mm if foot is not None
        else usual_mm + length_mm if row_ends(reading)[0] > usual_mm - NO_PULSE_SLIP_MM
        else -np.inf
        for reading, foot in zip(readings, feet, strict=True)
    ]  # fmt: skip


def off_pulse_tops(readings: Sequence[StripReading], slots: Sequence[Slot]) -> list[StripReading]:
    """Return rows of which nothing is a lead where the path stays on its pulse's top though the lead has begun.

    So it does where another row's stroke passes right behind the pulse: what the lead does there was not seen.
    """
    out = list(readings)
    for slot in slots:
        if slot.column == 0:
            out[slot.row] = _off_top(out[slot.row], round(half_column(slot.start_mm, out[slot.row])))
    return out


def _off_top(reading: StripReading, begin: int) -> StripReading:
    """Return a row of which the lead that begins at a half-column does so only where its path has left the pulse."""
    px_per_mm, height, present = STRIP_PX_PER_MM, reading.height_half, reading.presence_half > 0.5
    part = slice(max(begin - round(TOP_MM * HALF_COLUMNS_PER_MM), 0), max(begin - 2, 0))
    before = height[part]
    followed = len(before) >= STAYED and float(np.median(reading.mass_half[part])) >= FOLLOWED
    if not followed or np.ptp(before) > TOP_LEVEL_MM * px_per_mm:
        return reading  # no stroke that is level
    top = float(np.median(before))
    lead = height[begin:][present[begin:]]
    if len(lead) == 0 or float(np.median(lead)) - top < AWAY_MM * px_per_mm:
        return reading
    after = np.abs(height[begin : begin + round(LONGEST_STAY_MM * HALF_COLUMNS_PER_MM)] - top)
    gone = np.flatnonzero(after > STAYS_MM * px_per_mm)
    if len(gone) == 0 or gone[0] < STAYED:
        return reading
    presence = reading.presence_half.copy()
    presence[: begin + int(gone[0]) + 2] = 0.0  # the stroke by which it leaves is no more the lead's
    return replace(reading, presence_half=presence)


def _foot(reading: StripReading, markers_mm: Sequence[tuple[float, float]]) -> _Foot | None:
    """Find the pulse at the beginning of a row and the level line behind it."""
    level_mm = (reading.half_px - 0.5 - reading.height_half) / STRIP_PX_PER_MM
    edge = _end_of_pulse(reading, level_mm, markers_mm)
    if edge is None:
        return None
    first = edge + round(FALL_MM * HALF_COLUMNS_PER_MM)
    settled = level_mm[first : first + round(SETTLED_MM * HALF_COLUMNS_PER_MM)]
    foot_mm, noise_mm = float(np.median(settled)), float(np.std(settled))
    away = np.abs(level_mm[first:] - foot_mm) > np.clip(LEAVES_NOISE * noise_mm, *LEAVES_MM)
    away = away[:-1] & away[1:]
    last = first + (int(np.argmax(away)) if away.any() else len(away))
    line = level_mm[first : max(last - 1, first + 2)]
    behind = float(np.median(level_mm[last + 2 : last + 5])) if last + 5 < len(level_mm) else foot_mm
    return _Foot(
        edge_mm=reading.x0_mm + edge / HALF_COLUMNS_PER_MM,
        length_mm=(last - edge) / HALF_COLUMNS_PER_MM,
        noise_mm=float(np.std(line)),
        jumps=abs(behind - foot_mm) > STEP_MM,
    )


def _below_one_another(feet: list[_Foot | None]) -> list[_Foot | None]:
    """Leave out what is no pulse: pulses end at one place in all rows; a lead that begins with a jump looks alike."""
    edges_mm = [foot.edge_mm for foot in feet if foot is not None]
    middle_mm = float(np.median(edges_mm)) if edges_mm else 0.0
    return [foot if foot is not None and abs(foot.edge_mm - middle_mm) < NO_PULSE_SLIP_MM else None for foot in feet]


def _end_of_pulse(reading: StripReading, level_mm: F64, markers_mm: Sequence[tuple[float, float]]) -> int | None:
    """Return the half-column in which the last pulse before a lead falls onto its foot."""
    start = (reading.row.start_mm - reading.x0_mm) * HALF_COLUMNS_PER_MM
    low, high = (round(start + away * HALF_COLUMNS_PER_MM) for away in (-BEFORE_MM, AFTER_MM))
    fall, settled = (round(mm * HALF_COLUMNS_PER_MM) for mm in (FALL_MM, SETTLED_MM))
    for at in range(min(high, len(level_mm) - fall - settled) - 1, max(low, fall), -1):
        after = level_mm[at + fall : at + fall + settled]
        foot_mm = float(np.median(after))
        middle_mm = foot_mm + (float(level_mm[at - fall]) - foot_mm) / 2
        falls = level_mm[at - 1] > middle_mm >= level_mm[at] and level_mm[at - fall] - foot_mm > PULSE_HEIGHT_MM[0]
        if not falls or np.abs(after - foot_mm).max() > LEVEL_FOOT_MM:
            continue
        below = level_mm[at - fall :: -1] < middle_mm
        width = fall + (int(np.argmax(below)) if below.any() else len(below))
        top = level_mm[max(at - width + fall, 0) : at - 1]
        low_mm, high_mm = PULSE_WIDTH_MM
        wide = low_mm < width / HALF_COLUMNS_PER_MM < high_mm
        if _is_level_top(top, foot_mm) and (wide or (not below.any() and _is_marked(reading, at, markers_mm))):
            return at
    return None


def _is_level_top(top_mm: F64, foot_mm: float) -> bool:
    """Tell whether heights may be a pulse's top, on which a text may stand that is partly read for it."""
    if not len(top_mm):
        return False
    height_mm = float(np.median(top_mm)) - foot_mm
    level = np.abs(top_mm - np.median(top_mm)) < LEVEL_TOP * height_mm + LEVEL_TOP_MM
    return PULSE_HEIGHT_MM[0] < height_mm < PULSE_HEIGHT_MM[1] and bool(level.mean() >= MOSTLY_LEVEL)


def _is_marked(reading: StripReading, at: int, markers_mm: Sequence[tuple[float, float]]) -> bool:
    """Tell whether a pulse was seen where a strip seems to begin within one."""
    x_mm = reading.x0_mm + at / HALF_COLUMNS_PER_MM
    low, high = PULSE_WIDTH_MM
    return any(
        low / 2 - MARKER_SLIP_MM < x_mm - x < high / 2 + MARKER_SLIP_MM
        and 0 < reading.centre_mm - y + PULSE_HEIGHT_MM[0] < PULSE_HEIGHT_MM[1]
        for x, y in markers_mm
    )


def _common_length(lengths_mm: F64) -> float | None:
    """Return the length of a foot that ends in most rows at once, and in hardly any before; None if there is none."""
    found: tuple[int, float] | None = None
    for tried in lengths_mm:
        near = np.abs(lengths_mm - tried) < AGREE_MM
        early = lengths_mm < tried - AGREE_MM
        if early.mean() <= FEW_ROWS and (found is None or near.sum() > found[0]):
            found = int(near.sum()), float(np.median(lengths_mm[near]))
    if found is None or not LEAST_FOOT_MM <= found[1] <= LONGEST_FOOT_MM:
        return None
    return found[1] if found[0] >= min(2, len(lengths_mm)) else None


def _by_flatness(known: Sequence[tuple[StripReading, _Foot]], length_mm: float) -> float:
    """Weigh how level the line is beside the quietest parts of the rows: no lead is more level than itself."""
    shares = [foot.noise_mm / _quietest_mm(reading, foot, length_mm) for reading, foot in known]
    share = float(np.median(shares))
    if length_mm >= LONG_FOOT_MM:
        return 2.0 if share < PERFECTLY_FLAT else 1.0 if share < FLAT else 0.0
    return 1.0 if share < PERFECTLY_FLAT else 0.5 if share < FLAT else 0.0


def _quietest_mm(reading: StripReading, foot: _Foot, length_mm: float) -> float:
    """Return how far a row is from straight lines as long as the foot, where it is least so."""
    first = round((foot.edge_mm + foot.length_mm - reading.x0_mm) * HALF_COLUMNS_PER_MM)
    last = round((row_ends(reading)[1] - reading.x0_mm) * HALF_COLUMNS_PER_MM)
    width = round(length_mm * HALF_COLUMNS_PER_MM)
    if last - first < 5 * width:
        return 1e-6  # too short to know
    level_mm = reading.height_half[first:last] / STRIP_PX_PER_MM
    parts = np.lib.stride_tricks.sliding_window_view(level_mm, width)[:: max(width // 4, 1)]
    parts = parts - parts.mean(axis=1, keepdims=True)
    slope = np.linspace(-1, 1, width)
    parts = parts - np.outer(parts @ slope / (slope @ slope), slope)
    return max(float(np.percentile(parts.std(axis=1), QUIETEST)), 1e-6)


def _by_length(lasts_mm: float, length_mm: float) -> float:
    """Weigh whether the rows last as long as a standard record with the foot or without it."""
    whole, without = (_is_standard(mm) for mm in (lasts_mm, lasts_mm - length_mm))
    return 0.0 if whole == without else 2.0 if without else -4.0


def _is_standard(long_mm: float) -> bool:
    return any(abs(long_mm - mm) < STANDARD_SHARE * mm + STANDARD_SLIP_MM for mm in STANDARD_MM)


def _by_borders(slots: Sequence[Slot], known: Sequence[tuple[StripReading, _Foot]], length_mm: float) -> float:
    """Weigh whether the first column is as wide as those behind it with the foot or without it, if that is seen."""
    columns = max((slot.columns for slot in slots), default=1)
    starts = {slot.column: slot.start_mm for slot in slots if slot.columns == columns and slot.meets}
    pitches = [starts[k + 1] - starts[k] for k in range(1, columns) if k in starts and k + 1 in starts]
    if 1 not in starts or not pitches:
        return 0.0
    edge_mm = float(np.median([foot.edge_mm for _, foot in known]))
    too_long_mm = starts[1] - edge_mm - float(np.median(pitches))
    if abs(too_long_mm - length_mm) < 2 * BORDER_MM:
        return 2.0
    return -4.0 if abs(too_long_mm) < BORDER_MM else 0.0


def _by_pitch(slots: Sequence[Slot], lasts_mm: float, length_mm: float) -> float:
    """Weigh whether the rows are as long as their columns, by the distances of names, with the foot or without it."""
    columns = max((slot.columns for slot in slots), default=1)
    widths = [slot.end_mm - slot.start_mm for slot in slots if slot.columns == columns > 1]
    if not widths or length_mm < LONG_FOOT_MM:
        return 0.0
    by_names_mm = columns * float(np.median(widths))
    return 1.0 if abs(by_names_mm - (lasts_mm - length_mm)) < PITCH_SHARE * lasts_mm else 0.0


def _by_jumps(known: Sequence[tuple[StripReading, _Foot]]) -> float:
    """Weigh in how many rows the trace jumps where the foot ends: a lead begins at any height."""
    share = float(np.mean([foot.jumps for _, foot in known]))
    return 1.0 if share >= MANY_ROWS else 0.5 if share >= SOME_ROWS else 0.0


def _by_ends_seen(known: Sequence[tuple[StripReading, _Foot]], length_mm: float) -> float:
    """Weigh whether the network sees leads begin where the feet end."""
    near = []
    for reading, foot in known:
        at = (foot.edge_mm + length_mm - reading.x0_mm) * HALF_COLUMNS_PER_MM
        reach = round(BORDER_MM * HALF_COLUMNS_PER_MM)
        near.append(float(reading.boundary[max(round(at) - reach, 0) : round(at) + reach + 1].max(initial=0.0)))
    return 1.0 if float(np.mean(near)) > BORDER_SEEN else 0.0
