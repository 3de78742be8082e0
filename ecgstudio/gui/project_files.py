"""The project's file: new, open, save, the safety copy every few seconds, and what a crash left behind.

Every question to the user goes through `Ask`, so that a test can answer it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from ecgstudio.errors import UserError
from ecgstudio.gui.bridge import Bridge
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus, Pool
from ecgstudio.gui.messages import Message, Severity
from ecgstudio.gui.preferences import Preferences
from ecgstudio.io.autosave import (
    discard_copy,
    is_autosave,
    is_open_elsewhere,
    newer_autosave,
    unsaved_projects,
    write_autosave,
)
from ecgstudio.io.images import SUFFIXES as PAGE_SUFFIXES
from ecgstudio.io.project import SUFFIX, ProjectError, read_autosave
from ecgstudio.session import Session

PROJECT_FILTER: Final = f"ECG Studio (*{SUFFIX})"
PAGE_FILTER: Final = "ECG (" + " ".join(f"*{suffix}" for suffix in PAGE_SUFFIXES) + ");;* (*)"

NAMED: Final = 3  # pages by which kept work is recognised
AUTOSAVE: Final = JobKey("autosave")
WRITING_MS: Final = 500  # a copy that is promised every five seconds is begun so much earlier


class Ask(Protocol):
    """The questions that only the user can answer."""

    def open_files(self, title: str, kinds: str) -> Sequence[Path]:
        """Return the files to open; none if the user thought better of it."""
        ...

    def open_folder(self, title: str, start: Path | None = None) -> Path | None:
        """Return a folder to open or to write to; `start` is suggested."""
        ...

    def save_file(self, title: str, kinds: str, suggestion: str) -> Path | None:
        """Return the file to write."""
        ...

    def keep_changes(self, name: str) -> str:
        """Return what is to be done with changes that are not saved: "save", "discard" or "cancel"."""
        ...

    def keep_work(self, text: str) -> str:
        """Return what is to be done with work that a crash left: "recover", "discard" or "later"."""
        ...

    def yes(self, title: str, text: str, *, button: str) -> bool:
        """Return whether the user pressed the button with this word."""
        ...


class ProjectFiles(QObject):
    """Opens and saves the bridge's session."""

    messaged = Signal(object)  # Message
    saved = Signal()

    def __init__(
        self, bridge: Bridge, *, runner: JobRunner, preferences: Preferences, ask: Ask, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._bridge, self._runner, self._preferences, self._ask = bridge, runner, preferences, ask
        self._writing = threading.Lock()  # a copy that is being written is not to outlive what is done in this thread
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.autosave)
        self._complained = False
        self._copied = ("", 0)  # which project, and which revision of it, the safety copy holds
        self._set_interval("files/autosave_s")
        preferences.changed.connect(self._set_interval)
        self._timer.start()

    # --- opening ---------------------------------------------------------------------------------------------

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Open what was named or dropped: a project in the place of this one, pages into it."""
        projects = [path for path in paths if _is_project(path)]
        if projects and not self.open_project(projects[0]):
            return
        for other in projects[1:]:
            self._say(self.tr("One project is open at a time: %s was not opened.") % other.name, Severity.WARNING)
        pages = [path for path in paths if not _is_project(path)]
        if pages:
            for path in pages[:3]:
                self._preferences.add_recent(path.absolute())
            self._bridge.add_files(pages)

    def choose_pages(self) -> None:
        """Ask for pages and add them."""
        self.open_paths(self._ask.open_files(self.tr("Open pages"), PAGE_FILTER))

    def choose_folder(self) -> None:
        """Ask for a folder and add all pages in it."""
        folder = self._ask.open_folder(self.tr("Open a folder of pages"))
        if folder is not None:
            self.open_paths([folder])

    def choose_project(self) -> None:
        """Ask for a project and open it."""
        paths = self._ask.open_files(self.tr("Open project"), PROJECT_FILTER)
        if paths:
            self.open_project(paths[0])

    def new_project(self) -> None:
        """Begin an empty project."""
        if self.may_leave():
            self._bridge.replace_session(Session.new(user=self._preferences.user))

    def open_project(self, path: Path) -> bool:
        """Open a project, or a safety copy of one; return whether it is open now.

        If a crash kept changes from being saved, they are offered.
        """
        if not self.may_leave():
            return False
        if is_autosave(path):
            return self._recover(path)
        try:
            session = Session.load(path, user=self._preferences.user)
        except ProjectError as error:
            if error.copy is None or not self._ask.yes(
                self.tr("The project is damaged"), str(error), button=self.tr("Open the copy")
            ):
                self._complain(error)
                return False
            return self._recover(error.copy)
        copy = newer_autosave(path)
        text = self.tr("%s holds changes to %s that were not saved. If you go on without them, they are soon replaced.")
        if copy is not None and self._ask.yes(
            self.tr("Recover changes"), text % (copy.name, path.name), button=self.tr("Recover")
        ):
            return self._recover(copy)
        self._preferences.add_recent(path.absolute())
        self._bridge.replace_session(session)
        if is_open_elsewhere(path):
            text = self.tr("%s is being changed in another window: of two who save it, the later needs another name.")
            self._say(text % path.name, Severity.WARNING)
        return True

    def offer_recovery(self) -> bool:
        """Offer what a crash left of projects that were never saved, newest first; return whether one was opened."""
        text = self.tr("ECG Studio ended without saving a new project of %d pages (%s; last changed %s). It was kept.")
        for copy in unsaved_projects():
            try:
                pages = [page.entry.name for page in read_autosave(copy).state.pages]
                at = datetime.fromtimestamp(copy.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
            except (ProjectError, OSError):
                continue  # another window was faster
            names = ", ".join(pages[:NAMED]) + (" ..." if len(pages) > NAMED else "")
            match self._ask.keep_work(text % (len(pages), names, at)):
                case "recover":
                    return self._recover(copy)
                case "discard":
                    self._discard(copy, names)
        return False

    def _discard(self, copy: Path, names: str) -> None:
        text = self.tr("Delete what was said about %s for good? The scans themselves are not touched.") % names
        if self._ask.yes(self.tr("Delete kept work"), text, button=self.tr("Delete")):
            try:
                discard_copy(copy)
            except UserError as error:
                self._complain(error)

    def _recover(self, copy: Path) -> bool:
        try:
            self._bridge.replace_session(Session.recover(copy, user=self._preferences.user))
        except UserError as error:
            self._complain(error)
            return False
        self._say(self.tr("Recovered; save the project to keep it."), Severity.INFO, "save")
        return True

    # --- saving ----------------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Save the project under its name, asking for one if it has none; return whether it was saved."""
        path = self._bridge.session.path
        return self.save_as() if path is None else self._save(path)

    def save_as(self) -> bool:
        """Ask for a name and save the project under it."""
        entries = self._bridge.session.entries
        suggestion = f"{entries[0].name if len(entries) == 1 else 'ECG'}{SUFFIX}"
        path = self._ask.save_file(self.tr("Save project"), PROJECT_FILTER, suggestion)
        if path is None:
            return False
        if path.suffix.lower() != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
            text = self.tr("%s exists already. Replace it?") % path.name  # the system asked about the name without it
            if os.path.lexists(path) and not self._ask.yes(self.tr("Save project"), text, button=self.tr("Replace")):
                return False
        return self._save(path)

    def may_leave(self) -> bool:
        """Ask what becomes of changes that are not saved; return whether the project may be closed."""
        session = self._bridge.session
        if not session.dirty:
            return True
        name = session.path.name if session.path is not None else self.tr("The new project")
        match self._ask.keep_changes(name):
            case "save":
                return self.save()
            case "discard":
                self._runner.cancel(AUTOSAVE)
                with self._writing:
                    session.discard_autosave()
                return True
        return False

    def autosave(self) -> None:
        """Write a safety copy on a thread of its own if there is something new in it."""
        session = self._bridge.session
        if not session.dirty or not session.entries or self._runner.is_running(AUTOSAVE):
            return
        state, project = session.state(), session.path
        if (state.id, state.revision) == self._copied:
            return

        writing = self._writing

        def work(status: JobStatus) -> tuple[str, int]:
            with writing:
                status.checkpoint(0.0)
                write_autosave(state, project)
            return state.id, state.revision

        self._runner.submit(Job(AUTOSAVE, work, self._autosaved, self._autosave_failed, pool=Pool.SAVE))

    def _save(self, path: Path) -> bool:
        self._runner.cancel(AUTOSAVE)
        try:
            with self._writing:
                self._bridge.session.save(path)
        except UserError as error:
            self._complain(error, self.tr("%s Nothing is lost: save it in another place."), "save-as")
            return False
        self._preferences.add_recent(path.absolute())
        self._say(self.tr("Saved %s.") % path.name, Severity.INFO)
        self.saved.emit()
        return True

    def _autosaved(self, copied: tuple[str, int]) -> None:
        self._copied, self._complained = copied, False

    def _autosave_failed(self, sentence: str) -> None:
        if not self._complained:  # once, not every five seconds
            self._complained = True
            self._say(self.tr("The safety copy failed: %s") % sentence, Severity.WARNING, "save-as")

    def _set_interval(self, key: str) -> None:
        if key == "files/autosave_s":
            self._timer.setInterval(1000 * self._preferences.number(key) - WRITING_MS)

    def _complain(self, error: Exception, text: str = "%s", action: str = "") -> None:
        self._say(text % error, Severity.ERROR, action)

    def _say(self, text: str, severity: Severity, action: str = "") -> None:
        self.messaged.emit(Message(text, severity, None, action))


def _is_project(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX or is_autosave(path)
