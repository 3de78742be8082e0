"""The application: one QApplication with its names and its options, one window, and the loop."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pyqtgraph
from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

from ecgstudio import __version__
from ecgstudio.api import load_runtime
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.stages.contract import Runtime


def run(paths: Sequence[Path]) -> int:
    """Open the workstation with these pages or projects; return the exit code when it is closed."""
    app = make_application()
    window = MainWindow(load_runtime=_load, cache=OutcomeCache())
    window.show()
    QTimer.singleShot(0, window, lambda: window.start(tuple(paths)))  # the window first, then the weights
    code = app.exec()
    window.deleteLater()
    return code


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
    return app


def _load(device: str) -> Runtime:
    return load_runtime(device)
