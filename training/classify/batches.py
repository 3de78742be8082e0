"""Examples turned into tensors, batch by batch: views of paper, hidden age and sex, scaling; no reading of files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ecgstudio.core.leads import LAYOUTS, Layout
from ecgstudio.stages.fusion_input import F32Array, signal_and_mask
from training.classify.dataset import Examples
from training.classify.paper import PaperNoise, as_paper, draw_layout
from training.classify.settings import ClassifySettings

Inputs = dict[str, Tensor]


def training_batches(examples: Examples, settings: ClassifySettings, *, epoch: int) -> Iterator[tuple[Inputs, Tensor]]:
    """Yield all examples once, shuffled and augmented; the same for the same seed and epoch."""
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(examples))
    for rows in _chunks(order, settings.batch):
        arrays = {name: values[rows] for name, values in examples.inputs.items()}
        if settings.paper and "signal" in arrays:
            arrays["signal"] = np.stack([_perhaps_paper(mv, settings.paper, rng) for mv in arrays["signal"]])
        if settings.unknown and "signal" in arrays and "clinical" in arrays:
            arrays["clinical"] = _hide(arrays["clinical"], settings.unknown, rng)
        targets = torch.from_numpy(examples.labels[rows].astype(np.float32))
        yield _mixed(tensors(arrays), targets, settings, rng)


def plain_batches(examples: Examples, *, batch: int) -> Iterator[Inputs]:
    """Yield all examples in order and as they are."""
    for rows in _chunks(np.arange(len(examples)), batch):
        yield tensors({name: values[rows] for name, values in examples.inputs.items()})


def on_paper(examples: Examples, *, layout: str = "", seed: int = 0, noise: PaperNoise | None = None) -> Examples:
    """Return examples whose signals are as read from pages of one layout (or of drawn ones); a seed fixes the views."""
    fixed: Layout | None = LAYOUTS[layout] if layout else None
    views = []
    for row, mv in enumerate(examples.inputs["signal"]):
        rng = np.random.default_rng([seed, row])
        views.append(as_paper(mv, fixed or draw_layout(rng), rng, noise=noise))
    return examples.having(signal=np.stack(views))


def tensors(arrays: dict[str, np.ndarray]) -> Inputs:
    """Turn modalities into tensors: mV with a mask beside them, images from u8 to -1..1."""
    result: Inputs = {}
    for name, values in arrays.items():
        if name == "signal":
            centred, mask = signal_and_mask(values)
            result["signal"], result["mask"] = torch.from_numpy(centred), torch.from_numpy(mask)
        elif values.dtype == np.uint8:
            result[name] = torch.from_numpy(values.astype(np.float32) / 127.5 - 1)
        else:
            result[name] = torch.from_numpy(np.asarray(values, np.float32))
    return result


def _perhaps_paper(mv: F32Array, share: float, rng: np.random.Generator) -> F32Array:
    return as_paper(mv, draw_layout(rng), rng) if rng.random() < share else mv


def _hide(clinical: F32Array, share: float, rng: np.random.Generator) -> F32Array:
    """Make age (the first two values) and sex (the others) unknown, each for itself."""
    hidden = clinical.copy()
    hidden[rng.random(len(hidden)) < share, :2] = 0
    hidden[rng.random(len(hidden)) < share, 2:] = 0
    return hidden


def _mixed(
    inputs: Inputs, targets: Tensor, settings: ClassifySettings, rng: np.random.Generator
) -> tuple[Inputs, Tensor]:
    """Smooth the labels and mix each example with another one (Zhang et al. 2018)."""
    if settings.smoothing:
        targets = targets * (1 - settings.smoothing) + 0.5 * settings.smoothing
    if not settings.mixup or len(targets) < 2:
        return inputs, targets
    share = float(rng.beta(settings.mixup, settings.mixup))
    other = torch.from_numpy(rng.permutation(len(targets)))
    mixed = {name: share * values + (1 - share) * values[other] for name, values in inputs.items()}
    return mixed, share * targets + (1 - share) * targets[other]


def _chunks(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut into batches of `size`; a last one of a single example (no batch statistics) joins the one before."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] < 2:
        cuts.pop()
    return np.split(order, cuts)
