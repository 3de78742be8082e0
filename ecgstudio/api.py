"""The Python door: load the networks once, then turn pages into records.

>>> from ecgstudio import digitize, load_runtime
>>> [page] = digitize("ecg.png", runtime=load_runtime())
>>> page.status, page.record.lead_mv("II")
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.clinical import Clinical, Sex
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections
from ecgstudio.core.diagnosis import Diagnosis
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.page import Page, PageId, identity_of
from ecgstudio.errors import InputError, UserError
from ecgstudio.io.export import export_page
from ecgstudio.io.images import iter_pages, page_stem, part_stems
from ecgstudio.io.records import is_record, read_record
from ecgstudio.session import PageState, as_seen
from ecgstudio.stages.classify import LOOKED_AT_S, classify_record
from ecgstudio.stages.contract import NULL_STATUS, Cancelled, Failed, Runtime, StageError, Status, content_digest
from ecgstudio.stages.findings_report import header_comments
from ecgstudio.stages.overlay import encode_png, render_overlay
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, ORDER, Analysis, Stage, advance, diagnose, stages_of
from ecgstudio.stages.quality import QualityReport, Verdict
from ecgstudio.stages.report import Summary, build_report, summarize
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.several_sheets import separate, tells_of_several
from ecgstudio.stages.triage import open_conflicts

__all__ = [
    "ExportBlocked",
    "PageResult",
    "classify",
    "digitize",
    "digitize_corrected",
    "digitize_page",
    "export_result",
    "load_runtime",
    "page_from_array",
    "parts_of",
    "render_overlay",
]

logger = logging.getLogger(__name__)

DEFAULT_SETTINGS: Final = PipelineSettings()

SEXES_IN_HEADERS: Final[dict[str, Sex]] = {"f": "f", "female": "f", "m": "m", "male": "m"}

Clock = Callable[[], float]


class ExportBlocked(UserError):
    """A page that must not be exported as it is; the text says why and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class PageResult:
    """What came of one page; `record` is None exactly where `status` is "failed"."""

    page_id: PageId
    source: str
    stem: str
    analysis: Analysis
    record: EcgRecord | None
    quality: QualityReport | None
    summary: Summary
    report: dict[str, object]
    timings_s: dict[str, float] = field(default_factory=dict)

    @property
    def status(self) -> Verdict:
        """Whether the record can be used: "ok", "review" (look at it first) or "failed"."""
        return self.summary.status


def load_runtime(device: str = "auto", weights_folder: Path | None = None) -> Runtime:
    """Make the bundled networks (or those of another folder) ready on "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: the device or the weights are not there.
    """
    from ecgstudio.nets.torch_runtime import load_runtime as load_torch_runtime

    return load_torch_runtime(device, weights_folder)


def digitize(
    source: str | os.PathLike[str] | Page | NDArray[np.uint8],
    *,
    runtime: Runtime,
    settings: PipelineSettings = DEFAULT_SETTINGS,
    status: Status = NULL_STATUS,
) -> list[PageResult]:
    """Read every page of a file, or one page in memory: a `Page`, or RGB or grey pixels u8[H, W(, 3)].

    A page that cannot be read is a result that says why; the others are read all the same. Of a picture that shows
    several ECGs each is a result of its own; its report tells the picture and where in it the ECG lies.

    Raises:
        InputError: the file cannot be opened.
        Cancelled: `status` asked for it.
    """
    if isinstance(source, Page):
        pages: Iterator[tuple[str, Page]] = iter([(page_stem(source.source, source.id.index), source)])
    elif isinstance(source, np.ndarray):
        pages = iter([("page", page_from_array(source))])
    else:
        pages = ((page_stem(source, page.id.index), page) for page in iter_pages(source))
    return [
        result
        for stem, page in pages
        for result in _digitized(page, stem=stem, runtime=runtime, settings=settings, status=status)
    ]


def _digitized(
    page: Page, *, stem: str, runtime: Runtime, settings: PipelineSettings, status: Status
) -> Iterator[PageResult]:
    """Read a page, or each ECG of a picture that shows several."""
    result = digitize_page(page, stem=stem, runtime=runtime, settings=settings, status=status)
    parts = parts_of(page, result, runtime=runtime, status=status)
    for name, part in zip(part_stems(stem, len(parts)), parts, strict=True):
        yield from _digitized(part, stem=name, runtime=runtime, settings=settings, status=status)
    if not parts:
        yield result


def parts_of(page: Page, result: PageResult, *, runtime: Runtime, status: Status = NULL_STATUS) -> tuple[Page, ...]:
    """Return each ECG of a picture that was found to show several as a page of its own, in reading order; else none.

    Raises:
        Cancelled: `status` asked for it.
    """
    keypoints = result.analysis.keypoints
    if not tells_of_several(result.summary.failure) or keypoints is None or isinstance(keypoints.value, Failed):
        return ()
    parts = separate(page, keypoints.value, runtime=runtime, status=status)
    return parts if len(parts) > 1 else ()


def digitize_page(
    page: Page,
    *,
    stem: str,
    runtime: Runtime,
    settings: PipelineSettings = DEFAULT_SETTINGS,
    corrections: Corrections = NO_CORRECTIONS,
    analysis: Analysis = EMPTY_ANALYSIS,
    upto: Stage = Stage.QUALITY,
    status: Status = NULL_STATUS,
    clock: Clock = time.perf_counter,
) -> PageResult:
    """Take one page through the pipeline up to a stage; whatever goes wrong becomes a result that says so.

    What `analysis` knows already and still holds is not computed again.

    Raises:
        Cancelled: `status` asked for it.
    """
    crash: Failed | None = None
    timings_s: dict[str, float] = {}
    for stage in stages_of(settings):
        if ORDER.index(stage) > ORDER.index(upto):
            break
        start = clock()
        try:
            analysis = advance(
                page, corrections, analysis=analysis, upto=stage, runtime=runtime, settings=settings, status=status
            )
        except Cancelled:
            raise
        except UserError as error:
            crash = Failed(stage.value, str(error))
        except MemoryError:
            crash = Failed(stage.value, "there is not enough memory for a page of this size", "scan it at 300 dpi")
        except Exception as error:  # the last boundary: one odd page must not stop an archive
            crash = Failed(stage.value, f"unexpected error: {error or type(error).__name__}", "please report it")
            logger.debug("%s of %s failed", stage.value, page.id, exc_info=True)
        timings_s[stage.value] = clock() - start
        if crash is not None:
            break
    if corrections.diagnosis is not None:  # what a clinician judged is told beside what the classifier said
        analysis = diagnose(page.id, corrections, analysis=analysis, runtime=runtime)
    timings_s["total"] = sum(timings_s.values())
    summary = summarize(analysis, crash=crash)
    report = build_report(
        page,
        analysis,
        summary=summary,
        corrections=corrections,
        runtime=runtime,
        settings=settings,
        timings_s=timings_s,
    )
    record = analysis.record.value if analysis.record is not None else None
    quality = analysis.quality.value if analysis.quality is not None else None
    return PageResult(
        page_id=page.id,
        source=page.source,
        stem=stem,
        analysis=analysis,
        record=None if summary.status == "failed" or isinstance(record, Failed) else record,
        quality=None if isinstance(quality, Failed) else quality,
        summary=summary,
        report=report,
        timings_s=timings_s,
    )


def digitize_corrected(
    page: Page,
    state: PageState,
    *,
    stem: str,
    runtime: Runtime,
    settings: PipelineSettings = DEFAULT_SETTINGS,
    known: Analysis = EMPTY_ANALYSIS,
    status: Status = NULL_STATUS,
) -> PageResult:
    """Take a page of a project through the pipeline as its corrections say.

    Of `known` only what the networks said is used: over which answer a correction was made, the project knows. Raises
    as `digitize_page` does.
    """

    def digitized(analysis: Analysis) -> PageResult:
        return digitize_page(
            page,
            stem=stem,
            runtime=runtime,
            settings=settings,
            corrections=state.corrections,
            analysis=analysis,
            status=status,
        )

    result = digitized(_automatic(known))
    analysis, _ = as_seen(result.analysis, state)
    return result if analysis is result.analysis else digitized(analysis)


def export_result(
    result: PageResult,
    page: Page,
    *,
    corrections: Corrections,
    folder: Path,
    formats: Sequence[str],
    overwrite: bool = False,
) -> list[Path]:
    """Write a corrected page as a project exports it: the same corrections and networks give the same bytes.

    Raises:
        ExportBlocked: the page has no record, was rejected, or contradicts its scale and nobody has answered.
        UserError: a file exists and `overwrite` is false, or writing fails; nothing of the page was written.
    """
    if corrections.review is not None and corrections.review.verdict == "rejected":
        raise ExportBlocked(f"{result.stem} was rejected by {corrections.review.by} and is not exported.")
    if result.record is None:
        raise ExportBlocked(str(result.summary.failure or "; ".join(result.summary.reasons)))
    if conflicts := open_conflicts(result.analysis, corrections):
        raise ExportBlocked(
            f"the scale is in doubt and nobody has answered: {'; '.join(conflicts)} (set or confirm the scale first)"
        )
    report = {name: value for name, value in result.report.items() if name != "timings_s"}  # no two runs take as long
    record = replace(result.record, meta={**result.record.meta, **header_comments(corrections)})
    overlay = encode_png(render_overlay(page, result.analysis)) if "overlay" in formats else None
    return export_page(result.stem, folder, record, report, overlay, formats=formats, overwrite=overwrite)


def classify(
    source: EcgRecord | PageResult | str | os.PathLike[str],
    *,
    runtime: Runtime,
    age: float | None = None,
    sex: Sex | None = None,
    status: Status = NULL_STATUS,
) -> Diagnosis:
    """Classify a record, a page that was read, a WFDB record's header (.hea) or a file of one page.

    `age` in years; where it or `sex` is not given, what the record's header says counts. The probabilities are research
    decision support, not a diagnosis.

    Raises:
        UserError: the file cannot be read, the record cannot be classified, or the weights hold no classifier.
        Cancelled: `status` asked for it.
    """
    if isinstance(source, str | os.PathLike):
        source = read_record(source, seconds=LOOKED_AT_S) if is_record(source) else _only_page(source, runtime, status)
    if isinstance(source, PageResult):
        if source.record is None:
            raise InputError(f"{source.stem} is not classified: {source.summary.failure}")
        source = source.record
    try:
        return classify_record(source, patient(source, age=age, sex=sex), runtime=runtime)
    except StageError as error:
        raise InputError(f"{error.reason} ({error.hint})") from error


def patient(record: EcgRecord, *, age: float | None = None, sex: str | None = None) -> Clinical:
    """Return age and sex as given, or else as the record's header has them.

    Raises InputError if what is given cannot be; what a header says that cannot be is left out.
    """
    try:
        given = Clinical(age_years=age, sex=sex)  # type: ignore[arg-type]  # Clinical looks at the value
    except ValueError as error:
        raise InputError(f"The patient's {error}.") from error
    said_years, said_sex = record.meta.get("age"), SEXES_IN_HEADERS.get(str(record.meta.get("sex")).lower())
    if given.age_years is None and isinstance(said_years, int | float):
        with contextlib.suppress(ValueError):
            given = replace(given, age_years=float(said_years))
    return given if given.sex is not None else replace(given, sex=said_sex)


def _only_page(path: str | os.PathLike[str], runtime: Runtime, status: Status) -> PageResult:
    pages = digitize(path, runtime=runtime, status=status)
    if len(pages) != 1:
        raise InputError(f"{Path(path).name} has {len(pages)} pages; digitize it and classify each result.")
    return pages[0]


def _automatic(analysis: Analysis) -> Analysis:
    outcomes: dict[str, Any] = {
        stage.value: replace(
            outcome,
            edit=None,
            value=outcome.auto,
            digest=content_digest(outcome.auto),
            edited_over="",
            needs_review=False,
        )
        for stage, outcome in analysis.outcomes()
    }
    return replace(EMPTY_ANALYSIS, **outcomes)


def page_from_array(pixels: NDArray[np.uint8], *, source: str = "page", dpi: float | None = None) -> Page:
    """Make a page of RGB or grey pixels u8[H, W(, 3)]; its identity is that of its pixels."""
    rgb = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
    return Page(identity_of(rgb), rgb, dpi, source)
