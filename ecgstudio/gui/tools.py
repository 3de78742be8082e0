"""The tools and layers of the page view by name."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Tool(StrEnum):
    """What the left button does on the page."""

    PAN = "pan"
    KEYPOINT = "keypoint"
    ROTATE = "rotate"
    CORNERS = "corners"
    NODE = "node"
    LINE = "line"
    SCALE = "scale"
    LATTICE = "lattice"
    ERASE = "erase"
    DRAW = "draw"
    SPLINE = "spline"
    SHIFT = "shift"
    RELABEL = "relabel"
    SPLIT = "split"
    MERGE = "merge"
    CALIPER = "caliper"


HINTS: Final = {
    Tool.PAN: "",
    Tool.KEYPOINT: "Drag a name to where it is printed; click beside the names to add one; double-click to rename.",
    Tool.ROTATE: "Drag round the middle of the page until its lines are level (Shift: steps of 5°).",
    Tool.CORNERS: "Drag the four handles to the corners of the sheet, or of any printed rectangle seen aslant.",
    Tool.NODE: "Drag a crossing of the grid to where it is printed (Alt: this one alone; arrows: one pixel).",
    Tool.LINE: "Drag a line of the grid to where it is printed.",
    Tool.SCALE: "Click two places a known distance apart, then say how many millimetres lie between them.",
    Tool.LATTICE: "Click the four corners of a printed rectangle, then say how wide and how high it is.",
    Tool.ERASE: "Drag along a trace: that stretch becomes “not readable”.",
    Tool.DRAW: "Draw along the ink; the trace follows. Where no trace was found a new one begins.",
    Tool.SPLINE: "Click points along the ink; Enter ends the line, Backspace takes the last point back.",
    Tool.SHIFT: "Drag a trace in time or voltage.",
    Tool.RELABEL: "Click a trace and say which lead it is.",
    Tool.SPLIT: "Click a trace where another lead begins.",
    Tool.MERGE: "Click a trace, then the one that goes on with it.",
    Tool.CALIPER: "Drag along a lead for time, upright for voltage. + and − march, arrows nudge, Del removes.",
}
"""What to do with each tool, said when it is taken."""


class Layer(StrEnum):
    """What is drawn over the page."""

    KEYPOINTS = "keypoints"
    GRID = "grid"
    TRACES = "traces"
    RESIDUAL = "residual"
    UNCERTAIN = "uncertain"
    DRIVING = "driving"


ALL_LAYERS: Final = frozenset(Layer)
