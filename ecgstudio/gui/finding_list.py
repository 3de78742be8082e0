"""The findings as bars: how probable, from where on it counts, how far small errors of reading move it, the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import (
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from ecgstudio.gui.finding_lines import FindingLine, answer_word, name_of, percent, spoken
from ecgstudio.gui.icons import pixmap
from ecgstudio.gui.states import ACCEPTED, REJECTED, colour_of
from ecgstudio.gui.theme import Theme, theme_for

ROW_PX: Final = 46
SIDE_PX: Final = 8
BAR_TOP_PX, BAR_PX = 25, 8
TICK_OUT_PX: Final = 3
SPAN_BELOW_PX, SPAN_CAP_PX = 4.5, 3.0
STALE_OPACITY: Final = 0.42
CHOSEN_TINT: Final = 28  # of 255
MARK_PX: Final = 16
ICONS: Final = {"accept": ACCEPTED, "reject": REJECTED}
LINE_ROLE: Final = Qt.ItemDataRole.UserRole

AnyIndex = QModelIndex | QPersistentModelIndex


class FindingDelegate(QStyledItemDelegate):
    """Draws a finding: name, answer, number; beneath them the bar."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.theme = theme_for(False)
        self.stale = False

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        """Return the same size for every finding."""
        return QSize(180, ROW_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        """Draw one finding."""
        line = index.data(LINE_ROLE)
        if not isinstance(line, FindingLine):
            return
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            tint = QColor(self.theme.accent)
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), tint)
            tint.setAlpha(CHOSEN_TINT)
            painter.fillRect(rect, tint)
        painter.setOpacity(STALE_OPACITY if self.stale else 1.0)
        inside = rect.adjusted(SIDE_PX, 0, -SIDE_PX, 0)
        self._paint_words(painter, option.font, inside, line)
        if line.probability is not None:
            self._paint_bar(painter, QRectF(inside.left(), rect.top() + BAR_TOP_PX, inside.width(), BAR_PX), line)
        painter.restore()

    def _paint_words(self, painter: QPainter, plain: QFont, inside: QRect, line: FindingLine) -> None:
        theme, top = self.theme, QRect(inside.left(), inside.top() + 4, inside.width(), 18)
        font = QFont(plain)
        font.setWeight(QFont.Weight.DemiBold if line.found else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(theme.text))
        number = percent(line.probability)
        painter.drawText(top, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number)
        right = top.right() - painter.fontMetrics().horizontalAdvance("> 99 %") - 8
        if line.verdict in ICONS:
            icon, small = ICONS[line.verdict], QFont(plain)
            painter.setFont(small)
            word = answer_word(line)
            wide = painter.fontMetrics().horizontalAdvance(word)
            painter.setPen(QColor(theme.muted))
            painter.drawText(QRect(right - wide, top.top(), wide, top.height()), Qt.AlignmentFlag.AlignVCenter, word)
            ratio = painter.device().devicePixelRatio()
            mark = pixmap(icon, colour_of(icon, theme), size_px=MARK_PX, ratio=ratio)
            painter.drawPixmap(right - wide - MARK_PX - 4, top.top() + 1, mark)
            right -= wide + MARK_PX + 8
            painter.setFont(font)
            painter.setPen(QColor(theme.text))
        elif line.flipped:  # a correction carried it over its threshold
            painter.setFont(plain)
            word = QCoreApplication.translate("findings", "was %s") % percent(line.before)
            wide = painter.fontMetrics().horizontalAdvance(word)
            painter.setPen(QColor(theme.muted))
            painter.drawText(QRect(right - wide, top.top(), wide, top.height()), Qt.AlignmentFlag.AlignVCenter, word)
            right -= wide + 8
            painter.setFont(font)
            painter.setPen(QColor(theme.text))
        room = right - top.left()
        name = painter.fontMetrics().elidedText(name_of(line.code), Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRect(top.left(), top.top(), room, top.height()), Qt.AlignmentFlag.AlignVCenter, name)

    def _paint_bar(self, painter: QPainter, bar: QRectF, line: FindingLine) -> None:
        theme = self.theme
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.border))
        painter.drawRoundedRect(bar, 3, 3)
        assert line.probability is not None
        filled = QRectF(bar.left(), bar.top(), max(3.0, bar.width() * line.probability), bar.height())
        painter.setBrush(QColor(theme.accent if line.found else theme.muted))
        painter.drawRoundedRect(filled, 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if line.low is not None and line.high is not None:
            y = bar.bottom() + SPAN_BELOW_PX
            first, last = (bar.left() + bar.width() * at for at in (line.low, line.high))
            painter.setPen(QPen(QColor(theme.text), 1.4))
            painter.drawLine(QPointF(first, y), QPointF(last, y))
            for end in (first, last):
                painter.drawLine(QPointF(end, y - SPAN_CAP_PX), QPointF(end, y + SPAN_CAP_PX))
        if line.threshold is not None:
            self._paint_threshold(painter, bar, bar.left() + bar.width() * line.threshold)

    def _paint_threshold(self, painter: QPainter, bar: QRectF, x: float) -> None:
        """Draw a notch over the bar and a line through it, on a rim that parts it from the bar's own colours."""
        painter.setPen(QPen(QColor(self.theme.panel), 4.0))
        painter.drawLine(QPointF(x, bar.top() - TICK_OUT_PX + 1), QPointF(x, bar.bottom() + 1))
        painter.setPen(QPen(QColor(self.theme.text), 1.6))
        painter.drawLine(QPointF(x, bar.top() - TICK_OUT_PX), QPointF(x, bar.bottom() + 1))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.theme.text))
        top = bar.top() - TICK_OUT_PX
        painter.drawPolygon(QPolygonF([QPointF(x - 3.5, top - 3), QPointF(x + 3.5, top - 3), QPointF(x, top + 2)]))
        painter.setBrush(Qt.BrushStyle.NoBrush)


class FindingList(QListWidget):
    """The list of findings; choosing one again, or Esc, lets it go."""

    chosen = Signal(str)  # code, or empty

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("finding-list")
        self.setAccessibleName(self.tr("Findings of the classifier"))
        self.setItemDelegate(FindingDelegate(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemSelectionChanged.connect(self._tell)
        self.show_lines((), chosen="", stale=False)

    def show_lines(self, lines: Sequence[FindingLine], *, chosen: str, stale: bool) -> None:
        """Show these findings in this order; `stale` ones are pale."""
        self._delegate.stale = stale
        with QSignalBlocker(self):
            while self.count() > len(lines):
                self.takeItem(self.count() - 1)
            while self.count() < len(lines):
                self.addItem(QListWidgetItem())
            self.clearSelection()
            for row, line in enumerate(lines):
                item, said = self.item(row), spoken(line, stale=stale)
                item.setData(LINE_ROLE, line)
                item.setData(Qt.ItemDataRole.AccessibleTextRole, said)
                item.setToolTip(said)
                if line.code == chosen:
                    self.setCurrentItem(item)
                    item.setSelected(True)
        self.setFixedHeight(ROW_PX * len(lines) + 2)
        self.viewport().update()

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._delegate.theme = theme
        self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a finding, or let the chosen one go."""
        item = self.itemAt(event.position().toPoint())
        if item is not None and item.isSelected() and event.button() is Qt.MouseButton.LeftButton:
            self.clearSelection()
        else:
            super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Let go with Esc."""
        if event.key() == Qt.Key.Key_Escape and self.selectedItems():
            self.clearSelection()
        else:
            super().keyPressEvent(event)

    @property
    def _delegate(self) -> FindingDelegate:
        delegate = self.itemDelegate()
        assert isinstance(delegate, FindingDelegate)
        return delegate

    def _tell(self) -> None:
        items = self.selectedItems()
        line = items[0].data(LINE_ROLE) if items else None
        self.chosen.emit(line.code if isinstance(line, FindingLine) else "")
