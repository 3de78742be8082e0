"""Dividing labelled examples 8:1:1 so that every combination of labels is divided so; no data are read here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.classify.dataset import Examples, Splits

TENTHS = ("train",) * 8 + ("val", "test")


def stratified(labels: NDArray[np.uint8], *, seed: int) -> dict[str, NDArray[np.intp]]:
    """Return rows by split, 8:1:1, each combination of labels dealt out in turn; the same for the same seed."""
    rng = np.random.default_rng(seed)
    _, kinds = np.unique(labels, axis=0, return_inverse=True)
    order = np.lexsort([rng.random(len(labels)), kinds.reshape(-1)])
    hands = np.array(TENTHS)[rng.permutation(len(TENTHS))]
    dealt = hands[np.arange(len(labels)) % len(TENTHS)]
    return {split: np.sort(order[dealt == split]) for split in ("train", "val", "test")}


def split_stratified(examples: Examples, *, seed: int) -> Splits:
    """Divide examples 8:1:1."""
    return Splits(**{split: examples.take(rows) for split, rows in stratified(examples.labels, seed=seed).items()})
