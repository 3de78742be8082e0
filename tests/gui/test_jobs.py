"""The job runner: answers arrive once, the latest wins, cancelling is instant, and nothing crashes in the long run."""

import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from ecgstudio.errors import UserError
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus, Pool

KEY = JobKey("analysis", "page")


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.close()
    runner.deleteLater()


class Heard:
    """What came of jobs."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.failures: list[str] = []
        self.partial: list[object] = []

    def job(self, work: object, key: JobKey = KEY, **more: object) -> Job[object]:
        return Job(key, work, self.answers.append, self.failures.append, self.partial.append, **more)  # type: ignore[arg-type]


def test_an_answer_arrives_in_the_thread_of_the_window(runner: JobRunner, qtbot: QtBot) -> None:
    where: list[threading.Thread] = []
    job = Job(KEY, lambda status: 42, lambda value: where.append(threading.current_thread()), pytest.fail)
    with qtbot.waitSignal(runner.ended):
        runner.submit(job)
    assert where == [threading.main_thread()]


def test_of_two_requests_for_one_page_only_the_later_is_answered(runner: JobRunner, qtbot: QtBot) -> None:
    heard, go = Heard(), threading.Event()

    def slow(status: JobStatus) -> str:
        go.wait(5)
        return "old"

    runner.submit(heard.job(slow))
    runner.submit(heard.job(lambda status: "new"))
    go.set()
    qtbot.waitUntil(lambda: not runner.waiting)
    assert heard.answers == ["new"]


def test_other_pages_are_answered_too(runner: JobRunner, qtbot: QtBot) -> None:
    heard = Heard()
    for page in ("a", "b"):
        runner.submit(heard.job(lambda status, page=page: page, JobKey("analysis", page)))
    qtbot.waitUntil(lambda: len(heard.answers) == 2)
    assert sorted(heard.answers) == ["a", "b"]  # type: ignore[type-var]


def test_cancelling_is_instant_and_stops_the_work_at_its_next_checkpoint(runner: JobRunner, qtbot: QtBot) -> None:
    heard, inside, go, stopped = Heard(), threading.Event(), threading.Event(), threading.Event()

    def work(status: JobStatus) -> str:
        inside.set()
        go.wait(5)
        try:
            status.checkpoint(0.5)
        except BaseException:
            stopped.set()
            raise
        return "never"

    runner.submit(heard.job(work))
    assert inside.wait(5)
    assert runner.cancel(KEY)
    assert not runner.waiting
    go.set()
    assert stopped.wait(5)
    qtbot.wait(20)
    assert heard.answers == []


@pytest.mark.parametrize(
    ("error", "word"), [(UserError("The disk is full."), "disk"), (MemoryError(), "memory"), (KeyError("x"), "report")]
)
def test_a_failure_arrives_as_a_sentence(runner: JobRunner, qtbot: QtBot, error: Exception, word: str) -> None:
    heard = Heard()

    def work(status: JobStatus) -> None:
        raise error

    with qtbot.waitSignal(runner.ended):
        runner.submit(heard.job(work))
    assert word in heard.failures[0]


def test_progress_and_what_is_known_early_arrive_before_the_answer(runner: JobRunner, qtbot: QtBot) -> None:
    heard = Heard()

    def work(status: JobStatus) -> str:
        status.checkpoint(0.5, "grid")
        status.partial("half")
        return "whole"

    with qtbot.waitSignal(runner.progressed) as progress:
        runner.submit(heard.job(work))
    qtbot.waitUntil(lambda: not runner.waiting)
    assert progress.args == [KEY, 0.5, "grid"]
    assert (heard.partial, heard.answers) == (["half"], ["whole"])


def test_closing_during_work_ends_every_thread(qtbot: QtBot) -> None:
    runner, heard, inside = JobRunner(), Heard(), threading.Event()

    def work(status: JobStatus) -> None:
        inside.set()
        while True:
            status.checkpoint(0.0)

    for page in ("a", "b", "c"):
        runner.submit(heard.job(work, JobKey("analysis", page)))
    assert inside.wait(5)
    runner.close()
    runner.submit(heard.job(work))
    assert not runner.waiting
    runner.deleteLater()


class Emitter(QObject):
    flagged = Signal(bool, object)


def test_five_hundred_jobs_and_five_thousand_signals_do_no_harm(runner: JobRunner, qtbot: QtBot) -> None:
    heard, emitter, count = Heard(), Emitter(), [0]

    def hear(flag: bool, value: object) -> None:
        count[0] += 1

    emitter.flagged.connect(hear)

    def work(status: JobStatus) -> int:
        for step in range(4):
            status.checkpoint(step / 4, "step")
            status.partial(step)
        return 1

    for number in range(500):
        pool = Pool.DISK if number % 2 else Pool.COMPUTE
        runner.submit(heard.job(work, JobKey("many", str(number)), pool=pool))
        for _ in range(10):
            emitter.flagged.emit(True, number)
    qtbot.waitUntil(lambda: not runner.waiting, timeout=20_000)
    assert (sum(heard.answers), count[0]) == (500, 5000)  # type: ignore[arg-type]
    emitter.deleteLater()
