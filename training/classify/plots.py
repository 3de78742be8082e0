"""The plots of a comparison of classifiers and of their training; drawn without a screen."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn import metrics as sk

from ecgstudio.core.arrays import F64
from ecgstudio.errors import InputError
from training.classify.evaluate import Evaluation
from training.classify.loop import CURVE_RATES, HISTORY_FILE
from training.figures import dress, new_figure
from training.signals.record import DIAGNOSTIC_CLASSES

HEATMAPS = ("f1_score", "sensitivity", "specificity", "auc_roc")
BARS = ("f1_score", "sensitivity", "specificity", "auc_roc")
CURVES_PER_ROW = 3
NAMED_IN_PANEL = 3
COLOURS = colormaps["tab20"].colors  # type: ignore[attr-defined]  # as many as the zoo has models, nearly
LINES: Mapping[str, Mapping[str, Any]] = {
    "signal": {"linestyle": "-", "linewidth": 1}, "image": {"linestyle": "--", "linewidth": 1},
    "joint": {"linestyle": "-.", "linewidth": 2}, "fusion": {"linestyle": "-", "linewidth": 2},
    "clinical": {"linestyle": "-", "linewidth": 1},
}  # fmt: skip
"""How each family's curves are drawn, so that neighbouring colours can be told apart."""


def write_plots(order: Sequence[Evaluation], folder: Path) -> None:
    """Draw bars, heat maps, confusion matrices, ROC and precision-recall curves of models, best first."""
    with new_figure(folder / "06_model_comparison_bars.png", width=9, height=1.5 + 0.5 * len(order)) as figure:
        _bars(figure.subplots(), order)
    for rate in HEATMAPS:
        path = folder / f"07_heatmap_{rate}.png"
        with new_figure(path, width=3 + len(order[0].scores.classes), height=1.8 + 0.4 * len(order)) as figure:
            _heatmap(figure, order, rate)
    _write_confusions(order, folder / "08_confusion_matrices.png")
    _write_curves(order, folder / "09_roc_curves.png", rate="auc_roc")
    _write_curves(order, folder / "10_pr_curves.png", rate="auc_pr")


def read_history(run: Path) -> list[dict[str, float]]:
    """Return a run's figures, an entry per epoch.

    Raises:
        InputError: the run has no history.
    """
    path = run / HISTORY_FILE
    if not path.is_file():
        raise InputError(f"{run} holds no history of training ({HISTORY_FILE}).")
    by_epoch = {row["epoch"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def find_runs(folder: Path) -> dict[str, Path]:
    """Return the runs of a folder that have a history, by name."""
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{HISTORY_FILE}"))}


def write_training_curves(runs: Mapping[str, Path], folder: Path) -> None:
    """Draw each run's loss, macro figures and figures per class, and all runs in one picture."""
    histories = {name: read_history(run) for name, run in runs.items()}
    for name, history in histories.items():
        with new_figure(folder / f"training_{name}.png", width=15, height=7.5) as figure:
            _training(figure, history, title=name)
    with new_figure(folder / "training_comparison.png", width=13, height=5) as figure:
        loss, auc = figure.subplots(1, 2)
        for ax in (loss, auc):
            ax.set_prop_cycle(color=COLOURS)
        for name, history in histories.items():
            epochs = [row["epoch"] for row in history]
            loss.plot(epochs, [row["val_loss"] for row in history], ".-", label=name)
            auc.plot(epochs, [row["val_macro_auc_roc"] for row in history], ".-", label=name)
        for ax, title, y in ((loss, "validation loss", "loss"), (auc, "validation macro AUC", "AUC")):
            dress(ax, title=title, x="epoch", y=y)
            ax.get_legend().remove()
            ax.xaxis.get_major_locator().set_params(integer=True)
        auc.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def _training(figure: Figure, history: Sequence[Mapping[str, float]], *, title: str) -> None:
    epochs = [row["epoch"] for row in history]
    classes = [name for name in (*DIAGNOSTIC_CLASSES, "ABNORMAL") if f"val_{name}_f1_score" in history[0]]
    axes = figure.subplots(2, 3)
    for name in ("train_loss", "val_loss"):
        axes[0, 0].plot(epochs, [row[name] for row in history], ".-", label=name.replace("_", " "))
    dress(axes[0, 0], title=f"{title}: loss", x="epoch", y="loss")
    for rate in CURVE_RATES:
        axes[0, 1].plot(epochs, [row[f"val_macro_{rate}"] for row in history], ".-", label=rate.replace("_", " "))
    dress(axes[0, 1], title="validation, macro averages", x="epoch", y="")
    for ax, rate in zip((axes[0, 2], *axes[1]), ("f1_score", "sensitivity", "specificity", "auc_roc"), strict=True):
        for name in classes:
            ax.plot(epochs, [row[f"val_{name}_{rate}"] for row in history], ".-", label=name)
        dress(ax, title=f"validation {rate.replace('_', ' ')} per class", x="epoch", y="")


def _bars(ax: Axes, order: Sequence[Evaluation]) -> None:
    at, wide = np.arange(len(order)), 0.8 / len(BARS)
    for index, rate in enumerate(BARS):
        values = [each.scores.macro[rate] for each in order]
        ax.barh(at + (index - (len(BARS) - 1) / 2) * wide, values, wide, label=rate.replace("_", " "))
    ax.set_yticks(at, [each.name for each in order])
    ax.set_ylim(len(order) - 0.5, -0.5)  # the best on top
    ax.set_xlim(0, 1)
    dress(ax, title="macro averages on the test split", x="", y="")
    ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def _heatmap(figure: Figure, order: Sequence[Evaluation], rate: str) -> None:
    classes = order[0].scores.classes
    values = np.array([[each.scores.per_class[name][rate] for name in classes] for each in order])
    ax = figure.subplots()
    picture = ax.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(classes)), classes)
    ax.set_yticks(range(len(order)), [each.name for each in order])
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        text = f"{value:.2f}" if math.isfinite(value) else "-"
        ax.text(column, row, text, ha="center", va="center", color="white" if value < 0.6 else "black", fontsize=8)
    ax.set_title(rate.replace("_", " "))
    figure.colorbar(picture, ax=ax)


def _write_confusions(order: Sequence[Evaluation], path: Path) -> None:
    classes = order[0].scores.classes
    with new_figure(path, width=2.5 + 1.3 * len(classes), height=0.8 + 1.2 * len(order)) as figure:
        axes = figure.subplots(len(order), len(classes), squeeze=False)
        for row, each in enumerate(order):
            for column, name in enumerate(classes):
                values, ax = each.scores.per_class[name], axes[row, column]
                counts = np.array([[values["tn"], values["fp"]], [values["fn"], values["tp"]]])
                ax.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1.6)
                for y, x in np.ndindex(2, 2):
                    ax.text(x, y, f"{int(counts[y, x])}", ha="center", va="center", fontsize=8)
                last = row == len(order) - 1
                ax.set_xticks([0, 1], ["no", "yes"] if last else ["", ""], fontsize=7)
                ax.set_yticks([0, 1], ["no", "yes"] if column == 0 else ["", ""], fontsize=7)
                if row == 0:
                    ax.set_title(name, fontsize=9)
                if column == 0:
                    ax.set_ylabel(f"{each.name}\ntruth", fontsize=8, rotation=0, ha="right", va="center")
                if last:
                    ax.set_xlabel("answer", fontsize=7)


def _write_curves(order: Sequence[Evaluation], path: Path, *, rate: str) -> None:
    """Draw a panel per class, the best few named in it, and one legend for all: beside them, or in a free panel."""
    classes = order[0].scores.classes
    columns = min(CURVES_PER_ROW, len(classes) + 1)
    rows = math.ceil((len(classes) + 1) / columns)
    curve = {"auc_roc": _roc, "auc_pr": _precision_recall}[rate]
    x, y = ("1 - specificity", "sensitivity") if rate == "auc_roc" else ("sensitivity", "precision")
    with new_figure(path, width=5 * columns, height=4.3 * rows) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for column, name in enumerate(classes):
            ax = axes[column]
            for each, colour in zip(order, itertools.cycle(COLOURS)):
                if 0 < each.labels[:, column].sum() < len(each.labels):
                    ax.plot(*curve(each, column), color=colour, **LINES[each.family])
            dress(ax, title=name, x=x, y=y)
            best = sorted(order, key=lambda each: -each.scores.per_class[name][rate])[:NAMED_IN_PANEL]
            ax.text(
                *((0.97, 0.03) if rate == "auc_roc" else (0.03, 0.03)),
                "\n".join(f"{each.name} {each.scores.per_class[name][rate]:.3f}" for each in best),
                transform=ax.transAxes, ha="right" if rate == "auc_roc" else "left", va="bottom", fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none"},
            )  # fmt: skip
        for ax in axes[len(classes) :]:
            ax.set_axis_off()
        handles = [
            Line2D([], [], color=colour, **LINES[e.family]) for e, colour in zip(order, itertools.cycle(COLOURS))
        ]
        names = [f"{each.name}  {each.scores.macro[rate]:.3f}" for each in order]
        axes[len(classes)].legend(
            handles, names, loc="center", fontsize=8, title=f"area under the curve, mean of {len(classes)}"
        )


def _roc(each: Evaluation, column: int) -> tuple[F64, F64]:
    false, true, _ = sk.roc_curve(each.labels[:, column], each.probabilities[:, column])
    return false, true


def _precision_recall(each: Evaluation, column: int) -> tuple[F64, F64]:
    precision, recall, _ = sk.precision_recall_curve(each.labels[:, column], each.probabilities[:, column])
    return recall, precision
