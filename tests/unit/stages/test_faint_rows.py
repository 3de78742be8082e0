"""A row that stage 1 hardly sees is looked for where there is room for one, and kept only if an ECG runs there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgstudio.core.leads import LEADS
from ecgstudio.stages.faint_rows import (
    clearly_followed,
    hardly_seen,
    reaching_names,
    rows_at_names,
    rows_beyond,
    with_rows,
)
from ecgstudio.stages.printed import Label, Row
from ecgstudio.stages.strip_reading import StripReading

CELL_MM = 0.8
SPACING_MM = 16.0
ROWS = [Row(60.0 + i * SPACING_MM, 20.0, 260.0, 1.0) for i in range(4)]
HALF_PX, WIDTH_MM = 240, 250.0


def axis_map(*drawn: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """Draw axes (y, first and last mm, strength) beside those of the rows."""
    axis = np.zeros((220, 360), np.float32)
    for y_mm, first_mm, last_mm, strength in [*((r.y_mm, r.start_mm, r.end_mm, 0.9) for r in ROWS), *drawn]:
        y, low, high = (int(v / CELL_MM) for v in (y_mm, first_mm, last_mm))
        axis[y : y + 2, low:high] = strength
    return axis


def looked_for(*drawn: tuple[float, float, float, float], rows: list[Row] = ROWS) -> list[float]:
    origin_mm = (7.0, -3.0)
    moved = [Row(r.y_mm - 3.0, r.start_mm + 7.0, r.end_mm + 7.0, r.strength) for r in rows]
    found = hardly_seen(axis_map(*drawn), moved, cell_mm=CELL_MM, origin_mm=origin_mm)
    assert all(row.start_mm == moved[0].start_mm and row.end_mm == moved[0].end_mm for row in found)
    return [row.y_mm + 3.0 for row in found]


def test_faint_axes_are_looked_for_where_the_next_row_would_be() -> None:
    above, below, gap = 44.0, 124.0, 140.0  # the last is beside one that is faint itself
    drawn = [(y_mm, 20.0, 260.0, 0.2) for y_mm in (above, below, gap)]
    assert looked_for(*drawn) == pytest.approx([above, below, gap], abs=1.0)


@pytest.mark.parametrize(
    "drawn",
    [
        (44.0, 20.0, 120.0, 0.2),  # a heading does not go on to the end
        (68.0, 20.0, 260.0, 0.2),  # no room between two rows
        (20.0, 20.0, 260.0, 0.2),  # as far off as no row is
        (44.0, 20.0, 260.0, 0.03),  # next to nothing
    ],
)
def test_what_is_no_row_is_not_looked_at(drawn: tuple[float, float, float, float]) -> None:
    assert looked_for(drawn) == []


def test_two_rows_do_not_tell_how_far_rows_are_apart() -> None:
    assert looked_for((44.0, 20.0, 260.0, 0.2), rows=ROWS[:2]) == []


def test_rows_go_on_above_and_below_as_far_as_the_sheet_does() -> None:
    assert [row.y_mm for row in rows_beyond(ROWS, height_mm=200.0)] == [44.0, 124.0]
    assert [row.y_mm for row in rows_beyond(ROWS, height_mm=120.0)] == [44.0]
    assert all((row.start_mm, row.end_mm) == (20.0, 260.0) for row in rows_beyond(ROWS, height_mm=200.0))
    assert rows_beyond(ROWS[:2], height_mm=200.0) == []


def reading(away_mm: NDArray[np.float64], *, presence: float = 1.0, mass: float = 1.0) -> StripReading:
    half = np.repeat(HALF_PX - 0.5 + away_mm * 8, 2)
    full = np.ones(len(half))
    return StripReading(Row(60.0, 5.0, 245.0, 0.1), 0.0, 60.0, HALF_PX, half, mass * full, presence * full, 0 * full)


def beating() -> NDArray[np.float64]:
    away_mm = np.zeros(round(WIDTH_MM * 8))
    for beat in range(100, len(away_mm) - 20, 160):
        away_mm[beat : beat + 8] = -4.0
    return away_mm


def test_an_ecg_is_kept() -> None:
    found = reading(beating())
    assert clearly_followed([found]) == [found.row]


@pytest.mark.parametrize(
    "doubtful",
    [
        reading(np.linspace(-0.5, 0.5, 2000) + 0.2 * np.sin(np.linspace(0, 20, 2000))),  # the bent edge of a sheet
        reading(beating() + 6.0),  # another row's trace
        reading(beating(), mass=0.7),  # text
        reading(beating(), presence=0.3),
    ],
)
def test_what_is_not_clearly_an_ecg_is_not_kept(doubtful: StripReading) -> None:
    assert clearly_followed([doubtful]) == []


def test_rows_stay_in_order() -> None:
    assert with_rows(ROWS[1:], ROWS[:1]) == ROWS


SINGLE = [Row(25.0 + 30.0 * i, 40.0, 150.0, 1.0) for i in range(12)]


def names_below(*, by_mm: float = 4.0, x_mm: float = 28.0) -> list[Label]:
    return [Label(lead, x_mm, row.y_mm + by_mm, 0.9) for lead, row in zip(LEADS, SINGLE, strict=True)]


@pytest.mark.parametrize("by_mm", [4.0, -9.0])
def test_rows_that_only_their_names_show_are_looked_for(by_mm: float) -> None:
    seen = [SINGLE[i] for i in (2, 5, 7, 10, 11)]
    found = rows_at_names(seen, names_below(by_mm=by_mm))
    assert [row.y_mm for row in found] == pytest.approx([SINGLE[i].y_mm for i in (0, 1, 3, 4, 6, 8, 9)], abs=0.1)
    assert all((row.start_mm, row.end_mm) == (40.0, 150.0) for row in found)


def test_names_of_rows_that_are_seen_show_no_others() -> None:
    assert rows_at_names(SINGLE, names_below()) == []
    assert rows_at_names([], names_below()) == []
    assert rows_at_names(SINGLE[:5], names_below()[:5]) == []


def test_names_in_no_line_or_at_no_common_height_show_no_rows() -> None:
    scattered = [replace(name, x_mm=name.x_mm + 20.0 * i) for i, name in enumerate(names_below())]
    assert rows_at_names(SINGLE[:5], scattered) == []
    assert rows_at_names(SINGLE[:5], [replace(name, confidence=0.3) for name in names_below()]) == []
    uneven = [replace(name, y_mm=name.y_mm + (5.0 if i % 2 else -7.0) + i) for i, name in enumerate(names_below())]
    assert rows_at_names(SINGLE[:6], uneven) == []


def test_rows_reach_the_names_that_stand_in_line_beyond_what_is_seen_of_them() -> None:
    far = names_below(x_mm=154.0)
    assert [row.end_mm for row in reaching_names(SINGLE, far, width_mm=300.0)] == [184.0] * 12
    assert [row.end_mm for row in reaching_names(SINGLE, far, width_mm=170.0)] == [170.0] * 12
    assert reaching_names(SINGLE, names_below(), width_mm=300.0) == SINGLE
    assert reaching_names(SINGLE, far[:2], width_mm=300.0) == SINGLE  # two may be text


def test_a_row_that_is_longer_than_the_others_stays_so() -> None:
    rows = [*SINGLE[:11], replace(SINGLE[11], end_mm=290.0)]
    assert reaching_names(rows, names_below(x_mm=154.0), width_mm=300.0)[-1] == rows[-1]
