"""A page without its rulings: pale traces and names among dark lines stand out for networks that overlooked them.

Ruled lines run along the rows and columns of rectified paper and are measured there (`rulings`); what is darker than
they are is ink, and is drawn in black on white.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import Runtime
from ecgstudio.stages.line_offsets import rectified
from ecgstudio.stages.printed import Label
from ecgstudio.stages.rulings import PART_PX, rulings
from ecgstudio.stages.stage0_keypoints import Pose, keypoints_in_pose
from ecgstudio.stages.view import brightest_and_darkest

CLEAR_PX_PER_MM = 8.0
UPRIGHT = Pose(0, 1.0, CLEAR_PX_PER_MM, 0.0, mirrored=False)  # how the sheet lies in its clear page
ONE_NAME_MM = 4.0  # nearer to one another are two readings of one name
PAPER_MM, PAPER_PERCENTILE, PAPER_PX = 15.0, 90, 16  # paper is what is brighter than most around
COARSE_PX = 8
DARKEST_RULING = 0.6  # of black; ink on darker lines is not told from them
INK_PERCENTILE, LEAST_INK = 99.3, 0.02  # so dark is what is drawn in black


class Cleared:
    """A page without its rulings and what is seen there, made when it is first asked for.

    Names that a human set on the page itself stay.
    """

    def __init__(self, page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime) -> None:
        self.origin = page, grid
        self._keypoints, self._runtime = keypoints, runtime

    @functools.cached_property
    def picture(self) -> tuple[Page, GridFit]:
        """The clear page, and the grid that is the same paper's."""
        return clear_page(*self.origin)

    @functools.cached_property
    def seen(self) -> Keypoints:
        """Names and markers on the clear page."""
        return seen_on_clear(*self.picture, human=(self._keypoints, self.origin[1]), runtime=self._runtime)


def clear_page(page: Page, grid: GridFit) -> tuple[Page, GridFit]:
    """Return a page's rectified ink, black on white, 8 px per mm of paper, and the grid that is the same paper's."""
    columns, rows = (int(round(mm / GRID_PITCH_MM) * GRID_PITCH_MM * CLEAR_PX_PER_MM) for mm in grid.size_mm)
    shape = (rows, columns)
    image = rectified(page.pixels, grid, px_per_mm=CLEAR_PX_PER_MM, origin_mm=(0.0, 0.0), shape=shape)
    bright = brightest_and_darkest(image)[0]
    dark = np.asarray(1 - bright / np.maximum(_paper(bright), 1), np.float32)
    cells = on_picture(page, grid, (rows // COARSE_PX, columns // COARSE_PX), cell_mm=COARSE_PX / CLEAR_PX_PER_MM)
    inside = np.repeat(np.repeat(cells, COARSE_PX, axis=0), COARSE_PX, axis=1)
    ruled = rulings(dark, inside, columns_px=PART_PX)
    ink = np.where(inside, (dark - ruled) / (1 - np.clip(ruled, 0, DARKEST_RULING)), 0)
    black = max(float(np.percentile(ink[inside], INK_PERCENTILE)) if inside.any() else 1.0, LEAST_INK)
    drawn = np.asarray(255 * (1 - np.clip(ink / black, 0, 1)), np.uint8)
    x, y = (np.arange(n) * GRID_PITCH_MM * CLEAR_PX_PER_MM - 0.5 for n in grid.nodes.shape[1::-1])
    nodes = np.stack(np.meshgrid(x, y), axis=-1)
    return replace(page, pixels=np.repeat(drawn[..., None], 3, axis=2), lines=()), replace(grid, nodes=nodes)


def seen_on_clear(clear: Page, lattice: GridFit, *, human: tuple[Keypoints, GridFit], runtime: Runtime) -> Keypoints:
    """Find the lead names and pulses of a clear page; those that a `human` set on the page itself stay.

    Its scale is the page's own, and not looked for again.
    """
    seen = keypoints_in_pose(clear, UPRIGHT, runtime=runtime, scales=False)
    keypoints, grid = human
    told = np.flatnonzero(keypoints.confidence >= 1)
    if not len(told):
        return seen
    at_mm, theirs = grid.to_mm(keypoints.xy[told]), lattice.to_mm(seen.xy)
    away = np.hypot(*np.moveaxis(theirs[:, None] - at_mm[None], -1, 0))
    free = np.flatnonzero((away > ONE_NAME_MM).all(axis=1))
    return replace(
        seen,
        names=(*(keypoints.names[i] for i in told), *(seen.names[i] for i in free)),
        xy=np.concatenate([lattice.to_page(at_mm), seen.xy[free]]),
        confidence=np.concatenate([keypoints.confidence[told], seen.confidence[free]]),
    )


def names_joined(labels: Sequence[Label], seen: Sequence[Label]) -> list[Label]:
    """Return the names read on a page and those `seen` on its clear page besides, or more surely in their places."""
    out = list(labels)
    for label in seen:
        here = [each for each in out if np.hypot(each.x_mm - label.x_mm, each.y_mm - label.y_mm) < ONE_NAME_MM]
        if all(each.lead != label.lead and each.confidence < label.confidence for each in here):
            out = [*(each for each in out if each not in here), label]
    return out


def on_picture(page: Page, grid: GridFit, shape: tuple[int, ...], *, cell_mm: float) -> NDArray[np.bool_]:
    """Mark the cells of rectified paper that lie on the picture."""
    xy = grid.lattice_to_page((np.arange(shape[1]) + 0.5) * cell_mm, (np.arange(shape[0]) + 0.5) * cell_mm)
    return np.asarray((xy > -0.5).all(axis=-1) & (xy[..., 0] < page.width - 0.5) & (xy[..., 1] < page.height - 0.5))


def _paper(bright: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how bright the paper is around each pixel."""
    small = cv2.resize(bright, None, fx=1 / PAPER_PX, fy=1 / PAPER_PX, interpolation=cv2.INTER_AREA)
    size = round(PAPER_MM * CLEAR_PX_PER_MM / PAPER_PX)
    around = ndimage.percentile_filter(small, PAPER_PERCENTILE, size=size, mode="nearest").astype(np.float32)
    return np.asarray(cv2.resize(around, bright.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
