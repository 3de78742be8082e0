"""Rows that stage 1 hardly sees, as beside a grid's frame: looked for where one may be, kept if an ECG runs there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.printed import Label, Row
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

FAINT_SHARE = 0.1  # of what stage 1 says of the other rows
SPREAD_PARTS, SPREAD_SHARE, SPREAD_LEVEL = 16, 0.7, 0.04  # a row is seen all along, a heading here and there
SPACE = (0.7, 1.6)  # from the next row, of the usual spacing
ROWS_TO_KNOW_SPACING = 3
FOLLOWED_SHARE, FOLLOWED_MASS, NAMED_MASS, OFF_AXIS_MM = 0.9, 0.9, 0.8, 2.5
# names in one line, or in as many as there are columns, tell where rows are
NAME_CONFIDENCE, IN_LINE_MM, LEAST_IN_LINE = 0.5, 4.0, 3
BEFORE_END_MM, LEAST_LEAD_MM = 5.0, 30.0  # no lead is so short that it ends beside its name
NAMES_BESIDE_MM, ON_ROW_MM, ROWS_TO_KNOW_HEIGHT, LEAST_APART = 20.0, 2.0, 0.6, 0.45
ONE_ROW_MM = 4.0  # names nearer than this above one another belong to one row
SMOOTH_MM, BEATS_SHARE, LEAST_BEAT_MM = 6.0, 0.01, 0.8  # the edge of a sheet bends, but nothing stands out of it


def hardly_seen(axis: FloatMap, rows: Sequence[Row], *, cell_mm: float, origin_mm: tuple[float, float]) -> list[Row]:
    """Return where the map of strip axes hints at rows where there is room for them, as long as those that it shows."""
    if len(rows) < ROWS_TO_KNOW_SPACING:
        return []
    y_rows = np.array([row.y_mm for row in rows])
    spacing = float(np.median(np.diff(np.sort(y_rows))))
    start_mm, end_mm = (float(np.median([getattr(row, side) for row in rows])) for side in ("start_mm", "end_mm"))
    first, last = (max(int((x - origin_mm[0]) / cell_mm), 0) for x in (start_mm, end_mm))
    smooth = ndimage.gaussian_filter(axis.astype(np.float64), (1.2, 2.0))[:, first:last]
    if smooth.shape[1] < SPREAD_PARTS:
        return []
    profile = ndimage.gaussian_filter1d(smooth.sum(axis=1), 0.8)
    at_rows = np.clip(((y_rows - origin_mm[1]) / cell_mm).astype(int), 0, len(profile) - 1)
    usual = float(np.median(profile[at_rows]))
    peaks, _ = find_peaks(profile, height=FAINT_SHARE * usual)
    waiting = [int(peak) for peak in sorted(peaks, key=lambda p: -profile[p]) if _is_spread(smooth, int(peak))]
    places, found = y_rows.tolist(), list[Row]()
    while waiting:  # a row may be next to one that was hardly seen itself
        at_mm = [origin_mm[1] + (peak + 0.5) * cell_mm for peak in waiting]
        away = [min(abs(y_mm - y) for y in places) / spacing for y_mm in at_mm]
        chosen = next((i for i, share in enumerate(away) if SPACE[0] <= share <= SPACE[1]), None)
        if chosen is None:
            break
        strength = float(profile[waiting.pop(chosen)] / max(1, last - first))
        found.append(Row(y_mm=at_mm[chosen], start_mm=start_mm, end_mm=end_mm, strength=strength))
        places.append(at_mm[chosen])
    return sorted(found, key=lambda row: row.y_mm)


def rows_beyond(rows: Sequence[Row], *, height_mm: float) -> list[Row]:
    """Return where the rows would go on above the first and below the last one on a sheet of this height."""
    if len(rows) < ROWS_TO_KNOW_SPACING:
        return []
    y_rows = sorted(row.y_mm for row in rows)
    spacing = float(np.median(np.diff(y_rows)))
    start_mm, end_mm = (float(np.median([getattr(row, side) for row in rows])) for side in ("start_mm", "end_mm"))
    beside = (y_rows[0] - spacing, y_rows[-1] + spacing)
    return [Row(y_mm=y, start_mm=start_mm, end_mm=end_mm, strength=0.0) for y in beside if 0 < y < height_mm]


def rows_at_names(rows: Sequence[Row], labels: Sequence[Label]) -> list[Row]:
    """Return where names that stand in line with those of other rows show rows that stage 1 does not see.

    Names stand at one height beside their rows: the least at which most of the rows that are seen have one. Thin traces
    are seen here and there only, but each of them has its name.
    """
    named = _in_lines(labels)
    if not rows or len(named) < LEAST_IN_LINE:
        return []
    y_names, y_rows = (np.array(sorted(each.y_mm for each in several)) for several in (named, rows))
    below_mm = y_names[:, None] - y_rows[None, :]
    near = below_mm[np.abs(below_mm) < NAMES_BESIDE_MM]
    on_rows = [int((np.abs(below_mm - at_mm) < ON_ROW_MM).any(axis=0).sum()) for at_mm in near]
    most = max(on_rows, default=0)
    if most < max(2, ROWS_TO_KNOW_HEIGHT * len(rows)):
        return []
    height_mm = min((at_mm for at_mm, count in zip(near, on_rows, strict=True) if count == most), key=abs)
    alike = near[np.abs(near - height_mm) < ON_ROW_MM]
    at_names = y_names - float(np.median(alike))
    lines = _apart(at_names)
    spacing = min((after - before for before, after in pairwise(lines)), default=np.inf)
    start_mm, end_mm = min(row.start_mm for row in rows), max(row.end_mm for row in rows)
    return [
        Row(y_mm=y_mm, start_mm=start_mm, end_mm=end_mm, strength=0.0)
        for y_mm in lines if np.abs(y_rows - y_mm).min() > LEAST_APART * spacing
    ]  # fmt: skip


def reaching_names(rows: Sequence[Row], labels: Sequence[Label], *, width_mm: float) -> list[Row]:
    """Return the rows as long as they must be if names that stand in line at their ends, or beyond, name leads."""
    at_mm = max((label.x_mm for label in _in_lines(labels)), default=-np.inf)
    if not rows or at_mm < float(np.median([row.end_mm for row in rows])) - BEFORE_END_MM:
        return list(rows)
    end_mm = min(at_mm + LEAST_LEAD_MM, width_mm)
    return [replace(row, end_mm=max(row.end_mm, end_mm)) for row in rows]


def _in_lines(labels: Sequence[Label]) -> list[Label]:
    """Return the names that stand one below the other; what is printed in no line with others is something else."""
    sure = [label for label in labels if label.confidence >= NAME_CONFIDENCE]

    def in_line(label: Label) -> bool:
        beside = {other.lead for other in sure if abs(other.x_mm - label.x_mm) < IN_LINE_MM}
        return len(beside) >= LEAST_IN_LINE

    return [label for label in sure if in_line(label)]


def _apart(places: NDArray[np.float64]) -> list[float]:
    """Join places (in order) that are nearer to one another than rows can be."""
    groups = np.split(places, np.flatnonzero(np.diff(places) > ONE_ROW_MM) + 1)
    return [float(group.mean()) for group in groups]


def _is_spread(smooth: NDArray[np.float64], peak: int) -> bool:
    band = smooth[max(0, peak - 1) : peak + 2].max(axis=0)
    seen = [part.max() > SPREAD_LEVEL for part in np.array_split(band, SPREAD_PARTS)]
    return float(np.mean(seen)) >= SPREAD_SHARE


def clearly_followed(readings: Sequence[StripReading], *, named: bool = False) -> list[Row]:
    """Return the rows along which an ECG runs: no text, no ruled line, no edge of the sheet.

    Beside a name it may be less clear, as where tall waves of other rows cross it.
    """
    least_mass = NAMED_MASS if named else FOLLOWED_MASS
    return [reading.row for reading in readings if _is_ecg(reading, least_mass=least_mass)]


def _is_ecg(reading: StripReading, *, least_mass: float) -> bool:
    ends = reading.x_px(np.array([reading.row.start_mm, reading.row.end_mm]))
    low, high = np.clip(ends, 0, len(reading.presence)).astype(int)
    if high - low < SMOOTH_MM * STRIP_PX_PER_MM:
        return False
    present, away_mm = reading.presence[low:high] > 0.5, _away_mm(reading)[low:high]
    followed = present.mean() >= FOLLOWED_SHARE and reading.mass[low:high].mean() >= least_mass
    smooth_mm = ndimage.median_filter(away_mm, round(SMOOTH_MM * STRIP_PX_PER_MM), mode="nearest")
    beat_mm = float(np.quantile(np.abs(away_mm - smooth_mm), 1 - BEATS_SHARE))
    return bool(followed and abs(np.median(away_mm)) <= OFF_AXIS_MM and beat_mm >= LEAST_BEAT_MM)


def _away_mm(reading: StripReading) -> NDArray[np.float64]:
    return np.asarray((reading.height_px - reading.half_px + 0.5) / STRIP_PX_PER_MM)


def with_rows(rows: Sequence[Row], more: Sequence[Row]) -> list[Row]:
    """Put rows that were found later among the others, from the top down."""
    return sorted([*rows, *more], key=lambda row: row.y_mm)
