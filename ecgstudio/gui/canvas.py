"""The memory that a page's picture is drawn into, made once and used for every frame; numpy and OpenCV, no Qt.

Fresh memory comes from the system page by page, which for a full window takes longer than what is drawn into it.
"""

from __future__ import annotations

from math import prod

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def bgra(colour: str) -> tuple[int, int, int, int]:
    """Return "#rrggbb" as blue, green, red and 255, the bytes of Qt's RGB32; OpenCV samples four faster than three."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16), 255


class Canvas:
    """A picture u8[h, w, 4] of device pixels, with a sheet that is drawn on and laid over it."""

    def __init__(self, width: int, height: int) -> None:
        self.picture: Image = np.zeros((height, width, 4), np.uint8)
        self._before: Image | None = None
        self._sheet: Image | None = None
        self._pool = np.empty(0, np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in device pixels."""
        return self.picture.shape[1], self.picture.shape[0]

    def fill(self, colour: str) -> None:
        """Paint the whole picture in one colour."""
        _fill(self.picture, colour)

    def sheet(self) -> Image:
        """Return a copy of the picture to draw on; the one that was handed out before is no longer one."""
        sheet = self._any_sheet()
        np.copyto(sheet, self.picture)
        return sheet

    def lay_sheet(self, *, opacity: float) -> None:
        """Lay the sheet over the picture, the more transparent the smaller the opacity."""
        assert self._sheet is not None, "there is no sheet before sheet() was called"
        cv2.addWeighted(self._sheet, opacity, self.picture, 1 - opacity, 0, dst=self.picture)

    def tint(self, where: Image, colour: str, *, opacity: float) -> None:
        """Lay a colour over the pixels where the mask u8[h, w] is not 0."""
        sheet = self._any_sheet()
        _fill(sheet, colour)
        cv2.addWeighted(sheet, opacity, self.picture, 1 - opacity, 0, dst=sheet)
        cv2.copyTo(sheet, where, self.picture)

    def white_sheet(self) -> Image:
        """Return an empty sheet to stain, for `darken`; the one that was handed out before is no longer one."""
        sheet = self._any_sheet()
        sheet[...] = 255
        return sheet

    def darken(self) -> None:
        """Stain the picture as the sheet is stained, as a marker pen does: what is dark stays dark."""
        assert self._sheet is not None, "there is no sheet before white_sheet() was called"
        cv2.multiply(self._sheet, self.picture, dst=self.picture, scale=1 / 255)

    def turn_over(self) -> Image:
        """Begin another picture and return the one before; what it holds is left from the one before that."""
        before = self.picture
        self.picture = np.empty_like(before) if self._before is None else self._before
        self._before = before
        return before

    def _any_sheet(self) -> Image:
        self._sheet = np.empty_like(self.picture) if self._sheet is None else self._sheet
        return self._sheet

    def scratch(self, *shape: int) -> Image:
        """Return memory of a shape for a moment: the next call hands it out again."""
        if prod(shape) > self._pool.size:
            self._pool = np.empty(prod(shape), np.uint8)
        return self._pool[: prod(shape)].reshape(shape)


def stain(colour: str, strength: float) -> str:
    """Return what a colour makes of white paper as "#rrggbb"; the strength is 0..1."""
    blue, green, red, _ = (round(255 - (255 - part) * strength) for part in bgra(colour))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _fill(picture: Image, colour: str) -> None:
    picture.view(np.uint32)[...] = np.array(bgra(colour), np.uint8).view(np.uint32)[0]
