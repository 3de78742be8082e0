"""The plots of a comparison of classifiers and of their training; drawn without a screen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics as sk

from ecgstudio.errors import InputError
from training.classify.evaluate import Evaluation
from training.classify.loop import CURVE_RATES, HISTORY_FILE
from training.figures import dress, new_figure
from training.signals.record import DIAGNOSTIC_CLASSES

HEATMAPS = ("f1_score", "sensitivity", "specificity", "auc_roc")
BARS = ("f1_score", "sensitivity", "specificity", "auc_roc")
CURVES_PER_ROW = 3
COLOURS = colormaps["tab20"].colors  # type: ignore[attr-defined]  # as many as the zoo has models, nearly


def write_plots(order: Sequence[Evaluation], folder: Path) -> None:
    """Draw bars, heat maps, confusion matrices, ROC and precision-recall curves of models, best first."""
    with new_figure(folder / "06_model_comparison_bars.png", width=2 + 1.1 * len(order), height=4.5) as figure:
        _bars(figure.subplots(), order)
    for rate in HEATMAPS:
        path = folder / f"07_heatmap_{rate}.png"
        with new_figure(path, width=3 + len(order[0].scores.classes), height=1.8 + 0.4 * len(order)) as figure:
            _heatmap(figure, order, rate)
    _write_confusions(order, folder / "08_confusion_matrices.png")
    _write_curves(order, folder / "09_roc_curves.png", draw=_roc)
    _write_curves(order, folder / "10_pr_curves.png", draw=_precision_recall)


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
        dress(loss, title="validation loss", x="epoch", y="loss")
        dress(auc, title="validation macro AUC", x="epoch", y="AUC")


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
        ax.bar(at + (index - (len(BARS) - 1) / 2) * wide, values, wide, label=rate.replace("_", " "))
    ax.set_xticks(at, [each.name for each in order], rotation=30, ha="right")
    ax.set_ylim(0, 1)
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
    with new_figure(path, width=1.5 + 1.8 * len(classes), height=1 + 1.7 * len(order)) as figure:
        axes = figure.subplots(len(order), len(classes), squeeze=False)
        for row, each in enumerate(order):
            for column, name in enumerate(classes):
                values, ax = each.scores.per_class[name], axes[row, column]
                counts = np.array([[values["tn"], values["fp"]], [values["fn"], values["tp"]]])
                ax.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1.6)
                for y, x in np.ndindex(2, 2):
                    ax.text(x, y, f"{int(counts[y, x])}", ha="center", va="center", fontsize=8)
                ax.set_xticks([0, 1], ["no", "yes"], fontsize=7)
                ax.set_yticks([0, 1], ["no", "yes"], fontsize=7)
                if row == 0:
                    ax.set_title(name, fontsize=9)
                if column == 0:
                    ax.set_ylabel(f"{each.name}\ntruth", fontsize=7)
                if row == len(order) - 1:
                    ax.set_xlabel("answer", fontsize=7)


def _write_curves(order: Sequence[Evaluation], path: Path, *, draw: Callable[[Axes, Evaluation, int], None]) -> None:
    classes = order[0].scores.classes
    columns = min(CURVES_PER_ROW, len(classes))
    rows = math.ceil(len(classes) / columns)
    with new_figure(path, width=5 * columns, height=4.3 * rows) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for column, name in enumerate(classes):
            axes[column].set_prop_cycle(color=COLOURS)
            for each in order:
                if 0 < each.labels[:, column].sum() < len(each.labels):
                    draw(axes[column], each, column)
            x, y = ("1 - specificity", "sensitivity") if draw is _roc else ("sensitivity", "precision")
            dress(axes[column], title=name, x=x, y=y)
        for ax in axes[len(classes) :]:
            ax.set_axis_off()


def _roc(ax: Axes, each: Evaluation, column: int) -> None:
    false, true, _ = sk.roc_curve(each.labels[:, column], each.probabilities[:, column])
    area = each.scores.per_class[each.scores.classes[column]]["auc_roc"]
    ax.plot(false, true, label=f"{each.name} {area:.3f}", linewidth=1)


def _precision_recall(ax: Axes, each: Evaluation, column: int) -> None:
    precision, recall, _ = sk.precision_recall_curve(each.labels[:, column], each.probabilities[:, column])
    area = each.scores.per_class[each.scores.classes[column]]["auc_pr"]
    ax.plot(recall, precision, label=f"{each.name} {area:.3f}", linewidth=1)
