"""Writing pages as files: what would be written, what stands in the way, and the work itself; no widgets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecgstudio.api import digitize_corrected, export_result
from ecgstudio.core.page import PageId
from ecgstudio.errors import UserError
from ecgstudio.gui.finding_lines import accepted_names
from ecgstudio.gui.jobs import JobStatus
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.export import output_paths
from ecgstudio.io.scans import read_scan
from ecgstudio.session import PageEntry, PageState, Session
from ecgstudio.stages.contract import Runtime
from ecgstudio.stages.pipeline import Analysis
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
    """What an export would write.

    `blocked` names pages that wait for an answer, `left_out` those without a record; each with the reason. `findings`
    names the pages with findings that a clinician accepted, which are written into report and header.
    """

    targets: tuple[Path, ...]
    existing: tuple[Path, ...]
    blocked: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    pages: tuple[PageId, ...]
    findings: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ExportItem:
    """A page to be written, with all that is known about it."""

    state: PageState
    analysis: Analysis

    @property
    def entry(self) -> PageEntry:
        """Which page it is."""
        return self.state.entry


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
    left_out: list[tuple[str, str]] = []
    kept: list[PageId] = []
    for page in pages:
        entry, analysis = session.entry(page), session.outline(page)
        review = session.corrections(page).review
        if review is not None and review.verdict == "rejected":
            left_out.append((entry.name, f"it was rejected by {review.by}"))
        elif conflicts := session.open_conflicts(page):
            blocked.append((entry.name, conflicts[0]))
        elif analysis.failure is not None:
            left_out.append((entry.name, str(analysis.failure)))
        else:
            kept.append(page)
            targets += output_paths(entry.name, folder, formats) if formats else []
    existing = tuple(path for path in targets if os.path.lexists(path))
    accepted = ((session.entry(page).name, accepted_names(session.corrections(page).diagnosis)) for page in kept)
    findings = tuple((name, names) for name, names in accepted if names)
    return ExportPlan(tuple(targets), existing, tuple(blocked), tuple(left_out), tuple(kept), findings)


def export_request(
    session: Session, pages: Sequence[PageId], *, folder: Path, formats: Sequence[str], overwrite: bool
) -> ExportRequest:
    """Capture all that an export of these pages needs."""
    items = tuple(ExportItem(session.page_state(p), session.analysis(p)) for p in pages)
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
    analysis = item.analysis
    if cache is not None and analysis.keypoints is None:
        analysis = cache.load_analysis(page.id)
    result = digitize_corrected(
        page,
        item.state,
        stem=item.entry.name,
        runtime=runtime,
        settings=request.settings,
        known=analysis,
        status=_Quiet(status),
    )
    return export_result(
        result,
        page,
        corrections=item.state.corrections,
        folder=request.folder,
        formats=request.formats,
        overwrite=request.overwrite,
    )


@dataclass(frozen=True, slots=True)
class _Quiet:
    """Passes cancelling on, and keeps a page's own progress to itself."""

    whole: JobStatus

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Raise Cancelled if the export is no longer wanted."""
        if self.whole.cancelled:
            self.whole.checkpoint(0.0)
