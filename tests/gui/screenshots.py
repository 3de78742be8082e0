"""Pictures of the workstation: `QT_QPA_PLATFORM=offscreen python -m tests.gui.screenshots FOLDER [WIDTHxHEIGHT]`.

The sample page is read with the bundled networks, and the window is drawn at every step, light and dark.
"""

import sys
import tempfile
from pathlib import Path

from PySide6.QtCore import QEventLoop, QSettings, QTimer

from ecgstudio.api import load_runtime
from ecgstudio.gui.app import make_application
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.gui.states import STEP_NAMES
from ecgstudio.paths import sample_folder

SETTLE_MS = 300


def pause(milliseconds: int) -> None:
    """Let the window live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop, loop.quit)
    loop.exec()


def main(folder: Path, size: str = "1440x900") -> None:
    """Write one PNG per step and theme."""
    app = make_application()
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    window = MainWindow(load_runtime=lambda device: load_runtime("cpu"))
    window.preferences.set("view/theme", "light")
    window.resize(*(int(side) for side in size.split("x")))
    window.show()
    pause(SETTLE_MS)
    window.grab().save(str(folder / f"welcome-{size}.png"))
    window.start((sample_folder() / "page.png",))
    while window.runner.waiting:
        app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    for theme in ("light", "dark"):
        window.preferences.set("view/theme", theme)
        for step, name in STEP_NAMES.items():
            window.desk.set_step(step)
            window.page_view.fit()
            pause(SETTLE_MS)
            window.grab().save(str(folder / f"{name.lower()}-{theme}-{size}.png"))
    window.bridge.session.discard_autosave()
    window.runner.close()
    window.deleteLater()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
