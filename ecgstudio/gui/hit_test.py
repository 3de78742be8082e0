"""What lies under the pointer: keypoints, nodes, grid lines, traces, corners, calipers, by place. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.caliper import Part
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.keypoints import Keypoints

XY = tuple[float, float]


class Kind(StrEnum):
    """What can be taken."""

    KEYPOINT = "keypoint"
    NODE = "node"
    ROW = "row"
    COLUMN = "column"
    TRACE = "trace"
    CORNER = "corner"
    CALIPER = "caliper"


@dataclass(frozen=True, slots=True)
class Hit:
    """Something within reach: which, its place nearest to the pointer, and how far away that is in page px.

    `index` counts keypoints, rows, columns, traces, corners or calipers, or row-major nodes; `sample` is a trace's
    sample, `part` what of a caliper it is.
    """

    kind: Kind
    index: int
    xy: XY
    away_px: float
    sample: int = 0
    part: Part = Part.WHOLE


def hit_point(kind: Kind, places: F64, xy: XY, *, reach_px: float) -> Hit | None:
    """Return the nearest of the places [..., 2] within reach."""
    flat = places.reshape(-1, 2)
    if not len(flat):
        return None
    away = np.hypot(flat[:, 0] - xy[0], flat[:, 1] - xy[1])
    index = int(np.argmin(away))
    if not away[index] <= reach_px:
        return None
    return Hit(kind, index, (float(flat[index, 0]), float(flat[index, 1])), float(away[index]))


def hit_keypoint(keypoints: Keypoints | None, xy: XY, *, reach_px: float) -> Hit | None:
    """Return the keypoint within reach, or the one whose name's box of about 6 x 4 mm the place is in."""
    if keypoints is None:
        return None
    return hit_point(Kind.KEYPOINT, keypoints.xy, xy, reach_px=max(reach_px, 2.5 * keypoints.px_per_mm))


def hit_node(grid: GridFit | None, xy: XY, *, reach_px: float) -> Hit | None:
    """Return the node within reach."""
    return None if grid is None else hit_point(Kind.NODE, grid.nodes, xy, reach_px=reach_px)


def hit_line(grid: GridFit | None, xy: XY, *, reach_px: float) -> Hit | None:
    """Return the 5-mm line within reach, row or column."""
    if grid is None:
        return None
    mm = grid.to_mm(np.array(xy))
    if not np.isfinite(mm).all():
        return None
    rows, columns = grid.nodes.shape[:2]
    hits = []
    for kind, axis, count in ((Kind.ROW, 1, rows), (Kind.COLUMN, 0, columns)):
        index = int(np.clip(np.round(mm[axis] / GRID_PITCH_MM), 0, count - 1))
        on_line = mm.copy()
        on_line[axis] = index * GRID_PITCH_MM
        place = grid.to_page(on_line)
        away = float(np.hypot(*(place - xy)))
        if away <= reach_px:
            hits.append(Hit(kind, index, (float(place[0]), float(place[1])), away))
    return min(hits, key=lambda hit: hit.away_px, default=None)


def hit_trace(ecg: DigitizedEcg | None, xy: XY, *, reach_px: float) -> Hit | None:
    """Return the trace whose line passes within reach; the floor of unread samples counts as its line."""
    hits = [
        Hit(Kind.TRACE, index, near[1], near[0], near[2])
        for index, trace in enumerate(ecg.traces if ecg is not None else ())
        if (near := nearest_on_trace(trace, xy)) is not None and near[0] <= reach_px
    ]
    return min(hits, key=lambda hit: hit.away_px, default=None)


def nearest_on_trace(trace: LeadTrace, xy: XY) -> tuple[float, XY, int] | None:
    """Return distance, place and sample of the point of a trace's line nearest to `xy`; None if it has no place."""
    line = trace.xy
    if not len(line):
        return None
    offset = line - xy
    start, step = offset[:-1], np.diff(offset, axis=0)
    square = np.einsum("ij,ij->i", step, step)
    share = np.clip(-np.einsum("ij,ij->i", start, step) / np.where(square > 0, square, 1.0), 0, 1)
    near = start + share[:, None] * step if len(line) > 1 else offset
    away = np.hypot(near[:, 0], near[:, 1])
    if not np.isfinite(away).any():
        return None
    index = int(np.nanargmin(away))
    sample = index + (1 if len(line) > 1 and share[index] > 0.5 else 0)
    return float(away[index]), (float(near[index, 0] + xy[0]), float(near[index, 1] + xy[1])), sample


def nearest_sample(trace: LeadTrace, xy: XY) -> int:
    """Return the sample of a trace that is nearest to a place."""
    away = np.hypot(trace.xy[:, 0] - xy[0], trace.xy[:, 1] - xy[1])
    return int(np.nanargmin(away))
