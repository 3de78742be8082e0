"""Looking for a sheet's grid near a rough scale and tilt: two finders of the lattice, and which of them is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import GridMaps, Image, Runtime, Status
from ecgstudio.stages.map_edges import carried_on, flat_beyond_lines, grown, nodes_on_lines
from ecgstudio.stages.panel_map import across_panels
from ecgstudio.stages.paper_map import (
    BOLD,
    SAME_PITCH,
    UNKNOWN_SCALE,
    AxisField,
    Refined,
    fit_cells,
    likeliest,
    nodes_from_cells,
    refine,
    rescaled,
    steadied,
    unwrap_axis,
)
from ecgstudio.stages.rigid_map import rigid
from ecgstudio.stages.row_lines import LEAST_AXIS, RowLines, row_lines
from ecgstudio.stages.view import View, brightest_and_darkest, unshaded, upright_view

NETWORK_PX_PER_MM = 5.0
CELL_PX = 4
MAX_VIEW_PX = 2304
FIELD_CELL_PX, SHADE_PX = 10, 21  # cells of the classical search, and what is wider than its lines, in view pixels
LOW_CONFIDENCE = 0.15
TORN_MM = 0.7  # rougher, and phases are of something else
# slope of rows on a map that is not the paper's (it was below 0.006 on 19 right maps, 0.04 and more on wrong ones)
ASKEW, SURE_ERRORS = 0.025, 2.5
LEAST_SEEN, SLIPPING_MM = 0.02, 0.3  # of the picture; lines that still move so far are none
COHERENT, BESIDE_ROWS_PX = 0.3, 60  # the share was 0.54 and more on maps that were right, 0.04 and less on wrong ones
# a map this well confirmed needs no competitor if its 5-mm lines are bold, or the network sees them as far apart
CLEAR_MERIT = 0.5
SURE_REACH = 0.1  # where pulses told the scale
SQUARE, AS_WELL = 0.12, 0.7  # a sheet seen aslant is foreshortened by less than a wrong harmonic
SPECTRUM_REACH = 0.19  # not as far as the next harmonic of 5-mm lines, a fifth away


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search came to: the view that was looked at, the rows if they had to be, and the map if there is one.

    `grid` is a map that printed lines confirm in more than a corner of the picture, or, where they are too fine or too
    faint for that, one whose phases the network sees on most of the paper between the rows; with its confidence.
    `level` says whether rows are level on it; else it may be of another raster than the paper's.
    """

    view: View
    view_px_per_mm: float
    rows: RowLines | None
    grid: GridFit | None
    level: bool = True


def search(page: Page, keypoints: Keypoints, *, runtime: Runtime, sure: bool = False, status: Status) -> Found:
    """Look for the grid near the scale and tilt of the keypoints; `sure` of the scale, at no other one."""
    height, width = page.pixels.shape[:2]
    view, view_px_per_mm = _view(
        page.pixels, px_per_mm=keypoints.px_per_mm, angle_rad=keypoints.angle_rad, mirrored=keypoints.mirrored
    )
    image = view.pixels(page.pixels)
    candidates: list[Refined] = []
    maps: GridMaps | None = None
    by_phases: Refined | None = None
    agreed = False
    page_px = 0.8 * float(height * width)
    nodes = _from_spectrum(image, view, view_px_per_mm, reach=SURE_REACH if sure else SPECTRUM_REACH)
    if nodes is not None:
        candidates.append(refine(page.pixels, GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE), anchored=False))
    status.checkpoint(0.4, "fine lines")
    if not candidates or not _is_clear(candidates[0], keypoints.px_per_mm, page_px=page_px):
        maps = runtime.grid(image)
        nodes, share = _from_network(maps, view, view_px_per_mm)
        agreed = share >= COHERENT and any(
            _is_merited(c, keypoints.px_per_mm, page_px=page_px) and _is_alike(c.grid, nodes) for c in candidates
        )
        if nodes is not None and not agreed:
            candidates.append(refine(page.pixels, GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE), anchored=True))
            by_phases = candidates[-1] if share >= COHERENT and candidates[-1].rough_mm < TORN_MM else None
    status.checkpoint(0.9, "grid refined")
    if sure:
        candidates = [c for c in candidates if abs(np.log(c.grid.px_per_mm / keypoints.px_per_mm)) < SURE_REACH]
    candidates = [c for c in candidates if not np.isfinite(c.moved_mm) or c.moved_mm < SLIPPING_MM]
    best = likeliest(candidates, keypoints.px_per_mm) if candidates else None
    if best is not None and best.lines > 0:
        sides = sides_px_per_mm(best.grid) if _is_oblong(best) else ()
        near = [
            _from_spectrum(image, view, view_px_per_mm * side / keypoints.px_per_mm, reach=SURE_REACH) for side in sides
        ]
        best = squared(page.pixels, best, seen=[nodes for nodes in near if nodes is not None])
    if best is not None and (best.lines == 0 or best.seen_px < LEAST_SEEN * width * height):
        best = by_phases if by_phases in candidates else None
    if maps is None or agreed or (best is not None and best.bold >= BOLD):
        rows = None
    else:
        rows = row_lines(maps.axis, cell_mm=CELL_PX / view_px_per_mm, border_mm=_border_mm(page, view, view_px_per_mm))
    if best is None:
        return Found(view, view_px_per_mm, rows, None)
    grid = _settled(page.pixels, best)
    level = rows is None or _is_level(grid, rows, view, view_px_per_mm)
    return Found(view, view_px_per_mm, rows, grid, level)


def _settled(pixels: Image, found: Refined) -> GridFit:
    """Return the map of the whole sheet: across its panels, or carried on, and flat where no lines are seen."""
    if found.lines == 0:
        grid = steadied(found.grid)
    elif (panels := across_panels(pixels, found)) is not None:
        found, grid = panels, panels.grid
    else:
        found = carried_on(pixels, grown(pixels, found))
        seen = nodes_on_lines(pixels, found.grid)
        grid = steadied(flat_beyond_lines(found.grid, seen), seen=seen if seen.any() else None)
        straight = rigid(pixels, grid)
        grid = grid if straight is None else straight
    return replace(grid, confidence=_confidence(found))


def squared(pixels: Image, found: Refined, *, seen: Sequence[F64] = ()) -> Refined:
    """Return a map whose millimetres are as long across as down, if the paper confirms one as well; else as found.

    Where millimetre lines are faint, a harmonic of the bold lines may stand in for them along one axis alone. `seen`
    are nodes of other maps, by what repeats near the scale of one axis along both.
    """
    if not _is_oblong(found):
        return found
    across, down = sides_px_per_mm(found.grid)
    others = [
        refine(pixels, rescaled(found.grid, down / across, zoom_down=1.0), anchored=True),
        refine(pixels, rescaled(found.grid, 1.0, zoom_down=across / down), anchored=True),
        *(refine(pixels, GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE), anchored=False) for nodes in seen),
    ]
    better = [o for o in others if o.confirmed_px >= AS_WELL * found.confirmed_px and not _is_oblong(o)]
    return max(better, key=lambda other: other.bold, default=found)


def _is_oblong(found: Refined) -> bool:
    return abs(float(np.log(np.divide(*sides_px_per_mm(found.grid))))) >= SQUARE


def sides_px_per_mm(grid: GridFit) -> tuple[float, float]:
    """Return how many pixels a millimetre has across and down the paper (medians)."""
    across, down = (np.hypot(*np.diff(grid.nodes, axis=axis).reshape(-1, 2).T) for axis in (1, 0))
    return float(np.median(across)) / GRID_PITCH_MM, float(np.median(down)) / GRID_PITCH_MM


def _border_mm(page: Page, view: View, px_per_mm: float) -> F64:
    """Return the picture's corners [4, 2] in mm of a view."""
    corners = np.array([[0, 0], [page.width, 0], [page.width, page.height], [0, page.height]], np.float64) - 0.5
    return (view.from_page(corners) + 0.5) / px_per_mm


def _is_level(grid: GridFit, rows: RowLines, view: View, px_per_mm: float) -> bool:
    """Tell whether most rows are level on a map; else its lines may be those of a screen, or of a table cloth."""
    ends = grid.to_mm(view.to_page(rows.ends.reshape(-1, 2) * px_per_mm - 0.5)).reshape(-1, 2, 2)
    along = (ends[:, 1] - ends[:, 0])[np.isfinite(ends).all(axis=(1, 2))]
    if not len(along):
        return True
    return abs(float(np.median(along[:, 1] / along[:, 0]))) < ASKEW + SURE_ERRORS * rows.slope_error


def seen_px_per_mm(
    pixels: Image, *, px_per_mm: float, angle_rad: float, mirrored: bool, runtime: Runtime
) -> float | None:
    """Return the scale that the network sees in the grid of a page, given a rough one; None where it sees no grid."""
    view, view_px_per_mm = _view(pixels, px_per_mm=px_per_mm, angle_rad=angle_rad, mirrored=mirrored)
    nodes, _ = _from_network(runtime.grid(view.pixels(pixels)), view, view_px_per_mm)
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
    return _is_merited(found, expected_px_per_mm, page_px=page_px) and found.bold >= BOLD


def _is_merited(found: Refined, expected_px_per_mm: float, *, page_px: float) -> bool:
    return found.merit(expected_px_per_mm, paper_px=page_px) >= CLEAR_MERIT


def _is_alike(grid: GridFit, nodes: F64 | None) -> bool:
    """Tell whether other nodes have millimetres as long as those of a grid."""
    if nodes is None:
        return False
    other = GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE)
    return abs(float(np.log(grid.px_per_mm / other.px_per_mm))) < SAME_PITCH


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


def _from_network(maps: GridMaps, view: View, px_per_mm: float) -> tuple[F64 | None, float]:
    """Fit the network's 5-mm phases; also return the share of the paper around the rows on which they are coherent."""
    x_mm, y_mm = _nominal(maps.points.shape, CELL_PX, px_per_mm)
    phase = maps.phase.astype(np.float64)
    x = unwrap_axis(phase[0] + 1j * phase[1], x_mm, period_mm=5.0)
    y = unwrap_axis(phase[2] + 1j * phase[3], y_mm, period_mm=5.0)
    nodes = _nodes(x, y, view, CELL_PX)
    if x is None or y is None or nodes is None:
        return None, 0.0
    reach = BESIDE_ROWS_PX // CELL_PX
    around = cv2.dilate((maps.axis > LEAST_AXIS).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    return nodes, float(np.sqrt(x.weight * y.weight)[around].mean()) if around.any() else 0.0


def _nodes(x: AxisField | None, y: AxisField | None, view: View, cell_px: int) -> F64 | None:
    if x is None or y is None:
        return None
    cell_map = fit_cells(x, y)
    if cell_map is None:
        return None
    return nodes_from_cells(cell_map, cells_to_page=_cells_to_page(view, cell_px))


def _from_spectrum(image: NDArray[np.uint8], view: View, px_per_mm: float, *, reach: float) -> F64 | None:
    """Find a 1-mm grid without emphasis on 5 mm by its local frequency near the scale that stage 0 expects."""
    grey = unshaded(brightest_and_darkest(image)[1], SHADE_PX)
    tapers = [np.hanning(n).astype(np.float32) for n in grey.shape]
    spectrum = np.abs(fft.fft2(grey * tapers[0][:, None] * tapers[1][None, :], workers=max(cv2.getNumThreads(), 1)))
    fy, fx = np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1])[None, :]
    expected = 1.0 / px_per_mm
    shape = (grey.shape[0] // FIELD_CELL_PX, grey.shape[1] // FIELD_CELL_PX)
    fields: list[AxisField | None] = []
    part = grey[: shape[0] * FIELD_CELL_PX, : shape[1] * FIELD_CELL_PX]
    for along, across in ((fx, fy), (fy, fx)):
        near = (np.abs(along - expected) < reach * expected) & (np.abs(across) < 0.08 * expected)
        masked = np.where(near, spectrum, 0)
        peak = np.unravel_index(int(np.argmax(masked)), masked.shape)
        if masked[peak] <= 12 * float(np.median(spectrum[near])):
            return None
        down, right = (
            np.exp(-2j * np.pi * per_px * np.arange(length))
            for per_px, length in zip((fy[peak[0], 0], fx[0, peak[1]]), part.shape, strict=True)
        )
        carrier = down[:, None] * right[None, :]
        cells = [
            cv2.resize((part * wave).astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
            for wave in (carrier.real, carrier.imag)
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


def plain_map(page: Page, keypoints: Keypoints) -> GridFit:
    """Return the lattice that lies on the page as the keypoints say."""
    view, px_per_mm = _view(
        page.pixels, px_per_mm=keypoints.px_per_mm, angle_rad=keypoints.angle_rad, mirrored=keypoints.mirrored
    )
    rows, columns = view.shape
    step = GRID_PITCH_MM * px_per_mm
    x, y = np.meshgrid(np.arange(0, columns + step, step), np.arange(0, rows + step, step))
    nodes = view.to_page(np.stack([x.ravel(), y.ravel()], axis=1) - 0.5).reshape(*x.shape, 2)
    return GridFit(nodes, UNKNOWN_SCALE, LOW_CONFIDENCE / 2)
