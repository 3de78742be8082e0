"""The magnifier: a lens in a corner of the view that shows what is under the hand four times larger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPen

from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Image
from ecgstudio.gui.overlays import colour_of
from ecgstudio.gui.theme import Theme

XY = tuple[float, float]

LENS_PX: Final = 190
MARGIN_PX: Final = 14
TIMES: Final = 4.0
LEAST_ZOOM: Final = 2.0  # screen px per page px
MOST_ZOOM: Final = 24.0


def lens_camera(camera: Camera, focus: XY) -> Camera:
    """Return the camera of the lens: the same way up, nearer, the active point in the middle."""
    zoom = min(max(TIMES * camera.zoom, LEAST_ZOOM), max(MOST_ZOOM, camera.zoom))
    return Camera((LENS_PX, LENS_PX), focus, zoom, camera.angle_rad, camera.mirrored)


def lens_place(camera: Camera, focus: XY) -> tuple[int, int]:
    """Return the upper left corner of the lens: in the upper corner that is further from the active point."""
    x = float(camera.to_screen(focus)[0])
    return (MARGIN_PX if x > camera.size[0] / 2 else camera.size[0] - LENS_PX - MARGIN_PX), MARGIN_PX


def paint_magnifier(
    painter: QPainter, camera: Camera, focus: XY, theme: Theme, *, compose: Callable[[Camera], Image]
) -> None:
    """Draw the lens over the view; `compose` gives the page as a camera sees it."""
    left, top = lens_place(camera, focus)
    pixels = compose(lens_camera(camera, focus))
    image = QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.strides[0], QImage.Format.Format_RGB32)
    frame = QRectF(left, top, LENS_PX, LENS_PX)
    shape = QPainterPath()
    shape.addRoundedRect(frame, 8.0, 8.0)
    painter.save()
    painter.setClipPath(shape)
    painter.drawImage(frame, image)
    painter.restore()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour_of(theme, "handle_edge"), 2.0))
    painter.drawPath(shape)
    middle = frame.center()
    painter.setPen(QPen(colour_of(theme, "active", alpha=0.9), 1.0))
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):  # a gap in the middle: the ink must be seen
        ends = (QPointF(middle.x() + r * dx, middle.y() + r * dy) for r in (7, 40))
        painter.drawLine(*ends)
