"""Which page wants a human, and how much: the state to show of every stage, an urgency, and what blocks an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections
from ecgstudio.stages.contract import Failed, State, content_digest
from ecgstudio.stages.pipeline import Analysis, Stage, stages_of, trace_settings
from ecgstudio.stages.settings import PipelineSettings

EDITED_STAGES: Final = (Stage.KEYPOINTS, Stage.GRID, Stage.TRACES)
"""Those that a human can correct."""

FAILED, _NEEDS_REVIEW, REVIEW, _UNKNOWN, _OK, _DECIDED = 5.0, 4.0, 3.0, 2.0, 1.0, 0.0
_DOUBT_SHARE = 0.9  # a page's doubt (0..1) orders the pages of a kind


def stage_states(analysis: Analysis, corrections: Corrections, *, settings: PipelineSettings) -> dict[Stage, State]:
    """Return the state of every stage asked for; COMPUTING where nothing is known yet or what it depends on changed."""
    states, current = {}, True
    for stage in stages_of(settings):
        outcome = getattr(analysis, stage.value)
        current = (
            current
            and outcome is not None
            and outcome.key.settings == content_digest(settings_of(settings, stage, corrections=corrections))
            and content_digest(outcome.edit) == content_digest(edit_of(corrections, stage))
        )
        states[stage] = outcome.state if current else State.COMPUTING
    return states


def urgency(analysis: Analysis, corrections: Corrections, *, states: Mapping[Stage, State]) -> float:
    """Say how much a page wants a human: failed > needs review > review > not computed > ok > decided (below 1).

    An accepted page whose answer changed since, or no longer exists, is not decided.
    """
    review, report = corrections.review, analysis.quality.value if analysis.quality is not None else None
    unread = report is None or isinstance(report, Failed)
    doubt = 1.0 if report is None or isinstance(report, Failed) else report.doubt
    status = "" if report is None or isinstance(report, Failed) else report.status
    if review is not None and review.verdict == "rejected":
        level = _DECIDED
    elif analysis.failure is not None or status == "failed":
        level = FAILED
    elif State.NEEDS_REVIEW in states.values():
        level = _NEEDS_REVIEW
    elif review is not None:
        level = _DECIDED
    elif unread:
        level = _UNKNOWN
    else:
        level = _OK if status == "ok" else REVIEW
    return level + _DOUBT_SHARE * min(max(doubt, 0.0), 1.0)


def open_conflicts(analysis: Analysis, corrections: Corrections) -> tuple[str, ...]:
    """Return what blocks the export of a page: the scale in use against pulse or print, and no human's answer."""
    report = analysis.quality.value if analysis.quality is not None else None
    if report is None or isinstance(report, Failed) or report.scale_agrees is not False or corrections.scale_answer:
        return ()
    return (report.reasons[0],)  # assess() puts the conflict first


def edit_of(corrections: Corrections, stage: Stage) -> object | None:
    """Return the correction of a stage."""
    return getattr(corrections, stage.value) if stage in EDITED_STAGES else None


def settings_of(settings: PipelineSettings, stage: Stage, *, corrections: Corrections = NO_CORRECTIONS) -> object:
    """Return the choices of a stage, for a page with these corrections."""
    if stage is Stage.TRACES:
        return trace_settings(settings, corrections)
    return settings.assemble if stage is Stage.RECORD else getattr(settings, stage.value)
