"""A project of 500 pages opens at once, and reads only what can be seen."""

import time
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from ecgstudio.core.page import PageId
from ecgstudio.gui import page_store
from ecgstudio.session import PageEntry, Session
from tests import fake_stages
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
    project: Path, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stages.install(monkeypatch)
    asked: list[PageEntry] = []
    load = page_store.load_thumbnail

    def counted(entry: PageEntry, status: object) -> object:
        asked.append(entry)
        return load(entry, status)  # type: ignore[arg-type]

    monkeypatch.setattr(page_store, "load_thumbnail", counted)
    bench = Bench(qtbot, tmp_path)
    start_s = time.perf_counter()
    bench.window.files.open_project(project)
    qtbot.waitUntil(lambda: bench.window.page_list.isVisible() and bool(bench.window.page_list.visible_pages()))
    assert time.perf_counter() - start_s < OPENS_WITHIN_S
    qtbot.waitUntil(lambda: bool(asked))
    bench.settle()
    visible = len(bench.window.page_list.visible_pages())
    assert len(bench.window.page_model.pages) == PAGES
    assert 0 < len(asked) <= visible + 1 < 30
    last = bench.window.page_model.pages[-1]
    bar = bench.window.page_list.verticalScrollBar()
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: any(entry.id == last for entry in asked))
    bench.settle()
    assert len(asked) <= 2 * (visible + 2)
