"""Needles: thin strokes that a path passes by are found with their tips; what the path reaches itself is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgstudio.stages.needles import needles

ROWS, HALVES = 240, 480
AXIS = 120.0


def strip(path: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return log-columns and ink of a path [HALVES] as a sure network answers."""
    rows = np.arange(ROWS)[:, None]
    probability = np.exp(-0.5 * ((rows - path[None, :]) / 1.5) ** 2) + 1e-6
    ink = np.zeros((2, ROWS // 4, HALVES // 4), np.float32)
    for column in range(HALVES // 4):
        part = path[column * 4 : column * 4 + 4]
        ink[0, int(part.min()) // 4 : int(part.max()) // 4 + 1, column] = 0.9
    return np.log(probability / probability.sum(axis=0)).astype(np.float32), ink


def with_needle(
    columns: NDArray[np.float32], ink: NDArray[np.float32], half: int, tip: float, *, sure: float = 0.4
) -> None:
    rows = np.arange(ROWS)
    there = np.exp(-0.5 * ((rows - tip) / 2.0) ** 2)
    columns[:, half] = np.log((1 - sure) * np.exp(columns[:, half]) + sure * there / there.sum() + 1e-9)
    first, last = sorted((int(tip) // 4, int(AXIS) // 4))
    ink[0, first : last + 1, half // 4] = np.maximum(ink[0, first : last + 1, half // 4], 0.3)


@pytest.mark.parametrize("tip", [40.0, 200.0])
def test_a_needle_is_found_with_its_tip(tip: float) -> None:
    path = np.full(HALVES, AXIS)
    columns, ink = strip(path)
    with_needle(columns, ink, 202, tip)
    (found,) = needles(columns, ink, path)
    assert found[:2] == pytest.approx([202, tip], abs=1.0)
    assert found[2] == pytest.approx(abs(tip - AXIS), abs=4.0)


def test_a_trace_without_needles_has_none() -> None:
    path = AXIS - 60.0 * np.exp(-0.5 * ((np.arange(HALVES) - 240) / 8.0) ** 2)
    assert len(needles(*strip(path), path)) == 0


def test_the_limb_of_a_narrow_beat_is_no_needle() -> None:
    path = AXIS - 80.0 * np.exp(-0.5 * ((np.arange(HALVES) - 240) / 4.0) ** 2)
    columns, ink = strip(path)
    ink[0, int(AXIS - 80) // 4 : int(AXIS) // 4 + 1, 60] = 0.9  # the pen's ink fills what its limbs enclose
    assert len(needles(columns, ink, path)) == 0


def test_a_stroke_of_another_trace_is_no_needle() -> None:
    path = np.full(HALVES, AXIS)
    columns, ink = strip(path)
    with_needle(columns, ink, 202, 40.0)
    ink[1] = np.where(ink[0] == np.float32(0.3), 0.6, 0.0)
    assert len(needles(columns, ink, path)) == 0


def test_a_block_of_ink_is_no_needle() -> None:
    path = np.full(HALVES, AXIS)
    columns, ink = strip(path)
    with_needle(columns, ink, 202, 40.0)
    ink[0, 10:31, 46:56] = 0.9
    assert len(needles(columns, ink, path)) == 0


def test_ink_whose_end_no_column_knows_is_no_needle() -> None:
    path = np.full(HALVES, AXIS)
    columns, ink = strip(path)
    ink[0, 10:31, 50] = 0.9
    assert len(needles(columns, ink, path)) == 0
