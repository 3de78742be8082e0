"""The one training loop of all stages: batches in, checkpoints out; no data set and no loss is defined here.

A run lives in a folder: ``last.pt`` (everything needed to go on exactly), ``last.safetensors`` and
``best.safetensors`` (averaged weights), ``config.json``, ``log.txt``, ``history.jsonl``, TensorBoard events.

On CPUs start it with ``MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=68719476736``: keeping freed
memory makes training 20 to 30 % faster. ``torchrun --nproc-per-node N -m training train ...`` uses N processes.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from ecgstudio.nets.weights import build_network, read_network, write_network
from training.configs import TrainConfig, config_as_mapping
from training.losses import LOSSES, METRICS

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]
STATE_FILE = "last.pt"
LAST_FILE = "last.safetensors"
BEST_FILE = "best.safetensors"
MAX_SKIPPED_STEPS = 20


class DatasetFactory(Protocol):
    """Makes the endless stream of ready batches of one split ("train" or "val").

    A stream may offer ``set_start(batch)``: begin as if that many batches had been drawn already. It makes
    resuming instant; without it the loop draws and drops them.
    """

    def __call__(self, split: str, *, seed: int) -> IterableDataset[Batch]:
        """Return the stream of a split."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended."""

    steps: int
    samples: int
    best: float
    stopped_early: bool
    best_weights: Path


@dataclass(slots=True)
class _Counters:
    """What changes while a run goes on and is saved with it."""

    step: int = 0
    samples: int = 0
    skipped: int = 0
    elapsed_s: float = 0.0
    best: float = math.inf
    stale: int = 0


@dataclass(slots=True)
class _Meter:
    """Averages the loss terms and the speed since the last log line."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0
    samples: int = 0
    started_s: float = field(default_factory=time.monotonic)

    def add(self, terms: Mapping[str, Tensor], samples: int) -> None:
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=term.device)) + term.detach()
        self.count += 1
        self.samples += samples

    def read(self) -> dict[str, float]:
        seconds = max(time.monotonic() - self.started_s, 1e-9)
        means = {name: float(value) / max(self.count, 1) for name, value in self.sums.items()}
        return means | {"crops_per_s": self.samples / seconds}


def join_world() -> World:
    """Join the processes that torchrun started; alone when it started none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return World(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))


def train(
    stage: str,
    config: TrainConfig,
    dataset_factory: DatasetFactory,
    *,
    folder: Path,
    resume: bool = False,
    world: World | None = None,
) -> TrainResult:
    """Train a stage's network until its steps or minutes are used up, or validation stops getting better.

    Resuming a run of given ``steps`` yields the same weights as not having been interrupted.

    Raises:
        FileExistsError: the folder holds a run and ``resume`` is not set.
        FloatingPointError: the loss stays non-finite.
    """
    world = world or World()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = _device(config, world)
    network = build_network(config.network, {"encoder": config.encoder})
    if config.start_from:
        network.load_state_dict(read_network(Path(config.start_from)).state_dict())
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = _optimizer(network, config)
    counters = _Counters()
    state_path = folder / STATE_FILE
    if state_path.exists():
        if not resume:
            raise FileExistsError(
                f"{folder} holds a training run: go on with --resume, or choose another folder"
            )
        _load_state(state_path, network, average, optimizer, counters, device)
    folder.mkdir(parents=True, exist_ok=True)

    stream = _batches(
        dataset_factory("train", seed=config.seed + 7919 * world.rank),
        config,
        start=counters.step * config.accumulate,
    )
    is_first = world.rank == 0
    validation = _validation_batches(dataset_factory, config) if is_first else []
    journal = _Journal(stage, folder, config, resumed=counters.step) if is_first else None
    wrapped: nn.Module = network
    if world.size > 1:
        devices = [device.index] if device.type == "cuda" else None
        wrapped = nn.parallel.DistributedDataParallel(network, device_ids=devices)
    compute_loss = LOSSES[config.network]
    autocast = torch.autocast(
        "cuda", torch.bfloat16, enabled=device.type == "cuda" and config.mixed_precision
    )

    begun_s = time.monotonic() - counters.elapsed_s
    saved_s = time.monotonic()
    stop = False
    bar = tqdm(
        total=100.0, disable=None if is_first else True, bar_format="{l_bar}{bar}|{postfix}", desc=stage
    )

    def save() -> None:
        nonlocal saved_s
        if is_first:
            _save_state(state_path, network, average, optimizer, counters, config)
            _write_weights(folder / LAST_FILE, average, stage, config, counters)
        saved_s = time.monotonic()

    meter = _Meter()
    try:
        while True:
            counters.elapsed_s = time.monotonic() - begun_s
            progress, stop = _agree(_progress(counters, config), stop, world, device)
            if progress >= 1 or stop:
                break
            rate = learning_rate(counters.step, progress, config)
            for group in optimizer.param_groups:
                group["lr"] = rate
            network.train()
            for part in range(config.accumulate):
                batch = _to_device(next(stream), device)
                synced = world.size == 1 or part == config.accumulate - 1
                with nullcontext() if synced else wrapped.no_sync():  # type: ignore[operator]
                    with autocast:
                        outputs = wrapped(_inputs(batch))
                    terms = compute_loss(outputs, batch, config, progress=progress)
                    (terms["loss"] / config.accumulate).backward()  # type: ignore[no-untyped-call]
                samples = next(iter(batch.values())).shape[0]
                counters.samples += samples * world.size
                meter.add(terms, samples * world.size)
            norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            if bool(torch.isfinite(norm)):
                optimizer.step()
                counters.skipped = 0
            else:
                counters.skipped += 1
                logger.warning("step %d skipped: its gradient is not finite", counters.step)
                if counters.skipped > MAX_SKIPPED_STEPS:
                    raise FloatingPointError(f"{stage}: no finite gradient in {MAX_SKIPPED_STEPS} steps")
            optimizer.zero_grad(set_to_none=True)
            _update_average(
                average, network, min(config.ema_decay, (1 + counters.step) / (10 + counters.step))
            )
            counters.step += 1

            if journal and counters.step % config.log_every == 0:
                journal.log("train", counters, progress, meter.read() | {"lr": rate, "gradient": float(norm)})
                bar.update(100 * progress - bar.n)
                meter = _Meter()
            if journal and counters.step % config.validate_every == 0:
                paused_s = time.monotonic()
                stop = _validate(journal, validation, average, config, counters, progress, folder, stage)
                meter.started_s += time.monotonic() - paused_s
            if time.monotonic() - saved_s > 60 * config.checkpoint_minutes:
                save()
    except KeyboardInterrupt:
        # Between here and the last whole step nothing but the gradient can be half done: the state is usable.
        save()
        logger.warning("interrupted after %d steps; --resume goes on", counters.step)
        raise
    if journal and counters.step % config.validate_every:
        _validate(journal, validation, average, config, counters, 1.0, folder, stage)
    save()
    bar.close()
    if journal:
        journal.close()
    return TrainResult(counters.step, counters.samples, counters.best, stop, folder / BEST_FILE)


def learning_rate(step: int, progress: float, config: TrainConfig) -> float:
    """Return the rate at a step: linear warm-up, constant, then a cosine down to 0 at the end."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    late = max(0.0, progress - config.constant_until) / (1 - config.constant_until)
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(late, 1.0)))


@torch.no_grad()
def validate(network: nn.Module, batches: list[Batch], config: TrainConfig) -> dict[str, float]:
    """Average the loss terms and the readable metrics of a network over fixed batches."""
    device = next(network.parameters()).device
    network.eval()
    values: dict[str, list[float]] = {}
    for batch in batches:
        moved = _to_device(batch, device)
        outputs = network(_inputs(moved))
        terms = LOSSES[config.network](outputs, moved, config, progress=1.0)
        row = {name: float(term) for name, term in terms.items()} | METRICS[config.network](outputs, moved)
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return {name: float(np.nanmean(row)) for name, row in values.items() if np.isfinite(row).any()}


class _Journal:
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

    def log(self, kind: str, counters: _Counters, progress: float, values: Mapping[str, float]) -> None:
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

    def close(self) -> None:
        logger.removeHandler(self._handler)
        self._handler.close()
        if self._board:
            self._board.close()


def _validate(
    journal: _Journal,
    batches: list[Batch],
    average: nn.Module,
    config: TrainConfig,
    counters: _Counters,
    progress: float,
    folder: Path,
    stage: str,
) -> bool:
    """Validate, keep the weights when they are the best yet, and say whether to stop early."""
    values = validate(average, batches, config)
    journal.log("validation", counters, progress, values)
    if values[config.monitor] < counters.best:
        counters.best, counters.stale = values[config.monitor], 0
        _write_weights(folder / BEST_FILE, average, stage, config, counters, metrics=values)
    else:
        counters.stale += 1
    stop = config.patience > 0 and counters.stale >= config.patience
    if stop:
        logger.info("%s stops early: %d validations without a better one", stage, counters.stale)
    return stop


def _progress(counters: _Counters, config: TrainConfig) -> float:
    if config.minutes > 0:
        return counters.elapsed_s / (60 * config.minutes)
    return counters.step / config.steps


def _agree(progress: float, stop: bool, world: World, device: torch.device) -> tuple[float, bool]:
    """Let every process follow the first one's clock and verdict, or some would leave the others waiting."""
    if world.size == 1:
        return progress, stop
    verdict = torch.tensor([progress, float(stop)], dtype=torch.float64, device=device)
    torch.distributed.broadcast(verdict, 0)
    return float(verdict[0]), bool(verdict[1])


def _device(config: TrainConfig, world: World) -> torch.device:
    if config.device != "auto":
        return torch.device(config.device)
    if torch.cuda.is_available():
        return torch.device("cuda", world.local_rank)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Decay the convolutions, never the biases and the normalisation."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _batches(dataset: IterableDataset[Batch], config: TrainConfig, *, start: int) -> Iterator[Batch]:
    skip = start
    if hasattr(dataset, "set_start"):
        dataset.set_start(start)
        skip = 0
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    while True:
        drawn = False
        for batch in loader:
            drawn = True
            if skip:
                skip -= 1
            else:
                yield batch
        if not drawn:
            raise ValueError("the training data hold no batch")


def _validation_batches(dataset_factory: DatasetFactory, config: TrainConfig) -> list[Batch]:
    """Draw the same batches in every run, so that runs can be compared."""
    batches = list(islice(dataset_factory("val", seed=0), config.validation_batches))
    if not batches:
        raise ValueError("the validation data hold no batch")
    return batches


def _to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _inputs(batch: Batch) -> Tensor:
    pixels = batch["strips"] if "strips" in batch else batch["image"]
    return pixels.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    theirs, mine = network.state_dict(), average.state_dict()
    moving = [name for name, tensor in mine.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([mine[name] for name in moving], [theirs[name] for name in moving], 1 - decay)
    for name in mine.keys() - set(moving):
        mine[name].copy_(theirs[name])


def _save_state(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    counters: _Counters,
    config: TrainConfig,
) -> None:
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "counters": asdict(counters),
        "config": config_as_mapping(config),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _load_state(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    counters: _Counters,
    device: torch.device,
) -> None:
    state = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    for name, value in state["counters"].items():
        setattr(counters, name, value)


def _write_weights(
    path: Path,
    average: nn.Module,
    stage: str,
    config: TrainConfig,
    counters: _Counters,
    *,
    metrics: Mapping[str, float] | None = None,
) -> None:
    notes = {
        "stage": stage,
        "step": counters.step,
        "samples": counters.samples,
        "minutes": round(counters.elapsed_s / 60, 1),
        "metrics": dict(metrics or {}),
        "training": config_as_mapping(config),
    }
    write_network(path, average, notes=notes)
