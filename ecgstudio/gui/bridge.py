"""Between the session and the widgets: a gesture becomes an undoable edit, an edit a change, a change a redraw.

The bridge knows which page is in front, keeps its pixels, and has it computed; it shows nothing itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QObject, Signal

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import NO_GRID_EDIT, Corrections, FiducialEdit, GridEdit, KeypointEdit, TraceEdit
from ecgstudio.core.leads import AUTO_LAYOUT
from ecgstudio.core.page import Page, PageId
from ecgstudio.gui.backlog import Backlog
from ecgstudio.gui.computing import AnalyseRequest, Answer, Computer, Values, current_values
from ecgstudio.gui.facts import EDITS_OF, is_corrected, value_of
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, Pool
from ecgstudio.gui.loading import Found, Preview, find_pages
from ecgstudio.gui.messages import Message, Severity
from ecgstudio.gui.page_store import PageStore
from ecgstudio.gui.states import Step
from ecgstudio.gui.undo import ChangeSettings, EditCorrections, RemovePage, UndoStacks
from ecgstudio.session import Change, ChangeKind, PageEntry, PageState, Session
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.triage import FAILED, REVIEW

FIND, RELINK, DIVIDE = "find", "relink", "divide"
OF_A_SESSION: Final = (FIND, RELINK, DIVIDE)
"""What is found on the disk belongs into the project that it was looked for in."""


class Bridge(QObject):
    """Holds a session for the widgets of one window."""

    changed = Signal(object)  # Change
    sessionReplaced = Signal()
    shown = Signal(object)  # PageId or None: another page is in front
    pageLoaded = Signal(object)  # Page: the pixels of the page in front
    previewLoaded = Signal(object)  # Preview of the page in front
    computed = Signal(object)  # PageId: computing began, went on or ended
    progressed = Signal(object, float, str)  # PageId, fraction, what is being done
    messaged = Signal(object)  # Message

    def __init__(
        self, session: Session, *, runner: JobRunner, computer: Computer, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._runner, self._computer = session, runner, computer
        self._current: PageId | None = None
        self.pages = PageStore(runner, parent=self)
        self.backlog = Backlog(session, resting=computer.remembers, parent=self)
        self._shown: tuple[Analysis, Corrections, bool, Values]
        self._shown = EMPTY_ANALYSIS, Corrections(), False, Values(None, None, None)
        self.undo = UndoStacks(self)
        self.pages.loaded.connect(self._take_page)
        self.pages.previewed.connect(self._take_preview)
        self.pages.lost.connect(self._lose_page)
        computer.answered.connect(self._take_answer)
        computer.failed.connect(self._take_failure)
        computer.progressed.connect(self.progressed)
        computer.busyChanged.connect(self._follow_computer)
        self.backlog.finished.connect(self._sum_up)

    # --- what there is ---------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session that is open."""
        return self._session

    @property
    def current(self) -> PageId | None:
        """The page in front."""
        return self._current

    @property
    def page(self) -> Page | None:
        """The pixels of the page in front, once they are read."""
        return None if self._current is None else self.pages.get(self._current)

    @property
    def corrections(self) -> Corrections:
        """What humans said about the page in front."""
        return Corrections() if self._current is None else self._session.corrections(self._current)

    @property
    def values(self) -> Values:
        """What the views show of the page in front."""
        if self._current is None:
            return Values(None, None, None)
        analysis, corrections = self._session.analysis(self._current), self.corrections
        reconstructed = self.reconstructs
        old = self._shown
        if old[0] is not analysis or old[1] is not corrections or old[2] is not reconstructed:
            values = current_values(analysis, corrections, reconstructed=reconstructed)
            self._shown = analysis, corrections, reconstructed, values
        return self._shown[3]

    @property
    def reconstructs(self) -> bool:
        """Whether all traces are reconstructed after they were read."""
        return self._session.settings.reconstruct.enabled

    def is_computing(self, page: PageId) -> bool:
        """Tell whether an answer for a page is under way."""
        return self._computer.is_computing(page)

    def is_unreadable(self, page: PageId) -> bool:
        """Tell whether a page's scan could not be read."""
        return self.pages.is_unreadable(page)

    # --- sessions and pages ----------------------------------------------------------------------------------

    def replace_session(self, session: Session) -> None:
        """Open another session; whatever was computed for the one before is dropped."""
        self._computer.cancel_all()
        self._runner.cancel_where(lambda key: key.purpose in OF_A_SESSION)
        self.undo.clear()
        self._session, self._current = session, None
        self.pages.clear()
        self.backlog.replace_session(session)
        self.sessionReplaced.emit()
        self.show(next(iter(session.worst_first()), None))

    def add_files(self, paths: Iterable[Path]) -> None:
        """Look for pages in files and folders behind the window, and add them."""
        chosen = tuple(paths)
        key = JobKey(FIND, "|".join(map(str, chosen)))
        self._runner.submit(
            Job(key, lambda status: find_pages(chosen, status), self._add_found, self._warn, pool=Pool.DISK)
        )

    def show(self, page: PageId | None) -> None:
        """Bring a page to the front: its picture at once if it can be, its answers as they come."""
        self._current = page
        self.backlog.look_ahead()
        self.undo.show(page)
        self.shown.emit(page)
        if page is None:
            return
        pixels = self.pages.get(page)
        if pixels is None:
            self.pages.load(self._session.entry(page))
            return
        self.pageLoaded.emit(pixels)
        self._compute_current()

    def want_thumbnails(self, pages: tuple[PageId, ...]) -> None:
        """Read the pictures of these pages and of no other."""
        self.pages.want_thumbnails([self._session.entry(page) for page in pages if page in self._session])

    def remove(self, page: PageId) -> None:
        """Take a page out of the project, undoably; what was said about it stays in the audit log."""
        text = self.tr("Remove %s") % self._session.entry(page).name
        self.undo.push(None, RemovePage(self, page, text=text))

    def take_out(self, page: PageId, *, text: str) -> tuple[PageState, int]:
        """Take a page out; return what is to be kept of it, and its place. Only the undo commands call this."""
        kept = self._session.page_state(page), [entry.id for entry in self._session.entries].index(page)
        order = self._session.worst_first()
        self._computer.cancel(page)
        change = self._session.remove_page(page, text=text)
        self.pages.forget(page)
        self.backlog.forget(page)
        self.undo.forget(page)
        if page == self._current:
            after = [other for other in order[order.index(page) :] if other != page] or list(order[:-1])
            self.changed.emit(change)
            self.show(
                after[0] if after and after[0] in self._session else next(iter(self._session.worst_first()), None)
            )
        else:
            self.changed.emit(change)
        return kept

    def put_back(self, state: PageState, at: int, *, text: str) -> None:
        """Put a page that was taken out back in its place; only the undo commands call this."""
        self.changed.emit(self._session.restore_page(state, at=at, text=text))
        self.show(state.entry.id)

    def put_parts(self, picture: PageId, parts: Found) -> None:
        """Put the pages that a picture of several ECGs was divided into in its place; it is taken out undoably."""
        if picture not in self._session or not parts.entries:
            return
        self._add_found(parts)
        names = ", ".join(self._session.entry(entry.id).name for entry in parts.entries)
        text = self.tr("Divide %s into %s") % (self._session.entry(picture).name, names)
        self.undo.push(None, RemovePage(self, picture, text=text))
        self.show(parts.entries[0].id)
        self._say(self.tr("%s. Undo brings the picture back.") % text, Severity.INFO, parts.entries[0].id)

    def relink(self, page: PageId, source: Path) -> None:
        """Look for a page's scan in another place."""
        self.pages.forget(page)
        self.backlog.want(page)
        self.changed.emit(self._session.relink(page, source))
        if page == self._current:
            self.show(page)

    # --- edits -----------------------------------------------------------------------------------------------

    def edit(self, after: Corrections, text: str, *, merge: str = "") -> None:
        """Put corrections on the page in front, undoably; a changed page is no longer signed off."""
        page = self._current
        if page is None:
            return
        before = self._session.corrections(page)
        if before.review is not None and after.review is before.review and _answers(after) != _answers(before):
            after = replace(after, review=None)

        def patient() -> Clinical:
            return self._session.corrections(page).clinical

        command = EditCorrections(self, page, before=before, after=after, text=text, merge=merge, patient=patient)
        self.undo.push(page, command)

    def edit_keypoints(self, edit: KeypointEdit, text: str) -> None:
        """Take a finished gesture of stage 0."""
        self.edit(replace(self.corrections, keypoints=edit), text, merge=_nudge(text))

    def edit_grid(self, edit: GridEdit, text: str) -> None:
        """Take a finished gesture of stage 1."""
        self.edit(replace(self.corrections, grid=edit), text, merge=_nudge(text))

    def edit_traces(self, edit: TraceEdit, text: str) -> None:
        """Take a finished gesture of stage 2."""
        self.edit(replace(self.corrections, traces=edit), text, merge=_nudge(text))

    def edit_fiducials(self, edit: FiducialEdit | None, text: str) -> None:
        """Take fiducials that were placed by hand; None: as measured."""
        if edit != self.corrections.fiducials:
            self.edit(replace(self.corrections, fiducials=edit), text)

    def set_page_layout(self, name: str | None) -> None:
        """Choose the layout of the page in front; None: as is chosen for all pages."""
        if name != self.corrections.layout:
            words = {None: self.tr("as all pages"), AUTO_LAYOUT: self.tr("automatic")}.get(name, name)
            self.edit(replace(self.corrections, layout=name), self.tr("Layout of this page: %s") % words)

    def set_speed(self, mm_per_s: float | None) -> None:
        """Choose the paper speed of the page in front; None: as found."""
        self._set_scale(replace(self._grid_edit(), mm_per_s=mm_per_s), self.tr("Set paper speed"))

    def set_gain(self, mm_per_mV: float | None) -> None:
        """Choose the gain of the page in front; None: as found."""
        self._set_scale(replace(self._grid_edit(), mm_per_mV=mm_per_mV), self.tr("Set gain"))

    def _grid_edit(self) -> GridEdit:
        return self.corrections.grid or NO_GRID_EDIT

    def _set_scale(self, edit: GridEdit, text: str) -> None:
        empty = not len(edit.moves) and edit.nodes is None and edit.mm_per_s is None and edit.mm_per_mV is None
        self.edit(replace(self.corrections, grid=None if empty else edit), text)

    def revert(self, step: Step) -> None:
        """Take a stage of the page in front back to the automatic answer."""
        if is_corrected(step, self.corrections):
            automatic: dict[str, Any] = dict.fromkeys(EDITS_OF[step])
            self.edit(replace(self.corrections, **automatic), self.tr("Revert to automatic"))

    def review(self, verdict: str) -> bool:
        """Sign the page in front off; return whether that could be done."""
        page = self._current
        if page is None:
            return False
        if verdict == "accepted":
            if conflicts := self._session.open_conflicts(page):
                self._say(self.tr("Answer this first: %s.") % conflicts[0], Severity.WARNING, page, "confirm-scale")
                return False
            if value_of(self._session.analysis(page).record) is None:
                self._say(self.tr("This page has not been read; there is nothing to accept."), Severity.WARNING, page)
                return False
        text = self.tr("Accept") if verdict == "accepted" else self.tr("Reject")
        self.edit(self._session.review(page, verdict), text)
        return True

    def withdraw_review(self) -> None:
        """Take the sign-off of the page in front back."""
        if self.corrections.review is not None:
            self.edit(replace(self.corrections, review=None), self.tr("Take the sign-off back"))

    def comment(self, text: str) -> None:
        """Say something about the page in front to the next reader."""
        if text != self.corrections.comment:
            self.edit(replace(self.corrections, comment=text), self.tr("Comment"))

    def confirm_scale(self) -> None:
        """Say that the scale of the page in front is right in spite of the evidence."""
        self.answer_scale(True)

    def answer_scale(self, right: bool) -> None:
        """Say, or take back, that the scale of the page in front is right in spite of the evidence."""
        if self._current is not None and self.corrections.scale_answer != right:
            text = self.tr("Confirm the scale") if right else self.tr("Take back that the scale is right")
            self.edit(replace(self.corrections, scale_answer=right), text)

    def confirm_corrections(self) -> None:
        """Say that the corrections of the page in front hold over the answers beneath them."""
        if self._current is None:
            return
        for stage in (Stage.KEYPOINTS, Stage.GRID, Stage.TRACES):
            outcome = getattr(self._session.analysis(self._current), stage.value)
            if outcome is not None and outcome.needs_review:
                self.changed.emit(self._session.confirm(self._current, stage, text=f"confirm {stage.value}"))

    def set_corrections(self, page: PageId, corrections: Corrections, *, text: str) -> None:
        """Change the model; only the undo commands call this."""
        if page not in self._session:
            return
        change = self._session.set_corrections(page, corrections, text=text)
        self.backlog.want(page)
        self.changed.emit(change)
        if change.stages:
            self._compute(page, urgent=True)

    def set_clinical(self, patients: Mapping[PageId, Clinical], *, text: str) -> None:
        """Say what is known about the patients of pages; only the undo commands call this."""
        for page, clinical in patients.items():
            if page in self._session:
                corrections = replace(self._session.corrections(page), clinical=clinical)
                self.changed.emit(self._session.set_corrections(page, corrections, text=text))

    def set_layout(self, name: str) -> None:
        """Choose the layout that the user vouches for, for all pages."""
        before = self._session.settings
        after = replace(before, traces=replace(before.traces, layout=name))
        if after != before:
            words = self.tr("automatic") if name == AUTO_LAYOUT else name
            text = self.tr("Layout of all pages: %s") % words
            self.undo.push(None, ChangeSettings(self, before=before, after=after, text=text))

    def set_reconstruction(self, wanted: bool) -> None:
        """Choose whether the traces of all pages are reconstructed by their picture."""
        before = self._session.settings
        after = replace(before, reconstruct=replace(before.reconstruct, enabled=wanted))
        if after != before:
            text = self.tr("Reconstruct traces") if wanted else self.tr("Leave traces as read")
            self.undo.push(None, ChangeSettings(self, before=before, after=after, text=text))

    def set_settings(self, settings: PipelineSettings, *, text: str) -> None:
        """Change the choices for all pages; only the undo commands call this."""
        self.changed.emit(self._session.set_settings(settings, text=text))
        self._compute_current()

    # --- computing -------------------------------------------------------------------------------------------

    def compute_again(self) -> None:
        """Forget what was computed for the page in front, and compute it anew."""
        page = self._current
        if page is not None:
            self.backlog.want(page)
            self.changed.emit(self._session.set_analysis(page, EMPTY_ANALYSIS))
            self._compute(page, urgent=True, anew=True)

    def compute_all(self) -> None:
        """Compute every page that nobody has decided on, one after the other, the page in front always first."""
        if self._computer.is_hopeless:
            self._say(self.tr("Without the networks no page can be read; an earlier message says why."), Severity.ERROR)
            return
        self.backlog.ask_for_all()
        self._compute_current()
        self._prefetch()

    def stop_computing(self) -> None:
        """Let the page in front and all others be; they are computed again when they are changed or asked for."""
        self.backlog.stop()
        if self._current is not None and self.is_computing(self._current):
            self.backlog.leave_alone(self._current)
        self._computer.cancel_all()

    def _compute_current(self) -> None:
        if self._current is not None and not self.backlog.is_left_alone(self._current):
            self._compute(self._current, urgent=True)

    def _compute(self, page: PageId, *, urgent: bool, anew: bool = False) -> None:
        request = AnalyseRequest(
            self._session.entry(page),
            self.pages.get(page),
            self._session.corrections(page),
            self._session.analysis(page),
            self._session.settings,
            anew=anew,
        )
        self._computer.submit(request, urgent=urgent)
        self.computed.emit(page)

    def _take_answer(self, page: PageId, answer: Answer, complete: bool) -> None:
        if page not in self._session:
            return
        change = self._session.set_analysis(page, answer.analysis)
        self.backlog.take(page, front=self._current, complete=complete)
        self.changed.emit(change)
        self.computed.emit(page)
        if complete:
            self._prefetch()

    def _take_failure(self, page: PageId, sentence: str) -> None:
        if page in self._session:
            self.backlog.leave_alone(page)
            self._say(sentence, Severity.ERROR, page, "relink" if self.pages.is_unreadable(page) else "")
            self.computed.emit(page)
            self._prefetch()

    def _follow_computer(self) -> None:
        if self._current is not None:
            self.computed.emit(self._current)

    def _prefetch(self) -> None:
        """Compute the next page that nobody waits for, if nothing else is computed."""
        if self._current is None or self._computer.is_busy:
            return
        page = self.backlog.next_page()
        while page is not None and self.pages.is_unreadable(page):
            self.backlog.leave_alone(page)
            page = self.backlog.next_page()
        if page is not None:
            self._compute(page, urgent=False)

    def _sum_up(self) -> None:
        """Say what came of computing all pages."""
        session = self._session
        pages = [entry.id for entry in session.entries]
        failed = sum(session.outline(page).quality is None or session.urgency(page) >= FAILED for page in pages)
        doubtful = sum(REVIEW <= session.urgency(page) < FAILED for page in pages)
        text = self.tr("All %d pages are done: %d want a second look, %d could not be read.")
        self._say(text % (len(pages), doubtful, failed), Severity.INFO)

    def _add_found(self, found: Found) -> None:
        for problem in found.problems:
            self._warn(problem)
        entries: tuple[PageEntry, ...] = found.entries
        if not entries:
            return
        known = len(self._session.entries)
        lost = [entry for entry in entries if entry.id in self._session and self._is_lost(entry.id)]
        self.changed.emit(self._session.add_pages(entries))
        for entry in lost:
            self.relink(entry.id, entry.source)
        if len(self._session.entries) == known and not lost:
            self._say(self.tr("These pages are in the project already."), Severity.INFO, entries[0].id)
        if self._current is None or len(entries) == 1:
            self.show(entries[0].id)
        else:
            self._prefetch()

    def _is_lost(self, page: PageId) -> bool:
        return self.is_unreadable(page) or not os.path.isfile(self._session.entry(page).source)

    def _take_preview(self, page: PageId, preview: Preview) -> None:
        if page == self._current and self.page is None:
            self.previewLoaded.emit(preview)

    def _take_page(self, page: Page) -> None:
        if page.id not in self._session:
            return
        self._session.set_size(page.id, (page.width, page.height))
        if page.id == self._current:
            self.pageLoaded.emit(page)
            self._compute_current()

    def _lose_page(self, page: PageId, sentence: str) -> None:
        if page in self._session:
            text = self.tr("%s Its corrections are kept; find the scan to go on.") % sentence
            self._say(text, Severity.ERROR, page, "relink")
            self.computed.emit(page)

    # --- messages --------------------------------------------------------------------------------------------

    def _warn(self, sentence: str) -> None:
        self._say(sentence, Severity.ERROR)

    def _say(self, text: str, severity: Severity, page: PageId | None = None, action: str = "") -> None:
        self.messaged.emit(Message(text, severity, page, action))


def _answers(corrections: Corrections) -> tuple[object, ...]:
    """Return what a sign-off is about."""
    return corrections.keypoints, corrections.grid, corrections.traces, corrections.layout, corrections.fiducials


def _nudge(text: str) -> str:
    """Return a name under which edits merge: nudges of one thing have one text."""
    return text if text.lower().startswith("nudge") else ""


def is_about(change: Change, page: PageId | None) -> bool:
    """Tell whether a change concerns a page."""
    return change.page is None or change.page == page or change.kind is ChangeKind.PROJECT
