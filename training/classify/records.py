"""Labelled records at 100 Hz from PTB-XL packs or folders, kept on disk once read; split as their table says."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecgstudio.core.leads import LEADS
from ecgstudio.errors import InputError
from ecgstudio.stages.fusion_input import at_100_hz, clinical_input
from training.classify.dataset import Examples, Splits, check_classes
from training.signals.packs import is_pack_folder, open_packs
from training.signals.ptbxl import is_ptbxl_folder, open_ptbxl
from training.signals.record import DIAGNOSTIC_CLASSES, FLAT_RANGE_MV, Record

logger = logging.getLogger(__name__)

CACHE_FORMAT = 2
ABNORMAL = "ABNORMAL"
STATEMENTS = (
    "NORM", "SR", "ABQRS", "IMI", "ASMI", "LVH", "NDT", "LAFB", "AFIB", "ISC_", "STD_", "IRBBB", "PVC", "VCLVH",
    "NST_", "STACH", "SARRH", "1AVB", "IVCD", "QWAVE", "SBRAD", "LOWT", "ISCAL", "NT_", "PAC", "CLBBB", "CRBBB",
    "ILMI", "LPR", "LAO/LAE", "INVT", "AMI", "DIG", "PACE", "ALMI", "LVOLT", "ISCIN", "INJAS", "LMI", "ISCIL",
    "LPFB", "ISCAS", "INJAL", "EL", "RVH", "ISCLA", "ANEUR", "RAO/RAE", "HVOLT", "SVARR", "AFLT",
)  # fmt: skip
"""The SCP-ECG statements of PTB-XL that are common enough to learn from: a finer teacher than the five classes."""


def open_records(folder: Path, *, cache: Path | None = None) -> Splits:
    """Return ``signal`` f32[N, 12, 1000] and ``clinical`` f32[N, 4] of all records that have a class, by split.

    Where statements are known, ``statements`` f32[N, 51] says which of STATEMENTS each record has.

    Raises:
        InputError: the folder is no source of labelled records, or a split has only one class.
    """
    parts = {split: _split(folder, split, cache=cache) for split in ("train", "val", "test")}
    return Splits(**parts)


def normal_or_not(examples: Examples) -> Examples:
    """Return the same examples with the one class ABNORMAL: whatever is not purely NORM."""
    column = examples.classes.index("NORM")
    others = np.delete(examples.labels, column, axis=1).any(axis=1) | (examples.labels[:, column] == 0)
    return Examples(examples.ids, examples.inputs, others[:, None].astype(np.uint8), (ABNORMAL,))


def as_examples(records: Iterable[Record], *, where: str) -> Examples:
    """Turn records into examples, without those that have no class; a flat lead was not connected and becomes NaN."""
    ids, signals, clinical, labels, statements = [], [], [], [], []
    for record in records:
        row = [int(str(record.labels.get(name, 0))) for name in DIAGNOSTIC_CLASSES]
        if not any(row):
            continue
        mv = np.where((np.ptp(record.mv, axis=1) < FLAT_RANGE_MV)[:, None], np.nan, record.mv)
        if np.isnan(mv).any():
            logger.info("record %s: %s", record.id, _missing(mv))
        ids.append(record.id)
        signals.append(at_100_hz(mv, record.fs))
        clinical.append(clinical_input(_number(record, "age"), _number(record, "sex")))
        labels.append(row)
        said = str(record.labels.get("scp_keys", "")).split()
        statements.append([name in said for name in STATEMENTS])
    found = np.array(labels, np.uint8).reshape(-1, len(DIAGNOSTIC_CLASSES))
    check_classes(found, DIAGNOSTIC_CLASSES, where=where)
    inputs = {"signal": np.stack(signals), "clinical": np.stack(clinical)}
    if np.any(statements):
        inputs["statements"] = np.array(statements, np.float32)
    return Examples(tuple(ids), inputs, found, DIAGNOSTIC_CLASSES)


def _missing(mv: np.ndarray) -> str:
    leads = [LEADS[row] for row in np.flatnonzero(np.isnan(mv).any(axis=1))]
    return f"{', '.join(leads)} flat or incomplete"


def labelled_records(folder: Path, split: str) -> list[Record]:
    """Return the records of a split that have a class, as stored.

    Raises:
        InputError: the folder is no source of labelled records, or has none in that split.
    """
    found = [r for r in _records(folder, split) if any(int(str(r.labels.get(n, 0))) for n in DIAGNOSTIC_CLASSES)]
    if not found:
        raise InputError(f"{folder} ({split}) holds no record that has a class.")
    return found


def _number(record: Record, name: str) -> float | None:
    value = record.labels.get(name)
    return float(value) if isinstance(value, int | float) else None


def _split(folder: Path, split: str, *, cache: Path | None) -> Examples:
    where = f"{folder} ({split})"
    if cache is None:
        return as_examples(_records(folder, split), where=where)
    path = cache / f"records-{_fingerprint(folder)}-{split}.npz"
    if not path.is_file():
        examples = as_examples(_records(folder, split), where=where)
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        arrays: dict[str, Any] = {"ids": np.array(examples.ids), "labels": examples.labels, **examples.inputs}
        np.savez(temporary, **arrays)
        temporary.replace(path)
        return examples
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    ids, labels = tuple(str(name) for name in arrays.pop("ids")), arrays.pop("labels")
    return Examples(ids, arrays, labels, DIAGNOSTIC_CLASSES)


def _records(folder: Path, split: str) -> Iterator[Record]:
    if is_ptbxl_folder(folder):
        return open_ptbxl(folder, split, scoring=True).as_stored()
    if is_pack_folder(folder):
        return open_packs(folder, split, scoring=True).as_stored()
    raise InputError(f"{folder} holds neither ptbxl_database.csv nor record packs (*_500hz.npz).")


def _fingerprint(folder: Path) -> str:
    """Name the content of a folder by its files' names, sizes and times."""
    lines = [f"{CACHE_FORMAT} {folder.resolve()}"]
    for path in sorted(folder.iterdir()):
        stat = path.stat()
        lines.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
