"""Pages that were cut out of a picture of several ECGs, as files of their own: PNG, without loss."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ecgstudio.core.page import Page
from ecgstudio.errors import OutputError
from ecgstudio.io.atomic import file_group


def write_parts(parts: Sequence[Page], stems: Sequence[str], folder: Path) -> list[Path]:
    """Write each page as `<folder>/<stem>.png`, all or none; a file that holds the same already stays as it is.

    Raises OutputError if a file of such a name holds something else, or writing fails.
    """
    targets = [folder / f"{stem}.png" for stem in stems]
    with file_group() as group:
        for target, part in zip(targets, parts, strict=True):
            content = _png(part)
            if not target.exists():
                group.add(target, content)
            elif not _holds(target, content):
                raise OutputError(f"{target} exists already and is another file; choose another folder.")
    return targets


def _png(page: Page) -> bytes:
    """Encode a page; the file says where it was cut out."""
    about = PngInfo()
    if page.part is not None:
        left, top, right, bottom = page.part.box
        about.add_itxt("Source", f"{page.part.source}, x {left} to {right - 1}, y {top} to {bottom - 1}")
    stream = io.BytesIO()
    resolution = {} if page.dpi is None else {"dpi": (page.dpi, page.dpi)}
    Image.fromarray(page.pixels).save(stream, "PNG", pnginfo=about, **resolution)
    return stream.getvalue()


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
