"""A small upright page with everything found on it, and pointers, for tests of gestures."""

from __future__ import annotations

import numpy as np
from pytestqt.qtbot import QtBot

from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, PageId
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.gestures import Pointer, Scene
from ecgstudio.gui.page_view import PageView

PX_PER_MM = 4.0
SIZE = (800, 480)  # 200 x 120 mm
SCALE = PaperScale(25.0, 10.0, "test")
FS = 100.0


def page() -> Page:
    """White paper with red lines every 5 mm, one pixel off the grid that was found, and black traces."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    pixels[1 :: round(5 * PX_PER_MM)] = (240, 120, 120)
    pixels[:, 1 :: round(5 * PX_PER_MM)] = (240, 120, 120)
    for trace in traces().traces:
        for x, y in np.round(trace.xy).astype(int):
            pixels[y - 1 : y + 2, x] = 0
    return Page(PageId("a" * 64, 0), pixels, None, "gestures.png")


def keypoints() -> Keypoints:
    """Four names and a pulse on an upright page."""
    xy = np.array([[100, 80], [420, 80], [100, 260], [420, 260], [40, 120]], np.float64)
    return Keypoints(("I", "V1", "II", "V2", "pulse"), xy, np.full(5, 0.8), 0, 0.9, PX_PER_MM, 0.0, False)


def grid() -> GridFit:
    """An even lattice over the whole page."""
    x, y = np.meshgrid(np.arange(41) * 20.0, np.arange(25) * 20.0)
    return GridFit(np.stack([x, y], axis=-1), SCALE, 0.9)


def trace(lead: str, *, x_px: float, y_px: float, t0_s: float, missing: slice = slice(0, 0)) -> LeadTrace:
    """Three seconds (75 mm, 300 px) with one tall beat a second."""
    n = round(3 * FS)
    mv = np.where(np.arange(n) % 100 == 50, 1.0, 0.0).astype(np.float32)
    x = x_px + np.arange(n) / FS * 25 * PX_PER_MM
    y = y_px - 10 * PX_PER_MM * mv
    mv[missing] = np.nan
    return LeadTrace(
        lead, t0_s, FS, mv, np.stack([x, np.where(np.isnan(mv), y_px, y)], axis=1), np.full(n, 0.9, np.float32)
    )


def traces() -> DigitizedEcg:
    """Two rows of two leads."""
    return DigitizedEcg(
        (
            trace("I", x_px=80, y_px=140, t0_s=0.0),
            trace("V1", x_px=400, y_px=140, t0_s=3.2),
            trace("II", x_px=80, y_px=320, t0_s=0.0),
            trace("V2", x_px=400, y_px=320, t0_s=3.2, missing=slice(100, 200)),
        ),
        "2x2",
    )


def page_view(qtbot: QtBot) -> PageView:
    """Make a view as large as the page, which it shows at zoom 1 with everything found on it."""
    view = PageView()
    qtbot.addWidget(view)
    view.resize(*SIZE)
    view.set_page(page())
    view.set_keypoints(keypoints(), None)
    view.set_grid(grid(), None)
    view.set_traces(traces(), None)
    view.go_to((SIZE[0] / 2, SIZE[1] / 2), zoom=1.0)
    return view


def scene(**changes: object) -> Scene:
    """Everything at zoom 1 in a view as large as the page."""
    values: dict[str, object] = {
        "camera": Camera(SIZE, (SIZE[0] / 2, SIZE[1] / 2), 1.0),
        "keypoints": keypoints(),
        "grid": grid(),
        "traces": traces(),
        "snap": False,
    }
    return Scene(SIZE, **(values | changes))  # type: ignore[arg-type]


def at(x: float, y: float, **keys: bool) -> Pointer:
    """A pointer at a place of the page, which at zoom 1 is one of the screen."""
    return Pointer((x, y), (x, y), **keys)


class Answers:
    """Answers questions as a user would; remembers what was asked."""

    def __init__(self, *, mm: tuple[float | None, ...] = (), name: str | None = None) -> None:
        self.lengths, self.answer = list(mm), name
        self.asked: list[tuple[str, object]] = []

    def length_mm(self, question: str, suggestion: float) -> float | None:
        """Give the next length."""
        self.asked.append((question, suggestion))
        return self.lengths.pop(0)

    def name(self, question: str, current: str, names: tuple[str, ...]) -> str | None:
        """Give the name."""
        self.asked.append((question, names))
        return self.answer
