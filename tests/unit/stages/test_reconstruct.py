"""Mending traces beside what was read: untouched where nothing is added, else marked; short gaps are filled."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.corrections import Corrections, TraceEdit, TraceErase
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LEAD_INDEX
from ecgstudio.core.page import Page, PageId
from ecgstudio.core.rebuilt import Mark, Reconstruction
from ecgstudio.io.export import FORMATS, PageResults
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.contract import NULL_STATUS, Failed, FloatMap
from ecgstudio.stages.overlay import render_overlay
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage, advance, stages_of
from ecgstudio.stages.reconstruct import HALF_PX, WINDOW_PX, fillable, reconstruct, trace_strip, windows
from ecgstudio.stages.report import build_report, summarize
from ecgstudio.stages.settings import PipelineSettings, ReconstructSettings
from tests.fake_runtime import DrawnPage, FakeRuntime, draw_page

FS = 500.0
ON = ReconstructSettings(enabled=True)
PX_PER_MM = 4.0
ROW_MM, START_MM = 30.0, 10.0


@dataclass(frozen=True)
class Adding:
    """A network that adds the same to every column, in centimetres of paper."""

    amount: float = 0.0
    reconstructor: str = "adding"

    def reconstruct(self, pictures: FloatMap, series: FloatMap) -> FloatMap:
        assert pictures.shape == (len(series), 2, 2 * HALF_PX, WINDOW_PX)
        assert np.isfinite(series).all()
        return np.full((len(series), WINDOW_PX), self.amount, np.float32)


@dataclass(frozen=True)
class MendingRuntime(FakeRuntime):
    """Perfect networks, of which the last adds a tenth of a millivolt at 10 mm/mV."""

    reconstructor: str = "adding 0.1"

    def reconstruct(self, pictures: FloatMap, series: FloatMap) -> FloatMap:
        return np.full((len(series), WINDOW_PX), 0.1, np.float32)


@pytest.fixture(scope="module")
def drawn() -> DrawnPage:
    return draw_page()


def flat_page(*, width_mm: float = 300.0, gain: float = 10.0) -> tuple[Page, GridFit]:
    pixels = np.full((round(70 * PX_PER_MM), round(width_mm * PX_PER_MM), 3), 255, np.uint8)
    x, y = np.meshgrid(np.arange(0, width_mm + 5, 5), np.arange(0, 75, 5))
    nodes = np.stack([x, y], axis=-1) * PX_PER_MM - 0.5
    return Page(PageId("1" * 64, 0), pixels, None, "flat.png"), GridFit(nodes, PaperScale(25.0, gain, "test"), 1.0)


def trace_on(grid: GridFit, mv: np.ndarray, *, lead: str = "II", confidence: float = 0.9) -> LeadTrace:
    x_mm = START_MM + np.arange(len(mv)) / FS * grid.scale.mm_per_s
    y_mm = ROW_MM - np.nan_to_num(mv) * grid.scale.mm_per_mV
    xy = grid.to_page(np.stack([x_mm, y_mm], axis=1))
    return LeadTrace(lead, 0.0, FS, mv.astype(np.float32), xy, np.full(len(mv), confidence, np.float32))


def waves(count: int) -> np.ndarray:
    return 0.5 * np.sin(np.arange(count) / FS * 2 * np.pi * 1.3)


def mended(mv: np.ndarray, network: Adding, *, choices: ReconstructSettings = ON, gain: float = 10.0) -> Reconstruction:
    page, grid = flat_page(gain=gain)
    ecg = DigitizedEcg((trace_on(grid, mv),), "3x4")
    return reconstruct(page, grid, ecg, runtime=network, settings=choices, status=NULL_STATUS)


@pytest.mark.parametrize("count", [200, 1250, 5000])
def test_where_nothing_is_added_every_sample_is_as_read(count: int) -> None:
    mv = waves(count)
    (trace,) = mended(mv, Adding(0.0)).traces
    np.testing.assert_array_equal(trace.mv, mv.astype(np.float32))
    assert not trace.mark.any()


@pytest.mark.parametrize(("gain", "expected_mv"), [(10.0, 0.2), (5.0, 0.4), (20.0, 0.1)])
@pytest.mark.parametrize("count", [1250, 5000])
def test_what_is_added_is_paper_and_marked(gain: float, expected_mv: float, count: int) -> None:
    mv = waves(count)
    (trace,) = mended(mv, Adding(0.2), gain=gain).traces
    np.testing.assert_allclose(trace.mv - mv, expected_mv, atol=1e-4)
    assert (trace.mark == Mark.CHANGED).all()


def test_the_page_pixels_move_with_the_voltage() -> None:
    page, grid = flat_page()
    before = trace_on(grid, waves(1250))
    ecg = DigitizedEcg((before,), "3x4")
    (trace,) = reconstruct(page, grid, ecg, runtime=Adding(0.2), settings=ON, status=NULL_STATUS).traces
    np.testing.assert_allclose(before.xy[:, 1] - trace.xy[:, 1], 2.0 * PX_PER_MM, atol=0.01)
    np.testing.assert_allclose(before.xy[:, 0], trace.xy[:, 0], atol=0.01)


def test_differences_that_say_nothing_are_none() -> None:
    (trace,) = mended(waves(1250), Adding(0.0004)).traces
    assert not trace.mark.any()


def test_a_short_gap_is_filled_and_a_long_one_stays() -> None:
    mv = waves(2500)
    mv[300:360], mv[1000:1200] = np.nan, np.nan  # 0.12 s and 0.4 s
    (trace,) = mended(mv, Adding(0.0)).traces
    assert (trace.mark[300:360] == Mark.FILLED).all()
    assert np.isfinite(trace.mv[300:360]).all()
    assert np.isnan(trace.mv[1000:1200]).all()
    assert not trace.mark[1000:1200].any()
    assert int((trace.mark == Mark.FILLED).sum()) == 60


def test_a_filled_gap_is_the_bridge_and_what_the_network_adds() -> None:
    mv = np.full(1250, 0.25)
    mv[500:540] = np.nan
    (trace,) = mended(mv, Adding(0.1)).traces
    np.testing.assert_allclose(trace.mv[500:540], 0.35, atol=1e-4)


def test_nothing_is_filled_if_the_user_does_not_want_it() -> None:
    mv = waves(1250)
    mv[300:310] = np.nan
    (trace,) = mended(mv, Adding(0.0), choices=replace(ON, fill_s=0.0)).traces
    assert np.isnan(trace.mv[300:310]).all()


def test_a_trace_of_which_little_was_read_is_left_alone() -> None:
    mv = np.full(1250, np.nan)
    mv[:10] = 0.1
    (trace,) = mended(mv, Adding(0.5)).traces
    assert not trace.mark.any()


def test_a_trace_that_lies_elsewhere_than_its_time_says_is_left_alone() -> None:
    page, grid = flat_page()
    trace = trace_on(grid, waves(1250))
    bent = replace(trace, xy=trace.xy + np.stack([np.linspace(0, 60, 1250), np.zeros(1250)], axis=1))
    assert trace_strip(page, grid, bent) is None


def test_fill_s_must_be_a_short_time() -> None:
    with pytest.raises(ValueError, match="fill_s"):
        ReconstructSettings(fill_s=5.0)


@settings(max_examples=12, deadline=None)
@given(st.integers(100, 5200), st.sampled_from([25.0, 50.0]))
def test_windows_cover_every_trace(count: int, speed: float) -> None:
    page, grid = flat_page(width_mm=600.0)
    grid = replace(grid, scale=PaperScale(speed, 10.0, "test"))
    strip = trace_strip(page, grid, trace_on(grid, waves(count)))
    assert strip is not None
    covered = np.zeros(strip.series.shape[1], bool)
    for span in windows(strip):
        assert span.stop - span.start == WINDOW_PX
        covered[span] = True
    assert covered.all()
    length_px = count / FS * speed * 8.0
    assert abs(strip.series[1].sum() - length_px) <= 2
    np.testing.assert_allclose(strip.first_mm, START_MM, atol=1e-6)
    np.testing.assert_allclose(strip.zero_mm, ROW_MM, atol=1e-3)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 20))
def test_only_short_spans_between_readings_can_be_filled(read: list[bool], longest: int) -> None:
    known = np.array(read, bool)
    marked = fillable(known, longest=longest)
    assert not (marked & known).any()
    for i in np.flatnonzero(~known):
        before = next((j for j in range(i, -1, -1) if known[j]), None)
        after = next((j for j in range(i, len(known)) if known[j]), None)
        fits = before is not None and after is not None and after - before - 1 <= longest
        assert marked[i] == fits


# --- in the pipeline ----------------------------------------------------------------------------------------


def analysed(drawn: DrawnPage, choices: PipelineSettings) -> Analysis:
    return advance(
        drawn.page, Corrections(), analysis=EMPTY_ANALYSIS, upto=Stage.QUALITY,
        runtime=MendingRuntime(), settings=choices, status=NULL_STATUS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def switched_on(drawn: DrawnPage) -> Analysis:
    return analysed(drawn, PipelineSettings(reconstruct=ON))


@pytest.fixture(scope="module")
def switched_off(drawn: DrawnPage) -> Analysis:
    return analysed(drawn, PipelineSettings())


def test_it_is_off_unless_asked_for(switched_off: Analysis) -> None:
    assert not PipelineSettings().reconstruct.enabled
    assert Stage.RECONSTRUCT not in stages_of(PipelineSettings())
    assert switched_off.reconstruct is None
    assert switched_off.record is not None
    assert switched_off.record.value.rebuilt is None


def test_what_was_read_is_the_same_with_it(switched_on: Analysis, switched_off: Analysis) -> None:
    assert switched_on.record is not None
    assert switched_off.record is not None
    np.testing.assert_array_equal(switched_on.record.value.mv, switched_off.record.value.mv)
    assert switched_on.traces is not None
    assert switched_off.traces is not None
    assert switched_on.traces.key == switched_off.traces.key


def test_the_record_carries_it_beside_what_was_read(switched_on: Analysis) -> None:
    assert switched_on.record is not None
    record = switched_on.record.value
    assert record.rebuilt is not None
    read = np.isfinite(record.mv)
    np.testing.assert_allclose((record.rebuilt.mv - record.mv)[read], 0.1, atol=1e-3)
    assert (record.rebuilt.mark[read] == Mark.CHANGED).all()
    assert np.isnan(record.rebuilt.mv[~read]).all()


def test_it_follows_what_a_human_corrected(drawn: DrawnPage, switched_on: Analysis) -> None:
    assert switched_on.traces is not None
    trace = next(t for t in switched_on.traces.value.traces if t.lead == "I")
    at = trace.t0_s + 1.0
    ends = trace.xy[[round(1.0 * FS), round(1.1 * FS)]]
    erased = Corrections(traces=TraceEdit((TraceErase(tuple(ends[0]), tuple(ends[1])),)))
    again = advance(
        drawn.page, erased, analysis=switched_on, upto=Stage.RECORD, runtime=MendingRuntime(),
        settings=PipelineSettings(reconstruct=ON), status=NULL_STATUS,
    )  # fmt: skip
    assert again.record is not None
    record = again.record.value
    assert record.rebuilt is not None
    row, middle = LEAD_INDEX["I"], round((at + 0.05) * 500)
    assert np.isnan(record.mv[row, middle])
    assert record.rebuilt.mark[row, middle] == Mark.FILLED


def test_without_its_network_the_page_is_read_all_the_same(drawn: DrawnPage, switched_off: Analysis) -> None:
    found = advance(
        drawn.page, Corrections(), analysis=switched_off, upto=Stage.QUALITY, runtime=FakeRuntime(),
        settings=PipelineSettings(reconstruct=ON), status=NULL_STATUS,
    )  # fmt: skip
    assert found.reconstruct is not None
    assert isinstance(found.reconstruct.value, Failed)
    assert found.failure is None
    assert found.record is not None
    assert switched_off.record is not None
    assert found.record.value.rebuilt is None
    np.testing.assert_array_equal(found.record.value.mv, switched_off.record.value.mv)
    summary = summarize(found)
    assert summary.status == summarize(switched_off).status
    assert "not reconstructed" in summary.reasons[-1]


# --- drawn, told and exported -------------------------------------------------------------------------------


def test_the_overlay_draws_it_dashed(drawn: DrawnPage, switched_on: Analysis) -> None:
    without = render_overlay(drawn.page, replace(switched_on, reconstruct=None))
    added = (render_overlay(drawn.page, switched_on) != without).any(axis=2)
    row = added[860:940, 150:1600].any(axis=0)  # the rhythm strip, about its zero line
    assert 0.3 < row.mean() < 0.8  # dashes and the gaps between them
    assert (np.diff(row.astype(int)) == 1).sum() > 50


def test_the_report_says_what_was_changed_and_filled(drawn: DrawnPage, switched_on: Analysis) -> None:
    summary = summarize(switched_on)
    report = build_report(
        drawn.page, switched_on, summary=summary, corrections=Corrections(), runtime=MendingRuntime(),
        settings=PipelineSettings(reconstruct=ON), timings_s={},
    )  # fmt: skip
    lines = report["reconstruction"]
    assert isinstance(lines, list)
    assert {line["lead"] for line in lines} >= {"I", "V6"}
    assert all(line["changed"] > 0.9 and line["filled_s"] == [] for line in lines)


def test_the_report_is_silent_where_it_is_off(drawn: DrawnPage, switched_off: Analysis) -> None:
    report = build_report(
        drawn.page, switched_off, summary=summarize(switched_off), corrections=Corrections(),
        runtime=MendingRuntime(), settings=PipelineSettings(), timings_s={},
    )  # fmt: skip
    assert "reconstruction" not in report


def test_exports_carry_it_in_channels_whose_label_says_so(switched_on: Analysis) -> None:
    assert switched_on.record is not None
    results = PageResults("page", switched_on.record.value, {}, None)
    header = FORMATS["csv"].encode(results)[0].decode().splitlines()[0].split(",")
    assert header[:3] == ["time_s", "I", "II"]
    leads = header[1:13]
    assert header[13:] == [f"{lead}_reconstructed{end}" for end in ("", "_mark") for lead in leads]
    wfdb_header, samples = FORMATS["wfdb"].encode(results)
    lines = wfdb_header.decode().splitlines()
    assert lines[0].split()[1] == "24"
    assert lines[13].endswith(" I reconstructed")
    assert len(samples) == 24 * 2 * switched_on.record.value.mv.shape[1]


def test_a_lead_in_which_nothing_changed_has_no_channel_of_its_own() -> None:
    page, grid = flat_page()
    ecg = DigitizedEcg((trace_on(grid, waves(1250)), trace_on(grid, waves(1250), lead="V1")), "3x4")
    found = reconstruct(page, grid, ecg, runtime=Adding(0.0), settings=ON, status=NULL_STATUS)
    record = assemble(ecg, grid, settings=PipelineSettings().assemble, reconstruction=found)
    header = FORMATS["csv"].encode(PageResults("page", record, {}, None))[0].decode().splitlines()[0]
    assert "reconstructed" not in header
