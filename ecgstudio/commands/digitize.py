"""`ecgstudio digitize`: plan what is written where, read every page, write its results, say one line about it."""

from __future__ import annotations

import bisect
import itertools
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from ecgstudio import api
from ecgstudio.commands.console import PageStatus, Progress, logging_to
from ecgstudio.core.page import Page
from ecgstudio.errors import OutputError, UserError
from ecgstudio.io.atomic import file_group
from ecgstudio.io.export import OVERLAY_SUFFIX, StemRegister, check_absent, export_page, output_paths
from ecgstudio.io.images import count_pages, expand_inputs, page_stem, part_stems, read_page
from ecgstudio.nets.weights import RECONSTRUCT, read_manifest
from ecgstudio.paths import weights_folder
from ecgstudio.stages.contract import NULL_STATUS, Cancelled, PartStatus, Runtime, Status
from ecgstudio.stages.overlay import encode_png, render_overlay
from ecgstudio.stages.pipeline import Stage
from ecgstudio.stages.quality import Verdict
from ecgstudio.stages.report import stage_report
from ecgstudio.stages.settings import PipelineSettings

logger = logging.getLogger(__name__)

STAGES: Final = (Stage.KEYPOINTS, Stage.GRID, Stage.TRACES)
ONE_PAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp")  # not opened while planning
NAMES_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class DigitizeRequest:
    """All that the user asked for; `stage` 0..2 runs the pipeline up to there only."""

    inputs: tuple[str, ...]
    folder: Path
    formats: tuple[str, ...]
    settings: PipelineSettings
    stage: int | None
    device: str
    overwrite: bool
    jobs: int
    as_json: bool
    verbose: bool
    debug: bool


@dataclass(frozen=True, slots=True)
class PagePlan:
    """One page to be read, and the stem of the files it becomes.

    `taken` holds the stems of other pages (casefolded) that begin like it: should the page be a picture of several
    ECGs, none of these is called so.
    """

    path: Path
    index: int
    stem: str
    taken: frozenset[str] = frozenset()
    part: str = ""

    @property
    def name(self) -> str:
        """What to call the page where it cannot be read."""
        return f"{self.path}{self.part}"


@dataclass(frozen=True, slots=True)
class PageLine:
    """What is said about a page once it is done."""

    name: str
    status: Verdict
    text: str
    report: dict[str, object]


def run(request: DigitizeRequest, *, out: TextIO, err: TextIO) -> bool:
    """Digitize every input; return whether all pages were read (those that need a review count as read).

    Raises:
        UserError: the output folder cannot be written to, or the networks cannot be loaded.
    """
    check_folder(request.folder)
    if request.settings.reconstruct.enabled and RECONSTRUCT not in read_manifest(weights_folder()).entries:
        raise UserError("These weights hold no network for reconstruction; leave --reconstruct out.")
    plans, counts, failed = [], Counter[Verdict](), list[str]()

    def say(line: PageLine) -> None:
        counts[line.status] += 1
        if line.status == "failed":
            failed.append(line.name)
        text = json.dumps(line.report, ensure_ascii=False) if request.as_json else f"{line.name}: {line.text}"
        out.write(f"{text}\n")
        out.flush()

    for plan in plan_pages(request.inputs, err=err):
        try:
            if not request.overwrite:
                check_absent(_targets(plan.stem, request))
            plans.append(plan)
        except UserError as error:
            say(_failed_line(plan, error))
    lines = _in_this_process(plans, request, err=err) if request.jobs == 1 else _in_processes(plans, request, err=err)
    for line in itertools.chain.from_iterable(lines):
        say(line)
    _say_in_the_end(counts, failed, err=err)
    return not failed


def plan_pages(inputs: tuple[str, ...], *, err: TextIO) -> list[PagePlan]:
    """List every page of the inputs with a stem of its own; say so where two would have had the same."""
    register, plans = StemRegister(), []
    for path in expand_inputs(inputs):
        for index in range(page_count(path)):
            wanted = page_stem(path, index)
            stem = register.claim(wanted)
            if stem != wanted:
                err.write(f"ecgstudio: another input is called {wanted}: {path} is written as {stem}\n")
            plans.append(PagePlan(path, index, stem))
    stems = sorted(plan.stem.casefold() for plan in plans)
    return [replace(plan, taken=_beginning_with(f"{plan.stem.casefold()}-", stems)) for plan in plans]


def _beginning_with(start: str, stems: list[str]) -> frozenset[str]:
    """Return those of sorted stems that begin so."""
    first = bisect.bisect_left(stems, start)
    return frozenset(itertools.takewhile(lambda stem: stem.startswith(start), stems[first:]))


def page_count(path: Path) -> int:
    """Count the pages; a file that cannot be opened counts as one, which will say what is wrong with it."""
    if path.suffix.lower() in ONE_PAGE_SUFFIXES:
        return 1
    try:
        return count_pages(path)
    except UserError:
        return 1


def _targets(stem: str, request: DigitizeRequest) -> list[Path]:
    if request.stage is None:
        return output_paths(stem, request.folder, request.formats)
    return [request.folder / f"{stem}-stage{request.stage}{suffix}" for suffix in (".json", OVERLAY_SUFFIX)]


def process_page(
    plan: PagePlan, request: DigitizeRequest, *, runtime: Runtime, status: Status = NULL_STATUS
) -> list[PageLine]:
    """Read one page and write its results, all files or none; whatever is wrong with it becomes its line.

    Of a picture that shows several ECGs each is a page with a line of its own.

    Raises:
        Cancelled: `status` asked for it; nothing was written of the page that was being read.
    """
    return _attempt(plan, lambda: _process(plan, read_page(plan.path, plan.index), request, runtime, status))


def _attempt(plan: PagePlan, work: Callable[[], list[PageLine]]) -> list[PageLine]:
    """Return the lines that the work makes; what stops it becomes the plan's own line."""
    try:
        return work()
    except UserError as error:
        logger.debug("%s failed", plan.stem, exc_info=True)
        return [_failed_line(plan, error)]
    except Cancelled:
        raise
    except Exception as error:  # the last boundary: one odd file must not stop the others
        logger.debug("%s broke down", plan.stem, exc_info=True)
        what = "there is not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        return [_failed_line(plan, UserError(f"unexpected error ({what}); run again with --debug and report it"))]


def _process(plan: PagePlan, page: Page, request: DigitizeRequest, runtime: Runtime, status: Status) -> list[PageLine]:
    upto = Stage.QUALITY if request.stage is None else STAGES[request.stage]
    result = api.digitize_page(
        page, stem=plan.stem, runtime=runtime, settings=request.settings, upto=upto, status=status
    )
    if parts := api.parts_of(page, result, runtime=runtime, status=status):
        return _process_parts(plan, parts, request, runtime, status)
    if request.stage is not None:
        _write_stage(page, result, request)
    elif result.record is not None:
        overlay = encode_png(render_overlay(page, result.analysis)) if "overlay" in request.formats else None
        export_page(
            plan.stem,
            request.folder,
            result.record,
            result.report,
            overlay,
            formats=request.formats,
            overwrite=request.overwrite,
        )
    return [PageLine(plan.stem, result.status, str(result.summary), {"stem": plan.stem, **result.report})]


def _process_parts(
    plan: PagePlan, parts: tuple[Page, ...], request: DigitizeRequest, runtime: Runtime, status: Status
) -> list[PageLine]:
    """Read each ECG of a picture as a page of its own; one that cannot be read does not stop the others."""
    lines: list[PageLine] = []
    stems = part_stems(plan.stem, len(parts), taken=plan.taken)
    for done, (stem, part) in enumerate(zip(stems, parts, strict=True)):
        one = replace(plan, stem=stem, part=f", ECG {done + 1} of {len(parts)}")
        step = PartStatus(status, done / len(parts), (done + 1) / len(parts))
        lines += _attempt(one, partial(_process_part, one, part, request, runtime, step))
    return lines


def _process_part(
    plan: PagePlan, part: Page, request: DigitizeRequest, runtime: Runtime, status: Status
) -> list[PageLine]:
    if not request.overwrite:
        check_absent(_targets(plan.stem, request))
    return _process(plan, part, request, runtime, status)


def _write_stage(page: Page, result: api.PageResult, request: DigitizeRequest) -> None:
    """Write what the stages found and its picture; a failed page writes nothing."""
    if result.status == "failed":
        return
    report = stage_report(page, result.analysis, summary=result.summary)
    contents = (json.dumps(report, indent=1).encode(), encode_png(render_overlay(page, result.analysis)))
    with file_group() as group:
        for path, content in zip(_targets(result.stem, request), contents, strict=True):
            group.add(path, content)


def _failed_line(plan: PagePlan, error: Exception) -> PageLine:
    report = {"stem": plan.stem, "source": plan.name, "status": "failed", "reasons": [str(error)]}
    return PageLine(plan.name, "failed", f"failed  {error}", {**report, "failure": None})


def check_folder(folder: Path) -> None:
    """Make the output folder and try to write in it, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError as error:
        raise OutputError(f"{folder} is a file, not a folder; choose another output folder.") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{folder} cannot be written to ({reason}); choose another output folder.") from error


def _say_in_the_end(counts: Counter[Verdict], failed: list[str], *, err: TextIO) -> None:
    total = counts.total()
    if not failed and total == 1:
        return
    parts = [f"{counts[verdict]} {verdict}" for verdict in ("ok", "review", "failed") if counts[verdict]]
    more = f" and {len(failed) - NAMES_SHOWN} more" if len(failed) > NAMES_SHOWN else ""
    names = f" ({', '.join(failed[:NAMES_SHOWN])}{more})" if failed else ""
    err.write(f"ecgstudio: {total} {'page' if total == 1 else 'pages'}: {', '.join(parts)}{names}\n")


# --- one process or several ----------------------------------------------------------------------------------


def _in_this_process(plans: list[PagePlan], request: DigitizeRequest, *, err: TextIO) -> Iterator[list[PageLine]]:
    if not plans:
        return
    runtime, progress = api.load_runtime(request.device), Progress(err, len(plans))
    for plan in plans:
        lines = process_page(plan, request, runtime=runtime, status=PageStatus(progress, plan.stem))
        progress.clear()
        progress.done += 1
        yield lines


def _in_processes(plans: list[PagePlan], request: DigitizeRequest, *, err: TextIO) -> Iterator[list[PageLine]]:
    """Share the pages out; the lines come in the order of the plans, each as soon as it can."""
    if not plans:
        return
    jobs, progress = min(request.jobs, len(plans)), Progress(err, len(plans))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")  # a forked torch hangs
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(request, threads))
    try:
        futures: list[Future[list[PageLine]]] = [pool.submit(_work, plan) for plan in plans]
        for plan, future in zip(plans, futures, strict=True):
            progress.show("")
            try:
                lines = future.result()
            except BrokenProcessPool:
                lines = [_failed_line(plan, OutputError("a worker process died; is there enough memory for --jobs?"))]
            progress.clear()
            progress.done += 1
            yield lines
    finally:  # after Ctrl-C the workers stop at their next checkpoint
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True)
class _Worker:
    """What a worker process keeps between pages; a pool has no other place for it."""

    request: DigitizeRequest
    runtime: Runtime | None = None
    interrupted: bool = False

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Stop between two steps of a page rather than anywhere in it."""
        if self.interrupted:
            raise Cancelled


_worker: _Worker | None = None


def _start_worker(request: DigitizeRequest, threads: int) -> None:
    global _worker
    worker = _worker = _Worker(request)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when torch is imported: processes share the cores
        os.environ[variable] = str(threads)

    def interrupt(*_: object) -> None:
        worker.interrupted = True

    signal.signal(signal.SIGINT, interrupt)


def _work(plan: PagePlan) -> list[PageLine]:
    worker = _worker
    if worker is None:
        raise RuntimeError("this process was not started as a worker")
    with logging_to(sys.stderr, verbose=worker.request.verbose, debug=worker.request.debug):
        try:
            if worker.runtime is None:
                worker.runtime = api.load_runtime(worker.request.device)
        except UserError as error:
            return [_failed_line(plan, error)]
        return process_page(plan, worker.request, runtime=worker.runtime, status=worker)
