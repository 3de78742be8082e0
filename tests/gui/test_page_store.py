"""The store of pages: each is decoded once, seen as soon as can be, and listed by a picture that costs nothing more."""

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from ecgstudio.core.page import PageId
from ecgstudio.gui import page_store
from ecgstudio.gui.jobs import JobRunner
from ecgstudio.gui.loading import THUMBNAIL_PX, Loaded, Preview, load_picture, load_preview
from ecgstudio.gui.page_store import KEPT_PAGES, PageStore
from ecgstudio.io.scans import page_entries
from ecgstudio.session import PageEntry

SIZE = (1800, 1400)


class Shelf:
    """A store, and what it said."""

    def __init__(self) -> None:
        self.runner = JobRunner()
        self.store = PageStore(self.runner)
        self.thumbnails: dict[PageId, QImage] = {}
        self.loaded: list[PageId] = []
        self.previews: list[Preview] = []
        self.store.thumbnailLoaded.connect(self.thumbnails.__setitem__)
        self.store.loaded.connect(lambda page: self.loaded.append(page.id))
        self.store.previewed.connect(lambda _, preview: self.previews.append(preview))


@pytest.fixture
def shelf(qtbot: QtBot) -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.runner.close()
    shelf.store.deleteLater()
    shelf.runner.deleteLater()


def entry(folder: Path, name: str, *, seed: int = 0) -> PageEntry:
    pixels = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    pixels[:, :200] = (0, 0, 255)  # red at the left
    pixels[:10, :10] = seed
    assert cv2.imwrite(str(folder / name), pixels)
    return page_entries(folder / name)[0]


def test_a_page_that_is_being_read_brings_its_picture_for_the_list(
    shelf: Shelf, tmp_path: Path, thumbnails_read: list[PageId], qtbot: QtBot
) -> None:
    page = entry(tmp_path, "a.png")
    shelf.store.load(page)
    shelf.store.want_thumbnails([page])
    qtbot.waitUntil(lambda: not shelf.runner.waiting)
    assert shelf.loaded == [page.id]
    assert not thumbnails_read
    assert max(shelf.thumbnails[page.id].width(), shelf.thumbnails[page.id].height()) == THUMBNAIL_PX
    assert shelf.thumbnails[page.id].pixelColor(2, 60).name() == "#ff0000"


def test_the_picture_for_the_list_comes_too_if_another_page_is_shown_meanwhile(
    shelf: Shelf, tmp_path: Path, thumbnails_read: list[PageId], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = entry(tmp_path, "a.png"), entry(tmp_path, "b.png", seed=9)
    go = threading.Event()

    def slow(wanted: PageEntry, status: page_store.JobStatus) -> Loaded:
        assert go.wait(10)
        return load_picture(wanted, status)

    monkeypatch.setattr(page_store, "load_picture", slow)
    shelf.store.load(first)
    shelf.store.want_thumbnails([first])
    shelf.store.load(second)
    go.set()
    qtbot.waitUntil(lambda: not shelf.runner.waiting)
    assert shelf.loaded == [second.id]
    assert thumbnails_read == [first.id]
    assert first.id in shelf.thumbnails


def test_only_the_last_pages_stay_in_memory(shelf: Shelf, tmp_path: Path, qtbot: QtBot) -> None:
    pages = [entry(tmp_path, f"{seed}.png", seed=seed) for seed in range(KEPT_PAGES + 1)]
    for page in pages:
        shelf.store.load(page)
        qtbot.waitUntil(lambda: not shelf.runner.waiting)
    assert [shelf.store.get(page.id) is not None for page in pages] == [False] + [True] * KEPT_PAGES
    assert shelf.store.picture(pages[0].id) is None


@pytest.mark.parametrize(("name", "quick"), [("a.jpg", True), ("a.png", False)])
def test_a_preview_is_made_where_it_costs_less_than_the_page(
    shelf: Shelf, tmp_path: Path, qtbot: QtBot, name: str, quick: bool
) -> None:
    page = entry(tmp_path, name)
    with qtbot.waitSignal(shelf.store.loaded):
        shelf.store.load(page)
    preview = load_preview(page, page_store.JobStatus(0, lambda _: None))
    assert (preview is not None) == quick
    assert preview is None or preview.full_size == SIZE
