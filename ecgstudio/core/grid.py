"""The grid of a page: a smooth map between paper millimetres and page pixels, and what a millimetre means."""

import math
from dataclasses import dataclass, field

import numpy as np

from ecgstudio.core.arrays import F64, Floats, check_finite, check_probability, frozen_array

GRID_PITCH_MM = 5.0

_NEWTON_STEPS = 30
_NEWTON_DONE_PX = 1e-7
_NEWTON_MAX_STEP_MM = 40.0  # a longer step than this leaves the region in which the map is close to linear


@dataclass(frozen=True, slots=True)
class PaperScale:
    """What a millimetre of paper means: time along x, voltage along y. `source` says who decided it.

    The evidence is kept beside the decision: the calibration pulse as measured, and the printed texts (None: not seen).
    `pulses_mm` holds every pulse that is plainly one: paper x, y of its foot, and which standard height it has.
    """

    mm_per_s: float
    mm_per_mV: float
    source: str
    pulse_height_mm: float | None = None
    pulse_width_mm: float | None = None
    printed_mm_per_s: float | None = None
    printed_mm_per_mV: float | None = None
    pulses_mm: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.mm_per_s < math.inf and 0 < self.mm_per_mV < math.inf):
            raise ValueError("mm_per_s and mm_per_mV must be positive")


@dataclass(frozen=True, slots=True, eq=False)
class GridFit:
    """What stage 1 answers: the 5-mm lattice of the paper in page pixels.

    `nodes` [R, C, 2] with R, C >= 2: node [r, c] is the page pixel of the paper point (5c, 5r) mm, x right
    and y down on the flat upright paper. Between nodes the map is a bicubic spline, outside them it goes on
    linearly.
    """

    nodes: F64
    scale: PaperScale
    confidence: float
    _coefficients: F64 = field(init=False, repr=False)
    _px_per_mm: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        nodes = frozen_array(self.nodes, dtype=np.float64, shape=(None, None, 2), name="nodes")
        if nodes.shape[0] < 2 or nodes.shape[1] < 2:
            raise ValueError(f"a grid needs at least 2 x 2 nodes, not {nodes.shape[:2]}")
        check_finite(nodes, "nodes")
        check_probability(self.confidence, "confidence")
        by_row = np.einsum("ir,rcd->icd", _prefilter(nodes.shape[0]), nodes)
        coefficients = np.einsum("jc,icd->ijd", _prefilter(nodes.shape[1]), by_row)
        coefficients.flags.writeable = False
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "_coefficients", coefficients)
        across = np.hypot(*np.moveaxis(np.diff(nodes, axis=1), -1, 0)).ravel()
        down = np.hypot(*np.moveaxis(np.diff(nodes, axis=0), -1, 0)).ravel()
        object.__setattr__(self, "_px_per_mm", float(np.median(np.concatenate([across, down])) / GRID_PITCH_MM))

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the lattice in mm."""
        rows, columns = self.nodes.shape[:2]
        return (columns - 1) * GRID_PITCH_MM, (rows - 1) * GRID_PITCH_MM

    @property
    def px_per_mm(self) -> float:
        """Median length of a paper millimetre in page pixels."""
        return self._px_per_mm

    def to_page(self, mm: Floats) -> F64:
        """Map paper points [..., 2] in mm to page pixels."""
        points = np.asarray(mm, np.float64)
        flat = points.reshape(-1, 2)
        value, _, _ = self._evaluate(flat, derivatives=False)
        return value.reshape(points.shape)

    def lattice_to_page(self, x_mm: Floats, y_mm: Floats) -> F64:
        """Map every crossing of columns x_mm [M] and rows y_mm [N] to page pixels [N, M, 2].

        The same map as to_page, many times faster for the raster of a strip.
        """
        rows, columns = self.nodes.shape[:2]
        wy = _dense_basis(np.asarray(y_mm, np.float64), rows)
        wx = _dense_basis(np.asarray(x_mm, np.float64), columns)
        out = np.empty((len(wy), len(wx), 2))
        for axis in range(2):
            out[..., axis] = wy @ self._coefficients[..., axis] @ wx.T
        return out

    def jacobian(self, mm: Floats) -> F64:
        """Return d(page px) / d(mm) at points [..., 2] as [..., 2, 2]: rows page x, y; columns mm x, y."""
        points = np.asarray(mm, np.float64)
        _, dx, dy = self._evaluate(points.reshape(-1, 2), derivatives=True)
        return np.stack([dx, dy], axis=-1).reshape(*points.shape, 2)

    def to_mm(self, xy: Floats) -> F64:
        """Map page pixels [..., 2] to paper points in mm; the inverse of to_page.

        NaN where there is none, which can happen only far outside a curved grid.
        """
        points = np.asarray(xy, np.float64)
        target = points.reshape(-1, 2)
        mm = self._affine_start(target)
        solved = np.zeros(len(target), bool)
        active = np.arange(len(target))
        for _ in range(_NEWTON_STEPS):
            value, dx, dy = self._evaluate(mm[active], derivatives=True)
            miss = target[active] - value
            done = np.hypot(miss[:, 0], miss[:, 1]) < _NEWTON_DONE_PX
            solved[active[done]] = True
            keep = ~done
            active, miss, dx, dy = active[keep], miss[keep], dx[keep], dy[keep]
            if not active.size:
                break
            determinant = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
            determinant = np.where(np.abs(determinant) < 1e-12, np.nan, determinant)
            step_x = (miss[:, 0] * dy[:, 1] - miss[:, 1] * dy[:, 0]) / determinant
            step_y = (miss[:, 1] * dx[:, 0] - miss[:, 0] * dx[:, 1]) / determinant
            step = np.stack([step_x, step_y], axis=1)
            length = np.hypot(step[:, 0], step[:, 1])
            step *= np.minimum(1.0, _NEWTON_MAX_STEP_MM / np.maximum(length, 1e-12))[:, None]
            mm[active] += step
            active = active[np.isfinite(length)]
        mm[~solved] = np.nan
        return mm.reshape(points.shape)

    def _affine_start(self, xy: F64) -> F64:
        rows, columns = self.nodes.shape[:2]
        y_mm, x_mm = np.mgrid[:rows, :columns] * GRID_PITCH_MM
        design = np.column_stack([self.nodes.reshape(-1, 2), np.ones(rows * columns)])
        solution, *_ = np.linalg.lstsq(design, np.column_stack([x_mm.ravel(), y_mm.ravel()]), rcond=None)
        return np.asarray(np.column_stack([xy, np.ones(len(xy))]) @ solution)

    def _evaluate(self, mm: F64, *, derivatives: bool) -> tuple[F64, F64, F64]:
        """Value and, if asked, the derivatives along mm x and mm y, at points [N, 2]."""
        rows, columns = self.nodes.shape[:2]
        first_x, wx, wdx = _basis(mm[:, 0], columns)
        first_y, wy, wdy = _basis(mm[:, 1], rows)
        value, dx, dy = np.zeros_like(mm), np.zeros_like(mm), np.zeros_like(mm)
        for j in range(4):
            for i in range(4):
                taps = self._coefficients[first_y + j, first_x + i]
                value += (wy[:, j] * wx[:, i])[:, None] * taps
                if derivatives:
                    dx += (wy[:, j] * wdx[:, i])[:, None] * taps
                    dy += (wdy[:, j] * wx[:, i])[:, None] * taps
        return value, dx, dy


def _prefilter(count: int) -> F64:
    """Matrix [count + 2, count] from node values to cubic B-spline coefficients.

    The two outer coefficients go on quadratically (linearly for two nodes): the second derivative of a bent
    page does not vanish at its edge, and higher orders would amplify the noise of the nodes where we
    extrapolate.
    """
    system = np.zeros((count + 2, count + 2))
    for node in range(count):
        system[node + 1, node : node + 3] = (1 / 6, 4 / 6, 1 / 6)
    end = (1.0, -2.0, 1.0) if count == 2 else (1.0, -3.0, 3.0, -1.0)
    system[0, : len(end)] = end
    system[-1, -len(end) :] = end
    return np.asarray(np.linalg.inv(system)[:, 1:-1])


def _basis(mm: F64, count: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], F64, F64]:
    """First tap [N] and weights [N, 4] of the cubic B-spline and their slopes per mm, linear outside."""
    position = np.where(np.isfinite(mm), mm, 0.0) / GRID_PITCH_MM
    inside = np.clip(position, 0, count - 1)
    first = np.minimum(inside.astype(np.intp), count - 2)
    t = inside - first
    s = 1 - t
    weights = np.stack([s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3], axis=1) / 6
    slopes = np.stack([-(s**2), 3 * t**2 - 4 * t, -(3 * s**2 - 4 * s), t**2], axis=1) / 2
    beyond = np.where(np.isfinite(mm), position - inside, np.nan)
    return first, weights + beyond[:, None] * slopes, slopes / GRID_PITCH_MM


def _dense_basis(mm: F64, count: int) -> F64:
    """Weights [N, count + 2] of all coefficients."""
    first, weights, _ = _basis(mm, count)
    dense = np.zeros((len(mm), count + 2))
    np.put_along_axis(dense, first[:, None] + np.arange(4), weights, axis=1)
    return dense
