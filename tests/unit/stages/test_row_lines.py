"""Rows tell how a sheet lies: turned, aslant, or as it should."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.row_lines import RowLines, row_lines

CELL_MM = 0.8
SHAPE = (300, 400)
BORDER_MM = np.array([[0, 0], [320, 0], [320, 240], [0, 240]], np.float64)
BOX = np.array([[40, 50], [280, 50], [280, 190], [40, 190]], np.float64)  # of the rows, as they would lie upright


def drawn(corners: F64, *, rows: int, ends: tuple[float, float] = (0.0, 1.0)) -> FloatMap:
    """Return a map of the axes of rows that fill a rectangle seen with these corners [4, 2], in mm."""
    to_map = fit_homography(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64), corners)
    axis = np.zeros(SHAPE, np.float32)
    for y in np.linspace(0, 1, rows):
        line = apply_homography(to_map, np.array([[ends[0], y], [ends[1], y]]))
        cv2.line(axis, *(tuple(int(v) for v in np.round((xy / CELL_MM - 0.5) * 256)) for xy in line), 0.9, 2, shift=8)
    return axis


def found(axis: FloatMap) -> RowLines:
    lines = row_lines(axis, cell_mm=CELL_MM, border_mm=BORDER_MM)
    assert lines is not None
    return lines


def turned(degrees: float) -> F64:
    angle = np.radians(degrees)
    middle = BOX.mean(axis=0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((BOX - middle) @ turn.T + middle)


def beside_a_turned_rectangle(corners: F64) -> float:
    """Return by how much the farthest of corners [4, 2] lies beside the nearest rectangle, turned and sized at will."""
    away = []
    for angle in np.radians(np.linspace(-12, 12, 481)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        left, top = ((corners @ turn)[pair].mean(axis=0)[i] for i, pair in enumerate(([0, 3], [0, 1])))
        right, bottom = ((corners @ turn)[pair].mean(axis=0)[i] for i, pair in enumerate(([1, 2], [2, 3])))
        upright = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        away.append(np.hypot(*(corners @ turn - upright).T).max())
    return float(min(away))


def unlike_a_photo(corners: F64) -> bool:
    """Tell whether of two sides that face each other one is about 1.4 times as long, or corners are far from square."""
    top, right, bottom, left = np.roll(corners, -1, axis=0) - corners
    ratios = np.log([np.hypot(*top) / np.hypot(*bottom), np.hypot(*left) / np.hypot(*right)])
    across, down = top - bottom, right - left
    skew = abs(across @ down) / (np.hypot(*across) * np.hypot(*down))
    return bool(np.abs(ratios).max() > np.log(1.35) or skew > 0.33)


@settings(max_examples=8, deadline=None)
@given(st.floats(-12, 12), st.integers(1, 12))
def test_rows_of_a_turned_sheet_tell_its_slope_and_no_perspective(degrees: float, rows: int) -> None:
    lines = found(drawn(turned(degrees), rows=rows))
    assert lines.slope == pytest.approx(np.tan(np.radians(degrees)), abs=0.006)
    assert len(lines.ends) == rows
    assert lines.corners is None


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(-16, 16), min_size=8, max_size=8), st.integers(3, 12))
@example([12.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0, 0.0], 3)  # a narrower sheet, not one seen aslant
def test_rows_of_a_photo_tell_the_corners_of_what_they_fill(away_mm: list[float], rows: int) -> None:
    corners = BOX + np.array(away_mm).reshape(4, 2)
    lines = found(drawn(corners, rows=rows))
    if lines.corners is None:  # a turned sheet, as well as one can tell (2 mm), or no photo's
        assert beside_a_turned_rectangle(corners) < 2.7 or unlike_a_photo(corners)
    else:
        np.testing.assert_allclose(lines.corners, corners, atol=3.0)


def test_rows_that_leave_the_picture_tell_no_perspective() -> None:
    corners = BOX + np.array([[-60, 0], [60, 12], [60, -12], [-60, 0]])
    assert found(drawn(corners, rows=5)).corners is None


def test_two_rows_tell_no_perspective() -> None:
    corners = BOX + np.array([[0, 0], [0, 15], [0, -15], [0, 0]])
    assert found(drawn(corners, rows=2)).corners is None


def test_no_photo_is_so_aslant_that_rows_halve() -> None:
    corners = BOX + np.array([[0, 0], [0, 0], [-120, 0], [0, 0]])
    assert found(drawn(corners, rows=5)).corners is None


def test_where_no_row_is_seen_there_is_no_answer() -> None:
    speck = np.zeros(SHAPE, np.float32)
    speck[100:103, 50:60] = 0.9
    for axis in (np.zeros(SHAPE, np.float32), speck):
        assert row_lines(axis, cell_mm=CELL_MM, border_mm=BORDER_MM) is None
