"""One page through the pipeline and against its truth: everything that an evaluation says about a single page."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F32, Floats
from ecgstudio.core.corrections import NO_CORRECTIONS
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page
from ecgstudio.errors import UserError
from ecgstudio.io.atomic import write_bytes
from ecgstudio.io.images import read_page
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.contract import NULL_STATUS, Failed, Runtime
from ecgstudio.stages.overlay import encode_png, render_overlay
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage, advance
from ecgstudio.stages.quality import QualityReport, Verdict
from ecgstudio.stages.report import summarize
from ecgstudio.stages.settings import PipelineSettings
from training.metrics import (
    Reliability,
    at_rate,
    no_samples,
    sample_reliability,
    score_record,
    swapped_leads,
)
from training.oracle import error_budget, known, record_of
from training.sampling import MappedPage
from training.stage_metrics import StageScores, score_stages
from training.synth.truth import load_truth

logger = logging.getLogger(__name__)

ALL: Final = "ALL"


@dataclass(frozen=True, slots=True)
class PageTask:
    """A page to be evaluated: its picture, its tier, and where its truth lies (None: it has none).

    `rendered` says that the truth is one of `training synth`, which knows every stage; otherwise it is the record only.
    """

    name: str
    tier: str
    path: Path
    truth: Path | None
    rendered: bool


@dataclass(frozen=True, slots=True)
class PageScore:
    """What came of a page; `snr_db` is NaN without a truth, `stages` None unless rendered, `rungs` empty unless asked.

    `rungs` holds the SNR at every rung of `oracle.RUNGS` and of the round trip; `doubt` is its own word;
    `swapped` is the number of leads that were taken for others: by their place where that is known, or by their signal.
    """

    name: str
    tier: str
    status: Verdict
    reasons: tuple[str, ...]
    confidence: float
    layout: str
    seconds: float
    snr_db: float = np.nan
    lead_db: Mapping[str, float] = field(default_factory=dict)
    reliability: Reliability = field(default_factory=no_samples)
    stages: StageScores | None = None
    rungs: Mapping[str, float] = field(default_factory=dict)
    doubt: float = 1.0
    swapped: int = 0
    quality: QualityReport | None = None


def by_tier(scores: Sequence[PageScore]) -> Iterator[tuple[str, list[PageScore]]]:
    """Yield each tier's pages, then all of them."""
    for tier in sorted({score.tier for score in scores}):
        yield tier, [score for score in scores if score.tier == tier]
    yield ALL, list(scores)


def by_layout(scores: Sequence[PageScore]) -> Iterator[tuple[str, list[PageScore]]]:
    """Yield the rendered pages by the layout that is printed on them."""
    rendered = [(score.stages.printed_layout, score) for score in scores if score.stages is not None]
    for layout in sorted({layout for layout, _ in rendered}):
        yield layout, [score for printed, score in rendered if printed == layout]


def score_page(
    task: PageTask, *, runtime: Runtime, settings: PipelineSettings, budget: bool = False, drawing: Path | None = None
) -> PageScore:
    """Digitize a page and score it; with `budget` also tell what each stage loses (rendered pages only).

    `drawing` is the PNG file to draw into what was found.

    A page that breaks the pipeline or cannot be opened is a failed page that says why.

    Raises:
        UserError: the truth cannot be read, or the drawing cannot be written.
    """
    start = time.perf_counter()
    analysis, page = EMPTY_ANALYSIS, None
    crash: Failed | None = None
    try:
        page = read_page(task.path, 0)
        analysis = analyse(page, runtime=runtime, settings=settings)
    except UserError as error:
        crash = Failed("page", str(error))
    except Exception as error:  # one odd page must not stop an evaluation of hundreds
        logger.warning("%s broke the pipeline", task.name, exc_info=True)
        crash = Failed("page", f"unexpected error: {error or type(error).__name__}")
    seconds = time.perf_counter() - start
    if drawing is not None and page is not None:
        write_bytes(drawing, encode_png(render_overlay(page, analysis)))
    summary = summarize(analysis, crash=crash)
    score = PageScore(
        name=task.name,
        tier=task.tier,
        status=summary.status,
        reasons=summary.reasons,
        confidence=summary.confidence,
        layout=summary.layout,
        seconds=seconds,
        doubt=summary.doubt,
        quality=known(analysis.quality),
    )
    return _against_truth(score, task, page, analysis, runtime=runtime, settings=settings, budget=budget)


def analyse(page: Page, *, runtime: Runtime, settings: PipelineSettings) -> Analysis:
    """Take a page through all stages."""
    return advance(
        page,
        NO_CORRECTIONS,
        analysis=EMPTY_ANALYSIS,
        upto=Stage.QUALITY,
        runtime=runtime,
        settings=settings,
        status=NULL_STATUS,
    )


def _against_truth(
    score: PageScore,
    task: PageTask,
    page: Page | None,
    analysis: Analysis,
    *,
    runtime: Runtime,
    settings: PipelineSettings,
    budget: bool,
) -> PageScore:
    if task.truth is None:
        return score
    try:
        rendered = load_truth(task.truth) if task.rendered else None
        truth_mv, fs = (rendered.sheet.record_mv, rendered.sheet.record_fs) if rendered else _read_record(task.truth)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"The truth {task.truth} cannot be read: {error}") from error
    score = _score_signal(score, truth_mv, fs, analysis=analysis)
    if rendered is None:
        return replace(score, swapped=_swapped(truth_mv, fs, record_of(analysis)))
    if page is None:
        return score
    mapped = MappedPage(np.asarray(page.pixels), rendered)
    stages = score_stages(
        mapped, keypoints=known(analysis.keypoints), grid=known(analysis.grid), ecg=known(analysis.traces)
    )
    score = replace(score, stages=stages, swapped=stages.leads_swapped)
    if not budget:
        return score
    try:
        return replace(score, rungs=error_budget(page, mapped, found=analysis, runtime=runtime, settings=settings))
    except Exception:  # as above
        logger.warning("%s: no error budget", task.name, exc_info=True)
        return score


def _swapped(truth_mv: Floats, fs: float, record: EcgRecord | None) -> int:
    return 0 if record is None else len(swapped_leads(truth_mv, fs, reading_mv=record.mv, reading_fs=record.fs))


def _read_record(path: Path) -> tuple[F32, float]:
    """Read the truth of a case: mv [12, n] in the order of LEADS, NaN where not printed, and fs."""
    if path.suffix == ".csv":
        return _read_series(path)
    with np.load(path, allow_pickle=False) as case:
        mv, fs = case["mv"], float(case["fs"])
    if mv.ndim != 2 or mv.shape[0] != len(LEADS) or not fs > 0:
        raise ValueError(f"mv has shape {mv.shape}, fs is {fs}")
    return np.asarray(mv, np.float32), fs


def _read_series(path: Path) -> tuple[F32, float]:
    """Read a record of a table: time_s and a column in mV per lead, empty where not printed; others are ignored."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    times = [float(row["time_s"] or "nan") for row in rows]
    if len(rows) < 2 or not times[-1] > times[0] or not rows[0].keys() & set(LEADS):
        raise ValueError("it has no lead, no rows, or times that do not rise")
    mv = [[float(row.get(lead) or "nan") for row in rows] for lead in LEADS]
    return np.array(mv, np.float32), round((len(rows) - 1) / (times[-1] - times[0]), 6)


def _score_signal(score: PageScore, truth_mv: Floats, fs: float, *, analysis: Analysis) -> PageScore:
    """Add the SNR and, if there is a record, what the samples' confidences were worth."""
    record = record_of(analysis)
    result = score_record(
        truth_mv,
        fs,
        reading_mv=None if record is None else record.mv,
        reading_fs=0.0 if record is None else record.fs,
    )
    lead_db = {lead: alignment.snr_db for lead, alignment in result.leads.items()}
    score = replace(score, snr_db=result.snr_db, lead_db=lead_db)
    ecg, grid = known(analysis.traces), known(analysis.grid)
    if record is None or ecg is None or grid is None:
        return score
    # the record's own choice among several prints, but carrying confidences
    carriers = [replace(t, mv=np.where(np.isfinite(t.mv), t.confidence, np.float32(np.nan))) for t in ecg.traces]
    sure = assemble(replace(ecg, traces=tuple(carriers)), grid, settings=PipelineSettings().assemble)
    reliability = sample_reliability(
        truth_mv,
        result,
        reading_mv=at_rate(record.mv, record.fs, fs),
        confidence=at_rate(sure.mv, sure.fs, fs),
    )
    return replace(score, reliability=reliability)
