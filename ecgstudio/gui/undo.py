"""Taking back: the changes that can be undone, and stacks of them for every page and for the project."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol, cast

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.session import PageState
from ecgstudio.stages.settings import PipelineSettings

MERGE_WITHIN_S: Final = 1.5  # arrow keys pressed one after another are one nudge
_MERGE_ID: Final = 1

Clock = Callable[[], float]


class TakesCorrections(Protocol):
    """What a command changes."""

    def set_corrections(self, page: PageId, corrections: Corrections, *, text: str) -> None:
        """Put these corrections in the place of the page's; `text` says in the audit log what was done."""
        ...


class Change(QUndoCommand):
    """A change that can be taken back; it knows when it was done and undone, counted in changes."""

    done_at = 0
    undone_at = 0


class EditCorrections(Change):
    """Replace a page's corrections.

    Commands with the same `merge` (nudges of one thing) become one if they follow each other quickly. `patient` says
    what is known about the patient now: a table may have told it meanwhile, which only its own undo takes back.
    """

    def __init__(
        self,
        bridge: TakesCorrections,
        page: PageId,
        *,
        before: Corrections,
        after: Corrections,
        text: str,
        merge: str = "",
        patient: Callable[[], Clinical] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(text)
        self._bridge, self._page, self._before, self._after = bridge, page, before, after
        self._patient = patient if before.clinical == after.clinical else None
        self._merge, self._at_s = merge, clock()
        self._done_once = False

    def redo(self) -> None:
        """Make the change, or make it again."""
        text = f"redo: {self.text()}" if self._done_once else self.text()
        self._done_once = True
        self._bridge.set_corrections(self._page, self._with_patient(self._after), text=text)

    def undo(self) -> None:
        """Take the change back."""
        self._bridge.set_corrections(self._page, self._with_patient(self._before), text=f"undo: {self.text()}")

    def _with_patient(self, corrections: Corrections) -> Corrections:
        return corrections if self._patient is None else replace(corrections, clinical=self._patient())

    def id(self) -> int:
        """Return the same number for commands that may merge."""
        return _MERGE_ID if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Swallow the next nudge of the same thing; it has been done already."""
        if not isinstance(other, EditCorrections) or other._merge != self._merge or other._page != self._page:
            return False
        if other._at_s - self._at_s > MERGE_WITHIN_S:
            return False
        self._after, self._at_s = other._after, other._at_s
        return True


class RemovesPages(Protocol):
    """What takes a page out of the project and puts it back."""

    def take_out(self, page: PageId, *, text: str) -> tuple[PageState, int]:
        """Take a page out; return what is to be kept of it, and its place among the pages."""
        ...

    def put_back(self, state: PageState, at: int, *, text: str) -> None:
        """Put a page that was taken out back in its place."""
        ...


class RemovePage(Change):
    """Take a page out of the project."""

    def __init__(self, bridge: RemovesPages, page: PageId, *, text: str) -> None:
        super().__init__(text)
        self._bridge, self._page = bridge, page
        self._kept: tuple[PageState, int] | None = None

    def redo(self) -> None:
        """Take the page out, or take it out again."""
        text = self.text() if self._kept is None else f"redo: {self.text()}"
        self._kept = self._bridge.take_out(self._page, text=text)

    def undo(self) -> None:
        """Put the page back, with its corrections."""
        if self._kept is not None:
            state, at = self._kept
            self._bridge.put_back(state, at, text=f"undo: {self.text()}")


class TakesPatients(Protocol):
    """What holds the patients' values."""

    def set_clinical(self, patients: Mapping[PageId, Clinical], *, text: str) -> None:
        """Say what is known about the patients of these pages."""
        ...


class EditPatients(Change):
    """Replace what is known about the patients of many pages, and nothing else that was said of them."""

    def __init__(
        self,
        bridge: TakesPatients,
        *,
        before: Mapping[PageId, Clinical],
        after: Mapping[PageId, Clinical],
        text: str,
    ) -> None:
        super().__init__(text)
        self._bridge, self._before, self._after = bridge, before, after

    def redo(self) -> None:
        """Make the change, or make it again."""
        self._bridge.set_clinical(self._after, text=f"redo: {self.text()}" if self.undone_at else self.text())

    def undo(self) -> None:
        """Take the change back."""
        self._bridge.set_clinical(self._before, text=f"undo: {self.text()}")


class TakesSettings(Protocol):
    """What holds the choices for all pages."""

    def set_settings(self, settings: PipelineSettings, *, text: str) -> None:
        """Change the choices that hold for all pages."""
        ...


class ChangeSettings(Change):
    """Replace the choices that hold for all pages."""

    def __init__(self, bridge: TakesSettings, *, before: PipelineSettings, after: PipelineSettings, text: str) -> None:
        super().__init__(text)
        self._bridge, self._before, self._after = bridge, before, after

    def redo(self) -> None:
        """Make the change, or make it again."""
        self._bridge.set_settings(self._after, text=f"redo: {self.text()}" if self.undone_at else self.text())

    def undo(self) -> None:
        """Take the change back."""
        self._bridge.set_settings(self._before, text=f"undo: {self.text()}")


class UndoStacks(QObject):
    """One undo stack per page and one for the project as a whole.

    Undo acts on what was done last of the page in front and of the project, redo on what was undone last.
    """

    canUndoChanged = Signal(bool)
    canRedoChanged = Signal(bool)
    undoTextChanged = Signal(str)
    redoTextChanged = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = QUndoStack(self)
        self._stacks: dict[PageId, QUndoStack] = {}
        self._front: PageId | None = None
        self._moment = 0
        self._pushed_at: dict[PageId | None, int] = {}

    def of(self, page: PageId) -> QUndoStack:
        """Return the page's stack, made when first asked for."""
        if page not in self._stacks:
            self._stacks[page] = QUndoStack(self)
        return self._stacks[page]

    def push(self, page: PageId | None, change: Change) -> None:
        """Make a change of a page, or of the project (None)."""
        change.done_at = self._pushed_at[page] = self._next_moment()
        (self._project if page is None else self.of(page)).push(change)
        self._tell()

    def undo(self) -> None:
        """Take back what was done last of the page in front and of the project."""
        if last := self._last_done():
            stack, change = last
            change.undone_at = self._next_moment()
            stack.undo()
            self._tell()

    def redo(self) -> None:
        """Do again what was taken back last of the page in front and of the project."""
        if last := self._last_undone():
            stack, change = last
            change.done_at = self._next_moment()
            stack.redo()
            self._tell()

    def show(self, page: PageId | None) -> None:
        """Let undo and redo act on this page."""
        self._front = page
        self._tell()

    def forget(self, page: PageId) -> None:
        """Forget the changes of a page that is no longer there."""
        stack = self._stacks.pop(page, None)
        self._pushed_at.pop(page, None)
        if stack is not None:
            stack.clear()
            stack.deleteLater()
        self._tell()

    def clear(self) -> None:
        """Forget every change: another project is open."""
        for page in list(self._stacks):
            self.forget(page)
        self._project.clear()
        self._pushed_at.clear()
        self.show(None)

    def _next_moment(self) -> int:
        self._moment += 1
        return self._moment

    def _near(self) -> list[tuple[PageId | None, QUndoStack]]:
        """Return the stacks that undo and redo act on."""
        front = [(page, stack) for page, stack in self._stacks.items() if page == self._front]
        return [*front, (None, self._project)]

    def _last_done(self) -> tuple[QUndoStack, Change] | None:
        done = [(stack, _change(stack, stack.index() - 1)) for _, stack in self._near() if stack.canUndo()]
        return max(done, key=lambda each: each[1].done_at, default=None)

    def _last_undone(self) -> tuple[QUndoStack, Change] | None:
        """Return what was taken back last, unless something new was done since, there or in the other stack."""
        undone = [(stack, _change(stack, stack.index())) for _, stack in self._near() if stack.canRedo()]
        last = max(undone, key=lambda each: each[1].undone_at, default=None)
        pushed_at = max(self._pushed_at.get(page, 0) for page, _ in self._near())
        return None if last is None or last[1].undone_at < pushed_at else last

    def _tell(self) -> None:
        done, undone = self._last_done(), self._last_undone()
        self.canUndoChanged.emit(done is not None)
        self.canRedoChanged.emit(undone is not None)
        self.undoTextChanged.emit(done[1].text() if done else "")
        self.redoTextChanged.emit(undone[1].text() if undone else "")


def _change(stack: QUndoStack, index: int) -> Change:
    return cast("Change", stack.command(index))
