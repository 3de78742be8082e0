"""Phases become millimetres, millimetres become a lattice, and the printed lines have the last word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.stages.ink import without_ink
from ecgstudio.stages.line_offsets import rectified
from ecgstudio.stages.paper_map import (
    BOLD,
    AxisField,
    Refined,
    fit_cells,
    likeliest,
    nodes_from_cells,
    refine,
    smoothed,
    steadied,
    unwrap_axis,
)

patient = settings(deadline=None, max_examples=15)
few = settings(deadline=None, max_examples=6)
CELL_MM = 0.8
ROWS, COLUMNS = 50, 80
SCALE = PaperScale(25.0, 10.0, "test")

seeds = st.integers(0, 9999)


def bent(seed: int, *, bend_mm: float) -> F64:
    """Return a smooth random bend in mm over the raster of cells."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    terms = [x**2, y**2, x * y, np.sin(2 * x + rng.uniform(0, 6)), np.cos(2 * y + rng.uniform(0, 6))]
    return bend_mm * np.sum([rng.uniform(-1, 1) * term for term in terms], axis=0)


def nominal() -> tuple[F64, F64]:
    y, x = np.mgrid[:ROWS, :COLUMNS]
    return (x + 0.5) * CELL_MM, (y + 0.5) * CELL_MM


def phase_of(mm: F64, *, period_mm: float = 5.0) -> np.ndarray:
    return np.exp(2j * np.pi * mm / period_mm)


# --- unwrapping ---------------------------------------------------------------------------------------------


@patient
@given(seed=seeds, zoom=st.floats(0.85, 1.15), turn=st.floats(-0.1, 0.1), bend_mm=st.floats(0, 2.5))
def test_smooth_phases_are_unwrapped(seed: int, zoom: float, turn: float, bend_mm: float) -> None:
    x_mm, y_mm = nominal()
    true = zoom * x_mm + turn * y_mm + bent(seed, bend_mm=bend_mm)
    field = unwrap_axis(phase_of(true), x_mm, period_mm=5.0)
    assert field is not None
    sure = field.weight > 0.5
    assert sure.mean() > 0.8
    away = (field.mm - true)[sure]
    away -= 5.0 * np.round(np.median(away) / 5.0)  # a constant number of periods cannot be known
    assert np.abs(away).max() < 1.0
    assert np.sqrt((away**2).mean()) < 0.15


@patient
@given(seed=seeds)
def test_noise_is_averaged_away(seed: int) -> None:
    x_mm, _ = nominal()
    true = 1.05 * x_mm + bent(seed, bend_mm=1.0)
    rng = np.random.default_rng(seed)
    noisy = phase_of(true) + rng.normal(0, 0.5, true.shape) + 1j * rng.normal(0, 0.5, true.shape)
    field = unwrap_axis(noisy, x_mm, period_mm=5.0)
    assert field is not None
    sure = field.weight > 0.5
    away = (field.mm - true)[sure]
    away -= 5.0 * np.round(np.median(away) / 5.0)
    assert np.sqrt((away**2).mean()) < 0.25


def test_phases_that_say_nothing_are_no_axis() -> None:
    x_mm, _ = nominal()
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, x_mm.shape) + 1j * rng.normal(0, 0.5, x_mm.shape)
    assert unwrap_axis(noise, x_mm, period_mm=5.0) is None
    assert unwrap_axis(np.zeros(x_mm.shape, complex), x_mm, period_mm=5.0) is None


def test_where_nothing_was_seen_nothing_is_trusted() -> None:
    x_mm, _ = nominal()
    phase = phase_of(x_mm)
    phase[:, 50:] = 0
    field = unwrap_axis(phase, x_mm, period_mm=5.0)
    assert field is not None
    assert (field.weight[:, 55:] == 0).all()
    assert (field.weight[3:-3, 3:45] > 0.8).all()


# --- from two axes to a lattice -----------------------------------------------------------------------------


def fields(seed: int, *, bend_mm: float, tilt: float = 0.0) -> tuple[AxisField, AxisField, F64]:
    x_mm, y_mm = nominal()
    perspective = 1 + tilt * x_mm / x_mm.max()
    true = np.stack([
        (x_mm + bent(seed, bend_mm=bend_mm)) / perspective, (y_mm + bent(seed + 1, bend_mm=bend_mm)) / perspective
    ], axis=-1)  # fmt: skip
    weight = np.ones(x_mm.shape)
    return AxisField(true[..., 0], weight), AxisField(true[..., 1], weight), true


def raster() -> F64:
    c, r = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    return np.stack([c, r], axis=-1).reshape(-1, 2).astype(np.float64)


@few
@given(seed=seeds, bend_mm=st.floats(0, 2.0), tilt=st.floats(-0.2, 0.2))
def test_cells_know_their_millimetres(seed: int, bend_mm: float, tilt: float) -> None:
    x, y, true = fields(seed, bend_mm=bend_mm, tilt=tilt)
    cell_map = fit_cells(x, y)
    assert cell_map is not None
    miss = np.hypot(*(cell_map.to_mm(raster()) - true.reshape(-1, 2)).T)
    assert np.sqrt((miss**2).mean()) < 0.03 + 0.1 * bend_mm


@few
@given(seed=seeds, bend_mm=st.floats(0, 2.0))
def test_to_cells_undoes_to_mm(seed: int, bend_mm: float) -> None:
    x, y, _ = fields(seed, bend_mm=bend_mm)
    cell_map = fit_cells(x, y)
    assert cell_map is not None
    cells = np.random.default_rng(seed).uniform(0, [COLUMNS - 1, ROWS - 1], (50, 2))
    np.testing.assert_allclose(cell_map.to_cells(cell_map.to_mm(cells)), cells, atol=1e-3)


def test_a_patch_that_slipped_by_a_line_does_not_bend_the_rest() -> None:
    x, y, true = fields(3, bend_mm=0.0)
    mm = x.mm.copy()
    mm[:15, :20] += 5.0
    cell_map = fit_cells(AxisField(mm, x.weight), y)
    assert cell_map is not None
    far = raster()[raster()[:, 0] > 50]
    expected = true[far[:, 1].astype(int), far[:, 0].astype(int)]
    assert np.abs(cell_map.to_mm(far) - expected).max() < 0.05


def test_too_few_cells_are_no_map() -> None:
    x, y, _ = fields(0, bend_mm=0.0)
    patch = np.zeros(x.weight.shape)
    patch[:5, :8] = 1
    assert fit_cells(AxisField(x.mm, patch), AxisField(y.mm, patch)) is None


@pytest.mark.parametrize("shift_mm", [(0.0, 0.0), (-37.3, 12.9)])
def test_nodes_lie_on_whole_fives_of_millimetres(shift_mm: tuple[float, float]) -> None:
    x, y, _ = fields(0, bend_mm=0.0)
    cell_map = fit_cells(AxisField(x.mm + shift_mm[0], x.weight), AxisField(y.mm + shift_mm[1], y.weight))
    assert cell_map is not None
    cells_to_page = np.array([[6.0, 0.0, 40.0], [0.0, 6.0, -20.0]])
    nodes = nodes_from_cells(cell_map, cells_to_page=cells_to_page)
    cells = (nodes - cells_to_page[:, 2]) / 6.0
    mm = (cells + 0.5) * CELL_MM + shift_mm
    np.testing.assert_allclose(mm, np.round(mm / 5) * 5, atol=0.02)
    np.testing.assert_allclose(np.diff(mm[0, :, 0]), 5, atol=0.02)
    np.testing.assert_allclose(np.diff(mm[:, 0, 1]), 5, atol=0.02)
    inside = mm.min(axis=(0, 1)), mm.max(axis=(0, 1))
    assert (inside[0] <= np.array(shift_mm) + 2).all()
    assert (inside[1] >= np.array([COLUMNS, ROWS]) * CELL_MM + shift_mm - 2).all()


@patient
@given(value=st.integers(-10, 10), seed=seeds)
def test_the_average_of_a_constant_is_the_constant(value: int, seed: int) -> None:
    weight = np.random.default_rng(seed).uniform(0.5, 1, (20, 30))
    out = smoothed(np.full((20, 30), value), weight, sigmas=(2.5, 6.0, 16.0))
    np.testing.assert_allclose(out, value, rtol=0.2)  # shrinks a little where evidence is thin
    assert np.abs(out).max() <= abs(value) + 1e-9


# --- rectifying ---------------------------------------------------------------------------------------------


def flat_grid(*, px_per_mm: float, offset_mm: tuple[float, float] = (0.0, 0.0)) -> GridFit:
    x, y = np.meshgrid(np.arange(21) * 5.0 + offset_mm[0], np.arange(15) * 5.0 + offset_mm[1])
    return GridFit(np.stack([x, y], axis=-1) * px_per_mm - 0.5, SCALE, 0.5)


@pytest.mark.parametrize("px_per_mm", [4.0, 8.0, 16.0])
def test_rectified_pixels_lie_half_a_pixel_from_the_origin(px_per_mm: float) -> None:
    y, x = np.mgrid[: int(70 * px_per_mm), : int(100 * px_per_mm)]
    away_mm = np.hypot((x + 0.5) / px_per_mm - 31.3, (y + 0.5) / px_per_mm - 40.9)
    page = np.repeat(np.round(200 * np.exp(-0.5 * (away_mm / 0.7) ** 2)).astype(np.uint8)[..., None], 3, axis=2)
    out = rectified(page, flat_grid(px_per_mm=px_per_mm), px_per_mm=8.0, origin_mm=(10.0, 20.0), shape=(240, 320))
    rows, columns = np.mgrid[:240, :320]
    spot = out[..., 0].astype(np.float64)
    centre = np.array([(spot * columns).sum(), (spot * rows).sum()]) / spot.sum()
    np.testing.assert_allclose((centre + 0.5) / 8 + [10, 20], [31.3, 40.9], atol=0.01)


def test_rectifying_a_finer_page_averages() -> None:
    chequered = np.repeat((np.indices((1120, 1600)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    grid = flat_grid(px_per_mm=16.0)
    out = rectified(chequered, grid, px_per_mm=5.3, origin_mm=(10.0, 10.0), shape=(200, 200))
    assert 100 <= out.min() <= out.max() <= 155


# --- refining on printed lines ------------------------------------------------------------------------------


def ruled_paper(
    *, px_per_mm: float = 8.0, minor: float = 70.0, major: float = 120.0, origin_mm: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Return 100 x 70 mm of paper ruled every millimetre and, stronger, every fifth."""
    sides = (int(100 * px_per_mm), int(70 * px_per_mm))
    dark = np.zeros((sides[1], sides[0]))
    for pitch, depth in ((1.0, minor), (5.0, major)):
        along = []
        for n, origin in zip(sides, origin_mm, strict=True):
            mm = (np.arange(n) + 0.5) / px_per_mm - origin
            along.append(depth * np.exp(-0.5 * (((mm + pitch / 2) % pitch - pitch / 2) / 0.1) ** 2))
        dark = np.maximum(dark, np.maximum(along[0][None, :], along[1][:, None]))
    return np.repeat(np.round(250 - dark).astype(np.uint8)[..., None], 3, axis=2)


def off_the_lines_mm(grid: GridFit, *, px_per_mm: float, period_mm: float) -> F64:
    """Return how far the nodes on the paper lie from the nearest printed lines."""
    mm = (grid.nodes.reshape(-1, 2) + 0.5) / px_per_mm
    on_paper = ((mm > 3) & (mm < [97, 67])).all(axis=1)
    return np.abs((mm[on_paper] + period_mm / 2) % period_mm - period_mm / 2)


def wavy(grid: GridFit, *, amplitude_mm: float, px_per_mm: float) -> GridFit:
    rows, columns = grid.nodes.shape[:2]
    y, x = np.mgrid[:rows, :columns]
    wave = np.stack([np.sin(0.25 * x + 0.2 * y), np.cos(0.2 * x - 0.3 * y)], axis=-1) * amplitude_mm * px_per_mm
    return GridFit(grid.nodes + wave, grid.scale, grid.confidence)


@pytest.mark.parametrize("px_per_mm", [6.0, 8.0, 12.0])
@pytest.mark.parametrize("anchored", [True, False])
def test_a_map_moves_onto_the_printed_lines(px_per_mm: float, anchored: bool) -> None:
    rough = wavy(flat_grid(px_per_mm=px_per_mm), amplitude_mm=0.3, px_per_mm=px_per_mm)
    found = refine(ruled_paper(px_per_mm=px_per_mm), rough, anchored=anchored)
    away = off_the_lines_mm(found.grid, px_per_mm=px_per_mm, period_mm=5.0)
    assert np.sqrt((away**2).mean()) < 0.04
    assert found.moved_mm < 0.1
    assert found.grid.px_per_mm == pytest.approx(px_per_mm, rel=0.003)


def with_strokes(paper: np.ndarray, *, px_per_mm: float = 8.0) -> np.ndarray:
    """Colour the rules of a paper red and draw on it upright black strokes, all of them beside lines on one side."""
    page = paper.copy()
    page[..., 0] = 250 - (250 - page[..., 0].astype(float)) * 0.15
    mm = (np.arange(page.shape[1]) + 0.5) / px_per_mm
    strokes = (np.abs((mm + 5) % 10 - 5.3) < 0.2) & (mm > 8)
    for top_mm in (12, 40):
        page[round(top_mm * px_per_mm) : round((top_mm + 16) * px_per_mm), strokes] = 20
    return page


def test_upright_strokes_do_not_pull_at_the_map() -> None:
    page = with_strokes(ruled_paper(minor=50.0, major=90.0))
    found = refine(page, flat_grid(px_per_mm=8.0), anchored=True)
    away = off_the_lines_mm(found.grid, px_per_mm=8.0, period_mm=5.0)
    assert np.sqrt((away**2).mean()) < 0.012


def test_ink_gives_way_to_what_is_around_it_and_lines_stay() -> None:
    paper = with_strokes(ruled_paper())
    bare = without_ink(paper, px_per_mm=8.0)
    assert bare is not None
    struck = paper[..., 0] < 60
    assert struck.any()
    assert bare[struck].min() > 120
    beside = ndimage.distance_transform_edt(~struck) > 4
    np.testing.assert_array_equal(bare[beside], paper[..., 1:].min(axis=2)[beside])


def test_where_lines_are_as_black_as_ink_none_is_taken_away() -> None:
    assert without_ink(ruled_paper(minor=180.0, major=200.0), px_per_mm=8.0) is None


def test_a_map_from_fine_lines_alone_takes_the_bold_ones_for_its_nodes() -> None:
    paper = ruled_paper(minor=50.0, major=150.0)
    found = refine(paper, flat_grid(px_per_mm=8.0, offset_mm=(2.1, -0.9)), anchored=False)
    away = off_the_lines_mm(found.grid, px_per_mm=8.0, period_mm=5.0)
    assert np.sqrt((away**2).mean()) < 0.05


def test_a_grid_of_bold_lines_only_is_enough_for_an_anchored_map() -> None:
    paper = ruled_paper(minor=0.0)
    rough = wavy(flat_grid(px_per_mm=8.0), amplitude_mm=0.9, px_per_mm=8.0)
    found = refine(paper, rough, anchored=True)
    away = off_the_lines_mm(found.grid, px_per_mm=8.0, period_mm=5.0)
    assert np.sqrt((away**2).mean()) < 0.08


def test_blank_paper_confirms_nothing() -> None:
    blank = np.full((560, 800, 3), 230, np.uint8)
    found = refine(blank, flat_grid(px_per_mm=8.0), anchored=True)
    assert found.lines < 0.05
    np.testing.assert_allclose(found.grid.nodes, flat_grid(px_per_mm=8.0).nodes, atol=1e-6)


def test_confirmed_paper_ranks_above_a_map_at_another_scale() -> None:
    paper = ruled_paper(px_per_mm=8.0)
    found = refine(paper, flat_grid(px_per_mm=8.0), anchored=True)
    assert found.merit(8.0, paper_px=paper[..., 0].size) > found.merit(10.0, paper_px=paper[..., 0].size) + 0.3


@pytest.mark.parametrize("noise", [0.0, 12.0])
def test_only_at_the_true_scale_every_fifth_line_is_bold(noise: float) -> None:
    true, harmonic = flat_grid(px_per_mm=8.0), flat_grid(px_per_mm=10.0)
    pixels = ruled_paper(minor=0.0)
    grey = pixels + np.random.default_rng(3).normal(0, noise, pixels.shape[:2])[..., None]
    pixels = np.clip(grey, 0, 255).astype(np.uint8)
    assert refine(pixels, true, anchored=True).bold > BOLD
    assert refine(pixels, harmonic, anchored=False).bold < BOLD


def found(*, px_per_mm: float, seen_px: float, lines: float, bold: float) -> Refined:
    return Refined(flat_grid(px_per_mm=px_per_mm), lines, seen_px, 0.02, 0.1, bold)


def test_bold_lines_outweigh_the_scale_that_was_expected() -> None:
    fine = found(px_per_mm=10.0, seen_px=3.8e6, lines=0.9, bold=1.4)
    bold = found(px_per_mm=8.0, seen_px=2.0e6, lines=0.9, bold=4.0)
    assert likeliest([fine, bold], 9.9) is bold


def test_without_bold_lines_the_expected_scale_decides_between_maps_confirmed_alike() -> None:
    near = found(px_per_mm=10.0, seen_px=1.8e6, lines=0.8, bold=1.1)
    far = found(px_per_mm=8.0, seen_px=2.0e6, lines=0.8, bold=1.0)
    assert likeliest([far, near], 10.2) is near


def test_a_map_that_nothing_confirms_loses_even_at_the_expected_scale() -> None:
    near = found(px_per_mm=6.7, seen_px=8e4, lines=0.05, bold=1.1)
    far = found(px_per_mm=5.35, seen_px=7.6e5, lines=0.4, bold=1.4)
    assert likeliest([near, far], 6.9) is far


# --- steady maps --------------------------------------------------------------------------------------------

NODES = (40, 60)
SHEET = (slice(6, 34), slice(8, 52))  # where its lines are seen


def sheet(*, bend_mm: float = 0.0, noise_mm: float = 0.0, seed: int = 0) -> tuple[GridFit, F64]:
    """Return a map of a sheet that lies in waves, measured with noise and unknown beyond its lines, and the truth."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: NODES[0], : NODES[1]].astype(np.float64)
    true = 30.0 * np.stack([x, y], axis=-1) + 6.0 * bend_mm * np.stack([np.sin(y / 4), np.sin(x / 4)], axis=-1)
    beyond = np.ones(NODES, bool)
    beyond[SHEET] = False
    away_mm = ndimage.gaussian_filter(rng.normal(size=(*NODES, 2)), (1, 1, 0)) * noise_mm * 3.5
    lost_mm = ndimage.gaussian_filter(rng.normal(size=(*NODES, 2)), (3, 3, 0)) * 10.0  # about 1
    lost_mm *= 0.05 * ndimage.distance_transform_edt(beyond)[..., None]
    return GridFit(true + 6.0 * (away_mm + lost_mm), SCALE, 0.5), true


def off_um(grid: GridFit, true: F64) -> float:
    return float(1000 * np.sqrt(((grid.nodes - true)[SHEET] ** 2).mean()) / 6.0)


def seen() -> np.ndarray:
    on = np.zeros(NODES, bool)
    on[SHEET] = True
    return on


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_a_flat_sheet_is_smoothed_away(seed: int) -> None:
    noisy, true = sheet(noise_mm=0.015, seed=seed)
    assert off_um(steadied(noisy, seen=seen()), true) < 0.75 * off_um(noisy, true)


@pytest.mark.parametrize("seed", range(3))
def test_bends_of_a_sheet_stay_as_they_were_measured(seed: int) -> None:
    noisy, true = sheet(bend_mm=0.3, noise_mm=0.015, seed=seed)
    assert off_um(steadied(noisy, seen=seen()), true) < 1.3 * off_um(noisy, true) < 25


@pytest.mark.parametrize("seed", range(3))
def test_what_lies_beyond_the_lines_does_not_move_those_that_are_seen(seed: int) -> None:
    noisy, true = sheet(noise_mm=0.015, seed=seed)
    assert off_um(steadied(noisy, seen=seen()), true) < 0.8 * off_um(steadied(noisy), true)


@pytest.mark.parametrize(("px_per_mm", "wins"), [(8.8, True), (10.95, False)])
def test_a_scrap_of_the_paper_tells_a_scale_but_wins_over_no_map_of_its_own(px_per_mm: float, wins: bool) -> None:
    whole = found(px_per_mm=11.0, seen_px=9.4e6, lines=1.0, bold=0.97)
    scrap = found(px_per_mm=px_per_mm, seen_px=1.1e6, lines=0.5, bold=2.2)
    assert likeliest([whole, scrap], 10.8) is (scrap if wins else whole)
