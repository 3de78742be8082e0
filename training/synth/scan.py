"""Scan, fax or copy a sheet: skew and stretch, tones down to one bit, streaks, speckle and borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from training.synth import optics
from training.synth.surface import Bend, bend
from training.synth.textures import chance, fractal, log_uniform, noise_tile, pick, spread, tint
from training.synth.warp import Displacement, Warp, scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

MM_PER_INCH = 25.4
DPIS = (100, 120, 150, 150, 200, 200, 200, 240, 300, 300)


@dataclass(frozen=True, slots=True)
class ScanOdds:
    """Probabilities of what befalls a scan; one row of the table in `degrade`."""

    large_skew: float = 0.06
    stretch: float = 0.6
    feed: float = 0.35
    bent: float = 0.12
    outside: float = 0.3
    dark_lid: float = 0.3
    colour: float = 0.45
    grey: float = 0.33
    threshold: float = 0.1
    diffusion: float = 0.07
    fax: float = 0.05
    bleed: float = 0.2
    show_through: float = 0.12
    streaks: float = 0.2
    speckle: float = 0.25
    uneven: float = 0.3
    noise: float = 0.5
    sharpen: float = 0.3
    jpeg: float = 0.65
    level: tuple[float, float] = (0.6, 0.9)
    """Range of the level, between ink (0) and paper (1), below which one-bit scans are black."""


def scan(
    sheet: Rgb, *, px_per_mm: float, rng: np.random.Generator, odds: ScanOdds
) -> tuple[Rgb, Warp, int | None, dict[str, object]]:
    """Return the scan, its warp, its JPEG quality (None = lossless) and notes."""
    if chance(rng, odds.show_through):
        sheet = show_through(rng, sheet)
    warp, dpi = lay_on_glass(rng, (sheet.shape[1], sheet.shape[0]), px_per_mm=px_per_mm, odds=odds)
    lid = rng.uniform(0, 60) if chance(rng, odds.dark_lid) else rng.uniform(225, 255)
    image = warp.render(sheet, (np.full(3, lid) * tint(rng, 0.03)).astype(np.uint8))
    image = optics.defocus(image, min(abs(rng.normal(0, 0.5)), 0.2 * dpi / MM_PER_INCH))
    if chance(rng, odds.uneven):
        rows, columns = 40, 56
        shade = 1.0 - rng.uniform(0.01, 0.08) * np.abs(fractal(rng, (rows, columns), cell=25, octaves=2))
        shade[:, : int(rng.integers(1, 4))] *= rng.uniform(0.4, 1.0)  # the gutter at the glass's edge
        image = optics.multiply(image, shade)
    if chance(rng, odds.noise):
        image = optics.add_noise(image, rng, sigma=rng.uniform(0.5, 6), name=pick(rng, {"white": 0.5, "grain": 0.5}))
    if chance(rng, odds.sharpen):
        image = optics.sharpen(image, rng.uniform(0.3, 1.5), rng.uniform(0.6, 1.5))
    image = cv2.LUT(
        image,
        optics.tone_table(
            gamma=log_uniform(rng, 0.6, 1.8),
            black=rng.uniform(0, 25),
            white=rng.uniform(240, 285),
            channel_gain=tuple(np.clip(rng.normal(1, 0.015, 3), 0.94, 1.05)),
        ),
    )
    mode = pick(rng, {name: getattr(odds, name) for name in ("colour", "grey", "threshold", "diffusion", "fax")})
    if chance(rng, odds.speckle):
        image = speckle(rng, image)
    if mode != "colour":
        image = decolour(rng, image, mode, level=odds.level)
    if chance(rng, odds.streaks):
        image = streaks(rng, image)
    quality: int | None = None
    one_bit = mode in ("threshold", "diffusion", "fax")
    if chance(rng, odds.jpeg * (0.4 if one_bit else 1.0)):
        image, quality = optics.jpeg_once_or_twice(image, rng, quality=(50 if one_bit else 30, 95), twice=0.15)
    return image, warp, quality, {"dpi": dpi, "mode": mode, "photo_px_per_mm": dpi / MM_PER_INCH}


def lay_on_glass(
    rng: np.random.Generator, sheet_wh: tuple[int, int], *, px_per_mm: float, odds: ScanOdds
) -> tuple[Warp, float]:
    """Choose resolution, skew, stretch and how the page lies on the glass."""
    dpi = float(rng.choice(DPIS)) if chance(rng, 0.8) else log_uniform(rng, 100, 300)
    scale = dpi / MM_PER_INCH / px_per_mm
    skew = rng.normal(0, 4.0) if chance(rng, odds.large_skew) else rng.normal(0, 1.0)
    skew_rad = np.deg2rad(np.clip(skew, -10, 10))
    stretch = np.clip(rng.normal(1, 0.004, 2), 0.99, 1.01) if chance(rng, odds.stretch) else np.ones(2)
    turn = np.array([[np.cos(skew_rad), -np.sin(skew_rad)], [np.sin(skew_rad), np.cos(skew_rad)]])
    centre = (np.array(sheet_wh) - 1.0) / 2
    linear = turn * (scale * stretch)
    size = np.array(sheet_wh) * scale
    if chance(rng, odds.outside):
        frame = size * rng.uniform(0.9, 1.12, 2)
        offset = rng.uniform(-0.5, 0.5, 2) * np.abs(frame - size)
    else:
        frame, offset = size, rng.normal(0, 0.004, 2) * size
    photo_wh = (round(float(frame[0])), round(float(frame[1])))
    to_photo = np.eye(3)
    to_photo[:2, :2] = linear
    to_photo[:2, 2] = frame / 2 - 0.5 + offset - linear @ centre
    displacement = None
    if chance(rng, odds.bent):  # a page that was crumpled before keeps relief under the lid
        amounts = Bend(
            ripple_mm=log_uniform(rng, 0.1, 1.0),
            jitter_mm=log_uniform(rng, 0.02, 0.25),
            folds=int(rng.integers(0, 3)),
            fold_slope=0.03,
        )
        lean = rng.normal(0, 0.1, 2)
        displacement = bend(
            rng,
            sheet_wh,
            px_per_mm=px_per_mm,
            amounts=amounts,
            view_xy=(float(lean[0]), float(lean[1])),
            distance_mm=900,
        ).displacement
    elif chance(rng, odds.feed):
        displacement = uneven_feed(rng, sheet_wh, px_per_mm=px_per_mm)
    return Warp(sheet_wh, photo_wh, np.linalg.inv(to_photo), 0.0, displacement), dpi


def uneven_feed(rng: np.random.Generator, sheet_wh: tuple[int, int], *, px_per_mm: float) -> Displacement:
    """Return the slow speed error of a sheet feeder, along one axis, of a few tenths of a millimetre."""
    pitch = 4.0 * px_per_mm
    columns, rows = (int(side / pitch) + 6 for side in sheet_wh)
    axis = int(rng.integers(2))
    length = (columns, rows)[axis]
    error = fractal(rng, (4, length), cell=rng.uniform(4, 25), octaves=1)[0] * log_uniform(rng, 0.03, 0.4) * px_per_mm
    coefficients = np.zeros((2, rows, columns))
    coefficients[axis] = error[None, :] if axis == 0 else error[:, None]
    return Displacement(coefficients, (-2 * pitch, -2 * pitch), pitch)


def show_through(rng: np.random.Generator, sheet: Rgb) -> Rgb:
    """Let the mirrored, blurred print of the back side shine through the paper."""
    small = cv2.resize(sheet, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    back = cv2.GaussianBlur(small[:, ::-1], (0, 0), rng.uniform(0.6, 1.6))
    if chance(rng, 0.5):
        back = np.ascontiguousarray(back[::-1])
    gain = 1.0 - rng.uniform(0.04, 0.2) * (1.0 - back.astype(np.float32) / 255.0)
    return optics.multiply(sheet.copy(), gain)


def speckle(rng: np.random.Generator, image: Rgb) -> Rgb:
    """Sprinkle dust: dark specks on paper and light ones on ink, one to three pixels wide."""
    noise = spread(noise_tile("grey")[:, :, 0], rng, image.shape[:2])
    if chance(rng, 0.5):
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 0.9))
    spread_grey = float(noise[::16, ::16].std())
    cut = rng.uniform(3.0, 3.7)
    image = image.copy()
    image[noise > 128 + cut * spread_grey] = int(rng.uniform(0, 120))
    if chance(rng, 0.4):
        image[noise < 128 - cut * spread_grey] = int(rng.uniform(200, 255))
    return image


def decolour(rng: np.random.Generator, image: Rgb, mode: str, *, level: tuple[float, float] = (0.6, 0.9)) -> Rgb:
    """Reduce to grey levels or to one bit in the manner of `mode`."""
    weights = rng.dirichlet((2.0, 3.0, 2.0))
    grey = cv2.transform(image, weights[None].astype(np.float32))
    paper = float(np.percentile(grey[::8, ::8], 75))
    if mode == "grey":
        if chance(rng, 0.5):  # copies darken
            grey = cv2.LUT(grey, optics.tone_table(gamma=rng.uniform(0.7, 1.8), black=rng.uniform(0, 40))[:, :, 0])
    elif mode == "diffusion":
        lift = rng.uniform(0.95, 1.2) * 255.0 / max(paper, 60.0)
        bright = cv2.convertScaleAbs(grey, alpha=lift)
        grey = np.asarray(Image.fromarray(bright).convert("1"), np.uint8) * np.uint8(255)
    else:
        # Standard fax lines are twice as far apart as its columns.
        half = cv2.resize(grey, None, fx=1.0, fy=0.5, interpolation=cv2.INTER_AREA) if mode == "fax" else grey
        # Between the trace and the grid or above both: the threshold decides how much of the grid survives.
        ink = float(np.percentile(half[::4, ::4], 0.5))
        limit = ink + (paper - ink) * rng.uniform(*level)
        half = cv2.threshold(half, limit, 255, cv2.THRESH_BINARY)[1]
        grey = cv2.resize(half, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    if chance(rng, 0.2):
        kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        soft = cv2.erode(grey, kernel)  # toner spreads
        grey = cv2.addWeighted(grey, 0.5, soft, 0.5, 0) if mode == "grey" else soft
    return cv2.merge([grey, grey, grey])


def streaks(rng: np.random.Generator, image: Rgb) -> Rgb:
    """Draw the lines that dust on the scanner's glass leaves along the feed."""
    image = image.copy()
    upright = chance(rng, 0.7)
    length = image.shape[1] if upright else image.shape[0]
    for _ in range(int(rng.integers(1, 8))):
        place, thick = int(rng.integers(0, length)), int(rng.integers(1, 4))
        change = rng.uniform(-120, 60)
        band = (slice(None), slice(place, place + thick)) if upright else (slice(place, place + thick), slice(None))
        image[band] = np.clip(image[band].astype(np.float32) + change, 0, 255).astype(np.uint8)
    return image


def resample_clean(
    sheet: Rgb, *, px_per_mm: float, rng: np.random.Generator, jpeg: float, crop: float
) -> tuple[Rgb, Warp, int | None, dict[str, object]]:
    """Rasterise like a PDF viewer or a screen grab: a random 72-300 dpi, sub-pixel phase, sometimes cropped or JPEG."""
    height, width = sheet.shape[:2]
    low = rng.integers(0, 12, 2)
    high = np.array([width, height]) - rng.integers(0, 12, 2)
    if chance(rng, crop):
        low = low + (rng.beta(1, 4, 2) * 0.12 * (width, height)).astype(int)
        high = high - (rng.beta(1, 4, 2) * 0.12 * (width, height)).astype(int)
    window = sheet[low[1] : high[1], low[0] : high[0]]
    dpi = float(rng.choice((72, 96, 100, 150, 200, 200, 300))) if chance(rng, 0.5) else log_uniform(rng, 72, 300)
    scale = dpi / MM_PER_INCH / px_per_mm
    photo_wh = tuple(max(16, round(side * scale)) for side in window.shape[1::-1])
    scale_xy = photo_wh[0] / window.shape[1], photo_wh[1] / window.shape[0]
    finer = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[int(rng.integers(3))]
    image = cv2.resize(window, photo_wh, interpolation=cv2.INTER_AREA if scale < 1 else finer)
    to_photo = scaling(*scale_xy, from_xy=(float(low[0]), float(low[1])))
    warp = Warp((width, height), (photo_wh[0], photo_wh[1]), np.linalg.inv(to_photo))
    if chance(rng, 0.15):
        image = cv2.LUT(image, optics.tone_table(gamma=log_uniform(rng, 0.7, 1.5), white=rng.uniform(235, 260)))
    if chance(rng, 0.08):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = cv2.merge([grey, grey, grey])
    quality: int | None = None
    if chance(rng, jpeg):
        image, quality = optics.jpeg_once_or_twice(image, rng, quality=(40, 98), twice=0.2)
    return image, warp, quality, {"dpi": dpi, "photo_px_per_mm": dpi / MM_PER_INCH}
