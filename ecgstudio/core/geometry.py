"""Geometry of points and images in the plane: homographies, resizing, quarter turns and mirroring."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ecgstudio.core.arrays import F64, Floats

DASH_POINTS = 4
"""Points of a dash: it follows a bend."""


def _normalisation(xy: F64, weights: F64) -> F64:
    """Similarity that moves the centroid to 0 and the mean distance to sqrt(2) (Hartley 1997)."""
    centre = np.average(xy, axis=0, weights=weights)
    spread = np.average(np.hypot(*(xy - centre).T), weights=weights)
    if not spread > 0:
        raise ValueError("the points of a homography must not coincide")
    s = np.sqrt(2) / spread
    return np.array([[s, 0, -s * centre[0]], [0, s, -s * centre[1]], [0, 0, 1]])


def fit_homography(source_xy: Floats, target_xy: Floats, *, weights: Floats | None = None) -> F64:
    """Return the homography [3, 3] that maps source points [N, 2] onto target points, N >= 4.

    Normalised direct linear transform; each pair counts by its weight (>= 0). Raises ValueError for fewer
    than four weighted points or points on one line.
    """
    source, target = np.asarray(source_xy, np.float64), np.asarray(target_xy, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"point sets must both be [N, 2], not {source.shape} and {target.shape}")
    w = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
    if w.shape != (len(source),) or (w < 0).any():
        raise ValueError("weights must be one number >= 0 per point")
    keep = w > 0
    source, target, w = source[keep], target[keep], w[keep]
    if len(source) < 4:
        raise ValueError("a homography needs at least four points")
    n_source, n_target = _normalisation(source, w), _normalisation(target, w)
    x, y = _affine(n_source, source).T
    u, v = _affine(n_target, target).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows_u = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1)
    rows_v = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1)
    root = np.sqrt(w / w.mean())[:, None]
    system = np.concatenate([rows_u * root, rows_v * root])
    _, singular, vt = np.linalg.svd(system, full_matrices=len(system) < 9)  # its left side would be [2N, 2N]
    if singular[7] < 1e-9 * singular[0]:
        raise ValueError("the points of a homography must not lie on one line")
    h = np.linalg.inv(n_target) @ vt[8].reshape(3, 3) @ n_source
    return np.asarray(h / (h[2, 2] if abs(h[2, 2]) > 1e-12 * np.abs(h).max() else np.linalg.norm(h)))


def _affine(matrix: F64, xy: F64) -> F64:
    return np.asarray(xy @ matrix[:2, :2].T + matrix[:2, 2])


def apply_homography(homography: F64, xy: Floats) -> F64:
    """Map points [..., 2] through a homography; a point on its horizon becomes NaN."""
    points = np.asarray(xy, np.float64)
    mapped = points @ homography[:, :2].T + homography[:, 2]
    depth = mapped[..., 2:]
    safe = np.abs(depth) > 1e-12 * np.abs(homography).max()
    return np.asarray(np.where(safe, mapped[..., :2] / np.where(safe, depth, 1.0), np.nan))


def perspective_reach(to_page: F64, size: tuple[float, float], *, page_wh: tuple[int, int], margin: float) -> F64:
    """Return how much of a flat sheet to look at: its low and high corner [2, 2], in the units of `size`.

    `to_page` maps the sheet onto the page; a rectangle of `size` from (0, 0) is known to lie on it. The answer holds
    that rectangle and what of the page lies round it, up to `margin` times its sides: further out the perspective runs
    away.
    """
    full, sheet = np.array(size, np.float64), np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    seen = apply_homography(np.asarray(np.linalg.inv(to_page)), sheet * np.array(page_wh, np.float64) - 0.5)
    depth = _depth(to_page, np.concatenate([np.nan_to_num(seen), full[None] / 2]))
    known = np.isfinite(seen).all(axis=1) & (depth[:-1] * depth[-1] > 0)  # a corner beyond the horizon is nowhere
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    if not known.all():
        low, high = -np.inf * np.ones(2), np.inf * np.ones(2)
    while True:
        reach = np.stack([np.clip(low, -margin * full, 0), np.clip(high, full, full + margin * full)])
        corners = reach[0] + sheet * (reach[1] - reach[0])
        if margin < 0.01 or np.all(_depth(to_page, corners) / _depth(to_page, full[None] / 2) > 0.25):
            return reach
        margin /= 2


def _depth(homography: F64, xy: F64) -> F64:
    return np.asarray(xy @ homography[2, :2] + homography[2, 2])


def resize_xy(xy: Floats, factor: float | tuple[float, float]) -> F64:
    """Follow points through a resize of the image by a factor, or by (x factor, y factor); pixel centres."""
    return np.asarray((np.asarray(xy, np.float64) + 0.5) * np.asarray(factor, np.float64) - 0.5)


def from_upright_xy(xy: Floats, orientation: int, *, page_shape: tuple[int, ...]) -> F64:
    """Map points of the upright page into the page as it is.

    `page_shape` is (height, width, ...) of the page as it is, in both directions of the mapping.
    """
    matrix, shift = _orientation_map(orientation, page_shape)
    return np.asarray(np.asarray(xy, np.float64) @ matrix.T + shift)


def to_upright_xy(xy: Floats, orientation: int, *, page_shape: tuple[int, ...]) -> F64:
    """Map points of the page as it is into the upright page; the inverse of from_upright_xy."""
    matrix, shift = _orientation_map(orientation, page_shape)
    return np.asarray((np.asarray(xy, np.float64) - shift) @ matrix)


def _orientation_map(orientation: int, page_shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Matrix and shift of upright -> page: a mirroring, then counter-clockwise quarter turns."""
    if orientation not in range(8):
        raise ValueError(f"orientation must be 0..7, not {orientation}")
    height, width = page_shape[:2]
    if orientation % 2:
        height, width = width, height
    matrix, shift = np.eye(2), np.zeros(2)
    if orientation >= 4:
        matrix, shift = np.diag([-1.0, 1.0]), np.array([width - 1.0, 0.0])
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    for _ in range(orientation % 4):  # (x, y) of a w x h image goes to (y, w - 1 - x)
        matrix, shift = quarter @ matrix, quarter @ shift + np.array([0.0, width - 1.0])
        height, width = width, height
    return matrix, shift


def from_upright_pixels(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn an upright image into the page as it is (a view)."""
    return np.rot90(np.fliplr(pixels) if orientation >= 4 else pixels, orientation % 4)


def to_upright_pixels(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn a page as it is into the upright image (a view)."""
    turned = np.rot90(pixels, -(orientation % 4))
    return np.fliplr(turned) if orientation >= 4 else turned


def dashes(xy: Floats, *, length: float) -> F64:
    """Cut every second piece of a length out of a line [n, 2]: what is left as polylines [k, DASH_POINTS, 2].

    Points that are not finite are left out; a line of fewer than two others has no dash.
    """
    known = np.asarray(xy, np.float64)[np.isfinite(xy).all(axis=1)]
    if len(known) < 2:
        return np.empty((0, DASH_POINTS, 2))
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(known, axis=0).T))])
    starts = np.arange(0.0, along[-1], 2 * length)
    at = np.minimum(starts[:, None] + np.linspace(0, length, DASH_POINTS), along[-1])
    return np.stack([np.interp(at, along, known[:, axis]) for axis in (0, 1)], axis=-1)
