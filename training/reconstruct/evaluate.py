"""What a trained reconstruction is worth on examples: error before and after, per example and per kind; no plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.reconstruct.examples import Example, Examples, ExampleShape, prepared
from training.reconstruct.loss import picture_and_series
from training.reconstruct.settings import ReconstructTraining

F64 = NDArray[np.float64]
BATCH = 16
LEAST_MV2 = 1e-10
ALL = "all"
FIGURES = (
    "snr_before_db",
    "snr_db",
    "mse_before_mv2",
    "mse_mv2",
    "mae_before_mv",
    "mae_mv",
    "hidden_before_mv",
    "hidden_mv",
)
"""Signal over noise, mean squared and mean absolute error; `hidden`: mean absolute error where nothing was read."""


@dataclass(frozen=True, slots=True, eq=False)
class Mended:
    """One example with what the network made of it, in mV [leads, n]; `read` tells where something had been read."""

    example: Example
    truth_mv: F64
    before_mv: F64
    after_mv: F64
    read: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """The figures of one example by name (`FIGURES`); NaN where it has none."""

    name: str
    kind: str
    figures: Mapping[str, float]


def mend(
    network: nn.Module, examples: Examples, settings: ReconstructTraining, *, limit: int | None = None
) -> Iterator[Mended]:
    """Yield the examples, or `limit` of them evenly spread, mended; every run spoils and hides the same."""
    device = next(network.parameters()).device
    network.eval()
    count = len(examples)
    rows = np.arange(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).astype(int)
    for first in range(0, len(rows), BATCH):
        shown = [
            prepared(
                examples[int(row)], np.random.default_rng((0, int(row))),
                shape=examples.shape, spoilt=examples.spoilt, settings=settings,
            )
            for row in rows[first : first + BATCH]
        ]  # fmt: skip
        batch = {
            "pictures": torch.from_numpy(np.stack([each.picture for each in shown])).to(device),
            "series": torch.from_numpy(np.stack([each.series.reshape(-1, each.series.shape[-1]) for each in shown])).to(
                device
            ),
        }
        with torch.inference_mode():
            residuals = network(*picture_and_series(batch)).double().cpu().numpy()
        for each, residual in zip(shown, residuals, strict=True):
            yield _mended(each, residual, shape=examples.shape)


def _mended(example: Example, residual: F64, *, shape: ExampleShape) -> Mended:
    before = example.series[:, 0].astype(np.float64)
    return Mended(
        example,
        truth_mv=example.target.astype(np.float64) * shape.unit_mv,
        before_mv=before * shape.unit_mv,
        after_mv=(before + residual) * shape.unit_mv,
        read=example.series[:, 1] > 0,
    )


def score(mended: Mended) -> ExampleScore:
    """Compare an example with its truth, where that is known."""
    truth = mended.truth_mv
    known = np.isfinite(truth)
    centred = truth - np.nanmean(np.where(known.any(axis=1, keepdims=True), truth, 0.0), axis=1, keepdims=True)
    power = float(np.mean(centred[known] ** 2))
    figures = {}
    for when, values in (("before_", mended.before_mv), ("", mended.after_mv)):
        error = (values - truth)[known]
        hidden = np.abs((values - truth)[known & ~mended.read])
        noise = float(np.mean(error**2))
        figures[f"snr_{when}db"] = float(10 * np.log10(max(power, LEAST_MV2) / max(noise, LEAST_MV2)))
        figures[f"mse_{when}mv2"] = noise
        figures[f"mae_{when}mv"] = float(np.mean(np.abs(error)))
        figures[f"hidden_{when}mv"] = float(hidden.mean()) if len(hidden) else float("nan")
    return ExampleScore(mended.example.name, mended.example.kind, figures)


def unhidden(settings: ReconstructTraining) -> ReconstructTraining:
    """Return settings that hide nothing: series as they were read."""
    return replace(settings, hidden=0.0)


def by_kind(scores: Sequence[ExampleScore]) -> dict[str, dict[str, float]]:
    """Average the figures over each kind and over all; `count` tells of how many."""
    kinds = sorted({each.kind for each in scores})
    groups = {kind: [each for each in scores if each.kind == kind] for kind in kinds}
    if len(kinds) > 1:
        groups[ALL] = list(scores)
    return {
        kind: {"count": float(len(group))} | {name: _mean([each.figures[name] for each in group]) for name in FIGURES}
        for kind, group in groups.items()
    }


def scores_csv(scores: Sequence[ExampleScore]) -> str:
    """Return a table with a row per example."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "kind", *FIGURES])
    writer.writerows([each.name, each.kind, *(f"{each.figures[name]:.6g}" for name in FIGURES)] for each in scores)
    return stream.getvalue()


def table(rows: Mapping[str, Mapping[str, float]], *, first: str = "kind") -> str:
    """Lay figures out in columns, a line per group."""
    names = list(next(iter(rows.values())))
    lines = [[first, *names]] + [[key, *(_cell(row[name]) for name in names)] for key, row in rows.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) + "\n" for line in lines)


def _cell(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.0f}" if value == round(value) and abs(value) >= 1 else f"{value:.4g}"


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
