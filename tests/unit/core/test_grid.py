import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale

SCALE = PaperScale(25, 10, "test")


def photographed_sheet(
    mm: F64, *, tilt: float = 0.0, turn_rad: float = 0.0, curl_px: float = 0.0, px_per_mm: float = 8.0
) -> F64:
    """Page px of paper points: perspective, rotation and a curl, smooth as a real sheet is."""
    corners = np.array([[0, 0], [280, 0], [280, 200], [0, 200]], np.float64)
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    seen = corners @ np.array([[cos, sin], [-sin, cos]]) * px_per_mm + 300
    seen[1] += [-tilt, tilt]
    seen[2] += [-tilt / 2, -tilt]
    xy = apply_homography(fit_homography(corners, seen), mm)
    xy[..., 1] += curl_px * np.sin(mm[..., 0] / 90)
    return xy


def sheet(rows: int = 41, columns: int = 57, **how: float) -> GridFit:
    y_mm, x_mm = np.mgrid[:rows, :columns] * GRID_PITCH_MM
    return GridFit(photographed_sheet(np.stack([x_mm, y_mm], -1), **how), SCALE, 1.0)


sheets = st.builds(
    sheet,
    rows=st.integers(2, 45),
    columns=st.integers(2, 60),
    tilt=st.floats(-150, 150),
    turn_rad=st.floats(-3.1, 3.1),
    curl_px=st.floats(-15, 15),
    px_per_mm=st.floats(3, 20),
)


@settings(max_examples=40)
@given(sheets, st.integers(0, 1000))
def test_paper_to_page_and_back_is_the_same_place(grid: GridFit, seed: int) -> None:
    width, height = grid.size_mm
    mm = np.random.default_rng(seed).uniform(-20, 20, (200, 2)) + np.random.default_rng(seed + 1).uniform(
        0, 1, (200, 2)
    ) * [width, height]
    xy = grid.to_page(mm)
    np.testing.assert_allclose(grid.to_page(grid.to_mm(xy)), xy, atol=1e-3)
    np.testing.assert_allclose(grid.to_mm(xy), mm, atol=1e-3)


@given(sheets)
def test_nodes_lie_where_they_were_put(grid: GridFit) -> None:
    y_mm, x_mm = np.mgrid[: grid.nodes.shape[0], : grid.nodes.shape[1]] * GRID_PITCH_MM
    np.testing.assert_allclose(grid.to_page(np.stack([x_mm, y_mm], -1)), grid.nodes, atol=1e-8)


def test_between_nodes_the_map_follows_a_bent_sheet_to_a_hundredth_of_a_pixel() -> None:
    how = {"tilt": 120.0, "turn_rad": 0.3, "curl_px": 12.0}
    mm = np.random.default_rng(0).uniform(0, 1, (5000, 2)) * [280, 200]
    assert np.hypot(*(sheet(**how).to_page(mm) - photographed_sheet(mm, **how)).T).max() < 0.01


def test_outside_the_nodes_a_flat_sheet_goes_on() -> None:
    mm = np.array([[-50.0, -30.0], [400.0, 20.0], [100.0, 300.0]])
    np.testing.assert_allclose(sheet(turn_rad=0.2).to_page(mm), photographed_sheet(mm, turn_rad=0.2), atol=1e-6)


@settings(max_examples=20)
@given(sheets)
def test_the_raster_is_the_same_map(grid: GridFit) -> None:
    x_mm, y_mm = np.linspace(-10, 90, 13), np.linspace(-7, 70, 11)
    expected = grid.to_page(np.stack(np.meshgrid(x_mm, y_mm), -1))
    np.testing.assert_allclose(grid.lattice_to_page(x_mm, y_mm), expected, atol=1e-8)


def test_the_jacobian_is_the_slope_of_the_map() -> None:
    grid = sheet(tilt=100, curl_px=10)
    mm, step = np.array([[31.0, 47.0], [-12.0, 90.0]]), 1e-5
    for axis in range(2):
        nudge = np.eye(2)[axis] * step
        slope = (grid.to_page(mm + nudge) - grid.to_page(mm - nudge)) / (2 * step)
        np.testing.assert_allclose(grid.jacobian(mm)[..., axis], slope, atol=1e-6)


def test_px_per_mm_is_that_of_the_sheet() -> None:
    assert sheet(px_per_mm=9.5, turn_rad=1.0).px_per_mm == pytest.approx(9.5)


def test_shapes_of_points_are_kept_and_missing_points_stay_missing() -> None:
    grid = sheet()
    assert grid.to_page(np.zeros(2)).shape == (2,)
    assert grid.to_mm(np.zeros((3, 4, 2))).shape == (3, 4, 2)
    assert grid.to_mm(np.empty((0, 2))).shape == (0, 2)
    assert np.isnan(grid.to_page(np.array([np.nan, 5.0]))).any()
    assert np.isnan(grid.to_mm(np.array([np.nan, 5.0]))).any()


def test_nodes_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        sheet().nodes[0, 0] = 0


@pytest.mark.parametrize("shape", [(1, 5, 2), (5, 1, 2), (4, 4, 3), (4, 4)])
def test_a_lattice_that_is_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"nodes|shape"):
        GridFit(np.zeros(shape), SCALE, 1.0)


@pytest.mark.parametrize(("speed", "gain"), [(0, 10), (25, -1), (float("nan"), 10), (25, float("inf"))])
def test_a_scale_must_be_positive(speed: float, gain: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        PaperScale(speed, gain, "test")
