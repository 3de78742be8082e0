"""The training loop of all classifiers: epochs over examples in memory, checkpoints out; no model is defined here.

A run lives in a folder: ``last.safetensors`` (to go on after the last epoch exactly), ``best.safetensors`` (with
calibration), ``settings.json``, ``history.jsonl`` (a line per epoch), TensorBoard events. The stages' loop
(``training.loop``) draws from endless streams and has no epochs, hence two.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ecgstudio.errors import InputError
from ecgstudio.nets.weights import write_network
from training.classify.batches import on_paper, plain_batches, training_batches
from training.classify.calibration import Calibration, calibrate
from training.classify.checkpoint import (
    BEST_FILE,
    BUNDLE_FILE,
    STATE_FILE,
    Recipe,
    read_state,
    read_trained,
    write_state,
    write_trained,
)
from training.classify.dataset import Examples, Splits
from training.classify.metrics import macro_auc, score
from training.classify.settings import ClassifySettings
from training.classify.zoo import ZOO, FusionClassifier, build

logger = logging.getLogger(__name__)

F64 = NDArray[np.float64]
HISTORY_FILE = "history.jsonl"
SETTINGS_FILE = "settings.json"
SCORING_BATCH = 128
WARM_UP = 0.25
"""Part of a one-cycle run in which the rate rises."""
CURVE_RATES = ("sensitivity", "specificity", "precision", "f1_score", "accuracy", "auc_roc")
SCHEDULES = ("plateau", "one-cycle")


@dataclass(slots=True)
class Progress:
    """What changes from epoch to epoch."""

    epoch: int = 0
    steps: int = 0
    elapsed_s: float = 0.0
    learning_rate: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    stale: int = 0
    lowest_loss: float = math.inf
    flat: int = 0
    """Epochs since the validation loss was lowest or the rate was reduced."""
    finished: bool = False


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a run ended."""

    model: str
    epochs: int
    best_epoch: int
    val_macro_auc: float
    parameters: int
    path: Path


def fit(model: str, settings: ClassifySettings, splits: Splits, *, folder: Path, resume: bool = False) -> FitResult:
    """Train a model, keep its best epoch, and calibrate that on the validation split.

    The same seed gives the same weights, resumed or not.

    Raises:
        InputError: the folder holds a run and `resume` is not set, the data lack a modality, or a setting is unknown.
    """
    if settings.schedule not in SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, not {settings.schedule!r}.")
    if (folder / STATE_FILE).exists() and not resume:
        raise InputError(f"{folder} holds a run already: use --resume, or choose another folder.")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = pick_device(settings.device)
    used = ZOO[model].modalities(settings) + (("statements",) if settings.statements else ())
    train, val = _only(splits.train, used), _validation(_only(splits.val, used), settings)
    shapes = {name: values.shape[1:] for name, values in train.inputs.items()}
    recipe = Recipe(model, train.classes, shapes, settings)
    network = build(model, settings, shapes, train.classes).to(device)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    optimizer = kind(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    progress = Progress(learning_rate=settings.learning_rate)
    networks = {"network": network, "average": average}
    folder.mkdir(parents=True, exist_ok=True)
    if resume and (folder / STATE_FILE).exists():
        progress = Progress(**read_state(folder, networks, optimizer))
    journal = Journal(model, folder, settings)
    while not progress.finished:
        started_s = time.monotonic()
        torch.manual_seed(settings.seed * 100_003 + progress.epoch)
        loss = _epoch(network, average, optimizer, train, settings, progress)
        kept = average if settings.ema else network
        logits = predict(kept, val)
        row = {"train_loss": loss, "learning_rate": progress.learning_rate} | _validation_row(logits, val)
        progress.epoch += 1
        progress.elapsed_s += time.monotonic() - started_s
        if _judge(row, settings, progress):
            write_trained(folder / BEST_FILE, kept, recipe, notes={"epoch": progress.epoch} | row)
        journal.log(row, progress)
        write_state(folder, networks, optimizer, asdict(progress))

    journal.close()
    return _finish(model, splits, folder, progress)


def pick_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@torch.no_grad()
def predict(network: nn.Module, examples: Examples) -> F64:
    """Return the logits [N, C] of all examples, in their order."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = [
        network(_to(batch, device)).double().cpu().numpy() for batch in plain_batches(examples, batch=SCORING_BATCH)
    ]
    network.train(was_training)
    return np.concatenate(parts)


def _epoch(
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Examples,
    settings: ClassifySettings,
    progress: Progress,
) -> float:
    device = next(network.parameters()).device
    network.train()
    total, count = 0.0, 0
    per_epoch = max(1, len(train) // settings.batch)
    for inputs, targets in training_batches(train, settings, epoch=progress.epoch):
        for group in optimizer.param_groups:
            group["lr"] = _rate(settings, progress, per_epoch)
        loss = _loss(network, _to(inputs, device), targets.to(device), settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        progress.steps += 1
        total += float(loss.detach()) * len(targets)
        count += len(targets)
        if settings.ema:
            _follow(average, network, min(settings.ema, (1 + progress.steps) / (10 + progress.steps)))
    return total / count


def _loss(network: nn.Module, inputs: Mapping[str, Tensor], targets: Tensor, settings: ClassifySettings) -> Tensor:
    """Return the cross-entropy of the classes, and of the statements where the network is taught them."""
    if not isinstance(network, FusionClassifier) or network.statements is None:
        return functional.binary_cross_entropy_with_logits(network(inputs), targets)
    logits, statements = network.with_statements(inputs)
    second = functional.binary_cross_entropy_with_logits(statements, inputs["statements"])
    return functional.binary_cross_entropy_with_logits(logits, targets) + settings.statements * second


def _rate(settings: ClassifySettings, progress: Progress, per_epoch: int) -> float:
    if settings.schedule == "plateau":
        return progress.learning_rate
    done = progress.steps / (settings.epochs * per_epoch)
    if settings.minutes:
        in_epoch = progress.steps / per_epoch - progress.epoch
        pace_s = progress.elapsed_s / max(progress.epoch, 1)
        done = max(done, (progress.elapsed_s + in_epoch * pace_s) / (60 * settings.minutes))
    done = min(done, 1.0)
    if done < WARM_UP:
        share = 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / WARM_UP))
    else:
        share = 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))
    progress.learning_rate = settings.learning_rate * share
    return progress.learning_rate


def _judge(row: Mapping[str, float], settings: ClassifySettings, progress: Progress) -> bool:
    """Say whether this epoch is the best yet; reduce the rate and end the run when it is time."""
    value = row["val_loss"] if settings.monitor == "loss" else -row["val_macro_auc_roc"]
    better = value < progress.best or progress.epoch == 1
    if better:
        progress.best, progress.best_epoch, progress.stale = value, progress.epoch, 0
    else:
        progress.stale += 1
    if row["val_loss"] < progress.lowest_loss:
        progress.lowest_loss, progress.flat = row["val_loss"], 0
    else:
        progress.flat += 1
    if settings.schedule == "plateau" and progress.flat > settings.plateau_patience:
        progress.learning_rate *= settings.plateau_factor
        progress.flat = 0
    out_of_time = settings.minutes > 0 and progress.elapsed_s >= 60 * settings.minutes
    out_of_patience = 0 < settings.patience <= progress.stale
    progress.finished = progress.epoch >= settings.epochs or out_of_time or out_of_patience
    return better


def _validation(val: Examples, settings: ClassifySettings) -> Examples:
    """Return the validation examples; those who train on paper are also judged by fixed views of it."""
    if not settings.paper:
        return val
    views = on_paper(val, seed=settings.seed)
    inputs = {name: np.concatenate([values, views.inputs[name]]) for name, values in val.inputs.items()}
    return Examples(val.ids * 2, inputs, np.concatenate([val.labels, val.labels]), val.classes)


def _validation_row(logits: F64, val: Examples) -> dict[str, float]:
    """Return loss, macro averages and figures per class at a cut of one half."""
    sign = 2.0 * val.labels - 1.0
    scores = score(val.labels, 1 / (1 + np.exp(-logits)), np.full(len(val.classes), 0.5), classes=val.classes)
    row = {"val_loss": float(np.mean(np.logaddexp(0, -sign * logits)))}
    row |= {f"val_macro_{rate}": scores.macro[rate] for rate in CURVE_RATES}
    for name, values in scores.per_class.items():
        row |= {f"val_{name}_{rate}": values[rate] for rate in CURVE_RATES}
    return row


def _finish(model: str, splits: Splits, folder: Path, progress: Progress) -> FitResult:
    """Calibrate the best epoch on validation and write it again, the application's network also by itself."""
    trained = read_trained(folder / BEST_FILE)
    val = _validation(_only(splits.val, tuple(trained.recipe.shapes)), trained.recipe.settings)
    logits = predict(trained.network, val)
    calibration = calibrate(logits, val.labels)
    write_trained(folder / BEST_FILE, trained.network, trained.recipe, calibration=calibration, notes=trained.notes)
    if isinstance(trained.network, FusionClassifier):
        _write_bundle(folder, trained.network, calibration, trained.notes, examples=len(splits.train))
    parameters = sum(p.numel() for p in trained.network.parameters())
    auc = macro_auc(val.labels, calibration.probabilities(logits))
    return FitResult(model, progress.epoch, progress.best_epoch, auc, parameters, folder / BEST_FILE)


def _write_bundle(
    folder: Path, network: FusionClassifier, calibration: Calibration, notes: Mapping[str, Any], *, examples: int
) -> None:
    network.net.temperature.copy_(torch.tensor(calibration.temperature))
    network.net.threshold.copy_(torch.tensor(calibration.threshold))
    metrics = {name: value for name, value in notes.items() if name.startswith("val_macro")}
    more = {"stage": "fusion", "step": notes["epoch"], "samples": examples * notes["epoch"], "metrics": metrics}
    write_network(folder / BUNDLE_FILE, network.net, notes=more)


def _only(examples: Examples, names: tuple[str, ...]) -> Examples:
    inputs = {name: examples.inputs[name] for name in names if name in examples.inputs}
    return Examples(examples.ids, inputs, examples.labels, examples.classes)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _to(inputs: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: values.to(device) for name, values in inputs.items()}


class Journal:
    """Writes a line per epoch to the console, ``history.jsonl`` and TensorBoard."""

    def __init__(self, model: str, folder: Path, settings: ClassifySettings) -> None:
        self._model, self._path = model, folder / HISTORY_FILE
        (folder / SETTINGS_FILE).write_text(json.dumps(asdict(settings), indent=1) + "\n", "utf-8")
        self._board: Any = None
        if settings.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._board = SummaryWriter(str(folder / "tensorboard"))

    def log(self, row: Mapping[str, float], progress: Progress) -> None:
        """Write the figures of one epoch."""
        logger.info(
            "%s epoch %d %.1fmin: loss %.4f, validation loss %.4f, macro AUC %.4f, F1 %.3f, rate %.2g",
            self._model, progress.epoch, progress.elapsed_s / 60, row["train_loss"], row["val_loss"],
            row["val_macro_auc_roc"], row["val_macro_f1_score"], row["learning_rate"],
        )  # fmt: skip
        line = {"epoch": progress.epoch, "elapsed_s": round(progress.elapsed_s, 1)} | dict(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in row.items():
                if math.isfinite(value):
                    self._board.add_scalar(name, value, progress.epoch)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()
