"""What the overlays of a page share: the tools and layers by name, and drawing from arrays of points."""

from __future__ import annotations

from enum import StrEnum


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


ALL_LAYERS = frozenset(Layer)
