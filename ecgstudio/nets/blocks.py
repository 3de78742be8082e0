"""Building blocks of the stage networks: encoders, decoders and coordinate ramps; no network and no weights.

Every encoder hands back its features finest first; the last four levels are what the decoders use, so a
network answers at a stride eight times finer than its bottleneck. The ResNets follow He et al. 2015 and, for
the "d" variants, "Bag of Tricks" (He et al. 2018): three 3x3 convolutions as stem and an average-pooled shortcut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

Stride = tuple[int, int]
"""Input pixels per cell, (y, x)."""

DECODED_LEVELS = 4
RESNET_BLOCKS: Mapping[str, tuple[int, int, int, int]] = MappingProxyType(
    {"resnet18d": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet34d": (3, 4, 6, 3)}
)
RESNET_CHANNELS = (64, 128, 256, 512)
ENCODERS = ("compact", *RESNET_BLOCKS)

ConfigT = TypeVar("ConfigT")


def config_from_mapping(kind: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a network's frozen configuration from parsed JSON or TOML, lists becoming tuples.

    Raises:
        ValueError: a name that the configuration does not have.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def conv_norm(channels_in: int, channels_out: int, *, kernel: int = 3, stride: int | Stride = 1) -> nn.Sequential:
    """Build a same-padded convolution with batch normalisation."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


def conv_norm_relu(
    channels_in: int, channels_out: int, *, stride: int | Stride = 1, dilation: int = 1
) -> nn.Sequential:
    """Build a same-padded 3x3 convolution with batch normalisation and ReLU."""
    conv = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def reader_features(widths: Sequence[int]) -> nn.Sequential:
    """Build the compact encoder of a reader of crops [B,1,H,W]: halved four times, but for the last level."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
    before = 4
    for width in widths:
        layers += [conv_norm_relu(before, width), conv_norm_relu(width, width), nn.MaxPool2d(2)]
        before = width
    return nn.Sequential(*layers[:-1])


def space_to_depth(x: Tensor, stride: Stride) -> Tensor:
    """Stack each cell of ``stride`` pixels into channels: [B,C,H,W] -> [B,C*ky*kx,H/ky,W/kx]."""
    batch, channels, height, width = x.shape
    ky, kx = stride
    cells = x.reshape(batch, channels, height // ky, ky, width // kx, kx).permute(0, 1, 3, 5, 2, 4)
    return cells.reshape(batch, channels * ky * kx, height // ky, width // kx)


def y_ramp(cells: Tensor, *, stride_px: int, unit_px: float) -> Tensor:
    """Give each cell its height below the image's middle, in units of ``unit_px`` input pixels: [B,1,h,w]."""
    batch, _, height, width = cells.shape
    rows = (torch.arange(height, device=cells.device, dtype=cells.dtype) + 0.5 - height / 2) * (stride_px / unit_px)
    return rows.view(1, 1, height, 1).expand(batch, 1, height, width)


def unit_ramps(cells: Tensor) -> Tensor:
    """Give each cell its x and y as a fraction of the image, from -1 to 1: [B,2,h,w]."""
    batch, _, height, width = cells.shape
    x = (torch.arange(width, device=cells.device, dtype=cells.dtype) * 2 + 1) / width - 1
    y = (torch.arange(height, device=cells.device, dtype=cells.dtype) * 2 + 1) / height - 1
    grid = torch.stack([x.view(1, width).expand(height, width), y.view(height, 1).expand(height, width)])
    return grid.unsqueeze(0).expand(batch, 2, height, width)


class CompactEncoder(nn.Module):
    """A thin encoder for CPUs: space-to-depth entry, then plain 3x3 convolutions, halved between levels."""

    def __init__(
        self,
        channels_in: int,
        channels: tuple[int, ...],
        *,
        entry: Stride,
        extra_channels: int = 0,
        depths: tuple[int, ...],
        bottom_dilations: tuple[int, ...] = (),
        pool: str = "max",
    ) -> None:
        """Take [B,channels_in,H,W] at ``enter``; ``extra_channels`` ramps may be appended to its result.

        ``depths`` counts the convolutions of each level; ``bottom_dilations`` dilates those of the last one.
        """
        super().__init__()
        self.channels = channels
        self.entry = entry
        levels = []
        previous = channels_in * entry[0] * entry[1] + extra_channels
        for index, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            dilations = [1] * depth
            if index == len(channels) - 1 and bottom_dilations:
                dilations = list(bottom_dilations)
            sources = [previous] + [width] * (len(dilations) - 1)
            levels.append(
                nn.Sequential(*(conv_norm_relu(s, width, dilation=d) for s, d in zip(sources, dilations, strict=True)))
            )
            previous = width
        self.levels = nn.ModuleList(levels)
        self.pool = {"max": nn.MaxPool2d(2), "avg": nn.AvgPool2d(2)}[pool]

    def enter(self, x: Tensor) -> Tensor:
        """Fold pixels into cells of the entry stride."""
        return space_to_depth(x, self.entry)

    def forward(self, cells: Tensor) -> list[Tensor]:
        """Return the features of every level, finest first."""
        features: list[Tensor] = []
        x = cells
        for index, level in enumerate(self.levels):
            x = level(self.pool(x) if index else x)
            features.append(x)
        return features


class BasicBlock(nn.Module):
    """The two-convolution residual block of ResNet-18 and -34."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, average_shortcut: bool) -> None:
        """Halve the resolution when ``stride`` is 2; ``average_shortcut`` is how the "d" variants do it."""
        super().__init__()
        self.first = conv_norm_relu(channels_in, channels_out, stride=stride)
        self.second = conv_norm(channels_out, channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            if average_shortcut and stride != 1:
                projection = conv_norm(channels_in, channels_out, kernel=1)
                self.shortcut = nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True), *projection)
            else:
                self.shortcut = conv_norm(channels_in, channels_out, kernel=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + residual(x))."""
        result: Tensor = self.relu(self.shortcut(x) + self.second(self.first(x)))
        return result


class ResNetEncoder(nn.Module):
    """ResNet-18d, -34 or -34d without its classifier: four levels, from entry stride to eight times that."""

    def __init__(self, name: str, channels_in: int, *, entry: Stride, extra_channels: int = 0) -> None:
        """Reach the first level at ``entry`` (each side 2 or 4) by the stem's stride and the pooling."""
        super().__init__()
        self.channels = RESNET_CHANNELS
        self.entry: Stride = (1, 1)
        source = channels_in + extra_channels
        stem_stride = (entry[0] // 2, entry[1] // 2)
        is_d = name.endswith("d")
        if is_d:
            stem: list[nn.Module] = [
                conv_norm_relu(source, 32, stride=stem_stride),
                conv_norm_relu(32, 32),
                conv_norm_relu(32, 64),
            ]
        else:
            stem = [*conv_norm(source, 64, kernel=7, stride=stem_stride), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*stem)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        levels = []
        previous = 64
        for index, (width, count) in enumerate(zip(RESNET_CHANNELS, RESNET_BLOCKS[name], strict=True)):
            blocks = []
            for block in range(count):
                stride = 2 if index and not block else 1
                blocks.append(BasicBlock(previous, width, stride=stride, average_shortcut=is_d))
                previous = width
            levels.append(nn.Sequential(*blocks))
        self.levels = nn.ModuleList(levels)

    def enter(self, x: Tensor) -> Tensor:
        """Hand the pixels on; the stem works at full resolution."""
        return x

    def forward(self, cells: Tensor) -> list[Tensor]:
        """Return the features of the four levels, finest first."""
        x = self.pool(self.stem(cells))
        features: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


class AdditiveDecoder(nn.Module):
    """Compact decoder: 1x1, nearest doubling, skip added, one 3x3; ends on the fourth-last level."""

    def __init__(self, channels: tuple[int, ...], *, coordinates: bool = False) -> None:
        """Decode features of ``channels``; ``coordinates`` appends x and y ramps before every 3x3."""
        super().__init__()
        used = channels[-DECODED_LEVELS:]
        pairs = list(zip(used[:0:-1], used[-2::-1], strict=True))
        self.coordinates = coordinates
        self.channels_out = used[0]
        self.narrow = nn.ModuleList(nn.Conv2d(deep, fine, 1) for deep, fine in pairs)
        self.merge = nn.ModuleList(conv_norm_relu(fine + 2 * coordinates, fine) for _, fine in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return [B,channels_out,h,w] at the resolution of the fourth-last feature."""
        x = features[-1]
        for narrow, merge, skip in zip(self.narrow, self.merge, features[-2 : -DECODED_LEVELS - 1 : -1], strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + skip
            x = merge(torch.cat([x, unit_ramps(x)], 1) if self.coordinates else x)
        return x


class ConcatDecoder(nn.Module):
    """Decoder for the ResNets: nearest doubling, skip concatenated, two 3x3 convolutions per level."""

    def __init__(
        self,
        channels: tuple[int, ...],
        widths: tuple[int, ...] = (256, 128, 64),
        *,
        coordinates: bool = False,
    ) -> None:
        """Decode features of ``channels`` through ``widths``; ``coordinates`` appends ramps per level."""
        super().__init__()
        self.coordinates = coordinates
        self.channels_out = widths[-1]
        merges = []
        deep = channels[-1]
        for skip, width in zip(channels[-2 : -DECODED_LEVELS - 1 : -1], widths, strict=True):
            merges.append(
                nn.Sequential(conv_norm_relu(deep + skip + 2 * coordinates, width), conv_norm_relu(width, width))
            )
            deep = width
        self.merge = nn.ModuleList(merges)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return [B,channels_out,h,w] at the resolution of the fourth-last feature."""
        x = features[-1]
        for merge, skip in zip(self.merge, features[-2 : -DECODED_LEVELS - 1 : -1], strict=True):
            parts = [functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip]
            x = merge(torch.cat([*parts, unit_ramps(skip)] if self.coordinates else parts, 1))
        return x


def decoder_for(
    encoder: CompactEncoder | ResNetEncoder, *, coordinates: bool = False
) -> AdditiveDecoder | ConcatDecoder:
    """Choose the decoder that belongs to the encoder."""
    if isinstance(encoder, CompactEncoder):
        return AdditiveDecoder(encoder.channels, coordinates=coordinates)
    return ConcatDecoder(encoder.channels, coordinates=coordinates)


def initialise(network: nn.Module) -> None:
    """Draw Kaiming weights for every convolution and start each residual block as its shortcut."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, BasicBlock):
            nn.init.zeros_(module.second[1].weight)  # type: ignore[arg-type]


def start_quiet(*heads: nn.Conv2d | nn.Conv1d) -> None:
    """Give answering layers small weights, so that a new network begins undecided, not wrong."""
    for head in heads:
        nn.init.normal_(head.weight, std=0.01)


def fuse_for_inference(network: nn.Module) -> None:
    """Fold every batch normalisation of an eval-mode network into the convolution before it, in place."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d | nn.Conv1d) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d):
                module[index] = fuse_conv_bn_eval(conv, norm)
                module[index + 1] = nn.Identity()
