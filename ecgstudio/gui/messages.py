"""Messages to the user: what happened, in a sentence, with the button that mends it; newest first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QListView, QPushButton, QVBoxLayout, QWidget

from ecgstudio.core.page import PageId
from ecgstudio.gui.icons import icon

MAX_MESSAGES: Final = 500

AnyIndex = QModelIndex | QPersistentModelIndex


class Severity(StrEnum):
    """How much a message matters; its word stands beside its icon."""

    INFO = "info"
    WARNING = "needs review"
    ERROR = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for the user; `action` is the id of the action that mends it, if one does."""

    text: str
    severity: Severity = Severity.INFO
    page: PageId | None = None
    action: str = ""


class MessageModel(QAbstractListModel):
    """The messages of this session of work, newest first; the same sentence is not repeated."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._messages: list[tuple[datetime, Message]] = []
        self._colours = {severity: "#808080" for severity in Severity}

    def rowCount(self, parent: AnyIndex | None = None) -> int:
        """Return how many messages there are."""
        return 0 if parent is not None and parent.isValid() else len(self._messages)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return what the list shows of a message."""
        at, message = self._messages[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return f"{at:%H:%M}  {message.text}"
            case Qt.ItemDataRole.ToolTipRole:
                return message.text
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{message.severity}: {message.text}"
            case Qt.ItemDataRole.DecorationRole:
                return icon(message.severity.value, self._colours[message.severity])
            case Qt.ItemDataRole.UserRole:
                return message
        return None

    def add(self, message: Message) -> None:
        """Put a message on top; one that stands there already only moves up."""
        self.drop(message)
        self.beginInsertRows(QModelIndex(), 0, 0)
        self._messages.insert(0, (datetime.now().astimezone(), message))
        self.endInsertRows()
        if len(self._messages) > MAX_MESSAGES:
            self.beginRemoveRows(QModelIndex(), MAX_MESSAGES, len(self._messages) - 1)
            del self._messages[MAX_MESSAGES:]
            self.endRemoveRows()

    def drop(self, message: Message) -> None:
        """Remove a message if it is there."""
        for row, (_, other) in enumerate(self._messages):
            if other == message:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self._messages[row]
                self.endRemoveRows()
                return

    def clear(self) -> None:
        """Remove all messages."""
        self.beginResetModel()
        self._messages.clear()
        self.endResetModel()

    def paint(self, colours: dict[Severity, str]) -> None:
        """Give the icons their colours."""
        self._colours = colours
        if self._messages:
            self.dataChanged.emit(self.index(0), self.index(len(self._messages) - 1))


class MessageList(QWidget):
    """The list with the button that mends the selected message."""

    actionWanted = Signal(str, object)  # id of the action, PageId or None
    pageWanted = Signal(object)  # PageId

    def __init__(self, model: MessageModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._view = QListView(self)
        self._view.setModel(model)
        self._view.setWordWrap(True)
        self._view.setIconSize(QSize(16, 16))
        self._view.setAccessibleName(self.tr("Messages"))
        self._mend = QPushButton(self.tr("Fix it"), self)
        self._mend.setEnabled(False)
        clear = QPushButton(self.tr("Clear"), self)
        buttons = QHBoxLayout()
        buttons.addWidget(self._mend)
        buttons.addStretch(1)
        buttons.addWidget(clear)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self._view)
        column.addLayout(buttons)
        self._view.selectionModel().currentChanged.connect(self._offer)
        self._view.activated.connect(self._go)
        self._mend.clicked.connect(self._act)
        clear.clicked.connect(model.clear)
        model.modelReset.connect(self._offer)

    def _current(self) -> Message | None:
        index = self._view.currentIndex()
        message = index.data(Qt.ItemDataRole.UserRole) if index.isValid() else None
        return message if isinstance(message, Message) else None

    def _offer(self) -> None:
        message = self._current()
        self._mend.setEnabled(message is not None and bool(message.action))

    def _go(self) -> None:
        message = self._current()
        if message is not None and message.page is not None:
            self.pageWanted.emit(message.page)

    def _act(self) -> None:
        message = self._current()
        if message is not None and message.action:
            self.actionWanted.emit(message.action, message.page)


class WarningEcho(logging.Handler):
    """Hands what was logged as a warning to the window; it may be called on any thread."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        self._say(record.getMessage())
