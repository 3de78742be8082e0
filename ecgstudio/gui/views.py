"""Page view and signal view together: one page, one cursor, one set of calipers, one selected lead.

Both views are drawn from the bridge; what they need beyond the answers (unexplained ink, intervals) is worked out
behind the window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PySide6.QtCore import QCoreApplication, QObject, Signal

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.corrections import FiducialEdit
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page, PageId
from ecgstudio.gui.attribution import Attribution
from ecgstudio.gui.bridge import Bridge, is_about
from ecgstudio.gui.calipers import CaliperTool
from ecgstudio.gui.computing import Values
from ecgstudio.gui.facts import value_of
from ecgstudio.gui.hit_test import hit_trace
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus, Pool
from ecgstudio.gui.loading import Preview
from ecgstudio.gui.overlays import Layer, Tool
from ecgstudio.gui.page_view import PageView
from ecgstudio.gui.signal_cursor import cursor_text, mv_at, rebuilt_text
from ecgstudio.gui.signal_view import SignalView
from ecgstudio.gui.states import Step
from ecgstudio.gui.tools import HINTS
from ecgstudio.gui.trace_frame import trace_of_lead
from ecgstudio.session import Change
from ecgstudio.stages.intervals import Intervals, measure_intervals
from ecgstudio.stages.printback import Residual, print_back

XY = tuple[float, float]

CURSOR_REACH_MM: Final = 15.0
WORST_ZOOM: Final = 1.5  # screen pixels per page pixel
UNSURE: Final = 0.5
LEAST_DOUBT_S: Final = 0.1
MAX_PLACES: Final = 30
DERIVED: Final = "derived"

STEP_LAYERS: Final = {
    Step.NORMALIZE: frozenset({Layer.KEYPOINTS}),
    Step.GRID: frozenset({Layer.GRID}),
    Step.DIGITIZE: frozenset({Layer.TRACES, Layer.UNCERTAIN}),
    Step.REVIEW: frozenset({Layer.TRACES, Layer.UNCERTAIN, Layer.DRIVING}),
    Step.EXPORT: frozenset({Layer.TRACES}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """What is worked out from the answers for the views alone."""

    residual: Residual | None
    intervals: Intervals | None


def derive(
    page: Page,
    grid: GridFit,
    ecg: DigitizedEcg,
    keypoints: Keypoints | None,
    record: EcgRecord | None,
    status: JobStatus,
) -> Derived:
    """Print the traces back and measure the intervals."""
    status.let_window_go_first()
    residual = print_back(page, grid, ecg, keypoints=keypoints)
    status.checkpoint(0.7)
    return Derived(residual, None if record is None else measure_intervals(record))


def doubtful_places(ecg: DigitizedEcg) -> tuple[XY, ...]:
    """Return the middles of the stretches that were read without confidence or not at all, the longest first."""
    found: list[tuple[float, XY]] = []
    for trace in ecg.traces:
        doubtful = (~np.isfinite(trace.mv) | (trace.confidence < UNSURE)) & np.isfinite(trace.xy).all(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], doubtful, [False]])))
        for start, end in edges.reshape(-1, 2):
            if end - start < LEAST_DOUBT_S * trace.fs:
                continue
            x, y = trace.xy[start:end].mean(axis=0)
            found.append(((end - start) / trace.fs, (float(x), float(y))))
    return tuple(xy for _, xy in sorted(found, reverse=True))


class Views(QObject):
    """Keeps the two views in step with the bridge and with each other."""

    cursorSaid = Signal(str)  # time and voltage under the mouse, or empty
    derivedChanged = Signal(object)  # Derived
    said = Signal(str)
    layersChanged = Signal(object)  # frozenset[Layer]

    def __init__(
        self, bridge: Bridge, *, runner: JobRunner, page_view: PageView, signal_view: SignalView, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bridge, self._runner = bridge, runner
        self._page_view, self._signal_view = page_view, signal_view
        self._drawn = Values(None, None, None)
        self._record: EcgRecord | None = None
        self._derived = Derived(None, None)
        self._derived_from: tuple[object, object] = (None, None)
        self._placed: FiducialEdit | None = None  # what is in the fiducials that are shown
        self._attribution: Attribution | None = None
        self._place: XY | None = None
        self._lead = ""
        self._layers = STEP_LAYERS[Step.REVIEW]
        bridge.shown.connect(self._show_page)
        bridge.pageLoaded.connect(self._take_page)
        bridge.previewLoaded.connect(self._take_preview)
        bridge.changed.connect(self._follow)
        page_view.cursorMoved.connect(self._page_cursor)
        signal_view.cursorMoved.connect(self._signal_cursor)
        page_view.leadSelected.connect(self.select_lead)
        signal_view.leadSelected.connect(self.select_lead)
        page_view.calipersChanged.connect(self._set_calipers)
        signal_view.calipersChanged.connect(self._set_calipers)
        signal_view.fiducialsChanged.connect(self._place_fiducials)
        page_view.keypointsEdited.connect(bridge.edit_keypoints)
        page_view.gridEdited.connect(bridge.edit_grid)
        page_view.tracesEdited.connect(bridge.edit_traces)
        page_view.set_visible_layers(self._layers)

    @property
    def layers(self) -> frozenset[Layer]:
        """What is drawn over the page."""
        return self._layers

    def show_step(self, step: Step) -> None:
        """Draw what a step is about."""
        self.set_layers(STEP_LAYERS[step])

    def set_layers(self, layers: frozenset[Layer]) -> None:
        """Draw these layers and no other."""
        self._layers = layers
        self._page_view.set_visible_layers(layers)
        self._signal_view.show_doubt(shade=Layer.UNCERTAIN in layers or Layer.TRACES not in layers)
        self._show_attribution()
        self.layersChanged.emit(layers)

    def set_layer(self, layer: Layer, *, visible: bool) -> None:
        """Draw a layer or leave it out."""
        if (layer in self._layers) != visible:
            self.set_layers(self._layers | {layer} if visible else self._layers - {layer})

    def set_attribution(self, attribution: Attribution | None) -> None:
        """Draw what drove a finding, on the page and on the signals, or nothing."""
        self._attribution = attribution
        self._page_view.set_attribution(attribution)
        self._show_attribution()

    def _show_attribution(self) -> None:
        self._signal_view.show_attribution(self._attribution if Layer.DRIVING in self._layers else None)

    def set_tool(self, tool: Tool) -> None:
        """Take a tool; calipers are set on the paper and on the signals alike."""
        self._page_view.set_tool(tool)
        if HINTS[tool]:
            self.said.emit(QCoreApplication.translate("Tools", HINTS[tool]))
        self._signal_view.set_caliper_tool(CaliperTool.TIME if tool is Tool.CALIPER else CaliperTool.NONE)

    def show_original(self, *, original: bool) -> None:
        """Draw nothing over the page for as long as a key is held."""
        self._page_view.set_visible_layers(frozenset() if original else self._layers)

    def select_lead(self, lead: str) -> None:
        """Let a lead stand out in both views."""
        if lead != self._lead:
            self._lead = lead
            self._page_view.select_lead(lead)
            self._signal_view.select_lead(lead)

    def next_lead(self) -> None:
        """Go to the next lead that was read."""
        ecg = self._drawn.traces
        there = [lead for lead in LEADS if ecg is not None and ecg.of(lead)]
        if there:
            self.select_lead(there[(there.index(self._lead) + 1) % len(there) if self._lead in there else 0])

    def go_to_worst(self) -> None:
        """Go to the place with the most unexplained ink, then on to the next."""
        places = [place.xy for place in self._derived.residual.places] if self._derived.residual is not None else []
        ink = len(places)
        if self._drawn.traces is not None:
            places += doubtful_places(self._drawn.traces)
        del places[MAX_PLACES:]
        if not places:
            self.said.emit(self.tr("Every sample was read with confidence, and all ink is explained."))
            return
        at = (places.index(self._place) + 1) % len(places) if self._place in places else 0
        self._place = places[at]
        self._page_view.go_to(self._place, zoom=WORST_ZOOM)
        why = self.tr("ink that no trace explains") if at < ink else self.tr("read without confidence")
        self.said.emit(self.tr("Place %d of %d: %s.") % (at + 1, len(places), why))

    def redraw(self) -> None:
        """Draw what has changed."""
        values, corrections, current = self._bridge.values, self._bridge.corrections, self._bridge.current
        record = None if current is None else value_of(self._bridge.session.analysis(current).record)
        if values.keypoints is not self._drawn.keypoints:
            self._page_view.set_keypoints(values.keypoints, corrections.keypoints)
        if values.grid is not self._drawn.grid:
            self._page_view.set_grid(values.grid, corrections.grid)
        traces_changed = values.traces is not self._drawn.traces
        if traces_changed:
            self._page_view.set_traces(values.traces, corrections.traces)
        if values.rebuilt is not self._drawn.rebuilt:
            self._page_view.set_rebuilt(values.rebuilt)
        here = (values.grid, record, values.rebuilt)
        if traces_changed or here != (self._drawn.grid, self._record, self._drawn.rebuilt):
            scale = None if values.grid is None else values.grid.scale
            self._signal_view.set_ecg(values.traces, record, scale, values.rebuilt)
        self._drawn, self._record = values, record
        if corrections.fiducials != self._placed:
            self._show_derived()
        self._derive()

    # --- following the bridge --------------------------------------------------------------------------------

    def _show_page(self, page: PageId | None) -> None:
        self._page_view.set_calipers(())
        self._signal_view.set_calipers(())
        self._place, self._lead = None, ""
        if self._bridge.page is None:
            self._page_view.set_page(None)
        self._drawn, self._record = Values(None, None, None), None
        self._page_view.set_keypoints(None, None)
        self._page_view.set_grid(None, None)
        self._page_view.set_traces(None, None)
        self._page_view.set_rebuilt(None)
        self._signal_view.set_ecg(None, None, None)
        self._set_derived(Derived(None, None))
        if self._bridge.page is not None:
            self.redraw()

    def _take_preview(self, preview: Preview) -> None:
        self._page_view.set_preview(preview.pixels, preview.full_size)

    def _take_page(self, page: Page) -> None:
        self._page_view.set_page(page, self._bridge.pages.picture(page.id))
        self._page_view.set_attribution(self._attribution)
        self._drawn, self._record = Values(None, None, None), None
        self.redraw()

    def _follow(self, change: Change) -> None:
        if self._bridge.page is not None and is_about(change, self._bridge.current):
            self.redraw()

    def _derive(self) -> None:
        page, values = self._bridge.page, self._drawn
        if page is None or values.grid is None or values.traces is None:
            return
        if self._derived_from[0] is values.traces and self._derived_from[1] is self._record:
            return
        self._derived_from = values.traces, self._record
        grid, ecg, keypoints, record = values.grid, values.traces, values.keypoints, self._record
        self._runner.submit(
            Job(
                JobKey(DERIVED),
                lambda status: derive(page, grid, ecg, keypoints, record, status),
                self._set_derived,
                self._miss_derived,
                pool=Pool.DISK,
            )
        )

    def _set_derived(self, derived: Derived) -> None:
        if derived.residual is None and derived.intervals is None:
            self._derived_from = (None, None)
            self._runner.cancel(JobKey(DERIVED))
        self._derived = derived
        self._page_view.set_residual(None if derived.residual is None else derived.residual.mask)
        self._show_derived()

    def _show_derived(self) -> None:
        """Show what was measured, with the fiducials where a human placed them."""
        derived, self._placed = self._derived, self._bridge.corrections.fiducials
        if derived.intervals is not None:
            derived = replace(derived, intervals=derived.intervals.with_edit(self._placed))
        self._signal_view.set_fiducials(derived.intervals)
        self.derivedChanged.emit(derived)

    def _miss_derived(self, sentence: str) -> None:
        self.said.emit(self.tr("Intervals and unexplained ink could not be worked out: %s") % sentence)

    def measure_again(self) -> None:
        """Take back which fiducials were placed by hand."""
        self._bridge.edit_fiducials(None, self.tr("Wave marks as measured"))

    def _place_fiducials(self, intervals: Intervals) -> None:
        before = self._placed.places if self._placed is not None else ()
        edit = intervals.edit
        moved = [place.fiducial for place in edit.places if place not in before] if edit is not None else []
        self._bridge.edit_fiducials(edit, self.tr("Move the %s") % ", ".join(self.tr(name) for name in moved))

    # --- one cursor, one set of calipers ---------------------------------------------------------------------

    def _page_cursor(self, xy: XY | None) -> None:
        ecg, grid = self._drawn.traces, self._drawn.grid
        if xy is None or ecg is None or grid is None:
            self._signal_view.show_cursor(None, None)
            self.cursorSaid.emit("" if xy is None else f"x {xy[0]:.0f}  y {xy[1]:.0f}")
            return
        hit = hit_trace(ecg, xy, reach_px=CURSOR_REACH_MM * grid.px_per_mm)
        if hit is None:
            self._signal_view.show_cursor(None, None)
            self.cursorSaid.emit(f"x {xy[0]:.0f}  y {xy[1]:.0f}")
            return
        trace = ecg.traces[hit.index]
        t_s = trace.t0_s + hit.sample / trace.fs
        self._signal_view.show_cursor(trace.lead, t_s)
        self.cursorSaid.emit(self._words(trace, t_s))

    def _signal_cursor(self, place: tuple[str, float, float] | None) -> None:
        if place is None:
            self._page_view.show_cursor(None, None, None)
            self.cursorSaid.emit("")
            return
        lead, t_s, mv = place
        self._page_view.show_cursor(lead, t_s, None)
        trace = trace_of_lead(self._drawn.traces, lead, t_s)
        if trace is not None:
            self.cursorSaid.emit(self._words(trace, t_s))
        else:
            self.cursorSaid.emit(cursor_text(lead, t_s, mv, np.nan))

    def _set_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        self._page_view.set_calipers(calipers)
        self._signal_view.set_calipers(calipers)

    def _words(self, trace: LeadTrace, t_s: float) -> str:
        sample, ecg, rebuilt = (t_s - trace.t0_s) * trace.fs, self._drawn.traces, self._drawn.rebuilt
        said = ""
        if ecg is not None and rebuilt is not None:
            at = next((i for i, other in enumerate(ecg.traces) if other is trace), None)
            said = "" if at is None else rebuilt_text(rebuilt.traces[at], sample)
        return cursor_text(trace.lead, t_s, mv_at(trace.mv, sample), mv_at(trace.confidence, sample)) + said
