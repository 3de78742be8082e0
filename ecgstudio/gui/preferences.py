"""Preferences: what a person chooses once, as one table from which the dialog is built; kept in Qt's settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QCoreApplication, QObject, QSettings, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ecgstudio.session import os_user

MAX_RECENT: Final = 10


@dataclass(frozen=True, slots=True)
class Preference:
    """One row: a text field, one of several choices (value, words), or a whole number in a range with its unit."""

    key: str
    label: str
    default: str
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    span: tuple[int, int] | None = None
    unit: str = ""


PREFERENCES: Final = (
    Preference("user/name", "Your name", "", "Signs what you accept, reject and correct; empty: your login name."),
    Preference(
        "view/theme",
        "Appearance",
        "system",
        choices=(("system", "as the system"), ("light", "light"), ("dark", "dark")),
    ),
    Preference(
        "compute/device",
        "Compute on",
        "auto",
        "Takes effect at once; what was computed stays.",
        choices=(("auto", "the best there is"), ("cpu", "processor"), ("cuda", "NVIDIA GPU"), ("mps", "Apple GPU")),
    ),
    Preference(
        "compute/findings",
        "Findings",
        "read",
        "What the classifier says; research decision support, not a diagnosis.",
        choices=(("read", "worked out when a page is read"), ("asked", "worked out when I ask for them")),
    ),
    Preference("files/autosave_s", "Keep a safety copy every", "5", span=(1, 60), unit=" s"),
)


def tr(text: str) -> str:
    """Return a text of the table in the user's language."""
    return QCoreApplication.translate("preferences", text)


class Preferences(QObject):
    """The chosen values, and what the window remembers by itself: its arrangement and the recent files."""

    changed = Signal(str)  # key

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = QSettings(self)

    def text(self, key: str) -> str:
        """Return a preference's value; KeyError for a key that is not in the table."""
        default = _BY_KEY[key].default
        value = self._settings.value(key, default)
        return value if isinstance(value, str) else str(value)

    def number(self, key: str) -> int:
        """Return a preference that is a number, within its range whatever the file says."""
        row = _BY_KEY[key]
        low, high = row.span or (0, 0)
        text = self.text(key)
        return min(max(int(text if text.isdecimal() else row.default), low), high)

    def set(self, key: str, value: str) -> None:
        """Choose a value; tells only if it is another one."""
        if self.text(key) != value:
            self._settings.setValue(key, value)
            self.changed.emit(key)

    @property
    def user(self) -> str:
        """Who signs: the name set here, or the name of the login."""
        return self.text("user/name").strip() or os_user()

    @property
    def recent(self) -> tuple[Path, ...]:
        """Projects and pages that were opened last, newest first."""
        value = self._settings.value("files/recent", [])
        texts = value if isinstance(value, list) else [value]
        return tuple(Path(text) for text in texts if isinstance(text, str) and text)

    def add_recent(self, path: Path) -> None:
        """Remember a file as the one opened last."""
        others = [str(other) for other in self.recent if other != path]
        self._settings.setValue("files/recent", [str(path), *others][:MAX_RECENT])
        self.changed.emit("files/recent")

    def screen_px_per_mm(self, screen: str) -> float | None:
        """Return how many of its dots a millimetre of a screen has, if the user has said so."""
        try:
            dots = float(str(self._settings.value(f"screens/{screen}", "")))
        except ValueError:
            return None
        return dots if math.isfinite(dots) and dots > 0 else None

    def set_screen_px_per_mm(self, screen: str, dots: float | None) -> None:
        """Remember a screen's true size; None: as the screen itself says."""
        if dots is None:
            self._settings.remove(f"screens/{screen}")
        else:
            self._settings.setValue(f"screens/{screen}", repr(dots))

    def remember(self, key: str, value: object) -> None:
        """Keep something of the window itself."""
        self._settings.setValue(f"window/{key}", value)

    def remembered(self, key: str) -> object:
        """Return what was kept of the window; None if nothing was."""
        return self._settings.value(f"window/{key}")


_BY_KEY: Final = {row.key: row for row in PREFERENCES}


class PreferencesDialog(QDialog):
    """Shows the table; nothing is changed before OK."""

    def __init__(
        self,
        preferences: Preferences,
        parent: QWidget | None = None,
        *,
        fit_screen: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self.setWindowTitle(self.tr("Preferences"))
        form = QFormLayout()
        form.setVerticalSpacing(10)
        self._fields: dict[str, QLineEdit | QComboBox | QSpinBox] = {}
        for row in PREFERENCES:
            field = self._field(row)
            field.setAccessibleName(tr(row.label))
            self._fields[row.key] = field
            form.addRow(tr(row.label), field)
            if row.hint:
                hint = QLabel(tr(row.hint), self)
                hint.setObjectName("fact-label")
                form.addRow("", hint)
        if fit_screen is not None:
            fit = QPushButton(self.tr("Fit a card to the screen…"), self)
            fit.clicked.connect(fit_screen)
            form.addRow(self.tr("True size"), fit)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel, self)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.addLayout(form)
        column.addWidget(buttons)

    def accept(self) -> None:
        """Keep what was chosen."""
        for key, field in self._fields.items():
            match field:
                case QLineEdit():
                    self._preferences.set(key, field.text().strip())
                case QComboBox():
                    self._preferences.set(key, str(field.currentData()))
                case QSpinBox():
                    self._preferences.set(key, str(field.value()))
        super().accept()

    def field(self, key: str) -> QLineEdit | QComboBox | QSpinBox:
        """Return the field of a preference."""
        return self._fields[key]

    def _field(self, row: Preference) -> QLineEdit | QComboBox | QSpinBox:
        if row.choices:
            box = QComboBox(self)
            for value, words in row.choices:
                box.addItem(tr(words), value)
            box.setCurrentIndex(max(box.findData(self._preferences.text(row.key)), 0))
            return box
        if row.span is not None:
            spin = QSpinBox(self)
            spin.setRange(*row.span)
            spin.setSuffix(row.unit)
            spin.setValue(self._preferences.number(row.key))
            return spin
        line = QLineEdit(self._preferences.text(row.key), self)
        line.setPlaceholderText(os_user())
        line.setMinimumWidth(280)
        return line
