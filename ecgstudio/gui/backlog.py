"""Which page is computed when nobody waits for one, and which pages' signals are let go of to keep memory bounded.

A small project is computed as a whole; of a large one only what is looked at next, unless the user asks for all of it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from PySide6.QtCore import QObject, Signal

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.session import Session
from ecgstudio.stages.contract import State
from ecgstudio.stages.settings import PipelineSettings

SMALL_PROJECT: Final = 60
PAGES_AHEAD: Final = 2  # of a large project, beyond the one that is looked at
KEPT_ANALYSES: Final = 24  # a page's signals take a few MB, and a cache gives them back in a tenth of a second


class Backlog(QObject):
    """Knows what is still to be computed; it computes nothing itself."""

    advanced = Signal(int, int)  # pages that are done, pages in all, while all are asked for
    finished = Signal()  # all that were asked for are done

    def __init__(self, session: Session, *, resting: bool, parent: QObject | None = None) -> None:
        """`resting` says whether signals may be let go of, because something gives them back."""
        super().__init__(parent)
        self._session, self._resting = session, resting
        self._asked_for_all = False
        self._ahead = PAGES_AHEAD
        self._left_alone: set[PageId] = set()
        self._done_for: dict[PageId, tuple[Corrections, PipelineSettings]] = {}
        self._in_memory: OrderedDict[PageId, None] = OrderedDict()

    @property
    def asked_for_all(self) -> bool:
        """Whether the user wants every page computed, and not all are."""
        return self._asked_for_all

    def replace_session(self, session: Session) -> None:
        """Begin anew with another project."""
        self._session, self._asked_for_all = session, False
        self._left_alone.clear()
        self._done_for.clear()
        self._in_memory.clear()

    def look_ahead(self) -> None:
        """Hear that another page is looked at: those after it may be computed."""
        self._ahead = PAGES_AHEAD

    def ask_for_all(self) -> None:
        """Compute every page that nobody has decided on, those too that were stopped or failed."""
        self._asked_for_all = True
        self._left_alone.clear()

    def stop(self) -> None:
        """Go back to what is looked at next."""
        self._asked_for_all = False

    def leave_alone(self, page: PageId) -> None:
        """Do not compute a page by itself: it failed, or the user stopped it."""
        self._left_alone.add(page)

    def want(self, page: PageId) -> None:
        """Compute a page again when its turn comes."""
        self._left_alone.discard(page)
        self._done_for.pop(page, None)

    def is_left_alone(self, page: PageId) -> bool:
        """Tell whether a page is not to be computed by itself."""
        return page in self._left_alone

    def forget(self, page: PageId) -> None:
        """Drop a page that was removed."""
        self.want(page)
        self._in_memory.pop(page, None)

    def take(self, page: PageId, *, front: PageId | None, complete: bool) -> None:
        """Hear that a page's analysis was put into the session; older ones than a few are let go of."""
        if complete:
            self._done_for[page] = self._session.corrections(page), self._session.settings
        self._in_memory[page] = None
        self._in_memory.move_to_end(page)
        if front is not None and front in self._in_memory:
            self._in_memory.move_to_end(front)
        while self._resting and len(self._in_memory) > KEPT_ANALYSES:
            oldest, _ = self._in_memory.popitem(last=False)
            if oldest in self._session:
                self._session.rest(oldest)

    def next_page(self) -> PageId | None:
        """Return the page that is to be computed now, None if there is none; say how far all are, if all are wanted."""
        session = self._session
        order = [page for page in session.worst_first() if session.corrections(page).review is None]
        due = [page for page in order if self._is_due(page)]
        if self._asked_for_all:
            self.advanced.emit(len(order) - len(due), len(order))
            if not due:
                self._asked_for_all = False
                self.finished.emit()
        elif len(order) > SMALL_PROJECT:
            due = due[: self._ahead]  # an answer moves its page down the list, so the first few are never all done
            self._ahead -= len(due[:1])
        return due[0] if due else None

    def _is_due(self, page: PageId) -> bool:
        """Tell whether a page has no answer yet, or one to other corrections or choices."""
        if page in self._left_alone:
            return False
        session = self._session
        corrections, settings = self._done_for.get(page, (None, None))
        if corrections is session.corrections(page) and settings is session.settings:
            return False  # it was computed as it stands, whatever its stages say
        return State.COMPUTING in session.stage_states(page).values()
