"""A sheet seen aslant, flattened: a copy of the page in which a rectangle that is known to lie on it is upright."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography, perspective_reach
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page

MARGIN: Final = 0.25  # of the marked rectangle's sides: what lies round it is looked at, too
FOCAL_SHARE: Final = 0.7  # focal length over the picture's diagonal: phones have 0.6 to 0.7, and photos are cropped
UNIT: Final = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class FlatSheet:
    """A page with the perspective taken out, its keypoints, and the homography from its pixels to the page's own."""

    page: Page
    keypoints: Keypoints
    to_page: F64


def flattened(page: Page, keypoints: Keypoints, *, corners: F64) -> FlatSheet:
    """Look straight down on the sheet whose corners these are: upright, and as many pixels as it has on the page."""
    sides = side_ratio(corners, page_wh=(page.width, page.height))
    x, y = corners.T
    area_px = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
    size = float(np.sqrt(area_px * sides)), float(np.sqrt(area_px / sides))
    to_page = fit_homography(UNIT * size, corners)
    low, high = perspective_reach(to_page, size, page_wh=(page.width, page.height), margin=MARGIN)
    low, high = np.floor(low), np.ceil(high)
    to_page = to_page @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
    width, height = (int(side) for side in high - low)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpPerspective(page.pixels, to_page, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    xy = apply_homography(np.asarray(np.linalg.inv(to_page)), keypoints.xy)
    kept = np.flatnonzero(np.isfinite(xy).all(axis=1))
    upright = replace(
        keypoints, names=tuple(keypoints.names[i] for i in kept), xy=xy[kept], confidence=keypoints.confidence[kept],
        orientation=0, angle_rad=0.0, mirrored=False, corners=None,
    )  # fmt: skip
    return FlatSheet(replace(page, pixels=np.asarray(pixels, np.uint8)), upright, to_page)


def side_ratio(corners: F64, *, page_wh: tuple[int, int]) -> float:
    """Return width over height of the flat rectangle that a usual camera sees with these corners [4, 2].

    Without perspective it is the ratio of the sides as they are seen, whatever the camera.
    """
    unit = fit_homography(UNIT, corners)
    focal = FOCAL_SHARE * float(np.hypot(*page_wh))
    from_picture = np.linalg.inv([[focal, 0, (page_wh[0] - 1) / 2], [0, focal, (page_wh[1] - 1) / 2], [0.0, 0.0, 1.0]])
    across, down = (from_picture @ unit)[:, :2].T
    return float(np.linalg.norm(across) / np.linalg.norm(down))
