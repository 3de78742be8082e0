"""The exact map between a flat rendered sheet and a photo of it; it bends pixels but adds no light or dirt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]
    Matrix = NDArray[np.floating[Any]]
    Rgb = NDArray[np.uint8]
    Sample = TypeVar("Sample", np.uint8, np.float32)

SOLVER_TOLERANCE_PX = 1e-4
SOLVER_STEPS = 40
# A node step of a quarter of the displacement's lattice keeps the linear interpolation error of the dense map
# below 0.03 px for every kink the displacement can hold (measured in the unit test).
NODES_PER_LATTICE_CELL = 4
FLAT_NODE_PX = 16
# Below this many sheet pixels per photo pixel linear interpolation alone is a good enough low-pass filter.
PREFILTER_FROM = 1.15


def apply_homography(matrix: Matrix, xy: Points) -> Points:
    """Map points [N, 2] by a 3x3 matrix."""
    homogeneous = xy @ matrix[:, :2].T + matrix[:, 2]
    mapped: Points = homogeneous[:, :2] / homogeneous[:, 2:]
    return mapped


def scaling(scale_x: float, scale_y: float, *, from_xy: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Return the 3x3 resize about pixel corners: x' = (x - from_x + 0.5) * scale_x - 0.5."""
    return np.array(
        [
            [scale_x, 0.0, (0.5 - from_xy[0]) * scale_x - 0.5],
            [0.0, scale_y, (0.5 - from_xy[1]) * scale_y - 0.5],
            [0.0, 0.0, 1.0],
        ]
    )


@dataclass(frozen=True, slots=True)
class Displacement:
    """A smooth displacement of the flat sheet: cubic B-spline coefficients on a lattice, constant outside.

    `coefficients` f64[2, R, C] in sheet px, coefficient [:, r, c] sits at `origin_xy + pitch_px * (c, r)`.
    """

    coefficients: NDArray[np.float64]
    origin_xy: tuple[float, float]
    pitch_px: float
    _gradient: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        coefficients = np.array(self.coefficients, dtype=np.float64)
        if coefficients.ndim != 3 or coefficients.shape[0] != 2 or min(coefficients.shape[1:]) < 4:
            raise ValueError(f"displacement coefficients must be [2, R>=4, C>=4], got {coefficients.shape}")
        along_y, along_x = np.gradient(coefficients, self.pitch_px, axis=(1, 2))
        coefficients.flags.writeable = False
        object.__setattr__(self, "coefficients", coefficients)
        # jacobian entries d(disp_i)/d(q_j) as [R, C, i, j]
        object.__setattr__(self, "_gradient", np.stack([along_x, along_y], axis=-1).transpose(1, 2, 0, 3).copy())

    def at(self, xy: Points) -> Points:
        """Return the displacement [N, 2] in sheet px at flat points [N, 2]."""
        lattice = ((xy - self.origin_xy) / self.pitch_px).T[::-1]
        return np.stack(
            [map_coordinates(plane, lattice, order=3, prefilter=False, mode="nearest") for plane in self.coefficients],
            axis=1,
        )

    def solve(self, xy: Points) -> Points:
        """Return q with q + at(q) = xy to SOLVER_TOLERANCE_PX, by Newton steps with the nearest node's Jacobian."""
        q = xy - self.at(xy)
        active = np.arange(len(xy))
        rows, columns = self.coefficients.shape[1:]
        for _ in range(SOLVER_STEPS):
            if not len(active):
                break
            here = q[active]
            residual = xy[active] - here - self.at(here)
            index = np.rint((here - self.origin_xy) / self.pitch_px).astype(np.intp)
            jacobian = self._gradient[np.clip(index[:, 1], 0, rows - 1), np.clip(index[:, 0], 0, columns - 1)]
            a, b = 1.0 + jacobian[:, 0, 0], jacobian[:, 0, 1]
            c, d = jacobian[:, 1, 0], 1.0 + jacobian[:, 1, 1]
            determinant = a * d - b * c
            step_x = (d * residual[:, 0] - b * residual[:, 1]) / determinant
            step_y = (a * residual[:, 1] - c * residual[:, 0]) / determinant
            q[active] = here + np.stack([step_x, step_y], axis=1)
            active = active[np.abs(residual).max(axis=1) > SOLVER_TOLERANCE_PX]
        return q


@dataclass(frozen=True, slots=True)
class Nodes:
    """Sheet positions on a coarse lattice of photo pixels, one node beyond the photo on every side.

    Node [r, c] lies at photo px `pitch * (c - 0.5) - 0.5`, so that a resize by `pitch` meets pixel centres.
    """

    sheet_x: NDArray[np.float32]
    sheet_y: NDArray[np.float32]
    pitch: int
    photo_wh: tuple[int, int]

    def dense(self, plane: NDArray[Sample]) -> NDArray[Sample]:
        """Upsample a plane (or planes) given at the nodes to photo pixels by linear interpolation."""
        rows, columns = plane.shape[:2]
        width, height = self.photo_wh
        full = cv2.resize(plane, (columns * self.pitch, rows * self.pitch), interpolation=cv2.INTER_LINEAR)
        return full[self.pitch : self.pitch + height, self.pitch : self.pitch + width]


@dataclass(frozen=True, slots=True)
class Warp:
    """Exact map between sheet pixels and photo pixels.

    Photo px -> `to_camera` (resize, turn or crop after the shot) -> lens (radial, about the camera frame's centre)
    -> homography `to_flat` -> q -> sheet px = q + displacement(q).
    """

    sheet_wh: tuple[int, int]
    photo_wh: tuple[int, int]
    to_flat: Matrix
    lens_k1: float = 0.0
    displacement: Displacement | None = None
    to_camera: Matrix = field(default_factory=lambda: np.eye(3))
    camera_wh: tuple[int, int] | None = None  # None: the photo is the camera's frame

    def __post_init__(self) -> None:
        matrix = np.array(self.to_flat, dtype=np.float64)
        if matrix.shape != (3, 3) or abs(np.linalg.det(matrix)) < 1e-12:
            raise ValueError("to_flat must be an invertible 3x3 matrix")
        matrix.flags.writeable = False
        object.__setattr__(self, "to_flat", matrix)

    def photo_to_sheet(self, xy: Points) -> Points:
        """Map photo px [N, 2] to sheet px [N, 2]."""
        camera = apply_homography(self.to_camera, np.asarray(xy, dtype=np.float64))
        q = apply_homography(self.to_flat, self._through_lens(camera))
        return q if self.displacement is None else q + self.displacement.at(q)

    def sheet_to_photo(self, xy: Points) -> Points:
        """Map sheet px [N, 2] to photo px [N, 2]; the inverse of `photo_to_sheet` to better than 0.01 px."""
        points = np.asarray(xy, dtype=np.float64)
        q = points if self.displacement is None else self.displacement.solve(points)
        camera = self._back_through_lens(apply_homography(np.linalg.inv(self.to_flat), q))
        return apply_homography(np.linalg.inv(self.to_camera), camera)

    def after(self, to_old: Matrix, photo_wh: tuple[int, int]) -> Warp:
        """Return the map of an edited photo whose pixel p shows this photo's pixel `to_old` p (3x3, affine)."""
        camera_wh = self.camera_wh or self.photo_wh
        return replace(self, photo_wh=photo_wh, to_camera=self.to_camera @ to_old, camera_wh=camera_wh)

    def oriented(self, orientation: int) -> Warp:
        """Return the map after np.rot90(fliplr(photo) if orientation >= 4 else photo, orientation % 4)."""
        width, height = self.photo_wh
        to_old = np.eye(3)
        if orientation >= 4:
            to_old = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])
        for _ in range(orientation % 4):
            to_old = to_old @ np.array([[0.0, -1, width - 1], [1, 0, 0], [0, 0, 1]])
            width, height = height, width
        return self.after(to_old, (width, height))

    def sheet_px_per_photo_px(self) -> float:
        """Return the median local scale inside the photo."""
        width, height = self.photo_wh
        grid = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9)), axis=-1).reshape(-1, 2)
        to_flat = self.to_flat @ self.to_camera
        q = apply_homography(to_flat, grid)
        right = apply_homography(to_flat, grid + np.array([1.0, 0.0])) - q
        down = apply_homography(to_flat, grid + np.array([0.0, 1.0])) - q
        return float(np.median(np.sqrt(np.abs(right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]))))

    def nodes(self) -> Nodes:
        """Sample the map on a lattice coarse enough to be quick and fine enough to be interpolated linearly."""
        pitch = FLAT_NODE_PX
        if self.displacement is not None:
            step = self.displacement.pitch_px / NODES_PER_LATTICE_CELL / self.sheet_px_per_photo_px()
            pitch = int(np.clip(round(step), 2, FLAT_NODE_PX))
        elif np.any(self.to_flat[2, :2] != 0.0) or self.lens_k1 != 0.0:
            pitch = FLAT_NODE_PX // 2
        width, height = self.photo_wh
        x = pitch * (np.arange(-(-width // pitch) + 2) - 0.5) - 0.5
        y = pitch * (np.arange(-(-height // pitch) + 2) - 0.5) - 0.5
        photo = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        sheet = self.photo_to_sheet(photo).astype(np.float32).reshape(len(y), len(x), 2)
        return Nodes(np.ascontiguousarray(sheet[..., 0]), np.ascontiguousarray(sheet[..., 1]), pitch, self.photo_wh)

    def render(
        self, sheet: Rgb, background: Rgb, *, nodes: Nodes | None = None, shown_scale: float | None = None
    ) -> Rgb:
        """Return the photo of `sheet`; where no paper is, `background` (a colour [3] or a photo-sized image) shows.

        The sheet is resized to `shown_scale` (by default to the photo's resolution when it is finer) before the one
        interpolation, so that nothing aliases.
        """
        width, height = self.photo_wh
        nodes = nodes or self.nodes()
        if shown_scale is None:
            minification = self.sheet_px_per_photo_px()
            shown_scale = 1.0 / minification if minification > PREFILTER_FROM else 1.0
        source, scale_x, scale_y = sheet, 1.0, 1.0
        if shown_scale < 1.0:
            source_wh = tuple(max(2, round(side * shown_scale)) for side in sheet.shape[1::-1])
            source = cv2.resize(sheet, source_wh, interpolation=cv2.INTER_AREA)
            scale_x, scale_y = source_wh[0] / sheet.shape[1], source_wh[1] / sheet.shape[0]
        map_x = nodes.dense((nodes.sheet_x + 0.5) * scale_x - 0.5)
        map_y = nodes.dense((nodes.sheet_y + 0.5) * scale_y - 0.5)
        photo = np.empty((height, width, 3), np.uint8)
        photo[:] = background
        # Transparent borders leave a photo pixel to the background as soon as one of its neighbours is off the paper.
        cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, dst=photo, borderMode=cv2.BORDER_TRANSPARENT)
        return photo

    def _lens_frame(self) -> tuple[Points, float]:
        width, height = self.camera_wh or self.photo_wh
        return np.array([(width - 1) / 2.0, (height - 1) / 2.0]), float(np.hypot(width, height) / 2.0)

    def _through_lens(self, xy: Points) -> Points:
        if self.lens_k1 == 0.0:
            return xy
        centre, radius = self._lens_frame()
        offset = (xy - centre) / radius
        bent: Points = centre + radius * offset * (1.0 + self.lens_k1 * (offset**2).sum(axis=1, keepdims=True))
        return bent

    def _back_through_lens(self, xy: Points) -> Points:
        if self.lens_k1 == 0.0:
            return xy
        centre, radius = self._lens_frame()
        offset = (xy - centre) / radius
        target = np.sqrt((offset**2).sum(axis=1, keepdims=True))
        r = target.copy()
        for _ in range(8):  # Newton on r (1 + k r^2) = target; |k| is small, so eight steps are plenty
            r -= (r * (1.0 + self.lens_k1 * r**2) - target) / np.maximum(1.0 + 3.0 * self.lens_k1 * r**2, 0.1)
        straight: Points = centre + radius * offset / (1.0 + self.lens_k1 * r**2)
        return straight
