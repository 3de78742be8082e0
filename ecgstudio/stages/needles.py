"""Needles: upright strokes so thin that a trace's path passes them by, such as a pacemaker's spikes.

A pacing pulse lasts a millisecond or less and is printed as an upright line of one pen's width. The network knows its
ink and its tip (in a half-column or two nothing else is likely), but the path would have to go there and back at once,
and does not. A record without them shows a paced heart as one with broad complexes of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap

ROOT = 8  # half-columns on either side in which the path may meet a needle
AROUND = 20  # ... in which it reaches heights by itself: limbs of narrow beats are no needles
LEAST_PX = 8.0  # beyond what the path reaches
OWN_INK, GAP_CELLS = 0.15, 1  # how probably a cell of a needle is the own trace's ink; as many may be missing
CELL_ROWS, CELL_HALVES = 4, 4
WIDEST_CELLS = 3  # a pen's half millimetre, or a little more where a needle leans
TIP_PX, LEAST_TIP = 12, 0.02  # the network's probability of heights around a tip


def needles(columns: FloatMap, ink: FloatMap, height: F64) -> F64:
    """Return tips and lengths [N, 3] (half-column, row, rows beyond the path; sorted) of needles that a path passes by.

    `columns` [H, 2W] is a log-softmax over H, `ink` [2, H / 4, W / 2] how probably the own and another trace run
    through a cell, `height` [2W] the path in rows.
    """
    low, high = (
        [extreme(height, 2 * reach + 1, mode="nearest") for reach in (ROOT, AROUND)]
        for extreme in (ndimage.minimum_filter1d, ndimage.maximum_filter1d)
    )
    own = (ink[0] > OWN_INK) & (ink[0] > ink[1])
    middles = np.minimum(np.arange(own.shape[1]) * CELL_HALVES + CELL_HALVES // 2, len(height) - 1)
    tips = []
    for sign, (root, reached) in ((-1, low), (1, high)):
        ends = _ends(own, root[middles], sign=sign)
        regions, count = ndimage.label(sign * (ends - reached[middles]) > LEAST_PX)
        for (where,) in ndimage.find_objects(regions)[:count]:
            if where.stop - where.start <= WIDEST_CELLS:
                tip = _tip(columns, where, sign * float((sign * ends[where]).max()))
                if tip is not None:
                    tips.append((*tip, float((sign * (ends - reached[middles]))[where].max())))
    return np.array(sorted(tips), np.float64).reshape(-1, 3)


def _ends(own: NDArray[np.bool_], root: F64, *, sign: int) -> F64:
    """Return in each column of cells the row where the ink ends that goes up (-1) or down (1) from the path."""
    ends = root.copy()
    for column, row in enumerate(np.clip(root // CELL_ROWS, 0, len(own) - 1).astype(int)):
        at = last = row
        while 0 <= at + sign < len(own) and abs(at + sign - last) <= 1 + GAP_CELLS:
            at += sign
            if own[at, column]:
                last = at
        if last != row:
            ends[column] = last * CELL_ROWS + (CELL_ROWS - 1) / 2
    return ends


def _tip(columns: FloatMap, where: slice, end: float) -> tuple[float, float] | None:
    """Return half-column and row of a needle's tip as the network tells it, near where its ink ends."""
    first = max(where.start * CELL_HALVES - 2, 0)
    low = max(round(end) - TIP_PX, 0)
    near = np.exp(columns[low : round(end) + TIP_PX + 1, first : where.stop * CELL_HALVES + 2].astype(np.float64))
    mass = near.sum(axis=0)
    if mass.max(initial=0.0) < LEAST_TIP:
        return None
    best = int(mass.argmax())
    half = first + float((mass * np.arange(len(mass))).sum() / mass.sum())
    return half, low + float((near[:, best] * np.arange(len(near))).sum() / mass[best])
