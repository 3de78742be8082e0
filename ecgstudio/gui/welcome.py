"""The welcome page: what one can begin with when no page is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QListWidget, QListWidgetItem, QToolButton, QVBoxLayout, QWidget


class Welcome(QWidget):
    """Three ways to begin, the recent files, and a place to drop pages on."""

    recentChosen = Signal(object)  # Path

    def __init__(self, actions: Sequence[QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("welcome")
        self.setAccessibleName(self.tr("Welcome"))
        title = QLabel(self.tr("ECG Studio"), self)
        title.setObjectName("welcome-title")
        words = QLabel(
            self.tr("Turn paper ECGs into digital 12-lead records.\nDrop scans, photos or PDFs here, or begin with:"),
            self,
        )
        words.setObjectName("welcome-words")
        self._recent_title = QLabel(self.tr("Recent"), self)
        self._recent_title.setObjectName("fact-label")
        self._recent = QListWidget(self)
        self._recent.setAccessibleName(self.tr("Recent files"))
        self._recent.setObjectName("recent")
        self._recent.itemActivated.connect(self._choose)
        self._recent.itemClicked.connect(self._choose)
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addWidget(title)
        column.addWidget(words)
        for action in actions:
            button = QToolButton(self)
            button.setDefaultAction(action)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIconSize(QSize(24, 24))
            button.setObjectName("welcome-button")
            button.setMinimumWidth(360)
            column.addWidget(button)
        column.addSpacing(12)
        column.addWidget(self._recent_title)
        column.addWidget(self._recent)
        middle = QWidget(self)
        middle.setLayout(column)
        middle.setMaximumWidth(460)
        whole = QVBoxLayout(self)
        whole.addStretch(1)
        whole.addWidget(middle, 0, Qt.AlignmentFlag.AlignHCenter)
        whole.addStretch(2)

    def set_recent(self, paths: Sequence[Path]) -> None:
        """Show these files, newest first."""
        self._recent.clear()
        for path in paths:
            item = QListWidgetItem(f"{path.name}   {path.parent}")
            item.setData(Qt.ItemDataRole.UserRole, str(path))
            item.setToolTip(str(path))
            self._recent.addItem(item)
        self._recent.setFixedHeight(min(max(len(paths), 1), 6) * 26 + 8)
        for widget in (self._recent_title, self._recent):
            widget.setVisible(bool(paths))

    def _choose(self, item: QListWidgetItem) -> None:
        self.recentChosen.emit(Path(str(item.data(Qt.ItemDataRole.UserRole))))
