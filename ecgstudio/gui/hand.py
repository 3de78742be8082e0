"""The hand on the page: which tool it holds, what it hovers over, has taken or selected. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgstudio.gui import caliper_gestures, grid_gestures, keypoint_gestures, trace_gestures
from ecgstudio.gui.gestures import (
    GRAB_PX,
    LINE_GRAB_PX,
    NO_PREVIEW,
    XY,
    Asker,
    Done,
    Gesture,
    Pointer,
    Preview,
    Scene,
    as_xy,
)
from ecgstudio.gui.hit_test import Hit, Kind, hit_keypoint, hit_line, hit_node, hit_point, hit_trace
from ecgstudio.gui.tools import Tool
from ecgstudio.gui.trace_corrections import deleted, nudged

Begin = Callable[[Scene, Pointer], Gesture | None]

BEGIN: Final[Mapping[Tool, Begin]] = {
    Tool.KEYPOINT: keypoint_gestures.begin_keypoint,
    Tool.ROTATE: keypoint_gestures.begin_rotate,
    Tool.CORNERS: keypoint_gestures.begin_corners,
    Tool.NODE: grid_gestures.begin_node,
    Tool.LINE: grid_gestures.begin_line,
    Tool.SCALE: grid_gestures.begin_scale,
    Tool.LATTICE: grid_gestures.begin_lattice,
    Tool.ERASE: trace_gestures.begin_erase,
    Tool.DRAW: trace_gestures.begin_draw,
    Tool.SPLINE: trace_gestures.begin_spline,
    Tool.SHIFT: trace_gestures.begin_shift,
    Tool.RELABEL: trace_gestures.begin_relabel,
    Tool.SPLIT: trace_gestures.begin_split,
    Tool.MERGE: trace_gestures.begin_merge,
    Tool.CALIPER: caliper_gestures.begin_caliper,
}
"""How each tool takes hold; PAN takes calipers only."""

_TRACE_TOOLS: Final = (Tool.ERASE, Tool.SHIFT, Tool.RELABEL, Tool.SPLIT, Tool.MERGE)


@dataclass(frozen=True, slots=True)
class Selected:
    """What the arrow keys move and Del deletes, known by its place: indices change with every correction."""

    kind: Kind
    xy: XY


def look(tool: Tool, scene: Scene, xy: XY) -> Hit | None:
    """Return what the tool would take at a place; the pan tool can select names and traces."""
    match tool:
        case Tool.KEYPOINT:
            return hit_keypoint(scene.keypoints, xy, reach_px=scene.reach(GRAB_PX))
        case Tool.CORNERS:
            corners = keypoint_gestures.sheet_corners(scene)
            return hit_point(Kind.CORNER, corners, xy, reach_px=scene.reach(2 * GRAB_PX))
        case Tool.NODE:
            return hit_node(scene.grid, xy, reach_px=scene.reach(GRAB_PX))
        case Tool.LINE:
            return hit_line(scene.grid, xy, reach_px=scene.reach(LINE_GRAB_PX))
        case Tool.CALIPER:
            return caliper_gestures.hit_caliper(scene, xy, reach_px=scene.reach(GRAB_PX))
        case Tool.PAN:
            caliper = caliper_gestures.hit_caliper(scene, xy, reach_px=scene.reach(LINE_GRAB_PX))
            if caliper is not None:
                return caliper
            hit = hit_trace(scene.traces, xy, reach_px=scene.reach(LINE_GRAB_PX))
            return hit or hit_keypoint(scene.keypoints, xy, reach_px=scene.reach(GRAB_PX))
        case _ if tool in _TRACE_TOOLS:
            return hit_trace(scene.traces, xy, reach_px=scene.reach(trace_gestures.TRACE_GRAB_PX))
    return None


class Hand:
    """Turns presses, movements and keys into finished gestures."""

    def __init__(self) -> None:
        self.tool = Tool.PAN
        self.gesture: Gesture | None = None
        self.hovered: Hit | None = None
        self.selected: Selected | None = None

    def take(self, tool: Tool) -> None:
        """Take another tool; what was under way is dropped."""
        self.tool = tool
        self.gesture = self.hovered = self.selected = None

    def let_go(self) -> bool:
        """Drop the gesture, or else the selection; False if there was neither."""
        if self.gesture is not None:
            self.gesture = None
            return True
        had, self.selected = self.selected is not None, None
        return had

    def press(self, scene: Scene, pointer: Pointer) -> None:
        """Begin a gesture or go on with one of many clicks; select what is taken."""
        if self.gesture is not None:
            self.gesture = self.gesture.pressed(pointer)
            return
        self.hovered = look(self.tool, scene, pointer.xy)
        self.selected = Selected(self.hovered.kind, self.hovered.xy) if self.hovered is not None else None
        begin = BEGIN.get(self.tool)
        self.gesture = begin(scene, pointer) if begin is not None else None
        if begin is None and self.hovered is not None and self.hovered.kind is Kind.CALIPER:
            self.gesture = caliper_gestures.begin_caliper(scene, pointer)

    def move(self, scene: Scene, pointer: Pointer) -> None:
        """Go on with the gesture, or say what would be taken."""
        if self.gesture is not None:
            self.gesture = self.gesture.moved(pointer)
        else:
            self.hovered = look(self.tool, scene, pointer.xy)

    def release(self, pointer: Pointer, ask: Asker) -> Done | None:
        """Let go; return what came of it, if the gesture ends here and changes something."""
        if self.gesture is None:
            return None
        self.gesture = self.gesture.moved(pointer).released(pointer)
        return self._finish(ask)

    def confirm(self, ask: Asker) -> Done | None:
        """End a gesture of many clicks."""
        if self.gesture is None:
            return None
        self.gesture = self.gesture.confirmed()
        return self._finish(ask)

    def shorten(self) -> bool:
        """Take back the last point of a gesture of many clicks; False if there is no gesture."""
        if self.gesture is not None:
            self.gesture = self.gesture.shortened()
        return self.gesture is not None

    def preview(self) -> Preview:
        """Show what would come of the gesture."""
        return NO_PREVIEW if self.gesture is None else self.gesture.preview()

    def _finish(self, ask: Asker) -> Done | None:
        gesture = self.gesture
        if gesture is None or not gesture.done:
            return None
        self.gesture = None  # before asking: the question must not find a gesture that goes on
        done = gesture.result(ask)
        if done is not None and done.select is not None:
            kind = self.selected.kind if self.selected is not None else done.kind
            self.selected = Selected(kind, done.select) if kind is not None else None
        return done

    def found(self, scene: Scene) -> Hit | None:
        """Return what is selected as it is now; None if it is gone."""
        return find(scene, self.selected)

    def nudge(self, scene: Scene, by_screen: XY) -> Done | None:
        """Move what is selected by a vector of screen pixels."""
        if self.selected is None or self.gesture is not None:
            return None
        by = np.array(scene.camera.page_vector(by_screen))
        to = as_xy(self.selected.xy + by)
        done = _nudged(scene, self.selected, by, to)
        if done is not None:
            self.selected = Selected(self.selected.kind, done.select or to)
        return done

    def march(self, scene: Scene, by: int) -> Done | None:
        """Let the caliper that is selected march more or fewer times."""
        hit = find(scene, self.selected)
        return caliper_gestures.marched(scene, hit, by) if hit is not None and hit.kind is Kind.CALIPER else None

    def delete(self, scene: Scene) -> Done | None:
        """Delete the keypoint, the trace or the caliper that is selected."""
        hit = find(scene, self.selected)
        if hit is None:
            return None
        done = delete_hit(scene, hit)
        if done is not None:
            self.selected = None
        return done


def find(scene: Scene, selected: Selected | None) -> Hit | None:
    """Return what is selected as it is now; None if it is gone."""
    if selected is None:
        return None
    near = 0.5 * scene.px_per_mm
    match selected.kind:
        case Kind.KEYPOINT:
            return hit_keypoint(scene.keypoints, selected.xy, reach_px=near)
        case Kind.NODE:
            return hit_node(scene.grid, selected.xy, reach_px=near)
        case Kind.ROW | Kind.COLUMN:
            hit = hit_line(scene.grid, selected.xy, reach_px=near)
            return hit if hit is not None and hit.kind is selected.kind else None
        case Kind.TRACE:
            return hit_trace(scene.traces, selected.xy, reach_px=near)
        case Kind.CALIPER:
            return caliper_gestures.hit_caliper(scene, selected.xy, reach_px=near)
        case Kind.CORNER:
            corners = keypoint_gestures.sheet_corners(scene)
            return hit_point(Kind.CORNER, corners, selected.xy, reach_px=near)


def delete_hit(scene: Scene, hit: Hit) -> Done | None:
    """Return what is left without a keypoint, a trace or a caliper; nothing else can be deleted."""
    if hit.kind is Kind.CALIPER:
        return caliper_gestures.without(scene, hit)
    if hit.kind is Kind.KEYPOINT and scene.keypoints is not None:
        edit = keypoint_gestures.delete_keypoint(scene.keypoints, scene.keypoint_edit, index=hit.index)
        return Done(edit, "Delete {0}", scene.keypoints.names[hit.index])
    if hit.kind is Kind.TRACE and scene.traces is not None:
        trace_edit = deleted(scene, index=hit.index)
        return Done(trace_edit, "Delete a trace of {0}", scene.traces.traces[hit.index].lead) if trace_edit else None
    return None


def _nudged(scene: Scene, selected: Selected, by: np.ndarray, to: XY) -> Done | None:
    hit = find(scene, selected)
    if hit is None:
        return None
    match hit.kind:
        case Kind.KEYPOINT:
            assert scene.keypoints is not None
            place = as_xy(scene.keypoints.xy[hit.index] + by)
            edit = keypoint_gestures.move_keypoint(scene.keypoints, scene.keypoint_edit, index=hit.index, to_xy=place)
            return Done(edit, "Nudge {0}", scene.keypoints.names[hit.index], select=place)
        case Kind.NODE | Kind.ROW | Kind.COLUMN:
            assert scene.grid is not None
            nodes = grid_gestures.pull(scene, hit, by_px=by, alone=False)
            if hit.kind is Kind.NODE:
                to = as_xy(nodes.reshape(-1, 2)[hit.index])
            grid_edit = grid_gestures.edit_of(scene.grid, scene.grid_edit, nodes)
            return Done(grid_edit, "Nudge the grid", select=to)
        case Kind.TRACE:
            assert scene.traces is not None
            trace_edit = nudged(scene, index=hit.index, by_px=by, at_xy=selected.xy)
            lead = scene.traces.traces[hit.index].lead
            return Done(trace_edit, "Nudge {0}", lead, select=selected.xy) if trace_edit is not None else None
        case Kind.CORNER:
            drag = keypoint_gestures.DragCorner(scene, keypoint_gestures.sheet_corners(scene), hit.index)
            return drag.carried(to).finished("Nudge a page corner")
        case Kind.CALIPER:
            return caliper_gestures.nudged(scene, hit, by_px=by)
