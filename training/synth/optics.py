"""What happens to pixels after the light: gain maps, blur, noise, sharpening, tone and JPEG, all on bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.synth.textures import TILE_SIGMA, chance, noise_tile, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.synth.warp import Nodes

    Rgb = NDArray[np.uint8]

MAX_GAIN = 1.25
JPEG_SUBSAMPLING = {
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420: 0.7,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422: 0.1,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444: 0.2,
}


def multiply(image: Rgb, gain: NDArray[np.floating[Any]]) -> Rgb:
    """Multiply in place by a gain map [h, w, 3] or [h, w] of any size, stretched over the image."""
    coded = np.clip(gain * (255.0 / MAX_GAIN) + 0.5, 0, 255).astype(np.uint8)
    if coded.ndim == 2:
        coded = cv2.merge([coded, coded, coded])
    if coded.shape != image.shape:
        coded = cv2.resize(coded, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, coded, dst=image, scale=MAX_GAIN / 255.0)


def multiply_at_nodes(image: Rgb, gain: NDArray[np.float32], nodes: Nodes) -> Rgb:
    """Multiply in place by a gain [R, C, 3] given at a warp's nodes."""
    coded = np.clip(gain * (255.0 / MAX_GAIN) + 0.5, 0, 255).astype(np.uint8)
    return cv2.multiply(image, np.ascontiguousarray(nodes.dense(coded)), dst=image, scale=MAX_GAIN / 255.0)


def veil(image: Rgb, strength: NDArray[np.float32]) -> Rgb:
    """Pull towards white in place: image + (255 - image) * strength, strength [h, w] or [h, w, 3] in 0..1."""
    cv2.bitwise_not(image, dst=image)
    multiply(image, 1.0 - strength)
    return cv2.bitwise_not(image, dst=image)


def defocus(image: Rgb, sigma_px: float) -> Rgb:
    """Blur by a Gaussian; below 0.3 px nothing happens."""
    return image if sigma_px < 0.3 else cv2.GaussianBlur(image, (0, 0), sigma_px)


def motion_blur(image: Rgb, length_px: float, angle_rad: float) -> Rgb:
    """Smear along a direction, centred so that nothing shifts."""
    if length_px < 1.0:
        return image
    half = int(np.ceil(length_px / 2))
    offset = np.arange(-half, half + 1, dtype=np.float32)
    x, y = np.meshgrid(offset, offset)
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    across = y * np.cos(angle_rad) - x * np.sin(angle_rad)
    kernel = np.clip(length_px / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1.0 - np.abs(across), 0, 1)
    return cv2.filter2D(image, -1, (kernel / kernel.sum()).astype(np.float32))


def add_noise(image: Rgb, rng: np.random.Generator, *, sigma: float, name: str) -> Rgb:
    """Add noise of `sigma` grey levels from a tile, in place."""
    if sigma < 0.3:
        return image
    amount = sigma / TILE_SIGMA
    noise = spread(noise_tile(name), rng, image.shape[:2])
    return cv2.addWeighted(image, 1.0, noise, amount, -128.0 * amount, dst=image)


def sharpen(image: Rgb, amount: float, radius_px: float) -> Rgb:
    """Add an unsharp mask, whose halo phone cameras leave around every stroke."""
    return cv2.addWeighted(image, 1.0 + amount, cv2.GaussianBlur(image, (0, 0), radius_px), -amount, 0.0)


def tone_table(
    *, gamma: float = 1.0, black: float = 0.0, white: float = 255.0, channel_gain: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> NDArray[np.uint8]:
    """Return a lookup table [1, 256, 3] from 0..255 to black..white through a power curve, per channel."""
    level = np.linspace(0.0, 1.0, 256) ** gamma
    curves = black + (white - black) * level[:, None] * np.asarray(channel_gain)[None, :]
    return np.clip(curves + 0.5, 0, 255).astype(np.uint8)[None]


def jpeg(image: Rgb, quality: int, rng: np.random.Generator) -> Rgb:
    """Compress and expand once, with a random chroma subsampling."""
    factors = list(JPEG_SUBSAMPLING)
    factor = factors[int(rng.choice(len(factors), p=list(JPEG_SUBSAMPLING.values())))]
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def jpeg_once_or_twice(
    image: Rgb, rng: np.random.Generator, *, quality: tuple[int, int], twice: float
) -> tuple[Rgb, int]:
    """Compress at a random quality, with probability `twice` after an earlier finer pass; return the last quality."""
    low, high = quality
    last = int(rng.integers(low, high + 1))
    if chance(rng, twice):
        image = jpeg(image, int(rng.integers(max(low, 60), 97)), rng)
    return jpeg(image, last, rng), last
