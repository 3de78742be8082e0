"""Paper has squares: a harmonic of the bold lines that stands in for the millimetres of one axis gives way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.stages.grid_search import sides_px_per_mm, squared
from ecgstudio.stages.paper_map import Refined, refine
from tests.ruled_panels import ruled

PX_PER_MM = 4.0
SIZE_MM = (200.0, 150.0)
SCALE = PaperScale(25.0, 10.0, "test")


def sheet() -> NDArray[np.uint8]:
    """Return paper whose millimetre lines are faint beside those of every five."""
    return ruled(SIZE_MM, [(0.0, 0.0, *SIZE_MM)], px_per_mm=PX_PER_MM, fine=18.0, bold=150.0)


def lattice(across: float, down: float, *, size_px: tuple[int, int]) -> GridFit:
    """Return the map of a picture (width, height) whose millimetres are so many pixels long."""
    columns, rows = (int(n / each / GRID_PITCH_MM) + 1 for n, each in zip(size_px, (across, down), strict=True))
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM, np.arange(rows) * GRID_PITCH_MM)
    return GridFit(np.stack([x * across, y * down], axis=-1) - 0.5, SCALE, 0.5)


def size_px(picture: NDArray[np.uint8]) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


@pytest.mark.parametrize("wrong", [(1.25, 1.0), (1.0, 1.25), (0.8, 1.0)])
def test_a_harmonic_along_one_axis_gives_way_to_squares(wrong: tuple[float, float]) -> None:
    paper = sheet()
    found = refine(paper, lattice(PX_PER_MM * wrong[0], PX_PER_MM * wrong[1], size_px=size_px(paper)), anchored=True)
    assert max(sides_px_per_mm(found.grid)) / min(sides_px_per_mm(found.grid)) > 1.2  # nothing else would have told
    assert sides_px_per_mm(squared(paper, found).grid) == pytest.approx((PX_PER_MM, PX_PER_MM), rel=0.005)


def test_squares_stay_as_they_are() -> None:
    paper = sheet()
    found = refine(paper, lattice(PX_PER_MM, PX_PER_MM, size_px=size_px(paper)), anchored=True)
    assert squared(paper, found) is found


def test_paper_that_is_stretched_stays_so() -> None:
    paper = np.asarray(cv2.resize(sheet(), None, fx=1.35, fy=1.0, interpolation=cv2.INTER_AREA), np.uint8)
    found = refine(paper, lattice(1.35 * PX_PER_MM, PX_PER_MM, size_px=size_px(paper)), anchored=True)
    assert found.lines > 0.5
    assert sides_px_per_mm(squared(paper, found).grid) == pytest.approx((1.35 * PX_PER_MM, PX_PER_MM), rel=0.005)


def test_a_bent_sheet_is_squared_by_what_is_seen_at_the_scale_of_its_other_axis() -> None:
    flat = sheet()
    y, x = np.mgrid[: flat.shape[0], : flat.shape[1]].astype(np.float32)

    def bend_px(along_px: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(12.0 * np.sin(along_px / 90.0))  # three millimetres up and down

    bent = cv2.remap(flat, x, y + bend_px(x).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    true = lattice(PX_PER_MM, PX_PER_MM, size_px=size_px(flat)).nodes.copy()
    true[..., 1] -= bend_px(true[..., 0])
    oblong = lattice(PX_PER_MM, PX_PER_MM / 1.2, size_px=size_px(flat))
    found = Refined(oblong, lines=0.9, seen_px=0.5 * flat.shape[0] * flat.shape[1], moved_mm=0.01, rough_mm=0.1)

    def misses_mm(map_: Refined) -> float:
        middle = true[6:-6, 6:-6].reshape(-1, 2)
        away = map_.grid.to_mm(middle) / GRID_PITCH_MM  # nodes lie on nodes, whichever they are called
        return float(np.abs(away - np.round(away)).max() * GRID_PITCH_MM)

    assert misses_mm(squared(bent, found)) > 0.3
    assert misses_mm(squared(bent, found, seen=[true])) < 0.1
