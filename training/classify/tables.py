"""Tables of clinical values, series and labels, joined on their index with lead strips; normal against abnormal.

Every complaint names the file, the row and the column.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgstudio.errors import InputError
from training.classify.dataset import FLAT_SPREAD, Examples, Splits, check_classes
from training.classify.records import ABNORMAL
from training.classify.settings import ClassifySettings
from training.classify.splitting import stratified

logger = logging.getLogger(__name__)

LABELS: Mapping[str, int | None] = {"normal": 0, "abnormal": 1, "borderline": None}
"""What a label may be; None: excluded."""
WORDS: Mapping[str, float] = {
    "m": 0, "male": 0, "f": 1, "female": 1, "no": 0, "yes": 1, "false": 0, "true": 1, "n": 0, "y": 1,
}  # fmt: skip
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
SPLIT_COLUMN = "split"
NAMED = 5


def open_tables(settings: ClassifySettings) -> Splits:
    """Join strips, series, clinical values and labels on the index; split 8:1:1, or as a column ``split`` says.

    Rows labelled borderline are left out, and those that a modality lacks (``unmatched = "error"`` refuses them).
    Series and clinical values are z-scored by the training rows.

    Raises:
        InputError: names the file, row and column of what cannot be used.
    """
    labels_path = Path(settings.labels)
    labels = read_table(labels_path, index=settings.index)
    wanted, splits = _labels(labels, settings, labels_path)
    clinical = numbers(read_table(Path(settings.clinical), index=settings.index), settings, Path(settings.clinical))
    series_path = Path(settings.series)
    series = numbers(read_table(series_path, index=settings.index), settings, series_path)
    check_series(series, settings, series_path)
    strips = {path.stem: path for path in sorted(Path(settings.images).glob("*")) if path.suffix in IMAGE_SUFFIXES}
    places = {settings.clinical: clinical.index, settings.series: series.index, settings.images: list(strips)}
    rows = _matched(wanted, places, settings, labels_path)
    found = np.array([[wanted[row]] for row in rows], np.uint8)
    check_classes(found, (ABNORMAL,), where=f"{labels_path} (rows in all modalities)")
    inputs = {
        "strip": np.stack([_strip(strips[row], settings) for row in rows]),
        "series": series.loc[rows].to_numpy(np.float32),
        "clinical": clinical.loc[rows].to_numpy(np.float32),
    }
    examples = Examples(tuple(rows), inputs, found, (ABNORMAL,))
    parts = _given(splits, rows, labels_path) if splits else stratified(found, seed=settings.seed)
    return _scored(examples, parts, where=str(labels_path))


def read_table(path: Path, *, index: str) -> pd.DataFrame:
    """Read an XLSX or CSV table by its index column, index as text.

    Raises:
        InputError: the file cannot be read or is empty, or its index is missing, has a gap or a row twice.
    """
    try:
        reader = pd.read_excel if path.suffix.lower() in (".xlsx", ".xls") else pd.read_csv
        table = reader(path, dtype={index: str})
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty: it has no header and no rows.") from error
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    if index not in table.columns:
        have = ", ".join(map(str, table.columns[:10]))
        raise InputError(f'{path} has no column "{index}". Its columns are {have}.')
    if table.empty:
        raise InputError(f"{path} is empty: it has a header and no rows.")
    without = np.flatnonzero(table[index].isna())
    if len(without):
        raise InputError(f"{path}, line {without[0] + 2}, column {index}: the index is missing.")
    table[index] = table[index].str.strip()
    twice = table[index].duplicated(keep=False)
    if twice.any():
        row = str(table[index][twice].iloc[0])
        lines = ", ".join(str(at + 2) for at in np.flatnonzero(table[index] == row))
        raise InputError(f"{path}, column {index}: row {row} occurs more than once (lines {lines}).")
    return table.set_index(index)


def numbers(table: pd.DataFrame, settings: ClassifySettings, path: Path) -> pd.DataFrame:
    """Return a table of numbers; m/f, yes/no and the like become 0 and 1.

    An empty cell is refused, or with ``missing = "drop"`` costs its row.

    Raises:
        InputError: names the row and column of a cell that is no number.
    """
    if not len(table.columns):
        raise InputError(f"{path} has no column but {settings.index}.")
    columns = {}
    for name in table.columns:
        values = table[name]
        if pd.api.types.is_numeric_dtype(values):
            columns[name] = values.astype(float)
            continue
        parsed = pd.to_numeric(values, errors="coerce")
        words = values.astype(str).str.strip().str.lower().map(WORDS)
        parsed = parsed.where(parsed.notna(), words)
        wrong = parsed.isna() & values.notna()
        if wrong.any():
            row = values.index[wrong][0]
            raise InputError(f"{path}, row {row}, column {name}: {values[row]!r} is not a number.")
        columns[name] = parsed.astype(float)
    result = pd.DataFrame(columns, index=table.index)
    empty = ~np.isfinite(result.to_numpy())
    if not empty.any():
        return result
    at, column = np.argwhere(empty)[0]
    if settings.missing == "error":
        raise InputError(
            f"{path}, row {result.index[at]}, column {result.columns[column]}: the value is missing or not finite. "
            'Fill it in, or leave such rows out with --set missing="drop".'
        )
    logger.warning("%s: %d rows with missing values are left out", path, int(empty.any(axis=1).sum()))
    return result[~empty.any(axis=1)]


def check_series(series: pd.DataFrame, settings: ClassifySettings, path: Path) -> None:
    """Refuse constant series, and times (the columns' names, in seconds) that are not those of the sampling rate.

    Raises:
        InputError: names the row, or the column where the time jumps.
    """
    flat = np.flatnonzero(np.ptp(series.to_numpy(), axis=1) < FLAT_SPREAD)
    if len(flat):
        first, last = series.columns[0], series.columns[-1]
        raise InputError(f"{path}, row {series.index[flat[0]]}, columns {first} to {last}: the series is constant.")
    times = pd.to_numeric(pd.Series(series.columns), errors="coerce").to_numpy(float)
    if not settings.series_hz or not np.isfinite(times).all() or len(times) < 2:
        return
    steps = np.diff(times)
    wrong = np.flatnonzero(np.abs(steps * settings.series_hz - 1) > 0.01)
    if len(wrong):
        at = int(wrong[0])
        rate = 1 / steps[at] if steps[at] else float("inf")
        raise InputError(
            f"{path}, column {series.columns[at + 1]}: the time step of {steps[at]:g} s means {rate:g} Hz, "
            f"but {settings.series_hz:g} Hz are expected (series_hz)."
        )


def _labels(
    table: pd.DataFrame, settings: ClassifySettings, path: Path
) -> tuple[dict[str, int], dict[str, str] | None]:
    if settings.label not in table.columns:
        have = ", ".join(map(str, table.columns[:10]))
        raise InputError(f'{path} has no column "{settings.label}". Its columns are {have}.')
    wanted: dict[str, int] = {}
    for row, value in table[settings.label].items():
        word = str(value).strip().lower()
        if word not in LABELS:
            raise InputError(f"{path}, row {row}, column {settings.label}: {value!r} is none of {', '.join(LABELS)}.")
        code = LABELS[word]
        if code is not None:
            wanted[str(row)] = code
    excluded = len(table) - len(wanted)
    if excluded:
        logger.info("%s: %d borderline rows are left out", path, excluded)
    if SPLIT_COLUMN not in table.columns:
        return wanted, None
    return wanted, {str(row): str(value).strip().lower() for row, value in table[SPLIT_COLUMN].items()}


def _matched(
    wanted: Mapping[str, int], places: Mapping[str, object], settings: ClassifySettings, path: Path
) -> list[str]:
    """Return the rows that every modality has; say which are left out."""
    have = {place: set(index) for place, index in places.items()}  # type: ignore[call-overload]
    lacking = {row: place for row in wanted for place in have if row not in have[place]}
    rows = [row for row in wanted if row not in lacking]
    if lacking and (not rows or settings.unmatched == "error"):
        row, place = next(iter(lacking.items()))
        raise InputError(f"{path}, row {row}, column {settings.index}: there is no such row in {place}.")
    if lacking:
        named = ", ".join(f"{row} (not in {place})" for row, place in list(lacking.items())[:NAMED])
        logger.warning("%d of %d rows are left out: %s", len(lacking), len(wanted), named)
    return rows


def _strip(path: Path, settings: ClassifySettings) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError(f"{path} is not an image.")
    size = (settings.strip_width, settings.strip_height)
    return np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)[..., ::-1].transpose(2, 0, 1))


def _given(splits: Mapping[str, str], rows: list[str], path: Path) -> dict[str, NDArray[np.intp]]:
    names = ("train", "val", "test")
    for row in rows:
        if splits[row] not in names:
            raise InputError(
                f"{path}, row {row}, column {SPLIT_COLUMN}: {splits[row]!r} is none of {', '.join(names)}."
            )
    return {name: np.flatnonzero([splits[row] == name for row in rows]) for name in names}


def _scored(examples: Examples, parts: Mapping[str, NDArray[np.intp]], *, where: str) -> Splits:
    """Z-score series and clinical values by the training rows and divide."""
    for name, rows in parts.items():
        check_classes(examples.labels[rows], examples.classes, where=f"{where} ({name})")
    scored = {}
    for name in ("series", "clinical"):
        values = examples.inputs[name]
        mean, spread = values[parts["train"]].mean(axis=0), values[parts["train"]].std(axis=0)
        scored[name] = ((values - mean) / np.where(spread > 0, spread, 1)).astype(np.float32)
    whole = examples.having(**scored)
    return Splits(**{name: whole.take(rows) for name, rows in parts.items()})
