"""Encoders of series: recurrent networks (choice of cell, direction, attention, convolutions before) and an MLP."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["gru", "lstm"]
CELLS: dict[str, type[nn.GRU | nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}
CNN_CHANNELS = (32, 64)


class TimeAttention(nn.Module):
    """Weigh the steps of a sequence by a learned score and sum them (Bahdanau et al. 2015, without a query)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(features, features // 2), nn.Tanh(), nn.Linear(features // 2, 1))

    def forward(self, steps: Tensor) -> Tensor:
        """Take [B,T,F], return [B,F]."""
        return (torch.softmax(self.score(steps), 1) * steps).sum(1)


class RecurrentEncoder(nn.Module):
    """Encode a signal [B,leads,n]: perhaps convolutions, then GRU or LSTM, then its last state or attention."""

    def __init__(
        self,
        leads: int,
        *,
        cell: Cell,
        bidirectional: bool,
        attention: bool,
        convolutions: bool,
        hidden: int,
        layers: int,
        dropout: float,
        fold: int,
    ) -> None:
        """`fold` samples become one step; with convolutions, their pooling does that."""
        super().__init__()
        self.fold = 1 if convolutions else fold
        self.convolve: nn.Module = nn.Identity()
        channels = leads * self.fold
        if convolutions:
            layers_1d: list[nn.Module] = []
            for source, width in zip((leads, *CNN_CHANNELS), CNN_CHANNELS, strict=False):
                layers_1d += [nn.Conv1d(source, width, 7, padding=3, bias=False), nn.BatchNorm1d(width)]
                layers_1d += [nn.ReLU(inplace=True), nn.MaxPool1d(2)]
            self.convolve = nn.Sequential(*layers_1d)
            channels = CNN_CHANNELS[-1]
        self.recur = CELLS[cell](
            channels,
            hidden,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.features = hidden * (2 if bidirectional else 1)
        self.attend = TimeAttention(self.features) if attention else None

    def forward(self, signal: Tensor) -> Tensor:
        """Return [B,features]."""
        x = self.convolve(signal)
        batch, channels, count = x.shape
        steps = count // self.fold
        x = x[..., : steps * self.fold].reshape(batch, channels, steps, self.fold).permute(0, 2, 1, 3).flatten(2)
        states, last = self.recur(x)
        if self.attend is not None:
            result: Tensor = self.attend(states)
            return result
        final = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.recur.bidirectional else 1
        return final[-directions:].transpose(0, 1).flatten(1)


class DenseEncoder(nn.Module):
    """Encode a row of numbers [B,...] by fully connected layers."""

    def __init__(self, values: int, *, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for source, width in zip((values, *hidden), hidden, strict=False):
            layers += [nn.Linear(source, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.features = hidden[-1]

    def forward(self, values: Tensor) -> Tensor:
        """Return [B,features]."""
        result: Tensor = self.layers(values)
        return result
