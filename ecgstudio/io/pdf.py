"""Render the pages of a PDF as RGB bytes, by pdfium; a page that is one scan keeps the scan's own pixels."""

import threading
from collections.abc import Iterable

import numpy as np
import pypdfium2 as pdfium
from pypdfium2 import raw as pdfium_c

from ecgstudio.core.arrays import F64, U8
from ecgstudio.errors import InputError
from ecgstudio.io.pdf_lines import drawn_lines
from ecgstudio.io.pixels import MAX_PIXELS, check_size, damaged, true_dpi

DRAWN_DPI = 254.0
"""Resolution for pages drawn with lines: 10 px per mm, so that a 0.1-mm line is one pixel."""

MAX_SCAN_DPI = 400.0
"""A finer scan is reduced to this: it shows paper fibres, not more ECG, and costs four times the time."""

MAX_SIDE_PX = 8000  # pages with made-up sizes ("1 pt per pixel") would become posters
_WHOLE_PAGE = 0.8  # share of a page that its pictures must cover to be a scan
_WORTH_KEEPING = 0.05  # a smaller picture (a logo, a stamp) does not decide the resolution
_POINTS_PER_INCH = 72.0
_TAIL_BYTES = 4096

_PDFIUM = threading.RLock()
"""pdfium may be used by one thread at a time, also in different documents."""


class PdfReader:
    """An open PDF."""

    def __init__(self, content: bytes, *, name: str) -> None:
        """Open the document. Raises InputError if it is encrypted, damaged or holds no page."""
        self._name = name
        if b"%%EOF" not in content.rstrip(b"\0\r\n\t ")[-_TAIL_BYTES:]:
            raise damaged(name)  # pdfium would repair it and leave pages or pictures out
        with _PDFIUM:
            try:
                self._document = pdfium.PdfDocument(content)
            except pdfium.PdfiumError as error:
                if error.err_code in (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY):
                    raise InputError(
                        f"{name} is protected by a password; save it without one and try again."
                    ) from error
                raise damaged(name) from error
            self._count = len(self._document)
            if not self._count:
                self._document.close()
        if not self._count:
            raise InputError(f"{name} holds no page.")

    @property
    def count(self) -> int:
        """Number of pages."""
        return self._count

    def read(self, index: int) -> tuple[U8, float | None]:
        """Render a page over white, its annotations included."""
        with _PDFIUM:
            try:
                page = self._document[index]
                try:
                    return self._render(page)
                finally:
                    page.close()
            except pdfium.PdfiumError as error:
                raise damaged(self._name) from error

    def lines(self, index: int, *, size: tuple[int, int]) -> tuple[F64, ...]:
        """Return the lines [N, 2] that are drawn on a page, in pixels of its picture of size (width, height)."""
        with _PDFIUM:
            try:
                page = self._document[index]
                try:
                    return drawn_lines(page, size=size)
                finally:
                    page.close()
            except pdfium.PdfiumError as error:
                raise damaged(self._name) from error

    def close(self) -> None:
        """Let go of the document."""
        with _PDFIUM:
            self._document.close()

    def _render(self, page: pdfium.PdfPage) -> tuple[U8, float | None]:
        width_pt, height_pt = page.get_size()
        if not (width_pt > 0 and height_pt > 0):
            raise damaged(self._name)
        dpi = self._resolution(page, width_pt * height_pt)
        limit = MAX_SIDE_PX * _POINTS_PER_INCH / max(width_pt, height_pt)
        dpi = min(dpi, limit)
        scale = dpi / _POINTS_PER_INCH * (1 - 1e-6)  # pdfium rounds up: without this a scan grows by a pixel
        check_size(int(np.ceil(width_pt * scale)), int(np.ceil(height_pt * scale)), self._name)
        bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False)
        try:
            pixels = np.array(bitmap.to_numpy()[:, :, :3])
        finally:
            bitmap.close()
        return pixels, true_dpi(dpi)

    def _resolution(self, page: pdfium.PdfPage, area_pt2: float) -> float:
        """Resolution of the pictures if they are the page, else that for drawings."""
        pictures = [picture for picture in self._pictures(page, area_pt2) if picture[0] >= _WORTH_KEEPING]
        finest = max((dpi for _, dpi in pictures), default=0.0)
        if sum(share for share, _ in pictures) >= _WHOLE_PAGE:
            return min(finest, MAX_SCAN_DPI)
        return min(max(finest, DRAWN_DPI), MAX_SCAN_DPI)

    def _pictures(self, page: pdfium.PdfPage, area_pt2: float) -> Iterable[tuple[float, float]]:
        """Share of the page and dots per inch of every picture that lies directly on the page."""
        for picture in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=1):
            width, height = picture.get_px_size()
            if width * height > MAX_PIXELS:
                check_size(width, height, self._name)
            a, b, c, d, *_ = picture.get_matrix().get()
            width_pt, height_pt = np.hypot(a, b), np.hypot(c, d)
            if width_pt > 0 and height_pt > 0:
                share = float(width_pt * height_pt / area_pt2)
                yield share, float(min(width / width_pt, height / height_pt) * _POINTS_PER_INCH)
