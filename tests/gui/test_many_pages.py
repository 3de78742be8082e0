"""A project of 500 pages opens at once, and reads only what can be seen."""

import time
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from ecgstudio.core.page import PageId
from ecgstudio.session import PageEntry, Session
from tests.gui.workstation import Bench, write_page

PAGES = 500
OPENS_WITHIN_S = 2.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose pages share one file's name, each with another content."""
    scan = write_page(tmp_path / "scan.png")
    session = Session.new()
    entries = [PageEntry(PageId(f"{number:064x}", 0), scan, f"page-{number}") for number in range(PAGES)]
    session.add_pages(entries)
    session.save(tmp_path / "many.ecgproj")
    return tmp_path / "many.ecgproj"


def test_a_project_of_500_pages_opens_at_once_and_reads_only_what_is_visible(
    project: Path, bench: Bench, thumbnails_read: list[PageId], qtbot: QtBot
) -> None:
    start_s = time.perf_counter()
    bench.window.files.open_project(project)
    qtbot.waitUntil(lambda: bench.window.page_list.isVisible() and bool(bench.window.page_list.visible_pages()))
    assert time.perf_counter() - start_s < OPENS_WITHIN_S
    qtbot.waitUntil(lambda: bool(thumbnails_read))
    bench.settle()
    visible = len(bench.window.page_list.visible_pages())
    assert len(bench.window.page_model.pages) == PAGES
    assert 0 < len(thumbnails_read) <= visible + 1 < 30
    last = bench.window.page_model.pages[-1]
    bar = bench.window.page_list.verticalScrollBar()
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: last in thumbnails_read)
    bench.settle()
    assert len(thumbnails_read) <= 2 * (visible + 2)
