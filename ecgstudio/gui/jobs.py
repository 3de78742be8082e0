"""Work behind the window: frozen requests answered by pure functions on a few thread pools, latest request first.

What the work is, and what is done with an answer, is said by those who submit it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar, cast

from PySide6.QtCore import QObject, QThreadPool, Signal

from ecgstudio.errors import UserError
from ecgstudio.stages.contract import Cancelled, Status

logger = logging.getLogger(__name__)

T = TypeVar("T")

PROGRESS_INTERVAL_S: Final = 0.05  # a worker that reports more often would only keep the window busy
WINDOW_FIRST_S: Final = 0.15
NO_PAGE: Final = ""


class Pool(StrEnum):
    """Which threads do the work: `disk` runs two jobs at a time, the others one; none waits for another.

    A page that is corrected does not wait until the one before is classified.
    """

    COMPUTE = "compute"
    DISK = "disk"
    SAVE = "save"
    CLASSIFY = "classify"


THREAD_NAME: Final = "job"  # how a debugger tells our threads from those with which Qt paints
THREADS: Final = {Pool.COMPUTE: 1, Pool.DISK: 2, Pool.SAVE: 1, Pool.CLASSIFY: 1}


@dataclass(frozen=True, slots=True)
class JobKey:
    """What an answer is for; of two jobs with one key only the later one is answered. `page` is a PageId as text."""

    purpose: str
    page: str = NO_PAGE


@dataclass(frozen=True, slots=True, eq=False)
class Job(Generic[T]):
    """A piece of work that has captured all it needs; `work` runs on a thread of `pool` and touches nothing.

    `done`, `failed` and `partial` are called in the thread of the window. `failed` gets a sentence for the user.
    """

    key: JobKey
    work: Callable[[JobStatus], T]
    done: Callable[[T], None]
    failed: Callable[[str], None]
    partial: Callable[[T], None] | None = None
    pool: Pool = Pool.COMPUTE
    urgent: bool = True


class JobStatus(Status):
    """What the work reports to, and where it learns that nobody wants its answer any more."""

    def __init__(self, ticket: int, post: Callable[[_Message], None]) -> None:
        self._ticket, self._post = ticket, post
        self._cancelled = threading.Event()
        self._last_s = 0.0

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Report progress. Raises Cancelled as soon as the answer is no longer wanted."""
        if self._cancelled.is_set():
            raise Cancelled
        now_s = time.monotonic()
        if now_s - self._last_s >= PROGRESS_INTERVAL_S:
            self._last_s = now_s
            self._post(_Message(self._ticket, "progress", (fraction, note)))

    def partial(self, value: object) -> None:
        """Hand over what is known already. Raises as checkpoint does."""
        self.checkpoint(0.0) if self._cancelled.is_set() else self._post(_Message(self._ticket, "partial", value))

    def let_window_go_first(self) -> None:
        """Wait a moment: what was handed over before is drawn sooner if nobody competes for Python. Raises as above."""
        self._cancelled.wait(WINDOW_FIRST_S)
        self.checkpoint(0.0)

    def cancel(self) -> None:
        """Let the next checkpoint raise."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether the answer is no longer wanted."""
        return self._cancelled.is_set()


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """What a worker says about the job with this ticket."""

    ticket: int
    kind: str
    value: object


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What a thread runs: plain Python that holds no QObject."""

    ticket: int
    work: Callable[[JobStatus], object]
    status: JobStatus
    post: Callable[[_Message], None]

    def __call__(self) -> None:
        self.post(_Message(self.ticket, *self._answer()))

    def _answer(self) -> tuple[str, object]:
        if self.status.cancelled:
            return "cancelled", None
        try:
            return "done", self.work(self.status)
        except Cancelled:
            return "cancelled", None
        except UserError as error:
            return "failed", str(error)
        except MemoryError:
            return "failed", "There is not enough memory for this; close other programs and try again."
        except Exception as error:
            logger.debug("a job failed", exc_info=True)
            return "failed", f"Something unexpected went wrong ({error or type(error).__name__}); please report it."


class JobRunner(QObject):
    """Runs jobs and delivers their answers in the window's thread, each at most once.

    A job that is replaced or cancelled is never heard of again, at once; its thread stops at its next checkpoint.
    """

    progressed = Signal(object, float, str)  # JobKey, fraction 0..1, note
    started = Signal(object)  # JobKey: submitted
    ended = Signal(object)  # JobKey: answered, failed or cancelled

    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pools = {pool: QThreadPool(self) for pool in Pool}
        for pool, threads in self._pools.items():
            threads.setMaxThreadCount(THREADS[pool])
            threads.setObjectName(f"{THREAD_NAME} {pool}")
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._jobs: dict[int, tuple[Job[object], JobStatus]] = {}
        self._tickets: dict[JobKey, int] = {}
        self._next_ticket = 0
        self._closed = False
        self._woken.connect(self._deliver)

    def submit(self, job: Job[T]) -> None:
        """Start a job as soon as a thread is free, in the place of one with the same key; nothing after close."""
        if self._closed:
            return
        self._forget(job.key)
        self._next_ticket += 1
        ticket = self._next_ticket
        status = JobStatus(ticket, self._post)
        self._jobs[ticket] = (job, status)  # type: ignore[assignment]
        self._tickets[job.key] = ticket
        self.started.emit(job.key)
        self._pools[job.pool].start(_Task(ticket, job.work, status, self._post), 1 if job.urgent else 0)

    def cancel(self, key: JobKey) -> bool:
        """Forget a job; return whether there was one."""
        if not self._forget(key):
            return False
        self.ended.emit(key)
        return True

    def cancel_where(self, wanted: Callable[[JobKey], bool]) -> None:
        """Forget every job whose key is so."""
        for key in [key for key in self._tickets if wanted(key)]:
            self.cancel(key)

    def is_running(self, key: JobKey) -> bool:
        """Tell whether an answer for this key is still to come."""
        return key in self._tickets

    @property
    def waiting(self) -> tuple[JobKey, ...]:
        """What is still to be answered, in the order of submission."""
        return tuple(self._tickets)

    def close(self) -> None:
        """Forget all jobs and wait until their threads have stopped; call it when the window is hidden."""
        self._closed = True
        for _, status in self._jobs.values():
            status.cancel()
        self._jobs.clear()
        self._tickets.clear()
        for pool in self._pools.values():
            pool.clear()
            pool.waitForDone()

    def _forget(self, key: JobKey) -> bool:
        ticket = self._tickets.pop(key, None)
        if ticket is None:
            return False
        _, status = self._jobs.pop(ticket)
        status.cancel()
        return True

    def _post(self, message: _Message) -> None:
        """Take a message from any thread."""
        self._messages.put(message)
        self._woken.emit()

    def _deliver(self) -> None:
        """Hand over what the threads have said, in the window's thread."""
        while True:
            try:
                message = self._messages.get_nowait()
            except queue.Empty:
                return
            if message.ticket in self._jobs:
                self._hear(message)

    def _hear(self, message: _Message) -> None:
        job, _ = self._jobs[message.ticket]
        if message.kind == "progress":
            self.progressed.emit(job.key, *cast("tuple[float, str]", message.value))
            return
        if message.kind == "partial":
            if job.partial is not None:
                job.partial(message.value)
            return
        del self._jobs[message.ticket], self._tickets[job.key]
        try:
            if message.kind == "done":
                job.done(message.value)
            elif message.kind == "failed":
                job.failed(str(message.value))
        finally:  # whoever counts jobs must not wait for one for ever
            self.ended.emit(job.key)
