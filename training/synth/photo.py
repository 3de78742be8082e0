"""Photograph a sheet with a phone: camera pose, paper shape, table, light and sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.synth import optics
from training.synth.surface import Bend, Surface, bend
from training.synth.textures import chance, fractal, log_uniform, pick, table_top, tint
from training.synth.warp import Nodes, Warp, apply_homography

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

SHORTEST_PX, LONGEST_PX = 900, 3200
COARSEST_PX_PER_MM, FINEST_PX_PER_MM = 60 / 25.4, 250 / 25.4
MAX_BLUR_MM = 0.26  # traces of half a millimetre stay apart
MOST_TABLE = 2.6  # frame area over paper area
CAMERA_ASPECTS = (4 / 3, 4 / 3, 4 / 3, 3 / 2, 16 / 9, 1.0)


@dataclass(frozen=True, slots=True)
class PhotoOdds:
    """Probabilities and spreads of what befalls a photo; one row of the table in `degrade`."""

    tilt_deg: float = 9.0  # deviation of the tilt, cut at 35
    turn_deg: float = 4.0  # deviation of the in-plane angle, cut at 12
    lens: float = 0.4
    cropped: float = 0.36
    camera_aspect: float = 0.5
    curl: float = 0.65
    fold: float = 0.3
    crumple: float = 0.15
    ripple: float = 0.4
    jitter: float = 0.5
    shadow: float = 0.45
    gradient: float = 0.75
    vignette: float = 0.5
    glare: float = 0.15
    fingers: float = 0.04
    strong_tint: float = 0.15
    dim: float = 0.25
    defocus: float = 0.6
    motion: float = 0.15
    noise: float = 0.8
    sharpen: float = 0.5
    document_app: float = 0.07
    grey: float = 0.08
    twice: float = 0.4


@dataclass(frozen=True, slots=True)
class Pose:
    """A camera's frame on a sheet: the map to the photo and the direction it looks from."""

    to_photo: NDArray[np.float64]
    photo_wh: tuple[int, int]
    px_per_mm: float
    view_xy: tuple[float, float]
    distance_mm: float


def photograph(
    sheet: Rgb, *, px_per_mm: float, rng: np.random.Generator, odds: PhotoOdds
) -> tuple[Rgb, Warp, int, dict[str, object]]:
    """Return the photo, its warp, the JPEG quality it went through and notes."""
    sheet_wh = (sheet.shape[1], sheet.shape[0])
    pose = frame_sheet(rng, sheet_wh, px_per_mm=px_per_mm, odds=odds)
    surface, amounts = shape_paper(rng, sheet_wh, px_per_mm=px_per_mm, odds=odds, pose=pose)
    lens_k1 = float(np.clip(rng.normal(0, 0.02), -0.08, 0.08)) if chance(rng, odds.lens) else 0.0
    warp = Warp(sheet_wh, pose.photo_wh, np.linalg.inv(pose.to_photo), lens_k1, surface.displacement)
    nodes = warp.nodes()
    background = table_top(rng, pose.photo_wh)
    photo = warp.render(sheet, background, nodes=nodes)
    gain = paper_light(rng, nodes, surface, sheet_wh, px_per_mm=px_per_mm)
    gain = room_light(rng, gain, odds=odds)
    photo = optics.multiply_at_nodes(photo, gain, nodes)
    if chance(rng, odds.glare):
        photo = glare(rng, photo)
    if chance(rng, odds.fingers):
        photo = finger(rng, photo)
    photo = sense(rng, photo, px_per_mm=pose.px_per_mm, odds=odds)
    photo, quality = optics.jpeg_once_or_twice(photo, rng, quality=(25, 96), twice=odds.twice)
    notes: dict[str, object] = {
        "photo_px_per_mm": pose.px_per_mm,
        "tilt_tan": float(np.hypot(*pose.view_xy)),
        "curls": amounts.curls,
        "folds": amounts.folds,
        "crumple_mm": amounts.crumple_mm,
    }
    return photo, warp, quality, notes


def frame_sheet(rng: np.random.Generator, sheet_wh: tuple[int, int], *, px_per_mm: float, odds: PhotoOdds) -> Pose:
    """Point a pinhole camera at the sheet and choose the frame."""
    wide_mm, high_mm = (side / px_per_mm for side in sheet_wh)
    tilt = np.deg2rad(min(abs(rng.normal(0, odds.tilt_deg)), 35.0))
    heading = rng.uniform(0, 2 * np.pi)
    turn = np.deg2rad(np.clip(rng.normal(0, odds.turn_deg), -12, 12))
    distance_mm = max(wide_mm, high_mm) * rng.uniform(0.9, 2.2)
    toward = np.array([np.cos(heading), np.sin(heading)])
    # Points recede along `toward` as they go back: a rotation of the plane by `tilt` about the axis across it.
    squeeze = np.eye(2) - (1.0 - np.cos(tilt)) * np.outer(toward, toward)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    project = np.eye(3)
    project[:2, :2] = spin @ squeeze
    project[2, :2] = np.sin(tilt) / distance_mm * toward
    to_mm = np.array(
        [
            [1 / px_per_mm, 0, 0.5 / px_per_mm - wide_mm / 2],
            [0, 1 / px_per_mm, 0.5 / px_per_mm - high_mm / 2],
            [0, 0, 1],
        ]
    )
    project = project @ to_mm

    right, bottom = sheet_wh[0] - 0.5, sheet_wh[1] - 0.5
    corners = apply_homography(project, np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = high - low
    if chance(rng, odds.cropped):
        frame = box / rng.uniform(0.92, 1.3, 2)
        slack = np.abs(frame - box) / 2
    else:
        frame = box / (rng.uniform(0.55, 1.0) ** 0.6 * rng.uniform(0.93, 1.0, 2))
        if chance(rng, odds.camera_aspect):
            aspect = float(rng.choice(CAMERA_ASPECTS))
            if chance(rng, 0.92 if box[0] < box[1] else 0.08):
                aspect = 1.0 / aspect
            whole = np.maximum(frame, (frame[1] * aspect, frame[0] / aspect))
            # People step closer, or crop, rather than keep a picture that is mostly table.
            frame = whole if whole.prod() < MOST_TABLE * box.prod() else frame
        slack = np.abs(frame - box) / 2
    centre = (low + high) / 2 + rng.uniform(-1, 1, 2) * slack
    scale = log_uniform(rng, SHORTEST_PX, LONGEST_PX) / frame.max()
    scale = float(np.clip(scale, COARSEST_PX_PER_MM, FINEST_PX_PER_MM))
    scale = min(scale, LONGEST_PX / frame.max())
    to_frame = np.array(
        [
            [scale, 0, -(centre - frame / 2)[0] * scale - 0.5],
            [0, scale, -(centre - frame / 2)[1] * scale - 0.5],
            [0, 0, 1],
        ]
    )
    photo_wh = (max(64, round(frame[0] * scale)), max(64, round(frame[1] * scale)))
    view = np.tan(tilt) * toward
    return Pose(to_frame @ project, photo_wh, scale, (float(view[0]), float(view[1])), distance_mm)


def shape_paper(
    rng: np.random.Generator, sheet_wh: tuple[int, int], *, px_per_mm: float, odds: PhotoOdds, pose: Pose
) -> tuple[Surface, Bend]:
    """Curl, fold and crumple the paper as seen from the camera's pose."""
    crumpled = chance(rng, odds.crumple)
    amounts = Bend(
        curls=int(rng.integers(1, 3)) if chance(rng, odds.curl) else 0,
        curl_mm=log_uniform(rng, 0.8, 12.0),
        folds=int(rng.integers(1, 4)) if chance(rng, odds.fold) else 0,
        fold_slope=log_uniform(rng, 0.02, 0.16),
        crumple_mm=log_uniform(rng, 0.4, 4.0) if crumpled else 0.0,
        crumple_zoom=log_uniform(rng, 0.5, 1.6),
        ripple_mm=log_uniform(rng, 0.15, 1.2) if chance(rng, odds.ripple) else 0.0,
        jitter_mm=log_uniform(rng, 0.05, 1.0) if chance(rng, odds.jitter) else 0.0,
        jitter_sigma_mm=log_uniform(rng, 4, 22),
        light=rng.uniform(0.4, 1.2) if crumpled else rng.uniform(0.25, 0.9),
    )
    # The table is never seen exactly from above, so relief always shifts things a little.
    view = np.array(pose.view_xy) + rng.normal(0, 0.08, 2)
    surface = bend(
        rng,
        sheet_wh,
        px_per_mm=px_per_mm,
        amounts=amounts,
        view_xy=(float(view[0]), float(view[1])),
        distance_mm=pose.distance_mm,
    )
    return surface, amounts


def paper_light(
    rng: np.random.Generator, nodes: Nodes, surface: Surface, sheet_wh: tuple[int, int], *, px_per_mm: float
) -> NDArray[np.float32]:
    """Return the gain at the nodes from the paper's shading and the shadow it throws on the table."""
    gain = surface.shading_at(nodes.sheet_x, nodes.sheet_y)
    outside_x = np.maximum(-nodes.sheet_x, nodes.sheet_x - sheet_wh[0])
    outside_y = np.maximum(-nodes.sheet_y, nodes.sheet_y - sheet_wh[1])
    shift = rng.normal(0, 1.5, 2) * px_per_mm
    far = np.maximum(outside_x + np.float32(shift[0]), outside_y + np.float32(shift[1])) / px_per_mm
    shadow = rng.uniform(0, 0.6) * np.exp(-np.maximum(far, 0) / rng.uniform(1, 6))
    on_table = np.maximum(outside_x, outside_y) > 0
    return np.where(on_table, 1.0 - shadow, gain).astype(np.float32)


def room_light(rng: np.random.Generator, gain: NDArray[np.float32], *, odds: PhotoOdds) -> NDArray[np.float32]:
    """Add gradients, vignetting, cast shadows and the colour of the light to a gain map; return [R, C, 3]."""
    rows, columns = gain.shape
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    if chance(rng, odds.gradient):
        angle, drop = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.3)
        across = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        gain = gain * (1.0 - np.float32(drop) * (0.5 + np.float32(0.35) * across))
    if chance(rng, odds.gradient / 2):
        blotches = fractal(rng, (24, 32), cell=rng.uniform(8, 24), octaves=2) * rng.uniform(0.02, 0.09)
        gain = gain * (1.0 + cv2.resize(blotches, (columns, rows), interpolation=cv2.INTER_CUBIC) - 0.05)
    if chance(rng, odds.vignette):
        gain = gain * (1.0 - rng.uniform(0.03, 0.25) * (x**2 + y**2) ** np.float32(1.5) / 2.83)
    colour = tint(rng, rng.uniform(0.2, 0.6) if chance(rng, odds.strong_tint) else abs(rng.normal(0, 0.07)))
    lit = gain[:, :, None] * colour
    for _ in range(int(rng.integers(1, 4)) if chance(rng, odds.shadow) else 0):
        mask = _shadow_mask(rng, rows, columns)
        depth = rng.uniform(0.1, 0.5)
        lit *= 1.0 - mask[:, :, None] * (depth * (1.0 - 0.15 * tint(rng, 0.8) * rng.uniform(-1, 1)))
    # The camera meters the scene, so the typical gain is its choice, not the room's.
    exposure = log_uniform(rng, 0.45, 0.75) if chance(rng, odds.dim) else rng.uniform(0.75, 1.06)
    return (lit * (exposure / max(float(np.median(lit)), 0.05))).astype(np.float32)


def _shadow_mask(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    kind = pick(rng, {"edge": 0.4, "blob": 0.35, "bar": 0.25})
    mask = np.zeros((rows, columns), np.float32)
    size = max(rows, columns)
    spot = rng.uniform(0, 1, 2) * (columns, rows)
    if kind == "blob":
        count = int(rng.integers(1, 4))
        for _ in range(count):
            near = spot + rng.normal(0, 0.12 * size, 2)
            axes = tuple(int(v) for v in rng.uniform(0.04, 0.3, 2) * size)
            cv2.ellipse(mask, tuple(int(v) for v in near), axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        depth = 3 * size if kind == "edge" else size * rng.uniform(0.04, 0.25)
        corners = [spot - 3 * size * along, spot + 3 * size * along]
        corners += [corners[1] + depth * across, corners[0] + depth * across * rng.uniform(0.5, 1.0)]
        cv2.fillPoly(mask, [np.array(corners).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), size * log_uniform(rng, 0.008 if kind == "blob" else 0.002, 0.08))


def glare(rng: np.random.Generator, photo: Rgb) -> Rgb:
    """Put one or two soft reflections of a lamp on the paper; print stays faintly visible in them."""
    rows, columns = 96, max(16, round(96 * photo.shape[1] / photo.shape[0]))
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    strength = np.zeros((rows, columns), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        centre_x, centre_y = rng.uniform(0, columns), rng.uniform(0, rows)
        long_axis, short_axis = rng.uniform(10, 60), rng.uniform(5, 20)
        angle = rng.uniform(0, np.pi)
        u = ((x - centre_x) * np.cos(angle) + (y - centre_y) * np.sin(angle)) / long_axis
        v = ((y - centre_y) * np.cos(angle) - (x - centre_x) * np.sin(angle)) / short_axis
        strength += rng.uniform(0.15, 0.75) * np.exp(-(u**2 + v**2))
    return optics.veil(photo, np.clip(strength, 0, 0.8))


def finger(rng: np.random.Generator, photo: Rgb) -> Rgb:
    """Let a fingertip reach in over an edge, with its contact shadow."""
    height, width = photo.shape[:2]
    size = max(height, width)
    side = int(rng.integers(4))
    along = rng.uniform(0.1, 0.9)
    tip = [(along * width, 0.0), (along * width, height), (0.0, along * height), (width, along * height)][side]
    inward = [(0, 1), (0, -1), (1, 0), (-1, 0)][side]
    reach = size * rng.uniform(0.02, 0.07)
    thick = size * rng.uniform(0.03, 0.06)
    centre = (tip[0] + inward[0] * reach * 0.2, tip[1] + inward[1] * reach * 0.2)
    axes = (thick / 2, reach) if side < 2 else (reach, thick / 2)
    shrink = 4
    mask = np.zeros((height // shrink + 1, width // shrink + 1), np.float32)
    small = tuple(int(v / shrink) for v in centre)
    cv2.ellipse(mask, small, tuple(int(v / shrink) + 1 for v in axes), rng.normal(0, 15), 0, 360, 1.0, -1)
    skin = np.array(rng.uniform((150, 95, 70), (235, 185, 160)), np.float32) * rng.uniform(0.5, 1.0)
    photo = optics.multiply(photo, 1.0 - 0.5 * cv2.GaussianBlur(mask, (0, 0), thick / shrink / 4))
    soft = cv2.GaussianBlur(mask, (0, 0), 0.8)
    round_shade = 0.6 + 0.4 * cv2.GaussianBlur(mask, (0, 0), thick / shrink / 5)
    big = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
    colour = cv2.resize(round_shade, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None] * skin
    inside = np.nonzero(big[:, :, 0].max(axis=1) > 0)[0]
    if len(inside):
        band = slice(int(inside[0]), int(inside[-1]) + 1)
        photo[band] = (photo[band] * (1.0 - big[band]) + colour[band] * big[band]).astype(np.uint8)
    return photo


def sense(rng: np.random.Generator, photo: Rgb, *, px_per_mm: float, odds: PhotoOdds) -> Rgb:
    """Blur, add noise, sharpen and tone a photo like a phone's camera."""
    softest = min(2.5, MAX_BLUR_MM * px_per_mm)
    photo = optics.defocus(photo, softest * rng.beta(1.2, 2.5) if chance(rng, odds.defocus) else 0.0)
    if chance(rng, odds.motion):
        photo = optics.motion_blur(photo, rng.uniform(1.0, 3.2) * softest, rng.uniform(0, np.pi))
    app = chance(rng, odds.document_app)
    if chance(rng, odds.noise):
        name = pick(rng, {"white": 0.25, "grain": 0.5, "chroma": 0.25})
        photo = optics.add_noise(photo, rng, sigma=min(rng.exponential(3.0) + 0.5, 4.0 if app else 13.0), name=name)
    if chance(rng, odds.sharpen):
        photo = optics.sharpen(photo, rng.uniform(0.2, 1.3), rng.uniform(0.7, 2.0))
    if app:
        photo = flatten_light(rng, photo)
    table = optics.tone_table(
        gamma=log_uniform(rng, 0.75, 1.45),
        black=abs(rng.normal(0, 12)),
        white=rng.uniform(225, 275),
        channel_gain=tuple(np.clip(rng.normal(1, 0.04, 3), 0.85, 1.15)),
    )
    photo = cv2.LUT(photo, table)
    if chance(rng, odds.grey):
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        photo = cv2.merge([grey, grey, grey])
    return photo


def flatten_light(rng: np.random.Generator, photo: Rgb) -> Rgb:
    """Whiten the paper like a document-scanner app: divide by the local paper colour, then raise the contrast."""
    small = cv2.resize(photo, None, fx=1 / 16, fy=1 / 16, interpolation=cv2.INTER_AREA)
    paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((3, 3), np.uint8)), (0, 0), rng.uniform(2, 6))
    paper = cv2.max(paper, float(np.percentile(paper[:, :, 1], 60)) * rng.uniform(0.3, 0.8))
    paper = cv2.resize(paper, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    flat = cv2.divide(photo, paper, scale=255.0)
    return cv2.LUT(flat, optics.tone_table(gamma=rng.uniform(1.0, 2.2)))
