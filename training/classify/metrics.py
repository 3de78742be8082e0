"""What a classifier is worth: every figure per class and averaged, through scikit-learn, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

RATES = (
    "sensitivity", "specificity", "precision", "npv", "f1_score", "accuracy", "auc_roc", "auc_pr",
)  # fmt: skip
COUNTS = ("tp", "fp", "fn", "tn", "support")
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures per class (name → figure → value), and their macro and micro averages."""

    classes: tuple[str, ...]
    per_class: Mapping[str, Mapping[str, float]]
    macro: Mapping[str, float]
    micro: Mapping[str, float]


def score(labels: U8, probabilities: F64, thresholds: F64, *, classes: Sequence[str]) -> Scores:
    """Compute all figures; a rate without a denominator is NaN."""
    decided = (probabilities >= thresholds).astype(np.uint8)
    per_class = {
        name: class_scores(labels[:, column], probabilities[:, column], decided[:, column])
        for column, name in enumerate(classes)
    }
    macro = {rate: _mean([values[rate] for values in per_class.values()]) for rate in RATES}
    micro = class_scores(labels.ravel(), probabilities.ravel(), decided.ravel())
    return Scores(tuple(classes), per_class, macro, micro)


def class_scores(truth: U8, probability: F64, decided: U8) -> dict[str, float]:
    """Compute the figures of one class."""
    tn, fp, fn, tp = (float(value) for value in sk.confusion_matrix(truth, decided, labels=[0, 1]).ravel())
    return {
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "precision": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "f1_score": float(sk.f1_score(truth, decided, zero_division=np.nan)),
        "accuracy": float(sk.accuracy_score(truth, decided)),
        "auc_roc": auc_roc(truth, probability),
        "auc_pr": float(sk.average_precision_score(truth, probability)) if truth.any() else np.nan,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
        "support": tp + fn,
    }


def auc_roc(truth: U8, probability: F64) -> float:
    """Return the area under the ROC curve; NaN if only one class is present."""
    if truth.min(initial=1) == truth.max(initial=0):
        return float("nan")
    return float(sk.roc_auc_score(truth, probability))


def macro_auc(labels: U8, probabilities: F64) -> float:
    """Return the mean over the classes of the area under the ROC curve."""
    return _mean([auc_roc(labels[:, column], probabilities[:, column]) for column in range(labels.shape[1])])


def bootstrap_aucs(labels: U8, probabilities: F64, *, resamples: int = RESAMPLES, seed: int = 0) -> F64:
    """Return the AUC of every class [resamples, C] on examples drawn with replacement, the same ones for all classes.

    It is `auc_roc` with weights, ties counting half, for all resamples at once; NaN where only one class was drawn.
    """
    drawn = _drawn(len(labels), resamples=resamples, seed=seed)
    aucs = np.full((resamples, labels.shape[1]), np.nan)
    for column in range(labels.shape[1]):
        order = np.argsort(probabilities[:, column], kind="stable")
        shown, truth = probabilities[order, column], labels[order, column].astype(bool)
        starts = np.flatnonzero(np.r_[True, shown[1:] != shown[:-1]])
        positive = np.add.reduceat(drawn[:, order] * truth, starts, axis=1)
        negative = np.add.reduceat(drawn[:, order] * ~truth, starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        won = (positive * (below + 0.5 * negative)).sum(axis=1)
        aucs[:, column] = np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan)
    return aucs


def bootstrap_f1s(labels: U8, decided: U8, *, resamples: int = RESAMPLES, seed: int = 0) -> F64:
    """Return the F1 of every class [resamples, C] on the examples that `bootstrap_aucs` draws; NaN without any."""
    drawn = _drawn(len(labels), resamples=resamples, seed=seed)
    hit = drawn @ (labels & decided).astype(np.int64)
    named = drawn @ labels.astype(np.int64) + drawn @ decided.astype(np.int64)
    return np.where(named > 0, 2 * hit / np.maximum(named, 1), np.nan)


def _drawn(count: int, *, resamples: int, seed: int) -> NDArray[np.int64]:
    """Return how often each of `count` examples is in each resample [resamples, count]."""
    rng = np.random.default_rng(seed)
    return np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(resamples)])


def interval(values: F64) -> tuple[float, float]:
    """Return the 95 % interval of a statistic's bootstrap values."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
