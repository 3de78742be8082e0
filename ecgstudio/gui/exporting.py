"""Writing pages as files: what would be written, what stands in the way, and the work itself; no widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.errors import OutputError, UserError
from ecgstudio.gui.computing import AnalyseRequest, Answer, analyse
from ecgstudio.gui.facts import value_of
from ecgstudio.gui.jobs import JobStatus
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.export import export_page, output_paths
from ecgstudio.io.scans import read_scan
from ecgstudio.session import PageEntry, Session, open_conflicts
from ecgstudio.stages.contract import Runtime
from ecgstudio.stages.overlay import encode_png, render_overlay
from ecgstudio.stages.pipeline import Analysis
from ecgstudio.stages.report import build_report, summarize
from ecgstudio.stages.settings import PipelineSettings

FORMAT_WORDS: Final = {
    "wfdb": "WFDB (.hea, .dat)",
    "csv": "CSV, a column per lead",
    "long": "CSV, a row per sample",
    "json": "Report (.json)",
    "overlay": "Page with traces (.png)",
}
DEFAULT_FORMATS: Final = ("wfdb", "csv", "json")


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What an export would write; `blocked` names pages that cannot be exported, each with the reason."""

    targets: tuple[Path, ...]
    existing: tuple[Path, ...]
    blocked: tuple[tuple[str, str], ...]
    pages: tuple[PageId, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExportItem:
    """A page to be written, with all that is known about it."""

    entry: PageEntry
    corrections: Corrections
    analysis: Analysis


@dataclass(frozen=True, slots=True, eq=False)
class ExportRequest:
    """All that an export needs."""

    items: tuple[ExportItem, ...]
    folder: Path
    formats: tuple[str, ...]
    overwrite: bool
    settings: PipelineSettings


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and a sentence about every page that was not."""

    files: tuple[Path, ...]
    problems: tuple[str, ...]


def plan_export(session: Session, pages: Sequence[PageId], *, folder: Path, formats: Sequence[str]) -> ExportPlan:
    """Say what an export of these pages would write, and what stands in its way."""
    targets: list[Path] = []
    blocked: list[tuple[str, str]] = []
    for page in pages:
        entry, analysis = session.entry(page), session.analysis(page)
        if conflicts := session.open_conflicts(page):
            blocked.append((entry.name, conflicts[0]))
        elif analysis.failure is not None:
            blocked.append((entry.name, str(analysis.failure)))
        elif formats:
            targets += output_paths(entry.name, folder, formats)
    existing = tuple(path for path in targets if path.exists())
    return ExportPlan(tuple(targets), existing, tuple(blocked), tuple(pages))


def export_request(
    session: Session, pages: Sequence[PageId], *, folder: Path, formats: Sequence[str], overwrite: bool
) -> ExportRequest:
    """Capture all that an export of these pages needs."""
    items = tuple(ExportItem(session.entry(p), session.corrections(p), session.analysis(p)) for p in pages)
    return ExportRequest(items, folder, tuple(formats), overwrite, session.settings)


def export_pages(request: ExportRequest, runtime: Runtime, cache: OutcomeCache | None, status: JobStatus) -> Exported:
    """Write every page, each with all its files or none; pages that are not computed yet are computed now."""
    files: list[Path] = []
    problems: list[str] = []
    for done, item in enumerate(request.items):
        status.checkpoint(done / len(request.items), item.entry.name)
        try:
            files += _export_one(item, request, runtime, cache, status)
        except UserError as error:
            problems.append(f"{item.entry.name}: {error}")
    return Exported(tuple(files), tuple(problems))


def _export_one(
    item: ExportItem, request: ExportRequest, runtime: Runtime, cache: OutcomeCache | None, status: JobStatus
) -> list[Path]:
    page = read_scan(item.entry)
    asked = AnalyseRequest(item.entry, page, item.corrections, item.analysis, request.settings)
    answer: Answer = analyse(asked, runtime, cache, _Quiet(status))
    analysis = answer.analysis
    if conflicts := open_conflicts(analysis, item.corrections):
        raise OutputError(f"not exported, because the scale is in doubt: {conflicts[0]}.")
    record = value_of(analysis.record)
    if record is None:
        raise OutputError(f"not exported, because there is no record: {analysis.failure}.")
    summary = summarize(analysis)
    report = build_report(
        page,
        analysis,
        summary=summary,
        corrections=item.corrections,
        runtime=runtime,
        settings=request.settings,
        timings_s={},
    )
    overlay = encode_png(render_overlay(page, analysis)) if "overlay" in request.formats else None
    return export_page(
        item.entry.name,
        request.folder,
        record,
        report,
        overlay,
        formats=request.formats,
        overwrite=request.overwrite,
    )


class _Quiet(JobStatus):
    """Passes cancelling on, and keeps a page's own progress to itself."""

    def __init__(self, whole: JobStatus) -> None:
        super().__init__(0, lambda _: None)
        self._whole = whole

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Raise Cancelled if the export is no longer wanted."""
        if self._whole.cancelled:
            self._whole.checkpoint(0.0)

    def partial(self, value: object) -> None:
        """Hand nothing over before all is there."""
        self.checkpoint(0.0)
