"""The plots of a reconstruction: how it learned, what it made of single signals, what it scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ecgstudio.errors import InputError
from training.figures import dress, new_figure
from training.reconstruct.evaluate import ExampleScore, Mended

HISTORY_FILE = "history.jsonl"
LEARNING_CURVES, COMPARISON, METRICS = "learning_curves.png", "signal_comparison.png", "test_metrics.png"
CURVES = (("loss", "loss"), ("snr_db", "SNR in dB"), ("mse", "mean squared error"), ("mae", "mean absolute error"))
SHOWN = 6


def write_learning_curves(run: Path) -> Path:
    """Draw loss, SNR, MSE and MAE of training and validation over the examples seen; return the picture's path.

    Raises:
        InputError: the run has no history.
    """
    path = run / HISTORY_FILE
    if not path.is_file():
        raise InputError(f"{run} holds no history of training ({HISTORY_FILE}).")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    with new_figure(run / LEARNING_CURVES, width=11, height=7) as figure:
        for ax, (name, title) in zip(figure.subplots(2, 2).ravel(), CURVES, strict=True):
            for kind in ("train", "validation"):
                told = [row for row in rows if row["kind"] == kind and name in row]
                ax.plot([row["samples"] for row in told], [row[name] for row in told], ".-", label=kind)
            if name == "snr_db":
                before = [row for row in rows if "snr_before_db" in row]
                label = "validation, series as given"
                ax.plot([row["samples"] for row in before], [row["snr_before_db"] for row in before], "k:", label=label)
            dress(ax, title=title, x="examples seen", y="")
    return run / LEARNING_CURVES


def write_comparison(mended: Sequence[Mended], folder: Path, *, hz: float) -> Path:
    """Draw truth, series as given and reconstruction of some examples, the first lead of each."""
    shown = mended[:SHOWN]
    with new_figure(folder / COMPARISON, width=12, height=2.4 * max(1, len(shown))) as figure:
        for ax, each in zip(figure.subplots(len(shown), 1, squeeze=False).ravel(), shown, strict=True):
            time_s = np.arange(each.truth_mv.shape[1]) / hz
            ax.plot(time_s, each.before_mv[0], color="tab:orange", linewidth=0.8, label="series as given")
            ax.plot(time_s, each.truth_mv[0], color="black", linewidth=1.2, label="truth")
            ax.plot(time_s, each.after_mv[0], color="tab:red", linewidth=0.9, linestyle="--", label="reconstruction")
            unread = ~each.read[0]
            ax.fill_between(time_s, 0, 1, where=unread, transform=ax.get_xaxis_transform(), alpha=0.15, color="grey")
            dress(ax, title=f"{each.example.name} ({each.example.kind})", x="s", y="mV")
    return folder / COMPARISON


def write_metrics(scores: Sequence[ExampleScore], groups: Mapping[str, Mapping[str, float]], folder: Path) -> Path:
    """Draw SNR before against after, and the mean figures of every kind."""
    with new_figure(folder / METRICS, width=14, height=4.2) as figure:
        cloud, *bars = figure.subplots(1, 4)
        for kind in sorted({each.kind for each in scores}):
            pairs = [(e.figures["snr_before_db"], e.figures["snr_db"]) for e in scores if e.kind == kind]
            cloud.plot(*np.array(pairs).T, ".", markersize=3, label=kind)
        ends = np.array([cloud.get_xlim(), cloud.get_ylim()])
        cloud.plot([ends.min(), ends.max()], [ends.min(), ends.max()], "k:", linewidth=0.8)
        dress(cloud, title="SNR of each example in dB", x="as given", y="reconstructed")
        at = np.arange(len(groups))
        for ax, (before, after, title) in zip(bars, (
            ("snr_before_db", "snr_db", "mean SNR in dB"), ("mse_before_mv2", "mse_mv2", "mean squared error in mV²"),
            ("mae_before_mv", "mae_mv", "mean absolute error in mV"),
        ), strict=True):  # fmt: skip
            ax.bar(at - 0.2, [row[before] for row in groups.values()], 0.4, label="as given")
            ax.bar(at + 0.2, [row[after] for row in groups.values()], 0.4, label="reconstructed")
            ax.set_xticks(at, list(groups), rotation=30, ha="right")
            dress(ax, title=title, x="", y="")
    return folder / METRICS
