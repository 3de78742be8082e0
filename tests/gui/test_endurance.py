"""The whole window for long: 500 jobs and 5,000 signals in one process, and the guards against leaks see leaks."""

from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from ecgstudio.gui.jobs import Job, JobKey, JobRunner
from ecgstudio.session import Change, ChangeKind
from tests.gui.conftest import pooled_threads, running_timers
from tests.gui.workstation import PATIENCE_MS, Bench, write_page

JOBS, SIGNALS, PAGES = 500, 5000, 4


def test_the_window_survives_500_jobs_and_5000_signals(bench: Bench, tmp_path: Path, qtbot: QtBot) -> None:
    ended: list[JobKey] = []
    bench.open(*(write_page(tmp_path / f"{number}.png", seed=number) for number in range(PAGES)))
    bridge, window = bench.window.bridge, bench.window
    window.runner.ended.connect(ended.append)
    pages = [entry.id for entry in bridge.session.entries]
    for number in range(JOBS):
        if number % 10 == 0:
            bridge.show(pages[number // 10 % PAGES])
        bridge.compute_again()
        for _ in range(SIGNALS // JOBS):
            bridge.changed.emit(Change(ChangeKind.ANALYSIS, pages[number % PAGES]))
        if number % 5 == 0:
            QApplication.processEvents()
        if number % 50 == 0:  # most are overtaken by the next; some are answered in full
            qtbot.waitUntil(lambda: not window.runner.waiting, timeout=PATIENCE_MS)
    bench.settle()
    assert len(ended) >= JOBS / 50
    for page in pages:
        bridge.show(page)
        bench.settle()
        assert bridge.values.traces is not None
        assert window.page_view.shown.traces is bridge.values.traces


def test_a_thread_that_is_left_behind_would_be_seen(qtbot: QtBot) -> None:
    before = pooled_threads()
    runner = JobRunner()
    with qtbot.waitSignal(runner.ended):
        runner.submit(Job(JobKey("leak"), lambda status: None, lambda _: None, pytest.fail))
    seen = pooled_threads()
    runner.close()
    runner.deleteLater()
    assert seen > before or not Path("/proc/self/task").is_dir()


def test_a_timer_that_nobody_owns_would_be_seen(qtbot: QtBot) -> None:
    assert not running_timers()
    timer = QTimer()
    timer.setObjectName("leak")
    timer.start(1000)
    assert running_timers() == ["QTimer 'leak'"]
    timer.stop()
