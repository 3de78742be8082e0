"""Heights fitted to the ink: a lead is drawn again with its row's pen and bent until it looks like the picture.

The trace network tells which stroke is the lead's, but reads tips and notches of QRS complexes too smooth and their
flanks some tenths of a pixel beside where they are; the picture knows better. How inked a pixel is depends on its
distance from the polyline through the lead's heights (a round pen, blurred), so that each pixel binds two neighbouring
heights, and least squares come to a pentadiagonal system (Gauss-Newton). What the network read is the prior, as sure as
it proved on validation pages, and neighbours change alike. Ruled lines lie along the rows and columns of a strip: they
are measured there, and are the ground on which the pen draws. Pixels near another row's trace say nothing, pixels that
no pen explains little.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import solveh_banded
from scipy.special import erf

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.lead_heights import half_columns_px, lead_heights
from ecgstudio.stages.parallel import in_parallel
from ecgstudio.stages.pen import FARTHEST_PX, SUBPIXEL_BITS, darkness_of
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.rulings import rulings
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

USUAL_MM_PER_S = 25.0  # while nobody has asked what a millimetre means
LEAST_CONFIDENCE = 0.5
ROUNDS, PEN_ROUNDS = 4, (0, 2)  # of Gauss-Newton; before these the pen is measured
REACH_PX, BLURS_REACHED, BESIDE_PX = 3.0, 1.5, 1.0  # pixels this near to the path count; beside thick strokes, too
# the network's error: px, and px per px of slope (1 sigma, 73 validation pages); how alike neighbours change
PRIOR_PX, PRIOR_PER_SLOPE, SMOOTH = 0.25, 0.13, 1.0
STEP_PX, STEP_PER_SLOPE = 2.0, 0.2  # at most, in one round
TOGETHER = 0.3  # what a pixel is worth: its neighbours were sampled from the same pixels of the picture
LEAST_NOISE, OUTLYING = 0.02, 3.0
LEAST_DRAWN = 0.5  # of the ink that a path should have in a column
BIN_PX, LEAST_IN_BIN, LEAST_SHARE = 0.2, 6, 0.1
WIDTHS_PX = (0.4, 0.7, 1.0, 1.4, 1.8, 2.2, 2.7, 3.2, 3.8, 4.5, 5.3, 6.3, 7.4)
BLURS_PX = (0.3, 0.45, 0.6, 0.75, 0.9, 1.1, 1.35, 1.6)
UNLIKE = 0.1  # of how the ink changes with the distance, at most this is not as the pen draws
DARKEST_GROUND, ALONE_PX = 0.6, 6.0  # ink on darker ground, or nearer to another stroke, does not show the pen
LEVEL, LEVEL_BESIDE = 0.25, 3  # px per half-column; where a path is level, the nearest segment is not far along it
PRESENT, OTHERS_PX, OWN_PX = 0.3, 7, 7  # where a path is drawn, and how thick, so that other readings leave it out
FAR_PX2 = np.float32(1e9)


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A round pen and its blur (sigma) in strip pixels, and how dark it draws."""

    width_px: float = 1.8
    blur_px: float = 0.75
    dark: float = 1.0

    def share(self, away_px: FloatMap) -> FloatMap:
        """Return how much of a pixel a straight stroke covers, by the pixel's distance from its middle."""
        scale = np.float32(1 / (np.sqrt(2) * self.blur_px))
        half = np.float32(self.width_px / 2)
        return np.asarray(0.5 * (erf((half - away_px) * scale) + erf((half + away_px) * scale)), np.float32)

    def change(self, away_px: FloatMap) -> FloatMap:
        """Return how the share changes with the distance."""
        scale = np.float32(1 / (np.sqrt(2) * self.blur_px))
        near, far = ((self.width_px / 2 + side * away_px) * scale for side in (-1, 1))
        return np.asarray((np.exp(-far * far) - np.exp(-near * near)) * (scale / np.sqrt(np.pi)), np.float32)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A strip as the pen sees it [H, W]: ink (0 paper, 1 trace), the ruled ground, and which pixels count."""

    ink: FloatMap
    ground: FloatMap
    counts: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Nearest:
    """Of pixels the nearest segment of a path, where on it (0..1), how far away, and how far below that point.

    `other_px` is the distance from the stroke on the other side of a narrow wave, far if there is none.
    """

    segment: NDArray[np.intp]
    along: FloatMap
    away_px: FloatMap
    below_px: FloatMap
    other_px: FloatMap


@dataclass(frozen=True, slots=True)
class _Seen:
    """Pixels near a path: their columns, ink and ground, and how they lie to the path."""

    column: NDArray[np.intp]
    ink: FloatMap
    ground: FloatMap
    to: _Nearest


def fitted_to_ink(
    readings: Sequence[StripReading], slots: Sequence[Slot], *, only: Collection[int] | None = None
) -> list[StripReading]:
    """Return rows of one page with the heights of their leads as they explain the ink best (`fitted_half`).

    Rows whose picture is not at hand (`looked`), or not in `only`, stay as they are.
    """

    def fitted(row: int) -> StripReading:
        reading = readings[row]
        if reading.looked is None or (only is not None and row not in only):
            return reading
        mine = [slot for slot in slots if slot.row == row]
        others = [each for i, each in enumerate(readings) if i != row]
        return replace(reading, fitted_half=_fitted(reading, reading.looked.brightest, mine, others))

    return in_parallel(fitted, range(len(readings)))


def _fitted(
    reading: StripReading, brightest: NDArray[np.float16], slots: Sequence[Slot], others: Sequence[StripReading]
) -> F64 | None:
    """Return the heights of a row's leads [2W] as fitted to its picture, NaN elsewhere; None if it shows no lead."""
    start, lead = reading.height_half.copy(), np.full(len(reading.height_half), -1)
    for number, slot in enumerate(slots):
        height, confidence = lead_heights(reading, slot, mm_per_s=USUAL_MM_PER_S)
        mine = confidence >= LEAST_CONFIDENCE
        start[mine], lead[mine] = height[mine], number
    lead[2 * brightest.shape[1] :] = -1
    ink = darkness_of(brightest.astype(np.float32), reading.height_half, reading.presence_half > 0.5)
    if ink is None or not (lead >= 0).any():
        return None
    counts = _counting(reading, others, shape=(ink.shape[0], ink.shape[1]))
    free = counts.copy()
    path = np.stack([half_columns_px(len(start)), start], axis=1)
    for first, last in _stretches(reading.presence_half > PRESENT):
        _draw(free, path[first:last], value=0, thick=OWN_PX)
    picture = _Picture(ink, rulings(ink, free > 0), counts)
    return np.where(lead >= 0, _fit(picture, start, lead), np.nan)


def _counting(reading: StripReading, others: Sequence[StripReading], *, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return 1 for pixels of a strip that do not lie near the traces of other rows, 0 for those that do."""
    free = np.ones(shape, np.uint8)
    for other in others:
        right_px = (other.x0_mm - reading.x0_mm) * STRIP_PX_PER_MM
        down_px = (other.centre_mm - reading.centre_mm) * STRIP_PX_PER_MM + reading.half_px - other.half_px
        path = np.stack([half_columns_px(len(other.height_half)) + right_px, other.height_half + down_px], axis=1)
        for first, last in _stretches(other.presence_half > PRESENT):
            _draw(free, path[first:last], value=0, thick=OTHERS_PX)
    return free


def _stretches(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where stretches begin, and where they are over."""
    edges = np.flatnonzero(np.diff(where.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _draw(onto: NDArray[np.uint8], path: F64, *, value: int, thick: int) -> None:
    fixed = np.round(np.clip(path, -FARTHEST_PX, FARTHEST_PX) * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.polylines(onto, [fixed[:, None]], False, value, thick, cv2.LINE_8, SUBPIXEL_BITS)


def _fit(picture: _Picture, start: F64, lead: NDArray[np.int_]) -> F64:
    """Return heights per half-column that explain the picture best, near those to `start` with.

    `lead` tells which half-columns are one lead's, -1 what is none's and stays as it is.
    """
    height, joined = start.copy(), (lead[1:] == lead[:-1]) & (lead[1:] >= 0)
    slope = np.abs(np.gradient(start, 0.5))
    known = 1 / (PRIOR_PX**2 + (PRIOR_PER_SLOPE * slope) ** 2)
    stiff = SMOOTH * (joined[1:] & joined[:-1])
    most = np.where(lead >= 0, STEP_PX + STEP_PER_SLOPE * slope, 0.0)
    reach_px, stroke = REACH_PX, _Stroke()
    for turn in range(ROUNDS):
        seen = _near(picture, height, joined, reach_px)
        if turn in PEN_ROUNDS:
            measured = _measured(seen)
            if measured is None:
                return start
            stroke = measured
            reach_px = max(REACH_PX, stroke.width_px / 2 + BLURS_REACHED * stroke.blur_px + BESIDE_PX)
        height += np.clip(_step(seen, stroke, height - start, known, stiff), -most, most)
    return height


def _near(picture: _Picture, height: F64, joined: NDArray[np.bool_], reach_px: float) -> _Seen:
    """Return the pixels within reach of the path that count, in columns which a lead crosses."""
    path = np.stack([half_columns_px(len(height)), height], axis=1)
    band = np.zeros_like(picture.counts)
    for first, last in _stretches(joined):
        _draw(band, path[first : last + 1], value=1, thick=int(2 * reach_px) | 1)
    columns = min(band.shape[1], len(height) // 2)
    band *= picture.counts
    band[:, :columns] *= joined[0 : 2 * columns : 2]  # from the first to the second half of each column
    band[:, columns:] = 0
    y, x = np.divmod(np.flatnonzero(band.view(np.bool_)), band.shape[1])
    beside = int(np.ceil(2 * reach_px))
    steep = ndimage.maximum_filter1d(np.abs(np.diff(height)), 2 * beside + 1) > LEVEL
    level = ~steep[2 * x]
    x, y = (np.concatenate([of[level], of[~level]]) for of in (x, y))
    n = int(level.sum())
    parts = (
        _nearest(x[:n], y[:n], height, joined, beside=LEVEL_BESIDE, waves=False),
        _nearest(x[n:], y[n:], height, joined, beside=beside, waves=True),
    )
    fields = ("segment", "along", "away_px", "below_px", "other_px")
    to = _Nearest(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))
    return _Seen(x, picture.ink[y, x], picture.ground[y, x], to)


def _nearest(
    x: NDArray[np.intp], y: NDArray[np.intp], height: F64, joined: NDArray[np.bool_], *, beside: int, waves: bool
) -> _Nearest:
    """Look for the nearest point of a path among the segments so many half-columns to the left and right.

    Where there may be narrow `waves`, also for the stroke on a pixel's other side that crosses its row.
    """
    tops, rises = height[:-1].astype(np.float32), np.diff(height).astype(np.float32)
    per_length2 = 1 / (np.float32(0.25) + rises * rises)
    best, left, right = (np.full(len(x), FAR_PX2) for _ in range(3))
    own, down = 2 * x, y.astype(np.float32)
    segment, along = own.copy(), np.zeros(len(x), np.float32)
    for k in range(-beside, beside + 1):
        at = np.clip(own + k, 0, len(rises) - 1)
        begins = np.float32(0.25 - k / 2)  # left of the pixel
        below, rise = down - tops[at], rises[at]
        on = np.clip((np.float32(0.5) * begins + below * rise) * per_length2[at], 0, 1)
        aside, over = begins - np.float32(0.5) * on, below - rise * on
        away = np.where(joined[at] & (at == own + k), aside * aside + over * over, FAR_PX2)
        if waves and k:
            side = left if k < 0 else right
            np.minimum(side, np.where(below * (below - rise) <= 0, away, FAR_PX2), out=side)
        nearer = away < best
        best[nearer], segment[nearer], along[nearer] = away[nearer], at[nearer], on[nearer]
    other = np.where(segment < own, right, np.where(segment > own, left, FAR_PX2))
    below_px = down - (tops[segment] + rises[segment] * along)
    return _Nearest(segment, along, np.sqrt(best), below_px, np.sqrt(other))


def _measured(seen: _Seen) -> _Stroke | None:
    """Return the stroke that draws most like the ink around a path, by the median of its share at each distance.

    None if no stroke draws like it.
    """
    plain = (seen.ground < DARKEST_GROUND) & (seen.to.other_px > ALONE_PX)
    away, ground = seen.to.away_px[plain], seen.ground[plain]
    share = (seen.ink[plain] - ground) / (1 - ground)
    order = np.argsort(away)
    ends = np.searchsorted(away[order], np.arange(BIN_PX, REACH_PX, BIN_PX))
    bins = [part for part in np.split(order, ends) if len(part) >= LEAST_IN_BIN]
    if not bins:
        return None
    at = np.array([away[part].mean() for part in bins], np.float32)
    drawn_on = np.array([np.median(share[part]) for part in bins])
    worth = np.sqrt([len(part) for part in bins])
    flat = float((worth * (drawn_on - np.average(drawn_on, weights=worth)) ** 2).sum())
    best, found = UNLIKE * flat, None
    for width_px in WIDTHS_PX:
        for blur_px in BLURS_PX:
            share_at = _Stroke(width_px, blur_px).share(at)
            if share_at.max() < LEAST_SHARE:
                continue  # nothing of so fine a stroke would be seen where pixels show it
            dark = float((worth * share_at * drawn_on).sum() / (worth * share_at * share_at).sum())
            unlike = float((worth * (drawn_on - dark * share_at) ** 2).sum())
            if unlike < best:
                best, found = unlike, _Stroke(width_px, blur_px, dark)
    return found


def _step(seen: _Seen, stroke: _Stroke, moved: F64, known: F64, stiff: F64) -> F64:
    """Return by how much heights should change (Gauss-Newton), given how far they are from what was read."""
    count, to = len(moved), seen.to
    share = stroke.share(to.away_px)
    between = to.other_px < ALONE_PX
    share[between] += stroke.share(to.other_px[between])
    contrast = np.float32(stroke.dark) - seen.ground
    np.minimum(share, 1, out=share)
    left = seen.ink - seen.ground - share * contrast
    noise = max(LEAST_NOISE, 1.4826 * float(np.median(np.abs(left)))) if len(left) else 1.0
    worth = np.asarray(TOGETHER / (noise**2 * (1 + (left / (OUTLYING * noise)) ** 2)), np.float32)
    worth *= _is_drawn(seen, share, contrast)
    # a height that goes down takes the nearest point along, and brings pixels below it nearer
    steep = np.where(share < 1, -contrast * stroke.change(to.away_px), 0) * to.below_px / np.maximum(to.away_px, 1e-6)
    second = np.asarray(steep * to.along, np.float32)
    first = np.asarray(steep - second, np.float32)

    def total(at: NDArray[np.intp], values: FloatMap) -> F64:
        return np.asarray(np.bincount(at, values, count), np.float64)

    here, there = to.segment, to.segment + 1
    pull = total(here, worth * first * left) + total(there, worth * second * left) - known * moved
    system = np.zeros((3, count))  # the diagonal and those above it, from the last row up
    system[2] = total(here, worth * first * first) + total(there, worth * second * second) + known
    system[1, 1:] = total(here, worth * first * second)[:-1]
    bend = stiff * (moved[:-2] - 2 * moved[1:-1] + moved[2:])
    for offset, weight in enumerate((1, -2, 1)):
        pull[offset : count - 2 + offset] -= weight * bend
        system[2, offset : count - 2 + offset] += weight**2 * stiff
    system[1, 1:-1] -= 2 * stiff
    system[1, 2:] -= 2 * stiff
    system[0, 2:] += stiff
    return np.asarray(solveh_banded(system, pull), np.float64)


def _is_drawn(seen: _Seen, share: FloatMap, contrast: FloatMap) -> NDArray[np.bool_]:
    """Tell which pixels lie in columns that show the path's ink: where it is hidden or faded, they tell nothing."""
    expected = np.bincount(seen.column, (share * contrast) ** 2)
    found = np.bincount(seen.column, share * contrast * (seen.ink - seen.ground))
    return np.asarray((found >= LEAST_DRAWN * expected)[seen.column])
