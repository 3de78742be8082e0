"""A strip is read where it is on the picture; beside it the path follows what is no trace of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.contract import FloatMap, TraceMaps
from ecgstudio.stages.printed import Label, Row
from ecgstudio.stages.strip_reading import (
    StripReading,
    beginning_at,
    is_ruled,
    read_beside_names,
    read_strips,
    row_ends,
    span_going_on,
)
from tests.fake_classifier import NoClassifier

PX_PER_MM = 4.0
WIDTH_PX, HEIGHT_PX = 480, 320  # 120 x 80 mm
SCALE = PaperScale(25.0, 10.0, "printed")


@dataclass(frozen=True, slots=True)
class TraceEverywhere(NoClassifier):
    """Sees a trace along all of a strip, so many mm below its axis."""

    below_mm: float = 0.0
    device: str = "cpu"
    weights_hash: str = "everywhere"

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Answer with one sharp line."""
        batch, _, height, width = strips.shape
        columns = np.full((batch, height, 2 * width), -12.0, np.float32)
        columns[:, height // 2 + round(self.below_mm * 8)] = 0.0
        segmentation = np.full((batch, 3, height // 4, width // 2), 1 / 3, np.float32)
        ones = np.ones((batch, 2 * width), np.float32)
        return TraceMaps(columns, segmentation, ones, 0 * ones)


def slanted_grid(fall: float) -> GridFit:
    """Return a plain grid whose rows fall by so many pixels per pixel."""
    y, x = np.mgrid[:19, :25] * GRID_PITCH_MM * PX_PER_MM
    return GridFit(np.stack([x, y + fall * x], axis=-1), SCALE, 0.9)


def reading_of(row_mm: float, *, fall: float = 0.0, below_mm: float = 0.0) -> StripReading:
    page = Page(PageId("7" * 64, 0), np.full((HEIGHT_PX, WIDTH_PX, 3), 250, np.uint8), None, "blank.png")
    row = Row(row_mm, 5.0, 115.0, 1.0)
    (reading,) = read_strips(page, slanted_grid(fall), (row,), runtime=TraceEverywhere(below_mm=below_mm))
    return reading


def present_mm(reading: StripReading) -> tuple[float, float]:
    at = reading.x0_mm + (np.flatnonzero(reading.presence_half > 0.5) + 0.5) / 16
    return float(at[0]), float(at[-1])


def test_a_strip_reaches_from_one_side_of_the_picture_to_the_other() -> None:
    assert present_mm(reading_of(40.0)) == pytest.approx((0.0, WIDTH_PX / PX_PER_MM), abs=0.2)


@pytest.mark.parametrize("below_mm", [0.0, -25.0])
def test_a_strip_that_falls_out_of_the_picture_ends_where_its_axis_does(below_mm: float) -> None:
    reading = reading_of(70.0, fall=0.2, below_mm=below_mm)
    last_mm = (80.0 - 70.0 + (0.0 if below_mm == 0 else 3.0)) / 0.2
    assert present_mm(reading)[1] == pytest.approx(last_mm, abs=1.2)


def test_a_path_below_the_picture_is_none() -> None:
    assert not (reading_of(75.0, below_mm=8.0).presence_half > 0.5).any()


def test_what_was_found_to_be_no_lead_stays_out_when_a_strip_is_read_again_beside_names() -> None:
    page = Page(PageId("7" * 64, 0), np.full((HEIGHT_PX, WIDTH_PX, 3), 250, np.uint8), None, "blank.png")
    readings = [beginning_at(reading_of(40.0), 30.0)]
    assert present_mm(readings[0])[0] == pytest.approx(30.0, abs=0.1)
    name = Label("V1", 60.0, 40.0, 0.9)  # the trace runs through it
    runtime = TraceEverywhere()
    (again,) = read_beside_names(page, slanted_grid(0.0), readings, [name], before=(), runtime=runtime, flip=False)
    assert again is not readings[0]
    assert present_mm(again)[0] == pytest.approx(30.0, abs=0.1)
    assert row_ends(again)[0] == pytest.approx(30.0, abs=0.1)


# --- rows that go on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("going_on", [0, 1, 3, 4])
def test_rows_are_read_on_where_most_of_them_go_on(going_on: int) -> None:
    page = Page(PageId("7" * 64, 0), np.full((HEIGHT_PX, WIDTH_PX, 3), 250, np.uint8), None, "blank.png")
    rows = tuple(Row(15.0 + 12.0 * i, 30.0, 80.0, 1.0) for i in range(4))
    readings = read_strips(page, slanted_grid(0.0), rows, runtime=TraceEverywhere())
    readings = [
        reading if i < going_on else replace(reading, presence_half=np.where(reading.presence_half > 0, 0.1, 0.0))
        for i, reading in enumerate(readings)
    ]
    span_mm = span_going_on(readings, WIDTH_PX / PX_PER_MM)
    assert span_mm == ((0.0, WIDTH_PX / PX_PER_MM) if going_on > 2 else None)


def test_rows_that_were_read_to_the_borders_are_not_read_on() -> None:
    assert span_going_on([reading_of(40.0)] * 3, WIDTH_PX / PX_PER_MM) is None


def drawn(level_mm: F64) -> StripReading:
    at = np.ones(len(level_mm))
    return StripReading(
        row=Row(40.0, 0.0, len(level_mm) / 16, 1.0), x0_mm=0.0, centre_mm=40.0, half_px=240,
        height_half=240 - 8 * level_mm, mass_half=at, presence_half=at, boundary=0 * at,
    )  # fmt: skip


def test_a_straight_line_with_ticks_is_ruled_and_a_lead_is_not() -> None:
    x_mm = np.arange(200 * 16) / 16
    noise = np.random.default_rng(0).normal(0, 0.02, len(x_mm))
    line = 0.01 * x_mm + noise + 1.0 * (x_mm % 25 < 0.3)
    beats = 0.6 * np.exp(-((((x_mm % 20) - 10) / 0.7) ** 2))  # as low as they come, on a baseline without a wave
    ticks = 0.25 * (x_mm % 1 < 0.3) + 3.0 * (x_mm > 195)  # every millimetre, and a leap at the end
    assert is_ruled(drawn(line))
    assert is_ruled(drawn(line + ticks))
    assert not is_ruled(drawn(line + beats))
    assert not is_ruled(drawn(noise + 0.4 * np.sin(x_mm / 20)))
