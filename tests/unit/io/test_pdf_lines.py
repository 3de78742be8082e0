"""The lines that a program drew into a PDF come out where its picture shows them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from ecgstudio.io import pdf_lines
from ecgstudio.io.images import read_page
from tests.pdf_drawing import drawn_pdf

POINTS = [(40 + 4 * k, 100 + 30 * np.sin(k / 3)) for k in range(40)]


def polyline(points: list[tuple[float, float]] = POINTS) -> str:
    first, *others = points
    return f"{first[0]:.3f} {first[1]:.3f} m " + " ".join(f"{x:.3f} {y:.3f} l" for x, y in others) + " S\n"


def lines_of(tmp_path: Path, drawing: str, **how: object) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    path = tmp_path / "drawn.pdf"
    path.write_bytes(drawn_pdf(drawing, **how))  # type: ignore[arg-type]
    page = read_page(path, 0)
    for line in page.lines:  # every point lies on ink; only half of a pixel at the ends may
        x, y = np.round(line[1:-1]).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < page.width) & (y < page.height)
        assert (page.pixels[y[inside], x[inside], 0] < 128).all()
    return page.lines


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (20, 30, 280, 180)])
def test_a_line_lies_where_the_picture_shows_it(
    rotate: int, crop: tuple[int, int, int, int] | None, tmp_path: Path
) -> None:
    (line,) = lines_of(tmp_path, "2 w " + polyline(), rotate=rotate, crop=crop)
    assert line.shape == (len(POINTS), 2)
    mm_per_point, px_per_mm = 25.4 / 72, 10.0
    lengths = np.hypot(*np.diff(line, axis=0).T) / px_per_mm
    assert lengths == pytest.approx(
        np.hypot(*np.diff(np.array(POINTS), axis=0).T) * mm_per_point, rel=2e-3
    )  # pictures have whole pixels


def test_matrices_of_forms_and_pages_are_heeded(tmp_path: Path) -> None:
    (plain,) = lines_of(tmp_path, "2 w " + polyline())
    (moved,) = lines_of(tmp_path, "q 1 0 0 1 10 20 cm 2 w " + polyline() + "Q")
    (nested,) = lines_of(tmp_path, "q 1 0 0 1 6 12 cm /Form Do Q", form="q 1 0 0 1 4 8 cm 2 w " + polyline() + "Q")
    px_per_point = 254 / 72
    assert moved == pytest.approx(plain + np.array([10, -20]) * px_per_point, abs=0.1)
    assert nested == pytest.approx(moved, abs=0.01)


def test_strokes_that_meet_are_one_line(tmp_path: Path) -> None:
    strokes = "".join(polyline([a, b]) for a, b in itertools.pairwise(POINTS))
    (line,) = lines_of(tmp_path, "2 w " + strokes)
    assert len(line) == len(POINTS)


def test_a_line_that_is_lifted_is_two(tmp_path: Path) -> None:
    apart = " ".join(polyline(part).replace(" S\n", "") for part in (POINTS[:15], POINTS[20:]))
    lines = lines_of(tmp_path, f"2 w {apart} S")
    assert [len(line) for line in lines] == [15, 20]


def test_curves_become_short_pieces(tmp_path: Path) -> None:
    curve = "40 100 m 60 160 80 160 100 100 c 120 40 140 40 160 100 c S"
    (line,) = lines_of(tmp_path, "2 w " + curve)
    assert len(line) == 17


@pytest.mark.parametrize("drawing", [
    polyline().replace("S", "f"),  # filled
    polyline(POINTS[:5]),  # too few points
    "40 100 m 200 100 l S 40 120 m 200 120 l S",  # a grid
    "",
])  # fmt: skip
def test_what_is_no_trace_is_left_out(drawing: str, tmp_path: Path) -> None:
    assert lines_of(tmp_path, "2 w " + drawing) == ()


def test_a_page_with_far_too_many_strokes_keeps_its_picture_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_lines, "MOST_SEGMENTS", 2 * len(POINTS) - 1)
    assert len(lines_of(tmp_path, "2 w " + polyline())) == 1
    assert lines_of(tmp_path, "2 w " + polyline() + polyline()) == ()
