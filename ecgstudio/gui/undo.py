"""Taking back: the one undoable change of the application, and a stack of such changes for every page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from PySide6.QtCore import QObject
from PySide6.QtGui import QUndoCommand, QUndoGroup, QUndoStack

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId

MERGE_WITHIN_S: Final = 1.5  # arrow keys pressed one after another are one nudge
_MERGE_ID: Final = 1

Clock = Callable[[], float]


class TakesCorrections(Protocol):
    """What a command changes."""

    def set_corrections(self, page: PageId, corrections: Corrections, *, text: str) -> None:
        """Put these corrections in the place of the page's; `text` says in the audit log what was done."""
        ...


class EditCorrections(QUndoCommand):
    """Replace a page's corrections; the only undoable change in the application.

    Commands with the same `merge` (nudges of one thing) become one if they follow each other quickly.
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
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(text)
        self._bridge, self._page, self._before, self._after = bridge, page, before, after
        self._merge, self._at_s = merge, clock()
        self._done_once = False

    def redo(self) -> None:
        """Make the change, or make it again."""
        text = f"redo: {self.text()}" if self._done_once else self.text()
        self._done_once = True
        self._bridge.set_corrections(self._page, self._after, text=text)

    def undo(self) -> None:
        """Take the change back."""
        self._bridge.set_corrections(self._page, self._before, text=f"undo: {self.text()}")

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


class UndoStacks(QObject):
    """One undo stack per page; the group follows the page that is shown."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.group = QUndoGroup(self)
        self._stacks: dict[PageId, QUndoStack] = {}

    def of(self, page: PageId) -> QUndoStack:
        """Return the page's stack, made when first asked for."""
        if page not in self._stacks:
            self._stacks[page] = QUndoStack(self.group)
        return self._stacks[page]

    def show(self, page: PageId | None) -> None:
        """Let undo and redo act on this page."""
        self.group.setActiveStack(None if page is None else self.of(page))  # type: ignore[arg-type]

    def forget(self, page: PageId) -> None:
        """Forget the changes of a page that is no longer there."""
        stack = self._stacks.pop(page, None)
        if stack is not None:
            self.group.removeStack(stack)
            stack.deleteLater()

    def clear(self) -> None:
        """Forget every change: another project is open."""
        self.group.setActiveStack(None)  # type: ignore[arg-type]
        for stack in self._stacks.values():
            stack.clear()
            stack.deleteLater()
        self._stacks.clear()
