"""The numbers of the self-checks on a printed page with known truth, against numpy; and where `N` goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.gui.checks_view import EINTHOVEN, GOLDBERGER, SCALE, TWIN, ChecksView
from ecgstudio.gui.strip_layout import EINTHOVEN as STRIP_EINTHOVEN
from ecgstudio.gui.strip_layout import GOLDBERGER as STRIP_GOLDBERGER
from ecgstudio.gui.strip_layout import Arrangement, lay_out
from ecgstudio.gui.tools import HINTS, Tool
from ecgstudio.gui.views import WORST_ZOOM, doubtful_places
from ecgstudio.stages.contract import FloatMap, TraceMaps
from tests.fake_runtime import FakeRuntime, draw_page
from tests.gui.test_repairs import Case
from tests.gui.workstation import Bench
from tests.synth_page import Reading, SynthPage, TruthRuntime, read_page, synth_page

I_, II, III, AVR, AVL, AVF = (LEADS.index(lead) for lead in ("I", "II", "III", "aVR", "aVL", "aVF"))


def shown(qtbot: QtBot, reading: Reading) -> ChecksView:
    checks = ChecksView()
    qtbot.addWidget(checks)
    checks.set_checks(reading.quality, reading.grid.scale, reading.ecg)
    return checks


def number(text: str, unit: str) -> float:
    """Return the number before a unit."""
    found = re.search(rf"(-?[\d.]+) {re.escape(unit)}", text)
    assert found is not None, text
    return float(found[1])


def db(signal: F64, residual: F64) -> float:
    known = np.isfinite(signal) & np.isfinite(residual)
    return float(10 * np.log10(np.var(signal[known]) / np.var(residual[known])))


@pytest.mark.parametrize("swapped", [None, ("I", "II")])
def test_the_sums_of_leads_are_those_of_numpy(qtbot: QtBot, swapped: tuple[str, str] | None) -> None:
    reading = read_page(synth_page(swapped=swapped))
    mv = reading.record.mv.astype(np.float64)
    checks = shown(qtbot, reading)
    einthoven, goldberger = db(mv[II], mv[II] - mv[I_] - mv[III]), db(mv[AVR], mv[AVR] + mv[AVL] + mv[AVF])
    assert number(checks.text(EINTHOVEN), "dB") == pytest.approx(einthoven, abs=0.051)
    assert number(checks.text(GOLDBERGER), "dB") == pytest.approx(goldberger, abs=0.051)
    assert checks.text(EINTHOVEN).startswith("✓" if swapped is None else "!")


def test_the_flat_lines_under_the_signals_are_those_of_numpy() -> None:
    reading = read_page(synth_page())
    layout = lay_out(reading.ecg, reading.record, arrangement=Arrangement.PAGE, mm_per_mV=10.0, checks=True)
    mv, fs = reading.record.mv.astype(np.float64), reading.record.fs
    expected = {STRIP_EINTHOVEN: mv[II] - mv[I_] - mv[III], STRIP_GOLDBERGER: mv[AVR] + mv[AVL] + mv[AVF]}
    assert {line.name for line in layout.checks} == set(expected)
    for line in layout.checks:
        first = round(line.at_s * fs)
        there = expected[line.name][first : first + len(line.mv)]
        np.testing.assert_allclose(line.mv, there - np.nanmedian(there), atol=1e-9)
        assert np.isfinite(there).sum() == np.isfinite(expected[line.name]).sum()


def test_two_prints_of_lead_ii_differ_by_as_much_as_numpy_says(qtbot: QtBot) -> None:
    reading = read_page(synth_page())
    short, long = sorted(reading.ecg.of("II"), key=lambda trace: len(trace.mv))
    start = round((short.t0_s - long.t0_s) * short.fs)
    spread = []
    for shift in range(-30, 31):  # 60 ms either way
        first = start + shift
        a, b = short.mv[max(0, -first) :], long.mv[max(0, first) :]
        a, b = (np.asarray(x[: min(len(a), len(b))], np.float64) for x in (a, b))
        known = np.isfinite(a) & np.isfinite(b)
        spread.append((float(np.std((a - b)[known])), float(np.std(b[known]))))
    rms_mv, signal_mv = min(spread)
    text = shown(qtbot, reading).text(TWIN)
    assert text.startswith("✓ lead II")
    assert number(text, "µV") == pytest.approx(1000 * rms_mv, abs=0.51)
    assert number(text, "dB") == pytest.approx(20 * np.log10(signal_mv / rms_mv), abs=0.051)


@pytest.mark.parametrize("gain", [5.0, 10.0, 20.0])
def test_the_scale_check_shows_pulse_and_print_as_they_are_on_the_page(qtbot: QtBot, gain: float) -> None:
    synth = synth_page(gain=gain, width_mm=110.0)
    text = shown(qtbot, read_page(synth)).text(SCALE)
    pulse = synth.sheet.pulses_mm[0]
    assert text.startswith("✓ agree")
    assert number(text, "mm/mV") == gain
    measured = re.search(r"pulse ([\d.]+) mm", text)
    assert measured is not None
    assert float(measured[1]) == pytest.approx(float(np.ptp(pulse[:, 1])), abs=0.25)


def test_a_scale_against_the_pulse_is_called_so(qtbot: QtBot) -> None:
    reading = read_page(synth_page())
    scale = replace(reading.grid.scale, mm_per_mV=5.0)
    checks = ChecksView()
    qtbot.addWidget(checks)
    checks.set_checks(replace(reading.quality, scale_agrees=False), scale, reading.ecg)
    assert checks.text(SCALE).startswith("! disagree")
    assert number(checks.text(SCALE), "mm/mV") == 5.0
    assert isinstance(scale, PaperScale)


# --- N -------------------------------------------------------------------------------------------------------------


def test_n_goes_to_the_ink_that_no_trace_explains_and_then_on_to_the_next_place(qtbot: QtBot, tmp_path: Path) -> None:
    drawn = draw_page()
    scan = tmp_path / "ecg.png"
    assert cv2.imwrite(str(scan), cv2.cvtColor(drawn.page.pixels, cv2.COLOR_RGB2BGR))
    bench = Bench(qtbot, tmp_path, load_runtime=lambda device: FakeRuntime())
    bench.open(scan)
    view, status = bench.window.page_view, bench.window.status_line
    traces = bench.window.bridge.values.traces
    assert traces is not None
    line = traces.of("V6")[0].xy
    x, y = view.camera.to_screen(line[len(line) // 2])
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(round(float(x)), round(float(y))))
    bench.press(Qt.Key.Key_Delete)
    bench.settle()
    assert bench.window.bridge.values.traces is not None
    assert not bench.window.bridge.values.traces.of("V6")

    bench.press(Qt.Key.Key_N)
    first = view.camera.centre
    (left, top), (right, bottom) = line.min(axis=0) - 6, line.max(axis=0) + 6  # 1 mm
    assert left <= first[0] <= right
    assert top <= first[1] <= bottom
    assert "ink that no trace explains" in status.currentMessage()
    assert view.camera.zoom == WORST_ZOOM
    count = int(status.currentMessage().split()[3].rstrip(":"))
    seen = [first]
    for _ in range(count):
        bench.press(Qt.Key.Key_N)
        seen.append(view.camera.centre)
    assert seen[-1] == first  # once round
    assert len(set(seen)) == count


DOUBTED, DOUBT_MM = "aVL", 8.0


@dataclass(frozen=True, slots=True, eq=False)
class HalfBlind(TruthRuntime):
    """Sees a stretch of one lead without confidence: two lines instead of one, the true one a little likelier."""

    weights_hash: str = "half blind"

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Blur the heights over the middle of the lead."""
        maps = TruthRuntime.trace(self, strips)
        columns = maps.columns.copy()
        lead = next(each for each in self.synth.sheet.leads if each.lead == DOUBTED)
        middle_mm = (lead.start_mm + lead.end_mm) / 2
        for strip, column in zip(strips, columns, strict=True):
            x_mm, y_mm = self.column_mm(strip)
            if abs(float(np.median(y_mm)) - lead.axis_mm) < 6:
                here = np.abs(x_mm - middle_mm) < DOUBT_MM / 2
                column[:, here] = -np.log(column.shape[0])
        return TraceMaps(columns, maps.segmentation, maps.presence, maps.boundary)

    def column_mm(self, strip: FloatMap) -> tuple[F64, F64]:
        """Return the sheet millimetres of a strip's half columns, along its middle."""
        height, width = strip.shape[1:]
        shift = 120 / 255 - 0.25 * np.percentile(strip[1], 97)
        place = self._place((0.25 * strip[0].astype(np.float64) + shift) * 255, at_least=2000)
        at_px = (np.arange(2 * width) + 0.5) / 2 - 0.5
        x_mm, y_mm = place @ np.stack([at_px, np.full_like(at_px, (height - 1) / 2), np.ones_like(at_px)])
        return x_mm, y_mm


def doubted_xy(synth: SynthPage) -> F64:
    lead = next(each for each in synth.sheet.leads if each.lead == DOUBTED)
    middle = np.array([[(lead.start_mm + lead.end_mm) / 2, lead.zero_mm]])
    return synth.to_page(middle)[0]


def test_what_was_read_without_confidence_is_a_place_to_go_to(qtbot: QtBot, tmp_path: Path) -> None:
    synth = synth_page()
    case = Case(qtbot, tmp_path, synth, HalfBlind(synth))
    traces = case.bench.window.bridge.values.traces
    assert traces is not None
    worst = doubtful_places(traces)[0]
    assert worst[0] == pytest.approx(doubted_xy(synth)[0], abs=12.0)  # 2 mm
    assert worst[1] == pytest.approx(doubted_xy(synth)[1], abs=30.0)
    places = []
    for _ in range(12):
        case.bench.press(Qt.Key.Key_N)
        places.append((case.bench.window.page_view.camera.centre, case.bench.window.status_line.currentMessage()))
    assert any(xy == worst and "read without confidence" in text for xy, text in places)


def test_nothing_doubtful_is_said_of_a_page_that_was_read_well() -> None:
    reading = read_page(synth_page())
    assert doubtful_places(reading.ecg) == ()


@pytest.mark.parametrize("tool", [tool for tool in Tool if tool is not Tool.PAN])
def test_every_tool_says_what_to_do_with_it(tool: Tool) -> None:
    assert len(HINTS[tool].split()) >= 4
    assert len(HINTS[tool]) <= 110  # it must fit the status bar
