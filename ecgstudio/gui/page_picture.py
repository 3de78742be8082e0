"""A page's pixels ready to be looked at: a pyramid of smaller copies from which any view is sampled in milliseconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.gui.camera import Camera

Image = NDArray[np.uint8]

SMALLEST_SIDE_PX: Final = 256
SHARP_FROM: Final = 6.0  # from this many screen pixels per page pixel on, the page's pixels are shown as squares
LARGEST_SIDE_PX: Final = 32_000  # OpenCV addresses the picture it samples with 16 bits


@dataclass(frozen=True, slots=True, eq=False)
class PagePicture:
    """Pictures of a page of `size` (width, height), each about half as large as the one before; the first may be it."""

    size: tuple[int, int]
    levels: tuple[Image, ...]

    @classmethod
    def of_page(cls, pixels: Image) -> PagePicture:
        """Wrap the pixels u8[H, W, 3] without a copy and average them down, 30 ms for 24 megapixels."""
        return cls.of_preview(pixels, (pixels.shape[1], pixels.shape[0]))

    @classmethod
    def of_preview(cls, pixels: Image, full_size: tuple[int, int]) -> PagePicture:
        """Show a small picture in the place of a page of `full_size` (width, height)."""
        levels = [pixels]
        while max(levels[-1].shape[:2]) > SMALLEST_SIDE_PX:
            height, width = levels[-1].shape[:2]
            half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
            levels.append(np.asarray(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
        fitting = [level for level in levels if max(level.shape[:2]) < LARGEST_SIDE_PX]
        return cls(full_size, tuple(fitting))

    def render(self, camera: Camera, *, ratio: float, ground: tuple[int, int, int]) -> Image:
        """Sample what the camera sees, u8[h, w, 3], with `ratio` device pixels per logical pixel.

        `ground` is the colour around the page.
        """
        level = self._level(camera.zoom * ratio)
        step = (self.size[0] / level.shape[1], self.size[1] / level.shape[0])  # page px per px of the level
        to_page, origin = np.linalg.inv(camera.matrix) / ratio, camera.to_page((0.5 / ratio, 0.5 / ratio))
        scale = np.diag(1 / np.array(step))
        view = np.column_stack([scale @ to_page, scale @ (origin + 0.5) - 0.5])
        sharp = camera.zoom * ratio * max(step) >= SHARP_FROM
        flags = (cv2.INTER_NEAREST if sharp else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
        size = (max(1, math.ceil(camera.size[0] * ratio)), max(1, math.ceil(camera.size[1] * ratio)))
        seen = cv2.warpAffine(level, view, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=ground)
        return np.asarray(seen, np.uint8)

    def _level(self, zoom: float) -> Image:
        """Return the smallest level that still has about one pixel per device pixel."""
        for level in reversed(self.levels):
            if level.shape[1] / self.size[0] >= 0.8 * zoom:
                return level
        return self.levels[0]
