"""Keypoints: where on the page the lead names and markers are printed, and how the sheet lies."""

import math
from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64, Floats, check_finite, check_probability, frozen_array
from ecgstudio.core.leads import KEYPOINT_NAMES


def check_corners(corners: Floats) -> F64:
    """Return four corners [4, 2], read-only; raises ValueError unless they go round a convex figure."""
    ring = frozen_array(corners, dtype=np.float64, shape=(4, 2), name="corners")
    check_finite(ring, "corners")
    side = np.roll(ring, -1, axis=0) - ring
    onward = np.roll(side, -1, axis=0)
    turn = side[:, 0] * onward[:, 1] - side[:, 1] * onward[:, 0]
    if not (np.all(turn > 0) or np.all(turn < 0)):
        raise ValueError("the corners of the sheet must go round a convex figure")
    return ring


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """What stage 0 answers.

    `names` are leads or MARKERS, `xy` the centres of the printed names in page pixels. `orientation` 0..7:
    the upright page was turned by that many counter-clockwise quarter turns, after a left-right mirroring if
    >= 4. `px_per_mm` is coarse. `angle_rad` is the direction of the paper's x axis in the page as it is:
    page_dx = cos(angle), page_dy = sin(angle). `corners` [4, 2], if a human placed them, are the corners of a flat
    rectangle of the paper in page pixels: top left, top right, bottom right, bottom left of the upright sheet.
    """

    names: tuple[str, ...]
    xy: F64
    confidence: F64
    orientation: int
    orientation_confidence: float
    px_per_mm: float
    angle_rad: float
    mirrored: bool
    corners: F64 | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        unknown = [name for name in self.names if name not in KEYPOINT_NAMES]
        if unknown:
            raise ValueError(f"{unknown} are neither leads nor markers")
        xy = frozen_array(self.xy, dtype=np.float64, shape=(count, 2), name="xy")
        confidence = frozen_array(self.confidence, dtype=np.float64, shape=(count,), name="confidence")
        check_finite(xy, "xy")
        check_probability(confidence, "confidence")
        check_probability(self.orientation_confidence, "orientation_confidence")
        if self.orientation not in range(8):
            raise ValueError(f"orientation must be 0..7, not {self.orientation}")
        if self.mirrored != (self.orientation >= 4):
            raise ValueError(f"mirrored={self.mirrored} contradicts orientation {self.orientation}")
        if not (0 < self.px_per_mm < math.inf and math.isfinite(self.angle_rad)):
            raise ValueError("px_per_mm must be positive and angle_rad finite")
        if self.corners is not None:
            object.__setattr__(self, "corners", check_corners(self.corners))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "confidence", confidence)

    def of(self, name: str) -> F64:
        """Return the places [n, 2] at which a name was found."""
        return self.xy[[found == name for found in self.names]]
