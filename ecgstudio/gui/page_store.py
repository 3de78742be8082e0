"""The pixels of pages: the last few in memory, others read behind the window; small pictures for list and preview."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from ecgstudio.core.page import Page, PageId
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus, Pool
from ecgstudio.gui.loading import Loaded, Preview, load_picture, load_preview, load_thumbnail
from ecgstudio.gui.page_picture import PagePicture
from ecgstudio.session import PageEntry

KEPT_PAGES: Final = 3  # a page of 24 megapixels takes 72 MB, and what it is shown from 32 MB more
PAGE, PREVIEW, THUMBNAIL = "page", "preview", "thumbnail"


class PageStore(QObject):
    """Reads pages and keeps a few of them."""

    loaded = Signal(object)  # Page
    previewed = Signal(object, object)  # PageId, Preview: a small picture, while the page is still being read
    lost = Signal(object, str)  # PageId, a sentence: why it cannot be read
    thumbnailLoaded = Signal(object, object)  # PageId, QImage

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._pages: OrderedDict[PageId, Loaded] = OrderedDict()
        self._unreadable: set[PageId] = set()
        self._on_the_way: dict[PageId, PageEntry] = {}  # pages whose thumbnails come with them

    def get(self, page: PageId) -> Page | None:
        """Return a page that is in memory; it stays there longest."""
        if page in self._pages:
            self._pages.move_to_end(page)
        return self._pages[page].page if page in self._pages else None

    def picture(self, page: PageId) -> PagePicture | None:
        """Return a page that is in memory, ready to be looked at."""
        return self._pages[page].picture if page in self._pages else None

    def is_unreadable(self, page: PageId) -> bool:
        """Tell whether a page's scan could not be read."""
        return page in self._unreadable

    def forget(self, page: PageId) -> None:
        """Drop a page, and that it could not be read."""
        self._pages.pop(page, None)
        self._unreadable.discard(page)

    def clear(self) -> None:
        """Drop everything: another project is open."""
        self._runner.cancel_where(lambda key: key.purpose in (PAGE, PREVIEW, THUMBNAIL))
        self._pages.clear()
        self._unreadable.clear()
        self._on_the_way.clear()

    def load(self, entry: PageEntry) -> None:
        """Read a page, in the place of the one that is being read."""
        self._runner.cancel_where(lambda key: key.purpose in (PAGE, PREVIEW))
        left = [other for page, other in self._on_the_way.items() if page != entry.id]
        self._on_the_way = {entry.id: entry} if entry.id in self._on_the_way else {}
        for other in left:
            self._read_thumbnail(other)

        def preview(status: JobStatus) -> Preview | None:
            return load_preview(entry, status)

        def page(status: JobStatus) -> Loaded:
            return load_picture(entry, status)

        def previewed(value: Preview | None) -> None:
            if value is not None and entry.id not in self._pages:
                self.previewed.emit(entry.id, value)

        def lost(sentence: str) -> None:
            self._unreadable.add(entry.id)
            self._on_the_way.pop(entry.id, None)
            self.lost.emit(entry.id, sentence)

        self._runner.submit(Job(JobKey(PREVIEW, str(entry.id)), preview, previewed, _say_nothing, pool=Pool.DISK))
        self._runner.submit(Job(JobKey(PAGE, str(entry.id)), page, self._keep, lost, pool=Pool.DISK))

    def want_thumbnails(self, entries: Sequence[PageEntry]) -> None:
        """Read the pictures of these pages and of no other."""
        wanted = {str(entry.id) for entry in entries}
        self._runner.cancel_where(lambda key: key.purpose == THUMBNAIL and key.page not in wanted)
        for entry in entries:
            if entry.id in self._unreadable or self._runner.is_running(JobKey(THUMBNAIL, str(entry.id))):
                continue
            if self._runner.is_running(JobKey(PAGE, str(entry.id))):
                self._on_the_way[entry.id] = entry
            else:
                self._read_thumbnail(entry)

    def _read_thumbnail(self, entry: PageEntry) -> None:
        def read(status: JobStatus) -> QImage:
            return load_thumbnail(entry, status)

        def done(image: QImage) -> None:
            self.thumbnailLoaded.emit(entry.id, image)

        def lost(_sentence: str) -> None:
            self._unreadable.add(entry.id)

        key = JobKey(THUMBNAIL, str(entry.id))
        self._runner.submit(Job(key, read, done, lost, pool=Pool.DISK, urgent=False))

    def _keep(self, loaded: Loaded) -> None:
        page = loaded.page
        self._unreadable.discard(page.id)
        if self._on_the_way.pop(page.id, None) is not None:
            self.thumbnailLoaded.emit(page.id, loaded.thumbnail)
        self._pages[page.id] = loaded
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)
        self.loaded.emit(page)


def _say_nothing(_sentence: str) -> None:
    """A preview that cannot be had is no loss: the page itself says what is wrong."""
