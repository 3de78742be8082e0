"""Crops of rendered pages with dense targets, as numpy arrays; batching and torch live in `datasets`."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from ecgstudio.core.leads import KEYPOINT_NAMES
from ecgstudio.stages.view import View, coarse_centres, upsampled
from training.synth.truth import PageTruth

Rng = np.random.Generator
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

STRIP_PX_PER_MM = 8.0
NOMINAL_PX_PER_MM = 5.0
CELL = 4  # stage 0 and 1 answer once per 4 x 4 pixels
GEOMETRY_CELL = 32
IGNORE = 255


class MappedPage:
    """A page with its truth and a fast map from sheet mm to page pixels (spline coefficients are kept)."""

    def __init__(self, pixels: Pixels, truth: PageTruth) -> None:
        self.pixels, self.truth = pixels, truth
        self._spline = [spline_filter(truth.lattice_px[..., k], order=3, mode="mirror") for k in (0, 1)]
        self._limit = np.array(truth.lattice_px.shape[:2]) - 1.0

    def to_page(self, mm: Floats) -> Floats:
        """Map sheet mm [N, 2] to page pixels [N, 2]; linear beyond the sheet."""
        at = mm[:, ::-1] / self.truth.lattice_step_mm
        inside = np.clip(at, 0.0, self._limit)
        out = self._spline_at(inside)
        beyond = at - inside
        for axis in (0, 1):
            if np.any(beyond[:, axis]):
                back = inside.copy()
                back[:, axis] -= np.sign(beyond[:, axis])
                out = out + (self._spline_at(inside) - self._spline_at(np.clip(back, 0.0, self._limit))) * np.abs(beyond[:, axis : axis + 1])
        return out

    def _spline_at(self, at: Floats) -> Floats:
        columns = [map_coordinates(s, at.T, order=3, prefilter=False, mode="mirror") for s in self._spline]
        return np.stack(columns, axis=1)

    def jacobian(self, mm: Floats) -> Floats:
        """Return d page px / d mm at one point as a 2 x 2 matrix."""
        p = self.to_page(mm + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        return np.stack([p[1] - p[0], p[2] - p[0]], axis=1)

    def to_mm(self, page: Floats, start_mm: Floats) -> Floats:
        """Invert `to_page` near a point by Newton steps with a fixed Jacobian, then refreshed ones."""
        mm = start_mm + (page - self.to_page(start_mm[None])) @ np.linalg.inv(self.jacobian(start_mm)).T
        for _ in range(4):
            here = self.to_page(mm)
            dx = (self.to_page(mm + [0.5, 0.0]) - here) * 2
            dy = (self.to_page(mm + [0.0, 0.5]) - here) * 2
            det = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
            det = np.where(np.abs(det) < 1e-6, 1e-6, det)
            miss = page - here
            step = np.stack(
                [miss[:, 0] * dy[:, 1] - miss[:, 1] * dy[:, 0], miss[:, 1] * dx[:, 0] - miss[:, 0] * dx[:, 1]], axis=1
            )
            mm = mm + np.clip(step / det[:, None], -20, 20)
        return mm


# --- stage 2 --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StripSample:
    """A piece of a strip with its targets (see `datasets` for the batch keys)."""

    strip: NDArray[np.uint8]  # [2, H, W] max and min of RGB
    height: NDArray[np.float32]
    slope: NDArray[np.float32]
    presence: NDArray[np.float32]
    boundary: NDArray[np.float32]
    segmentation: NDArray[np.uint8]


def sample_strip(page: MappedPage, rng: Rng, *, shape: tuple[int, int], jitter: float = 1.0) -> StripSample | None:
    """Cut a random piece of a random row, rectified with small errors as stage 1 makes them.

    None if the row has no lead.
    """
    sheet = page.truth.sheet
    height_px, width_px = shape
    row = int(rng.choice([lead.row for lead in sheet.leads]))
    own = [lead for lead in sheet.leads if lead.row == row]
    axis_mm = float(np.median([lead.axis_mm for lead in own]))
    first, last = own[0].start_mm - 12.0, own[-1].end_mm + 12.0
    if rng.random() < 0.25:  # where leads start and end, most is lost
        chosen = own[int(rng.integers(len(own)))]
        x_mm = (chosen.start_mm if rng.random() < 0.6 else chosen.end_mm) + rng.normal(0, 6)
    else:
        x_mm = float(rng.uniform(first, last))
    centre = np.array([x_mm, axis_mm + rng.normal(0, 1.2) * jitter])
    turn = np.deg2rad(rng.normal(0, 0.35)) * jitter
    zoom = 1 + rng.normal(0, 0.006, 2) * jitter
    local = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * zoom
    wave_mm = rng.normal(0, 0.05, 2) * jitter
    wave_k = rng.uniform(0.02, 0.12, 2)
    wave_phase = rng.uniform(0, 2 * np.pi, 2)
    middle = np.array([(width_px - 1) / 2, (height_px - 1) / 2])

    def wobble(px: Floats) -> Floats:
        return wave_mm * np.sin(px / STRIP_PX_PER_MM * wave_k + wave_phase)

    def to_mm(px: Floats) -> Floats:
        return centre + ((px - middle) / STRIP_PX_PER_MM) @ local.T + wobble(px)

    inverse = np.linalg.inv(local).T

    def to_strip(mm: Floats) -> Floats:
        px = (mm - centre) @ inverse * STRIP_PX_PER_MM + middle
        return (mm - centre - wobble(px)) @ inverse * STRIP_PX_PER_MM + middle

    at, coarse_shape = coarse_centres(shape, 16)
    source = page.to_page(to_mm(at)).reshape(*coarse_shape, 2).astype(np.float32)
    full = upsampled(source, shape, 16)
    rgb = cv2.remap(page.pixels, full[..., 0], full[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    strip = np.stack([rgb.max(axis=2), rgb.min(axis=2)])

    picture_h, picture_w = page.pixels.shape[:2]
    columns = (np.arange(2 * width_px) + 0.5) / 2 - 0.5
    height = np.full(2 * width_px, np.nan)
    slope = np.zeros(2 * width_px)
    presence = np.zeros(2 * width_px, np.float32)
    boundary = np.zeros(2 * width_px, np.float32)
    segmentation = np.zeros((height_px // 4, width_px // 2), np.uint8)
    for lead in sheet.leads:
        if lead.row != row:
            _draw_line(segmentation, to_strip(_clip_line(lead.line_mm, to_mm, shape)), 2)
    pulses = [p for p in sheet.pulses_mm if abs(p[0, 1] - own[0].zero_mm) < 0.5]
    lines = [(line, False) for line in pulses] + [(lead.line_mm, True) for lead in own]
    for line_mm, is_lead in lines:
        near = _clip_line(line_mm, to_mm, shape)
        if len(near) < 2:
            continue
        line = to_strip(near)
        _draw_line(segmentation, line, 1 if is_lead else 0)
        inside = (columns >= line[0, 0]) & (columns <= line[-1, 0])
        if not inside.any():
            continue
        x = np.maximum.accumulate(line[:, 0] + np.arange(len(line)) * 1e-7)
        dense = np.arange(np.floor(line[0, 0] * 8), np.ceil(line[-1, 0] * 8) + 1) / 8
        y_dense = np.interp(dense, x, line[:, 1])
        steep = np.abs(np.gradient(y_dense, 1 / 8))
        height[inside] = np.interp(columns[inside], x, line[:, 1])
        slope[inside] = np.interp(columns[inside], dense, steep)
        if is_lead:
            presence[inside] = 1.0
            for end in (line_mm[0], line_mm[-1]):
                boundary[np.abs(columns - to_strip(end[None])[0, 0]) <= 1.25] = 1.0
    seen = np.flatnonzero(np.isfinite(height))
    if len(seen):
        spot = page.to_page(to_mm(np.stack([columns[seen], height[seen]], axis=1)))
        gone = (spot < -0.5).any(axis=1) | (spot[:, 0] > picture_w - 0.5) | (spot[:, 1] > picture_h - 0.5)
        height[seen[gone]] = np.nan
        presence[seen[gone]] = 0.0
    height[(height < 0) | (height > height_px - 1)] = np.nan
    return StripSample(
        strip=strip, height=height.astype(np.float32), slope=slope.astype(np.float32), presence=presence,
        boundary=boundary, segmentation=segmentation,
    )  # fmt: skip


def _clip_line(line_mm: Floats, to_mm: object, shape: tuple[int, int]) -> Floats:
    """Keep the samples of a polyline whose x lies in the crop (a little more on each side)."""
    corners = to_mm(np.array([[0.0, 0.0], [shape[1] - 1.0, 0.0], [0.0, shape[0] - 1.0], [shape[1] - 1.0, shape[0] - 1.0]]))  # type: ignore[operator]
    keep = (line_mm[:, 0] > corners[:, 0].min() - 1) & (line_mm[:, 0] < corners[:, 0].max() + 1)
    return line_mm[keep]


def _draw_line(target: Pixels, line_px: Floats, value: int) -> None:
    """Mark the stage-2 cells (4 rows x 2 columns) that a polyline crosses."""
    if len(line_px) < 2:
        return
    cells = (line_px + 0.5) / np.array([2.0, 4.0]) - 0.5
    fixed = np.round(np.clip(cells, -2000, 4000) * 16).astype(np.int32)
    cv2.polylines(target, [fixed[:, None]], False, value, 1, cv2.LINE_8, 4)


# --- stages 0 and 1 -------------------------------------------------------------------------------------------


def random_view(page: MappedPage, rng: Rng, *, centre_mm: Floats, size: int, turn_deg: float, zoom_sigma: float) -> View:
    """Return an upright view around a sheet point at about the nominal resolution, with errors of scale and turn."""
    jacobian = page.jacobian(centre_mm)
    px_per_mm = np.sqrt(abs(np.linalg.det(jacobian)))
    angle = np.arctan2(jacobian[1, 0] - jacobian[0, 1], jacobian[0, 0] + jacobian[1, 1])
    angle += np.deg2rad(np.clip(rng.normal(0, turn_deg), -3 * turn_deg, 3 * turn_deg))
    zoom = px_per_mm / (NOMINAL_PX_PER_MM * np.exp(np.clip(rng.normal(0, zoom_sigma), -0.35, 0.35)))
    matrix = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(size - 1) / 2, (size - 1) / 2])
    origin = page.to_page(centre_mm[None])[0] - matrix @ middle
    return View(origin, matrix, (size, size))


def grid_targets(page: MappedPage, view: View, centre_mm: Floats) -> dict[str, NDArray[np.float32]]:
    """Return the stage-1 targets of a view: points, lines, phase, axis, ink, edge (see `GridMaps`)."""
    sheet = page.truth.sheet
    rows, columns = view.shape[0] // CELL, view.shape[1] // CELL
    at, coarse_shape = coarse_centres(view.shape, CELL * 4)
    mm_coarse = page.to_mm(view.to_page(at), centre_mm).reshape(*coarse_shape, 2)
    mm = upsampled(mm_coarse.astype(np.float32), (rows, columns), 4) - np.array(sheet.grid_origin_mm, np.float32)
    angle = mm * np.float32(2 * np.pi / 5)
    away = np.abs((mm + 2.5) % 5 - 2.5)
    line = np.exp(-0.5 * (away / 0.55) ** 2)
    gridded = sheet.grid_style != "none"
    out = {
        "phase": np.stack([np.cos(angle[..., 0]), np.sin(angle[..., 0]), np.cos(angle[..., 1]), np.sin(angle[..., 1])]),
        "points": (line[..., 0] * line[..., 1])[None] * gridded,
        "lines": np.moveaxis(line, -1, 0) * gridded,
    }
    layers = {name: np.zeros((rows, columns), np.uint8) for name in ("axis", "ink", "edge")}

    def draw(name: str, line_mm: Floats, thick: int) -> None:
        cells = (view.from_page(page.to_page(line_mm)) + 0.5) / CELL - 0.5
        fixed = np.round(np.clip(cells, -1000, 3000) * 16).astype(np.int32)
        cv2.polylines(layers[name], [fixed[:, None]], False, 255, thick, cv2.LINE_AA, 4)

    for lead in sheet.leads:
        draw("ink", lead.line_mm, 1)
        x = np.linspace(lead.start_mm, lead.end_mm, 40)
        draw("axis", np.stack([x, np.full_like(x, lead.axis_mm)], axis=1), 1)
        for end in (lead.start_mm, lead.end_mm):
            draw("edge", np.array([[end, lead.axis_mm - 4], [end, lead.axis_mm], [end, lead.axis_mm + 4]]), 1)
    for name, layer in layers.items():
        out[name] = layer[None].astype(np.float32) / 255
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in out.items()}


def label_targets(page: MappedPage, view: View) -> NDArray[np.uint8]:
    """Return the class of every cell of a view: 0 or 1 + index of the lead or marker printed there."""
    out = np.zeros((view.shape[0] // CELL, view.shape[1] // CELL), np.uint8)
    for label in sorted(page.truth.sheet.labels, key=lambda x: x.name != "pulse"):
        x0, y0, x1, y1 = label.box_mm
        grow = 0.0 if label.name == "pulse" else 0.35
        corners = np.array([[x0 - grow, y0 - grow], [x1 + grow, y0 - grow], [x1 + grow, y1 + grow], [x0 - grow, y1 + grow]])
        cells = (view.from_page(page.to_page(corners)) + 0.5) / CELL - 0.5
        fixed = np.round(np.clip(cells, -1000, 3000) * 16).astype(np.int32)
        cv2.fillPoly(out, [fixed[:, None]], 1 + KEYPOINT_NAMES.index(label.name), cv2.LINE_8, 4)
    return out


def pose_sample(page: MappedPage, rng: Rng, *, size: int) -> tuple[Pixels, int, NDArray[np.float32]]:
    """Return the whole page in any orientation, fitted into size x size, with its orientation and geometry targets."""
    orientation = int(rng.integers(8)) if rng.random() < 0.8 else 0
    h, w = page.pixels.shape[:2]
    crop = rng.random() < 0.25  # a part of the page
    x0, x1 = (sorted(rng.uniform(0, w, 2)) if crop else (0, w))
    y0, y1 = (sorted(rng.uniform(0, h, 2)) if crop else (0, h))
    if x1 - x0 < 0.45 * w or y1 - y0 < 0.45 * h:
        x0, x1, y0, y1 = 0, w, 0, h
    zoom = max(x1 - x0, y1 - y0) / size
    view = View(np.array([x0, y0]) + (zoom - 1) / 2, np.eye(2) * zoom, (int((y1 - y0) / zoom) // 32 * 32, int((x1 - x0) / zoom) // 32 * 32))
    upright = view.pixels(page.pixels)
    cells = np.array([[(c + 0.5) * GEOMETRY_CELL - 0.5, (r + 0.5) * GEOMETRY_CELL - 0.5]
                      for r in range(view.shape[0] // GEOMETRY_CELL) for c in range(view.shape[1] // GEOMETRY_CELL)])  # fmt: skip
    sheet = page.truth.sheet
    start = np.array(sheet.size_mm) / 2
    mm = page.to_mm(view.to_page(cells), start)
    inside = (mm > 0).all(axis=1) & (mm[:, 0] < sheet.size_mm[0]) & (mm[:, 1] < sheet.size_mm[1])
    here = page.to_page(mm)
    dx, dy = page.to_page(mm + [1.0, 0.0]) - here, page.to_page(mm + [0.0, 1.0]) - here
    px_per_mm = np.sqrt(np.abs(dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0])) / zoom
    angle = np.arctan2(dx[:, 1] - dy[:, 0], dx[:, 0] + dy[:, 1])
    geometry = np.stack([inside, np.log2(np.maximum(px_per_mm, 1e-3)), np.cos(4 * angle), np.sin(4 * angle)]).astype(np.float32)
    geometry[1:, ~inside] = np.nan
    geometry = geometry.reshape(4, view.shape[0] // GEOMETRY_CELL, view.shape[1] // GEOMETRY_CELL)
    if orientation >= 4:
        upright, geometry = upright[:, ::-1], geometry[..., ::-1].copy()
        geometry[3] *= -1
    turns = orientation % 4  # a quarter turn leaves 4 x the angle as it is
    upright, geometry = np.rot90(upright, turns), np.rot90(geometry, turns, axes=(1, 2))
    pixels = np.full((size, size, 3), int(rng.integers(0, 256)), np.uint8)
    full = np.full((4, size // GEOMETRY_CELL, size // GEOMETRY_CELL), np.nan, np.float32)
    full[0] = 0.0
    pixels[: upright.shape[0], : upright.shape[1]] = upright
    full[:, : geometry.shape[1], : geometry.shape[2]] = geometry
    return pixels, orientation, full
