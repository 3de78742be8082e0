"""How stages compose: what is computed again, what a correction keeps, and what a failure stops."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ecgstudio.core.corrections import (
    NO_CORRECTIONS,
    Corrections,
    GridEdit,
    KeypointEdit,
    KeypointMove,
    TraceEdit,
    TraceShift,
)
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import AUTO_LAYOUT
from ecgstudio.core.page import Page
from ecgstudio.stages import assemble, pipeline, quality, stage0_keypoints, stage1_grid, stage2_trace
from ecgstudio.stages.contract import (
    NULL_STATUS,
    Cancelled,
    Failed,
    PartStatus,
    StageError,
    State,
    Status,
    content_digest,
)
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage
from ecgstudio.stages.settings import GridSettings, PipelineSettings, TraceSettings
from tests.fake_classifier import NoClassifier

NODES = np.stack(np.meshgrid(np.arange(3) * 20.0, np.arange(2) * 20.0), axis=-1)
MOVE_A_NODE = GridEdit(moves=np.array([[[20.0, 0.0], [21.0, 0.0]]]))
ADD_LEAD_I = KeypointEdit(moves=(KeypointMove("I", None, (5.0, 5.0)),))
SHIFT_UP = TraceEdit((TraceShift((10.0, 10.0), 0.0, 0.5),))


@dataclass
class FakeStages:
    """Stage functions that count their calls; a stage named in `broken` cannot answer."""

    calls: list[str] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)
    broken: dict[str, StageError] = field(default_factory=dict)
    px_per_mm: float = 4.0

    def _called(self, stage: str, status: Status = NULL_STATUS) -> None:
        self.calls.append(stage)
        status.checkpoint(0.5, "half")
        if stage in self.broken:
            raise self.broken[stage]

    def detect_keypoints(self, page: Page, *, status: Status, **_: object) -> Keypoints:
        self._called("keypoints", status)
        return Keypoints(("II",), np.array([[10.0, 10.0]]), np.array([0.9]), 0, 1.0, self.px_per_mm, 0.0, False)

    def fit_grid(self, page: Page, keypoints: Keypoints, *, status: Status, **_: object) -> GridFit:
        self._called("grid", status)
        return GridFit(NODES * keypoints.px_per_mm / 4.0, PaperScale(25.0, 10.0, "assumed"), 0.9)

    def read_traces(
        self, page: Page, keypoints: Keypoints, grid: GridFit, *, status: Status, settings: TraceSettings, **_: object
    ) -> DigitizedEcg:
        self._called("traces", status)
        self.layouts.append(settings.layout)
        xy = np.column_stack([np.linspace(10, 30, 50), np.full(50, 10.0)])
        return DigitizedEcg((LeadTrace("II", 0.0, 500.0, np.zeros(50), xy, np.ones(50)),), "3x4")

    def assemble(self, ecg: DigitizedEcg, grid: GridFit, **_: object) -> EcgRecord:
        self._called("record")
        return EcgRecord(np.full((12, 50), ecg.traces[0].mv[0], np.float32), 500.0)

    def assess(self, *_: object, **__: object) -> str:
        self._called("quality")
        return "fine"


@dataclass(frozen=True)
class NoNetworks(NoClassifier):
    """A runtime that fake stages never ask."""

    weights_hash: str = "weights-1"
    device: str = "cpu"


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    fakes = FakeStages()
    monkeypatch.setattr(stage0_keypoints, "detect_keypoints", fakes.detect_keypoints)
    monkeypatch.setattr(stage1_grid, "fit_grid", fakes.fit_grid)
    monkeypatch.setattr(stage2_trace, "read_traces", fakes.read_traces)
    monkeypatch.setattr(assemble, "assemble", fakes.assemble)
    monkeypatch.setattr(quality, "assess", fakes.assess)
    return fakes


FIRST_WEIGHTS = NoNetworks()
DEFAULTS = PipelineSettings()

Advance = Callable[..., Analysis]


@pytest.fixture
def advance(page: Page, stages: FakeStages) -> Advance:
    def run(
        analysis: Analysis = EMPTY_ANALYSIS,
        *,
        corrections: Corrections = NO_CORRECTIONS,
        upto: Stage = Stage.QUALITY,
        runtime: NoNetworks = FIRST_WEIGHTS,
        settings: PipelineSettings = DEFAULTS,
        status: Status = NULL_STATUS,
    ) -> Analysis:
        stages.calls.clear()
        return pipeline.advance(
            page, corrections, analysis=analysis, upto=upto, runtime=runtime, settings=settings, status=status
        )

    return run


ALL = ["keypoints", "grid", "traces", "record", "quality"]


def test_an_unknown_page_goes_through_every_stage_in_order(advance: Advance, stages: FakeStages) -> None:
    analysis = advance()
    assert stages.calls == ALL
    assert [outcome.state for _, outcome in analysis.outcomes()] == [State.AUTOMATIC] * 5


def test_going_up_to_a_stage_leaves_the_later_ones_unknown(advance: Advance, stages: FakeStages) -> None:
    analysis = advance(upto=Stage.GRID)
    assert stages.calls == ["keypoints", "grid"]
    assert analysis.traces is None


def test_going_on_computes_only_what_is_missing(advance: Advance, stages: FakeStages) -> None:
    advance(advance(upto=Stage.GRID))
    assert stages.calls == ["traces", "record", "quality"]


def test_nothing_is_computed_twice(advance: Advance, stages: FakeStages) -> None:
    analysis = advance()
    again = advance(analysis)
    assert stages.calls == []
    assert list(again.outcomes()) == list(analysis.outcomes())


def test_moving_a_node_reruns_only_later_stages(advance: Advance, stages: FakeStages) -> None:
    analysis = advance(advance(), corrections=Corrections(grid=MOVE_A_NODE))
    assert stages.calls == ["traces", "record", "quality"]
    assert analysis.grid is not None
    assert analysis.grid.state is State.CORRECTED
    assert analysis.grid.value.nodes[0, 1].tolist() == [21.0, 0.0]


def test_the_automatic_answer_is_kept_beneath_the_correction(advance: Advance) -> None:
    analysis = advance(advance(), corrections=Corrections(grid=MOVE_A_NODE))
    assert analysis.grid is not None
    assert analysis.grid.auto.nodes[0, 1].tolist() == [20.0, 0.0]


def test_taking_a_correction_back_restores_the_automatic_answer(advance: Advance, stages: FakeStages) -> None:
    first = advance()
    back = advance(advance(first, corrections=Corrections(grid=MOVE_A_NODE)))
    assert stages.calls == ["traces", "record", "quality"]
    assert back.grid == first.grid


def test_a_correction_of_the_last_stage_reruns_no_network(advance: Advance, stages: FakeStages) -> None:
    analysis = advance(advance(), corrections=Corrections(traces=SHIFT_UP))
    assert stages.calls == ["record", "quality"]
    assert analysis.record is not None
    assert analysis.record.value.mv[1, 0] == pytest.approx(0.5)


def test_new_weights_recompute_what_networks_answered(advance: Advance, stages: FakeStages) -> None:
    advance(advance(), runtime=NoNetworks("weights-2"))
    assert stages.calls == ["keypoints", "grid", "traces"]  # the same answers: what follows from them stays


def test_new_weights_keep_corrections(advance: Advance) -> None:
    corrections = Corrections(grid=MOVE_A_NODE)
    analysis = advance(advance(corrections=corrections), corrections=corrections, runtime=NoNetworks("weights-2"))
    assert analysis.grid is not None
    assert analysis.grid.value.nodes[0, 1].tolist() == [21.0, 0.0]


def test_settings_of_a_stage_touch_no_earlier_stage(advance: Advance, stages: FakeStages) -> None:
    advance(advance(), settings=PipelineSettings(traces=TraceSettings(layout="6x2")))
    assert stages.calls == ["traces"]
    advance(advance(), settings=PipelineSettings(grid=GridSettings(mm_per_s=50.0)))
    assert stages.calls == ["grid"]


def test_the_layout_of_a_page_counts_more_than_that_of_all(advance: Advance, stages: FakeStages) -> None:
    everywhere = PipelineSettings(traces=TraceSettings(layout="6x2"))
    before = advance(settings=everywhere)
    for layout, read_as in (("3x4", ["3x4"]), (AUTO_LAYOUT, [AUTO_LAYOUT]), (None, []), ("6x2", [])):
        stages.layouts.clear()
        after = advance(before, corrections=Corrections(layout=layout), settings=everywhere)
        assert stages.layouts == read_as
        assert set(stages.calls) <= {"traces"}
        assert after.traces is not None
        assert after.traces.state is State.AUTOMATIC
    alone = advance(corrections=Corrections(layout="6x2"))
    assert before.traces is not None
    assert alone.traces is not None
    assert alone.traces.key == before.traces.key


def test_a_correction_over_another_answer_needs_review(advance: Advance, stages: FakeStages) -> None:
    corrections = Corrections(grid=MOVE_A_NODE)
    analysis = advance(corrections=corrections)
    stages.px_per_mm = 4.04
    analysis = advance(analysis, corrections=corrections, runtime=NoNetworks("weights-2"))
    assert analysis.grid is not None
    assert analysis.grid.state is State.NEEDS_REVIEW
    assert analysis.grid.value.nodes[0, 1].tolist() == [21.0, 0.0]  # and is applied all the same


def test_going_back_to_the_old_answer_ends_the_need_for_review(advance: Advance, stages: FakeStages) -> None:
    corrections = Corrections(grid=MOVE_A_NODE)
    with_lead = replace(corrections, keypoints=replace(ADD_LEAD_I, px_per_mm=4.04))
    changed = advance(advance(corrections=corrections), corrections=with_lead)
    assert changed.grid is not None
    assert changed.grid.needs_review
    back = advance(changed, corrections=corrections)
    assert back.grid is not None
    assert not back.grid.needs_review


def test_a_new_correction_ends_the_need_for_review(advance: Advance, stages: FakeStages) -> None:
    analysis = advance(corrections=Corrections(grid=MOVE_A_NODE))
    stages.px_per_mm = 4.04
    analysis = advance(analysis, corrections=Corrections(grid=MOVE_A_NODE), runtime=NoNetworks("weights-2"))
    other = GridEdit(moves=np.array([[[20.2, 0.0], [21.5, 0.0]]]))
    analysis = advance(analysis, corrections=Corrections(grid=other), runtime=NoNetworks("weights-2"))
    assert analysis.grid is not None
    assert analysis.grid.state is State.CORRECTED


def test_a_failure_is_an_answer_and_names_itself(advance: Advance, stages: FakeStages) -> None:
    stages.broken["grid"] = StageError("grid", "no grid was found", "mark it by hand")
    analysis = advance()
    assert analysis.failure == Failed("grid", "no grid was found", "mark it by hand")
    assert stages.calls == ["keypoints", "grid"]


def test_stages_after_a_failure_say_what_they_wait_for(advance: Advance, stages: FakeStages) -> None:
    stages.broken["grid"] = StageError("grid", "no grid was found")
    analysis = advance()
    assert analysis.traces is not None
    assert isinstance(analysis.traces.value, Failed)
    assert "grid" in analysis.traces.value.reason


def test_a_human_who_supplies_the_answer_lets_the_chain_go_on(advance: Advance, stages: FakeStages) -> None:
    stages.broken["grid"] = StageError("grid", "no grid was found")
    by_hand = GridEdit(moves=np.empty((0, 2, 2)), nodes=NODES, mm_per_s=25.0, mm_per_mV=10.0)
    analysis = advance(advance(), corrections=Corrections(grid=by_hand))
    assert stages.calls == ["traces", "record", "quality"]
    assert analysis.failure is None
    assert analysis.grid is not None
    assert isinstance(analysis.grid.auto, Failed)


def test_a_correction_that_does_not_suffice_leaves_the_failure(advance: Advance, stages: FakeStages) -> None:
    stages.broken["grid"] = StageError("grid", "no grid was found")
    analysis = advance(corrections=Corrections(grid=MOVE_A_NODE))
    assert analysis.failure == Failed("grid", "no grid was found")


def test_an_unexpected_error_is_not_hidden(advance: Advance, stages: FakeStages) -> None:
    stages.broken["grid"] = ZeroDivisionError()  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        advance()


class CancelAt:
    """A status that cancels from a fraction on."""

    def __init__(self, fraction: float) -> None:
        self.limit, self.seen = fraction, list[float]()

    def checkpoint(self, fraction: float, note: str = "") -> None:
        self.seen.append(fraction)
        if fraction >= self.limit:
            raise Cancelled


def test_work_stops_where_it_is_cancelled(advance: Advance, stages: FakeStages) -> None:
    with pytest.raises(Cancelled):
        advance(status=CancelAt(0.2))
    assert stages.calls == ["keypoints", "grid"]


def test_progress_only_rises(advance: Advance) -> None:
    status = CancelAt(2.0)
    advance(status=status)
    assert status.seen == sorted(status.seen)
    assert status.seen[0] == 0.0


def test_a_part_reports_on_the_scale_of_the_whole() -> None:
    whole = CancelAt(2.0)
    PartStatus(whole, 0.2, 0.4).checkpoint(0.5)
    assert whole.seen == [pytest.approx(0.3)]


def test_digests_tell_content_apart_and_nothing_else() -> None:
    values = [None, 0, 0.0, "", "0", (), (0,), {"a": 1}, b"", np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1))]
    assert len({content_digest(value) for value in values}) == len(values)
    assert content_digest(MOVE_A_NODE) == content_digest(GridEdit(moves=MOVE_A_NODE.moves.copy()))
    assert content_digest(("ab", "c")) != content_digest(("a", "bc"))


def test_a_value_without_stable_content_has_no_digest() -> None:
    with pytest.raises(TypeError, match="object"):
        content_digest(object())
