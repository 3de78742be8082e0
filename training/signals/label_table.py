"""A CSV table of records and labels: its rows by name, and one clear line for what in it cannot be used."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from ecgstudio.errors import InputError
from training.signals.record import DIAGNOSTIC_CLASSES

NUMBERS = ("age", "height", "weight", "strat_fold")
SHOWN = 10


def read_labels(path: Path, *, key: str, columns: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Return the rows of a table by what stands in column `key`; `columns` must be there, too.

    Numbers must be numbers and classes 0 or 1 where a cell is filled; of the classes all columns are there or none.

    Raises:
        InputError: names the file, and the row and column of the first thing that cannot be used.
    """
    rows: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            present = list(reader.fieldnames or ())
            classes = [name for name in DIAGNOSTIC_CLASSES if name in present]
            _check_columns(path, present, (key, *columns, *(DIAGNOSTIC_CLASSES if classes else ())))
            for row in reader:
                name, line = (row[key] or "").strip(), reader.line_num
                if not name:
                    raise InputError(f"{path}, line {line}, column {key}: the record's name is missing.")
                if name in rows:
                    raise InputError(
                        f"{path}, column {key}: row {name} occurs more than once (lines {lines[name]}, {line})."
                    )
                _check_cells(path, name, row, classes)
                rows[name], lines[name] = row, line
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    if not rows:
        raise InputError(f"{path} is empty: it has a header and no rows.")
    return rows


def _check_columns(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    if not present:
        raise InputError(f"{path} is empty: it has no header and no rows.")
    for name in wanted:
        if name not in present:
            more = ", ..." if len(present) > SHOWN else ""
            raise InputError(f'{path} has no column "{name}". Its columns are {", ".join(present[:SHOWN])}{more}.')


def _check_cells(path: Path, name: str, row: dict[str, str], classes: Sequence[str]) -> None:
    for column in NUMBERS:
        text = (row.get(column) or "").strip()
        if text and not _is_number(text):
            raise InputError(f"{path}, row {name}, column {column}: {text!r} is not a number.")
    for column in classes:
        if (row[column] or "").strip() not in ("", "0", "1"):
            raise InputError(f"{path}, row {name}, column {column}: {row[column]!r} is neither 0 nor 1.")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
