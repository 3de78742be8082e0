"""Classifiers for tests: one that is not there, and one whose answers one can foresee from the record."""

import numpy as np

from ecgstudio.errors import UserError
from ecgstudio.stages.contract import FloatMap

CODES = ("NORM", "MI", "STTC", "CD", "HYP")


class NoReconstructor:
    """What a runtime says whose weights hold no network for reconstruction."""

    __slots__ = ()

    @property
    def reconstructor(self) -> str:
        raise UserError("The network weights hold no network for reconstruction.")

    def reconstruct(self, pictures: FloatMap, series: FloatMap) -> FloatMap:
        raise UserError("The network weights hold no network for reconstruction.")


class NoClassifier(NoReconstructor):
    """What a runtime says whose weights hold no classifier, and nothing that reconstructs traces."""

    __slots__ = ()

    def _missing(self) -> UserError:
        return UserError("The network weights hold no classifier.")

    @property
    def classifier(self) -> str:
        raise self._missing()

    @property
    def classes(self) -> tuple[str, ...]:
        raise self._missing()

    @property
    def thresholds(self) -> tuple[float, ...]:
        raise self._missing()

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        raise self._missing()

    def attribution(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap, index: int) -> FloatMap:
        raise self._missing()


class FakeClassifier(NoClassifier):
    """Takes tall records for HYP, those of old patients for MI, torn ones for CD; NORM is what speaks against all.

    Every answer is a smooth function of its input, so that a slightly other reading gives a slightly other answer.
    """

    __slots__ = ()

    @property
    def classifier(self) -> str:
        return "fake 0123456789ab"

    @property
    def classes(self) -> tuple[str, ...]:
        return CODES

    @property
    def thresholds(self) -> tuple[float, ...]:
        return (0.5, 0.4, 0.3, 0.3, 0.3)

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        return np.asarray(1 / (1 + np.exp(-self._log_odds(signal, mask, clinical))), np.float32)

    def attribution(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap, index: int) -> FloatMap:
        flat = self._log_odds(np.zeros_like(signal)[None], mask[None], clinical[None])[0, index]
        whole = self._log_odds(signal[None], mask[None], clinical[None])[0, index]
        size = np.abs(signal) / max(float(np.abs(signal).sum()), 1e-9)
        return np.asarray(size * (whole - flat), np.float32)

    def _log_odds(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        seen = np.maximum(mask.sum(axis=(1, 2)), 1)
        tall = np.sqrt((signal**2).sum(axis=(1, 2)) / seen)  # mV rms
        torn = 1 - mask.mean(axis=(1, 2))
        sick = np.stack([clinical[:, 0] - 0.5, tall - 1, torn - 0.8, 4 * tall - 2], axis=1)
        return np.asarray(np.concatenate([-sick.max(axis=1, keepdims=True), sick], axis=1), np.float32)
