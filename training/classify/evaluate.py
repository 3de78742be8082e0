"""Load trained classifiers, score them on one set of examples, compare them: the Python door to what was trained.

trained = read_trained(Path("runs/bigru/best.safetensors"))
evaluation = evaluate_model(trained, examples)
compare_models([evaluation, ...], folder=Path("evaluation"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstudio.errors import InputError
from training.classify.checkpoint import BEST_FILE, Trained, read_trained
from training.classify.dataset import Examples
from training.classify.loop import predict
from training.classify.metrics import RESAMPLES, Scores, bootstrap_aucs, interval, score
from training.classify.zoo import ZOO

__all__ = ["Evaluation", "compare_models", "evaluate_model", "find_trained", "read_trained"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's answers on a set of examples, with all their figures."""

    name: str
    model: str
    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    scores: Scores
    auc_interval: tuple[float, float]
    """95 % bootstrap interval of the macro AUC."""
    class_intervals: tuple[tuple[float, float], ...]
    """Those of each class's AUC."""
    parameters: int

    @property
    def family(self) -> str:
        """Return what kind of model it is: "signal", "image", "joint", "clinical" or "fusion"."""
        return ZOO[self.model].family


def find_trained(runs: Path) -> dict[str, Trained]:
    """Load every classifier below RUNS/NAME/, by name, in the order of the zoo.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    paths = sorted(runs.glob(f"*/{BEST_FILE}"))
    if not paths:
        raise InputError(f"{runs} holds no trained classifier (NAME/{BEST_FILE}).")
    found = {path.parent.name: read_trained(path) for path in paths}
    order = list(ZOO)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1].recipe.model), item[0])))


def evaluate_model(trained: Trained, examples: Examples, *, name: str = "", resamples: int = RESAMPLES) -> Evaluation:
    """Score a classifier with its own calibration and thresholds.

    Raises:
        InputError: the examples have other classes, or lack a modality.
    """
    recipe = trained.recipe
    if examples.classes != recipe.classes:
        raise InputError(
            f"{name or recipe.model} answers for {'/'.join(recipe.classes)}, the data for {'/'.join(examples.classes)}."
        )
    for modality, shape in recipe.shapes.items():
        have = examples.inputs[modality].shape[1:] if modality in examples.inputs else None
        if have != shape:
            raise InputError(f"{name or recipe.model} looks at {modality} {shape}; the data have {have or 'none'}.")
    probabilities = trained.calibration.probabilities(predict(trained.network, examples))
    thresholds = np.array(trained.calibration.threshold)
    labels = examples.labels
    aucs = bootstrap_aucs(labels, probabilities, resamples=resamples)
    return Evaluation(
        name=name or recipe.model,
        model=recipe.model,
        labels=labels,
        probabilities=probabilities,
        thresholds=thresholds,
        scores=score(labels, probabilities, thresholds, classes=examples.classes),
        auc_interval=interval(aucs.mean(axis=1)),
        class_intervals=tuple(interval(values) for values in aucs.T),
        parameters=sum(p.numel() for p in trained.network.parameters()),
    )


def compare_models(evaluations: Sequence[Evaluation], *, folder: Path, notes: Sequence[str] = ()) -> Evaluation:
    """Write all tables, texts and plots of a comparison into a folder; return the best model (by macro F1)."""
    from training.classify.plots import write_plots  # matplotlib is slow to import
    from training.classify.report import ranked, write_report

    order = ranked(evaluations)
    write_report(order, folder, notes=notes)
    write_plots(order, folder)
    return order[0]
