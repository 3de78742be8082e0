"""The edges of a paper map: beyond the lines that are seen a flat sheet goes on as flat as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import RBFInterpolator

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.stages.line_offsets import COARSE_PX_PER_MM, ONE_MM, Image, line_offsets
from ecgstudio.stages.paper_map import Refined, finished, moved_onto_lines, refine
from ecgstudio.stages.parallel import in_parallel
from ecgstudio.stages.view import brightest_and_darkest

SEEN, FLAT_MM = 0.5, 0.06  # of a block's lines; rms by which the nodes of a flat sheet lie beside a homography
ASTRAY_MM = 0.25  # nodes that lie less far beside the flat sheet may know it better
LEAST_NODES = 60
COARSE_LOOK = replace(ONE_MM[-1], px_per_mm=COARSE_PX_PER_MM)
HARDLY, LEAST_ONE_WAY, MANY = 0.3, 0.015, 0.04  # of the blocks
ROUGH_MM = 0.07  # smoother maps have not slipped
BEND_ORDER, NEIGHBOURS, STIFF = 3, 40, 0.5
MOST_STEPS, STEP_GAIN, STEP_ROUGHER, CRUMPLED_MM = 3, 1.005, 1.1, 0.2
LEAST_GAIN, ROUGHER, AS_MUCH, SMOOTHER = 1.05, 1.2, 1.0, 0.6
EDGE_BLOCKS, EDGE_SEEN, EDGE_INSIDE = 2, 0.3, 0.5
GROWN_NODES, GROWN_TIMES = 8, 4  # each time by 40 mm


Bend = Callable[[GridFit, NDArray[np.bool_]], GridFit]


def carried_on(pixels: Image, found: Refined) -> Refined:
    """Return the map carried on from where lines are seen both ways to where they are seen one way, if both are there.

    On a sheet that bends away a map may slip to wrong lines, upright ones mostly, and lose them: from what is sure it
    is bent on and refined anew, step by step. What confirms no more of the paper is left as found.
    """
    if found.rough_mm < ROUGH_MM:
        return found
    darkest = brightest_and_darkest(pixels)[1]
    weight = _weights(darkest, found.grid)
    one_way = (weight.max(axis=-1) > SEEN) & (weight.min(axis=-1) < HARDLY)
    if one_way.mean() < LEAST_ONE_WAY:
        return found
    sure = _surrounded(_nodes_seen(weight.min(axis=-1) > SEEN, found.grid))
    inside = ndimage.binary_erosion(sure)  # a slip begins within what is seen

    def bent(bend: Bend) -> Refined:
        for on in (inside, sure) if one_way.mean() >= MANY else (inside,):
            again = _step_by_step(darkest, found, on, bend=bend)
            if _is_better(again, found):
                return again
        return found

    likeliest = max(found, *in_parallel(bent, (_curled_on, _bent_on)), key=_likelihood)
    return found if likeliest is found else finished(pixels, darkest, likeliest, anchored=False)


def _step_by_step(darkest: Image, found: Refined, on: NDArray[np.bool_], *, bend: Bend) -> Refined:
    """Bend the map on from the nodes `on` it, then from those that are seen, as long as more and more is confirmed."""
    for _ in range(MOST_STEPS):
        if on.sum() < LEAST_NODES or on.all():
            break
        again = moved_onto_lines(darkest, bend(found.grid, on), anchored=False)
        if again.confirmed_px <= STEP_GAIN * found.confirmed_px or again.rough_mm > STEP_ROUGHER * found.rough_mm:
            break
        found, on = again, _surrounded(_on_lines(darkest, again.grid))
    return found


def _likelihood(found: Refined) -> float:
    """Rank maps by what confirms them, and by how smooth they are: the raster of a screen confirms any bend."""
    return found.confirmed_px / (1 + (found.rough_mm / CRUMPLED_MM) ** 2)


def grown(pixels: Image, found: Refined) -> Refined:
    """Return the map grown over what the picture shows beyond it, as long as lines are seen up to its edge.

    On a sheet seen aslant a map may begin with a part of it only. What confirms no more of the paper is left as found.
    """
    for _ in range(GROWN_TIMES):
        sides = _going_on(pixels, found.grid)
        if not any(sides):
            break
        again = refine(pixels, _padded(found.grid, sides), anchored=False)
        if again.confirmed_px <= found.confirmed_px:
            break
        found = again
    return found


def _going_on(pixels: Image, grid: GridFit) -> tuple[bool, bool, bool, bool]:
    """Tell on which sides (left, right, top, bottom) the picture goes on beyond a map, and lines with it."""
    size = np.array([pixels.shape[1], pixels.shape[0]])
    inside = np.asarray(((grid.nodes > 0) & (grid.nodes < size - 1)).all(axis=-1))
    edges = (inside[:, 0], inside[:, -1], inside[0], inside[-1])
    if max(edge.mean() for edge in edges) < EDGE_INSIDE:
        return False, False, False, False
    seen = _weights(brightest_and_darkest(pixels)[1], grid).min(axis=-1) > SEEN
    parts = (seen[:, :EDGE_BLOCKS], seen[:, -EDGE_BLOCKS:], seen[:EDGE_BLOCKS], seen[-EDGE_BLOCKS:])
    left, right, top, bottom = (
        bool(edge.mean() >= EDGE_INSIDE and part.mean() >= EDGE_SEEN) for edge, part in zip(edges, parts, strict=True)
    )
    return left, right, top, bottom


def _padded(grid: GridFit, sides: tuple[bool, bool, bool, bool]) -> GridFit:
    left, right, top, bottom = (GROWN_NODES * side for side in sides)
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(-left, columns + right), np.arange(-top, rows + bottom))
    return replace(grid, nodes=grid.to_page(GRID_PITCH_MM * np.stack([x, y], axis=-1).astype(np.float64)))


def _is_better(again: Refined, found: Refined) -> bool:
    """Tell whether lines confirm clearly more of a map, or as much of a smoother one."""
    gain, rougher = again.confirmed_px / max(found.confirmed_px, 1.0), again.rough_mm / max(found.rough_mm, 1e-3)
    return (gain > LEAST_GAIN and rougher < ROUGHER) or (gain > AS_MUCH and rougher < SMOOTHER)


def _curled_on(grid: GridFit, on: NDArray[np.bool_]) -> GridFit:
    """Return the map with the other nodes where the sheet has them if it goes on as it does next to them.

    A thin-plate spline through the nearest of the nodes `on` it knows where a sheet curls, and follows what is no line.
    """
    y, x = np.mgrid[: on.shape[0], : on.shape[1]].astype(np.float64)
    at = np.stack([x, y], axis=-1)
    bend = RBFInterpolator(at[on], grid.nodes[on], neighbors=NEIGHBOURS, smoothing=STIFF, kernel="thin_plate_spline")
    nodes = grid.nodes.copy()
    nodes[~on] = bend(at[~on])
    return replace(grid, nodes=nodes)


def _bent_on(grid: GridFit, on: NDArray[np.bool_]) -> GridFit:
    """Return the map with the other nodes where a smooth bend of the whole that suits the nodes `on` it has them."""
    rows, columns = on.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    at = np.stack([x, y], axis=-1)
    flat = apply_homography(fit_homography(at[on], grid.nodes[on]), at)
    terms = np.stack([x**i * y**j for i in range(BEND_ORDER + 1) for j in range(BEND_ORDER + 1 - i)], axis=-1)
    bend, *_ = np.linalg.lstsq(terms[on], (grid.nodes - flat)[on], rcond=None)
    return replace(grid, nodes=np.where(on[..., None], grid.nodes, flat + terms @ bend))


def nodes_on_lines(pixels: Image, grid: GridFit) -> NDArray[np.bool_]:
    """Tell around which nodes [R, C] of a map lines are seen both ways."""
    return _on_lines(brightest_and_darkest(pixels)[1], grid)


def _on_lines(darkest: Image, grid: GridFit) -> NDArray[np.bool_]:
    return _nodes_seen(_weights(darkest, grid).min(axis=-1) > SEEN, grid)


def flat_beyond_lines(grid: GridFit, on: NDArray[np.bool_]) -> GridFit:
    """Return the map with the nodes where no lines are seen laid flat, if the sheet is flat where they are (`on`).

    Ticks, numbers and names beside a ruled area have phases, too; nodes that follow them pull at the first millimetres
    of every row. A sheet that bends is left as it is.
    """
    if on.sum() < LEAST_NODES or on.all():
        return grid
    rows, columns = on.shape
    mm = GRID_PITCH_MM * np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float64)
    to_page = fit_homography(mm[on], grid.nodes[on])
    flat = apply_homography(to_page, mm)
    away_mm = np.hypot(*np.moveaxis(flat - grid.nodes, -1, 0)) / grid.px_per_mm
    if np.sqrt((away_mm[on] ** 2).mean()) > FLAT_MM:
        return grid
    within = _surrounded(on)
    if away_mm[~within].max(initial=0.0) < ASTRAY_MM:
        return grid
    return replace(grid, nodes=np.where(within[..., None], grid.nodes, flat))


def _weights(darkest: Image, grid: GridFit) -> F64:
    """Return how clearly each block of a map shows lines across and down, 0..1; for that a coarse look is enough."""
    return line_offsets(darkest, grid, COARSE_LOOK)[1]


def _nodes_seen(seen: NDArray[np.bool_], grid: GridFit) -> NDArray[np.bool_]:
    """Tell of which nodes of a map all four blocks around are seen."""
    around = ndimage.minimum_filter(ndimage.binary_opening(seen).astype(np.uint8), 2) > 0
    blocks_per_node = GRID_PITCH_MM / ONE_MM[-1].block_mm
    at = [
        np.clip(np.round(np.arange(nodes) * blocks_per_node).astype(int), 0, blocks - 1)
        for nodes, blocks in zip(grid.nodes.shape[:2], seen.shape, strict=True)
    ]
    return np.asarray(around[np.ix_(*at)])


def _surrounded(on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what is marked, or has marks on both its sides both along and across: a trace hides lines."""
    both = [
        np.logical_or.accumulate(on, axis=axis) & np.flip(np.logical_or.accumulate(np.flip(on, axis), axis=axis), axis)
        for axis in (0, 1)
    ]
    return np.asarray(both[0] & both[1])
