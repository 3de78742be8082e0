"""Where no grid can be seen, rows of about ten seconds tell the scale; other rows tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.paper_map import rescaled
from ecgstudio.stages.unruled import row_length_mm, scaled_by_rows
from tests.synth_page import BlindRuntime, SynthPage, TruthRuntime, synth_page, true_grid


@pytest.fixture(scope="module")
def ten_seconds() -> SynthPage:
    return synth_page("3x4", width_mm=250.0)


@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.3])
def test_a_rescaled_map_is_of_the_same_paper(ten_seconds: SynthPage, zoom: float) -> None:
    grid = true_grid(ten_seconds)
    other = rescaled(grid, zoom)
    assert other.px_per_mm == pytest.approx(zoom * grid.px_per_mm, rel=1e-3)
    mm = np.array([[20.0, 10.0], [100.0, 55.0]])
    np.testing.assert_allclose(other.to_page(mm / zoom), grid.to_page(mm), atol=0.05)
    assert np.all(np.array(other.size_mm) * zoom >= np.array(grid.size_mm) - 1e-6)


@pytest.mark.parametrize("zoom", [0.975, 1.02])
def test_rows_of_about_ten_seconds_are_taken_to_be_that(ten_seconds: SynthPage, zoom: float) -> None:
    grid = true_grid(ten_seconds)
    wrong = rescaled(grid, zoom)
    found = scaled_by_rows(ten_seconds.page, wrong, runtime=TruthRuntime(ten_seconds))
    assert found.px_per_mm == pytest.approx(grid.px_per_mm, rel=0.003)


def test_rows_of_another_length_change_nothing() -> None:
    short = synth_page("3x4", width_mm=200.0)
    grid, runtime = true_grid(short), TruthRuntime(short)
    assert row_length_mm(short.page, grid, runtime=runtime) == pytest.approx(200.0, abs=1.0)
    assert scaled_by_rows(short.page, grid, runtime=runtime) is grid


def test_a_page_without_rows_keeps_its_map(ten_seconds: SynthPage) -> None:
    blank = Page(PageId("3" * 64, 0), np.full((600, 900, 3), 240, np.uint8), None, "blank.png")
    grid = true_grid(ten_seconds)
    assert scaled_by_rows(blank, grid, runtime=BlindRuntime()) is grid
