"""Lines that a program drew are taken for the traces that were read along them, and for no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.page import Page, identity_of
from ecgstudio.stages.contract import NULL_STATUS, FloatMap, TraceMaps
from ecgstudio.stages.drawn_lines import ending_with_lines, lines_along, lines_on_paper
from ecgstudio.stages.parting import cut_out
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.settings import TraceSettings
from ecgstudio.stages.stage2_trace import read_traces
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from tests.drawn_strips import drawn_strip
from tests.synth_page import SynthPage, TruthRuntime, synth_page, true_grid, true_keypoints

LENGTH_MM = 60.0
NODES = np.stack(np.meshgrid(np.arange(0, 101, 5.0), np.arange(0, 101, 5.0)), axis=-1) * 10
GRID = GridFit(NODES, PaperScale(25.0, 10.0, "assumed"), 1.0)
WAVE_MM = np.arange(0, LENGTH_MM, 1 / STRIP_PX_PER_MM)
WAVE_MV = 0.8 * np.sin(WAVE_MM / 3)
READING = drawn_strip(WAVE_MV, rng=np.random.default_rng(3), noise_px=0.5)
SLOT = Slot("II", 0, 0, 1, 2.0, 58.0, 0.9, True)


class Wavering(TruthRuntime):
    """Reads every trace a little beside its ink."""

    def trace(self, strips: FloatMap) -> TraceMaps:
        maps = super().trace(strips)
        beside = np.arange(maps.columns.shape[2]) // 40 % 2 == 0
        return replace(maps, columns=np.where(beside, np.roll(maps.columns, 2, axis=1), maps.columns))


def wave(start_mm: float = 0.0, end_mm: float = LENGTH_MM, *, down_mm: float = 0.0) -> F64:
    x_mm = np.arange(start_mm, end_mm, 0.2)
    return np.column_stack([x_mm, 50 - 8 * np.sin(x_mm / 3) + down_mm])


def read(synth: SynthPage, page: Page) -> DigitizedEcg:
    return read_traces(
        page, true_keypoints(synth), true_grid(synth), runtime=Wavering(synth), settings=TraceSettings(),
        status=NULL_STATUS,
    )  # fmt: skip


def misses_uv(synth: SynthPage, ecg: DigitizedEcg) -> list[float]:
    """Return each lead's rms error in microvolt, but for its level."""
    out = []
    for lead in synth.sheet.leads:
        near = [trace for trace in ecg.of(lead.lead) if abs(trace.t0_s - lead.t0_s) < 0.1]
        (trace,) = [t for t in near if abs(t.duration_s * 25 - (lead.end_mm - lead.start_mm)) < 5]
        x_mm = synth.to_sheet(trace.xy)[:, 0]
        inside = (x_mm > lead.start_mm + 0.5) & (x_mm < lead.end_mm - 0.5)
        mv = (lead.zero_mm - np.interp(x_mm, *lead.line_mm.T)) / lead.mm_per_mV
        out.append(1e3 * float(np.std((trace.mv - mv)[inside])))
    return out


def test_a_page_that_carries_its_lines_is_read_by_them() -> None:
    synth = synth_page("3x4+1", width_mm=75.0)
    lines = tuple(synth.to_page(lead.line_mm) for lead in synth.sheet.leads)
    assert min(misses_uv(synth, read(synth, synth.page))) > 9
    ecg = read(synth, replace(synth.page, lines=lines))
    assert max(misses_uv(synth, ecg)) < 2
    assert min(float(trace.confidence.mean()) for trace in ecg.traces) > 0.98


def test_lines_of_other_things_change_nothing() -> None:
    synth = synth_page("3x4+1", width_mm=75.0)
    x_mm = np.linspace(10, 80, 400)
    others = [np.column_stack([x_mm, np.full(400, y_mm)]) for y_mm in np.arange(5, 90, 5.0)]
    before, after = (read(synth, page).traces for page in (
        synth.page, replace(synth.page, lines=tuple(synth.to_page(line) for line in others)),
    ))  # fmt: skip
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.mv, other.mv)


def test_only_lines_that_run_to_the_right_may_be_traces() -> None:
    px = wave() * 10
    zigzag = px[np.arange(len(px)).reshape(-1, 4)[:, [0, 2, 1, 3]].ravel()]
    few = px[::60]
    (kept,) = lines_on_paper([zigzag, few, px[:10]], GRID) or [None]
    assert kept is None
    for line in (px, px[::-1]):
        (kept,) = lines_on_paper([line], GRID)
        assert kept == pytest.approx(wave(), abs=1e-6)


def test_points_beyond_the_map_are_left_out() -> None:
    (kept,) = lines_on_paper([np.concatenate([wave() * 10, [[5000.0, 20.0]]])], GRID)
    assert np.isfinite(kept).all()


def test_the_nearest_line_along_a_lead_is_its_trace() -> None:
    shadow, neighbour, tail = wave(down_mm=0.3), wave(down_mm=6.0), wave(54.0, 90.0)
    (line,) = lines_along([neighbour, shadow, wave(), tail], SLOT, READING)
    assert line[0, 1] == pytest.approx(50.0)
    assert lines_along([neighbour, tail], SLOT, READING) == []


def test_a_lead_may_be_drawn_in_pieces() -> None:
    first, second = wave(2.0, 30.0), wave(30.0, 58.0)
    assert len(lines_along([second, first], SLOT, READING)) == 2


@pytest.mark.parametrize(("line", "start_mm", "end_mm"), [
    (wave(3.0, 57.0), 3.0, 56.8),
    (wave(9.0, 56.0), 9.0, 55.8),  # a foot was read before it
    (wave(20.0, 56.0), 2.0, 55.8),  # what is this?
    (wave(0.0, 300.0), 0.0, 58.0),  # the row
    (wave(-100.0, 58.4), 2.0, 58.2),
])  # fmt: skip
def test_leads_end_with_their_lines(line: F64, start_mm: float, end_mm: float) -> None:
    (slot,) = ending_with_lines([SLOT], [[line]])
    assert (slot.start_mm, slot.end_mm) == (pytest.approx(start_mm, abs=0.01), pytest.approx(end_mm, abs=0.01))
    assert ending_with_lines([SLOT], [[]]) == [SLOT]


def test_a_part_of_a_page_keeps_its_own_lines() -> None:
    pixels = np.full((400, 600, 3), 255, np.uint8)
    page = Page(identity_of(pixels), pixels, None, "two", lines=(wave() * 2 + (300, 100), wave() * 2 + (10, 10)))
    part = cut_out(page, np.array([[299.5, 49.5], [559.5, 49.5], [559.5, 359.5], [299.5, 359.5]]))
    (line,) = part.lines
    assert line == pytest.approx(wave() * 2 + (0, 50))
