# ruff: noqa: T201  it prints what it measures
"""How soon what was opened is seen: `QT_QPA_PLATFORM=offscreen python -m tests.gui.bench_opening`.

A photo of 24 megapixels as JPEG and as PNG is opened in the whole window, and a project of 500 pages; printed are
seconds by the clock, and the processor's, which say what a machine that does nothing else would need. No page is
read by the networks: they have their own benchmark (`bench_heartbeat`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QEventLoop, QSettings
from PySide6.QtWidgets import QApplication

from ecgstudio.core.page import PageId
from ecgstudio.errors import UserError
from ecgstudio.gui import page_store
from ecgstudio.gui.app import make_application
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.paths import sample_folder
from ecgstudio.session import PageEntry, Session
from ecgstudio.stages.contract import Runtime
from tests.gui.workstation import pages_given_to

SIZE = (6000, 4000)
PAGES = 500
SCROLLS = 40
WAIT = QEventLoop.ProcessEventsFlag.WaitForMoreEvents  # as the application's own loop does, without spinning


def photo(path: Path) -> Path:
    """Write the sample page with 24 megapixels and the grain of a camera."""
    page = cv2.imread(str(sample_folder() / "page.png"))
    large = cv2.resize(page, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = np.random.default_rng(0).normal(0, 4, large.shape).astype(np.int16)
    assert cv2.imwrite(str(path), np.clip(large + grain, 0, 255).astype(np.uint8))
    return path


def no_networks(device: str) -> Runtime:
    """Let the window go without."""
    raise UserError("no networks in this benchmark")


def new_window(app: QApplication) -> MainWindow:
    """Show an empty window."""
    window = MainWindow(load_runtime=no_networks)
    window.resize(1440, 900)
    window.show()
    window.start()
    while window.runner.waiting:
        app.processEvents(WAIT)
    return window


def close(app: QApplication, window: MainWindow) -> None:
    """Close a window without asking."""
    window.bridge.session.discard_autosave()
    window.runner.close()
    window.deleteLater()
    app.processEvents()


def report(what: str, start: tuple[float, float]) -> None:
    """Print a row of the table."""
    print(f"{what:<44}{time.perf_counter() - start[0]:>8.2f} s{time.process_time() - start[1]:>8.2f} s")


def now() -> tuple[float, float]:
    """Return the clock and the processor time."""
    return time.perf_counter(), time.process_time()


def open_photo(app: QApplication, path: Path) -> None:
    """Print when a photo is first seen, and when it is sharp."""
    window = new_window(app)
    start = now()
    window.files.open_paths([path])

    def wait_for(seen: Callable[[], bool]) -> None:
        while not seen():
            app.processEvents(WAIT)
        window.page_view.repaint()

    wait_for(lambda: window.page_view.shown.picture is not None)
    report(f"24-megapixel {path.suffix[1:].upper()}: first paint", start)
    wait_for(lambda: window.bridge.page is not None)
    report(f"24-megapixel {path.suffix[1:].upper()}: sharp", start)
    close(app, window)


def many_pages(app: QApplication, folder: Path) -> None:
    """Print how long a project of 500 pages takes to open, and how many of its pages are read while one scrolls."""
    scan = folder / "scan.png"
    assert cv2.imwrite(str(scan), cv2.imread(str(sample_folder() / "page.png")))
    session = Session.new()
    session.add_pages(PageEntry(PageId(f"{number:064x}", 0), scan, f"page-{number}") for number in range(PAGES))
    session.save(folder / "many.ecgproj")
    patch = pytest.MonkeyPatch()
    asked = pages_given_to(patch, page_store, "load_thumbnail")
    window = new_window(app)
    start = now()
    window.files.open_project(folder / "many.ecgproj")
    while not window.page_list.visible_pages():
        app.processEvents(WAIT)
    window.repaint()
    report(f"project of {PAGES} pages: open", start)
    while window.runner.waiting:
        app.processEvents(WAIT)
    bar, start, slowest_s = window.page_list.verticalScrollBar(), now(), 0.0
    for step in range(SCROLLS):
        begun = time.perf_counter()
        bar.setValue(round(bar.maximum() * (step + 1) / SCROLLS))
        window.page_list.viewport().repaint()
        app.processEvents()
        slowest_s = max(slowest_s, time.perf_counter() - begun)
    report(f"scrolled to its end in {SCROLLS} steps", start)
    while window.runner.waiting:
        app.processEvents(WAIT)
    rows = len(window.page_list.visible_pages())
    print(f"slowest step {1000 * slowest_s:.0f} ms; {len(asked)} of {PAGES} pages were read, {rows} fit into the view")
    close(app, window)
    patch.undo()


def main() -> None:
    """Measure and print."""
    app = make_application()
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, tempfile.mkdtemp())
    print(f"{'':<44}{'clock':>10}{'processor':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".jpg", ".png"):
            open_photo(app, photo(Path(folder, f"photo{suffix}")))
        many_pages(app, Path(folder))


if __name__ == "__main__":
    main()
