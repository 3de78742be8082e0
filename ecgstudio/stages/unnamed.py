"""Columns of a page on which no name is read: beats look alike within a lead, and otherwise in the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.stages.same_seconds import beats_along
from ecgstudio.stages.strip_reading import StripReading, row_ends
from ecgstudio.stages.strips import STRIP_PX_PER_MM

# The median over rows was less on 65 of 78 pages with four columns, and on one of 46 whose rows were not divided, which
# was a page with columns that had not been found.
MOST_WITHIN: Final = 0.45
MORE_ALIKE: Final = 0.5  # beats of halves are as alike as those of quarters where there are but two columns
UNDIVIDED: Final = 0.6  # within the columns that a rhythm strip does not have, its beats differ more than theirs
BEAT_HALF_MM: Final = 3.75  # .15 s at 25 mm/s
BEAT_SHIFT_MM, ALIGNMENTS = 1.0, 2  # the middle of a beat hangs on which leads show it
SLIGHT: Final = 0.02  # of a beat's power: leads differ by more
LEAST_BEATS: Final = 2  # more than columns


def usual_layout(readings: Sequence[StripReading]) -> str:
    """Return the usual layout of so many rows that the shapes of beats show, the one with fewer columns; else ""."""
    ends = np.array([row_ends(reading) for reading in readings])
    ends_mm = float(np.median(ends[:, 0])), float(np.median(ends[:, 1]))
    beats = beats_along(readings, ends_mm=ends_mm)
    best, least = "", MOST_WITHIN
    for name, layout in sorted(LAYOUTS.items(), key=lambda item: len(item[1].rows[0])):
        columns = len(layout.rows[0])
        if columns == 1 or len(layout.all_rows) != len(readings):
            continue
        within = [shape_within(reading, beats, ends_mm=ends_mm, columns=columns) for reading in readings]
        divided, rhythm = within[: len(layout.rows)], within[len(layout.rows) :]
        usual = float(np.median(divided))
        if usual < least and (not rhythm or usual < UNDIVIDED * float(np.median(rhythm))):
            best, least = name, MORE_ALIKE * usual
    return best


def shape_within(reading: StripReading, beats: F64, *, ends_mm: tuple[float, float], columns: int) -> float:
    """Return how much beats [whole columns] of a row differ within its columns, as a share of how they differ at all.

    About 1 where the row is not divided so, or where too few beats tell it.
    """
    first, last = (float(reading.x_px(mm)) for mm in ends_mm)
    half, reach = round(BEAT_HALF_MM * STRIP_PX_PER_MM), round(BEAT_SHIFT_MM * STRIP_PX_PER_MM)
    width = (last - first) / columns
    chosen: list[F64] = []
    numbers: list[int] = []
    for middle in np.round(beats).astype(int):
        column = int((middle - first) // width)
        low, high = first + column * width, first + (column + 1) * width
        if 0 <= column < columns and middle - half - reach >= max(low, 0) and middle + half + reach < high:
            chosen.append(reading.height_px[middle - half - reach : middle + half + reach + 1])
            numbers.append(column)
    count = len(chosen)
    if len(set(numbers)) < columns or count < columns + LEAST_BEATS:
        return 1.0
    shapes = _side_by_side(np.array(chosen), 2 * half + 1)
    groups = [shapes[np.array(numbers) == column] for column in range(columns)]
    at_all = float(((shapes - shapes.mean(axis=0)) ** 2).sum()) / (count - 1)
    within = sum(float(((group - group.mean(axis=0)) ** 2).sum()) for group in groups) / (count - columns)
    slight = SLIGHT * float((shapes**2).sum(axis=1).mean())
    return (within + slight) / (at_all + slight) if at_all > 0 else 1.0


def _side_by_side(heights: F64, length: int) -> F64:
    """Return a part of each beat [N, length], shifted so that it is most like the others; its middle is rough."""
    parts = np.lib.stride_tricks.sliding_window_view(heights, length, axis=1)
    parts = parts - np.median(parts, axis=-1, keepdims=True)
    every = np.arange(len(parts))
    shift = np.full(len(parts), parts.shape[1] // 2)
    for _ in range(ALIGNMENTS):
        usual = parts[every, shift].mean(axis=0)
        shift = ((parts - usual) ** 2).sum(axis=-1).argmin(axis=1)
    return np.asarray(parts[every, shift])
