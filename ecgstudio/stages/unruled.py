"""The map of paper whose grid was not seen, by what is printed: rows tell how it lies, pulses and rows the scale."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.calibration import STANDARD_MM_PER_S, decide_scale, other_zooms, pulse_zoom
from ecgstudio.stages.contract import Runtime, StageError, Status
from ecgstudio.stages.flat_sheet import FlatSheet, flattened
from ecgstudio.stages.grid_search import SURE_ERRORS, Found, plain_map, search
from ecgstudio.stages.paper_map import rescaled
from ecgstudio.stages.pulse_feet import begins_after_foot
from ecgstudio.stages.settings import GridSettings
from ecgstudio.stages.stage2_trace import find_strips
from ecgstudio.stages.strip_reading import beginning_at, read_strips, read_to_the_ends

UNSURE, CLEARER = 0.5, 0.1  # confidence of a map that pulses may refute, and how much more another must have
OTHER_SCALE, LEVEL = 0.04, 0.005  # log of a zoom, and a slope, with which to look again
# nearly all machines print ten seconds across, most others five
ROWS_MM = tuple(seconds * STANDARD_MM_PER_S for seconds in (10.0, 5.0))
ROW_NEAR, ROW_NEAR_GUESSED = 0.09, 0.12  # rows that differ more from it are of another length; by a guessed scale
LEAST_ROWS, ROWS_AGREE = 3, 0.01
PULSES_AGREE, BY_PULSES = 0.03, 0.3  # with rows, on another scale than that of lines; the confidence of such a map
BORDER_MM = 1.5  # a trace that comes as near to the border of the picture as this goes on outside it


def grid_by_print(
    page: Page, keypoints: Keypoints, found: Found, *, runtime: Runtime, settings: GridSettings, status: Status
) -> GridFit:
    """Map a sheet on which a search found no grid: rows tell how it lies, pulses a rough scale, to look again with.

    Where there still is none the scale is that by which rows have a standard length, and the confidence stays low.
    A map that was found, but on which rows are not level, gives way to one only on which they are.
    """
    flat = laid_flat(page, keypoints, found)
    plain = plain_map(flat.page, flat.keypoints)
    zoom = pulse_zoom(flat.page, flat.keypoints, plain, runtime=runtime)
    sure, zoom = zoom is not None, zoom or 1.0
    upright = replace(flat.keypoints, px_per_mm=flat.keypoints.px_per_mm * zoom)
    grid = None
    if flat.keypoints is not keypoints or abs(np.log(zoom)) > OTHER_SCALE:
        again = search(flat.page, upright, runtime=runtime, sure=sure, status=status)
        grid = again.grid if again.level else None
    if grid is None and found.grid is not None:
        return replace(found.grid, scale=decide_scale(page, keypoints, found.grid, runtime=runtime, settings=settings))
    if grid is None:
        grid = scaled_by_rows(flat.page, rescaled(plain, zoom), sure=sure, runtime=runtime)
    scale = decide_scale(flat.page, upright, grid, runtime=runtime, settings=settings)
    return GridFit(_on_page(page, apply_homography(flat.to_page, grid.nodes)), scale, grid.confidence)


def found_by_pulses(page: Page, keypoints: Keypoints, found: Found, *, runtime: Runtime, status: Status) -> Found:
    """Look again where pulses say that a map that is hardly confirmed has the wrong scale; the clearer map is right."""
    if found.grid is None or found.grid.confidence >= UNSURE:
        return found
    best = found
    for zoom in other_zooms(page, keypoints, found.grid, runtime=runtime):
        there = replace(keypoints, px_per_mm=found.grid.px_per_mm * zoom)
        again = search(page, there, runtime=runtime, sure=True, status=status)
        if again.grid is not None and again.level and best.grid is not None:
            best = again if again.grid.confidence > best.grid.confidence + CLEARER else best
    return best


def scaled_by_pulses(page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime) -> GridFit | None:
    """Return a map at another scale if its pulses, of no standard size, ask for it and make its rows standard ones.

    Fine lines that a picture is too coarse for show at a wrong pitch, as clearly as any. None if nothing is wrong.
    """
    zooms = other_zooms(page, keypoints, grid, runtime=runtime)
    length_mm = row_length_mm(page, grid, runtime=runtime) if zooms else None
    if length_mm is None or any(abs(length_mm / usual_mm - 1) <= ROWS_AGREE for usual_mm in ROWS_MM):
        return None
    for zoom in zooms:
        for usual_mm in ROWS_MM:
            if abs(length_mm / usual_mm / zoom - 1) <= PULSES_AGREE:
                again = rescaled(grid, length_mm / usual_mm)
                return replace(again, confidence=min(grid.confidence, BY_PULSES))
    return None


def laid_flat(page: Page, keypoints: Keypoints, found: Found) -> FlatSheet:
    """Return the page as its rows say that it lies: turned, or flattened where they tell a perspective."""
    as_it_is = FlatSheet(page, keypoints, np.eye(3))
    view, px_per_mm, rows = found.view, found.view_px_per_mm, found.rows
    if rows is None:
        return as_it_is
    if rows.corners is not None:
        return flattened(page, keypoints, corners=view.to_page(rows.corners * px_per_mm - 0.5))
    if abs(rows.slope) < LEVEL + SURE_ERRORS * rows.slope_error:
        return as_it_is
    x, y = view.matrix @ np.array([1.0, rows.slope])
    return FlatSheet(page, replace(keypoints, angle_rad=float(np.arctan2(y, x))), np.eye(3))


def _on_page(page: Page, nodes: F64) -> F64:
    """Drop rows and columns of nodes outside the picture, but for one on each side: perspectives run wild there."""
    inside = ((nodes > -0.5) & (nodes < np.array([page.width, page.height]) - 0.5)).all(axis=-1)
    rows, columns = (np.flatnonzero(np.any(inside, axis=k)) for k in (1, 0))
    if not len(rows):
        return nodes
    low = [max(0, at[0] - 1) for at in (rows, columns)]
    high = [min(at[-1] + 2, size) for at, size in zip((rows, columns), nodes.shape, strict=False)]
    return nodes[low[0] : high[0], low[1] : high[1]]


def scaled_by_rows(page: Page, grid: GridFit, *, sure: bool, runtime: Runtime) -> GridFit:
    """Give a map that no printed line confirms the scale by which rows that last about ten seconds last exactly so.

    A percent too much in time costs more than all else. (Pulses are too small to tell the scale so well.)
    """
    length_mm = row_length_mm(page, grid, runtime=runtime)
    if length_mm is None:
        return grid
    standard_mm = min(ROWS_MM, key=lambda mm: abs(np.log(length_mm / mm)))
    near = ROW_NEAR if sure else ROW_NEAR_GUESSED
    return rescaled(grid, length_mm / standard_mm) if abs(length_mm / standard_mm - 1) <= near else grid


def row_length_mm(page: Page, grid: GridFit, *, runtime: Runtime) -> float | None:
    """Return how long the traces of most rows are; None if too few are whole, or they are of many lengths."""
    try:
        rows = find_strips(page, grid, runtime=runtime)
        read = functools.partial(read_strips, page, grid, runtime=runtime)
        readings = read_to_the_ends(read, rows, width_mm=grid.size_mm[0])
    except StageError:
        return None
    begins_mm = begins_after_foot(readings, (), markers_mm=(), scaled=False)
    if begins_mm is not None:
        readings = [beginning_at(reading, at_mm) for reading, at_mm in zip(readings, begins_mm, strict=True)]
    ends = np.array([[[r.row.start_mm, r.row.y_mm], [r.row.end_mm, r.row.y_mm]] for r in readings])
    xy, margin_px = grid.to_page(ends), BORDER_MM * grid.px_per_mm
    whole = ((xy > margin_px) & (xy < np.array([page.width, page.height]) - margin_px)).all(axis=(1, 2))
    lengths = (ends[:, 1, 0] - ends[:, 0, 0])[whole]
    if len(lengths) < LEAST_ROWS:
        return None
    usual = float(np.median(lengths))
    alike = np.abs(lengths / usual - 1) <= ROWS_AGREE
    return float(np.median(lengths[alike])) if alike.sum() >= max(LEAST_ROWS, len(lengths) / 2) else None
