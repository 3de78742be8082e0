"""Pages from the disk, by pure functions: found in files, decoded in full, previewed quickly, shrunk to thumbnails.

They run on the threads of a `JobRunner` and hold no widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QImageReader

from ecgstudio.core.arrays import U8
from ecgstudio.core.page import Page
from ecgstudio.errors import InputError
from ecgstudio.gui.jobs import JobStatus
from ecgstudio.gui.page_picture import PagePicture
from ecgstudio.io.images import expand_inputs
from ecgstudio.io.scans import page_entries, read_scan
from ecgstudio.session import PageEntry

THUMBNAIL_PX: Final = 160
PREVIEW_PX: Final = 1200
SHRUNK_SUFFIXES: Final = (".jpg", ".jpeg", ".jpe", ".jfif")
"""Files that are decoded small in a fifth of the time; all others take as long small as whole."""
QUICK_SUFFIXES: Final = (*SHRUNK_SUFFIXES, ".png", ".bmp", ".webp")
"""Files of one page that Qt shrinks while it decodes them."""
_ROTATE_90: Final = 4  # QImageIOHandler.Transformation: the bit that swaps width and height


@dataclass(frozen=True, slots=True)
class Found:
    """Pages that files hold, and sentences about the files that hold none."""

    entries: tuple[PageEntry, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """A small picture of a page of `full_size` (width, height) pixels."""

    pixels: U8
    full_size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A page, its pixels ready to be looked at, and its picture for the page list."""

    page: Page
    picture: PagePicture
    thumbnail: QImage


def load_page(entry: PageEntry, status: JobStatus) -> Page:
    """Decode a page. Raises InputError if its file is gone, damaged, or another one than it was."""
    status.checkpoint(0.0, "reading the page")
    return read_scan(entry)


def load_picture(entry: PageEntry, status: JobStatus) -> Loaded:
    """Decode a page and make it ready to be looked at; raises as load_page does."""
    page = load_page(entry, status)
    picture = PagePicture.of_page(page.pixels)
    smallest = picture.levels[-1]
    return Loaded(page, picture, shrink(smallest if smallest is page.pixels else smallest[..., 2::-1]))


def load_preview(entry: PageEntry, status: JobStatus) -> Preview | None:
    """Decode a page small, if that is quick; None if it is not."""
    status.checkpoint(0.0)
    if entry.id.index or entry.source.suffix.lower() not in SHRUNK_SUFFIXES:
        return None
    image, size = _read_small(entry.source, PREVIEW_PX)
    if image is None or max(size) <= PREVIEW_PX:
        return None
    return Preview(_pixels_of(image), size)


def load_thumbnail(entry: PageEntry, status: JobStatus) -> QImage:
    """Return a page at the size of the page list. Raises UserError as load_page does."""
    status.checkpoint(0.0)
    if entry.id.index == 0 and entry.source.suffix.lower() in QUICK_SUFFIXES:
        image, _ = _read_small(entry.source, THUMBNAIL_PX)
        if image is not None:
            return image
    return shrink(read_scan(entry).pixels)


def shrink(pixels: U8) -> QImage:
    """Return pixels at the size of the page list."""
    height, width = pixels.shape[:2]
    factor = THUMBNAIL_PX / max(width, height)
    pixels = np.ascontiguousarray(pixels)
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else pixels
    made = QImage(small.tobytes(), small.shape[1], small.shape[0], 3 * small.shape[1], QImage.Format.Format_RGB888)
    return made.copy()


def find_pages(paths: tuple[Path, ...], status: JobStatus) -> Found:
    """Look for pages in files and folders; a file that cannot be read becomes a sentence."""
    entries: list[PageEntry] = []
    problems: list[str] = []
    files = expand_inputs(paths)
    for done, file in enumerate(files):
        status.checkpoint(done / len(files), f"looking at {file.name}")
        try:
            entries += page_entries(file)
        except InputError as error:
            problems.append(str(error))
    return Found(tuple(entries), tuple(problems))


def _read_small(source: Path, side_px: int) -> tuple[QImage | None, tuple[int, int]]:
    """Read an image no larger than it has to be, turned as its camera says; None and (0, 0) if Qt cannot."""
    reader = QImageReader(str(source))
    reader.setAutoTransform(True)
    size = reader.size()
    if not size.isValid():
        return None, (0, 0)
    turned = bool(reader.transformation().value & _ROTATE_90)
    if max(size.width(), size.height()) > side_px:
        reader.setScaledSize(size.scaled(QSize(side_px, side_px), Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    if image.isNull():
        return None, (0, 0)
    full = (size.height(), size.width()) if turned else (size.width(), size.height())
    return image, full


def _pixels_of(image: QImage) -> U8:
    rgb = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(rgb.constBits(), np.uint8).reshape(rgb.height(), rgb.bytesPerLine())
    return rows[:, : 3 * rgb.width()].reshape(rgb.height(), rgb.width(), 3).copy()
