"""The name reader of stage 0: which lead name, if any, is printed in the middle of a small upright crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from ecgstudio.nets import blocks

NAME_CLASSES = 13


@dataclass(frozen=True, slots=True)
class NameConfig:
    """What is needed to build a name reader again."""

    encoder: str = "compact"
    channels: tuple[int, ...] = (24, 40, 64, 96)


class NameLogits(NamedTuple):
    """Raw answers for crops [B,1,48,96]."""

    names: Tensor
    """[B,13]: no lead name, then the 12 leads."""


class NameNet(nn.Module):
    """A small classifier: its receptive field is the whole crop."""

    def __init__(self, config: NameConfig) -> None:
        """Build with random weights."""
        super().__init__()
        if config.encoder != "compact":
            raise ValueError(f"the name reader has only the compact encoder, not {config.encoder!r}")
        self.config = config
        self.features = blocks.reader_features(config.channels)
        # what stands where matters ("aVR" is not "RVa"): the columns are kept until the last layer
        answer = nn.Linear(12 * config.channels[-1], NAME_CLASSES)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d((2, 6)), nn.Flatten(), nn.Dropout(0.2), answer)
        blocks.initialise(self)

    def forward(self, crops: Tensor) -> NameLogits:
        """Answer for normalised crops [B,1,48,96]."""
        return NameLogits(self.head(self.features(crops)))
