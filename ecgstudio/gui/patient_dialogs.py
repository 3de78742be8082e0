"""The dialogs about patients: their values, checked as they are typed, and what a table of them would change."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ecgstudio.core.clinical import RANGES, UNITS, Clinical
from ecgstudio.gui.finding_lines import patient_words
from ecgstudio.io.clinical_table import ClinicalTable, Matching

UNKNOWN: Final = "unknown"
NUMBERS: Final = {
    "age_years": "Age",
    "height_cm": "Height",
    "weight_kg": "Weight",
    "systolic_mmhg": "Blood pressure, systolic",
    "diastolic_mmhg": "Blood pressure, diastolic",
}
CHOICES: Final = {
    "sex": ("Sex", (("female", "f"), ("male", "m"))),
    "diabetes": ("Diabetes", (("no", False), ("yes", True))),
}
ORDER: Final = ("age_years", "sex", "height_cm", "weight_kg", "systolic_mmhg", "diastolic_mmhg", "diabetes")
FIELD_PX: Final = 120
SHOWN_ROWS: Final = 500


def tr(text: str) -> str:
    """Return a text of this module in the user's language."""
    return QCoreApplication.translate("patients", text)


class PatientDialog(QDialog):
    """The values of one patient; an empty field means that nobody knows. OK needs values that can be."""

    def __init__(self, page: str, clinical: Clinical, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Patient values: %s") % page)
        self._fields: dict[str, QLineEdit | QComboBox] = {}
        self._clinical: Clinical | None = clinical
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        for row, name in enumerate(ORDER):
            label, field = self._make(name, getattr(clinical, name))
            self._fields[name] = field
            field.setAccessibleName(label)
            field.setFixedWidth(FIELD_PX)
            title = QLabel(label, self)
            title.setBuddy(field)
            grid.addWidget(title, row, 0)
            grid.addWidget(field, row, 1)
            grid.addWidget(self._hint(name), row, 2)
        grid.setColumnStretch(2, 1)
        why = self.tr(
            "Age and sex are taken into account by the classifier; all values are saved in the project. Leave empty "
            "what nobody knows. Enter no name and no number of the patient."
        )
        words = QLabel(why, self)
        words.setObjectName("fact-label")
        words.setWordWrap(True)
        self._problem = QLabel(self)
        self._problem.setObjectName("blocked")
        self._problem.setWordWrap(True)
        self._problem.setAccessibleName(self.tr("What is wrong"))
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel, self)
        self._ok = buttons.button(kinds.Ok)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.setSpacing(12)
        column.addWidget(words)
        column.addLayout(grid)
        column.addWidget(self._problem)
        column.addWidget(buttons)
        self.setMinimumWidth(430)
        self._check()

    @property
    def clinical(self) -> Clinical | None:
        """The values; None if they cannot be."""
        return self._clinical

    @property
    def problem(self) -> str:
        """What is wrong with the values; empty if nothing is."""
        return self._problem.text()

    @property
    def can_accept(self) -> bool:
        """Whether OK may be pressed."""
        return self._ok.isEnabled()

    def field(self, name: str) -> QLineEdit | QComboBox:
        """Return the field of a value, by the name of `Clinical`'s field."""
        return self._fields[name]

    def _make(self, name: str, value: object) -> tuple[str, QLineEdit | QComboBox]:
        if name in NUMBERS:
            line = QLineEdit("" if value is None else f"{value:g}", self)
            line.setPlaceholderText(tr(UNKNOWN))
            line.setAlignment(Qt.AlignmentFlag.AlignRight)
            line.textChanged.connect(self._check)
            return tr(NUMBERS[name]), line
        label, choices = CHOICES[name]
        box = QComboBox(self)
        box.addItem(tr(UNKNOWN), None)
        for words, choice in choices:
            box.addItem(tr(words), choice)
            if choice == value and value is not None:
                box.setCurrentIndex(box.count() - 1)
        box.currentIndexChanged.connect(self._check)
        return tr(label), box

    def _hint(self, name: str) -> QLabel:
        hint = QLabel(self)
        hint.setObjectName("fact-label")
        if name in RANGES:
            low, high = RANGES[name]
            hint.setText(f"{tr(UNITS[name])}   ({low:g} – {high:g})")
        return hint

    def _check(self) -> None:
        """Say at once what cannot be."""
        values: dict[str, object] = {}
        problem = ""
        for name, field in self._fields.items():
            if isinstance(field, QComboBox):
                values[name] = field.currentData()
                continue
            text = field.text().strip().replace(",", ".")
            try:
                values[name] = float(text) if text else None
            except ValueError:
                problem = problem or self.tr("%s: “%s” is not a number.") % (tr(NUMBERS[name]), field.text().strip())
        if not problem:
            try:
                self._clinical = Clinical(**values)  # type: ignore[arg-type]  # it checks its values itself
            except ValueError as error:
                problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
        if problem:
            self._clinical = None
        self._problem.setText(problem)
        self._ok.setEnabled(not problem)


class PatientTableDialog(QDialog):
    """What a table would change, page by page, and every row that cannot be used."""

    def __init__(self, table: ClinicalTable, matching: Matching, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Import patient values from %s") % table.path.name)
        changed = [match for match in matching.matches if match.before != match.after]
        same = len(matching.matches) - len(changed)
        self.summary = self._summary(len(changed), same, len(matching.strangers), len(matching.problems))
        head = QLabel(self.summary, self)
        head.setWordWrap(True)
        self._rows = QTreeWidget(self)
        self._rows.setAccessibleName(self.tr("What the table says, page by page"))
        self._rows.setHeaderLabels([self.tr("Row"), self.tr("Page"), self.tr("Values"), self.tr("What happens")])
        self._rows.setRootIsDecorated(False)
        self._rows.setAllColumnsShowFocus(True)
        self._rows.setUniformRowHeights(True)
        self._rows.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self._rows.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for match in matching.matches:
            new = match.before != match.after
            replaced = new and any(
                getattr(match.before, name) not in (None, getattr(match.after, name)) for name in ORDER
            )
            word = self.tr("is added") if new else self.tr("is known already")
            word = self.tr("replaces what is known") if replaced else word
            self._add(str(match.line), match.page, patient_words(match.after), word)
        for row in matching.strangers:
            self._add(str(row.line), row.page, "", self.tr("no such page in this project"))
        problems = QLabel("\n".join(matching.problems[:8]), self)
        problems.setObjectName("blocked")
        problems.setWordWrap(True)
        problems.setVisible(bool(matching.problems))
        problems.setAccessibleName(self.tr("Rows that cannot be used"))
        self.problems = problems.text()
        if len(matching.problems) > 8:
            problems.setText(self.problems + "\n" + self.tr("and %d more") % (len(matching.problems) - 8))
        unused = QLabel(self.tr("Columns that are not used: %s") % ", ".join(table.unused), self)
        unused.setObjectName("fact-label")
        unused.setWordWrap(True)
        unused.setVisible(bool(table.unused))
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Cancel, self)
        self._take = buttons.addButton(self.tr("Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._take.setEnabled(bool(changed))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.setSpacing(10)
        column.addWidget(head)
        column.addWidget(problems)
        column.addWidget(self._rows, 1)
        column.addWidget(unused)
        foot = QHBoxLayout()
        undo = QLabel(self.tr("One undo takes all of it back."), self)
        undo.setObjectName("fact-label")
        foot.addWidget(undo, 1)
        foot.addWidget(buttons)
        column.addLayout(foot)
        self.resize(760, 460)

    @property
    def can_import(self) -> bool:
        """Whether there is anything to import."""
        return self._take.isEnabled()

    def rows(self) -> list[tuple[str, ...]]:
        """Return what the table shows."""
        items = (self._rows.topLevelItem(at) for at in range(self._rows.topLevelItemCount()))
        return [tuple(item.text(column) for column in range(4)) for item in items if item is not None]

    def _add(self, *cells: str) -> None:
        if self._rows.topLevelItemCount() < SHOWN_ROWS:
            self._rows.addTopLevelItem(QTreeWidgetItem(list(cells)))

    def _summary(self, changed: int, same: int, strangers: int, problems: int) -> str:
        said = [self.tr("Pages that get new values: %d.") % changed]
        if same:
            said.append(self.tr("Pages that have theirs already: %d.") % same)
        if strangers:
            said.append(self.tr("Rows about pages that are not in this project: %d.") % strangers)
        if problems:
            said.append(self.tr("Rows that cannot be used: %d.") % problems)
        return " ".join(said)


class PatientQuestions:
    """Asks in these dialogs over a window."""

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent

    def patient(self, page: str, clinical: Clinical) -> Clinical | None:
        """Return the values of a page's patient; None if the user thought better of it."""
        dialog = PatientDialog(page, clinical, self._parent)
        answer = dialog.clinical if dialog.exec() else None
        dialog.deleteLater()
        return answer

    def use_table(self, table: ClinicalTable, matching: Matching) -> bool:
        """Show what a table would change, and return whether it may."""
        dialog = PatientTableDialog(table, matching, self._parent)
        answer = bool(dialog.exec())
        dialog.deleteLater()
        return answer
