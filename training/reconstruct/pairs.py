"""Folders of pairs: a picture of 400 x 400 pixels (.png) and the signal that it shows (WFDB .hea and .dat), by name.

A folder is flat, divided 8:1:1 by its names, or has `train`, `val` and `test` in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import wfdb
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.errors import InputError, UserError
from ecgstudio.io.atomic import file_group
from ecgstudio.io.export import FORMATS, PageResults, safe_name
from ecgstudio.stages.view import brightest_and_darkest, coarse_centres, upsampled
from training.folders import SPLITS
from training.reconstruct.examples import Example, ExampleShape
from training.sampling import MappedPage
from training.signals import open_source
from training.synth.truth import LeadTruth
from training.synth.write import encode_picture, synthesize_page

PICTURE_PX = 400
SECONDS, FS = 2.5, 500.0
ROWS_PER_MV = 64.0
"""Of the pictures that we write: 6.25 mV are as high as 2.5 s are wide, as on paper at 25 mm/s and 10 mm/mV."""
RASTER_STEP_PX = 8
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
SPLIT_SEED = 0


# --- reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PairExamples:
    """The pairs of one split: signals in memory, pictures decoded when they are asked for."""

    pictures: tuple[Path, ...]
    signals_mv: NDArray[np.float32]
    shape: ExampleShape
    spoilt: bool = True

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Example:
        path, target = self.pictures[index], self.signals_mv[index]
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise InputError(f"{path} cannot be read as a picture.")
        picture = np.stack(brightest_and_darkest(np.asarray(bgr, np.uint8)))
        sure = np.ones_like(target)
        return Example(path.stem, "pairs", picture, np.stack([target, sure, sure], axis=1), target)


def is_pairs_folder(folder: Path) -> bool:
    """Tell whether a folder, or one of its splits, holds .png or .dat files."""
    folders = (folder, *(folder / split for split in SPLITS))
    return any(path.suffix.lower() in (".png", ".dat") for each in folders if each.is_dir() for path in each.iterdir())


def open_pairs(folder: Path, *, rows_per_mv: float = 0.0) -> dict[str, PairExamples]:
    """Read all signals of a folder, and look at every picture, once; return its splits.

    Raises:
        InputError: a file is missing, damaged, or not like the others; it names the file.
    """
    if any((folder / split).is_dir() for split in SPLITS):
        stems = {split: _stems(folder / split) for split in SPLITS if (folder / split).is_dir()}
    else:
        stems = _divided(_stems(folder))
    if not stems.get("train") or not stems.get("val"):
        raise InputError(f"{folder} holds too few pairs of .png and .dat: some are needed to train and to validate.")
    first: tuple[Path, NDArray[np.float32], float] | None = None
    found: dict[str, PairExamples] = {}
    for split, bases in stems.items():
        signals = []
        for base in bases:
            _check_picture(base.with_suffix(".png"))
            signal_mv, hz = read_signal(base)
            first = first or (base, signal_mv, hz)
            _check_alike(base, signal_mv, hz, first)
            signals.append(signal_mv)
        if first is None or not signals:
            continue
        leads, samples = first[1].shape
        shape = ExampleShape(leads, samples, PICTURE_PX, PICTURE_PX, rows_per_mv, 1.0, first[2])
        found[split] = PairExamples(tuple(base.with_suffix(".png") for base in bases), np.stack(signals), shape)
    return found


def read_signal(base: Path) -> tuple[NDArray[np.float32], float]:
    """Return a WFDB record's signals f32[leads, n] in mV, and its rate; `base` is its path without suffix.

    Raises:
        InputError: a file is missing or damaged, or a sample is.
    """
    for suffix in (".hea", ".dat"):
        if not base.with_suffix(suffix).is_file():
            raise InputError(
                f"{base.with_suffix(suffix)} is missing: a picture's signal is a WFDB record (.hea, .dat)."
            )
    try:
        record = wfdb.rdrecord(str(base))
    except Exception as error:
        raise InputError(f"{base}.dat cannot be read as a WFDB record: {error}") from error
    signal_mv = np.asarray(record.p_signal, np.float32).T
    for name, unit, lead in zip(record.sig_name, record.units, signal_mv, strict=True):
        scale = {"mv": 1.0, "uv": 1e-3, "v": 1e3}.get(str(unit).lower())
        if scale is None:
            raise InputError(f"{base}.hea: lead {name} is in {unit}, not in mV.")
        lead *= np.float32(scale)
        missing = np.flatnonzero(~np.isfinite(lead))
        if len(missing):
            raise InputError(f"{base}.dat: sample {missing[0]} of lead {name} is missing (NaN).")
    if not signal_mv.size:
        raise InputError(f"{base}.dat holds no sample.")
    return signal_mv, float(record.fs)


def _stems(folder: Path) -> list[Path]:
    """List the pairs of a folder by their paths without suffix."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    found = {
        suffix: {path.stem for path in folder.iterdir() if path.suffix.lower() == suffix} for suffix in (".png", ".dat")
    }
    for have, want in ((".png", ".dat"), (".dat", ".png")):
        for stem in sorted(found[have] - found[want]):
            raise InputError(f"{folder / stem}{want} is missing: there is only {stem}{have}.")
    if not found[".png"]:
        raise InputError(f"There are no pairs of .png and .dat in {folder}.")
    return [folder / stem for stem in sorted(found[".png"])]


def _divided(stems: list[Path]) -> dict[str, list[Path]]:
    """Divide a flat folder 8:1:1; the same names are always divided alike."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(stems))
    few = max(1, len(stems) // 10)
    cuts = {"val": order[:few], "test": order[few : 2 * few], "train": order[2 * few :]}
    return {split: [stems[i] for i in sorted(rows)] for split, rows in cuts.items()}


def _check_picture(path: Path) -> None:
    try:
        with Image.open(path) as picture:
            size = picture.size
            picture.verify()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a picture.") from error
    if size != (PICTURE_PX, PICTURE_PX):
        raise InputError(f"{path} has {size[0]} x {size[1]} pixels, not {PICTURE_PX} x {PICTURE_PX}.")


def _check_alike(
    base: Path, signal_mv: NDArray[np.float32], hz: float, first: tuple[Path, NDArray[np.float32], float]
) -> None:
    if signal_mv.shape != first[1].shape or hz != first[2]:
        here, there = (f"{values.shape[0]} x {values.shape[1]} samples at {rate:g} Hz" for values, rate in (
            (signal_mv, hz), first[1:],
        ))  # fmt: skip
        raise InputError(f"{base}.dat holds {here}, {first[0].name}.dat {there}: all must be alike.")


# --- writing ------------------------------------------------------------------------------------------------


def write_pairs(
    out: Path, *, records: str, count: int, seed: int = 0, kind: str | None = None, layout: str | None = None
) -> int:
    """Render `count` pairs of one lead's 2.5 s, divided 8:1:1 by record, and return how many were written.

    Those to validate and test with come from the records' own validation split.

    Raises:
        UserError: the records cannot be read.
    """
    written = 0
    for number, (split, share) in enumerate(SHARES.items()):
        wanted = max(1, round(count * share))
        try:
            source = open_source(records, split="train" if split == "train" else "val")
        except (ValueError, OSError) as error:
            raise UserError(f"The records cannot be read: {error}.") from error
        rng = np.random.default_rng((seed, number))
        pages = 0
        done = 0
        while done < wanted:
            record = source[int(rng.integers(len(source)))]
            page = synthesize_page(record.mv, record.fs, rng=rng, kind=kind, layout=layout)
            mapped = MappedPage(page.pixels, page.truth)
            for lead, picture, signal_mv in _shown(mapped, rng):
                if done < wanted:
                    stem = safe_name(f"pair-{seed:03d}-{number}-{pages:05d}-{lead}-{done:05d}")
                    _write_pair(out / split / stem, lead, picture, signal_mv)
                    done += 1
            pages += 1
        written += done
    return written


def _shown(page: MappedPage, rng: np.random.Generator) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
    """Yield a stretch of each lead that is printed long enough: name, picture and signal."""
    speed = page.truth.sheet.mm_per_s
    for lead in page.truth.sheet.leads:
        room_mm = lead.line_mm[-1, 0] - lead.line_mm[0, 0] - SECONDS * speed
        if room_mm < 0:
            continue
        first_mm = float(lead.line_mm[0, 0] + rng.uniform(0, room_mm))
        at_mm = first_mm + (np.arange(round(SECONDS * FS)) + 0.5) / FS * speed
        y_mm = np.interp(at_mm, lead.line_mm[:, 0], lead.line_mm[:, 1])
        signal_mv = ((lead.zero_mm - y_mm) / lead.mm_per_mV).astype(np.float32)
        yield lead.lead, _picture(page, lead, first_mm), signal_mv


def _picture(page: MappedPage, lead: LeadTruth, first_mm: float) -> NDArray[np.uint8]:
    """Sample the page once, the lead's zero line in the middle."""
    shape = (PICTURE_PX, PICTURE_PX)
    at, coarse = coarse_centres(shape, RASTER_STEP_PX)
    x_mm = first_mm + (at[:, 0] + 0.5) / PICTURE_PX * SECONDS * page.truth.sheet.mm_per_s
    y_mm = lead.zero_mm + (at[:, 1] + 0.5 - PICTURE_PX / 2) / ROWS_PER_MV * lead.mm_per_mV
    on_page = page.to_page(np.stack([x_mm, y_mm], axis=1)).reshape(*coarse, 2)
    full = upsampled(on_page.astype(np.float32), shape, RASTER_STEP_PX)
    pixels = cv2.remap(page.pixels, full[..., 0], full[..., 1], cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(pixels, np.uint8)


def _write_pair(base: Path, lead: str, picture: NDArray[np.uint8], signal_mv: NDArray[np.float32]) -> None:
    base.parent.mkdir(parents=True, exist_ok=True)
    record = EcgRecord(signal_mv[None], FS, leads=(lead,))
    header, samples = FORMATS["wfdb"].encode(PageResults(base.name, record, {}, None))
    with file_group() as group:
        group.add(base.with_suffix(".hea"), header)
        group.add(base.with_suffix(".dat"), samples)
        group.add(base.with_suffix(".png"), encode_picture(picture, suffix=".png"))
