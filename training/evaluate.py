"""``python -m training evaluate``: digitize pages, score them against their truth, and say which stage loses what."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgstudio.errors import UserError
from ecgstudio.io.atomic import write_bytes, write_text
from ecgstudio.io.export import safe_name
from ecgstudio.io.images import SUFFIXES, read_page
from ecgstudio.paths import weights_folder
from ecgstudio.stages.contract import Runtime
from ecgstudio.stages.overlay import encode_png, render_overlay
from ecgstudio.stages.settings import PipelineSettings
from training.configs import STAGES
from training.folders import IMAGES, SPLITS, is_tree, page_files, pictures, series_path, truth_path
from training.page_score import PageScore, PageTask, analyse, score_page
from training.processes import shared_out
from training.report_table import Table
from training.run_folder import BEST_FILE
from training.score_report import WORST_SHOWN, make_tables, pages_csv, worst_pages
from training.score_store import ScoreStore

logger = logging.getLogger(__name__)

TRUTH_FOLDER = "truth"
FLAT_SPLITS = ("val", "train")
SAY_EVERY = 10
SETTINGS = PipelineSettings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training evaluate``."""
    parser.add_argument(
        "--data", type=Path, required=True,
        help="pages of 'python -m training synth', flat or as train|val|test/{images,annotations,series}; "
        "or cases, TIER/CASE.png and truth/CASE.npz (mv, fs); "
        "pages without truth are listed with what they say about themselves (of each file the first page)",
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=("val", "test", "all"), default="val",
        help="of rendered pages and trees: what 'train' keeps for validation (default), a tree's test pages, or all",
    )  # fmt: skip
    parser.add_argument("--limit", type=int, help="take this many pages, evenly from all tiers")
    parser.add_argument("--oracle", action="store_true", help="error budget: put the truth in place of each stage")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--weights", type=Path, help="folder of weights and manifest (default: the bundled ones)")
    parser.add_argument("--checkpoints", type=Path, metavar="RUNS", help=f"use each RUNS/stageN/{BEST_FILE} there is")
    parser.add_argument(
        "--out", type=Path,
        help="folder for the tables (tables.txt, summary.json, tables/*.csv), pages.csv, every page's score (scores/) "
        "and the worst pages' overlays (worst/)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true",
        help="take the scores that --out holds already of the same pages and weights; not after a change of the code",
    )  # fmt: skip
    parser.add_argument(
        "--worst", type=int, metavar="N",
        help=f"list and draw so many of the worst pages (default: {WORST_SHOWN}); with it --overlays draws only those",
    )  # fmt: skip
    parser.add_argument(
        "--overlays", type=Path, metavar="FOLDER",
        help="draw what was found on every page, or the --worst ones, into FOLDER/TIER/PAGE.png",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Evaluate, write the tables to stdout and the rest to --out; return the exit code."""
    if args.jobs < 1 or any(number is not None and number < 1 for number in (args.limit, args.worst)):
        raise UserError("--jobs, --limit and --worst must be at least 1.")
    if args.resume and args.out is None:
        raise UserError("--resume goes on with what --out holds: name that folder.")
    tasks = spread(find_pages(args.data, split=args.split), limit=args.limit)
    with weights_from(args.weights, args.checkpoints) as folder:
        everywhere = args.overlays if args.worst is None else None
        engine = Engine(device=args.device, weights=folder, budget=args.oracle, overlays=everywhere)
        runtime = engine.load()
        scores = score_all(tasks, engine, args, runtime=runtime)
        tables = make_tables(scores, worst=args.worst or WORST_SHOWN)
        for table in tables:
            sys.stdout.write(f"{table.text()}\n")
        if args.out is not None:
            write_results(args.out, args, scores, tables, runtime=runtime)
        if args.out is not None or (args.overlays is not None and args.worst is not None):
            draw_worst(args, tasks, worst_pages(scores, count=args.worst or WORST_SHOWN), runtime=runtime)
    return 0


def score_all(
    tasks: Sequence[PageTask], engine: Engine, args: argparse.Namespace, *, runtime: Runtime
) -> list[PageScore]:
    """Score the pages in their order; with --out keep each score at once, with --resume take those that are kept."""
    store = ScoreStore(args.out, runtime.weights_hash) if args.out is not None else None
    done: dict[PageTask, PageScore] = {}
    if store is not None and args.resume:
        found = {task: store.kept(task, budget=engine.budget) for task in tasks}
        done = {task: score for task, score in found.items() if score is not None}
        logger.info("%d of %d pages were scored before", len(done), len(tasks))
    rest = [task for task in tasks if task not in done]
    fresh = shared_out(rest, engine.score, tools=runtime, load=engine.load, jobs=args.jobs)
    for number, (task, score) in enumerate(zip(rest, fresh, strict=True), 1):
        done[task] = score
        if store is not None:
            store.keep(score, task)
        logger.debug("%s: %s, %.1f dB, %.1f s", score.name, score.status, score.snr_db, score.seconds)
        if number % SAY_EVERY == 0 or number == len(rest):
            logger.info("%d of %d pages", len(done), len(tasks))
    return [done[task] for task in tasks]


# --- which pages --------------------------------------------------------------------------------------------


def find_pages(folder: Path, *, split: str = "val") -> list[PageTask]:
    """List the pages of a folder, tier by tier, with their truth where there is one.

    Raises:
        UserError: there is no page.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    if is_tree(folder):
        tasks = [_of_tree(path, part) for part in _parts(split, SPLITS) for path in pictures(folder / part / IMAGES)]
    elif (folder / TRUTH_FOLDER).is_dir() or not any(folder.glob("*.npz")):
        tasks = _cases(folder)
    else:
        tasks = [_rendered(path) for part in _parts(split, FLAT_SPLITS) for path in page_files(folder, part)]
    if not tasks:
        raise UserError(f"There are no pages in {folder}.")
    return sorted(tasks, key=lambda task: (task.tier, task.name))


def _cases(folder: Path) -> list[PageTask]:
    pictures = [path for path in sorted([*folder.glob("*"), *folder.glob("*/*")]) if path.suffix.lower() in SUFFIXES]
    tasks = []
    for path in pictures:
        truths = [parent / TRUTH_FOLDER / f"{path.stem}.npz" for parent in (folder, folder.resolve().parent)]
        truth = next((path for path in truths if path.is_file()), None)
        tasks.append(PageTask(path.stem, path.parent.resolve().name, path, truth, rendered=False))
    return tasks


def _of_tree(picture: Path, split: str) -> PageTask:
    """Take a page of a tree with the best truth there is: of every stage, of its record, or none."""
    if truth_path(picture).is_file():
        return _rendered(picture)
    series = series_path(picture)
    return PageTask(picture.stem, split, picture, series if series.is_file() else None, rendered=False)


def _rendered(picture: Path) -> PageTask:
    """Take a rendered page; its tier is the kind of degradation, which the truth tells."""
    from training.synth.truth import load_truth

    truth = truth_path(picture)
    try:
        kind = load_truth(truth).kind
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"The truth {truth} cannot be read: {error}") from error
    return PageTask(picture.stem, kind, picture, truth, rendered=True)


def _parts(split: str, splits: Sequence[str]) -> Sequence[str]:
    return splits if split == "all" else (split,)


def spread(tasks: list[PageTask], *, limit: int | None) -> list[PageTask]:
    """Take `limit` tasks at even distances."""
    if limit is None or limit >= len(tasks):
        return tasks
    return [tasks[i] for i in np.linspace(0, len(tasks) - 1, limit).round().astype(int)]


# --- which weights ------------------------------------------------------------------------------------------


@contextmanager
def weights_from(weights: Path | None, checkpoints: Path | None) -> Iterator[Path | None]:
    """Yield a folder of weights in which the best checkpoints of a run replace what they can; None: the bundled ones.

    Raises:
        UserError: there is no checkpoint, or one is damaged.
    """
    if checkpoints is None:
        yield weights
        return
    best = [path for stage in STAGES if (path := checkpoints / stage / BEST_FILE).is_file()]
    if not best:
        raise UserError(f"There is no stage's {BEST_FILE} in {checkpoints}.")
    from training.bundle import bundle  # loads torch

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if len(best) < len(STAGES):
            shutil.copytree(weights if weights is not None else weights_folder(), folder, dirs_exist_ok=True)
        for checkpoint in best:
            bundle(checkpoint, folder=folder)
            logger.info("using %s", checkpoint)
        yield folder


# --- running ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Engine:
    """All that a process needs to know to score pages."""

    device: str
    weights: Path | None
    budget: bool
    overlays: Path | None = None

    def load(self) -> Runtime:
        """Make the networks ready."""
        from ecgstudio.nets.torch_runtime import load_runtime  # loads torch

        return load_runtime(self.device, self.weights)

    def score(self, task: PageTask, runtime: Runtime) -> PageScore:
        """Score a page, and draw it if pages are to be drawn."""
        drawing = None
        if self.overlays is not None:
            drawing = overlay_path(self.overlays, task.tier, task.name)
        return score_page(task, runtime=runtime, settings=SETTINGS, budget=self.budget, drawing=drawing)


# --- what is kept -------------------------------------------------------------------------------------------


def write_results(
    out: Path, args: argparse.Namespace, scores: Sequence[PageScore], tables: Sequence[Table], *, runtime: Runtime
) -> None:
    """Write the tables as text, JSON and CSV, and one line per page."""
    about = {
        "data": str(args.data),
        "split": args.split,
        "pages": len(scores),
        "weights": runtime.weights_hash,
        "checkpoints": str(args.checkpoints) if args.checkpoints is not None else None,
        "device": runtime.device,
    }
    summary = {"about": about, **{table.key: table.as_json() for table in tables}}
    write_text(out / "pages.csv", pages_csv(scores))
    write_text(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    write_text(out / "tables.txt", "\n".join(table.text() for table in tables))
    for table in tables:
        write_text(out / "tables" / f"{table.key}.csv", table.as_csv())


def draw_worst(
    args: argparse.Namespace, tasks: Sequence[PageTask], worst: Sequence[PageScore], *, runtime: Runtime
) -> None:
    """Draw what was found on the worst pages, which are read once more for it, into OUT/worst and --overlays."""
    path_of = {(task.tier, task.name): task.path for task in tasks}
    folder = args.out / "worst" if args.out is not None else None
    for old in folder.glob("[0-9]*-*.png") if folder is not None else ():  # of an earlier evaluation
        old.unlink()
    for rank, score in enumerate(worst, 1):
        try:
            page = read_page(path_of[score.tier, score.name], 0)
        except UserError:
            continue  # its row in the table says so
        picture = encode_png(render_overlay(page, analyse(page, runtime=runtime, settings=SETTINGS)))
        snr = f"-{score.snr_db:.1f}dB" if np.isfinite(score.snr_db) else ""
        if folder is not None:
            write_bytes(folder / f"{rank:02d}-{safe_name(score.name)}{snr}.png", picture)
        if args.overlays is not None and args.worst is not None:
            write_bytes(overlay_path(args.overlays, score.tier, score.name), picture)


def overlay_path(folder: Path, tier: str, name: str) -> Path:
    """Return where --overlays draws a page."""
    return folder / safe_name(tier) / f"{safe_name(name)}.png"
