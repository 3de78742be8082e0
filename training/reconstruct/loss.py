"""What the reconstruction is trained to minimise, and the figures that are logged with it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ecgstudio.stages.strips import CONTRAST
from training.reconstruct.examples import SERIES_PARTS
from training.reconstruct.settings import ReconstructTraining

Terms = dict[str, Tensor]
LEAST_NOISE = 1e-5
"""In units of the series, squared: 3 uV; what is better counts as this good."""


def picture_and_series(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the network's two inputs, pictures u8 normalised as stage 2 does it."""
    pictures = batch["pictures"].float() / 255
    return (pictures - pictures[:, :1].mean(dim=(2, 3), keepdim=True)) / CONTRAST, batch["series"]


def reconstruct_loss(
    residual: Tensor, batch: Mapping[str, Tensor], config: ReconstructTraining, *, progress: float
) -> Terms:
    """Mean absolute error and the logarithm of each example's mean squared error, where the target is known."""
    del progress
    target = batch["target"]
    answer = batch["series"][:, ::SERIES_PARTS] + residual.float()
    known = target.isfinite()
    error = torch.where(known, answer - target.nan_to_num(), 0.0)
    count = known.sum((1, 2)).clamp(min=1)
    squared = error.square().sum((1, 2)) / count
    absolute = error.abs().sum() / known.sum().clamp(min=1)
    log_noise = (squared + LEAST_NOISE).log10().mean()
    snr_db = 10 * torch.log10(power(target) / squared.clamp(min=LEAST_NOISE**2)).mean()
    return {
        "loss": absolute + config.log_weight * log_noise,
        "mae": absolute.detach(),
        "mse": squared.mean().detach(),
        "snr_db": snr_db.detach(),
    }


def reconstruct_metrics(residual: Tensor, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the SNR of the series as given, to compare with that of the answer."""
    target = batch["target"]
    known = target.isfinite()
    error = torch.where(known, batch["series"][:, ::SERIES_PARTS] - target.nan_to_num(), 0.0)
    squared = error.square().sum((1, 2)) / known.sum((1, 2)).clamp(min=1)
    return {"snr_before_db": float(10 * torch.log10(power(target) / squared.clamp(min=LEAST_NOISE**2)).mean())}


def power(target: Tensor) -> Tensor:
    """Return each example's power about its own mean, over what is known of it: [B]."""
    known = target.isfinite()
    values = target.nan_to_num()
    count = known.sum(2, keepdim=True).clamp(min=1)
    centred = torch.where(known, values - values.sum(2, keepdim=True) / count, 0.0)
    return (centred.square().sum((1, 2)) / known.sum((1, 2)).clamp(min=1)).clamp(min=LEAST_NOISE**2)
