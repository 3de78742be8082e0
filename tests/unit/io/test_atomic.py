import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecgstudio.errors import OutputError
from ecgstudio.io import atomic
from ecgstudio.io.atomic import file_group, write_bytes, write_text


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the data of every file end in ENOSPC, as a full disk does at the latest when it is flushed."""

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", no_space)


def fail_to_replace(monkeypatch: pytest.MonkeyPatch, *, call: int) -> None:
    """Let one os.replace fail, as it does on Windows for a file that is open elsewhere."""
    replace, calls = os.replace, []

    def replace_or_fail(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == call:
            raise PermissionError(errno.EACCES, "open elsewhere")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", replace_or_fail)


def test_a_file_is_written_and_its_folder_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "folder" / "a.bin", b"1")
    assert contents(tmp_path / "new" / "folder") == {"a.bin": b"1"}


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "ä\nb\r\n")
    assert contents(tmp_path) == {"a.txt": "ä\nb\r\n".encode()}


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"a long old content")
    write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"new"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_bytes(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "usual").chmod(0o640)
    write_bytes(tmp_path / "usual", b"1")
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputError, match="the disk is full"):
        write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root and Windows write everywhere")
def test_a_folder_we_may_not_write_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not allowed"):
        write_bytes(tmp_path / "a", b"new")
    tmp_path.chmod(0o700)
    assert contents(tmp_path) == {}


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputError, match="its folder is a file"):
        write_bytes(tmp_path / "a" / "b", b"new")


def test_a_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="folder of that name"):
        write_bytes(tmp_path / "a", b"new")


def test_a_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too long"):
        write_bytes(tmp_path / ("x" * 300), b"new")
    assert contents(tmp_path) == {}


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not valid"):
        write_bytes(tmp_path / "a\0b", b"new")


def write_group(folder: Path, names: str, *, then: type[BaseException] | None = None) -> None:
    with file_group() as group:
        for name in names:
            group.add(folder / name, b"new")
        if then is not None:
            raise then


def test_a_group_appears_together(tmp_path: Path) -> None:
    with file_group() as group:
        group.add(tmp_path / "a", b"1")
        group.add(tmp_path / "b", b"2")
        assert not (tmp_path / "a").exists()
    assert contents(tmp_path) == {"a": b"1", "b": b"2"}


def test_a_group_whose_maker_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_group(tmp_path, "a", then=KeyboardInterrupt)
    assert contents(tmp_path) == {}


def test_a_group_of_which_one_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(OutputError, match="folder of that name"):
        write_group(tmp_path, "ab")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_group_of_which_one_cannot_be_named_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    (tmp_path / "b").write_bytes(b"old")
    fail_to_replace(monkeypatch, call=call)
    with pytest.raises(OutputError, match="not allowed"):
        write_group(tmp_path, "abc")
    assert contents(tmp_path) == {"b": b"old"}


def test_a_group_is_taken_back_without_hard_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(atomic.os, "link", no_links)
    fail_to_replace(monkeypatch, call=3)
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    with pytest.raises(OutputError, match="not allowed"):
        write_group(tmp_path, "abc")
    assert contents(tmp_path) == {"a": b"a", "b": b"b"}


KILLED = """
import os, signal, sys
from pathlib import Path
from ecgstudio.io import atomic
replace = os.replace
def replace_once(source, target):
    replace(source, target)
    os.kill(os.getpid(), signal.SIGKILL)
atomic.os.replace = replace_once
with atomic.file_group() as group:
    for name in "ab":
        group.add(Path(sys.argv[1]) / name, b"new")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_program_killed_between_two_names_leaves_whole_files_and_its_rest_is_removed(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"old")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert {name: content for name, content in contents(tmp_path).items() if name in "ab"} == {"a": b"new", "b": b"old"}
    left = [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]
    assert left
    for path in left:
        os.utime(path, (0, time.time() - 3600))
    write_bytes(tmp_path / "c", b"1")
    assert contents(tmp_path) == {"a": b"new", "b": b"old", "c": b"1"}


def test_the_temporary_files_of_programs_that_run_or_are_unknown_stay(tmp_path: Path) -> None:
    with file_group() as group:
        group.add(tmp_path / "a", b"1")
        [mine] = tmp_path.iterdir()
        _, host, number, started, token = mine.name.split("-")
        names = [
            mine.name,
            f".ecgstudio-{host}-{number}-{started}-{token}x.tmp",
            f".ecgstudio-otherhos-{number}-deadbeef-{token}.tmp",
            f".ecgstudio-{token}",
            ".ecgstudio-note.tmp",
        ]
        for name in names:
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (0, time.time() - 3600))
        (tmp_path / f".ecgstudio-{host}-{number}-deadbeef-{token}.tmp").touch()  # dead, but from just now
        before = len(list(tmp_path.iterdir()))
        write_bytes(tmp_path / "b", b"1")
        assert len(list(tmp_path.iterdir())) == before + 1
