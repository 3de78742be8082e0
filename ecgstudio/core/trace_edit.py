"""Corrections of stage 2: what a human can do to a trace, and how the traces change with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgstudio.core.arrays import F64, check_finite, frozen_array
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.leads import LEAD_INDEX

XY = tuple[float, float]

TRACE_REACH_MM = 10.0  # two rows of a page are 15 mm or more apart
DRAWN_HZ = 500.0  # samples of a trace that a human drew where the machine read none
MAX_MERGED_S = 60.0  # no strip of paper is longer; a slip must not fill the memory


@dataclass(frozen=True, slots=True)
class TraceErase:
    """Forget the samples of the trace near `from_xy` between its samples nearest to the two places."""

    from_xy: XY
    to_xy: XY


@dataclass(frozen=True, slots=True, eq=False)
class TraceRedraw:
    """Let the trace nearest to the first point follow the polyline `xy` [M >= 2, 2] in page pixels.

    Where traces cross, `lead` says whose line it is: the nearest trace of that lead, if there is one within reach.
    """

    xy: F64
    lead: str | None = None

    def __post_init__(self) -> None:
        if self.lead is not None and self.lead not in LEAD_INDEX:
            raise ValueError(f"{self.lead!r} is no lead")
        object.__setattr__(self, "xy", _line(self.xy))


@dataclass(frozen=True, slots=True)
class TraceRelabel:
    """Give the trace near `at_xy` to another lead."""

    at_xy: XY
    lead: str

    def __post_init__(self) -> None:
        if self.lead not in LEAD_INDEX:
            raise ValueError(f"{self.lead!r} is no lead")


@dataclass(frozen=True, slots=True)
class TraceShift:
    """Shift the trace near `at_xy` in time and voltage; its place on the page stays."""

    at_xy: XY
    shift_s: float
    shift_mv: float


@dataclass(frozen=True, slots=True)
class TraceSplit:
    """Cut the trace near `at_xy` in two at its sample nearest to that place; both keep the lead."""

    at_xy: XY


@dataclass(frozen=True, slots=True)
class TraceMerge:
    """Join the trace near `with_xy` to the one near `at_xy`, whose lead and whose readings count; gaps stay gaps."""

    at_xy: XY
    with_xy: XY


@dataclass(frozen=True, slots=True)
class TraceDelete:
    """Forget the whole trace near `at_xy`."""

    at_xy: XY


@dataclass(frozen=True, slots=True, eq=False)
class TraceAdd:
    """Add a trace of a lead along the polyline `xy` [M >= 2, 2] in page pixels, where the machine found none."""

    lead: str
    xy: F64

    def __post_init__(self) -> None:
        if self.lead not in LEAD_INDEX:
            raise ValueError(f"{self.lead!r} is no lead")
        object.__setattr__(self, "xy", _line(self.xy))


TraceChange = TraceErase | TraceRedraw | TraceRelabel | TraceShift | TraceSplit | TraceMerge | TraceDelete | TraceAdd


@dataclass(frozen=True, slots=True)
class TraceEdit:
    """Corrections of stage 2, applied in order."""

    changes: tuple[TraceChange, ...]


def apply_traces(auto: DigitizedEcg | None, edit: TraceEdit | None, *, grid: GridFit) -> DigitizedEcg:
    """Return the traces with the edit on top; samples a human drew have confidence 1.

    A change that finds no trace within reach is left out. Raises ValueError if there is no automatic answer and the
    edit adds no trace.
    """
    changes = edit.changes if edit is not None else ()
    if auto is None and not any(isinstance(change, TraceAdd) for change in changes):
        raise ValueError("without automatic traces there is nothing to correct")
    traces = list(auto.traces) if auto is not None else []
    for change in changes:
        traces = _changed(traces, change, grid)
    return DigitizedEcg(tuple(traces), "") if auto is None else replace(auto, traces=tuple(traces))


def _changed(traces: list[LeadTrace], change: TraceChange, grid: GridFit) -> list[LeadTrace]:
    """Apply one change to the traces of a page."""
    if isinstance(change, TraceAdd):
        return [*traces, *_drawn(traces, change, grid)]
    reach_px = TRACE_REACH_MM * grid.px_per_mm
    wanted = change.lead if isinstance(change, TraceRedraw) else None
    index = nearest_trace(traces, _place(change), reach_px=reach_px, lead=wanted)
    if index is None:
        return traces
    if isinstance(change, TraceMerge):
        others = [*traces[:index], *traces[index + 1 :]]
        other = nearest_trace(others, change.with_xy, reach_px=reach_px)
        direct = nearest_trace(traces, change.with_xy, reach_px=reach_px)
        if other is None or direct == index:
            return traces
        joined = _joined(traces[index], others[other])
        return [joined if trace is traces[index] else trace for trace in traces if trace is not others[other]]
    return [*traces[:index], *_change_trace(traces[index], change, grid), *traces[index + 1 :]]


def _line(values: F64) -> F64:
    xy = frozen_array(values, dtype=np.float64, shape=(None, 2), name="xy")
    check_finite(xy, "xy")
    if len(xy) < 2:
        raise ValueError("a drawn line needs at least two points")
    return xy


def _place(change: TraceChange) -> XY:
    match change:
        case TraceErase():
            return change.from_xy
        case TraceRedraw() | TraceAdd():
            return (float(change.xy[0, 0]), float(change.xy[0, 1]))
        case TraceRelabel() | TraceShift() | TraceSplit() | TraceMerge() | TraceDelete():
            return change.at_xy


def _nearest_sample(trace: LeadTrace, xy: XY) -> tuple[int, float]:
    away = np.hypot(*(trace.xy - xy).T)
    away = np.where(np.isfinite(away), away, np.inf)
    index = int(np.argmin(away))
    return index, float(away[index])


def nearest_trace(traces: Sequence[LeadTrace], xy: XY, *, reach_px: float, lead: str | None = None) -> int | None:
    """Return the trace with the sample nearest to a place, of a lead if it has one within reach; None if none has."""
    away = np.array([_nearest_sample(trace, xy)[1] if len(trace.mv) else math.inf for trace in traces])
    own = np.array([trace.lead == lead for trace in traces], bool)
    for these in (own, ~own):
        if (away[these] <= reach_px).any():
            return int(np.argmin(np.where(these, away, np.inf)))
    return None


def _change_trace(trace: LeadTrace, change: TraceChange, grid: GridFit) -> tuple[LeadTrace, ...]:
    """Return what becomes of one trace: itself changed, two parts of it, or nothing."""
    match change:
        case TraceErase():
            ends = sorted(_nearest_sample(trace, xy)[0] for xy in (change.from_xy, change.to_xy))
            mv, confidence = np.array(trace.mv), np.array(trace.confidence)
            mv[ends[0] : ends[1] + 1] = np.nan
            confidence[ends[0] : ends[1] + 1] = 0
            return (replace(trace, mv=mv, confidence=confidence),)
        case TraceRedraw():
            return (_redraw(trace, change.xy, grid),)
        case TraceRelabel():
            return (replace(trace, lead=change.lead),)
        case TraceShift():
            return (replace(trace, t0_s=trace.t0_s + change.shift_s, mv=trace.mv + np.float32(change.shift_mv)),)
        case TraceSplit():
            cut = _nearest_sample(trace, change.at_xy)[0]
            return tuple(_part(trace, part) for part in (slice(0, cut), slice(cut, None)) if len(trace.mv[part]))
        case TraceDelete():
            return ()
        case TraceMerge() | TraceAdd():
            raise ValueError("a merge or an added trace changes more than one trace")


def _part(trace: LeadTrace, part: slice) -> LeadTrace:
    return replace(
        trace,
        t0_s=trace.t0_s + (part.start or 0) / trace.fs,
        mv=trace.mv[part],
        xy=trace.xy[part],
        confidence=trace.confidence[part],
    )


def _joined(trace: LeadTrace, other: LeadTrace) -> LeadTrace:
    """Lay two traces on one time axis; where both read something, `trace` counts. What lies between stays unread."""
    shift = round((other.t0_s - trace.t0_s) * trace.fs)
    first, last = min(0, shift), max(len(trace.mv), shift + len(other.mv))
    if trace.fs != other.fs or last - first > MAX_MERGED_S * trace.fs:
        return trace
    mv, confidence = np.full(last - first, np.nan, np.float32), np.zeros(last - first, np.float32)
    xy = np.full((last - first, 2), np.nan)
    for part, start in ((other, shift - first), (trace, -first)):
        known = np.isfinite(part.mv) | np.isnan(mv[start : start + len(part.mv)])
        at = start + np.flatnonzero(known)
        mv[at], xy[at], confidence[at] = part.mv[known], part.xy[known], part.confidence[known]
    placed = np.isfinite(xy).all(axis=1)
    if placed.any():  # a place for the gap too: it can be redrawn
        for axis in range(2):
            xy[~placed, axis] = np.interp(np.flatnonzero(~placed), np.flatnonzero(placed), xy[placed, axis])
    return replace(trace, t0_s=trace.t0_s + first / trace.fs, mv=mv, xy=xy, confidence=confidence)


def _drawn(traces: list[LeadTrace], change: TraceAdd, grid: GridFit) -> tuple[LeadTrace, ...]:
    """Read a drawn line: its time from the trace that starts nearest to it, its zero level from its own median."""
    mm = grid.to_mm(change.xy)
    mm = mm[np.isfinite(mm).all(axis=1)]
    mm = mm[np.argsort(mm[:, 0], kind="stable")]
    fs = traces[0].fs if traces else DRAWN_HZ
    sample_mm = grid.scale.mm_per_s / fs
    count = int((mm[-1, 0] - mm[0, 0]) / sample_mm) + 1 if len(mm) else 0
    if not 2 <= count <= MAX_MERGED_S * fs:
        return ()
    x_mm = mm[0, 0] + np.arange(count) * sample_mm
    y_mm = np.interp(x_mm, mm[:, 0], mm[:, 1])
    starts = [(start_mm, trace.t0_s) for trace in traces if np.isfinite(start_mm := _start_mm(trace, grid))]
    t0_s = 0.0
    if starts:
        start_mm, start_s = min(starts, key=lambda start: abs(start[0] - x_mm[0]))
        t0_s = float(start_s + (x_mm[0] - start_mm) / grid.scale.mm_per_s)
    mv = (np.median(y_mm) - y_mm) / grid.scale.mm_per_mV
    xy = grid.to_page(np.column_stack([x_mm, y_mm]))
    return (LeadTrace(change.lead, t0_s, fs, mv, xy, np.ones(count, np.float32)),)


def _start_mm(trace: LeadTrace, grid: GridFit) -> float:
    """Where on the paper a trace begins; NaN if none of its samples has a place."""
    placed = np.flatnonzero(np.isfinite(trace.xy).all(axis=1))
    if not placed.size:
        return math.nan
    sample_mm = grid.scale.mm_per_s / trace.fs
    some = placed[:: max(1, placed.size // 50)]  # to_mm solves for every point; the median of some will do
    return float(np.nanmedian(grid.to_mm(trace.xy[some])[:, 0] - some * sample_mm))


def _redraw(trace: LeadTrace, xy: F64, grid: GridFit) -> LeadTrace:
    """Follow a polyline; time and zero level come from how the trace's own samples lie on the paper."""
    read = np.isfinite(trace.xy).all(axis=1)
    mm = np.full(trace.xy.shape, np.nan)
    mm[read] = grid.to_mm(trace.xy[read])
    known = np.isfinite(mm).all(axis=1)
    drawn = grid.to_mm(xy)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if not known.any() or not len(drawn):
        return trace
    sample_mm = grid.scale.mm_per_s / trace.fs
    index = np.arange(len(trace.mv))
    start_mm = np.median(mm[known, 0] - index[known] * sample_mm)
    x_mm = start_mm + index * sample_mm
    level = known & np.isfinite(trace.mv)
    zero_mm = np.median((mm[:, 1] + trace.mv * grid.scale.mm_per_mV)[level if level.any() else known])
    if not np.isfinite(zero_mm):
        zero_mm = np.median(mm[known, 1])
    order = np.argsort(drawn[:, 0], kind="stable")
    touched = (x_mm >= drawn[order[0], 0]) & (x_mm <= drawn[order[-1], 0])
    y_mm = np.interp(x_mm[touched], drawn[order, 0], drawn[order, 1])
    mv, place, confidence = np.array(trace.mv), np.array(trace.xy), np.array(trace.confidence)
    mv[touched] = (zero_mm - y_mm) / grid.scale.mm_per_mV
    place[touched] = grid.to_page(np.column_stack([x_mm[touched], y_mm]))
    confidence[touched] = 1
    return replace(trace, mv=mv, xy=place, confidence=confidence)
