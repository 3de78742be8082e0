"""What a training run is made of: one base configuration and one per stage; no training happens here.

Values are overridden by a TOML file (``--config``) and then by ``--set name=value``, in that order.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, slots=True)
class CropPlan:
    """One kind of training batch: crop size in pixels, crops per batch, and its share of all batches."""

    height: int
    width: int
    batch: int
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The settings every stage shares."""

    network: str = ""
    """"keypoint", "name", "text", "grid" or "trace"."""
    encoder: str = "compact"
    """"compact", "resnet18d", "resnet34" or "resnet34d"."""
    channels: tuple[int, ...] = ()
    """Widths of the compact encoder's levels, finest first; none given: the network's own default."""
    crops: tuple[CropPlan, ...] = ()
    """For the data set: which batches it makes."""
    flip_x: float = 0.5
    flip_y: float = 0.3
    seed: int = 0

    steps: int = 20_000
    """Length of the run in optimizer steps; ``minutes`` wins when it is positive."""
    minutes: float = 0.0
    """Length of the run in minutes of wall clock, interruptions not counted."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    constant_until: float = 0.4
    """Part of the run after which the cosine to 0 begins; only its end shows what a run is worth."""
    clip_norm: float = 2.0
    accumulate: int = 1
    ema_decay: float = 0.998

    device: str = "auto"
    """"auto", "cpu", "mps", "cuda" or one GPU such as "cuda:1"; under torchrun "auto" and "cuda" are LOCAL_RANK's."""
    gpus: tuple[int, ...] = ()
    """Numbers of the GPUs to use: under torchrun process k takes the k-th, alone the first; none given: ``device``."""
    mixed_precision: bool = True
    """bfloat16 where the hardware multiplies it: on CUDA, and on CPUs with AMX tiles."""
    compile: bool = False
    """Let torch compile the network, which needs a C++ compiler: a fifth faster on CPUs, after half a minute."""
    threads: int = 1
    """CPU threads of torch: two 1-thread runs side by side beat one 2-thread run."""
    workers: int = 0
    """Loader processes."""

    log_every: int = 50
    validate_every: int = 1000
    validation_batches: int = 12
    checkpoint_minutes: float = 2.5
    monitor: str = "loss"
    """Validation value that chooses the best checkpoint and stops early; lower is better."""
    patience: int = 20
    """Stop after so many validations without a better one; 0 never stops."""
    tensorboard: bool = True
    detect_anomaly: bool = False
    """Name the operation that made a NaN; about twice as slow."""
    overfit_batches: int = 0
    """Learn, and validate on, so many batches only: a network that cannot learn two by heart has a bug."""
    start_from: str = ""
    """A .safetensors checkpoint whose weights the run begins with; a narrower network is widened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointTraining(TrainConfig):
    """Stage 0: lead labels, orientation, paper geometry."""

    network: str = "keypoint"
    crops: tuple[CropPlan, ...] = (CropPlan(512, 512, 8, 0.7), CropPlan(768, 768, 4, 0.3))
    learning_rate: float = 1.5e-3
    labels_weight: float = 1.0
    label_background_weight: float = 0.2
    label_focal_gamma: float = 1.0
    orientation_weight: float = 0.3
    geometry_weight: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTraining(TrainConfig):
    """Stage 1: grid nodes, lines and phase, lead axes."""

    network: str = "grid"
    crops: tuple[CropPlan, ...] = (CropPlan(384, 384, 12),)
    points_weight: float = 1.0
    points_positive: float = 8.0
    phase_weight: float = 4.0
    lines_weight: float = 0.5
    lines_positive: float = 3.0
    axis_weight: float = 0.5
    axis_positive: float = 4.0
    ink_weight: float = 0.5
    ink_positive: float = 2.0
    edge_weight: float = 0.3
    edge_positive: float = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTraining(TrainConfig):
    """Stage 2: the height of the own trace per half column."""

    network: str = "trace"
    crops: tuple[CropPlan, ...] = (CropPlan(320, 384, 12, 0.7), CropPlan(480, 384, 8, 0.3))
    crowded: float = 0.0
    """Share of the crops that lie where a row's trace meets another row's, if it does."""
    sigma_px: float = 1.1
    sigma_per_slope: float = 0.3
    sigma_max_px: float = 6.0
    presence_weight: float = 0.3
    boundary_weight: float = 0.1
    boundary_positive: float = 5.0
    segmentation_weight: float = 0.2
    height_weight: float = 0.0
    """Smooth-L1 between the expected and the true height, once ``height_from`` of the run has passed."""
    height_from: float = 0.4
    height_window_px: float = 20.0
    height_beta_px: float = 1.0
    """Up to this error the height's loss is its square: 1 makes most columns count alike, more is nearer to an SNR."""
    steep_weight: float = 0.0
    """How much more a column counts per row that its trace climbs in it: QRS complexes are most of the error."""
    steepest_px: float = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTraining(TrainConfig):
    """Stage 0's name reader: which lead name is in a crop."""

    network: str = "name"
    crops: tuple[CropPlan, ...] = (CropPlan(48, 96, 192),)
    smoothing: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTraining(TrainConfig):
    """Stage 0's text reader: which paper speed or gain is printed in a crop."""

    network: str = "text"
    crops: tuple[CropPlan, ...] = (CropPlan(32, 160, 192),)
    validate_every: int = 250
    smoothing: float = 0.02


STAGES: Mapping[str, type[TrainConfig]] = {
    "stage0": KeypointTraining,
    "names": NameTraining,
    "texts": TextTraining,
    "stage1": GridTraining,
    "stage2": TraceTraining,
}


WHOLE_NUMBERS = ("channels", "gpus")
"""Settings that take a list of whole numbers."""


def config_for(stage: str, *, toml: Path | None = None, overrides: Sequence[str] = ()) -> TrainConfig:
    """Build a stage's configuration: its defaults, then the TOML file, then ``name=value`` overrides.

    The TOML file's top level applies to every stage, its tables ``[stage0]`` and so on to one.

    Raises:
        ValueError: an unknown name, or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if toml is not None:
        parsed = tomllib.loads(toml.read_text("utf-8"))
        values |= {name: value for name, value in parsed.items() if name not in STAGES}
        values |= parsed.get(stage, {})
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ValueError(f"--set takes name=value, not {override!r}")
        values[name.strip()] = parse_setting(text.strip())
    return with_settings(STAGES[stage](), values)


def config_as_mapping(config: TrainConfig) -> dict[str, Any]:
    """Return plain numbers, strings, lists and dicts, fit for JSON."""
    plain = asdict(config)
    plain["crops"] = [asdict(crop) for crop in config.crops]
    return plain


def parse_setting(text: str) -> object:
    """Read a value as TOML would; what is none is taken as a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def with_settings(config: ConfigT, values: Mapping[str, Any]) -> ConfigT:
    """Return a configuration with these values in the place of its own.

    Raises:
        ValueError: an unknown name, or a value of the wrong type.
    """
    known = {entry.name: getattr(config, entry.name) for entry in fields(config)}  # type: ignore[arg-type]
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{type(config).__name__} has no setting {name!r}")
        if name in WHOLE_NUMBERS and isinstance(value, list) and all(type(item) is int for item in value):
            value = tuple(value)
        checked[name] = _crops(value) if name == "crops" else _matching(name, value, known[name])
    return replace(config, **checked)  # type: ignore[type-var]


def _crops(value: object) -> tuple[CropPlan, ...]:
    """Read [[height, width, batch, share], ...] or a list of tables."""
    if not isinstance(value, list):
        raise ValueError("crops takes a list such as [[320, 384, 12, 0.7]]")
    return tuple(CropPlan(**entry) if isinstance(entry, dict) else CropPlan(*entry) for entry in value)


def _matching(name: str, value: object, default: object) -> object:
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        wanted = "list of whole numbers" if name in WHOLE_NUMBERS else type(default).__name__
        raise ValueError(f"{name} takes a {wanted}, not {value!r}")
    return value
