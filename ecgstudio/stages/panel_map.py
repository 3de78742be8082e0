"""The paper map of a page whose leads stand on ruled panels of their own, with blank paper between them.

The lines of one panel do not go on in the next: its raster begins where it begins. A map that takes all lines for one
raster squeezes or stretches the paper around each gap by up to half a millimetre. Here each panel's raster may lie
where it likes; what all panels tell together is how the millimetres of the page run.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.stages.line_offsets import ONE_MM, Image, Step, line_offsets, rectified
from ecgstudio.stages.paper_map import Refined, shifted, smooth_map
from ecgstudio.stages.view import brightest_and_darkest

MASK_PX_PER_MM = 4.0
THICKEST_PX, WINDOW_MM = 5, 2.0
ALONG_MM = 4.25  # so far each line is looked at along itself: noise has no direction
RULED, RULED_PERCENTILE, BLANK_PERCENTILE = 0.35, 90, 2  # between the strength on blank paper and that of lines
CLOSE_MM, OPEN_MM = 5.75, 8.0  # lines 5 mm apart are one area; text and pulses are none
LEAST_PANEL_MM2, FILLING, LEAST_PANELS = 600.0, 0.8, 3
ALL_ON_PANELS = 0.8  # of what is ruled
BLURS_INSIDE = 1.5  # nearer to a panel's edge the lines of two panels, or of none, are measured
MOST_GROWTH = 3.0  # of the known part, when the map is carried on over the whole picture
MOST_SLOPE, FINER = 0.05, 4  # by so much the first guess of the scale may be off; zero-padding of the transform
ORDERS, PASSES = (1, 2, 3), 3
PLAIN_MM = 0.006  # rms of what a fit of a lower order may leave
LEAST_BLOCKS, LEAST_LINES = 6, 0.5
HUBER = 1.5  # medians of what is left
STEADY_MM = 0.08  # rms of what is left: more, and the panels are no explanation


def across_panels(pixels: Image, found: Refined) -> Refined | None:
    """Return the map that all panels agree on, each with a raster of its own; None if the page has no panels."""
    darkest = brightest_and_darkest(pixels)[1]
    grid = _flat_over(found.grid, darkest.shape)
    panels = ruled_panels(darkest, replace(found, grid=grid))
    if panels is None:
        return None
    grid, rough_mm = _on_panels(darkest, grid, panels)
    flat, flat_mm = _on_panels(darkest, _flat_where(grid, panels), panels)
    if flat_mm < rough_mm:  # bends that all lines as one raster had led to are none of the sheet's
        grid, rough_mm = flat, flat_mm
    if rough_mm > STEADY_MM:
        return None
    return replace(found, grid=grid, rough_mm=rough_mm, moved_mm=min(found.moved_mm, rough_mm))


def _on_panels(darkest: Image, grid: GridFit, panels: NDArray[np.int32]) -> tuple[GridFit, float]:
    """Return the map moved onto the lines of all panels, and what that leaves (rms, mm)."""
    rough_mm, step = np.inf, ONE_MM[-1]
    blocks = _of_blocks(panels, step)
    grid = shifted(grid, _common_slope(*line_offsets(darkest, grid, step), blocks), block_mm=step.block_mm)
    for _ in range(PASSES):
        shift, rough_mm = _common_shift(*line_offsets(darkest, grid, step), blocks)
        if shift is not None:
            grid = shifted(grid, shift, block_mm=step.block_mm)
    return grid, rough_mm


def _flat_where(grid: GridFit, panels: NDArray[np.int32]) -> GridFit:
    """Return the map of a flat sheet that lies nearest to a map where it has panels."""
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM, np.arange(rows) * GRID_PITCH_MM)
    at = [np.minimum((mm * MASK_PX_PER_MM).astype(int), n - 1) for mm, n in zip((y, x), panels.shape, strict=True)]
    mm, on = np.stack([x, y], axis=-1), panels[at[0], at[1]] > 0
    return replace(grid, nodes=apply_homography(fit_homography(mm[on], grid.nodes[on]), mm))


def _flat_over(grid: GridFit, shape: tuple[int, ...]) -> GridFit:
    """Return a flat sheet's map of a whole picture (height, width) that lies nearest to a map of a part of it."""
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM, np.arange(rows) * GRID_PITCH_MM)
    to_page = fit_homography(np.stack([x.ravel(), y.ravel()], axis=1), grid.nodes.reshape(-1, 2))
    height, width = shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5
    corners_mm = apply_homography(np.asarray(np.linalg.inv(to_page), np.float64), corners)
    if not np.isfinite(corners_mm).all() or (np.ptp(corners_mm, axis=0) > MOST_GROWTH * np.array(grid.size_mm)).any():
        return smooth_map(grid, order=1)
    low = np.minimum(np.floor(corners_mm.min(axis=0) / GRID_PITCH_MM), 0).astype(int)
    high = np.maximum(np.ceil(corners_mm.max(axis=0) / GRID_PITCH_MM).astype(int), [columns - 1, rows - 1])
    x, y = np.meshgrid(*(np.arange(a, b + 1) * GRID_PITCH_MM for a, b in zip(low, high, strict=True)))
    nodes = apply_homography(to_page, np.stack([x, y], axis=-1).astype(np.float64))
    return GridFit(nodes, grid.scale, grid.confidence)


def ruled_panels(darkest: Image, found: Refined) -> NDArray[np.int32] | None:
    """Return the number of the panel at each place of the map, MASK_PX_PER_MM a mm, 0 between; None if there is none.

    Panels are ruled, rectangular, and hold nearly all that is ruled.
    """
    width_mm, height_mm = found.grid.size_mm
    shape = (int(height_mm * MASK_PX_PER_MM), int(width_mm * MASK_PX_PER_MM))
    image = rectified(darkest, found.grid, px_per_mm=MASK_PX_PER_MM, origin_mm=(0.0, 0.0), shape=shape)
    # beyond the picture nothing is ruled, though its border seems to go on as stripes
    inside = np.pad(np.full((darkest.shape[0] - 2, darkest.shape[1] - 2), 255, np.uint8), 1)
    known = rectified(inside, found.grid, px_per_mm=MASK_PX_PER_MM, origin_mm=(0.0, 0.0), shape=shape) > 200
    if not known.any():
        return None
    upright, level = (_lined(turned, at) for turned, at in ((image, known), (image.T, known.T)))
    opened = np.ones((round(OPEN_MM * MASK_PX_PER_MM),) * 2, np.uint8)
    ruled = cv2.morphologyEx(upright & np.ascontiguousarray(level.T), cv2.MORPH_OPEN, opened)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ruled)
    area, box = stats[:, cv2.CC_STAT_AREA], stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
    kept = [k for k in range(1, count) if area[k] >= LEAST_PANEL_MM2 * MASK_PX_PER_MM**2 and area[k] > FILLING * box[k]]
    if len(kept) < LEAST_PANELS or area[kept].sum() < ALL_ON_PANELS * area[1:].sum():
        return None
    numbers = np.zeros(count, np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return np.asarray(numbers[labels])


def _lined(image: Image, known: NDArray[np.bool_]) -> Image:
    """Return where upright lines are at most CLOSE_MM apart: 1 or 0.

    Between two panels side by side that may be so, too, but not for the lines across, and the other way round.
    """
    along, window = (round(mm * MASK_PX_PER_MM) for mm in (ALONG_MM, WINDOW_MM))
    smooth = cv2.boxFilter(np.ascontiguousarray(image), cv2.CV_32F, (1, along))
    lines = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, np.ones((1, THICKEST_PX), np.uint8)) - smooth
    lines = np.where(known, np.minimum(lines, 3.0 * float(np.median(lines[known])) + 2.0), 0.0).astype(np.float32)
    strength = cv2.blur(lines, (window, 1))  # not along: a trace must cast no shade on the blank beside it
    blank, usual = np.percentile(strength[known], [BLANK_PERCENTILE, RULED_PERCENTILE])
    blank = min(blank, usual / 2)
    lined = (strength > blank + RULED * (usual - blank)).astype(np.uint8)
    close = np.ones((1, round(CLOSE_MM * MASK_PX_PER_MM)), np.uint8)
    return np.asarray(cv2.morphologyEx(lined, cv2.MORPH_CLOSE, close), np.uint8)


def _of_blocks(panels: NDArray[np.int32], step: Step) -> NDArray[np.int32]:
    """Return the panel in which each block of a step lies well inside, else 0."""
    reach = round((BLURS_INSIDE * step.blur + 0.5) * step.block_mm * MASK_PX_PER_MM)
    size = (2 * reach + 1, 2 * reach + 1)
    low, high = ndimage.minimum_filter(panels, size), ndimage.maximum_filter(panels, size)
    inside = np.where(low == high, panels, 0)
    at = [
        np.minimum(
            ((np.arange(int(n / MASK_PX_PER_MM / step.block_mm) + 2) + 0.5) * step.block_mm * MASK_PX_PER_MM), n - 1
        )
        for n in panels.shape
    ]
    return np.asarray(inside[np.ix_(at[0].astype(int), at[1].astype(int))])


def _common_slope(delta: F64, weight: F64, blocks: NDArray[np.int32]) -> F64:
    """Return the shift [R, C, 2] (mm) that grows evenly over the page and makes each panel's lines most coherent.

    Offsets are known but for whole millimetres; where each panel's raster begins does not matter to the modulus of
    its own transform, so the panels' moduli add up where the slope is right.
    """
    rows, columns = delta.shape[:2]
    panel = blocks[:rows, :columns]
    size = (cv2.getOptimalDFTSize(FINER * rows), cv2.getOptimalDFTSize(FINER * columns))
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None, :]
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    near = np.maximum(np.abs(fy), np.abs(fx)) <= MOST_SLOPE * ONE_MM[-1].block_mm
    shift = np.zeros(delta.shape)
    for k in (0, 1):
        phase = weight[..., k] * np.exp(2j * np.pi * delta[..., k])
        spectrum = np.zeros(size)
        for number in range(1, int(panel.max(initial=0)) + 1):
            spectrum += np.abs(np.fft.fft2(np.where(panel == number, phase, 0), size))
        peak = np.unravel_index(int(np.argmax(np.where(near, spectrum, -1.0))), size)
        shift[..., k] = fy[peak[0], 0] * (y - rows / 2) + fx[0, peak[1]] * (x - columns / 2)
    return shift


def _common_shift(delta: F64, weight: F64, blocks: NDArray[np.int32]) -> tuple[F64 | None, float]:
    """Return the shift [R, C, 2] (mm) that all panels agree on but for one offset each, and what that leaves (rms)."""
    rows, columns = delta.shape[:2]
    panel = blocks[:rows, :columns]
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    best: tuple[F64 | None, float] = None, np.inf
    for order in ORDERS:
        terms = np.stack([x**i * y**j for i in range(order + 1) for j in range(order + 1 - i) if i + j], axis=-1)
        shift, left_mm = _fitted(delta, weight, panel, terms)
        if left_mm < best[1]:
            best = shift, left_mm
        if left_mm < PLAIN_MM:  # beyond the panels a bend that nothing asks for would go astray
            break
    return best


def _fitted(delta: F64, weight: F64, panel: NDArray[np.int32], terms: F64) -> tuple[F64 | None, float]:
    """Fit terms [R, C, T] and one offset for each panel to the blocks' offsets, robustly."""
    shift, left = np.zeros(delta.shape), []
    for k in (0, 1):
        sure = (panel > 0) & (weight[..., k] > LEAST_LINES)
        values, which = delta[..., k][sure], panel[sure]
        numbers = [n for n in np.unique(which) if (which == n).sum() >= LEAST_BLOCKS]
        if len(numbers) < LEAST_PANELS:
            return None, np.inf
        offsets = np.stack([which == n for n in numbers], axis=1).astype(np.float64)
        used = offsets.any(axis=1)
        values, which, offsets, own = values[used], which[used], offsets[used], terms[sure][used]
        for number in numbers:  # nearest to each other within a panel, whole millimetres do not matter
            mine = which == number
            mean = np.angle(np.exp(2j * np.pi * values[mine]).mean()) / (2 * np.pi)
            values[mine] = mean + (values[mine] - mean + 0.5) % 1.0 - 0.5
        trust = np.ones(len(values))
        for _ in range(5):
            root = np.sqrt(trust)[:, None]
            solved, *_ = np.linalg.lstsq(root * np.hstack([own, offsets]), root[:, 0] * values, rcond=None)
            miss = np.abs(values - np.hstack([own, offsets]) @ solved)
            trust = np.minimum(1.0, HUBER * (np.median(miss) + 1e-6) / (miss + 1e-9))
        shift[..., k] = terms @ solved[: terms.shape[-1]]
        left.append(float(np.sqrt((trust * miss**2).sum() / trust.sum())))
    return shift, max(left)
