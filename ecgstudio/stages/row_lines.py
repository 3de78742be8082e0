"""How a sheet lies by its rows: their lines meet in one point, and begin and end on two more lines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap

LEAST_AXIS: Final = 0.3
MOST_CELLS: Final = 4000
MOST_SLOPE: Final = 0.3
MOST_FAN: Final = 0.5  # how much the slopes of rows may differ over the height of the picture
SEARCH_STEPS, SEARCH_ROUNDS = 25, 4
BLUR_MM: Final = 1.5
ROW_REACH_MM, ROW_APART_MM, GAP_MM, LEAST_ROW_MM = 2.5, 6.0, 16.0, 40.0
SHORT: Final = 0.6  # of the usual length: not a row like the others
IN_LINE_MM: Final = 2.5
LEAST_IN_LINE: Final = 3
CUT_MM: Final = 4.0  # rows that end so near to the picture's border are cut off
MOST_RATIO, MOST_SKEW = 1.4, 0.35  # of sides that face each other; sine of how far from square: no photo is so aslant
LONE_ERROR: Final = 0.01  # of the slope of a single row
FLAT_MM: Final = 2.0  # corners as near as this to those of an upright rectangle are of one


@dataclass(frozen=True, slots=True, eq=False)
class RowLines:
    """Rows as lines through one point: ends [N, 2, 2] (row, first and last, xy) in mm of the view that was looked at.

    `slope` is that of the line through the rows' middle, `slope_error` how well it is known from how rows differ;
    `corners` [4, 2] are those of the rectangle that the rows fill, from its upper left clockwise, or None where they
    lie in no perspective or do not tell.
    """

    ends: F64
    slope: float
    slope_error: float
    corners: F64 | None


def row_lines(axis: FloatMap, *, cell_mm: float, border_mm: F64) -> RowLines | None:
    """Fit the rows' lines to a map of strip axes [R, C]; None where no row is seen.

    `border_mm` [4, 2] are the picture's corners in mm of the map: rows that end there are cut off.
    """
    y, x = np.nonzero(axis > LEAST_AXIS)
    if len(y) * cell_mm < LEAST_ROW_MM:
        return None
    weight = axis[y, x].astype(np.float64)
    if len(y) > MOST_CELLS:
        pick = np.random.default_rng(0).permutation(len(y))[:MOST_CELLS]
        x, y, weight = x[pick], y[pick], weight[pick]
    middle = np.array([np.average(x, weights=weight), np.average(y, weights=weight)])
    xy = (np.stack([x, y], axis=1) - middle) * cell_mm
    height_mm = axis.shape[0] * cell_mm
    slope, fan = _pencil(xy, weight, height_mm=height_mm)
    r, c = np.mgrid[: axis.shape[0], : axis.shape[1]]
    rows, off = _rows(axis, (np.stack([c, r], axis=-1) - middle) * cell_mm, slope=slope, fan=fan, cell_mm=cell_mm)
    if not len(rows):
        return None
    if len(rows) < LEAST_IN_LINE and fan:
        slope, fan = _pencil(xy, weight, height_mm=height_mm, fans=False)
    ends = rows + (middle + 0.5) * cell_mm
    error = float(np.std(off) / np.sqrt(len(off))) if len(off) > 1 else LONE_ERROR
    return RowLines(ends, slope, error, _corners(ends, whole=_distance_mm(ends, border_mm) > CUT_MM))


def _distance_mm(ends: F64, border_mm: F64) -> F64:
    """Return how far points [..., 2] lie from the sides of a rectangle [4, 2]."""
    along = np.roll(border_mm, -1, axis=0) - border_mm
    away = ends[..., None, :] - border_mm
    across = np.abs(along[:, 0] * away[..., 1] - along[:, 1] * away[..., 0]) / np.hypot(*along.T)
    return np.asarray(across.min(axis=-1))


def _pencil(xy: F64, weight: F64, *, height_mm: float, fans: bool = True) -> tuple[float, float]:
    """Return the slope of the middle line, and by how much slopes grow per mm down, for which points fall into lines.

    Lines y = a + (slope + fan a) x meet in one point; the sharper the profile of a, the better.
    """
    most_fan = MOST_FAN / height_mm if fans else 0.0
    best = (-1.0, 0.0, 0.0)
    reach_slope, reach_fan = MOST_SLOPE, most_fan
    for _ in range(SEARCH_ROUNDS):
        _, slope0, fan0 = best
        steps = 2 * SEARCH_STEPS + 1 if reach_slope == MOST_SLOPE else SEARCH_STEPS
        for slope in slope0 + reach_slope * np.linspace(-1, 1, steps):
            for fan in (fan0 + reach_fan * np.linspace(-1, 1, SEARCH_STEPS)) if fans else (0.0,):
                if abs(fan) > most_fan:
                    continue
                sharp = _sharpness(_heights(xy, slope=slope, fan=fan), weight, height_mm=height_mm)
                if sharp > best[0]:
                    best = (sharp, float(slope), float(fan))
        reach_slope, reach_fan = reach_slope / 8, reach_fan / 8
    return best[1], best[2]


def _heights(xy: F64, *, slope: float, fan: float) -> F64:
    """Return where each point's line crosses the middle, in mm."""
    return np.asarray((xy[..., 1] - slope * xy[..., 0]) / np.maximum(1 + fan * xy[..., 0], 0.2))


def _sharpness(heights: F64, weight: F64, *, height_mm: float) -> float:
    count = int(2 * height_mm / BLUR_MM) + 1
    at = np.clip(heights / BLUR_MM + count / 2, 0, count - 1.001)
    low = at.astype(int)
    part = at - low
    profile = np.bincount(low, weight * (1 - part), count + 1) + np.bincount(low + 1, weight * part, count + 1)
    return float((profile**2).sum())


def _rows(axis: FloatMap, xy: F64, *, slope: float, fan: float, cell_mm: float) -> tuple[F64, F64]:
    """Return the ends of all rows along the lines of a pencil [N, 2, 2], as mm from its middle.

    Also return by how much the slope of each is another than that of its line [N].
    """
    seen = axis > LEAST_AXIS
    heights, x = _heights(xy, slope=slope, fan=fan), xy[..., 0]
    low, first = float(heights[seen].min()), float(x.min())
    profile = np.bincount(((heights[seen] - low) / cell_mm).astype(int), axis[seen])
    profile = ndimage.gaussian_filter1d(np.pad(profile, 4), 1.0)
    lowest, apart = 0.5 * LEAST_ROW_MM / cell_mm * LEAST_AXIS, max(1, round(ROW_APART_MM / cell_mm))
    peaks, _ = find_peaks(profile, height=lowest, distance=apart)
    rows, off = [], []
    for peak in peaks:
        height = low + (peak - 4 + 0.5) * cell_mm
        near = seen & (np.abs(heights - height) < ROW_REACH_MM)
        height = float(np.median(heights[near]))
        covered = np.bincount(((x[near] - first) / cell_mm).astype(int), minlength=axis.shape[1]) > 0
        gap = round(GAP_MM / cell_mm)
        closed = ndimage.binary_closing(np.pad(covered, gap), np.ones(gap))[gap:-gap]
        regions, count = ndimage.label(closed)
        if not count:
            continue
        sizes = ndimage.sum(covered, regions, np.arange(1, count + 1))
        columns = np.flatnonzero(regions == 1 + int(np.argmax(sizes)))
        if sizes.max() * cell_mm < LEAST_ROW_MM:
            continue
        x_mm = first + np.array([columns[0] - 0.5, columns[-1] + 0.5]) * cell_mm
        rows.append(np.stack([x_mm, height + (slope + fan * height) * x_mm], axis=1))
        own = near & (x >= x_mm[0]) & (x <= x_mm[1])
        off.append(float(np.polyfit(x[own], heights[own], 1)[0]))
    if not rows:
        return np.zeros((0, 2, 2)), np.zeros(0)
    ends = np.array(rows)
    length = ends[:, 1, 0] - ends[:, 0, 0]
    kept = length >= SHORT * np.median(length)
    return ends[kept], np.array(off)[kept]


def _corners(ends: F64, *, whole: NDArray[np.bool_]) -> F64 | None:
    """Return the corners of the rectangle that the rows fill; None unless most begin, and end, on a line.

    `whole` [N, 2] tells which ends are no picture's.
    """
    sides = [_line_through(ends[whole[:, k], k], of=len(ends)) for k in (0, 1)]
    left, right = sides
    if left is None or right is None:
        return None
    rows = ends[[0, -1]]
    corners = np.array([[_crossing(row, side) for side in (left, right)] for row in rows])
    corners = np.array([corners[0, 0], corners[0, 1], corners[1, 1], corners[1, 0]])
    return None if _is_upright(corners) or not _is_likely(corners) else corners


def _line_through(points: F64, *, of: int) -> F64 | None:
    """Return two points of the line that most points [N, 2] lie on, steep as it is; None if too few agree."""
    best: tuple[int, float, NDArray[np.bool_]] | None = None
    for i, j in combinations(range(len(points)), 2):
        rise = points[j, 1] - points[i, 1]
        x = points[i, 0] + (points[:, 1] - points[i, 1]) / rise * (points[j, 0] - points[i, 0])
        away = np.abs(points[:, 0] - x)
        on = away < IN_LINE_MM
        rank = (int(on.sum()), -float(away[on].sum()))
        if best is None or rank > best[:2]:
            best = (*rank, on)
    if best is None or best[0] < max(LEAST_IN_LINE, of / 2):
        return None
    on = points[best[2]]
    fit = np.polyfit(on[:, 1], on[:, 0], 1)
    y = points[[0, -1], 1]
    return np.stack([np.polyval(fit, y), y], axis=1)


def _crossing(one: F64, other: F64) -> F64:
    along, across = one[1] - one[0], other[1] - other[0]
    t = np.linalg.solve(np.stack([along, -across], axis=1), other[0] - one[0])
    return np.asarray(one[0] + t[0] * along)


def _is_upright(corners: F64) -> bool:
    """Tell whether corners are those of a rectangle that was at most turned, as well as one can see."""
    a = corners @ np.array([1, 1j])
    along = (a[1] - a[0] + a[2] - a[3]) / 2
    down = ((a[3] - a[0] + a[2] - a[1]) / 2 / along * -1j).real * 1j * along
    best = a.mean() + np.array([-along - down, along - down, along + down, -along + down]) / 2
    return bool(np.abs(best - a).max() < FLAT_MM)


def _is_likely(corners: F64) -> bool:
    """Tell whether a photo may show a rectangle with these corners."""
    top, right, bottom, left = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*np.array([top, bottom, left, right]).T)
    across, down = top - bottom, right - left
    skew = abs(float(across @ down)) / float(np.hypot(*across) * np.hypot(*down))
    ratios = (lengths[0] / lengths[1], lengths[2] / lengths[3])
    return skew < MOST_SKEW and all(1 / MOST_RATIO < ratio < MOST_RATIO for ratio in ratios)
