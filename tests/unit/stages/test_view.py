"""Views show the whole page upright at the asked resolution, and every pixel is where they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.stages.view import View, coarse_centres, upright_view, upsampled
from tests.synth_page import TruthRuntime, coded, true_keypoints
from training.synth.truth import SheetTruth

WIDTH_MM, HEIGHT_MM = 90.0, 60.0
patient = settings(deadline=None, max_examples=40)
EMPTY_SHEET = SheetTruth(
    size_mm=(WIDTH_MM, HEIGHT_MM), grid_origin_mm=(0.0, 0.0), grid_style="none", mm_per_s=25.0, layout="3x4", leads=(),
    labels=(), pulses_mm=(), record_mv=np.zeros((12, 10), np.float32), record_fs=500.0,
)  # fmt: skip

orientations = st.integers(0, 7)
tilts_rad = st.floats(-0.4, 0.4)


def view_of(
    wh: tuple[int, int], *, orientation: int, tilt_rad: float, px_per_mm: float, max_side_px: int = 4000
) -> View:
    angle = -np.pi / 2 * (orientation % 4) + (np.pi if orientation >= 4 else 0.0) + tilt_rad
    return upright_view(
        wh, px_per_mm=px_per_mm, angle_rad=angle, mirrored=orientation >= 4, view_px_per_mm=5.0, max_side_px=max_side_px
    )


@patient
@given(orientation=orientations, tilt_rad=tilts_rad, px_per_mm=st.floats(1.0, 40.0), seed=st.integers(0, 99))
def test_from_page_undoes_to_page(orientation: int, tilt_rad: float, px_per_mm: float, seed: int) -> None:
    view = view_of((640, 480), orientation=orientation, tilt_rad=tilt_rad, px_per_mm=px_per_mm)
    px = np.random.default_rng(seed).uniform(-50, 900, (20, 2))
    np.testing.assert_allclose(view.from_page(view.to_page(px)), px, atol=1e-8)


@patient
@given(orientation=orientations, tilt_rad=tilts_rad, px_per_mm=st.floats(1.0, 40.0))
def test_the_whole_page_is_in_the_view(orientation: int, tilt_rad: float, px_per_mm: float) -> None:
    view = view_of((640, 480), orientation=orientation, tilt_rad=tilt_rad, px_per_mm=px_per_mm)
    corners = np.array([[-0.5, -0.5], [639.5, -0.5], [-0.5, 479.5], [639.5, 479.5]])
    inside = view.from_page(corners)
    assert (inside >= -0.5 - 1e-6).all()
    assert (inside <= np.array(view.shape[::-1]) - 0.5 + 1e-6).all()
    assert view.shape[0] % 32 == view.shape[1] % 32 == 0


@patient
@given(orientation=orientations, tilt_rad=tilts_rad)
def test_a_view_pixel_is_a_fifth_of_a_millimetre(orientation: int, tilt_rad: float) -> None:
    view = view_of((640, 480), orientation=orientation, tilt_rad=tilt_rad, px_per_mm=7.0)
    step = view.to_page(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert np.hypot(*(step[1:] - step[0]).T) == pytest.approx(7.0 / 5.0)


@patient
@given(orientation=orientations, tilt_rad=tilts_rad, limit=st.integers(64, 1000))
def test_no_side_is_longer_than_allowed(orientation: int, tilt_rad: float, limit: int) -> None:
    view = view_of((3000, 2000), orientation=orientation, tilt_rad=tilt_rad, px_per_mm=8.0, max_side_px=limit)
    assert max(view.shape) <= limit + 32  # rounded up to whole cells
    assert min(view.shape) >= 32


@pytest.mark.parametrize("orientation", range(8))
@pytest.mark.parametrize("view_px_per_mm", [8.0, 5.0, 2.0])
def test_a_turned_or_mirrored_page_is_shown_upright(orientation: int, view_px_per_mm: float) -> None:
    upright = np.full((int(HEIGHT_MM * 6), int(WIDTH_MM * 6), 3), 255, np.uint8)
    synth = coded(upright, EMPTY_SHEET, orientation)
    lies = true_keypoints(synth)
    view = upright_view(
        synth.page.pixels.shape[1::-1], px_per_mm=6.0, angle_rad=lies.angle_rad, mirrored=lies.mirrored,
        view_px_per_mm=view_px_per_mm, max_side_px=4000,
    )  # fmt: skip
    red = view.pixels(synth.page.pixels)[..., 0].astype(np.float64)
    seen = TruthRuntime(synth)._place(red, at_least=50)  # where the picture's own code says that it lies
    px = np.array([[10.0, 20.0], [100.0, 40.0], [30.0, 90.0]])
    mm = np.column_stack([px, np.ones(3)]) @ seen.T
    np.testing.assert_allclose(seen[:, :2], np.eye(2) / view_px_per_mm, atol=2e-3)
    np.testing.assert_allclose(synth.to_page(mm), view.to_page(px), atol=0.3)


def test_a_smaller_view_averages() -> None:
    chequered = np.repeat((np.indices((300, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    view = upright_view(
        (400, 300), px_per_mm=10.0, angle_rad=0.0, mirrored=False, view_px_per_mm=3.3, max_side_px=4000
    )
    small = view.pixels(chequered)[10:-10, 10:-10]
    assert 100 <= small.min() <= small.max() <= 155


def test_around_the_page_its_border_goes_on() -> None:
    view = upright_view((70, 40), px_per_mm=5.0, angle_rad=0.0, mirrored=False, view_px_per_mm=5.0, max_side_px=4000)
    assert view.shape == (64, 96)
    assert (view.pixels(np.full((40, 70, 3), 77, np.uint8)) == 77).all()


@patient
@given(height=st.integers(1, 90), width=st.integers(1, 90), step=st.sampled_from([4, 16]))
def test_a_linear_map_known_at_cell_middles_is_known_everywhere(height: int, width: int, step: int) -> None:
    at, (rows, columns) = coarse_centres((height, width), step)
    coarse = (3.0 * at[:, 0] - 2.0 * at[:, 1] + 5.0).reshape(rows, columns).astype(np.float32)
    y, x = np.mgrid[:height, :width]
    full = upsampled(coarse, (height, width), step)
    np.testing.assert_allclose(full, 3.0 * x - 2.0 * y + 5.0, atol=1e-2)
