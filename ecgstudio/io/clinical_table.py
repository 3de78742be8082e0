"""Patient values out of a table (CSV or XLSX), a row per page; what is wrong is told by row and column."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

from ecgstudio.core.clinical import LABELS, UNKNOWN_PATIENT, Clinical
from ecgstudio.errors import InputError

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".xlsx")
MAX_TABLE_BYTES: Final = 50_000_000
MAX_ROWS: Final = 100_000
PAGE: Final = "page"
PRESSURE: Final = "pressure"
HEADINGS: Final = {
    PAGE: ("page", "page name", "name", "file", "file name", "filename", "record", "ecg", "id", "index"),
    "age_years": ("age", "age years"),
    "sex": ("sex", "gender"),
    "height_cm": ("height", "height cm", "size"),
    "weight_kg": ("weight", "weight kg"),
    "systolic_mmhg": ("systolic", "systolic mmhg", "sbp", "systolic blood pressure", "rr systolic"),
    "diastolic_mmhg": ("diastolic", "diastolic mmhg", "dbp", "diastolic blood pressure", "rr diastolic"),
    PRESSURE: ("blood pressure", "bp", "rr"),
    "diabetes": ("diabetes", "dm", "diabetes mellitus"),
}
"""What a column may be called; capitals, units in brackets and underscores do not matter."""
SEXES: Final = {"f": "f", "female": "f", "w": "f", "woman": "f", "m": "m", "male": "m", "man": "m"}
ANSWERS: Final = {
    **dict.fromkeys(("yes", "y", "1", "true", "ja"), True),
    **dict.fromkeys(("no", "n", "0", "false", "nein"), False),
}  # fmt: skip
EMPTY: Final = ("", "-", "–", "?", "na", "n/a", "nan", "none", "unknown")

Value = float | str | bool


@dataclass(frozen=True, slots=True)
class ClinicalRow:
    """The values of one row, by the names of `Clinical`'s fields; `line` counts from 1, the heading included."""

    line: int
    page: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ClinicalTable:
    """What a table says. `problems` are sentences about rows that cannot be used; `unused` columns nobody asked for."""

    path: Path
    rows: tuple[ClinicalRow, ...]
    unused: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """What becomes of a page: its values now and then, and the line that says so."""

    page: str
    line: int
    before: Clinical
    after: Clinical


@dataclass(frozen=True, slots=True)
class Matching:
    """Which rows fit which pages; `strangers` are rows of pages that are not in the project."""

    matches: tuple[Match, ...]
    strangers: tuple[ClinicalRow, ...]
    problems: tuple[str, ...]


def read_clinical_table(path: Path) -> ClinicalTable:
    """Read a table whose first row names its columns.

    Raises:
        InputError: it cannot be read, is empty, has no column of page names or none of patient values, or one twice.
    """
    lines = _cells(path)
    if not lines:
        raise InputError(f"{path.name} is empty: its first row must name the columns.")
    heading, *body = lines
    columns = _columns(path, heading)
    rows: list[ClinicalRow] = []
    problems: list[str] = []
    for number, cells in enumerate(body, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        said = {name: cells[at].strip() if at < len(cells) else "" for name, at in columns.items()}
        if not said[PAGE]:
            problems.append(f"Row {number}, column {heading[columns[PAGE]].strip()}: the name of the page is missing.")
            continue
        try:
            rows.append(ClinicalRow(number, said[PAGE], _values(said, {n: heading[at] for n, at in columns.items()})))
        except ValueError as error:
            problems.append(f"Row {number}, {error}.")
    if not rows and not problems:
        raise InputError(f"{path.name} has a heading and no rows.")
    unused = [cell.strip() for at, cell in enumerate(heading) if at not in columns.values() and cell.strip()]
    return ClinicalTable(path, tuple(rows), tuple(unused), tuple(problems))


def match_rows(table: ClinicalTable, pages: Mapping[str, Clinical], files: Mapping[str, str] | None = None) -> Matching:
    """Say which rows fit which pages, by their names or those of their `files` (page name by file name).

    Capitals and the ending of a file do not matter. A cell that is empty leaves what is known. Of two rows for one page
    neither is taken, because nobody can tell which one is right.
    """
    by_name = {name.casefold(): page for name, page in (files or {}).items()}
    by_name |= {page.casefold(): page for page in pages}
    found: dict[str, list[ClinicalRow]] = {}
    strangers = []
    for row in table.rows:
        page = _page_of(row.page, by_name)
        if page is None:
            strangers.append(row)
        else:
            found.setdefault(page, []).append(row)
    matches: list[Match] = []
    problems = list(table.problems)
    for page, rows in found.items():
        if len(rows) > 1:
            lines = ", ".join(str(row.line) for row in rows)
            problems.append(f"Rows {lines}: they are all about {page}; leave one of them.")
            continue
        try:
            after = replace(pages[page], **rows[0].values)  # type: ignore[arg-type]  # the fields' own values
        except ValueError as error:
            problems.append(f"Row {rows[0].line}, {page}: {error}.")
        else:
            matches.append(Match(page, rows[0].line, pages[page], after))
    return Matching(tuple(matches), tuple(strangers), tuple(problems))


def _page_of(name: str, by_name: Mapping[str, str]) -> str | None:
    """Return the page that is meant by a name, a file's name or a path to it."""
    file = PurePath(name.replace("\\", "/")).name
    stem = file.rpartition(".")[0] or file
    return next((by_name[key] for key in (name.casefold(), file.casefold(), stem.casefold()) if key in by_name), None)


def _cells(path: Path) -> list[list[str]]:
    """Return the cells of all rows as text; rows at the end that are empty are left out."""
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise InputError(f"{path.name} is no table that can be read: use {', '.join(TABLE_SUFFIXES)}.")
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{path.name} is larger than {MAX_TABLE_BYTES // 1_000_000} MB: is it the right file?")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    rows = _sheet(path, content) if path.suffix.lower() == ".xlsx" else _text_table(path, content)
    if len(rows) > MAX_ROWS:
        raise InputError(f"{path.name} has more than {MAX_ROWS} rows: is it the right file?")
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    return rows


def _sheet(path: Path, content: bytes) -> list[list[str]]:
    import openpyxl  # takes a third of a second, and few open a workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = [[_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True, max_row=MAX_ROWS + 1)]
        book.close()
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, IndexError, OSError) as error:
        raise InputError(f"{path.name} is no workbook that can be read, or is damaged.") from error
    return rows


def _text(cell: object) -> str:
    """Return a cell as somebody would have typed it: 63, not 63.0."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:g}" if isinstance(cell, float) and cell == round(cell, 4) else str(cell)


def _text_table(path: Path, content: bytes) -> list[list[str]]:
    if b"\0" in content:
        raise InputError(f"{path.name} is not a text table; save it as CSV (UTF-8) or XLSX.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")  # as spreadsheets on Windows write it
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path.name} cannot be read as a table: {error}.") from error


def _columns(path: Path, heading: Sequence[str]) -> dict[str, int]:
    """Find out which column holds what."""
    meanings = {words: name for name, known in HEADINGS.items() for words in known}
    meanings |= {name.replace("_", " "): name for name in HEADINGS}
    columns: dict[str, int] = {}
    for at, cell in enumerate(heading):
        name = meanings.get(_plain(cell))
        if name is None:
            continue
        if name in columns:
            both = f"{heading[columns[name]].strip()} and {cell.strip()}"
            raise InputError(f"{path.name}, columns {both}: both are {_called(name)}; leave one of them.")
        columns[name] = at
    have = ", ".join(cell.strip() for cell in heading[:10] if cell.strip()) or "empty"
    if PAGE not in columns:
        raise InputError(f'{path.name} has no column with the names of the pages (call it "page"). It has {have}.')
    if len(columns) == 1:
        raise InputError(f"{path.name} has no column with patient values, such as age or sex. It has {have}.")
    return columns


def _plain(heading: str) -> str:
    without_units = re.sub(r"[(\[].*?[)\]]", " ", heading)
    return " ".join(re.sub(r"[_\-.:,/]+", " ", without_units).casefold().split())


def _called(name: str) -> str:
    return {PAGE: "the page", PRESSURE: "blood pressure"}.get(name) or LABELS.get(name, name)


def _values(said: Mapping[str, str], headings: Mapping[str, str]) -> dict[str, Value]:
    """Turn a row's words into values; raises ValueError with the column and what is wrong."""
    values: dict[str, Value] = {}
    for name, word in said.items():
        if name == PAGE or word.casefold() in EMPTY:
            continue
        try:
            values |= _read(name, word)
        except ValueError as error:
            raise ValueError(f"column {headings[name].strip()}: {error}") from error
    try:
        replace(UNKNOWN_PATIENT, **values)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(
            f"columns {_joined(headings, ('systolic_mmhg', 'diastolic_mmhg', PRESSURE))}: {error}"
        ) from error
    return values


def _joined(headings: Mapping[str, str], names: Iterable[str]) -> str:
    return " and ".join(headings[name].strip() for name in names if name in headings)


def _read(name: str, word: str) -> dict[str, Value]:
    read = _READERS.get(name)
    values: dict[str, Value] = read(word) if read is not None else {name: _number(word)}
    for field, value in values.items():
        if name != PRESSURE:
            replace(UNKNOWN_PATIENT, **{field: value})  # type: ignore[arg-type]  # says in a sentence what cannot be
    return values


def _number(word: str) -> float:
    try:
        return float(word.replace(",", ".") if "." not in word else word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None


def _sex(word: str) -> dict[str, Value]:
    if word.casefold() not in SEXES:
        raise ValueError(f"{word!r} is neither f nor m")
    return {"sex": SEXES[word.casefold()]}


def _diabetes(word: str) -> dict[str, Value]:
    if word.casefold() not in ANSWERS:
        raise ValueError(f"{word!r} is neither yes nor no")
    return {"diabetes": ANSWERS[word.casefold()]}


def _pressure(word: str) -> dict[str, Value]:
    high, slash, low = word.partition("/")
    if not slash:
        raise ValueError(f"{word!r} is not written like 120/80")
    return {"systolic_mmhg": _number(high.strip()), "diastolic_mmhg": _number(low.strip())}


_READERS: Final[Mapping[str, Callable[[str], dict[str, Value]]]] = {
    "sex": _sex,
    "diabetes": _diabetes,
    PRESSURE: _pressure,
}
