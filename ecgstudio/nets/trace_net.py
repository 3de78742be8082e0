"""The stage-2 network: at which height does the strip's own trace run, for each half column.

Coordinate frame: pixel centres. Output row r is the centre of input row r, and half column j of the doubled
width lies at input x = (j + 0.5) / 2 - 0.5. Each cell of 4 x 2 pixels answers for 4 rows x 4 half columns by
sub-pixel shuffling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgstudio.nets import blocks
from ecgstudio.nets.precision import in_full

CELL: blocks.Stride = (4, 2)
HALF_COLUMNS_PER_CELL = 4
RAMP_UNIT_PX = 120.0
SEGMENTATION_CLASSES = ("background", "own trace", "other trace")
PROFILE_KERNEL = 9


@dataclass(frozen=True, slots=True)
class TraceConfig:
    """What is needed to build a trace network again."""

    encoder: str = "compact"
    channels: tuple[int, ...] = (24, 40, 64, 96)
    depths: tuple[int, ...] = (2, 2, 2, 3)
    profile_channels: int = 48


class TraceLogits(NamedTuple):
    """Raw answers for strips [B,2,H,W]."""

    columns: Tensor
    """[B,H,2W]: a softmax over H is the height of the own trace in each half column."""
    segmentation: Tensor
    """[B,3,H/4,W/2]: background, own trace, other trace."""
    presence: Tensor
    """[B,2W]: is the own lead printed in this half column."""
    boundary: Tensor
    """[B,2W]: does a lead begin or end within a pixel."""


class TraceNet(nn.Module):
    """U-Net over one strip, told its own row by a vertical ramp; sizes are multiples of 32 and 16."""

    def __init__(self, config: TraceConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        self.encoder: blocks.CompactEncoder | blocks.ResNetEncoder
        if config.encoder == "compact":
            self.encoder = blocks.CompactEncoder(2, config.channels, entry=CELL, extra_channels=1, depths=config.depths)
        else:
            self.encoder = blocks.ResNetEncoder(config.encoder, 2, entry=CELL, extra_channels=1)
        # The stem's ramp is enough for the compact net; the deep one is the coordinate-enhanced U-Net.
        self.decoder = blocks.decoder_for(self.encoder, coordinates=config.encoder != "compact")
        width = self.decoder.channels_out
        self.columns = nn.Conv2d(width, CELL[0] * HALF_COLUMNS_PER_CELL, 1)
        self.segmentation = nn.Conv2d(width, len(SEGMENTATION_CLASSES), 1)
        answers = nn.Conv1d(
            config.profile_channels, 2 * HALF_COLUMNS_PER_CELL, PROFILE_KERNEL, padding=PROFILE_KERNEL // 2
        )
        self.profile = nn.Sequential(
            nn.Conv1d(
                2 * width + HALF_COLUMNS_PER_CELL,
                config.profile_channels,
                PROFILE_KERNEL,
                padding=PROFILE_KERNEL // 2,
                bias=False,
            ),
            nn.BatchNorm1d(config.profile_channels),
            nn.ReLU(inplace=True),
            answers,
        )
        blocks.initialise(self)
        blocks.start_quiet(self.columns, self.segmentation, answers)

    def forward(self, strips: Tensor) -> TraceLogits:
        """Answer for normalised strips [B,2,H,W], own zero row in the middle."""
        cells = self.encoder.enter(strips)
        ramp = blocks.y_ramp(cells, stride_px=self.encoder.entry[0], unit_px=RAMP_UNIT_PX)
        features = self.decoder(self.encoder(torch.cat([cells, ramp], 1)))
        with in_full(features.device):  # a column's logits decide between hundredths of a pixel
            columns = functional.pixel_shuffle(self.columns(features.float()), CELL[0]).squeeze(1)
        presence, boundary = self._profile(features, columns)
        return TraceLogits(columns, self.segmentation(features), presence, boundary)

    def _profile(self, features: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the features where the trace is believed to run, and at the strongest of each column."""
        batch, _, _, width = features.shape
        # Detached: presence must not move the heights, which are left free where nothing is printed.
        mass = columns.detach().float().softmax(1)
        cell_mass = functional.avg_pool2d(mass.unsqueeze(1), CELL[0]) * CELL[0]
        by_row = features.permute(0, 2, 3, 1)  # as it lies in memory: sums down the strip are ten times faster
        own = (by_row * cell_mass.to(features.dtype).permute(0, 2, 3, 1)).sum(1).transpose(1, 2)
        peak = mass.amax(1).view(batch, width, HALF_COLUMNS_PER_CELL).transpose(1, 2).to(features.dtype)
        answers: Tensor = self.profile(torch.cat([own, by_row.amax(1).transpose(1, 2), peak], 1))
        answers = answers.view(batch, 2, HALF_COLUMNS_PER_CELL, width).transpose(2, 3).reshape(batch, 2, -1)
        return answers[:, 0], answers[:, 1]
