"""Stage 1 in perspective: corners that a human placed lead the search for the grid where it fails without."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.stages import stage1_grid
from ecgstudio.stages.contract import NULL_STATUS
from ecgstudio.stages.flat_sheet import flattened, side_ratio
from ecgstudio.stages.perspective import fit_grid
from ecgstudio.stages.settings import GridSettings
from tests.synth_page import PX_PER_MM, BlindRuntime, synth_page, true_grid, true_keypoints

SIZE = (950, 900)
CORNERS = np.array([[150, 120], [800, 40], [900, 860], [60, 720]], np.float64)


@cache
def photo() -> tuple[Page, Keypoints, GridFit]:
    """A flat page seen aslant, with its true keypoints and grid; nothing but the corners tells how it lies."""
    flat = synth_page()
    width, height = flat.upright_wh
    edges = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    onto = fit_homography(edges, CORNERS)
    pixels = cv2.warpPerspective(
        np.ascontiguousarray(flat.page.pixels), onto, SIZE, flags=cv2.INTER_AREA, borderValue=(90, 90, 90)
    )
    keypoints, grid = true_keypoints(flat), true_grid(flat)
    grid = replace(grid, nodes=apply_homography(onto, grid.nodes))
    keypoints = replace(keypoints, xy=apply_homography(onto, keypoints.xy), px_per_mm=grid.px_per_mm)
    return replace(flat.page, pixels=pixels), keypoints, grid


def off_mm(found: GridFit, true: GridFit) -> float:
    """Return how far the found map strays, beyond whole squares, from the true one within the sheet (root mean square).

    Which printed line is called zero does not matter.
    """
    width, height = true.size_mm
    mm = np.stack(np.meshgrid(np.arange(15, width - 15, 5), np.arange(15, height - 15, 5)), axis=-1).reshape(-1, 2)
    away = found.to_mm(true.to_page(mm)) - mm
    away -= np.round(np.median(away, axis=0))
    return float(np.sqrt((away**2).sum(axis=1).mean()))


def found(*, corners: F64 | None) -> GridFit:
    page, keypoints, _ = photo()
    runtime = BlindRuntime()
    return fit_grid(
        page, replace(keypoints, corners=corners), runtime=runtime, settings=GridSettings(), status=NULL_STATUS
    )


def test_corners_let_the_grid_be_found_where_it_is_not_without_them() -> None:
    true = photo()[2]
    assert off_mm(found(corners=None), true) > 2.0
    assert off_mm(found(corners=CORNERS), true) < 0.15


def test_corners_need_not_be_exact_nor_those_of_the_sheet() -> None:
    width, height = (side / PX_PER_MM for side in synth_page().upright_wh)
    rectangle = np.array([[20, 25], [width - 25, 25], [width - 25, height - 20], [20, height - 20]])
    onto = fit_homography(np.array([[0, 0], [width, 0], [width, height], [0, height]]), CORNERS)
    near = apply_homography(onto, rectangle) + np.array([[4, -3], [-3, 5], [5, 2], [-2, -4]])
    assert off_mm(found(corners=near), photo()[2]) < 0.15


def test_without_corners_stage_1_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    page, keypoints, grid = photo()
    monkeypatch.setattr(stage1_grid, "fit_grid", lambda p, k, **_: grid if p is page and k is keypoints else None)
    assert fit_grid(page, keypoints, runtime=BlindRuntime(), settings=GridSettings(), status=NULL_STATUS) is grid


def test_a_mirrored_sheet_is_flattened_the_right_way_round() -> None:
    page, keypoints, _ = photo()
    mirrored = replace(page, pixels=np.ascontiguousarray(page.pixels[:, ::-1]))
    swap = np.array([SIZE[0] - 1, 0])
    corners = swap + CORNERS * [-1, 1]
    there = replace(keypoints, xy=swap + keypoints.xy * [-1, 1], orientation=4, mirrored=True, angle_rad=np.pi)
    plain = flattened(page, keypoints, corners=CORNERS)
    turned = flattened(mirrored, there, corners=corners)
    np.testing.assert_allclose(turned.keypoints.xy, plain.keypoints.xy, atol=0.1)
    assert np.abs(turned.page.pixels.astype(int) - plain.page.pixels).mean() < 1.0


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0, 35.0])
def test_the_sides_of_a_sheet_seen_by_a_phone_have_their_true_ratio(tilt_deg: float) -> None:
    tilt, wh = np.radians(tilt_deg), (4000, 3000)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    sheet = np.array([[-148.5, -105, 0], [148.5, -105, 0], [148.5, 105, 0], [-148.5, 105, 0]])
    seen = sheet @ turn.T + [20, -10, 420]
    corners = 0.65 * 5000 * seen[:, :2] / seen[:, 2:] + np.array(wh) / 2
    assert side_ratio(corners, page_wh=wh) == pytest.approx(297 / 210, rel=0.05)
