"""Which examples a run sees: the one place that knows where the data of each model come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ecgstudio.errors import InputError
from training.classify.dataset import Examples, Splits, Values
from training.classify.folder_tree import is_folder_tree, open_tree
from training.classify.gaf_mtf import KINDS, images_of
from training.classify.records import open_records
from training.classify.settings import ClassifySettings
from training.classify.tables import open_tables
from training.classify.zoo import ZOO

TABLE_PATHS = ("images", "series", "clinical", "labels")


def open_examples(model: str, settings: ClassifySettings) -> Splits:
    """Return all that a model looks at; images that the data bring are resized, others are made of the signals.

    Raises:
        InputError: a path is not given or does not exist, or its content cannot be used.
    """
    if ZOO[model].family == "clinical":
        for name in TABLE_PATHS:
            _existing(getattr(settings, name), f"--{name}")
        return open_tables(settings)
    folder = _existing(settings.records, "--records")
    cache = Path(settings.cache) if settings.cache else None
    splits = open_tree(folder, seed=settings.seed) if is_folder_tree(folder) else open_records(folder, cache=cache)
    for kind in KINDS:
        if kind in ZOO[model].modalities(settings):
            splits = _each(splits, lambda part, kind=kind: _with_images(part, kind, settings, cache))  # type: ignore[misc]
    return splits


def _with_images(part: Examples, kind: str, settings: ClassifySettings, cache: Path | None) -> Examples:
    size = settings.image_size
    if kind in part.inputs:
        return part.having(**{kind: _resized(part.inputs[kind], size)})
    return part.having(**{kind: images_of(part.inputs["signal"], kind=kind, size=size, cache=cache)})


def _resized(images: Values, size: int) -> Values:
    """Bring images [N, channels, side, side] to another side."""
    if images.shape[-1] == size:
        return images
    way = cv2.INTER_AREA if images.shape[-1] > size else cv2.INTER_LINEAR
    last = [cv2.resize(each.transpose(1, 2, 0), (size, size), interpolation=way) for each in images]
    return np.ascontiguousarray(np.stack(last).transpose(0, 3, 1, 2))


def _each(splits: Splits, change: Callable[[Examples], Examples]) -> Splits:
    return Splits(**{name: change(part) for name, part in splits.named().items()})


def _existing(text: str, option: str) -> Path:
    if not text:
        raise InputError(f"{option} is needed: where are the data?")
    path = Path(text)
    if not path.exists():
        raise InputError(f"{path} ({option}) does not exist.")
    return path
