"""What every test of the workstation gets: one application without a screen, its own settings, and nothing may leak."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported anywhere

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QSettings, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ecgstudio.core.page import PageId
from ecgstudio.gui import computing, page_store
from ecgstudio.gui.jobs import THREAD_NAME
from ecgstudio.stages import stage0_keypoints, stage1_grid, stage2_trace
from tests import fake_stages
from tests.gui.workstation import Bench, pages_given_to, write_page

NO_SCREEN = "This plugin does not support propagateSizeHints()"  # said of every window that is shown without a screen


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    return ["ecgstudio-tests"]


@pytest.fixture(scope="session", autouse=True)
def _opencv_threads() -> None:
    """Let OpenCV start its threads now: they bear the name of the thread that first needs them, and never end."""
    cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1000, 1000), interpolation=cv2.INTER_AREA)


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, qapp: QApplication) -> None:
    """Give every test an empty settings file of its own."""
    folder = tmp_path_factory.mktemp("settings")
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
        QSettings.setPath(QSettings.Format.IniFormat, scope, str(folder))
    QCoreApplication.setOrganizationName("ecgstudio-tests")
    QCoreApplication.setApplicationName("ecgstudio-tests")


@pytest.fixture(autouse=True)
def _no_qt_warnings(qapp: QApplication) -> Iterator[None]:
    """Fail a test during which Qt warns."""
    said: list[str] = []

    def hear(kind: QtMsgType, _context: object, text: str) -> None:
        if kind not in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg) and text != NO_SCREEN:
            said.append(text)

    before = qInstallMessageHandler(hear)
    yield
    qInstallMessageHandler(before)
    if said:
        pytest.fail("Qt warned: " + "; ".join(said))


def pooled_threads() -> int:
    """Count the threads of job runners in this process (0 where the system does not name them); Qt paints in others."""
    count = 0
    for task in Path("/proc/self/task").glob("*/comm"):
        try:
            count += task.read_text().startswith(f"{THREAD_NAME} ")
        except OSError:
            continue
    return count


def running_timers() -> list[str]:
    """Name the timers of Python's that still run without an owner that lives."""
    return [
        f"{type(each).__name__} {each.objectName()!r}"
        for each in gc.get_objects()
        if type(each) is QTimer and _alive(each) and each.isActive() and each.parent() is None
    ]


def _alive(each: QObject) -> bool:
    import shiboken6

    return shiboken6.isValid(each)


@pytest.fixture(autouse=True)
def _no_leaks(qapp: QApplication) -> Iterator[None]:
    """Fail a test that leaves a window, a timer or a thread behind."""
    before = {id(widget) for widget in QApplication.topLevelWidgets()}
    threads = pooled_threads()
    yield
    for _ in range(2):
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        qapp.processEvents()
    gc.collect()
    left = [repr(widget) for widget in QApplication.topLevelWidgets() if id(widget) not in before]
    assert not left, f"windows left open: {left}"
    assert not running_timers()
    assert pooled_threads() <= threads, "a thread of a pool is still there"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each stage computes."""
    counts: Counter[str] = Counter()

    def counting(name: str, stage: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            counts[name] += 1
            return stage(*arguments, **more)

        return call

    for module, name in (
        (stage0_keypoints, "detect_keypoints"),
        (stage1_grid, "fit_grid"),
        (stage2_trace, "read_traces"),
    ):
        monkeypatch.setattr(module, name, counting(name, getattr(module, name)))
    return counts


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[PageId]:
    """List the pages that are decoded to be computed."""
    return pages_given_to(monkeypatch, computing, "load_page")


@pytest.fixture
def thumbnails_read(monkeypatch: pytest.MonkeyPatch) -> list[PageId]:
    """List the pages that are read for their picture in the list alone."""
    return pages_given_to(monkeypatch, page_store, "load_thumbnail")


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Show a window that works on fake stages."""
    fake_stages.install(monkeypatch)
    return Bench(qtbot, tmp_path)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Write one page for fake stages."""
    return write_page(tmp_path / "scan.png")
