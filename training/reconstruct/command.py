"""``python -m training reconstruct``: render pairs, keep windows of pages, train on either, evaluate on all of them."""

from __future__ import annotations

import argparse
import json
import logging
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecgstudio.errors import InputError, UserError
from ecgstudio.io.atomic import write_text
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.nets.reconstruct_net import IMAGE_ENCODERS, ReconstructConfig, ReconstructNet
from ecgstudio.paths import weights_folder
from training.reconstruct.crops import is_crops_folder, open_crops, write_crops
from training.reconstruct.examples import Examples, ExampleShape
from training.reconstruct.pairs import is_pairs_folder, open_pairs, write_pairs
from training.reconstruct.settings import ReconstructTraining, settings_for
from training.synth.style import LAYOUTS
from training.synth.write import KIND_SHARES

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

RUN = Path("runs/reconstruct")
EVALUATION = "evaluation"
COMPARED = 48
"""Examples among which those to draw are chosen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training reconstruct``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    train = actions.add_parser("train", help="train on a folder of pairs or of windows, then evaluate")
    train.add_argument(
        "--data", type=Path, required=True,
        help="pairs NAME.png (400 x 400) with NAME.dat and .hea, flat or in train|val|test; or windows of 'crops'",
    )  # fmt: skip
    train.add_argument("--model-save-path", type=Path, default=RUN, help=f"folder of the run (default: {RUN})")
    train.add_argument("--batch-size", type=int, help="examples per step")
    train.add_argument("--epochs", type=int, help="most epochs")
    train.add_argument("--minutes", type=float, help="end after so much time instead")
    train.add_argument("--learning-rate", type=float, help="highest learning rate")
    train.add_argument("--image-encoder", choices=IMAGE_ENCODERS, help="cnn (default) or vit")
    train.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps")
    train.add_argument(
        "--start-from", type=Path, help="begin with the weights of another run, or of a .safetensors file"
    )
    train.add_argument("--resume", action="store_true", help="go on where a run stopped")
    train.add_argument("--config", type=Path, help="TOML of settings")
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting; repeatable"
    )
    evaluate = actions.add_parser("evaluate", help="score a trained network: on examples, or on whole pages")
    evaluate.add_argument("run", type=Path, help="folder of a run, or a .safetensors file")
    evaluate.add_argument("--data", type=Path, help="pairs or windows: their test split, or else val")
    evaluate.add_argument("--pages", type=Path, help="pages with truth, as 'python -m training evaluate' takes them")
    evaluate.add_argument("--split", choices=("val", "test", "all"), default="val", help="of rendered pages")
    evaluate.add_argument("--limit", type=int, help="take so many examples or pages, evenly from all")
    evaluate.add_argument("--cache", type=Path, help="folder in which readings of pages are kept")
    evaluate.add_argument("--out", type=Path, help=f"folder of tables and plots (default: RUN/{EVALUATION})")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    pairs = actions.add_parser("pairs", help="render pairs of pictures and signals")
    pairs.add_argument("--out", type=Path, required=True, help="folder for train|val|test")
    pairs.add_argument("--records", default="synthetic", help='"synthetic", a folder of packs, or a PTB-XL folder')
    pairs.add_argument("--count", type=int, default=1000, help="number of pairs (default: 1000)")
    pairs.add_argument("--seed", type=int, default=0)
    pairs.add_argument("--kind", choices=sorted(KIND_SHARES), help="one kind of degradation only")
    pairs.add_argument("--layout", choices=sorted(LAYOUTS), help="one layout only")
    crops = actions.add_parser("crops", help="keep windows of rendered pages as the pipeline reads them")
    crops.add_argument("--pages", type=Path, required=True, help="pages of 'python -m training synth'")
    crops.add_argument("--out", type=Path, required=True, help="folder for train|val/PAGE.npz")
    crops.add_argument("--limit", type=int, help="at most so many pages per split")
    crops.add_argument("--cache", type=Path, help="folder in which readings of pages are kept")
    crops.add_argument("--weights", type=Path, help="folder of weights and manifest (default: the bundled ones)")
    crops.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def main(args: argparse.Namespace) -> int:
    """Do what was asked for; return the exit code."""
    for name in ("batch_size", "epochs", "limit", "count"):
        value = getattr(args, name, None)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1.")
    actions: Mapping[str, Callable[[argparse.Namespace], None]] = {
        "train": _train, "evaluate": _evaluate, "pairs": _pairs, "crops": _crops,
    }  # fmt: skip
    actions[args.action](args)
    return 0


def open_examples(folder: Path, *, rows_per_unit: float = 0.0) -> Mapping[str, Examples]:
    """Open a folder of pairs or of windows, by split.

    Raises:
        InputError: it is neither, or holds something that cannot be used; the text names the file.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    if is_crops_folder(folder):
        return open_crops(folder)
    if is_pairs_folder(folder):
        return open_pairs(folder, rows_per_mv=rows_per_unit)
    raise InputError(f"There are no pairs of .png and .dat in {folder}, and no windows of pages.")


def network_config(shape: ExampleShape, *, image_encoder: str, channels: tuple[int, ...] = ()) -> ReconstructConfig:
    """Return the network's shape for these examples; without `channels` the image encoder has its usual widths.

    Raises:
        InputError: there is no such network.
    """
    try:
        config = ReconstructConfig(
            image_encoder=image_encoder, leads=shape.leads, samples=shape.samples, image_height=shape.height,
            image_width=shape.width, rows_per_unit=shape.rows_per_unit,
        )  # fmt: skip
        return replace(config, channels=channels) if channels else config
    except ValueError as error:
        raise InputError(f"No network can be made for these examples: {error}.") from error


def schedule(settings: ReconstructTraining, *, examples: int, validated: int) -> ReconstructTraining:
    """Turn epochs into steps, with a line of the log and a validation after each."""
    per_epoch = max(1, examples // settings.batch)
    return replace(
        settings,
        steps=settings.epochs * per_epoch,
        log_every=per_epoch,
        validate_every=per_epoch,
        validation_batches=max(1, math.ceil(min(validated, settings.validation_examples) / settings.batch)),
    )


def _train(args: argparse.Namespace) -> None:
    import torch  # slow to import, and not needed to show the help

    from training.loop import train
    from training.reconstruct.plots import write_learning_curves
    from training.reconstruct.stream import ExampleStream

    given = {"epochs": args.epochs, "batch": args.batch_size, "image_encoder": args.image_encoder}
    given |= {name: getattr(args, name) for name in ("learning_rate", "device", "minutes")}
    settings = settings_for(toml=args.config, overrides=args.set, given=given)
    splits = open_examples(args.data, rows_per_unit=settings.rows_per_unit)
    settings = schedule(settings, examples=len(splits["train"]), validated=len(splits["val"]))
    shape = splits["train"].shape
    torch.manual_seed(settings.seed)
    config = network_config(shape, image_encoder=settings.image_encoder, channels=settings.channels)
    network = ReconstructNet(config) if args.start_from is None else _started_from(args.start_from, config)
    settings = replace(settings, rows_per_unit=shape.rows_per_unit)

    def stream(split: str, *, seed: int) -> ExampleStream:
        return ExampleStream(splits[split], split=split, seed=seed, settings=settings)

    try:
        result = train(
            "reconstruct", settings, stream, folder=args.model_save_path, resume=args.resume, network=network
        )
    except (FileExistsError, FloatingPointError, ValueError) as error:
        raise UserError(f"{error}.") from error
    logger.info(
        "%d steps, %d examples, best validation %s %.4f, %d parameters, %s", result.steps, result.samples,
        settings.monitor, result.best, sum(p.numel() for p in network.parameters()), result.best_weights,
    )  # fmt: skip
    write_learning_curves(args.model_save_path)
    _score_examples(result.best_weights, splits, out=args.model_save_path / EVALUATION, limit=None)


def _started_from(run: Path, config: ReconstructConfig) -> ReconstructNet:
    """Return the network of another run, to be trained further; InputError if it is of another shape."""
    from ecgstudio.nets.weights import read_network

    checkpoint = _checkpoint(run)
    network = read_network(checkpoint)
    if not isinstance(network, ReconstructNet) or network.config != config:
        raise InputError(f"{checkpoint} holds a network of another shape than the one to be trained.")
    return network.train().requires_grad_(True)


def validation_batches(checkpoint: Path, data: Path) -> tuple[ReconstructTraining, list[dict[str, Tensor]]]:
    """Return the settings of a trained network and the batches by which it was validated."""
    from training.reconstruct.stream import ExampleStream

    settings = _trained_settings(checkpoint)
    examples = open_examples(data, rows_per_unit=settings.rows_per_unit)["val"]
    return settings, list(ExampleStream(examples, split="val", seed=0, settings=settings))


def _evaluate(args: argparse.Namespace) -> None:
    checkpoint = _checkpoint(args.run)
    out = args.out or checkpoint.parent / EVALUATION
    if args.data is None and args.pages is None:
        raise UserError("Say what to evaluate on: --data FOLDER or --pages FOLDER.")
    if args.data is not None:
        splits = open_examples(args.data, rows_per_unit=_trained_settings(checkpoint).rows_per_unit)
        _score_examples(checkpoint, splits, out=out, limit=args.limit)
    if args.pages is not None:
        _score_pages(checkpoint, args, out=out)


def _checkpoint(run: Path) -> Path:
    from training.run_folder import BEST_FILE

    path = run / BEST_FILE if run.is_dir() else run
    if not path.is_file():
        raise InputError(f"There is no trained network at {path}.")
    return path


def _trained_settings(checkpoint: Path) -> ReconstructTraining:
    """Return the settings with which a network was trained."""
    from ecgstudio.nets.weights import read_header
    from training.configs import with_settings

    _, _, notes = read_header(checkpoint)
    told = dict(notes.get("training", {}))
    for name in ("crops", "gpus"):  # of the stages
        told.pop(name, None)
    try:
        return with_settings(ReconstructTraining(), told)
    except ValueError as error:
        raise InputError(f"{checkpoint} is no network for reconstruction: {error}.") from error


def _score_examples(checkpoint: Path, splits: Mapping[str, Examples], *, out: Path, limit: int | None) -> None:
    """Score a network on the test split, or else on val; write metrics.json, examples.csv and the plots."""
    from ecgstudio.nets.weights import read_network
    from training.reconstruct.evaluate import by_kind, mend, score, scores_csv, table, unhidden
    from training.reconstruct.plots import write_comparison, write_metrics

    split = "test" if "test" in splits else "val"
    examples, settings = splits[split], _trained_settings(checkpoint)
    network = read_network(checkpoint)
    if not isinstance(network, ReconstructNet):
        raise InputError(f"{checkpoint} is no network for reconstruction.")
    config = network.config
    if network_config(examples.shape, image_encoder=config.image_encoder, channels=config.channels) != config:
        raise InputError(f"{checkpoint} was trained on examples of another shape than these.")
    how = settings if examples.spoilt else unhidden(settings)
    scores, kept = [], []
    for number, mended in enumerate(mend(network, examples, how, limit=limit)):
        scores.append(score(mended))
        if number < COMPARED:
            kept.append(mended)
    groups = {"as given": by_kind(scores)}
    if not examples.spoilt:  # the same with spans hidden: what filling is worth
        hiding = replace(settings, hidden=1.0)
        groups["spans hidden"] = by_kind([score(each) for each in mend(network, examples, hiding, limit=limit)])
    about = {"checkpoint": str(checkpoint), "split": split, "examples": len(scores)}
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "metrics.json", json.dumps({"about": about, **groups}, indent=1) + "\n")
    write_text(out / "examples.csv", scores_csv(scores))
    write_comparison(kept[:: max(1, len(kept) // 6)], out, hz=examples.shape.hz)
    write_metrics(scores, groups["as given"], out)
    for name, rows in groups.items():
        sys.stdout.write(f"{split} split, {name}\n{table(rows)}")


def _score_pages(checkpoint: Path, args: argparse.Namespace, *, out: Path) -> None:
    from ecgstudio.nets.torch_runtime import load_runtime
    from training.evaluate import find_pages, spread
    from training.reconstruct.evaluate import table
    from training.reconstruct.page_effect import effect_table, page_effect, read_truth

    tasks = [task for task in find_pages(args.pages, split=args.split) if task.truth is not None]
    if not tasks:
        raise InputError(f"There are no pages with a truth in {args.pages}.")
    tasks = spread(tasks, limit=args.limit)
    cache = OutcomeCache(args.cache) if args.cache is not None else None
    with weights_with(checkpoint) as folder:
        runtime = load_runtime(args.device, folder)
        effects = []
        for task in tasks:
            truth_mv, fs = read_truth(task)
            effects.append(page_effect(task, truth_mv, fs, runtime=runtime, cache=cache))
            logger.info("%s: %.2f dB, then %.2f dB", task.name, *effects[-1].snr_db.values())
    rows = effect_table(effects)
    out.mkdir(parents=True, exist_ok=True)
    pages = [{"name": each.name, "tier": each.tier, **each.snr_db, "filled": each.filled} for each in effects]
    write_text(out / "pages.json", json.dumps({"tiers": rows, "pages": pages}, indent=1) + "\n")
    sys.stdout.write(table(rows, first="tier"))


@contextmanager
def weights_with(checkpoint: Path) -> Iterator[Path]:
    """Yield a folder of the bundled weights with this network for reconstruction among them."""
    from training.bundle import bundle

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(weights_folder(), folder, dirs_exist_ok=True)
        bundle(checkpoint, folder=folder)
        yield folder


def _pairs(args: argparse.Namespace) -> None:
    count = write_pairs(
        args.out, records=args.records, count=args.count, seed=args.seed, kind=args.kind, layout=args.layout
    )
    logger.info("%d pairs in %s", count, args.out)


def _crops(args: argparse.Namespace) -> None:
    from ecgstudio.nets.torch_runtime import load_runtime

    cache = OutcomeCache(args.cache) if args.cache is not None else None
    runtime = load_runtime(args.device, args.weights)
    count = write_crops(args.pages, args.out, runtime=runtime, cache=cache, limit=args.limit)
    logger.info("windows of %d pages in %s", count, args.out)
