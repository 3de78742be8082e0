"""The lines that a program drew on a PDF page: traces are among them, sharper than any picture of the page."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pypdfium2 as pdfium
from pypdfium2 import raw as pdfium_c

from ecgstudio.core.arrays import F64

LEAST_POINTS: Final = 12
"""Lines with fewer points are grids, frames and underlines."""

MOST_SEGMENTS: Final = 400_000
"""Of a page: an hour of twelve leads has fewer. A page with more keeps its picture only."""

_CURVE_STEPS: Final = np.linspace(0, 1, 9)[1:, None]
_SAME_PT: Final = 0.01  # lines whose ends meet are one: some programs draw every stroke by itself
_FINE: Final = 256  # pdfium's device coordinates are whole numbers
_DEEPEST: Final = 8


def drawn_lines(page: pdfium.PdfPage, *, size: tuple[int, int]) -> tuple[F64, ...]:
    """Return the stroked lines [N, 2] of a page in pixels of its picture of size (width, height).

    Pixel centres are whole numbers. The caller holds pdfium's lock.
    """
    to_px = _pixels_of(page, size)
    budget = [MOST_SEGMENTS]
    matrix = np.eye(3)
    drawn = _objects(page.raw, pdfium_c.FPDFPage_CountObjects, pdfium_c.FPDFPage_GetObject, matrix, budget, 0)
    lines = tuple(to_px(line) for line in _joined(drawn) if len(line) >= LEAST_POINTS)
    return lines if budget[0] >= 0 else ()


def _pixels_of(page: pdfium.PdfPage, size: tuple[int, int]) -> Callable[[F64], F64]:
    """Return the map from points of the page (its box and rotation heeded) to pixels."""
    corners = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
    x, y = ctypes.c_int(), ctypes.c_int()
    seen = []
    for corner in corners:
        pdfium_c.FPDF_PageToDevice(
            page.raw, 0, 0, size[0] * _FINE, size[1] * _FINE, 0, corner[0], corner[1], ctypes.byref(x), ctypes.byref(y)
        )
        seen.append((x.value / _FINE, y.value / _FINE))
    origin, right, up = np.array(seen)
    linear = np.column_stack([right - origin, up - origin]) / 1000.0
    return lambda points: points @ linear.T + origin - 0.5


def _objects(
    holder: Any,  # noqa: ANN401 - pdfium's handles have no types
    count: Callable[[Any], int],
    get: Callable[[Any, int], Any],
    matrix: F64,
    budget: list[int],
    depth: int,
) -> Iterator[F64]:
    """Yield the lines of a page or form in the order in which they are drawn, in points of the page."""
    for index in range(count(holder)):
        item = get(holder, index)
        kind = pdfium_c.FPDFPageObj_GetType(item)
        if kind == pdfium_c.FPDF_PAGEOBJ_FORM and depth < _DEEPEST:
            inner = matrix @ _matrix_of(item)
            yield from _objects(
                item, pdfium_c.FPDFFormObj_CountObjects, pdfium_c.FPDFFormObj_GetObject, inner, budget, depth + 1
            )
        elif kind == pdfium_c.FPDF_PAGEOBJ_PATH and _is_stroked(item):
            budget[0] -= pdfium_c.FPDFPath_CountSegments(item)
            if budget[0] < 0:
                return
            whole = matrix @ _matrix_of(item)
            yield from (line @ whole[:2, :2].T + whole[:2, 2] for line in _path(item))


def _matrix_of(item: Any) -> F64:  # noqa: ANN401 - pdfium's handles have no types
    m = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(item, ctypes.byref(m)):
        return np.eye(3)
    return np.array([[m.a, m.c, m.e], [m.b, m.d, m.f], [0.0, 0.0, 1.0]])


def _is_stroked(item: Any) -> bool:  # noqa: ANN401 - pdfium's handles have no types
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    return bool(pdfium_c.FPDFPath_GetDrawMode(item, ctypes.byref(fill), ctypes.byref(stroke)) and stroke.value)


def _path(item: Any) -> Iterator[F64]:  # noqa: ANN401 - pdfium's handles have no types
    """Yield the lines of one path in its own coordinates, curves as eight straight pieces."""
    x, y = ctypes.c_float(), ctypes.c_float()
    line: list[tuple[float, float]] = []
    curve: list[tuple[float, float]] = []
    for index in range(pdfium_c.FPDFPath_CountSegments(item)):
        segment = pdfium_c.FPDFPath_GetPathSegment(item, index)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        pdfium_c.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
        point = x.value, y.value
        if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            if len(line) > 1:
                yield np.array(line)
            line, curve = [point], []
        elif kind == pdfium_c.FPDF_SEGMENT_BEZIERTO and line:
            curve.append(point)
            if len(curve) == 3:
                line.extend(map(tuple, _bezier(np.array([line[-1], *curve]))))
                curve = []
        elif kind == pdfium_c.FPDF_SEGMENT_LINETO and line:
            line.append(point)
    if len(line) > 1:
        yield np.array(line)


def _bezier(p: F64) -> F64:
    t = _CURVE_STEPS
    return np.asarray((1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3])


def _joined(lines: Iterator[F64]) -> Iterator[F64]:
    """Yield lines as one where each begins at which the one before it ended."""
    pieces: list[F64] = []
    for line in lines:
        if pieces and np.abs(pieces[-1][-1] - line[0]).max() <= _SAME_PT:
            pieces.append(line[1:])
            continue
        if pieces:
            yield np.concatenate(pieces)
        pieces = [line]
    if pieces:
        yield np.concatenate(pieces)
