"""The dialogs: files to open and save, questions, the export, the comment, and the sheet of shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ecgstudio.core.page import PageId
from ecgstudio.gui.actions import ACTIONS, GESTURES, MENUS, keys_of, text_of
from ecgstudio.gui.exporting import DEFAULT_FORMATS, FORMAT_WORDS, ExportPlan
from ecgstudio.gui.legend import Legend

SHEET_COLUMNS: Final = 4
PREVIEWED: Final = 200
PREVIEWED_FINDINGS: Final = 4


class QtAsk:
    """Asks through the dialogs of the system."""

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent

    def open_files(self, title: str, kinds: str) -> Sequence[Path]:
        """Return the files chosen."""
        names, _ = QFileDialog.getOpenFileNames(self._parent, title, "", kinds)
        return [Path(name) for name in names]

    def open_folder(self, title: str, start: Path | None = None) -> Path | None:
        """Return the folder chosen."""
        name = QFileDialog.getExistingDirectory(self._parent, title, "" if start is None else str(start))
        return Path(name) if name else None

    def save_file(self, title: str, kinds: str, suggestion: str) -> Path | None:
        """Return the file to write; the system asks before one is replaced."""
        name, _ = QFileDialog.getSaveFileName(self._parent, title, suggestion, kinds)
        return Path(name) if name else None

    def keep_changes(self, name: str) -> str:
        """Ask what is to be done with unsaved changes."""
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setText(box.tr("%s has changes that are not saved.") % name)
        kinds = QMessageBox.StandardButton
        box.setStandardButtons(kinds.Save | kinds.Discard | kinds.Cancel)
        box.setDefaultButton(kinds.Save)
        answer = kinds(box.exec())
        return {kinds.Save: "save", kinds.Discard: "discard"}.get(answer, "cancel")

    def keep_work(self, text: str) -> str:
        """Ask what is to be done with work that a crash left."""
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(box.tr("Recover work"))
        box.setText(text)
        recover = box.addButton(box.tr("Recover"), QMessageBox.ButtonRole.AcceptRole)
        discard = box.addButton(box.tr("Discard..."), QMessageBox.ButtonRole.DestructiveRole)
        later = box.addButton(box.tr("Decide later"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(recover)
        box.setEscapeButton(later)
        box.exec()
        clicked = box.clickedButton()
        return "recover" if clicked is recover else "discard" if clicked is discard else "later"

    def yes(self, title: str, text: str, *, button: str) -> bool:
        """Ask a question that one button says yes to."""
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(title)
        box.setText(text)
        yes = box.addButton(button, QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(yes)
        box.exec()
        return box.clickedButton() is yes


class CommentDialog(QDialog):
    """A few words for the next reader, about a page or what else is `about`."""

    def __init__(self, text: str, parent: QWidget | None = None, *, about: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Comment: %s") % about if about else self.tr("Comment"))
        self._edit = QPlainTextEdit(text, self)
        self._edit.setAccessibleName(self.tr("Comment on: %s") % about if about else self.tr("Comment on this page"))
        self._edit.setMinimumSize(420, 120)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel, self)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(self._edit)
        column.addWidget(buttons)

    @property
    def text(self) -> str:
        """What was written."""
        return self._edit.toPlainText().strip()

    @text.setter
    def text(self, value: str) -> None:
        self._edit.setPlainText(value)


class LegendDialog(QDialog):
    """What the drawing over the page and on the signal paper means."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("What the drawing means"))
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        close.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.addWidget(Legend(self))
        column.addWidget(close)
        self.setMinimumWidth(460)


class ShortcutSheet(QDialog):
    """Every shortcut, from the one table of actions, and what the drawing means."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        self.setObjectName("shortcut-sheet")
        inner = QWidget(self)
        columns = QHBoxLayout(inner)
        columns.setSpacing(36)
        groups = [(menu, self._rows(menu)) for menu in MENUS]
        groups = [
            *((menu, rows) for menu, rows in groups if rows),
            ("On the page", [(k, self.tr(t)) for k, t in GESTURES]),
        ]
        total, spent, column = sum(len(rows) + 2 for _, rows in groups), 0, QVBoxLayout()
        columns.addLayout(column)
        for menu, rows in groups:
            if spent > total / SHEET_COLUMNS:
                column.addStretch(1)
                column, spent = QVBoxLayout(), 0
                columns.addLayout(column)
            column.addWidget(self._table(self.tr(menu), rows))
            spent += len(rows) + 2
        column.addStretch(1)
        heading = QLabel(self.tr("What the drawing means"), self)
        heading.setObjectName("sheet-heading")
        drawing = QVBoxLayout()
        for widget in (heading, Legend(self)):
            drawing.addWidget(widget)
        drawing.addStretch(1)
        columns.addLayout(drawing)
        scroll = QScrollArea(self)
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        close.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addWidget(scroll)
        whole.addWidget(close)
        self.resize(1400, 800)

    def _rows(self, menu: str) -> list[tuple[str, str]]:
        return [(keys_of(row), text_of(row).removesuffix("…")) for row in ACTIONS if row.menu == menu and row.keys]

    def _table(self, title: str, rows: list[tuple[str, str]]) -> QWidget:
        holder = QWidget(self)
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 6)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        heading = QLabel(title, holder)
        heading.setObjectName("sheet-heading")
        grid.addWidget(heading, 0, 0, 1, 2)
        for number, (keys, text) in enumerate(rows, start=1):
            key = QLabel(keys, holder)
            key.setObjectName("key")
            grid.addWidget(key, number, 0, Qt.AlignmentFlag.AlignLeft)
            grid.addWidget(QLabel(text, holder), number, 1)
        grid.setColumnStretch(1, 1)
        return holder


class ExportDialog(QDialog):
    """Which pages, in which formats, where to; shows every file name before anything is written."""

    def __init__(
        self,
        scopes: Sequence[tuple[str, tuple[PageId, ...]]],
        *,
        plan: Callable[[tuple[PageId, ...], Path, tuple[str, ...]], ExportPlan],
        folder: Path,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Export"))
        self._make_plan = plan
        self._scope = QComboBox(self)
        self._scope.setAccessibleName(self.tr("Which pages"))
        for words, pages in scopes:
            self._scope.addItem(f"{words} ({len(pages)})", pages)
        self._folder = QLineEdit(str(folder), self)
        self._folder.setAccessibleName(self.tr("Folder"))
        choose = QPushButton(self.tr("Choose…"), self)
        self._formats = {name: QCheckBox(self.tr(words), self) for name, words in FORMAT_WORDS.items()}
        for name, box in self._formats.items():
            box.setChecked(name in DEFAULT_FORMATS)
            box.toggled.connect(self._refresh)
        self._names = QListWidget(self)
        self._names.setAccessibleName(self.tr("Files that will be written"))
        self._overwrite = QCheckBox(self.tr("Replace files that exist"), self)
        self._blocked = QLabel(self)
        self._blocked.setObjectName("blocked")
        self._blocked.setWordWrap(True)
        self._findings = QLabel(self)
        self._findings.setObjectName("fact-label")
        self._findings.setWordWrap(True)
        self._findings.setAccessibleName(self.tr("Accepted findings"))
        self._left_out = QLabel(self)
        self._left_out.setObjectName("fact-label")
        self._left_out.setWordWrap(True)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self._export = self._buttons.addButton(self.tr("Export"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._arrange(choose)
        self._scope.currentIndexChanged.connect(self._refresh)
        self._folder.textChanged.connect(self._refresh)
        self._overwrite.toggled.connect(self._refresh)
        choose.clicked.connect(self._choose)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._refresh()

    @property
    def folder(self) -> Path:
        """Where to write."""
        folder = Path(self._folder.text().strip())
        try:
            return folder.expanduser()
        except RuntimeError:  # the home of nobody
            return folder

    @property
    def formats(self) -> tuple[str, ...]:
        """What to write."""
        return tuple(name for name, box in self._formats.items() if box.isChecked())

    @property
    def pages(self) -> tuple[PageId, ...]:
        """Which pages to write."""
        data = self._scope.currentData()
        return tuple(data) if data else ()

    @property
    def overwrite(self) -> bool:
        """Whether existing files may be replaced."""
        return self._overwrite.isChecked()

    @property
    def can_export(self) -> bool:
        """Whether nothing stands in the way."""
        return self._export.isEnabled()

    @property
    def reason(self) -> str:
        """Why nothing can be exported, or what will be replaced; empty if all is well."""
        return self._blocked.text()

    def choose_folder(self, folder: Path) -> None:
        """Write into another folder."""
        self._folder.setText(str(folder))

    def allow_overwriting(self) -> None:
        """Let existing files be replaced."""
        self._overwrite.setChecked(True)

    def _arrange(self, choose: QPushButton) -> None:
        grid = QGridLayout()
        grid.addWidget(QLabel(self.tr("Pages"), self), 0, 0)
        grid.addWidget(self._scope, 0, 1, 1, 2)
        grid.addWidget(QLabel(self.tr("Folder"), self), 1, 0)
        grid.addWidget(self._folder, 1, 1)
        grid.addWidget(choose, 1, 2)
        boxes = QGridLayout()
        for number, box in enumerate(self._formats.values()):
            boxes.addWidget(box, number // 2, number % 2)
        grid.addWidget(QLabel(self.tr("Formats"), self), 2, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(boxes, 2, 1, 1, 2)
        grid.addWidget(QLabel(self.tr("Files"), self), 3, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self._names, 3, 1, 1, 2)
        grid.addWidget(self._overwrite, 4, 1, 1, 2)
        grid.addWidget(self._findings, 5, 1, 1, 2)
        grid.addWidget(self._left_out, 6, 0, 1, 3)
        grid.addWidget(self._blocked, 7, 0, 1, 3)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(18, 16, 18, 14)
        whole.addLayout(grid)
        whole.addWidget(self._buttons)
        self.resize(620, 520)

    @property
    def findings(self) -> str:
        """Which accepted findings are written; empty if none are."""
        return self._findings.text()

    def _show_findings(self, plan: ExportPlan) -> None:
        said = [f"{name}: {', '.join(names)}" for name, names in plan.findings[:PREVIEWED_FINDINGS]]
        if len(plan.findings) > PREVIEWED_FINDINGS:
            said.append(self.tr("and of %d more pages") % (len(plan.findings) - PREVIEWED_FINDINGS))
        written = bool(said) and bool({"wfdb", "json"} & set(self.formats))
        self._findings.setText(self.tr("With the accepted findings, in report and header: ") + "; ".join(said) + "."
                               if written else "")  # fmt: skip
        self._findings.setVisible(written)

    def _choose(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self.tr("Export into"), self._folder.text())
        if name:
            self._folder.setText(name)

    def _refresh(self) -> None:
        plan = self._make_plan(self.pages, self.folder, self.formats)
        self._names.clear()
        existing = set(plan.existing)
        for path in plan.targets[:PREVIEWED]:
            self._names.addItem(f"{path.name}   {self.tr('(exists)')}" if path in existing else path.name)
        if len(plan.targets) > PREVIEWED:
            self._names.addItem(self.tr("and %d more") % (len(plan.targets) - PREVIEWED))
        reasons = [f"{name}: {reason}" for name, reason in plan.blocked]
        self._show_findings(plan)
        left_out = [f"{name}: {reason}" for name, reason in plan.left_out]
        self._left_out.setText(self.tr("Left out: ") + "; ".join(left_out[:4]))
        self._left_out.setVisible(bool(left_out))
        if reasons:
            text = self.tr("Blocked until it is answered: ") + "; ".join(reasons[:4])
        elif existing and not self.overwrite:
            text = self.tr("%d files exist already: choose another folder or allow replacing them.") % len(existing)
        elif not self._folder.text().strip():
            text = self.tr("Choose a folder.")
        elif not plan.targets:
            text = self.tr("Choose at least one page and one format.")
        else:
            text = ""
        self._blocked.setText(text)
        self._blocked.setVisible(bool(text))
        self._overwrite.setVisible(bool(existing))
        self._export.setEnabled(not text)
