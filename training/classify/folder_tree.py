"""The folder tree of signals, images and labels in batches: ``signals/ images/{gaf,mtf}/ labels/``; in and out.

``signals/batch_K.npy`` is (n, 1000, leads) at 100 Hz, ``images/gaf/batch_K.npy`` and ``images/mtf/batch_K.npy`` are
(n, 3, side, side), ``labels/y_K.npy`` is (n, 5). The tree is one set of examples, or three below train/, val/, test/.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ecgstudio.core.leads import LEADS
from ecgstudio.errors import InputError
from ecgstudio.stages.fusion_input import CLINICAL_SIZE, FS_HZ, SAMPLES
from training.classify.dataset import Examples, Splits, Values, check_classes, check_length, check_signals
from training.classify.gaf_mtf import KINDS
from training.classify.splitting import split_stratified
from training.signals.record import DIAGNOSTIC_CLASSES

PARTS = ("train", "val", "test")


def is_folder_tree(folder: Path) -> bool:
    """Tell whether the folder is such a tree, or holds three of them."""
    return (folder / "signals").is_dir() or all((folder / part / "signals").is_dir() for part in PARTS)


def open_tree(folder: Path, *, seed: int) -> Splits:
    """Read a tree; one without train/, val/ and test/ is divided 8:1:1.

    Raises:
        InputError: a file is missing or does not fit the others, or a signal or label cannot be used.
    """
    if (folder / "signals").is_dir():
        return split_stratified(read_tree(folder), seed=seed)
    return Splits(**{part: read_tree(folder / part) for part in PARTS})


def read_tree(folder: Path) -> Examples:
    """Read one set of examples, batches in the order of their numbers; without age and sex, these are unknown."""
    signals, names = _batches(folder / "signals", "batch")
    labels, _ = _batches(folder / "labels", "y")
    for path, (count, rows) in _counts(folder / "labels", "y", labels, signals).items():
        if count != rows:
            raise InputError(f"{path} holds {count} rows, but there are {rows} signals in the batch of that number.")
    joined = np.concatenate(signals).astype(np.float32)
    if joined.ndim != 3:
        raise InputError(f"{folder / 'signals'}: signals must be (n, {SAMPLES}, leads), not {joined.shape}.")
    check_length(joined.shape[1], fs=FS_HZ, seconds=SAMPLES / FS_HZ, where=str(folder / "signals"))
    joined = joined.transpose(0, 2, 1)
    count, leads, _ = joined.shape
    lead_names = LEADS if leads == len(LEADS) else [str(lead) for lead in range(leads)]
    check_signals(joined, names, leads=lead_names, where=str(folder / "signals"))
    found = _labels(np.concatenate(labels), folder, names)
    inputs: dict[str, Values] = {"signal": joined, "clinical": np.zeros((count, CLINICAL_SIZE), np.float32)}
    for kind in KINDS:
        if (folder / "images" / kind).is_dir():
            inputs[kind] = _images(folder / "images" / kind, signals)
    return Examples(tuple(names), inputs, found, DIAGNOSTIC_CLASSES)


def write_tree(examples: Examples, folder: Path, *, batch: int = 256) -> None:
    """Write examples as a tree that `read_tree` reads back."""
    places = {"signal": folder / "signals"} | {kind: folder / "images" / kind for kind in KINDS}
    for place in (*(places[name] for name in places if name in examples.inputs), folder / "labels"):
        place.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, len(examples), batch)):
        rows = slice(first, first + batch)
        for name, place in places.items():
            if name in examples.inputs:
                values = examples.inputs[name][rows]
                np.save(place / f"batch_{number}.npy", values.transpose(0, 2, 1) if name == "signal" else values)
        np.save(folder / "labels" / f"y_{number}.npy", examples.labels[rows])


def _files(folder: Path, stem: str) -> list[Path]:
    """Return the files stem_NUMBER.npy in the order of their numbers."""
    numbered = {path: re.fullmatch(rf"{stem}_(\d+)\.npy", path.name) for path in folder.glob(f"{stem}_*.npy")}
    files = sorted((int(match[1]), path) for path, match in numbered.items() if match)
    if not files:
        raise InputError(f"{folder} is empty: there is no {stem}_0.npy in it.")
    return [path for _, path in files]


def _load(path: Path) -> Values:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not an array of numbers: {error}") from error


def _batches(folder: Path, stem: str) -> tuple[list[Values], list[str]]:
    """Return the batches, and a name for each row: file and place in it."""
    arrays: list[Values] = []
    names: list[str] = []
    for path in _files(folder, stem):
        values = _load(path)
        if arrays and values.shape[1:] != arrays[0].shape[1:]:
            raise InputError(f"{path}: rows are {values.shape[1:]}, in the batches before {arrays[0].shape[1:]}.")
        arrays.append(values)
        names += [f"{path.stem}:{row}" for row in range(len(values))]
    return arrays, names


def _counts(folder: Path, stem: str, own: list[Values], signals: list[Values]) -> dict[Path, tuple[int, int]]:
    files = _files(folder, stem)
    if len(files) != len(signals):
        raise InputError(f"{folder} holds {len(files)} batches, but there are {len(signals)} batches of signals.")
    return {path: (len(a), len(b)) for path, a, b in zip(files, own, signals, strict=True)}


def _labels(values: Values, folder: Path, names: list[str]) -> np.ndarray:
    where = str(folder / "labels")
    if values.shape[1:] != (len(DIAGNOSTIC_CLASSES),):
        raise InputError(f"{where}: labels must be (n, {len(DIAGNOSTIC_CLASSES)}), not {values.shape}.")
    bad = ~np.isin(values, (0, 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name = DIAGNOSTIC_CLASSES[column]
        raise InputError(f"{where}, row {names[row]}, column {name}: {values[row, column]} is neither 0 nor 1.")
    labels = values.astype(np.uint8)
    check_classes(labels, DIAGNOSTIC_CLASSES, where=where)
    return labels


def _images(folder: Path, signals: list[Values]) -> Values:
    arrays, _ = _batches(folder, "batch")
    for path, (count, rows) in _counts(folder, "batch", arrays, signals).items():
        if count != rows:
            raise InputError(f"{path} holds {count} rows, but there are {rows} signals in the batch of that number.")
    joined = np.concatenate(arrays)
    if joined.ndim != 4 or joined.shape[1] != 3 or joined.shape[2] != joined.shape[3]:
        raise InputError(f"{folder}: images must be (n, 3, side, side), not {joined.shape}.")
    if joined.dtype != np.uint8 and not np.isfinite(joined).all():
        row = int(np.argwhere(~np.isfinite(joined))[0, 0])
        raise InputError(f"{folder}, row {row}: a pixel is not a number.")
    return joined if joined.dtype == np.uint8 else joined.astype(np.float32)
