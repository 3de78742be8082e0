"""What ink says about the path along a trace: a pen that goes up or down draws, and lines that run on are ruled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.strips import STRIP_PX_PER_MM

NEAR_PX = 3  # the path lies within its stroke
PAPER_EVERY = 4  # rows that are looked at for the paper's level
LEAST_LEAP_MM, LEAP_COLUMNS, BLANK_SHARE = 3.0, 2, 0.6
INKED = 0.35  # of the contrast of the trace: less is paper
PART_PX, RULED_DARKNESS, RULED_COLUMNS, RULED_PARTS = 24, 0.5, 0.75, 0.9
LEAST_PARTS, DRIFT_PX = 4, 1  # of a line, and how far it goes up or down from part to part
MOST_RULED = 4  # more are a grid, and traces run along its lines
LEAST_DRAWN_ON_MM, MOST_DRAWN_ON_MM, NOTHING_AFTER_MM, FRAME_MM, MOST_FRAME_MM = 0.6, 5.0, 1.5, 3.0, 1.0
FULL, NOTHING = 0.9, 0.2
# frames are as dark as traces and taller than pulses; more of them are a grid
BLACK, FRAME_UP_MM, MOST_FRAMES, MOST_HIDDEN_MM, HIDDEN_DRAWN = 0.7, 10.0, 4, 4.0, 0.9
STRAY_FOR_MM, LEAST_STRAY_MM, STRAY_BEYOND_MM = 3.0, 0.5, 2.0  # no beat takes longer to come back, or goes so far alone
ALONG_PX, LEAST_ALONG_MM, MOST_ALONG, BESIDE_MM = 4, 0.5, 0.5, 0.5


def darkness(brightest: FloatMap, height_half: F64, present: NDArray[np.bool_]) -> FloatMap:
    """Return how dark a strip [H, W] is in its brightest channel, where coloured rulings vanish.

    Paper is 0, the trace that was followed (heights and presence per half-column) is 1; without a trace all is 0.
    """
    away = np.median(brightest[::PAPER_EVERY], axis=0)[None] - brightest
    rows = np.clip(np.round(height_half[::2]).astype(int) + np.arange(-NEAR_PX, NEAR_PX + 1)[:, None], 0, len(away) - 1)
    trace = np.take_along_axis(away, rows, axis=0).max(axis=0)[present[::2]]
    contrast = float(np.median(trace)) if len(trace) else 0.0
    return np.asarray(away / contrast if contrast > 0 else np.zeros_like(away), np.float32)


def leaps(dark: FloatMap, height_half: F64) -> list[int]:
    """Return the half-columns at which a path leaps up or down over blank paper, which no pen does."""
    step = 2 * LEAP_COLUMNS
    moved = np.abs(height_half[step:] - height_half[:-step])
    found: list[int] = []
    for at in np.flatnonzero(moved >= LEAST_LEAP_MM * STRIP_PX_PER_MM):
        middle = int(at) + step // 2
        if found and middle - found[-1] <= 2 * step:
            continue
        low, high = sorted((height_half[at], height_half[at + step]))
        column = middle // 2
        beside = dark[max(int(low) + NEAR_PX, 0) : max(int(high) - NEAR_PX, 0), max(column - 3, 0) : column + 4]
        if len(beside) and float((beside.max(axis=1) < INKED).mean()) >= BLANK_SHARE:
            found.append(middle)
    return found


def ruled_lines(dark: FloatMap, *, first_px: int, last_px: int) -> list[F64]:
    """Return the heights [W] of the lines that run on straight through all of a row, as dark as its trace: frames."""
    count = (last_px - first_px) // PART_PX
    if count < LEAST_PARTS:
        return []
    parts = dark[:, first_px : first_px + count * PART_PX].reshape(len(dark), count, PART_PX)
    level = np.sort(parts, axis=2)[:, :, round((1 - RULED_COLUMNS) * PART_PX)]
    centres = first_px + (np.arange(count) + 0.5) * PART_PX - 0.5
    middle = count // 2
    regions, number = ndimage.label(level[:, [middle - 1, middle]].max(axis=1) >= RULED_DARKNESS)
    found: list[F64] = []
    for region in range(1, number + 1):
        at = np.full(count, -1)
        for order in (range(middle, count), range(middle - 1, -1, -1)):
            y = int(np.median(np.flatnonzero(regions == region)))
            for part in order:
                reach = level[max(y - DRIFT_PX, 0) : y + DRIFT_PX + 1, part]
                if reach.max() >= RULED_DARKNESS:
                    y = max(y - DRIFT_PX, 0) + int(np.argmax(reach))
                    at[part] = y
        on = at >= 0
        if on.mean() >= RULED_PARTS:
            found.append(np.interp(np.arange(dark.shape[1]), centres[on], at[on]))
    return found if len(found) <= MOST_RULED else []


def along_ruled(height_half: F64, lines: Sequence[F64], leaps_at: Sequence[int]) -> NDArray[np.int_] | None:
    """Return where a path leapt onto a ruled line or off it: per half-column the line's row, -1 elsewhere; None: not.

    A path that runs along a line nearly everywhere is that line.
    """
    out = np.full(len(height_half), -1)
    beside, least = (round(2 * mm * STRIP_PX_PER_MM) for mm in (BESIDE_MM, LEAST_ALONG_MM))
    for line in lines:
        at = np.repeat(line, 2)[: len(out)]
        along = ndimage.binary_closing(np.pad(np.abs(height_half - at) <= ALONG_PX, beside), np.ones(beside))
        along = along[beside:-beside]
        if along.mean() > MOST_ALONG:
            continue
        regions, count = ndimage.label(along)
        for region in ndimage.find_objects(regions)[:count]:
            first, last = region[0].start, region[0].stop
            leapt = any(min(abs(leap - first), abs(leap - last)) <= beside for leap in leaps_at)
            if leapt and last - first >= least:
                part = slice(max(first - beside, 0), last + beside)
                out[part] = np.round(at[part])
    return out if (out >= 0).any() else None


def without_lines(log_columns: FloatMap, line: NDArray[np.int_], *, penalty: float) -> FloatMap:
    """Return log-probabilities [H, W] in which a line (its row per column, -1: none) is less likely by `penalty`."""
    rows = np.arange(len(log_columns))[:, None]
    on = (line >= 0) & (np.abs(rows - line) <= ALONG_PX + NEAR_PX)
    out = log_columns - np.where(on, np.float32(penalty), np.float32(0))
    columns = line >= 0
    out[:, columns] -= np.log(np.exp(out[:, columns]).sum(axis=0) + np.float32(1e-30))
    return np.asarray(out, np.float32)


def strays(height_half: F64, leap: int, *, first: int, last: int) -> bool:
    """Tell whether a path leaps at a half-column to where its lead, half-columns first to last, goes nowhere else.

    A beat that was drawn so fast that its stroke is not seen comes back soon, or is as high as others.
    """
    reach, least = (round(2 * mm * STRIP_PX_PER_MM) for mm in (STRAY_FOR_MM, LEAST_STRAY_MM))
    beyond_px, beside = STRAY_BEYOND_MM * STRIP_PX_PER_MM, 2 * LEAP_COLUMNS
    before, after = height_half[first : max(leap - beside, first)], height_half[leap + beside : last]
    for there, rest in ((before[-reach:], after), (after[:reach], before)):
        if least <= len(there) < len(rest) and (
            (there < rest.min() - beyond_px).all() or (there > rest.max() + beyond_px).all()
        ):
            return True
    return False


def drawn_on_to(dark: FloatMap, height_half: F64, last: int) -> int | None:
    """Return the half-column at which a line ends that is drawn on a little from a half-column; None if it is not.

    It ends at a frame (a long one is its column's paper) or before blank paper. What goes on for longer is a
    pulse or a ruling.
    """
    height = np.round(height_half[::2]).astype(int)
    first, most, after = (last // 2 + 1, *(round(mm * STRIP_PX_PER_MM) for mm in (MOST_DRAWN_ON_MM, NOTHING_AFTER_MM)))
    seen = np.arange(first, min(first + most + after + round(MOST_FRAME_MM * STRIP_PX_PER_MM), dark.shape[1]))
    if len(seen) <= after:
        return None
    inked = dark[:, seen] >= INKED
    reach = round(FRAME_MM * STRIP_PX_PER_MM)

    def near(level: NDArray[np.int_], within: int) -> NDArray[np.float64]:
        rows = np.clip(level + np.arange(-within, within + 1)[:, None], 0, len(dark) - 1)
        return np.asarray(np.take_along_axis(inked, rows, axis=0).mean(axis=0), np.float64)

    frame = near(height[seen], reach) >= FULL
    drawn = near(height[seen], NEAR_PX) > 0
    stops = np.flatnonzero(frame | ~drawn)
    if not len(stops) or stops[0] >= most:
        return None
    end = int(stops[0])
    beyond = end + int(np.argmin(np.append(frame[end:], False)))
    level = np.full(len(seen), height[seen[max(int(stops[0]) - 1, 0)]])
    rest = (near(level, NEAR_PX) > 0)[beyond + 1 : beyond + 1 + after]
    if len(rest) < after or rest.mean() > NOTHING or end < LEAST_DRAWN_ON_MM * STRIP_PX_PER_MM:
        return None
    return 2 * int(seen[end])


def drawn_from_frame(brightest: FloatMap, dark: FloatMap, height_half: F64, first: int, *, axis_px: int) -> int | None:
    """Return the half-column in the middle of a frame from which a line is drawn on to a half-column; None if none is.

    A lead that begins at the frame of its chart looks like a pulse there. The frame is upright, passes the row's axis
    (`axis_px`) far above and below, and stands alone: upright lines that come again and again are a grid.
    """
    reach = round(FRAME_UP_MM * STRIP_PX_PER_MM)
    away = np.median(brightest[::PAPER_EVERY]) - brightest  # a column that is black all along has no paper of its own
    trace = away[np.clip(np.round(height_half[::2]).astype(int), 0, len(away) - 1), np.arange(away.shape[1])]
    contrast = float(np.median(trace[first // 2 :]))
    beside = ndimage.maximum_filter1d(away[max(axis_px - reach, 0) : axis_px + reach + 1], 3, axis=1)
    black = (beside >= BLACK * contrast).mean(axis=0) >= FULL
    frames, count = ndimage.label(black)
    if contrast <= 0 or not 0 < count <= MOST_FRAMES:
        return None
    begins = first // 2
    near = [
        (where[0].start, where[0].stop) for where in ndimage.find_objects(frames)
        if begins - MOST_HIDDEN_MM * STRIP_PX_PER_MM <= where[0].start < begins
        and where[0].stop - where[0].start <= MOST_FRAME_MM * STRIP_PX_PER_MM
    ]  # fmt: skip
    if not near:
        return None
    start, stop = near[-1]
    columns = np.arange(stop, begins)
    level = np.round(height_half[2 * columns]).astype(int)
    rows = np.clip(level + np.arange(-NEAR_PX, NEAR_PX + 1)[:, None], 0, len(dark) - 1)
    drawn = (np.take_along_axis(dark[:, columns], rows, axis=0) >= INKED).any(axis=0)
    return start + stop if len(columns) == 0 or drawn.mean() >= HIDDEN_DRAWN else None
