"""Panels with rasters of their own: what all agree on is the paper's millimetre, and nothing bends at the gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.stages.panel_map import MASK_PX_PER_MM, across_panels, ruled_panels
from ecgstudio.stages.paper_map import Refined, refine
from tests.ruled_panels import Box, panels_side_by_side, ruled

PX_PER_MM = 6.0
SIZE_MM = (160.0, 140.0)
SCALE = PaperScale(25.0, 10.0, "test")


def flat(px_per_mm: float, size_mm: tuple[float, float]) -> GridFit:
    x, y = np.meshgrid(np.arange(0, size_mm[0] + 1, 5.0), np.arange(0, size_mm[1] + 1, 5.0))
    return GridFit(np.stack([x, y], axis=-1) * px_per_mm - 0.5, SCALE, 0.5)


def worst_mm(grid: GridFit, panels: list[Box]) -> float:
    """Return by how many mm the sides of a panel, less a margin, are measured wrong at most."""
    worst = 0.0
    for left, top, width, height in panels:
        ends = np.array([[left + 4, top + 4], [left + width - 4, top + height - 4]])
        measured = np.diff(grid.to_mm(ends * PX_PER_MM - 0.5), axis=0) - np.diff(ends, axis=0)
        worst = max(worst, float(np.abs(measured).max()))
    return worst


@settings(deadline=None, max_examples=5)
@given(gap_mm=st.floats(4.3, 7.7), scale=st.floats(0.995, 1.005))
@example(gap_mm=4.75, scale=0.996)  # all lines taken as one raster lead astray most at about five millimetres
@example(gap_mm=5.05, scale=1.0)
def test_gaps_between_panels_bend_no_map(gap_mm: float, scale: float) -> None:
    panels = panels_side_by_side(2, 2, width_mm=62.5, height_mm=52.5, gap_mm=gap_mm)
    paper = ruled(SIZE_MM, panels, px_per_mm=PX_PER_MM)
    found = refine(paper, flat(PX_PER_MM * scale, SIZE_MM), anchored=True)
    across = across_panels(paper, found)
    assert across is not None
    assert worst_mm(across.grid, panels) < 0.06


def test_without_that_a_gap_bends_the_map() -> None:
    panels = panels_side_by_side(2, 2, width_mm=62.5, height_mm=52.5, gap_mm=6.0)
    paper = ruled(SIZE_MM, panels, px_per_mm=PX_PER_MM)
    assert worst_mm(refine(paper, flat(PX_PER_MM, SIZE_MM), anchored=True).grid, panels) > 0.15


def test_a_map_of_a_part_is_carried_on_over_all_panels() -> None:
    panels = panels_side_by_side(2, 2, width_mm=62.5, height_mm=52.5, gap_mm=6.3)
    paper = ruled(SIZE_MM, panels, px_per_mm=PX_PER_MM)
    part = refine(paper, flat(PX_PER_MM, (SIZE_MM[0], 70.0)), anchored=True)
    across = across_panels(paper, part)
    assert across is not None
    assert across.grid.size_mm[1] >= SIZE_MM[1] > part.grid.size_mm[1]
    assert worst_mm(across.grid, panels) < 0.06


@pytest.mark.parametrize(
    "panels", [[(10.0, 10.0, 140.0, 120.0)], [(10.0, 10.0, 140.0, 55.0), (10.0, 72.3, 140.0, 58.0)]]
)
def test_a_sheet_ruled_as_a_whole_has_no_panels(panels: list[tuple[float, float, float, float]]) -> None:
    paper = ruled(SIZE_MM, panels, px_per_mm=PX_PER_MM)
    assert across_panels(paper, refine(paper, flat(PX_PER_MM, SIZE_MM), anchored=True)) is None


def test_blank_paper_has_no_panels() -> None:
    paper = np.full((840, 960, 3), 255, np.uint8)
    assert across_panels(paper, refine(paper, flat(PX_PER_MM, SIZE_MM), anchored=True)) is None


def test_panels_are_found_in_a_noisy_photo_of_faint_lines_on_a_table() -> None:
    panels = panels_side_by_side(2, 2, width_mm=62.5, height_mm=52.5, gap_mm=6.3)
    paper = ruled(SIZE_MM, panels, px_per_mm=PX_PER_MM, fine=6.0, bold=40.0)
    table = np.full((paper.shape[0] + 200, paper.shape[1] + 200, 3), 70, np.uint8)
    table[100:-100, 100:-100] = paper
    noise = np.random.default_rng(0).normal(0, 4, table.shape)
    photo = (table + noise).clip(0, 255).astype(np.uint8)
    grid = flat(PX_PER_MM, (SIZE_MM[0] + 200 / PX_PER_MM, SIZE_MM[1] + 200 / PX_PER_MM))
    found = ruled_panels(photo[..., 0], Refined(grid, 1.0, 1.0, 0.0, 0.0))
    assert found is not None
    edge_mm = 10.0 + 100 / PX_PER_MM
    for number, (left, top, width, height) in enumerate(panels, 1):
        middle = [round((at + 100 / PX_PER_MM) * MASK_PX_PER_MM) for at in (top + height / 2, left + width / 2)]
        mine = found == found[middle[0], middle[1]]
        assert found[middle[0], middle[1]] > 0, number
        assert mine.sum() / MASK_PX_PER_MM**2 == pytest.approx(width * height, rel=0.12)
    assert not found[: round((edge_mm - 3) * MASK_PX_PER_MM)].any()
