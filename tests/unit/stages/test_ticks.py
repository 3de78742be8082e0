"""Strokes that repeat in one line, along or down the page, are ticks and numbers of axes, no lead names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.leads import LAYOUTS, Layout
from ecgstudio.stages.layout import without_ticks
from ecgstudio.stages.printed import Label
from tests.unit.stages.test_layout import START_MM, expected, labels_of, patient, placed, rows_of, solve, wide


@patient
@given(template=wide, ticks=st.integers(3, 11), offset_mm=st.floats(-11, 11))
def test_ticks_of_time_are_no_names(template: Layout, ticks: int, offset_mm: float) -> None:
    y_mm = rows_of(template)[-1].y_mm + offset_mm
    marks = [Label("I", START_MM + 25.0 * k, y_mm, 0.99) for k in range(ticks)]
    layout = solve(template, [*labels_of(template), *marks])
    assert placed(layout) == expected(template)


@pytest.mark.parametrize("lead", ["I", "II"])
def test_numbers_of_seconds_under_every_row_are_no_names(lead: str) -> None:
    template = LAYOUTS["12x1"]
    marks = [Label(lead, START_MM + 175.0, row.y_mm + 4.0, 0.95) for row in rows_of(template)]
    layout = solve(template, [*labels_of(template), *marks])
    assert placed(layout) == expected(template)
    assert without_ticks([*labels_of(template), *marks]) == labels_of(template)


def test_a_lead_printed_twice_and_a_misread_name_below_each_other_are_no_ticks() -> None:
    template = LAYOUTS["6x2+1-cabrera"]
    labels = labels_of(template)
    labels[0] = replace(labels[0], lead="II", confidence=0.5)
    assert without_ticks(labels) == labels
    assert placed(solve(template, labels)) == expected(template)


def test_one_lead_row_by_row_is_no_row_of_ticks() -> None:
    labels = [Label("II", START_MM, 40.0 + 25.0 * k, 0.9) for k in range(6)]
    assert without_ticks(labels) == labels


def test_only_what_repeats_in_one_line_is_a_tick() -> None:
    names = labels_of(LAYOUTS["3x4+1"])
    again = Label("I", START_MM + 60.0, names[0].y_mm, 0.9)  # a stroke beside the name
    assert without_ticks([*names, again]) == [*names, again]
    assert without_ticks([*names, again, replace(again, x_mm=200.0)]) == names[1:]
