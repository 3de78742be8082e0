"""Which state a page and each of its five stages are in, as a word that is also the name of an icon."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from PySide6.QtCore import QCoreApplication

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.gui.theme import Theme
from ecgstudio.session import Session
from ecgstudio.stages.contract import Failed, State
from ecgstudio.stages.pipeline import Analysis, Stage

CONTEXT: Final = "states"


class Step(IntEnum):
    """The five steps of the stage bar."""

    NORMALIZE = 0
    GRID = 1
    DIGITIZE = 2
    REVIEW = 3
    EXPORT = 4


STEP_NAMES: Final = {
    Step.NORMALIZE: "Normalize",
    Step.GRID: "Grid",
    Step.DIGITIZE: "Digitize",
    Step.REVIEW: "Review",
    Step.EXPORT: "Export",
}
STAGE_OF: Final = {Step.NORMALIZE: Stage.KEYPOINTS, Step.GRID: Stage.GRID, Step.DIGITIZE: Stage.TRACES}
STEP_OF: Final = {stage: step for step, stage in STAGE_OF.items()}

WAITING, ACCEPTED, REJECTED, READY, BLOCKED = "waiting", "accepted", "rejected", "ready", "blocked"

_ROLES: Final = {
    State.COMPUTING.value: "info",
    State.AUTOMATIC.value: "accent",
    State.CORRECTED.value: "good",
    State.NEEDS_REVIEW.value: "warning",
    State.FAILED.value: "bad",
    WAITING: "muted",
    ACCEPTED: "good",
    REJECTED: "bad",
    READY: "good",
    BLOCKED: "warning",
}
"""The role of the theme in which a state's icon is drawn."""


def colour_of(state: str, theme: Theme) -> str:
    """Return the colour of a state's icon; the word always stands beside it."""
    return str(getattr(theme, _ROLES[state]))


def word_of(state: str) -> str:
    """Return a state's word in the user's language."""
    return QCoreApplication.translate(CONTEXT, state)


def step_states(session: Session, page: PageId, *, computing: bool) -> Mapping[Step, str]:
    """Return the state of each of the five steps of a page."""
    analysis, corrections = session.analysis(page), session.corrections(page)
    known = session.stage_states(page)
    states: dict[Step, str] = {}
    for step, stage in STAGE_OF.items():
        state = known.get(stage)
        if state is None or state is State.COMPUTING:
            states[step] = State.COMPUTING.value if computing else WAITING
        elif state is State.FAILED and analysis.failure is not None and analysis.failure.stage != stage.value:
            states[step] = WAITING  # for the one that failed first
        else:
            states[step] = state.value
    if states[Step.NORMALIZE] == State.AUTOMATIC.value and corrections.layout is not None:
        states[Step.NORMALIZE] = State.CORRECTED.value  # the layout is chosen there, though read in another step
    states[Step.REVIEW] = _review_state(analysis, corrections, computing=computing)
    states[Step.EXPORT] = _export_state(session, page)
    return states


def page_state(session: Session, page: PageId, *, computing: bool) -> str:
    """Return the one word for a page in the page list."""
    return _review_state(session.outline(page), session.corrections(page), computing=computing)


def _review_state(analysis: Analysis, corrections: Corrections, *, computing: bool) -> str:
    if corrections.review is not None:
        return ACCEPTED if corrections.review.verdict == "accepted" else REJECTED
    if computing:
        return State.COMPUTING.value
    if analysis.failure is not None:
        return State.FAILED.value
    if analysis.quality is None or isinstance(analysis.quality.value, Failed):
        return WAITING
    stages = [outcome.state for _, outcome in analysis.outcomes()]
    if analysis.quality.value.status == "failed":
        return State.FAILED.value
    if analysis.quality.value.status == "review" or State.NEEDS_REVIEW in stages:
        return State.NEEDS_REVIEW.value
    chosen = corrections.layout is not None or corrections.fiducials is not None
    return State.CORRECTED.value if chosen or State.CORRECTED in stages else State.AUTOMATIC.value


def _export_state(session: Session, page: PageId) -> str:
    analysis = session.analysis(page)
    if session.open_conflicts(page):
        return BLOCKED
    if analysis.record is None:
        return WAITING
    return WAITING if isinstance(analysis.record.value, Failed) else READY
