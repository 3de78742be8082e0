"""Measuring the printed lines of rectified paper against its map, block by block, by demodulation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import unwrap_phase

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit
from ecgstudio.stages.view import coarse_centres, unshaded, upsampled

Complex = NDArray[np.complex128]
Image = NDArray[np.uint8]

RASTER_STEP_PX = 4  # the map is smooth: linear between every fourth pixel is exact to 0.01 px
REFINE_PX_PER_MM, GROW_PX_PER_MM, COARSE_PX_PER_MM = 8.0, 6.4, 4.8
BETWEEN_HARMONICS = 0.1  # cycles per mm: half-way between the harmonics of 5-mm lines


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of refinement: which lines, averaged over which blocks, how smooth the correction is.

    A pass that grows unwraps the phase, so that it may follow the sheet out of the region that was known; the others
    take each offset as less than half a period.
    """

    period_mm: float
    block_mm: float
    blur: float
    sigma: float
    grows: bool
    px_per_mm: float = REFINE_PX_PER_MM  # whole pixels in a block


FIVE_MM = Step(5.0, 5.0, 1.5, 1.6, grows=False)
ONE_MM = (
    Step(1.0, 2.5, 0.8, 2.2, grows=True, px_per_mm=GROW_PX_PER_MM),
    Step(1.0, 2.5, 1.2, 2.0, grows=True, px_per_mm=GROW_PX_PER_MM),
    Step(1.0, 2.5, 1.5, 1.6, grows=False),
)
POLISH = Step(1.0, 2.5, 1.5, 1.6, grows=False)  # where the ink can be told from the lines


def rectified(
    pixels: Image, grid: GridFit, *, px_per_mm: float, origin_mm: tuple[float, float], shape: tuple[int, int]
) -> Image:
    """Sample original pixels once into a rectified raster; pixel (0, 0) has its centre half a pixel from the origin."""
    at, coarse_shape = coarse_centres(shape, RASTER_STEP_PX)
    mm = (at + 0.5) / px_per_mm + np.array(origin_mm)
    page = grid.lattice_to_page(mm[: coarse_shape[1], 0], mm[:: coarse_shape[1], 1])
    # pages finer than the raster are averaged first, so that nothing aliases
    zoom = grid.px_per_mm / px_per_mm
    if zoom > 1.35:
        small = cv2.resize(pixels, None, fx=1 / zoom, fy=1 / zoom, interpolation=cv2.INTER_AREA)
        scale = np.array([small.shape[1] / pixels.shape[1], small.shape[0] / pixels.shape[0]])
        page, pixels = (page + 0.5) * scale - 0.5, small
    at_px = upsampled(page.astype(np.float32), shape, RASTER_STEP_PX)
    # one map of x and y: two of them, each every second number in memory, take three times as long
    out = cv2.remap(pixels, at_px, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def line_offsets(grey: Image, grid: GridFit, step: Step) -> tuple[F64, F64]:
    """Measure by demodulation how far each block's printed lines lie from the map: mm [R, C, 2] and weights.

    The weight compares the line's own frequency with neighbouring ones that carry no lines.
    """
    width_mm, height_mm = grid.size_mm
    period_mm, block_mm, px_per_mm = step.period_mm, step.block_mm, step.px_per_mm
    block = round(block_mm * px_per_mm)
    shape = (round(height_mm / block_mm) * block, round(width_mm / block_mm) * block)
    raster = rectified(grey, grid, px_per_mm=px_per_mm, origin_mm=(0.0, 0.0), shape=shape)
    image = unshaded(raster, 2 * block + 1)
    rows, columns = shape[0] // block, shape[1] // block
    deltas, weights = [], []
    for axis in (0, 1):
        # a wave that goes along one axis leaves the mean over a block's other one as it is
        across = (shape[1], rows) if axis == 0 else (columns, shape[0])
        mean = cv2.resize(image, across, interpolation=cv2.INTER_AREA)
        profile = mean.reshape((rows, columns, block) if axis == 0 else (rows, block, columns))
        position_mm = ((np.arange(shape[1 - axis], dtype=np.float64) + 0.5) / px_per_mm).reshape(-1, block)

        line, *beside = (
            _demodulated(profile, position_mm, 1.0 / period_mm + aside, axis=axis, blur=step.blur)
            for aside in (0.0, BETWEEN_HARMONICS, -BETWEEN_HARMONICS)
        )
        noise = (np.abs(beside[0]) + np.abs(beside[1])) / 2
        floor = ndimage.gaussian_filter(noise, 3.0, mode="nearest") + 0.02
        power = np.abs(line) ** 2
        # lines are dark: their phase is that of a minimum, half a turn away; `delta` is true minus assumed mm
        weight = power / (power + (2.5 * floor) ** 2)
        turns = np.angle(-line) / (2 * np.pi)
        if step.grows:
            turns, weight = _unwrapped(turns, weight)
        deltas.append(turns * period_mm)
        weights.append(weight)
    return np.stack(deltas, axis=-1), np.stack(weights, axis=-1)


def _demodulated(
    profile: NDArray[np.float32], position_mm: F64, cycles_per_mm: float, *, axis: int, blur: float
) -> Complex:
    """Return how strongly each block, averaged across, repeats at a frequency, with its phase, among its neighbours."""
    wave = (np.exp(-2j * np.pi * cycles_per_mm * position_mm) / position_mm.shape[1]).astype(np.complex64)
    found = np.einsum("rcb,cb->rc" if axis == 0 else "rbc,rb->rc", profile, wave)
    return np.asarray(ndimage.gaussian_filter(found.astype(np.complex128), blur, mode="nearest"))


def _unwrapped(turns: F64, weight: F64) -> tuple[F64, F64]:
    """Unwrap phases (in turns) over the largest coherent region; elsewhere the weight becomes 0."""
    regions, count = ndimage.label(ndimage.binary_opening(weight > 0.4))
    if count == 0:
        return turns, np.zeros_like(weight)
    sizes = ndimage.sum(weight, regions, np.arange(1, count + 1))
    main = regions == 1 + int(np.argmax(sizes))
    if main.sum() < 12:
        return turns, np.zeros_like(weight)
    phase = unwrap_phase(np.ma.masked_array(turns * 2 * np.pi, ~main))
    whole = np.ma.filled(phase, 0.0) / (2 * np.pi)
    whole -= np.round(np.median(whole[main]))
    return whole, np.where(main, weight, 0.0)
