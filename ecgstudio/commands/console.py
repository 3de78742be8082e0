"""What a command shows while it works: progress and log messages, both on the error stream."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

ERASE_LINE = "\r\x1b[K"


@contextmanager
def logging_to(stream: TextIO, *, verbose: bool, debug: bool) -> Iterator[None]:
    """Show log messages: warnings, with `verbose` what is being done, with `debug` everything and tracebacks."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    ours, root = logging.getLogger("ecgstudio"), logging.getLogger()
    levels = ours.level, root.level
    ours.setLevel(logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING)
    root.setLevel(logging.WARNING if debug else logging.ERROR)  # other people's warnings mean nothing to a user
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        ours.setLevel(levels[0])
        root.setLevel(levels[1])


@dataclass(slots=True)
class Progress:
    """One line that is written over and over on a terminal; on anything else it stays silent."""

    stream: TextIO
    total: int
    done: int = 0

    def show(self, text: str) -> None:
        """Replace what stands on the line."""
        if self.stream.isatty():
            self.stream.write(f"{ERASE_LINE}[{self.done + 1}/{self.total}] {text}")
            self.stream.flush()

    def clear(self) -> None:
        """Leave the line empty, for output that stays."""
        if self.stream.isatty():
            self.stream.write(ERASE_LINE)
            self.stream.flush()


@dataclass(frozen=True, slots=True)
class PageStatus:
    """Shows how far one page is; never cancels, for Ctrl-C interrupts a command by itself."""

    progress: Progress
    name: str

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Show the fraction and the note."""
        self.progress.show(f"{self.name}: {note}  {fraction:.0%}" if note else f"{self.name}: {fraction:.0%}")
