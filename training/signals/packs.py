"""Read the npz packs: thousands of records a file, eight leads as second differences, four as residuals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstudio.errors import InputError
from training.signals.label_table import read_labels
from training.signals.record import (
    DIAGNOSTIC_CLASSES,
    SCORED_SPLITS,
    TARGET_FS,
    Record,
    ScreenedSource,
    check_split,
    resample_mirrored,
)

STORED_LEADS = (0, 1, 6, 7, 8, 9, 10, 11)  # I, II, V1..V6; Einthoven's relations predict the others
SEX_CODES = {"male": 0, "female": 1}  # PTB-XL's coding


@dataclass(frozen=True, slots=True)
class PackFile:
    """Say where a pack and its labels lie, and which label column names the record."""

    name: str
    source: str
    labels: str | None = None
    id_column: str = ""
    has_splits: bool = False


PACK_FILES = (
    PackFile("ptbxl_500hz.npz", "ptbxl", labels="ptbxl_labels.csv", id_column="ecg_id", has_splits=True),
    PackFile("ptbxl_100hz.npz", "ptbxl", labels="ptbxl_labels.csv", id_column="ecg_id", has_splits=True),
    PackFile("ludb_500hz.npz", "ludb"),
    PackFile("challenge_500hz.npz", "challenge", labels="challenge_labels.csv", id_column="record"),
)


class Pack:
    """Hold the wanted records of one pack as stored (bytes), and decode single ones on demand."""

    def __init__(self, path: Path, wanted: Callable[[str], bool]) -> None:
        with np.load(path, allow_pickle=False) as stored:
            ids = [str(value) for value in stored["ids"]]
            rows = [row for row, record_id in enumerate(ids) if wanted(record_id)]
            self.ids = [ids[row] for row in rows]
            self.fs = float(stored["fs"].reshape(-1)[0])
            self._mv_per_unit = float(stored["uv_per_unit"].reshape(-1)[0]) / 1000.0
            offsets = stored.get("off")  # where ragged records, stored end to end in one row, begin
            self._spans = None if offsets is None else [(offsets[row], offsets[row + 1]) for row in rows]
            stored_rows = rows if offsets is None else [0]
            self._low = stored["lo"][stored_rows]
            self._high = stored["hi"][stored_rows]
            self._residuals = stored["res"][stored_rows]
            self._exceptions = [
                (stored_rows.index(row), int(lead), int(sample), int(value))
                for (row, lead, sample), value in zip(stored["ex"], stored["exv"], strict=True)
                if row in stored_rows
            ]
        self._joined = None if self._spans is None else self._decode_row(0)

    def millivolt(self, row: int) -> NDArray[np.float32]:
        """Decode one record to f32[12, n] in mV."""
        if self._joined is None or self._spans is None:
            units = self._decode_row(row)
        else:
            first, end = self._spans[row]
            units = self._joined[:, first:end]
        return (units * self._mv_per_unit).astype(np.float32)

    def _decode_row(self, row: int) -> NDArray[np.int16]:
        zigzag = self._low[row].astype(np.uint16) | (self._high[row].astype(np.uint16) << 8)
        stored = (zigzag >> 1).view(np.int16) ^ -(zigzag & 1).view(np.int16)
        for _ in range(2):  # second differences, wrapping in 16 bits
            stored = np.cumsum(stored, axis=-1, dtype=np.int16)
        residuals = self._residuals[row].astype(np.int32)
        for exception_row, lead, sample, value in self._exceptions:
            if exception_row == row:
                residuals[lead, sample] = value
        units = np.empty((12, stored.shape[-1]), np.int16)
        units[list(STORED_LEADS)] = stored
        lead_i, lead_ii = stored[0].astype(np.int32), stored[1].astype(np.int32)
        lead_iii = lead_ii - lead_i + residuals[0]
        units[2] = lead_iii
        units[3] = residuals[1] - ((lead_i + lead_ii) >> 1)
        units[4] = residuals[2] + ((lead_i - lead_iii) >> 1)
        units[5] = residuals[3] + ((lead_ii + lead_iii) >> 1)
        return units


_Entry = tuple[Pack, int, PackFile, Mapping[str, str]]  # its pack, row in the pack, file and labels


def is_pack_folder(folder: Path) -> bool:
    """Tell whether the folder holds at least one pack."""
    return any((folder / pack.name).is_file() for pack in PACK_FILES)


def open_packs(
    folder: Path, split: str = "train", *, include_resampled: bool = True, scoring: bool = False
) -> ScreenedSource:
    """Open every pack of the folder for one split.

    Packs without splits (LUDB, Challenge) belong to train. A record that the labels of a pack with splits do
    not name is left out, since it might be a test record; InputError where those labels are missing or cannot be used.
    `include_resampled=False` leaves out records stored below 500 Hz, which carry little above 40 Hz.
    `scoring=True` opens the test split too.
    """
    check_split(split, scoring=scoring)
    entries: list[_Entry] = []
    for file in PACK_FILES:
        path = folder / file.name
        if not path.is_file() or not (file.has_splits or split == "train"):
            continue
        rows = _label_rows(folder, file)
        wanted = {record_id for record_id, row in rows.items() if row.get("split") == split}
        pack = Pack(path, wanted.__contains__ if file.has_splits else lambda _: True)
        if pack.fs >= TARGET_FS or include_resampled:
            entries += [(pack, row, file, rows.get(name, {})) for row, name in enumerate(pack.ids)]
    return ScreenedSource(functools.partial(_read_record, entries, split), len(entries))


def _read_record(entries: Sequence[_Entry], split: str, index: int) -> Record:
    pack, row, file, label_row = entries[index]
    labels = _labels(label_row)
    if pack.fs != TARGET_FS:
        labels["resampled_from_hz"] = pack.fs
    return Record(
        id=f"{file.source}-{pack.ids[row]}",
        mv=resample_mirrored(pack.millivolt(row), pack.fs, TARGET_FS),
        fs=TARGET_FS,
        source=file.source,
        split=split if file.has_splits else None,
        labels=labels,
    )


def _label_rows(folder: Path, file: PackFile) -> dict[str, dict[str, str]]:
    if file.labels is None:
        return {}
    path = folder / file.labels
    if not path.is_file():
        if file.has_splits:
            raise InputError(f"{path} is needed: it says which records of {file.name} train.")
        return {}
    rows = read_labels(path, key=file.id_column, columns=("split",) if file.has_splits else ())
    for name, row in rows.items() if file.has_splits else ():
        if row["split"] not in SCORED_SPLITS:
            raise InputError(
                f"{path}, row {name}, column split: {row['split']!r} is none of {', '.join(SCORED_SPLITS)}."
            )
    return rows


def _labels(row: Mapping[str, str]) -> dict[str, object]:
    labels: dict[str, object] = {}
    for name in ("age", "sex", "height", "weight"):
        text = row.get(name, "").strip()
        if text:
            labels[name] = float(SEX_CODES.get(text.lower(), -1)) if text[0].isalpha() else float(text)
    labels.update({name: int(row[name]) for name in DIAGNOSTIC_CLASSES if row.get(name)})
    for name in ("patient_id", "scp_keys", "snomed_dx"):
        if row.get(name):
            labels[name] = row[name].removesuffix(".0")
    return labels
