"""Printed speed and gain are read where small print is, by two crops that agree, and otherwise not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ecgstudio.stages.contract import FloatMap, Image
from ecgstudio.stages.names import NameCutter
from ecgstudio.stages.scale_texts import MOST_CROPS, ScaleText, read_scale_texts
from ecgstudio.stages.view import View
from tests.fake_runtime import BAR_HEIGHT_MM, FakeRuntime, bar_mm

CELL_MM = 0.8
PX_PER_MM = 6.0
SHEET_MM = (200, 60)
CELLS = View(np.full(2, CELL_MM * PX_PER_MM / 2 - 0.5), np.eye(2) * CELL_MM * PX_PER_MM, (75, 250))


@dataclass(frozen=True)
class Reader(FakeRuntime):
    """Reads bars, and counts how many crops it is asked about."""

    asked: list[int] = field(default_factory=list)

    def texts(self, crops: FloatMap) -> FloatMap:
        self.asked.append(len(crops))
        return super().texts(crops)


@dataclass(frozen=True)
class Unsure(FakeRuntime):
    """Reads bars, though with less conviction."""

    sure: float = 0.5

    def texts(self, crops: FloatMap) -> FloatMap:
        return super().texts(crops) * np.float32(self.sure / 0.97)


class Once(FakeRuntime):
    """Reads a bar in one crop only."""

    def texts(self, crops: FloatMap) -> FloatMap:
        answers = super().texts(crops)
        seen = np.flatnonzero(answers[:, 1:].any(axis=1))
        answers[seen[1:], 1:] = 0
        return answers


def paper(*texts: tuple[str, float, float]) -> Image:
    """Draw a page with the bars of texts at (name, x mm, y mm)."""
    page = np.full((round(SHEET_MM[1] * PX_PER_MM), round(SHEET_MM[0] * PX_PER_MM), 3), 250, np.uint8)
    page[:, ::30] = 230
    for name, x_mm, y_mm in texts:
        half_px = np.array([bar_mm(name), BAR_HEIGHT_MM]) / 2 * PX_PER_MM
        x, y = x_mm * PX_PER_MM, y_mm * PX_PER_MM
        page[round(y - half_px[1]) : round(y + half_px[1]), round(x - half_px[0]) : round(x + half_px[0])] = 0
    return page


def mass(*boxes_mm: tuple[float, float, float, float]) -> FloatMap:
    values = np.zeros(CELLS.shape, np.float32)
    for x0, y0, x1, y1 in boxes_mm:
        values[round(y0 / CELL_MM) : round(y1 / CELL_MM), round(x0 / CELL_MM) : round(x1 / CELL_MM)] = 0.6
    return values


def read(page: Image, where: FloatMap, reader: FakeRuntime) -> list[ScaleText]:
    cutter = NameCutter(page, px_per_mm=PX_PER_MM)
    return read_scale_texts(where, CELLS, cell_mm=CELL_MM, cutter=cutter, runtime=reader)


def test_a_text_is_found_where_it_stands() -> None:
    (found,) = read(paper(("gain10", 60.0, 30.0)), mass((52, 28, 68, 32)), Reader())
    assert found.name == "gain10"
    assert found.xy == pytest.approx([360, 180], abs=1.5 * PX_PER_MM)
    assert found.confidence == pytest.approx(0.97)


def test_speed_and_gain_printed_together_are_both_read() -> None:
    page = paper(("speed50", 60.0, 30.0), ("gain20", 78.0, 30.0))
    found = read(page, mass((52, 28, 88, 32)), Reader())
    assert sorted(text.name for text in found) == ["gain20", "speed50"]


def test_lines_above_one_another_are_both_read() -> None:
    page = paper(("speed25", 60.0, 27.0), ("gain5", 60.0, 32.0))
    found = read(page, mass((52, 25, 68, 34)), Reader())
    assert {text.name for text in found} == {"speed25", "gain5"}


def test_a_tilted_line_is_followed() -> None:
    where = sum(mass((52 + x, 26 + x / 8, 56 + x, 30 + x / 8)) for x in range(0, 24, 4))
    (found,) = read(paper(("gain5", 66.0, 29.7)), np.asarray(where, np.float32), Reader())
    assert found.xy[1] == pytest.approx(29.7 * PX_PER_MM, abs=PX_PER_MM)


@pytest.mark.parametrize(("sure", "read_texts"), [(0.3, 0), (0.55, 0), (0.65, 1)])
def test_what_is_not_read_surely_is_left_out(sure: float, read_texts: int) -> None:
    assert len(read(paper(("gain10", 60.0, 30.0)), mass((52, 28, 68, 32)), Unsure(sure=sure))) == read_texts


def test_what_only_one_crop_sees_is_left_out() -> None:
    assert read(paper(("gain10", 60.0, 30.0)), mass((52, 28, 68, 32)), Once()) == []


def test_nothing_is_asked_where_nothing_is_printed() -> None:
    reader = Reader()
    assert read(paper(), mass(), reader) == []
    assert read(paper(), mass((50, 20, 51.6, 22)), reader) == []  # too narrow for a text
    assert reader.asked == []


def test_a_page_full_of_small_print_costs_no_more_than_so_many_crops() -> None:
    reader = Reader()
    read(paper(), mass(*((2, y, 198, y + 3) for y in range(2, 50, 5))), reader)
    assert 0 < sum(reader.asked) <= MOST_CROPS


def test_a_short_line_is_read_on_a_page_full_of_small_print() -> None:
    page = paper(("speed25", 60.0, 55.0))
    paragraph = [(2.0, y, 198.0, y + 8.0) for y in (2.0, 12.0, 22.0, 32.0, 42.0)]
    found = read(page, mass(*paragraph, (52, 53, 68, 57)), Reader())
    assert [text.name for text in found] == ["speed25"]


def test_a_paragraph_that_would_cost_too_much_is_left_out_alone() -> None:
    reader = Reader()
    page = paper(("speed25", 30.0, 56.0), ("gain10", 60.0, 56.0))
    found = read(page, mass((2, 2, 198, 51), (22, 54, 38, 58), (52, 54, 68, 58)), reader)
    assert {text.name for text in found} == {"speed25", "gain10"}
    assert sum(reader.asked) < MOST_CROPS / 4
