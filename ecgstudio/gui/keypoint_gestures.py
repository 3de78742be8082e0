"""Corrections of stage 0 by hand: how the sheet lies, and where the lead names and markers are printed. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.corrections import KeypointEdit, KeypointMove
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints, check_corners
from ecgstudio.core.leads import KEYPOINT_NAMES
from ecgstudio.gui.gestures import (
    GRAB_PX,
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
    usual_px_per_mm,
)
from ecgstudio.gui.hit_test import hit_keypoint

COARSE_TURN = math.radians(5)
LEAST_SHEET_MM: Final = 40.0
INSET: Final = 0.03


# --- single corrections, merged into the edit that is there ---------------------------------------------------------


def move_keypoint(value: Keypoints, edit: KeypointEdit | None, *, index: int, to_xy: XY) -> KeypointEdit:
    """Put a keypoint elsewhere."""
    return _changed(value, edit, index, name=value.names[index], to_xy=to_xy)


def rename_keypoint(value: Keypoints, edit: KeypointEdit | None, *, index: int, name: str) -> KeypointEdit:
    """Give a keypoint another name."""
    return _changed(value, edit, index, name=name, to_xy=as_xy(value.xy[index]))


def delete_keypoint(value: Keypoints, edit: KeypointEdit | None, *, index: int) -> KeypointEdit:
    """Take a keypoint away; one that a human added leaves no trace in the edit."""
    return _changed(value, edit, index, name=value.names[index], to_xy=None)


def add_keypoint(edit: KeypointEdit | None, *, name: str, xy: XY) -> KeypointEdit:
    """Add a keypoint that the machine did not see."""
    edit = edit or KeypointEdit()
    return replace(edit, moves=(*edit.moves, KeypointMove(name, None, xy)))


def _changed(value: Keypoints, edit: KeypointEdit | None, index: int, *, name: str, to_xy: XY | None) -> KeypointEdit:
    """Change a keypoint; a move that put it where it is now is replaced, so that the edit stays as short as can be."""
    edit = edit or KeypointEdit()
    now = as_xy(value.xy[index])
    for at, move in reversed(list(enumerate(edit.moves))):
        if move.to_xy is not None and math.dist(move.to_xy, now) < 1e-6 and move.name == value.names[index]:
            gone = move.from_xy is None and to_xy is None
            changed = () if gone else (KeypointMove(name, move.from_xy, to_xy),)
            return replace(edit, moves=(*edit.moves[:at], *changed, *edit.moves[at + 1 :]))
    return replace(edit, moves=(*edit.moves, KeypointMove(name, now, to_xy)))


# --- how the sheet lies ---------------------------------------------------------------------------------------------


def set_angle(
    value: Keypoints | None, edit: KeypointEdit | None, *, angle_rad: float, mirrored: bool, size: tuple[int, int]
) -> KeypointEdit:
    """Say where the paper's x axis points in the page; the quarter turns follow from it.

    Without an automatic answer the scale is guessed from the page's `size`, so that the chain can go on.
    """
    base = math.pi if mirrored else 0.0
    turns = round((base - angle_rad) / (math.pi / 2)) % 4
    edit = replace(edit or KeypointEdit(), orientation=turns + 4 * mirrored, angle_rad=wrapped(angle_rad))
    if edit.corners is not None:
        ring = _turned_ring(np.array(edit.corners), angle_rad=angle_rad, mirrored=mirrored)
        edit = replace(edit, corners=_as_corners(ring))
    if value is None and edit.px_per_mm is None:
        edit = replace(edit, px_per_mm=usual_px_per_mm(size))
    return edit


def turned(value: Keypoints | None, edit: KeypointEdit | None, *, by_rad: float, size: tuple[int, int]) -> KeypointEdit:
    """Turn the picture clockwise on the screen by an angle."""
    angle, mirrored = pose(value)
    return set_angle(value, edit, angle_rad=angle + (by_rad if mirrored else -by_rad), mirrored=mirrored, size=size)


def flipped(value: Keypoints | None, edit: KeypointEdit | None, *, size: tuple[int, int]) -> KeypointEdit:
    """Mirror the picture on the screen, left for right."""
    angle, mirrored = pose(value)
    return set_angle(value, edit, angle_rad=angle + math.pi, mirrored=not mirrored, size=size)


def set_px_per_mm(value: Keypoints | None, edit: KeypointEdit | None, *, px_per_mm: float) -> KeypointEdit:
    """Say how long a millimetre is; without an automatic answer the page is taken to lie upright."""
    edit = replace(edit or KeypointEdit(), px_per_mm=px_per_mm)
    if value is None:
        edit = replace(edit, orientation=edit.orientation or 0, angle_rad=edit.angle_rad or 0.0)
    return edit


def pose(value: Keypoints | None) -> tuple[float, bool]:
    """Return the angle of the paper's x axis and whether the page is mirrored."""
    return (0.0, False) if value is None else (float(value.angle_rad), bool(value.mirrored))


def paper_axes(value: Keypoints | None) -> tuple[F64, F64]:
    """Return where the paper's x and y axes point in the page, as vectors [2] of length 1."""
    angle, mirrored = pose(value)
    across = np.array([math.cos(angle), math.sin(angle)])
    return across, np.array([-across[1], across[0]]) * (-1 if mirrored else 1)


def wrapped(angle_rad: float) -> float:
    """Return the angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi


def with_angle(value: Keypoints | None, edit: KeypointEdit, *, size: tuple[int, int]) -> Keypoints:
    """Return the keypoints as they would lie, for a preview."""
    orientation = edit.orientation or 0
    angle = edit.angle_rad or 0.0
    if value is None:
        none = np.empty((0, 2))
        scale = edit.px_per_mm or usual_px_per_mm(size)
        return Keypoints((), none, none[:, 0], orientation, 1.0, scale, angle, orientation >= 4)
    return replace(value, orientation=orientation, angle_rad=angle, mirrored=orientation >= 4)


def page_corners(size: tuple[int, int], value: Keypoints | None) -> F64:
    """Return the corners [4, 2] of a sheet as large as the page that lies as the keypoints say.

    In the order of the upright sheet: top left, top right, bottom right, bottom left.
    """
    across, down = paper_axes(value)
    half = np.array([size[0], size[1]]) / 2
    if abs(across[0]) < abs(across[1]):
        half = half[::-1]
    middle = (np.array(size) - 1) / 2
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([middle + x * half[0] * across + y * half[1] * down for x, y in signs])


def sheet_corners(scene: Scene) -> F64:
    """Return the corners [4, 2] that a hand can take, in the order of the upright sheet.

    Those that a human placed; or those of the largest flat rectangle that the grid says is in the picture; or the
    picture's own.
    """
    if scene.keypoints is not None and scene.keypoints.corners is not None:
        return scene.keypoints.corners
    found = None if scene.grid is None else _flat_rectangle(scene.grid, scene.size)
    return page_corners(scene.size, scene.keypoints) if found is None else found


@lru_cache(maxsize=4)  # asked for at every movement of the pointer
def _flat_rectangle(grid: GridFit, size: tuple[int, int]) -> F64 | None:
    x, y = size[0] - 0.5, size[1] - 0.5
    mm = grid.to_mm(np.array([[-0.5, -0.5], [x, -0.5], [x, y], [-0.5, y]]))
    if not np.isfinite(mm).all():
        return None
    _, (left, top), (right, bottom), _ = np.sort(mm, axis=0)  # the two inner ones of four along each axis
    if min(right - left, bottom - top) < LEAST_SHEET_MM:
        return None
    inset_mm = INSET * min(right - left, bottom - top)  # a handle at the picture's very edge is hard to take
    left, top, right, bottom = left + inset_mm, top + inset_mm, right - inset_mm, bottom - inset_mm
    try:
        return check_corners(grid.to_page(np.array([[left, top], [right, top], [right, bottom], [left, bottom]])))
    except ValueError:
        return None


def _turned_ring(corners: F64, *, angle_rad: float, mirrored: bool) -> F64:
    """Begin the ring of corners at another one, so that they lie as the angle says to the nearest quarter."""
    (across, down) = corners[1] - corners[0], corners[3] - corners[0]
    if (across[0] * down[1] < across[1] * down[0]) != mirrored:
        corners = corners[[1, 0, 3, 2]]
    rings = [np.roll(corners, turn, axis=0) for turn in range(4)]
    return min(rings, key=lambda ring: abs(wrapped(angle_of_corners(ring, mirrored=mirrored) - angle_rad)))


def _as_corners(ring: F64) -> tuple[XY, XY, XY, XY]:
    first, second, third, fourth = map(as_xy, ring)
    return first, second, third, fourth


def angle_of_corners(corners: F64, *, mirrored: bool) -> float:
    """Return the direction of the paper's x axis from all four sides of the sheet."""
    top_left, top_right, bottom_right, bottom_left = corners
    across = (top_right - top_left) + (bottom_right - bottom_left)
    down = (bottom_left - top_left) + (bottom_right - top_right)
    across = across + np.array([down[1], -down[0]]) * (-1 if mirrored else 1)
    return math.atan2(across[1], across[0])


# --- gestures -------------------------------------------------------------------------------------------------------


def begin_keypoint(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take the keypoint under the pointer, or begin to add one."""
    hit = hit_keypoint(scene.keypoints, pointer.xy, reach_px=scene.reach(GRAB_PX))
    if hit is None:
        return AddKeypoint(scene, pointer.xy)
    return DragKeypoint(scene, pointer, pointer, hit.index)


@dataclass(frozen=True, slots=True, eq=False)
class DragKeypoint(Drag):
    """Carry a keypoint to another place."""

    index: int

    @property
    def _to_xy(self) -> XY:
        assert self.scene.keypoints is not None
        return self.carries(as_xy(self.scene.keypoints.xy[self.index]))

    def preview(self) -> Preview:
        """Show the name in its new place."""
        assert self.scene.keypoints is not None
        xy = self.scene.keypoints.xy.copy()
        xy[self.index] = self._to_xy
        return Preview(keypoints=replace(self.scene.keypoints, xy=xy), focus=self._to_xy)

    def result(self, ask: Asker) -> Done | None:
        """Move the keypoint, unless it was only a click."""
        value = self.scene.keypoints
        if value is None or self.is_click:
            return None
        edit = move_keypoint(value, self.scene.keypoint_edit, index=self.index, to_xy=self._to_xy)
        return Done(edit, "Move {0}", value.names[self.index], select=self._to_xy)


@dataclass(frozen=True, slots=True, eq=False)
class AddKeypoint(Gesture):
    """Add a lead name or marker where the user clicks."""

    at_xy: XY

    def moved(self, pointer: Pointer) -> AddKeypoint:
        """Follow the pointer."""
        return replace(self, at_xy=pointer.xy)

    def preview(self) -> Preview:
        """Show where it will be."""
        return Preview(marks=(Mark("ring", points(self.at_xy)),), focus=self.at_xy)

    def result(self, ask: Asker) -> Done | None:
        """Ask for the name; leads that are missing come first."""
        there = self.scene.keypoints.names if self.scene.keypoints is not None else ()
        names = missing_first(KEYPOINT_NAMES, there)
        name = ask.name("Which name is printed here?", names[0], names)
        if name is None:
            return None
        return Done(
            add_keypoint(self.scene.keypoint_edit, name=name, xy=self.at_xy), "Add {0}", name, select=self.at_xy
        )


def begin_rotate(scene: Scene, pointer: Pointer) -> Gesture:
    """Take the sheet to turn it about the middle of the view."""
    return DragRotate(scene, pointer, pointer)


@dataclass(frozen=True, slots=True, eq=False)
class DragRotate(Drag):
    """Turn the sheet by dragging it round the middle of the view; Shift turns by steps of 5 degrees."""

    @property
    def by_rad(self) -> float:
        """How far the picture was turned clockwise."""
        middle = (self.scene.camera.size[0] / 2, self.scene.camera.size[1] / 2)
        bearing = [
            math.atan2(pointer.screen[1] - middle[1], pointer.screen[0] - middle[0])
            for pointer in (self.start, self.now)
        ]
        by = wrapped(bearing[1] - bearing[0])
        return round(by / COARSE_TURN) * COARSE_TURN if self.now.coarse else by

    def _edit(self) -> KeypointEdit:
        return turned(self.scene.keypoints, self.scene.keypoint_edit, by_rad=self.by_rad, size=self.scene.size)

    def preview(self) -> Preview:
        """Turn the sheet, over level lines."""
        return Preview(keypoints=with_angle(self.scene.keypoints, self._edit(), size=self.scene.size))

    def result(self, ask: Asker) -> Done | None:
        """Set the new angle."""
        if abs(self.by_rad) < 1e-5:
            return None
        return Done(self._edit(), "Turn the page by {0}°", f"{math.degrees(self.by_rad):+.1f}")


def begin_corners(scene: Scene, pointer: Pointer) -> Gesture | None:
    """Take the corner of the sheet under the pointer."""
    corners = sheet_corners(scene)
    away = np.hypot(*(corners - pointer.xy).T)
    index = int(np.argmin(away))
    return DragCorner(scene, corners, index) if away[index] <= scene.reach(2 * GRAB_PX) else None


@dataclass(frozen=True, slots=True, eq=False)
class DragCorner(Gesture):
    """Carry a corner of the sheet to where it is printed: direction and perspective follow from all four.

    A corner stops where the sheet would fold over.
    """

    corners: F64 = field(repr=False)
    index: int
    changed: bool = False

    def moved(self, pointer: Pointer) -> DragCorner:
        """Follow the pointer."""
        return self.carried(pointer.xy)

    def carried(self, to_xy: XY) -> DragCorner:
        """Put the corner at a place, if that can be one of its places."""
        corners = self.corners.copy()
        corners[self.index] = to_xy
        try:
            return replace(self, corners=check_corners(corners), changed=True)
        except ValueError:
            return self

    @property
    def at_xy(self) -> XY:
        """Where the corner is now."""
        return as_xy(self.corners[self.index])

    def preview(self) -> Preview:
        """Show the sheet's outline, and lines that should run along the printed ones."""
        return Preview(corners=self.corners, focus=self.at_xy)

    def result(self, ask: Asker) -> Done | None:
        """Set the sheet's corners, and its angle from them."""
        return self.finished("Drag a page corner")

    def finished(self, text: str) -> Done | None:
        """Return the correction; None if no corner was moved."""
        if not self.changed:
            return None
        scene, mirrored = self.scene, pose(self.scene.keypoints)[1]
        angle = angle_of_corners(self.corners, mirrored=mirrored)
        edit = set_angle(scene.keypoints, scene.keypoint_edit, angle_rad=angle, mirrored=mirrored, size=scene.size)
        edit = replace(edit, corners=_as_corners(self.corners))
        return Done(edit, text, select=self.at_xy)
