"""The application: one QApplication with its names and its options, one window, and the loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

import pyqtgraph
from PySide6.QtCore import QCoreApplication, QSettings, QTimer
from PySide6.QtWidgets import QApplication

from ecgstudio import __version__
from ecgstudio.api import load_runtime
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.stages.contract import Runtime

SWITCH_S: Final = 0.0005
"""How long a worker may hold Python while the window waits for it: painting lets go of it and takes it back hundreds of
times, and each time it would wait the 5 ms that are the default."""


def run(paths: Sequence[Path]) -> int:
    """Open the workstation with these pages or projects; return the exit code when it is closed."""
    app = make_application()
    window = MainWindow(load_runtime=_load, cache=OutcomeCache())
    window.show()
    QTimer.singleShot(0, window, lambda: window.start(tuple(paths)))  # the window first, then the weights
    with hear_faults(window.warned.emit):
        code = app.exec()
    window.deleteLater()
    return code


@contextmanager
def hear_faults(say: Callable[[str], object]) -> Iterator[None]:
    """Let every fault that nobody caught be a sentence in the window, beside its traceback on the error stream."""
    before = sys.excepthook

    def hear(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        words = QCoreApplication.translate("app", "something unexpected went wrong (%s); your work is kept")
        say(words % (str(error) or kind.__name__))

    sys.excepthook = hear
    try:
        yield
    finally:
        sys.excepthook = before


def make_application() -> QApplication:
    """Return the one application, with names and options set."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    app.setOrganizationName("ECG Studio")
    app.setApplicationName("ECG Studio")
    app.setApplicationVersion(__version__)
    app.setStyle("Fusion")  # the same on every system, and it follows our palette
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    pyqtgraph.setConfigOption("imageAxisOrder", "row-major")
    sys.setswitchinterval(SWITCH_S)
    return app


def _load(device: str) -> Runtime:
    return load_runtime(device)
