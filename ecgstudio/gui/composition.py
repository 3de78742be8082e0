"""The page as it is seen: its pixels with residual, grid and traces drawn in. Numpy and OpenCV, no Qt objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.grid_overlay import draw_grid
from ecgstudio.gui.overlays import Image, blend, rgb
from ecgstudio.gui.page_picture import PagePicture
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.tools import Layer
from ecgstudio.gui.trace_overlay import draw_traces

RESIDUAL_OPACITY: Final = 0.75
RESIDUAL_FROM: Final = 60  # of 255: a single pixel shows from afar, too


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """All that is drawn into the picture of a page; `residual` is a u8 picture, 255 where ink is not explained."""

    picture: PagePicture | None
    grid: GridFit | None
    traces: DigitizedEcg | None
    residual: PagePicture | None
    layers: frozenset[Layer]
    chosen: frozenset[int]
    theme: Theme


def residual_picture(mask: NDArray[np.bool_], size: tuple[int, int]) -> PagePicture:
    """Return a mask of a page, of any size, as a picture that can be looked at."""
    return PagePicture.of_preview(np.asarray(mask, np.uint8) * np.uint8(255), size)


def compose_paper(content: Content, camera: Camera, *, ratio: float) -> Image:
    """Return the page's own pixels as the camera sees them, u8[h, w, 3]."""
    ground = rgb(content.theme.desk)
    if content.picture is None:
        height, width = (max(1, round(side * ratio)) for side in camera.size[::-1])
        return np.full((height, width, 3), ground, np.uint8)
    return content.picture.render(camera, ratio=ratio, ground=ground)


def compose(paper: Image, content: Content, camera: Camera, *, ratio: float) -> Image:
    """Return the paper with the layers that are drawn by the thousand: residual, grid and traces."""
    picture, theme = paper, content.theme
    if content.residual is not None and Layer.RESIDUAL in content.layers:
        picture = _with_residual(picture, content.residual, camera, ratio=ratio, theme=theme)
    if content.grid is not None and Layer.GRID in content.layers:
        picture = draw_grid(picture, content.grid, camera, ratio=ratio, theme=theme)
        if content.picture is not None:
            _clear_desk(picture, content.picture.size, camera, ratio=ratio, theme=theme)
    if content.traces is not None and Layer.TRACES in content.layers:
        picture = draw_traces(
            picture, content.traces, camera, ratio=ratio, theme=theme, chosen=content.chosen,
            uncertain=Layer.UNCERTAIN in content.layers,
        )  # fmt: skip
    return picture


def _clear_desk(picture: Image, size: tuple[int, int], camera: Camera, *, ratio: float, theme: Theme) -> None:
    """Wipe the grid, which goes on over its own edges, off what is not the page."""
    right, bottom = size[0] - 0.5, size[1] - 0.5
    sheet = camera.to_screen([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]) * ratio
    height, width = picture.shape[:2]
    view = np.array([[-1, -1], [width, -1], [width, height], [-1, height]])
    corners = [view.astype(np.int32), np.round(np.clip(sheet, -1e5, 1e5)).astype(np.int32)]
    cv2.fillPoly(picture, corners, rgb(theme.desk))  # of two polygons it fills what is in one of them only


def _with_residual(picture: Image, residual: PagePicture, camera: Camera, *, ratio: float, theme: Theme) -> Image:
    seen = residual.render(camera, ratio=ratio / 2, ground=(0, 0, 0))  # blots, not letters: half the pixels will do
    seen = cv2.resize(seen, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    layer = picture.copy()
    layer[cv2.dilate(seen, np.ones((3, 3), np.uint8)) > RESIDUAL_FROM] = rgb(theme.residual)
    return blend(picture, layer, opacity=RESIDUAL_OPACITY)
