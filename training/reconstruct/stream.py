"""Batches of examples, decoded ahead of the network by loader processes; the same for the same seed and place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from training.reconstruct.examples import Examples, prepared
from training.reconstruct.settings import ReconstructTraining

Batch = dict[str, Tensor]


class ExampleStream(IterableDataset[Batch]):
    """Shuffled batches for ever ("train"), or each example of a fixed choice once ("val" and "test")."""

    def __init__(self, examples: Examples, *, split: str, seed: int, settings: ReconstructTraining) -> None:
        super().__init__()
        self.examples, self.split, self.seed, self.settings = examples, split, seed, settings
        self._start = 0

    def set_start(self, batch: int) -> None:
        """Begin as if `batch` batches had been drawn already."""
        self._start = batch

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, of = (info.id, info.num_workers) if info is not None else (0, 1)
        if self.split == "train":
            yield from self._endless(worker, of)
            return
        rng = np.random.default_rng(self.seed)
        chosen = rng.permutation(len(self.examples))
        if self.split == "val":
            chosen = chosen[: self.settings.validation_examples]
        for first in range(worker * self.settings.batch, len(chosen), of * self.settings.batch):
            yield self._batch(chosen[first : first + self.settings.batch], epoch=0)

    def _endless(self, worker: int, of: int) -> Iterator[Batch]:
        size, number = self.settings.batch, self._start + worker
        per_epoch = max(1, len(self.examples) // size)
        known_epoch, order = -1, np.zeros(0, np.intp)
        while True:
            epoch, place = divmod(number, per_epoch)
            if epoch != known_epoch:
                order = np.random.default_rng((self.seed, epoch)).permutation(len(self.examples))
                known_epoch = epoch
            yield self._batch(order[place * size : (place + 1) * size], epoch=epoch)
            number += of

    def _batch(self, rows: np.ndarray, *, epoch: int) -> Batch:
        shown = [
            prepared(
                self.examples[int(row)], np.random.default_rng((self.seed, epoch, int(row))),
                shape=self.examples.shape, spoilt=self.examples.spoilt, settings=self.settings,
                mirrored=self.split == "train" and not self.examples.spoilt,
            )
            for row in rows
        ]  # fmt: skip
        return {
            "pictures": torch.from_numpy(np.stack([example.picture for example in shown])),
            "series": torch.from_numpy(
                np.stack([example.series.reshape(-1, example.series.shape[-1]) for example in shown])
            ),
            "target": torch.from_numpy(np.stack([example.target for example in shown])),
        }
