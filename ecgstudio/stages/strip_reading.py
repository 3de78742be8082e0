"""Reading strips: cutting each row from the page, asking the trace network, following the trace."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import FloatMap, Runtime, StageError
from ecgstudio.stages.decode import falling_edges, pair_average, trace_path
from ecgstudio.stages.needles import needles
from ecgstudio.stages.parallel import in_parallel
from ecgstudio.stages.printed import Label, Row
from ecgstudio.stages.strips import STRIP_PX_PER_MM, cut_strip, normalised
from ecgstudio.stages.strokes import (
    along_ruled,
    darkness,
    drawn_from_frame,
    drawn_on_to,
    leaps,
    ruled_lines,
    without_lines,
)

STRIP_HALVES_MM = (30.0, 40.0, 54.0)  # a strip is as tall as its trace needs: the network reads low ones best
STRIP_MARGIN_MM = 12.0
ROWS_AT_ONCE = {"cpu": 1}  # more of them stay in no cache
ROWS_ON_A_GPU = 4  # more of them take memory, and no less time
SIDE_BY_SIDE = {"cpu": 2}  # one's path is followed while the network looks at the other
NEAR_EDGE_MM = 6.0  # apexes near a strip's edge are read low
MIN_PRINTED = 0.4
FLIP_AGREE_PX = 10.0
NAME_PENALTY = np.float32(2.5)  # nats: more, and strokes that cross a name are bent around it
NAME_HALF_MM, NAME_HALF_MM_PER_LETTER, NAME_HALF_HEIGHT_MM = 0.8, 0.95, 2.2
SAME_TRACE_MM = 1.2
GOES_ON_MM, GOES_ON, MOST_ROWS = 4.0, 0.7, 0.5
# a ruled line is as straight as this nearly everywhere, where the row's very ends are left out
RULED_MM, RULED_SHARE, RULED_MARGIN_MM, RULED_PARTS = 0.3, 0.945, 0.5, 8
AXIS_BESIDE_MM = 3.0  # the baseline wanders that far
LEAST_LOG = -1e4  # what half precision holds
RULED_PENALTY, RULED_ROUNDS = 12.0, 3  # nats: only where there is hardly any ink but the ruled line, it is followed


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was seen of a row: kept, in half precision, only until all rows were read together."""

    columns: NDArray[np.float16]  # [H, 2W] log-probabilities of the trace's height
    brightest: NDArray[np.float16]  # [H, W] the strip's brightest channel, normalised


@dataclass(frozen=True, slots=True, eq=False)
class StripReading:
    """One row as read: heights in strip pixels, with probabilities, per half-column as the network answers.

    Whole column i lies at x0 + (i + 0.5) / 8 mm. What stands before `begins_mm` was found to be no lead. `needles`
    [N, 3] are thin strokes that the heights pass by (half-column and row of the tip, rows beyond the heights).
    At `leaps_mm` the path goes up or down where nothing is drawn. `looked` is there until rows were read together and
    fitted to their ink: `fitted_half` are the heights of leads by that, NaN elsewhere.
    """

    row: Row
    x0_mm: float
    centre_mm: float
    half_px: int
    height_half: F64
    mass_half: F64
    presence_half: F64
    boundary: F64
    begins_mm: float = -np.inf
    needles: F64 = field(default_factory=lambda: np.zeros((0, 3)))
    leaps_mm: tuple[float, ...] = ()
    looked: Looked | None = None
    fitted_half: F64 | None = None

    @property
    def height_px(self) -> F64:
        """Heights per whole column."""
        return pair_average(self.height_half)

    @property
    def mass(self) -> F64:
        """Probability mass around the heights, per whole column."""
        return pair_average(self.mass_half)

    @property
    def presence(self) -> F64:
        """Probability that a lead is printed, per whole column."""
        return pair_average(self.presence_half)

    def x_px(self, x_mm: float | F64) -> F64:
        """Return whole-column coordinates of paper x."""
        return np.asarray((np.asarray(x_mm) - self.x0_mm) * STRIP_PX_PER_MM - 0.5)


def read_strips(
    page: Page,
    grid: GridFit,
    rows: tuple[Row, ...],
    *,
    runtime: Runtime,
    flip: bool = False,
    names: Sequence[Label] = (),
    span_mm: tuple[float, float] | None = None,
) -> list[StripReading]:
    """Read all rows; a row whose trace comes near the strip's edge is read again with a taller strip.

    `span_mm` is what is read of the sheet's width, a little more than the rows take if nothing is said.
    """
    # one span for all, read again or not: strips are compared column by column
    if span_mm is None:
        span_mm = min(r.start_mm for r in rows) - STRIP_MARGIN_MM, max(r.end_mm for r in rows) + STRIP_MARGIN_MM
    read = functools.partial(_read, page, grid, span_mm=span_mm, runtime=runtime, flip=flip, names=names)

    def as_tall_as_needed(some: tuple[Row, ...]) -> list[StripReading]:
        readings = read(some, half_mm=STRIP_HALVES_MM[0])
        for before, half_mm in pairwise(STRIP_HALVES_MM):
            for i, reading in enumerate(readings):
                if reading.half_px == _half_px(before) and _reach_mm(reading) > before - NEAR_EDGE_MM:
                    (readings[i],) = read((some[i],), half_mm=half_mm)
        return readings

    at_once = ROWS_AT_ONCE.get(runtime.device, ROWS_ON_A_GPU)
    parts = [rows[first : first + at_once] for first in range(0, len(rows), at_once)]
    found = in_parallel(as_tall_as_needed, parts, at_most=SIDE_BY_SIDE.get(runtime.device, 1))
    return [reading for readings in found for reading in readings]


def _half_px(half_mm: float) -> int:
    return round(half_mm * STRIP_PX_PER_MM / 16) * 16


def _reach_mm(reading: StripReading) -> float:
    """Return how far the trace goes from the strip's middle."""
    away = np.abs(reading.height_px - reading.half_px)[reading.presence > 0.5] / STRIP_PX_PER_MM
    return float(away.max(initial=0.0))


def _read(
    page: Page,
    grid: GridFit,
    rows: tuple[Row, ...],
    *,
    span_mm: tuple[float, float],
    half_mm: float,
    runtime: Runtime,
    flip: bool,
    names: Sequence[Label],
) -> list[StripReading]:
    half_px = _half_px(half_mm)
    start, end = span_mm
    width = int(-(-(end - start) * STRIP_PX_PER_MM // 32) * 32)
    strips = normalised(np.stack([
        cut_strip(page, grid, x0_mm=start, centre_mm=row.y_mm, half_px=half_px, width_px=width) for row in rows
    ]))  # fmt: skip
    maps = runtime.trace(strips)
    columns = _beside_names(maps.columns, rows, names, x0_mm=start, half_px=half_px)
    ink = 1 - maps.segmentation[:, 0]
    height, mass = trace_path(columns, ink)
    presence, boundary = maps.presence.astype(np.float64), maps.boundary.astype(np.float64)
    if flip:
        mirrored = runtime.trace(np.ascontiguousarray(strips[..., ::-1]))
        turned = np.ascontiguousarray(mirrored.columns[..., ::-1])
        columns = _beside_names(turned, rows, names, x0_mm=start, half_px=half_px)
        other, other_mass = trace_path(columns, 1 - mirrored.segmentation[:, 0, :, ::-1])
        agree = np.abs(height - other) < FLIP_AGREE_PX  # two different strokes have no meaningful middle
        surer = np.where(mass >= other_mass, height, other)
        height, mass = np.where(agree, (height + other) / 2, surer), np.minimum(mass, other_mass)
        presence = (presence + mirrored.presence[..., ::-1]) / 2
        boundary = (boundary + mirrored.boundary[..., ::-1]) / 2
    leaps_mm: list[tuple[float, ...]] = []
    for i, row in enumerate(rows):
        span_px = round((row.start_mm - start) * STRIP_PX_PER_MM), round((row.end_mm - start) * STRIP_PX_PER_MM)
        dark = darkness(strips[i, 0], height[i], presence[i] > 0.5)
        height[i], mass[i], leapt = _off_ruled_lines(dark, columns[i], ink[i], height[i], mass[i], span_px=span_px)
        presence[i] = _to_the_drawn_end(presence[i], dark, height[i], row_end=2 * span_px[1])
        presence[i] = _from_the_frame(presence[i], strips[i, 0], dark, height[i], axis_px=half_px, row_px=span_px)
        leaps_mm.append(tuple(start + (at + 0.5) / (2 * STRIP_PX_PER_MM) for at in leapt))
    return [
        StripReading(
            row=row,
            x0_mm=start,
            centre_mm=row.y_mm,
            half_px=half_px,
            height_half=height[i],
            mass_half=mass[i],
            presence_half=np.where(
                _in_picture(page, grid, row, height[i], x0_mm=start, half_px=half_px), presence[i], 0.0
            ),
            boundary=boundary[i],
            needles=needles(columns[i], maps.segmentation[i, 1:], height[i]),
            leaps_mm=leaps_mm[i],
            looked=Looked(np.maximum(columns[i], LEAST_LOG).astype(np.float16), strips[i, 0].astype(np.float16)),
        )
        for i, row in enumerate(rows)
    ]


def as_pictured(reading: StripReading, page: Page, grid: GridFit) -> StripReading:
    """Return a reading of another picture of the same paper with how this page looks along its strip."""
    if reading.looked is None:
        return reading
    shape = reading.looked.brightest.shape
    strip = cut_strip(
        page, grid, x0_mm=reading.x0_mm, centre_mm=reading.centre_mm, half_px=shape[0] // 2, width_px=shape[1]
    )
    return replace(reading, looked=replace(reading.looked, brightest=normalised(strip[None])[0, 0].astype(np.float16)))


def _off_ruled_lines(
    dark: FloatMap,
    columns: FloatMap,
    ink: FloatMap,
    height: F64,
    mass: F64,
    *,
    span_px: tuple[int, int],
) -> tuple[F64, F64, list[int]]:
    """Follow a trace anew that leapt onto a ruled line, as a flat end does beside a frame.

    Returns heights and mass as trace_path does, and the half-columns at which the trace still leaps.
    """
    leapt = leaps(dark, height)
    lines: list[F64] | None = None
    for _ in range(RULED_ROUNDS if leapt else 0):
        if lines is None:
            lines = ruled_lines(dark, first_px=max(span_px[0], 0), last_px=min(span_px[1], dark.shape[1]))
        line = along_ruled(height, lines, leapt)
        if line is None:
            break
        columns = without_lines(columns, line, penalty=RULED_PENALTY)
        (height,), (mass,) = trace_path(columns[None], ink[None])
        leapt = leaps(dark, height)
    return height, mass, leapt


def _to_the_drawn_end(presence: F64, dark: FloatMap, height: F64, *, row_end: int) -> F64:
    """Let a lead be present as far as its line is drawn: where it ends flat it looks like the foot of a pulse."""
    stretches = [last for first, last in falling_edges(presence) if first < row_end]
    drawn_to = drawn_on_to(dark, height, stretches[-1]) if stretches else None
    if drawn_to is None:
        return presence
    out = presence.copy()
    out[stretches[-1] : drawn_to] = 1.0
    return out


def _from_the_frame(
    presence: F64, brightest: FloatMap, dark: FloatMap, height: F64, *, axis_px: int, row_px: tuple[int, int]
) -> F64:
    """Let a lead be present from the frame of its chart on if its line is drawn from there: it looks like a pulse."""
    stretches = [part for part in falling_edges(presence) if part[1] > 2 * row_px[0] and part[0] < 2 * row_px[1]]
    drawn_from = drawn_from_frame(brightest, dark, height, stretches[0][0], axis_px=axis_px) if stretches else None
    if drawn_from is None:
        return presence
    out = presence.copy()
    out[drawn_from : stretches[0][0]] = 1.0
    return out


def _in_picture(
    page: Page, grid: GridFit, row: Row, height_px: F64, *, x0_mm: float, half_px: int
) -> NDArray[np.bool_]:
    """Tell where a strip's axis and the path along it are on the picture: elsewhere the path follows a neighbour."""
    x_mm = x0_mm + (np.arange(len(height_px)) + 0.5) / (2 * STRIP_PX_PER_MM)
    away_mm = (height_px - half_px + 0.5) / STRIP_PX_PER_MM
    size = np.array([page.pixels.shape[1], page.pixels.shape[0]])
    inside = np.ones(len(x_mm), bool)
    for beside_mm in (np.clip(away_mm, -AXIS_BESIDE_MM, AXIS_BESIDE_MM), away_mm):
        xy = grid.to_page(np.stack([x_mm, row.y_mm + beside_mm], axis=1))
        inside &= ((xy > -0.5) & (xy < size - 0.5)).all(axis=1)
    return inside


def _beside_names(
    columns: FloatMap, rows: tuple[Row, ...], names: Sequence[Label], *, x0_mm: float, half_px: int
) -> FloatMap:
    """Make it unlikely that a trace runs along a printed name: a V under a beat looks like an S wave.

    Only an alternative elsewhere in the column can win by this; a trace that does cross a name is still followed.
    """
    out = columns.copy()
    for i, row in enumerate(rows):
        touched = np.zeros(out.shape[2], bool)
        for name in names:
            half_width_mm = _half_width_mm(name)
            top = round((name.y_mm - NAME_HALF_HEIGHT_MM - row.y_mm) * STRIP_PX_PER_MM) + half_px
            bottom = round((name.y_mm + NAME_HALF_HEIGHT_MM - row.y_mm) * STRIP_PX_PER_MM) + half_px
            left, right = (round((name.x_mm + side * half_width_mm - x0_mm) * 2 * STRIP_PX_PER_MM) for side in (-1, 1))
            top, left = max(top, 0), max(left, 0)
            if bottom > top and right > left:
                out[i, top:bottom, left:right] -= NAME_PENALTY
                touched[left:right] = True
        if touched.any():
            part = out[i][:, touched]
            out[i][:, touched] = part - np.log(np.exp(part).sum(axis=0))
    return out


def printed_strips(readings: list[StripReading]) -> list[StripReading]:
    """Keep the strips along which a trace was followed, each once; raises StageError if there is none."""
    kept = one_per_trace([reading for reading in readings if _is_printed(reading)])
    if not kept:
        raise StageError("traces", "no ECG strip could be followed", "check the grid, or draw the traces by hand")
    return [_ending_where_seen(reading) for reading in kept]


def read_to_the_ends(
    read: Callable[..., list[StripReading]], rows: Sequence[Row], *, width_mm: float
) -> list[StripReading]:
    """Read the printed ones of these rows of a sheet `width_mm` wide as far as their traces go.

    `read` is read_strips but for the rows and their span. Raises StageError as printed_strips does.
    """
    readings = printed_strips(read(tuple(rows)))
    span_mm = span_going_on(readings, width_mm)
    return readings if span_mm is None else printed_strips(read(tuple(r.row for r in readings), span_mm=span_mm))


def span_going_on(readings: Sequence[StripReading], width_mm: float) -> tuple[float, float] | None:
    """Return the span (mm) to read of a sheet where most traces go on beyond what was read; None if they do not.

    Stage 1 may see only the middle of long, thin traces.
    """
    start_mm = readings[0].x0_mm
    end_mm = start_mm + min(len(reading.presence) for reading in readings) / STRIP_PX_PER_MM
    n = round(GOES_ON_MM * STRIP_PX_PER_MM)
    before, after = (
        float(np.mean([reading.presence[part].mean() > GOES_ON for reading in readings])) > MOST_ROWS
        for part in (slice(None, n), slice(-n, None))
    )
    before, after = before and start_mm > STRIP_MARGIN_MM / 2, after and end_mm < width_mm - STRIP_MARGIN_MM / 2
    if not (before or after):
        return None
    return min(start_mm, 0.0) if before else start_mm, max(end_mm, width_mm) if after else end_mm


def read_beside_names(
    page: Page,
    grid: GridFit,
    readings: list[StripReading],
    names: Sequence[Label],
    *,
    before: Sequence[Label],
    runtime: Runtime,
    flip: bool,
) -> list[StripReading]:
    """Read those strips again whose trace runs through a printed name that was not known to be one before."""
    fresh = [name for name in names if name not in before]

    def again_if_needed(reading: StripReading) -> StripReading:
        if not any(_runs_through(reading, name) for name in fresh):
            return reading
        span_mm = reading.x0_mm, reading.x0_mm + len(reading.height_px) / STRIP_PX_PER_MM
        half_mm = reading.half_px / STRIP_PX_PER_MM
        (again,) = _read(
            page, grid, (reading.row,), span_mm=span_mm, half_mm=half_mm, runtime=runtime, flip=flip, names=names
        )
        return _ending_where_seen(beginning_at(again, reading.begins_mm))

    return in_parallel(again_if_needed, readings, at_most=SIDE_BY_SIDE.get(runtime.device, 1))


def beginning_at(reading: StripReading, begins_mm: float) -> StripReading:
    """Return a row of which nothing before a place (mm) is a lead, whatever was seen there."""
    after = reading.x0_mm + (np.arange(len(reading.presence_half)) + 0.5) / (2 * STRIP_PX_PER_MM) >= begins_mm
    row = replace(reading.row, start_mm=max(reading.row.start_mm, begins_mm))
    return replace(reading, row=row, presence_half=np.where(after, reading.presence_half, 0.0), begins_mm=begins_mm)


def _half_width_mm(name: Label) -> float:
    return NAME_HALF_MM + NAME_HALF_MM_PER_LETTER * len(name.lead)


def _runs_through(reading: StripReading, name: Label) -> bool:
    half_mm = _half_width_mm(name)
    low, high = (int(np.clip(reading.x_px(name.x_mm + s * half_mm), 0, len(reading.height_px))) for s in (-1, 1))
    return bool((np.abs(_y_mm(reading)[low:high] - name.y_mm) < NAME_HALF_HEIGHT_MM).any())


def _is_printed(reading: StripReading) -> bool:
    """Tell whether a trace runs along most of a strip."""
    ends = reading.x_px(np.array([reading.row.start_mm, reading.row.end_mm]))
    low, high = np.clip(ends, 0, len(reading.presence)).astype(int)
    span = reading.presence[low:high]
    return bool(len(span) and (span > 0.5).mean() > MIN_PRINTED)


def one_per_trace(readings: list[StripReading]) -> list[StripReading]:
    """Where two strips followed the same trace, keep the one whose axis lies nearer to it."""
    kept: list[StripReading] = []
    for reading in readings:
        if kept and _same_trace(kept[-1], reading):
            if _distance_mm(reading) < _distance_mm(kept[-1]):
                kept[-1] = reading
            continue
        kept.append(reading)
    return kept


def is_ruled(reading: StripReading) -> bool:
    """Tell whether what was followed is one straight line: an axis with its ticks, a frame, a lead that was off."""
    first, last = reading.x_px(np.array(row_ends(reading)) + np.array([RULED_MARGIN_MM, -RULED_MARGIN_MM]))
    y_mm = _y_mm(reading)[max(round(float(first)), 0) : max(round(float(last)), 0)]
    if len(y_mm) < 2 * RULED_PARTS:
        return False
    at = np.arange(len(y_mm), dtype=np.float64)
    parts = np.array_split(at, RULED_PARTS)
    middles = [float(np.median(part)) for part in np.array_split(y_mm, RULED_PARTS)]
    slope, first_mm = np.polyfit([float(part.mean()) for part in parts], middles, 1)
    away_mm = np.abs(y_mm - (first_mm + slope * at))
    return bool(np.mean(away_mm < RULED_MM) >= RULED_SHARE)


def _y_mm(reading: StripReading) -> F64:
    return np.asarray(reading.centre_mm + (reading.height_px - reading.half_px + 0.5) / STRIP_PX_PER_MM)


def _same_trace(a: StripReading, b: StripReading) -> bool:
    n = min(len(a.height_px), len(b.height_px))
    both = (a.presence[:n] > 0.5) & (b.presence[:n] > 0.5)
    return bool(both.sum() > 40 and (np.abs(_y_mm(a)[:n] - _y_mm(b)[:n])[both] < SAME_TRACE_MM).mean() > 0.5)


def _distance_mm(reading: StripReading) -> float:
    present = reading.presence > 0.5
    return float(abs(np.median(_y_mm(reading)[present]) - reading.centre_mm)) if present.any() else np.inf


def _ending_where_seen(reading: StripReading) -> StripReading:
    first, last = row_ends(reading)
    return replace(reading, row=replace(reading.row, start_mm=first, end_mm=last))


def row_ends(reading: StripReading) -> tuple[float, float]:
    """Return the first and last mm of a row by the presence of its trace, near where stage 1 saw its axis."""
    stretches = falling_edges(reading.presence_half)
    half_mm = 0.5 / STRIP_PX_PER_MM
    spans = [(reading.x0_mm + a * half_mm, reading.x0_mm + (b + 1) * half_mm) for a, b in stretches]
    spans = [s for s in spans if s[1] > reading.row.start_mm and s[0] < reading.row.end_mm and s[1] - s[0] > 5]
    if not spans:
        return reading.row.start_mm, reading.row.end_mm
    return min(s[0] for s in spans), max(s[1] for s in spans)
