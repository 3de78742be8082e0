"""A classifier on disk: weights, what it needs to be built again, calibration; safetensors only, nothing is pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ecgstudio.errors import InputError
from training.classify.calibration import Calibration, uncalibrated
from training.classify.settings import ClassifySettings
from training.classify.zoo import Shapes, build
from training.configs import with_settings

BEST_FILE = "best.safetensors"
STATE_FILE = "last.safetensors"
BUNDLE_FILE = "fusion.safetensors"
"""The application's network alone, as ``ecgstudio.nets.weights.write_network`` writes it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that is needed to build a model again."""

    model: str
    classes: tuple[str, ...]
    shapes: Shapes
    settings: ClassifySettings

    def build(self) -> nn.Module:
        """Build the model with random weights; pretrained ones are not looked for again."""
        return build(self.model, with_settings(self.settings, {"pretrained": ""}), self.shapes, self.classes)

    def as_mapping(self) -> dict[str, Any]:
        """Return what goes into JSON."""
        return asdict(self) | {"shapes": {name: list(shape) for name, shape in self.shapes.items()}}


@dataclass(frozen=True, slots=True)
class Trained:
    """A classifier as it was kept: ready to answer, with its recipe, its calibration and notes."""

    network: nn.Module
    recipe: Recipe
    calibration: Calibration
    notes: Mapping[str, Any]


def write_trained(
    path: Path,
    network: nn.Module,
    recipe: Recipe,
    *,
    calibration: Calibration | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a classifier in one step."""
    header = {
        "recipe": json.dumps(recipe.as_mapping()),
        "calibration": json.dumps(asdict(calibration or uncalibrated(len(recipe.classes)))),
        "notes": json.dumps(dict(notes or {})),
    }
    _write(path, network.state_dict(), header)


def read_trained(path: Path) -> Trained:
    """Build the classifier of a checkpoint, in eval mode.

    Raises:
        InputError: the file is missing or was not made by ``write_trained``.
    """
    try:
        header = _header(path)
        parsed, calibration = json.loads(header["recipe"]), json.loads(header["calibration"])
        recipe = Recipe(
            parsed["model"],
            tuple(parsed["classes"]),
            {name: tuple(shape) for name, shape in parsed["shapes"].items()},
            with_settings(ClassifySettings(), parsed["settings"]),
        )
        network = recipe.build()
        network.load_state_dict(load_file(path))
        found = Calibration(tuple(calibration["temperature"]), tuple(calibration["threshold"]))
        return Trained(network.eval(), recipe, found, json.loads(header["notes"]))
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{path} is not a classifier of ECG Studio: {error}") from error


def write_state(
    folder: Path, networks: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, progress: Mapping[str, Any]
) -> None:
    """Write everything that is needed to go on exactly after this epoch."""
    tensors = {f"{name}/{key}": value for name, network in networks.items() for key, value in _tensors(network)}
    state = optimizer.state_dict()
    for index, moments in state["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    _write(
        folder / STATE_FILE, tensors, {"groups": json.dumps(state["param_groups"]), "progress": json.dumps(progress)}
    )


def read_state(folder: Path, networks: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put a saved state back and return its progress.

    Raises:
        InputError: the file does not belong to these networks.
    """
    path = folder / STATE_FILE
    try:
        header, tensors = _header(path), load_file(path)
        for name, network in networks.items():
            prefix = f"{name}/"
            network.load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, *rest = key.split("/")
            if kind == "optimizer":
                moments.setdefault(int(rest[0]), {})[rest[1]] = value
        optimizer.load_state_dict({"state": moments, "param_groups": json.loads(header["groups"])})
        return dict(json.loads(header["progress"]))
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be resumed: {error}") from error


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return list(network.state_dict().items())


def _header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _write(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str]) -> None:
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(save(plain, metadata=header))
    os.replace(temporary, path)
