"""Leads go where their ink is: tips, notches and flanks, on ruled paper, by any pen; without ink they stay as read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.stages.ink_fit import fitted_to_ink
from ecgstudio.stages.lead_heights import half_columns_px, lead_heights
from ecgstudio.stages.pen import Pen
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.strip_reading import Looked, StripReading

HALF_PX, WIDTH = 160, 640
AT = half_columns_px(2 * WIDTH)
FINE = np.arange(-0.5, WIDTH, 0.1)
PEN = Pen(2.3, 0.6)
FIRST_MM, LAST_MM = 4.0, 76.0
LEAD = (AT > FIRST_MM * 8 + 2) & (AT < LAST_MM * 8 - 3)


def beats(at: F64, *, tall: float = 90.0) -> F64:
    """Return rows of a line with a narrow, notched beat every 80 columns."""
    columns = np.array([0, 30, 33, 38, 40, 42, 47, 51, 80])
    rows = np.array([0, 0, 8, -tall, -tall * 0.7, -tall * 0.8, 40, 0, 0])
    return HALF_PX + np.interp(np.mod(at, 80), columns, rows) + 4 * np.sin(at / 37)


def as_read(truth: F64) -> F64:
    """Return what a network makes of it: too smooth, and its strokes a little too far right."""
    return np.interp(AT - 0.15, AT, ndimage.gaussian_filter1d(truth, 1.6))


def reading(truth: F64, *, pen: Pen = PEN, ruled: float = 0.0, read: F64 | None = None) -> StripReading:
    """Draw a line (rows at FINE) on ruled paper and read it."""
    ink = pen.drawn(FINE, truth, (2 * HALF_PX, WIDTH))
    ground = np.zeros_like(ink)
    ground[4::8], ground[:, 4::8] = ruled, ruled
    looked = Looked(np.zeros((0, 0), np.float16), (-3 * (ground + ink * (1 - ground))).astype(np.float16))
    height = as_read(np.interp(AT, FINE, truth)) if read is None else read
    ones = np.ones(2 * WIDTH)
    row = Row(HALF_PX / 8, 0.0, WIDTH / 8, 1.0)
    return StripReading(row, 0.0, 0.0, HALF_PX, height, ones, ones, 0 * ones, looked=looked)


def slot(start_mm: float = FIRST_MM, end_mm: float = LAST_MM) -> Slot:
    """Return the row's only lead."""
    return Slot("II", 0, 0, 1, start_mm, end_mm, 1.0, read=True)


def rms(height: F64, truth: F64) -> float:
    """Return the error of a lead's heights in rows, but for where its axis lies."""
    away = (height - np.interp(AT, FINE, truth))[LEAD]
    return float((away - np.median(away)).std())


@pytest.mark.parametrize("pen", [Pen(1.9, 0.6), Pen(2.7, 0.6), Pen(3.8, 1.0), Pen(5.3, 0.6)], ids=str)
@pytest.mark.parametrize("ruled", [0.0, 0.4])
def test_tips_and_flanks_go_where_their_ink_is(pen: Pen, ruled: float) -> None:
    truth = beats(FINE)
    before = reading(truth, pen=pen, ruled=ruled)
    (after,) = fitted_to_ink([before], [slot()])
    assert after.fitted_half is not None
    now, then = (rms(lead_heights(each, slot(), mm_per_s=25.0)[0], truth) for each in (after, before))
    assert now < 0.6 * then


def test_what_was_read_rightly_stays() -> None:
    truth = HALF_PX + 20 * np.sin(FINE / 15)
    right = np.interp(AT, FINE, truth)
    (after,) = fitted_to_ink([reading(truth, read=right, ruled=0.4)], [slot()])
    assert after.fitted_half is not None
    assert np.nanmax(np.abs(after.fitted_half - right)[LEAD]) < 0.3


def test_a_flat_line_is_not_taken_for_a_ruled_one() -> None:
    truth = HALF_PX + 0.4 - 60 * np.exp(-(((np.mod(FINE, 320) - 150) / 4) ** 2))
    before = reading(truth, ruled=0.4, read=np.floor(np.interp(AT, FINE, truth)))
    (after,) = fitted_to_ink([before], [slot()])
    flat = LEAD & (np.abs(np.interp(AT, FINE, truth) - truth.max()) < 0.01)
    now, then = (lead_heights(each, slot(), mm_per_s=25.0)[0][flat] - truth.max() for each in (after, before))
    assert np.abs(np.median(now)) < 0.3 * np.abs(np.median(then))


def test_a_picture_that_no_pen_draws_changes_nothing() -> None:
    row = reading(beats(FINE))
    assert row.looked is not None
    bands = np.zeros_like(row.looked.brightest)
    bands[::40] = bands[HALF_PX : HALF_PX + 20] = -3
    (after,) = fitted_to_ink([replace(row, looked=replace(row.looked, brightest=bands))], [slot()])
    assert after.fitted_half is None or np.array_equal(
        after.fitted_half[LEAD], lead_heights(row, slot(), mm_per_s=25.0)[0][LEAD]
    )


def test_nothing_is_fitted_outside_a_lead() -> None:
    (after,) = fitted_to_ink([reading(beats(FINE))], [slot(start_mm=30.0, end_mm=50.0)])
    assert after.fitted_half is not None
    fitted = AT[np.isfinite(after.fitted_half)]
    assert 30 * 8 <= fitted.min() < 30 * 8 + 3
    assert 50 * 8 - 4 < fitted.max() <= 50 * 8


def test_what_is_hidden_stays_as_it_was_read() -> None:
    truth = beats(FINE)
    before = reading(truth)
    assert before.looked is not None
    hidden = before.looked.brightest.copy()
    hidden[:, 270:300] = 0  # white paper over a beat
    (after,) = fitted_to_ink([replace(before, looked=replace(before.looked, brightest=hidden))], [slot()])
    there = (AT > 272) & (AT < 298)
    assert after.fitted_half is not None
    away = after.fitted_half - lead_heights(before, slot(), mm_per_s=25.0)[0]
    assert np.abs(away[there]).max() < 0.25 * np.nanmax(np.abs(away))


def test_ink_of_another_row_does_not_attract() -> None:
    truth, level = beats(FINE), np.full(len(FINE), HALF_PX + 34.0)
    ink = np.maximum(*(PEN.drawn(FINE, line, (2 * HALF_PX, WIDTH)) for line in (truth, level)))
    looked = Looked(np.zeros((0, 0), np.float16), (-3 * ink).astype(np.float16))
    upper = replace(reading(truth), looked=looked)
    lower = replace(reading(level, read=np.full(2 * WIDTH, HALF_PX + 34.0)), looked=None)
    after, below = fitted_to_ink([upper, lower], [slot()])
    assert below is lower
    height, _ = lead_heights(after, slot(), mm_per_s=25.0)
    assert rms(height, truth) < 0.6 * rms(lead_heights(upper, slot(), mm_per_s=25.0)[0], truth)


def test_rows_without_their_picture_or_not_asked_for_stay() -> None:
    row = reading(beats(FINE))
    blank = replace(row, looked=Looked(np.zeros((0, 0), np.float16), np.zeros((2 * HALF_PX, WIDTH), np.float16)))
    assert fitted_to_ink([row], [slot()], only=set())[0] is row
    assert fitted_to_ink([replace(row, looked=None)], [slot()])[0].fitted_half is None
    assert fitted_to_ink([blank], [slot()])[0].fitted_half is None
    assert fitted_to_ink([row], [])[0].fitted_half is None


@pytest.mark.parametrize("away_px", [-400.0, -HALF_PX, HALF_PX, 400.0])
def test_a_path_outside_its_strip_stays(away_px: float) -> None:
    row = reading(beats(FINE))
    (after,) = fitted_to_ink([replace(row, height_half=row.height_half + away_px)], [slot()])
    assert after.fitted_half is None or np.isfinite(after.fitted_half[LEAD]).all()
