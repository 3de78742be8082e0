"""The stage-1 network: where are the grid's nodes and lines, how does the paper run, where are the leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from ecgstudio.nets import blocks
from ecgstudio.nets.precision import in_full

CELL_STRIDE = 4
MAPS: tuple[tuple[str, int], ...] = (
    ("points", 1),
    ("phase", 4),
    ("lines", 2),
    ("axis", 1),
    ("ink", 1),
    ("edge", 1),
)


@dataclass(frozen=True, slots=True)
class GridConfig:
    """What is needed to build a grid network again."""

    encoder: str = "compact"
    channels: tuple[int, ...] = (32, 48, 64, 96)
    depths: tuple[int, ...] = (2, 2, 2, 4)
    bottom_dilations: tuple[int, ...] = (1, 2, 4, 1)


class GridLogits(NamedTuple):
    """Raw answers for images [B,3,H,W], all at a quarter of their resolution."""

    points: Tensor
    """[B,1,H/4,W/4]: a 5-mm node lies in the cell."""
    phase: Tensor
    """[B,4,H/4,W/4]: cos and sin of 2 pi x/5 mm, then of y; the vector's length says how sure it is."""
    lines: Tensor
    """[B,2,H/4,W/4]: a vertical, a horizontal 5-mm line crosses the cell."""
    axis: Tensor
    """[B,1,H/4,W/4]: the median level of a lead crosses the cell."""
    ink: Tensor
    """[B,1,H/4,W/4]: trace ink is in the cell."""
    edge: Tensor
    """[B,1,H/4,W/4]: a lead begins or ends here."""


class GridNet(nn.Module):
    """Coordinate-aware U-Net over a page or a crop of it; height and width multiples of 32."""

    def __init__(self, config: GridConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        entry = (CELL_STRIDE, CELL_STRIDE)
        self.encoder: blocks.CompactEncoder | blocks.ResNetEncoder
        if config.encoder == "compact":
            self.encoder = blocks.CompactEncoder(
                3,
                config.channels,
                entry=entry,
                depths=config.depths,
                bottom_dilations=config.bottom_dilations,
            )
        else:
            self.encoder = blocks.ResNetEncoder(config.encoder, 3, entry=entry)
        self.decoder = blocks.decoder_for(self.encoder, coordinates=True)
        self.maps = nn.Conv2d(self.decoder.channels_out, sum(width for _, width in MAPS), 1)
        blocks.initialise(self)
        blocks.start_quiet(self.maps)

    def forward(self, images: Tensor) -> GridLogits:
        """Answer for RGB images [B,3,H,W] scaled to -0.5..0.5."""
        features = self.decoder(self.encoder(self.encoder.enter(images)))
        with in_full(features.device):  # phases tell hundredths of a line's distance
            maps = self.maps(features.float())
        return GridLogits(*maps.split([width for _, width in MAPS], 1))
