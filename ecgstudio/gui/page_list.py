"""The list of pages: a thumbnail, a name and a state each, worst first; only what is visible is read from the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPalette, QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from ecgstudio.core.page import PageId
from ecgstudio.gui.icons import pixmap
from ecgstudio.gui.states import colour_of, word_of
from ecgstudio.gui.theme import Theme, theme_for

THUMB_W: Final = 72
THUMB_H: Final = 52
PAD: Final = 6
SETTLE_MS: Final = 60  # scrolling past a page does not read it
KEPT_THUMBNAILS: Final = 300

STATE_ROLE: Final = Qt.ItemDataRole.UserRole + 1
THUMBNAIL_ROLE: Final = Qt.ItemDataRole.UserRole + 2

AnyIndex = QModelIndex | QPersistentModelIndex


class PageListModel(QAbstractListModel):
    """The pages in the order shown; names and states are asked for when they are drawn."""

    def __init__(
        self, *, name_of: Callable[[PageId], str], state_of: Callable[[PageId], str], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._name_of, self._state_of = name_of, state_of
        self._pages: tuple[PageId, ...] = ()
        self._rows: dict[PageId, int] = {}
        self._thumbnails: dict[PageId, QPixmap] = {}

    def rowCount(self, parent: AnyIndex | None = None) -> int:
        """Return how many pages there are."""
        return 0 if parent is not None and parent.isValid() else len(self._pages)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return what is drawn of a page."""
        page = self._pages[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._name_of(page)
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                return f"{self._name_of(page)}: {word_of(self._state_of(page))}"
            case Qt.ItemDataRole.UserRole:
                return page
            case _ if role == STATE_ROLE:
                return self._state_of(page)
            case _ if role == THUMBNAIL_ROLE:
                return self._thumbnails.get(page)
        return None

    @property
    def pages(self) -> tuple[PageId, ...]:
        """The pages in the order shown."""
        return self._pages

    def set_pages(self, pages: tuple[PageId, ...]) -> None:
        """Show these pages in this order; what was selected stays selected."""
        if pages == self._pages:
            return
        if set(pages) == set(self._pages):
            self.layoutAboutToBeChanged.emit()
            persistent = self.persistentIndexList()
            held = [self._pages[index.row()] for index in persistent]
            self._place(pages)
            self.changePersistentIndexList(persistent, [self.index(self._rows[page]) for page in held])
            self.layoutChanged.emit()
            return
        self.beginResetModel()
        self._place(pages)
        self._thumbnails = {page: image for page, image in self._thumbnails.items() if page in self._rows}
        self.endResetModel()

    def index_of(self, page: PageId | None) -> QModelIndex:
        """Return where a page stands; an invalid index if it does not."""
        row = None if page is None else self._rows.get(page)
        return QModelIndex() if row is None else self.index(row)

    def refresh(self, page: PageId) -> None:
        """Draw a page again."""
        index = self.index_of(page)
        if index.isValid():
            self.dataChanged.emit(index, index)

    def has_thumbnail(self, page: PageId) -> bool:
        """Tell whether the page's picture is there."""
        return page in self._thumbnails

    def set_thumbnail(self, page: PageId, image: QImage) -> None:
        """Take a page's picture; the oldest ones are forgotten."""
        self._thumbnails.pop(page, None)
        self._thumbnails[page] = QPixmap.fromImage(image)
        while len(self._thumbnails) > KEPT_THUMBNAILS:
            del self._thumbnails[next(iter(self._thumbnails))]
        self.refresh(page)

    def _place(self, pages: tuple[PageId, ...]) -> None:
        self._pages = pages
        self._rows = {page: row for row, page in enumerate(pages)}


class PageDelegate(QStyledItemDelegate):
    """Draws a page: its picture, its name, and its state as icon and word."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.theme = theme_for(False)

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        """Return the same size for every page."""
        return QSize(THUMB_W + 60, THUMB_H + 2 * PAD)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        """Draw one row."""
        painter.save()
        palette: QPalette = option.palette
        rect: QRect = option.rect
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.fillRect(rect, palette.highlight())
        picture = QRect(rect.left() + PAD, rect.top() + PAD, THUMB_W, THUMB_H)
        self._paint_picture(painter, picture, index.data(THUMBNAIL_ROLE))
        left = picture.right() + 1 + 2 * PAD
        line = QRect(left, rect.top() + PAD + 2, rect.right() - left - PAD, THUMB_H // 2 - 2)
        painter.setPen(palette.highlightedText().color() if selected else palette.text().color())
        font = QFont(option.font)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        name = painter.fontMetrics().elidedText(str(index.data()), Qt.TextElideMode.ElideMiddle, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
        state = str(index.data(STATE_ROLE))
        below = line.translated(0, THUMB_H // 2)
        colour = palette.highlightedText().color().name() if selected else colour_of(state, self.theme)
        ratio = painter.device().devicePixelRatio()
        painter.drawPixmap(below.left(), below.center().y() - 7, pixmap(state, colour, size_px=16, ratio=ratio))
        font.setWeight(QFont.Weight.Normal)
        painter.setFont(font)
        if not selected:
            painter.setPen(QColor(self.theme.muted))
        painter.drawText(below.adjusted(21, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, word_of(state))
        painter.restore()

    def _paint_picture(self, painter: QPainter, where: QRect, picture: object) -> None:
        painter.fillRect(where, QColor(self.theme.desk))
        if not isinstance(picture, QPixmap):
            return
        size = picture.size().scaled(where.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(where.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(place, picture)


class PageList(QListView):
    """The list; says which page was chosen and which visible pages still want their picture."""

    pageChosen = Signal(object)  # PageId
    thumbnailsWanted = Signal(object)  # tuple[PageId, ...]: all that are visible and have none

    def __init__(self, model: PageListModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._delegate = PageDelegate(self)
        self._quiet = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._ask)
        self.setObjectName("page-list")
        self.setAccessibleName(self.tr("Pages, worst first"))
        self.setModel(model)
        self.setItemDelegate(self._delegate)
        self.setUniformItemSizes(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.verticalScrollBar().valueChanged.connect(self._look_soon)
        model.modelReset.connect(self._look_soon)
        model.layoutChanged.connect(self._look_soon)

    def set_current(self, page: PageId | None) -> None:
        """Select a page without telling."""
        self._quiet = True
        self.setCurrentIndex(self._model.index_of(page))
        self._quiet = False

    def visible_pages(self) -> tuple[PageId, ...]:
        """Return the pages that can be seen now."""
        if not self._model.rowCount() or not self.isVisible():
            return ()
        area = self.viewport().rect()
        first = self.indexAt(area.topLeft()).row()
        last = self.indexAt(area.bottomLeft()).row()
        return self._model.pages[max(first, 0) : (last if last >= 0 else self._model.rowCount() - 1) + 1]

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._delegate.theme = theme
        self.viewport().update()

    def currentChanged(self, current: AnyIndex, previous: AnyIndex) -> None:
        """Tell which page was chosen."""
        super().currentChanged(current, previous)
        page = current.data(Qt.ItemDataRole.UserRole) if current.isValid() else None
        if not self._quiet and isinstance(page, PageId):
            self.pageChosen.emit(page)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Look again at what is visible."""
        super().resizeEvent(event)
        self._settle.start()

    def showEvent(self, event: QShowEvent) -> None:
        """Look again at what is visible."""
        super().showEvent(event)
        self._settle.start()

    def _look_soon(self) -> None:
        self._settle.start()

    def _ask(self) -> None:
        self.thumbnailsWanted.emit(tuple(p for p in self.visible_pages() if not self._model.has_thumbnail(p)))
