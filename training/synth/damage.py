"""Harm the sheet itself before any camera sees it: stains, water, mould, creases, holes, ink, stamps and tape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.synth import optics
from training.synth.textures import chance, crumple, fractal, log_uniform, noise_tile, smooth_step, spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]
    Gain = NDArray[np.float32]

FIELD_MM = 0.5  # sample pitch of the soft gain map
STAIN_COLOURS = (
    (0.72, 0.55, 0.33),
    (0.85, 0.75, 0.45),
    (0.6, 0.42, 0.3),
    (0.8, 0.62, 0.55),
    (0.7, 0.72, 0.68),
    (0.45, 0.45, 0.45),
)
MOULD_COLOURS = ((0.45, 0.55, 0.45), (0.4, 0.4, 0.4), (0.6, 0.55, 0.4), (0.5, 0.45, 0.55))
INKS = ((25, 35, 140), (20, 20, 30), (170, 25, 35), (15, 90, 60), (70, 70, 75))
MARKERS = ((1.0, 0.98, 0.45), (0.65, 1.0, 0.6), (1.0, 0.7, 0.85), (0.65, 0.9, 1.0))
STAMPS = ("RECEIVED", "COPY", "CARDIOLOGY", "FILE", "SEEN", "12 MAR", "WARD 3", "CHECKED")
SOAK_BLUR_MM = 0.22


@dataclass(frozen=True, slots=True)
class DamageOdds:
    """Probability of each harm; one row of the table in `degrade`."""

    stain: float = 0.25
    soak: float = 0.12
    mould: float = 0.1
    crease: float = 0.25
    wrinkle: float = 0.1
    hole: float = 0.15
    ring: float = 0.08
    pen: float = 0.3
    stamp: float = 0.12
    tape: float = 0.1
    marker: float = 0.08
    patch: float = 0.1
    yellowing: float = 0.2


def harm(sheet: Rgb, *, px_per_mm: float, rng: np.random.Generator, odds: DamageOdds) -> tuple[Rgb, list[str]]:
    """Return a damaged copy of the sheet and the names of what befell it."""
    image = sheet.copy()
    done: list[str] = []
    small = (max(8, round(image.shape[0] / px_per_mm / FIELD_MM)), max(8, round(image.shape[1] / px_per_mm / FIELD_MM)))
    gain: Gain = np.ones((*small, 3), np.float32)
    for name, soften in SOFT.items():
        if chance(rng, getattr(odds, name)):
            soften(rng, gain)
            done.append(name)
    if chance(rng, odds.soak):
        soak(rng, image, gain, px_per_mm)
        done.append("soak")
    if len(done):
        image = optics.multiply(image, gain)
    for name, mark in HARD.items():
        if chance(rng, getattr(odds, name)):
            image = mark(rng, image, px_per_mm)
            done.append(name)
    return image, done


def _stain(rng: np.random.Generator, gain: Gain) -> None:
    shape = gain.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        blobs = fractal(rng, shape, cell=log_uniform(rng, 30, 250), octaves=5)
        level = rng.uniform(1.2, 2.4)
        wet = smooth_step(blobs, level - 0.12, level + 0.12)
        rim = np.exp(-(((blobs - level) / rng.uniform(0.04, 0.15)) ** 2))
        colour = np.array(STAIN_COLOURS[int(rng.integers(len(STAIN_COLOURS)))], np.float32)
        strength = rng.uniform(0.1, 0.8) * wet + rng.uniform(0.0, 0.5) * rim
        gain *= 1.0 - np.clip(strength, 0, 0.85)[:, :, None] * (1.0 - colour)
    if chance(rng, 0.15):  # dark grime that leaves the trace only just visible
        grime = fractal(rng, shape, cell=log_uniform(rng, 40, 120), octaves=5)
        gain *= (1.0 - rng.uniform(0.3, 0.65) * smooth_step(grime, 1.4, 2.6))[:, :, None]


def _ring(rng: np.random.Generator, gain: Gain) -> None:
    y, x = np.mgrid[: gain.shape[0], : gain.shape[1]].astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        centre = rng.uniform(0, 1, 2) * gain.shape[:2]
        radius = rng.uniform(30, 45) / FIELD_MM
        angle = np.arctan2(y - centre[0], x - centre[1])
        wobble = 1.0 + 0.01 * np.sin(angle * 3 + rng.uniform(0, 6)) + 0.006 * np.sin(angle * 7)
        distance = (np.hypot(y - centre[0], x - centre[1]) - radius * wobble) * FIELD_MM
        width = rng.uniform(0.5, 2.0)
        ring = np.exp(-((distance / width) ** 2)) + 0.25 * (distance < 0) * rng.uniform(0, 1)
        patchy = 0.55 + 0.45 * np.sin(angle * rng.uniform(0.5, 2) + rng.uniform(0, 6))
        gain *= 1.0 - rng.uniform(0.2, 0.8) * (ring * patchy)[:, :, None] * (
            1.0 - np.array([0.6, 0.42, 0.25], np.float32)
        )


def _mould(rng: np.random.Generator, gain: Gain) -> None:
    shape = gain.shape[:2]
    clusters = smooth_step(fractal(rng, shape, cell=log_uniform(rng, 40, 200), octaves=3), 0.5, 2.0)
    grains = fractal(rng, shape, cell=rng.uniform(2.5, 9), octaves=2)
    spots = smooth_step(grains, 1.6 - 1.6 * rng.uniform(0.5, 1.0), 2.2) * clusters
    colour = np.array(MOULD_COLOURS[int(rng.integers(len(MOULD_COLOURS)))], np.float32)
    haze = 0.35 * clusters * rng.uniform(0, 1)
    gain *= 1.0 - np.clip(spots * rng.uniform(0.5, 1.2) + haze, 0, 1)[:, :, None] * (1.0 - colour)


def _yellowing(rng: np.random.Generator, gain: Gain) -> None:
    age = rng.uniform(0.1, 1.0)
    blotch = 1.0 + 0.25 * fractal(rng, gain.shape[:2], cell=gain.shape[1] * rng.uniform(0.2, 0.8), octaves=3)
    gain *= 1.0 - age * np.clip(blotch, 0, 2)[:, :, None] * np.array([0.04, 0.09, 0.22], np.float32)


def _marker(rng: np.random.Generator, gain: Gain) -> None:
    colour = np.array(MARKERS[int(rng.integers(len(MARKERS)))], np.float32)
    mask = np.zeros(gain.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        start = rng.uniform(0, 1, 2) * gain.shape[1::-1]
        end = start + np.array([rng.uniform(20, 90), rng.normal(0, 2)]) / FIELD_MM
        points = (tuple(int(v) for v in start), tuple(int(v) for v in end))
        cv2.line(mask, *points, 1.0, max(1, int(rng.uniform(3, 6) / FIELD_MM)))
    gain *= 1.0 - cv2.GaussianBlur(mask, (0, 0), 0.7)[:, :, None] * (1.0 - colour)


def soak(rng: np.random.Generator, image: Rgb, gain: Gain, px_per_mm: float) -> None:
    """Wet one region: its ink spreads and pales, its paper darkens."""
    blobs = fractal(rng, gain.shape[:2], cell=log_uniform(rng, 80, 300), octaves=4)
    wet = smooth_step(blobs, (level := rng.uniform(0.3, 1.2)), level + 0.25)
    gain *= 1.0 - (wet * rng.uniform(0.02, 0.3))[:, :, None] * np.array([0.8, 0.9, 1.0], np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.0) * SOAK_BLUR_MM * px_per_mm)
    paper = np.median(image[::16, ::16].reshape(-1, 3), axis=0)
    fade = rng.uniform(0, 0.4)
    blurred = cv2.addWeighted(blurred, 1.0 - fade, np.broadcast_to(paper.astype(np.uint8), image.shape).copy(), fade, 0)
    mask = cv2.resize((wet * 255).astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    _blend(image, blurred, mask)


def _blend(image: Rgb, other: Rgb, mask: NDArray[np.uint8]) -> None:
    """Put `other` over the image where mask u8 is 255, in place."""
    mask3 = cv2.merge([mask, mask, mask])
    kept = cv2.multiply(image, cv2.bitwise_not(mask3), scale=1 / 255.0)
    cv2.add(kept, cv2.multiply(other, mask3, scale=1 / 255.0), dst=image)


def crease(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Draw worn fold lines: light where ink broke off, with a dark side where dirt or shadow sits."""
    light = np.zeros((image.shape[0] // 2, image.shape[1] // 2), np.uint8)
    dark = np.zeros_like(light)
    family = rng.uniform(0, np.pi)
    parallel = chance(rng, 0.4)
    for _ in range(int(rng.integers(1, 4)) if not parallel else int(rng.integers(3, 12))):
        if parallel:
            angle = family + (np.pi / 2 if chance(rng, 0.35) else 0.0) + rng.normal(0, 0.1)
        else:
            angle = (
                float(rng.choice((0, np.pi / 2))) + rng.normal(0, 0.05) if chance(rng, 0.6) else rng.uniform(0, np.pi)
            )
        through = rng.uniform(0.05, 0.95, 2) * light.shape[::-1]
        steps = np.linspace(-1.5, 1.5, 40) * light.shape[1]
        wander = np.cumsum(rng.normal(0, 0.12 * px_per_mm, 40))
        line = (
            through
            + steps[:, None] * [np.cos(angle), np.sin(angle)]
            + wander[:, None] * [-np.sin(angle), np.cos(angle)]
        )
        line = (line * 8).astype(np.int32)
        thick = max(1, round(rng.uniform(0.15, 0.7) * px_per_mm / 2))
        cv2.polylines(light, [line], False, int(rng.uniform(40, 210)), thick, cv2.LINE_AA, 3)
        cv2.polylines(dark, [line + round(8 * thick)], False, int(rng.uniform(0, 110)), thick + 1, cv2.LINE_AA, 3)
    wear = spread(noise_tile("grey")[:, :, 0], rng, light.shape)
    light = cv2.multiply(light, cv2.GaussianBlur(wear, (0, 0), 1.2), scale=1 / 128.0)
    dark = cv2.GaussianBlur(dark, (0, 0), 1.0)
    image = optics.multiply(
        image, 1.0 - cv2.resize(dark, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) / np.float32(255)
    )
    return optics.veil(image, light.astype(np.float32) / 255.0)


def wrinkle(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Print the fine lines of crumpled paper that a flattened page keeps."""
    shape = (round(image.shape[0] / px_per_mm / FIELD_MM), round(image.shape[1] / px_per_mm / FIELD_MM))
    relief = crumple(rng, shape, zoom=rng.uniform(0.6, 1.6) / FIELD_MM)
    along_y, along_x = np.gradient(relief)
    azimuth = rng.uniform(0, 2 * np.pi)
    slope = np.cos(azimuth) * along_x + np.sin(azimuth) * along_y
    image = optics.multiply(
        image, 1.0 - np.clip(log_uniform(rng, 0.02, 0.12) * slope / (slope.std() + 1e-6), -0.2, 0.45)
    )
    ridge = np.abs(cv2.Laplacian(relief, cv2.CV_32F, ksize=3))
    ridge = smooth_step(ridge / (ridge.std() + 1e-6), 1.0, 5.0) * rng.uniform(0.0, 0.5)
    return optics.veil(image, ridge)


def hole(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Punch holes in a margin, tear a corner or edge, or rub out a spot; what lies below is white or dark."""
    height, width = image.shape[:2]
    below = int(rng.choice((255, 245, 20, 60, 120)))
    kind = int(rng.integers(3))
    mask = np.zeros((height, width), np.uint8)
    if kind == 0:
        radius = round(3.0 * px_per_mm)
        edge, spacing = round(rng.uniform(8, 12) * px_per_mm), 80 * px_per_mm
        upright = chance(rng, 0.5)
        middle = (height if upright else width) / 2 + rng.normal(0, 10) * px_per_mm
        for offset in (-spacing / 2, spacing / 2):
            along = int(middle + offset)
            cv2.circle(mask, (edge, along) if upright else (along, edge), radius, 255, -1, cv2.LINE_AA)
    elif kind == 1:
        corner = np.array([float(rng.choice((0, width))), float(rng.choice((0, height)))])
        reach = rng.uniform(5, 40, 2) * px_per_mm
        inward = np.where(corner > 0, -1.0, 1.0)
        t = np.linspace(0, 1, 60)[:, None]
        start, end = corner + np.array([reach[0] * inward[0], 0.0]), corner + np.array([0.0, reach[1] * inward[1]])
        rip = (
            start
            + (end - start) * t
            + rng.normal(0, 0.7 * px_per_mm, (60, 2))
            + np.cumsum(rng.normal(0, 0.25 * px_per_mm, (60, 2)), 0) * (1 - t)
        )
        cv2.fillPoly(mask, [np.concatenate([[corner], rip]).astype(np.int32)], 255, cv2.LINE_AA)
    else:
        for _ in range(int(rng.integers(1, 4))):
            centre, count = rng.uniform(0, 1, 2) * (width, height), 24
            radius = log_uniform(rng, 1.0, 7.0) * px_per_mm * (1 + 0.35 * fractal(rng, (4, count), cell=6)[0])
            turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
            rim = centre + np.abs(radius)[:, None] * np.stack([np.cos(turn), rng.uniform(0.4, 1) * np.sin(turn)], 1)
            cv2.fillPoly(mask, [rim.astype(np.int32)], 255, cv2.LINE_AA)
    ys, xs = np.nonzero(mask[::4, ::4])
    if not len(ys):
        return image
    pad = round(3 * px_per_mm)
    box = (slice(max(0, ys.min() * 4 - pad), ys.max() * 4 + pad), slice(max(0, xs.min() * 4 - pad), xs.max() * 4 + pad))
    part = np.ascontiguousarray(image[box])
    cut = mask[box]
    halo = cv2.GaussianBlur(
        cv2.dilate(cut, np.ones((3, 3), np.uint8), iterations=max(1, round(px_per_mm / 8))), (0, 0), 1.0
    )
    _blend(part, np.full_like(part, 250), halo)  # torn paper shows its white fibres
    _blend(part, np.full_like(part, below), cut)
    image[box] = part
    return image


def pen(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Write on the page: scribbled words, circles, arrows, ticks, underlines and calliper marks."""
    height, width = image.shape[:2]
    colour = tuple(int(np.clip(c + rng.normal(0, 12), 0, 255)) for c in INKS[int(rng.integers(len(INKS)))])
    thick = max(1, round(rng.uniform(0.25, 0.6) * px_per_mm))
    for _ in range(int(rng.integers(1, 6))):
        spot = rng.uniform(0.03, 0.95, 2) * (width, height)
        size = rng.uniform(3, 12) * px_per_mm
        kind = int(rng.integers(5))
        if kind <= 1:
            count = int(rng.integers(20, 120))
            phase = np.cumsum(rng.uniform(0.3, 1.3, count))
            tall = np.repeat(rng.uniform(0.3, 1.0, count // 6 + 1), 6)[:count]
            x = np.cumsum(rng.uniform(0.02, 0.12, count)) + 0.18 * np.cos(phase)
            line = spot + 0.5 * size * np.stack(
                [x, tall * np.sin(phase) + 0.03 * np.arange(count) * rng.normal(0, 0.3)], 1
            )
        elif kind == 2:
            turn = np.linspace(0, rng.uniform(5.5, 7.5), 40)
            grow = 1 + 0.06 * np.sin(turn * 1.7 + rng.uniform(0, 6))
            line = spot + size * rng.uniform(0.6, 2.5) * np.stack(
                [rng.uniform(0.8, 2) * np.cos(turn) * grow, np.sin(turn) * grow], 1
            )
        elif kind == 3:
            end = rng.normal(0, 1, 2) * size * 2
            head = 0.3 * size * np.array([[0.0, 0.0], *(rng.normal(0, 1, (2, 2)))])
            line = spot + np.array(
                [[0.0, 0.0], end / 2 + rng.normal(0, 0.05, 2) * size, end, end + head[1], end, end + head[2]]
            )
        else:
            line = spot + np.array([[0.0, 0.0], [rng.uniform(1, 8) * size, rng.normal(0, 0.3) * size]])
            if chance(rng, 0.5):
                line = line[:, ::1] if chance(rng, 0.5) else spot + (line - spot)[:, ::-1] * 0.5
        cv2.polylines(image, [(line * 8).astype(np.int32)], False, colour, thick, cv2.LINE_AA, 3)
    return image


def stamp(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Press a patchy rubber stamp with a word, a frame or a circle."""
    wide, high = round(rng.uniform(25, 60) * px_per_mm), round(rng.uniform(9, 22) * px_per_mm)
    side = int(np.hypot(wide, high)) + 8
    if side >= min(image.shape[:2]):
        return image
    mask = np.zeros((side, side), np.uint8)
    low = ((side - wide) // 2, (side - high) // 2)
    thick = max(1, round(rng.uniform(0.4, 0.9) * px_per_mm))
    if chance(rng, 0.7):
        cv2.rectangle(mask, low, (low[0] + wide, low[1] + high), 255, thick, cv2.LINE_AA)
    else:
        cv2.circle(mask, (side // 2, side // 2), wide // 2 - thick, 255, thick, cv2.LINE_AA)
    word = STAMPS[int(rng.integers(len(STAMPS)))]
    (text_wide, text_high), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)
    size = min(0.85 * wide / text_wide, 0.6 * high / text_high)
    place = (round(side / 2 - text_wide * size / 2), round(side / 2 + text_high * size / 2))
    cv2.putText(mask, word, place, cv2.FONT_HERSHEY_DUPLEX, size, 255, max(1, thick // 2 + 1), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.normal(0, 18), 1.0)
    mask = cv2.warpAffine(mask, turn, (side, side))
    patchy = np.clip(0.75 + 0.35 * fractal(rng, (side, side), cell=6 * px_per_mm, octaves=4), 0, 1)
    ink = np.array(INKS[int(rng.integers(len(INKS)))], np.float32)
    y, x = int(rng.integers(0, image.shape[0] - side)), int(rng.integers(0, image.shape[1] - side))
    gain = 1.0 - (mask / 255.0 * patchy * rng.uniform(0.35, 0.85))[:, :, None].astype(np.float32) * (1.0 - ink / 255.0)
    part = np.ascontiguousarray(image[y : y + side, x : x + side])
    image[y : y + side, x : x + side] = optics.multiply(part, gain)
    return image


def tape(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Stick one or two strips of yellowed or shiny tape across the page."""
    scale = 0.25
    shape = (max(4, round(image.shape[0] * scale)), max(4, round(image.shape[1] * scale)))
    gain = np.ones((*shape, 3), np.float32)
    shine = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 3))):
        length, wide = rng.uniform(30, 140) * px_per_mm * scale, rng.uniform(12, 22) * px_per_mm * scale
        place = tuple(float(v) for v in rng.uniform(0, 1, 2) * shape[::-1])
        box = cv2.boxPoints((place, (float(length), float(wide)), float(rng.uniform(0, 180)))).astype(np.int32)
        strip = np.zeros(shape, np.float32)
        cv2.fillConvexPoly(strip, box, 1.0, cv2.LINE_AA)
        edge = np.zeros(shape, np.float32)
        cv2.polylines(edge, [box], True, 1.0, 1, cv2.LINE_AA)
        colour = np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.75, 1.0)], np.float32) * rng.uniform(0.88, 1.0)
        gain *= 1.0 - strip[:, :, None] * (1.0 - colour) - edge[:, :, None] * rng.uniform(0.05, 0.25)
        shine += (
            strip
            * (rng.uniform(0, 0.25) + 0.1 * fractal(rng, shape, cell=12 * px_per_mm * scale, octaves=2))
            * rng.uniform(0, 1)
        )
    image = optics.multiply(image, gain)
    return optics.veil(image, np.clip(shine, 0, 0.5))


def patch(rng: np.random.Generator, image: Rgb, px_per_mm: float) -> Rgb:
    """Hide names under black or white bars near the page's edges, as de-identified pages have them."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        colour = int(rng.choice((0, 0, 255, 255, 200)))
        wide, high = round(rng.uniform(15, 70) * px_per_mm), round(rng.uniform(3, 10) * px_per_mm)
        x = int(rng.integers(0, max(1, width - wide)))
        band = 0.12 * height
        y = int(rng.uniform(0, band)) if chance(rng, 0.75) else int(height - rng.uniform(0, band) - high)
        cv2.rectangle(image, (x, y), (x + wide, y + high), (colour, colour, colour), -1)
    return image


SOFT: dict[str, Callable[[np.random.Generator, Gain], None]] = {
    "yellowing": _yellowing,
    "stain": _stain,
    "ring": _ring,
    "mould": _mould,
    "marker": _marker,
}
HARD: dict[str, Callable[[np.random.Generator, Rgb, float], Rgb]] = {
    "pen": pen,
    "stamp": stamp,
    "patch": patch,
    "crease": crease,
    "wrinkle": wrinkle,
    "tape": tape,
    "hole": hole,
}
