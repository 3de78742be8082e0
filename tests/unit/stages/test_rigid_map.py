"""A flat sheet has one affine map, however its lines seem to wander; a bent one and blank paper have none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.stages import rigid_map
from ecgstudio.stages.line_offsets import Image
from ecgstudio.stages.rigid_map import rigid
from tests.ruled_panels import ruled

PX_PER_MM = 6.0
SIZE_MM = (200.0, 140.0)
TURN = np.array([[0.9995, 0.03], [-0.03, 0.9995]])  # about 1.7 degrees
SHIFT_PX = np.array([20.0, 45.0])


def lattice_mm() -> F64:
    x, y = np.meshgrid(*(np.arange(0, side + 1, GRID_PITCH_MM) for side in SIZE_MM))
    return np.stack([x, y], axis=-1)


def on_page(mm: F64) -> F64:
    return (mm * PX_PER_MM - 0.5) @ TURN + SHIFT_PX


def grid(*, wanders_mm: F64 | float = 0.0) -> GridFit:
    """Return the map of the turned sheet, or one that wanders (mm per node [R, C, 2])."""
    return GridFit(on_page(lattice_mm() + wanders_mm), PaperScale(25.0, 10.0, "test"), 0.7)


def page(*, noise: float = 0.0, bend_mm: float = 0.0, pale: float = 1.0) -> Image:
    """Return the picture of the sheet, turned; bent by as much down the page in the middle of its width."""
    upright = ruled(SIZE_MM, [(0.0, 0.0, *SIZE_MM)], px_per_mm=PX_PER_MM).astype(np.float32)
    upright = 255 - pale * (255 - upright)
    height, width = upright.shape[:2]
    size = width + 120, height + 120
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float64)
    at = (np.stack([x, y], axis=-1) - SHIFT_PX) @ np.linalg.inv(TURN)
    at[..., 1] -= bend_mm * PX_PER_MM * np.sin(np.pi * at[..., 0] / width)
    paper = cv2.remap(upright, at.astype(np.float32), None, cv2.INTER_LINEAR, borderValue=(255, 255, 255))
    paper += noise * np.random.default_rng(3).standard_normal(paper.shape[:2])[..., None]
    return np.clip(np.round(paper), 0, 255).astype(np.uint8)


def off_mm(found: GridFit) -> F64:
    return np.hypot(*np.moveaxis(found.nodes - grid().nodes, -1, 0)) / PX_PER_MM


def wandering_mm(by_mm: float) -> F64:
    mm = lattice_mm()
    return by_mm * np.stack([np.sin(mm[..., 1] / 9.0), np.cos(mm[..., 0] / 7.0)], axis=-1)


@pytest.mark.parametrize(("noise", "pale", "within_mm"), [(2.0, 1.0, 0.005), (25.0, 0.3, 0.03)])
def test_a_map_that_wanders_on_a_flat_sheet_is_laid_straight(noise: float, pale: float, within_mm: float) -> None:
    found = rigid(page(noise=noise, pale=pale), grid(wanders_mm=wandering_mm(0.06)))
    assert found is not None
    assert off_mm(found).max() < within_mm
    assert found.confidence == grid().confidence
    assert found.scale == grid().scale


def test_single_parts_that_are_far_off_do_not_matter() -> None:
    astray = np.zeros_like(lattice_mm())
    astray[:8, :10] = 0.4
    found = rigid(page(noise=25.0, pale=0.3), grid(wanders_mm=astray))
    assert found is not None
    assert off_mm(found).max() < 0.03


def test_a_sheet_that_bends_has_no_straight_map() -> None:
    mm = lattice_mm()
    bend = 0.1 * np.sin(np.pi * mm[..., 0] / SIZE_MM[0])
    bent = replace(grid(), nodes=on_page(mm + np.stack([np.zeros_like(bend), bend], axis=-1)))
    assert rigid(page(noise=2.0, bend_mm=0.1), bent) is None


def test_blank_paper_has_no_straight_map() -> None:
    wandering = grid(wanders_mm=wandering_mm(0.06))
    assert rigid(page(noise=10.0, pale=0.0), wandering) is None
    assert rigid(np.full_like(page(), 255), wandering) is None


def test_what_hardly_departs_from_a_straight_map_is_moved_onto_the_lines_at_once() -> None:
    found = rigid(page(noise=2.0), grid(wanders_mm=wandering_mm(0.004) + 0.02))
    assert found is not None
    assert off_mm(found).max() < 0.004


def test_a_sheet_that_is_seen_aslant_is_not_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    mm = lattice_mm()
    aslant = replace(grid(), nodes=on_page(mm / (1 + 5e-4 * mm[..., :1])))
    monkeypatch.setattr(rigid_map, "line_offsets", lambda *_: pytest.fail("lines were looked at"))
    assert rigid(page(noise=2.0), aslant) is None
