# ruff: noqa: T201  it prints what it measures
"""How many frames a second panning and zooming gives: `QT_QPA_PLATFORM=offscreen python -m tests.gui.bench_page_view`.

A page of 24 megapixels fills a view of 1440 x 900 with all overlays: grid, nodes, names, thirteen traces with their
doubts and gaps, and unexplained ink. Printed are frames a second by the clock, the slowest frame, and the processor
time of a frame, which says what a machine that does nothing else gives: 1000 / processor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from PySide6.QtWidgets import QApplication

from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.core.page import Page, PageId
from ecgstudio.gui.page_view import PageView, Tool

WIDTH, HEIGHT = 6000, 4000
PX_PER_MM = 20.0
VIEW = (1440, 900)
FRAMES = 60


def big_page() -> Page:
    """Draw a page of 24 megapixels: grid and grain, so that nothing compresses away."""
    pixels = np.random.default_rng(0).integers(225, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:: round(5 * PX_PER_MM)] = (235, 110, 110)
    pixels[:, :: round(5 * PX_PER_MM)] = (235, 110, 110)
    return Page(PageId("b" * 64, 0), pixels, 508.0, "bench.png")


def overlays() -> tuple[Keypoints, GridFit, DigitizedEcg]:
    """Make a bent grid of the whole page, thirteen traces at 500 Hz and their names."""
    rows, columns = int(HEIGHT / PX_PER_MM / 5) + 2, int(WIDTH / PX_PER_MM / 5) + 2
    x, y = np.meshgrid(np.arange(columns) * 5.0, np.arange(rows) * 5.0)
    bend = 6 * np.sin(y / 40)
    grid = GridFit(np.stack([x * PX_PER_MM + bend, y * PX_PER_MM + 5 * np.sin(x / 60)], axis=-1), _SCALE, 0.9)
    layout, rng = LAYOUTS["3x4+1"], np.random.default_rng(1)
    traces, names, places = [], [], []
    for row, leads in enumerate(layout.all_rows):
        for column, lead in enumerate(leads):
            n = 5000 if len(leads) == 1 else 1250
            x_mm = 20 + column * 62.5 + np.arange(n) / 500 * 25
            mv = 0.05 * rng.normal(size=n) + (np.arange(n) % 400 < 20) * 1.2
            mv[n // 2 : n // 2 + 60] = np.nan
            y_mm = 50 + 36 * row - 10 * np.nan_to_num(mv)
            confidence = np.where(np.arange(n) % 500 < 60, 0.3, 0.95).astype(np.float32)
            traces.append(
                LeadTrace(
                    lead,
                    column * 2.5,
                    500.0,
                    mv.astype(np.float32),
                    grid.to_page(np.stack([x_mm, y_mm], 1)),
                    confidence,
                )
            )
            names.append(lead)
            places.append((x_mm[0] * PX_PER_MM, (36 + 36 * row) * PX_PER_MM))
    keypoints = Keypoints(tuple(names), np.array(places), np.full(len(names), 0.9), 0, 1.0, PX_PER_MM, 0.01, False)
    return keypoints, grid, DigitizedEcg(tuple(traces), "3x4+1")


_SCALE = PaperScale(25.0, 10.0, "bench")


def report(what: str, view: PageView, step: Callable[[int], None]) -> None:
    """Print a row of the table."""
    taken, cpu = [], time.process_time()
    for frame in range(FRAMES):
        start = time.perf_counter()
        step(frame)
        view.repaint()
        taken.append(time.perf_counter() - start)
    cpu_ms = 1000 * (time.process_time() - cpu) / FRAMES
    rate = FRAMES / sum(taken)
    print(f"{what:<20}{rate:>9.0f}{1000 * max(taken):>11.0f} ms{cpu_ms:>10.1f} ms")


def main() -> None:
    """Measure and print."""
    app = QApplication.instance() or QApplication(sys.argv[:1])
    page, (keypoints, grid, traces) = big_page(), overlays()
    view = PageView()
    view.resize(*VIEW)
    view.show()
    app.processEvents()  # repaint() paints only what has been exposed
    view.set_page(page)
    view.repaint()
    view.set_keypoints(keypoints, None)
    view.set_grid(grid, None)
    view.set_traces(traces, None)
    view.set_residual(np.random.default_rng(2).random((HEIGHT // 4, WIDTH // 4)) > 0.999)
    view.set_tool(Tool.NODE)

    def pan(frame: int) -> None:
        view.set_camera(view.camera.panned((7 * (-1) ** (frame // 15), 3)))

    def zoom(frame: int) -> None:
        view.set_camera(view.camera.zoomed(1.12 if frame < FRAMES / 2 else 1 / 1.12, at=(500, 400)))

    print(f"{'':<20}{'frames/s':>9}{'slowest':>14}{'processor':>13}")
    for name, times in (("whole page", 1.0), ("near", 4.0), ("nearer", 12.0)):
        view.fit()
        view.zoom_by(times)
        view.repaint()
        report(f"pan, {name}", view, pan)
    view.fit()
    report("zoom through", view, zoom)
    view.fit()
    report("hover", view, lambda _: view.update())


if __name__ == "__main__":
    main()
