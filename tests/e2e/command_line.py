"""The command line for tests: run in this process, on pages and projects that are made for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecgstudio import cli
from ecgstudio.core.corrections import Corrections, GridEdit, TraceDelete, TraceEdit, TraceErase, TraceRelabel
from ecgstudio.io.scans import page_entries
from ecgstudio.session import Session
from tests.fake_classifier import FakeClassifier

Run = Callable[..., tuple[int, str, str]]

NO_MOVES = np.empty((0, 2, 2))
ERASE = TraceErase((20.0, 50.0), (40.0, 50.0))
CORRECTED = Corrections(
    grid=GridEdit(np.array([[[10.0, 10.0], [11.0, 10.5]]]), mm_per_mV=5.0),
    traces=TraceEdit((ERASE, TraceRelabel((300.0, 50.0), "V6"), TraceDelete((300.0, 110.0)))),
    scale_answer=True,
    comment="faint",
)


def in_process(capsys: pytest.CaptureFixture[str]) -> Run:
    """Make a function that runs the command line and returns exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def draw(path: Path, *, shade: int = 255, blank: bool = False, pages: int = 1) -> Path:
    """Write a small picture on which fake stages find a 3x4 page, unless it is blank."""
    pixels = np.full((200, 560, 3), shade, np.uint8)
    if not blank:
        pixels[100:103] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.fromarray(pixels - i) for i in range(pages)]
    frames[0].save(path, save_all=True, append_images=frames[1:]) if pages > 1 else frames[0].save(path)
    return path


def project(path: Path, *scans: tuple[Path, Corrections]) -> Path:
    """Save a project of these scans, corrected so."""
    session = Session.new(user="Ada")
    for file, corrections in scans:
        [entry] = page_entries(file)
        session.add_pages([entry])
        session.set_corrections(entry.id, corrections, text="corrected")
    session.save(path)
    return path


def files(folder: Path) -> list[str]:
    """Name all that lies in a folder and below it."""
    return sorted(path.name for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@dataclass(frozen=True)
class Classifying(FakeClassifier):
    """A runtime for fake stages whose answers one can foresee."""

    weights_hash: str = "no weights"
    device: str = "cpu"
