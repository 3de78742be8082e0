import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import (
    DASH_POINTS,
    apply_homography,
    dashes,
    fit_homography,
    from_upright_pixels,
    from_upright_xy,
    resize_xy,
    to_upright_pixels,
    to_upright_xy,
)

orientations = st.integers(0, 7)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
points = arrays(np.float64, (7, 2), elements=st.floats(-1e4, 1e4))
corners = np.array([[0, 0], [1000, 0], [1000, 700], [0, 700]], np.float64)
tilts = arrays(np.float64, (4, 2), elements=st.floats(-120, 120))


@given(points, orientations, shapes)
def test_points_return_from_the_upright_page(xy: F64, orientation: int, shape: tuple[int, ...]) -> None:
    there = to_upright_xy(xy, orientation, page_shape=shape)
    np.testing.assert_allclose(from_upright_xy(there, orientation, page_shape=shape), xy, atol=1e-9)


@given(orientations, shapes)
def test_points_move_as_the_pixels_do(orientation: int, shape: tuple[int, ...]) -> None:
    upright = np.arange(shape[0] * shape[1]).reshape(shape)
    page = from_upright_pixels(upright, orientation)
    y, x = np.divmod(upright.ravel(), shape[1])
    moved = from_upright_xy(np.column_stack([x, y]), orientation, page_shape=page.shape).round().astype(int)
    np.testing.assert_array_equal(page[moved[:, 1], moved[:, 0]], upright.ravel())
    np.testing.assert_array_equal(to_upright_pixels(page, orientation), upright)


@pytest.mark.parametrize("orientation", [-1, 8])
def test_an_unknown_orientation_is_refused(orientation: int) -> None:
    with pytest.raises(ValueError, match="must be 0"):
        to_upright_xy(corners, orientation, page_shape=(3, 4))


@given(points, st.floats(0.05, 20))
def test_a_resize_and_its_inverse_cancel(xy: F64, factor: float) -> None:
    np.testing.assert_allclose(resize_xy(resize_xy(xy, factor), 1 / factor), xy, atol=1e-6)


def test_resizing_keeps_the_edges_of_the_image() -> None:
    np.testing.assert_allclose(resize_xy(np.array([[-0.5, -0.5], [9.5, 4.5]]), (2, 3)), [[-0.5, -0.5], [19.5, 14.5]])


@given(tilts, st.integers(0, 1000))
def test_a_homography_is_found_again_from_points_it_mapped(tilt: F64, seed: int) -> None:
    truth = fit_homography(corners, corners + tilt)
    xy = np.random.default_rng(seed).uniform(0, 700, (20, 2))
    found = fit_homography(xy, apply_homography(truth, xy))
    np.testing.assert_allclose(apply_homography(found, corners), corners + tilt, atol=1e-5)


def test_a_pair_with_weight_zero_does_not_count() -> None:
    source = np.vstack([corners, [[500, 300]]])
    target = source + 5
    target[4] += 100
    found = fit_homography(source, target, weights=np.array([1, 2, 1, 1, 0.0]))
    np.testing.assert_allclose(apply_homography(found, corners), corners + 5, atol=1e-8)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (corners[:3], "four"),
        (np.column_stack([np.arange(6.0), np.arange(6.0)]), "line"),
        (np.ones((5, 2)), "coincide"),
    ],
)
def test_points_that_do_not_determine_a_homography_are_refused(source: F64, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        fit_homography(source, source)


def test_a_point_on_the_horizon_becomes_nan() -> None:
    homography = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 2.0]])
    assert np.isnan(apply_homography(homography, np.array([2.0, 0.0]))).all()


@given(arrays(np.float64, st.tuples(st.integers(0, 30), st.just(2)), elements=st.floats(-100, 100)), st.floats(0.5, 50))
def test_dashes_are_every_second_piece_of_a_line(xy: F64, length: float) -> None:
    found = dashes(xy, length=length)
    assert found.shape[1:] == (DASH_POINTS, 2)
    total = float(np.hypot(*np.diff(xy, axis=0).T).sum()) if len(xy) > 1 else 0.0
    assert abs(len(found) - total / (2 * length)) < 1 + 1e-6
    if len(found):
        low, high = xy.min(axis=0) - 1e-6, xy.max(axis=0) + 1e-6
        assert ((found >= low) & (found <= high)).all()
        assert np.hypot(*(found[:, -1] - found[:, 0]).T).max() <= length + 1e-6
        np.testing.assert_allclose(found[0, 0], xy[0], atol=1e-6)


def test_dashes_leave_gaps_of_their_length_and_skip_what_is_nowhere() -> None:
    line = np.array([[0.0, 0.0], [np.nan, 5.0], [10.0, 0.0]])
    found = dashes(line, length=2.0)
    np.testing.assert_allclose(found[:, [0, -1], 0], [[0, 2], [4, 6], [8, 10]])
    assert dashes(line[:2], length=2.0).shape == (0, DASH_POINTS, 2)
