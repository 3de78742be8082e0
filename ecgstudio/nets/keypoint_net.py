"""The stage-0 network: which lead names are where, which way is up, where and how large the paper is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ecgstudio.nets import blocks
from ecgstudio.nets.precision import in_full

LABEL_CLASSES = 19
ORIENTATIONS = 8
GEOMETRY_CHANNELS = 4
BACKGROUND_LOGIT = 4.0
"""Label cells are rare: starting from a background prior spares the first steps of unlearning."""


@dataclass(frozen=True, slots=True)
class KeypointConfig:
    """What is needed to build a keypoint network again."""

    encoder: str = "compact"
    channels: tuple[int, ...] = (24, 48, 72, 96, 128)
    depths: tuple[int, ...] = (2, 3, 2, 2, 2)
    label_channels: int = 48
    orientation_hidden: int = 64


class KeypointLogits(NamedTuple):
    """Raw answers for images [B,3,H,W]."""

    labels: Tensor
    """[B,19,H/4,W/4]: background, the 12 leads, the 6 markers."""
    orientation: Tensor
    """[B,8]: see the page frame; 0-3 quarter turns, +4 mirrored."""
    geometry: Tensor
    """[B,4,H/32,W/32]: paper logit, log2 of px per mm, cos and sin of four times the angle."""


class KeypointNet(nn.Module):
    """U-Net over a whole page or a crop of it; height and width multiples of 32."""

    def __init__(self, config: KeypointConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        self.encoder: blocks.CompactEncoder | blocks.ResNetEncoder
        if config.encoder == "compact":
            self.encoder = blocks.CompactEncoder(3, config.channels, entry=(2, 2), depths=config.depths)
        else:
            self.encoder = blocks.ResNetEncoder(config.encoder, 3, entry=(4, 4))
        self.decoder = blocks.decoder_for(self.encoder)
        bottom = self.encoder.channels[-1]
        names = nn.Conv2d(config.label_channels, LABEL_CLASSES, 1)
        self.labels = nn.Sequential(blocks.conv_norm_relu(self.decoder.channels_out, config.label_channels), names)
        self.geometry = nn.Conv2d(bottom, GEOMETRY_CHANNELS, 1)
        self.orientation = nn.Sequential(
            nn.Linear(2 * bottom, config.orientation_hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.orientation_hidden, ORIENTATIONS),
        )
        blocks.initialise(self)
        blocks.start_quiet(names, self.geometry)
        nn.init.constant_(names.bias[:1], BACKGROUND_LOGIT)  # type: ignore[index]

    def forward(self, images: Tensor) -> KeypointLogits:
        """Answer for RGB images [B,3,H,W] scaled to -0.5..0.5."""
        features = self.encoder(self.encoder.enter(images))
        before_names, names = self.labels
        seen = before_names(self.decoder(features))
        with in_full(seen.device):  # a scale is told by hundredths of a power of two
            bottom = features[-1].float()
            pooled = torch.cat([bottom.mean((2, 3)), bottom.amax((2, 3))], 1)
            return KeypointLogits(names(seen.float()), self.orientation(pooled), self.geometry(bottom))
