"""Pages that the machine reads wrongly, mended by hand in the real window: better against the truth, kept and replayed.

The networks make no mistake but one, so that what is measured is the mistake and its correction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import wfdb
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from ecgstudio import api, cli
from ecgstudio.commands.doctor import record_snr_db
from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS, SCALE_TEXTS
from ecgstudio.gui.facts import value_of
from ecgstudio.gui.keypoint_gestures import sheet_corners
from ecgstudio.gui.overlays import Tool
from ecgstudio.gui.states import Step
from ecgstudio.stages.contract import LABEL_CLASSES, FloatMap, Image, KeypointMaps
from tests.gui.workstation import Bench
from tests.synth_page import SynthPage, TruthRuntime, synth_page

CONTROL = Qt.KeyboardModifier.ControlModifier
ACCURATE_DB = 20.0
MISSED = "V6"


@dataclass(frozen=True, slots=True, eq=False)
class MisreadsGain(TruthRuntime):
    """Reads 5 mm/mV where 10 is printed."""

    weights_hash: str = "misreads the gain"

    def texts(self, crops: FloatMap) -> FloatMap:
        """Let two words change places."""
        answers = TruthRuntime.texts(self, crops)
        five, ten = 1 + SCALE_TEXTS.index("gain5"), 1 + SCALE_TEXTS.index("gain10")
        answers[:, [five, ten]] = answers[:, [ten, five]]
        return answers


@dataclass(frozen=True, slots=True, eq=False)
class MistakesNames(TruthRuntime):
    """Reads V2 for V5 and the reverse."""

    weights_hash: str = "mistakes names"

    def keypoints(self, image: Image) -> KeypointMaps:
        """Let two names change places."""
        return _exchanged(TruthRuntime.keypoints(self, image), "V2", "V5")

    def names(self, crops: FloatMap) -> FloatMap:
        """Let two names change places."""
        answers = TruthRuntime.names(self, crops)
        two, five = 1 + LEADS.index("V2"), 1 + LEADS.index("V5")
        answers[:, [two, five]] = answers[:, [five, two]]
        return answers


def _exchanged(maps: KeypointMaps, one: str, other: str) -> KeypointMaps:
    labels = maps.labels.copy()
    a, b = LABEL_CLASSES.index(one), LABEL_CLASSES.index(other)
    labels[[a, b]] = labels[[b, a]]
    return KeypointMaps(labels, maps.orientation, maps.geometry)


def overlooks_a_trace(synth: SynthPage) -> TruthRuntime:
    """Return networks that know nothing of one lead but its printed name."""
    leads = tuple(lead for lead in synth.sheet.leads if lead.lead != MISSED)
    return TruthRuntime(replace(synth, sheet=replace(synth.sheet, leads=leads)), weights_hash="overlooks a trace")


@dataclass
class Clinician:
    """Names traces when asked."""

    names: list[str] = field(default_factory=list)

    def length_mm(self, question: str, suggestion: float) -> float | None:
        """Agree."""
        return suggestion

    def name(self, question: str, current: str, names: tuple[str, ...]) -> str | None:
        """Give the next name."""
        return self.names.pop(0)


class Case:
    """A page in the window, and what its truth says of it."""

    def __init__(self, qtbot: QtBot, folder: Path, synth: SynthPage, runtime: TruthRuntime) -> None:
        self.synth, self.runtime, self.folder = synth, runtime, folder
        scan = folder / "ecg.png"
        assert cv2.imwrite(str(scan), cv2.cvtColor(synth.page.pixels, cv2.COLOR_RGB2BGR))
        self.bench = Bench(qtbot, folder, load_runtime=lambda device: runtime)
        self.bench.open(scan)

    @property
    def record(self) -> EcgRecord:
        """What is read now."""
        record = value_of(self.bench.window.bridge.session.analysis(self.bench.page).record)
        assert record is not None
        return record

    def snr_db(self, record: EcgRecord | None = None) -> float:
        """Hold a record, or what is read now, against the truth."""
        sheet = self.synth.sheet
        return record_snr_db(record or self.record, sheet.record_mv.astype(np.float64), fs=sheet.record_fs)

    def error_mv(self) -> float:
        """Return the mean absolute error of all printed samples, each lead about its mean; not read counts as zero."""
        truth = self.synth.sheet.record_mv.astype(np.float64)
        printed = np.isfinite(truth)
        read = np.where(printed, np.nan_to_num(self.record.mv[:, : truth.shape[1]].astype(np.float64)), np.nan)
        error = (read - np.nanmean(read, axis=1, keepdims=True)) - (truth - np.nanmean(truth, axis=1, keepdims=True))
        return float(np.abs(error)[printed].mean())

    def trace_xy(self, lead: str) -> F64:
        """Return where a lead's line was printed, in page pixels."""
        line_mm = next(each for each in self.synth.sheet.leads if each.lead == lead).line_mm
        return self.synth.to_page(np.asarray(line_mm))

    def point(self, xy: F64) -> QPoint:
        """Return where a place of the page is on the screen."""
        x, y = self.bench.window.page_view.camera.to_screen(xy)
        return QPoint(round(float(x)), round(float(y)))

    def take(self, step: Qt.Key, tool: Qt.Key, expected: Tool, *, shift: bool = False) -> None:
        """Turn to a step and take a tool by their keys."""
        self.bench.press(step)
        self.bench.press(tool, Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier)
        assert self.bench.window.page_view.hand.tool is expected

    def click(self, xy: F64) -> None:
        """Click a place of the page."""
        view = self.bench.window.page_view
        self.bench.qtbot.mouseMove(view, self.point(xy))
        self.bench.qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=self.point(xy))
        self.bench.settle()

    def stroke(self, line: F64) -> None:
        """Pull the pointer along a line with the left button down."""
        view, left = self.bench.window.page_view, Qt.MouseButton.LeftButton
        places = [self.point(xy) for xy in line]
        self.bench.qtbot.mousePress(view, left, pos=places[0])
        for place in places[1:]:
            self.bench.qtbot.mouseMove(view, place)
        self.bench.qtbot.mouseRelease(view, left, pos=places[-1])
        self.bench.settle()

    def is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sign off, save, open again, export and replay: the record is the same everywhere."""
        bench, mended = self.bench, self.record
        bench.press(Qt.Key.Key_Return)
        bench.script.save_to = self.folder / "study.ecgproj"
        bench.press(Qt.Key.Key_S, CONTROL)
        bench.window.files.new_project()
        bench.window.files.open_project(self.folder / "study.ecgproj")
        bench.settle()
        np.testing.assert_array_equal(self.record.mv, mended.mv)
        bench.press(Qt.Key.Key_E, CONTROL)
        bench.settle()
        out = bench.exports.folder
        table = np.genfromtxt(out / "ecg.csv", delimiter=",", names=True)
        from_csv = EcgRecord(np.stack([table[lead] for lead in LEADS]).astype(np.float32), mended.fs)
        signal = wfdb.rdrecord(str(out / "ecg"))
        assert signal.sig_name == list(LEADS)
        from_wfdb = EcgRecord(signal.p_signal.T.astype(np.float32), float(signal.fs))
        for exported in (from_csv, from_wfdb):
            np.testing.assert_array_equal(np.isfinite(exported.mv), np.isfinite(mended.mv))
            np.testing.assert_allclose(exported.mv, mended.mv, atol=0.0011)
            assert self.snr_db(exported) == pytest.approx(self.snr_db(mended), abs=0.5)
        monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: self.runtime)
        again = self.folder / "replayed"
        formats = "wfdb,csv,json"
        assert cli.main(["replay", str(self.folder / "study.ecgproj"), "-o", str(again), "--format", formats]) == 0
        assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in out.iterdir()}


def test_a_wrong_gain_is_set_right(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page(pulse="none")
    case = Case(qtbot, tmp_path, synth, MisreadsGain(synth))
    automatic_db, automatic_mv = case.snr_db(), case.error_mv()
    case.bench.press(Qt.Key.Key_2)
    box = next(b for b in case.bench.window.inspector.findChildren(QComboBox) if b.accessibleName() == "Gain")
    assert box.isVisible()
    while box.currentText() != "10 mm/mV":
        qtbot.keyClick(box, Qt.Key.Key_Down)
    case.bench.settle()
    case.bench.window.bridge.confirm_scale()
    assert case.snr_db() > max(ACCURATE_DB, automatic_db + 10)
    assert case.error_mv() < automatic_mv / 5
    case.is_kept(monkeypatch)


def test_two_leads_that_changed_names_are_renamed(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synth = synth_page()
    case = Case(qtbot, tmp_path, synth, MistakesNames(synth))
    automatic_db, automatic_mv = case.snr_db(), case.error_mv()
    case.take(Qt.Key.Key_3, Qt.Key.Key_B, Tool.RELABEL)
    case.bench.window.page_view.asker = Clinician(["V5", "V2"])
    for lead in ("V5", "V2"):
        line = case.trace_xy(lead)
        case.click(line[len(line) // 2])
    assert case.snr_db() > max(ACCURATE_DB, automatic_db + 10)
    assert case.error_mv() < automatic_mv / 2
    case.is_kept(monkeypatch)


def test_a_trace_that_was_overlooked_is_drawn(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page()
    case = Case(qtbot, tmp_path, synth, overlooks_a_trace(synth))
    automatic_db, automatic_mv = case.snr_db(), case.error_mv()
    assert not np.isfinite(case.record.lead_mv(MISSED)).any()
    case.take(Qt.Key.Key_3, Qt.Key.Key_D, Tool.DRAW)
    case.bench.window.page_view.asker = Clinician([MISSED])
    case.bench.window.page_view.go_to(tuple(case.trace_xy(MISSED).mean(axis=0)), zoom=2.0)
    case.stroke(case.trace_xy(MISSED)[::4])
    assert np.isfinite(case.record.lead_mv(MISSED)).any()
    assert case.snr_db() > max(ACCURATE_DB / 2, automatic_db + 3)
    assert case.error_mv() < automatic_mv
    case.is_kept(monkeypatch)


def test_a_page_corner_is_dragged_and_the_grid_is_looked_for_in_that_perspective(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: Counter[str]
) -> None:
    synth = synth_page()
    case = Case(qtbot, tmp_path, synth, TruthRuntime(synth))
    window, bridge = case.bench.window, case.bench.window.bridge
    automatic_db, automatic = case.snr_db(), case.record
    case.take(Qt.Key.Key_1, Qt.Key.Key_C, Tool.CORNERS, shift=True)
    corner = sheet_corners(window.page_view.scene())[1]
    put = corner + np.array([-25.0, 20.0])
    before = Counter(computed)
    case.stroke(np.linspace(corner, put, 5))
    edit = bridge.corrections.keypoints
    assert edit is not None
    assert edit.corners is not None
    assert edit.corners[1] == pytest.approx(tuple(put), abs=3.0)  # a pixel of the screen
    assert window.stage_bar.state_of(Step.NORMALIZE) == "corrected"
    assert computed - before == Counter(fit_grid=1, read_traces=1)
    assert case.snr_db() > automatic_db - 1  # the printed lines set right what the hand did roughly
    assert "corner" in bridge.session.audit[-1].text

    # Its handle is still there when the tool is taken anew, and one step takes it back.
    case.take(Qt.Key.Key_1, Qt.Key.Key_C, Tool.CORNERS, shift=True)
    assert sheet_corners(window.page_view.scene())[1] == pytest.approx(edit.corners[1])
    case.bench.press(Qt.Key.Key_Z, CONTROL)
    case.bench.settle()
    assert bridge.corrections.keypoints is None
    np.testing.assert_array_equal(case.record.mv, automatic.mv)
    case.bench.press(Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    case.bench.settle()
    case.is_kept(monkeypatch)
