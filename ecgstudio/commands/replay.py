"""`ecgstudio replay`: rebuild a project's export from nothing but its scans, its corrections and the networks."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from ecgstudio.commands import export
from ecgstudio.commands.export import ExportRequest


def run(request: ExportRequest, *, out: TextIO, err: TextIO) -> bool:
    """Compute every page anew and write what `export` wrote: the same weights and program give the same bytes.

    Returns and raises as `export.run` does. Pages whose scan is missing or was replaced are named as failed.
    """
    return export.run(request, out=out, err=err, cache=None)


def default_folder(project: Path) -> Path:
    """Return the folder beside a project into which it is replayed if the user names none."""
    return project.absolute().parent / f"{project.stem or 'project'}-replay"
