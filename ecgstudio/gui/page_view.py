"""The page with its overlays: what you see you can take, and each finished gesture is one signal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from ecgstudio.core.caliper import Caliper
from ecgstudio.core.corrections import GridEdit, KeypointEdit, TraceEdit
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.gui.overlays import ALL_LAYERS, Layer, Tool
from ecgstudio.gui.theme import Theme, theme_for

__all__ = ["Layer", "PageView", "Tool"]

XY = tuple[float, float]


class PageView(QWidget):
    """Show a page and let the tool at hand correct what was found on it."""

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
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._theme = theme_for(False)
        self._tool = Tool.PAN
        self._layers: frozenset[Layer] = ALL_LAYERS
        self.ask_length_mm: Callable[[float], float | None] | None = None
        self.choose_name: Callable[[str, tuple[str, ...]], str | None] | None = None

    def set_page(self, page: Page | None) -> None:
        """Show a page."""

    def set_preview(self, pixels_small: NDArray[np.uint8], full_size: tuple[int, int]) -> None:
        """Show a small picture in the place of a page of (width, height) that is still being read."""

    def set_keypoints(self, value: Keypoints | None, edit: KeypointEdit | None) -> None:
        """Show the keypoints, which have the edit in them already."""

    def set_grid(self, value: GridFit | None, edit: GridEdit | None) -> None:
        """Show the grid, which has the edit in it already."""

    def set_traces(self, value: DigitizedEcg | None, edit: TraceEdit | None) -> None:
        """Show the traces, which have the edit in them already."""

    def set_residual(self, mask: NDArray[np.bool_] | None) -> None:
        """Colour the ink that no trace explains; the mask may be smaller than the page."""

    def set_tool(self, tool: Tool) -> None:
        """Take another tool; a gesture that is under way is dropped."""
        self._tool = tool

    def set_visible_layers(self, layers: frozenset[Layer]) -> None:
        """Draw these layers and no other."""
        self._layers = layers

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme

    def show_cursor(self, lead: str | None, t_s: float | None, xy: XY | None) -> None:
        """Show the shared cursor at a place, or at a moment of a lead."""

    def set_calipers(self, calipers: tuple[Caliper, ...]) -> None:
        """Show these calipers on their leads."""

    def select_lead(self, lead: str) -> None:
        """Make a lead the one that stands out."""

    def go_to(self, xy: XY, *, zoom: float | None = None) -> None:
        """Bring a page pixel to the middle."""

    def fit(self) -> None:
        """Show the whole page."""

    def turn_quarter(self, *, clockwise: bool) -> None:
        """Correct the orientation by 90 degrees."""

    def turn_by(self, degrees: float) -> None:
        """Correct the fine rotation; positive turns the picture clockwise."""

    def mirror(self) -> None:
        """Correct the mirroring, left for right."""
