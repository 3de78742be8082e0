"""Write files so that a reader, a crash or a full disk never sees half of one.

Every file goes to a temporary file beside its target, is flushed to the disk, and then takes the target's name. The
files of a group take their names one right after the other, and an error in between takes all of them back. Only a
program that is killed, or a computer that stops, within these milliseconds leaves some files of a group new and others
old, each of them whole. Temporary files that a killed program left are removed by the next one that writes there.
"""

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ecgstudio.errors import OutputError
from ecgstudio.io.process import has_ended, process_tag

_PREFIX, _SUFFIX = ".ecgstudio-", ".tmp"
_LEFT_BEHIND_S = 60.0  # no file is being written for so long; and whether a program still runs cannot always be told
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EFBIG: "the disk does not take a file of this size",
    errno.EACCES: "you are not allowed to write there",
    errno.EPERM: "you are not allowed to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOTDIR: "its folder is a file",
    errno.EEXIST: "its folder is a file",
    errno.EISDIR: "there is a folder of that name",
}


def write_bytes(
    path: str | os.PathLike[str], content: bytes, *, around: AbstractContextManager[None] | None = None
) -> None:
    """Write a file whole or not at all, over an existing one; its folder is made if missing.

    The file takes its name within the block of `around`, which may raise to prevent it. Raises OutputError if writing
    fails; an existing file is then as it was.
    """
    with file_group(around=around) as group:
        group.add(path, content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file as write_bytes does; line ends stay as they are."""
    write_bytes(path, text.encode("utf-8"))


class FileGroup:
    """Files that appear together or not at all; made by file_group."""

    def __init__(self) -> None:
        self._staged: list[tuple[Path, Path]] = []  # temporary file, target
        self._tidied: set[Path] = set()

    def add(self, path: str | os.PathLike[str], content: bytes) -> None:
        """Stage a file; it appears at the end of the group. Raises OutputError if it cannot be written."""
        with _named(Path(path)):
            target = Path(os.path.realpath(path))
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.parent not in self._tidied:
                self._tidied.add(target.parent)
                _remove_left_behind(target.parent)
            temporary = _temporary(target.parent)
            self._staged.append((temporary, target))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with open(temporary, "xb", opener=lambda name, _: os.open(name, flags, 0o666)) as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                shutil.copymode(target, temporary)

    def commit(self) -> None:
        """Give every staged file its name; on failure put back what was there before."""
        undo: list[Callable[[], None]] = []
        backups: list[Path] = []
        try:
            for temporary, target in self._staged:
                with _named(target):
                    if len(self._staged) > 1 and target.exists():
                        backup = _backup(target)
                        backups.append(backup)
                        undo.append(_Move(backup, target))
                        os.replace(temporary, target)
                    else:
                        os.replace(temporary, target)
                        undo.append(_Remove(target))
        except BaseException:
            for step in reversed(undo):
                with contextlib.suppress(OSError):
                    step()
            raise
        finally:
            _remove(backups)
        for folder in {target.parent for _, target in self._staged}:
            _sync_folder(folder)

    def discard(self) -> None:
        """Remove the temporary files that are left."""
        _remove([temporary for temporary, _ in self._staged])


@contextmanager
def file_group(*, around: AbstractContextManager[None] | None = None) -> Iterator[FileGroup]:
    """Write several files all or nothing: they appear when the block ends, and none if it raises.

    They take their names within the block of `around`, which may raise to prevent it. Raises OutputError if one of them
    cannot be written; files of those names from before are then as they were.
    """
    group = FileGroup()
    try:
        yield group
        with around or contextlib.nullcontext():
            group.commit()
    finally:
        group.discard()


class _Move:
    def __init__(self, source: Path, target: Path) -> None:
        self._source, self._target = source, target

    def __call__(self) -> None:
        os.replace(self._source, self._target)


class _Remove:
    def __init__(self, target: Path) -> None:
        self._target = target

    def __call__(self) -> None:
        self._target.unlink()


def _backup(target: Path) -> Path:
    """Keep the target's content under a second name, so that the target never vanishes in between."""
    backup = _temporary(target.parent)
    try:
        os.link(target, backup)
    except (OSError, NotImplementedError):  # a file system without hard links
        shutil.copy2(target, backup)
    return backup


def _temporary(folder: Path) -> Path:
    """Return a name that no other file has, and that says whose it is."""
    return folder / f"{_PREFIX}{process_tag()}-{secrets.token_hex(8)}{_SUFFIX}"


def _remove_left_behind(folder: Path) -> None:
    """Remove the temporary files of programs that were killed while they wrote into a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        ours = [entry for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)]
        old = [folder / entry.name for entry in ours if entry.stat().st_mtime < time.time() - _LEFT_BEHIND_S]
        _remove([path for path in old if has_ended(path.name.removeprefix(_PREFIX).rpartition("-")[0])])


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new names durable where the system can (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """Turn an OSError into a sentence that names the target."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or "of an unknown error")
        raise OutputError(f"{target} cannot be written: {reason}.") from error
    except ValueError as error:  # a NUL in the name
        raise OutputError("The name of the file is not valid.") from error
