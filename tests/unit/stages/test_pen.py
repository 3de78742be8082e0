"""The pen draws what it is said to draw, and is measured on what it drew."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.stages.pen import BLURS_PX, WIDTHS_PX, Pen, fitted_pen, ink_of

SHAPE = (120, 96)
X = np.arange(-4.0, 100.0, 0.5)
LEVEL = np.full_like(X, 60.0)
WAVE = 60 + 40 * np.sin(X / 7)


@pytest.mark.parametrize("width", WIDTHS_PX)
def test_a_level_line_is_as_thick_as_its_pen(width: float) -> None:
    drawn = Pen(width, BLURS_PX[0]).drawn(X, LEVEL, SHAPE)
    assert drawn[:, 48].sum() == pytest.approx(width, abs=0.2)
    assert (drawn[:, 48] * np.arange(len(drawn))).sum() / drawn[:, 48].sum() == pytest.approx(60, abs=0.2)


def test_lines_far_beside_the_paper_leave_it_blank() -> None:
    assert Pen(3.2, 0.6).drawn(X, LEVEL + 1e7, SHAPE).max() == 0
    assert Pen(3.2, 0.6).drawn(X, LEVEL - 1e7, SHAPE).max() == 0


@pytest.mark.parametrize("width", WIDTHS_PX[::2])
@pytest.mark.parametrize("blur", BLURS_PX)
def test_the_pen_is_found_again(width: float, blur: float) -> None:
    pen = Pen(width, blur)
    ink = pen.drawn(X, WAVE, SHAPE)
    assert fitted_pen([(ink, [(X, WAVE)])]) == pen


def test_a_column_that_is_mostly_ink_is_ink() -> None:
    strip = np.zeros(SHAPE, np.float32)
    strip[58:62] = -4.0  # the trace
    strip[20:110, 40:44] = -4.0  # beats of all rows stand here
    strip[::8] -= 0.8  # a ruling, lighter than what is left of strokes at their edges
    path = np.repeat(np.full(SHAPE[1], 59.5), 2)
    ink = ink_of(strip, path, np.ones(len(path), bool))
    assert ink[30:100, 40:44].min() == 1
    assert ink[59, 10] == 1
    assert ink[80, :36].max() == 0


def test_without_a_trace_nothing_is_ink() -> None:
    strip = np.zeros(SHAPE, np.float32)
    path = np.full(2 * SHAPE[1], 59.5)
    assert not ink_of(strip, path, np.zeros(len(path), bool)).any()
    assert not ink_of(strip, path, np.ones(len(path), bool)).any()
