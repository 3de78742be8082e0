"""Keep other programs of this computer from a file for a moment; a lock ends with the program that held it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ecgstudio.errors import OutputError

PATIENCE_S: Final = 5.0  # a lock is held for milliseconds
_ASK_EVERY_S: Final = 0.01

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold a file's lock for the length of the block; where the file system knows no locks, go on without one.

    The lock is the system's, on an empty file beside `path` that is removed afterwards. What a killed program leaves of
    it holds nobody up. Raises OutputError if another program does not let go of it.
    """
    lock = Path(os.path.realpath(path))
    lock = lock.with_name(f".{lock.name}.lock")
    until_s = time.monotonic() + patience_s
    while (descriptor := _open(lock)) is not None:
        try:
            _take(descriptor)
            if _is_there(lock, descriptor):
                break
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() > until_s:
                os.close(descriptor)
                raise OutputError(f"{path.name} is being saved by another program; try again.") from error
            time.sleep(_ASK_EVERY_S)
        except OSError:  # no locks here
            break
        os.close(descriptor)
    try:
        yield
    finally:
        if descriptor is not None:
            _remove(lock, descriptor)


def _open(lock: Path) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # the second for a file that another user has just made
        with contextlib.suppress(OSError):
            return os.open(lock, flags, 0o666)
    return None  # what keeps us from it is said when the file itself is written


def _remove(lock: Path, descriptor: int) -> None:
    """Remove the file while it is locked, or another program may lock it meanwhile; Windows removes no open file."""
    if sys.platform == "win32":
        os.close(descriptor)
    with contextlib.suppress(OSError):
        lock.unlink(missing_ok=True)
    if sys.platform != "win32":
        os.close(descriptor)


def _is_there(lock: Path, descriptor: int) -> bool:
    """Tell whether the file that is open is still the one of that name: whoever held the lock before removed theirs."""
    try:
        return os.path.samestat(os.stat(lock), os.fstat(descriptor))
    except OSError:
        return False
