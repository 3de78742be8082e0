"""Where no lines are seen a flat sheet is as flat as where they are; one that bends is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.stages import map_edges
from ecgstudio.stages.map_edges import carried_on, flat_beyond_lines, grown, nodes_on_lines
from ecgstudio.stages.paper_map import Image, Refined, refine
from tests.ruled_panels import ruled

PX_PER_MM = 6.0
SIZE_MM = (200.0, 140.0)
RULED_MM = (40.0, 20.0, 140.0, 100.0)  # left, top, width, height


def page() -> Image:
    return ruled(SIZE_MM, [RULED_MM], px_per_mm=PX_PER_MM)


def flat() -> GridFit:
    x, y = np.meshgrid(*(np.arange(0, side + 1, GRID_PITCH_MM) for side in SIZE_MM))
    return GridFit(np.stack([x, y], axis=-1) * PX_PER_MM - 0.5, PaperScale(25.0, 10.0, "test"), 0.5)


def off_mm(grid: GridFit) -> F64:
    """Return how far each node lies beside the truth."""
    return np.hypot(*np.moveaxis(grid.nodes - flat().nodes, -1, 0)) / PX_PER_MM


def beside_ruling() -> F64:
    """Return how far each node lies outside what is ruled."""
    x, y = ((flat().nodes[..., k] + 0.5) / PX_PER_MM for k in (0, 1))
    left, top, width, height = RULED_MM
    return np.maximum.reduce([left - x, x - left - width, top - y, y - top - height])


def laid_flat(paper: Image, grid: GridFit) -> GridFit:
    return flat_beyond_lines(grid, nodes_on_lines(paper, grid))


def test_nodes_that_follow_what_is_no_line_are_laid_flat() -> None:
    astray = np.where(beside_ruling() > 0, 0.06 * beside_ruling(), 0.0)
    grid = replace(flat(), nodes=flat().nodes + PX_PER_MM * astray[..., None])
    assert off_mm(grid).max() > 2.0
    assert off_mm(laid_flat(page(), grid)).max() < 0.02


def test_a_sheet_that_bends_is_left_as_it_is() -> None:
    x_mm = flat().nodes[..., 0] / PX_PER_MM
    bent = flat().nodes + PX_PER_MM * 0.3 * np.sin(x_mm / 12.0)[..., None]
    grid = replace(flat(), nodes=bent)
    assert laid_flat(page(), grid) is grid


def test_where_hardly_a_line_is_seen_nothing_is_known_of_the_sheet() -> None:
    blank = np.full_like(page(), 255)
    grid = replace(flat(), nodes=flat().nodes + 1.0)
    assert laid_flat(blank, grid) is grid


@pytest.mark.parametrize("moved_px", [0.0, 3.0])
def test_the_lines_that_are_seen_keep_their_place(moved_px: float) -> None:
    grid = replace(flat(), nodes=flat().nodes + moved_px)
    inside = beside_ruling() < -GRID_PITCH_MM
    assert np.array_equal(laid_flat(page(), grid).nodes[inside], grid.nodes[inside])


def test_lines_that_a_trace_hides_are_no_edge() -> None:
    paper = page()
    hidden = slice(round(60 * PX_PER_MM), round(80 * PX_PER_MM))
    paper[hidden, hidden] = 255
    dented = np.zeros(flat().nodes.shape[:2])
    dented[13:15, 13:15] = 0.1
    grid = replace(flat(), nodes=flat().nodes + PX_PER_MM * dented[..., None])
    assert np.array_equal(laid_flat(paper, grid).nodes[13:15, 13:15], grid.nodes[13:15, 13:15])


def slipped(*, from_mm: float = 110.0, stretch: float = 0.09) -> Refined:
    """Return a map that stretches the paper from some place on, so that its upright lines are lost there."""
    x_mm = (flat().nodes[..., 0] + 0.5) / PX_PER_MM
    away = np.where(x_mm > from_mm, stretch * (x_mm - from_mm), 0.0)
    nodes = flat().nodes + PX_PER_MM * np.stack([away, 0 * away], axis=-1)
    return replace(refine(page(), flat(), anchored=True), grid=replace(flat(), nodes=nodes), rough_mm=0.4)


def test_a_map_that_slipped_is_carried_on_from_where_lines_are_seen_both_ways() -> None:
    found = replace(slipped(), seen_px=0.6 * slipped().seen_px)
    on_paper = beside_ruling() < 0
    assert off_mm(found.grid)[on_paper].max() > 4.0
    carried = carried_on(page(), found)
    assert carried.confirmed_px > 1.3 * found.confirmed_px
    corners_mm = np.array([[50.0, 30.0], [170.0, 30.0], [170.0, 110.0], [50.0, 110.0]])
    measured = carried.grid.to_mm(corners_mm * PX_PER_MM - 0.5)
    assert np.diff(measured, axis=0) == pytest.approx(np.diff(corners_mm, axis=0), abs=0.1)


def test_what_the_lines_do_not_confirm_better_stays_as_found() -> None:
    found = slipped()  # that claims to be confirmed already
    assert carried_on(page(), replace(found, seen_px=2 * found.seen_px)).grid is found.grid
    smooth = replace(found, rough_mm=0.01)
    assert carried_on(page(), smooth) is smooth
    whole = replace(found, grid=flat())
    assert carried_on(page(), whole) is whole


@pytest.mark.parametrize(
    ("curled", "bent", "wins"),
    [
        ((4.4, 0.42), (1.95, 0.10), "_bent_on"),
        ((1.48, 0.17), (1.08, 0.18), "_curled_on"),
        ((1.02, 0.39), (1.0, 0.4), ""),
    ],
)
def test_what_is_confirmed_and_smooth_wins(
    curled: tuple[float, float], bent: tuple[float, float], wins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = slipped()
    maps = {
        name: replace(found, seen_px=times * found.seen_px, rough_mm=rough_mm)
        for name, (times, rough_mm) in (("_curled_on", curled), ("_bent_on", bent))
    }
    monkeypatch.setattr(map_edges, "_step_by_step", lambda *args, bend: maps[bend.__name__])
    monkeypatch.setattr(map_edges, "finished", lambda _, __, map_, *, anchored: replace(map_, bold=2.0))
    carried = carried_on(page(), found)
    assert carried is found if not wins else carried.bold == 2.0
    assert (carried.seen_px, carried.rough_mm) == (maps.get(wins, found).seen_px, maps.get(wins, found).rough_mm)


def part(columns: slice, rows: slice) -> Refined:
    """Return a map of a part of the ruled area, and what confirms it."""
    return refine(page(), replace(flat(), nodes=flat().nodes[rows, columns]), anchored=True)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (slice(20, 41), slice(0, 29)),
        (slice(0, 22), slice(0, 29)),
        (slice(0, 41), slice(14, 29)),
        (slice(12, 30), slice(8, 18)),
    ],
)
def test_a_map_of_a_part_grows_over_all_that_is_ruled(columns: slice, rows: slice) -> None:
    found = part(columns, rows)
    whole = grown(page(), found)
    assert whole.confirmed_px > 1.2 * found.confirmed_px
    low_mm, high_mm = np.array(RULED_MM[:2]), np.array(RULED_MM[:2]) + RULED_MM[2:]
    corners = whole.grid.to_mm(np.stack([low_mm, high_mm]) * PX_PER_MM - 0.5)
    assert (corners > 0).all()
    assert (corners < whole.grid.size_mm).all()
    inner_mm = np.stack([low_mm + 10, high_mm - 10])
    measured = whole.grid.to_mm(inner_mm * PX_PER_MM - 0.5)
    assert np.diff(measured, axis=0) == pytest.approx(np.diff(inner_mm, axis=0), abs=0.05)
    before = found.grid.nodes[3:-3, 3:-3].reshape(-1, 2)
    aside = whole.grid.to_mm(before) / GRID_PITCH_MM
    assert aside == pytest.approx(np.round(aside), abs=0.01)


def test_a_map_that_covers_what_is_ruled_or_the_whole_picture_stays_as_it_is() -> None:
    ruled_only = part(slice(4, 40), slice(0, 28))
    assert grown(page(), ruled_only) is ruled_only
    lines_everywhere = ruled(SIZE_MM, [(0.0, 0.0, *SIZE_MM)], px_per_mm=PX_PER_MM)
    whole = refine(lines_everywhere, flat(), anchored=True)
    assert grown(lines_everywhere, whole) is whole
