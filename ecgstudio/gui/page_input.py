"""What pointer and keys do on the page: pan, zoom, nudge, delete, let go, or what the tool at hand does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QMenu

from ecgstudio.core.leads import KEYPOINT_NAMES, LEADS
from ecgstudio.gui.gestures import Done, Pointer
from ecgstudio.gui.hand import look
from ecgstudio.gui.hit_test import Kind
from ecgstudio.gui.keypoint_gestures import rename_keypoint
from ecgstudio.gui.page_menu import page_menu
from ecgstudio.gui.tools import Tool
from ecgstudio.gui.trace_gestures import ClickTrace

if TYPE_CHECKING:
    from ecgstudio.gui.page_view import PageView

WHEEL_FACTOR: Final = 1.0016  # per eighth of a degree: a notch of 15 degrees zooms by a fifth
CLICK_PX: Final = 4.0
COARSE_NUDGE: Final = 10.0

ARROWS: Final = {
    Qt.Key.Key_Left: (-1.0, 0.0), Qt.Key.Key_Right: (1.0, 0.0), Qt.Key.Key_Up: (0.0, -1.0), Qt.Key.Key_Down: (0.0, 1.0),
}  # fmt: skip

MARCH: Final = {Qt.Key.Key_Plus: 1, Qt.Key.Key_Minus: -1}

CURSORS: Final = {
    Tool.PAN: Qt.CursorShape.ArrowCursor, Tool.ROTATE: Qt.CursorShape.OpenHandCursor,
    Tool.CORNERS: Qt.CursorShape.ArrowCursor, Tool.KEYPOINT: Qt.CursorShape.ArrowCursor,
    Tool.NODE: Qt.CursorShape.ArrowCursor, Tool.LINE: Qt.CursorShape.ArrowCursor,
}  # fmt: skip
"""Cursor shapes; tools that draw or measure have a cross."""

STAGES: Final = {
    Tool.PAN: "keypoint trace", Tool.KEYPOINT: "keypoint", Tool.ROTATE: "keypoint", Tool.CORNERS: "keypoint",
}  # fmt: skip


class PageInput:
    """Listens to the events of one page view."""

    def __init__(self, view: PageView) -> None:
        self._view = view
        self._pan_from: QPointF | None = None
        self._pressed_at: QPointF | None = None
        self._pan_held = False

    def handle(self, event: QEvent) -> bool:
        """Act on an event; False leaves it to Qt."""
        match event:
            case QMouseEvent():
                return self._mouse(event)
            case QWheelEvent():
                return self._wheel(event)
            case QContextMenuEvent():
                return self._menu(event)
            case QKeyEvent():
                return self._key(event)
        if event.type() == QEvent.Type.Leave:
            self._view.hand.hovered = None
            self._view.cursorMoved.emit(None)
            self._view.update()
        return False

    def hold_pan(self, *, held: bool) -> None:
        """Let the left button pan while a key is held."""
        self._pan_held = held
        self.show_cursor_shape()

    def show_cursor_shape(self) -> None:
        """Let the pointer say what it would do."""
        if self._pan_from is not None:
            shape = Qt.CursorShape.ClosedHandCursor
        elif self._pan_held:
            shape = Qt.CursorShape.OpenHandCursor
        elif self._view.hand.hovered is not None:
            shape = Qt.CursorShape.PointingHandCursor
        else:
            shape = CURSORS.get(self._view.hand.tool, Qt.CursorShape.CrossCursor)
        if self._view.cursor().shape() != shape:
            self._view.setCursor(shape)

    # --- pointer ----------------------------------------------------------------------------------------------------

    def _pointer(self, event: QMouseEvent | QContextMenuEvent) -> Pointer:
        at = event.position() if isinstance(event, QMouseEvent) else QPointF(event.pos())
        x, y = self._view.camera.to_page((at.x(), at.y()))
        keys = event.modifiers()
        return Pointer(
            (float(x), float(y)),
            (at.x(), at.y()),
            coarse=bool(keys & Qt.KeyboardModifier.ShiftModifier),
            alone=bool(keys & Qt.KeyboardModifier.AltModifier),
        )

    def _mouse(self, event: QMouseEvent) -> bool:
        match event.type():
            case QEvent.Type.MouseButtonPress:
                return self._press(event)
            case QEvent.Type.MouseButtonDblClick:
                return self._double_click(event)
            case QEvent.Type.MouseMove:
                return self._move(event)
            case QEvent.Type.MouseButtonRelease:
                return self._release(event)
        return False

    def _press(self, event: QMouseEvent) -> bool:
        view = self._view
        middle, left = event.button() == Qt.MouseButton.MiddleButton, event.button() == Qt.MouseButton.LeftButton
        if view.shown.picture is None or not (middle or left):
            return False
        self._pressed_at = event.position()
        if middle or self._pan_held:
            self._pan_from = event.position()
        else:
            view.hand.press(view.scene(), self._pointer(event))
            if view.hand.tool is Tool.PAN and view.hand.gesture is None:
                self._pan_from = event.position()
        self.show_cursor_shape()
        view.update()
        return True

    def _move(self, event: QMouseEvent) -> bool:
        view = self._view
        if view.shown.picture is None:
            return False
        pointer = self._pointer(event)
        if self._pan_from is not None:
            moved = event.position() - self._pan_from
            self._pan_from = event.position()
            view.set_camera(view.camera.panned((moved.x(), moved.y())))
            return True
        before = view.hand.hovered
        view.hand.move(view.scene(), pointer)
        if view.hand.gesture is not None or view.hand.hovered != before:
            view.update()
        self.show_cursor_shape()
        width, height = view.page_size
        inside = -0.5 <= pointer.xy[0] <= width - 0.5 and -0.5 <= pointer.xy[1] <= height - 0.5
        view.cursorMoved.emit(pointer.xy if inside else None)
        return True

    def _release(self, event: QMouseEvent) -> bool:
        view = self._view
        if self._pressed_at is None:
            return False
        away = event.position() - self._pressed_at
        clicked = math.hypot(away.x(), away.y()) < CLICK_PX
        panned, self._pan_from, self._pressed_at = self._pan_from is not None, None, None
        if view.hand.gesture is not None and not panned:
            view.commit(view.hand.release(self._pointer(event), view.asker))
        if clicked and view.hand.selected is not None:
            view.choose(view.hand.selected)
        self.show_cursor_shape()
        view.update()
        return True

    def _double_click(self, event: QMouseEvent) -> bool:
        """End a gesture of many clicks, or ask for another name."""
        view = self._view
        if event.button() != Qt.MouseButton.LeftButton or view.shown.picture is None:
            return False
        if view.hand.gesture is not None:
            if not view.hand.gesture.confirmed().done:
                return self._press(event)
            view.commit(view.hand.confirm(view.asker))
            return True
        scene, pointer = view.scene(), self._pointer(event)
        hit = look(view.hand.tool, scene, pointer.xy)
        if view.hand.tool not in (Tool.PAN, Tool.KEYPOINT) or hit is None:
            return self._press(event)
        if hit.kind is Kind.TRACE:
            view.commit(ClickTrace(scene, hit, "relabel").result(view.asker))
        elif hit.kind is Kind.KEYPOINT and scene.keypoints is not None:
            now = scene.keypoints.names[hit.index]
            name = view.asker.name("Which name is printed here?", now, KEYPOINT_NAMES if now not in LEADS else LEADS)
            if name is not None and name != now:
                edit = rename_keypoint(scene.keypoints, scene.keypoint_edit, index=hit.index, name=name)
                view.commit(Done(edit, "Name it {0}", name))
        return True

    def _wheel(self, event: QWheelEvent) -> bool:
        view = self._view
        steps = event.angleDelta().y() or event.angleDelta().x()
        if view.shown.picture is None or not steps:
            return False
        at = event.position()
        view.set_camera(view.camera.zoomed(WHEEL_FACTOR**steps, at=(at.x(), at.y())))
        event.accept()
        return True

    def menu_at(self, pointer: Pointer) -> QMenu | None:
        """Make the menu of a place; None if nothing can be done there."""
        view = self._view
        if view.shown.picture is None or view.hand.gesture is not None:
            return None
        stages = STAGES.get(view.hand.tool, "trace")
        scene = view.scene()
        hit = look(Tool.PAN if "trace" in stages else Tool.KEYPOINT, scene, pointer.xy)
        menu = page_menu(view, scene, hit, pointer.xy, commit=view.commit, stages=stages)
        if menu.isEmpty():
            menu.deleteLater()
            return None
        menu.aboutToHide.connect(menu.deleteLater)
        return menu

    def _menu(self, event: QContextMenuEvent) -> bool:
        menu = self.menu_at(self._pointer(event))
        if menu is not None:
            menu.popup(event.globalPos())
        return menu is not None

    # --- keys -------------------------------------------------------------------------------------------------------

    def _key(self, event: QKeyEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            wanted = self._wants(event)
            event.setAccepted(wanted)
            return wanted
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.hold_pan(held=event.type() == QEvent.Type.KeyPress)
            return True
        if event.type() != QEvent.Type.KeyPress or not self._wants(event):
            return False
        return self._act(Qt.Key(event.key()), coarse=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def _wants(self, event: QKeyEvent) -> bool:
        """Say whether a key means something here and now, before a shortcut of the window takes it."""
        hand, key = self._view.hand, event.key()
        if event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier):
            return False
        if hand.gesture is not None:
            return key in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Backspace)
        if key == Qt.Key.Key_Escape:
            return hand.selected is not None
        if hand.selected is None:
            return False
        return key in ARROWS or key == Qt.Key.Key_Delete or (key in MARCH and hand.selected.kind is Kind.CALIPER)

    def _act(self, key: Qt.Key, *, coarse: bool) -> bool:
        view, hand = self._view, self._view.hand
        if key == Qt.Key.Key_Escape:
            hand.let_go()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            view.commit(hand.confirm(view.asker))
        elif key == Qt.Key.Key_Backspace:
            hand.shorten()
        elif key == Qt.Key.Key_Delete:
            view.commit(hand.delete(view.scene()))
        elif key in MARCH:
            view.commit(hand.march(view.scene(), MARCH[key]))
        else:
            step = COARSE_NUDGE if coarse else 1.0
            x, y = ARROWS[key]
            view.commit(hand.nudge(view.scene(), (step * x, step * y)))
        view.update()
        return True
