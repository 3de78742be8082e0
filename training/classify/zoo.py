"""Every model as a row: which encoders look at what, and where its defaults differ; the encoders are elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from ecgstudio.errors import InputError
from ecgstudio.nets.fusion_net import FusionConfig, FusionNet
from training.classify.recurrent import DenseEncoder, RecurrentEncoder
from training.classify.settings import ClassifySettings
from training.classify.vision import AlexNet, ResNet18, Vgg, load_pretrained

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Size of one example of each modality: {"signal": (12, 1000), "gaf": (3, 64, 64)}."""
IMAGES: Mapping[str, tuple[str, ...]] = {"gaf": ("gaf",), "mtf": ("mtf",), "both": ("gaf", "mtf")}


class Encoder(Protocol):
    """A module that turns its input into [B, features]."""

    features: int

    def __call__(self, x: Tensor) -> Tensor:
        """Return the features of a batch."""
        ...


Make = Callable[[Shape, ClassifySettings], nn.Module]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model: its encoders by what they look at ("signal", "images", "strip", "series", "clinical"), its defaults."""

    family: str
    """ "signal", "image", "joint", "clinical" or "fusion"."""
    summary: str
    encoders: Mapping[str, Make] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def modalities(self, settings: ClassifySettings) -> tuple[str, ...]:
        """Return the arrays that the data must have."""
        if self.family == "fusion":
            return ("signal", "clinical")
        return tuple(name for looked_at in self.encoders for name in _names(looked_at, settings))


class Classifier(nn.Module):
    """Encode each modality, concatenate the features, and answer by fully connected layers."""

    def __init__(
        self, encoders: Mapping[str, tuple[tuple[str, ...], nn.Module]], classes: int, *, dropout: float
    ) -> None:
        """Take for each encoder the names of the modalities that it looks at, joined along the channels."""
        super().__init__()
        self.looks_at = {name: names for name, (names, _) in encoders.items()}
        self.encoders = nn.ModuleDict({name: encoder for name, (_, encoder) in encoders.items()})
        features = sum(cast(Encoder, encoder).features for _, encoder in encoders.values())
        joint = [nn.Linear(features, features // 2), nn.ReLU(inplace=True)] if len(encoders) > 1 else []
        last = features // 2 if joint else features
        self.head = nn.Sequential(*joint, nn.Dropout(dropout), nn.Linear(last, classes))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits [B, classes]."""
        parts = []
        for name, encoder in self.encoders.items():
            seen = [inputs[each] for each in self.looks_at[name]]
            parts.append(encoder(seen[0] if len(seen) == 1 else torch.cat(seen, 1)))
        logits: Tensor = self.head(torch.cat(parts, 1))
        return logits


class FusionClassifier(nn.Module):
    """The application's network behind the door that all models here have."""

    def __init__(self, classes: tuple[str, ...], *, leads: int, statements: int = 0) -> None:
        super().__init__()
        self.net = FusionNet(FusionConfig(classes=classes, leads=leads))
        self.statements = nn.Linear(self.net.config.hidden, statements) if statements else None

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits [B, classes]."""
        logits: Tensor = self.net(inputs["signal"], inputs["mask"], inputs["clinical"])
        return logits

    def with_statements(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits [B, classes] and [B, statements], for training: the second task shapes the features."""
        if self.statements is None:
            raise ValueError("this network was built without statements")
        features = self.net.features(inputs["signal"], inputs["mask"], inputs["clinical"])
        return self.net.answer(features), self.statements(features)


def _recurrent(cell: str, *, two_ways: bool = False, attention: bool = False, convolutions: bool = False) -> Make:
    def make(shape: Shape, settings: ClassifySettings) -> nn.Module:
        return RecurrentEncoder(
            shape[0],
            cell=cell,  # type: ignore[arg-type]
            bidirectional=two_ways,
            attention=attention,
            convolutions=convolutions,
            hidden=settings.hidden,
            layers=settings.layers,
            dropout=settings.dropout,
            fold=settings.fold,
        )

    return make


def _alexnet(attention: str = "none") -> Make:
    def make(shape: Shape, settings: ClassifySettings) -> nn.Module:
        return AlexNet(
            shape[0], size=min(shape[1:]), width=settings.width, dropout=settings.dropout, attention=attention
        )

    return make


def _vgg(shape: Shape, settings: ClassifySettings) -> nn.Module:
    return Vgg(shape[0], size=min(shape[1:]), width=settings.width, dropout=settings.dropout)


def _resnet(shape: Shape, settings: ClassifySettings) -> nn.Module:
    encoder = ResNet18(shape[0], size=min(shape[1:]), width=settings.width)
    if settings.pretrained:
        load_pretrained(encoder, Path(settings.pretrained))
    return encoder


def _dense(shape: Shape, settings: ClassifySettings) -> nn.Module:
    values = int(torch.Size(shape).numel())
    wide = settings.hidden if values > settings.hidden else max(8, settings.hidden // 4)
    return DenseEncoder(values, hidden=(wide, wide), dropout=settings.dropout)


_BIGRU = _recurrent("gru", two_ways=True, attention=True)
_ATTENTIVE = {"channel": "channel", "spatial": "spatial", "cbam": "channel and spatial (CBAM)", "self": "self-"}

ZOO: Mapping[str, ModelSpec] = MappingProxyType(
    {
        "gru": ModelSpec("signal", "GRU", {"signal": _recurrent("gru")}),
        "bigru": ModelSpec("signal", "bidirectional GRU", {"signal": _recurrent("gru", two_ways=True)}),
        "lstm": ModelSpec("signal", "LSTM", {"signal": _recurrent("lstm")}),
        "bilstm": ModelSpec("signal", "bidirectional LSTM", {"signal": _recurrent("lstm", two_ways=True)}),
        "bigru_attention": ModelSpec("signal", "bidirectional GRU with attention over time", {"signal": _BIGRU}),
        "cnn_bigru_attention": ModelSpec(
            "signal", "1-D convolutions, bidirectional GRU, attention",
            {"signal": _recurrent("gru", two_ways=True, attention=True, convolutions=True)},
        ),
        "cnn_bilstm_attention": ModelSpec(
            "signal", "1-D convolutions, bidirectional LSTM, attention",
            {"signal": _recurrent("lstm", two_ways=True, attention=True, convolutions=True)},
        ),
        "alexnet": ModelSpec("image", "AlexNet", {"images": _alexnet()}),
        "vgg": ModelSpec("image", "VGG-11", {"images": _vgg}),
        "resnet": ModelSpec("image", "ResNet 2-2-2-2", {"images": _resnet}),
    }
    | {
        f"alexnet_{name}": ModelSpec("image", f"AlexNet with {text} attention", {"images": _alexnet(name)})
        for name, text in _ATTENTIVE.items()
    }
    | {
        "joint_fusion": ModelSpec(
            "joint", "bidirectional GRU with attention beside ResNet 2-2-2-2",
            {"signal": _BIGRU, "images": _resnet}, {"image": "both"},
        ),
        "clinical_fusion": ModelSpec(
            "clinical", "normal or abnormal: ResNet18 on a lead strip, MLP on the series, MLP on clinical values",
            {"strip": _resnet, "series": _dense, "clinical": _dense},
        ),
        "fusion": ModelSpec(
            "fusion", "the application's classifier: xresnet1d with mask, age and sex, trained on views of paper",
            defaults={
                "optimizer": "adamw", "schedule": "one-cycle", "learning_rate": 4e-3, "weight_decay": 0.03,
                "batch": 64, "epochs": 30, "patience": 0, "monitor": "auc", "smoothing": 0.05, "mixup": 0.3,
                "ema": 0.995, "paper": 0.6, "unknown": 0.15, "statements": 1.0,
            },
        ),
    }
)  # fmt: skip
"""Models by name, in the order in which tables list them."""
FIVE_CLASS_MODELS = tuple(name for name, spec in ZOO.items() if spec.family != "clinical")


def build(name: str, settings: ClassifySettings, shapes: Shapes, classes: tuple[str, ...]) -> nn.Module:
    """Build a model with random weights for examples of these shapes.

    Raises:
        InputError: the data lack a modality that the model looks at.
    """
    spec = ZOO[name]
    missing = [each for each in spec.modalities(settings) if each not in shapes]
    if missing:
        raise InputError(f"The model {name} needs {', '.join(missing)}, which the data do not have.")
    if spec.family == "fusion":
        statements = shapes["statements"][0] if settings.statements and "statements" in shapes else 0
        return FusionClassifier(classes, leads=shapes["signal"][0], statements=statements)
    encoders = {}
    for looked_at, make in spec.encoders.items():
        names = _names(looked_at, settings)
        channels = sum(shapes[each][0] for each in names)
        encoders[looked_at] = (names, make((channels, *shapes[names[0]][1:]), settings))
    return Classifier(encoders, len(classes), dropout=settings.dropout)


def _names(looked_at: str, settings: ClassifySettings) -> tuple[str, ...]:
    if looked_at != "images":
        return (looked_at,)
    try:
        return IMAGES[settings.image]
    except KeyError:
        raise InputError(f"image must be one of {', '.join(IMAGES)}, not {settings.image!r}.") from None
