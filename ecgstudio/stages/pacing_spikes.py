"""Pacing spikes: needles that stand at the same times in several rows, beat after beat.

Marks, shades and strokes of other rows' beats look like single needles; a pacemaker is seen by all leads at once and
goes on. Where rows stand so close that beats overlap nobody can tell these apart, and nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

LEAST_SPACING_MM = 15.0
BORDER_MM = 1.5  # ticks between columns are no spikes
SAME_MM, LONE_MM = 0.6, 2.0  # one spike may have two phases; several needles side by side are a scribble
OTHERS_MM = 1.5  # a stroke that another row's trace comes near is that row's
CLEAR_MM, CLEAR_ROWS, LEAST_SPIKES = 2.0, 2, 3
ALIKE, MOSTLY = 0.25, 0.7
PHASES_MM = 0.07
WIDTH_S = 0.0015  # 1 sigma: what 150 Hz leave of a pulse; the paper shows no width below that of the pen


@dataclass(frozen=True, slots=True)
class _Tip:
    row: int
    x_mm: float
    y_mm: float
    foot_mm: float
    clear: bool

    @property
    def up_mm(self) -> float:
        return self.foot_mm - self.y_mm


def pacing_spikes(readings: Sequence[StripReading], slots: Sequence[Slot], *, skew: float = 0.0) -> list[F64]:
    """Return the tips of the pacing spikes [N, 2] (paper x, y in mm) of each row; none where a page does not show any.

    Readings are those of all rows, slots what is printed in them, `skew` by how many mm a row lies further to the
    right for each mm that it lies lower. Spikes that a device draws alike in all leads are marks and no voltage.
    """
    axes_mm = np.array([reading.centre_mm for reading in readings])
    found: list[list[tuple[float, float]]] = [[] for _ in readings]
    if len(axes_mm) > 1 and float(np.median(np.diff(np.sort(axes_mm)))) < LEAST_SPACING_MM:
        return _as_arrays(found)
    tips = [tip for row in range(len(readings)) for tip in _of_row(row, readings, slots)]
    right_mm = skew * (axes_mm - axes_mm.mean())
    at_mm = np.array([tip.x_mm - float(right_mm[tip.row]) for tip in tips])
    spikes = _spikes(tips, at_mm, of_rows=len(readings))
    if len(spikes) < LEAST_SPIKES or _all_alike([tips[i].up_mm for spike in spikes for i in spike if tips[i].clear]):
        return _as_arrays(found)
    for spike in spikes:
        for phase in _phases([at_mm[i] for i in spike]):
            x = float(np.mean([at_mm[spike[k]] for k in phase]))  # all leads see it at once
            for k in phase:
                tip = tips[spike[k]]
                found[tip.row].append((x + float(right_mm[tip.row]), tip.y_mm))
    return _as_arrays(found)


def _as_arrays(found: Sequence[Sequence[tuple[float, float]]]) -> list[F64]:
    return [np.array(sorted(own), np.float64).reshape(-1, 2) for own in found]


def _spikes(tips: Sequence[_Tip], at_mm: F64, *, of_rows: int) -> list[list[int]]:
    """Return which needles half of the rows show at once, two of them (or the only one) a clear one."""
    spikes: list[list[int]] = []
    for first in np.argsort(at_mm):
        if spikes and at_mm[first] - at_mm[spikes[-1][0]] < LONE_MM:
            continue
        near = [i for i in range(len(tips)) if 0 <= at_mm[i] - at_mm[first] < SAME_MM]
        rows, clear_rows = {tips[i].row for i in near}, {tips[i].row for i in near if tips[i].clear}
        if len(rows) >= of_rows / 2 and len(clear_rows) >= min(CLEAR_ROWS, of_rows):
            spikes.append([int(first), *(i for i in near if i != first)])
    return spikes


def _all_alike(up_mm: Sequence[float]) -> bool:
    heights = np.asarray(up_mm)
    usual = float(np.median(heights))
    return bool(np.mean(np.abs(heights - usual) < ALIKE * abs(usual)) > MOSTLY)


def _phases(at_mm: Sequence[float]) -> list[list[int]]:
    """Tell the two phases of a spike apart: one goes up in some leads while it goes down in others."""
    order = [int(k) for k in np.argsort(at_mm)]
    gaps = np.diff([at_mm[k] for k in order])
    if not len(gaps) or gaps.max() < PHASES_MM:
        return [order]
    cut = int(gaps.argmax()) + 1
    return [order[:cut], order[cut:]]


def _of_row(row: int, readings: Sequence[StripReading], slots: Sequence[Slot]) -> list[_Tip]:
    """Return one row's needles that are no ticks, no scribbles and no other row's strokes."""
    own = readings[row]
    x_mm = own.x0_mm + (own.needles[:, 0] + 0.5) / (2 * STRIP_PX_PER_MM)
    clear = own.needles[:, 2] > CLEAR_MM * STRIP_PX_PER_MM
    tips = []
    for x, y, is_clear in zip(x_mm, _y_mm(own, own.needles[:, 1]), clear, strict=True):
        apart = np.abs(x_mm - x)
        scribbled = (clear & (apart > SAME_MM) & (apart < LONE_MM)).any()
        inside = any(slot.row == row and slot.start_mm + BORDER_MM < x < slot.end_mm - BORDER_MM for slot in slots)
        foot_mm = float(np.median(_path_mm(own, x)))
        others = (_path_mm(other, x) for other in readings if other is not own)
        if inside and not scribbled and not any(_comes_near(path, min(y, foot_mm), max(y, foot_mm)) for path in others):
            tips.append(_Tip(row, float(x), float(y), foot_mm, bool(is_clear)))
    return tips


def _y_mm(reading: StripReading, row: F64) -> F64:
    return np.asarray(reading.centre_mm + (row - reading.half_px + 0.5) / STRIP_PX_PER_MM)


def _path_mm(reading: StripReading, x_mm: float) -> F64:
    """Return the heights (mm) of a row's path around a place."""
    at, near = (round(v * 2 * STRIP_PX_PER_MM) for v in (x_mm - reading.x0_mm, OTHERS_MM))
    return _y_mm(reading, reading.height_half[max(at - near, 0) : max(at + near + 1, 0)])


def _comes_near(path_mm: F64, low_mm: float, high_mm: float) -> bool:
    return bool(len(path_mm) and path_mm.max() > low_mm - OTHERS_MM and path_mm.min() < high_mm + OTHERS_MM)


def with_spikes(x_mm: F64, y_mm: F64, spikes_mm: Iterable[F64], *, mm_per_s: float) -> F64:
    """Return heights `y_mm` at `x_mm` with the spikes whose tips these are, as narrow as a record can show them."""
    out = y_mm.copy()
    for x, y in spikes_mm:
        out += (y - out) * np.exp(-0.5 * ((x_mm - x) / (WIDTH_S * mm_per_s)) ** 2)
    return out
