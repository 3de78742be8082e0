"""Rows that run into one another are told apart by all their ink together; the others stay as they were read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.stages import meetings
from ecgstudio.stages.meetings import UNSURE, read_together, touching
from ecgstudio.stages.pen import BROADEST, Pen
from ecgstudio.stages.printed import Row
from ecgstudio.stages.strip_reading import Looked, StripReading

HALF_PX, WIDTH = 240, 320  # rows of the strips above their axis, columns
APART_PX = 130  # between the rows' axes
PEN = Pen(3.2, 0.6)
AT = (np.arange(2 * WIDTH) + 0.5) / 2 - 0.5
MIDDLE = WIDTH / 2


def beat(start: float, *, up: float, down: float, width: float = 6.0) -> F64:
    """Draw an R and an S wave of so many rows from a column on, on a level line."""
    steps = start + width * np.arange(5)
    return np.interp(AT, [0.0, *steps, WIDTH], [0.0, 0.0, -up, down, 0.0, 0.0, 0.0])


# V3 and aVF as on a real page: the S wave of the upper crosses the R wave of the lower; a tip that passes a level line
CROSSING = (beat(MIDDLE - 12, up=60, down=190), beat(MIDDLE - 6, up=70, down=10))
DEEP = (beat(MIDDLE - 14, up=20, down=200, width=7), 0.4 * np.sin(AT / 9))
LEVEL_BELOW = (beat(MIDDLE - 40, up=20, down=200, width=20), 0.4 * np.sin(AT / 9))


def sheet(truth: tuple[F64, F64], *, axes: tuple[float, float] = (0.0, APART_PX)) -> list[F64]:
    """Put rows under one another."""
    return [path + axis for path, axis in zip(truth, axes, strict=True)]


def readings(truth: list[F64], read: list[F64]) -> list[StripReading]:
    """Read the rows as `read`, by a network that finds its own stroke as likely as the other's."""
    out = []
    for row, path in enumerate(read):
        top = float(np.median(truth[row])) - HALF_PX
        width = len(path) // 2
        ink = np.maximum.reduce([PEN.drawn(AT[: 2 * width], each - top, (2 * HALF_PX, width)) for each in truth])
        rows = np.arange(2 * HALF_PX)[:, None]
        chances = np.full((2 * HALF_PX, len(path)), 1e-7)
        for each in truth:
            spread = 2 + np.abs(np.gradient(each)) / 2
            chances += np.exp(-(((rows - (each - top)) / spread) ** 2) / 2) / spread
        looked = Looked(np.log(chances / chances.sum(axis=0)).astype(np.float16), (-4 * ink).astype(np.float16))
        centre_mm = (top + HALF_PX - 0.5) / 8
        ones = np.ones(len(path))
        row_mm = Row(centre_mm, 0.0, WIDTH / 8, 1.0)
        out.append(StripReading(row_mm, 0.0, centre_mm, HALF_PX, path - top, ones, ones, 0 * ones, looked=looked))
    return out


def paths(rows: list[StripReading]) -> list[F64]:
    """Return the rows' paths on their sheet."""
    return [each.height_half + each.centre_mm * 8 - each.half_px + 0.5 for each in rows]


def worst(rows: list[StripReading], truth: list[F64]) -> float:
    """Return how far the median of the four worst columns is from the truth (px)."""
    return max(float(np.sort(np.abs(a - b))[-4:].mean()) for a, b in zip(paths(rows), truth, strict=True))


def swapped(truth: list[F64]) -> list[F64]:
    """Exchange two rows between the first and the last place where they meet."""
    met = np.flatnonzero(touching(*truth))
    part = slice(met[0], met[-1] + 1)
    upper, lower = truth[0].copy(), truth[1].copy()
    upper[part], lower[part] = truth[1][part], truth[0][part]
    return [upper, lower]


@pytest.mark.parametrize("rows", [CROSSING, DEEP])
def test_strokes_that_were_given_to_the_wrong_rows_are_given_back(rows: tuple[F64, F64]) -> None:
    truth = sheet(rows)
    read = readings(truth, swapped(truth))
    assert worst(read, truth) > 40
    assert worst(read_together(read), truth) < 12


def test_a_stroke_that_two_rows_claim_belongs_to_the_one_from_which_it_comes() -> None:
    truth = sheet(LEVEL_BELOW)
    tip = truth[0] > truth[1]  # the lower row was read along the tip of the upper one
    both = [truth[0], np.where(tip, truth[0], truth[1])]
    read = readings(truth, both)
    assert worst(read, truth) > 40
    assert worst(read_together(read), truth) < 12


@pytest.mark.parametrize("rows", [CROSSING, LEVEL_BELOW])
def test_what_was_read_rightly_stays(rows: tuple[F64, F64]) -> None:
    truth = sheet(rows)
    assert worst(read_together(readings(truth, truth)), truth) < 4


def test_rows_do_not_go_round_in_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on this row's strip one way is better, on that row's strip the other."""
    taken: list[bytes] = []

    def take(reader: meetings._Reader, change: meetings.Change) -> None:
        take_path(reader, change)
        taken.append(reader.sheet.paths.round().tobytes())
        assert len(taken) < 200

    take_path = meetings._Reader.take
    monkeypatch.setattr(meetings._Reader, "take", take)
    monkeypatch.setattr(meetings._Reader, "gain", lambda _reader, change: len(change) - 1.0)
    truth = sheet(CROSSING)
    read_together(readings(truth, swapped(truth)))
    assert len(taken) == len(set(taken)) > 2


def test_rows_that_do_not_meet_are_the_same() -> None:
    far = sheet((beat(60, up=40, down=30), beat(60, up=40, down=30)), axes=(0.0, 220.0))
    read = readings(far, far)
    assert [a is b for a, b in zip(read_together(read), read, strict=True)] == [True, True]
    assert read_together(read[:1]) == read[:1]


def test_only_rows_that_may_be_moved_are() -> None:
    truth = sheet(LEVEL_BELOW)
    read = readings(truth, [truth[0], np.where(truth[0] > truth[1], truth[0], truth[1])])
    upper = read_together(read, only={0})
    assert upper[1] is read[1]
    lower = read_together(read, only={1})
    assert lower[0] is read[0]
    assert worst(lower, truth) < 12


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_a_row_goes_as_it_does_at_other_beats(monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    monkeypatch.setattr(meetings._Reader, "run", lambda reader: None)  # nothing else finds it
    beats = [beat(start, up=20, down=200, width=16) for start in (30.0, 120.0 + shift, 210.0)]
    truth = sheet((np.sum(beats, axis=0), LEVEL_BELOW[1]))
    tip = (truth[0] > truth[1]) & (AT > 110) & (AT < 200)  # only the second beat was read wrongly
    read = readings(truth, [truth[0], np.where(tip, truth[0], truth[1])])
    assert worst(read, truth) > 40
    assert worst(read_together(read), truth) < 12
    part = slice(200, 430)
    alone, so_read = [each[part] for each in truth], [each[part] for each in paths(read)]
    assert worst(read_together(readings(alone, so_read)), alone) > 40


def test_rows_of_which_nothing_is_known_stay() -> None:
    truth = sheet(CROSSING)
    read = [replace(each, looked=None) for each in readings(truth, swapped(truth))]
    assert [a is b for a, b in zip(read_together(read), read, strict=True)] == [True, True]


def test_what_was_changed_is_less_sure() -> None:
    truth = sheet(LEVEL_BELOW)
    tip = truth[0] > truth[1]
    read = readings(truth, [truth[0], np.where(tip, truth[0], truth[1])])
    lower = read_together(read)[1]
    moved = np.abs(lower.height_half - read[1].height_half) > 10
    assert moved.any()
    assert (lower.mass_half[moved] < 0.9).all()
    assert (lower.mass_half[moved] >= UNSURE).all()
    assert (lower.mass_half[~tip & ~moved] > 0.9).mean() > 0.9


def test_strokes_too_broad_to_be_told_apart_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meetings, "fitted_pen", lambda _lines: BROADEST)
    truth = sheet(CROSSING)
    read = readings(truth, swapped(truth))
    for before, after in zip(paths(read), paths(read_together(read)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_paper_without_ink_changes_nothing() -> None:
    truth = sheet(CROSSING)
    read = readings(truth, swapped(truth))
    blank = [
        replace(each, looked=replace(each.looked, brightest=np.zeros_like(each.looked.brightest)))
        for each in read if each.looked is not None
    ]  # fmt: skip
    together = read_together(blank)
    assert all(np.isfinite(each.height_half).all() for each in together)
