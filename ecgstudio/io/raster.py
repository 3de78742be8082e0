"""Read PNG, JPEG, WebP, BMP and TIFF (all its pages) as RGB bytes, by Pillow's decoders.

Pillow's `Image.open` is passed by: its size check warns or raises by a global setting, and it takes the depth
map in a phone's JPEG for a second page.
"""

import io
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from ecgstudio.core.arrays import U8
from ecgstudio.errors import InputError
from ecgstudio.io import tiff
from ecgstudio.io.pixels import bytes_from_samples, check_size, damaged, rgb_from_grey, true_dpi

_OPENERS: dict[str, Callable[..., ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
RASTER_FORMATS = tuple(_OPENERS)

# What Pillow's decoders raise on broken files; DecompressionBombError is a plain Exception of theirs.
_BROKEN = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError,
           OverflowError, struct.error, ZeroDivisionError, Image.DecompressionBombError)  # fmt: skip

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BAND_ROWS = 64  # copying a page whole costs half as much as decoding it; a band stays in the processor's cache
_BLOCK_BYTES = 1 << 30  # of Pillow's memory: of smaller blocks it clears 100 MB while all of Python waits, up to 0.1 s
Image.core.set_block_size(_BLOCK_BYTES)  # type: ignore[attr-defined]  # what PILLOW_BLOCK_SIZE sets
_MIN_PIXEL_ASPECT = 1.02
_MAX_PIXEL_ASPECT = 4.0  # a fax has 204 x 98 dpi; more is a mistake in the file


class RasterReader:
    """An open image file; only a TIFF can have more than one page."""

    def __init__(self, content: bytes, *, kind: str, name: str) -> None:
        """Read the header. Raises InputError for a file that is damaged or whose size is not allowed."""
        self._content, self._kind, self._name = content, kind, name
        self._frames = [0]
        if kind == "WebP":
            width, height = _webp_size(content, name)
            check_size(width, height, name)
        if kind == "JPEG" and not _jpeg_has_end(content):
            raise damaged(name)
        if kind == "TIFF":
            try:
                self._frames = tiff.page_frames(content)
            except ValueError as error:
                raise damaged(name) from error
        self._image = self._guarded(lambda: _OPENERS[kind](io.BytesIO(content)))

    @property
    def count(self) -> int:
        """Number of pages."""
        return len(self._frames)

    def read(self, index: int) -> tuple[U8, float | None]:
        """Decode a page upright by its EXIF tag, with square pixels, over white."""
        image = self._image
        if self._frames[index]:
            self._guarded(lambda: image.seek(self._frames[index]))
        check_size(image.width, image.height, self._name)
        inverted_16_bit = self._kind == "TIFF" and image.mode.startswith("I;16") and _is_white_zero(image)
        dpi_xy = _dpi(image)
        orientation = 1 if self._kind == "TIFF" else _orientation(image)  # Pillow turns a TIFF itself
        self._guarded(image.load)
        upright: Image.Image = image
        if orientation in _TRANSPOSE:
            upright = image.transpose(_TRANSPOSE[orientation])
            upright.info = image.info
            if orientation >= 5:
                dpi_xy = dpi_xy[::-1]
        pixels: U8 = self._guarded(lambda: _rgb(upright))
        return _with_square_pixels(255 - pixels if inverted_16_bit else pixels, dpi_xy)

    def close(self) -> None:
        """Let go of the file."""
        self._image.close()

    def _guarded(self, decode: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the step returns
        try:
            with _quiet_pillow():
                return decode()
        except _BROKEN as error:
            raise damaged(self._name) from error
        except MemoryError as error:
            raise InputError(f"{self._name} needs more memory than this computer has.") from error


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings on broken EXIF blocks from the user: they cost us no more than the orientation."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def _rgb(image: Image.Image) -> U8:
    """Convert any mode of Pillow to RGB bytes; transparent becomes white paper."""
    if image.mode.startswith("I") or image.mode == "F":
        return rgb_from_grey(bytes_from_samples(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(with_alpha)
        image = paper
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)).convert("RGB"))
    return pixels


def _with_square_pixels(pixels: U8, dpi_xy: tuple[float, float]) -> tuple[U8, float | None]:
    """Enlarge the coarser axis of a fax; return the resolution too, None if it is not known."""
    x, y = (true_dpi(dpi) for dpi in dpi_xy)
    if x is None or y is None:
        return pixels, None
    if not _MIN_PIXEL_ASPECT < max(x, y) / min(x, y) <= _MAX_PIXEL_ASPECT:
        return pixels, (x + y) / 2
    dpi = max(x, y)
    size = round(pixels.shape[1] * dpi / x), round(pixels.shape[0] * dpi / y)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)), dpi


def _dpi(image: ImageFile.ImageFile) -> tuple[float, float]:
    """Horizontal and vertical dots per inch, 0 where the file does not say."""
    try:
        x, y = (float(value) for value in image.info.get("dpi", (0, 0)))
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0, 0.0
    return (x, y) if math.isfinite(x) and math.isfinite(y) else (0.0, 0.0)


def _orientation(image: ImageFile.ImageFile) -> int:
    """Orientation by EXIF 1..8; 1 if there is none or the EXIF block is broken, which must not cost us the page."""
    try:
        with _quiet_pillow():
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return 1


def _is_white_zero(image: ImageFile.ImageFile) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    return bool(tags.get(262, 1) == 0)


def _jpeg_has_end(content: bytes) -> bool:
    """Tell whether the picture's own end marker is there: a half-transferred file can be padded with zeros."""
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            return True  # not the structure we know: the decoder shall judge
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker == 0xDA:  # start of scan: from here on FF D9 can only be the end
            return content.find(b"\xff\xd9", position) > 0
        elif marker in (0x01, *range(0xD0, 0xD8)):  # markers without a length
            position += 2
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False


def _webp_size(content: bytes, name: str) -> tuple[int, int]:
    """Width and height from the header: opening a WebP already allocates its canvas."""
    head = content[:30]
    if len(head) < 30:
        raise damaged(name)
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            bits = int.from_bytes(head[26:30], "little")
            return bits & 0x3FFF, bits >> 16 & 0x3FFF
    raise damaged(name)
