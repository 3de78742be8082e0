"""Other ways of a trace: the best path there is, one that bends little, along ink that nobody else explains."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.other_ways import FREE_BEND_PX, best_way, centred, smooth_path

H, W = 160, 24
BEND, PEN_PX = 0.02, 3.0
HARDLY_SEEN = (-0.02 * np.abs(np.arange(H) - 60.0)[:, None] * np.ones(W)).astype(np.float32)


def value(path: tuple[int, ...], worth: FloatMap, passed: FloatMap, ends: F64, bend: float) -> float:
    """Add up what a path is worth, as smooth_path's docstring says."""
    bends = np.abs(np.diff(np.concatenate([ends[:2], path, ends[2:]]), 2))
    total = float(sum(worth[y, x] for x, y in enumerate(path)))
    total -= bend * float(np.maximum(bends - FREE_BEND_PX, 0).sum())
    for x in range(1, len(path)):
        low, high = sorted((path[x - 1], path[x]))
        total += float(passed[high, x] - passed[low, x])
    return total


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(2, 5), width=st.integers(2, 5), apart=st.sampled_from((1, 4)),
    bend=st.floats(0, 2),
)  # fmt: skip
def test_no_path_is_worth_more(seed: int, count: int, width: int, apart: int, bend: float) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.normal(0, 1, (count * apart, width)).astype(np.float32)
    passed = np.cumsum(rng.normal(0, 1, worth.shape), axis=0).astype(np.float32)
    ends = rng.uniform(-1, len(worth), 4)
    heights = np.arange(count) * apart
    found = smooth_path(
        np.repeat(heights[:, None].astype(np.float64), width, axis=1), worth, passed, ends[:2], ends[2:], bend=bend
    )
    best = max(value(path, worth, passed, ends, bend) for path in product(heights.tolist(), repeat=width))
    assert value(tuple(int(y) for y in found), worth, passed, ends, bend) >= best - 1e-3


def drawn(path: F64) -> FloatMap:
    """Draw a line: what covers its ink is worth 1, what covers blank paper costs .5."""
    low = np.minimum(path, np.append(path[:1], path[:-1])) - PEN_PX / 2
    high = np.maximum(path, np.append(path[:1], path[:-1])) + PEN_PX / 2
    rows = np.arange(H)[:, None]
    return np.where((rows >= low) & (rows <= high), 1.0, -0.5).astype(np.float32)


def way(covered: FloatMap, path: F64, *, ends: tuple[float, float], anywhere: bool = True) -> F64:
    before, after = (np.full(2, end) for end in ends)
    return best_way(HARDLY_SEEN, covered, path, before, after, bend=BEND, pen_px=PEN_PX, anywhere=anywhere)


LEVEL, WAVE = np.full(W, 60.0), 60 + 70 * np.exp(-(((np.arange(W) - 11.5) / 4) ** 2))


def test_a_trace_goes_where_there_is_ink() -> None:
    assert np.abs(way(drawn(WAVE), LEVEL, ends=(60.0, 60.0)) - WAVE)[:11].max() < 4
    assert np.abs(way(drawn(LEVEL), WAVE, ends=(60.0, 60.0)) - LEVEL).max() < 4


def test_it_goes_straight_on_behind_what_others_explain() -> None:
    covered = drawn(LEVEL)
    covered[:, 8:16] = 0.0  # another trace passes, on all the paper there is
    assert np.abs(way(covered, WAVE, ends=(60.0, 60.0)) - LEVEL).max() < 4


def test_only_near_a_path_if_it_is_asked_so() -> None:
    found = way(drawn(LEVEL), np.full(W, 100.0), ends=(100.0, 100.0), anywhere=False)
    assert np.abs(found - 100).max() <= 9
    near = way(drawn(WAVE), WAVE + 3, ends=(60.0, 60.0), anywhere=False)
    assert np.abs(near - WAVE)[:11].max() < 4


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_few_columns_are_enough_and_few_rows(width: int) -> None:
    found = best_way(
        HARDLY_SEEN[:12, :width], HARDLY_SEEN[:12, :width], np.full(width, 5.0), np.full(2, 5.0), np.full(2, 5.0),
        bend=BEND, pen_px=PEN_PX,
    )  # fmt: skip
    assert (found >= 0).all()
    assert (found <= 11).all()


@pytest.mark.parametrize("width", [1, 2, 7])
def test_heights_go_to_the_middle_of_what_is_likely_however_few_they_are(width: int) -> None:
    chance = np.zeros((60, width), np.float32)
    chance[30:35] = 0.2
    assert np.allclose(centred(chance, np.full(width, 29.0)), 32.0)
