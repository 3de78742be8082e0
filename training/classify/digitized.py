"""The bundled classifier on pages: test records printed, read by the whole pipeline, classified; against their labels.

Each record is rendered once by ``training.synth`` (seed and record fix the page) and read by the stages that ship, with
all their errors. What was read is kept in a folder, so that a run that was stopped goes on.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page, PageId
from ecgstudio.errors import UserError
from ecgstudio.io.atomic import file_group, write_bytes
from ecgstudio.io.export import safe_name
from ecgstudio.stages.classify import input_mv
from ecgstudio.stages.contract import Runtime, StageError
from ecgstudio.stages.fusion_input import SAMPLES, F32Array, signal_and_mask
from ecgstudio.stages.settings import PipelineSettings
from training.classify.batches import on_paper
from training.classify.dataset import Examples
from training.classify.metrics import bootstrap_aucs, interval, macro_auc
from training.classify.paper import QUIET
from training.classify.records import as_examples, labelled_records
from training.oracle import known
from training.page_score import analyse
from training.processes import shared_out
from training.signals.record import Record
from training.synth.write import synthesize_page

logger = logging.getLogger(__name__)

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class PagesPlan:
    """Which records are printed how, and where what was read of them is kept."""

    records: Path
    out: Path
    split: str = "test"
    layout: str | None = "3x4+1"
    kinds: tuple[str, ...] = ()
    """Of damage, which the records show in turn; none given: every kind, as often as in training."""
    ordinary: bool = True
    """Pages look as in an archive (`ordinary_style`); otherwise as odd as those that the stages train on."""
    seed: int = 0
    limit: int = 0

    def chosen(self) -> list[Record]:
        """Return the labelled records of the plan; InputError where there are none."""
        found = labelled_records(self.records, self.split)
        return found[: self.limit] if self.limit else found

    def kind_of(self, index: int) -> str | None:
        """Return the kind of damage that the chosen record number `index` shows; None: by chance."""
        return self.kinds[index % len(self.kinds)] if self.kinds else None

    def path_of(self, record: Record, kind: str | None, weights: str) -> Path:
        """Return where that lies which networks of these weights read of a record's page."""
        told = f"{self.seed} {self.layout} {kind} {self.ordinary} {weights}"
        return self.out / "read" / hashlib.sha256(told.encode()).hexdigest()[:12] / f"{safe_name(record.id)}.npz"


@dataclass(frozen=True, slots=True)
class Result:
    """The areas under the ROC curves of one way to show records, with 95 % bootstrap intervals."""

    shown: str
    count: int
    macro: float
    macro_interval: tuple[float, float]
    classes: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


def evaluate_on_pages(plan: PagesPlan, *, runtime: Runtime, jobs: int = 1) -> tuple[Examples, list[Result]]:
    """Print, read and classify the records of a plan; return them as read and the figures, next to the true signals'.

    Where the plan names kinds of damage, each kind's records follow by themselves.

    Raises:
        UserError: no labelled record, no classifier in the weights, or a worker died.
    """
    records = plan.chosen()
    true = as_examples(records, where=f"{plan.records} ({plan.split})")
    for count, _ in enumerate(_read_all(plan, records, runtime=runtime, jobs=jobs), 1):
        if count % 20 == 0 or count == len(records):
            logger.info("%d of %d pages read", count, len(records))
    kinds = [plan.kind_of(index) for index in range(len(records))]
    paths = [plan.path_of(record, kind, runtime.weights_hash) for record, kind in zip(records, kinds, strict=True)]
    read = true.having(signal=np.stack([as_classified(load_read(path)) for path in paths]))
    layout = plan.layout or ""
    bare = on_paper(true, layout=layout, noise=QUIET)
    shown = {
        "true signals": true,
        "only what the layout prints": bare,
        "the same, with the noise of training": on_paper(true, layout=layout),
        "read from pages": read,
    }
    for kind in plan.kinds if len(plan.kinds) > 1 else ():
        rows = [row for row, each in enumerate(kinds) if each == kind]
        shown |= {f"{kind}: only what is printed": bare.take(rows), f"{kind}: read from pages": read.take(rows)}
    return read, [_result(name, examples, runtime) for name, examples in shown.items()]


def write_results(plan: PagesPlan, examples: Examples, results: Sequence[Result]) -> str:
    """Write ``pages.csv`` and ``pages.txt``; return the text."""
    lost = int((~np.isfinite(examples.inputs["signal"]).any(axis=(1, 2))).sum())
    style = "ordinary" if plan.ordinary else "odd"
    look = f"{style}, {plan.layout or 'any layout'}, {', '.join(plan.kinds) or 'every kind of damage'}"
    lines = [f"{len(examples)} records of {plan.split}; pages: {look}, seed {plan.seed}; {lost} could not be read", ""]
    lines += [f"{'shown':38} {'records':>7} {'macro AUC':>20} " + " ".join(f"{name:>20}" for name in examples.classes)]
    table: list[list[object]] = [["shown", "records", "class", "auc_roc", "low", "high"]]
    for result in results:
        cells = [(result.macro, result.macro_interval), *zip(result.classes, result.intervals, strict=True)]
        texts = [f"{value:.3f} ({low:.3f}-{high:.3f})" for value, (low, high) in cells]
        lines.append(f"{result.shown:38} {result.count:7} " + " ".join(f"{text:>20}" for text in texts))
        for name, (value, (low, high)) in zip(("macro", *examples.classes), cells, strict=True):
            table.append([result.shown, result.count, name, f"{value:.4f}", f"{low:.4f}", f"{high:.4f}"])
    text = "\n".join(lines) + "\n"
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table)
    with file_group() as group:
        group.add(plan.out / "pages.csv", stream.getvalue().encode())
        group.add(plan.out / "pages.txt", text.encode())
    return text


def _result(shown: str, examples: Examples, runtime: Runtime) -> Result:
    probabilities = _probabilities(examples, runtime)
    aucs = bootstrap_aucs(examples.labels, probabilities)
    each = [macro_auc(examples.labels[:, [k]], probabilities[:, [k]]) for k in range(len(examples.classes))]
    return Result(
        shown,
        len(examples),
        macro_auc(examples.labels, probabilities),
        interval(aucs.mean(axis=1)),
        tuple(each),
        tuple(interval(values) for values in aucs.T),
    )


def _probabilities(examples: Examples, runtime: Runtime) -> NDArray[np.float64]:
    if runtime.classes != examples.classes:
        raise UserError(f"The classifier answers for {'/'.join(runtime.classes)}, not {'/'.join(examples.classes)}.")
    signals, masks = signal_and_mask(examples.inputs["signal"])
    clinical = examples.inputs["clinical"]
    parts = [
        runtime.classify(signals[k : k + AT_ONCE], masks[k : k + AT_ONCE], clinical[k : k + AT_ONCE])
        for k in range(0, len(signals), AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.float64)


# --- pages --------------------------------------------------------------------------------------------------


def read_page_of(record: Record, plan: PagesPlan, *, kind: str | None, runtime: Runtime) -> EcgRecord | None:
    """Print a record, read the page, and return what was read; None if that was nothing."""
    rng = np.random.default_rng([plan.seed, *record.id.encode()])
    printed = synthesize_page(record.mv, record.fs, rng=rng, kind=kind, layout=plan.layout, ordinary=plan.ordinary)
    digest = hashlib.sha256(printed.pixels.tobytes()).hexdigest()
    page = Page(PageId(digest, 0), printed.pixels, None, record.id)
    return known(analyse(page, runtime=runtime, settings=PipelineSettings()).record)


def as_classified(read: EcgRecord | None) -> F32Array:
    """Return f32[12, 1000] at 100 Hz as the application's classifier looks at it; all NaN where it would refuse."""
    if read is not None:
        with contextlib.suppress(StageError):
            return input_mv(read)
    return np.full((len(LEADS), SAMPLES), np.nan, np.float32)


def load_read(path: Path) -> EcgRecord | None:
    """Return what was read of a page, as it was kept."""
    with np.load(path, allow_pickle=False) as kept:
        mv, fs, spans = kept["mv"], float(kept["fs"]), kept["printed"].tolist()
    if not mv.size:
        return None
    return EcgRecord(mv, fs, printed={lead: (first, last) for lead, (first, last) in zip(LEADS, spans, strict=True)})


def _read_all(plan: PagesPlan, records: Sequence[Record], *, runtime: Runtime, jobs: int) -> Iterator[None]:
    """Read every page that was not read before, and yield after each record."""
    shown = [(record, plan.kind_of(index)) for index, record in enumerate(records)]
    missing = [each for each in shown if not plan.path_of(*each, runtime.weights_hash).is_file()]
    yield from [None] * (len(records) - len(missing))
    keep, load = functools.partial(_keep, plan), functools.partial(_load, runtime.device)
    yield from shared_out(missing, keep, tools=runtime, load=load, jobs=jobs)


def _load(device: str) -> Runtime:
    from ecgstudio.nets.torch_runtime import load_runtime

    return load_runtime(device)


def _keep(plan: PagesPlan, shown: tuple[Record, str | None], runtime: Runtime) -> None:
    record, kind = shown
    read = read_page_of(record, plan, kind=kind, runtime=runtime)
    stream = io.BytesIO()
    if read is None:
        np.savez_compressed(stream, mv=np.zeros((0, 0), np.float32), fs=0.0, printed=np.zeros((0, 2), int))
    else:
        np.savez_compressed(stream, mv=read.mv, fs=read.fs, printed=[read.span(lead) for lead in LEADS])
    write_bytes(plan.path_of(record, kind, runtime.weights_hash), stream.getvalue())
