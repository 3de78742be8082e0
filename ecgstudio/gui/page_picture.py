"""A page's pixels ready to be looked at: a pyramid of smaller copies from which any view is sampled in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, Image, bgra

SMALLEST_SIDE_PX: Final = 256
SHARP_FROM: Final = 6.0  # from this many screen pixels per page pixel on, the page's pixels are shown as squares
RIM_PX: Final = 3  # cut out beyond what is seen: what is sampled at its edge


@dataclass(frozen=True, slots=True, eq=False)
class PagePicture:
    """Pictures of a page of `size` (width, height), each about half as large as the one before.

    The first may be the page itself, u8[H, W, 3]; the others are u8[h, w, 4], blue first.
    """

    size: tuple[int, int]
    levels: tuple[Image, ...]

    @classmethod
    def of_page(cls, pixels: Image) -> PagePicture:
        """Wrap the pixels u8[H, W, 3] without a copy and average them down, 40 ms for 24 megapixels."""
        return cls.of_preview(pixels, (pixels.shape[1], pixels.shape[0]))

    @classmethod
    def of_preview(cls, pixels: Image, full_size: tuple[int, int]) -> PagePicture:
        """Show a small u8[h, w, 3], or a mask u8[h, w], in the place of a page of `full_size` (width, height)."""
        levels = [pixels]
        while max(levels[-1].shape[:2]) > SMALLEST_SIDE_PX:
            height, width = levels[-1].shape[:2]
            half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
            smaller = cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA)
            levels.append(cv2.cvtColor(smaller, cv2.COLOR_RGB2BGRA) if smaller.shape[2:] == (3,) else smaller)
        return cls(full_size, tuple(levels))

    def paint(self, canvas: Canvas, camera: Camera, *, ratio: float, ground: str) -> None:
        """Sample what the camera sees into a canvas, with `ratio` device pixels per logical one; `ground` lies around.

        The colours of the page, not of a mask.
        """
        self._sample(camera, ratio, canvas.picture, bgra(ground), canvas.scratch)

    def mask(self, camera: Camera, *, ratio: float) -> Image:
        """Sample what the camera sees of a mask, u8[h, w]; 0 around it."""
        seen = np.empty(device_size(camera, ratio)[::-1], np.uint8)
        self._sample(camera, ratio, seen, (0,), lambda *_: seen)
        return seen

    def _sample(
        self, camera: Camera, ratio: float, out: Image, ground: tuple[int, ...], scratch: Callable[..., Image]
    ) -> None:
        level = self._level(camera.zoom * ratio)
        step = np.array([self.size[0] / level.shape[1], self.size[1] / level.shape[0]])  # page px per px of the level
        level, corner = _in_sight(level, camera, step)
        if level.ndim == 3 and level.shape[2] == 3:
            level = cv2.cvtColor(level, cv2.COLOR_RGB2BGRA, dst=scratch(*level.shape[:2], 4))
        to_page, origin = np.linalg.inv(camera.matrix) / ratio, camera.to_page((0.5 / ratio, 0.5 / ratio))
        view = np.column_stack([to_page / step[:, None], (origin + 0.5) / step - 0.5 - corner])
        sharp = camera.zoom * ratio * step.max() >= SHARP_FROM
        flags = (cv2.INTER_NEAREST if sharp else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(
            level, view, out.shape[1::-1], dst=out, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=ground
        )

    def _level(self, zoom: float) -> Image:
        """Return the smallest level that still has about one pixel per device pixel."""
        for level in reversed(self.levels):
            if level.shape[1] / self.size[0] >= 0.8 * zoom:
                return level
        return self.levels[0]


def device_size(camera: Camera, ratio: float) -> tuple[int, int]:
    """Return width and height of what a camera sees in device pixels."""
    return max(1, math.ceil(camera.size[0] * ratio)), max(1, math.ceil(camera.size[1] * ratio))


def _in_sight(level: Image, camera: Camera, step: F64) -> tuple[Image, F64]:
    """Cut out what the camera sees of a level and a little more; return it and where its corner is in the level."""
    left, top, right, bottom = camera.visible_box()
    width, height = level.shape[1], level.shape[0]
    first = np.clip(np.floor(np.array([left, top]) / step) - RIM_PX, 0, (width - 1, height - 1)).astype(int)
    end = np.clip(np.ceil(np.array([right, bottom]) / step) + RIM_PX, first + 1, (width, height)).astype(int)
    return level[first[1] : end[1], first[0] : end[0]], first.astype(np.float64)
