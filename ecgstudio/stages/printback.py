"""The print-back residual: dark ink along the strips that no trace explains, and where most of it is.

The traces are drawn back onto the page; what ink is left was missed, was read wrongly, or is no ECG. Works on the page
at about 4 px per mm, where a trace is little more than a pixel wide, and only around the strips.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64, frozen_array
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.geometry import resize_xy
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

WORK_PX_PER_MM = 4.0
PAPER_MM = 2.5  # within this distance of ink there is paper
STRIP_ABOVE_MM, STRIP_BELOW_MM, STRIP_BESIDE_MM = 15.0, 15.0, 1.0
EXPLAINED_MM = 1.3  # across: a trace explains the ink this near to its middle
NAME_HALF_MM, PULSE_HALF_MM = (5.0, 2.6), (4.5, 12.0)
INK_SHARE, INK_MOST = 0.5, 0.85  # of the traces' own darkness
ABOVE_GRID = 1.4  # times what nine in ten places beside the traces do not reach
LEAST_DARKNESS = 14.0
JOIN_MM = 1.5  # ink this near together is one place
LEAST_EXTENT_MM, LEAST_INK_MM2 = 1.6, 0.4
MOST_PLACES = 50
ENOUGH_SAMPLES = 20
FRACTION_BITS = 4
FAR_PX = 1e5  # OpenCV's drawing overflows far outside the picture


@dataclass(frozen=True, slots=True)
class Place:
    """A place on the page, in page pixels, with the unexplained ink around it in square millimetres."""

    xy: tuple[float, float]
    ink_mm2: float


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Ink that no trace explains.

    `mask` covers the whole page, `zoom` page pixels per cell in x and y; `places` begin with the worst. `share` is the
    unexplained part of all ink along the strips.
    """

    mask: Mask
    zoom: tuple[float, float]
    places: tuple[Place, ...]
    share: float

    def __post_init__(self) -> None:
        mask = frozen_array(self.mask, dtype=np.bool_, shape=(None, None), name="mask")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "places", tuple(self.places))

    def after(self, xy: tuple[float, float] | None) -> Place | None:
        """Return the place that follows the one at `xy` in the ranking, the worst if there is none there."""
        if not self.places:
            return None
        at = [place.xy for place in self.places]
        return self.places[(at.index(xy) + 1) % len(at) if xy in at else 0]


def print_back(page: Page, grid: GridFit, ecg: DigitizedEcg, *, keypoints: Keypoints | None = None) -> Residual:
    """Find the ink along the strips that the traces leave unexplained; printed names and markers are no such ink.

    What is ink is learnt from the page: half as dark as what lies beneath the traces, and darker than its grid.
    """
    zoom = max(1.0, grid.px_per_mm / WORK_PX_PER_MM)
    size = max(1, round(page.width / zoom)), max(1, round(page.height / zoom))
    small = cv2.resize(page.pixels, size, interpolation=cv2.INTER_AREA)
    to_small = size[0] / page.width, size[1] / page.height
    zooms = 1 / to_small[0], 1 / to_small[1]
    px_per_mm = grid.px_per_mm * to_small[0]
    lines = [resize_xy(line, to_small) for trace in ecg.traces for line in _read_lines(trace)]
    nothing = Residual(np.zeros(small.shape[:2], bool), zooms, (), 0.0)
    if not lines:
        return nothing
    explained = np.zeros(small.shape[:2], np.uint8)
    cv2.polylines(explained, [_fixed(line) for line in lines], False, 1, max(2, round(EXPLAINED_MM * px_per_mm)),
                  shift=FRACTION_BITS)  # fmt: skip
    zone = _strip_zone(ecg, grid, to_small, explained.shape)
    if keypoints is not None:
        _cut_out_names(zone, keypoints, grid, to_small)
    ink = _ink(small, np.concatenate(lines), zone & (explained == 0), px_per_mm=px_per_mm)
    if ink is None:
        return nothing
    ink &= zone
    left = ink & (explained == 0)
    mask, places = _places(left, px_per_mm=px_per_mm)
    xy = resize_xy(np.array([[x, y] for x, y, _ in places]).reshape(-1, 2), zooms)
    ranked = tuple(Place((float(p[0]), float(p[1])), area) for p, (_, _, area) in zip(xy, places, strict=True))
    return Residual(mask, zooms, ranked, float(mask.sum() / max(1, int(ink.sum()))))


def _fixed(xy: F64) -> NDArray[np.int32]:
    return np.round(np.clip(xy, -FAR_PX, FAR_PX) * (1 << FRACTION_BITS)).astype(np.int32)


def _read_lines(trace: LeadTrace) -> list[F64]:
    """Return the stretches of a trace that were read, as page pixels."""
    read = np.isfinite(trace.mv) & np.isfinite(trace.xy).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], read, [False]])))
    return [trace.xy[start:end] for start, end in edges.reshape(-1, 2)]


def _strip_zone(ecg: DigitizedEcg, grid: GridFit, to_small: tuple[float, float], shape: tuple[int, ...]) -> Mask:
    """Mark the band around every trace's level, as wide as all the strips of the page together."""
    spans = []
    for trace in ecg.traces:
        line = np.concatenate([*_read_lines(trace), np.empty((0, 2))])
        mm = grid.to_mm(line[:: max(1, len(line) // 200)])
        mm = mm[np.isfinite(mm).all(axis=1)]
        if len(mm):
            spans.append((mm[:, 0].min(), mm[:, 0].max(), float(np.median(mm[:, 1]))))
    zone = np.zeros(shape, np.uint8)
    if not spans:
        return zone.astype(bool)
    left, right = min(s[0] for s in spans) - STRIP_BESIDE_MM, max(s[1] for s in spans) + STRIP_BESIDE_MM
    x = np.linspace(left, right, max(2, int((right - left) / 10)))
    for _, _, level in spans:
        above, below = np.full_like(x, level - STRIP_ABOVE_MM), np.full_like(x, level + STRIP_BELOW_MM)
        band = np.column_stack([np.r_[x, x[::-1]], np.r_[above, below]])
        cv2.fillPoly(zone, [_fixed(resize_xy(grid.to_page(band), to_small))], 1, shift=FRACTION_BITS)
    return zone.astype(bool)


def _cut_out_names(zone: Mask, keypoints: Keypoints, grid: GridFit, to_small: tuple[float, float]) -> None:
    hole = np.zeros(zone.shape, np.uint8)
    for name, xy in zip(keypoints.names, keypoints.xy, strict=True):
        half = np.array(PULSE_HALF_MM if name == "pulse" else NAME_HALF_MM)
        corners = grid.to_mm(xy) + half * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
        if np.isfinite(corners).all():
            cv2.fillPoly(hole, [_fixed(resize_xy(grid.to_page(corners), to_small))], 1, shift=FRACTION_BITS)
    zone &= hole == 0


def _ink(small: Grey, on_traces: F64, beside: Mask, *, px_per_mm: float) -> Mask | None:
    """Say what is as dark as the traces, in the channel in which they stand out best; None if nowhere."""
    columns = np.clip(np.round(on_traces[:, 0]), 0, small.shape[1] - 1).astype(np.intp)
    rows = np.clip(np.round(on_traces[:, 1]), 0, small.shape[0] - 1).astype(np.intp)
    if len(rows) < ENOUGH_SAMPLES:
        return None
    kernel = np.ones((2 * round(PAPER_MM * px_per_mm / 2) + 1,) * 2, np.uint8)
    best: tuple[float, Mask] | None = None
    for channel in (np.ascontiguousarray(small[..., 0]), small.max(axis=2)):  # red shows blue ink, and hides red lines
        darkness = cv2.morphologyEx(channel, cv2.MORPH_BLACKHAT, kernel)
        level = float(np.median(cv2.dilate(darkness, np.ones((3, 3), np.uint8))[rows, columns]))
        others = darkness[beside][::7]
        grid_level = float(np.percentile(others, 90)) if len(others) else 0.0
        if level >= LEAST_DARKNESS and (best is None or level / (grid_level + 5) > best[0]):
            threshold = max(INK_SHARE * level, min(INK_MOST * level, ABOVE_GRID * grid_level))
            best = level / (grid_level + 5), darkness > threshold
    return None if best is None else best[1]


def _places(left: Mask, *, px_per_mm: float) -> tuple[Mask, list[tuple[float, float, float]]]:
    """Join ink that lies together, drop specks, and rank: the mask that is left, and (x, y, mm2) of each place."""
    reach = 2 * round(JOIN_MM * px_per_mm / 2) + 1
    joined = cv2.dilate(left.astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, label, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    y, x = np.nonzero(left)
    of = label[y, x]
    ink_mm2 = np.bincount(of, minlength=count) / px_per_mm**2
    extent_mm = (stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) - reach + 1) / px_per_mm
    keep = (ink_mm2 >= LEAST_INK_MM2) & (extent_mm >= LEAST_EXTENT_MM)
    keep[0] = False
    places: list[tuple[float, float, float]] = []
    for number in np.argsort(-ink_mm2):
        if keep[number] and len(places) < MOST_PLACES:
            here = of == number
            away = np.hypot(x[here] - x[here].mean(), y[here] - y[here].mean())
            nearest = int(np.argmin(away))
            places.append((float(x[here][nearest]), float(y[here][nearest]), float(ink_mm2[number])))
    return np.asarray(left & keep[label]), places
