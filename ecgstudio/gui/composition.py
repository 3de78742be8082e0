"""The page as it is seen: its pixels with residual, grid and traces drawn in. Numpy and OpenCV, no Qt objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.gui.attribution import Attribution
from ecgstudio.gui.attribution_overlay import draw_attribution
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, Image, bgra
from ecgstudio.gui.grid_overlay import draw_grid
from ecgstudio.gui.page_picture import PagePicture, device_size
from ecgstudio.gui.rebuilt_overlay import draw_rebuilt
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.tools import Layer
from ecgstudio.gui.trace_overlay import draw_traces

RESIDUAL_OPACITY: Final = 0.75
RESIDUAL_FROM: Final = 60  # of 255: a single pixel shows from afar, too


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """All that is drawn into the picture of a page.

    `residual` is a u8 picture, 255 where ink is not explained; `attribution` says what drove the chosen finding;
    `rebuilt` belongs to the traces.
    """

    picture: PagePicture | None
    grid: GridFit | None
    traces: DigitizedEcg | None
    residual: PagePicture | None
    layers: frozenset[Layer]
    chosen: frozenset[int]
    theme: Theme
    attribution: Attribution | None = None
    rebuilt: Reconstruction | None = None


def residual_picture(mask: NDArray[np.bool_], size: tuple[int, int]) -> PagePicture:
    """Return a mask of a page, of any size, as a picture that can be looked at."""
    return PagePicture.of_preview(np.asarray(mask, np.uint8) * np.uint8(255), size)


def compose_paper(content: Content, canvas: Canvas, camera: Camera, *, ratio: float) -> None:
    """Paint the page's own pixels as the camera sees them."""
    if content.picture is None:
        canvas.fill(content.theme.desk)
    else:
        content.picture.paint(canvas, camera, ratio=ratio, ground=content.theme.desk)


def compose(content: Content, canvas: Canvas, camera: Camera, *, ratio: float) -> None:
    """Draw into the paper the layers that are drawn by the thousand: residual, grid and traces."""
    theme = content.theme
    if content.residual is not None and Layer.RESIDUAL in content.layers:
        _tint_residual(canvas, content.residual, camera, ratio=ratio, theme=theme)
    if content.grid is not None and Layer.GRID in content.layers:
        draw_grid(canvas, content.grid, camera, ratio=ratio, theme=theme)
        if content.picture is not None:
            _clear_desk(canvas.picture, content.picture.size, camera, ratio=ratio, theme=theme)
    if content.traces is not None and content.attribution is not None and Layer.DRIVING in content.layers:
        px_per_mm = content.grid.px_per_mm if content.grid is not None else None
        draw_attribution(
            canvas, content.traces, content.attribution, camera, px_per_mm=px_per_mm, ratio=ratio, theme=theme
        )
    if content.traces is not None and Layer.TRACES in content.layers:
        draw_traces(
            canvas, content.traces, camera, ratio=ratio, theme=theme, chosen=content.chosen,
            uncertain=Layer.UNCERTAIN in content.layers,
        )  # fmt: skip
        if content.rebuilt is not None:
            draw_rebuilt(canvas, content.rebuilt, camera, ratio=ratio, theme=theme)


def composed(content: Content, camera: Camera, *, ratio: float) -> Image:
    """Return a small part of what is seen, such as a lens or the rim that comes into view, in memory of its own."""
    canvas = Canvas(*device_size(camera, ratio))
    compose_paper(content, canvas, camera, ratio=ratio)
    compose(content, canvas, camera, ratio=ratio)
    return canvas.picture


def _clear_desk(picture: Image, size: tuple[int, int], camera: Camera, *, ratio: float, theme: Theme) -> None:
    """Wipe the grid, which goes on over its own edges, off what is not the page."""
    right, bottom = size[0] - 0.5, size[1] - 0.5
    sheet = camera.to_screen([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]) * ratio
    height, width = picture.shape[:2]
    view = np.array([[-1, -1], [width, -1], [width, height], [-1, height]])
    corners = [view.astype(np.int32), np.round(np.clip(sheet, -1e5, 1e5)).astype(np.int32)]
    cv2.fillPoly(picture, corners, bgra(theme.desk))  # of two polygons it fills what is in one of them only


def _tint_residual(canvas: Canvas, residual: PagePicture, camera: Camera, *, ratio: float, theme: Theme) -> None:
    seen = residual.mask(camera, ratio=ratio / 2)  # blots, not letters: half the pixels will do
    blots = cv2.dilate(seen, np.ones((3, 3), np.uint8))
    if not (blots > RESIDUAL_FROM).any():
        return
    blots = cv2.resize(blots, canvas.size, dst=canvas.scratch(*canvas.size[::-1]), interpolation=cv2.INTER_LINEAR)
    cv2.threshold(blots, RESIDUAL_FROM, 255, cv2.THRESH_BINARY, dst=blots)
    canvas.tint(blots, theme.residual, opacity=RESIDUAL_OPACITY)
