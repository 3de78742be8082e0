"""`ecgstudio export`: write the records of a project's pages, with all corrections, and say one line about each."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ecgstudio import api
from ecgstudio.commands.console import PageStatus, Progress
from ecgstudio.commands.digitize import NAMES_SHOWN, check_folder
from ecgstudio.core.page import Page
from ecgstudio.errors import UserError
from ecgstudio.io.autosave import newer_autosave
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.export import StemRegister, check_absent, output_paths
from ecgstudio.io.scans import ChangedScanError, MissingScanError, find_scans, read_scan
from ecgstudio.session import PageEntry, Session
from ecgstudio.stages.contract import Cancelled, Runtime, Status
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """All that the user asked for; `scans` are folders in which moved scans are looked for."""

    project: Path
    folder: Path
    formats: tuple[str, ...]
    scans: tuple[Path, ...]
    device: str
    overwrite: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class ExportLine:
    """What is said about a page once it is done: "ok", "review", "rejected" (not written) or "failed"."""

    name: str
    status: str
    text: str
    report: dict[str, object]


def run(request: ExportRequest, *, out: TextIO, err: TextIO, cache: OutcomeCache | None = None) -> bool:
    """Export a project; return whether every page was written that was not rejected. The project stays as it is.

    What `cache` holds of pages is not computed again; without one, all is computed from the scans.

    Raises:
        UserError: the project cannot be opened, the folder cannot be written to, the networks cannot be loaded.
    """
    session = Session.load(request.project)
    check_folder(request.folder)
    if newer_autosave(request.project) is not None:
        err.write(
            "ecgstudio: the project has changes that were not saved; open it in the workstation to recover them\n"
        )
    counts, failed = Counter[str](), list[str]()
    for line in _export(session, request, err=err, cache=cache):
        counts[line.status] += 1
        if line.status == "failed":
            failed.append(line.name)
        out.write(
            f"{json.dumps(line.report, ensure_ascii=False) if request.as_json else f'{line.name}: {line.text}'}\n"
        )
        out.flush()
    _say_in_the_end(counts, failed, err=err)
    return not failed


def _export(
    session: Session, request: ExportRequest, *, err: TextIO, cache: OutcomeCache | None
) -> Iterator[ExportLine]:
    """Go through the pages; what needs no networks is found out first, and the networks are loaded when needed."""
    places = _find_missing(session, request)
    progress, register = Progress(err, len(session.entries)), StemRegister()
    runtime: Runtime | None = None
    for entry in session.entries:
        stem = register.claim(entry.name)
        try:
            review = session.corrections(entry.id).review
            if review is not None and review.verdict == "rejected":
                progress.done += 1
                yield _line(entry, stem, "rejected", f"rejected by {review.by}, not exported")
                continue
            if not request.overwrite:
                check_absent(output_paths(stem, request.folder, request.formats))
            page = _read(entry, request, at=places.get(entry))
        except UserError as error:
            logger.debug("%s is not exported", stem, exc_info=True)
            progress.done += 1
            yield _line(entry, stem, "failed", str(error))
            continue
        if runtime is None:
            runtime = api.load_runtime(request.device)
            _compare_weights(session, runtime, err=err)
        status = PageStatus(progress, stem)
        try:
            line = _export_page(session, entry, page, request, stem=stem, runtime=runtime, status=status, cache=cache)
        except UserError as error:
            logger.debug("%s is not exported", stem, exc_info=True)
            line = _line(entry, stem, "failed", str(error))
        progress.clear()
        progress.done += 1
        yield line


def _export_page(
    session: Session,
    entry: PageEntry,
    page: Page,
    request: ExportRequest,
    *,
    stem: str,
    runtime: Runtime,
    status: Status,
    cache: OutcomeCache | None,
) -> ExportLine:
    """Bring one page up to date and write it. Raises UserError, with a sentence why it is not written."""
    state = session.page_state(entry.id)
    try:
        result = api.digitize_corrected(
            page,
            state,
            stem=stem,
            runtime=runtime,
            settings=session.settings,
            known=cache.load_analysis(entry.id) if cache is not None else EMPTY_ANALYSIS,
            status=status,
        )
        api.export_result(
            result,
            page,
            corrections=state.corrections,
            folder=request.folder,
            formats=request.formats,
            overwrite=request.overwrite,
        )
    except (UserError, Cancelled):
        raise
    except Exception as error:  # the last boundary: one odd page must not stop the others
        raise UserError(
            f"unexpected error ({type(error).__name__}: {error}); run with --debug and report it"
        ) from error
    return ExportLine(stem, result.status, str(result.summary), {"stem": stem, **result.report})


def _find_missing(session: Session, request: ExportRequest) -> dict[PageEntry, Path]:
    """Look for scans that are not where they were, beside the project and in the folders given."""
    missing = [entry for entry in session.entries if not os.path.isfile(entry.source)]
    if not missing:
        return {}
    found = find_scans(missing, [*request.scans, request.project.absolute().parent])
    return {entry: found[entry.id] for entry in missing if entry.id in found}


def _read(entry: PageEntry, request: ExportRequest, *, at: Path | None) -> Page:
    """Read a page; if another file has taken the place of its scan, look for the scan elsewhere."""
    try:
        return read_scan(entry, at=at)
    except MissingScanError as error:
        raise MissingScanError(f"{error} Name its folder with --scans.") from error
    except ChangedScanError:
        found = find_scans([entry], [*request.scans, request.project.absolute().parent])
        if entry.id not in found:
            raise
        return read_scan(entry, at=found[entry.id])


def _compare_weights(session: Session, runtime: Runtime, *, err: TextIO) -> None:
    if session.weights and session.weights != runtime.weights_hash:
        err.write("ecgstudio: the project was made with other network weights; its results may differ from these\n")


def _line(entry: PageEntry, stem: str, status: str, text: str) -> ExportLine:
    report: dict[str, object] = {"stem": stem, "source": str(entry.source), "status": status, "reasons": [text]}
    return ExportLine(stem, status, f"{status}  {text}" if status == "failed" else text, {**report, "failure": None})


def _say_in_the_end(counts: Counter[str], failed: list[str], *, err: TextIO) -> None:
    if not failed and counts.total() == 1:
        return
    parts = [f"{counts[status]} {status}" for status in ("ok", "review", "rejected", "failed") if counts[status]]
    more = f" and {len(failed) - NAMES_SHOWN} more" if len(failed) > NAMES_SHOWN else ""
    names = f" ({', '.join(failed[:NAMES_SHOWN])}{more})" if failed else ""
    words = ", ".join(parts) if parts else "nothing to export"
    err.write(f"ecgstudio: {counts.total()} {'page' if counts.total() == 1 else 'pages'}: {words}{names}\n")
