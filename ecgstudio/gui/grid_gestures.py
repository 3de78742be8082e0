"""Corrections of stage 1 by hand: nodes and lines pulled like rubber, the scale by two clicks, a new lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.corrections import NO_GRID_EDIT, GridEdit
from ecgstudio.core.geometry import apply_homography, fit_homography, perspective_reach
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.gui.gestures import (
    GRAB_PX,
    LINE_GRAB_PX,
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
    points,
)
from ecgstudio.gui.hit_test import Hit, Kind, hit_line, hit_node
from ecgstudio.gui.keypoint_gestures import page_corners, paper_axes, set_px_per_mm
from ecgstudio.gui.snapping import snap_to_crossing

ELASTIC_MM: Final = 20.0  # nodes further than this from the one that is dragged stay
LINE_ELASTIC_MM: Final = 12.5
STIFFNESS: Final = 2.0  # the reach grows with the drag, or the lattice would fold
LEAST_SHARE: Final = 0.02
USUAL_MM_PER_S, USUAL_MM_PER_MV = 25.0, 10.0
LEAST_SCALE_PX: Final = 8.0
MOST_NODES: Final = 250  # on a side


# --- single corrections, merged into the edit that is there ---------------------------------------------------------


def merge_moves(edit: GridEdit | None, *, starts: Floats, ends: Floats) -> GridEdit:
    """Add moves of nodes [N, 2] to an edit; a node that was moved before keeps its first start."""
    edit = edit or NO_GRID_EDIT
    moves = edit.moves.copy()
    fresh = []
    for start, end in zip(np.asarray(starts, np.float64), np.asarray(ends, np.float64), strict=True):
        same = np.flatnonzero(np.hypot(*(moves[:, 1] - start).T) < 1e-6)
        if same.size:
            moves[same[-1], 1] = end
        else:
            fresh.append((start, end))
    moved = np.concatenate([moves, np.array(fresh, np.float64).reshape(-1, 2, 2)])
    return replace(edit, moves=moved)


def pulled_nodes(grid: GridFit, *, row: int, column: int, by_px: Floats, alone: bool = False) -> F64:
    """Return the nodes after one is pulled and those around it follow, less the further away they are."""
    rows, columns = np.indices(grid.nodes.shape[:2])
    away_mm = GRID_PITCH_MM * np.hypot(rows - row, columns - column)
    return _pulled(grid, away_mm, by_px, reach_mm=ELASTIC_MM, alone=alone)


def pulled_line(grid: GridFit, *, kind: Kind, index: int, by_px: Floats, alone: bool = False) -> F64:
    """Return the nodes after a whole line is pulled and its neighbours follow."""
    across = np.indices(grid.nodes.shape[:2])[0 if kind is Kind.ROW else 1]
    return _pulled(grid, GRID_PITCH_MM * np.abs(across - index), by_px, reach_mm=LINE_ELASTIC_MM, alone=alone)


def _pulled(grid: GridFit, away_mm: F64, by_px: Floats, *, reach_mm: float, alone: bool) -> F64:
    by = np.asarray(by_px, np.float64)
    reach_mm = max(reach_mm, STIFFNESS * float(np.hypot(*by)) / grid.px_per_mm)
    share = (1 - np.minimum(away_mm / reach_mm, 1) ** 2) ** 2
    share = np.where(share < LEAST_SHARE, 0, share)
    if alone:
        share = (away_mm == 0).astype(np.float64)
    return np.asarray(grid.nodes + share[..., None] * by)


def edit_of(grid: GridFit, edit: GridEdit | None, nodes: F64) -> GridEdit:
    """Return the edit after which the grid has these nodes."""
    changed = (nodes != grid.nodes).any(axis=-1)
    return merge_moves(edit, starts=grid.nodes[changed], ends=nodes[changed])


def scaled_grid(grid: GridFit, edit: GridEdit | None, *, a: XY, b: XY, mm: float) -> GridEdit:
    """Let the two places be `mm` apart: a new lattice over the same paper, whose phase at `a` stays.

    Raises ValueError if the places cannot be told apart.
    """
    at = grid.to_mm(np.array([a, b]))
    now_mm = float(np.hypot(*(at[1] - at[0])))
    if not (now_mm > 0 and mm > 0):
        raise ValueError("the two points must lie apart")
    factor = mm / now_mm
    width, height = grid.size_mm
    anchor = at[0]
    low, high = -anchor * factor, (np.array([width, height]) - anchor) * factor  # new mm from the anchor
    low, high = low + anchor, high + anchor
    first = np.floor(low / GRID_PITCH_MM) * GRID_PITCH_MM
    counts = np.clip(np.ceil((high - first) / GRID_PITCH_MM).astype(int) + 1, 2, MOST_NODES)
    x_mm, y_mm = (first[axis] + GRID_PITCH_MM * np.arange(counts[axis]) for axis in range(2))
    nodes = grid.lattice_to_page((x_mm - anchor[0]) / factor + anchor[0], (y_mm - anchor[1]) / factor + anchor[1])
    return replace(edit or NO_GRID_EDIT, moves=NO_GRID_EDIT.moves, nodes=nodes)


def level_lattice(scene: Scene, edit: GridEdit | None, *, at: XY, px_per_mm: float) -> GridEdit:
    """Lay an even lattice over the whole page, as the keypoints say that it lies; one node at `at`."""
    matrix = np.column_stack(paper_axes(scene.keypoints)) * px_per_mm
    mm = (page_corners(scene.size, scene.keypoints) - at) @ _inverse(matrix).T
    x_mm, y_mm = _cover(mm)
    lattice = np.stack(np.meshgrid(x_mm, y_mm), axis=-1)
    return _with_scale(edit, lattice @ matrix.T + at)


def lattice_of_corners(edit: GridEdit | None, *, corners: F64, size_mm: XY, page_size: tuple[int, int]) -> GridEdit:
    """Lay a lattice through four corners of a printed rectangle: top left, top right, bottom right, bottom left.

    It goes on over the page as far as half the rectangle on every side. Raises ValueError for corners on one line.
    """
    width, height = size_mm
    rectangle = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    to_page = fit_homography(rectangle, corners)
    x_mm, y_mm = _cover(perspective_reach(to_page, size_mm, page_wh=page_size, margin=0.5))
    nodes = apply_homography(to_page, np.stack(np.meshgrid(x_mm, y_mm), axis=-1))
    return _with_scale(edit, nodes)


def _inverse(matrix: F64) -> F64:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _cover(mm: F64) -> tuple[F64, F64]:
    """Return the multiples of 5 mm along x and y that cover the points."""
    low, high = np.floor(mm.min(axis=0) / GRID_PITCH_MM), np.ceil(mm.max(axis=0) / GRID_PITCH_MM)
    high = np.clip(high, low + 1, low + MOST_NODES)
    return (
        np.arange(low[0], high[0] + 1) * GRID_PITCH_MM,
        np.arange(low[1], high[1] + 1) * GRID_PITCH_MM,
    )


def _with_scale(edit: GridEdit | None, nodes: F64) -> GridEdit:
    """Give a new lattice the usual speed and gain where a human has not set them: there is no automatic answer."""
    edit = edit or NO_GRID_EDIT
    return GridEdit(NO_GRID_EDIT.moves, nodes, edit.mm_per_s or USUAL_MM_PER_S, edit.mm_per_mV or USUAL_MM_PER_MV)


# --- gestures -------------------------------------------------------------------------------------------------------


def begin_node(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take the node under the pointer."""
    hit = hit_node(scene.grid, pointer.xy, reach_px=scene.reach(GRAB_PX))
    return None if hit is None else DragGrid(scene, pointer, pointer, hit)


def begin_line(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take the line under the pointer."""
    hit = hit_line(scene.grid, pointer.xy, reach_px=scene.reach(LINE_GRAB_PX))
    return None if hit is None else DragGrid(scene, pointer, pointer, hit)


def pull(scene: Scene, hit: Hit, *, by_px: Floats, alone: bool) -> F64:
    """Return the nodes after a node or a line is pulled; a line goes only at right angles to itself."""
    grid = scene.grid
    assert grid is not None
    if hit.kind is Kind.NODE:
        row, column = divmod(hit.index, grid.nodes.shape[1])
        return pulled_nodes(grid, row=row, column=column, by_px=by_px, alone=alone)
    along = grid.jacobian(grid.to_mm(np.array(hit.xy)))[:, 0 if hit.kind is Kind.ROW else 1]
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    by = normal * float(np.asarray(by_px) @ normal)
    return pulled_line(grid, kind=hit.kind, index=hit.index, by_px=by, alone=alone)


@dataclass(frozen=True, slots=True, eq=False)
class DragGrid(Drag):
    """Pull a node or a line; Alt moves nothing else. A node lets itself be caught by the crossing that is printed."""

    hit: Hit

    @property
    def _to_xy(self) -> XY:
        to = self.carries(self.hit.xy)
        if self.hit.kind is Kind.NODE and self.scene.snap and self.scene.pixels is not None and self.scene.grid:
            return snap_to_crossing(self.scene.pixels, to, grid=self.scene.grid)
        return to

    def _nodes(self) -> F64:
        by = np.array(self._to_xy) - self.hit.xy
        return pull(self.scene, self.hit, by_px=by, alone=self.now.alone)

    def preview(self) -> Preview:
        """Show the grid as it would be."""
        assert self.scene.grid is not None
        marks = (Mark("handle", points(self._to_xy), role="active"),) if self.hit.kind is Kind.NODE else ()
        return Preview(grid=replace(self.scene.grid, nodes=self._nodes()), marks=marks, focus=self._to_xy)

    def result(self, ask: Asker) -> Done | None:
        """Move the nodes."""
        if self.scene.grid is None or self.start.xy == self.now.xy:
            return None
        edit = edit_of(self.scene.grid, self.scene.grid_edit, self._nodes())
        text = "Drag a grid node" if self.hit.kind is Kind.NODE else "Drag a grid line"
        return Done(edit, text, select=self._to_xy)


def begin_scale(scene: Scene, pointer: Pointer) -> Gesture:
    """Begin with the first of two places."""
    return TwoClickScale(scene, pointer.xy, pointer.xy)


@dataclass(frozen=True, slots=True, eq=False)
class TwoClickScale(Gesture):
    """Two places and the millimetres between them: by two clicks, or by one drag from place to place."""

    first: XY
    second: XY
    clicks: int = 1

    def pressed(self, pointer: Pointer) -> TwoClickScale:
        """Set the second place."""
        return replace(self, second=pointer.xy, clicks=2)

    def moved(self, pointer: Pointer) -> TwoClickScale:
        """Follow the pointer with the second place."""
        return replace(self, second=pointer.xy)

    def released(self, pointer: Pointer) -> TwoClickScale:
        """End after the second click, or after a drag."""
        far = math.dist(self.first, pointer.xy) > self.scene.reach(LEAST_SCALE_PX)
        return replace(self, second=pointer.xy, done=self.clicks == 2 or far)

    def preview(self) -> Preview:
        """Show the two places and how long the grid says it is."""
        ends = points(self.first, self.second)
        middle = points(as_xy(ends.mean(axis=0)))
        label = (Mark("tag", middle, text=f"{self._now_mm():.1f} mm"),) if self.first != self.second else ()
        return Preview(marks=(Mark("line", ends), Mark("handle", ends), *label), focus=self.second)

    def _now_mm(self) -> float:
        if self.scene.grid is not None:
            at = self.scene.grid.to_mm(points(self.first, self.second))
            if np.isfinite(at).all():
                return float(np.hypot(*(at[1] - at[0])))
        return math.dist(self.first, self.second) / self.scene.px_per_mm

    def result(self, ask: Asker) -> Done | None:
        """Ask for the millimetres; correct the grid, or the scale of stage 0 where there is no page scale yet."""
        away_px = math.dist(self.first, self.second)
        if away_px < self.scene.reach(LEAST_SCALE_PX):
            return None
        mm = ask.length_mm("How far apart are the two points?", round(self._now_mm()))
        if mm is None or not mm > 0:
            return None
        if self.scene.grid is not None:
            edit = scaled_grid(self.scene.grid, self.scene.grid_edit, a=self.first, b=self.second, mm=mm)
            return Done(edit, "Set {0} mm between two points", f"{mm:g}")
        if self.scene.keypoints is None:
            edit0 = set_px_per_mm(None, self.scene.keypoint_edit, px_per_mm=away_px / mm)
            return Done(edit0, "Set {0} mm between two points", f"{mm:g}")
        lattice = level_lattice(self.scene, self.scene.grid_edit, at=self.first, px_per_mm=away_px / mm)
        return Done(lattice, "Set {0} mm between two points", f"{mm:g}")


def begin_lattice(scene: Scene, pointer: Pointer) -> Gesture:
    """Begin with the first of four corners."""
    return FourCorners(scene, (), pointer.xy)


@dataclass(frozen=True, slots=True, eq=False)
class FourCorners(Gesture):
    """Four corners of a printed rectangle of the grid, clicked in any order round it, and its size."""

    placed: tuple[XY, ...] = field(repr=False)
    now_xy: XY

    def moved(self, pointer: Pointer) -> FourCorners:
        """Follow the pointer with the next corner."""
        return replace(self, now_xy=pointer.xy)

    def released(self, pointer: Pointer) -> FourCorners:
        """Set a corner; the fourth one ends it. A double click sets one, not two."""
        if self.placed and math.dist(self.placed[-1], pointer.xy) < self.scene.reach(LEAST_SCALE_PX):
            return self
        placed = (*self.placed, pointer.xy)
        return replace(self, placed=placed, now_xy=pointer.xy, done=len(placed) == 4)

    def shortened(self) -> FourCorners:
        """Take back the last corner."""
        return replace(self, placed=self.placed[:-1])

    def preview(self) -> Preview:
        """Show the corners set so far and the next one."""
        ring = points(*self.placed, self.now_xy, *self.placed[:1])
        return Preview(marks=(Mark("line", ring), Mark("handle", ring)), focus=self.now_xy)

    def result(self, ask: Asker) -> Done | None:
        """Ask for width and height and lay the lattice."""
        on_screen = self.scene.camera.to_screen(points(*self.placed))
        middle = on_screen.mean(axis=0)
        bearing = np.arctan2(on_screen[:, 1] - middle[1], on_screen[:, 0] - middle[0])
        corners = points(*self.placed)[np.argsort(bearing)]  # from the top left one on, clockwise on the screen
        sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T) / self.scene.px_per_mm
        width = ask.length_mm("How wide is this rectangle?", _fives(sides[0], sides[2]))
        height = ask.length_mm("How high is it?", _fives(sides[1], sides[3])) if width else None
        if not width or not height:
            return None
        try:
            edit = lattice_of_corners(
                self.scene.grid_edit, corners=corners, size_mm=(width, height), page_size=self.scene.size
            )
        except ValueError:  # three corners on one line: there is no such rectangle
            return None
        return Done(edit, "Lay the grid by its corners")


def _fives(one_mm: float, other_mm: float) -> float:
    return max(GRID_PITCH_MM, GRID_PITCH_MM * round((one_mm + other_mm) / 2 / GRID_PITCH_MM))
