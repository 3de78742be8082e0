"""Corrections: what a human changed on top of the machine's answers, and how an answer changes with it.

Edits are sparse moves in page pixels and are matched to the machine's answer by place, never by index: after
a rerun with other weights they apply again.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from ecgstudio.core.arrays import F64, check_finite, frozen_array
from ecgstudio.core.clinical import UNKNOWN_PATIENT, Clinical
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.core.fiducials import FiducialEdit, FiducialPlace
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import AUTO_LAYOUT, KEYPOINT_NAMES, LAYOUTS
from ecgstudio.core.trace_edit import (
    TRACE_REACH_MM,
    XY,
    TraceAdd,
    TraceChange,
    TraceDelete,
    TraceEdit,
    TraceErase,
    TraceMerge,
    TraceRedraw,
    TraceRelabel,
    TraceShift,
    TraceSplit,
    apply_traces,
)

__all__ = [
    "KEYPOINT_REACH_MM",
    "NO_CORRECTIONS",
    "NO_GRID_EDIT",
    "TRACE_REACH_MM",
    "XY",
    "Corrections",
    "DiagnosisEdit",
    "FiducialEdit",
    "FiducialPlace",
    "FindingEdit",
    "GridEdit",
    "KeypointEdit",
    "KeypointMove",
    "Review",
    "TraceAdd",
    "TraceChange",
    "TraceDelete",
    "TraceEdit",
    "TraceErase",
    "TraceMerge",
    "TraceRedraw",
    "TraceRelabel",
    "TraceShift",
    "TraceSplit",
    "apply_diagnosis",
    "apply_grid",
    "apply_keypoints",
    "apply_traces",
]

KEYPOINT_REACH_MM = 8.0  # a lead's name is 3 mm tall: a keypoint further away is another one


@dataclass(frozen=True, slots=True)
class KeypointMove:
    """Move or rename the keypoint near `from_xy`; add one if `from_xy` is None, delete if `to_xy` is None."""

    name: str
    from_xy: XY | None
    to_xy: XY | None

    def __post_init__(self) -> None:
        if self.name not in KEYPOINT_NAMES:
            raise ValueError(f"{self.name!r} is neither a lead nor a marker")
        if self.from_xy is None and self.to_xy is None:
            raise ValueError("a move needs a place")


@dataclass(frozen=True, slots=True)
class KeypointEdit:
    """Corrections of stage 0. None keeps the machine's answer; where it has none, all but the corners are needed.

    `corners` are those of a flat rectangle of the paper (the sheet, or the grid's frame): stage 1 looks for the grid in
    the perspective that they tell.
    """

    moves: tuple[KeypointMove, ...] = ()
    orientation: int | None = None
    px_per_mm: float | None = None
    angle_rad: float | None = None
    corners: tuple[XY, XY, XY, XY] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GridEdit:
    """Corrections of stage 1.

    `moves` [M, 2, 2]: the node nearest to moves[i, 0] goes to moves[i, 1] (page px). `nodes` replaces the
    whole lattice before the moves and is needed where the machine found none. Speed and gain as the human set
    them.
    """

    moves: F64
    nodes: F64 | None = None
    mm_per_s: float | None = None
    mm_per_mV: float | None = None

    def __post_init__(self) -> None:
        moves = frozen_array(self.moves, dtype=np.float64, shape=(None, 2, 2), name="moves")
        check_finite(moves, "moves")
        object.__setattr__(self, "moves", moves)
        if self.nodes is not None:
            nodes = frozen_array(self.nodes, dtype=np.float64, shape=(None, None, 2), name="nodes")
            check_finite(nodes, "nodes")
            object.__setattr__(self, "nodes", nodes)


NO_GRID_EDIT: Final = GridEdit(np.empty((0, 2, 2)))


@dataclass(frozen=True, slots=True)
class FindingEdit:
    """A clinician's word on one finding; "open": a comment, and no verdict yet."""

    code: str
    verdict: Literal["accept", "reject", "open"]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DiagnosisEdit:
    """A clinician's word on the diagnosis."""

    findings: tuple[FindingEdit, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """A human's word on the page as a whole: who signed it, and when (ISO 8601, UTC)."""

    verdict: Literal["accepted", "rejected"]
    by: str
    at: str
    comment: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in ("accepted", "rejected"):
            raise ValueError(f"a review says accepted or rejected, not {self.verdict!r}")
        if not self.by or not self.at:
            raise ValueError("a review needs who and when")


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections of a page; None where the machine's answer stands.

    `scale_answer`: the human confirmed the scale in spite of evidence against it. `comment` is for the next reader.
    `layout`: the template that the human vouches for on this page, or "auto"; None: as is chosen for all pages.
    `clinical`: what is known about the patient.
    """

    keypoints: KeypointEdit | None = None
    grid: GridEdit | None = None
    traces: TraceEdit | None = None
    diagnosis: DiagnosisEdit | None = None
    review: Review | None = None
    scale_answer: bool = False
    comment: str = ""
    layout: str | None = None
    fiducials: FiducialEdit | None = None
    clinical: Clinical = UNKNOWN_PATIENT

    def __post_init__(self) -> None:
        if self.layout not in (None, AUTO_LAYOUT, *LAYOUTS):
            raise ValueError(f"{self.layout!r} is the name of no layout")


NO_CORRECTIONS = Corrections()


def apply_keypoints(auto: Keypoints | None, edit: KeypointEdit | None) -> Keypoints:
    """Return the keypoints with the edit on top; a keypoint a human touched has confidence 1.

    Raises ValueError if there is no automatic answer and the edit does not supply all of one.
    """
    if auto is None:
        if edit is None or edit.orientation is None or edit.px_per_mm is None or edit.angle_rad is None:
            raise ValueError("without automatic keypoints orientation, px_per_mm and angle_rad must be set")
        none = np.empty((0, 2))
        auto = Keypoints(
            (), none, none[:, 0], edit.orientation, 1.0, edit.px_per_mm, edit.angle_rad, edit.orientation >= 4
        )
    if edit is None:
        return auto
    found = list(zip(auto.names, auto.xy.tolist(), auto.confidence.tolist(), strict=True))
    reach_px = KEYPOINT_REACH_MM * auto.px_per_mm
    for move in edit.moves:
        if move.from_xy is not None and found:
            away = [math.dist(xy, move.from_xy) for _, xy, _ in found]
            nearest = int(np.argmin(away))
            if away[nearest] <= reach_px:
                del found[nearest]
        if move.to_xy is not None:
            found.append((move.name, list(move.to_xy), 1.0))
    orientation = auto.orientation if edit.orientation is None else edit.orientation
    return Keypoints(
        names=tuple(name for name, _, _ in found),
        xy=np.array([xy for _, xy, _ in found], np.float64).reshape(-1, 2),
        confidence=np.array([confidence for _, _, confidence in found], np.float64),
        orientation=orientation,
        orientation_confidence=auto.orientation_confidence if edit.orientation is None else 1.0,
        px_per_mm=edit.px_per_mm or auto.px_per_mm,
        angle_rad=auto.angle_rad if edit.angle_rad is None else edit.angle_rad,
        mirrored=orientation >= 4,
        corners=auto.corners if edit.corners is None else np.array(edit.corners, np.float64),
    )


def apply_grid(auto: GridFit | None, edit: GridEdit | None) -> GridFit:
    """Return the grid with the edit on top.

    A move whose start lies further than half a lattice pitch from every node is left out: the node it meant
    is gone. Raises ValueError if there is no automatic answer and the edit does not supply nodes, speed and
    gain.
    """
    if auto is None:
        if edit is None or edit.nodes is None or edit.mm_per_s is None or edit.mm_per_mV is None:
            raise ValueError("without an automatic grid the nodes, mm_per_s and mm_per_mV must be set")
        auto = GridFit(edit.nodes, PaperScale(edit.mm_per_s, edit.mm_per_mV, "human"), 1.0)
    if edit is None:
        return auto
    nodes = np.array(auto.nodes if edit.nodes is None else edit.nodes)
    reach_px = replace(auto, nodes=nodes).px_per_mm * GRID_PITCH_MM / 2
    before = nodes.copy()
    for start, end in edit.moves:
        away = np.hypot(*np.moveaxis(before - start, -1, 0))
        row, column = np.unravel_index(int(np.argmin(away)), away.shape)
        if away[row, column] <= reach_px:
            nodes[row, column] = end
    scale = auto.scale
    if edit.mm_per_s is not None or edit.mm_per_mV is not None:
        scale = _set_scale(scale, edit)
    return GridFit(nodes, scale, auto.confidence if edit.nodes is None else 1.0)


def apply_diagnosis(auto: Diagnosis, edit: DiagnosisEdit | None) -> Diagnosis:
    """Return the diagnosis in which a clinician's verdict replaces the probability by 1 or 0."""
    said = {f.code: f for f in edit.findings if f.verdict != "open"} if edit is not None else {}
    codes = [finding.code for finding in auto.findings] + [code for code in said if math.isnan(auto.probability(code))]
    by_code = {finding.code: finding for finding in auto.findings}
    return Diagnosis(
        tuple(
            Finding(code, float(said[code].verdict == "accept"), "clinician") if code in said else by_code[code]
            for code in codes
        )
    )


def _set_scale(scale: PaperScale, edit: GridEdit) -> PaperScale:
    """Let the human's speed and gain stand; what the paper says of the other one stays, to be compared with it."""
    if edit.mm_per_s is not None:
        scale = replace(scale, mm_per_s=edit.mm_per_s, printed_mm_per_s=None, pulse_width_mm=None)
    if edit.mm_per_mV is not None:
        scale = replace(
            scale, mm_per_mV=edit.mm_per_mV, printed_mm_per_mV=None, pulse_height_mm=None, pulses_mm=()
        )  # fmt: skip
    return replace(scale, source="human")
