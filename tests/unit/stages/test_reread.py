"""A corrected grid: only what it moves is read again, as it would be if the whole page were read anew."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections, GridEdit
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.stages.contract import NULL_STATUS, FloatMap, GridMaps, Image, TraceMaps
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage, advance
from ecgstudio.stages.reread import ReadingMemo
from ecgstudio.stages.settings import PipelineSettings, TraceSettings
from ecgstudio.stages.stage2_trace import read_traces
from tests.fake_runtime import PX_PER_MM, DrawnPage, FakeRuntime, draw_page

SETTINGS = PipelineSettings()
NO_MOVES = np.empty((0, 2, 2))
ON_FIRST_ROW, ON_THIRD_ROW = (10, 20), (24, 20)  # rows lie 45, 80, 115 and 150 mm below the page's edge, nodes 5 less


@dataclass(frozen=True)
class Counting(FakeRuntime):
    """Perfect networks that remember how many strips they were asked for, and how often for a whole page."""

    strips: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)

    def trace(self, strips: FloatMap) -> TraceMaps:
        self.strips.append(len(strips))
        return super().trace(strips)

    def grid(self, image: Image) -> GridMaps:
        self.pages.append(1)
        return super().grid(image)


@functools.cache
def drawn() -> DrawnPage:
    return draw_page(seed=3)


@functools.cache
def automatic() -> tuple[Analysis, ReadingMemo]:
    memo = ReadingMemo()
    return run(memo=memo), memo


def run(
    corrections: Corrections = NO_CORRECTIONS,
    *,
    analysis: Analysis = EMPTY_ANALYSIS,
    runtime: FakeRuntime | None = None,
    memo: ReadingMemo | None = None,
    settings: PipelineSettings = SETTINGS,
) -> Analysis:
    return advance(
        drawn().page, corrections, analysis=analysis, upto=Stage.RECORD, runtime=runtime or Counting(),
        settings=settings, status=NULL_STATUS, memo=memo,
    )  # fmt: skip


def grid_of(analysis: Analysis) -> GridFit:
    assert analysis.grid is not None
    assert isinstance(analysis.grid.value, GridFit)
    return analysis.grid.value


def ecg_of(analysis: Analysis) -> DigitizedEcg:
    assert analysis.traces is not None
    assert isinstance(analysis.traces.value, DigitizedEcg), analysis.traces.value
    return analysis.traces.value


def keypoints_of(analysis: Analysis) -> Keypoints:
    assert analysis.keypoints is not None
    assert isinstance(analysis.keypoints.value, Keypoints)
    return analysis.keypoints.value


def pulled(*nodes: tuple[int, int], by_mm: tuple[float, float] = (0.0, 1.0)) -> Corrections:
    """Return the correction that moves nodes of the automatic grid, each alone."""
    lattice = grid_of(automatic()[0]).nodes
    starts = np.array([lattice[node] for node in nodes])
    return Corrections(grid=GridEdit(np.stack([starts, starts + np.array(by_mm) * PX_PER_MM], axis=1)))


def same(one: LeadTrace, other: LeadTrace) -> bool:
    return (one.lead, one.t0_s) == (other.lead, other.t0_s) and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in ("mv", "xy", "confidence")
    )


def changed(before: DigitizedEcg, after: DigitizedEcg) -> set[str]:
    """Name the leads of which a trace is no longer what it was."""
    return {one.lead for one, other in zip(before.traces, after.traces, strict=True) if not same(one, other)}


# --- only what is moved is read again -----------------------------------------------------------------------


def test_a_moved_node_asks_for_one_strip_and_leaves_all_other_leads_as_they_are() -> None:
    before, memo = automatic()
    runtime = Counting()
    after = run(pulled(ON_FIRST_ROW), analysis=before, runtime=runtime, memo=memo)
    assert (runtime.strips, runtime.pages) == ([1], [])
    touched = changed(ecg_of(before), ecg_of(after))
    assert touched
    assert touched <= {"I", "aVR", "V1", "V4"}
    assert len(touched) <= 2


def test_a_node_beside_all_leads_asks_for_nothing() -> None:
    before, memo = automatic()
    runtime = Counting()
    after = run(pulled((1, 1)), analysis=before, runtime=runtime, memo=memo)
    assert (runtime.strips, runtime.pages) == ([], [])
    assert changed(ecg_of(before), ecg_of(after)) == set()


def test_a_second_correction_elsewhere_does_not_read_the_first_row_again() -> None:
    before, memo = automatic()
    once = run(pulled(ON_FIRST_ROW), analysis=before, memo=memo)
    runtime = Counting()
    twice = run(pulled(ON_FIRST_ROW, ON_THIRD_ROW), analysis=once, runtime=runtime, memo=memo)
    assert (runtime.strips, runtime.pages) == ([1], [])
    assert changed(ecg_of(once), ecg_of(twice)) <= {"III", "aVF", "V3", "V6"}


def test_taking_a_correction_back_asks_for_nothing() -> None:
    before, memo = automatic()
    after = run(pulled(ON_FIRST_ROW), analysis=before, memo=memo)
    runtime = Counting()
    back = run(analysis=after, runtime=runtime, memo=memo)
    assert (runtime.strips, runtime.pages) == ([], [])
    assert changed(ecg_of(before), ecg_of(back)) == set()


def test_another_scale_asks_for_nothing_and_scales_what_was_read() -> None:
    before, memo = automatic()
    runtime = Counting()
    after = run(Corrections(grid=GridEdit(NO_MOVES, mm_per_mV=5.0)), analysis=before, runtime=runtime, memo=memo)
    assert (runtime.strips, runtime.pages) == ([], [])
    for one, other in zip(ecg_of(before).traces, ecg_of(after).traces, strict=True):
        np.testing.assert_allclose(other.mv, 2 * one.mv, atol=1e-5)


# --- and it is what the whole page read anew would say ------------------------------------------------------


@pytest.mark.parametrize(
    ("corrections", "level_mv"),
    [
        (pulled(ON_FIRST_ROW), 0.02),
        (pulled(ON_FIRST_ROW, by_mm=(1.0, -0.5)), 0.02),
        (pulled((24, 19), ON_THIRD_ROW, (24, 21), (31, 30)), 0.02),
        # a whole line, along the second row; the fake networks see its axis where it would be if it had not been moved
        (pulled(*((17, column) for column in range(3, 56)), by_mm=(0.0, 1.0)), 0.1),
    ],
    ids=["down", "aside", "several", "line"],
)
def test_the_leads_that_are_read_again_are_what_a_whole_reading_says(corrections: Corrections, level_mv: float) -> None:
    before, memo = automatic()
    partly = ecg_of(run(corrections, analysis=before, memo=memo))
    wholly = read_traces(
        drawn().page, keypoints_of(before), grid_of(run(corrections, analysis=before, memo=memo)),
        runtime=Counting(), settings=TraceSettings(), status=NULL_STATUS,
    )  # fmt: skip
    assert [trace.lead for trace in partly.traces] == [trace.lead for trace in wholly.traces]
    for one, other in zip(partly.traces, wholly.traces, strict=True):
        assert one.t0_s == pytest.approx(other.t0_s, abs=0.005)
        first = round((other.t0_s - one.t0_s) * one.fs)
        a, b = one.mv[max(0, first) :], other.mv[max(0, -first) :]
        n = min(len(a), len(b))
        both = np.isfinite(a[:n]) & np.isfinite(b[:n])
        assert both.mean() > 0.97
        away = (a[:n] - b[:n])[both]
        assert abs(np.median(away)) < level_mv  # the height of an axis is seen in cells of 0.8 mm
        assert np.std(away) < 0.01


def test_a_node_pulled_back_onto_its_crossing_mends_only_its_leads() -> None:
    """The automatic grid is wrong at one place; set right by hand, the record is right there too."""
    before, _ = automatic()
    true = grid_of(before)
    nodes = true.nodes.copy()
    nodes[ON_FIRST_ROW] += (0.0, 1.5 * PX_PER_MM)
    wrong = GridFit(nodes, true.scale, true.confidence)
    read = functools.partial(
        read_traces, drawn().page, keypoints_of(before), runtime=Counting(), settings=TraceSettings(),
        status=NULL_STATUS, memo=ReadingMemo(),
    )  # fmt: skip
    bad, mended = read(wrong), read(true, uncorrected=wrong)
    worse = set()
    for good, was, now in zip(ecg_of(before).traces, bad.traces, mended.traces, strict=True):
        n = min(len(good.mv), len(was.mv), len(now.mv))
        off_mv = [float(np.nanstd(each.mv[:n] - good.mv[:n])) for each in (was, now)]
        if off_mv[0] > 0.005:
            worse.add(good.lead)
            assert off_mv[1] < 0.1 * off_mv[0]
    assert worse
    assert worse <= changed(bad, mended) <= {"I", "aVR", "V1", "V4"}


# --- whatever happened before -------------------------------------------------------------------------------


def test_what_comes_of_corrections_does_not_depend_on_how_they_came_about() -> None:
    before, memo = automatic()
    last = pulled(ON_FIRST_ROW, ON_THIRD_ROW)
    by_way_of = run(pulled(ON_FIRST_ROW), analysis=before, memo=memo)
    by_way_of = run(pulled(ON_FIRST_ROW, by_mm=(2.0, 2.0)), analysis=by_way_of, memo=memo)
    by_way_of = run(last, analysis=by_way_of, memo=memo)
    at_once = run(last)
    assert by_way_of.traces is not None
    assert at_once.traces is not None
    assert by_way_of.traces.key == at_once.traces.key
    assert by_way_of.traces.digest == at_once.traces.digest


def test_a_grid_that_a_human_made_and_one_that_was_found_alike_have_two_keys() -> None:
    before, _ = automatic()
    corrected = run(pulled(ON_FIRST_ROW), analysis=before)
    assert corrected.grid is not None
    found = replace(corrected.grid, auto=corrected.grid.value, edit=None)
    untouched = run(analysis=replace(corrected, grid=found))
    assert corrected.traces is not None
    assert untouched.traces is not None
    assert corrected.traces.key.upstream != untouched.traces.key.upstream


# --- when all is read anew ----------------------------------------------------------------------------------


def test_nodes_that_are_moved_far_make_the_page_be_read_anew() -> None:
    before, memo = automatic()
    runtime = Counting()
    run(pulled(ON_FIRST_ROW, by_mm=(0.0, 6.0)), analysis=before, runtime=runtime, memo=memo)
    assert runtime.pages == [1]
    assert sum(runtime.strips) >= 4


def test_a_page_whose_names_were_inferred_is_read_anew() -> None:
    before, memo = automatic()
    keypoints = keypoints_of(before)
    keep = [name not in ("II", "V2", "aVL") for name in keypoints.names]
    fewer = replace(
        keypoints, names=tuple(np.array(keypoints.names)[keep]), xy=keypoints.xy[keep],
        confidence=keypoints.confidence[keep],
    )  # fmt: skip
    assert len(set(fewer.names) & set(LEADS)) < 12
    runtime = Counting()
    read = functools.partial(
        read_traces, drawn().page, fewer, runtime=runtime, settings=TraceSettings(), status=NULL_STATUS, memo=memo
    )
    grid = grid_of(before)
    assert read(grid).notes
    asked = len(runtime.pages)
    read(grid_of(run(pulled(ON_FIRST_ROW), analysis=before, memo=memo)), uncorrected=grid)
    assert len(runtime.pages) == asked + 1


def test_a_memo_forgets_what_was_not_used_for_longest() -> None:
    memo, made = ReadingMemo(size=2), list[str]()

    def make(name: str) -> str:
        made.append(name)
        return name

    for name in ("a", "b", "a", "c", "a", "b"):
        assert memo.recall(name, functools.partial(make, name)) == name
    assert made == ["a", "b", "c", "b"]


def test_a_memo_keeps_nothing_of_what_failed() -> None:
    memo = ReadingMemo()

    def fail() -> str:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - ours
        memo.recall("a", fail)
    assert memo.recall("a", lambda: "made") == "made"
