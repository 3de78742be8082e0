"""Stage 1 in perspective: where a human placed the sheet's corners, the grid is looked for on the flattened sheet.

The nodes go back to the pixels of the page as it is, so that later stages sample those and no flattened copy.
"""

from __future__ import annotations

from dataclasses import replace

from ecgstudio.core.geometry import apply_homography
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages import stage1_grid
from ecgstudio.stages.contract import Runtime, Status
from ecgstudio.stages.flat_sheet import flattened
from ecgstudio.stages.settings import GridSettings


def fit_grid(page: Page, keypoints: Keypoints, *, runtime: Runtime, settings: GridSettings, status: Status) -> GridFit:
    """Find the paper's lattice and what a millimetre means, in the perspective of the corners if there are any."""
    if keypoints.corners is None:
        return stage1_grid.fit_grid(page, keypoints, runtime=runtime, settings=settings, status=status)
    flat = flattened(page, keypoints, corners=keypoints.corners)
    grid = stage1_grid.fit_grid(flat.page, flat.keypoints, runtime=runtime, settings=settings, status=status)
    return replace(grid, nodes=apply_homography(flat.to_page, grid.nodes))
