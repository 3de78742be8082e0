"""Which program wrote a file, and whether it still runs: its number alone may belong to another one by now."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_QUERY_LIMITED_INFORMATION: Final = 0x1000
_START_FIELD: Final = 19  # of /proc/<number>/stat, counted behind the program's name


@dataclass(frozen=True, slots=True)
class Process:
    """A running program: its number, when it was started (as its system says it), and on which computer."""

    number: int
    started: str
    host: str


def this_process() -> Process:
    """Return the program that asks."""
    return Process(os.getpid(), _started(os.getpid()) or "", platform.node())


def runs_elsewhere(process: Process | None) -> bool:
    """Tell whether this is another program than ours that is known to run on this computer."""
    if process is None or process.host != platform.node() or process.number == os.getpid():
        return False
    return bool(process.started) and _started(process.number) == process.started


def process_tag() -> str:
    """Return a word for the program that asks, fit for the name of a file."""
    return _tag(os.getpid())


def has_ended(tag: str) -> bool:
    """Tell whether a tag is that of a program of this computer that is known to run no more."""
    if tag == process_tag():
        return False
    host, _, rest = tag.partition("-")
    number = rest.partition("-")[0]
    if host != _digest(platform.node()) or not number.isdecimal():
        return False
    started = _started(int(number))
    return started is None or tag != f"{host}-{number}-{_digest(started)}"


@functools.cache
def _tag(number: int) -> str:
    return f"{_digest(platform.node())}-{number}-{_digest(_started(number) or '')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def process_to_json(process: Process) -> dict[str, object]:
    """Return a process as it stands in a file."""
    return asdict(process)


def process_from_json(value: object) -> Process | None:
    """Return the process that a file names; None if it names none as `process_to_json` does."""
    match value:
        case {"number": int(number), "started": str(started), "host": str(host)} if isinstance(value, Mapping):
            return Process(number, started, host)
    return None


def _started(number: int) -> str | None:
    """Say when a program was started, in words that no later program of that number has; None if it does not run."""
    try:
        if platform.system() == "Windows":
            return _started_windows(number)
        if platform.system() == "Linux":
            fields = Path(f"/proc/{number}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
            return f"{boot} {fields[_START_FIELD]}" if fields[0] not in "ZX" else None
        command = ["ps", "-o", "lstart=", "-p", str(number)]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
        return said.stdout.strip() or None
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


def _started_windows(number: int) -> str | None:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, number)
    if not handle:
        return None
    try:
        born, ended, system, user = (ctypes.c_ulonglong() for _ in range(4))
        known = kernel.GetProcessTimes(handle, *map(ctypes.byref, (born, ended, system, user)))
        return str(born.value) if known and not ended.value else None
    finally:
        kernel.CloseHandle(handle)
