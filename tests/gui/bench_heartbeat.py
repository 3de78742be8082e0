# ruff: noqa: T201  it prints what it measures
"""How late the window is while pages are digitized: `QT_QPA_PLATFORM=offscreen python -m tests.gui.bench_heartbeat`.

A timer in the window's thread beats every 10 ms while the bundled networks read, on the CPU, the sample page three
times and a photo of 24 megapixels once. Printed is by how many milliseconds the beats were late. The first row is the
same window with nothing to do: what is late there is the fault of whatever else the machine is doing.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEventLoop, QSettings, Qt, QTimer
from PySide6.QtWidgets import QApplication

from ecgstudio.api import load_runtime
from ecgstudio.gui.app import make_application
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.paths import sample_folder
from tests.gui.bench_opening import photo

BEAT_MS = 10
LATE_MS = 100
ROUNDS = 3
IDLE_S = 5.0
WAIT = QEventLoop.ProcessEventsFlag.WaitForMoreEvents  # as the application's own loop does, without spinning


def work_through(app: QApplication, window: MainWindow) -> None:
    """Let the window live until nothing is computed any more."""
    while window.runner.waiting or window.bridge.current is None:
        app.processEvents(WAIT)


def listen(what: str, window: MainWindow, work: Callable[[], None]) -> None:
    """Print how late the beats were during some work."""
    late_ms: list[float] = []
    last = time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        late_ms.append(1000 * (now - last) - BEAT_MS)
        last = now

    timer = QTimer(window)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat)
    timer.start(BEAT_MS)
    work()
    timer.stop()
    timer.deleteLater()
    late = np.array(late_ms)
    print(
        f"{what:<34}{len(late):>7}{np.median(late):>8.0f}{np.percentile(late, 99):>7.0f}{late.max():>8.0f}"
        f"{int((late > LATE_MS).sum()):>9}"
    )


def main() -> None:
    """Measure and print."""
    app = make_application()
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, tempfile.mkdtemp())
    window = MainWindow(load_runtime=lambda device: load_runtime("cpu"))
    window.resize(1440, 900)
    window.show()
    window.start((sample_folder() / "page.png",))
    work_through(app, window)  # the first time builds the networks

    def idle() -> None:
        until = time.perf_counter() + IDLE_S
        while time.perf_counter() < until:
            app.processEvents(WAIT)

    def read_again() -> None:
        for _ in range(ROUNDS):
            window.bridge.compute_again()
            work_through(app, window)

    print(f"{'ms late':<34}{'beats':>7}{'median':>8}{'99 %':>7}{'latest':>8}{f'> {LATE_MS}':>9}")
    listen("nothing is done", window, idle)
    listen(f"sample page read {ROUNDS} times", window, read_again)
    with tempfile.TemporaryDirectory() as folder:
        file = photo(Path(folder, "photo.jpg"))

        def read_photo() -> None:
            window.files.open_paths([file])
            work_through(app, window)

        listen("photo of 24 megapixels opened, read", window, read_photo)
    window.bridge.session.discard_autosave()
    window.runner.close()
    window.deleteLater()


if __name__ == "__main__":
    main()
