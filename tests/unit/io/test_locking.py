"""A lock keeps others out while it is held, ends with its program, and leaves no file."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ecgstudio.errors import OutputError
from ecgstudio.io import locking
from ecgstudio.io.locking import locked

HOLD = """
import sys
from pathlib import Path
from ecgstudio.io.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "a"):
        assert [path.name for path in tmp_path.iterdir()] == [".a.lock"]
    assert not list(tmp_path.iterdir())


def test_a_lock_of_another_program_ends_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "held\n"
        with (
            pytest.raises(OutputError, match="a is being saved by another program"),
            locked(tmp_path / "a", patience_s=0.05),
        ):
            pass
        program.kill()
    with locked(tmp_path / "a", patience_s=0.05):
        pass
    assert not list(tmp_path.iterdir())


def test_only_one_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    counts, inside = [], []

    def work() -> None:
        for _ in range(50):
            with locked(tmp_path / "a"):
                inside.append(1)
                counts.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 150
    assert not list(tmp_path.iterdir())


def test_a_folder_without_locks_keeps_nobody_from_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(_: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locking, "_take", none_here)
    with locked(tmp_path / "a"):
        pass
    with locked(tmp_path / "no such folder" / "a"):
        pass
    assert not list(tmp_path.iterdir())
