"""Crops of rendered pages with dense targets, as numpy arrays; batching and torch live in `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.geometry import from_upright_pixels
from ecgstudio.core.leads import KEYPOINT_NAMES, LEADS
from ecgstudio.stages.names import STROKES, NameCutter
from ecgstudio.stages.view import View, coarse_centres, upsampled
from training.synth.sheet_map import DOWN, RIGHT, SheetMap
from training.synth.truth import PageTruth, SheetTruth

Rng = np.random.Generator
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

STRIP_PX_PER_MM = 8.0
MEETING_BIN_MM, MEETING_REACH_MM, MEETING_SPREAD_MM = 0.5, 0.5, 6.0
STRIP_STEP_PX = 8  # a strip's map is linear between pixels so far apart: 1 mm of paper
NOMINAL_PX_PER_MM = 5.0
CELL = 4  # stage 0 and 1 answer once per 4 x 4 pixels
COARSE_CELLS = 2  # stage 1's map of a view is linear between cells so far apart
GEOMETRY_CELL = 32


class MappedPage(SheetMap):
    """A page with its truth and the map from sheet mm to page pixels."""

    def __init__(self, pixels: Pixels, truth: PageTruth) -> None:
        super().__init__(truth.lattice_px, truth.lattice_step_mm)
        self.pixels, self.truth = pixels, truth


# --- stage 2 --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StripSample:
    """A piece of a strip with the targets of stage 2, most of them per half-column."""

    strip: NDArray[np.uint8]  # [2, H, W] max and min of RGB
    height: NDArray[np.float32]  # [2W] row of the own trace or pulse, NaN where there is none
    slope: NDArray[np.float32]  # [2W] rows per column
    presence: NDArray[np.float32]  # [2W] 1 where a lead of the own row is printed
    boundary: NDArray[np.float32]  # [2W] 1 near the start or end of a lead
    segmentation: NDArray[np.uint8]  # [H / 4, W / 2] background, own trace, other trace


@dataclass(frozen=True, slots=True, eq=False)
class StripPose:
    """Where a strip of `shape` (height, width) lies on the sheet: a linear map and a slow wave in both directions."""

    shape: tuple[int, int]
    centre_mm: Floats
    linear: Floats  # [2, 2]
    wave_mm: Floats
    wave_per_mm: Floats
    wave_phase: Floats

    def to_mm(self, px: Floats) -> Floats:
        """Map strip pixels [N, 2] to sheet mm."""
        return self.centre_mm + ((px - self._middle) / STRIP_PX_PER_MM) @ self.linear.T + self._wave(px)

    def to_strip(self, mm: Floats) -> Floats:
        """Map sheet mm [N, 2] to strip pixels; one step suffices, so slow is the wave."""
        inverse = np.linalg.inv(self.linear).T * STRIP_PX_PER_MM
        px = (mm - self.centre_mm) @ inverse + self._middle
        return np.asarray((mm - self.centre_mm - self._wave(px)) @ inverse + self._middle)

    @property
    def _middle(self) -> Floats:
        return (np.array(self.shape[::-1]) - 1) / 2

    def _wave(self, px: Floats) -> Floats:
        return self.wave_mm * np.sin(px / STRIP_PX_PER_MM * self.wave_per_mm + self.wave_phase)


def sample_strip(
    page: MappedPage, rng: Rng, *, shape: tuple[int, int], jitter: float = 1.0, crowded: float = 0.0
) -> StripSample:
    """Cut a random piece of a random row, rectified with small errors as stage 1 makes them.

    A share of `crowded` lies where the row's trace meets another row's, if it does.
    """
    sheet = page.truth.sheet
    row = int(rng.choice([lead.row for lead in sheet.leads]))
    met = meetings_mm(sheet, row) if rng.random() < crowded else np.zeros(0)
    near_mm = float(rng.choice(met) + rng.normal(0, MEETING_SPREAD_MM)) if len(met) else None
    pose = random_strip_pose(sheet, row, rng, shape=shape, jitter=jitter, near_mm=near_mm)
    return cut_strip(page, pose, row=row)


def meetings_mm(sheet: SheetTruth, row: int) -> Floats:
    """Return the x, in bins of MEETING_BIN_MM, at which a row's trace comes into the heights of another row's."""
    count = int(np.ceil(sheet.size_mm[0] / MEETING_BIN_MM)) + 1
    spans: dict[bool, list[Floats]] = {True: [], False: []}
    for number in {lead.row for lead in sheet.leads}:
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        for lead in sheet.leads:
            if lead.row == number:
                bins = np.clip((lead.line_mm[:, 0] / MEETING_BIN_MM).astype(np.intp), 0, count - 1)
                np.minimum.at(low, bins, lead.line_mm[:, 1])
                np.maximum.at(high, bins, lead.line_mm[:, 1])
        spans[number == row].append(np.stack([low, high]))
    if not spans[True] or not spans[False]:
        return np.zeros(0)
    (own,), others = spans[True], np.stack(spans[False])
    meets = (np.maximum(others[:, 0], own[0]) < np.minimum(others[:, 1], own[1]) + MEETING_REACH_MM).any(axis=0)
    return np.asarray((np.flatnonzero(meets) + 0.5) * MEETING_BIN_MM)


def random_strip_pose(
    sheet: SheetTruth,
    row: int,
    rng: Rng,
    *,
    shape: tuple[int, int],
    jitter: float = 1.0,
    near_mm: float | None = None,
) -> StripPose:
    """Choose a piece of a row, and the errors of its rectification: `jitter` times those that stage 1 makes.

    Its middle is at `near_mm` if that is given.
    """
    own = [lead for lead in sheet.leads if lead.row == row]
    axis_mm = float(np.median([lead.axis_mm for lead in own]))
    first, last = own[0].start_mm - 12.0, own[-1].end_mm + 12.0
    if near_mm is not None:
        x_mm = near_mm
    elif rng.random() < 0.33:  # where leads start and end, most is lost
        chosen = own[0] if rng.random() < 0.3 else own[int(rng.integers(len(own)))]
        x_mm = (chosen.start_mm if rng.random() < 0.6 else chosen.end_mm) + rng.normal(0, 6)
    else:
        x_mm = float(rng.uniform(first, last))
    centre = np.array([x_mm, axis_mm + rng.normal(0, 1.2) * jitter])
    turn = np.deg2rad(rng.normal(0, 0.35)) * jitter
    zoom = 1 + rng.normal(0, 0.006, 2) * jitter
    return StripPose(
        shape=shape,
        centre_mm=centre,
        linear=np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * zoom,
        wave_mm=rng.normal(0, 0.05, 2) * jitter,
        wave_per_mm=rng.uniform(0.02, 0.12, 2),
        wave_phase=rng.uniform(0, 2 * np.pi, 2),
    )


def cut_strip(page: MappedPage, pose: StripPose, *, row: int) -> StripSample:
    """Rectify a piece of a page and compute its targets for one row."""
    sheet, shape = page.truth.sheet, pose.shape
    height_px, width_px = shape
    own = [lead for lead in sheet.leads if lead.row == row]
    at, coarse_shape = coarse_centres(shape, STRIP_STEP_PX)
    source = page.to_page(pose.to_mm(at)).reshape(*coarse_shape, 2).astype(np.float32)
    full = upsampled(source, shape, STRIP_STEP_PX)
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
            _draw_line(segmentation, pose.to_strip(_clip_line(lead.line_mm, pose)), 2)
    pulses = [p for p in sheet.pulses_mm if abs(p[0, 1] - own[0].zero_mm) < 0.5]
    lines = [(line, False) for line in pulses] + [(lead.line_mm, True) for lead in own]
    for line_mm, is_lead in lines:
        near = _clip_line(line_mm, pose)
        if len(near) < 2:
            continue
        line = pose.to_strip(near)
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
                boundary[np.abs(columns - pose.to_strip(end[None])[0, 0]) <= 1.25] = 1.0
    seen = np.flatnonzero(np.isfinite(height))
    if len(seen):
        spot = page.to_page(pose.to_mm(np.stack([columns[seen], height[seen]], axis=1)))
        gone = (spot < -0.5).any(axis=1) | (spot[:, 0] > picture_w - 0.5) | (spot[:, 1] > picture_h - 0.5)
        height[seen[gone]] = np.nan
        presence[seen[gone]] = 0.0
    height[(height < 0) | (height > height_px - 1)] = np.nan
    return StripSample(
        strip=strip, height=height.astype(np.float32), slope=slope.astype(np.float32), presence=presence,
        boundary=boundary, segmentation=segmentation,
    )  # fmt: skip


def _clip_line(line_mm: Floats, pose: StripPose) -> Floats:
    """Keep the samples of a polyline whose x lies in the strip (a little more on each side)."""
    height, width = pose.shape
    corners = pose.to_mm(np.array([[0.0, 0.0], [width - 1.0, 0.0], [0.0, height - 1.0], [width - 1.0, height - 1.0]]))
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


def random_view(
    page: MappedPage, rng: Rng, *, centre_mm: Floats, size: int, turn_deg: float, zoom_sigma: float
) -> View:
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
    at, coarse_shape = coarse_centres(view.shape, CELL * COARSE_CELLS)
    mm_coarse = page.to_mm(view.to_page(at), centre_mm).reshape(*coarse_shape, 2).astype(np.float32)
    mm = upsampled(mm_coarse, (rows, columns), COARSE_CELLS) - np.array(sheet.grid_origin_mm, np.float32)
    angle = mm * np.float32(2 * np.pi / 5)
    away = np.abs((mm + 2.5) % 5 - 2.5)
    line = np.exp(-0.5 * (away / 0.55) ** 2)
    gridded = sheet.grid_style != "none"
    out = {
        "phase": np.stack([wave(angle[..., axis]) for axis in (0, 1) for wave in (np.cos, np.sin)]),
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
        x0, y0, x1, y1 = x0 - grow, y0 - grow, x1 + grow, y1 + grow
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        cells = (view.from_page(page.to_page(corners)) + 0.5) / CELL - 0.5
        fixed = np.round(np.clip(cells, -1000, 3000) * 16).astype(np.int32)
        cv2.fillPoly(out, [fixed[:, None]], 1 + KEYPOINT_NAMES.index(label.name), cv2.LINE_8, 4)
    return out


def pose_sample(page: MappedPage, rng: Rng, *, size: int) -> tuple[Pixels, int, NDArray[np.float32]]:
    """Return the whole upright page, or a part, in any orientation, fitted into size x size.

    With it come its orientation and its geometry target f32[4, size / 32, size / 32]: paper or not, log2 px per mm,
    cos and sin of 4 times the angle, the last three NaN where there is no paper.
    """
    orientation = int(rng.integers(8)) if rng.random() < 0.8 else 0
    view = _whole_view(page, rng, size)
    image, geometry = view.pixels(page.pixels), _geometry(page, view)
    if orientation >= 4:
        geometry[3] *= -1  # a quarter turn leaves 4 x the angle as it is, a mirror turns its sign
    image = from_upright_pixels(image, orientation)
    geometry = np.moveaxis(from_upright_pixels(np.moveaxis(geometry, 0, -1), orientation), -1, 0)
    pixels = np.full((size, size, 3), int(rng.integers(0, 256)), np.uint8)
    full = np.full((4, size // GEOMETRY_CELL, size // GEOMETRY_CELL), np.nan, np.float32)
    full[0] = 0.0
    pixels[: image.shape[0], : image.shape[1]] = image
    full[:, : geometry.shape[1], : geometry.shape[2]] = geometry
    return pixels, orientation, full


def _whole_view(page: MappedPage, rng: Rng, size: int) -> View:
    """Return a view of the page, sometimes cropped, whose longer side is at most `size` and a multiple of 32."""
    h, w = page.pixels.shape[:2]
    crop = rng.random() < 0.25
    x0, x1 = sorted(rng.uniform(0, w, 2)) if crop else (0, w)
    y0, y1 = sorted(rng.uniform(0, h, 2)) if crop else (0, h)
    if x1 - x0 < 0.45 * w or y1 - y0 < 0.45 * h:
        x0, x1, y0, y1 = 0, w, 0, h
    zoom = max(x1 - x0, y1 - y0) / size
    shape = tuple(int(side / zoom) // GEOMETRY_CELL * GEOMETRY_CELL for side in (y1 - y0, x1 - x0))
    return View(np.array([x0, y0]) + (zoom - 1) / 2, np.eye(2) * zoom, (shape[0], shape[1]))


def _geometry(page: MappedPage, view: View) -> NDArray[np.float32]:
    """Return the geometry target of an upright view."""
    rows, columns = (side // GEOMETRY_CELL for side in view.shape)
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    cells = (np.stack([column.ravel(), row.ravel()], axis=1).astype(np.float64) + 0.5) * GEOMETRY_CELL - 0.5
    size_mm = np.array(page.truth.sheet.size_mm)
    mm = page.to_mm(view.to_page(cells), size_mm / 2)
    inside = ((mm > 0) & (mm < size_mm)).all(axis=1)
    here = page.to_page(mm)
    dx, dy = page.to_page(mm + RIGHT) - here, page.to_page(mm + DOWN) - here
    zoom = float(view.matrix[0, 0])
    px_per_mm = np.sqrt(np.abs(dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0])) / zoom
    angle = np.arctan2(dx[:, 1] - dy[:, 0], dx[:, 0] + dy[:, 1])
    out = np.stack([inside, np.log2(np.maximum(px_per_mm, 1e-3)), np.cos(4 * angle), np.sin(4 * angle)])
    out[1:, ~inside] = np.nan
    return out.astype(np.float32).reshape(4, rows, columns)


# --- the name reader ------------------------------------------------------------------------------------------


NAME_JITTER_MM = (0.9, 0.5)
TRIES_PER_NAME = 2
UPRIGHT = np.eye(2)
WRONG_POSES = tuple(
    np.array(pose, np.float64)
    for pose in (
        ((-1, 0), (0, -1)), ((0, 1), (-1, 0)), ((0, -1), (1, 0)),
        ((-1, 0), (0, 1)), ((1, 0), (0, -1)), ((0, 1), (1, 0)),
    )
)  # fmt: skip
WRONG_POSE_SHARE = 0.6
BLANKS_PER_PAGE = 18
NEAR_MM = (3.0, 2.2)  # nearer than this to a name's centre is neither a name nor a blank


def sample_names(page: MappedPage, rng: Rng) -> Iterator[tuple[Pixels, int]]:
    """Cut crops around every lead name of a page and around places without one; yields (crop, class)."""
    sheet = page.truth.sheet
    centre = np.array(sheet.size_mm) / 2
    cutter = NameCutter(page.pixels, px_per_mm=float(np.sqrt(abs(np.linalg.det(page.jacobian(centre))))))
    height, width = page.pixels.shape[:2]
    names = [label for label in sheet.labels if label.name in LEADS]
    spots = np.array([label.centre_mm for label in names]).reshape(-1, 2)

    def cut(at_mm: Floats, pose: Floats = UPRIGHT) -> Pixels | None:
        xy = page.to_page(at_mm[None])[0]
        if not (-0.5 < xy[0] < width - 0.5 and -0.5 < xy[1] < height - 0.5):
            return None
        turn, zoom = np.deg2rad(rng.normal(0, 2.5)), np.exp(rng.normal(0, 0.10))
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * zoom
        return cutter.cut(xy, page.jacobian(at_mm) @ spin @ pose)

    for label, spot in zip(names, spots, strict=True):
        for _ in range(TRIES_PER_NAME):
            crop = cut(spot + rng.normal(0, 0.45, 2) * NAME_JITTER_MM)
            if crop is not None:
                yield crop, 1 + LEADS.index(label.name)
        # a name that stands on its head or is mirrored names nothing: that is how a turned page is recognised
        pose = WRONG_POSES[int(rng.integers(len(WRONG_POSES)))]
        if label.name not in STROKES and rng.random() < WRONG_POSE_SHARE:
            crop = cut(spot + rng.normal(0, 0.45, 2) * NAME_JITTER_MM, pose)
            if crop is not None:
                yield crop, 0
    others = [np.array(label.centre_mm) for label in sheet.labels if label.name not in LEADS]
    for _ in range(BLANKS_PER_PAGE):
        kind = rng.random()
        if kind < 0.35 and len(spots):  # beside a name: cut through it, but not centred
            at = spots[int(rng.integers(len(spots)))] + rng.uniform(-9, 9, 2) * (1.0, 0.7)
        elif kind < 0.5 and others:
            at = others[int(rng.integers(len(others)))] + rng.normal(0, 2, 2)
        elif kind < 0.8:  # on a trace
            lead = sheet.leads[int(rng.integers(len(sheet.leads)))]
            at = lead.line_mm[int(rng.integers(len(lead.line_mm)))] + rng.normal(0, 2, 2)
        else:
            at = rng.uniform(0, 1, 2) * np.array(sheet.size_mm)
        if len(spots) and (np.abs(spots - at) < NEAR_MM).all(axis=1).any():
            continue
        crop = cut(at)
        if crop is not None:
            yield crop, 0
