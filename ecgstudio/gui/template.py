"""Lay the lead names of a template over a page, on top of what was read there. Numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ecgstudio.core.corrections import KeypointEdit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEAD_INDEX, Layout
from ecgstudio.gui.gestures import as_xy
from ecgstudio.gui.keypoint_gestures import add_keypoint, delete_keypoint, page_corners, rename_keypoint

XY = tuple[float, float]

USUAL_LEFT, USUAL_WIDTH = 0.06, 0.88  # shares of the sheet that leads take where no name tells
USUAL_TOP, USUAL_HEIGHT = 0.28, 0.62
SAME_SLOT = 0.42  # a name further from its slot, in columns or rows, is of another one


@dataclass(frozen=True, slots=True)
class _Slot:
    lead: str
    column: float  # from 0 in each row, in steps of the template's columns
    row: int


def place_template(
    layout: Layout, value: Keypoints | None, edit: KeypointEdit | None, *, size: tuple[int, int]
) -> KeypointEdit:
    """Return the edit after which every name of the template stands in its place, and no other lead name.

    A name that was read near its slot keeps its place; one that says another lead is renamed; what is missing is put
    where the names around it say, or where such pages usually have it. Markers stay.
    """
    edit = edit or KeypointEdit()
    slots = [_Slot(lead, float(c), r) for r, row in enumerate(layout.all_rows) for c, lead in enumerate(row)]
    corners = page_corners(size, value)
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    frame = np.column_stack([across, down])  # shares of the sheet -> page px
    leads = [i for i, name in enumerate(value.names) if name in LEAD_INDEX] if value is not None else []
    xy = value.xy[leads] if value is not None else np.empty((0, 2))
    found = np.linalg.solve(frame, (xy - corners[0]).T).T if leads else np.empty((0, 2))
    names = [value.names[i] for i in leads] if value is not None else []
    x0, dx = _line(_pairs(slots, names, found, axis=0), first=USUAL_LEFT, step=USUAL_WIDTH / layout.columns)
    rows = len(layout.all_rows)
    y0, dy = _line(_pairs(slots, names, found, axis=1), first=USUAL_TOP, step=USUAL_HEIGHT / max(rows - 1, 1))
    free = set(range(len(leads)))
    for slot in slots:
        place = np.array([x0 + slot.column * dx, y0 + slot.row * dy])
        near = _nearest(found, free, place, reach=(SAME_SLOT * dx, SAME_SLOT * dy), prefer=(names, slot.lead))
        if near is None:
            edit = add_keypoint(edit, name=slot.lead, xy=as_xy(np.clip(frame @ place + corners[0], 0, np.array(size))))
        else:
            free.discard(near)
            if names[near] != slot.lead and value is not None:
                edit = rename_keypoint(value, edit, index=leads[near], name=slot.lead)
    for index in sorted(free) if value is not None else ():
        assert value is not None
        edit = delete_keypoint(value, edit, index=leads[index])
    return edit


def _pairs(slots: list[_Slot], names: list[str], found: np.ndarray, *, axis: int) -> list[tuple[float, float]]:
    """Pair slot and place along an axis for every lead that the template has once and that was read once."""
    pairs = []
    for slot in slots:
        if sum(other.lead == slot.lead for other in slots) == 1 and names.count(slot.lead) == 1:
            at = (slot.column, slot.row)[axis]
            pairs.append((float(at), float(found[names.index(slot.lead), axis])))
    return pairs


def _line(pairs: list[tuple[float, float]], *, first: float, step: float) -> tuple[float, float]:
    """Return where slot 0 stands and the step to the next: medians, so that a misread name does no harm."""
    slopes = [(q[1] - p[1]) / (q[0] - p[0]) for p, q in combinations(pairs, 2) if q[0] != p[0]]
    slope = float(np.median(slopes)) if slopes else step
    if not slope > 0.2 * step:
        slope = step
    start = float(np.median([at - slot * slope for slot, at in pairs])) if pairs else first
    return start, slope


def _nearest(
    found: np.ndarray, free: set[int], place: np.ndarray, *, reach: XY, prefer: tuple[list[str], str]
) -> int | None:
    """Return the free name in the slot; one that says the slot's lead comes before a nearer one."""
    names, lead = prefer
    best: tuple[bool, float, int] | None = None
    for index in free:
        dx, dy = np.abs(found[index] - place) / reach
        if max(dx, dy) <= 1:
            rank = (names[index] != lead, math.hypot(dx, dy), index)
            best = rank if best is None else min(best, rank)
    return None if best is None else best[2]
