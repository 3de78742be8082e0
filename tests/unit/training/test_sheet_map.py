"""The map from sheet to page holds between, at and beyond the lattice's points, and back."""

from __future__ import annotations

import numpy as np
import pytest

from training.synth.sheet_map import SheetMap, lattice_mm

STEP_MM = 2.5
SIZE_MM = (200.0, 120.0)


def bent(mm: np.ndarray) -> np.ndarray:
    return 8 * mm @ np.array([[0.95, 0.2], [-0.1, 1.05]]) + 6 * np.sin(mm[..., ::-1] / 30) + 7.0


@pytest.fixture(scope="module")
def sheet_map() -> SheetMap:
    return SheetMap(bent(lattice_mm(SIZE_MM, STEP_MM)), STEP_MM)


def test_the_lattice_covers_the_sheet() -> None:
    lattice = lattice_mm((101.0, 50.0), STEP_MM)
    assert lattice.shape == (21, 42, 2)
    np.testing.assert_allclose(lattice[3, 7], (17.5, 7.5))


def test_points_between_lattice_points_follow_the_bend(sheet_map: SheetMap) -> None:
    mm = np.random.default_rng(0).uniform((0, 0), SIZE_MM, (3000, 2))
    np.testing.assert_allclose(sheet_map.to_page(mm), bent(mm), atol=5e-3)


def test_a_straight_map_is_exact_to_the_sheets_edge_and_beyond() -> None:
    straight = SheetMap(lattice_mm(SIZE_MM, STEP_MM) * 8 - 0.5, STEP_MM)
    mm = np.random.default_rng(0).uniform((-15, -15), np.array(SIZE_MM) + 15, (3000, 2))
    np.testing.assert_allclose(straight.to_page(mm), mm * 8 - 0.5, atol=0.01)


def test_to_mm_inverts_to_page(sheet_map: SheetMap) -> None:
    mm = np.random.default_rng(1).uniform((-5, -5), np.array(SIZE_MM) + 5, (3000, 2))
    back = sheet_map.to_mm(sheet_map.to_page(mm), np.array(SIZE_MM) / 2)
    np.testing.assert_allclose(back, mm, atol=1e-4)


def test_the_jacobian_is_the_maps_slope(sheet_map: SheetMap) -> None:
    mm = np.array([60.0, 40.0])
    columns = [bent(mm + 0.5 * step) - bent(mm - 0.5 * step) for step in np.eye(2)]
    np.testing.assert_allclose(sheet_map.jacobian(mm), np.stack(columns, axis=1), atol=0.02)
