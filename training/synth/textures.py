"""Random fields and tiles for paper, light, dirt and tables: small arrays that others stretch over a page."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.float32]
    Rgb = NDArray[np.uint8]

TILE_PX = 1024
TILE_SIGMA = 32.0  # grey levels; 128 +- 4 sigma fits a byte
CRUMPLE_TILES = 10
CRUMPLE_PX = 512


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw between low and high, evenly in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw a key with probability proportional to its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def fractal(rng: np.random.Generator, shape: tuple[int, int], *, cell: float, octaves: int = 4) -> Field:
    """Return a field of zero mean and unit deviation whose largest blobs are about `cell` samples wide."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave / 2.0, 1.0)  # two samples a blob, smoothed: no trace of the lattice stays
        coarse = rng.standard_normal((int(height / step) + 6, int(width / step) + 6)).astype(np.float32)
        coarse = cv2.GaussianBlur(coarse, (0, 0), 0.9)
        grown_wh = (int(coarse.shape[1] * step) + 1, int(coarse.shape[0] * step) + 1)
        grown = cv2.resize(coarse, grown_wh, interpolation=cv2.INTER_CUBIC)
        y, x = (int(v) for v in rng.integers(step, 3 * step, 2, endpoint=True))
        total += grown[y : y + height, x : x + width] * 0.55**octave
        if step == 1.0:
            break
    return (total - total.mean()) / (total.std() + 1e-6)


@lru_cache(maxsize=8)
def noise_tile(name: str) -> Rgb:
    """Return a noise tile u8[TILE_PX, TILE_PX, 3] around 128, deviation TILE_SIGMA: white, grain, chroma or grey."""
    rng = np.random.default_rng(sorted(("white", "grain", "chroma", "grey")).index(name) + 7000)
    noise = rng.standard_normal((TILE_PX, TILE_PX, 3)).astype(np.float32)
    if name == "grain":  # demosaicing and denoising correlate neighbours and channels
        noise = cv2.GaussianBlur(noise, (0, 0), 0.8) + 1.2 * noise.mean(axis=2, keepdims=True)
    elif name == "chroma":
        noise = cv2.GaussianBlur(noise, (0, 0), 2.5)
        noise /= noise.std()
        noise += 0.6 * rng.standard_normal((TILE_PX, TILE_PX, 1)).astype(np.float32)
    elif name == "grey":
        noise = np.repeat(noise[:, :, :1], 3, axis=2)
    noise *= TILE_SIGMA / noise.std()
    return np.clip(noise + 128.5, 0, 255).astype(np.uint8)


@lru_cache(maxsize=CRUMPLE_TILES)
def crumple_tile(index: int) -> Field:
    """Return a height field [CRUMPLE_PX, CRUMPLE_PX] of unit deviation made of flat facets at three sizes."""
    rng = np.random.default_rng(9000 + index)
    sample = np.arange(0, CRUMPLE_PX, 2)
    grid = np.stack(np.meshgrid(sample, sample), axis=-1).reshape(-1, 2)
    total = np.zeros((len(sample), len(sample)), np.float32)
    frame = np.array([[0, 0], [0, CRUMPLE_PX], [CRUMPLE_PX, 0], [CRUMPLE_PX, CRUMPLE_PX]], float)
    for count, weight in ((50, 1.0), (220, 0.42), (900, 0.16)):
        points = np.concatenate([frame, rng.uniform(-40, CRUMPLE_PX + 40, (count, 2)), frame * 1.2 - 50])
        heights = rng.standard_normal(len(points))
        facets = LinearNDInterpolator(points, heights, fill_value=0.0)(grid)
        total += weight * facets.reshape(total.shape).astype(np.float32)
    total = cv2.resize(total, (CRUMPLE_PX, CRUMPLE_PX), interpolation=cv2.INTER_LINEAR)
    return (total - total.mean()) / total.std()


def crumple(rng: np.random.Generator, shape: tuple[int, int], *, zoom: float) -> Field:
    """Return a crumpled height field of `shape` cut from a tile stretched by `zoom`, turned and flipped at random."""
    tile = crumple_tile(int(rng.integers(CRUMPLE_TILES)))
    tile = np.rot90(tile, int(rng.integers(4)))
    tile = tile[:, ::-1] if chance(rng, 0.5) else tile
    zoom = max(zoom, max(shape) / CRUMPLE_PX + 0.01)
    centre = rng.uniform(0, 1, 2) * (CRUMPLE_PX - np.array(shape) / zoom)
    matrix = np.array([[1 / zoom, 0, centre[1]], [0, 1 / zoom, centre[0]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(np.ascontiguousarray(tile), matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)


def spread(tile: Rgb, rng: np.random.Generator, shape: tuple[int, int]) -> Rgb:
    """Cover `shape` with a tile from a random offset, flipped at random."""
    flipped = tile[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]
    y, x = (int(v) for v in rng.integers(0, TILE_PX, 2))
    repeats = (-(-(shape[0] + y) // TILE_PX), -(-(shape[1] + x) // TILE_PX)) + (1,) * (tile.ndim - 2)
    return np.ascontiguousarray(np.tile(flipped, repeats)[y : y + shape[0], x : x + shape[1]])


def smooth_step(values: Field, low: float, high: float) -> Field:
    """Rise from 0 at `low` to 1 at `high` without kinks."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def tint(rng: np.random.Generator, saturation: float) -> NDArray[np.float32]:
    """Return a random colour gain [3] with its largest channel at 1 and its smallest at 1 - saturation."""
    colour = rng.random(3)
    colour = (colour - colour.min()) / max(np.ptp(colour), 1e-6)
    return (1.0 - saturation * (1.0 - colour)).astype(np.float32)


TABLES = {"plain": 0.25, "dark": 0.15, "wood": 0.2, "cloth": 0.12, "noise": 0.18, "clutter": 0.1}


def table_top(rng: np.random.Generator, photo_wh: tuple[int, int]) -> Rgb:
    """Return a photo-sized background: a plain, dark, wooden, woven, blotchy or cluttered table."""
    name = pick(rng, TABLES)
    shrink = 3
    shape = (photo_wh[1] // shrink + 1, photo_wh[0] // shrink + 1)
    level = rng.uniform(8, 50) if name == "dark" else rng.uniform(40, 235)
    colour = level * tint(rng, float(rng.choice((0.1, 0.3, 0.7), p=(0.5, 0.35, 0.15))))
    size = max(shape)
    texture = fractal(rng, shape, cell=size * rng.uniform(0.05, 0.5), octaves=5) * rng.uniform(0.01, 0.06)
    if name == "wood":
        colour = level * np.array([1.0, rng.uniform(0.65, 0.85), rng.uniform(0.4, 0.7)], np.float32)
        thin = fractal(rng, (max(shape[0] // 12, 4), shape[1]), cell=size * 0.02, octaves=4)
        rings = cv2.resize(thin, shape[::-1], interpolation=cv2.INTER_CUBIC)
        texture = texture + np.sin(rings * 2.0 + np.linspace(0, rng.uniform(5, 60), shape[1])) * rng.uniform(0.03, 0.15)
        texture = texture + rings * 0.05
        if chance(rng, 0.5):
            texture = cv2.resize(np.ascontiguousarray(texture.T), shape[::-1], interpolation=cv2.INTER_LINEAR)
    elif name == "cloth":
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        pitch = rng.uniform(2.2, 9.0)
        folds = fractal(rng, shape, cell=size * 0.3, octaves=2) * 6
        weave = np.sin((x + folds) * 2 * np.pi / pitch) * np.sin((y - folds) * 2 * np.pi / pitch)
        texture = texture + weave * rng.uniform(0.03, 0.2) + folds * rng.uniform(0.0, 0.02)
    elif name == "noise":
        texture = texture + fractal(rng, shape, cell=rng.uniform(2, 40), octaves=4) * rng.uniform(0.03, 0.2)
    image = (1.0 + texture)[:, :, None] * colour
    if name == "clutter":
        for _ in range(int(rng.integers(2, 9))):
            box = cv2.boxPoints(
                (
                    (rng.uniform(0, shape[1]), rng.uniform(0, shape[0])),
                    tuple(rng.uniform(0.1, 0.7, 2) * size),
                    float(rng.uniform(0, 180)),
                )
            )
            cv2.fillConvexPoly(
                image, box.astype(np.int32), (rng.uniform(10, 250) * tint(rng, 0.5)).tolist(), cv2.LINE_AA
            )
    small = np.clip(image, 0, 255).astype(np.uint8)
    grown = cv2.resize(small, (shape[1] * shrink, shape[0] * shrink), interpolation=cv2.INTER_LINEAR)
    return grown[: photo_wh[1], : photo_wh[0]]
