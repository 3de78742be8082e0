"""What the window says about the page in front: its states, its numbers, what is wrong, how far the work is.

Any number of changes is followed by one refresh.
"""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QCoreApplication, QObject, QTimer

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.gui.bridge import Bridge
from ecgstudio.gui.desk import Desk
from ecgstudio.gui.facts import advice, value_of
from ecgstudio.gui.findings import Findings
from ecgstudio.gui.frame import Frame
from ecgstudio.gui.jobs import JobRunner
from ecgstudio.gui.states import STEP_NAMES, STEP_OF, WAITING, step_states
from ecgstudio.gui.views import Derived, Views
from ecgstudio.session import Change, ChangeKind
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage

NOTES: Final = {
    **{stage.value: STEP_NAMES[step] for stage, step in STEP_OF.items()},
    Stage.RECONSTRUCT.value: "Reconstruct",
}
"""What a stage's own word is called on the stage bar."""


class Front(QObject):
    """Keeps the parts of a window in step with the bridge."""

    def __init__(
        self, frame: Frame, *, bridge: Bridge, desk: Desk, views: Views, findings: Findings, runner: JobRunner
    ) -> None:
        super().__init__(frame)
        self._frame, self._bridge, self._desk, self._runner = frame, bridge, desk, runner
        self._findings = findings
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.refresh)
        bridge.changed.connect(self._follow)
        bridge.shown.connect(self._show_page)
        bridge.computed.connect(self._follow_page)
        bridge.progressed.connect(self._show_progress)
        bridge.backlog.advanced.connect(self._show_backlog)
        bridge.sessionReplaced.connect(self._replace_session)
        views.derivedChanged.connect(self._show_derived)
        findings.changed.connect(self._soon.start)

    def refresh_soon(self) -> None:
        """Refresh when what is going on has been dealt with."""
        self._soon.start()

    def refresh(self) -> None:
        """Show the state of the page in front everywhere."""
        frame, bridge, page = self._frame, self._bridge, self._bridge.current
        session = bridge.session
        frame.show_welcome(welcome=page is None)
        frame.actions_.enable(self._desk.situation())
        self._show_reconstruction()
        frame.diagnosis_panel.set_state(self._findings.state())
        name = session.path.name if session.path is not None else self.tr("New project")
        frame.setWindowTitle(f"{name}[*] – ECG Studio")
        frame.setWindowModified(session.dirty)
        if page is None:
            frame.stage_bar.set_states(None)
            frame.banner.set_advice(())
            frame.inspector.show_page(EMPTY_ANALYSIS, bridge.corrections, state=WAITING)
            frame.status_line.show_idle()
            return
        analysis, corrections = session.analysis(page), session.corrections(page)
        computing = bridge.is_computing(page)
        states = step_states(session, page, computing=computing)
        frame.stage_bar.set_states(states)
        remarks = () if computing else advice(analysis, corrections, conflicts=session.open_conflicts(page))
        frame.banner.set_advice(remarks)
        frame.inspector.show_page(analysis, corrections, state=states[self._desk.step])
        self._show_checks(analysis, corrections)
        if not self._runner.waiting:
            frame.status_line.show_idle()
            self._order_pages()

    # --- following the bridge --------------------------------------------------------------------------------

    def _follow(self, change: Change) -> None:
        if change.kind is ChangeKind.SETTINGS:
            self._frame.inspector.set_layout_choice(self._bridge.session.settings.traces.layout)
        if change.page is None or change.kind in (ChangeKind.PAGES, ChangeKind.PROJECT):
            self._order_pages()
        else:
            self._frame.page_model.refresh(change.page)
        self._soon.start()

    def _follow_page(self, page: PageId) -> None:
        self._frame.page_model.refresh(page)
        self._soon.start()

    def _replace_session(self) -> None:
        self._order_pages()
        self._frame.inspector.set_layout_choice(self._bridge.session.settings.traces.layout)
        self._soon.start()

    def _show_page(self, page: PageId | None) -> None:
        self._order_pages()
        self._frame.page_list.scrollTo(self._frame.page_model.index_of(page))
        self._soon.start()

    def _order_pages(self) -> None:
        self._frame.page_model.set_pages(self._bridge.session.worst_first())
        self._frame.page_list.set_current(self._bridge.current)

    def _show_progress(self, page: PageId, fraction: float, note: str) -> None:
        if page == self._bridge.current:
            words = QCoreApplication.translate("facts", NOTES.get(note, note))
            self._frame.status_line.show_progress(fraction, words)

    def _show_backlog(self, done: int, total: int) -> None:
        words = self.tr("Reading all pages: %d of %d") % (done, total)
        self._frame.status_line.show_progress(max(done, 0.5) / max(total, 1), words)

    def _show_reconstruction(self) -> None:
        """Show whether traces are reconstructed, and why they cannot be if they cannot."""
        action = self._frame.actions_["reconstruct"]
        action.setChecked(self._bridge.reconstructs)
        self._frame.actions_.explain("reconstruct", self._desk.why_not_reconstructed)

    def _show_derived(self, derived: Derived) -> None:
        self._frame.intervals_panel.set_intervals(derived.intervals)

    def _show_checks(self, analysis: Analysis, corrections: Corrections) -> None:
        grid, ecg = value_of(analysis.grid), value_of(analysis.traces)
        self._frame.checks_view.set_checks(
            value_of(analysis.quality), None if grid is None else grid.scale, ecg, answered=corrections.scale_answer
        )
