"""The scrolled paper of the signal view: paints strips once per change and cursor, calipers and fiducials over them."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from ecgstudio.core.caliper import Caliper, Part
from ecgstudio.gui.attribution import Attribution
from ecgstudio.gui.calipers import (
    LEAST_DRAG_PX,
    CaliperTool,
    Grip,
    Spot,
    grip_at,
    new_caliper,
    paint_caliper,
)
from ecgstudio.gui.ecg_paper import PaperFrame, screen_px_per_mm
from ecgstudio.gui.fiducials import LETTERS_FROM_PX_PER_S, Tick, dragged, paint_ticks, tick_at, ticks
from ecgstudio.gui.signal_cursor import mv_at, paint_cursor
from ecgstudio.gui.strip_layout import StripLayout
from ecgstudio.gui.strip_painter import PaperPicture
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.intervals import Intervals

RIGHT_MM, BOTTOM_MM = 6.0, 4.0
NO_LAYOUT: Final = StripLayout((), (), (), 10.0)
ARROWS: Final = {
    Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1),
}  # fmt: skip
SMALL_STEP_PX, LARGE_STEP_PX = 1, 10
ZOOM_STEP: Final = 1.2


class SignalCanvas(QAbstractScrollArea):
    """Show a strip layout to scale; every finished gesture is one signal."""

    cursorMoved = Signal(object)  # (lead, t_s, mv) or None
    leadSelected = Signal(str)
    calipersChanged = Signal(object)  # tuple[Caliper, ...]
    fiducialsChanged = Signal(object)  # Intervals with what a human placed
    zoomAsked = Signal(float)  # a factor

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Twelve-lead signal on ECG paper"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self._theme = theme_for(False)
        self._layout = NO_LAYOUT
        self._frame = PaperFrame(screen_px_per_mm(self))
        self._picture: PaperPicture | None = None  # made when it is first painted: a layout often follows another
        self._paper: QPixmap | None = None
        self._paper_key: object = None
        self._selected_lead: str | None = None
        self._cursor: tuple[str, float] | None = None
        self._intervals: Intervals | None = None
        self._show_fiducials = True
        self._shade = True
        self._attribution: Attribution | None = None
        self._ticks: tuple[Tick, ...] = ()
        self._calipers: tuple[Caliper, ...] = ()
        self._tool = CaliperTool.NONE
        self._held: Grip | None = None
        self._active: Grip | None = None
        self._tick: Tick | None = None
        self._tick_moved = False
        self._pressed: tuple[QPointF, Spot] | None = None
        self._pan_from: QPointF | None = None

    # --- what is shown -----------------------------------------------------------------------------------------

    def set_layout(self, layout: StripLayout, frame: PaperFrame) -> None:
        """Show these strips at this scale."""
        self._layout, self._frame = layout, frame
        self._picture = None
        self._let_go()
        self._place_ticks()
        self._forget_paper()
        self._update_scroll_range()

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._forget_paper()

    def set_tool(self, tool: CaliperTool) -> None:
        """Choose what a drag on the paper draws."""
        self._tool = tool
        self._let_go()
        self.viewport().setCursor(
            Qt.CursorShape.ArrowCursor if tool is CaliperTool.NONE else Qt.CursorShape.CrossCursor
        )

    def set_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        """Show these calipers."""
        self._calipers = tuple(calipers)
        if self._active is not None and self._active.index >= len(self._calipers):
            self._active = None
        self._held = None
        self.viewport().update()

    def set_fiducials(self, intervals: Intervals | None, *, visible: bool) -> None:
        """Show what was measured."""
        self._intervals, self._show_fiducials = intervals, visible
        self._tick = None
        self._place_ticks()
        self.viewport().update()

    def show_doubt(self, *, shade: bool) -> None:
        """Shade what was read with doubt, or leave it plain."""
        if shade != self._shade:
            self._shade = shade
            self._forget_paper()

    def show_attribution(self, attribution: Attribution | None) -> None:
        """Show under the traces what drove a finding."""
        if attribution is not self._attribution:
            self._attribution, self._picture = attribution, None
            self._forget_paper()

    def select_lead(self, lead: str | None) -> None:
        """Emphasise a lead and bring it into view."""
        if lead == self._selected_lead:
            return
        self._selected_lead = lead
        strips = self._layout.of(lead) if lead else ()
        if strips:
            row = self._layout.rows[strips[0].row]
            self._reveal(
                QRectF(0, self._frame.y_px(row.top_mm), 1, (row.bottom_mm - row.top_mm) * self._frame.px_per_mm)
            )
        self._forget_paper()

    def show_cursor(self, lead: str | None, t_s: float | None) -> None:
        """Show the shared cursor at a moment of a lead."""
        self._cursor = None if lead is None or t_s is None else (lead, t_s)
        self.viewport().update()

    @property
    def layout_shown(self) -> StripLayout:
        """The strips on the paper."""
        return self._layout

    def content_size_px(self) -> tuple[float, float]:
        """Return width and height of the whole paper."""
        frame = self._frame
        width = frame.x_px(self._layout.duration_s) + RIGHT_MM * frame.px_per_mm
        return width, frame.y_px(self._layout.height_mm) + BOTTOM_MM * frame.px_per_mm

    # --- painting ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lay the paper down and draw on it what moves."""
        visible = self._visible()
        painter = QPainter(self.viewport())
        painter.drawPixmap(0, 0, self._paper_pixmap(visible))
        painter.translate(-visible.topLeft())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._intervals is not None:
            by_hand = self._intervals.by_hand
            lettered = self._frame.px_per_s >= LETTERS_FROM_PX_PER_S
            paint_ticks(painter, self._ticks, by_hand=by_hand, theme=self._theme, visible=visible, lettered=lettered)
        for index, caliper in enumerate(self._calipers):
            chosen = self._active is not None and self._active.index == index
            paint_caliper(
                painter, caliper, layout=self._layout, frame=self._frame, theme=self._theme, selected=chosen,
                inside=visible,
            )  # fmt: skip
        if self._cursor is not None:
            paint_cursor(
                painter, *self._cursor, layout=self._layout, frame=self._frame, theme=self._theme, inside=visible
            )
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self._theme.accent), 1.5))
            painter.drawRect(visible.adjusted(0.75, 0.75, -0.75, -0.75))
        painter.end()

    def _paper_pixmap(self, visible: QRectF) -> QPixmap:
        key = visible.getRect(), self.devicePixelRatioF()
        if self._paper is None or self._paper_key != key:
            ratio = self.devicePixelRatioF()
            pixmap = QPixmap(math.ceil(visible.width() * ratio), math.ceil(visible.height() * ratio))
            pixmap.setDevicePixelRatio(ratio)
            painter = QPainter(pixmap)
            painter.translate(-visible.topLeft())
            self._picture = self._picture or PaperPicture(self._layout, self._frame, self._attribution)
            self._picture.paint(painter, visible, theme=self._theme, selected=self._selected_lead, shade=self._shade)
            painter.end()
            self._paper, self._paper_key = pixmap, key
        return self._paper

    # --- hands ---------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take a caliper or a fiducial, begin a caliper, or choose a lead."""
        at = self._to_paper(event.position())
        if event.button() is Qt.MouseButton.MiddleButton:
            self._pan_from = event.position()
            return
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        active = self._active.index if self._active else None
        self._held = grip_at(self._calipers, at, layout=self._layout, frame=self._frame, selected=active)
        spot = self._spot(at)
        self._pressed = (at, spot) if spot is not None else None
        self._active = self._held
        self._tick = tick_at(at, self._ticks, frame=self._frame) if self._held is None else None
        if self._held is None and self._tick is None and spot is not None:
            self.select_lead(spot.strip.trace.lead)
            self.leadSelected.emit(spot.strip.trace.lead)
        self.viewport().update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Preview the gesture, or move the cursor."""
        at = self._to_paper(event.position())
        if self._pan_from is not None:
            step = event.position() - self._pan_from
            self._pan_from = event.position()
            self.horizontalScrollBar().setValue(round(self.horizontalScrollBar().value() - step.x()))
            self.verticalScrollBar().setValue(round(self.verticalScrollBar().value() - step.y()))
            return
        spot = self._spot(at)
        if event.buttons() & Qt.MouseButton.LeftButton and self._pressed is not None:
            self._drag(at, spot)
        else:
            self._show_grip(at)
        self._cursor = (spot.strip.trace.lead, spot.t_s) if spot is not None else None
        self.cursorMoved.emit(None if spot is None else (spot.strip.trace.lead, spot.t_s, self._mv_under(spot)))
        self.viewport().update()

    def _drag(self, at: QPointF, spot: Spot | None) -> None:
        assert self._pressed is not None
        start, begun = self._pressed
        if self._tick is not None and self._intervals is not None:
            self._intervals = dragged(self._intervals, self._tick, at.x(), self._frame)
            self._tick_moved = True
            self._place_ticks()
        elif self._held is not None:
            by_s, by_mv = (at.x() - start.x()) / self._frame.px_per_s, (start.y() - at.y()) / self._frame.px_per_mv
            self._replace(
                self._held.index, self._calipers[self._held.index].moved(self._held.part, by_s=by_s, by_mv=by_mv)
            )
            self._pressed = (at, begun)
        elif self._tool is not CaliperTool.NONE and (at - start).manhattanLength() >= LEAST_DRAG_PX:
            end = self._on_strip(begun, at)
            self._calipers = (*self._calipers, new_caliper(self._tool, begun, end))
            self._held = self._active = Grip(len(self._calipers) - 1, Part.SECOND)
            self._pressed = (at, begun)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the gesture."""
        self._pan_from = None
        if self._tick is not None:
            self._tick = None
            if self._tick_moved and self._intervals is not None:
                self.fiducialsChanged.emit(self._intervals)
            self._tick_moved = False
        elif self._held is not None:
            self._held = None
            self.calipersChanged.emit(self._calipers)
        self._pressed = None
        self.viewport().update()

    def leaveEvent(self, event: object) -> None:
        """Take the cursor away."""
        self._cursor = None
        self.cursorMoved.emit(None)
        self.viewport().update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll; with Ctrl zoom."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomAsked.emit(ZOOM_STEP ** (event.angleDelta().y() / 120))
            event.accept()
        else:
            super().wheelEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Nudge, march, delete or let go of the caliper that is held; scroll without one."""
        if self._active is None:
            super().keyPressEvent(event)
            return
        index, key = self._active.index, event.key()
        caliper = self._calipers[index]
        if key in ARROWS:
            step = LARGE_STEP_PX if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else SMALL_STEP_PX
            across, down = ARROWS[Qt.Key(key)]
            by_s, by_mv = across * step / self._frame.px_per_s, -down * step / self._frame.px_per_mv
            self._replace(index, caliper.moved(self._active.part, by_s=by_s, by_mv=by_mv))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Minus):
            self._replace(index, caliper.marched(1 if key == Qt.Key.Key_Plus else -1))
        elif key == Qt.Key.Key_Space:
            parts = list(Part)
            self._active = Grip(index, parts[(parts.index(self._active.part) + 1) % len(parts)])
            self.viewport().update()
            return
        elif key == Qt.Key.Key_Delete:
            self._active = None
            self._calipers = self._calipers[:index] + self._calipers[index + 1 :]
        elif key == Qt.Key.Key_Escape:
            self._let_go()
            return
        else:
            super().keyPressEvent(event)
            return
        self.calipersChanged.emit(self._calipers)
        self.viewport().update()

    # --- places --------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the scroll bars true."""
        super().resizeEvent(event)
        self._update_scroll_range()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Show another part of the paper."""
        self.viewport().update()

    def _visible(self) -> QRectF:
        size = self.viewport().size()
        return QRectF(self.horizontalScrollBar().value(), self.verticalScrollBar().value(), size.width(), size.height())

    def _to_paper(self, at: QPointF) -> QPointF:
        return at + self._visible().topLeft()

    def _update_scroll_range(self) -> None:
        for bar, size, page in zip(
            (self.horizontalScrollBar(), self.verticalScrollBar()), self.content_size_px(),
            (self.viewport().width(), self.viewport().height()), strict=True,
        ):  # fmt: skip
            bar.setRange(0, max(0, math.ceil(size - 0.5) - page))
            bar.setPageStep(page)
            bar.setSingleStep(max(1, round(5 * self._frame.px_per_mm)))
        self.viewport().update()

    def _reveal(self, place: QRectF) -> None:
        bar, visible = self.verticalScrollBar(), self._visible()
        if place.top() < visible.top():
            bar.setValue(math.floor(place.top()))
        elif place.bottom() > visible.bottom():
            bar.setValue(math.ceil(place.bottom() - visible.height()))

    def _spot(self, at: QPointF) -> Spot | None:
        """Return the strip beneath a pixel, with time and voltage there."""
        y_mm = self._frame.y_mm(at.y())
        at_s = self._frame.at_s(at.x())
        for strip in self._layout.strips:
            row = self._layout.rows[strip.row]
            if row.top_mm <= y_mm < row.bottom_mm and strip.at_s <= at_s <= strip.end_s:
                return Spot(strip, at_s - strip.at_s + strip.trace.t0_s, (row.zero_mm - y_mm) / self._frame.mm_per_mV)
        return None

    def _on_strip(self, begun: Spot, at: QPointF) -> Spot:
        """Return a pixel's time and voltage on the strip where a gesture began, wherever it has gone."""
        row = self._layout.rows[begun.strip.row]
        t_s = self._frame.at_s(at.x()) - begun.strip.at_s + begun.strip.trace.t0_s
        return Spot(begun.strip, t_s, (row.zero_mm - self._frame.y_mm(at.y())) / self._frame.mm_per_mV)

    def _mv_under(self, spot: Spot) -> float:
        trace = spot.strip.trace
        return mv_at(trace.mv, (spot.t_s - trace.t0_s) * trace.fs)

    def _show_grip(self, at: QPointF) -> None:
        active = self._active.index if self._active else None
        grip = grip_at(self._calipers, at, layout=self._layout, frame=self._frame, selected=active)
        if grip is not None:
            upright = self._calipers[grip.index].kind == "amplitude"
            shape = Qt.CursorShape.SizeVerCursor if upright else Qt.CursorShape.SizeHorCursor
            shape = Qt.CursorShape.SizeAllCursor if grip.part is Part.WHOLE else shape
        elif tick_at(at, self._ticks, frame=self._frame) is not None:
            shape = Qt.CursorShape.SizeHorCursor
        else:
            idle = self._tool is CaliperTool.NONE
            shape = Qt.CursorShape.ArrowCursor if idle else Qt.CursorShape.CrossCursor
        self.viewport().setCursor(shape)

    def _replace(self, index: int, caliper: Caliper) -> None:
        self._calipers = (*self._calipers[:index], caliper, *self._calipers[index + 1 :])

    def _place_ticks(self) -> None:
        self._ticks = ticks(self._intervals if self._show_fiducials else None, self._layout, self._frame)

    def _let_go(self) -> None:
        self._held = self._active = self._tick = self._pressed = None
        self.viewport().update()

    def _forget_paper(self) -> None:
        self._paper = None
        self.viewport().update()
