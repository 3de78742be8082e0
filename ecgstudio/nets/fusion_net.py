"""The classifier of the application: a 1-D residual network over twelve leads and their mask, with age and sex.

It is xresnet1d (He et al. 2018; Strodthoff et al. 2020 found it among the best for PTB-XL) made narrow enough for
a CPU. What is not printed is zero in the signal and in the mask. No training happens here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecgstudio.stages.fusion_input import CLINICAL_SIZE

CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Shape of the network."""

    classes: tuple[str, ...] = CLASSES
    leads: int = 12
    stem: int = 32
    channels: tuple[int, ...] = (48, 64, 96, 128)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    kernel: int = 5
    clinical: int = 16
    hidden: int = 128
    dropout: float = 0.3


def conv_norm_1d(channels_in: int, channels_out: int, *, kernel: int, stride: int = 1) -> nn.Sequential:
    """Build a same-padded 1-D convolution with batch normalisation."""
    conv = nn.Conv1d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(channels_out))


class Residual1d(nn.Module):
    """Two convolutions beside an average-pooled shortcut."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.first = conv_norm_1d(channels_in, channels_out, kernel=kernel, stride=stride)
        self.second = conv_norm_1d(channels_out, channels_out, kernel=kernel)
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]  # a new block is its shortcut
        pool = nn.AvgPool1d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        same = channels_in == channels_out
        self.shortcut = nn.Sequential(pool, *([] if same else conv_norm_1d(channels_in, channels_out, kernel=1)))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + residual(x))."""
        result: Tensor = self.relu(self.shortcut(x) + self.second(self.relu(self.first(x))))
        return result


class FusionNet(nn.Module):
    """Answer one logit per class for signals in mV, their mask, and age and sex as `fusion_input` codes them."""

    def __init__(self, config: FusionConfig = FusionConfig()) -> None:
        super().__init__()
        self.config = config
        stem, kernel = config.stem, config.kernel
        layers: list[nn.Module] = []
        for source, width, stride in ((2 * config.leads, stem, 2), (stem, stem, 1), (stem, 2 * stem, 1)):
            layers += [conv_norm_1d(source, width, kernel=kernel, stride=stride), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*layers, nn.MaxPool1d(3, stride=2, padding=1))
        blocks: list[nn.Module] = []
        previous = 2 * stem
        for level, (width, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
            for block in range(depth):
                blocks.append(Residual1d(previous, width, kernel=kernel, stride=2 if level and not block else 1))
                previous = width
        self.blocks = nn.Sequential(*blocks)
        self.clinical = nn.Sequential(nn.Linear(CLINICAL_SIZE, config.clinical), nn.ReLU(inplace=True))
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * previous),
            nn.Dropout(config.dropout),
        )
        self.joint = nn.Sequential(
            nn.Linear(2 * previous + config.clinical, config.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout / 2),
        )
        self.answer = nn.Linear(config.hidden, len(config.classes))
        self.temperature: Tensor
        self.threshold: Tensor
        self.register_buffer("temperature", torch.ones(len(config.classes)))
        self.register_buffer("threshold", torch.full((len(config.classes),), 0.5))

    def forward(self, signal: Tensor, mask: Tensor, clinical: Tensor) -> Tensor:
        """Take [B,12,n], [B,12,n] and [B,4]; return logits [B,classes], not yet calibrated."""
        logits: Tensor = self.answer(self.features(signal, mask, clinical))
        return logits

    def features(self, signal: Tensor, mask: Tensor, clinical: Tensor) -> Tensor:
        """Return what signal and patient say together, [B,hidden]: the last layer's input."""
        x = self.blocks(self.stem(torch.cat([signal, mask], 1)))
        pooled = self.head(torch.cat([x.mean(-1), x.amax(-1)], 1))
        joint: Tensor = self.joint(torch.cat([pooled, self.clinical(clinical)], 1))
        return joint

    def probabilities(self, logits: Tensor) -> Tensor:
        """Turn logits into probabilities by the temperatures found on validation records."""
        return torch.sigmoid(logits / self.temperature)
