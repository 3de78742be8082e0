"""A table of an evaluation: named columns over rows of plain values, as text, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np

from ecgstudio.stages.report import plain


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: its name, and how its numbers are written as text."""

    name: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns over rows of plain values; NaN where there is nothing to say."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]

    def text(self) -> str:
        """Write the table as aligned text: words to the left, numbers to the right."""
        cells = [[column.name for column in self.columns]]
        for row in self.rows:
            cells.append([_cell(value, column.form) for value, column in zip(row, self.columns, strict=True)])
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.rjust(width) if column.form else cell.ljust(width)
                for cell, width, column in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in cells
        ]
        return "\n".join([self.title, *(f"  {line}" for line in lines), ""])

    def as_json(self) -> list[dict[str, object]]:
        """Return one mapping per row."""
        names = [column.name for column in self.columns]
        return [{name: plain(value) for name, value in zip(names, row, strict=True)} for row in self.rows]

    def as_csv(self) -> str:
        """Write a line of names and one line per row; empty where there is nothing to say."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows([csv_cell(value) for value in row] for row in self.rows)
        return out.getvalue()


def csv_cell(value: object) -> object:
    """Return a value as a CSV file holds it: four digits of a number, nothing for NaN."""
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else ""
    return value


def ratio(part: float, whole: float) -> float:
    """Return a share; NaN of nothing."""
    return part / whole if whole else float("nan")


def _cell(value: object, form: str) -> str:
    if isinstance(value, float) and not np.isfinite(value):
        return "-"
    return format(value, form) if form else str(value)
