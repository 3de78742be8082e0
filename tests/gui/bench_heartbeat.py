"""How late the window is while a page is digitized: `QT_QPA_PLATFORM=offscreen python -m tests.gui.bench_heartbeat`.

A timer in the window's thread beats every 10 ms while the sample page is read with the bundled networks on the CPU.
"""

import sys
import tempfile
import time

import numpy as np
from PySide6.QtCore import QEventLoop, QSettings, Qt, QTimer

from ecgstudio.api import load_runtime
from ecgstudio.gui.app import make_application
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.paths import sample_folder

BEAT_MS = 10
ROUNDS = 3
WAIT = QEventLoop.ProcessEventsFlag.WaitForMoreEvents  # as the application's own loop does, without spinning


def main() -> None:
    """Print how many beats came late, and the latest of them."""
    app = make_application()
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, tempfile.mkdtemp())
    window = MainWindow(load_runtime=lambda device: load_runtime("cpu"))
    window.resize(1440, 900)
    window.show()
    window.start((sample_folder() / "page.png",))
    while window.runner.waiting or window.bridge.current is None:  # the first time builds the networks
        app.processEvents(WAIT)
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
    for _ in range(ROUNDS):
        window.bridge.compute_again()
        while window.runner.waiting:
            app.processEvents(WAIT)
    timer.stop()
    late = np.array(late_ms)
    sys.stdout.write(
        f"{len(late)} beats while {ROUNDS} pages were read: median {np.median(late):.0f} ms late, "
        f"99 % within {np.percentile(late, 99):.0f} ms, latest {late.max():.0f} ms, "
        f"{int((late > 100).sum())} later than 100 ms\n"
    )
    window.bridge.session.discard_autosave()
    window.runner.close()
    window.deleteLater()


if __name__ == "__main__":
    main()
