"""Confidence as a shade: only where the data say so, the stronger the less sure, on the page and on the signals."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import PaperScale
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas
from ecgstudio.gui.doubt import LEVELS, alpha_of, doubtful_runs
from ecgstudio.gui.legend import ENTRIES, Legend
from ecgstudio.gui.page_view import PageView
from ecgstudio.gui.signal_view import SignalView
from ecgstudio.gui.theme import theme_for
from ecgstudio.gui.tools import ALL_LAYERS, Layer
from ecgstudio.gui.trace_overlay import draw_traces
from tests.gui import gesture_scene
from tests.gui.gesture_scene import SIZE, traces

FLAT = slice(120, 180)  # between two beats: 288 of 300 px are flat there


def test_a_sample_is_shaded_by_the_lowest_level_that_it_lies_below() -> None:
    confidence = np.array([1.0, 0.9, 0.89, 0.75, 0.5, 0.49, 0.1, 0.1, 0.95])
    read = np.ones(9, bool)
    read[7] = False
    assert doubtful_runs(confidence, read, fs=10.0) == [(0.9, 2, 4), (0.75, 4, 5), (0.5, 5, 6), (0.25, 6, 7)]


def test_the_ends_of_leads_are_no_dots() -> None:
    confidence = np.ones(1000)
    confidence[:11], confidence[500:520] = 0.1, 0.1
    assert doubtful_runs(confidence, np.ones(1000, bool), fs=500.0) == [(0.25, 500, 520)]


def test_less_sure_is_stronger() -> None:
    alphas = [alpha_of(level) for level in sorted(LEVELS, reverse=True)]
    assert alphas == sorted(alphas)


def ecg(confidence: float) -> DigitizedEcg:
    """All traces as sure as can be but for a flat stretch of lead I."""
    doubted = []
    for trace in traces().traces:
        sure = np.ones(len(trace.mv), np.float32)
        if trace.lead == "I":
            sure[FLAT] = confidence
        doubted.append(replace(trace, confidence=sure))
    return DigitizedEcg(tuple(doubted), "2x2")


def pixels(image: QImage) -> np.ndarray:
    picture = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine())
    return rows[:, : 3 * picture.width()].reshape(picture.height(), picture.width(), 3).astype(int)


def yellow(picture: np.ndarray) -> float:
    """Return how much blue the picture lacks against its red and green."""
    return float(np.clip(picture[..., :2].min(axis=2) - picture[..., 2], 0, None).sum())


@pytest.fixture
def page_view(qtbot: QtBot) -> PageView:
    widget = gesture_scene.page_view(qtbot)
    widget.set_visible_layers(frozenset({Layer.TRACES, Layer.UNCERTAIN}))
    return widget


@pytest.fixture
def signal_view(qtbot: QtBot) -> SignalView:
    widget = SignalView()
    qtbot.addWidget(widget)
    widget.resize(900, 500)
    return widget


def test_on_the_page_and_on_the_signals_the_shade_grows_with_the_doubt(
    page_view: PageView, signal_view: SignalView
) -> None:
    seen: list[tuple[float, float]] = []
    for confidence in (1.0, 0.92, 0.8, 0.6, 0.3, 0.1):
        page_view.set_traces(ecg(confidence), None)
        signal_view.set_ecg(ecg(confidence), None, PaperScale(25.0, 10.0, "test"))
        there = pixels(page_view.grab().toImage())[120:160, 200:260]
        seen.append((yellow(there), yellow(pixels(signal_view.canvas.viewport().grab().toImage()))))
    for one in zip(*seen, strict=True):
        assert one[0] == one[1]  # sure, and nearly so
        assert (np.diff(one[1:]) > 0).all()


def test_the_layer_switches_the_shade_off(page_view: PageView, signal_view: SignalView) -> None:
    page_view.set_traces(ecg(0.1), None)
    signal_view.set_ecg(ecg(0.1), None, PaperScale(25.0, 10.0, "test"))
    shaded = yellow(pixels(page_view.grab().toImage())), yellow(pixels(signal_view.canvas.viewport().grab().toImage()))
    page_view.set_visible_layers(ALL_LAYERS - {Layer.UNCERTAIN, Layer.GRID, Layer.KEYPOINTS})
    signal_view.show_doubt(shade=False)
    assert yellow(pixels(page_view.grab().toImage())) < shaded[0]
    assert yellow(pixels(signal_view.canvas.viewport().grab().toImage())) < shaded[1]


def test_ink_shows_through_the_strongest_shade() -> None:
    canvas = Canvas(*SIZE)
    canvas.fill("#ffffff")
    canvas.picture[:, 230:] = (20, 20, 20, 255)
    camera = Camera(SIZE, (SIZE[0] / 2, SIZE[1] / 2), 1.0)
    draw_traces(canvas, ecg(0.1), camera, ratio=1.0, theme=theme_for(False))
    paper, ink = canvas.picture[143, 215], canvas.picture[143, 245]  # within the shade, beside the line
    assert paper[0] < 130 < paper[2]  # blue, green, red: the paper is yellow
    assert ink[:3].max() <= 20


def test_the_legend_names_and_paints_every_entry(qtbot: QtBot) -> None:
    legend = Legend()
    qtbot.addWidget(legend)
    picture = pixels(legend.grab().toImage())
    assert not (picture == picture[0, 0]).all()
    assert len({entry.kind for entry in ENTRIES}) == len(ENTRIES)
