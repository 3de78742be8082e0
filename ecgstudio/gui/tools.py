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


class Layer(StrEnum):
    """What is drawn over the page."""

    KEYPOINTS = "keypoints"
    GRID = "grid"
    TRACES = "traces"
    RESIDUAL = "residual"
    UNCERTAIN = "uncertain"


ALL_LAYERS: Final = frozenset(Layer)
