"""A sheet that lies flat in its picture, as scanners, screen grabs and programs give it: one affine map for all of it.

A map that follows every printed line also follows what only looks like one: pixels to which lines are snapped, strokes
of a trace, the noise of a pale grid. Six numbers that explain the lines of a whole sheet as well know it far better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.stages.ink import without_ink
from ecgstudio.stages.line_offsets import Image, Step, line_offsets
from ecgstudio.stages.view import brightest_and_darkest

LINES: Final = Step(1.0, 2.5, 1.0, 0.0, grows=False)
NEAR_MM, LEAST_NEAR = 0.05, 0.1  # what lies so near to an affine map, and the least share of the lines that must
STRAIGHT_MM, FAR_MM = 0.008, 0.4  # from the nearest affine map: what means the same (rms), and another (median)
AS_WELL, LEAST_ON_LINES = 0.004, 0.3  # of how well a map lies on the lines, 1 if all of it does
SPREADS_MM: Final = (1.0, 0.5, 0.3, 0.2, 0.1, *[0.03] * 6)  # lines that lie farther off than this count little
LAST_SPREADS_MM: Final = (0.05,) * 6


def rigid(pixels: Image, grid: GridFit) -> GridFit | None:
    """Return the affine map of the same paper, if the printed lines lie as well on that as on the map that was found.

    None if they do not, or hardly lie on either: then the sheet is bent or seen aslant, or nobody knows.
    """
    straight, away_mm = _by_nodes(grid)
    if np.median(away_mm) > FAR_MM:
        return None
    bare = without_ink(pixels, px_per_mm=grid.px_per_mm)
    lines = bare if bare is not None else brightest_and_darkest(pixels)[1]
    least = LEAST_ON_LINES
    if np.sqrt((away_mm**2).mean()) >= STRAIGHT_MM:
        offset_mm, weight = line_offsets(lines, grid, LINES)
        by_lines = _by_lines(grid, offset_mm, weight)
        if by_lines is None:
            return None
        straight, least = by_lines, max(least, _on_lines(offset_mm, weight) - AS_WELL)
    offset_mm, weight = line_offsets(lines, straight, LINES)
    if _on_lines(offset_mm, weight) < least:
        return None
    at_mm, on_page = _blocks(straight, weight)
    moved_mm = at_mm + offset_mm.reshape(-1, 2)
    return _laid_out(grid, _affine(moved_mm, on_page, _worth(weight), spreads_px=_px(LAST_SPREADS_MM, grid)))


def _by_nodes(grid: GridFit) -> tuple[GridFit, F64]:
    """Return the affine map that lies nearest to most nodes of a grid, and how far away each is (mm)."""
    at_mm, nodes = _lattice_mm(grid), grid.nodes.reshape(-1, 2)
    to_page = _affine(at_mm, nodes, np.ones(len(nodes)), spreads_px=_px(SPREADS_MM, grid))
    away_px = np.hypot(*(_applied(to_page, at_mm) - nodes).T)
    return _laid_out(grid, to_page), np.asarray(away_px / grid.px_per_mm, np.float64)


def _by_lines(grid: GridFit, offset_mm: F64, weight: F64) -> GridFit | None:
    """Return the affine map on which most of the printed lines lie; None if it is far from nearly all of the grid."""
    at_mm, on_page = _blocks(grid, weight)
    worth = _worth(weight)
    if not worth.any():
        return None
    to_page = _affine(at_mm + offset_mm.reshape(-1, 2), on_page, worth, spreads_px=_px(SPREADS_MM, grid))
    away_px = np.hypot(*(_applied(to_page, at_mm) - on_page).T)
    near = worth @ (away_px < NEAR_MM * grid.px_per_mm)
    return _laid_out(grid, to_page) if near >= LEAST_NEAR * worth.sum() else None


def _blocks(grid: GridFit, weight: F64) -> tuple[F64, F64]:
    """Return the middles [N, 2] of the blocks of a map in mm, and in page pixels."""
    x, y = np.meshgrid(*((np.arange(count) + 0.5) * LINES.block_mm for count in weight.shape[1::-1]))
    at_mm = np.stack([x.ravel(), y.ravel()], axis=1)
    return at_mm, grid.to_page(at_mm)


def _worth(weight: F64) -> F64:
    """Return what each block's lines [R, C, 2] are worth [N]: no more than those of its paler direction."""
    return np.asarray(weight.min(axis=-1).ravel() ** 2, np.float64)


def _px(spreads_mm: Sequence[float], grid: GridFit) -> list[float]:
    return [spread * grid.px_per_mm for spread in spreads_mm]


def _affine(mm: F64, px: F64, worth: F64, *, spreads_px: Sequence[float]) -> F64:
    """Return the affine map [3, 2] from mm to pixels by robust least squares (iteratively reweighted)."""
    terms, weight = np.column_stack([mm, np.ones(len(mm))]), worth
    to_page = np.zeros((3, 2))
    for spread in spreads_px:
        by_weight = np.sqrt(weight)[:, None]
        to_page = np.linalg.lstsq(terms * by_weight, px * by_weight, rcond=None)[0]
        away = np.hypot(*(terms @ to_page - px).T)
        weight = worth / (1 + (away / spread) ** 2) ** 2
    return np.asarray(to_page, np.float64)


def _applied(to_page: F64, mm: F64) -> F64:
    return np.asarray(mm @ to_page[:2] + to_page[2], np.float64)


def _laid_out(grid: GridFit, to_page: F64) -> GridFit:
    """Return the grid with its nodes where the affine map has them."""
    return replace(grid, nodes=_applied(to_page, _lattice_mm(grid)).reshape(grid.nodes.shape))


def _lattice_mm(grid: GridFit) -> F64:
    """Return where the nodes of a grid lie on the paper [N, 2]."""
    x, y = np.meshgrid(*(np.arange(count) * GRID_PITCH_MM for count in grid.nodes.shape[1::-1]))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _on_lines(offset_mm: F64, weight: F64) -> float:
    """Return how well a map lies on printed lines: 1 where it does, -1 where it lies between them, by what is seen."""
    seen = weight**2
    return float((seen * np.cos(2 * np.pi * offset_mm / LINES.period_mm)).sum() / max(seen.sum(), 1e-9))
