"""How far printed lines lie from where a map has them is measured to hundredths of a millimetre, at any resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GridFit
from ecgstudio.stages.line_offsets import COARSE_PX_PER_MM, FIVE_MM, ONE_MM, REFINE_PX_PER_MM, Image, Step, line_offsets
from ecgstudio.stages.paper_map import UNKNOWN_SCALE

PX_PER_MM = 8.0
SIZE_MM = (100.0, 70.0)
FINE = ONE_MM[-1]
patient = settings(deadline=None, max_examples=12)


def ruled(period_mm: float, *, trace: bool = False) -> Image:
    """Return paper with upright and level lines; on request a trace that is darker than they are runs across it."""
    x, y = ((np.arange(round(side * PX_PER_MM)) + 0.5) / PX_PER_MM for side in SIZE_MM)
    lines = [80 * np.exp(-0.5 * (((mm + period_mm / 2) % period_mm - period_mm / 2) / 0.1) ** 2) for mm in (x, y)]
    dark = np.maximum(lines[0][None, :], lines[1][:, None])
    if trace:
        dark = np.maximum(dark, 230.0 * (np.abs(y[:, None] - 35 - 8 * np.sin(x / 4)[None]) < 0.3))
    return np.round(250 - dark).astype(np.uint8)


def astray(by_mm: tuple[float, float]) -> GridFit:
    """Return a map on which every line lies at a place too large by so much."""
    x, y = np.meshgrid(np.arange(21) * 5.0, np.arange(15) * 5.0)
    nodes = np.stack([x - by_mm[0], y - by_mm[1]], axis=-1) * PX_PER_MM - 0.5
    return GridFit(nodes, UNKNOWN_SCALE, 0.5)


def inner(values: F64) -> F64:
    """Leave out the blocks at the border of the paper."""
    return values[3:-3, 3:-3]


@patient
@given(
    by=st.tuples(st.floats(-0.35, 0.35), st.floats(-0.35, 0.35)),
    px_per_mm=st.sampled_from([COARSE_PX_PER_MM, REFINE_PX_PER_MM]),
)
def test_lines_are_found_where_they_are(by: tuple[float, float], px_per_mm: float) -> None:
    delta, weight = line_offsets(ruled(1.0), astray(by), replace(FINE, px_per_mm=px_per_mm))
    np.testing.assert_allclose(inner(delta), np.broadcast_to(np.negative(by), inner(delta).shape), atol=0.01)
    assert inner(weight).min() > 0.7


@pytest.mark.parametrize("px_per_mm", [4.0, REFINE_PX_PER_MM])
def test_bold_lines_are_found_within_half_of_their_distance(px_per_mm: float) -> None:
    delta, weight = line_offsets(ruled(5.0), astray((1.7, -2.1)), replace(FIVE_MM, px_per_mm=px_per_mm))
    away = np.abs(delta - [-1.7, 2.1])[weight > 0.75]
    assert away.max() < 0.06
    assert (weight > 0.75).mean() > 0.4  # the map begins beyond the paper's edge


def test_a_pass_that_grows_follows_lines_farther_than_half_of_their_distance() -> None:
    """The map's millimetres are .7 percent too long: at its ends lines lie .7 mm beside it."""
    grid = astray((0.0, 0.0))
    wide = replace(grid, nodes=(grid.nodes + 0.5) * 1.007 - 0.5)
    growing = Step(1.0, 2.5, 1.2, 2.0, grows=True)
    delta, weight = line_offsets(ruled(1.0), wide, growing)
    middles_mm = (np.arange(delta.shape[1]) + 0.5) * 2.5
    along = np.where(weight[..., 0] > 0.5, delta[..., 0], np.nan)[5:-5, 3:-3]
    expected = 0.007 * middles_mm[3:-3]
    off = along - expected
    np.testing.assert_allclose(off - np.round(np.nanmedian(off)), 0, atol=0.03)
    assert np.ptp(expected) > 0.5


def test_a_trace_hardly_moves_what_is_measured() -> None:
    by = (0.21, -0.13)
    delta, _ = line_offsets(ruled(1.0, trace=True), astray(by), FINE)
    away = inner(delta) + by
    assert np.sqrt((away**2).mean()) < 0.03


def test_blank_paper_has_no_lines() -> None:
    noise = np.random.default_rng(5).normal(0, 3, ruled(1.0).shape)
    _, weight = line_offsets(np.clip(240 + noise, 0, 255).astype(np.uint8), astray((0.0, 0.0)), FINE)
    assert (weight.min(axis=-1) > 0.5).mean() < 0.01
