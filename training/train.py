"""``python -m training train``: hand settings and data set to the loop of ``training.loop``."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from torch.utils.data import IterableDataset

from ecgstudio.errors import UserError
from training.configs import STAGES, TrainConfig, config_for
from training.loop import Batch, DatasetFactory, World, join_world, leave_world, train

logger = logging.getLogger(__name__)

INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training train``."""
    parser.add_argument("stage", choices=(*STAGES, "all"))
    parser.add_argument("--data", type=Path, required=True, help="folder written by 'python -m training synth'")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="runs are kept in OUT/STAGE (default: runs)")
    parser.add_argument("--resume", action="store_true", help="go on where the run in OUT/STAGE stopped")
    parser.add_argument("--minutes", type=float, help="length of the run in wall-clock minutes instead of steps")
    parser.add_argument(
        "--gpus", metavar="N,N", help="numbers of the GPUs to use; under torchrun process k takes the k-th"
    )
    parser.add_argument("--config", type=Path, help="TOML file of settings; tables [stage0].. apply to one stage")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="change one setting of training/configs.py, such as overfit_batches=2; may be repeated",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Train the stages asked for, one after the other; return the exit code.

    Raises UserError if settings, data or a checkpoint make no sense, or the gradient stays non-finite.
    """
    interrupted = _Interruption()
    stages = list(STAGES) if args.stage == "all" else [args.stage]
    overrides = ["detect_anomaly=true", "workers=0"] if args.debug else []
    overrides += args.set
    if args.gpus is not None:
        overrides.append(f"gpus=[{args.gpus}]")
    if args.minutes is not None:
        overrides.append(f"minutes={args.minutes}")
    try:
        configs = {stage: config_for(stage, toml=args.config, overrides=overrides) for stage in stages}
        world = join_world()
        for stage, config in configs.items():
            _train_stage(stage, config, args, world, interrupted)
    except (ValueError, OSError, FloatingPointError) as error:
        raise UserError(str(error)) from error
    except KeyboardInterrupt as stop:
        logger.warning("%s", stop)
        return INTERRUPTED
    leave_world(world)
    return 0


def _train_stage(
    stage: str,
    config: TrainConfig,
    args: argparse.Namespace,
    world: World,
    interrupted: Callable[[], bool],
) -> None:
    result = train(
        stage,
        config,
        _dataset_factory(stage, args.data, config),
        folder=args.out / stage,
        resume=args.resume,
        world=world,
        interrupted=interrupted,
    )
    logger.info(
        "%s: %d steps, %d crops, best %s %.4f in %s",
        stage,
        result.steps,
        result.samples,
        config.monitor,
        result.best,
        result.best_weights,
    )


def _dataset_factory(stage: str, folder: Path, config: TrainConfig) -> DatasetFactory:
    from training.datasets import make_dataset  # heavy, and not needed to show the help

    def make(split: str, *, seed: int) -> IterableDataset[Batch]:
        return make_dataset(stage, folder, split=split, seed=seed, config=config)

    return make


class _Interruption:
    """Remembers Ctrl+C or a polite kill until the loop is between two steps; a second Ctrl+C is obeyed at once."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True
