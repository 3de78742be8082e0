"""Windows of rendered pages as the real pipeline reads them, with the ink's true heights: made once, kept as npz."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.corrections import NO_CORRECTIONS
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.page import Page
from ecgstudio.errors import InputError
from ecgstudio.io.atomic import write_bytes
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.images import read_page
from ecgstudio.stages.contract import NULL_STATUS, Failed, Runtime
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage, advance
from ecgstudio.stages.reconstruct import HALF_PX, UNIT_MM, WINDOW_PX, TraceStrip, trace_strip, windows
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from training.folders import page_files, truth_path
from training.reconstruct.examples import Example, ExampleShape
from training.sampling import MappedPage
from training.synth.truth import load_truth

logger = logging.getLogger(__name__)

F64 = NDArray[np.float64]
CROP_SPLITS = ("train", "val")
LEAST_KNOWN = 0.3
"""Share of a window's columns in which the truth must be known."""
FAR_MM = 6.0
"""A reading that is further than this from all ink, in the median, is of none of it."""
MM_PER_S, MM_PER_MV = 25.0, 10.0
SHAPE = ExampleShape(
    leads=1, samples=WINDOW_PX, height=2 * HALF_PX, width=WINDOW_PX, rows_per_unit=UNIT_MM * STRIP_PX_PER_MM,
    unit_mv=UNIT_MM / MM_PER_MV, hz=STRIP_PX_PER_MM * MM_PER_S,
)  # fmt: skip
"""Of windows of strips; millivolts and rate at the usual gain and speed."""


@dataclass(frozen=True, slots=True, eq=False)
class CropExamples:
    """The windows of one split, all in memory."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    pictures: NDArray[np.uint8]
    series: NDArray[np.float32]
    target: NDArray[np.float32]
    shape: ExampleShape = SHAPE
    spoilt: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        return Example(
            self.names[index], self.kinds[index], self.pictures[index], self.series[index], self.target[index]
        )


def write_crops(
    pages: Path, out: Path, *, runtime: Runtime, cache: OutcomeCache | None = None, limit: int | None = None
) -> int:
    """Read the rendered pages of a folder and keep their windows as OUT/train|val/PAGE.npz; return how many pages.

    What is there already is kept. A page that cannot be read has no windows.

    Raises:
        InputError: there is no rendered page.
    """
    written = 0
    plan = [(split, path) for split in CROP_SPLITS for path in page_files(pages, split)[:limit]]
    if not plan:
        raise InputError(f"There are no rendered pages in {pages}: 'python -m training synth' writes some.")
    for number, (split, path) in enumerate(plan, 1):
        target = out / split / f"{path.stem}.npz"
        if not target.is_file():
            page = read_page(path, 0)
            analysis = read_traces(page, runtime=runtime, cache=cache)
            examples = page_examples(path, page, analysis)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(target, encode_examples(examples))
        written += 1
        logger.info("%d of %d pages", number, len(plan)) if number % 10 == 0 else None
    return written


def read_traces(page: Page, *, runtime: Runtime, cache: OutcomeCache | None) -> Analysis:
    """Take a page up to its traces; what `cache` holds is not computed again."""
    known = cache.load_analysis(page.id) if cache is not None else EMPTY_ANALYSIS
    analysis = advance(
        page, NO_CORRECTIONS, analysis=known, upto=Stage.TRACES, runtime=runtime, settings=PipelineSettings(),
        status=NULL_STATUS,
    )  # fmt: skip
    if cache is not None:
        cache.store_analysis(page.id, analysis, known=known)
    return analysis


def page_examples(path: Path, page: Page, analysis: Analysis) -> list[Example]:
    """Cut the windows of all traces of a rendered page; none if it could not be read."""
    grid = analysis.grid.value if analysis.grid is not None else None
    ecg = analysis.traces.value if analysis.traces is not None else None
    if grid is None or ecg is None or isinstance(grid, Failed) or isinstance(ecg, Failed):
        return []
    return trace_examples(path, page, grid, ecg)


def trace_examples(path: Path, page: Page, grid: GridFit, ecg: DigitizedEcg) -> list[Example]:
    """Cut the windows of traces, with the heights of the ink that they follow."""
    truth = load_truth(truth_path(path))
    rows = printed_rows(MappedPage(np.asarray(page.pixels), truth), grid)
    found = []
    for trace in ecg.traces:
        strip = trace_strip(page, grid, trace)
        if strip is None:
            continue
        target = np.where(_printed(strip, trace, grid), true_heights(strip, rows), np.float32(np.nan))
        for span in windows(strip):
            if np.isfinite(target[span]).mean() >= LEAST_KNOWN:
                picture = np.rint(strip.picture[..., span] * 255).astype(np.uint8)
                name = f"{path.stem}-{trace.lead}-{span.start}"
                found.append(Example(name, truth.kind, picture, strip.series[None, :, span], target[None, span]))
    return found


def _printed(strip: TraceStrip, trace: LeadTrace, grid: GridFit) -> NDArray[np.bool_]:
    """Tell which columns lie along the trace; what is beyond its ends is another lead's, or nobody asks for it."""
    columns_mm = strip.x0_mm + (np.arange(strip.series.shape[1]) + 0.5) / STRIP_PX_PER_MM
    end_mm = strip.first_mm + trace.duration_s * grid.scale.mm_per_s
    return np.asarray((columns_mm >= strip.first_mm) & (columns_mm <= end_mm))


def printed_rows(page: MappedPage, grid: GridFit) -> list[list[F64]]:
    """Return the ink of each row, lead by lead, as lines [n, 2] in the millimetres of a grid that was found."""
    rows: dict[int, list[F64]] = {}
    for lead in page.truth.sheet.leads:
        mm = grid.to_mm(page.to_page(lead.line_mm))
        mm = mm[np.isfinite(mm).all(axis=1)]
        if len(mm) > 1:
            rows.setdefault(lead.row, []).append(mm)
    return list(rows.values())


def true_heights(strip: TraceStrip, rows: Sequence[Sequence[F64]]) -> NDArray[np.float32]:
    """Return the height f32[W] of the row's ink that a series follows, in its units; NaN where there is none."""
    columns_mm = strip.x0_mm + (np.arange(strip.series.shape[1]) + 0.5) / STRIP_PX_PER_MM
    read = strip.series[1] > 0
    best, nearest_mm = np.full(len(columns_mm), np.nan), FAR_MM
    for lines in rows:
        height = np.full(len(columns_mm), np.nan)
        for mm in lines:
            x_mm = np.maximum.accumulate(mm[:, 0] + np.arange(len(mm)) * 1e-9)
            inside = (columns_mm >= x_mm[0]) & (columns_mm <= x_mm[-1])
            height[inside] = (strip.zero_mm - np.interp(columns_mm[inside], x_mm, mm[:, 1])) / UNIT_MM
        away_mm = UNIT_MM * np.abs(height - strip.series[0])[read & np.isfinite(height)]
        if len(away_mm) and np.median(away_mm) < nearest_mm:
            best, nearest_mm = height, float(np.median(away_mm))
    return best.astype(np.float32)


def encode_examples(examples: Sequence[Example]) -> bytes:
    """Return the windows of a page as the content of a compressed .npz file without pickled objects."""
    stream = io.BytesIO()
    empty = (0, SHAPE.leads)
    np.savez_compressed(
        stream, allow_pickle=False,
        names=np.array([e.name for e in examples], np.str_), kinds=np.array([e.kind for e in examples], np.str_),
        pictures=_stacked([e.picture for e in examples], (0, 2, SHAPE.height, SHAPE.width), np.uint8),
        series=_stacked([e.series for e in examples], (*empty, 3, SHAPE.samples), np.float32),
        target=_stacked([e.target for e in examples], (*empty, SHAPE.samples), np.float32),
    )  # fmt: skip
    return stream.getvalue()


def _stacked(parts: list[np.ndarray], empty: tuple[int, ...], kind: type) -> np.ndarray:
    return np.stack(parts).astype(kind) if parts else np.zeros(empty, kind)


def is_crops_folder(folder: Path) -> bool:
    """Tell whether a folder holds windows as `write_crops` keeps them."""
    return all(any((folder / split).glob("*.npz")) for split in CROP_SPLITS)


def open_crops(folder: Path) -> dict[str, CropExamples]:
    """Read the windows of a folder by split.

    Raises:
        InputError: a file is damaged (it is named), or a split has no window.
    """
    found = {}
    for split in CROP_SPLITS:
        parts: dict[str, list[np.ndarray]] = {}
        for path in sorted((folder / split).glob("*.npz")):
            try:
                with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
                    part = {name: content[name] for name in ("names", "kinds", "pictures", "series", "target")}
                if part["pictures"].shape[1:] != (2, SHAPE.height, SHAPE.width) or len(part["names"]) != len(
                    part["target"]
                ):
                    raise ValueError(f"windows of shape {part['pictures'].shape}")
            except Exception as error:
                raise InputError(f"{path} does not hold windows of a page: {error}") from error
            for name, values in part.items():
                parts.setdefault(name, []).append(values)
        if not sum(map(len, parts.get("names", []))):
            raise InputError(f"{folder / split} holds no window of a page.")
        joined = {name: np.concatenate(values) for name, values in parts.items()}
        names, kinds = (tuple(str(v) for v in joined.pop(name)) for name in ("names", "kinds"))
        found[split] = CropExamples(names, kinds, joined["pictures"], joined["series"], joined["target"])
    return found
