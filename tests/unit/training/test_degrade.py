"""Degraded pages keep an exact, reversible map to the sheet they came from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.synth.degrade import KINDS, degrade
from training.synth.surface import Bend, bend
from training.synth.warp import Displacement, Warp

SHEET_WH = (1100, 850)
PX_PER_MM = 4.0


def blank_sheet() -> np.ndarray:
    return np.full((SHEET_WH[1], SHEET_WH[0], 3), 250, np.uint8)


def gridded_sheet() -> np.ndarray:
    sheet = blank_sheet()
    sheet[::20] = (230, 160, 170)
    sheet[:, ::20] = (230, 160, 170)
    cv2.putText(sheet, "aVR  25 mm/s", (100, 400), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 2)
    return sheet


def random_points(count: int) -> np.ndarray:
    return np.random.default_rng(5).uniform((0, 0), SHEET_WH, (count, 2))


def bent_warp(seed: int, *, lens_k1: float = 0.03) -> Warp:
    rng = np.random.default_rng(seed)
    amounts = Bend(curls=1, curl_mm=6, folds=2, fold_slope=0.12, crumple_mm=2, jitter_mm=0.5, jitter_sigma_mm=8)
    shape = bend(rng, SHEET_WH, px_per_mm=PX_PER_MM, amounts=amounts, view_xy=(0.3, 0.2), distance_mm=350)
    to_flat = np.array([[0.95, 0.05, -60.0], [-0.04, 1.0, -40.0], [4e-5, 3e-5, 1.0]])
    return Warp(SHEET_WH, (1250, 950), to_flat, lens_k1, shape.displacement)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_every_kind_gives_bytes_and_a_map_that_round_trips(kind: str, seed: int) -> None:
    page = degrade(gridded_sheet(), px_per_mm=PX_PER_MM, kind=kind, rng=np.random.default_rng(seed))
    assert page.pixels.dtype == np.uint8
    assert page.pixels.shape == (page.warp.photo_wh[1], page.warp.photo_wh[0], 3)
    assert 200 <= max(page.pixels.shape) <= 4000
    points = random_points(500)
    back = page.warp.photo_to_sheet(page.warp.sheet_to_photo(points))
    assert np.abs(back - points).max() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_page(kind: str) -> None:
    first, second = (
        degrade(gridded_sheet(), px_per_mm=PX_PER_MM, kind=kind, rng=np.random.default_rng(11)) for _ in range(2)
    )
    assert np.array_equal(first.pixels, second.pixels)
    points = random_points(20)
    assert np.array_equal(first.warp.sheet_to_photo(points), second.warp.sheet_to_photo(points))


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_is_of_one_bit_and_keeps_a_pale_grid(seed: int) -> None:
    page = degrade(gridded_sheet(), px_per_mm=PX_PER_MM, kind="copy", rng=np.random.default_rng(seed))
    grey = page.pixels[..., 0].astype(int)
    assert (np.minimum(grey, 255 - grey) < 40).mean() > 0.97
    inner = np.array([[x, y] for x in range(200, 900, 20) for y in range(510, 780)], float)
    column, row = np.round(page.warp.sheet_to_photo(inner)).astype(int).T
    seen = (column > 0) & (row > 0) & (column < grey.shape[1]) & (row < grey.shape[0])
    assert (grey[row[seen], column[seen]] < 128).mean() > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_sheet_to_photo_inverts_strong_bending(seed: int) -> None:
    warp = bent_warp(seed)
    points = random_points(3000)
    assert np.abs(warp.photo_to_sheet(warp.sheet_to_photo(points)) - points).max() < 0.01


def test_the_upsampled_map_agrees_with_the_exact_one() -> None:
    warp = bent_warp(1)
    nodes = warp.nodes()
    dense = np.stack([nodes.dense(nodes.sheet_x), nodes.dense(nodes.sheet_y)], axis=-1)
    y, x = np.mgrid[0 : warp.photo_wh[1] : 7, 0 : warp.photo_wh[0] : 7]
    exact = warp.photo_to_sheet(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    assert np.abs(dense[::7, ::7].reshape(-1, 2) - exact).max() < 0.03


@pytest.mark.parametrize("orientation", range(8))
def test_an_oriented_warp_follows_the_turned_photo(orientation: int) -> None:
    warp = bent_warp(2)
    width, height = warp.photo_wh
    upright = np.arange(width * height).reshape(height, width)
    turned = np.rot90(np.fliplr(upright) if orientation >= 4 else upright, orientation % 4)
    row, column = 37, 411 if orientation % 2 == 0 else 211
    old_row, old_column = divmod(int(turned[row, column]), width)
    seen = warp.oriented(orientation)
    assert seen.photo_wh == (turned.shape[1], turned.shape[0])
    expected = warp.photo_to_sheet(np.array([[old_column, old_row]], float))
    assert np.allclose(seen.photo_to_sheet(np.array([[column, row]], float)), expected)
    assert np.allclose(seen.sheet_to_photo(expected), [[column, row]], atol=1e-3)


def dot_errors(photo: np.ndarray, expected: np.ndarray, radius: int) -> np.ndarray:
    errors = []
    for x, y in expected:
        column, row = round(x), round(y)
        window = photo[row - radius : row + radius + 1, column - radius : column + radius + 1].mean(axis=2)
        if window.shape != (2 * radius + 1, 2 * radius + 1):
            continue
        rim = np.concatenate([window[0], window[-1], window[:, 0], window[:, -1]])
        dark = np.clip(np.median(rim) - window - 12.0, 0, None)
        if dark.max() < 40:
            continue
        offset = np.arange(-radius, radius + 1)
        centre = np.array([(dark.sum(0) * offset).sum(), (dark.sum(1) * offset).sum()]) / dark.sum()
        errors.append(centre + np.array([column - x, row - y]))
    return np.array(errors)


def dotted_sheet() -> tuple[np.ndarray, np.ndarray]:
    sheet = blank_sheet()
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(60, SHEET_WH[0] - 50, 70.0), np.arange(60, SHEET_WH[1] - 50, 70.0))
    centres = np.stack([x.ravel(), y.ravel()], axis=1) + np.round(rng.uniform(-5, 5, (x.size, 2)) * 256) / 256
    for cx, cy in centres:
        cv2.circle(sheet, (round(cx * 256), round(cy * 256)), 4 * 256, (10, 10, 10), -1, cv2.LINE_AA, 8)
    return sheet, centres


def test_dots_on_bent_paper_lie_where_the_map_says() -> None:
    sheet, centres = dotted_sheet()
    warp = bent_warp(4)
    errors = dot_errors(warp.render(sheet, np.array((90, 90, 90), np.uint8)), warp.sheet_to_photo(centres), 12)
    assert len(errors) > 80
    assert np.abs(errors.mean(axis=0)).max() < 0.03
    assert np.abs(errors).max() < 0.3


@pytest.mark.parametrize("kind", ["render", "scan", "photo", "screen"])
def test_dots_on_degraded_pages_lie_where_the_map_says(kind: str) -> None:
    sheet, centres = dotted_sheet()
    shifts, found = [], 0
    for seed in range(6):
        page = degrade(sheet, px_per_mm=PX_PER_MM, kind=kind, rng=np.random.default_rng(100 + seed))
        errors = dot_errors(page.pixels, page.warp.sheet_to_photo(centres), 12)
        if len(errors) > 30:
            found += 1
            shifts.append(np.median(errors, axis=0))
            assert np.quantile(np.abs(errors - shifts[-1]), 0.8) < 0.3
    assert found >= 3
    assert np.abs(np.array(shifts)).max() < 0.12
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        degrade(blank_sheet(), px_per_mm=PX_PER_MM, kind="telex", rng=np.random.default_rng(0))


def test_a_displacement_needs_a_lattice() -> None:
    with pytest.raises(ValueError, match="coefficients"):
        Displacement(np.zeros((2, 3, 3)), (0.0, 0.0), 8.0)
