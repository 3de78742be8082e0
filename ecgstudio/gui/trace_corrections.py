"""Single corrections of traces, merged into the edit that is there, and the lines that a hand draws. No Qt."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.corrections import TRACE_REACH_MM, TraceChange, TraceDelete, TraceEdit, TraceRelabel, TraceShift
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.trace_edit import nearest_trace
from ecgstudio.gui.gestures import XY, Scene, as_xy, points
from ecgstudio.gui.hit_test import nearest_sample
from ecgstudio.gui.trace_frame import frame_of

CHOSEN_REACH_MM: Final = 5.0  # rows are 15 mm apart: a line this near to the chosen lead may well be its own
STEADY_MM: Final = 0.5  # a shift along one axis is not disturbed by less than this along the other


def with_change(edit: TraceEdit | None, change: TraceChange) -> TraceEdit:
    """Add a change; a shift or a new name of the same place takes the place of the one before it."""
    changes = edit.changes if edit is not None else ()
    last = changes[-1] if changes else None
    if isinstance(change, TraceShift) and isinstance(last, TraceShift) and last.at_xy == change.at_xy:
        change = TraceShift(change.at_xy, last.shift_s + change.shift_s, last.shift_mv + change.shift_mv)
        return TraceEdit((*changes[:-1], change))
    if isinstance(change, TraceRelabel) and isinstance(last, TraceRelabel) and last.at_xy == change.at_xy:
        return TraceEdit((*changes[:-1], change))
    return TraceEdit((*changes, change))


def drawn_trace(scene: Scene, first: XY) -> tuple[int | None, bool]:
    """Return the trace that a line with this first point is of (None: a new one), and whether the chosen lead decided.

    It is the trace with the sample nearest to the point, as the correction will be when it is applied; but where traces
    cross, it is that of the lead that the user has chosen, if the point lies beside it.
    """
    grid, traces = scene.grid, scene.traces.traces if scene.traces is not None else ()
    assert grid is not None
    if scene.lead:
        index = nearest_trace(traces, first, reach_px=CHOSEN_REACH_MM * grid.px_per_mm, lead=scene.lead)
        if index is not None and traces[index].lead == scene.lead:
            sample = nearest_sample(traces[index], first)
            if 0 < sample < len(traces[index].mv) - 1:  # before its beginning stands another lead
                return index, True
    return trace_at(scene.traces, first, grid=grid), False


def runs_beyond(trace: LeadTrace, line: F64, *, grid: GridFit) -> bool:
    """Tell whether most of a drawn line lies where a trace was not printed: then it is another one beside it."""
    x_mm = grid.to_mm(line)[:, 0]
    t_s = (x_mm - frame_of(trace, grid).x0_mm) / grid.scale.mm_per_s
    return bool(np.mean((t_s < trace.t0_s) | (t_s > trace.t0_s + trace.duration_s)) > 0.5)


def trace_at(ecg: DigitizedEcg | None, xy: XY, *, grid: GridFit) -> int | None:
    """Return the trace with the sample nearest to a place, within the reach of a correction."""
    return nearest_trace(ecg.traces if ecg is not None else (), xy, reach_px=TRACE_REACH_MM * grid.px_per_mm)


def as_function_of_time(line: F64, *, grid: GridFit) -> F64:
    """Drop the points at which a drawn line goes back in time, and let it run forwards."""
    x_mm = grid.to_mm(line)[:, 0]
    line, x_mm = line[np.isfinite(x_mm)], x_mm[np.isfinite(x_mm)]
    if len(line) and x_mm[-1] < x_mm[0]:
        line, x_mm = line[::-1], x_mm[::-1]
    ahead = x_mm > np.concatenate([[-np.inf], np.maximum.accumulate(x_mm)[:-1]])
    return np.ascontiguousarray(line[ahead])


def smooth_through(places: F64, *, step_px: float) -> F64:
    """Return a smooth line through points [N, 2], a point every `step_px`.

    A centripetal Catmull-Rom spline: it passes through every point and makes no loops.
    """
    keep = np.concatenate([[True], np.hypot(*np.diff(places, axis=0).T) > 1e-6])
    places = places[keep]
    if len(places) < 3:
        return np.asarray(places)
    ends = np.concatenate([[2 * places[0] - places[1]], places, [2 * places[-1] - places[-2]]])
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.hypot(*np.diff(ends, axis=0).T)))])
    parts = []
    for i in range(1, len(ends) - 2):
        p0, p1, p2, p3 = ends[i - 1 : i + 3]
        t0, t1, t2, t3 = knots[i - 1 : i + 3]
        count = max(2, math.ceil(math.dist(p1, p2) / step_px))
        t = np.linspace(t1, t2, count, endpoint=False)[:, None]
        a1 = (t1 - t) / (t1 - t0) * p0 + (t - t0) / (t1 - t0) * p1
        a2 = (t2 - t) / (t2 - t1) * p1 + (t - t1) / (t2 - t1) * p2
        a3 = (t3 - t) / (t3 - t2) * p2 + (t - t2) / (t3 - t2) * p3
        b1 = (t2 - t) / (t2 - t0) * a1 + (t - t0) / (t2 - t0) * a2
        b2 = (t3 - t) / (t3 - t1) * a2 + (t - t1) / (t3 - t1) * a3
        parts.append((t2 - t) / (t2 - t1) * b1 + (t - t1) / (t2 - t1) * b2)
    return np.concatenate([*parts, places[-1:]])


def shift_of(grid: GridFit, *, start: XY, end: XY) -> tuple[float, float]:
    """Return the seconds and millivolts of a drag; one that is almost level or upright is taken to be so."""
    from_mm, to_mm = grid.to_mm(points(start, end))
    dx, dy = to_mm - from_mm
    if abs(dy) < STEADY_MM and abs(dx) > abs(dy):
        dy = 0.0
    if abs(dx) < STEADY_MM and abs(dy) > abs(dx):
        dx = 0.0
    return float(dx / grid.scale.mm_per_s), float(-dy / grid.scale.mm_per_mV)


def nudged(scene: Scene, *, index: int, by_px: Floats, at_xy: XY) -> TraceEdit | None:
    """Return the edit after a trace is shifted by a page vector."""
    if scene.grid is None or scene.traces is None:
        return None
    trace = scene.traces.traces[index]
    place = as_xy(trace.xy[nearest_sample(trace, at_xy)])
    mm = scene.grid.to_mm(points(place, (place[0] + float(by_px[0]), place[1] + float(by_px[1]))))
    dx, dy = mm[1] - mm[0]
    scale = scene.grid.scale
    return with_change(scene.trace_edit, TraceShift(place, float(dx / scale.mm_per_s), float(-dy / scale.mm_per_mV)))


def deleted(scene: Scene, *, index: int) -> TraceEdit | None:
    """Return the edit after a trace is gone."""
    if scene.traces is None:
        return None
    return with_change(scene.trace_edit, TraceDelete(place_of(scene.traces.traces[index])))


def place_of(trace: LeadTrace) -> XY:
    """Return a place on the page that means this trace: that of its middle sample."""
    placed = np.flatnonzero(np.isfinite(trace.xy).all(axis=1))
    return as_xy(trace.xy[placed[len(placed) // 2]])
