"""The project file: which pages, what humans said about them, and who changed what. Results are not in it.

One JSON document, readable and comparable line by line: a page is a line, and so is an entry of the audit log. It is
written whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from ecgstudio import __version__
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections
from ecgstudio.core.page import PageId
from ecgstudio.errors import InputError, OutputError
from ecgstudio.io.atomic import write_bytes
from ecgstudio.io.audit import AuditRecord
from ecgstudio.io.codec import decode, encode
from ecgstudio.io.locking import locked
from ecgstudio.io.process import Process, process_from_json, process_to_json
from ecgstudio.stages.settings import PipelineSettings

FORMAT: Final = "ecgstudio-project"
VERSION: Final = 1
SUFFIX: Final = ".ecgproj"
MAX_PROJECT_BYTES: Final = 1 << 30
_HEAD_BYTES: Final = 16_000

Document = dict[str, Any]

T = TypeVar("T")

BROKEN: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
"""What reading a document raises that is not as we write them."""


class ProjectChangedError(OutputError):
    """The project's file was changed by someone else meanwhile; saving would undo that."""


class ProjectError(InputError):
    """A project file that cannot be opened; `copy` is the last good copy of it, if there is one."""

    def __init__(self, text: str, *, copy: Path | None = None) -> None:
        super().__init__(text)
        self.copy = copy


class NewerProjectError(ProjectError):
    """The project was written by a later version of ECG Studio."""


@dataclass(frozen=True, slots=True)
class PageEntry:
    """A page of a project: its identity, where its file was last seen, and the name of its results (unique)."""

    id: PageId
    source: Path
    name: str
    size_px: tuple[int, int] | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class EditedOver:
    """Which automatic answer a human saw when correcting a stage: digests of the edit and of the answer."""

    edit: str
    answer: str


@dataclass(frozen=True, slots=True)
class PageState:
    """What a project knows about a page; `edited_over` by stage."""

    entry: PageEntry
    corrections: Corrections = NO_CORRECTIONS
    edited_over: Mapping[str, EditedOver] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectState:
    """All that a project file holds.

    `id` stays the same through all savings, `revision` grows with every change: together they tell an autosave that
    holds more than the project from one that belongs to another.
    """

    id: str
    revision: int
    pages: tuple[PageState, ...]
    settings: PipelineSettings
    audit: tuple[AuditRecord, ...]
    weights: str = ""


@dataclass(frozen=True, slots=True)
class AutosaveHead:
    """The first lines of a copy of a project: of which file (None: it was never saved), and who wrote it."""

    id: str
    revision: int
    project: Path | None
    process: Process | None


@dataclass(frozen=True, slots=True)
class Autosave:
    """A copy of a project, and of which file it is one (None: the project was never saved)."""

    state: ProjectState
    project: Path | None


def write_project(
    path: Path,
    state: ProjectState,
    *,
    autosave_of: Path | None = None,
    process: Process | None = None,
    around: AbstractContextManager[None] | None = None,
) -> None:
    """Write a project file whole or not at all; an autosave says of which project it is, and who wrote it.

    The file takes its name within the block of `around`, such as `unchanged`. Raises OutputError; an existing file is
    then as it was.
    """
    head: Document = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"ECG Studio {__version__}",
        "id": state.id,
        "revision": state.revision,
    }
    if autosave_of is not None:
        head["autosave_of"] = os.path.abspath(autosave_of)
    if process is not None:
        head["process"] = process_to_json(process)
    head |= {"weights": state.weights, "settings": encode(state.settings)}
    folder = Path(os.path.abspath(autosave_of if autosave_of is not None else path)).parent
    lines = [f"{json.dumps(key)}: {_json(value)}" for key, value in head.items()]
    lines.append(_array("pages", [_page_line(page, folder) for page in state.pages]))
    lines.append(_array("audit", [_audit_line(record) for record in state.audit]))
    content = ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "surrogatepass")
    write_bytes(path, content, around=around)


@contextmanager
def unchanged(path: Path, there: tuple[str, int] | None) -> Iterator[None]:
    """Keep other programs from saving a project meanwhile; refuse to begin if one did since the file held `there`.

    `there` is what `saved_revision` returned. A file that is gone, or holds no project any more, may be replaced.
    Raises ProjectChangedError.
    """
    with locked(path):
        now = saved_revision(path)
        if now is not None and now != there:
            raise ProjectChangedError(
                f"{path.name} was saved by another program since it was opened here; save under another name."
            )
        yield


def read_project(path: Path) -> ProjectState:
    """Read a project file of this version or an older one.

    Pages whose files moved together with the project are found again beside it.

    Raises:
        ProjectError: there is no such file, or it is none of ours, damaged, or from a newer version.
    """
    return _read(path)[0]


def read_autosave(path: Path) -> Autosave:
    """Read a copy that an autosave wrote. Raises ProjectError as read_project does."""
    state, document = _read(path)
    project = document.get("autosave_of")
    return Autosave(state=state, project=Path(project) if isinstance(project, str) else None)


def autosave_head(path: Path) -> AutosaveHead | None:
    """Say what a copy is one of, by a look at its first lines; None if it is none."""
    head: Document = {}
    try:
        with path.open("rb") as stream:
            for line in stream.read(_HEAD_BYTES).split(b"\n")[1:-1]:
                if line.startswith(b'"pages"'):
                    break
                head |= json.loads("{" + line.decode("utf-8", "surrogatepass").removesuffix(",") + "}")
        project = head.get("autosave_of")
        return AutosaveHead(
            id=_text(head["id"]),
            revision=_whole(head["revision"]),
            project=Path(project) if isinstance(project, str) else None,
            process=process_from_json(head.get("process")),
        )
    except (OSError, RecursionError, *BROKEN):
        return None


def _read(path: Path) -> tuple[ProjectState, Document]:
    document = _migrated(_document(path), path)
    original = document.get("autosave_of")
    folder = Path(os.path.abspath(original if isinstance(original, str) else path)).parent
    try:
        return _state(document, folder), document
    except BROKEN as error:
        raise ProjectError(_damaged(path)) from error


def saved_revision(path: Path) -> tuple[str, int] | None:
    """Return id and revision of the project that a file holds, by a look at its first lines; None if it holds none."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None
    found = re.search(r'"id": "(\w+)",\s*"revision": (\d+)', head) if FORMAT in head else None
    return (found[1], int(found[2])) if found else None


# --- older versions ------------------------------------------------------------------------------------------

MIGRATIONS: Final[dict[int, Callable[[Document], Document]]] = {}
"""What makes a document of version n one of version n + 1, by n."""


def _migrated(document: Document, path: Path) -> Document:
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProjectError(_damaged(path))
    if version > VERSION:
        raise NewerProjectError(
            f"{path.name} was written by a newer version of ECG Studio; install that version to open it."
        )
    for old in range(version, VERSION):
        try:
            document = MIGRATIONS[old](document) | {"version": old + 1}
        except BROKEN as error:
            raise ProjectError(_damaged(path)) from error
    return document


# --- reading -------------------------------------------------------------------------------------------------


def _document(path: Path) -> Document:
    """Read the JSON of a file, or say what the file is instead."""
    try:
        if path.is_dir():
            raise ProjectError(f"{path.name or path} is a folder, not a project file ({SUFFIX}).")
        if path.stat().st_size > MAX_PROJECT_BYTES:
            raise ProjectError(f"{path.name} is not an ECG Studio project: it is too large.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ProjectError(f"There is no file {path}.") from error
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        reason = "you are not allowed to read it" if denied else error.strerror or "of an unknown error"
        raise ProjectError(f"{path.name} cannot be read: {reason}.") from error
    except ValueError as error:  # a NUL in the name
        raise ProjectError("The name of the file is not valid.") from error
    if not content.strip(b"\0 \t\r\n"):
        raise ProjectError(f"{path.name} is empty.")
    ours = FORMAT.encode() in content[:200]
    try:
        document = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ProjectError(_damaged(path) if ours else _not_ours(path)) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ProjectError(_not_ours(path))
    return document


def _damaged(path: Path) -> str:
    return f"{path.name} is damaged and cannot be opened as it is."


def _not_ours(path: Path) -> str:
    return f"{path.name} is not an ECG Studio project."


def _state(document: Document, folder: Path) -> ProjectState:
    pages = tuple(_page(line, folder) for line in document["pages"])
    if len({page.entry.id for page in pages}) != len(pages):
        raise ValueError("a page is listed twice")
    return ProjectState(
        id=_text(document["id"]),
        revision=_whole(document["revision"]),
        pages=pages,
        settings=_of(PipelineSettings, decode(document["settings"])),
        audit=tuple(_audit(line) for line in document["audit"]),
        weights=_text(document["weights"]),
    )


def _page(line: Document, folder: Path) -> PageState:
    size = line.get("size_px")
    entry = PageEntry(
        id=_page_id(line["page"]),
        source=_found(line, folder),
        name=_text(line["name"]),
        size_px=None if size is None else (_whole(size[0]), _whole(size[1])),
        file_bytes=None if line.get("file_bytes") is None else _whole(line["file_bytes"]),
    )
    edited_over = {
        _text(stage): EditedOver(_text(over["edit"]), _text(over["answer"]))
        for stage, over in line.get("edited_over", {}).items()
    }
    return PageState(entry, _of(Corrections, decode(line["corrections"])), edited_over)


def _found(line: Document, folder: Path) -> Path:
    """Say where the page's file lies: where it lay beside the project, else where it was last seen.

    Another file of that name mostly has another size: then the one that was last seen counts, if it is still there.
    """
    last, size = Path(_text(line["source"])), line.get("file_bytes")
    if isinstance(relative := line.get("relative"), str):
        beside = Path(os.path.abspath(folder / relative))
        with contextlib.suppress(OSError, ValueError):  # a name too long, a folder closed to us: it is not there
            if beside.is_file() and (size in (None, beside.stat().st_size) or not os.path.isfile(last)):
                return beside
    return last


def _audit(line: Document) -> AuditRecord:
    return AuditRecord(
        at=_text(line["at"]),
        by=_text(line["by"]),
        text=_text(line["text"]),
        page=None if line["page"] is None else _page_id(line["page"]),
        before=dict(line["before"]),
        after=dict(line["after"]),
        weights=_text(line["weights"]),
    )


def _page_id(value: Document) -> PageId:
    return PageId(_text(value["sha256"]), _whole(value["index"]))


def _text(value: object) -> str:
    return _of(str, value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r:.40} where a whole number is needed")
    return value


def _of(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} is needed")
    return value


# --- writing -------------------------------------------------------------------------------------------------


def _page_line(page: PageState, folder: Path) -> str:
    entry = page.entry
    line: Document = {
        "name": entry.name,
        "page": _id_line(entry.id),
        "source": entry.source.as_posix(),
        "relative": _relative(entry.source, folder),
        "size_px": entry.size_px,
        "file_bytes": entry.file_bytes,
        "corrections": encode(page.corrections),
        "edited_over": {s: {"edit": over.edit, "answer": over.answer} for s, over in page.edited_over.items()},
    }
    return _json(line)


def _relative(source: Path, folder: Path) -> str | None:
    try:
        return Path(os.path.relpath(source, folder)).as_posix()
    except ValueError:  # another drive
        return None


def _audit_line(record: AuditRecord) -> str:
    page = None if record.page is None else _id_line(record.page)
    line = {
        "at": record.at, "by": record.by, "text": record.text, "page": page,
        "before": record.before, "after": record.after, "weights": record.weights,
    }  # fmt: skip
    return _json(line)


def _id_line(page: PageId) -> Document:
    return {"sha256": page.sha256, "index": page.index}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _array(name: str, lines: list[str]) -> str:
    return f"{json.dumps(name)}: [\n" + ",\n".join(lines) + "\n]" if lines else f"{json.dumps(name)}: []"
