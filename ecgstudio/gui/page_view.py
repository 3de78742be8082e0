"""The page with its overlays: what you see you can take, and each finished gesture is one signal.

The view shows values and stores none of its own: a gesture is previewed here and handed over as an edit, and the
corrected values come back through `set_keypoints`, `set_grid` and `set_traces`. Painted on a plain widget: the layers
that hold thousands of lines are composed into one picture, which stands while the pointer only hovers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, Signal
from PySide6.QtGui import QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QMenu, QWidget

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.corrections import GridEdit, KeypointEdit, TraceEdit
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEAD_INDEX, Layout
from ecgstudio.core.page import Page
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.gui import keypoint_gestures
from ecgstudio.gui.asking import Questions
from ecgstudio.gui.attribution import Attribution
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.composition import residual_picture
from ecgstudio.gui.gestures import Asker, CaliperSet, Done, Pointer, Scene
from ecgstudio.gui.hand import Hand, Selected
from ecgstudio.gui.hit_test import Kind
from ecgstudio.gui.keypoint_overlay import shown_name
from ecgstudio.gui.linked_marks import moment_xy
from ecgstudio.gui.page_input import PageInput
from ecgstudio.gui.page_painter import PagePainter, Shown
from ecgstudio.gui.page_picture import PagePicture
from ecgstudio.gui.template import place_template
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.gui.tools import Layer, Tool

__all__ = ["Layer", "PageView", "Tool"]

XY = tuple[float, float]


class PageView(QWidget):
    """Show a page and let the tool at hand correct what was found on it.

    `asker` asks for what a gesture cannot say; `magnifying` and `snap` may be switched off.
    """

    cursorMoved = Signal(object)  # (x_px, y_px) or None
    keypointsEdited = Signal(object, str)  # KeypointEdit, text for undo
    gridEdited = Signal(object, str)  # GridEdit, text
    tracesEdited = Signal(object, str)  # TraceEdit, text
    calipersChanged = Signal(object)  # tuple[Caliper, ...]
    leadSelected = Signal(str)
    zoomChanged = Signal(float)  # screen px per page px

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Page"))
        self.setAccessibleDescription(self.tr("The scanned page; arrow keys nudge what is selected"))
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.asker: Asker = Questions(self)
        self.magnifying, self.snap = True, True
        self.hand: Final = Hand()
        self._page: Page | None = None
        self._shown = Shown(theme=theme_for(False))
        self._camera = Camera()
        self._fitted, self._awaiting = True, False
        self._keypoint_edit: KeypointEdit | None = None
        self._grid_edit: GridEdit | None = None
        self._trace_edit: TraceEdit | None = None
        self._painter: Final = PagePainter()
        self._input: Final = PageInput(self)

    # --- what is shown ----------------------------------------------------------------------------------------------

    def set_page(self, page: Page | None, picture: PagePicture | None = None) -> None:
        """Show a page; what was found on another one goes. Without its picture one is made, which takes a moment."""
        keeps_view = self._awaiting and page is not None and (page.width, page.height) == self.page_size
        if page is None or self._page is None or page.id != self._page.id:
            self._forget(keep_camera=keeps_view)
        self._page, self._awaiting = page, False
        if page is None:
            self._show(picture=None)
            return
        self._show(picture=picture or PagePicture.of_page(page.pixels))
        if self._fitted:
            self.fit()

    def set_preview(self, pixels_small: NDArray[np.uint8], full_size: tuple[int, int]) -> None:
        """Show a small picture in the place of a page of (width, height) that is still being read."""
        self._forget(keep_camera=False)
        self._page, self._awaiting = None, True
        self._show(picture=PagePicture.of_preview(pixels_small, full_size))
        self.fit()

    def set_keypoints(self, value: Keypoints | None, edit: KeypointEdit | None) -> None:
        """Show the keypoints, which have the edit in them already; the page turns as they say."""
        self._keypoint_edit = edit
        self._show(keypoints=value)
        angle_rad, mirrored = keypoint_gestures.pose(value)
        if (angle_rad, mirrored) != (self._camera.angle_rad, self._camera.mirrored):
            self.set_camera(self._camera.turned(angle_rad, mirrored=mirrored), fitted=self._fitted)
            if self._fitted:
                self.fit()

    def set_grid(self, value: GridFit | None, edit: GridEdit | None) -> None:
        """Show the grid, which has the edit in it already."""
        self._grid_edit = edit
        self._show(grid=value)

    def set_traces(self, value: DigitizedEcg | None, edit: TraceEdit | None) -> None:
        """Show the traces, which have the edit in them already."""
        self._trace_edit = edit
        self._show(traces=value)

    def set_rebuilt(self, reconstruction: Reconstruction | None) -> None:
        """Show what the reconstruction would have beside the traces, or nothing."""
        self._show(rebuilt=reconstruction)

    def set_residual(self, mask: NDArray[np.bool_] | None) -> None:
        """Colour the ink that no trace explains; the mask [h, w] may be smaller than the page."""
        self._show(residual=None if mask is None else residual_picture(mask, self.page_size))

    def set_attribution(self, attribution: Attribution | None) -> None:
        """Show under the traces what drove a finding."""
        self._show(attribution=attribution)

    def set_visible_layers(self, layers: frozenset[Layer]) -> None:
        """Draw these layers and no other."""
        self._show(layers=frozenset(layers))

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._show(theme=theme)

    def show_cursor(self, lead: str | None, t_s: float | None, xy: XY | None) -> None:
        """Show the shared cursor at a place or, without one, at a moment of a lead; hide it without both."""
        if xy is None and lead is not None and t_s is not None:
            xy = moment_xy(self._shown.traces, lead, t_s)
        self._show(cursor=xy)

    def set_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        """Show these calipers on their leads."""
        self._show(calipers=tuple(calipers))

    def select_lead(self, lead: str) -> None:
        """Let the traces of a lead stand out; no lead does so for ""."""
        self._show(lead=lead)

    def set_tool(self, tool: Tool) -> None:
        """Take another tool; a gesture that is under way is dropped."""
        self.hand.take(Tool(tool))
        self._input.show_cursor_shape()
        self.update()

    # --- where one looks --------------------------------------------------------------------------------------------

    @property
    def page_size(self) -> tuple[int, int]:
        """Width and height of the page in its own pixels."""
        return self._shown.picture.size if self._shown.picture is not None else (1, 1)

    @property
    def camera(self) -> Camera:
        """How the page lies on the screen."""
        return self._camera

    def set_camera(self, camera: Camera, *, fitted: bool = False) -> None:
        """Look at the page in another way; `fitted` keeps the whole page in the view when it is resized."""
        zoomed = camera.zoom != self._camera.zoom
        self._camera, self._fitted = camera, fitted
        if zoomed:
            self.zoomChanged.emit(camera.zoom)
        self.update()

    def go_to(self, xy: XY, *, zoom: float | None = None) -> None:
        """Bring a page pixel to the middle, at a zoom in screen px per page px."""
        self.set_camera(replace(self._camera, centre=xy, zoom=self._camera.zoom if zoom is None else zoom))

    def fit(self) -> None:
        """Show the whole page."""
        camera = self._camera.resized((self.width(), self.height()))
        self.set_camera(camera.fitted(self.page_size), fitted=True)

    def zoom_by(self, factor: float) -> None:
        """Come nearer to the middle of the view."""
        self.set_camera(self._camera.zoomed(factor, at=(self.width() / 2, self.height() / 2)))

    def hold_pan(self, *, held: bool) -> None:
        """Let the left button pan while a key is held."""
        self._input.hold_pan(held=held)

    # --- corrections without a pointer ------------------------------------------------------------------------------

    def turn_quarter(self, *, clockwise: bool) -> None:
        """Correct the orientation by 90 degrees."""
        self._turn(np.pi / 2 if clockwise else -np.pi / 2, 90.0 if clockwise else -90.0)

    def turn_by(self, degrees: float) -> None:
        """Correct the fine rotation; positive turns the picture clockwise."""
        self._turn(float(np.radians(degrees)), degrees)

    def mirror(self) -> None:
        """Correct the mirroring, left for right."""
        if self._shown.picture is not None:
            edit = keypoint_gestures.flipped(self._shown.keypoints, self._keypoint_edit, size=self.page_size)
            self.commit(Done(edit, "Mirror the page"))

    def place_template(self, layout: Layout) -> None:
        """Put the names of a template in their places."""
        if self._shown.picture is not None:
            edit = place_template(layout, self._shown.keypoints, self._keypoint_edit, size=self.page_size)
            self.commit(Done(edit, "Lay out the leads as {0}", layout.name))

    def menu_at(self, xy: XY) -> QMenu | None:
        """Return the menu of a place on the page; None if nothing can be done there."""
        x, y = self._camera.to_screen(xy)
        return self._input.menu_at(Pointer(xy, (float(x), float(y))))

    def _turn(self, by_rad: float, degrees: float) -> None:
        if self._shown.picture is not None:
            edit = keypoint_gestures.turned(
                self._shown.keypoints, self._keypoint_edit, by_rad=by_rad, size=self.page_size
            )
            self.commit(Done(edit, "Turn the page by {0}°", f"{degrees:+g}"))

    def commit(self, done: Done | None) -> None:
        """Hand over what came of a gesture, as one signal."""
        self.update()
        if done is None:
            return
        text = QCoreApplication.translate("Gestures", done.text).format(shown_name(done.subject))
        match done.edit:
            case KeypointEdit():
                self.keypointsEdited.emit(done.edit, text)
            case GridEdit():
                self.gridEdited.emit(done.edit, text)
            case TraceEdit():
                self.tracesEdited.emit(done.edit, text)
            case CaliperSet():
                self.set_calipers(done.edit.calipers)
                self.calipersChanged.emit(done.edit.calipers)

    def choose(self, selected: Selected | None) -> None:
        """Tell which lead the selected name or trace is of."""
        hit = self.hand.found(self.scene())
        lead = ""
        if selected is not None and hit is not None:
            if hit.kind is Kind.TRACE and self._shown.traces is not None:
                lead = self._shown.traces.traces[hit.index].lead
            elif hit.kind is Kind.KEYPOINT and self._shown.keypoints is not None:
                lead = self._shown.keypoints.names[hit.index]
        if lead in LEAD_INDEX:
            self.select_lead(lead)
            self.leadSelected.emit(lead)

    # --- painting and events ----------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """Return what a gesture that begins now may look at; what is hidden cannot be taken."""
        shown = self._shown
        return Scene(
            self.page_size,
            camera=self._camera,
            pixels=self._page.pixels if self._page is not None else None,
            keypoints=shown.keypoints,
            keypoint_edit=self._keypoint_edit,
            grid=shown.grid,
            grid_edit=self._grid_edit,
            traces=shown.traces,
            trace_edit=self._trace_edit,
            calipers=shown.calipers,
            lead=shown.lead,
            snap=self.snap,
        )

    @property
    def shown(self) -> Shown:
        """All that is shown at the moment."""
        return self._shown

    def sizeHint(self) -> QSize:
        """Ask for room to read a page."""
        return QSize(900, 640)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the page, its overlays and the gesture under way."""
        scene = self.scene()
        self._painter.paint(self, self._shown, scene, self.hand, magnifying=self.magnifying)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the middle, or the whole page, in the view."""
        self.set_camera(self._camera.resized((self.width(), self.height())), fitted=self._fitted)
        if self._fitted:
            self.fit()

    def event(self, event: QEvent) -> bool:
        """Let the hand have what the pointer and the keys do."""
        input_ = getattr(self, "_input", None)  # Qt calls before __init__ is through
        if input_ is not None and input_.handle(event):
            return True
        return super().event(event)

    def _show(self, **changes: object) -> None:
        self._shown = replace(self._shown, **changes)  # type: ignore[arg-type]  # names and types are Shown's
        self.update()

    def _forget(self, *, keep_camera: bool) -> None:
        self.hand.take(self.hand.tool)
        self._keypoint_edit = self._grid_edit = self._trace_edit = None
        nothing = dict.fromkeys(("keypoints", "grid", "traces", "residual", "cursor", "attribution", "rebuilt"))
        self._show(calipers=(), **nothing)
        if not keep_camera:
            self._fitted = True
            self._camera = self._camera.turned(0.0, mirrored=False)
