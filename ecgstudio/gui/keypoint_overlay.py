"""Lead names, markers and the sheet's corners over the page, as handles of constant size."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEAD_INDEX
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.overlays import colour_of, paint_handle, paint_tag, polygon
from ecgstudio.gui.theme import Theme

BOX_MM: Final = (6.5, 4.6)
LEAST_BOX_PX: Final = (20.0, 14.0)
UNSURE_BELOW: Final = 0.5
TAG_HEIGHT_PX: Final = 24.0
SHEET_PARTS: Final = 8  # lines across the sheet while its corners are placed
MARKER_TEXTS: Final = {
    "pulse": "1 mV", "speed25": "25 mm/s", "speed50": "50 mm/s", "gain5": "5 mm/mV", "gain10": "10 mm/mV",
    "gain20": "20 mm/mV",
}  # fmt: skip
"""What the markers mean, as it is printed on paper."""


def shown_name(name: str) -> str:
    """Return a keypoint's name as a clinician knows it."""
    return MARKER_TEXTS.get(name, name)


def paint_keypoints(
    painter: QPainter,
    keypoints: Keypoints,
    camera: Camera,
    theme: Theme,
    *,
    chosen: int | None,
    hovered: int | None,
    named: bool,
) -> None:
    """Frame every printed name; dashed where the machine is not sure, filled where the pointer is or was.

    `named` writes the name beside every frame, not only where the pointer is.
    """
    places = camera.to_screen(keypoints.xy)
    scale = keypoints.px_per_mm * camera.zoom
    width, height = (max(mm * scale, least) for mm, least in zip(BOX_MM, LEAST_BOX_PX, strict=True))
    for index, (name, place) in enumerate(zip(keypoints.names, places, strict=True)):
        role = name if name in LEAD_INDEX else "marker"
        box = QRectF(place[0] - width / 2, place[1] - height / 2, width, height)
        active = index in (chosen, hovered)
        pen = QPen(colour_of(theme, "active" if index == chosen else role), 2.5 if active else 1.5)
        if keypoints.confidence[index] < UNSURE_BELOW:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(colour_of(theme, role, alpha=0.18) if active else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 3.0, 3.0)
        if named or active:
            marker = name not in LEAD_INDEX  # a pulse stands beside a name: their plates must not lie on each other
            corner = np.array([box.left() - 8, box.bottom() + TAG_HEIGHT_PX if marker else box.top() + 4])
            paint_tag(painter, corner, shown_name(name), theme, role=role)


def paint_corners(painter: QPainter, corners: F64, camera: Camera, theme: Theme, *, hovered: int | None) -> None:
    """Draw the outline of the sheet, lines in its perspective to hold against the printed ones, and the handles."""
    places = camera.to_screen(corners)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour_of(theme, "handle_edge", alpha=0.45), 1.0))
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    flat = fit_homography(unit, places)
    for share in np.arange(1, SHEET_PARTS) / SHEET_PARTS:
        for ends in ([[share, 0], [share, 1]], [[0, share], [1, share]]):
            (x0, y0), (x1, y1) = apply_homography(flat, np.array(ends, np.float64))
            painter.drawLine(QPointF(x0, y0), QPointF(x1, y1))
    painter.setPen(QPen(colour_of(theme, "handle_edge"), 2.0, Qt.PenStyle.DashLine))
    painter.drawPolygon(polygon(places))
    for index, place in enumerate(places):
        paint_handle(painter, place, theme, role="active" if index == hovered else "handle_edge", size=1.6)


def paint_level(painter: QPainter, camera: Camera, theme: Theme) -> None:
    """Draw level lines over the view while the sheet is turned under them."""
    pen = QPen(colour_of(theme, "handle_edge", alpha=0.6), 1.0, Qt.PenStyle.DashLine)
    painter.setPen(pen)
    width, height = camera.size
    for share in np.linspace(0.1, 0.9, 9):
        painter.drawLine(0, round(share * height), width, round(share * height))
    painter.drawLine(width // 2, 0, width // 2, height)
