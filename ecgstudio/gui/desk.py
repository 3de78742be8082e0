"""What the user does with pages: going from one to the next, signing off, finding scans again, exporting.

Every question goes through `Ask` or a dialog that the window hands in; nothing is drawn here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Signal

from ecgstudio.core.page import PageId
from ecgstudio.gui.actions import Situation
from ecgstudio.gui.bridge import DIVIDE, RELINK, Bridge
from ecgstudio.gui.computing import RUNTIME, Computer
from ecgstudio.gui.dividing import DivideRequest, divide
from ecgstudio.gui.exporting import Exported, ExportPlan, ExportRequest, export_pages, export_request, plan_export
from ecgstudio.gui.facts import is_corrected, value_of
from ecgstudio.gui.findings import Findings
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus, Pool
from ecgstudio.gui.messages import Message, Severity
from ecgstudio.gui.project_files import PAGE_FILTER, Ask
from ecgstudio.gui.states import Step
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.scans import find_scans
from ecgstudio.session import PageEntry
from ecgstudio.stages.contract import Runtime
from ecgstudio.stages.several_sheets import tells_of_several

EXPORT = JobKey("export")

Scopes = list[tuple[str, tuple[PageId, ...]]]
PlanMaker = Callable[[tuple[PageId, ...], Path, tuple[str, ...]], ExportPlan]


class ExportChoice(Protocol):
    """What the user chose in the export dialog."""

    @property
    def pages(self) -> tuple[PageId, ...]:
        """Which pages."""
        ...

    @property
    def folder(self) -> Path:
        """Where to."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """In which formats."""
        ...

    @property
    def overwrite(self) -> bool:
        """Whether existing files may be replaced."""
        ...


ChooseExport = Callable[[Scopes, PlanMaker, Path], ExportChoice | None]


class Desk(QObject):
    """Carries out what the user asks for, on the page in front and on all of them."""

    stepChanged = Signal(object)  # Step
    messaged = Signal(object)  # Message
    exported = Signal(object)  # Exported

    def __init__(
        self,
        bridge: Bridge,
        *,
        runner: JobRunner,
        computer: Computer,
        findings: Findings,
        cache: OutcomeCache | None,
        ask: Ask,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._runner, self._computer, self._cache, self._ask = bridge, runner, computer, cache, ask
        self._findings = findings
        self._step = Step.REVIEW
        self._folder: Path | None = None

    @property
    def step(self) -> Step:
        """The step that tools and inspector are about."""
        return self._step

    def set_step(self, step: Step) -> None:
        """Turn to a step."""
        if step is not self._step:
            self._step = step
            self.stepChanged.emit(step)

    def situation(self) -> Situation:
        """Say what there is, for the actions."""
        bridge, page = self._bridge, self._bridge.current
        if page is None:
            return Situation(dirty=bridge.session.dirty, computing=self._is_working())
        values, analysis = bridge.values, bridge.session.analysis(page)
        findings = self._findings.state()
        return Situation(
            pages=True,
            page=True,
            keypoints=values.keypoints is not None,
            grid=values.grid is not None,
            traces=values.traces is not None,
            corrected=is_corrected(self._step, bridge.corrections),
            computing=self._is_working(),
            dirty=bridge.session.dirty,
            conflict=bool(bridge.session.open_conflicts(page)),
            several=tells_of_several(analysis.failure) and self._computer.runtime is not None,
            overtaken=any(outcome.needs_review for _, outcome in analysis.outcomes()),
            reviewed=bridge.corrections.review is not None,
            record=value_of(analysis.record) is not None,
            reconstruction=self._computer.reconstructs or bridge.reconstructs,
            findings=bool(findings.lines),
            finding=findings.line is not None,
        )

    @property
    def why_not_reconstructed(self) -> str:
        """Say why traces cannot be reconstructed; empty where they can."""
        if self._computer.reconstructs:
            return ""
        if self._computer.runtime is None:
            return self.tr("Automatic reading is still starting, or could not be started.")
        return self.tr("The installed networks hold none that reconstructs traces.")

    def _is_working(self) -> bool:
        return self._computer.is_busy or self.is_exporting or self._findings.is_working

    # --- going from page to page -----------------------------------------------------------------------------

    def go(self, order: tuple[PageId, ...], by: int) -> None:
        """Show the page before or after the one in front, in the order of the list."""
        page = self._bridge.current
        if page in order:
            at = order.index(page) + by
            if 0 <= at < len(order):
                self._bridge.show(order[at])

    def accept(self) -> None:
        """Sign the page in front off, and bring the next one that wants a human."""
        self._decide("accepted")

    def reject(self) -> None:
        """Say that the page in front is not to be used, and bring the next one."""
        self._decide("rejected")

    def _decide(self, verdict: str) -> None:
        page = self._bridge.current
        if page is None or not self._bridge.review(verdict):
            return
        session = self._bridge.session
        open_pages = [other for other in session.worst_first() if session.corrections(other).review is None]
        done = len(session.entries) - len(open_pages)
        name = session.entry(page).name
        words = self.tr("accepted") if verdict == "accepted" else self.tr("rejected")
        self._say(
            self.tr("%s %s by %s; %d of %d pages done.") % (name, words, session.user, done, len(session.entries))
        )
        if open_pages:
            self._bridge.show(open_pages[0])

    # --- one page --------------------------------------------------------------------------------------------

    def revert(self) -> None:
        """Take the step in front back to the automatic answer."""
        self._bridge.revert(self._step)

    def remove(self) -> None:
        """Take the page in front out of the project, after asking."""
        page = self._bridge.current
        if page is None:
            return
        name = self._bridge.session.entry(page).name
        text = self.tr("Remove %s and its corrections from the project? The scan itself is not touched.") % name
        if self._ask.yes(self.tr("Remove the page"), text, button=self.tr("Remove")):
            self._bridge.remove(page)

    def divide(self) -> None:
        """Ask for a folder and write each ECG of the picture in front there, as pages that take the picture's place."""
        bridge, runtime = self._bridge, self._computer.runtime
        page, keypoints = bridge.current, bridge.values.keypoints
        if page is None or keypoints is None or runtime is None:
            return
        entry = bridge.session.entry(page)
        folder = self._ask.open_folder(
            self.tr("Where to put each ECG of %s as a file of its own") % entry.name, entry.source.parent
        )
        if folder is None:
            return
        taken = frozenset(other.name.casefold() for other in bridge.session.entries)
        request = DivideRequest(entry, bridge.page, keypoints, folder, taken)
        self._runner.submit(
            Job(
                JobKey(DIVIDE, str(page)),
                lambda status: divide(request, runtime, status),
                lambda found: bridge.put_parts(page, found),
                self._complain,
            )
        )

    def relink(self) -> None:
        """Ask where the scan of the page in front lies now; other missing scans of that folder are found too."""
        page = self._bridge.current
        if page is None:
            return
        files = self._ask.open_files(
            self.tr("Find the scan of %s") % self._bridge.session.entry(page).name, PAGE_FILTER
        )
        if not files:
            return
        entry, file = self._bridge.session.entry(page), files[0].absolute()
        others = tuple(e for e in self._bridge.session.entries if e.id != page and not os.path.isfile(e.source))
        places = [file, file.parent] if others else [file]
        job = Job(
            JobKey(RELINK),
            lambda status: find_scans((entry, *others), places, status=status),
            lambda found: self._relinked(entry, file, found),
            self._complain,
            pool=Pool.DISK,
        )
        self._runner.submit(job)

    def _relinked(self, wanted: PageEntry, file: Path, found: dict[PageId, Path]) -> None:
        for page, source in found.items():
            if page in self._bridge.session:
                self._bridge.relink(page, source)
        if wanted.id not in found:
            text = self.tr("%s is not the scan of %s, or was changed since. The corrections are kept.")
            self._complain(text % (file.name, wanted.name))
        others = len(found.keys() - {wanted.id})
        if others:
            self._say(self.tr("%d more scans were found in that folder.") % others)

    # --- exporting -------------------------------------------------------------------------------------------

    def export(self, choose: ChooseExport) -> None:
        """Let the user choose what to write where, and write it behind the window."""
        session, page = self._bridge.session, self._bridge.current
        if page is None:
            return
        if self._runner.is_running(EXPORT):
            self._say(self.tr("An export is being written; wait for it or stop it."), Severity.WARNING)
            return
        order = tuple(entry.id for entry in session.entries)
        accepted = tuple(p for p in order if (r := session.corrections(p).review) and r.verdict == "accepted")
        scopes: Scopes = [(self.tr("The page in front"), (page,))]
        if len(order) > 1:
            scopes.append((self.tr("All pages"), order))
        if accepted:
            scopes.insert(0 if len(accepted) > 1 else 1, (self.tr("All accepted pages"), accepted))

        def plan(pages: tuple[PageId, ...], folder: Path, formats: tuple[str, ...]) -> ExportPlan:
            return plan_export(session, pages, folder=folder, formats=formats)

        home = session.path.parent if session.path is not None else session.entry(page).source.parent
        choice = choose(scopes, plan, self._folder or home / "export")
        if choice is None:
            return
        self._folder = choice.folder
        pages = plan(choice.pages, choice.folder, choice.formats).pages  # without those that are left out
        request = export_request(
            session, pages, folder=choice.folder, formats=choice.formats, overwrite=choice.overwrite
        )
        self.run_export(request)

    def run_export(self, request: ExportRequest) -> None:
        """Write what was chosen, a page at a time: what the user waits for goes in between."""
        runtime = self._computer.runtime
        if runtime is None and self._runner.is_running(RUNTIME):
            self._say(self.tr("Automatic reading is still starting; try again in a moment."), Severity.WARNING)
        elif runtime is None:
            self._complain(self.tr("Without automatic reading nothing can be exported; an earlier message says why."))
        else:
            self._export_next(request, runtime, 0, Exported((), ()))

    @property
    def is_exporting(self) -> bool:
        """Whether an export is being written."""
        return self._runner.is_running(EXPORT)

    def _export_next(self, request: ExportRequest, runtime: Runtime, number: int, so_far: Exported) -> None:
        if number == len(request.items):
            self._take_exported(so_far)
            return
        item, cache = request.items[number], self._cache

        def work(status: JobStatus) -> Exported:
            return export_pages(replace(request, items=(item,)), runtime, cache, status)

        def done(exported: Exported) -> None:
            both = Exported(so_far.files + exported.files, so_far.problems + exported.problems)
            self._export_next(request, runtime, number + 1, both)

        def failed(sentence: str) -> None:
            done(Exported((), (f"{item.entry.name}: {sentence}",)))

        words = self.tr("exporting %s") % item.entry.name
        self._bridge.progressed.emit(self._bridge.current, number / len(request.items), words)
        self._runner.submit(Job(EXPORT, work, done, failed, urgent=False))

    def stop(self) -> None:
        """Stop what is being computed or exported."""
        if self._runner.cancel(EXPORT):
            self._say(self.tr("The export was stopped; pages that were finished are kept."))
        self._bridge.stop_computing()
        self._findings.stop()

    def _take_exported(self, exported: Exported) -> None:
        for problem in exported.problems:
            self._say(problem, Severity.ERROR)
        if exported.files:
            folder = exported.files[0].parent
            self._say(self.tr("%d files were written to %s.") % (len(exported.files), folder))
        self.exported.emit(exported)

    def _complain(self, sentence: str) -> None:
        self._say(sentence, Severity.ERROR)

    def _say(self, text: str, severity: Severity = Severity.INFO) -> None:
        self.messaged.emit(Message(text, severity, self._bridge.current))
