"""Without its rulings a page shows its ink alone, on the same paper."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from ecgstudio.core.arrays import F64, U8
from ecgstudio.core.geometry import apply_homography
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.clear_page import CLEAR_PX_PER_MM, clear_page, on_picture

SCALE = PaperScale(25.0, 10.0, "printed")
WIDTH_MM, HEIGHT_MM, PX_PER_MM = 150.0, 100.0, 6.0


def page_of(pixels: U8) -> Page:
    """Return a page that shows these pixels."""
    return Page(PageId(hashlib.sha256(pixels.tobytes()).hexdigest(), 0), pixels, None, "test.png")


def sheet(*, ruled: int, trace: int, blue: int = 0) -> tuple[Page, GridFit, F64]:
    """Draw a beat every 20 mm among darker lines, askew; return the page, its grid and the trace's points (mm)."""
    turn, shift = 0.03, np.array([40.0, 30.0])
    to_page = np.eye(3)
    to_page[:2, :2] = PX_PER_MM * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    to_page[:2, 2] = shift
    pixels = np.full((720, 1020, 3), 235, np.uint8)

    def draw(points: F64, colour: tuple[int, int, int], thick: int) -> None:
        at = np.round(apply_homography(to_page, points) * 16).astype(np.int32)
        cv2.polylines(pixels, [at[:, None]], False, colour, thick, cv2.LINE_AA, 4)

    lines = (ruled, ruled, max(ruled, blue))
    for mm in np.arange(0, WIDTH_MM + 0.5, 1.0):
        draw(np.array([[mm, 0], [mm, HEIGHT_MM]]), lines, 2 if mm % 5 == 0 else 1)
    for mm in np.arange(0, HEIGHT_MM + 0.5, 1.0):
        draw(np.array([[0, mm], [WIDTH_MM, mm]]), lines, 2 if mm % 5 == 0 else 1)
    x = np.arange(10, 140, 0.25)
    y = 52.3 - 12 * np.exp(-(((np.mod(x, 20) - 10) / 0.8) ** 2)) + 2 * np.sin(x / 9)
    line = np.stack([x, y], axis=1)
    draw(line, (trace, trace, trace), 2)
    columns, rows = (np.arange(0, mm + 1, 5.0) for mm in (WIDTH_MM, HEIGHT_MM))
    nodes = apply_homography(to_page, np.stack(np.meshgrid(columns, rows), axis=-1))
    return page_of(pixels), GridFit(nodes, SCALE, 0.9), line


@pytest.mark.parametrize(("ruled", "trace", "blue"), [(90, 60, 0), (120, 90, 0), (170, 90, 0), (60, 40, 200)])
def test_traces_stay_and_lines_go(ruled: int, trace: int, blue: int) -> None:
    page, grid, line = sheet(ruled=ruled, trace=trace, blue=blue)
    clear, lattice = clear_page(page, grid)
    assert np.abs(lattice.to_page(line) - (line * CLEAR_PX_PER_MM - 0.5)).max() < 1e-6
    dark = 255 - clear.pixels[..., 0].astype(float)
    columns, rows = np.round(lattice.to_page(line)).astype(int).T
    on_trace = np.max([dark[rows + k, columns] for k in (-1, 0, 1)], axis=0)
    away = np.ones(dark.shape, bool)
    for k in range(-8, 9):
        away[rows + k, columns] = False
    away[:, :90] = away[:, -90:] = away[:16] = away[-16:] = False
    beside = cv2.dilate((~away).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert np.median(on_trace) > 4 * np.percentile(dark[beside], 90)


def test_what_lies_outside_the_picture_is_blank() -> None:
    page, grid, _ = sheet(ruled=150, trace=60)
    shifted = GridFit(grid.nodes - np.array([300.0, 0.0]), SCALE, 0.9)  # its left part lies outside
    clear, _ = clear_page(page, shifted)
    inside = on_picture(page, shifted, clear.pixels.shape[:2], cell_mm=1 / CLEAR_PX_PER_MM)
    assert 0.2 < 1 - inside.mean() < 0.6
    outside = cv2.erode((~inside).astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    assert (clear.pixels[outside] == 255).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_page_stays_blank(grey: int) -> None:
    _, grid, _ = sheet(ruled=150, trace=60)
    clear, _ = clear_page(page_of(np.full((720, 1020, 3), grey, np.uint8)), grid)
    assert clear.pixels.min() == 255
