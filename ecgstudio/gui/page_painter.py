"""Paint what a page view shows: the composed picture, kept while nothing in it changes, and the marks above it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QWidget

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.gui import keypoint_overlay, linked_marks
from ecgstudio.gui.attribution import Attribution
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, Image
from ecgstudio.gui.composition import Content, compose, compose_paper, composed
from ecgstudio.gui.gestures import Preview, Scene
from ecgstudio.gui.grid_overlay import paint_grid_hover, paint_nodes
from ecgstudio.gui.hand import Hand
from ecgstudio.gui.hit_test import Hit, Kind
from ecgstudio.gui.keypoint_gestures import pose, sheet_corners
from ecgstudio.gui.magnifier import paint_magnifier
from ecgstudio.gui.overlays import paint_handle, paint_marks, paint_ring
from ecgstudio.gui.page_picture import PagePicture, device_size
from ecgstudio.gui.scrolling import scroll, whole_shift
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.tools import ALL_LAYERS, Layer, Tool
from ecgstudio.gui.trace_overlay import paint_names

XY = tuple[float, float]

NAMING_TOOLS: Final = (Tool.KEYPOINT, Tool.ROTATE, Tool.CORNERS)
"""Tools that name what is printed; with all others the traces are named, and no name stands twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """All that a page view shows; `lead` is the one that stands out."""

    theme: Theme
    picture: PagePicture | None = None
    keypoints: Keypoints | None = None
    grid: GridFit | None = None
    traces: DigitizedEcg | None = None
    residual: PagePicture | None = None
    layers: frozenset[Layer] = ALL_LAYERS
    lead: str = ""
    cursor: XY | None = None
    calipers: tuple[Caliper, ...] = ()
    attribution: Attribution | None = None
    rebuilt: Reconstruction | None = None

    def chosen(self) -> frozenset[int]:
        """Return which traces are of the lead that stands out."""
        traces = self.traces.traces if self.traces is not None else ()
        return frozenset(index for index, trace in enumerate(traces) if trace.lead == self.lead)

    def content(self) -> Content:
        """Return what is drawn into the picture."""
        return Content(
            self.picture, self.grid, self.traces, self.residual, self.layers, self.chosen(), self.theme,
            self.attribution, self.rebuilt,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What a picture was made of."""

    key: tuple[object, ...]
    camera: Camera


class PagePainter:
    """Keeps the picture of the last paint, which is most of the work, and its paper without the layers."""

    def __init__(self) -> None:
        self._canvas, self._paper = Canvas(1, 1), Canvas(1, 1)
        self._drawn: _Kept | None = None
        self._paper_drawn: _Kept | None = None

    def paint(self, widget: QWidget, shown: Shown, scene: Scene, hand: Hand, *, magnifying: bool) -> None:
        """Paint the widget."""
        preview = hand.preview()
        camera = scene.camera
        shown = _with_preview(shown, preview)
        if preview.keypoints is not None:
            angle_rad, mirrored = pose(preview.keypoints)
            camera = camera.turned(angle_rad, mirrored=mirrored)
        picture = self._picture(shown, camera, ratio=widget.devicePixelRatioF())
        with QPainter(widget) as painter:  # Qt aborts when an error leaves a painter behind
            painter.drawImage(0, 0, picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if shown.picture is not None:
                self._paint_marks(painter, shown, camera, scene, hand, preview)
                focus = preview.focus or _selected_point(hand)
                if magnifying and focus is not None:
                    self._paint_lens(painter, shown, camera, focus)

    def _picture(self, shown: Shown, camera: Camera, *, ratio: float) -> QImage:
        """Return the composed picture; while one pans, only what comes into view is drawn anew."""
        size = device_size(camera, ratio)
        if self._canvas.size != size:
            self._canvas, self._paper = Canvas(*size), Canvas(*size)
            self._drawn = self._paper_drawn = None
        content = shown.content()
        paper = _Kept((shown.picture, ratio, shown.theme), camera)
        layers = shown.grid, shown.traces, shown.residual, shown.layers, shown.lead, shown.attribution, shown.rebuilt
        new = _Kept((*paper.key, *layers), camera)
        old, self._drawn = self._drawn, None  # an error below must not leave half a picture behind as a whole one
        if old is None or old.key != new.key or old.camera != camera:
            shift = None if old is None or old.key != new.key else whole_shift(old.camera, camera, ratio=ratio)
            if shift is not None:
                scroll(self._canvas, shift, camera, ratio=ratio, draw=lambda part: composed(content, part, ratio=ratio))
            else:
                self._draw_paper(content, paper, ratio)
                np.copyto(self._canvas.picture, self._paper.picture)
                compose(content, self._canvas, camera, ratio=ratio)
        self._drawn = new
        pixels = self._canvas.picture
        image = QImage(pixels.data, *size, pixels.strides[0], QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        return image

    def _draw_paper(self, content: Content, paper: _Kept, ratio: float) -> None:
        """Sample the page, unless only the layers above it have changed."""
        old, self._paper_drawn = self._paper_drawn, None
        if old is None or old.key != paper.key or old.camera != paper.camera:
            compose_paper(content, self._paper, paper.camera, ratio=ratio)
        self._paper_drawn = paper

    def _paint_marks(
        self, painter: QPainter, shown: Shown, camera: Camera, scene: Scene, hand: Hand, preview: Preview
    ) -> None:
        theme, layers, tool = shown.theme, shown.layers, hand.tool
        hovered = hand.hovered if hand.gesture is None else None
        selected = hand.found(scene) if hand.gesture is None else None
        if shown.grid is not None and Layer.GRID in layers and tool is Tool.NODE:
            paint_nodes(painter, shown.grid, camera, theme)
        names_traces = shown.traces is not None and Layer.TRACES in layers and tool not in NAMING_TOOLS
        if names_traces and shown.traces is not None:
            paint_names(painter, shown.traces, camera, theme, chosen=shown.chosen())
        if shown.keypoints is not None and Layer.KEYPOINTS in layers:
            keypoint_overlay.paint_keypoints(
                painter, shown.keypoints, camera, theme,
                chosen=_index(selected, Kind.KEYPOINT), hovered=_index(hovered, Kind.KEYPOINT),
                named=not names_traces,
            )  # fmt: skip
        if tool is Tool.CORNERS:
            corners = preview.corners if preview.corners is not None else sheet_corners(scene)
            keypoint_overlay.paint_corners(painter, corners, camera, theme, hovered=_index(hovered, Kind.CORNER))
        if tool is Tool.ROTATE:
            keypoint_overlay.paint_level(painter, camera, theme)
        for hit in (selected, hovered):
            if hit is not None and hit.kind in (Kind.NODE, Kind.ROW, Kind.COLUMN) and shown.grid is not None:
                paint_grid_hover(painter, shown.grid, hit, camera, theme)
            elif hit is not None and hit.kind is Kind.TRACE and tool is not Tool.PAN:
                paint_ring(painter, camera.to_screen(hit.xy), theme)
        if hovered is not None and hovered.kind is Kind.TRACE and tool is Tool.PAN:
            paint_handle(painter, camera.to_screen(hovered.xy), theme, role="active", size=0.8)
        if shown.calipers and shown.traces is not None and shown.grid is not None:
            chosen, over = (hit if hit and hit.kind is Kind.CALIPER else None for hit in (selected, hovered))
            linked_marks.paint_calipers(
                painter, shown.calipers, shown.traces, shown.grid, camera, theme, chosen=chosen, hovered=over
            )
        if shown.cursor is not None:
            linked_marks.paint_cursor(painter, shown.cursor, camera, theme, px_per_mm=scene.px_per_mm)
        paint_marks(painter, preview.marks, camera, theme)

    def _paint_lens(self, painter: QPainter, shown: Shown, camera: Camera, focus: XY) -> None:
        ratio = painter.device().devicePixelRatioF()

        def seen(lens: Camera) -> Image:
            return composed(replace(shown.content(), layers=shown.layers - {Layer.RESIDUAL}), lens, ratio=ratio)

        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        paint_magnifier(painter, camera, focus, shown.theme, compose=seen)


def _with_preview(shown: Shown, preview: Preview) -> Shown:
    changes = {
        name: getattr(preview, name)
        for name in ("keypoints", "grid", "traces", "calipers")
        if getattr(preview, name) is not None
    }
    if preview.traces is not None:
        changes["rebuilt"] = None  # it is that of the traces as they were
    return replace(shown, **changes) if changes else shown


def _index(hit: Hit | None, kind: Kind) -> int | None:
    return hit.index if hit is not None and hit.kind is kind else None


def _selected_point(hand: Hand) -> XY | None:
    """Return the place of a selected point: what arrow keys nudge is magnified."""
    if hand.selected is None or hand.selected.kind not in (Kind.KEYPOINT, Kind.NODE, Kind.CORNER):
        return None
    return None if hand.tool is Tool.PAN else hand.selected.xy
