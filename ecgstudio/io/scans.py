"""The files behind a project's pages: entering them by content, reading them, and finding those that were moved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ecgstudio.core.page import Page, PageId
from ecgstudio.errors import InputError
from ecgstudio.io.images import count_pages, expand_inputs, page_stem, read_page
from ecgstudio.io.project import PageEntry
from ecgstudio.stages.contract import NULL_STATUS, Status


class MissingScanError(InputError):
    """The file of a page is not where it was."""


class ChangedScanError(InputError):
    """The file of a page is no longer the one that was entered."""


def page_entries(path: str | os.PathLike[str]) -> list[PageEntry]:
    """Return an entry for every page of a file. Raises InputError if it is no file of pages."""
    count = count_pages(path)  # says what is wrong with a file before its content is looked at
    file = Path(path).absolute()
    sha256, size = _identity(file)
    return [PageEntry(PageId(sha256, index), file, page_stem(file, index), file_bytes=size) for index in range(count)]


def read_scan(entry: PageEntry, *, at: Path | None = None) -> Page:
    """Read an entry's page from its source, or from `at` if its file lies there now.

    Raises:
        MissingScanError: there is no such file.
        ChangedScanError: the file holds something else by now.
        InputError: the file cannot be read.
    """
    path = at or entry.source
    if not os.path.isfile(path):
        raise MissingScanError(f"The scan of {entry.name} is missing: it was last seen as {path}.")
    try:
        page = read_page(path, entry.id.index)
    except InputError as error:
        if _differs(entry, path):
            raise _changed(entry, path) from error
        raise
    if page.id != entry.id:
        raise _changed(entry, path)
    words = page.source.removeprefix(path.name)  # results name the file as the project knows it
    return replace(page, source=f"{entry.source.name}{words}")


def find_scans(
    entries: Iterable[PageEntry], folders: Sequence[str | os.PathLike[str]], *, status: Status = NULL_STATUS
) -> dict[PageId, Path]:
    """Look for entries' files by content in folders and all folders in them; what is not found is left out.

    Files of the entry's name are looked at first, then those of its size, and all others only for entries whose
    size is not known. Raises Cancelled if `status` asks for it.
    """
    wanted: dict[str, list[PageEntry]] = {}
    for entry in entries:
        wanted.setdefault(entry.id.sha256, []).append(entry)
    names = {entry.source.name.casefold() for same in wanted.values() for entry in same}
    sizes = {entry.file_bytes for same in wanted.values() for entry in same}
    files = [file for file in expand_inputs(f for f in folders if os.path.exists(f)) if os.path.isfile(file)]
    files.sort(key=lambda file: file.name.casefold() not in names)
    found: dict[PageId, Path] = {}
    for done, file in enumerate(files):
        status.checkpoint(done / len(files), file.name)
        if not wanted:
            break
        try:
            if None not in sizes and file.stat().st_size not in sizes:
                continue
            sha256, _ = _identity(file)
        except (InputError, OSError):
            continue
        for entry in wanted.pop(sha256, ()):
            found[entry.id] = file.absolute()
    return found


def _identity(path: Path) -> tuple[str, int]:
    """Return sha256 and size of a file."""
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            return sha256, stream.tell()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or 'of an unknown error'}.") from error


def _differs(entry: PageEntry, path: Path) -> bool:
    try:
        return _identity(path)[0] != entry.id.sha256
    except InputError:
        return False


def _changed(entry: PageEntry, path: Path) -> ChangedScanError:
    return ChangedScanError(
        f"The scan of {entry.name} was replaced: {path} is no longer the file that was corrected in this project."
    )
