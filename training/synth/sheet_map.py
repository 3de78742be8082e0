"""The map from a flat sheet's millimetres to a picture's pixels, kept as a spline; it is known on a lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

Floats = NDArray[np.float64]

EDGE = 8
"""Points by which the lattice is continued on each side: a spline's filter assumes that the map is flat at its edge,
which moved points up to 1.7 px at 8 px/mm in the outermost cell and ebbs by a factor of 4 per cell."""
RIGHT, DOWN = np.array([1.0, 0.0]), np.array([0.0, 1.0])
NEWTON_STEPS = 4
LONGEST_STEP_MM = 20.0


def lattice_mm(size_mm: tuple[float, float], step_mm: float) -> Floats:
    """Return the lattice [R, C, 2] that covers a sheet, in sheet mm."""
    columns = int(np.ceil(size_mm[0] / step_mm)) + 1
    rows = int(np.ceil(size_mm[1] / step_mm)) + 1
    grid = np.meshgrid(np.arange(columns) * step_mm, np.arange(rows) * step_mm)
    return np.stack(grid, axis=-1).astype(np.float64)


class SheetMap:
    """Map between sheet mm and page pixels through a lattice [R, C, 2] of page pixels every `step_mm`."""

    def __init__(self, lattice_px: Floats, step_mm: float) -> None:
        rows, columns = lattice_px.shape[:2]
        pad = [(min(EDGE, rows - 1),) * 2, (min(EDGE, columns - 1),) * 2]
        self._first = np.array([pad[0][0], pad[1][0]], np.float64)
        continued = [np.pad(lattice_px[..., k], pad, mode="reflect", reflect_type="odd") for k in (0, 1)]
        self._spline = [spline_filter(plane, order=3, mode="mirror") for plane in continued]
        self._limit = np.array([rows, columns]) - 1.0
        self._step_mm = step_mm

    def to_page(self, mm: Floats) -> Floats:
        """Map sheet mm [N, 2] to page pixels [N, 2]; linear beyond the sheet."""
        at = mm[:, ::-1] / self._step_mm
        inside = np.clip(at, 0.0, self._limit)
        out = self._spline_at(inside)
        beyond = at - inside
        for axis in (0, 1):
            if np.any(beyond[:, axis]):
                back = inside.copy()
                back[:, axis] -= np.sign(beyond[:, axis])
                slope = self._spline_at(inside) - self._spline_at(np.clip(back, 0.0, self._limit))
                out = out + slope * np.abs(beyond[:, axis : axis + 1])
        return out

    def _spline_at(self, at: Floats) -> Floats:
        where = (at + self._first).T
        columns = [map_coordinates(s, where, order=3, prefilter=False, mode="mirror") for s in self._spline]
        return np.stack(columns, axis=1)

    def jacobian(self, mm: Floats) -> Floats:
        """Return d page px / d mm at one point as a 2 x 2 matrix."""
        p = self.to_page(mm + np.stack([0 * RIGHT, RIGHT, DOWN]))
        return np.stack([p[1] - p[0], p[2] - p[0]], axis=1)

    def to_mm(self, page: Floats, start_mm: Floats) -> Floats:
        """Invert `to_page` by Newton steps from the tangent at one point that is not far away."""
        mm = start_mm + (page - self.to_page(start_mm[None])) @ np.linalg.inv(self.jacobian(start_mm)).T
        for _ in range(NEWTON_STEPS):
            here = self.to_page(mm)
            dx = (self.to_page(mm + RIGHT / 2) - here) * 2
            dy = (self.to_page(mm + DOWN / 2) - here) * 2
            det = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
            det = np.where(np.abs(det) < 1e-6, 1e-6, det)
            miss = page - here
            step = np.stack(
                [miss[:, 0] * dy[:, 1] - miss[:, 1] * dy[:, 0], miss[:, 1] * dx[:, 0] - miss[:, 0] * dx[:, 1]], axis=1
            )
            mm = mm + np.clip(step / det[:, None], -LONGEST_STEP_MM, LONGEST_STEP_MM)
        return mm
