"""``python -m training bundle``: turn a stage's checkpoint into the weights that ECG Studio ships."""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from torch import Tensor

from ecgstudio.errors import UserError
from ecgstudio.nets.fusion_net import FusionNet
from ecgstudio.nets.weights import (
    MANIFEST_NAME,
    RECONSTRUCT,
    Manifest,
    WeightsEntry,
    read_header,
    read_manifest,
    read_network,
    write_manifest,
    write_network,
)
from training.configs import TrainConfig, config_for
from training.loop import validate

logger = logging.getLogger(__name__)

INPUTS = {
    "keypoint": "RGB/255-0.5, sides multiples of 32: the page with its long side at 448 px, or upright at 5 px/mm",
    "name": "darkest of RGB around a printed name, 48 x 96 at 7 px/mm, zero mean, unit spread",
    "text": "darkest of RGB around a printed text, 32 x 160 at 6 px/mm, zero mean, unit spread",
    "fusion": "mV at 100 Hz less each lead's median, 12 x 1000, beside it a mask; age, sex as fusion_input codes them",
    "grid": "RGB/255-0.5, sides multiples of 32, upright at 5 px/mm",
    "reconstruct": "windows of strips as for trace, 384 x 512; beside them height as read, read or not, confidence",
    "trace": "max and min of RGB, /255, less the mean of the max, over 0.25; 8 px/mm; multiples of 32 x 16",
}
SAMPLES = {"fusion": "views of records"}
"""What a network learned from where it was not crops of pages."""
TRAINING_DATA = "Pages rendered by training.synth"
LICENCE = "Apache-2.0"
HALF_TOLERANCE = 1e-3
"""Relative change of the validation loss up to which weights are stored as float16."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training bundle``."""
    parser.add_argument("checkpoint", type=Path, help="such as runs/stage2/best.safetensors")
    parser.add_argument("--out", type=Path, default=Path("resources/weights"), help="default: resources/weights")
    parser.add_argument(
        "--data", type=Path,
        help="rendered pages (for the reconstruction: windows or pairs) to measure on; allows float16 storage",
    )  # fmt: skip
    parser.add_argument("--training-data", default=TRAINING_DATA, help="what the network was trained on")
    parser.add_argument("--licence", default=LICENCE, help="licence of the weights")


def main(args: argparse.Namespace) -> int:
    """Bundle one checkpoint; return the exit code. Raises UserError if it or the data make no sense."""
    try:
        entry = bundle(
            args.checkpoint,
            folder=args.out,
            data=args.data,
            training_data=args.training_data,
            licence=args.licence,
        )
    except OSError as error:
        raise UserError(f"{args.out} cannot be written: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    size_mb = (args.out / entry.file).stat().st_size / 1e6
    logger.info("%s: %.1f MB, sha256 %s", args.out / entry.file, size_mb, entry.sha256)
    return 0


def bundle(
    checkpoint: Path,
    *,
    folder: Path,
    data: Path | None = None,
    training_data: str = TRAINING_DATA,
    licence: str = LICENCE,
) -> WeightsEntry:
    """Write a checkpoint's weights and their manifest entry into a folder of weights.

    With ``data`` (rendered pages; for the reconstruction windows or pairs) the metrics are measured on its validation
    split, and the weights are stored as float16 if that does not change the loss; otherwise float32 and the metrics of
    the checkpoint are kept.

    Raises:
        UserError: the checkpoint or the folder's manifest is damaged.
    """
    name, config, notes = read_header(checkpoint)
    stage = str(notes["stage"])
    metrics = {key: float(value) for key, value in notes["metrics"].items()}
    half = False
    network = read_network(checkpoint)
    if isinstance(network, FusionNet):
        _check_classifier(network, checkpoint, data)
    elif data is not None:
        metrics, half = _measure(checkpoint, stage, data)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stage}.safetensors"
    write_network(path, network, notes={"stage": stage}, half=half)
    entry = WeightsEntry(
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        network=name,
        config=config,
        input=INPUTS[name],
        training_data=f"{training_data}; {notes['samples']} {SAMPLES.get(name, 'crops')}",
        licence=licence,
        metrics={key: round(value, 5) for key, value in metrics.items()},
        created=datetime.now(UTC).date().isoformat(),
    )
    entries = dict(read_manifest(folder).entries) if (folder / MANIFEST_NAME).exists() else {}
    write_manifest(Manifest(folder, {**entries, name: entry}))
    return entry


def _check_classifier(network: FusionNet, checkpoint: Path, data: Path | None) -> None:
    """Refuse a classifier whose probabilities mean nothing; its figures come from ``classify evaluate``, not pages."""
    if data is not None:
        raise UserError("A classifier is measured by `classify evaluate`; bundle it without --data.")
    if bool((network.temperature == 1).all()) and bool((network.threshold == 0.5).all()):
        raise UserError(f"{checkpoint} was never calibrated; `classify train` does so when it ends.")


def _measure(checkpoint: Path, stage: str, data: Path) -> tuple[dict[str, float], bool]:
    """Return the validation metrics and whether float16 leaves the loss as it is."""
    config, batches = _validation(checkpoint, stage, data)
    full = validate(read_network(checkpoint), batches, config)
    with tempfile.TemporaryDirectory() as scratch:
        rounded = Path(scratch) / "half.safetensors"
        write_network(rounded, read_network(checkpoint), notes={}, half=True)
        halved = validate(read_network(rounded), batches, config)
    change = abs(halved["loss"] - full["loss"]) / max(abs(full["loss"]), 1e-9)
    logger.info("float16 changes the loss by %.2g of %.4f", change, full["loss"])
    return (halved, True) if change <= HALF_TOLERANCE else (full, False)


def _validation(checkpoint: Path, stage: str, data: Path) -> tuple[TrainConfig, list[dict[str, Tensor]]]:
    """Return what a network is validated on, as when it was trained."""
    if stage == RECONSTRUCT:
        from training.reconstruct.command import validation_batches

        return validation_batches(checkpoint, data)
    from training.datasets import make_dataset  # heavy, and not needed without data

    config = config_for(stage)
    drawn = make_dataset(stage, data, split="val", seed=0, config=config)
    return config, list(islice(drawn, config.validation_batches))
