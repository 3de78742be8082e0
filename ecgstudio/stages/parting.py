"""Parting a picture in two: outlines cut by a line, the emptiest place for that line, and what is cut out as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.page import Page, Part, box_of, identity_of
from ecgstudio.stages.view import View, brightest_and_darkest

PROFILE_PX_PER_MM: Final = 4.0
MOST_LINES: Final = 1600
BACKGROUND_MM: Final = 8.0  # what is thinner is print: traces, names, lines of the grid
PITCH_MM: Final = 5.0  # of the grid: an average over it does not see the grid
AS_EMPTY: Final = 0.15  # of the way from the emptiest line to the fullest tenth
SAME_LEVEL: Final = 0.3  # grey levels that do not count
EDGE_LEVELS: Final = 12.0  # how much two papers, or paper and desk, differ
TOUCHING: Final = 2.0  # pitches over which a single edge is seen, or two that are close together
OUTSIDE: Final = (128, 128, 128)  # as what lies round a page is shown to the networks


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """A band of a picture that parts what lies on both its sides: page px p with `low` < p @ normal < `high`.

    `normal` is a unit vector. `avoid` [N] holds places along the normal where something is printed after all.
    """

    normal: F64
    low: float
    high: float
    avoid: F64


def outline_of(page: Page) -> F64:
    """Return the outline of a whole page."""
    right, bottom = page.width - 0.5, page.height - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def clipped(outline: F64, normal: F64, at: float) -> F64:
    """Return what of a convex outline [N, 2] lies where p @ normal <= at; no corner if nothing does."""
    corners: list[F64] = []
    beyond = outline @ normal - at
    for here, there, a, b in zip(outline, np.roll(outline, -1, axis=0), beyond, np.roll(beyond, -1), strict=True):
        if a <= 0:
            corners.append(here)
        if a * b < 0:
            corners.append(here + (there - here) * (a / (a - b)))
    return np.array(corners, np.float64).reshape(-1, 2)


def parted(outline: F64, normal: F64, at: float) -> tuple[F64, F64]:
    """Cut a convex outline along the line p @ normal = at; the side before the line comes first."""
    return clipped(outline, normal, at), clipped(outline, -normal, -at)


def contains(outline: F64, xy: F64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which points [N, 2] lie in a convex outline, whichever way it goes round."""
    side = np.roll(outline, -1, axis=0) - outline
    away = xy[:, None] - outline[None]
    turn = side[:, 0] * away[..., 1] - side[:, 1] * away[..., 0]
    return np.asarray(np.all(turn >= 0, axis=1) | np.all(turn <= 0, axis=1))


def cut_out(page: Page, outline: F64, *, source: str = "") -> Page:
    """Return what an outline holds as a page of its own: its own pixels, grey where the box reaches beyond the outline.

    What was cut out of a part says where in the first picture it lay.
    """
    left, top, right, bottom = (max(0, side) for side in box_of(outline))
    pixels = page.pixels[top:bottom, left:right].copy()
    fraction_bits = 4
    corners = np.round((outline - (left, top)) * (1 << fraction_bits)).astype(np.int32)
    inside = np.zeros(pixels.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, corners, 1, cv2.LINE_8, fraction_bits)
    pixels[inside == 0] = OUTSIDE
    pixels.flags.writeable = False
    before = page.part
    shift = box_of(before.outline)[:2] if before is not None else (0, 0)
    picture, named = (page.id, page.source) if before is None else (before.picture, before.source)
    part = Part(picture, named, outline + shift)
    lines = tuple(line - (left, top) for line in page.lines if contains(outline, line).any())
    return Page(identity_of(pixels), pixels, page.dpi, source or page.source, part, lines)


def emptiest(page: Page, outline: F64, gap: Gap, *, px_per_mm: float) -> float:
    """Return where along a gap's normal to cut an outline: amid the longest stretch where least is printed.

    Where edges of papers are seen it lies between the first and the last of them: over the desk, or along the one edge
    at which two papers touch. What is printed over a sheet, such as a name, stays with it then.
    """
    step = max(px_per_mm / PROFILE_PX_PER_MM, (gap.high - gap.low) / MOST_LINES)
    pitch = max(1, round(PITCH_MM * px_per_mm / step))
    lines = max(1, int((gap.high - gap.low) / step))
    along = np.array([-gap.normal[1], gap.normal[0]])
    reach = outline @ along
    across = max(1, int((reach.max() - reach.min()) / step))
    first = gap.low + ((gap.high - gap.low) - (lines - 1) * step) / 2
    origin = gap.normal * (first - pitch * step) + along * reach.min()
    here = cut_out(page, outline)
    view = View(origin - box_of(outline)[:2], step * np.column_stack([along, gap.normal]), (lines + 2 * pitch, across))
    seen = view.pixels(here.pixels)
    at = first + step * np.arange(lines)
    empty = _print_on_lines(seen, background=max(3, round(BACKGROUND_MM * px_per_mm / step)), pitch=pitch)[pitch:-pitch]
    for place in gap.avoid:
        empty = empty + np.where(np.abs(at - place) < PITCH_MM * px_per_mm, np.ptp(empty) + SAME_LEVEL, 0.0)
    steps = np.where(empty <= np.median(empty), _colour_steps(seen, pitch), 0.0)
    edges = np.flatnonzero(steps >= EDGE_LEVELS)
    start, end = (int(edges[0]), int(edges[-1]) + 1) if len(edges) else (0, lines)
    if len(edges) and end - start <= TOUCHING * pitch:
        return _edge_of_pixels(float(at[start] + at[end - 1]) / 2 - step / 2, gap.normal)
    between = empty[start:end]
    level = between.min() + AS_EMPTY * (np.percentile(empty, 90) - between.min()) + SAME_LEVEL
    runs, count = ndimage.label((empty <= level) & (np.arange(lines) >= start) & (np.arange(lines) < end))
    longest = 1 + int(np.argmax(np.bincount(runs, minlength=count + 1)[1:]))
    return _edge_of_pixels(float(np.mean(at[runs == longest])), gap.normal)


def _edge_of_pixels(at: float, normal: F64) -> float:
    """Return a place along a normal; the next edge between pixels if the line runs along them."""
    return float(np.floor(at) + 0.5 if np.abs(normal).max() == 1 else at)


def _print_on_lines(seen: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], *, background: int, pitch: int) -> F64:
    """Return how much dark print each row of a view holds, averaged over the pitch of the grid."""
    most, least = brightest_and_darkest(seen)
    level = cv2.addWeighted(most, 0.5, least, 0.5, 0)  # a coloured grid is pale in the one, coloured ink in the other
    paper = cv2.medianBlur(np.ascontiguousarray(level), background | 1)
    return np.asarray(ndimage.uniform_filter1d(cv2.subtract(paper, level).mean(axis=1), pitch, mode="nearest"))


def _colour_steps(seen: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], pitch: int) -> F64:
    """Return by how much the mean colour changes at each row of a view but the first and last `pitch`.

    Rows from the pitch before it are compared with it and those after.
    """
    total = np.cumsum(np.vstack([np.zeros(3), seen.mean(axis=1, dtype=np.float64)]), axis=0)
    sums = total[pitch:] - total[:-pitch]  # of the rows from each row on
    lines = len(seen) - 2 * pitch
    return np.asarray(np.abs(sums[pitch : pitch + lines] - sums[:lines]).max(axis=1) / pitch)
