"""Cutting the crops from which lead names are read; the same for training and for use."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64

NAME_PX_PER_MM = 7.0
NAME_SHAPE = (48, 96)
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
        """Return the crop u8[48, 96] around a page pixel.

        `to_page_mm` [2, 2] holds the page px of a paper mm right, down.
        """
        matrix = to_page_mm / NAME_PX_PER_MM
        middle = np.array([(NAME_SHAPE[1] - 1) / 2, (NAME_SHAPE[0] - 1) / 2])
        origin = centre_xy - matrix @ middle
        affine = np.column_stack([self._scale[:, None] * matrix, (origin + 0.5) * self._scale - 0.5])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (NAME_SHAPE[1], NAME_SHAPE[0])
        crop = cv2.warpAffine(self._darkest, affine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(crop, np.uint8)


def normalised_names(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring crops u8[B, 48, 96] to the reader's range f32[B, 1, 48, 96]: zero mean, unit spread each."""
    values = crops.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    values /= values.std(axis=(1, 2), keepdims=True) + np.float32(4.0)
    return values[:, None]
