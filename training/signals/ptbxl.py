"""Read a PTB-XL folder in its official layout: ptbxl_database.csv and records500/ or records100/."""

from __future__ import annotations

import ast
import csv
import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.signals.label_table import read_labels
from training.signals.record import (
    DIAGNOSTIC_CLASSES,
    TARGET_FS,
    Record,
    ScreenedSource,
    check_split,
    resample_mirrored,
)

DATABASE = "ptbxl_database.csv"
STATEMENTS = "scp_statements.csv"
FOLDS = {"train": range(1, 9), "val": range(9, 10), "test": range(10, 11)}  # the official folds
LEAD_ORDER = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "v": 1e3}
_Entry = tuple[Path, Mapping[str, str]]  # the record's path without extension, its row of the database

OLDEST_AGE = 90.0  # PTB-XL writes 300 for "over 89"


def is_ptbxl_folder(folder: Path) -> bool:
    """Tell whether the folder is a PTB-XL folder."""
    return (folder / DATABASE).is_file()


def open_ptbxl(
    folder: Path, split: str = "train", *, include_resampled: bool = True, scoring: bool = False
) -> ScreenedSource:
    """Open the records of the split's folds, each from its 500 Hz file or else its 100 Hz file.

    Records of which neither file exists are left out, so a partial download works. `include_resampled=False`
    also leaves out records that exist only at 100 Hz, `scoring=True` opens the test split too.
    """
    check_split(split, scoring=scoring)
    classes = _classes_by_statement(folder)
    entries: list[_Entry] = []
    rows = read_labels(folder / DATABASE, key="ecg_id", columns=("strat_fold", "filename_hr", "filename_lr"))
    for row in rows.values():
        if int(float(row["strat_fold"])) not in FOLDS[split]:
            continue
        names = (row["filename_hr"], row["filename_lr"]) if include_resampled else (row["filename_hr"],)
        stem = next((folder / name for name in names if (folder / f"{name}.hea").is_file()), None)
        if stem is not None:
            entries.append((stem, row))

    return ScreenedSource(functools.partial(_read_record, entries, classes, split), len(entries))


def _read_record(entries: Sequence[_Entry], classes: Mapping[str, str], split: str, index: int) -> Record:
    stem, row = entries[index]
    mv, fs = _read_wfdb(stem)
    labels = _labels(row, classes)
    if fs != TARGET_FS:
        labels["resampled_from_hz"] = fs
    return Record(
        id=f"ptbxl-{int(float(row['ecg_id']))}",
        mv=resample_mirrored(mv, fs, TARGET_FS),
        fs=TARGET_FS,
        source="ptbxl",
        split=split,
        labels=labels,
    )


def _read_wfdb(stem: Path) -> tuple[NDArray[np.float32], float]:
    with warnings.catch_warnings():  # wfdb 4.3 defines its tables in a way that pandas 3 calls deprecated
        warnings.filterwarnings("ignore", message="The inplace keyword")
        import wfdb  # imported here: it takes a second, and the other sources do without

    stored = wfdb.rdrecord(str(stem))
    names = [name.upper() for name in stored.sig_name]
    missing = [lead for lead in LEAD_ORDER if lead not in names]
    if missing:
        raise ValueError(f"{stem.name}: lead {', '.join(missing)} is missing")
    columns = [names.index(lead) for lead in LEAD_ORDER]
    gains = [MV_PER_UNIT[stored.units[column].lower()] for column in columns]
    return (stored.p_signal[:, columns] * gains).T.astype(np.float32), float(stored.fs)


def _classes_by_statement(folder: Path) -> dict[str, str]:
    """Map each diagnostic statement to its superclass; empty where the statements file is absent."""
    path = folder / STATEMENTS
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        key = (reader.fieldnames or [""])[0]  # the column of statement names has no heading
        return {row[key]: row["diagnostic_class"] for row in reader if row.get("diagnostic") in ("1", "1.0")}


def _labels(row: Mapping[str, str], classes: Mapping[str, str]) -> dict[str, object]:
    labels: dict[str, object] = {
        name: float(row[name]) for name in ("age", "sex", "height", "weight") if row.get(name)
    }
    if "age" in labels:
        labels["age"] = min(float(row["age"]), OLDEST_AGE)
    if row.get("patient_id"):
        labels["patient_id"] = row["patient_id"].removesuffix(".0")
    statements = list(ast.literal_eval(row.get("scp_codes") or "{}"))
    labels["scp_keys"] = " ".join(statements)
    if classes:
        found = {classes[statement] for statement in statements if statement in classes}
        labels.update({name: int(name in found) for name in DIAGNOSTIC_CLASSES})
    return labels
