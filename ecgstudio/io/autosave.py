"""Copies of a project that survive a crash: beside its file, or in the user's own folder if that cannot be written to.

A copy stays after the project was saved: if the project's file is ever damaged, it is the last good one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from ecgstudio.errors import OutputError
from ecgstudio.io.project import ProjectError, ProjectState, read_autosave, read_project, write_project
from ecgstudio.paths import state_folder

SUFFIX: Final = ".autosave"


def write_autosave(state: ProjectState, project: Path | None) -> Path:
    """Write a copy of a project (None: one that was never saved); return where it lies.

    Raises OutputError if it can be written neither beside the project nor in the user's own folder.
    """
    elsewhere = _own_folder() / f"{state.id}{SUFFIX}"
    if project is not None:
        try:
            write_project(_beside(project), state, autosave_of=project, process=os.getpid())
        except OutputError:
            pass
        else:
            return _beside(project)
    write_project(elsewhere, state, autosave_of=project, process=os.getpid())
    return elsewhere


def newer_autosave(project: Path) -> Path | None:
    """Return the copy that holds changes which the project's file does not: the program ended without saving them."""
    try:
        saved = read_project(project)
    except ProjectError:
        return None
    copy = last_good_copy(project, project_id=saved.id)
    return copy if copy is not None and read_autosave(copy).state.revision > saved.revision else None


def last_good_copy(project: Path, *, project_id: str | None = None) -> Path | None:
    """Return the newest copy of a project that can be opened, whatever became of the project's own file."""
    wanted = Path(os.path.abspath(project))
    best: tuple[int, Path] | None = None
    for copy in [_beside(project), *_own_copies()]:
        with contextlib.suppress(ProjectError):
            autosave = read_autosave(copy)
            mine = autosave.project == wanted or copy == _beside(project)
            if mine and project_id in (None, autosave.state.id) and (not best or autosave.state.revision > best[0]):
                best = autosave.state.revision, copy
    return best[1] if best is not None else None


def unsaved_projects() -> tuple[Path, ...]:
    """Return the copies of projects that were never saved and that no program works on now, newest first."""
    found = []
    for copy in _own_copies():
        with contextlib.suppress(ProjectError, OSError):
            autosave = read_autosave(copy)
            if autosave.project is None and autosave.state.revision and not _runs(autosave.process):
                found.append((copy.stat().st_mtime, copy))
    return tuple(copy for _, copy in sorted(found, reverse=True))


def discard_autosaves(project: Path | None, *, project_id: str) -> None:
    """Forget all copies of a project: its changes are not wanted, or were saved under another name."""
    copies = [_own_folder() / f"{project_id}{SUFFIX}"]
    if project is not None:
        copies.append(_beside(project))
    for copy in copies:
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)


def _beside(project: Path) -> Path:
    return Path(os.path.abspath(project)).with_name(f".{project.name}{SUFFIX}")


def _own_folder() -> Path:
    return state_folder() / "autosave"


def _own_copies() -> list[Path]:
    try:
        return sorted(_own_folder().glob(f"*{SUFFIX}"))
    except OSError:
        return []


def _runs(process: int | None) -> bool:
    """Tell whether another program works on a copy; where the system cannot say, none does."""
    if process is None or process == os.getpid() or sys.platform == "win32":  # os.kill would end it on Windows
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it runs, but not for us
        return True
    return True
