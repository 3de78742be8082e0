"""Taking the ink of traces off ruled paper, so that only its lines are left to be measured; nothing is read here."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.stages.view import brightest_and_darkest

Image = NDArray[np.uint8]

DARKNESS_PERCENTILE: Final = 99.0
INK_LEVELS: Final = (0.4, 0.5, 0.6)  # of that darkness: grids of many colours come more or less near to it
MOST_INK: Final = 0.035  # of the picture; what covers more is no trace alone
PAPER_MM: Final = 1.5  # so near to any ink there is paper
EDGE_MM: Final = 0.12  # of ink, blurred
LEAST_BARE: Final = 0.05


def without_ink(pixels: Image, *, px_per_mm: float) -> Image | None:
    """Return the darkest channel, in which what is dark in every channel gave way to the mean of its surroundings.

    Upright strokes of a trace pass for upright lines and pull at a map of the paper just where its time matters most.
    None where more is as dark as traces can be: there lines and traces look alike.
    """
    brightest, darkest = brightest_and_darkest(pixels)
    reach = 2 * max(1, round(PAPER_MM * px_per_mm)) + 1
    paper = cv2.blur(cv2.dilate(brightest, np.ones((3, 3), np.uint8)), (reach, reach)).astype(np.float32)
    dark = paper - brightest
    darkness = float(np.percentile(dark, DARKNESS_PERCENTILE))
    found = (dark > level * darkness for level in INK_LEVELS)
    ink = next((mask for mask in found if mask.mean() <= MOST_INK), None)
    if ink is None:
        return None
    edge = 2 * max(1, round(EDGE_MM * px_per_mm)) + 1
    bare = 1 - cv2.dilate(ink.astype(np.float32), np.ones((edge, edge), np.uint8))
    share = cv2.blur(bare, (reach, reach))
    around = cv2.blur(darkest * bare, (reach, reach)) / np.maximum(share, 1e-3)
    return np.where((bare > 0) | (share < LEAST_BARE), darkest, np.round(around)).astype(np.uint8)
