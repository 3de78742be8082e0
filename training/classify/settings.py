"""All that a classification run is made of, in one place: paths, sizes, hyperparameters, device; no training here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgstudio.errors import InputError
from training.configs import parse_setting, with_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySettings:
    """What ``--config`` (TOML) and ``--set name=value`` may set; a model's row in the zoo has its own defaults."""

    records: str = ""
    """Folder of PTB-XL, of record packs, or of the tree signals/ images/ labels/."""
    images: str = ""
    """Normal or abnormal: folder of lead strips (INDEX.png), 2500x250."""
    series: str = ""
    """Normal or abnormal: CSV of digitized series, a row per index."""
    clinical: str = ""
    """Normal or abnormal: XLSX or CSV of age, sex, blood pressure ..., with an index column."""
    labels: str = ""
    """Normal or abnormal: XLSX or CSV of index and label."""
    index: str = "index"
    label: str = "label"
    series_hz: float = 0.0
    """Normal or abnormal: the rate that the series' time columns must show; 0: any."""
    unmatched: str = "drop"
    """Normal or abnormal: rows that a modality lacks: "drop" or "error"."""
    missing: str = "error"
    """Normal or abnormal: cells without a value: "error", or "drop" their rows."""
    cache: str = ""
    """Folder for what is slow to compute (records at 100 Hz, GAF and MTF); none given: RUNS/cache."""
    pretrained: str = ""
    """State dict of a torchvision ResNet18 (.pth or .safetensors) with which the strip encoder begins."""

    hidden: int = 128
    layers: int = 2
    dropout: float = 0.3
    fold: int = 4
    """Samples that a recurrent network takes at one step; the full size is 1."""
    image: str = "gaf"
    """Which images an image model looks at: "gaf", "mtf" or "both"."""
    image_size: int = 64
    """Side in pixels; the full size is 224."""
    width: float = 0.25
    """Part of an image network's published channels; the full size is 1."""
    strip_width: int = 500
    strip_height: int = 50
    """Of a lead strip; the full size is 2500 x 250."""

    batch: int = 32
    epochs: int = 50
    minutes: float = 0.0
    """End after the epoch in which so much time is used up; 0: never. It also shortens the one-cycle schedule."""
    optimizer: str = "adam"
    """ "adam" or "adamw"."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "plateau"
    """ "plateau": halved when the validation loss stands still; "one-cycle": up, then down to 0 at the end."""
    plateau_factor: float = 0.5
    plateau_patience: int = 2
    patience: int = 5
    """Stop after so many epochs without a better one; 0: never."""
    monitor: str = "loss"
    """What the best checkpoint is chosen by, on the validation split: "loss" (low) or "auc" (high)."""
    clip_norm: float = 5.0
    smoothing: float = 0.0
    mixup: float = 0.0
    """Parameter of the beta distribution from which the share of a second example is drawn; 0: none."""
    ema: float = 0.0
    """Decay per step of the averaged weights that are kept; 0: none."""
    paper: float = 0.0
    """Share of the training records shown as a page would show them."""
    statements: float = 0.0
    """Weight of the SCP-ECG statements as a second task beside the classes, where they are known; 0: not asked."""
    unknown: float = 0.0
    """Share of training records whose age or sex is hidden."""

    seed: int = 0
    device: str = "auto"
    threads: int = 1
    tensorboard: bool = True


FULL_SIZE: Mapping[str, Any] = {
    "image_size": 224, "width": 1.0, "fold": 1, "strip_width": 2500, "strip_height": 250,
}  # fmt: skip
"""The published sizes, for a GPU: ``--full``."""


def settings_for(
    defaults: Mapping[str, Any],
    *,
    table: str = "",
    toml: Path | None = None,
    full: bool = False,
    overrides: Sequence[str] = (),
) -> ClassifySettings:
    """Build settings: a model's defaults, full sizes if asked for, the TOML file's top level and `table`, overrides.

    Raises:
        InputError: an unknown name, a value of the wrong type, or a file that is no TOML.
    """
    values = dict(defaults) | (dict(FULL_SIZE) if full else {})
    try:
        if toml is not None:
            parsed = tomllib.loads(toml.read_text("utf-8"))
            values |= {name: value for name, value in parsed.items() if not isinstance(value, dict)}
            values |= parsed.get(table, {})
        for override in overrides:
            name, equals, text = override.partition("=")
            if not equals:
                raise ValueError(f"--set takes name=value, not {override!r}")
            values[name.strip()] = parse_setting(text.strip())
        return with_settings(ClassifySettings(), values)
    except (OSError, ValueError) as error:
        raise InputError(f"The settings cannot be used: {error}.") from error
