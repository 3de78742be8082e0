"""Read ECG pages from files of any supported kind, one page at a time, or say in a sentence why not."""

import errno
import glob
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from ecgstudio.core.page import Page, PageId
from ecgstudio.errors import InputError
from ecgstudio.io.dicom import open_dicom
from ecgstudio.io.export import OVERLAY_SUFFIX, numbered_name, safe_name
from ecgstudio.io.pdf import PdfReader
from ecgstudio.io.pixels import PageReader, check_size
from ecgstudio.io.raster import RASTER_FORMATS, RasterReader
from ecgstudio.io.records import RECORD_SUFFIX

SUFFIXES: tuple[str, ...] = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".pdf", ".dcm", ".dicom",
)  # fmt: skip
SUPPORTED = "PNG, JPEG, WebP, BMP, TIFF, PDF or DICOM"

MAX_FILE_BYTES = 1 << 30

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif")
_DICOM_PREAMBLE = 128


def iter_pages(path: str | os.PathLike[str]) -> Iterator[Page]:
    """Yield the pages of a file in order; only one is decoded at a time.

    Raises InputError, whose text is one sentence for the user, when the file or the next page cannot be read.
    """
    file = Path(path)
    content = _content(file)
    sha256 = hashlib.sha256(content).hexdigest()
    with closing(_open(content, file.name)) as reader:
        for index in range(reader.count):
            yield _page(reader, PageId(sha256, index), file.name)


def count_pages(path: str | os.PathLike[str]) -> int:
    """Return the number of pages of a file without decoding them. Raises InputError."""
    file = Path(path)
    with closing(_open(_content(file), file.name)) as reader:
        return reader.count


def read_page(path: str | os.PathLike[str], index: int) -> Page:
    """Return one page of a file, by its index from 0. Raises InputError."""
    file = Path(path)
    content = _content(file)
    with closing(_open(content, file.name)) as reader:
        if not 0 <= index < reader.count:
            raise InputError(f"{file.name} has no page {index + 1}; it has {reader.count}.")
        return _page(reader, PageId(hashlib.sha256(content).hexdigest(), index), file.name)


def page_stem(path: str | os.PathLike[str], index: int) -> str:
    """Return the name under which a page's results are written: `<stem>`, then `<stem>-p2` and so on."""
    stem = safe_name(Path(path).stem)
    return stem if index == 0 else numbered_name(stem, f"-p{index + 1}")


def part_stems(stem: str, count: int, *, taken: Collection[str] = ()) -> list[str]:
    """Return a name for each ECG of a picture that shows several: `<stem>-1`, `<stem>-2` and so on.

    Where another page (its name in `taken`, casefolded) is called like one of them, they are `<stem>-ecg1` and so on.
    """
    word = ""
    while True:
        names = [numbered_name(stem, f"-{word}{number}") for number in range(1, count + 1)]
        if not any(name.casefold() in taken for name in names):
            return names
        word += "ecg"


def expand_inputs(inputs: Iterable[str | os.PathLike[str]], *, records: bool = False) -> list[Path]:
    """Return the files that files, folders and globs name, each once, in the order given.

    Folders are walked through; what lies in them (or matches a glob) and is no page (nor, with `records`, the
    header of a record) is left out, and so are hidden files and our own overlays. An input that names nothing
    readable is returned as it is, so that reading it says what is wrong with it while the others go on.
    """
    found: dict[str, Path] = {}
    for given in inputs:
        path = Path(given)
        if os.path.isdir(path):  # os.path's own say no where Path's raise: a name too long, a folder closed to us
            files = _walk(path, records=records)
        elif not os.path.exists(path) and glob.has_magic(str(given)):
            matches = [Path(match) for match in sorted(glob.glob(str(given), recursive=True))]
            lists = (_walk(match, records=records) if os.path.isdir(match) else [match] for match in matches)
            files = [file for files in lists for file in files if _is_wanted(file, records=records)]
        else:
            files = [path]
        for file in files or [path]:
            found.setdefault(_real(file), file)
    return list(found.values())


def _page(reader: PageReader, page_id: PageId, name: str) -> Page:
    pixels, dpi = reader.read(page_id.index)
    check_size(pixels.shape[1], pixels.shape[0], name)
    if pixels.base is None:
        pixels.flags.writeable = False  # ours alone: Page need not copy it
    source = name if reader.count == 1 else f"{name}, page {page_id.index + 1} of {reader.count}"
    lines = (
        reader.lines(page_id.index, size=(pixels.shape[1], pixels.shape[0])) if isinstance(reader, PdfReader) else ()
    )
    return Page(page_id, pixels, dpi, source, lines=lines)


def _walk(folder: Path, *, records: bool) -> list[Path]:
    files: list[Path] = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(where, name) for name in sorted(names) if _is_wanted(Path(where, name), records=records)]
    return files


def _real(path: Path) -> str:
    """Return what tells a file from others, whatever links lead to it; of an impossible name the name itself."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def _is_wanted(path: Path, *, records: bool) -> bool:
    if records and path.suffix.lower() == RECORD_SUFFIX:
        return not path.name.startswith(".") and os.path.isfile(path)
    return _is_page_file(path)


def _is_page_file(path: Path) -> bool:
    """Tell by name whether a file holds pages; DICOM files often have no suffix or a number as one."""
    if path.name.startswith(".") or path.name.endswith(OVERLAY_SUFFIX) or not os.path.isfile(path):
        return False
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix and not suffix[1:].isdigit():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(_DICOM_PREAMBLE + 4)[_DICOM_PREAMBLE:] == b"DICM"
    except OSError:
        return False


def _content(path: Path) -> bytes:
    """Read a file whole, or say why that cannot be."""
    try:
        if path.is_dir():
            os.listdir(path)  # a folder closed to us says so
            raise InputError(f"{path.name or path} is a folder in which no ECG page was found ({SUPPORTED}).")
        if not path.exists():
            raise InputError(f"There is no file {path}.")
        if not path.is_file():
            raise InputError(f"{path.name} is not a file that can be read.")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path.name} is too large to be an ECG page ({size / 1e9:.1f} GB).")
        content = path.read_bytes()
    except OSError as error:
        reasons = {errno.EACCES: "you are not allowed to read it", errno.ENAMETOOLONG: "its name is too long"}
        reason = reasons.get(error.errno or 0, error.strerror or "of an unknown error")
        raise InputError(f"{path.name} cannot be read: {reason}.") from error
    except ValueError as error:  # a NUL in the name
        raise InputError("The name of the file is not valid.") from error
    if not content:
        raise InputError(f"{path.name} is empty.")
    return content


def _raster(kind: str) -> Callable[[bytes, str], PageReader]:
    return lambda content, name: RasterReader(content, kind=kind, name=name)


_READERS: dict[str, Callable[[bytes, str], PageReader]] = {
    **{kind: _raster(kind) for kind in RASTER_FORMATS},
    "PDF": lambda content, name: PdfReader(content, name=name),
    "DICOM": lambda content, name: open_dicom(content, name=name),
}


def _kind(content: bytes, name: str) -> str | None:
    """Tell the kind of a file by its first bytes: a suffix may be wrong."""
    head = content[: _DICOM_PREAMBLE + 4]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(b"BM") and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x34\0\0\0", b"\x38\0\0\0",
                                                  b"\x40\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):  # fmt: skip
        return "BMP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[_DICOM_PREAMBLE:] == b"DICM":
        return "DICOM"
    if b"%PDF-" in content[:1024]:
        return "PDF"
    # A DICOM data set without preamble starts with group 0002 or 0008, little endian.
    named_dicom = Path(name).suffix.lower() in (".dcm", ".dicom")
    if named_dicom and head[:4] in (b"\x02\0\0\0", b"\x08\0\0\0", b"\x08\0\x05\0", b"\x08\0\x08\0"):
        return "DICOM"
    return None


def _open(content: bytes, name: str) -> PageReader:
    kind = _kind(content, name)
    if kind is None:
        if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
            raise InputError(f"{name} is a HEIC photo, which cannot be read; save it as JPEG and try again.")
        if Path(name).suffix.lower() in SUFFIXES:
            raise InputError(f"{name} is not an image, whatever its name says, or its beginning is damaged.")
        raise InputError(f"{name} is not a file that can be read; an ECG page is {SUPPORTED}.")
    return _READERS[kind](content, name)
