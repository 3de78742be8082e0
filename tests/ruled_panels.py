"""Ruled panels with blank paper between them, each with a raster of its own: drawn at any resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64

FINE, BOLD = 70.0, 120.0
LINE_MM = 0.1

Box = tuple[float, float, float, float]


def panels_side_by_side(columns: int, rows: int, *, width_mm: float, height_mm: float, gap_mm: float) -> list[Box]:
    """Return (left, top, width, height) of panels (mm), a centimetre from the paper's edges."""
    return [
        (10.0 + column * (width_mm + gap_mm), 10.0 + row * (height_mm + gap_mm), width_mm, height_mm)
        for row in range(rows)
        for column in range(columns)
    ]


def ruled(
    size_mm: tuple[float, float], panels: Sequence[Box], *, px_per_mm: float, fine: float = FINE, bold: float = BOLD
) -> NDArray[np.uint8]:
    """Return white paper (width, height) with panels ruled every millimetre and, bolder, every fifth, as RGB."""
    width, height = (round(side * px_per_mm) for side in size_mm)
    image = np.full((height, width), 255.0)
    for left, top, panel_width, panel_height in panels:
        x, y = ((np.arange(n) + 0.5) / px_per_mm for n in (width, height))
        columns, rows = (x >= left) & (x <= left + panel_width), (y >= top) & (y <= top + panel_height)
        dark = np.maximum(
            _lines(x[columns] - left, fine=fine, bold=bold)[None, :],
            _lines(y[rows] - top, fine=fine, bold=bold)[:, None],
        )
        image[np.ix_(rows, columns)] = 255.0 - dark
    return np.repeat(np.round(image).astype(np.uint8)[..., None], 3, axis=2)


def _lines(mm: F64, *, fine: float, bold: float) -> F64:
    dark = np.zeros(len(mm))
    for pitch, depth in ((1.0, fine), (5.0, bold)):
        dark = np.maximum(dark, depth * np.exp(-0.5 * (((mm + pitch / 2) % pitch - pitch / 2) / LINE_MM) ** 2))
    return dark
