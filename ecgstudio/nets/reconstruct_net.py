"""The fusion network that mends a series: picture and noisy series in, what to add to the series out.

An image encoder (CNN or ViT) and a signal encoder (dense over the channels, convolutions over time) meet in one latent
sequence; a decoder with skips turns it into a waveform. Where it is known at which height of the picture a value is
drawn, the picture is also sampled along the series: straightened, an error of the series is a shift of the ink.

The decoder's last layer starts at zero: an untrained network changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgstudio.nets import blocks
from ecgstudio.nets.fusion_net import Residual1d, conv_norm_1d

IMAGE_ENCODERS = ("cnn", "vit")
SERIES_CHANNELS = 3
"""Value, read or not, confidence; of every lead."""
FOLD = 4
"""Samples per step of the latent sequence."""
CELL: blocks.Stride = (8, 4)
PATCH: blocks.Stride = (32, 16)
DILATIONS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class ReconstructConfig:
    """Shape of the network; the defaults are those of the application: strips of 48 mm x 64 mm at 8 px/mm.

    rows_per_unit: image rows per unit of the series, the zero line in the middle; 0: not known, so there are no bands.
    band_rows, band_steps: the bands along the series are `band_rows` tall, in steps of so many image rows.
    """

    image_encoder: str = "cnn"
    leads: int = 1
    samples: int = 512
    image_height: int = 384
    image_width: int = 512
    rows_per_unit: float = 80.0
    band_rows: int = 32
    band_steps: tuple[int, ...] = (1, 4)
    channels: tuple[int, ...] = (32, 48, 64)
    vit_depth: int = 3
    vit_heads: int = 4
    signal_channels: int = 48
    latent: int = 96

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        if self.image_encoder not in IMAGE_ENCODERS:
            raise ValueError(f"no image encoder is called {self.image_encoder!r}: choose from {IMAGE_ENCODERS}")
        if self.samples < FOLD or self.image_height % CELL[0] or self.image_width % CELL[1]:
            raise ValueError(f"there must be {FOLD} samples, and pictures of multiples of {CELL[0]} x {CELL[1]} pixels")
        if self.image_height // CELL[0] < 1 << len(self.channels):
            raise ValueError(f"a picture {self.image_height} px high is too low for {len(self.channels)} levels")

    @property
    def has_bands(self) -> bool:
        """Whether the picture is sampled along the series."""
        return self.rows_per_unit > 0 and self.leads == 1 and self.band_rows > 0


class ReconstructNet(nn.Module):
    """Answer what to add to the series, f32[B, leads, samples], from pictures and series."""

    def __init__(self, config: ReconstructConfig = ReconstructConfig()) -> None:
        """Build with random weights and an answer of zero."""
        super().__init__()
        self.config = config
        width = config.signal_channels
        self.image = _ImageCnn(config) if config.image_encoder == "cnn" else _ImageVit(config)
        self.entry = nn.Sequential(
            conv_norm_1d(SERIES_CHANNELS * config.leads, width, kernel=1), nn.ReLU(inplace=True),
            conv_norm_1d(width, width, kernel=7), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.band: nn.Module | None = None
        if config.has_bands:
            self.band = nn.Sequential(
                conv_norm_1d(2 * config.band_rows * len(config.band_steps), width, kernel=1), nn.ReLU(inplace=True),
                conv_norm_1d(width, width, kernel=5), nn.ReLU(inplace=True),
            )  # fmt: skip
        self.down_half = Residual1d(2 * width if self.band else width, width, kernel=5, stride=2)
        self.down_quarter = Residual1d(width, config.latent, kernel=5, stride=2)
        self.joint = nn.Sequential(conv_norm_1d(2 * config.latent, config.latent, kernel=1), nn.ReLU(inplace=True))
        self.context = nn.ModuleList(_dilated(config.latent, d) for d in DILATIONS)
        self.up_half = nn.Sequential(conv_norm_1d(config.latent + width, width, kernel=5), nn.ReLU(inplace=True))
        fine = width + (2 * width if self.band else width)
        self.up_full = nn.Sequential(conv_norm_1d(fine, width, kernel=5), nn.ReLU(inplace=True))
        self.head = nn.Conv1d(width, config.leads, 5, padding=2)
        blocks.initialise(self)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, series: Tensor) -> Tensor:
        """Take pictures f32[B, 2, H, W] normalised as stage 2 does, and series f32[B, 3 * leads, n]; see the class.

        The series holds the value, whether it was read (bridged where it was not) and its confidence, lead by lead.
        """
        fine = self.entry(series)
        if self.band is not None:
            fine = torch.cat([fine, self.band(self._along(image, series[:, 0]))], 1)
        count = fine.shape[-1]
        fine = functional.pad(fine, (0, -count % FOLD), mode="replicate")
        half = self.down_half(fine)
        signal_latent = self.down_quarter(half)
        image_latent = functional.interpolate(
            self.image(image), size=signal_latent.shape[-1], mode="linear", align_corners=False
        )
        latent = self.joint(torch.cat([signal_latent, image_latent], 1))
        for block in self.context:
            latent = latent + block(latent)
        x = self.up_half(torch.cat([functional.interpolate(latent, size=half.shape[-1], mode="linear"), half], 1))
        x = self.up_full(torch.cat([functional.interpolate(x, size=fine.shape[-1], mode="linear"), fine], 1))
        residual: Tensor = self.head(x)[..., :count]
        return residual

    def _along(self, image: Tensor, value: Tensor) -> Tensor:
        """Sample bands of the picture along the series: [B, 2 * bands * rows, n]."""
        config = self.config
        height, count = image.shape[2], value.shape[-1]
        row = (height - 1) / 2 - value * config.rows_per_unit
        x = ((torch.arange(count, device=image.device, dtype=image.dtype) * 2 + 1) / count - 1).expand(
            len(image), config.band_rows, count
        )
        offsets = torch.arange(config.band_rows, device=image.device, dtype=image.dtype) - (config.band_rows - 1) / 2
        bands = []
        for step in config.band_steps:
            rows = functional.avg_pool2d(image, (step, 1)) if step > 1 else image
            at = row[:, None] + step * offsets[None, :, None]
            grid = torch.stack([x, (at * 2 + 1) / height - 1], -1)
            band = functional.grid_sample(rows, grid, mode="bilinear", padding_mode="border", align_corners=False)
            bands.append(band.flatten(1, 2))
        return torch.cat(bands, 1)


class _ImageCnn(nn.Module):
    """Convolutions that halve the height only, then all rows of a column as one vector: [B, latent, W / 4]."""

    def __init__(self, config: ReconstructConfig) -> None:
        super().__init__()
        source, rows = 2 * CELL[0] * CELL[1], config.image_height // CELL[0]
        levels: list[nn.Module] = []
        for width in config.channels:
            levels += [blocks.conv_norm_relu(source, width), nn.MaxPool2d((2, 1))]
            source, rows = width, rows // 2
        self.levels = nn.Sequential(*levels)
        self.column = nn.Sequential(conv_norm_1d(source * rows, config.latent, kernel=1), nn.ReLU(inplace=True))

    def forward(self, image: Tensor) -> Tensor:
        x = self.levels(blocks.space_to_depth(image, CELL))
        columns: Tensor = self.column(x.flatten(1, 2))
        return columns


class _ImageVit(nn.Module):
    """Patches with places, a transformer, then all patches of a column as one vector: [B, latent, W / 16]."""

    def __init__(self, config: ReconstructConfig) -> None:
        super().__init__()
        self.rows, self.columns = (
            -(-size // patch) for size, patch in zip((config.image_height, config.image_width), PATCH, strict=True)
        )
        width = config.channels[-1]
        self.patches = nn.Linear(2 * PATCH[0] * PATCH[1], width)
        self.places = nn.Parameter(torch.randn(1, self.rows * self.columns, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, config.vit_heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True, activation="gelu"
        )
        self.transformer = nn.TransformerEncoder(layer, config.vit_depth, enable_nested_tensor=False)
        self.column = nn.Sequential(conv_norm_1d(width * self.rows, config.latent, kernel=1), nn.ReLU(inplace=True))

    def forward(self, image: Tensor) -> Tensor:
        missing = [size * patch - have for size, patch, have in zip(
            (self.rows, self.columns), PATCH, image.shape[2:], strict=True
        )]  # fmt: skip
        padded = functional.pad(image, (0, missing[1], 0, missing[0]))
        patches = blocks.space_to_depth(padded, PATCH).flatten(2).transpose(1, 2)
        tokens = self.transformer(self.patches(patches) + self.places)
        grid = tokens.transpose(1, 2).reshape(len(image), -1, self.rows, self.columns)
        columns: Tensor = self.column(grid.flatten(1, 2))
        return columns


def _dilated(width: int, dilation: int) -> nn.Sequential:
    """Build a block that looks `dilation` steps to both sides; it starts as nothing."""
    conv = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, bias=False)
    last = conv_norm_1d(width, width, kernel=1)
    block = nn.Sequential(nn.Sequential(conv, nn.BatchNorm1d(width)), nn.ReLU(inplace=True), last)
    nn.init.zeros_(last[1].weight)  # type: ignore[arg-type]
    return block
