"""What the overlays of a page share: thousands of lines go straight into pixels, the few marks are painted by Qt.

Qt strokes the traces of one page in 170 ms, OpenCV in 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF

from ecgstudio.core.arrays import F64
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Image, bgra
from ecgstudio.gui.gestures import Mark
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.tools import ALL_LAYERS, Layer, Tool

__all__ = [
    "ALL_LAYERS",
    "Layer",
    "Tool",
    "colour_of",
    "draw_lines",
    "on_screen",
    "paint_handle",
    "paint_line",
    "paint_marks",
    "paint_ring",
    "paint_tag",
    "polygon",
    "runs",
]

Number = TypeVar("Number", np.float64, np.int32)

SUBPIXEL_BITS: Final = 4
HAIRLINES: Final = tuple(np.array(offset, np.int32) for offset in ((0, -8), (7, 4), (-7, 4)))  # sixteenths of a px
FAR_OUTSIDE_PX: Final = 1e5  # OpenCV's drawing overflows far outside the picture
HANDLE_PX, RING_PX = 4.5, 8.0
TAG_POINTS: Final = 9.0
BAND_PX: Final = 12.0


def on_screen(lines: Sequence[F64], camera: Camera, *, ratio: float) -> list[F64]:
    """Map polylines [N, 2] from page pixels to device pixels, all at once: a page has thousands of short ones."""
    if not lines:
        return []
    matrix = camera.matrix
    shift = np.array(camera.size) / 2 - matrix @ camera.centre
    view = ratio * np.column_stack([matrix, shift])
    return _split(cv2.transform(np.concatenate(lines)[None], view)[0], lines)


def draw_lines(picture: Image, lines: Iterable[F64], *, colour: str, width: int = 1, smooth: bool = True) -> None:
    """Draw polylines [N, 2], in device pixels whose first has its middle at 0.5, into a picture."""
    drawn = [line for line in lines if len(line) > 1]
    if not drawn:
        return
    inside = np.clip(np.concatenate(drawn) - 0.5, -FAR_OUTSIDE_PX, FAR_OUTSIDE_PX)
    fixed = np.rint(inside * (1 << SUBPIXEL_BITS)).astype(np.int32)
    kind = cv2.LINE_AA if smooth else cv2.LINE_8
    if width == 2 and smooth:  # three hairlines side by side: OpenCV takes five times as long for one of 2 px
        for offset in HAIRLINES:
            cv2.polylines(picture, _split(fixed + offset, drawn), False, bgra(colour), 1, kind, SUBPIXEL_BITS)
    else:
        cv2.polylines(picture, _split(fixed, drawn), False, bgra(colour), width, kind, SUBPIXEL_BITS)


def _split(points: NDArray[Number], like: Sequence[F64]) -> list[NDArray[Number]]:
    """Cut points [N, 2] into pieces as long as those of another list."""
    ends: list[int] = np.cumsum([len(line) for line in like]).tolist()
    return [points[end - len(line) : end] for end, line in zip(ends, like, strict=True)]


def runs(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and behind-last index of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]])))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


# --- marks ----------------------------------------------------------------------------------------------------------


def polygon(places: F64) -> QPolygonF:
    """Return places [N, 2] as Qt's polygon."""
    return QPolygonF([QPointF(x, y) for x, y in places.tolist()])


def colour_of(theme: Theme, role: str, *, alpha: float = 1.0) -> QColor:
    """Return the colour of a role, or of a lead, in the theme."""
    colour = QColor(str(getattr(theme, role, "")) or theme.lead(role))
    colour.setAlphaF(alpha)
    return colour


def paint_marks(painter: QPainter, marks: Sequence[Mark], camera: Camera, theme: Theme) -> None:
    """Draw what a gesture shows; handles and rings keep their size on the screen."""
    for mark in marks:
        if not len(mark.xy):
            continue
        places = camera.to_screen(mark.xy)
        match mark.kind:
            case "line" | "dashed" | "band":
                paint_line(painter, places, theme, role=mark.role, kind=mark.kind)
            case "handle":
                for place in places:
                    paint_handle(painter, place, theme, role=mark.role)
            case "ring":
                for place in places:
                    paint_ring(painter, place, theme, role=mark.role)
            case "tag":
                paint_tag(painter, places[0], mark.text, theme, role=mark.role)


def paint_line(painter: QPainter, places: F64, theme: Theme, *, role: str, kind: str = "line") -> None:
    """Draw a line on a pale rim, so that it shows on ink and on paper."""
    if len(places) > 3000:
        places = places[:: len(places) // 1500]
    line = polygon(places)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if kind == "band":
        painter.setPen(_pen(colour_of(theme, role, alpha=0.45), BAND_PX))
        painter.drawPolyline(line)
        return
    painter.setPen(_pen(QColor(255, 255, 255, 170), 3.5))
    painter.drawPolyline(line)
    pen = _pen(colour_of(theme, role), 1.8)
    if kind == "dashed":
        pen.setDashPattern([4.0, 3.0])
    painter.setPen(pen)
    painter.drawPolyline(line)


def paint_handle(painter: QPainter, place: F64, theme: Theme, *, role: str = "handle_edge", size: float = 1.0) -> None:
    """Draw a round handle."""
    painter.setPen(_pen(colour_of(theme, role), 2.0))
    painter.setBrush(colour_of(theme, "handle"))
    radius = HANDLE_PX * size
    painter.drawEllipse(QPointF(place[0], place[1]), radius, radius)


def paint_ring(painter: QPainter, place: F64, theme: Theme, *, role: str = "active") -> None:
    """Draw a ring round what can be or is taken."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    at = QPointF(place[0], place[1])
    for colour, width in ((QColor(255, 255, 255, 200), 4.0), (colour_of(theme, role), 2.0)):
        painter.setPen(_pen(colour, width))
        painter.drawEllipse(at, RING_PX, RING_PX)


def paint_tag(
    painter: QPainter, place: F64, text: str, theme: Theme, *, role: str = "preview", above: bool = True
) -> QRectF:
    """Write a text on a small plate beside a place; return the plate."""
    font = QFont(painter.font())
    font.setPointSizeF(TAG_POINTS)
    font.setBold(True)
    painter.setFont(font)
    metrics = QFontMetricsF(font)
    width, height = metrics.horizontalAdvance(text) + 8, metrics.height() + 2
    plate = QRectF(
        place[0] + (8 if above else -width / 2), place[1] - (height + 6 if above else height / 2), width, height
    )
    shape = QPainterPath()
    shape.addRoundedRect(plate, 3.0, 3.0)
    painter.fillPath(shape, colour_of(theme, "tag", alpha=0.88))
    painter.setPen(_text_colour(theme, role))
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
    return plate


def _text_colour(theme: Theme, role: str) -> QColor:
    """Return a role's colour, light enough for a dark plate."""
    colour = colour_of(theme, role)
    return colour.lighter(165) if theme.dark and colour.lightness() < 140 else colour


def _pen(colour: QColor, width: float) -> QPen:
    pen = QPen(colour, width)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    return pen
