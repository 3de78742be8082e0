"""Small labelled examples made of our own synthetic records, whose classes can be told apart."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.stages.fusion_input import at_100_hz, clinical_input
from training.classify.dataset import Examples, Splits
from training.classify.gaf_mtf import images_of
from training.classify.settings import ClassifySettings
from training.signals import synthesize_record
from training.signals.record import DIAGNOSTIC_CLASSES

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # pyts compiles itself when imported: half a minute for our few images

IMAGE_SIZE = 32
COUNT = 40
BASES = 8


def changed(mv: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Give a record what its labels say: each class but NORM leaves another mark."""
    result = mv.copy()
    if row[1]:
        result[6:9] *= -1
    if row[2]:
        result = np.abs(result)
    if row[3]:
        result = (result + np.roll(result, 5, axis=1)) / 2
    if row[4]:
        result *= 2.5
    return result.astype(np.float32)


def make_examples(count: int, *, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    bases = [at_100_hz(record.mv, record.fs) for record in (synthesize_record(rng) for _ in range(BASES))]
    labels = np.zeros((count, 5), np.uint8)
    labels[np.arange(count), np.arange(count) % 5] = 1
    labels[7::10, 4] = 1
    signals = np.stack([changed(bases[row % BASES], labels[row]) for row in range(count)])
    clinical = np.stack([clinical_input(30.0 + row, "mf"[row % 2]) for row in range(count)])
    names = tuple(f"record-{row}" for row in range(count))
    return Examples(names, {"signal": signals, "clinical": clinical}, labels, DIAGNOSTIC_CLASSES)


@pytest.fixture(scope="session")
def examples() -> Examples:
    """Forty records with signals, age and sex, and both kinds of image."""
    made = make_examples(COUNT, seed=1)
    signals = made.inputs["signal"]
    return made.having(**{kind: images_of(signals, kind=kind, size=IMAGE_SIZE) for kind in ("gaf", "mtf")})


@pytest.fixture(scope="session")
def splits(examples: Examples) -> Splits:
    """The same examples to train, to choose and to measure: enough to see whether things work."""
    return Splits(examples, examples, examples)


@pytest.fixture(scope="session")
def tiny() -> ClassifySettings:
    """The smallest models that still learn."""
    return replace(
        ClassifySettings(), hidden=24, layers=1, dropout=0.0, fold=10, width=0.1, image_size=IMAGE_SIZE,
        strip_width=100, strip_height=16, batch=10, epochs=3, learning_rate=3e-3, patience=0, tensorboard=False,
    )  # fmt: skip
