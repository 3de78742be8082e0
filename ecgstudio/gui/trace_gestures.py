"""Corrections of stage 2 by hand: erase, redraw, shift, relabel, split, merge, delete. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.corrections import (
    TraceAdd,
    TraceChange,
    TraceErase,
    TraceMerge,
    TraceRedraw,
    TraceRelabel,
    TraceShift,
    TraceSplit,
)
from ecgstudio.core.leads import LEADS
from ecgstudio.gui.gestures import (
    XY,
    Asker,
    Done,
    Drag,
    Gesture,
    Mark,
    Pointer,
    Preview,
    Scene,
    as_xy,
    missing_first,
    points,
)
from ecgstudio.gui.hit_test import Hit, hit_trace, nearest_sample
from ecgstudio.gui.snapping import snap_to_ink
from ecgstudio.gui.trace_corrections import (
    as_function_of_time,
    drawn_trace,
    runs_beyond,
    shift_of,
    smooth_through,
    with_change,
)
from ecgstudio.gui.trace_frame import frame_of

TRACE_GRAB_PX: Final = 16.0
STROKE_STEP_PX: Final = 1.5
SPLINE_STEP_MM: Final = 0.2


def _trace_under(scene: Scene, pointer: Pointer) -> Hit | None:
    return hit_trace(scene.traces, pointer.xy, reach_px=scene.reach(TRACE_GRAB_PX))


def _lead(scene: Scene, index: int) -> str:
    assert scene.traces is not None
    return scene.traces.traces[index].lead


def begin_erase(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take hold of a trace where its erased span begins."""
    hit = _trace_under(scene, pointer)
    return None if hit is None else EraseSpan(scene, hit, hit.sample)


@dataclass(frozen=True, slots=True, eq=False)
class EraseSpan(Gesture):
    """Wipe along a trace; what lies between press and release becomes not readable."""

    hit: Hit
    last: int

    def moved(self, pointer: Pointer) -> EraseSpan:
        """Follow the pointer along the trace."""
        return replace(self, last=nearest_along(self.scene, self.hit.index, pointer.xy))

    def _span(self) -> F64:
        assert self.scene.traces is not None
        first, last = sorted((self.hit.sample, self.last))
        return np.asarray(self.scene.traces.traces[self.hit.index].xy[first : last + 1])

    def preview(self) -> Preview:
        """Show the span."""
        span = self._span()
        return Preview(marks=(Mark("band", span, role="missing"), Mark("handle", span[[0, -1]])), focus=as_xy(span[-1]))

    def result(self, ask: Asker) -> Done | None:
        """Erase the span."""
        if self.last == self.hit.sample:
            return None
        span = self._span()
        change = TraceErase(as_xy(span[0]), as_xy(span[-1]))
        return Done(
            with_change(self.scene.trace_edit, change), "Erase a span of {0}", _lead(self.scene, self.hit.index)
        )


def nearest_along(scene: Scene, index: int, xy: XY) -> int:
    """Return the sample of a trace that was printed at the pointer's time, wherever the pointer is in height."""
    assert scene.traces is not None
    trace = scene.traces.traces[index]
    if scene.grid is None:
        return nearest_sample(trace, xy)
    time_s, _ = frame_of(trace, scene.grid).read(np.array(xy), scene.grid)
    if not math.isfinite(time_s):
        return nearest_sample(trace, xy)
    return int(np.clip(round((time_s - trace.t0_s) * trace.fs), 0, len(trace.mv) - 1))


def begin_draw(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Put the pen down."""
    return None if scene.grid is None else Draw(scene, (pointer.xy,), points(pointer.xy))


def begin_spline(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Set the first point of a smooth line."""
    return None if scene.grid is None else Spline(scene, (pointer.xy,), pointer.xy)


def _redraw(scene: Scene, line: F64, ask: Asker) -> Done | None:
    grid = scene.grid
    if grid is None or len(line) < 2:
        return None
    line = as_function_of_time(line, grid=grid)
    if len(line) < 2:
        return None
    if scene.snap and scene.pixels is not None:
        line = snap_to_ink(scene.pixels, line, grid=grid)
    index, chosen = _drawn_trace(scene, line)
    if index is not None:
        lead = _lead(scene, index)
        change: TraceChange = TraceRedraw(line, lead if chosen else None)
        return Done(with_change(scene.trace_edit, change), "Redraw {0}", lead)
    names = missing_first(LEADS, (trace.lead for trace in scene.traces.traces) if scene.traces is not None else ())
    name = ask.name("Which lead is this?", names[0], names)
    if name is None:
        return None
    return Done(with_change(scene.trace_edit, TraceAdd(name, line)), "Add a trace of {0}", name)


def _drawn_trace(scene: Scene, line: F64) -> tuple[int | None, bool]:
    """Return the trace that a line is of (None: a new one), and whether the chosen lead decided."""
    index, chosen = drawn_trace(scene, as_xy(line[0]))
    if index is None or chosen or scene.traces is None or scene.grid is None:
        return index, chosen
    beside = runs_beyond(scene.traces.traces[index], line, grid=scene.grid)
    return None if beside else index, False


def _target(scene: Scene, line: F64) -> tuple[Mark, ...]:
    """Name the trace that a drawn line belongs to."""
    index, _ = _drawn_trace(scene, line)
    first = as_xy(line[0])
    return (Mark("tag", points(first), text="new" if index is None else _lead(scene, index)),)


@dataclass(frozen=True, slots=True, eq=False)
class Draw(Gesture):
    """Draw a line freehand from press to release."""

    stroke: tuple[XY, ...]
    line: F64

    def moved(self, pointer: Pointer) -> Draw:
        """Add the pointer's place, not more often than the eye can see."""
        if math.dist(pointer.xy, self.stroke[-1]) < self.scene.reach(STROKE_STEP_PX):
            return self
        return replace(self, stroke=(*self.stroke, pointer.xy), line=np.vstack([self.line, pointer.xy]))

    def preview(self) -> Preview:
        """Show the line and whose it is."""
        return Preview(marks=(Mark("line", self.line), *_target(self.scene, self.line)), focus=self.stroke[-1])

    def result(self, ask: Asker) -> Done | None:
        """Let the trace follow the line, or make a new trace of it."""
        return _redraw(self.scene, self.line, ask)


@dataclass(frozen=True, slots=True, eq=False)
class Spline(Gesture):
    """Lay a smooth line through clicked points; Enter or a double click ends it, Backspace takes a point back."""

    placed: tuple[XY, ...]
    now_xy: XY

    def pressed(self, pointer: Pointer) -> Spline:
        """Set another point."""
        return replace(self, placed=(*self.placed, pointer.xy), now_xy=pointer.xy)

    def moved(self, pointer: Pointer) -> Spline:
        """Follow the pointer with the next point."""
        return replace(self, now_xy=pointer.xy)

    def released(self, pointer: Pointer) -> Spline:
        """Go on: only `confirmed` ends it."""
        return self

    def confirmed(self) -> Spline:
        """End it, if it is a line."""
        return replace(self, done=len(self.placed) >= 2)

    def shortened(self) -> Spline:
        """Take back the last point."""
        return replace(self, placed=self.placed[:-1] or self.placed[:1])

    def _line(self, places: tuple[XY, ...]) -> F64:
        return smooth_through(points(*places), step_px=SPLINE_STEP_MM * self.scene.px_per_mm)

    def preview(self) -> Preview:
        """Show the line as far as it goes."""
        line = self._line((*self.placed, self.now_xy))
        marks = (Mark("line", line), Mark("handle", points(*self.placed)), *_target(self.scene, line))
        return Preview(marks=marks, focus=self.now_xy)

    def result(self, ask: Asker) -> Done | None:
        """Let the trace follow the line, or make a new trace of it."""
        return _redraw(self.scene, self._line(self.placed), ask)


def begin_shift(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take hold of a trace."""
    hit = _trace_under(scene, pointer)
    return None if hit is None or scene.grid is None else ShiftTrace(scene, pointer, pointer, hit)


@dataclass(frozen=True, slots=True, eq=False)
class ShiftTrace(Drag):
    """Shift a trace in time and voltage; it is drawn shifted while it is held, its ink stays where it is."""

    hit: Hit

    def _shift(self) -> tuple[float, float]:
        assert self.scene.traces is not None
        assert self.scene.grid is not None
        return shift_of(self.scene.grid, start=self.start.xy, end=self.now.xy)

    def preview(self) -> Preview:
        """Show the trace where it would be, and by how much."""
        assert self.scene.traces is not None
        assert self.scene.grid is not None
        shift_s, shift_mv = self._shift()
        scale = self.scene.grid.scale
        mm = self.scene.grid.to_mm(points(self.start.xy))[0]
        to = self.scene.grid.to_page(mm + np.array([shift_s * scale.mm_per_s, -shift_mv * scale.mm_per_mV]))
        trace = self.scene.traces.traces[self.hit.index]
        moved = trace.xy + (to - self.start.xy)
        text = f"{1000 * shift_s:+.0f} ms, {shift_mv:+.2f} mV"
        return Preview(marks=(Mark("line", moved), Mark("tag", points(self.now.xy), text=text)), focus=self.now.xy)

    def result(self, ask: Asker) -> Done | None:
        """Shift the trace."""
        if self.is_click:
            return None
        shift_s, shift_mv = self._shift()
        change = TraceShift(self.hit.xy, shift_s, shift_mv)
        text = "Shift {0}"
        return Done(
            with_change(self.scene.trace_edit, change), text, _lead(self.scene, self.hit.index), select=self.hit.xy
        )


def begin_relabel(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Click a trace to name it."""
    hit = _trace_under(scene, pointer)
    return None if hit is None else ClickTrace(scene, hit, "relabel")


def begin_split(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Click a trace where it falls in two."""
    hit = _trace_under(scene, pointer)
    return None if hit is None else ClickTrace(scene, hit, "split")


@dataclass(frozen=True, slots=True, eq=False)
class ClickTrace(Gesture):
    """Name or split the trace that was clicked."""

    hit: Hit
    what: str

    def preview(self) -> Preview:
        """Show which trace and where."""
        assert self.scene.traces is not None
        trace = self.scene.traces.traces[self.hit.index]
        return Preview(marks=(Mark("ring", trace.xy[[self.hit.sample]]),), focus=self.hit.xy)

    def result(self, ask: Asker) -> Done | None:
        """Ask for the name, or split."""
        assert self.scene.traces is not None
        trace = self.scene.traces.traces[self.hit.index]
        at = as_xy(trace.xy[self.hit.sample])
        if self.what == "split":
            if not 0 < self.hit.sample < len(trace.mv) - 1:
                return None
            return Done(with_change(self.scene.trace_edit, TraceSplit(at)), "Split {0}", trace.lead, select=at)
        lead = ask.name("Which lead is this?", trace.lead, LEADS)
        if lead is None or lead == trace.lead:
            return None
        return Done(with_change(self.scene.trace_edit, TraceRelabel(at, lead)), "Name a trace {0}", lead, select=at)


def begin_merge(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Click the trace whose name counts."""
    hit = _trace_under(scene, pointer)
    return None if hit is None else MergeTraces(scene, hit, pointer)


@dataclass(frozen=True, slots=True, eq=False)
class MergeTraces(Gesture):
    """Join two traces: click the first, whose name counts, then the other; or drag from one to the other."""

    hit: Hit
    now: Pointer
    clicks: int = 1

    def pressed(self, pointer: Pointer) -> MergeTraces:
        """Click the other trace."""
        return replace(self, now=pointer, clicks=2)

    def moved(self, pointer: Pointer) -> MergeTraces:
        """Follow the pointer."""
        return replace(self, now=pointer)

    def released(self, pointer: Pointer) -> MergeTraces:
        """End after the second click, or on another trace."""
        over = self._other()
        return replace(self, now=pointer, done=self.clicks == 2 or over is not None)

    def _other(self) -> Hit | None:
        hit = _trace_under(self.scene, self.now)
        return hit if hit is not None and hit.index != self.hit.index else None

    def preview(self) -> Preview:
        """Show what would be joined."""
        other = self._other()
        end = other.xy if other is not None else self.now.xy
        marks = (Mark("dashed", points(self.hit.xy, end)), Mark("ring", points(self.hit.xy)))
        return Preview(marks=(*marks, Mark("ring", points(end))) if other is not None else marks)

    def result(self, ask: Asker) -> Done | None:
        """Join them."""
        other = self._other()
        if other is None or self.scene.traces is None:
            return None
        first, second = (self.scene.traces.traces[hit.index] for hit in (self.hit, other))
        change = TraceMerge(as_xy(first.xy[self.hit.sample]), as_xy(second.xy[other.sample]))
        return Done(
            with_change(self.scene.trace_edit, change), "Merge two traces of {0}", first.lead, select=self.hit.xy
        )
