"""Photograph a sheet shown on an LCD: stripes that beat with the camera's pixels, raised blacks, reflections, bezel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.synth import optics
from training.synth.photo import PhotoOdds, frame_sheet, glare, room_light, sense
from training.synth.textures import chance, fractal, log_uniform, table_top
from training.synth.warp import Warp, scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.synth.warp import Nodes

    Rgb = NDArray[np.uint8]
    Planes = tuple[NDArray[np.float32], NDArray[np.float32]]  # sheet x and y at each photo pixel

MIN_SHOWN_PX_PER_MM = 2.2  # a viewer zooms in until the millimetre grid can be told apart


TOWARDS_A_SCREEN = PhotoOdds(
    tilt_deg=8.0,
    turn_deg=3.0,
    cropped=0.55,
    shadow=0.05,
    gradient=0.5,
    strong_tint=0.1,
    dim=0.15,
    document_app=0.01,
    grey=0.02,
    sharpen=0.5,
    defocus=0.4,
    motion=0.05,
)


@dataclass(frozen=True, slots=True)
class ScreenOdds:
    """Probabilities of what befalls a photo of a screen; one row of the table in `degrade`."""

    camera: PhotoOdds = TOWARDS_A_SCREEN
    reflections: float = 0.35
    resampled: float = 0.35
    bands: float = 0.3


def photograph_screen(
    sheet: Rgb, *, px_per_mm: float, rng: np.random.Generator, odds: ScreenOdds
) -> tuple[Rgb, Warp, int, dict[str, object]]:
    """Return the photo of the displayed sheet, its warp, JPEG quality and notes."""
    sheet_wh = (sheet.shape[1], sheet.shape[0])
    pose = frame_sheet(rng, sheet_wh, px_per_mm=px_per_mm, odds=odds.camera)
    lens_k1 = float(np.clip(rng.normal(0, 0.02), -0.06, 0.06))
    warp = Warp(sheet_wh, pose.photo_wh, np.linalg.inv(pose.to_photo), lens_k1)
    nodes = warp.nodes()
    lcd_pitch_px = rng.uniform(1.0, 1.6)
    shown_px_per_mm = max(pose.px_per_mm / lcd_pitch_px, MIN_SHOWN_PX_PER_MM)
    shown_scale = shown_px_per_mm / px_per_mm
    sheet_xy = (nodes.dense(nodes.sheet_x), nodes.dense(nodes.sheet_y))
    room = table_top(rng, pose.photo_wh)
    around, on_glass = surroundings(rng, nodes, room, sheet_wh, px_per_mm=px_per_mm)
    photo = warp.render(sheet, around, nodes=nodes, shown_scale=min(shown_scale, 1.0))
    photo = stripes(rng, photo, sheet_xy, on_glass, shown_scale=shown_scale)
    black = rng.uniform(4, 50)
    photo = cv2.LUT(
        photo,
        optics.tone_table(
            gamma=log_uniform(rng, 0.7, 1.3),
            black=black,
            white=255,
            channel_gain=(rng.uniform(0.85, 1.0), rng.uniform(0.92, 1.0), 1.0),
        ),
    )
    gain = room_light(rng, np.ones(nodes.sheet_x.shape, np.float32), odds=odds.camera)
    if chance(rng, odds.bands):  # the backlight flickers against the rolling shutter
        rows = np.arange(gain.shape[0], dtype=np.float32)
        wave = np.sin(rows / gain.shape[0] * rng.uniform(6, 60) + rng.uniform(0, 6))
        gain *= (1.0 + rng.uniform(0.01, 0.07) * wave)[:, None, None].astype(np.float32)
    photo = optics.multiply_at_nodes(photo, gain, nodes)
    if chance(rng, odds.reflections):
        photo = reflect(rng, photo)
    photo = sense(rng, photo, px_per_mm=pose.px_per_mm, odds=odds.camera)
    if chance(rng, odds.resampled) and pose.px_per_mm > 3.5:
        photo, warp = shrink(rng, photo, warp, px_per_mm=pose.px_per_mm)
    photo, quality = optics.jpeg_once_or_twice(photo, rng, quality=(40, 96), twice=0.4)
    notes: dict[str, object] = {
        "photo_px_per_mm": px_per_mm / warp.sheet_px_per_photo_px(),
        "lcd_pitch_px": pose.px_per_mm / shown_px_per_mm,
    }
    return photo, warp, quality, notes


def surroundings(
    rng: np.random.Generator, nodes: Nodes, room: Rgb, sheet_wh: tuple[int, int], *, px_per_mm: float
) -> tuple[Rgb, NDArray[np.uint8] | None]:
    """Return what shows around the sheet (window, toolbar, bezel, room) and a mask of the glass (None: all glass)."""
    border = (rng.uniform(0, 60, 4) * px_per_mm).astype(np.float32)
    window = int(rng.choice((255, 245, 128, 60, 30)))
    bezel = int(rng.uniform(5, 45) if chance(rng, 0.85) else rng.uniform(120, 220))
    bezel_px = rng.uniform(5, 25) * px_per_mm
    toolbar_px = float(border[1] * rng.uniform(0.2, 1.0))
    toolbar = rng.uniform(20, 250) * np.array([0.9, 0.95, 1.0])
    depth_y = nodes.sheet_y + border[1]
    depth = np.minimum(nodes.sheet_x + border[0], sheet_wh[0] + border[2] - nodes.sheet_x)
    depth = np.minimum(np.minimum(depth, depth_y), sheet_wh[1] + border[3] - nodes.sheet_y)
    if float(depth.min()) > toolbar_px:
        return np.full(3, window, np.uint8), None
    # Distances upsample exactly and are cut at photo resolution, so that edges stay sharp and straight.
    inside = nodes.dense(depth)
    zone = np.zeros(inside.shape, np.uint8)
    zone[inside > -bezel_px] = 1
    glass = cv2.compare(inside, 0.0, cv2.CMP_GT)
    zone[glass > 0] = 2
    zone[(glass > 0) & (nodes.dense(depth_y) < toolbar_px)] = 3
    colours = np.zeros((1, 256, 3), np.uint8)
    colours[0, 1:4] = np.array([[bezel] * 3, [window] * 3, toolbar])
    around = cv2.LUT(cv2.merge([zone, zone, zone]), colours)
    cv2.copyTo(cv2.convertScaleAbs(room, alpha=0.6), cv2.compare(zone, 0.0, cv2.CMP_EQ), around)
    return around, glass


def stripes(
    rng: np.random.Generator, photo: Rgb, sheet_xy: Planes, on_glass: NDArray[np.uint8] | None, *, shown_scale: float
) -> Rgb:
    """Sample the LCD's red, green and blue stripes and row gaps at the camera's pixels.

    The stripe pattern is periodic in LCD pixels, and reading its harmonics at each photo pixel's position is exactly
    what a sensor does after its own low-pass: where the pitches nearly agree they beat, which is the moire.
    """
    phase = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    column_depth = log_uniform(rng, 0.03, 0.32)
    second = rng.uniform(0, 0.3)
    colours = column_depth * rng.uniform(0.3, 1.0)  # demosaicing leaves part of the colour beat
    table = np.empty((1, 256, 3))
    for channel in range(3):
        shifted = phase + 2 * np.pi * channel / 3
        table[0, :, channel] = 1.0 - column_depth + colours * np.cos(shifted) + (column_depth - colours) * np.cos(phase)
        table[0, :, channel] += column_depth * second * (np.cos(2 * shifted) - 1.0)
    row_depth = column_depth * rng.uniform(0.1, 0.9)
    rows = 1.0 - row_depth + row_depth * np.cos(phase)
    # Positions are scaled to 256 steps per LCD pixel; the byte's overflow is the modulo.
    steps = np.float32(256.0 * shown_scale)
    index_x = (sheet_xy[0] * steps).astype(np.int32).astype(np.uint8)
    index_y = (sheet_xy[1] * steps).astype(np.int32).astype(np.uint8)
    coded = np.clip(table / table.max() * 255.0, 0, 255).astype(np.uint8)
    coded_rows = np.clip(rows / rows.max() * 255.0, 0, 255).astype(np.uint8)
    pattern = cv2.LUT(cv2.merge([index_x, index_x, index_x]), coded)
    gap = cv2.LUT(index_y, coded_rows)
    # The camera's exposure makes up for part of the dark between the stripes.
    brighter = rng.uniform(0.7, 1.0) * 255.0 / (float(coded.mean()) * float(coded_rows.mean()) / 255.0)
    pattern = cv2.multiply(pattern, cv2.merge([gap, gap, gap]), scale=brighter / 255.0)
    if on_glass is not None:
        off = cv2.bitwise_not(on_glass)
        pattern = cv2.max(pattern, cv2.merge([off, off, off]))
    return cv2.multiply(photo, pattern, dst=photo, scale=1 / 255.0)


def reflect(rng: np.random.Generator, photo: Rgb) -> Rgb:
    """Mirror a blurred room or a lamp in the glass."""
    if chance(rng, 0.4):
        return glare(rng, photo)
    shape = (72, max(16, round(72 * photo.shape[1] / photo.shape[0])))
    shapes = fractal(rng, shape, cell=rng.uniform(10, 40), octaves=3)
    strength = np.clip(shapes * 0.5, 0, 1) * rng.uniform(0.05, 0.3)
    return optics.veil(photo, strength)


def shrink(rng: np.random.Generator, photo: Rgb, warp: Warp, *, px_per_mm: float) -> tuple[Rgb, Warp]:
    """Resize without a low-pass, as chat programs do: the moire aliases once more."""
    smallest = max(0.4, 2.8 / px_per_mm)
    scale = rng.uniform(min(smallest, 0.9), 0.95)
    width, height = warp.photo_wh
    small_wh = (round(width * scale), round(height * scale))
    scale_xy = (small_wh[0] / width, small_wh[1] / height)
    small = cv2.resize(photo, small_wh, interpolation=cv2.INTER_LINEAR)
    return small, warp.after(np.linalg.inv(scaling(*scale_xy)), small_wh)
