"""The shape of a sheet of paper lying on a table: curl, folds and crumples as displacement and shading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.synth.textures import chance, crumple, fractal, log_uniform
from training.synth.warp import Displacement

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHADE_MM = 1.0  # sample pitch of height and shading
LATTICE_STEP = 2  # displacement coefficients every 2 mm
MARGIN_MM = 24.0
GRADIENT_LIMIT = 0.3  # beyond it a human would call the page unreadable and the map could fold


@dataclass(frozen=True, slots=True)
class Surface:
    """A paper's displacement and its shading f32 (1 = lit like flat paper) sampled every SHADE_MM of the sheet."""

    displacement: Displacement
    shading: NDArray[np.float32]
    shading_origin_xy: tuple[float, float]
    shading_pitch_px: float

    def shading_at(self, sheet_x: NDArray[np.float32], sheet_y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sample the shading at planes of sheet px."""
        map_x = (sheet_x - np.float32(self.shading_origin_xy[0])) / np.float32(self.shading_pitch_px)
        map_y = (sheet_y - np.float32(self.shading_origin_xy[1])) / np.float32(self.shading_pitch_px)
        return cv2.remap(self.shading, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True, slots=True)
class Bend:
    """How much of each bending a sheet gets: heights and slopes in mm of mm, jitter in sheet mm."""

    curl_mm: float = 0.0
    curls: int = 0
    folds: int = 0
    fold_slope: float = 0.0
    crumple_mm: float = 0.0
    crumple_zoom: float = 1.0
    ripple_mm: float = 0.0
    jitter_mm: float = 0.0
    jitter_sigma_mm: float = 10.0
    light: float = 0.6  # share of the light that comes from one side


def bend(
    rng: np.random.Generator,
    sheet_wh: tuple[int, int],
    *,
    px_per_mm: float,
    amounts: Bend,
    view_xy: tuple[float, float],
    distance_mm: float,
) -> Surface:
    """Shape a sheet and see it from a camera: `view_xy` is the tangent of its tilt, `distance_mm` how far it is."""
    wide_mm, high_mm = (side / px_per_mm for side in sheet_wh)
    columns = int((wide_mm + 2 * MARGIN_MM) / SHADE_MM) + 1
    rows = int((high_mm + 2 * MARGIN_MM) / SHADE_MM) + 1
    x_mm = np.arange(columns, dtype=np.float32)[None, :] * SHADE_MM - MARGIN_MM - wide_mm / 2
    y_mm = np.arange(rows, dtype=np.float32)[:, None] * SHADE_MM - MARGIN_MM - high_mm / 2
    height = np.zeros((rows, columns), np.float32)
    for _ in range(amounts.curls):
        height += _curl(rng, x_mm, y_mm, amounts.curl_mm)
    for _ in range(amounts.folds):
        height += _fold(rng, x_mm, y_mm, amounts.fold_slope)
    if amounts.crumple_mm > 0:
        height += amounts.crumple_mm * crumple(rng, height.shape, zoom=amounts.crumple_zoom)
    if amounts.ripple_mm > 0:
        height += amounts.ripple_mm * fractal(rng, height.shape, cell=log_uniform(rng, 15, 90), octaves=2)
    height -= height.mean()

    view_x = np.float32(view_xy[0]) + x_mm / np.float32(distance_mm)
    view_y = np.float32(view_xy[1]) + y_mm / np.float32(distance_mm)
    moved = np.stack([height * view_x, height * view_y])
    moved = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0)[::LATTICE_STEP, ::LATTICE_STEP] for plane in moved])
    if amounts.jitter_mm > 0:
        cell = 2.5 * amounts.jitter_sigma_mm / (SHADE_MM * LATTICE_STEP)
        moved += amounts.jitter_mm * np.stack([fractal(rng, moved.shape[1:], cell=cell, octaves=1) for _ in range(2)])
    steepest = max(float(np.abs(g).max()) for g in np.gradient(moved, SHADE_MM * LATTICE_STEP, axis=(1, 2)))
    moved *= min(1.0, GRADIENT_LIMIT / max(steepest, 1e-6))

    origin = -MARGIN_MM * px_per_mm
    displacement = Displacement(moved * px_per_mm, (origin, origin), SHADE_MM * LATTICE_STEP * px_per_mm)
    shading = _shade(rng, height, amounts.light)
    return Surface(displacement, shading, (origin, origin), SHADE_MM * px_per_mm)


def _curl(
    rng: np.random.Generator, x_mm: NDArray[np.float32], y_mm: NDArray[np.float32], amount_mm: float
) -> NDArray[np.float32]:
    angle = float(rng.choice((0.0, np.pi / 2))) + rng.normal(0, 0.12) if chance(rng, 0.75) else rng.uniform(0, np.pi)
    along = x_mm * np.float32(np.cos(angle)) + y_mm * np.float32(np.sin(angle))
    reach = float(np.abs(along).max())
    if chance(rng, 0.6):
        wave = 2 * np.pi / (reach * rng.uniform(0.9, 4.0))
        return (amount_mm * np.sin(along * wave + rng.uniform(0, 2 * np.pi))).astype(np.float32)
    start = rng.uniform(-0.6, 0.6) * reach  # flat, then rising like a corner that lifts
    rise = np.clip((along - start) / (reach - start), 0, None) ** 2
    return (rng.choice((-0.5, 1.5)) * amount_mm * rise).astype(np.float32)


def _fold(
    rng: np.random.Generator, x_mm: NDArray[np.float32], y_mm: NDArray[np.float32], slope: float
) -> NDArray[np.float32]:
    if chance(rng, 0.8):  # letters and files are folded across, in halves and thirds
        angle = float(rng.choice((0.0, 0.0, np.pi / 2))) + rng.normal(0, 0.01)
        place = float(rng.choice((-1 / 3, -1 / 6, 0.0, 0.0, 1 / 6, 1 / 3))) + rng.normal(0, 0.02)
    else:
        angle, place = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4)
    along = x_mm * np.float32(np.cos(angle)) + y_mm * np.float32(np.sin(angle))
    distance = np.abs(along - place * 2 * float(np.abs(along).max()))
    reach = rng.uniform(30, 160)  # the tent flattens out away from the crease
    return (rng.choice((-1.0, 1.0)) * slope * reach * (1.0 - np.exp(-distance / reach))).astype(np.float32)


def _shade(rng: np.random.Generator, height: NDArray[np.float32], light: float) -> NDArray[np.float32]:
    along_y, along_x = np.gradient(height, SHADE_MM)
    azimuth, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.1)
    lit = 1.0 - np.tan(lean) * (np.cos(azimuth) * along_x + np.sin(azimuth) * along_y)
    lit /= np.sqrt(1.0 + along_x**2 + along_y**2)
    shading = np.clip(1.0 + light * (lit - 1.0), 0.25, 1.5).astype(np.float32)
    return shading / max(float(np.percentile(shading, 97)), 1.0)
