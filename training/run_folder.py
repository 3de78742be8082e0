"""What a training run leaves on disk and on the screen: its state, its weights, its log; no training happens here."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecgstudio.nets.weights import write_network
from training.configs import TrainConfig, config_as_mapping

logger = logging.getLogger(__name__)

STATE_FILE = "last.pt"
LAST_FILE = "last.safetensors"
BEST_FILE = "best.safetensors"


@dataclass(slots=True)
class Counters:
    """What changes while a run goes on and is saved with it."""

    step: int = 0
    samples: int = 0  # of all processes, and of the runs that this one went on from
    skipped: int = 0
    elapsed_s: float = 0.0
    best: float = math.inf
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """The things that training changes."""

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    counters: Counters


def save_state(folder: Path, trained: Trained, config: TrainConfig) -> None:
    """Write everything that is needed to go on exactly, replacing the old state in one step."""
    state = {
        "network": trained.network.state_dict(),
        "average": trained.average.state_dict(),
        "optimizer": trained.optimizer.state_dict(),
        "counters": asdict(trained.counters),
        "config": config_as_mapping(config),
    }
    temporary = folder / f"{STATE_FILE}.tmp"
    torch.save(state, temporary)
    os.replace(temporary, folder / STATE_FILE)


def load_state(folder: Path, trained: Trained, device: torch.device) -> None:
    """Put a saved state back; only tensors and plain values are unpickled."""
    state = torch.load(folder / STATE_FILE, map_location=device, weights_only=True)
    trained.network.load_state_dict(state["network"])
    trained.average.load_state_dict(state["average"])
    trained.optimizer.load_state_dict(state["optimizer"])
    for name, value in state["counters"].items():
        setattr(trained.counters, name, value)


def write_weights(
    path: Path, trained: Trained, config: TrainConfig, *, stage: str, metrics: Mapping[str, float] | None = None
) -> None:
    """Write the averaged weights with what is known about them."""
    counters = trained.counters
    notes = {
        "stage": stage,
        "step": counters.step,
        "samples": counters.samples,
        "minutes": round(counters.elapsed_s / 60, 1),
        "metrics": dict(metrics or {}),
        "training": config_as_mapping(config),
    }
    write_network(path, trained.average, notes=notes)


class Journal:
    """Writes what happens to the console, ``log.txt``, ``history.jsonl`` and TensorBoard."""

    def __init__(self, stage: str, folder: Path, config: TrainConfig, *, resumed: int) -> None:
        self._stage, self._history = stage, folder / "history.jsonl"
        self._handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(self._handler)
        (folder / "config.json").write_text(json.dumps(config_as_mapping(config), indent=1) + "\n", "utf-8")
        self._board: Any = None
        if config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed or None)
        logger.info("%s begins at step %d", stage, resumed)

    def log(self, kind: str, counters: Counters, values: Mapping[str, float], *, progress: float) -> None:
        """Write one line of named values; ``kind`` is "train" or "validation"."""
        text = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        logger.info(
            "%s %s step %d %.1f%% %.1fmin %s",
            self._stage,
            kind,
            counters.step,
            100 * progress,
            counters.elapsed_s / 60,
            text,
        )
        row = {
            "kind": kind,
            "step": counters.step,
            "samples": counters.samples,
            "elapsed_s": counters.elapsed_s,
        }
        with self._history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | dict(values)) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, counters.step)

    def step(self, counters: Counters, terms: Mapping[str, torch.Tensor], *, rate: float, gradient: float) -> None:
        """Write a line about the step just taken, if every step is to be told."""
        if logger.isEnabledFor(logging.DEBUG):
            text = " ".join(f"{name} {float(term):.4g}" for name, term in terms.items())
            logger.debug("%s step %d %s lr %.4g gradient %.4g", self._stage, counters.step, text, rate, gradient)

    def close(self) -> None:
        """Close the files."""
        logger.removeHandler(self._handler)
        self._handler.close()
        if self._board:
            self._board.close()
