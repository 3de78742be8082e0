"""A session: the pages of a project, what humans said about them, and what is known about them so far.

Pure values in and out, no Qt and no networks: whoever holds a session computes analyses elsewhere and hands them in.
Every mutator returns the `Change` that a view has to follow.
"""

from __future__ import annotations

import contextlib
import getpass
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections, Review
from ecgstudio.core.page import PageId
from ecgstudio.errors import OutputError
from ecgstudio.io.audit import AuditRecord, difference
from ecgstudio.io.autosave import discard_autosaves, last_good_copy, write_autosave
from ecgstudio.io.codec import encode
from ecgstudio.io.export import StemRegister
from ecgstudio.io.locking import locked
from ecgstudio.io.project import (
    EditedOver,
    NewerProjectError,
    PageEntry,
    PageState,
    ProjectError,
    ProjectState,
    read_autosave,
    read_project,
    saved_revision,
    unchanged,
    write_project,
)
from ecgstudio.stages.contract import Failed, State, content_digest
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, ORDER, Analysis, Stage
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.triage import EDITED_STAGES, edit_of, open_conflicts, settings_of, stage_states, urgency

__all__ = ["AuditRecord", "Change", "ChangeKind", "PageEntry", "PageState", "Session", "as_seen", "os_user"]

Clock = Callable[[], datetime]

_Judged = tuple[PageState, Analysis, PipelineSettings, dict[Stage, State], float]
"""What the states of a page's stages were found from, the states and the urgency: a long list asks again and again."""


class ChangeKind(StrEnum):
    """What a change is about."""

    PAGES = "pages"
    CORRECTIONS = "corrections"
    ANALYSIS = "analysis"
    SETTINGS = "settings"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Change:
    """What changed: on which page (None: on all), and which stages' outcomes are no longer what they were."""

    kind: ChangeKind
    page: PageId | None = None
    stages: frozenset[Stage] = frozenset()


def os_user() -> str:
    """Return the name under which the person works on this computer."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def as_seen(analysis: Analysis, page: PageState) -> tuple[Analysis, PageState]:
    """Judge every correction over the answer that its human saw: over another one it needs review.

    What was seen may have been seen in an earlier session; the page remembers it where nobody knew yet.
    """
    for stage in EDITED_STAGES:
        outcome = getattr(analysis, stage.value)
        if outcome is None or outcome.edit is None:
            continue
        edit, seen = content_digest(outcome.edit), page.edited_over.get(stage.value)
        if edit != content_digest(edit_of(page.corrections, stage)):
            continue  # computed for corrections that were changed meanwhile
        if seen is None or seen.edit != edit:
            page = _seen(page, stage, EditedOver(edit, outcome.edited_over))
        elif seen.answer != outcome.edited_over:
            needs_review = seen.answer != content_digest(outcome.auto)
            outcome = replace(outcome, edited_over=seen.answer, needs_review=needs_review)
            analysis = replace(analysis, **{stage.value: outcome})
    return analysis, page


class Session:
    """The model behind a project: entries, corrections, settings, analyses and the audit log.

    `user` signs what is changed from then on; `path` is the project's file, None before it was first saved.
    """

    def __init__(self, *, user: str = "", settings: PipelineSettings | None = None, clock: Clock = utc_now) -> None:
        self.user = user or os_user()
        self.path: Path | None = None
        self._settings = settings or PipelineSettings()
        self._clock = clock
        self._id = secrets.token_hex(16)
        self._pages: dict[PageId, PageState] = {}
        self._analyses: dict[PageId, Analysis] = {}
        self._outlines: dict[PageId, Analysis] = {}  # of pages whose signals were let go of
        self._judged: dict[PageId, _Judged] = {}
        self._audit: list[AuditRecord] = []
        self._weights = ""
        self._there: tuple[str, int] | None = None  # id and revision of what `path` held when we last looked
        self._revision = self._saved_revision = self._autosaved_revision = 0

    # --- what is known ---------------------------------------------------------------------------------------

    @property
    def entries(self) -> tuple[PageEntry, ...]:
        """All pages, in the order in which they were added."""
        return tuple(page.entry for page in self._pages.values())

    @property
    def settings(self) -> PipelineSettings:
        """The choices that hold for all pages."""
        return self._settings

    @property
    def audit(self) -> tuple[AuditRecord, ...]:
        """All that humans changed, oldest first."""
        return tuple(self._audit)

    @property
    def dirty(self) -> bool:
        """Whether there is something to be saved."""
        return self._revision != self._saved_revision

    @property
    def revision(self) -> int:
        """A number that grows with everything that is to be saved."""
        return self._revision

    @property
    def weights(self) -> str:
        """Hash of the networks that analysed pages last; empty before any did."""
        return self._weights

    def __contains__(self, page: object) -> bool:
        return page in self._pages

    def entry(self, page: PageId) -> PageEntry:
        """Return a page's entry. Raises KeyError for a page that is not in the session, as all methods do."""
        return self._pages[page].entry

    def page_state(self, page: PageId) -> PageState:
        """Return all that is saved of a page."""
        return self._pages[page]

    def corrections(self, page: PageId) -> Corrections:
        """Return what humans said about a page."""
        return self._pages[page].corrections

    def analysis(self, page: PageId) -> Analysis:
        """Return what is known about a page; EMPTY_ANALYSIS before anything was computed."""
        self._pages[page]  # KeyError for a page that is not here
        return self._analyses.get(page, EMPTY_ANALYSIS)

    def outline(self, page: PageId) -> Analysis:
        """Return what is known about a page, perhaps without its signals: to judge it by, not to show or go on from."""
        return self._outlines.get(page) or self.analysis(page)

    def stage_states(self, page: PageId) -> dict[Stage, State]:
        """Return every stage's state; COMPUTING where nothing is known yet or corrections or settings have changed."""
        return dict(self._judge(page)[3])

    def worst_first(self) -> tuple[PageId, ...]:
        """Return all pages, the most urgent first; pages alike stay in their order."""
        return tuple(sorted(self._pages, key=self.urgency, reverse=True))

    def urgency(self, page: PageId) -> float:
        """Say how much a page wants a human: failed > needs review > review > not computed > ok > decided (below 1)."""
        return self._judge(page)[4]

    def open_conflicts(self, page: PageId) -> tuple[str, ...]:
        """Return what blocks the export of a page until a human answers: a scale that contradicts its evidence."""
        return open_conflicts(self.outline(page), self.corrections(page))

    def _judge(self, page: PageId) -> _Judged:
        state, outline = self._pages[page], self.outline(page)
        judged = self._judged.get(page)
        if judged is None or judged[0] is not state or judged[1] is not outline or judged[2] is not self._settings:
            states = stage_states(outline, state.corrections, settings=self._settings)
            worth = urgency(outline, state.corrections, states=states)
            judged = self._judged[page] = state, outline, self._settings, states, worth
        return judged

    # --- changes ---------------------------------------------------------------------------------------------

    def add_pages(self, entries: Iterable[PageEntry]) -> Change:
        """Add pages that are not in the session yet; a name that another page has gets a number."""
        register = StemRegister()
        for known in self.entries:
            register.claim(known.name)
        added = 0
        for entry in entries:
            if entry.id not in self._pages:
                unique = replace(entry, name=register.claim(entry.name))
                self._pages[entry.id] = PageState(unique)
                self._log(f"added {unique.name}", page=entry.id)
                added += 1
        return Change(ChangeKind.PAGES, stages=frozenset(ORDER) if added else frozenset())

    def remove_page(self, page: PageId, *, text: str = "") -> Change:
        """Take a page out; what was said about it stays in the audit log, under `text` if one is given."""
        state = self._pages.pop(page)
        self._forget(page)
        before, after = difference(encode(state.corrections), encode(NO_CORRECTIONS))
        self._log(text or f"removed {state.entry.name}", page=page, before=before, after=after)
        return Change(ChangeKind.PAGES, page, frozenset(ORDER))

    def restore_page(self, state: PageState, *, at: int, text: str) -> Change:
        """Put a page that was removed back in its place among the pages, as it was; one opened anew gives way to it.

        If its name was given to another page meanwhile, it gets a number.
        """
        page = state.entry.id
        now = self._pages.pop(page, None)
        self._forget(page)
        register = StemRegister()
        for known in self.entries:
            register.claim(known.name)
        entry = now.entry if now else replace(state.entry, name=register.claim(state.entry.name))
        state = replace(state, entry=entry)
        before, after = difference(encode(now.corrections if now else NO_CORRECTIONS), encode(state.corrections))
        pages = list(self._pages.items())
        self._pages = dict([*pages[:at], (page, state), *pages[at:]])
        self._log(text, page=page, before=before, after=after)
        return Change(ChangeKind.PAGES, page, frozenset(ORDER))

    def relink(self, page: PageId, source: Path) -> Change:
        """Say where a page's file lies now."""
        state = self._pages[page]
        if source != state.entry.source:
            self._pages[page] = replace(state, entry=replace(state.entry, source=source))
            self._log(f"found {state.entry.name} at {source}", page=page)
        return Change(ChangeKind.PAGES, page)

    def set_size(self, page: PageId, size_px: tuple[int, int]) -> Change:
        """Remember a page's width and height, once it was read."""
        state = self._pages[page]
        self._pages[page] = replace(state, entry=replace(state.entry, size_px=size_px))
        return Change(ChangeKind.PAGES, page)

    def set_corrections(self, page: PageId, corrections: Corrections, *, text: str) -> Change:
        """Put these corrections in the place of the page's; `text` says in the audit log what was done."""
        state = self._pages[page]
        if content_digest(state.corrections) == content_digest(corrections):
            return Change(ChangeKind.CORRECTIONS, page)
        changed = [
            stage
            for stage in EDITED_STAGES
            if content_digest(edit_of(state.corrections, stage)) != content_digest(edit_of(corrections, stage))
        ]
        over = {stage: seen for stage, seen in state.edited_over.items() if stage not in changed}
        over |= self._in_view(page, changed, corrections)
        self._pages[page] = replace(state, corrections=corrections, edited_over=over)
        before, after = difference(encode(state.corrections), encode(corrections))
        self._log(text, page=page, before=before, after=after)
        stale = changed if state.corrections.layout == corrections.layout else [*changed, Stage.TRACES]
        first = min((ORDER.index(stage) for stage in stale), default=len(ORDER))
        return Change(ChangeKind.CORRECTIONS, page, frozenset(ORDER[first:]))

    def review(self, page: PageId, verdict: str, *, comment: str = "") -> Corrections:
        """Return the page's corrections signed by `user` now ("accepted", "rejected"), for `set_corrections`."""
        if verdict not in ("accepted", "rejected"):
            raise ValueError(f"a review says accepted or rejected, not {verdict!r}")
        at = self._clock().isoformat(timespec="seconds")
        signed = Review("accepted" if verdict == "accepted" else "rejected", self.user, at, comment)
        return replace(self.corrections(page), review=signed)

    def confirm(self, page: PageId, stage: Stage, *, text: str) -> Change:
        """Say that a correction still holds over the automatic answer that there is now: it needs no more review."""
        outcome = getattr(self.analysis(page), stage.value)
        if outcome is None or not outcome.needs_review:
            return Change(ChangeKind.ANALYSIS, page)
        now = replace(outcome, edited_over=content_digest(outcome.auto), needs_review=False)
        self._analyses[page] = replace(self._analyses[page], **{stage.value: now})
        self._pages[page] = _seen(self._pages[page], stage, EditedOver(content_digest(now.edit), now.edited_over))
        self._log(text, page=page)
        return Change(ChangeKind.ANALYSIS, page, frozenset((stage,)))

    def set_analysis(self, page: PageId, analysis: Analysis) -> Change:
        """Take what was computed; nothing happens if the page was removed meanwhile.

        A correction that was made over another automatic answer, perhaps in an earlier session, needs review.
        """
        if page not in self._pages:
            return Change(ChangeKind.ANALYSIS, page)
        before = self.analysis(page)
        analysis, self._pages[page] = as_seen(analysis, self._pages[page])
        self._outlines.pop(page, None)
        self._analyses[page] = analysis
        if analysis.keypoints is not None:
            self._weights = analysis.keypoints.key.weights
        changed = (stage for stage in ORDER if getattr(before, stage.value) is not getattr(analysis, stage.value))
        return Change(ChangeKind.ANALYSIS, page, frozenset(changed))

    def rest(self, page: PageId) -> None:
        """Let go of a page's signals: its states and its urgency stay, its analysis is empty until it is set again."""
        if page in self._analyses:
            outline = _without_signals(self._analyses[page])
            self._forget(page)
            self._outlines[page] = outline

    def _forget(self, page: PageId) -> None:
        for known in (self._analyses, self._outlines, self._judged):
            known.pop(page, None)

    def set_settings(self, settings: PipelineSettings, *, text: str = "settings") -> Change:
        """Change the choices that hold for all pages; `text` says in the audit log what was done."""
        changed = [
            stage
            for stage in ORDER
            if content_digest(settings_of(self._settings, stage)) != content_digest(settings_of(settings, stage))
        ]
        if not changed:
            return Change(ChangeKind.SETTINGS)
        before, after = difference(encode(self._settings), encode(settings))
        self._settings = settings
        self._log(text, before=before, after=after)
        return Change(ChangeKind.SETTINGS, stages=frozenset(ORDER[ORDER.index(changed[0]) :]))

    # --- files -----------------------------------------------------------------------------------------------

    def state(self) -> ProjectState:
        """Return all that is saved, as a value that another thread may write."""
        return ProjectState(
            id=self._id,
            revision=self._revision,
            pages=tuple(self._pages.values()),
            settings=self._settings,
            audit=tuple(self._audit),
            weights=self._weights,
        )

    def save(self, path: Path | None = None) -> Change:
        """Save the project, under a new name if one is given.

        Raises:
            OutputError: the file cannot be written; what was there, and the session, are as they were.
            ProjectChangedError: someone else saved it since it was opened here; likewise.
        """
        target = path or self.path
        if target is None:
            raise ValueError("a project that was never saved needs a path")
        target, before = target.absolute(), self.path
        around = unchanged(target, self._there) if target == before else locked(target)
        write_project(target, self.state(), around=around)
        self.path, self._saved_revision, self._there = target, self._revision, (self._id, self._revision)
        if before != target:
            discard_autosaves(before, project_id=self._id)
        with contextlib.suppress(OutputError):
            self.autosave()  # the last good copy, should the file be damaged one day
        return Change(ChangeKind.PROJECT)

    def autosave(self, path: Path | None = None) -> Path | None:
        """Write a copy that survives a crash, if there is anything new in it; return where it lies.

        Call it every few seconds. `path` is for a caller who wants it elsewhere than `io.autosave` puts it.
        Raises OutputError if it can be written nowhere.
        """
        if self._revision == self._autosaved_revision:
            return None
        if path is None:
            path = write_autosave(self.state(), self.path)
        else:
            write_project(path, self.state(), autosave_of=self.path)
        self._autosaved_revision = self._revision
        return path

    def discard_autosave(self) -> None:
        """Forget the copies: the user closes the project and does not want the changes."""
        discard_autosaves(self.path, project_id=self._id)
        self._autosaved_revision = self._revision

    @classmethod
    def new(cls, *, user: str = "", settings: PipelineSettings | None = None, clock: Clock = utc_now) -> Session:
        """Begin an empty project."""
        return cls(user=user, settings=settings, clock=clock)

    @classmethod
    def load(cls, path: Path, *, user: str = "", clock: Clock = utc_now) -> Session:
        """Open a project; see `io.autosave.newer_autosave` for changes that a crash kept from being saved.

        Raises:
            ProjectError: it cannot be opened; the text names the last good copy if there is one, and so does `copy`.
        """
        try:
            state = read_project(path)
        except NewerProjectError:
            raise
        except ProjectError as error:
            copy = last_good_copy(path)
            if copy is None:
                raise
            raise ProjectError(f"{error} The last good copy of it can be opened instead: {copy}.", copy=copy) from error
        session = cls(user=user, clock=clock)
        session._take(state)
        session.path, session._there = path.absolute(), (state.id, state.revision)
        session._saved_revision = session._autosaved_revision = state.revision
        return session

    @classmethod
    def recover(cls, copy: Path, *, user: str = "", clock: Clock = utc_now) -> Session:
        """Open what an autosave kept: the project's path is the original's, and all of it waits to be saved.

        Raises ProjectError if the copy cannot be opened.
        """
        autosave = read_autosave(copy)
        session = cls(user=user, clock=clock)
        session._take(autosave.state)
        session.path = autosave.project
        session._there = saved_revision(autosave.project) if autosave.project is not None else None
        session._log(f"recovered from {copy.name}")
        return session

    def _take(self, state: ProjectState) -> None:
        self._id, self._revision, self._settings = state.id, state.revision, state.settings
        self._pages = {page.entry.id: page for page in state.pages}
        self._audit, self._weights = list(state.audit), state.weights

    def _log(self, text: str, *, page: PageId | None = None, before: object = None, after: object = None) -> None:
        self._revision += 1
        at = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
        self._audit.append(AuditRecord(at, self.user, text, page, before or {}, after or {}, self._weights))

    def _in_view(self, page: PageId, stages: Iterable[Stage], corrections: Corrections) -> dict[str, EditedOver]:
        """Say over which answers these corrections are made; nothing of stages whose answer is still to come."""
        analysis, states = self.analysis(page), self.stage_states(page)
        known = {
            stage: getattr(analysis, stage.value)
            for stage in stages
            if states[stage] is not State.COMPUTING and edit_of(corrections, stage) is not None
        }
        return {
            stage.value: EditedOver(content_digest(edit_of(corrections, stage)), content_digest(outcome.auto))
            for stage, outcome in known.items()
        }


def _without_signals(analysis: Analysis) -> Analysis:
    """Drop what takes memory; what went wrong, the report and the state of every stage stay."""
    light = {
        stage.value: replace(outcome, auto=None, value=None)  # to be judged, never to be used
        for stage, outcome in analysis.outcomes()
        if stage is not Stage.QUALITY and not isinstance(outcome.value, Failed)
    }
    return replace(analysis, **light)  # type: ignore[arg-type]


def _seen(page: PageState, stage: Stage, over: EditedOver) -> PageState:
    return replace(page, edited_over={**page.edited_over, stage.value: over})
