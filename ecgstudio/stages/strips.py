"""Cutting strips for the trace network: rectified, sampled once from the original pixels, normalised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.grid import GridFit
from ecgstudio.core.page import Page
from ecgstudio.stages.line_offsets import rectified
from ecgstudio.stages.view import brightest_and_darkest

STRIP_PX_PER_MM = 8.0
CONTRAST = 0.25  # share of full scale that becomes one


def cut_strip(
    page: Page, grid: GridFit, *, x0_mm: float, centre_mm: float, half_px: int, width_px: int
) -> NDArray[np.float32]:
    """Return [2, 2 * half_px, width_px]: the brightest and the darkest channel, 0..1, around a level line."""
    origin = (x0_mm, centre_mm - half_px / STRIP_PX_PER_MM)
    rgb = rectified(page.pixels, grid, px_per_mm=STRIP_PX_PER_MM, origin_mm=origin, shape=(2 * half_px, width_px))
    return np.stack(brightest_and_darkest(rgb)).astype(np.float32) / np.float32(255)


def normalised(strips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring strips [B, 2, H, W] to the trace network's range: about the mean of their own brightest channel."""
    middle = np.array([strip[0].mean(dtype=np.float32) for strip in strips], np.float32)
    out = strips - middle[:, None, None, None]
    out *= np.float32(1 / CONTRAST)
    return out
