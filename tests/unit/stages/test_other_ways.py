"""Other ways of a trace: the best path there is, one that bends little, and none where there is no room."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.other_ways import BIN_PX, Way, centred, other_way, smooth_path

H, W = 160, 40
STRAIGHT = Way(bend=0.25, beside=0.0, ink=0.0)


def worth(path: tuple[int, ...], likely: FloatMap, gain: FloatMap, ends: np.ndarray, bend: float) -> float:
    """Add up what a path is worth, as smooth_path's docstring says."""
    whole = np.concatenate([ends[:2], path, ends[2:]])
    total = float(sum(likely[y, x] for x, y in enumerate(path))) - bend * float(np.abs(np.diff(whole, 2)).sum())
    for x in range(1, len(path)):
        low, high = sorted((path[x - 1], path[x]))
        total += float(gain[high, x] - gain[low, x])
    return total


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bins=st.integers(2, 5), width=st.integers(2, 5), bend=st.floats(0, 2))
def test_no_path_is_worth_more(seed: int, bins: int, width: int, bend: float) -> None:
    rng = np.random.default_rng(seed)
    likely = rng.normal(0, 1, (bins, width)).astype(np.float32)
    gain = np.cumsum(rng.normal(0, 1, (bins, width)), axis=0).astype(np.float32)
    ends = rng.uniform(-1, bins, 4)
    found = smooth_path(likely, gain, ends[:2], ends[2:], bend=bend)
    best = max(worth(path, likely, gain, ends, bend) for path in product(range(bins), repeat=width))
    assert worth(tuple(int(y) for y in found), likely, gain, ends, bend) >= best - 1e-3


def columns(*heights: np.ndarray) -> np.ndarray:
    """Let several heights be equally likely in each half-column."""
    rows = np.arange(H)[:, None]
    chance = sum(np.exp(-(((rows - each) / 2) ** 2) / 2) for each in heights) + 1e-6
    return np.log(chance / chance.sum(axis=0)).astype(np.float16)


FALLING, RISING = np.linspace(40, 120, W), np.linspace(120, 40, W)
NOTHING_TAKEN, NOTHING_LEFT = np.zeros((H, W - 20), bool), np.zeros((H, W - 20), np.float32)


def test_a_stroke_goes_straight_on_where_it_crosses_another() -> None:
    bent = np.maximum(FALLING, RISING)  # up again from where they cross
    straight = np.where(np.arange(W) < 12, bent, RISING)
    way = other_way(columns(FALLING, RISING), straight, 10, 30, STRAIGHT, taken=NOTHING_TAKEN, left=NOTHING_LEFT)
    assert way is not None
    assert np.abs(way - RISING[10:30]).max() < 2 * BIN_PX  # where strokes cross, likely heights are in between


def test_ink_that_nobody_explains_draws_a_path_and_what_is_taken_repels_it() -> None:
    upper, lower = np.full(W, 60.0), np.full(W, 60.0)
    lower[14:26] = 100.0
    both = columns(upper, lower)
    left = NOTHING_LEFT - 1.5
    left[95:105, 4:16] = 1.0  # two upright strokes, and level ink below that is passed in each half-column
    left[60:105, [4, 15]] = 1.0
    drawn = other_way(both, upper, 10, 30, Way(0.02, 0.0, 0.5), taken=NOTHING_TAKEN, left=left)
    assert drawn is not None
    assert np.abs(drawn[7:13] - 100).max() < BIN_PX
    likelier = columns(upper, lower, lower, lower)
    taken = NOTHING_TAKEN.copy()
    for beside, height in ((0.0, 100), (3.0, 60)):
        away = other_way(likelier, lower, 10, 30, Way(0.01, beside, 0.0), taken=taken, left=NOTHING_LEFT)
        assert away is not None
        assert np.abs(away[7:13] - height).max() < BIN_PX
        taken[90:110] = True


def test_there_is_no_way_at_the_very_ends_of_a_strip() -> None:
    for first, last in ((0, 20), (1, 21), (W - 20, W), (W - 21, W - 1), (10, 11)):
        size = max(last - first, 0)
        found = other_way(
            columns(FALLING), FALLING, first, last, STRAIGHT,
            taken=np.zeros((H, size), bool), left=np.zeros((H, size), np.float32),
        )  # fmt: skip
        assert found is None


@pytest.mark.parametrize("width", [1, 2, 7])
def test_heights_go_to_the_middle_of_what_is_likely_however_few_they_are(width: int) -> None:
    chance = np.zeros((60, width), np.float32)
    chance[30:35] = 0.2
    assert np.allclose(centred(chance, np.full(width, 29.0)), 32.0)
