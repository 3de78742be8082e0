"""Ruled lines are measured along rows and columns, beside the traces, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.rulings import rulings

SHAPE = (320, 640)


def ruled(dark: float, *, lying: float | None = None, pitch: int = 8) -> FloatMap:
    """Return paper with upright lines, and level ones on top of them."""
    paper = np.zeros(SHAPE, np.float32)
    paper[:, 4::pitch] = dark
    paper[4::pitch] = np.maximum(paper[4::pitch], dark if lying is None else lying)
    return paper


@pytest.mark.parametrize("pitch", [8, 40])
@pytest.mark.parametrize("columns_px", [None, 100])
def test_lines_are_found_as_dark_as_they_are(pitch: int, columns_px: int | None) -> None:
    paper = ruled(0.5, lying=0.3, pitch=pitch)
    found = rulings(paper, np.ones(SHAPE, bool), columns_px=columns_px)
    assert np.abs(found - paper).max() < 1e-6


def test_ink_is_no_line_unless_it_goes_on_and_on() -> None:
    paper = ruled(0.4)
    ink = paper.copy()
    ink[100:130, 200:300] = 1
    assert np.abs(rulings(ink, np.ones(SHAPE, bool)) - paper).max() < 1e-6


def test_a_level_trace_is_no_line_where_it_is_known_for_one() -> None:
    ink, free = ruled(0.4), np.ones(SHAPE, bool)
    ink[150:152, 40:600], free[148:154, 40:600] = 1, False
    found = rulings(ink, free)
    assert found[150, 96:500:8].max() < 0.1
    assert rulings(ink, np.ones(SHAPE, bool))[150, 96:500:8].min() > 0.9  # else it is one


def test_lines_fade_as_the_picture_does() -> None:
    paper = ruled(0.5) * np.linspace(1, 0.5, SHAPE[1], dtype=np.float32)
    found = rulings(paper, np.ones(SHAPE, bool))
    assert np.abs(found - paper)[:, 100:540].max() < 0.04


def test_where_nothing_is_free_nothing_is_ruled() -> None:
    assert not rulings(ruled(0.5), np.zeros(SHAPE, bool)).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_any_paper_has_an_answer(height: int, width: int, part: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ink = rng.random((height, width), np.float32)
    found = rulings(ink, rng.random((height, width)) < rng.random(), columns_px=part)
    assert found.shape == ink.shape
    assert ((found >= 0) & (found <= 1)).all()
