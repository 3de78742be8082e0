"""What a training run of the reconstruction is made of, over what all runs share; no training happens here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgstudio.errors import InputError
from training.configs import TrainConfig, parse_setting, with_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructTraining(TrainConfig):
    """What ``--config`` (TOML) and ``--set name=value`` may set; the command's own options win.

    `steps`, `log_every` and `validate_every` follow from the epochs and the number of examples.
    """

    network: str = "reconstruct"
    image_encoder: str = "cnn"
    """"cnn" or "vit"."""
    rows_per_unit: float = 0.0
    """Pairs: pixels per millivolt if all pictures have the same, the zero line in the middle; 0: not known."""
    batch: int = 16
    epochs: int = 40
    patience: int = 10
    """Stop after so many epochs without a better one; 0 never stops."""
    workers: int = 1
    """Processes that decode pictures ahead of the network."""
    validation_examples: int = 512
    """At most so many, drawn once."""
    log_weight: float = 0.2
    """How much the logarithm of each example's noise counts beside the absolute error: small errors are errors, too."""
    hidden: float = 0.5
    """Share of the training examples in which spans of the series are made unreadable."""
    hidden_spans: int = 2
    """At most so many in an example."""
    hidden_share: float = 0.08
    """Longest such span, as a share of the series."""
    blotted: float = 0.5
    """Share of such spans in which the picture is covered, too."""
    noise_mv: float = 0.05
    """Pairs: largest standard deviation of white noise."""
    wander_mv: float = 0.2
    """Pairs: largest amplitude of a slow wander."""
    blur_s: float = 0.012
    """Pairs: largest standard deviation of a blur in time, which rounds apexes off."""


def settings_for(
    *, toml: Path | None = None, overrides: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> ReconstructTraining:
    """Build settings: the defaults, the TOML file, ``name=value`` overrides, then what the command's options give.

    Raises:
        InputError: an unknown name, a value of the wrong type or out of range, or a file that is no TOML.
    """
    values: dict[str, Any] = {}
    try:
        if toml is not None:
            values |= tomllib.loads(toml.read_text("utf-8"))
        for override in overrides:
            name, equals, text = override.partition("=")
            if not equals:
                raise ValueError(f"--set takes name=value, not {override!r}")
            values[name.strip()] = parse_setting(text.strip())
        values |= {name: value for name, value in (given or {}).items() if value is not None}
        settings = with_settings(ReconstructTraining(), values)
        for name in ("batch", "epochs", "learning_rate", "validation_examples"):
            if not getattr(settings, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(settings, name)}")
    except (OSError, ValueError) as error:
        raise InputError(f"The settings cannot be used: {error}.") from error
    return settings
