"""The icons of the workstation: strokes on a raster of 24 units, drawn in whatever colour the theme asks for."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

SIZES: Final = (16, 20, 24, 40)
DISABLED_OPACITY: Final = 0.35

STROKES: Final = {
    "open": '<path d="M3 19V6h6l2 2.5h10V19z"/>',
    "project": '<path d="M5 3h10l4 4v14H5zM9 12h6M9 16h6"/>',
    "save": '<path d="M4 4h13l3 3v13H4zM8 4v5h8V4M7 20v-7h10v7"/>',
    "export": '<path d="M12 15V3M7.5 7.5 12 3l4.5 4.5M4 14v7h16v-7"/>',
    "undo": '<path d="M9 5 4 10l5 5M4 10h10a5.5 5.5 0 0 1 0 11h-3"/>',
    "redo": '<path d="m15 5 5 5-5 5M20 10H10a5.5 5.5 0 0 0 0 11h3"/>',
    "fit": '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
    "accept": '<path d="m4 12.5 5.5 5.5L20 6.5"/>',
    "reject": '<path d="M6 6l12 12M18 6 6 18"/>',
    "comment": '<path d="M4 5h16v11H11l-5 4v-4H4z"/>',
    "next": '<path d="m9 5 7 7-7 7"/>',
    "previous": '<path d="m15 5-7 7 7 7"/>',
    "worst": '<path d="M12 3v4M12 17v4M3 12h4M17 12h4"/><circle cx="12" cy="12" r="5"/>',
    "pan": '<path d="M12 3v18M3 12h18M12 3 9.5 5.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5'
    'M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5"/>',
    "keypoint": '<path d="M12 21c-4-5-6-7.5-6-11a6 6 0 0 1 12 0c0 3.5-2 6-6 11z"/><circle cx="12" cy="10" r="2"/>',
    "rotate": '<path d="M19.5 9A8 8 0 1 0 20 13M20 4v5h-5"/>',
    "rotate-left": '<path d="M7 4 3 8l4 4M3 8h9a7 7 0 0 1 7 7v5"/>',
    "rotate-right": '<path d="m17 4 4 4-4 4M21 8h-9a7 7 0 0 0-7 7v5"/>',
    "mirror": '<path d="M12 3v18" stroke-dasharray="2.5 2.5"/><path d="M9 7v10H3zM15 7v10h6z"/>',
    "corners": '<path d="M6 6 19 4l1 15L4 20z"/><circle cx="6" cy="6" r="1.8"/><circle cx="19" cy="4" r="1.8"/>'
    '<circle cx="20" cy="19" r="1.8"/><circle cx="4" cy="20" r="1.8"/>',
    "node": '<path d="M3 12c5-2 13 2 18 0M12 3c2 5-2 13 0 18"/><circle cx="12" cy="12" r="3"/>',
    "line": '<path d="M4 4v16M20 4v16M3 12h18"/><path d="m9 9 3-3 3 3M9 15l3 3 3-3"/>',
    "scale": '<path d="M3 8v8M21 8v8M3 12h18M8 10.5v3M12 9.5v5M16 10.5v3"/>',
    "erase": '<path d="m9 19-5-5L14 4l6 6-9 9zM8.5 9.5l6 6M7 19h13"/>',
    "draw": '<path d="m4 20 1-5L16 4l4 4L9 19zM13.5 6.5l4 4"/>',
    "spline": '<path d="M4 18c4-16 10 8 16-10"/><circle cx="4" cy="18" r="2"/><circle cx="12" cy="12" r="2"/>'
    '<circle cx="20" cy="8" r="2"/>',
    "shift": '<path d="M3 15h4l2-8 3 11 2-6h2"/><path d="M18 6v12M15.5 8.5 18 6l2.5 2.5M15.5 15.5 18 18l2.5-2.5"/>',
    "relabel": '<path d="M3 11V4h7l11 10-7 7z"/><circle cx="7" cy="8" r="1.3"/>',
    "split": '<path d="M3 12h6M15 12h6M12 3v18" /><path d="m6 9 3 3-3 3M18 9l-3 3 3 3"/>',
    "merge": '<path d="M3 6h5l6 6h7M3 18h5l6-6"/>',
    "caliper": '<path d="M5 3v18M19 3v18M5 8h14M8 5.5 5 8l3 2.5M16 5.5 19 8l-3 2.5"/>',
    "layers": '<path d="m12 3 9 5-9 5-9-5zM3 12.5l9 5 9-5M3 16.5l9 5 9-5"/>',
    "grid": '<path d="M4 4h16v16H4zM4 9.3h16M4 14.700h16M9.3 4v16M14.7 4v16"/>',
    "traces": '<path d="M2 13h5l2-3 2 9 3-15 2 9h6"/>',
    "reconstruct": '<path d="M2 13h5l2-3 2 9 3-15 2 9h6" stroke-dasharray="3.5 2.5"/>',
    "residual": '<path d="M3 14c3-6 5 4 8-2s5-4 10-2"/><circle cx="17" cy="17" r="3.5"/><path d="m19.5 19.5 2 2"/>',
    "uncertain": '<path d="M3 9c5-5 8 4 18-2M3 17c5-5 8 4 18-2" stroke-dasharray="3 2"/><path d="M3 13c5-5 8 4 18-2"/>',
    "driving": '<path d="M2.5 12 21.5 5v14z"/><path d="M2.5 12h19"/>',
    "revert": '<path d="M4 4v6h6M4.5 9.5A8 8 0 1 1 4 14"/>',
    "cancel": '<circle cx="12" cy="12" r="8.5"/><path d="m9 9 6 6M15 9l-6 6"/>',
    "sample": '<path d="M4 3h16v18H4zM4 14h4l1.5-2 1.5 5 2.5-9 1.5 6h5"/>',
    "help": '<path d="M9 9a3 3 0 1 1 4.5 2.600c-1 .6-1.5 1.2-1.5 2.400M12 17.5v.5"/><circle cx="12" cy="12" r="9.5"/>',
    "computing": '<path d="M7 3h10M7 21h10M8 3c0 5 8 6 8 9s-8 4-8 9M16 3c0 5-8 6-8 9s8 4 8 9"/>',
    "automatic": '<path d="M12 2.5 14 9l6.5 3-6.5 3-2 6.5L10 15l-6.5-3L10 9z"/>',
    "corrected": '<path d="m4 20 1-5L16 4l4 4L9 19z"/>',
    "needs review": '<path d="M12 3.5 22 20.5H2zM12 9.5v5M12 17v.8"/>',
    "failed": '<path d="M8 2.5h8L21.5 8v8L16 21.5H8L2.5 16V8zM8.5 8.5l7 7M15.5 8.5l-7 7"/>',
    "waiting": '<circle cx="12" cy="12" r="9"/><path d="M12 6.5V12l3.5 2.5"/>',
    "accepted": '<circle cx="12" cy="12" r="9.5"/><path d="m7.5 12.5 3 3 6-7"/>',
    "rejected": '<circle cx="12" cy="12" r="9.5"/><path d="m8.5 8.5 7 7M15.5 8.5l-7 7"/>',
    "blocked": '<circle cx="12" cy="12" r="9.5"/><path d="m5.5 5.5 13 13"/>',
    "ready": '<circle cx="12" cy="12" r="9.5"/><path d="M12 16V8M8.5 11.5 12 8l3.5 3.5"/>',
    "info": '<circle cx="12" cy="12" r="9.5"/><path d="M12 11v6M12 7v.8"/>',
}
"""Every icon by name: what stands inside an SVG of 24 x 24; strokes only."""

_SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" stroke-width="{width}" '
    'stroke-linecap="round" stroke-linejoin="round">{strokes}</svg>'
)


def icon(name: str, colour: str) -> QIcon:
    """Return an icon by name in a colour such as "#1c2024"; KeyError for a name that is not in the table."""
    return _icon(name, QColor(colour).name())


def pixmap(name: str, colour: str, *, size_px: int, ratio: float = 1.0) -> QPixmap:
    """Return an icon as pixels for a screen with `ratio` pixels per unit of length."""
    return icon(name, colour).pixmap(QSize(size_px, size_px), ratio)


@lru_cache(maxsize=512)
def _icon(name: str, colour: str) -> QIcon:
    svg = _SVG.format(colour=colour, width=1.8, strokes=STROKES[name])
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    made = QIcon()
    for size in SIZES:
        for mode, opacity in ((QIcon.Mode.Normal, 1.0), (QIcon.Mode.Disabled, DISABLED_OPACITY)):
            drawn = QPixmap(size, size)
            drawn.fill(Qt.GlobalColor.transparent)
            painter = QPainter(drawn)
            painter.setOpacity(opacity)
            renderer.render(painter, QRectF(0, 0, size, size))
            painter.end()
            made.addPixmap(drawn, mode)
    return made
