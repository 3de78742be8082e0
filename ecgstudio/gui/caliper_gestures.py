"""Calipers on the page by hand: set, dragged by a foot or as a whole, nudged, marched, deleted. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.caliper import Caliper, Part
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.gui.gestures import XY, Asker, CaliperSet, Done, Drag, Gesture, Pointer, Preview, Scene, as_xy
from ecgstudio.gui.hit_test import Hit, Kind
from ecgstudio.gui.trace_corrections import trace_at
from ecgstudio.gui.trace_frame import frame_of

LEAST_CALIPER_PX: Final = 4.0
FOOT_MM: Final = 9.0  # a time caliper's foot reaches this far above and below its bar
ARM_MM: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class CaliperLines:
    """A caliper on one trace, as lines [2, 2] in page pixels: the two feet, those of the march, the bar."""

    trace: LeadTrace
    first: F64
    second: F64
    bar: F64
    march: tuple[F64, ...] = ()

    def middle_of(self, part: Part) -> XY:
        """Return the place by which a part is known: where a foot crosses the bar, or the bar's middle."""
        line = {Part.FIRST: self.first, Part.SECOND: self.second, Part.WHOLE: self.bar}[part]
        return as_xy(line.mean(axis=0))


def homes(caliper: Caliper, ecg: DigitizedEcg | None) -> tuple[LeadTrace, ...]:
    """Return the traces on which a caliper stands: all prints of its lead that hold one of its feet, or the first."""
    prints = tuple(trace for trace in (ecg.of(caliper.lead) if ecg is not None else ()) if len(trace.mv))
    return tuple(trace for trace in prints if caliper.stands_on(trace)) or prints[:1]


def lines_of(caliper: Caliper, trace: LeadTrace, grid: GridFit) -> CaliperLines | None:
    """Draw a caliper on a trace; None where the trace has no place."""
    frame, scale = frame_of(trace, grid), grid.scale
    if not (math.isfinite(frame.x0_mm) and math.isfinite(frame.y0_mm)):
        return None
    if caliper.kind == "time":
        half = FOOT_MM / scale.mm_per_mV
        mv = np.array([caliper.mv0 - half, caliper.mv0 + half])
        feet = [frame.place(np.full(2, t_s), mv, grid) for t_s in (caliper.t0_s, caliper.t1_s, *caliper.feet_s[2:])]
        bar = frame.place(np.array([caliper.t0_s, caliper.t1_s]), np.full(2, caliper.mv0), grid)
        return CaliperLines(trace, feet[0], feet[1], bar, tuple(feet[2:]))
    arm = ARM_MM / scale.mm_per_s
    t_s = np.array([min(caliper.t0_s, caliper.t1_s) - arm, max(caliper.t0_s, caliper.t1_s) + arm])
    low, high = (frame.place(t_s, np.full(2, mv), grid) for mv in (caliper.mv0, caliper.mv1))
    bar = frame.place(np.full(2, t_s.mean()), np.array([caliper.mv0, caliper.mv1]), grid)
    return CaliperLines(trace, low, high, bar)


def drawn(caliper: Caliper, ecg: DigitizedEcg, grid: GridFit) -> tuple[CaliperLines, ...]:
    """Draw a caliper on every trace on which it stands."""
    lines = (lines_of(caliper, trace, grid) for trace in homes(caliper, ecg))
    return tuple(each for each in lines if each is not None)


def hit_caliper(scene: Scene, xy: XY, *, reach_px: float) -> Hit | None:
    """Return the part of a caliper within reach; feet come before bars."""
    if scene.grid is None or scene.traces is None:
        return None
    found: list[tuple[bool, float, Hit]] = []
    for index, caliper in enumerate(scene.calipers):
        for lines in drawn(caliper, scene.traces, scene.grid):
            for part, line in ((Part.FIRST, lines.first), (Part.SECOND, lines.second), (Part.WHOLE, lines.bar)):
                away = _away(line, xy)
                if away <= reach_px:
                    hit = Hit(Kind.CALIPER, index, lines.middle_of(part), away, part=part)
                    found.append((part is Part.WHOLE, away, hit))
    return min(found, key=lambda each: each[:2])[2] if found else None


def _away(line: F64, xy: XY) -> float:
    """Return the distance of a place from a stretch of line."""
    along = line[1] - line[0]
    square = float(along @ along)
    share = min(1.0, max(0.0, float((np.array(xy) - line[0]) @ along) / square)) if square > 0 else 0.0
    return math.dist(as_xy(line[0] + share * along), xy)


# --- changes without a pointer --------------------------------------------------------------------------------------


def nudged(scene: Scene, hit: Hit, *, by_px: F64) -> Done | None:
    """Move the part of a caliper that is selected by a vector of page pixels."""
    return _moved(scene, hit, start=hit.xy, end=as_xy(hit.xy + by_px), text="Nudge a caliper")


def marched(scene: Scene, hit: Hit, by: int) -> Done | None:
    """March more or fewer times."""
    before = scene.calipers[hit.index]
    after = before.marched(by)
    return None if after == before else _done(scene, hit, after, "March a caliper")


def without(scene: Scene, hit: Hit) -> Done:
    """Take a caliper away."""
    left = tuple(caliper for index, caliper in enumerate(scene.calipers) if index != hit.index)
    return Done(CaliperSet(left), "Delete a caliper")


def _moved(scene: Scene, hit: Hit, *, start: XY, end: XY, text: str) -> Done | None:
    after = moved_caliper(scene, hit, start=start, end=end)
    return None if after is None or after == scene.calipers[hit.index] else _done(scene, hit, after, text)


def moved_caliper(scene: Scene, hit: Hit, *, start: XY, end: XY) -> Caliper | None:
    """Return the caliper whose part was carried from a place on the page to another; None where there is no grid."""
    lines = _lines_under(scene, hit)
    if lines is None or scene.grid is None:
        return None
    frame = frame_of(lines.trace, scene.grid)
    (t0_s, mv0), (t1_s, mv1) = (frame.read(np.array(xy), scene.grid) for xy in (start, end))
    by_s, by_mv = t1_s - t0_s, mv1 - mv0
    if not (math.isfinite(by_s) and math.isfinite(by_mv)):
        return None
    return scene.calipers[hit.index].moved(hit.part, by_s=by_s, by_mv=by_mv)


def _lines_under(scene: Scene, hit: Hit) -> CaliperLines | None:
    """Return the caliper's lines on the trace on which it is held."""
    if scene.grid is None or scene.traces is None:
        return None
    there = drawn(scene.calipers[hit.index], scene.traces, scene.grid)
    return min(there, key=lambda lines: math.dist(lines.middle_of(hit.part), hit.xy), default=None)


def _done(scene: Scene, hit: Hit, after: Caliper, text: str) -> Done:
    calipers = _with(scene, hit.index, after)
    lines = _lines_under(scene, hit)
    select = hit.xy
    if lines is not None and scene.grid is not None:
        now = lines_of(after, lines.trace, scene.grid)
        select = hit.xy if now is None else now.middle_of(hit.part)
    return Done(CaliperSet(calipers), text, select=select, kind=Kind.CALIPER)


def _with(scene: Scene, index: int, caliper: Caliper) -> tuple[Caliper, ...]:
    return (*scene.calipers[:index], caliper, *scene.calipers[index + 1 :])


# --- gestures -------------------------------------------------------------------------------------------------------


def begin_caliper(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take the caliper under the pointer, or set the first foot of a new one on the nearest trace."""
    hit = hit_caliper(scene, pointer.xy, reach_px=scene.reach(LEAST_CALIPER_PX * 3))
    if hit is not None:
        return MoveCaliper(scene, pointer, pointer, hit)
    if scene.grid is None:
        return None
    index = trace_at(scene.traces, pointer.xy, grid=scene.grid)
    return None if index is None else NewCaliper(scene, pointer, pointer, index)


@dataclass(frozen=True, slots=True, eq=False)
class MoveCaliper(Drag):
    """Carry a foot of a caliper, or all of it."""

    hit: Hit

    def preview(self) -> Preview:
        """Show the caliper as it would stand."""
        after = moved_caliper(self.scene, self.hit, start=self.start.xy, end=self.now.xy)
        if after is None:
            return Preview(focus=self.now.xy)
        return Preview(calipers=_with(self.scene, self.hit.index, after), focus=self.now.xy)

    def result(self, ask: Asker) -> Done | None:
        """Move the caliper, unless it was only a click."""
        if self.is_click:
            return None
        return _moved(self.scene, self.hit, start=self.start.xy, end=self.now.xy, text="Move a caliper")


@dataclass(frozen=True, slots=True, eq=False)
class NewCaliper(Drag):
    """Span a caliper: along the paper for time, upright for voltage."""

    index: int

    def caliper(self) -> Caliper | None:
        """Return the caliper as it is now; None while its feet stand together."""
        if self.far_px < LEAST_CALIPER_PX:
            return None
        assert self.scene.traces is not None
        assert self.scene.grid is not None
        trace, grid = self.scene.traces.traces[self.index], self.scene.grid
        frame = frame_of(trace, grid)
        t0_s, mv0 = frame.read(np.array(self.start.xy), grid)
        t1_s, mv1 = frame.read(np.array(self.now.xy), grid)
        if not all(map(math.isfinite, (t0_s, mv0, t1_s, mv1))):
            return None
        level = abs(t1_s - t0_s) * grid.scale.mm_per_s >= abs(mv1 - mv0) * grid.scale.mm_per_mV
        if level:
            return Caliper("time", trace.lead, t0_s, t1_s, mv0, mv0)
        return Caliper("amplitude", trace.lead, t0_s, t0_s, mv0, mv1)

    def preview(self) -> Preview:
        """Show the caliper with what it measures."""
        caliper = self.caliper()
        if caliper is None:
            return Preview(focus=self.now.xy)
        return Preview(calipers=(*self.scene.calipers, caliper), focus=self.now.xy)

    def result(self, ask: Asker) -> Done | None:
        """Set the caliper; its second foot is selected, for the arrow keys."""
        caliper = self.caliper()
        if caliper is None or self.scene.grid is None or self.scene.traces is None:
            return None
        lines = lines_of(caliper, self.scene.traces.traces[self.index], self.scene.grid)
        select = None if lines is None else lines.middle_of(Part.SECOND)
        calipers = CaliperSet((*self.scene.calipers, caliper))
        return Done(calipers, "Set a caliper", select=select, kind=Kind.CALIPER)
