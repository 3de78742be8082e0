"""The empty sheet: paper with its printed grid; traces and texts are laid over it in `page`."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.synth.style import PageStyle

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

DENSER_DOTS = 0.5  # share of dotted grids whose 5-mm lines are made of denser dots


def paper_and_grid(shape: tuple[int, int], px_per_mm: float, *, style: PageStyle, rng: Rng) -> Pixels:
    """Draw paper and grid as RGB; lines are separable, so 1-D profiles suffice."""
    height, width = shape
    x0, y0, x1, y1 = style.grid_box_mm
    left, top = style.grid_origin_mm

    def lines(pitch_mm: float, thick_mm: float) -> tuple[Floats, Floats]:
        return (
            _coverage(width, px_per_mm, origin_mm=left, pitch_mm=pitch_mm, width_mm=thick_mm, within_mm=(x0, x1)),
            _coverage(height, px_per_mm, origin_mm=top, pitch_mm=pitch_mm, width_mm=thick_mm, within_mm=(y0, y1)),
        )

    inside_x, inside_y = (cover > 0 for cover in lines(1e6, 1e7))
    alpha = np.zeros(shape, np.uint8)

    def add_lines(across: Floats, down: Floats, strength: float) -> None:
        a = np.where(inside_x, across * 255 * strength, 0).astype(np.uint8)
        b = np.where(inside_y, down * 255 * strength, 0).astype(np.uint8)
        np.maximum(alpha, np.where(inside_y[:, None], a[None, :], 0), out=alpha)
        np.maximum(alpha, np.where(inside_x[None, :], b[:, None], 0), out=alpha)

    def add_broken_lines(across: Floats, down: Floats, strength: float, *, pitch_mm: float) -> None:
        dash_x, dash_y = lines(pitch_mm, pitch_mm / 2)
        broken = np.maximum(np.outer(dash_y, across), np.outer(down, dash_x)) * (255 * strength)
        np.maximum(alpha, broken.astype(np.uint8), out=alpha)

    if style.grid in ("full", "uniform"):
        add_lines(*lines(1.0, style.minor_mm), style.minor_alpha)
    elif style.grid == "dots":
        across, down = lines(1.0, style.minor_mm * 2.2)
        dots = np.outer(down, across) * (255 * min(1.0, style.minor_alpha * 1.5))
        np.maximum(alpha, dots.astype(np.uint8), out=alpha)
    elif style.grid == "dashed":
        add_broken_lines(*lines(1.0, style.minor_mm), style.minor_alpha, pitch_mm=0.5)
    if style.grid in ("full", "dots", "dashed", "major"):
        if style.grid == "dots" and rng.random() < DENSER_DOTS:
            add_broken_lines(*lines(5.0, style.major_mm), style.major_alpha, pitch_mm=1.0)
        else:
            add_lines(*lines(5.0, style.major_mm), style.major_alpha)
    paper, ink = np.array(style.paper, np.float64), np.array(style.grid_ink, np.float64)
    a = np.arange(256)[:, None] / 255.0
    table = np.clip(paper * (1 - a) + np.minimum(ink, paper) * a, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(cv2.merge([alpha] * 3), table[None]), np.uint8)


def _coverage(
    n: int, px_per_mm: float, *, origin_mm: float, pitch_mm: float, width_mm: float, within_mm: tuple[float, float]
) -> Floats:
    """Return how much of each pixel a set of equal lines covers (1-D, 0..1)."""
    centre_mm = (np.arange(n) + 0.5) / px_per_mm
    away = np.abs((centre_mm - origin_mm + pitch_mm / 2) % pitch_mm - pitch_mm / 2) * px_per_mm
    w = width_mm * px_per_mm
    cover = np.clip(w / 2 + 0.5 - away, 0.0, min(1.0, w))
    cover[(centre_mm < within_mm[0]) | (centre_mm > within_mm[1])] = 0.0
    return cover
