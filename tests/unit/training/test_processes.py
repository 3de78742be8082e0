"""Tasks that are shared out give the same answers as one after the other, and leave no process behind."""

from __future__ import annotations

import functools
import multiprocessing
import operator
import os

import pytest
import torch

from ecgstudio.errors import UserError
from training.processes import shared_out

# what the processes do is of the standard library: this file is none that they could import


@pytest.mark.parametrize("jobs", [1, 2])
def test_answers_come_in_the_order_of_the_tasks(jobs: int) -> None:
    answers = shared_out(range(20), operator.sub, tools=7, load=functools.partial(int, 7), jobs=jobs)
    assert list(answers) == list(range(-7, 13))


def test_one_process_does_each_task_when_its_answer_is_asked_for() -> None:
    done: list[int] = []
    answers = shared_out([1, 2, 3], lambda task, tools: tools.append(task), tools=done, load=list, jobs=1)
    next(answers)
    assert done == [1]


@pytest.mark.parametrize(("jobs", "tasks"), [(1, 2), (4, 1), (4, 0)])
def test_no_process_is_started_for_one_task_or_none(jobs: int, tasks: int) -> None:
    here = os.getpid()
    assert list(shared_out([os.getpid] * tasks, lambda f, _: f(), tools=0, load=int, jobs=jobs)) == [here] * tasks


def test_processes_load_their_own_tools_on_their_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert list(shared_out([0, 0], operator.add, tools=-1, load=torch.get_num_threads, jobs=2)) == [1, 1]


def test_a_process_that_dies_is_told_in_one_sentence() -> None:
    with pytest.raises(UserError, match="worker process died"):
        list(shared_out([abs, os._exit], operator.call, tools=3, load=functools.partial(int, 3), jobs=2))


def test_stopping_early_leaves_no_process_behind() -> None:
    answers = shared_out(range(500), operator.add, tools=0, load=int, jobs=2)
    assert next(answers) == 0
    assert len(multiprocessing.active_children()) == 2
    answers.close()
    assert not multiprocessing.active_children()
