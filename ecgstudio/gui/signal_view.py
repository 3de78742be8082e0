"""The signal view: a record's leads on true ECG paper, with the tools to arrange, scale and measure them."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord
from ecgstudio.core.grid import PaperScale
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.gui.attribution import Attribution
from ecgstudio.gui.calipers import CaliperTool
from ecgstudio.gui.ecg_paper import PaperFrame, screen_px_per_mm
from ecgstudio.gui.signal_bar import SignalBar
from ecgstudio.gui.signal_canvas import RIGHT_MM, SignalCanvas
from ecgstudio.gui.strip_layout import Arrangement, lay_out, with_rebuilt
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.intervals import Intervals

TRUE_SIZE: Final = 1.0
ZOOM_LIMITS: Final = (0.25, 8.0)


class SignalView(QWidget):
    """Show twelve leads to scale; read-only but for calipers and fiducials."""

    cursorMoved = Signal(object)  # (lead, t_s, mv) or None
    leadSelected = Signal(str)
    calipersChanged = Signal(object)  # tuple[Caliper, ...]
    fiducialsChanged = Signal(object)  # Intervals with what a human placed
    screenChanged = Signal()  # shown on a screen, at first or another than before

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Signals"))
        self._ecg: DigitizedEcg | None = None
        self._record: EcgRecord | None = None
        self._rebuilt: Reconstruction | None = None
        self._intervals: Intervals | None = None
        self._calipers: tuple[Caliper, ...] = ()
        self._theme = theme_for(False)
        self._zoom: float | None = TRUE_SIZE  # None: as wide as the view
        self._screen_px_per_mm: float | None = None
        self._canvas = SignalCanvas(self)
        self._bar = SignalBar(self)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self._bar)
        box.addWidget(self._canvas, 1)
        self._canvas.cursorMoved.connect(self.cursorMoved)
        self._canvas.leadSelected.connect(self._on_lead)
        self._canvas.calipersChanged.connect(self._on_calipers)
        self._canvas.fiducialsChanged.connect(self.fiducialsChanged)
        self._canvas.zoomAsked.connect(self._zoom_by)
        self._canvas.viewport().installEventFilter(self)
        self._bar.changed.connect(self._rebuild)
        self._bar.trueSizeAsked.connect(self._on_true_size)
        self._bar.fitAsked.connect(self.fit)
        self._bar.toolChosen.connect(self.set_caliper_tool)
        self._bar.clearAsked.connect(self._on_clear)
        self._bar.marksToggled.connect(self._on_marks)
        self._rebuild()

    # --- the model -------------------------------------------------------------------------------------------------

    def set_ecg(
        self,
        ecg: DigitizedEcg | None,
        record: EcgRecord | None,
        scale: PaperScale | None,
        rebuilt: Reconstruction | None = None,
    ) -> None:
        """Show the traces of a page, or a record where there is no page; `scale` says how it was printed.

        `rebuilt` is what the reconstruction would have in the place of the page's traces.
        """
        self._ecg, self._record, self._rebuilt = ecg, record, rebuilt
        text = self.tr("printed: {speed:g} mm/s, {gain:g} mm/mV")
        self._bar.show_printed("" if scale is None else text.format(speed=scale.mm_per_s, gain=scale.mm_per_mV))
        self._rebuild()

    def set_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        """Show these calipers."""
        self._calipers = tuple(calipers)
        self._canvas.set_calipers(self._calipers)
        self._bar.enable_clear(enabled=bool(self._calipers))

    def set_fiducials(self, intervals: Intervals | None) -> None:
        """Show what was measured."""
        self._intervals = intervals
        self._canvas.set_fiducials(intervals, visible=self._bar.marks)

    def show_doubt(self, *, shade: bool) -> None:
        """Shade what was read with doubt, or leave it plain."""
        self._canvas.show_doubt(shade=shade)

    def show_attribution(self, attribution: Attribution | None) -> None:
        """Show under the traces what drove a finding, or nothing."""
        self._canvas.show_attribution(attribution)

    def show_cursor(self, lead: str | None, t_s: float | None) -> None:
        """Show the shared cursor at a moment of a lead, or take it away."""
        self._canvas.show_cursor(lead, t_s)

    def select_lead(self, lead: str | None) -> None:
        """Emphasise a lead."""
        self._canvas.select_lead(lead)

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours: red paper in the light theme, dark paper in the dark one, if nobody chose another."""
        self._theme = theme
        self._bar.set_theme(theme)
        self._canvas.set_theme(self._paper_theme())

    # --- how it is shown -------------------------------------------------------------------------------------------

    def set_arrangement(self, arrangement: Arrangement) -> None:
        """Arrange the leads like the page or in a stack."""
        self._bar.choose(arrangement=arrangement)

    def set_paper(self, *, mm_per_s: float, mm_per_mV: float) -> None:
        """Print at another speed or gain."""
        self._bar.choose(mm_per_s=mm_per_s, mm_per_mV=mm_per_mV)

    def set_zoom(self, zoom: float | None) -> None:
        """Show the paper at a multiple of its true size, or as wide as the view (None)."""
        self._zoom = None if zoom is None else min(ZOOM_LIMITS[1], max(ZOOM_LIMITS[0], zoom))
        self._rebuild()

    def set_screen_px_per_mm(self, px_per_mm: float | None) -> None:
        """Say how many pixels a millimetre of this screen has; None: as many as the screen itself says."""
        if px_per_mm != self._screen_px_per_mm:
            self._screen_px_per_mm = px_per_mm
            self._rebuild()

    def set_caliper_tool(self, tool: CaliperTool) -> None:
        """Choose what a drag on the paper draws."""
        self._bar.show_tool(tool)
        self._canvas.set_tool(tool)

    def fit(self) -> None:
        """Make the paper as wide as the view."""
        self.set_zoom(None)

    @property
    def frame(self) -> PaperFrame:
        """How seconds and millivolts lie on the screen now."""
        return self._frame

    @property
    def bar(self) -> SignalBar:
        """The choices over the paper."""
        return self._bar

    @property
    def canvas(self) -> SignalCanvas:
        """The paper itself."""
        return self._canvas

    def event(self, event: QEvent) -> bool:
        """Tell when the view comes to another screen."""
        if event.type() in (QEvent.Type.ScreenChangeInternal, QEvent.Type.Show):
            self.screenChanged.emit()
        return super().event(event)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Fit again when the paper's width changes."""
        if event.type() == QEvent.Type.Resize and self._zoom is None:
            self._rebuild()
        return False

    # --- inside ----------------------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Lay the strips out anew; their number is small, and nothing else depends on the old ones."""
        bar = self._bar
        layout = lay_out(
            self._ecg, self._record, arrangement=bar.arrangement, mm_per_mV=bar.mm_per_mV, checks=bar.checks
        )
        layout = with_rebuilt(layout, self._ecg, self._rebuilt)
        true_px_per_mm = self._true_px_per_mm()
        frame = PaperFrame(true_px_per_mm, bar.mm_per_s, bar.mm_per_mV)
        zoom = self._zoom
        if zoom is None:
            width_mm = frame.left_mm + layout.duration_s * frame.mm_per_s + RIGHT_MM
            zoom = max(ZOOM_LIMITS[0], self._canvas.viewport().width() / (width_mm * true_px_per_mm))
        self._frame = PaperFrame(true_px_per_mm * zoom, frame.mm_per_s, frame.mm_per_mV)
        bar.show_size(self.tr("true size") if abs(zoom - 1) < 1e-3 else self.tr("{zoom:.0%}").format(zoom=zoom))
        self._canvas.set_theme(self._paper_theme())
        self._canvas.set_layout(layout, self._frame)

    def _paper_theme(self) -> Theme:
        """Return the colours of the chosen paper."""
        dark = self._bar.dark_paper
        return self._theme if dark is None or dark == self._theme.dark else theme_for(dark)

    def _true_px_per_mm(self) -> float:
        return self._screen_px_per_mm or screen_px_per_mm(self)

    def _zoom_by(self, factor: float) -> None:
        now = self._frame.px_per_mm / self._true_px_per_mm()
        self.set_zoom(now * factor)

    def _on_true_size(self) -> None:
        self.set_zoom(TRUE_SIZE)

    def _on_clear(self) -> None:
        self.set_calipers(())
        self.calipersChanged.emit(())

    def _on_marks(self, visible: bool) -> None:
        self._canvas.set_fiducials(self._intervals, visible=visible)

    def _on_lead(self, lead: str) -> None:
        self.select_lead(lead)
        self.leadSelected.emit(lead)

    def _on_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        self._calipers = calipers
        self._bar.enable_clear(enabled=bool(calipers))
        self.calipersChanged.emit(calipers)
