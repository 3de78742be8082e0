"""The one training loop of all stages: batches in, checkpoints out; no data set and no loss is defined here.

A run lives in a folder: ``last.pt`` (everything needed to go on exactly), ``last.safetensors`` and
``best.safetensors`` (averaged weights), ``config.json``, ``log.txt``, ``history.jsonl``, TensorBoard events.

On CPUs start it with ``MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=68719476736``: keeping freed
memory makes it 20 to 30 % faster. ``torchrun --nproc-per-node N -m training train ...`` uses N processes.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import cycle, islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from ecgstudio.nets.precision import in_half
from ecgstudio.nets.weights import build_network, read_header, read_network
from training.configs import TrainConfig
from training.losses import LOSSES, METRICS
from training.reconstruct.loss import picture_and_series
from training.run_folder import (
    BEST_FILE,
    LAST_FILE,
    STATE_FILE,
    Counters,
    Journal,
    Trained,
    load_state,
    save_state,
    write_weights,
)
from training.widen import widen

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]
MAX_SKIPPED_STEPS = 20
RANK_SEED_STEP = 7919
"""Between the seeds of processes that train together, so that they see different batches."""


class Verdict(IntEnum):
    """Whether to take another step."""

    GO_ON = 0
    STOP_EARLY = 1
    INTERRUPTED = 2


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
class _Meter:
    """Averages the loss terms and the speed since the last log line."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    last: Mapping[str, Tensor] = field(default_factory=dict)
    count: int = 0
    samples: int = 0
    started_s: float = field(default_factory=time.monotonic)

    def add(self, terms: Mapping[str, Tensor], samples: int) -> None:
        self.last = {name: term.detach() for name, term in terms.items()}
        for name, term in self.last.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=term.device)) + term
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


def leave_world(world: World) -> None:
    """Part from the other processes."""
    if world.size > 1:
        torch.distributed.destroy_process_group()


def train(
    stage: str,
    config: TrainConfig,
    dataset_factory: DatasetFactory,
    *,
    folder: Path,
    resume: bool = False,
    world: World | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    network: nn.Module | None = None,
) -> TrainResult:
    """Train a stage's network until its steps or minutes are used up, or validation stops getting better.

    Resuming a run of given ``steps`` yields the same weights as not having been interrupted. ``interrupted`` is
    asked between steps; when it says so, the state is saved. ``network`` is the one to begin with, if the configuration
    does not say all of its shape.

    Raises:
        FileExistsError: the folder holds a run and ``resume`` is not set.
        FloatingPointError: the gradient stays non-finite.
        ValueError: there is no such GPU, or the data hold no batch.
        KeyboardInterrupt: ``interrupted`` said so.
    """
    world = world or World()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = _device(config, world)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    shape = {"encoder": config.encoder} | ({"channels": config.channels} if config.channels else {})
    network = network if network is not None else build_network(config.network, shape)
    counters = Counters()
    if config.start_from:
        widen(read_network(Path(config.start_from)), network)
        counters.samples = int(read_header(Path(config.start_from))[2].get("samples", 0))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    trained = Trained(network, average, _optimizer(network, config), counters)
    if (folder / STATE_FILE).exists():
        if not resume:
            raise FileExistsError(f"{folder} holds a run already: use --resume, or choose another folder")
        load_state(folder, trained, device)
    folder.mkdir(parents=True, exist_ok=True)

    is_first = world.rank == 0
    stream = _batches(
        dataset_factory("train", seed=config.seed + RANK_SEED_STEP * world.rank),
        config,
        start=counters.step * config.accumulate,
    )
    validation = _validation_batches(dataset_factory, config) if is_first else []
    if config.overfit_batches:
        validation = list(islice(dataset_factory("train", seed=config.seed), config.overfit_batches))
        stream = cycle(validation)
    journal = Journal(stage, folder, config, resumed=counters.step) if is_first else None
    wrapped: nn.Module = torch.compile(network, dynamic=False) if config.compile else network  # type: ignore[assignment]
    if world.size > 1:
        devices = [device.index] if device.type == "cuda" else None
        wrapped = nn.parallel.DistributedDataParallel(wrapped, device_ids=devices)
    bar = tqdm(total=100.0, disable=None if is_first else True, bar_format="{l_bar}{bar}|{postfix}", desc=stage)
    begun_s = time.monotonic() - counters.elapsed_s
    saved_s = time.monotonic()
    meter = _Meter()
    verdict = Verdict.GO_ON

    while True:
        counters.elapsed_s = time.monotonic() - begun_s
        if interrupted():
            verdict = Verdict.INTERRUPTED
        progress, verdict = _agree(_progress(counters, config), verdict, world, device)
        if progress >= 1 or verdict is not Verdict.GO_ON:
            break
        rate = learning_rate(counters.step, progress, config)
        norm = _descend(
            wrapped, trained, stream, config, rate=rate, progress=progress, meter=meter, processes=world.size
        )
        _update_average(average, network, min(config.ema_decay, (1 + counters.step) / (10 + counters.step)))
        counters.step += 1

        if not journal:
            continue
        journal.step(counters, meter.last, rate=rate, gradient=norm)
        if counters.step % config.log_every == 0:
            row = meter.read() | {"lr": rate, "gradient": norm}
            journal.log("train", counters, row, progress=progress)
            bar.update(100 * progress - bar.n)
            meter = _Meter()
        if counters.step % config.validate_every == 0:
            paused_s = time.monotonic()
            values = validate(average, validation, config)
            journal.log("validation", counters, values, progress=progress)
            verdict = _judge(values, trained, config, stage=stage, folder=folder)
            meter.started_s += time.monotonic() - paused_s
        if time.monotonic() - saved_s > 60 * config.checkpoint_minutes:
            save_state(folder, trained, config)
            write_weights(folder / LAST_FILE, trained, config, stage=stage)
            saved_s = time.monotonic()

    bar.close()
    if journal:
        if verdict is Verdict.GO_ON and counters.step % config.validate_every:
            values = validate(average, validation, config)
            journal.log("validation", counters, values, progress=1.0)
            _judge(values, trained, config, stage=stage, folder=folder)
        save_state(folder, trained, config)
        write_weights(folder / LAST_FILE, trained, config, stage=stage)
        journal.close()
    if verdict is Verdict.INTERRUPTED:
        raise KeyboardInterrupt(f"{stage} stopped after {counters.step} steps: go on with --resume")
    return TrainResult(
        steps=counters.step,
        samples=counters.samples,
        best=counters.best,
        stopped_early=verdict is Verdict.STOP_EARLY,
        best_weights=folder / BEST_FILE,
    )


def _descend(
    wrapped: nn.Module,
    trained: Trained,
    stream: Iterator[Batch],
    config: TrainConfig,
    *,
    rate: float,
    progress: float,
    meter: _Meter,
    processes: int,
) -> float:
    """Take one optimizer step over ``accumulate`` batches and return the gradient's norm before clipping.

    A step whose gradient is not finite is left out; many in a row end the run.
    """
    counters = trained.counters
    device = next(trained.network.parameters()).device
    for group in trained.optimizer.param_groups:
        group["lr"] = rate
    trained.network.train()
    for part in range(config.accumulate):
        batch = _to_device(next(stream), device)
        is_last = part == config.accumulate - 1
        with (
            nullcontext() if is_last or processes == 1 else wrapped.no_sync(),  # type: ignore[operator]
            torch.autograd.set_detect_anomaly(config.detect_anomaly),
        ):
            with in_half(device, wanted=config.mixed_precision):
                outputs = wrapped(*_inputs(batch))
            terms = LOSSES[config.network](outputs, batch, config, progress=progress)
            (terms["loss"] / config.accumulate).backward()  # type: ignore[no-untyped-call]
        samples = processes * next(iter(batch.values())).shape[0]
        counters.samples += samples
        meter.add(terms, samples)
    norm = float(nn.utils.clip_grad_norm_(trained.network.parameters(), config.clip_norm))
    if math.isfinite(norm):
        trained.optimizer.step()
        counters.skipped = 0
    else:
        counters.skipped += 1
        logger.warning("step %d is left out: its gradient is not finite", counters.step)
        if counters.skipped > MAX_SKIPPED_STEPS:
            raise FloatingPointError(f"no finite gradient in {MAX_SKIPPED_STEPS} steps")
    trained.optimizer.zero_grad(set_to_none=True)
    return norm


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
        with in_half(device, wanted=config.mixed_precision):
            outputs = network(*_inputs(moved))
        terms = LOSSES[config.network](outputs, moved, config, progress=1.0)
        row = {name: float(term) for name, term in terms.items()} | METRICS[config.network](outputs, moved)
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return {name: float(np.nanmean(row)) for name, row in values.items() if np.isfinite(row).any()}


def _judge(values: Mapping[str, float], trained: Trained, config: TrainConfig, *, stage: str, folder: Path) -> Verdict:
    """Keep the weights if they are the best yet, and say whether it is time to stop."""
    counters = trained.counters
    value = values.get(config.monitor, math.nan)
    if value < counters.best:
        counters.best, counters.stale = value, 0
        write_weights(folder / BEST_FILE, trained, config, stage=stage, metrics=values)
        return Verdict.GO_ON
    counters.stale += 1
    if config.patience and counters.stale >= config.patience:
        logger.info("%s stops early: %d validations without a better one", stage, counters.stale)
        return Verdict.STOP_EARLY
    return Verdict.GO_ON


def _progress(counters: Counters, config: TrainConfig) -> float:
    if config.minutes > 0:
        return counters.elapsed_s / (60 * config.minutes)
    return counters.step / config.steps


def _agree(progress: float, verdict: Verdict, world: World, device: torch.device) -> tuple[float, Verdict]:
    """Let every process follow the first one's clock and verdict, or some would leave the others waiting."""
    if world.size == 1:
        return progress, verdict
    message = torch.tensor([progress, float(verdict)], dtype=torch.float64, device=device)
    torch.distributed.broadcast(message, 0)
    return float(message[0]), Verdict(int(message[1]))


def _device(config: TrainConfig, world: World) -> torch.device:
    if config.gpus:
        if world.local_rank >= len(config.gpus):
            raise ValueError(f"{len(config.gpus)} GPUs are named, but process {world.local_rank + 1} needs one too")
        number = config.gpus[world.local_rank]
        if not 0 <= number < torch.cuda.device_count():
            raise ValueError(f"there is no GPU {number}: this computer has {torch.cuda.device_count()}")
        return torch.device("cuda", number)
    if config.device not in ("auto", "cuda"):
        return torch.device(config.device)
    if config.device == "cuda" or torch.cuda.is_available():
        return torch.device("cuda", world.local_rank)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Decay the convolutions, never the biases and the normalisation."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)


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
        worker_init_fn=_outlive_interruptions,
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


def _outlive_interruptions(worker: int) -> None:
    """Leave it to the loop when to stop: signals reach the whole process group, and a dead worker is an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _validation_batches(dataset_factory: DatasetFactory, config: TrainConfig) -> list[Batch]:
    """Draw the same batches in every run, so that runs can be compared."""
    batches = list(islice(dataset_factory("val", seed=0), config.validation_batches))
    if not batches:
        raise ValueError("the validation data hold no batch")
    return batches


def _to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _inputs(batch: Batch) -> tuple[Tensor, ...]:
    if "pictures" in batch:
        return picture_and_series(batch)
    pixels = next(batch[name] for name in ("strips", "image", "crops") if name in batch)
    return (pixels.contiguous(memory_format=torch.channels_last),)


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    theirs, mine = network.state_dict(), average.state_dict()
    moving = [name for name, tensor in mine.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([mine[name] for name in moving], [theirs[name] for name in moving], 1 - decay)
    for name in mine.keys() - set(moving):
        mine[name].copy_(theirs[name])
