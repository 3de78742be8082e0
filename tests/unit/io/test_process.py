"""Programs that wrote a file: whether they still run, even if their number was given to another since."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ecgstudio.io.process import Process, process_from_json, process_to_json, runs_elsewhere, this_process

ANOTHER = """
import json
from ecgstudio.io.process import process_to_json, this_process
print(json.dumps(process_to_json(this_process())), flush=True)
input()
"""


@pytest.fixture
def another() -> Iterator[Process]:
    """Start another program that runs as long as the test."""
    command = [sys.executable, "-c", ANOTHER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        process = process_from_json(json.loads(program.stdout.readline()))
        assert process is not None
        yield process
        program.kill()


def test_another_program_runs_until_it_ends(another: Process) -> None:
    assert another.started
    assert runs_elsewhere(another)
    os.kill(another.number, 9)
    os.waitpid(another.number, 0)
    assert not runs_elsewhere(another)


def test_a_later_program_of_the_same_number_is_not_the_same(another: Process) -> None:
    assert not runs_elsewhere(replace(another, started="long ago"))


def test_of_programs_on_other_computers_nothing_is_known(another: Process) -> None:
    assert not runs_elsewhere(replace(another, host="elsewhere"))


def test_our_own_program_is_not_another() -> None:
    assert not runs_elsewhere(this_process())
    assert not runs_elsewhere(None)


@pytest.mark.parametrize("value", [None, 5, [], {"number": "5"}, {"number": 5, "started": None, "host": ""}])
def test_what_names_no_program_is_none(value: object) -> None:
    assert process_from_json(value) is None
    assert process_from_json(process_to_json(this_process())) == this_process()
