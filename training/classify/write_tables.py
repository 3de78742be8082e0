"""Write records as the clinical model reads them: strips of one lead, series, age and sex, normal or abnormal."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgstudio.core.leads import LEAD_INDEX
from ecgstudio.io.atomic import write_bytes
from ecgstudio.stages.fusion_input import AGE_MIDDLE, AGE_SPREAD, FS_HZ, F32Array
from training.classify.dataset import Splits
from training.classify.records import normal_or_not, open_records

LEAD = "II"
STRIP_WIDTH, STRIP_HEIGHT = 2500, 250
PX_PER_MM = 10
PX_PER_MV = 100
PAPER, MINOR, MAJOR, INK = (250, 245, 255), (225, 215, 250), (200, 180, 240), (20, 20, 20)
"""BGR."""


def write_tables(records: Path, out: Path, *, limit: int | None = None) -> int:
    """Write all records of a folder that have a class, with their split; return how many."""
    return write_splits(open_records(records), out, limit=limit)


def write_splits(splits: Splits, out: Path, *, limit: int | None = None) -> int:
    """Write ``images/INDEX.png``, ``series.csv``, ``clinical.csv`` and ``labels.csv``; return the number of rows.

    A record without the lead, age or sex is left out.
    """
    series, clinical, labels = {}, {}, {}
    for split, part in splits.named().items():
        examples = normal_or_not(part)
        for row, name in enumerate(examples.ids[:limit]):
            mv = examples.inputs["signal"][row, LEAD_INDEX[LEAD]]
            years, has_age, male, female = examples.inputs["clinical"][row]
            if not np.isfinite(mv).all() or not has_age or not male + female:
                continue
            write_bytes(out / "images" / f"{name}.png", _png(strip(mv)))
            series[name] = np.round(mv, 4)
            clinical[name] = (round(float(years) * AGE_SPREAD + AGE_MIDDLE), "f" if female else "m")
            labels[name] = ("abnormal" if examples.labels[row, 0] else "normal", split)
    times = [f"{at / FS_HZ:.2f}" for at in range(len(next(iter(series.values()))))]
    tables = {
        "series": pd.DataFrame.from_dict(series, orient="index", columns=times),
        "clinical": pd.DataFrame.from_dict(clinical, orient="index", columns=["age", "sex"]),
        "labels": pd.DataFrame.from_dict(labels, orient="index", columns=["label", "split"]),
    }
    for name, table in tables.items():
        write_bytes(out / f"{name}.csv", table.to_csv(index_label="index", lineterminator="\n").encode())
    return len(labels)


def strip(mv: F32Array) -> NDArray[np.uint8]:
    """Draw 10 s of a lead as u8[250, 2500, 3] on millimetre paper: 25 mm/s, 10 mm/mV."""
    pixels = np.full((STRIP_HEIGHT, STRIP_WIDTH, 3), PAPER, np.uint8)
    for step, colour in ((PX_PER_MM, MINOR), (5 * PX_PER_MM, MAJOR)):
        pixels[::step] = colour
        pixels[:, ::step] = colour
    x = np.linspace(0, STRIP_WIDTH - 1, len(mv))
    y = STRIP_HEIGHT / 2 - PX_PER_MV * (mv - np.median(mv))
    points = np.round(np.stack([x, np.clip(y, 1, STRIP_HEIGHT - 2)], 1) * 16).astype(np.int32)
    cv2.polylines(pixels, [points], False, INK, 3, cv2.LINE_AA, shift=4)
    return pixels


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])
