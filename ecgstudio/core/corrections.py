"""Corrections: what a human changed on top of the machine's answers, and how an answer changes with it.

Edits are sparse moves in page pixels and are matched to the machine's answer by place, never by index: after
a rerun with other weights they apply again.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ecgstudio.core.arrays import F64, check_finite, frozen_array
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import KEYPOINT_NAMES, LEAD_INDEX

XY = tuple[float, float]

KEYPOINT_REACH_MM = 8.0  # a lead's name is 3 mm tall: a keypoint further away is another one
TRACE_REACH_MM = 10.0  # two rows of a page are 15 mm or more apart


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
    """Corrections of stage 0. None keeps the machine's answer; all three are needed where it has none."""

    moves: tuple[KeypointMove, ...] = ()
    orientation: int | None = None
    px_per_mm: float | None = None
    angle_rad: float | None = None


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
            object.__setattr__(self, "nodes", nodes)


@dataclass(frozen=True, slots=True)
class TraceErase:
    """Forget the samples of the trace near `from_xy` between its samples nearest to the two places."""

    from_xy: XY
    to_xy: XY


@dataclass(frozen=True, slots=True, eq=False)
class TraceRedraw:
    """Let the trace nearest to the first point follow the polyline `xy` [M >= 2, 2] in page pixels."""

    xy: F64

    def __post_init__(self) -> None:
        xy = frozen_array(self.xy, dtype=np.float64, shape=(None, 2), name="xy")
        check_finite(xy, "xy")
        if len(xy) < 2:
            raise ValueError("a redrawn line needs at least two points")
        object.__setattr__(self, "xy", xy)


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


TraceChange = TraceErase | TraceRedraw | TraceRelabel | TraceShift


@dataclass(frozen=True, slots=True)
class TraceEdit:
    """Corrections of stage 2, applied in order."""

    changes: tuple[TraceChange, ...]


@dataclass(frozen=True, slots=True)
class FindingEdit:
    """A clinician's word on one finding."""

    code: str
    verdict: Literal["accept", "reject"]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DiagnosisEdit:
    """A clinician's word on the diagnosis."""

    findings: tuple[FindingEdit, ...]


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections of a page; None where the machine's answer stands.

    `review` is the human's word on the page as a whole.
    """

    keypoints: KeypointEdit | None = None
    grid: GridEdit | None = None
    traces: TraceEdit | None = None
    diagnosis: DiagnosisEdit | None = None
    review: Literal["accepted", "rejected"] | None = None


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
        scale = PaperScale(edit.mm_per_s or scale.mm_per_s, edit.mm_per_mV or scale.mm_per_mV, "human")
    return GridFit(nodes, scale, auto.confidence if edit.nodes is None else 1.0)


def apply_traces(auto: DigitizedEcg | None, edit: TraceEdit | None, *, grid: GridFit) -> DigitizedEcg:
    """Return the traces with the edit on top; samples a human drew have confidence 1.

    A change that finds no trace within reach is left out. Raises ValueError if there is no automatic answer.
    """
    if auto is None:
        raise ValueError("without automatic traces there is nothing to correct")
    traces = list(auto.traces)
    for change in edit.changes if edit is not None else ():
        index = _nearest_trace(traces, _place(change), reach_px=TRACE_REACH_MM * grid.px_per_mm)
        if index is not None:
            traces[index] = _change_trace(traces[index], change, grid)
    return DigitizedEcg(tuple(traces), auto.layout, auto.notes)


def apply_diagnosis(auto: Diagnosis, edit: DiagnosisEdit | None) -> Diagnosis:
    """Return the diagnosis in which a clinician's verdict replaces the probability by 1 or 0."""
    said = {finding.code: finding for finding in edit.findings} if edit is not None else {}
    codes = [finding.code for finding in auto.findings] + [code for code in said if math.isnan(auto.probability(code))]
    by_code = {finding.code: finding for finding in auto.findings}
    return Diagnosis(
        tuple(
            Finding(code, float(said[code].verdict == "accept"), "clinician") if code in said else by_code[code]
            for code in codes
        )
    )


def _place(change: TraceChange) -> XY:
    match change:
        case TraceErase():
            return change.from_xy
        case TraceRedraw():
            return (float(change.xy[0, 0]), float(change.xy[0, 1]))
        case TraceRelabel() | TraceShift():
            return change.at_xy


def _nearest_sample(trace: LeadTrace, xy: XY) -> tuple[int, float]:
    away = np.hypot(*(trace.xy - xy).T)
    away = np.where(np.isfinite(away), away, np.inf)
    index = int(np.argmin(away))
    return index, float(away[index])


def _nearest_trace(traces: list[LeadTrace], xy: XY, *, reach_px: float) -> int | None:
    away = [_nearest_sample(trace, xy)[1] if len(trace.mv) else math.inf for trace in traces]
    if not away or min(away) > reach_px:
        return None
    return int(np.argmin(away))


def _change_trace(trace: LeadTrace, change: TraceChange, grid: GridFit) -> LeadTrace:
    match change:
        case TraceErase():
            ends = sorted(_nearest_sample(trace, xy)[0] for xy in (change.from_xy, change.to_xy))
            mv, confidence = np.array(trace.mv), np.array(trace.confidence)
            mv[ends[0] : ends[1] + 1] = np.nan
            confidence[ends[0] : ends[1] + 1] = 0
            return replace(trace, mv=mv, confidence=confidence)
        case TraceRedraw():
            return _redraw(trace, change.xy, grid)
        case TraceRelabel():
            return replace(trace, lead=change.lead)
        case TraceShift():
            return replace(trace, t0_s=trace.t0_s + change.shift_s, mv=trace.mv + np.float32(change.shift_mv))


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
