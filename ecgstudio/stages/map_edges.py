"""The edges of a paper map: beyond the lines that are seen a flat sheet goes on as flat as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.stages.paper_map import ONE_MM, Image, line_offsets
from ecgstudio.stages.view import brightest_and_darkest

SEEN, FLAT_MM = 0.5, 0.06  # of a block's lines; rms by which the nodes of a flat sheet lie beside a homography
LEAST_NODES = 60


def flat_beyond_lines(pixels: Image, grid: GridFit) -> GridFit:
    """Return the map with the nodes where no lines are seen laid flat, if the sheet is flat where they are.

    Ticks, numbers and names beside a ruled area have phases, too; nodes that follow them pull at the first millimetres
    of every row. A sheet that bends is left as it is.
    """
    darkest = brightest_and_darkest(pixels)[1]
    step = ONE_MM[-1]
    seen = line_offsets(darkest, grid, step)[1].min(axis=-1) > SEEN
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM, np.arange(rows) * GRID_PITCH_MM)
    blocks = ndimage.minimum_filter(ndimage.binary_opening(seen), 2).astype(np.float64)  # the four around each corner
    at = [np.clip(np.round(mm / step.block_mm).astype(int), 0, n - 1) for mm, n in zip((y, x), seen.shape, strict=True)]
    on = blocks[at[0], at[1]] > 0
    if on.sum() < LEAST_NODES or on.all():
        return grid
    mm = np.stack([x, y], axis=-1)
    to_page = fit_homography(mm[on], grid.nodes[on])
    flat = apply_homography(to_page, mm)
    away_mm = np.hypot(*np.moveaxis(flat - grid.nodes, -1, 0)) / grid.px_per_mm
    if np.sqrt((away_mm[on] ** 2).mean()) > FLAT_MM:
        return grid
    within = _surrounded(on)
    return replace(grid, nodes=np.where(within[..., None], grid.nodes, flat))


def _surrounded(on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what is marked, or has marks on both its sides both along and across: a trace hides lines."""
    both = [
        np.logical_or.accumulate(on, axis=axis) & np.flip(np.logical_or.accumulate(np.flip(on, axis), axis=axis), axis)
        for axis in (0, 1)
    ]
    return np.asarray(both[0] & both[1])
