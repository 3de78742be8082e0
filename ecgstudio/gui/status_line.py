"""The status bar: what was said last, the cursor, how far the work is and how to stop it, and where it is done."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QProgressBar, QStatusBar, QToolButton, QWidget

SHOWN_MS = 8000


class StatusLine(QStatusBar):
    """Says; it is told everything."""

    messagesWanted = Signal()

    def __init__(self, cancel: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Status"))
        self._cursor = QLabel(self)
        self._cursor.setAccessibleName(self.tr("Cursor"))
        self._cursor.setMinimumWidth(230)
        self._note = QLabel(self)
        self._progress = QProgressBar(self)
        self._progress.setRange(0, 1000)
        self._progress.setFixedSize(150, 8)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Progress"))
        self._stop = QToolButton(self)
        self._stop.setDefaultAction(cancel)
        self._messages = QToolButton(self)
        self._messages.setText(self.tr("Messages"))
        self._messages.clicked.connect(self.messagesWanted)
        self._device = QLabel(self)
        self._device.setObjectName("fact-label")
        self._device.setAccessibleName(self.tr("Device"))
        for widget in (self._cursor, self._note, self._progress, self._stop, self._messages, self._device):
            self.addPermanentWidget(widget)
        self.show_idle()

    def say(self, text: str) -> None:
        """Show a sentence for a while."""
        self.showMessage(text, SHOWN_MS)

    def show_cursor(self, text: str) -> None:
        """Show time and voltage under the mouse."""
        self._cursor.setText(text)

    def show_device(self, text: str) -> None:
        """Show where the networks run."""
        self._device.setText(text)

    def show_unread(self, count: int) -> None:
        """Show how many messages there are."""
        self._messages.setText(self.tr("Messages (%d)") % count if count else self.tr("Messages"))

    def show_progress(self, fraction: float, note: str) -> None:
        """Show how far the work is."""
        for widget in (self._note, self._progress, self._stop):
            widget.setVisible(True)
        self._note.setText(note)
        self._progress.setRange(0, 1000 if fraction > 0 else 0)
        self._progress.setValue(round(1000 * fraction))

    def show_idle(self) -> None:
        """Show that nothing is being done."""
        for widget in (self._note, self._progress, self._stop):
            widget.setVisible(False)
