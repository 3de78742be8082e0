"""The signal view: a record's leads on true ECG paper, with the tools to arrange, scale and measure them."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QComboBox, QLabel, QSizePolicy, QToolBar, QToolButton, QVBoxLayout, QWidget

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord
from ecgstudio.core.grid import PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.gui.calipers import CaliperTool
from ecgstudio.gui.ecg_paper import PaperFrame, screen_px_per_mm
from ecgstudio.gui.signal_canvas import RIGHT_MM, SignalCanvas
from ecgstudio.gui.strip_layout import Arrangement, lay_out
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.intervals import Intervals

SPEEDS: Final = (12.5, 25.0, 50.0)  # mm/s
GAINS: Final = (5.0, 10.0, 20.0)  # mm/mV
TRUE_SIZE: Final = 1.0
ZOOM_LIMITS: Final = (0.25, 8.0)
SCREEN_LIMITS: Final = (0.5, 2.0)


class SignalView(QWidget):
    """Show twelve leads to scale; read-only but for calipers and fiducials."""

    cursorMoved = Signal(object)  # (lead, t_s, mv) or None
    leadSelected = Signal(str)
    calipersChanged = Signal(object)  # tuple[Caliper, ...]
    fiducialsChanged = Signal(object)  # Intervals with what a human placed

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Signals"))
        self._ecg: DigitizedEcg | None = None
        self._record: EcgRecord | None = None
        self._intervals: Intervals | None = None
        self._calipers: tuple[Caliper, ...] = ()
        self._lead: str | None = None
        self._theme = theme_for(False)
        self._zoom: float | None = TRUE_SIZE  # None: as wide as the view
        self._screen_correction = 1.0
        self._canvas = SignalCanvas(self)
        self._tools: dict[CaliperTool, QToolButton] = {}
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self._make_bar())
        box.addWidget(self._canvas, 1)
        self._canvas.cursorMoved.connect(self.cursorMoved)
        self._canvas.leadSelected.connect(self._on_lead)
        self._canvas.calipersChanged.connect(self._on_calipers)
        self._canvas.fiducialsChanged.connect(self.fiducialsChanged)
        self._canvas.zoomAsked.connect(self._zoom_by)
        self._canvas.viewport().installEventFilter(self)
        self._rebuild()

    # --- the model -------------------------------------------------------------------------------------------------

    def set_ecg(self, ecg: DigitizedEcg | None, record: EcgRecord | None, scale: PaperScale | None) -> None:
        """Show the traces of a page, or a record where there is no page; `scale` says how it was printed."""
        self._ecg, self._record = ecg, record
        if scale is None:
            self._printed.setText("")
        else:
            text = self.tr("printed at {speed:g} mm/s, {gain:g} mm/mV")
            self._printed.setText(text.format(speed=scale.mm_per_s, gain=scale.mm_per_mV))
        self._rebuild()

    def set_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        """Show these calipers."""
        self._calipers = tuple(calipers)
        self._canvas.set_calipers(self._calipers)
        self._clear.setEnabled(bool(self._calipers))

    def set_fiducials(self, intervals: Intervals | None) -> None:
        """Show what was measured."""
        self._intervals = intervals
        self._canvas.set_fiducials(intervals, visible=self._fiducials.isChecked())

    def show_cursor(self, lead: str | None, t_s: float | None) -> None:
        """Show the shared cursor at a moment of a lead, or take it away."""
        self._canvas.show_cursor(lead, t_s)

    def select_lead(self, lead: str | None) -> None:
        """Emphasise a lead."""
        self._lead = lead
        self._canvas.select_lead(lead)

    def select_next_lead(self, step: int = 1) -> None:
        """Choose the next (or, with -1, the previous) lead."""
        at = LEADS.index(self._lead) if self._lead in LEADS else -1 if step > 0 else 0
        self._on_lead(LEADS[(at + step) % len(LEADS)])

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours: red paper in the light theme, dark paper in the dark one, if nobody chose another."""
        self._theme = theme
        self._canvas.set_theme(self._paper_theme())

    # --- how it is shown -------------------------------------------------------------------------------------------

    def set_arrangement(self, arrangement: Arrangement) -> None:
        """Arrange the leads like the page or in a stack."""
        self._arrangement.setCurrentIndex(list(Arrangement).index(arrangement))

    def set_paper(self, *, mm_per_s: float, mm_per_mV: float) -> None:
        """Print at another speed or gain."""
        self._speed.setCurrentIndex(SPEEDS.index(mm_per_s))
        self._gain.setCurrentIndex(GAINS.index(mm_per_mV))

    def set_zoom(self, zoom: float | None) -> None:
        """Show the paper at a multiple of its true size, or as wide as the view (None)."""
        self._zoom = None if zoom is None else min(ZOOM_LIMITS[1], max(ZOOM_LIMITS[0], zoom))
        self._rebuild()

    def set_screen_correction(self, factor: float) -> None:
        """Take a millimetre of this screen for `factor` times as many pixels as the screen itself says."""
        self._screen_correction = min(SCREEN_LIMITS[1], max(SCREEN_LIMITS[0], factor))
        self._rebuild()

    def set_caliper_tool(self, tool: CaliperTool) -> None:
        """Choose what a drag on the paper draws."""
        for each, button in self._tools.items():
            button.setChecked(each is tool)
        self._canvas.set_tool(tool)

    def fit(self) -> None:
        """Make the paper as wide as the view."""
        self.set_zoom(None)

    @property
    def frame(self) -> PaperFrame:
        """How seconds and millivolts lie on the screen now."""
        return self._frame

    @property
    def canvas(self) -> SignalCanvas:
        """The paper itself."""
        return self._canvas

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Fit again when the paper's width changes."""
        if event.type() == QEvent.Type.Resize and self._zoom is None:
            self._rebuild()
        return False

    # --- inside ----------------------------------------------------------------------------------------------------

    def _make_bar(self) -> QToolBar:
        """Make the row of choices; what a narrow view has no room for waits behind the bar's arrow."""
        bar = QToolBar(self)
        bar.setAccessibleName(self.tr("How the signals are shown"))
        self._arrangement = self._choice(
            self.tr("Arrangement"), [self.tr("Like the page"), self.tr("12 leads stacked")]
        )
        self._speed = self._choice(self.tr("Paper speed"), [f"{speed:g} mm/s" for speed in SPEEDS], chosen=1)
        self._gain = self._choice(self.tr("Gain"), [f"{gain:g} mm/mV" for gain in GAINS], chosen=1)
        self._paper = self._choice(
            self.tr("Paper"), [self.tr("Paper as the theme"), self.tr("Red paper"), self.tr("Dark paper")]
        )
        for choice in (self._arrangement, self._speed, self._gain, self._paper):
            bar.addWidget(choice)
        true_size = self._button(self.tr("1:1"), self.tr("True size: a millimetre is a millimetre on this screen"))
        true_size.clicked.connect(self._on_true_size)
        fit = self._button(self.tr("Fit"), self.tr("As wide as the view"))
        fit.clicked.connect(self.fit)
        self._size = QLabel()
        self._size.setAccessibleName(self.tr("Size of the paper on the screen"))
        self._size.setMargin(4)
        for widget in (true_size, fit, self._size):
            bar.addWidget(widget)
        bar.addSeparator()
        for tool, text, hint in (
            (CaliperTool.TIME, self.tr("Time"), self.tr("Time caliper: drag on a lead; + and − march, arrows nudge")),
            (CaliperTool.AMPLITUDE, self.tr("Amplitude"), self.tr("Amplitude caliper: drag up or down on a lead")),
        ):
            button = self._button(text, hint, checkable=True)
            button.clicked.connect(self._on_tool)
            self._tools[tool] = button
            bar.addWidget(button)
        self._clear = self._button(self.tr("Clear"), self.tr("Remove all calipers"))
        self._clear.setEnabled(False)
        self._clear.clicked.connect(self._on_clear)
        self._fiducials = self._button(
            self.tr("Fiducials"), self.tr("Show where intervals were measured"), checkable=True
        )
        self._fiducials.setChecked(True)
        self._fiducials.toggled.connect(self._on_fiducials)
        self._checks = self._button(
            self.tr("Checks"), self.tr("Show what should be zero under the traces"), checkable=True
        )
        self._checks.setChecked(True)
        self._checks.toggled.connect(self._rebuild)
        for widget in (self._clear, self._fiducials, self._checks):
            bar.addWidget(widget)
        room = QWidget(self)
        room.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(room)
        self._printed = QLabel()
        self._printed.setAccessibleName(self.tr("Scale of the printed page"))
        bar.addWidget(self._printed)
        return bar

    def _choice(self, name: str, texts: list[str], *, chosen: int = 0) -> QComboBox:
        box = QComboBox(self)
        box.addItems(texts)
        box.setCurrentIndex(chosen)
        box.setAccessibleName(name)
        box.setToolTip(name)
        box.currentIndexChanged.connect(self._rebuild)
        return box

    def _button(self, text: str, hint: str, *, checkable: bool = False) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(hint)
        button.setAccessibleName(text)
        button.setAccessibleDescription(hint)
        button.setCheckable(checkable)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return button

    def _rebuild(self) -> None:
        """Lay the strips out anew; their number is small, and nothing else depends on the old ones."""
        gain = GAINS[self._gain.currentIndex()]
        layout = lay_out(
            self._ecg, self._record, arrangement=list(Arrangement)[self._arrangement.currentIndex()],
            mm_per_mV=gain, checks=self._checks.isChecked(),
        )  # fmt: skip
        true_px_per_mm = screen_px_per_mm(self) * self._screen_correction
        frame = PaperFrame(true_px_per_mm, SPEEDS[self._speed.currentIndex()], gain)
        zoom = self._zoom
        if zoom is None:
            width_mm = frame.left_mm + layout.duration_s * frame.mm_per_s + RIGHT_MM
            zoom = max(ZOOM_LIMITS[0], self._canvas.viewport().width() / (width_mm * true_px_per_mm))
        self._frame = PaperFrame(true_px_per_mm * zoom, frame.mm_per_s, frame.mm_per_mV)
        self._size.setText(self.tr("true size") if abs(zoom - 1) < 1e-3 else self.tr("{zoom:.0%}").format(zoom=zoom))
        self._canvas.set_theme(self._paper_theme())
        self._canvas.set_layout(layout, self._frame)

    def _paper_theme(self) -> Theme:
        """Return the colours of the chosen paper."""
        dark = (self._theme.dark, False, True)[self._paper.currentIndex()]
        return self._theme if dark == self._theme.dark else theme_for(dark)

    def _zoom_by(self, factor: float) -> None:
        now = self._frame.px_per_mm / (screen_px_per_mm(self) * self._screen_correction)
        self.set_zoom(now * factor)

    def _on_true_size(self) -> None:
        self.set_zoom(TRUE_SIZE)

    def _on_tool(self) -> None:
        chosen = next((tool for tool, button in self._tools.items() if button is self.sender()), CaliperTool.NONE)
        pressed = chosen is not CaliperTool.NONE and self._tools[chosen].isChecked()
        self.set_caliper_tool(chosen if pressed else CaliperTool.NONE)

    def _on_clear(self) -> None:
        self.set_calipers(())
        self.calipersChanged.emit(())

    def _on_fiducials(self, visible: bool) -> None:
        self._canvas.set_fiducials(self._intervals, visible=visible)

    def _on_lead(self, lead: str) -> None:
        self.select_lead(lead)
        self.leadSelected.emit(lead)

    def _on_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        self._calipers = calipers
        self._clear.setEnabled(bool(calipers))
        self.calipersChanged.emit(calipers)
