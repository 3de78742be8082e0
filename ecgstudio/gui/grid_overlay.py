"""The calibrated grid over the whole page: thin cyan lines, the 5-mm ones stronger, 1-mm ones when one is near."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPixmap

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas
from ecgstudio.gui.hit_test import Hit, Kind
from ecgstudio.gui.overlays import draw_lines, on_screen, paint_handle, paint_line
from ecgstudio.gui.theme import Theme

MAJOR_OPACITY, MINOR_OPACITY = 0.48, 0.26
NODES_FROM_PX: Final = 26.0  # between two nodes on the screen, or they would hide the page
MINOR_FROM_PX: Final = 7.0  # from this many screen pixels per millimetre on
BEND_MM, BEND_PX = 2.5, 30.0  # a line is drawn as straight between places this far apart, whichever is more
MOST_LINES: Final = 700
NEXT_NODE: Final = 1.5  # pitches: a bent cell is no square
STAMP_PX: Final = 9


def draw_grid(canvas: Canvas, grid: GridFit, camera: Camera, *, ratio: float, theme: Theme) -> None:
    """Blend the grid's lines in, as far as they can be seen."""
    box = visible_mm(grid, camera)
    if box is None:
        return
    fine = [(1.0, MINOR_OPACITY)] if camera.zoom * grid.px_per_mm >= MINOR_FROM_PX else []
    for pitch, opacity in (*fine, (GRID_PITCH_MM, MAJOR_OPACITY)):
        lines = grid_lines(grid, box, pitch_mm=pitch, bend_mm=max(BEND_MM, BEND_PX / (camera.zoom * grid.px_per_mm)))
        if len(lines) > MOST_LINES:
            continue
        smooth = pitch == GRID_PITCH_MM  # the pale fine lines hide their steps, and smooth ones take ten times as long
        places = on_screen(lines, camera, ratio=ratio)
        draw_lines(canvas.sheet(), places, colour=theme.grid, width=max(1, int(ratio)), smooth=smooth)
        canvas.lay_sheet(opacity=opacity)


def visible_mm(grid: GridFit, camera: Camera) -> tuple[float, float, float, float] | None:
    """Return the part of the lattice that can be seen as left, top, right, bottom in mm; None if it cannot be seen."""
    reach = NEXT_NODE * GRID_PITCH_MM * grid.px_per_mm  # between nodes there may be none in sight
    left, top, right, bottom = camera.visible_box()
    x, y = grid.nodes[..., 0], grid.nodes[..., 1]
    seen = (x >= left - reach) & (x <= right + reach) & (y >= top - reach) & (y <= bottom + reach)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not rows.size:
        return None
    width, height = grid.size_mm
    return (
        float(max(columns[0] - 1, 0) * GRID_PITCH_MM),
        float(max(rows[0] - 1, 0) * GRID_PITCH_MM),
        float(min((columns[-1] + 1) * GRID_PITCH_MM, width)),
        float(min((rows[-1] + 1) * GRID_PITCH_MM, height)),
    )


def grid_lines(
    grid: GridFit, box_mm: tuple[float, float, float, float], *, pitch_mm: float, bend_mm: float
) -> list[F64]:
    """Return the lines within a box of the lattice as polylines in page pixels, level ones first.

    They are straight over about `bend_mm`.
    """
    left, top, right, bottom = box_mm
    x_mm = np.arange(np.ceil(left / pitch_mm), np.floor(right / pitch_mm) + 1) * pitch_mm
    y_mm = np.arange(np.ceil(top / pitch_mm), np.floor(bottom / pitch_mm) + 1) * pitch_mm
    along_x = np.linspace(left, right, max(2, int((right - left) / bend_mm) + 1))
    along_y = np.linspace(top, bottom, max(2, int((bottom - top) / bend_mm) + 1))
    across = grid.lattice_to_page(along_x, y_mm)
    down = grid.lattice_to_page(x_mm, along_y).transpose(1, 0, 2)
    return [*across, *down]


def paint_nodes(painter: QPainter, grid: GridFit, camera: Camera, theme: Theme) -> None:
    """Mark the nodes that can be seen, if there is room between them."""
    if camera.zoom * grid.px_per_mm * GRID_PITCH_MM < NODES_FROM_PX:
        return
    places = camera.to_screen(grid.nodes.reshape(-1, 2))
    inside = ((places > -8) & (places < np.array(camera.size) + 8)).all(axis=1)
    stamp = _node_stamp(theme, painter.device().devicePixelRatioF())
    for x, y in places[inside].tolist():
        painter.drawPixmap(QPointF(x - STAMP_PX / 2, y - STAMP_PX / 2), stamp)


def _node_stamp(theme: Theme, ratio: float) -> QPixmap:
    """Return the picture of a node: a thousand of them are stamped faster than drawn."""
    stamp = QPixmap(round(STAMP_PX * ratio), round(STAMP_PX * ratio))
    stamp.setDevicePixelRatio(ratio)
    stamp.fill(Qt.GlobalColor.transparent)
    with QPainter(stamp) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_handle(painter, np.full(2, STAMP_PX / 2), theme, role="node", size=0.55)
    return stamp


def paint_grid_hover(painter: QPainter, grid: GridFit, hit: Hit, camera: Camera, theme: Theme) -> None:
    """Show which node or line would be taken."""
    if hit.kind is Kind.NODE:
        paint_handle(painter, camera.to_screen(hit.xy), theme, role="active", size=1.3)
        return
    width, height = grid.size_mm
    at = hit.index * GRID_PITCH_MM
    along = np.linspace(0, width if hit.kind is Kind.ROW else height, 80)
    level = np.full_like(along, at)
    mm = np.stack([along, level] if hit.kind is Kind.ROW else [level, along], axis=1)
    paint_line(painter, camera.to_screen(grid.to_page(mm)), theme, role="active")
