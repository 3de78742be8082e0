"""Cutting the crops from which lead names and scale texts are read; the same for training and for use."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64

NAME_PX_PER_MM = 7.0
NAME_SHAPE = (48, 96)
TEXT_PX_PER_MM = 6.0
TEXT_SHAPE = (32, 160)
SHRINK_FROM = 1.5
STROKES = frozenset({"I", "II", "III"})  # names that look alike upside down, mirrored, and as any few lines


class NameCutter:
    """Cuts upright crops out of one page; the page is shrunk once if it is much finer than the crops."""

    def __init__(self, pixels: NDArray[np.uint8], *, px_per_mm: float) -> None:
        """Prepare a page of RGB pixels with this typical resolution."""
        darkest = np.asarray(cv2.min(cv2.min(pixels[..., 0], pixels[..., 1]), pixels[..., 2]), np.uint8)
        zoom = px_per_mm / NAME_PX_PER_MM
        self._scale = np.ones(2)
        if zoom > SHRINK_FROM:
            small = cv2.resize(darkest, None, fx=1 / zoom, fy=1 / zoom, interpolation=cv2.INTER_AREA)
            self._scale = np.array([small.shape[1] / darkest.shape[1], small.shape[0] / darkest.shape[0]])
            darkest = small.astype(np.uint8)
        self._darkest = darkest

    def cut(self, centre_xy: F64, to_page_mm: F64) -> NDArray[np.uint8]:
        """Return the crop u8[48, 96] around a page pixel, large enough for a lead name.

        `to_page_mm` [2, 2] holds the page px of a paper mm right, down.
        """
        return self._cut(centre_xy, to_page_mm / NAME_PX_PER_MM, NAME_SHAPE)

    def cut_text(self, centre_xy: F64, to_page_mm: F64) -> NDArray[np.uint8]:
        """Return the crop u8[32, 160] around a page pixel, large enough for a scale text."""
        return self._cut(centre_xy, to_page_mm / TEXT_PX_PER_MM, TEXT_SHAPE)

    def _cut(self, centre_xy: F64, matrix: F64, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Sample a crop whose pixels to the right and down are the columns of `matrix`, in page px."""
        middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
        origin = centre_xy - matrix @ middle
        affine = np.column_stack([self._scale[:, None] * matrix, (origin + 0.5) * self._scale - 0.5])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (shape[1], shape[0])
        crop = cv2.warpAffine(self._darkest, affine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(crop, np.uint8)


def normalised_names(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring crops u8[B, H, W] to the readers' range f32[B, 1, H, W]: zero mean, unit spread each."""
    values = crops.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    values /= values.std(axis=(1, 2), keepdims=True) + np.float32(4.0)
    return values[:, None]
