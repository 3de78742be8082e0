"""Bold lines tell the scale that a first look misjudged grossly, and nothing else does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ecgstudio.stages.line_scale import _is_part, comb, comb_of_parts, flattened, lines_confirm, scale_by_lines
from tests.ruled_panels import panels_side_by_side, ruled

TRUE_PX_PER_MM = 6.0
PANELS = panels_side_by_side(2, 2, width_mm=100.0, height_mm=60.0, gap_mm=5.3)
SIZE_MM = (230.0, 150.0)


def by_lines(image: np.ndarray, supposed: float) -> float | None:
    found = scale_by_lines(image, px_per_mm=supposed, angle_rad=0.0, mirrored=False)
    return found.px_per_mm if found is not None and found.sure else None


@pytest.mark.parametrize("factor", [0.6, 1.35, 1.5, 5 / 3, 2.0])
def test_bold_lines_tell_the_scale_that_was_grossly_misjudged(factor: float) -> None:
    paper = ruled(SIZE_MM, PANELS, px_per_mm=TRUE_PX_PER_MM)
    assert by_lines(paper, TRUE_PX_PER_MM * factor) == pytest.approx(TRUE_PX_PER_MM, rel=0.05)


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15])
def test_a_scale_that_the_search_finds_itself_stays(factor: float) -> None:
    paper = ruled(SIZE_MM, PANELS, px_per_mm=TRUE_PX_PER_MM)
    assert by_lines(paper, TRUE_PX_PER_MM * factor) is None


@pytest.mark.parametrize("factor", [1.0, 5 / 3, 2.5])
def test_lines_of_which_none_is_bold_tell_nothing(factor: float) -> None:
    paper = ruled(SIZE_MM, PANELS, px_per_mm=TRUE_PX_PER_MM, bold=70.0)
    found = by_lines(paper, TRUE_PX_PER_MM * factor)
    assert found is None


@pytest.mark.parametrize("seed", range(4))
def test_paper_without_lines_tells_nothing(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(200, 15, (700, 900))
    assert by_lines(np.repeat(noise.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), 6.0) is None


@pytest.mark.parametrize("side", [8, 40, 600])
def test_a_blank_picture_of_any_size_tells_nothing(side: int) -> None:
    assert by_lines(np.full((side, side, 3), 255, np.uint8), 6.0) is None


@pytest.mark.parametrize("factor", [1.0, 0.99, 1.02, 1.05])
def test_lines_5_mm_apart_without_any_between_are_no_half_of_them(factor: float) -> None:
    px_per_mm = 11.811
    paper = np.full((round(210 * px_per_mm), round(297 * px_per_mm), 3), 255, np.uint8)
    for across in (True, False):
        for at_mm in np.arange(25, 271 if across else 196, 5.0):
            at = round(at_mm * px_per_mm)
            line = (slice(200, -200), slice(at, at + 1)) if across else (slice(at, at + 1), slice(200, -200))
            paper[line] = (212, 61, 26)
    assert by_lines(paper, px_per_mm * factor) is None


@pytest.mark.parametrize(("whole", "part"), [(2, True), (3, True), (2.3, False), (1.5, False), (40, False)])
def test_a_distance_is_a_part_of_one_that_is_seen_more_clearly_along_one_axis(whole: float, part: bool) -> None:
    periods = np.geomspace(8, 128, 300)
    both = np.full((2, len(periods)), -2.0)
    best = int(np.abs(periods - 20).argmin())
    both[:, best] = 0.6, 0.35
    both[1, np.abs(periods - 20 * whole).argmin()] = 0.4
    assert _is_part(both, periods, best) is part
    both[1] -= 0.3 * (np.arange(len(periods)) != best)
    assert not _is_part(both, periods, best)


def seen_aslant(paper: np.ndarray) -> np.ndarray:
    height, width = paper.shape[:2]
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    aslant = flat + np.array([[0.06, 0.03], [-0.04, 0.08], [0.03, -0.03], [-0.02, -0.08]], np.float32) * width
    homography = cv2.getPerspectiveTransform(flat, aslant)
    photo = cv2.warpPerspective(paper, homography, (width, height), borderValue=(60, 75, 90))
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.0), np.uint8)


@pytest.mark.parametrize("factor", [1.5, 1.6, 1.8])
def test_bold_lines_tell_the_scale_of_a_sheet_seen_aslant(factor: float) -> None:
    panels = panels_side_by_side(2, 4, width_mm=150.0, height_mm=60.0, gap_mm=7.3)
    photo = seen_aslant(ruled((330.0, 290.0), panels, px_per_mm=TRUE_PX_PER_MM))
    periods = np.geomspace(20.0, 100.0, 400)
    whole = comb(flattened(photo), periods).min(axis=0).max()
    assert comb_of_parts(flattened(photo), periods).min(axis=0).max() > whole + 0.7
    assert by_lines(photo, TRUE_PX_PER_MM * factor) == pytest.approx(0.92 * TRUE_PX_PER_MM, rel=0.05)


@pytest.mark.parametrize(("factor", "confirmed"), [(0.9, True), (1.0, True), (1.1, True), (2.0, False), (1.5, False)])
def test_bold_lines_confirm_their_scale_and_no_multiple(factor: float, confirmed: bool) -> None:
    paper = ruled(SIZE_MM, PANELS, px_per_mm=TRUE_PX_PER_MM)
    assert confirms(paper, TRUE_PX_PER_MM * factor) == confirmed


def test_bold_lines_confirm_the_scale_of_a_sheet_seen_aslant() -> None:
    panels = panels_side_by_side(2, 4, width_mm=150.0, height_mm=60.0, gap_mm=7.3)
    photo = seen_aslant(ruled((330.0, 290.0), panels, px_per_mm=TRUE_PX_PER_MM))
    assert confirms(photo, 0.92 * TRUE_PX_PER_MM)
    assert not confirms(photo, 1.84 * TRUE_PX_PER_MM)


@pytest.mark.parametrize("side", [8, 40, 600])
def test_a_blank_picture_confirms_nothing(side: int) -> None:
    assert not confirms(np.full((side, side, 3), 255, np.uint8), 6.0)


def test_lines_of_which_none_is_bold_confirm_nothing() -> None:
    assert not confirms(ruled(SIZE_MM, PANELS, px_per_mm=TRUE_PX_PER_MM, bold=70.0), TRUE_PX_PER_MM)


def confirms(image: np.ndarray, supposed: float) -> bool:
    return lines_confirm(image, px_per_mm=supposed, angle_rad=0.0, mirrored=False)
