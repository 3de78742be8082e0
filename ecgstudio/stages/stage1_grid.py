"""Stage 1: where every 5-mm node of the paper lies on the page; the network finds the grid, its lines refine it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.calibration import decide_scale
from ecgstudio.stages.contract import GridMaps, Image, Runtime, StageError, Status
from ecgstudio.stages.paper_map import (
    BOLD,
    UNKNOWN_SCALE,
    AxisField,
    Refined,
    fit_cells,
    likeliest,
    nodes_from_cells,
    refine,
    steadied,
    unwrap_axis,
)
from ecgstudio.stages.settings import GridSettings
from ecgstudio.stages.unruled import scaled_by_rows
from ecgstudio.stages.view import View, brightest_and_darkest, upright_view

NETWORK_PX_PER_MM = 5.0
CELL_PX = 4
MAX_VIEW_PX = 2304
FIELD_CELL_PX = 10  # cells of the classical search, in view pixels
LOW_CONFIDENCE = 0.15
CLEAR_MERIT = 0.5  # a map this well confirmed needs no competitor, if its 5-mm lines are bold
SPECTRUM_REACH = 0.19  # not as far as the next harmonic of 5-mm lines, a fifth away


def fit_grid(page: Page, keypoints: Keypoints, *, runtime: Runtime, settings: GridSettings, status: Status) -> GridFit:
    """Find the paper's lattice and what a millimetre means.

    Where no grid can be found the answer is the plain scale of stage 0 with a low confidence; raises StageError
    only if even that makes no sense.
    """
    height, width = page.pixels.shape[:2]
    if not 0.3 <= keypoints.px_per_mm <= 120:
        hint = "set the scale by hand: mark two points a known distance apart"
        raise StageError("grid", "no paper scale was found", hint)
    view, view_px_per_mm = _view(
        page.pixels, px_per_mm=keypoints.px_per_mm, angle_rad=keypoints.angle_rad, mirrored=keypoints.mirrored
    )
    image = view.pixels(page.pixels)
    candidates: list[Refined] = []
    page_px = 0.8 * float(height * width)
    nodes = _from_spectrum(image, view, view_px_per_mm)
    if nodes is not None:
        candidates.append(refine(page.pixels, GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE), anchored=False))
    status.checkpoint(0.4, "fine lines")
    if not candidates or not _is_clear(candidates[0], keypoints.px_per_mm, page_px=page_px):
        nodes = _from_network(runtime.grid(image), view, view_px_per_mm)
        if nodes is not None:
            candidates.append(refine(page.pixels, GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE), anchored=True))
    status.checkpoint(0.9, "grid refined")
    best = likeliest(candidates, keypoints.px_per_mm) if candidates else None
    if best is not None:
        grid, confidence = steadied(best.grid), _confidence(best)
    else:
        grid, confidence = GridFit(_plain(view, view_px_per_mm), UNKNOWN_SCALE, LOW_CONFIDENCE), LOW_CONFIDENCE / 2
    if best is None or best.confirmed_px == 0:
        grid = scaled_by_rows(page, grid, runtime=runtime)
    scale = decide_scale(page, keypoints, grid, runtime=runtime, settings=settings)
    return GridFit(grid.nodes, scale, confidence)


def seen_px_per_mm(
    pixels: Image, *, px_per_mm: float, angle_rad: float, mirrored: bool, runtime: Runtime
) -> float | None:
    """Return the scale that the network sees in the grid of a page, given a rough one; None where it sees no grid."""
    view, view_px_per_mm = _view(pixels, px_per_mm=px_per_mm, angle_rad=angle_rad, mirrored=mirrored)
    nodes = _from_network(runtime.grid(view.pixels(pixels)), view, view_px_per_mm)
    return None if nodes is None else GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE).px_per_mm


def _view(pixels: Image, *, px_per_mm: float, angle_rad: float, mirrored: bool) -> tuple[View, float]:
    """Return the upright view that the network likes, and its pixels per mm: fewer on a long picture."""
    height, width = pixels.shape[:2]
    view = upright_view(
        (width, height), px_per_mm=px_per_mm, angle_rad=angle_rad, mirrored=mirrored,
        view_px_per_mm=NETWORK_PX_PER_MM, max_side_px=MAX_VIEW_PX,
    )  # fmt: skip
    return view, px_per_mm / float(np.sqrt(abs(np.linalg.det(view.matrix))))


def _is_clear(found: Refined, expected_px_per_mm: float, *, page_px: float) -> bool:
    """Tell whether a map of 1-mm lines needs no competitor: well confirmed, and every fifth line is seen to be bold.

    The fourth or sixth harmonic of 5-mm lines looks like 1-mm lines where stage 0 expects them at a wrong scale.
    """
    return found.merit(expected_px_per_mm, paper_px=page_px) >= CLEAR_MERIT and found.bold >= BOLD


def _confidence(found: Refined) -> float:
    """Judge a map by how much of the paper confirms it and how smooth it is."""
    confirmed = min(found.lines / 0.45, 1.0)
    steady = float(np.exp(-found.moved_mm / 0.25)) if np.isfinite(found.moved_mm) else 0.4
    smooth = float(np.exp(-((found.rough_mm / 0.6) ** 2)))
    return float(np.clip((0.2 + 0.8 * confirmed) * (0.4 + 0.6 * steady) * smooth, 0.02, 0.99))


def _cells_to_page(view: View, cell_px: int) -> F64:
    offset = (cell_px - 1) / 2
    return np.column_stack([view.matrix * cell_px, view.origin + view.matrix @ np.array([offset, offset])])


def _nominal(shape: tuple[int, int], cell_px: int, px_per_mm: float) -> tuple[F64, F64]:
    c, r = np.meshgrid(np.arange(shape[1], dtype=np.float64), np.arange(shape[0], dtype=np.float64))
    return (c + 0.5) * cell_px / px_per_mm, (r + 0.5) * cell_px / px_per_mm


def _from_network(maps: GridMaps, view: View, px_per_mm: float) -> F64 | None:
    """Fit the network's 5-mm phases."""
    x_mm, y_mm = _nominal(maps.points.shape, CELL_PX, px_per_mm)
    phase = maps.phase.astype(np.float64)
    x = unwrap_axis(phase[0] + 1j * phase[1], x_mm, period_mm=5.0)
    y = unwrap_axis(phase[2] + 1j * phase[3], y_mm, period_mm=5.0)
    return _nodes(x, y, view, CELL_PX)


def _nodes(x: AxisField | None, y: AxisField | None, view: View, cell_px: int) -> F64 | None:
    if x is None or y is None:
        return None
    cell_map = fit_cells(x, y)
    if cell_map is None:
        return None
    return nodes_from_cells(cell_map, cells_to_page=_cells_to_page(view, cell_px))


def _from_spectrum(image: NDArray[np.uint8], view: View, px_per_mm: float) -> F64 | None:
    """Find a 1-mm grid without emphasis on 5 mm by its local frequency near the scale that stage 0 expects."""
    grey = brightest_and_darkest(image)[1].astype(np.float32)
    grey -= cv2.blur(grey, (21, 21))
    limit = 3 * float(np.median(np.abs(grey))) + 2
    np.clip(grey, -limit, limit, out=grey)
    taper = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])[None, :]
    spectrum = np.abs(np.fft.fft2(grey * taper))
    fy, fx = np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1])[None, :]
    expected = 1.0 / px_per_mm
    shape = (grey.shape[0] // FIELD_CELL_PX, grey.shape[1] // FIELD_CELL_PX)
    fields: list[AxisField | None] = []
    yy, xx = np.mgrid[: shape[0] * FIELD_CELL_PX, : shape[1] * FIELD_CELL_PX]
    for along, across in ((fx, fy), (fy, fx)):
        near = (np.abs(along - expected) < SPECTRUM_REACH * expected) & (np.abs(across) < 0.08 * expected)
        masked = np.where(near, spectrum, 0)
        peak = np.unravel_index(int(np.argmax(masked)), masked.shape)
        if masked[peak] <= 12 * float(np.median(spectrum[near])):
            return None
        carrier = 2 * np.pi * (fx[0, peak[1]] * xx + fy[peak[0], 0] * yy)
        part = grey[: yy.shape[0], : yy.shape[1]]
        cells = [
            cv2.resize((part * wave).astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
            for wave in (np.cos(carrier), -np.sin(carrier))
        ]
        vector = -(ndimage.gaussian_filter(cells[0], 1.0) + 1j * ndimage.gaussian_filter(cells[1], 1.0))
        strength = np.abs(vector)
        vector = vector / (strength + 0.5 * float(np.percentile(strength, 80)))
        c, r = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
        middle = np.stack([(c + 0.5) * FIELD_CELL_PX - 0.5, (r + 0.5) * FIELD_CELL_PX - 0.5])
        # the measured frequency defines the millimetre; the phase left over is slow
        ramp = fx[0, peak[1]] * middle[0] + fy[peak[0], 0] * middle[1]
        fields.append(unwrap_axis(vector * np.exp(2j * np.pi * ramp), ramp, period_mm=1.0))
    return _nodes(fields[0], fields[1], view, FIELD_CELL_PX)


def _plain(view: View, px_per_mm: float) -> F64:
    """Return the lattice of the unrefined upright view."""
    rows, columns = view.shape
    step = 5.0 * px_per_mm
    x, y = np.meshgrid(np.arange(0, columns + step, step), np.arange(0, rows + step, step))
    return view.to_page(np.stack([x.ravel(), y.ravel()], axis=1) - 0.5).reshape(*x.shape, 2)
