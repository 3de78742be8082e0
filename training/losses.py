"""What each stage is trained to minimise, with the few readable numbers that validation logs beside it.

A batch is a dict of tensors; NaN in a float target and 255 or -1 in a class target mean "not known, do not
count". Every loss returns its unweighted terms by name together with their weighted sum, "loss".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ecgstudio.nets.grid_net import GridLogits
from ecgstudio.nets.keypoint_net import KeypointLogits
from ecgstudio.nets.name_net import NameLogits
from ecgstudio.nets.text_net import TextLogits
from ecgstudio.nets.trace_net import TraceLogits
from training.configs import GridTraining, KeypointTraining, NameTraining, TextTraining, TraceTraining
from training.reconstruct.loss import reconstruct_loss, reconstruct_metrics

Batch = Mapping[str, Tensor]
Terms = dict[str, Tensor]

IGNORED_CLASS = 255
IGNORED_ORIENTATION = -1
GROSS_HEIGHT_ERROR_PX = 4.0
METRIC_WINDOW_PX = 20.0
SURE_TEXT = 0.9


def keypoint_loss(outputs: KeypointLogits, batch: Batch, config: KeypointTraining, *, progress: float) -> Terms:
    """Sum focal label cross-entropy, orientation cross-entropy and paper geometry."""
    del progress
    labels = _label_loss(outputs.labels.float(), batch["labels"], config)
    known = batch["orientation"] != IGNORED_ORIENTATION
    orientation = functional.cross_entropy(
        outputs.orientation.float(), batch["orientation"].clamp(min=0), reduction="none"
    )
    geometry_target = batch["geometry"]
    geometry = outputs.geometry.float()
    paper = _masked_bce(geometry[:, 0], geometry_target[:, 0])
    on_paper = (geometry_target[:, :1] > 0.5) & geometry_target[:, 1:].isfinite()
    scale_and_angle = functional.smooth_l1_loss(
        geometry[:, 1:], geometry_target[:, 1:].nan_to_num(), reduction="none", beta=0.1
    )
    terms = {
        "labels": labels,
        "orientation": _mean_where(orientation, known),
        "geometry": paper + _mean_where(scale_and_angle, on_paper),
    }
    weights = {
        "labels": config.labels_weight,
        "orientation": config.orientation_weight,
        "geometry": config.geometry_weight,
    }
    return _with_total(terms, weights)


def _label_loss(logits: Tensor, target: Tensor, config: KeypointTraining) -> Tensor:
    """Count per named cell, as RetinaNet does: the tiny names would drown in a mean over the page.

    Background cells weigh little and the less the surer they are already.
    """
    known = target != IGNORED_CLASS
    logp = functional.log_softmax(logits, 1)
    entropy = functional.nll_loss(logp, torch.where(known, target, 0), reduction="none")
    named = known & (target > 0)
    blank = known & (target == 0)
    doubt = -torch.expm1(logp[:, 0]).detach()
    background = config.label_background_weight * doubt.clamp(min=0) ** config.label_focal_gamma * entropy
    count = named.sum() + 1e-3 * known.sum() + 1.0
    return ((entropy * named).sum() + (background * blank).sum()) / count


def keypoint_metrics(outputs: KeypointLogits, batch: Batch) -> dict[str, float]:
    """Report label recall and precision per cell, orientation accuracy and the error of log2 px per mm."""
    target = batch["labels"]
    found = outputs.labels.argmax(1)
    known = target != IGNORED_CLASS
    right = (found == target) & (target > 0) & known
    oriented = batch["orientation"] != IGNORED_ORIENTATION
    turned_right = outputs.orientation.argmax(1) == batch["orientation"]
    geometry = batch["geometry"]
    on_paper = (geometry[:, 0] > 0.5) & geometry[:, 1].isfinite()
    scale_error = (outputs.geometry[:, 1] - geometry[:, 1].nan_to_num()).abs()
    return {
        "label_recall": _ratio(right.sum(), ((target > 0) & known).sum()),
        "label_precision": _ratio(right.sum(), ((found > 0) & known).sum()),
        "orientation_accuracy": _ratio((turned_right & oriented).sum(), oriented.sum()),
        "log2_scale_error": _ratio((scale_error * on_paper).sum(), on_paper.sum()),
    }


def name_loss(outputs: NameLogits, batch: Batch, config: NameTraining, *, progress: float) -> Terms:
    """Cross-entropy of the names."""
    del progress
    loss = functional.cross_entropy(outputs.names.float(), batch["name"], label_smoothing=config.smoothing)
    return {"loss": loss}


def name_metrics(outputs: NameLogits, batch: Batch) -> dict[str, float]:
    """Report how many names are read right, and how many blank crops are called blank."""
    found, truth = outputs.names.argmax(1), batch["name"]
    named = truth > 0
    return {
        "name_accuracy": _ratio(((found == truth) & named).sum(), named.sum()),
        "blank_accuracy": _ratio(((found == truth) & ~named).sum(), (~named).sum()),
    }


def text_loss(outputs: TextLogits, batch: Batch, config: TextTraining, *, progress: float) -> Terms:
    """Cross-entropy of the scale texts."""
    del progress
    loss = functional.cross_entropy(outputs.texts.float(), batch["text"], label_smoothing=config.smoothing)
    return {"loss": loss}


def text_metrics(outputs: TextLogits, batch: Batch) -> dict[str, float]:
    """Report how many scale texts are read right, and how many of those that were read surely are wrong."""
    chance, found = outputs.texts.float().softmax(1).max(1)
    truth = batch["text"]
    printed, read = truth > 0, (found > 0) & (chance >= SURE_TEXT)
    return {
        "text_accuracy": _ratio(((found == truth) & printed).sum(), printed.sum()),
        "text_recall": _ratio(((found == truth) & read).sum(), printed.sum()),
        "text_misread": _ratio(((found != truth) & read).sum(), read.sum()),
    }


def grid_loss(outputs: GridLogits, batch: Batch, config: GridTraining, *, progress: float) -> Terms:
    """Sum the maps' cross-entropies and the squared error of the phase vectors.

    Squared error shortens an unsure vector, so that its length tells how far to trust the phase.
    """
    del progress
    terms = {
        name: _masked_bce(getattr(outputs, name), batch[name], positive=getattr(config, f"{name}_positive"))
        for name in ("points", "lines", "axis", "ink", "edge")
    }
    known = batch["phase"].isfinite()
    terms["phase"] = _mean_where((outputs.phase.float() - batch["phase"].nan_to_num()) ** 2, known)
    return _with_total(terms, {name: getattr(config, f"{name}_weight") for name in terms})


def grid_metrics(outputs: GridLogits, batch: Batch) -> dict[str, float]:
    """Report the median phase error in mm, and recall and precision of node, axis and ink cells at 0.5."""
    metrics: dict[str, float] = {}
    for name in ("points", "axis", "ink"):
        truth = batch[name] > 0.5
        found = (getattr(outputs, name) > 0) & batch[name].isfinite()
        metrics[f"{name}_recall"] = _ratio((truth & found).sum(), truth.sum())
        metrics[f"{name}_precision"] = _ratio((truth & found).sum(), found.sum())
    batch_size, _, height, width = batch["phase"].shape
    phase = outputs.phase.float().reshape(batch_size, 2, 2, height, width)
    truth_phase = batch["phase"].reshape(batch_size, 2, 2, height, width)
    known = truth_phase.isfinite().all(2)
    cross = phase[:, :, 0] * truth_phase[:, :, 1] - phase[:, :, 1] * truth_phase[:, :, 0]
    dot = (phase * truth_phase).sum(2)
    error_mm = torch.atan2(cross, dot).abs() * (5.0 / (2 * torch.pi))
    if bool(known.any()):
        metrics["phase_error_mm"] = float(error_mm[known].median())
    return metrics


def trace_loss(outputs: TraceLogits, batch: Batch, config: TraceTraining, *, progress: float) -> Terms:
    """Sum the column divergence, presence, boundary and segmentation, and late in a run the height itself.

    "columns" is the Kullback-Leibler divergence in nats from a Gaussian at the true height (0 is perfect).
    """
    columns = outputs.columns.float()
    height, slope = batch["height"], batch["slope"].nan_to_num()
    rows = torch.arange(columns.shape[1], device=columns.device, dtype=torch.float32).view(1, -1, 1)
    known = _readable(height, columns.shape[1])
    centre = height.nan_to_num().clamp(0, columns.shape[1] - 1)
    sigma = torch.sqrt(config.sigma_px**2 + (config.sigma_per_slope * slope) ** 2)
    sigma = sigma.clamp(max=config.sigma_max_px)
    target = torch.softmax(-0.5 * ((rows - centre.unsqueeze(1)) / sigma.unsqueeze(1)) ** 2, 1)
    divergence = functional.kl_div(functional.log_softmax(columns, 1), target, reduction="none").sum(1)
    segmentation = functional.cross_entropy(
        outputs.segmentation.float(), batch["segmentation"], ignore_index=IGNORED_CLASS, reduction="sum"
    )
    weight = 1.0 + config.steep_weight * slope.clamp(max=config.steepest_px)
    terms = {
        "columns": _mean_where(divergence, known, weight=weight),
        "presence": _masked_bce(outputs.presence, batch["presence"]),
        "boundary": _masked_bce(outputs.boundary, batch["boundary"], positive=config.boundary_positive),
        "segmentation": segmentation / (batch["segmentation"] != IGNORED_CLASS).sum().clamp(min=1),
    }
    if config.height_weight > 0 and progress >= config.height_from:
        expected = windowed_height(columns, around=centre, window_px=config.height_window_px)
        error = functional.smooth_l1_loss(expected, centre, reduction="none", beta=config.height_beta_px)
        terms["height"] = _mean_where(error, known, weight=weight)
    weights = {
        "columns": 1.0,
        "presence": config.presence_weight,
        "boundary": config.boundary_weight,
        "segmentation": config.segmentation_weight,
        "height": config.height_weight,
    }
    return _with_total(terms, weights)


def trace_metrics(outputs: TraceLogits, batch: Batch) -> dict[str, float]:
    """Report the height error in pixels (argmax, then expectation around it) and how often it is gross."""
    columns = outputs.columns.float()
    height = batch["height"]
    known = _readable(height, columns.shape[1])
    top = columns.argmax(1).float()
    error = (windowed_height(columns, around=top, window_px=METRIC_WINDOW_PX) - height.nan_to_num()).abs()
    fine = known & (error < GROSS_HEIGHT_ERROR_PX)
    present = batch["presence"].isfinite()
    agrees = ((outputs.presence > 0) == (batch["presence"] > 0.5)) & present
    return {
        "height_error_px": _ratio((error * fine).sum(), fine.sum()),
        "gross_fraction": _ratio((known & ~fine).sum(), known.sum()),
        "presence_accuracy": _ratio(agrees.sum(), present.sum()),
    }


def windowed_height(columns: Tensor, *, around: Tensor, window_px: float) -> Tensor:
    """Return the expected row [B,2W] of the column softmax of [B,H,2W] within a window around given rows."""
    rows = torch.arange(columns.shape[1], device=columns.device, dtype=columns.dtype).view(1, -1, 1)
    outside = (rows - around.unsqueeze(1)).abs() > window_px
    return (columns.masked_fill(outside, -torch.inf).softmax(1) * rows).sum(1)


def _readable(height: Tensor, rows: int) -> Tensor:
    """Mask the half columns whose true height is known and lies inside the strip."""
    return height.isfinite() & (height > -0.5) & (height < rows - 0.5)


def _masked_bce(logits: Tensor, target: Tensor, *, positive: float = 1.0) -> Tensor:
    entropy = functional.binary_cross_entropy_with_logits(
        logits.float(), target.nan_to_num(), reduction="none", pos_weight=logits.new_tensor(positive).float()
    )
    return _mean_where(entropy, target.isfinite())


def _mean_where(values: Tensor, mask: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Average the masked values, with weights if any; 0 when there are none (never NaN)."""
    kept = mask.expand_as(values)
    weighted = kept.to(values.dtype) if weight is None else kept * weight
    return (values.masked_fill(~kept, 0.0) * weighted).sum() / weighted.sum().clamp(min=1)


def _with_total(terms: Terms, weights: Mapping[str, float]) -> Terms:
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return {"loss": total, **terms}


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part) / float(whole) if float(whole) else float("nan")


LOSSES: Mapping[str, Callable[..., Terms]] = {
    "keypoint": keypoint_loss,
    "name": name_loss,
    "text": text_loss,
    "grid": grid_loss,
    "trace": trace_loss,
    "reconstruct": reconstruct_loss,
}
METRICS: Mapping[str, Callable[[Any, Batch], dict[str, float]]] = {
    "keypoint": keypoint_metrics,
    "name": name_metrics,
    "text": text_metrics,
    "grid": grid_metrics,
    "trace": trace_metrics,
    "reconstruct": reconstruct_metrics,
}
