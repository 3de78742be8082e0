"""The whole pipeline behind networks that make no mistake: what is lost then is lost by the geometry."""

import numpy as np
import pytest

from ecgstudio import api
from ecgstudio.commands.doctor import record_snr_db
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page
from tests.fake_runtime import LAYOUT, FakeRuntime, draw_page

MIN_DB = 30.0


@pytest.fixture(scope="module")
def upright() -> api.PageResult:
    return api.digitize(draw_page().page, runtime=FakeRuntime())[0]


def test_a_clean_page_is_read_as_it_was_drawn(upright: api.PageResult) -> None:
    assert upright.record is not None
    assert record_snr_db(upright.record, draw_page().mv, fs=500.0) > MIN_DB


def test_layout_and_scale_are_found(upright: api.PageResult) -> None:
    assert (upright.summary.layout, upright.summary.mm_per_s, upright.summary.mm_per_mV) == (LAYOUT.name, 25.0, 10.0)


def test_what_was_not_printed_stays_missing(upright: api.PageResult) -> None:
    assert upright.record is not None
    printed = np.isfinite(draw_page().mv)
    read = np.isfinite(upright.record.mv)
    assert (read & ~printed).sum(axis=1).max() <= 25  # 50 ms: where one lead ends is known to about a millimetre
    assert (printed & ~read).sum(axis=1).max() <= 25


def test_the_page_agrees_with_itself(upright: api.PageResult) -> None:
    assert upright.quality is not None
    assert upright.quality.einthoven_db is not None
    assert upright.quality.einthoven_db > 20
    assert upright.quality.twin_lead == "II"


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 7])
def test_a_turned_or_mirrored_page_gives_the_same_record(orientation: int) -> None:
    drawn = draw_page(orientation=orientation)
    result = api.digitize(drawn.page, runtime=FakeRuntime())[0]
    assert result.record is not None, str(result.summary)
    assert record_snr_db(result.record, drawn.mv, fs=500.0) > MIN_DB


def test_a_page_in_memory_needs_no_file() -> None:
    result = api.digitize(np.array(draw_page().page.pixels), runtime=FakeRuntime())[0]
    assert (result.stem, result.status) == ("page", "ok"), str(result.summary)


def test_the_overlay_draws_over_every_trace(upright: api.PageResult) -> None:
    page: Page = draw_page().page
    overlay = api.render_overlay(page, upright.analysis)
    assert overlay.shape == page.pixels.shape
    assert upright.analysis.traces is not None
    for trace in upright.analysis.traces.value.traces:
        x, y = np.round(trace.xy[len(trace.xy) // 2]).astype(int)
        assert trace.lead in LEADS
        assert np.abs(overlay[y, x].astype(int) - page.pixels[y, x]).max() > 20
