"""Taking the ink of traces off ruled paper, so that only its lines are left to be measured; nothing is read here."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.stages.view import brightest_and_darkest

Image = NDArray[np.uint8]

LEVELS: Final = 256
DARKNESS_SHARE: Final = 0.99
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
    paper = cv2.blur(cv2.dilate(brightest, np.ones((3, 3), np.uint8)), (reach, reach))
    dark = cv2.subtract(paper, brightest)
    lighter = np.cumsum(cv2.calcHist([dark], [0], None, [LEVELS], [0, LEVELS]).ravel()) / dark.size  # or as light
    darkness = int(np.argmax(lighter >= DARKNESS_SHARE))
    above = next((at for level in INK_LEVELS if lighter[at := int(level * darkness)] >= 1 - MOST_INK), None)
    if above is None:
        return None
    ink = cv2.threshold(dark, above, 1, cv2.THRESH_BINARY)[1]
    edge = 2 * max(1, round(EDGE_MM * px_per_mm)) + 1
    bare = cv2.subtract(1, cv2.dilate(ink, np.ones((edge, edge), np.uint8)))
    share = cv2.boxFilter(bare, cv2.CV_32F, (reach, reach))
    around = cv2.boxFilter(cv2.multiply(darkest, bare), cv2.CV_32F, (reach, reach))
    given_way = (bare == 0) & (share >= LEAST_BARE)
    out = darkest.copy()
    out[given_way] = np.round(around[given_way] / share[given_way])
    return out
