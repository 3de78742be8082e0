"""Writing a folder of degraded pages with their truth, reproducibly and on all cores."""

from __future__ import annotations

import argparse
import logging
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.errors import UserError
from ecgstudio.io.atomic import write_bytes
from training.signals import open_source
from training.synth.degrade import degrade
from training.synth.page import render_sheet
from training.synth.truth import PageTruth, lattice_mm, save_truth

log = logging.getLogger(__name__)

LATTICE_STEP_MM = 2.5
KINDS = {"render": 0.22, "scan": 0.26, "photo": 0.34, "screen": 0.06, "damage": 0.12}
STORED_QUALITY = 95


@dataclass(frozen=True, slots=True)
class SynthPage:
    """A degraded page with the truth of every stage."""

    pixels: NDArray[np.uint8]
    truth: PageTruth


def synthesize_page(
    mv: NDArray[np.float32], fs: float, *, rng: np.random.Generator, kind: str | None = None, px_per_mm: float = 8.0
) -> SynthPage:
    """Render a record (mV, [12, n]) on a random sheet and degrade it; the truth follows the pixels exactly."""
    sheet = render_sheet(mv, fs, rng=rng, px_per_mm=px_per_mm)
    if kind is None:
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    degraded = degrade(sheet.pixels, px_per_mm=px_per_mm, kind=kind, rng=rng)
    lattice = lattice_mm(sheet.truth.size_mm, LATTICE_STEP_MM)
    at_px = lattice.reshape(-1, 2) * px_per_mm - 0.5
    lattice_px = degraded.warp.sheet_to_photo(at_px).reshape(lattice.shape)
    truth = PageTruth(
        sheet=sheet.truth, lattice_px=lattice_px, lattice_step_mm=LATTICE_STEP_MM, kind=kind, orientation=0
    )
    return SynthPage(degraded.pixels, truth)


def write_page(out: Path, index: int, records: str, split: str, seed: int, kind: str | None) -> str:
    """Write page number `index` (picture and truth) unless it is there; return its name."""
    cv2.setNumThreads(1)
    name = f"page-{seed:03d}-{index:06d}"
    if (out / f"{name}.npz").exists() and (out / f"{name}.jpg").exists():
        return name
    rng = np.random.default_rng((seed, index))
    source = _source(records, split)
    record = source[int(rng.integers(len(source)))]
    page = synthesize_page(record.mv, record.fs, rng=rng, kind=kind)
    bgr = cv2.cvtColor(page.pixels, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, STORED_QUALITY])
    if not ok:
        raise UserError(f"{name}: the page could not be encoded")
    save_truth(out / f"{name}.npz", page.truth)
    write_bytes(out / f"{name}.jpg", data.tobytes())
    return name


_SOURCES: dict[tuple[str, str], object] = {}


def _source(records: str, split: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    key = (records, split)
    if key not in _SOURCES:
        _SOURCES[key] = open_source(records, split=split)
    return _SOURCES[key]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m training synth`."""
    parser.add_argument("--out", type=Path, required=True, help="folder for pages (.jpg) and truths (.npz)")
    parser.add_argument("--records", default="synthetic", help='"synthetic", a folder of packs, or a PTB-XL folder')
    parser.add_argument("--split", default="train", help="which split of the records to print")
    parser.add_argument("--count", type=int, default=100, help="number of pages")
    parser.add_argument("--first", type=int, default=0, help="number of the first page")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(KINDS), default=None, help="one kind of degradation only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)


def main(args: argparse.Namespace) -> int:
    """Write the pages; running again writes only what is missing."""
    args.out.mkdir(parents=True, exist_ok=True)
    numbers = range(args.first, args.first + args.count)
    if args.jobs <= 1:
        for i in numbers:
            write_page(args.out, i, args.records, args.split, args.seed, args.kind)
        return 0
    with ProcessPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(write_page, args.out, i, args.records, args.split, args.seed, args.kind) for i in numbers]
        for done, future in enumerate(futures, 1):
            future.result()
            if done % 100 == 0:
                log.info("%d of %d pages", done, len(futures))
    return 0
