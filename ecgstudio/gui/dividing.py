"""A picture of several ECGs becomes pages, each written as a file of its own: a pure function for a thread of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page
from ecgstudio.errors import InputError
from ecgstudio.gui.jobs import JobStatus
from ecgstudio.gui.loading import Found, find_pages, load_page
from ecgstudio.io.images import part_stems
from ecgstudio.io.parts import write_parts
from ecgstudio.session import PageEntry
from ecgstudio.stages.contract import Runtime
from ecgstudio.stages.several_sheets import separate


@dataclass(frozen=True, slots=True, eq=False)
class DivideRequest:
    """All that dividing needs; `page` is None if its pixels are still to be read, `taken` names the other pages."""

    entry: PageEntry
    page: Page | None
    keypoints: Keypoints
    folder: Path
    taken: frozenset[str]


def divide(request: DivideRequest, runtime: Runtime, status: JobStatus) -> Found:
    """Write each ECG of a picture as a PNG file and return these as pages.

    Raises:
        UserError: the picture cannot be read or shows one ECG, or a file cannot be written; then none was.
    """
    page = request.page or load_page(request.entry, status)
    parts = separate(page, request.keypoints, runtime=runtime, status=status)
    if len(parts) < 2:
        raise InputError(f"{request.entry.name} shows one ECG as far as its lead names tell.")
    stems = part_stems(request.entry.name, len(parts), taken=request.taken)
    return find_pages(tuple(write_parts(parts, stems, request.folder)), status)
