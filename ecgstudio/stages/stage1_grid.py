"""Stage 1: where every 5-mm node of the paper lies on the page; the network finds the grid, its lines refine it."""

from __future__ import annotations

from dataclasses import replace

from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages.calibration import decide_scale
from ecgstudio.stages.contract import Runtime, StageError, Status
from ecgstudio.stages.grid_search import search
from ecgstudio.stages.settings import GridSettings
from ecgstudio.stages.unruled import found_by_pulses, grid_by_print, scaled_by_pulses


def fit_grid(page: Page, keypoints: Keypoints, *, runtime: Runtime, settings: GridSettings, status: Status) -> GridFit:
    """Find the paper's lattice and what a millimetre means.

    Where no grid can be found the answer is a map by what is printed, or the plain scale of stage 0, with a low
    confidence; raises StageError only if even that makes no sense.
    """
    if not 0.3 <= keypoints.px_per_mm <= 120:
        hint = "set the scale by hand: mark two points a known distance apart"
        raise StageError("grid", "no paper scale was found", hint)
    found = search(page, keypoints, runtime=runtime, status=status)
    found = found_by_pulses(page, keypoints, found, runtime=runtime, status=status)
    if found.grid is None or not found.level:
        return grid_by_print(page, keypoints, found, runtime=runtime, settings=settings, status=status)
    scale = decide_scale(page, keypoints, found.grid, runtime=runtime, settings=settings)
    if scale.pulse_height_mm is None and (again := scaled_by_pulses(page, keypoints, found.grid, runtime=runtime)):
        return replace(again, scale=decide_scale(page, keypoints, again, runtime=runtime, settings=settings))
    return replace(found.grid, scale=scale)
