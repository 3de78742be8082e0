"""Paths follow what the columns say, and heights become samples only where something was read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.decode import _viterbi, falling_edges, pair_average, resample_heights, sharpened, trace_path

ROWS, COLUMNS = 160, 240
patient = settings(deadline=None, max_examples=40)


def log_columns(height: F64, *, sigma: float = 1.5, rows: int = ROWS) -> FloatMap:
    """Return [1, rows, columns]: a Gaussian around the height, no opinion where it is NaN."""
    away = (np.arange(rows)[:, None] - height) / sigma
    energy = np.where(np.isfinite(height), -0.5 * away**2, 0.0)
    energy -= energy.max(axis=0)
    return (energy - np.log(np.exp(energy).sum(axis=0))).astype(np.float32)[None]


def wave(seed: int, *, amplitude: float) -> F64:
    rng = np.random.default_rng(seed)
    x = np.arange(COLUMNS) / COLUMNS
    terms = [np.sin(2 * np.pi * (k * x + rng.random())) * rng.uniform(-1, 1) / k for k in (1, 2, 3, 5)]
    return ROWS / 2 + amplitude * np.sum(terms, axis=0)


# --- paths --------------------------------------------------------------------------------------------------


@patient
@given(seed=st.integers(0, 10_000), amplitude=st.floats(0, 28), sigma=st.floats(0.8, 4))
def test_a_path_follows_a_drawn_line(seed: int, amplitude: float, sigma: float) -> None:
    line = wave(seed, amplitude=amplitude)
    height, mass = trace_path(log_columns(line, sigma=sigma))
    np.testing.assert_allclose(height[0], line, atol=0.05)
    assert mass.min() > 0.95


@patient
@given(seed=st.integers(0, 10_000), contrast=st.floats(0, 12))
def test_a_path_never_leaves_the_map(seed: int, contrast: float) -> None:
    energy = np.random.default_rng(seed).normal(0, contrast, (2, 32, 40))
    columns = (energy - np.log(np.exp(energy).sum(axis=1, keepdims=True))).astype(np.float32)
    height, mass = trace_path(columns)
    assert height.shape == mass.shape == (2, 40)
    assert ((height >= 0) & (height <= 31)).all()
    assert ((mass >= 0) & (mass <= 1)).all()


@pytest.mark.parametrize("edge_row", [0.0, ROWS - 1.0])
def test_a_line_at_the_edge_is_followed(edge_row: float) -> None:
    height, _ = trace_path(log_columns(np.full(COLUMNS, edge_row), sigma=0.5))
    np.testing.assert_allclose(height[0], edge_row, atol=0.3)


def test_a_steep_stroke_is_followed() -> None:
    line = np.full(COLUMNS, 120.0)
    line[100:106] = np.linspace(120, 30, 6)
    line[106:112] = np.linspace(30, 120, 6)
    height, _ = trace_path(log_columns(line))
    np.testing.assert_allclose(height[0], line, atol=0.2)


def test_a_short_patch_of_another_trace_does_not_catch_the_path() -> None:
    line = wave(4, amplitude=10)
    columns = np.exp(log_columns(line))
    columns[:, :, 90:96] = 0.4 * columns[:, :, 90:96] + 0.6 * np.exp(log_columns(line + 60))[:, :, 90:96]
    height, mass = trace_path(np.log(columns + 1e-9))
    np.testing.assert_allclose(height[0], line, atol=0.5)
    assert mass[0, 90:96].max() < 0.5 < mass[0, :85].min()


def test_a_gap_is_crossed_without_confidence() -> None:
    line = np.full(COLUMNS, 50.0)
    line[100:130] = np.nan
    line[130:] = 58.0
    height, mass = trace_path(log_columns(line))
    read = np.isfinite(line)
    np.testing.assert_allclose(height[0, read], line[read], atol=0.1)
    assert mass[0, read].min() > 0.95
    assert mass[0, ~read].max() < 0.4


@patient
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 14))
def test_no_path_scores_more_than_the_one_that_is_found(seed: int, rows: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.round(rng.normal(0, 2, (2, rows, width)) * 8).astype(np.float32) / 8  # ties are frequent
    cost = rng.integers(1, 6, (2, rows, width)).astype(np.float32) / 8
    climbed = np.cumsum(cost, axis=1)
    passed = np.abs(climbed[:, :, None] - climbed[:, None])  # [strip, row, row, column] on the way to a column
    best = score[..., 0]
    for column in range(1, width):
        best = (best[:, None] - passed[..., column]).max(axis=2) + score[..., column]
    path = _viterbi(score, cost)
    strip = np.arange(2)[:, None]
    total = score[strip, path, np.arange(width)].sum(axis=1)
    total -= passed[strip, path[:, 1:], path[:, :-1], np.arange(1, width)].sum(axis=1)
    np.testing.assert_allclose(total, best.max(axis=1), atol=1e-3)


def test_strips_are_read_independently() -> None:
    step = np.where(np.arange(COLUMNS) < COLUMNS // 2, 30.0, 130.0)
    lines = [step, step[::-1]]
    together, _ = trace_path(np.concatenate([log_columns(line) for line in lines]))
    for line, height in zip(lines, together, strict=True):
        np.testing.assert_allclose(height, trace_path(log_columns(line))[0][0], atol=1e-6)


def test_a_path_takes_the_inked_way() -> None:
    """A tall beat read unsurely: the next row's beat is nearer, but no pen went there."""
    line = np.full(COLUMNS, 90.0)
    line[100:108] = np.linspace(90, 20, 8)
    line[108:116] = np.linspace(20, 90, 8)
    other = np.full(COLUMNS, 136.0)
    doubt = np.exp(log_columns(line))
    doubt[:, :, 102:114] = 0.3 * doubt[:, :, 102:114] + 0.7 * np.exp(log_columns(other))[:, :, 102:114]
    ink = np.zeros((1, ROWS // 4, COLUMNS // 4), np.float32)
    for trace in (line, other):
        for column, row in enumerate(trace):
            ink[0, int(row // 4), column // 4] = 1.0
    ink[0, 5:23, 25:29] = 1.0  # the strokes of the beat
    columns = np.log(doubt + 1e-9)
    guessed, _ = trace_path(columns)
    assert guessed[0, 104:112].min() > 120
    height, _ = trace_path(columns, ink)
    np.testing.assert_allclose(height[0], line, atol=0.5)


def test_two_half_columns_become_one() -> None:
    assert pair_average(np.array([[1.0, 3.0, 5.0, 6.0]])).tolist() == [[2.0, 5.5]]


@given(level=st.integers(-200, 200), tenths=st.integers(-30, 30), length=st.integers(16, 60))
def test_sharpening_keeps_straight_lines(level: int, tenths: int, length: int) -> None:
    line = level + tenths / 10 * np.arange(length)
    np.testing.assert_allclose(sharpened(line)[3:-3], line[3:-3], atol=1e-9)
    assert len(sharpened(line)) == length


def test_sharpening_removes_what_alternates() -> None:
    noise = np.tile([1.0, -1.0], 20)
    assert np.abs(sharpened(noise)[3:-3]).max() < 0.06


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75])
def test_half_columns_hold_more_of_a_narrow_beat_than_their_pairs_do(phase: float) -> None:
    """A beat 20 ms wide at half its height, 1 mV high."""
    at = np.arange(80.0)

    def beat(x: F64) -> F64:
        return np.asarray(80.0 * np.exp(-0.5 * ((x - 40 - phase) / 3.4) ** 2))

    wanted = np.arange(20.0, 60.0, 0.8)
    fine, _ = resample_heights(at, sharpened(beat(at)), np.ones(80), wanted, max_gap_px=8.0)
    pairs, _ = resample_heights(pair_average(at), pair_average(beat(at)), np.ones(40), wanted, max_gap_px=8.0)
    assert np.square(fine - beat(wanted)).sum() < 0.9 * np.square(pairs - beat(wanted)).sum()


# --- samples ------------------------------------------------------------------------------------------------

slopes = st.integers(-50, 50).map(lambda tenths: tenths / 10)


@patient
@given(slope=slopes, level=st.floats(-50, 50), step=st.floats(0.2, 3.0), length=st.integers(8, 60))
def test_a_straight_line_stays_straight(slope: float, level: float, step: float, length: int) -> None:
    x = np.arange(length, dtype=np.float64)
    at = np.arange(0, length - 1, step)
    value, sure = resample_heights(x, slope * x + level, np.ones(length), at, max_gap_px=6.0)
    np.testing.assert_allclose(value, slope * at + level, atol=1e-9)
    assert (sure == 1).all()


@patient
@given(seed=st.integers(0, 1000), missing=st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), max_size=4))
def test_nothing_is_invented_and_nothing_overshoots(seed: int, missing: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(seed)
    x, height = np.arange(80, dtype=np.float64), rng.normal(0, 10, 80)
    confidence = np.ones(80)
    for first, count in missing:
        confidence[first : first + count] = 0.0
    at = np.arange(-10, 90, 0.25)
    value, sure = resample_heights(x, height, confidence, at, max_gap_px=8.0)
    good = x[confidence > 0]
    nearest = np.abs(at[:, None] - good).min(axis=1) if len(good) else np.full(len(at), np.inf)
    read = np.isfinite(value)
    assert not (read & (nearest > 4.0 + 1e-9)).any()
    assert (sure[~read] == 0).all()
    if read.any():
        assert height[confidence > 0].min() - 1e-9 <= value[read].min()
        assert value[read].max() <= height[confidence > 0].max() + 1e-9


def test_a_short_break_is_bridged_and_a_long_one_is_not() -> None:
    x = np.arange(100, dtype=np.float64)
    confidence = np.ones(100)
    confidence[20:24] = confidence[60:80] = 0.0
    value, sure = resample_heights(x, 2 * x, confidence, x, max_gap_px=8.0)
    np.testing.assert_allclose(value[18:26], 2 * x[18:26], atol=1e-9)
    assert np.isnan(value[61:79]).all()
    assert sure[21:23].max() == 0
    assert np.isfinite(value[[59, 81]]).all()


@pytest.mark.parametrize("faint", [0.0, 0.1])
def test_too_few_columns_give_no_samples(faint: float) -> None:
    confidence = np.full(50, faint)
    confidence[:3] = 1.0
    value, sure = resample_heights(np.arange(50.0), np.arange(50.0), confidence, np.arange(50.0), max_gap_px=8.0)
    assert np.isnan(value).all()
    assert (sure == 0).all()


def test_columns_without_a_height_are_not_used() -> None:
    height = np.arange(40.0)
    height[10:13] = np.nan
    value, _ = resample_heights(np.arange(40.0), height, np.ones(40), np.arange(40.0), max_gap_px=8.0)
    np.testing.assert_allclose(value, np.arange(40.0), atol=1e-9)


# --- presence -----------------------------------------------------------------------------------------------


@patient
@given(st.lists(st.tuples(st.integers(40, 120), st.integers(45, 200)), min_size=1, max_size=4))
def test_stretches_of_presence_come_back(gaps_and_lengths: list[tuple[int, int]]) -> None:
    presence, expected = [np.zeros(0)], []
    at = 0
    for gap, length in gaps_and_lengths:
        presence += [np.full(gap, 0.1), np.full(length, 0.9)]
        expected.append((at + gap, at + gap + length - 1))
        at += gap + length
    assert falling_edges(np.concatenate(presence)) == expected


def test_a_break_of_a_millimetre_does_not_end_a_lead() -> None:
    presence = np.full(300, 0.9)
    presence[100:116] = 0.1
    assert falling_edges(presence) == [(0, 299)]


def test_no_presence_is_no_stretch() -> None:
    assert falling_edges(np.full(100, 0.2)) == []
