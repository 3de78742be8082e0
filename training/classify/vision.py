"""Encoders of images: AlexNet with a choice of attention, VGG-11, ResNet 2-2-2-2; each narrowed by one factor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ecgstudio.errors import InputError

logger = logging.getLogger(__name__)

LARGE = 128
"""From this side on, the published strides of the first layers are used; below it they would leave nothing."""
VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
RESNET = (64, 128, 256, 512)


def narrowed(channels: int, width: float) -> int:
    """Return a part of the published channels, at least 8 and a multiple of 8."""
    return max(8, round(channels * width / 8) * 8)


class ChannelAttention(nn.Module):
    """Weigh channels by what their mean and their maximum say (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(4, channels // 8)
        self.score = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU(inplace=True), nn.Conv2d(inner, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, weighed."""
        mean, most = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return x * torch.sigmoid(self.score(mean) + self.score(most))


class SpatialAttention(nn.Module):
    """Weigh places by what the mean and the maximum over the channels say (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return x, weighed."""
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.score(seen))


class Cbam(nn.Sequential):
    """Channel attention, then spatial attention (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__(ChannelAttention(channels), SpatialAttention(channels))


class SelfAttention(nn.Module):
    """Let every place look at every other one; begins as the identity (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(4, channels // 8)
        self.query, self.key = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x with what each place took from the others."""
        query, key, value = (each(x).flatten(2) for each in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key / key.shape[1] ** 0.5, -1)
        return x + self.share * (value @ weights.transpose(1, 2)).view_as(x)


ATTENTIONS: Mapping[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "channel": ChannelAttention,
    "spatial": SpatialAttention,
    "cbam": Cbam,
    "self": SelfAttention,
}


class AlexNet(nn.Module):
    """Krizhevsky et al. 2012 in its one-tower form, with attention after each pooling."""

    def __init__(self, channels_in: int, *, size: int, width: float, dropout: float, attention: str = "none") -> None:
        super().__init__()
        a, b, c, d = (narrowed(channels, width) for channels in (64, 192, 384, 256))
        first = nn.Conv2d(channels_in, a, 11, stride=4, padding=2) if size >= LARGE else (
            nn.Conv2d(channels_in, a, 7, stride=2, padding=3)
        )  # fmt: skip
        make = ATTENTIONS[attention]
        self.layers = nn.Sequential(
            first, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), make(a),
            nn.Conv2d(a, b, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), make(b),
            nn.Conv2d(b, c, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(c, d, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(d, d, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), make(d),
        )  # fmt: skip
        side = 6 if size >= LARGE else 3
        self.features = narrowed(4096, width)
        self.dense = nn.Sequential(
            nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Dropout(dropout),
            nn.Linear(d * side**2, self.features), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(self.features, self.features), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """Take [B,channels,h,w], return [B,features]."""
        result: Tensor = self.dense(self.layers(image))
        return result


class Vgg(nn.Module):
    """VGG-11 with batch normalisation (Simonyan and Zisserman 2015)."""

    def __init__(self, channels_in: int, *, size: int, width: float, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = channels_in
        for level in VGG11:
            for published in level:
                channels = narrowed(published, width)
                layers += [nn.Conv2d(previous, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
                layers.append(nn.ReLU(inplace=True))
                previous = channels
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        side = max(1, size // 32)
        self.features = narrowed(4096, width)
        self.dense = nn.Sequential(
            nn.AdaptiveAvgPool2d(side), nn.Flatten(),
            nn.Linear(previous * side**2, self.features), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(self.features, self.features), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """Take [B,channels,h,w], return [B,features]."""
        result: Tensor = self.dense(self.layers(image))
        return result


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, under the names that torchvision gives them."""

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            conv = nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + residual(x))."""
        inner = torch.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(shortcut + self.bn2(self.conv2(inner)))


class ResNet18(nn.Module):
    """ResNet 2-2-2-2 (He et al. 2015) without its last layer; at width 1 torchvision's state dict fits."""

    def __init__(self, channels_in: int, *, size: int, width: float) -> None:
        super().__init__()
        channels = [narrowed(published, width) for published in RESNET]
        stride = 2 if size >= LARGE else 1
        self.conv1 = nn.Conv2d(channels_in, channels[0], 7, stride=stride, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        for level, (source, wide) in enumerate(zip((channels[0], *channels), channels, strict=False), start=1):
            first = BasicBlock(source, wide, stride=1 if level == 1 else 2)
            setattr(self, f"layer{level}", nn.Sequential(first, BasicBlock(wide, wide, stride=1)))
        self.features = channels[-1]

    def forward(self, image: Tensor) -> Tensor:
        """Take [B,channels,h,w], return [B,features]."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(image))))
        for level in range(1, len(RESNET) + 1):
            x = getattr(self, f"layer{level}")(x)
        return x.mean((2, 3))


def load_pretrained(encoder: ResNet18, path: Path) -> None:
    """Give a ResNet18 the weights of a torchvision-style state dict; the last layer (fc) is left out.

    A file of RGB filters fits an encoder of other channels: their sum is spread over these.

    Raises:
        InputError: the file cannot be read, or its weights are not those of a ResNet18 of full width.
    """
    try:
        state = _read_state(path)
    except Exception as error:  # torch.load raises whatever a damaged file makes its parser raise
        raise InputError(f"{path} cannot be read as a state dict: {error}") from error
    own = encoder.state_dict()
    given = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    given = {name: tensor for name, tensor in given.items() if not name.startswith("fc.")}
    missing = sorted(set(own) - set(given) - {name for name in own if name.endswith("num_batches_tracked")})
    unknown = sorted(set(given) - set(own))
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which a ResNet18 does not have"
        raise InputError(f"{path} is not the state dict of a ResNet18: it {what}.")
    first = given["conv1.weight"]
    if first.shape[1] != own["conv1.weight"].shape[1]:
        channels = own["conv1.weight"].shape[1]
        given["conv1.weight"] = first.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
    for name, tensor in given.items():
        if tensor.shape != own[name].shape:
            raise InputError(
                f"{path}: {name} is {tuple(tensor.shape)}, the network's is {tuple(own[name].shape)}. "
                "Use --set width=1.0 for published weights."
            )
    encoder.load_state_dict(given, strict=False)
    logger.info("%d tensors of %s", len(given), path.name)


def _read_state(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)  # plain tensors only: nothing is run
    return dict(state.get("state_dict", state))
