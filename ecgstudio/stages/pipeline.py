"""The one way from a page to a record: every stage called in its turn, nothing computed twice.

The GUI, the command line, the batch and the cluster all come through `advance`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from ecgstudio.core.corrections import (
    Corrections,
    GridEdit,
    apply_diagnosis,
    apply_grid,
    apply_keypoints,
    apply_traces,
)
from ecgstudio.core.diagnosis import Diagnosis
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, PageId
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.errors import UserError
from ecgstudio.stages import (
    assemble,
    classify,
    perspective,
    quality,
    reconstruct,
    several_sheets,
    stage0_keypoints,
    stage2_trace,
)
from ecgstudio.stages.contract import (
    Classifier,
    Failed,
    Key,
    Outcome,
    PartStatus,
    Runtime,
    StageError,
    Status,
    content_digest,
)
from ecgstudio.stages.quality import QualityReport
from ecgstudio.stages.reread import ReadingMemo
from ecgstudio.stages.settings import PipelineSettings, TraceSettings

T = TypeVar("T")


class Stage(StrEnum):
    """The stages in their order; `advance` goes up to one of them."""

    KEYPOINTS = "keypoints"
    GRID = "grid"
    TRACES = "traces"
    RECONSTRUCT = "reconstruct"
    RECORD = "record"
    QUALITY = "quality"


# Where each stage ends on the progress bar: its share of a page's seconds on a CPU.
PROGRESS: Final = {
    Stage.KEYPOINTS: 0.15, Stage.GRID: 0.40, Stage.TRACES: 0.85, Stage.RECONSTRUCT: 0.95, Stage.RECORD: 0.97,
    Stage.QUALITY: 1.0,
}  # fmt: skip

ORDER: Final = tuple(Stage)


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What is known about a page: one outcome per stage, None where the pipeline has not been yet.

    `diagnosis` stands beside the chain: `diagnose` adds it on demand, and whatever becomes of it, the page was read.
    """

    keypoints: Outcome[Keypoints] | None = None
    grid: Outcome[GridFit] | None = None
    traces: Outcome[DigitizedEcg] | None = None
    reconstruct: Outcome[Reconstruction] | None = None
    record: Outcome[EcgRecord] | None = None
    quality: Outcome[QualityReport] | None = None
    diagnosis: Outcome[Diagnosis] | None = None

    def outcomes(self) -> Iterator[tuple[Stage, Outcome[object]]]:
        """Walk over what is known, in the order of the stages."""
        for stage in ORDER:
            outcome = getattr(self, stage.value)
            if outcome is not None:
                yield stage, outcome

    @property
    def failure(self) -> Failed | None:
        """The first failure along the chain, the one to mend; None if every stage reached has an answer.

        A page without its reconstruction was read all the same.
        """
        values = (outcome.value for stage, outcome in self.outcomes() if stage is not Stage.RECONSTRUCT)
        return next((value for value in values if isinstance(value, Failed)), None)


EMPTY_ANALYSIS: Final = Analysis()


def stages_of(settings: PipelineSettings) -> tuple[Stage, ...]:
    """Return the stages that these choices ask for, in their order."""
    return tuple(stage for stage in ORDER if stage is not Stage.RECONSTRUCT or settings.reconstruct.enabled)


def advance(
    page: Page,
    corrections: Corrections,
    *,
    analysis: Analysis,
    upto: Stage,
    runtime: Runtime,
    settings: PipelineSettings,
    status: Status,
    memo: ReadingMemo | None = None,
) -> Analysis:
    """Bring a page's analysis up to a stage, reusing every automatic answer whose key still holds.

    A stage that cannot answer leaves a `Failed` and the stages that wait for it leave theirs; a human who supplies
    the answer lets the chain go on. Only stages that compute report to `status`. Outcomes beyond `upto`
    are left as they are: their keys tell whether they hold. `memo` makes a corrected grid cheaper, never different.

    Raises:
        Cancelled: `status` asked for it; `analysis` is unchanged.
    """

    def key(
        stage: Stage, choices: object, *upstream: Outcome[object], weights: str | None = None, more: object = None
    ) -> Key:
        digests = [outcome.digest for outcome in upstream]
        return Key(
            stage=stage.value,
            page=str(page.id),
            weights=runtime.weights_hash if weights is None else weights,
            settings=content_digest(choices),
            upstream=content_digest(digests if more is None else [*digests, content_digest(more)]),
        )

    def begin(stage: Stage) -> PartStatus:
        start = PROGRESS[ORDER[ORDER.index(stage) - 1]] if stage is not ORDER[0] else 0.0
        part = PartStatus(status, start, PROGRESS[stage])
        part.checkpoint(0.0, stage.value)
        return part

    keypoints = _outcome(
        key(Stage.KEYPOINTS, settings.keypoints),
        analysis.keypoints,
        lambda: stage0_keypoints.detect_keypoints(
            page, runtime=runtime, settings=settings.keypoints, status=begin(Stage.KEYPOINTS)
        ),
        edit=corrections.keypoints,
        apply=lambda auto: apply_keypoints(auto, corrections.keypoints),
    )
    analysis = replace(analysis, keypoints=keypoints)
    if upto is Stage.KEYPOINTS:
        return analysis

    def fit_grid() -> GridFit:
        found = _answer(Stage.GRID, keypoints)
        part = begin(Stage.GRID)
        found = several_sheets.only_sheet(page, found, runtime=runtime, status=PartStatus(part, 0.0, 0.0))
        return perspective.fit_grid(page, found, runtime=runtime, settings=settings.grid, status=part)

    grid = _outcome(
        key(Stage.GRID, settings.grid, keypoints),
        analysis.grid,
        fit_grid,
        edit=corrections.grid,
        apply=lambda auto: apply_grid(auto, corrections.grid),
    )
    analysis = replace(analysis, grid=grid)
    if upto is Stage.GRID:
        return analysis

    uncorrected, choices = _grid_before_moves(grid, corrections.grid), trace_settings(settings, corrections)
    supposed = None if corrections.grid is None or isinstance(grid.auto, Failed) else grid.auto.scale
    traces = _outcome(
        key(Stage.TRACES, choices, keypoints, grid, more=uncorrected if supposed is None else (uncorrected, supposed)),
        analysis.traces,
        lambda: stage2_trace.read_traces(
            page,
            _answer(Stage.TRACES, keypoints),
            _answer(Stage.TRACES, grid),
            runtime=runtime,
            settings=choices,
            status=begin(Stage.TRACES),
            uncorrected=uncorrected,
            supposed=supposed,
            memo=memo,
        ),
        edit=corrections.traces,
        apply=lambda auto: apply_traces(auto, corrections.traces, grid=_answer(Stage.TRACES, grid)),
    )
    analysis = replace(analysis, traces=traces)
    if upto is Stage.TRACES:
        return analysis

    rebuilt: Outcome[Reconstruction] | None = None
    if settings.reconstruct.enabled:
        rebuilt = _outcome(
            key(Stage.RECONSTRUCT, settings.reconstruct, grid, traces, weights=reconstruct.reconstructor_of(runtime)),
            analysis.reconstruct,
            lambda: reconstruct.reconstruct(
                page,
                _answer(Stage.RECONSTRUCT, grid),
                _answer(Stage.RECONSTRUCT, traces),
                runtime=runtime,
                settings=settings.reconstruct,
                status=begin(Stage.RECONSTRUCT),
            ),
        )
    analysis = replace(analysis, reconstruct=rebuilt)
    if upto is Stage.RECONSTRUCT:
        return analysis

    record = _outcome(
        key(Stage.RECORD, settings.assemble, grid, traces, *([] if rebuilt is None else [rebuilt]), weights=""),
        analysis.record,
        lambda: assemble.assemble(
            _answer(Stage.RECORD, traces),
            _answer(Stage.RECORD, grid),
            settings=settings.assemble,
            reconstruction=None if rebuilt is None or isinstance(rebuilt.value, Failed) else rebuilt.value,
        ),
    )
    analysis = replace(analysis, record=record)
    if upto is Stage.RECORD:
        return analysis

    report = _outcome(
        key(Stage.QUALITY, settings.quality, keypoints, grid, traces, record, weights=""),
        analysis.quality,
        lambda: quality.assess(
            _answer(Stage.QUALITY, keypoints),
            _answer(Stage.QUALITY, grid),
            _answer(Stage.QUALITY, traces),
            _answer(Stage.QUALITY, record),
            settings=settings.quality,
        ),
    )
    return replace(analysis, quality=report)


def diagnose(page: PageId, corrections: Corrections, *, analysis: Analysis, runtime: Classifier) -> Analysis:
    """Add what the classifier says about the record to an analysis, with the clinician's word on top.

    Takes some ten milliseconds. Where nothing can be said (no record, too few leads, weights without a classifier) the
    outcome's value is a `Failed` that says why.
    """
    record, classifier = analysis.record, ""
    with contextlib.suppress(UserError):  # which is then the answer
        classifier = runtime.classifier

    def compute() -> Diagnosis:
        if record is None or isinstance(record.value, Failed):
            raise StageError(classify.STAGE, "not classified: there is no record", "mend the page's earlier stages")
        try:
            return classify.classify_record(record.value, corrections.clinical, runtime=runtime)
        except UserError as error:
            raise StageError(classify.STAGE, f"not classified: {error}") from error

    key = Key(
        stage=classify.STAGE,
        page=str(page),
        weights=classifier,
        settings="",
        upstream=content_digest((record.digest if record is not None else "", corrections.clinical)),
    )
    outcome = _outcome(
        key,
        analysis.diagnosis,
        compute,
        edit=corrections.diagnosis,
        apply=lambda auto: apply_diagnosis(auto or Diagnosis(), corrections.diagnosis),
    )
    return replace(analysis, diagnosis=outcome)


def trace_settings(settings: PipelineSettings, corrections: Corrections) -> TraceSettings:
    """Return the choices of stage 2 for a page: the layout that a human chose for it counts more than that of all."""
    if corrections.layout is None:
        return settings.traces
    return replace(settings.traces, layout=corrections.layout)


def _grid_before_moves(outcome: Outcome[GridFit], edit: GridEdit | None) -> GridFit | None:
    """Return the automatic grid of which a human moved nodes; None if nobody did, or the lattice is a human's."""
    if edit is None or edit.nodes is not None or isinstance(outcome.auto, Failed):
        return None
    return outcome.auto


def _answer(stage: Stage, outcome: Outcome[T]) -> T:
    """Return what an earlier stage knows, or say that `stage` waits for it."""
    if isinstance(outcome.value, Failed):
        raise StageError(stage.value, f"waits for the {outcome.key.stage}", f"mend the {outcome.key.stage} first")
    return outcome.value


def _outcome(
    key: Key,
    before: Outcome[T] | None,
    compute: Callable[[], T],
    *,
    edit: object | None = None,
    apply: Callable[[T | None], T] | None = None,
) -> Outcome[T]:
    """Take the automatic answer known for this key, or compute it, and put the human's correction on top."""
    same_edit = before is not None and content_digest(before.edit) == content_digest(edit)
    if before is not None and before.key == key:
        if same_edit:
            return before
        auto = before.auto
    else:
        auto = _attempt(key.stage, compute)
    if edit is None or apply is None:
        return Outcome(key=key, auto=auto, edit=None, value=auto, digest=content_digest(auto))
    auto_digest = content_digest(auto)
    edited_over = before.edited_over if before is not None and same_edit else auto_digest
    value = _corrected(auto, apply, stage=key.stage)
    return Outcome(
        key=key,
        auto=auto,
        edit=edit,
        value=value,
        digest=content_digest(value),
        edited_over=edited_over,
        needs_review=edited_over != auto_digest,
    )


def _attempt(stage: str, compute: Callable[[], T]) -> T | Failed:
    try:
        return compute()
    except StageError as error:
        return Failed(stage, error.reason, error.hint)


def _corrected(auto: T | Failed, apply: Callable[[T | None], T], *, stage: str) -> T | Failed:
    """Apply a correction; one that does not suffice leaves the failure, one that does not fit makes one."""
    if isinstance(auto, Failed):
        try:
            return apply(None)
        except (StageError, ValueError):
            return auto
    try:
        return apply(auto)
    except StageError as error:
        return Failed(stage, error.reason, error.hint)
    except ValueError as error:
        return Failed(stage, f"the correction does not fit: {error}", "undo the correction")
