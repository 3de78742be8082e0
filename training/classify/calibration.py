"""Probabilities that mean what they say, and where to cut them: temperature and threshold per class, on validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from sklearn import metrics as sk

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
TEMPERATURES = (0.25, 8.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and threshold of each class; logits are divided by the one, probabilities cut at the other."""

    temperature: tuple[float, ...]
    threshold: tuple[float, ...]

    def probabilities(self, logits: F64) -> F64:
        """Turn logits [N, C] into calibrated probabilities."""
        return np.asarray(special.expit(logits / np.array(self.temperature)), np.float64)


def uncalibrated(count: int) -> Calibration:
    """Return what leaves the logits of `count` classes as they are and cuts at one half."""
    return Calibration((1.0,) * count, (0.5,) * count)


def calibrate(logits: F64, labels: U8) -> Calibration:
    """Choose for each class the temperature of least log loss (Guo et al. 2017) and the threshold of best F1.

    Must be given validation examples: on training examples every network seems sure.
    """
    temperatures, thresholds = [], []
    for column in range(labels.shape[1]):
        scores, truth = logits[:, column], labels[:, column]
        temperature = _temperature(scores, truth)
        temperatures.append(temperature)
        thresholds.append(best_f1_threshold(truth, special.expit(scores / temperature)))
    return Calibration(tuple(temperatures), tuple(thresholds))


def calibration_error(labels: U8, probabilities: F64, *, bins: int = 10) -> float:
    """Return how far, on average over examples and classes, probability and frequency lie apart (ECE)."""
    errors = []
    for column in range(labels.shape[1]):
        at = np.minimum((probabilities[:, column] * bins).astype(int), bins - 1)
        gaps = [
            abs(labels[at == each, column].mean() - probabilities[at == each, column].mean()) * (at == each).mean()
            for each in np.unique(at)
        ]
        errors.append(sum(gaps))
    return float(np.mean(errors))


def best_f1_threshold(truth: U8, probability: F64) -> float:
    """Return the cut of the highest F1: the middle between the last value taken in and the next below it."""
    if not truth.any():
        return 0.5
    precision, recall, cuts = sk.precision_recall_curve(truth, probability)
    f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12)
    best = int(np.argmax(f1))
    below = cuts[best - 1] if best else 0.0
    return float((cuts[best] + below) / 2)


def _temperature(scores: F64, truth: U8) -> float:
    sign = 2.0 * truth - 1.0

    def loss(log_temperature: float) -> float:
        return float(np.mean(np.logaddexp(0, -sign * scores / np.exp(log_temperature))))

    low, high = np.log(TEMPERATURES)
    return float(np.exp(optimize.minimize_scalar(loss, bounds=(low, high), method="bounded").x))
