"""Sources of 12-lead records: a PTB-XL folder, a folder of npz packs, or our generator that needs no data."""

from __future__ import annotations

from pathlib import Path

from training.signals.packs import is_pack_folder, open_packs
from training.signals.ptbxl import is_ptbxl_folder, open_ptbxl
from training.signals.record import Record, RecordSource, check_split
from training.signals.synthetic import SyntheticSource, synthesize_record

__all__ = ["Record", "RecordSource", "open_source", "synthesize_record"]

SYNTHETIC = "synthetic"


def open_source(
    spec: str, split: str = "train", *, include_resampled: bool = True, scoring: bool = False
) -> RecordSource:
    """Open "synthetic", a folder of packs or a PTB-XL folder, for the "train" or "val" split; to measure also "test".

    Records of real folders are given at 500 Hz; those stored at 100 Hz are resampled, carry the label
    `resampled_from_hz`, and are left out with `include_resampled=False`. `scoring=True` opens the "test" split
    too. Raises ValueError for another split or for a folder that is neither, FileNotFoundError for a missing folder.
    """
    check_split(split, scoring=scoring)
    if spec == SYNTHETIC:
        return SyntheticSource(split)
    folder = Path(spec)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of records at {folder}")
    if is_ptbxl_folder(folder):
        return open_ptbxl(folder, split, include_resampled=include_resampled, scoring=scoring)
    if is_pack_folder(folder):
        return open_packs(folder, split, include_resampled=include_resampled, scoring=scoring)
    raise ValueError(f"{folder} holds neither ptbxl_database.csv nor record packs (*_500hz.npz)")
