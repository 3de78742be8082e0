"""Sampling a page: similarity views for the networks and dense smooth maps; every position is a pixel centre."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64

Image = NDArray[np.uint8]

SAMPLED = 37  # every so many pixels tell a median: no multiple of what repeats in rulings or blocks
SHRINK_FROM = 1.35  # from this many page pixels per view pixel on, the page is averaged before it is sampled


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A similarity view of a page: page px = origin + matrix @ view px; `shape` is (height, width)."""

    origin: F64
    matrix: F64
    shape: tuple[int, int]

    def to_page(self, px: F64) -> F64:
        """Map view pixels [N, 2] to page pixels."""
        return self.origin + px @ self.matrix.T

    def from_page(self, page: F64) -> F64:
        """Map page pixels [N, 2] to view pixels."""
        return (page - self.origin) @ np.linalg.inv(self.matrix).T

    def pixels(self, page: Image) -> Image:
        """Sample the view; a smaller view is averaged, not decimated; the page's border goes on outside it."""
        zoom = float(np.sqrt(abs(np.linalg.det(self.matrix))))
        to_page = np.column_stack([self.matrix, self.origin])
        if zoom > SHRINK_FROM:
            small = cv2.resize(page, None, fx=1 / zoom, fy=1 / zoom, interpolation=cv2.INTER_AREA)
            scale = np.diag([small.shape[1] / page.shape[1], small.shape[0] / page.shape[0]])
            to_page = np.column_stack([scale @ self.matrix, scale @ (self.origin + 0.5) - 0.5])
            page = small
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.warpAffine(page, to_page, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def upright_view(
    page_wh: tuple[int, int],
    *,
    px_per_mm: float,
    angle_rad: float,
    mirrored: bool,
    view_px_per_mm: float,
    max_side_px: int,
) -> View:
    """Return the view in which the whole page is upright at about `view_px_per_mm`, sides multiples of 32."""
    turn = np.array([[np.cos(angle_rad), -np.sin(angle_rad)], [np.sin(angle_rad), np.cos(angle_rad)]])
    if mirrored:
        # angle is the paper's x axis in the page; in a mirrored page the paper's y axis lies the other way round
        turn = turn @ np.diag([1.0, -1.0])
    matrix = turn * (px_per_mm / view_px_per_mm)
    width, height = page_wh
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    in_view = corners @ np.linalg.inv(matrix).T
    low, high = in_view.min(axis=0), in_view.max(axis=0)
    longest = float((high - low).max())
    if longest > max_side_px:
        matrix = matrix * (longest / max_side_px)
        low, high = low * (max_side_px / longest), high * (max_side_px / longest)
    columns, rows = (int(-(-(v + 0.5) // 32) * 32) for v in high - low)
    return View(matrix @ (low + 0.5), matrix, (rows, columns))


def coarse_centres(shape: tuple[int, int], step: int) -> tuple[F64, tuple[int, int]]:
    """Return the pixel positions [N, 2] of step x step cells' middles, with a margin of one cell, and their shape."""
    rows, columns = -(-shape[0] // step) + 2, -(-shape[1] // step) + 2
    y = (np.arange(rows) - 1) * step + (step - 1) / 2
    x = (np.arange(columns) - 1) * step + (step - 1) / 2
    grid = np.meshgrid(x, y)
    return np.stack(grid, axis=-1).reshape(-1, 2).astype(np.float64), (rows, columns)


def upsampled(coarse: NDArray[np.float32], shape: tuple[int, int], step: int) -> NDArray[np.float32]:
    """Bring values known at `coarse_centres` to every pixel of `shape`, linearly.

    A ramp stays a ramp; OpenCV's cubic bends it.
    """
    rows, columns = coarse.shape[:2]
    full = cv2.resize(coarse, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[step : step + shape[0], step : step + shape[1]], np.float32)


def brightest_and_darkest(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return each pixel's largest and smallest channel [H, W]; numpy over the short last axis is ten times slower."""
    red, green, blue = cv2.split(rgb)
    most, least = (np.asarray(of(of(red, green), blue), np.uint8) for of in (cv2.max, cv2.min))
    return most, least


def median_strength(image: NDArray[np.float32]) -> float:
    """Return the median of how far pixels are from 0, by a sample of them."""
    return float(np.median(np.abs(image.ravel()[::SAMPLED])))


def unshaded(grey: Image, size_px: int) -> NDArray[np.float32]:
    """Return what stands out from its surroundings, squares of so many pixels: lines; what does so by far is clipped.

    A trace must not outweigh many grid lines.
    """
    # a blur of whole numbers is six times as fast as one of floats
    lines = grey.astype(np.float32) - cv2.boxFilter(grey, cv2.CV_32F, (size_px, size_px))
    limit = 3.0 * median_strength(lines) + 2.0
    return np.asarray(np.clip(lines, -limit, limit, out=lines))
