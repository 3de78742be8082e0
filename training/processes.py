"""Share tasks out to processes, each of which loads once what all tasks need; it knows nothing of what they do."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from ecgstudio.errors import UserError

Task = TypeVar("Task")
Tools = TypeVar("Tools")
Answer = TypeVar("Answer")


def shared_out(
    tasks: Sequence[Task],
    work: Callable[[Task, Tools], Answer],
    *,
    tools: Tools,
    load: Callable[[], Tools],
    jobs: int,
) -> Generator[Answer, None, None]:
    """Yield `work(task, tools)` of all tasks in their order, each as soon as it and those before it are done.

    A single process uses `tools`; several get theirs by calling `load` once each, and share the cores. All but `tools`
    must be picklable. Where the caller stops early, what was not begun is dropped and what was begun is waited for.

    Raises:
        UserError: a process died.
    """
    jobs = min(jobs, len(tasks))
    if jobs <= 1:
        for task in tasks:
            yield work(task, tools)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")  # a forked torch hangs
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(work, load, threads))
    try:
        yield from pool.map(_work, tasks)
    except BrokenProcessPool as error:
        raise UserError("A worker process died; is there enough memory for --jobs?") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_here: tuple[Callable[[Any, Any], Any], Any] | None = None  # a pool has no other place for what a process keeps


def _start(work: Callable[[Task, Tools], Answer], load: Callable[[], Tools], threads: int) -> None:
    global _here
    torch.set_num_threads(min(threads, torch.get_num_threads()))  # it is loaded by now: the environment would not do
    _here = work, load()


def _work(task: Any) -> Any:  # noqa: ANN401 - of whatever kind the tasks are
    if _here is None:
        raise RuntimeError("this process was not started as a worker")
    work, tools = _here
    return work(task, tools)
