"""The text reader of stage 0: which paper speed or gain, if any, is printed in the middle of a small upright crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from ecgstudio.nets import blocks
from ecgstudio.nets.precision import in_full

TEXT_CLASSES = 6


@dataclass(frozen=True, slots=True)
class TextConfig:
    """What is needed to build a text reader again."""

    encoder: str = "compact"
    channels: tuple[int, ...] = (16, 24, 40, 64)


class TextLogits(NamedTuple):
    """Raw answers for crops [B,1,32,160]."""

    texts: Tensor
    """[B,6]: no scale text, then those of `SCALE_TEXTS`."""


class TextNet(nn.Module):
    """A small classifier: its receptive field is nearly the whole crop."""

    def __init__(self, config: TextConfig) -> None:
        """Build with random weights."""
        super().__init__()
        if config.encoder != "compact":
            raise ValueError(f"the text reader has only the compact encoder, not {config.encoder!r}")
        self.config = config
        self.features = blocks.reader_features(config.channels)
        # which text stands in the middle matters, and in what order its figures stand: all columns are kept
        answer = nn.Linear(20 * config.channels[-1], TEXT_CLASSES)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d((2, 10)), nn.Flatten(), nn.Dropout(0.2), answer)
        blocks.initialise(self)

    def forward(self, crops: Tensor) -> TextLogits:
        """Answer for normalised crops [B,1,32,160]."""
        features = self.features(crops)
        with in_full(features.device):
            return TextLogits(self.head(features.float()))
