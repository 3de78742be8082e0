"""What a gesture on the page is: a value that grows with the pointer and ends in one edit. No Qt, no widgets.

The page view hands every gesture the scene as it was when the gesture began; a preview is what the page would look like
if the user let go now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

import numpy as np

from ecgstudio.core.arrays import F64, U8, Floats
from ecgstudio.core.caliper import Caliper
from ecgstudio.core.corrections import GridEdit, KeypointEdit, TraceEdit
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEAD_INDEX
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.hit_test import Kind

XY = tuple[float, float]

GRAB_PX = 12.0  # a handle is taken from this near, in screen pixels
LINE_GRAB_PX = 9.0
USUAL_SHEET_MM = 297.0  # long side of A4, the first guess of a scale where there is no other
NEARLY_STILL_PX = 2.0  # a press that moves less on the screen is a click


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the pointer is, on the page and on the screen. `coarse` (Shift) and `alone` (Alt) change what it does."""

    xy: XY
    screen: XY
    coarse: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that a gesture may look at; values have their edits in them already."""

    size: tuple[int, int]
    camera: Camera = field(default_factory=Camera)
    pixels: U8 | None = None
    keypoints: Keypoints | None = None
    keypoint_edit: KeypointEdit | None = None
    grid: GridFit | None = None
    grid_edit: GridEdit | None = None
    traces: DigitizedEcg | None = None
    trace_edit: TraceEdit | None = None
    calipers: tuple[Caliper, ...] = ()
    lead: str = ""  # the one that the user has chosen
    snap: bool = True

    def reach(self, screen_px: float) -> float:
        """Return how many page pixels a distance on the screen is."""
        return screen_px / self.camera.zoom

    @property
    def px_per_mm(self) -> float:
        """The best known length of a millimetre in page pixels."""
        if self.grid is not None:
            return self.grid.px_per_mm
        if self.keypoints is not None:
            return self.keypoints.px_per_mm
        return usual_px_per_mm(self.size)


def usual_px_per_mm(size: tuple[int, int]) -> float:
    """Guess the scale of a page of this size in pixels about which nothing else is known."""
    return max(size) / USUAL_SHEET_MM


MarkKind = Literal["line", "dashed", "band", "handle", "ring", "tag"]


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Something that a gesture shows: points in page pixels [N, 2], how to draw them, the theme's role, a text."""

    kind: MarkKind
    xy: F64
    role: str = "preview"
    text: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """What the page would look like; None leaves a value as it is. The magnifier stands over `focus`."""

    keypoints: Keypoints | None = None
    grid: GridFit | None = None
    traces: DigitizedEcg | None = None
    corners: F64 | None = None
    calipers: tuple[Caliper, ...] | None = None
    marks: tuple[Mark, ...] = ()
    focus: XY | None = None


NO_PREVIEW = Preview()


@dataclass(frozen=True, slots=True)
class CaliperSet:
    """All calipers that stand on the page; what is measured is no correction."""

    calipers: tuple[Caliper, ...]


Edit = KeypointEdit | GridEdit | TraceEdit | CaliperSet


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A finished gesture: the whole edit of its stage, and a text for the undo list in which {0} is `subject`.

    `select` is the place of what should be selected afterwards; of which `kind` it is, if nothing was selected before.
    """

    edit: Edit
    text: str
    subject: str = ""
    select: XY | None = None
    kind: Kind | None = None


class Asker(Protocol):
    """Asks the user for what a gesture cannot say."""

    def length_mm(self, question: str, suggestion: float) -> float | None:
        """Ask for a length; None if the user lets go."""
        ...

    def name(self, question: str, current: str, names: tuple[str, ...]) -> str | None:
        """Ask which of the names it is; None if the user lets go."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Gesture:
    """A gesture from the first press to the last release; every event gives the next value."""

    scene: Scene
    done: bool = field(default=False, kw_only=True)

    def pressed(self, pointer: Pointer) -> Self:
        """Go on with another press, in gestures of more than one click."""
        return self

    def moved(self, pointer: Pointer) -> Self:
        """Follow the pointer, pressed or not."""
        return self

    def released(self, pointer: Pointer) -> Self:
        """Let go; most gestures end here."""
        return replace(self, done=True)

    def confirmed(self) -> Self:
        """End a gesture of many clicks (Enter or a double click)."""
        return self

    def shortened(self) -> Self:
        """Take back the last point of a gesture of many clicks."""
        return self

    def preview(self) -> Preview:
        """Show what would come of it."""
        return NO_PREVIEW

    def result(self, ask: Asker) -> Done | None:
        """Turn the finished gesture into an edit; None if nothing is changed."""
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Drag(Gesture):
    """A gesture from one place to another, on one press."""

    start: Pointer
    now: Pointer

    def moved(self, pointer: Pointer) -> Self:
        """Follow the pointer."""
        return replace(self, now=pointer)

    def carries(self, xy: XY) -> XY:
        """Return where a thing is that stood at a place when it was taken."""
        return xy[0] + self.now.xy[0] - self.start.xy[0], xy[1] + self.now.xy[1] - self.start.xy[1]

    @property
    def far_px(self) -> float:
        """How far it went on the screen."""
        return math.dist(self.start.screen, self.now.screen)

    @property
    def is_click(self) -> bool:
        """Whether it went nowhere."""
        return self.far_px < NEARLY_STILL_PX


def missing_first(names: tuple[str, ...], there: Iterable[str]) -> tuple[str, ...]:
    """Return names to choose from: the leads that are not there yet, then all others."""
    known = set(there)
    missing = tuple(name for name in names if name in LEAD_INDEX and name not in known)
    return missing + tuple(name for name in names if name not in missing)


def points(*places: XY) -> F64:
    """Return places as an array [N, 2]."""
    return np.array(places, np.float64).reshape(-1, 2)


def as_xy(place: Floats) -> XY:
    """Return an array [2] as a place."""
    return float(place[0]), float(place[1])
