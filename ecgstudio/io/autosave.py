"""Copies of a project that survive a crash: beside its file, or in the user's own folder if that cannot be written to.

A copy stays after the project was saved: if the project's file is ever damaged, it is the last good one. Of programs
that work on the same project at the same time each has a copy of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ecgstudio.errors import OutputError
from ecgstudio.io.process import runs_elsewhere, this_process
from ecgstudio.io.project import (
    AutosaveHead,
    ProjectError,
    ProjectState,
    autosave_head,
    read_autosave,
    read_project,
    write_project,
)
from ecgstudio.paths import state_folder

SUFFIX: Final = ".autosave"


def write_autosave(state: ProjectState, project: Path | None) -> Path:
    """Write a copy of a project (None: one that was never saved); return where it lies.

    Raises OutputError if it can be written neither beside the project nor in the user's own folder.
    """
    process = this_process()
    if project is not None and not _is_taken(_beside(project)):
        with contextlib.suppress(OutputError):
            write_project(_beside(project), state, autosave_of=project, process=process)
            return _beside(project)
    elsewhere = _own_folder() / f"{state.id}{SUFFIX}"
    if _is_taken(elsewhere):
        elsewhere = _own_folder() / f"{state.id}-{process.number}{SUFFIX}"
    write_project(elsewhere, state, autosave_of=project, process=process)
    return elsewhere


def newer_autosave(project: Path) -> Path | None:
    """Return the copy that holds changes which the project's file does not: the program ended without saving them.

    The copy of a program that still runs is its own business (see `is_open_elsewhere`).
    """
    try:
        saved = read_project(project)
    except ProjectError:
        return None
    for copy, head in _newest_first(project):
        if head.id == saved.id and head.revision > saved.revision and not runs_elsewhere(head.process):
            with contextlib.suppress(ProjectError):
                read_autosave(copy)
                return copy
    return None


def is_open_elsewhere(project: Path) -> bool:
    """Tell whether another program on this computer is known to work on a project now."""
    return any(runs_elsewhere(head.process) for _, head in _newest_first(project))


def last_good_copy(project: Path) -> Path | None:
    """Return the newest copy of a project that can be opened, whatever became of the project's own file."""
    for copy, _ in _newest_first(project):
        with contextlib.suppress(ProjectError):
            read_autosave(copy)
            return copy
    return None


def unsaved_projects() -> tuple[Path, ...]:
    """Return the copies of projects that were never saved and that no program works on now, newest first."""
    found = []
    for copy in _own_copies():
        with contextlib.suppress(ProjectError, OSError):
            head = autosave_head(copy)
            if head is None or head.project is not None or not head.revision or runs_elsewhere(head.process):
                continue
            read_autosave(copy)
            found.append((copy.stat().st_mtime, copy))
    return tuple(copy for _, copy in sorted(found, reverse=True))


def discard_autosaves(project: Path | None, *, project_id: str) -> None:
    """Forget all copies of a project but those of other programs: its changes are not wanted, or were saved."""
    copies = list(_own_copies(f"{project_id}*"))
    if project is not None:
        copies.append(_beside(project))
    for copy in copies:
        if not _is_taken(copy):
            with contextlib.suppress(OSError):
                copy.unlink(missing_ok=True)


def discard_copy(copy: Path) -> None:
    """Forget one copy for good, unless another program works on it. Raises OutputError if it cannot be removed."""
    if _is_taken(copy):
        raise OutputError(f"{copy.name} is kept: another window works on it.")
    try:
        copy.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{copy} cannot be removed: {error.strerror}.") from error


def is_autosave(path: Path) -> bool:
    """Tell by its name whether a file is such a copy."""
    return path.name.endswith(SUFFIX)


def _newest_first(project: Path) -> list[tuple[Path, AutosaveHead]]:
    """Return the copies of a project, by their first lines."""
    wanted, beside = Path(os.path.abspath(project)), _beside(project)
    heads = [(copy, autosave_head(copy)) for copy in [beside, *_own_copies()]]
    mine = [(copy, head) for copy, head in heads if head and (copy == beside or head.project == wanted)]
    return sorted(mine, key=lambda each: each[1].revision, reverse=True)


def _is_taken(copy: Path) -> bool:
    """Tell whether another program that runs keeps its changes there."""
    head = autosave_head(copy)
    return head is not None and runs_elsewhere(head.process)


def _beside(project: Path) -> Path:
    return Path(os.path.abspath(project)).with_name(f".{project.name}{SUFFIX}")


def _own_folder() -> Path:
    return state_folder() / "autosave"


def _own_copies(pattern: str = "*") -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from sorted(_own_folder().glob(f"{pattern}{SUFFIX}"))
