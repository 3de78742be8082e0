"""How wide columns are by the places of their names, some of which stand in the margin."""

from __future__ import annotations

import numpy as np
import pytest

from ecgstudio.stages.name_pitch import NamePlace, pitch_of_names
from ecgstudio.stages.printed import Row
from ecgstudio.stages.seams import Seams

START_MM = 20.0


def rows(count: int, *, length_mm: float = 250.0, start_mm: float = START_MM) -> list[Row]:
    return [Row(y_mm=30.0 * i, start_mm=start_mm, end_mm=start_mm + length_mm, strength=1.0) for i in range(count)]


def names(*at: tuple[int, float], start_mm: float = START_MM) -> list[NamePlace]:
    """Names in columns at mm right of where the rows start."""
    return [(column, start_mm + right, start_mm) for column, right in at]


def seams_at(*places_mm: float) -> Seams:
    evidence = np.zeros((3, 5000))
    for at in places_mm:
        evidence[:, round(at / 0.0625) - 8 : round(at / 0.0625) + 8] = 0.9
    return Seams(0.0, 0.0625, evidence)


def test_names_inside_their_leads_tell_the_pitch() -> None:
    places = names(*[(column, 62.5 * column + 2 + wobble) for column in range(4) for wobble in (-0.5, 0.0, 0.5)])
    assert pitch_of_names(places, rows(3), columns=4, seams=None) == pytest.approx((62.5, 2.0))


def test_too_few_names_tell_nothing() -> None:
    places = names((0, 2.0), (1, 64.5), (2, 127.0))
    assert pitch_of_names(places, rows(3), columns=4, seams=None) is None


def test_names_behind_those_in_the_margin_tell_it_where_they_are_many() -> None:
    places = names(*[(0, -7.0)] * 3, *[(column, 62.5 * column + 2.5) for column in (1, 2, 3) for _ in range(3)])
    assert pitch_of_names(places, rows(3), columns=4, seams=None) == pytest.approx((62.5, 2.5))


def test_few_names_behind_those_in_the_margin_do_not_widen_the_columns() -> None:
    places = names((0, -8.0), (0, -7.7), (0, -7.0), (1, 65.5), (1, 65.0), (3, 189.0))
    pitch, habit = pitch_of_names(places, rows(3), columns=4, seams=None) or (0.0, 0.0)
    assert pitch == pytest.approx(62.5)
    assert 0 < habit < 4


@pytest.mark.parametrize("seams", [None, seams_at(START_MM + 125), seams_at(START_MM + 125, START_MM + 133)])
def test_two_columns_are_even_where_only_the_first_names_stand_in_the_margin(seams: Seams | None) -> None:
    places = names(*[(0, -4.5)] * 6, *[(1, 128.5)] * 6)
    assert pitch_of_names(places, rows(6), columns=2, seams=seams) == pytest.approx((125.0, 3.5))


def test_where_leads_are_seen_to_meet_outweighs_even_columns() -> None:
    places = names(*[(0, -4.5)] * 6, *[(1, 128.5)] * 6)
    seams = seams_at(START_MM + 133)
    assert pitch_of_names(places, rows(6), columns=2, seams=seams) == pytest.approx((133.0, -4.5))


def test_rows_that_end_early_do_not_narrow_the_columns() -> None:
    places = names(*[(column, 62.5 * column + 2) for column in range(4) for _ in range(3)])
    assert pitch_of_names(places, rows(3, length_mm=235.0), columns=4, seams=None) == pytest.approx((62.5, 2.0))


def test_rows_whose_beginning_was_not_seen_do_not_narrow_them_either() -> None:
    places = names(*[(column, 62.5 * column - 6) for column in (0, 1, 2) for _ in range(2)])
    assert pitch_of_names(places, rows(3, length_mm=242.0), columns=4, seams=None) == pytest.approx((62.5, -6.0))
