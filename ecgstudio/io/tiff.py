"""Walk the directories of a TIFF file: which of its images are pages, and is everything they point to there."""

import struct
from collections.abc import Iterator

# Bytes of one value of each TIFF field type (TIFF 6.0, and BigTIFF's 16 to 18).
_TYPE_SIZE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

_SUBFILE_TYPE = 254
_CHUNKS = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_THUMBNAIL = 1

_MAX_IMAGES = 10_000


def page_frames(content: bytes) -> list[int]:
    """Return the indices of the images that are pages; thumbnails are left out unless there is nothing else.

    Raises ValueError if the file ends before something that its directories point to.
    """
    pages: list[int] = []
    count = 0
    for fields in _directories(content):
        for offsets_tag, sizes_tag in _CHUNKS:
            offsets, sizes = fields.get(offsets_tag, ()), fields.get(sizes_tag, ())
            # A single strip may have no or a wrong byte count; the decoder finds its end.
            if len(sizes) == len(offsets) and any(o + s > len(content) for o, s in zip(offsets, sizes, strict=True)):
                raise ValueError("image data beyond the end of the file")
            if any(offset >= len(content) for offset in offsets):
                raise ValueError("image data beyond the end of the file")
        if not fields.get(_SUBFILE_TYPE, (0,))[0] & _THUMBNAIL:
            pages.append(count)
        count += 1
    if not count:
        raise ValueError("no image directory")
    return pages or list(range(count))


def _directories(content: bytes) -> Iterator[dict[int, tuple[int, ...]]]:
    """Yield the integer fields of every directory, in order."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    number, pointer, entry_size = ("Q", "Q", 20) if big else ("H", "I", 12)
    inline = struct.calcsize(pointer)

    def integers(code: str, at: int, count: int = 1) -> tuple[int, ...]:
        try:
            return struct.unpack_from(f"{order}{count}{code}", content, at)
        except struct.error as error:
            raise ValueError("a directory beyond the end of the file") from error

    seen: set[int] = set()
    (at,) = integers(pointer, 8 if big else 4)
    while at and at not in seen and len(seen) < _MAX_IMAGES:
        seen.add(at)
        (entries,) = integers(number, at)
        first = at + struct.calcsize(f"={number}")
        (following,) = integers(pointer, first + entries * entry_size)
        fields: dict[int, tuple[int, ...]] = {}
        for entry in range(first, first + entries * entry_size, entry_size):
            tag, kind = integers("H", entry, 2)
            (count,) = integers(pointer, entry + 4)
            size = _TYPE_SIZE.get(kind, 0) * count
            where = entry + 4 + inline
            if size > inline:
                (where,) = integers(pointer, where)
                if where + size > len(content):
                    raise ValueError("a field beyond the end of the file")
            if kind in _INTEGER and count:
                fields[tag] = integers(_INTEGER[kind], where, count)
        yield fields
        at = following
