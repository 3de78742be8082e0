"""Write a folder of degraded pages with their truth, reproducibly and on all cores."""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.errors import OutputError, UserError
from ecgstudio.io.atomic import file_group
from ecgstudio.io.export import FORMATS, PageResults
from training.folders import IMAGES, series_path, truth_path
from training.signals import RecordSource, open_source
from training.signals.record import SCORED_SPLITS, TRAINABLE_SPLITS, Record
from training.synth.agg import agg_pen, agg_px_per_mm, with_agg_lines
from training.synth.degrade import KINDS, degrade
from training.synth.kit import can_print, render_kit_sheet
from training.synth.page import Sheet, render_sheet
from training.synth.sheet_map import lattice_mm
from training.synth.style import LAYOUTS, ordinary_style, random_style
from training.synth.truth import PageTruth, encode_truth, turned

logger = logging.getLogger(__name__)

LATTICE_STEP_MM = 2.5
KIND_SHARES = {"render": 0.22, "scan": 0.26, "photo": 0.34, "screen": 0.06, "damage": 0.12}
KIT_SHARES = {"render": 0.4, "scan": 0.3, "photo": 0.2, "damage": 0.1}
AGG_SHARES = {"render": 0.45, "scan": 0.25, "photo": 0.2, "damage": 0.1}
PRINTERS = ("own", "agg", "kit")
MOST_TRIES = 1000
SHEET_PX_PER_MM = 8.0  # about 200 dpi: the resolution that stage 2 reads at
STORED_QUALITY = 95
PROGRESS_EVERY = 100


@dataclass(frozen=True, slots=True, eq=False)
class SynthPage:
    """A degraded page with the truth of every stage; `lossless` says that no JPEG went over its pixels."""

    pixels: NDArray[np.uint8]
    truth: PageTruth
    lossless: bool


@dataclass(frozen=True, slots=True)
class PagePlan:
    """Which pages go into a folder; None leaves a choice to chance.

    `balanced` takes kinds and layouts in turn where none is chosen: 55 pages show each of one with each of the other.
    The printer "agg" draws traces as plotting programs do; "kit" is ecg-image-kit, which has layouts of its own.
    """

    folder: Path
    records: str = "synthetic"
    split: str = "train"
    seed: int = 0
    kind: str | None = None
    layout: str | None = None
    orient: bool = False
    tree: bool = False
    balanced: bool = False
    printer: str = "own"

    def kind_of(self, index: int) -> str | None:
        """Return the kind of a page; None: by chance."""
        return _in_turn(KIND_SHARES, index) if self.balanced and self.kind is None else self.kind

    def layout_of(self, index: int) -> str | None:
        """Return the layout of a page; None: by chance."""
        in_turn = self.balanced and self.layout is None and self.printer != "kit"
        return _in_turn(LAYOUTS, index) if in_turn else self.layout


def _in_turn(names: Mapping[str, float], index: int) -> str:
    return list(names)[index % len(names)]


def synthesize_page(
    mv: NDArray[np.float32],
    fs: float,
    *,
    rng: np.random.Generator,
    kind: str | None = None,
    layout: str | None = None,
    orient: bool = False,
    px_per_mm: float = SHEET_PX_PER_MM,
    ordinary: bool = False,
) -> SynthPage:
    """Render a record (mV, [12, n]) on a random sheet and degrade it; the truth follows the pixels exactly.

    Upright unless `orient` asks for a random orientation; `ordinary` leaves out looks that are rare. Raises
    ValueError for an unknown kind or layout.
    """
    draw = ordinary_style if ordinary else random_style
    sheet = render_sheet(mv, fs, rng=rng, px_per_mm=px_per_mm, style=draw(rng, layout=layout))
    return _degraded(sheet, rng, _chosen(rng, KIND_SHARES) if kind is None else kind, orient=orient)


def synthesize_kit_page(
    mv: NDArray[np.float32], fs: float, *, rng: np.random.Generator, kind: str | None = None, orient: bool = False
) -> SynthPage:
    """Do the same with a sheet of ecg-image-kit; what is not degraded stays at the resolution that it was drawn at."""
    sheet = render_kit_sheet(mv, fs, rng=rng)
    kind = _chosen(rng, KIT_SHARES) if kind is None else kind
    return _degraded(sheet, rng, kind, orient=orient, as_drawn=kind == "render")


def synthesize_agg_page(
    mv: NDArray[np.float32],
    fs: float,
    *,
    rng: np.random.Generator,
    kind: str | None = None,
    layout: str | None = None,
    orient: bool = False,
) -> SynthPage:
    """Do the same with one of our sheets whose traces Agg draws; what is not degraded stays as it was drawn."""
    kind = _chosen(rng, AGG_SHARES) if kind is None else kind
    px_per_mm = agg_px_per_mm(rng) if kind == "render" else SHEET_PX_PER_MM
    style = with_agg_lines(random_style(rng, layout=layout), rng)
    sheet = render_sheet(mv, fs, rng=rng, px_per_mm=px_per_mm, style=style, pen=agg_pen(rng))
    return _degraded(sheet, rng, kind, orient=orient, as_drawn=kind == "render")


def _chosen(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def _degraded(
    sheet: Sheet, rng: np.random.Generator, kind: str, *, orient: bool, as_drawn: bool = False
) -> SynthPage:
    lattice = lattice_mm(sheet.truth.size_mm, LATTICE_STEP_MM)
    at_px = lattice.reshape(-1, 2) * sheet.px_per_mm - 0.5
    pixels, lossless = sheet.pixels, True
    if not as_drawn:
        degraded = degrade(sheet.pixels, px_per_mm=sheet.px_per_mm, kind=kind, rng=rng)
        pixels, lossless = degraded.pixels, degraded.jpeg_quality is None
        at_px = degraded.warp.sheet_to_photo(at_px)
    pixels, truth = turned(
        pixels,
        PageTruth(sheet.truth, at_px.reshape(lattice.shape), LATTICE_STEP_MM, kind=kind, orientation=0),
        int(rng.integers(8)) if orient else 0,
    )
    return SynthPage(pixels, truth, lossless=lossless)


def write_page(plan: PagePlan, index: int) -> Path:
    """Write page number `index` of a plan, picture and truth, unless it is there; return the picture's path.

    Seed and index fix the page, whatever else was written.
    """
    stem = f"page-{plan.seed:03d}-{index:06d}"
    folder = plan.folder / plan.split / IMAGES if plan.tree else plan.folder
    for picture in (folder / f"{stem}.jpg", folder / f"{stem}.png"):
        if picture.exists() and truth_path(picture).exists():
            return picture
    rng = np.random.default_rng((plan.seed, index))
    source = _source(plan.records, plan.split)
    kind, layout = plan.kind_of(index), plan.layout_of(index)
    if plan.printer == "kit":
        record = _printable(source, rng)
        page = synthesize_kit_page(record.mv, record.fs, rng=rng, kind=kind, orient=plan.orient)
    else:
        record = source[int(rng.integers(len(source)))]
        synthesize = synthesize_agg_page if plan.printer == "agg" else synthesize_page
        page = synthesize(record.mv, record.fs, rng=rng, kind=kind, layout=layout, orient=plan.orient)
    picture = folder / f"{stem}{'.png' if page.lossless else '.jpg'}"
    with file_group() as group:  # the truth first: readers of a growing folder look for pictures
        group.add(truth_path(picture), encode_truth(page.truth))
        if plan.tree:
            group.add(series_path(picture), encode_series(stem, page.truth))
        group.add(picture, encode_picture(page.pixels, suffix=picture.suffix))
    return picture


def encode_series(stem: str, truth: PageTruth) -> bytes:
    """Return the printed record as the content of a .csv file: time in s, every lead in mV, empty where not printed."""
    record = EcgRecord(truth.sheet.record_mv, truth.sheet.record_fs)
    [content] = FORMATS["csv"].encode(PageResults(stem, record, {}, None))
    return content


def encode_picture(pixels: NDArray[np.uint8], *, suffix: str) -> bytes:
    """Return RGB pixels as the content of a .png or .jpg file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, STORED_QUALITY] if suffix == ".jpg" else []
    ok, content = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise OutputError(f"A picture of {pixels.shape[1]} x {pixels.shape[0]} pixels cannot be stored as {suffix}.")
    return bytes(content)


def _printable(source: RecordSource, rng: np.random.Generator) -> Record:
    """Draw a record that ecg-image-kit can print."""
    for _ in range(MOST_TRIES):
        record = source[int(rng.integers(len(source)))]
        if can_print(record.mv, record.fs):
            return record
    raise UserError("The records hold too few of ten seconds at 500 Hz.")


@functools.lru_cache(maxsize=1)
def _source(records: str, split: str) -> RecordSource:
    try:
        return open_source(records, split=split, scoring=True)
    except (ValueError, OSError) as error:
        raise UserError(f"The records cannot be read: {error}.") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m training synth`."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for pictures (.jpg, .png) and truths (.npz)")
    add("--records", default="synthetic", help='"synthetic" (the default), a folder of packs, or a PTB-XL folder')
    add(
        "--split", choices=SCORED_SPLITS, default="train",
        help="which split of the records to print; test only with --tree, which keeps it out of any training",
    )  # fmt: skip
    add(
        "--tree", action="store_true",
        help="write OUT/SPLIT/{images,annotations,series}: pictures, truths, printed records (.csv)",
    )  # fmt: skip
    add("--count", type=int, default=100, help="number of pages; those that exist are kept as they are")
    add("--first", type=int, default=0, help="number of the first page")
    add("--seed", type=int, default=0)
    add("--kind", choices=sorted(KINDS), help="one kind of degradation only (copy: one-bit copies with a black grid)")
    add("--layout", choices=sorted(LAYOUTS), help="one layout only")
    add(
        "--balanced", action="store_true",
        help="take kinds and layouts in turn, not by how often they occur: 55 pages show every pair of them once",
    )  # fmt: skip
    add(
        "--printer", choices=PRINTERS, default="own",
        help="agg: our own sheets with traces as plotting programs draw them; kit: sheets of ecg-image-kit in its own "
        "layouts (pip install --no-deps torch-ecg)",
    )  # fmt: skip
    add("--orient", action="store_true", help="mirror and turn the pages at random")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")


def main(args: argparse.Namespace) -> int:
    """Write the pages; running again writes only what is missing."""
    if args.count < 0 or args.first < 0 or args.seed < 0:
        raise UserError("--count, --first and --seed must not be negative.")
    if args.split not in TRAINABLE_SPLITS and not args.tree:
        raise UserError(f"Pages of the {args.split} split are for measuring only: write them with --tree.")
    if args.printer == "kit" and args.layout is not None:
        raise UserError("--layout is for our own sheets: ecg-image-kit has layouts of its own.")
    plan = PagePlan(
        args.out, args.records, args.split, args.seed, args.kind, args.layout, args.orient, args.tree, args.balanced,
        args.printer,
    )  # fmt: skip
    _source(plan.records, plan.split)  # say what is wrong with the records before any process starts
    numbers = range(args.first, args.first + args.count)
    if args.jobs <= 1:
        for done, index in enumerate(numbers, 1):
            _say(done, len(numbers), write_page(plan, index))
        return 0
    # Not forked: libraries have started threads by now, and a forked lock may stay closed for ever.
    pool = ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn"), cv2.setNumThreads, (1,))
    with pool:
        try:
            for done, page in enumerate(as_completed([pool.submit(write_page, plan, i) for i in numbers]), 1):
                _say(done, len(numbers), page.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return 0


def _say(done: int, count: int, picture: Path) -> None:
    logger.debug("%s", picture)
    if done % PROGRESS_EVERY == 0 or done == count:
        logger.info("%d of %d pages", done, count)
