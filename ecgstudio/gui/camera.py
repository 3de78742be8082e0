"""How page pixels come to the screen: where one looks, how near, and which way up. Numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ecgstudio.core.arrays import F64

XY = tuple[float, float]

MIN_ZOOM, MAX_ZOOM = 0.01, 40.0
FIT_MARGIN = 0.97


@dataclass(frozen=True, slots=True)
class Camera:
    """A similarity from page pixels to the widget's logical pixels.

    The page pixel `centre` is in the middle of the widget of `size` (width, height); `zoom` is screen px per page px.
    The paper's x axis, which lies at `angle_rad` in the page, points to the right on the screen, and its y axis down.
    """

    size: tuple[int, int] = (1, 1)
    centre: XY = (0.0, 0.0)
    zoom: float = 1.0
    angle_rad: float = 0.0
    mirrored: bool = False

    @property
    def matrix(self) -> F64:
        """Linear part [2, 2] of page to screen."""
        cos, sin = self.zoom * math.cos(self.angle_rad), self.zoom * math.sin(self.angle_rad)
        return np.array([[cos, sin], [sin, -cos]] if self.mirrored else [[cos, sin], [-sin, cos]])

    def to_screen(self, xy: ArrayLike) -> F64:
        """Map page pixels [..., 2] to the screen."""
        return np.asarray((np.asarray(xy, np.float64) - self.centre) @ self.matrix.T + np.array(self.size) / 2)

    def to_page(self, screen: ArrayLike) -> F64:
        """Map places on the screen [..., 2] to page pixels."""
        away = np.asarray(screen, np.float64) - np.array(self.size) / 2
        return np.asarray(away @ self.matrix / self.zoom**2 + self.centre)

    def page_vector(self, screen_vector: XY) -> XY:
        """Return the page vector that looks like `screen_vector` on the screen."""
        x, y = np.array(screen_vector) @ self.matrix / self.zoom**2
        return float(x), float(y)

    def zoomed(self, factor: float, *, at: XY) -> Camera:
        """Come nearer by a factor; what is at the place `at` on the screen stays there."""
        before = self.to_page(at)
        nearer = replace(self, zoom=min(max(self.zoom * factor, MIN_ZOOM), MAX_ZOOM))
        x, y = before - nearer.to_page(at)
        return replace(nearer, centre=(self.centre[0] + float(x), self.centre[1] + float(y)))

    def panned(self, by: XY) -> Camera:
        """Let the page follow a movement of the hand on the screen."""
        dx, dy = self.page_vector(by)
        return replace(self, centre=(self.centre[0] - dx, self.centre[1] - dy))

    def fitted(self, page_size: tuple[int, int]) -> Camera:
        """Show a whole page of (width, height)."""
        width, height = page_size
        box = np.abs(replace(self, zoom=1.0).matrix) @ (width, height)
        zoom = FIT_MARGIN * min(self.size[0] / max(box[0], 1), self.size[1] / max(box[1], 1))
        zoom = min(max(zoom, MIN_ZOOM), MAX_ZOOM)
        return replace(self, centre=((width - 1) / 2, (height - 1) / 2), zoom=zoom)

    def turned(self, angle_rad: float, *, mirrored: bool) -> Camera:
        """Look at the same place with the paper's x axis at another angle."""
        return replace(self, angle_rad=angle_rad, mirrored=mirrored)

    def resized(self, size: tuple[int, int]) -> Camera:
        """Keep the middle in a widget of another size."""
        return replace(self, size=(max(1, size[0]), max(1, size[1])))

    def visible_box(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the part of the page that can be seen."""
        width, height = self.size
        corners = self.to_page([[0, 0], [width, 0], [width, height], [0, height]])
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return float(left), float(top), float(right), float(bottom)
