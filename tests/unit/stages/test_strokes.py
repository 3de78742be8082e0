"""A frame beside a trace's end is no trace, a grid is no frame, and what leaps away over blank paper is said."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.contract import FloatMap, TraceMaps
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.stage2_trace import stray_doubts
from ecgstudio.stages.strip_reading import StripReading, read_strips, row_ends
from ecgstudio.stages.strokes import darkness, drawn_from_frame, drawn_on_to, leaps, ruled_lines
from tests.fake_classifier import NoClassifier

PX_PER_MM, WIDTH_PX, HEIGHT_PX = 4.0, 480, 320  # 120 x 80 mm
ROW_MM, FRAME_MM, LOST_MM = 40.0, 26.0, (105.0, 113.0)
ROW = Row(ROW_MM, 5.0, 115.0, 1.0)
GRID = GridFit(
    np.stack(np.meshgrid(np.arange(25.0), np.arange(17.0)), axis=-1) * GRID_PITCH_MM * PX_PER_MM,
    PaperScale(25.0, 10.0, "printed"),
    0.9,
)


def page(*, ruled_mm: tuple[float, ...]) -> Page:
    """Draw a flat trace and lines above it."""
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), 250, np.uint8)
    for y_mm in (ROW_MM, *ruled_mm):
        y = round(y_mm * PX_PER_MM)
        pixels[y - 1 : y + 1, 20:460] = 20
    return Page(PageId("6" * 64, 0), pixels, None, "frame.png")


@dataclass(frozen=True, slots=True)
class DrawnToFrame(NoClassifier):
    """Sees the trace, but takes the frame for it in its last millimetres."""

    device: str = "cpu"
    weights_hash: str = "frame"

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Answer with two lines, of which now one and now the other is likelier."""
        batch, _, height, width = strips.shape
        lost = _lost(2 * width)
        columns = np.full((batch, height, 2 * width), -14.0, np.float32)
        columns[:, height // 2] = np.where(lost, -5.0, -0.01)
        columns[:, height // 2 - round((ROW_MM - FRAME_MM) * 8)] = np.where(lost, -0.01, -5.0)
        segmentation = np.full((batch, 3, height // 4, width // 2), 1 / 3, np.float32)
        ones = np.ones((batch, 2 * width), np.float32)
        return TraceMaps(columns, segmentation, ones, 0 * ones)


def _lost(halves: int) -> np.ndarray:
    x_mm = ROW.start_mm - 12.0 + (np.arange(halves) + 0.5) / 16
    return (x_mm > LOST_MM[0]) & (x_mm < LOST_MM[1])


def read(*, ruled_mm: tuple[float, ...]) -> tuple[StripReading, F64]:
    (reading,) = read_strips(page(ruled_mm=ruled_mm), GRID, (ROW,), runtime=DrawnToFrame())
    off_mm = (reading.height_half - reading.half_px) / 8
    return reading, off_mm[_lost(len(off_mm))]


def slots(*spans: tuple[float, float]) -> list[Slot]:
    return [Slot(f"V{i + 1}", 0, i, len(spans), *span, 0.9, True) for i, span in enumerate(spans)]


def test_a_frame_that_the_network_takes_for_the_end_of_a_trace_is_not_followed() -> None:
    reading, off_mm = read(ruled_mm=(FRAME_MM,))
    assert np.abs(off_mm).max() < 0.5
    assert not stray_doubts(slots((5.0, 113.0)), [reading])


@pytest.mark.parametrize("ruled_mm", [(), tuple(np.arange(11.0, 38.0, 5.0))])
def test_what_leaps_onto_no_frame_is_read_as_the_network_says_but_doubted(ruled_mm: tuple[float, ...]) -> None:
    reading, off_mm = read(ruled_mm=ruled_mm)  # no line at all, or the many lines of a grid
    assert np.median(off_mm) == pytest.approx(FRAME_MM - ROW_MM, abs=0.5)
    assert stray_doubts(slots((5.0, 59.0), (59.0, 113.0)), [reading]) == ("read beside the trace, on another line: V2",)


def drawn(height_px: F64, *, ink: bool = True) -> tuple[FloatMap, F64]:
    """Return a strip in whose columns a line was drawn, strokes included or not, and its heights."""
    strip = np.full((480, len(height_px)), 1.0, np.float32)
    for column, (before, now) in enumerate(zip(np.append(height_px[:1], height_px), height_px, strict=False)):
        low, high = sorted((before, now)) if ink else (now, now)
        strip[int(low) - 1 : int(high) + 2, column] = -3.0
    return strip, np.repeat(height_px, 2)


def beats() -> F64:
    height = np.full(800, 240.0)
    for first in (100, 300, 500, 700):
        height[first : first + 4] = 140.0
    return height


@pytest.mark.parametrize("ink", [True, False])
def test_a_stroke_is_a_leap_only_where_nothing_is_drawn(ink: bool) -> None:
    strip, height = drawn(beats(), ink=ink)
    dark = darkness(strip, height, np.ones(len(height), bool))
    assert len(leaps(dark, height)) == (0 if ink else 8)


@pytest.mark.parametrize(("at", "doubted"), [(700, False), (760, True)])
def test_faint_strokes_of_beats_are_not_doubted_but_a_last_leap_to_where_no_beat_goes_is(
    at: int, doubted: bool
) -> None:
    height = beats()
    height[at : at + 4 if at == 700 else 800] = 100.0 if at == 760 else 140.0
    strip, half = drawn(height, ink=False)
    dark = darkness(strip, half, np.ones(len(half), bool))
    ones = np.ones(len(half))
    reading = StripReading(
        row=Row(40.0, 0.0, 100.0, 1.0), x0_mm=0.0, centre_mm=40.0, half_px=240, height_half=half, mass_half=ones,
        presence_half=ones, boundary=0 * ones, leaps_mm=tuple((leap + 0.5) / 16 for leap in leaps(dark, half)),
    )  # fmt: skip
    assert reading.leaps_mm
    assert bool(stray_doubts(slots((0.0, 100.0)), [reading])) == doubted


def test_a_frame_that_bends_is_ruled_and_a_trace_or_a_short_line_is_not() -> None:
    x = np.arange(1600)
    trace = 240 - 60 * np.exp(-((((x % 200) - 100) / 6.0) ** 2))
    strip, height = drawn(trace)
    frame = 80 + 10 * (x / 1600) ** 2
    strip[np.round(frame).astype(int), x] = strip[np.round(frame).astype(int) + 1, x] = -3.0
    strip[400, :1200] = -3.0
    found = ruled_lines(darkness(strip, height, np.ones(len(height), bool)), first_px=0, last_px=1600)
    assert len(found) == 1
    assert np.abs(found[0] - frame - 0.5).max() < 1.5


def flat_end(*, frame: bool = True, pulse: bool = False, grid: bool = False) -> tuple[FloatMap, F64]:
    """Draw a line that runs on flat until column 620, to a frame there, or on into a pulse or a ruling."""
    height = np.full(800, 240.0)
    if pulse:
        height[612:640] = 160.0
    strip, half = drawn(height)
    if not (grid or pulse):
        strip[:, 621:] = 1.0
    if frame:
        strip[40:440, 619:622] = -3.0
    return strip, half


@pytest.mark.parametrize("frame", [True, False])
def test_a_line_that_looks_like_a_foot_is_followed_to_where_its_ink_ends(frame: bool) -> None:
    strip, half = flat_end(frame=frame)
    dark = darkness(strip, half, np.arange(len(half)) < 1180)
    assert drawn_on_to(dark, half, 1180) == pytest.approx(2 * 620, abs=3)
    assert drawn_on_to(dark, half, 1236) is None  # as good as there
    assert drawn_on_to(dark, half, 1000) is None  # too long for the end of a lead


@pytest.mark.parametrize("on", [{"pulse": True, "frame": False}, {"grid": True}, {"grid": True, "frame": False}])
def test_a_pulse_or_a_ruling_is_no_end_of_a_lead(on: dict[str, bool]) -> None:
    strip, half = flat_end(**on)
    assert drawn_on_to(darkness(strip, half, np.arange(len(half)) < 1180), half, 1180) is None


def begun_at_frame(*, lines: int = 1, tall: bool = True, gap: bool = False) -> tuple[FloatMap, FloatMap, F64]:
    """Draw a flat line that begins at an upright line at column 100, of which a lead is seen from column 120 on."""
    strip, half = drawn(np.full(800, 240.0))
    strip[:, :100] = 1.0
    for frame in range(100, 100 + 100 * lines, 100):
        strip[40:440, frame : frame + 3] = -3.0
    if not tall:
        strip[40:200, 100:103] = 1.0
    if gap:
        strip[:, 104:112] = 1.0
    return strip, darkness(strip, half, np.arange(len(half)) >= 240), half


def test_a_lead_that_looks_like_a_pulse_begins_at_the_frame_from_which_its_line_is_drawn() -> None:
    assert drawn_from_frame(*begun_at_frame(), 240, axis_px=240) == pytest.approx(2 * 101.5, abs=2)
    assert drawn_from_frame(*begun_at_frame(), 300, axis_px=240) is None  # too far from the frame


@pytest.mark.parametrize("drawing", [{"lines": 0}, {"lines": 6}, {"tall": False}, {"gap": True}])
def test_a_grid_a_pulse_or_blank_paper_is_no_frame_from_which_a_lead_is_drawn(drawing: dict[str, bool]) -> None:
    assert drawn_from_frame(*begun_at_frame(**drawing), 240, axis_px=240) is None


@dataclass(frozen=True, slots=True)
class LosesTheEnd(DrawnToFrame):
    """Sees no lead from this place (mm) on."""

    from_mm: float = 111.0

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Answer with the trace, of which no lead is seen at its end."""
        maps = DrawnToFrame.trace(self, strips)
        columns = np.full_like(maps.columns, -14.0)
        columns[:, columns.shape[1] // 2] = -0.01
        x_mm = ROW.start_mm - 12.0 + (np.arange(columns.shape[2]) + 0.5) / 16
        return replace(maps, columns=columns, presence=np.asarray(maps.presence * (x_mm < self.from_mm), np.float32))


def test_a_row_ends_where_its_line_does() -> None:
    (reading,) = read_strips(page(ruled_mm=()), GRID, (ROW,), runtime=LosesTheEnd())
    assert row_ends(reading)[1] == pytest.approx(460 / PX_PER_MM, abs=0.3)
    (reading,) = read_strips(page(ruled_mm=()), GRID, (ROW,), runtime=LosesTheEnd(from_mm=90.0))
    assert row_ends(reading)[1] == pytest.approx(90.0, abs=0.3)
