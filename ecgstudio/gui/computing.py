"""Answers behind the window: the networks are loaded, and pages are brought up to date, one at a time.

What is asked for, and what is done with an answer, is the bridge's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

from PySide6.QtCore import QObject, Signal

from ecgstudio.core.corrections import Corrections, apply_grid, apply_keypoints, apply_traces
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, PageId
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus
from ecgstudio.gui.loading import load_page
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.session import PageEntry
from ecgstudio.stages.contract import Failed, Outcome, Runtime, StageError, content_digest
from ecgstudio.stages.pipeline import ORDER, Analysis, Stage, advance
from ecgstudio.stages.reconstruct import can_reconstruct
from ecgstudio.stages.reread import ReadingMemo
from ecgstudio.stages.settings import PipelineSettings

T = TypeVar("T")

RUNTIME: Final = JobKey("runtime")
ANALYSIS: Final = "analysis"
HANDED_OVER: Final = (Stage.KEYPOINTS, Stage.GRID, Stage.QUALITY)
"""Stages after which the window is told: record and quality follow the traces at once, and it draws them together."""


def analysis_key(page: PageId) -> JobKey:
    """Return the key under which a page is computed."""
    return JobKey(ANALYSIS, str(page))


@dataclass(frozen=True, slots=True, eq=False)
class AnalyseRequest:
    """All that an analysis needs; `page` is None if its pixels are still to be read from `entry`.

    `anew` says that what the cache holds does not count.
    """

    entry: PageEntry
    page: Page | None
    corrections: Corrections
    analysis: Analysis
    settings: PipelineSettings
    anew: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """An analysis, and the corrections that are in it."""

    analysis: Analysis
    corrections: Corrections


def analyse(
    request: AnalyseRequest, runtime: Runtime, cache: OutcomeCache | None, memo: ReadingMemo, status: JobStatus
) -> Answer:
    """Bring an analysis up to date, handing over what is worth showing as soon as it is there.

    What an earlier session has computed is taken from the cache, and what is new is kept there; `memo` holds how strips
    were read, for when only some of them are touched. A page is only decoded if something has to be read from it.
    """
    page_id = request.entry.id
    page = request.page if request.page is not None else cast("Page", _Undecoded(page_id))
    analysis = kept = request.analysis
    if cache is not None and analysis.keypoints is None and not request.anew:
        status.checkpoint(0.0)
        analysis = kept = cache.load_analysis(page_id)

    def reach(stage: Stage) -> Analysis:
        return advance(
            page, request.corrections, analysis=analysis, upto=stage, runtime=runtime, settings=request.settings,
            status=status, memo=memo,
        )  # fmt: skip

    for stage in ORDER:
        before = getattr(analysis, stage.value)
        try:
            analysis = reach(stage)
        except _PixelsWanted:
            page = load_page(request.entry, status)
            analysis = reach(stage)
        if stage in HANDED_OVER and getattr(analysis, stage.value) is not before:
            status.partial(Answer(analysis, request.corrections))
    if cache is not None:
        cache.store_analysis(page_id, analysis, known=kept)
    return Answer(analysis, request.corrections)


class _PixelsWanted(Exception):
    """A stage has to read the page."""


class _Undecoded:
    """Stands for a page whose answers may all be known: whoever asks for more than its identity wants its pixels."""

    def __init__(self, page: PageId) -> None:
        self.id = page

    def __getattr__(self, name: str) -> object:
        raise _PixelsWanted(name)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """What a page's views show: the answers with the corrections on top; None where there is no answer."""

    keypoints: Keypoints | None
    grid: GridFit | None
    traces: DigitizedEcg | None
    rebuilt: Reconstruction | None = None


def current_values(analysis: Analysis, corrections: Corrections, *, reconstructed: bool = False) -> Values:
    """Put corrections on the automatic answers at once, before the later stages have been computed again.

    The reconstruction is shown where it is wanted (`reconstructed`) and is that of the traces shown.
    """
    keypoints = _shown(
        analysis.keypoints, corrections.keypoints, lambda auto: apply_keypoints(auto, corrections.keypoints)
    )
    grid = _shown(analysis.grid, corrections.grid, lambda auto: apply_grid(auto, corrections.grid))
    traces: DigitizedEcg | None = None
    if grid is not None:
        traces = _shown(
            analysis.traces, corrections.traces, lambda auto: apply_traces(auto, corrections.traces, grid=grid)
        )
    rebuilt = analysis.reconstruct
    if not reconstructed or rebuilt is None or isinstance(rebuilt.value, Failed):
        return Values(keypoints, grid, traces)
    as_read = analysis.traces is not None and traces is analysis.traces.value  # not corrected since
    return Values(keypoints, grid, traces, rebuilt.value if as_read else None)


def _shown(outcome: Outcome[T] | None, edit: object | None, apply: Callable[[T | None], T]) -> T | None:
    if outcome is None:
        return None
    if outcome.edit is edit or content_digest(outcome.edit) == content_digest(edit):
        return None if isinstance(outcome.value, Failed) else outcome.value
    try:
        return apply(None if isinstance(outcome.auto, Failed) else outcome.auto)
    except (StageError, ValueError):
        return None


class Computer(QObject):
    """Computes pages on the compute thread as soon as the networks are there; the page in front goes first."""

    ready = Signal(str)  # where the networks run
    unavailable = Signal(str)  # a sentence: why there are no networks
    progressed = Signal(object, float, str)  # PageId, fraction, what is being done
    answered = Signal(object, object, bool)  # PageId, Answer, whether that is all
    failed = Signal(object, str)  # PageId, a sentence
    busyChanged = Signal()

    def __init__(
        self,
        runner: JobRunner,
        load_runtime: Callable[[], Runtime],
        *,
        cache: OutcomeCache | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._runner, self._load_runtime, self._cache = runner, load_runtime, cache
        self._runtime: Runtime | None = None
        self._memo = ReadingMemo()
        self._waiting: dict[PageId, tuple[AnalyseRequest, bool]] = {}
        self._pages: dict[JobKey, PageId] = {}
        runner.progressed.connect(self._hear_progress)
        runner.ended.connect(self._hear_end)

    @property
    def runtime(self) -> Runtime | None:
        """The networks; None until they are loaded."""
        return self._runtime

    def start(self) -> None:
        """Load the networks behind the window."""
        load = self._load_runtime
        self._runner.submit(Job(RUNTIME, lambda _: load(), self._take_runtime, self._lose_runtime))
        self.busyChanged.emit()

    def restart(self, load_runtime: Callable[[], Runtime]) -> None:
        """Load the networks anew, as on another device."""
        self._runtime, self._load_runtime = None, load_runtime
        self.start()

    @property
    def reconstructs(self) -> bool:
        """Whether the networks are there, and one of them reconstructs traces."""
        return self._runtime is not None and can_reconstruct(self._runtime)

    @property
    def remembers(self) -> bool:
        """Whether what was computed once need not be computed again."""
        return self._cache is not None

    @property
    def is_busy(self) -> bool:
        """Whether an answer for any page is under way."""
        loading = bool(self._waiting) and self._runner.is_running(RUNTIME)
        return loading or any(self._runner.is_running(key) for key in self._pages)

    @property
    def is_hopeless(self) -> bool:
        """Whether there are no networks, and none are being loaded."""
        return self._runtime is None and not self._runner.is_running(RUNTIME)

    def submit(self, request: AnalyseRequest, *, urgent: bool) -> None:
        """Bring a page up to date; one that nobody waits for makes way for one that somebody does."""
        page = request.entry.id
        if self._runtime is None:
            for other, (waiting, hurry) in self._waiting.items():  # one page's pixels may wait, a hundred pages' not
                self._waiting[other] = replace(waiting, page=None), hurry
            self._waiting[page] = (request, urgent)
            return
        runtime, cache, memo = self._runtime, self._cache, self._memo
        if urgent:
            for key in [key for key, other in self._pages.items() if other != page]:
                self._runner.cancel(key)
        key = analysis_key(page)
        self._pages[key] = page
        job = Job(
            key,
            lambda status: analyse(request, runtime, cache, memo, status),
            lambda answer: self.answered.emit(page, answer, True),
            lambda sentence: self.failed.emit(page, sentence),
            lambda answer: self.answered.emit(page, answer, False),
            urgent=urgent,
        )
        self._runner.submit(job)
        self.busyChanged.emit()

    def is_computing(self, page: PageId) -> bool:
        """Tell whether an answer for the page is under way (not: waiting for networks that never come)."""
        return self._runner.is_running(analysis_key(page)) or (
            page in self._waiting and self._runner.is_running(RUNTIME)
        )

    def cancel(self, page: PageId) -> None:
        """Stop computing a page."""
        self._waiting.pop(page, None)
        self._runner.cancel(analysis_key(page))
        self.busyChanged.emit()

    def cancel_all(self) -> None:
        """Stop computing every page."""
        self._waiting.clear()
        for key in list(self._pages):
            self._runner.cancel(key)
        self.busyChanged.emit()

    def _take_runtime(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.ready.emit(runtime.device)
        waiting, self._waiting = self._waiting, {}
        for request, urgent in sorted(waiting.values(), key=lambda each: each[1]):  # the urgent one last: it stays
            self.submit(request, urgent=urgent)

    def _lose_runtime(self, sentence: str) -> None:
        self.unavailable.emit(sentence)
        self.busyChanged.emit()

    def _hear_progress(self, key: JobKey, fraction: float, note: str) -> None:
        page = self._pages.get(key)
        if page is not None:
            self.progressed.emit(page, fraction, note)

    def _hear_end(self, key: JobKey) -> None:
        if self._pages.pop(key, None) is not None or key == RUNTIME:
            self.busyChanged.emit()
