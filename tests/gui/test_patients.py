"""Patient values by hand and from tables: checked, previewed, undone in one step, saved in the project."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtWidgets import QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from ecgstudio.core.clinical import UNKNOWN_PATIENT, Clinical
from ecgstudio.gui.patient_dialogs import PatientDialog, PatientTableDialog
from ecgstudio.io.clinical_table import ClinicalTable, Matching, match_rows, read_clinical_table
from ecgstudio.session import Session
from tests.gui.workstation import Bench, write_page

KNOWN = Clinical(63, "f", 168, 72.5, 140, 85, False)


@dataclass
class Answers:
    """Answers what the patients' dialogs ask, and remembers what they would have shown."""

    clinical: Clinical | None = None
    takes_table: bool = True
    asked: list[tuple[str, Clinical]] = field(default_factory=list)
    tables: list[Matching] = field(default_factory=list)

    def patient(self, page: str, clinical: Clinical) -> Clinical | None:
        self.asked.append((page, clinical))
        return self.clinical

    def use_table(self, table: ClinicalTable, matching: Matching) -> bool:
        self.tables.append(matching)
        return self.takes_table


@pytest.fixture
def answers(bench: Bench) -> Answers:
    bench.window.patients.questions = Answers()
    return bench.window.patients.questions


@pytest.fixture
def two_pages(bench: Bench, tmp_path: Path) -> Bench:
    bench.open(write_page(tmp_path / "ecg-1.png", seed=1), write_page(tmp_path / "ecg-2.png", seed=2))
    return bench


def clinical(bench: Bench) -> dict[str, Clinical]:
    session = bench.window.bridge.session
    return {entry.name: session.corrections(entry.id).clinical for entry in session.entries}


def write_table(folder: Path, text: str) -> Path:
    path = folder / "patients.csv"
    path.write_text(text)
    return path


# --- by hand -------------------------------------------------------------------------------------------------


def test_values_are_entered_undone_logged_and_saved(bench: Bench, answers: Answers, scan: Path, tmp_path: Path) -> None:
    bench.open(scan)
    answers.clinical = KNOWN
    bench.window.actions_["patient"].trigger()
    assert answers.asked == [("scan", UNKNOWN_PATIENT)]
    assert clinical(bench) == {"scan": KNOWN}
    assert bench.window.bridge.session.audit[-1].text == "Patient values"
    bench.window.bridge.session.save(tmp_path / "study.ecgproj")
    assert Session.load(tmp_path / "study.ecgproj").corrections(bench.page).clinical == KNOWN
    bench.window.bridge.undo.undo()
    assert clinical(bench) == {"scan": UNKNOWN_PATIENT}


def test_nothing_is_changed_by_thinking_better_of_it(bench: Bench, answers: Answers, scan: Path) -> None:
    bench.open(scan)
    before = len(bench.window.bridge.session.audit)
    bench.window.actions_["patient"].trigger()
    assert len(bench.window.bridge.session.audit) == before


def test_patient_values_neither_compute_the_page_nor_take_its_sign_off(
    bench: Bench, answers: Answers, scan: Path
) -> None:
    bench.open(scan)
    bench.window.bridge.review("accepted")
    answers.clinical = KNOWN
    bench.window.actions_["patient"].trigger()
    assert not bench.window.computer.is_busy
    assert bench.window.bridge.corrections.review is not None


@pytest.fixture
def dialog(qtbot: QtBot) -> PatientDialog:
    widget = PatientDialog("ecg-1", KNOWN)
    qtbot.addWidget(widget)
    return widget


def enter(dialog: PatientDialog, name: str, text: str) -> None:
    line = dialog.field(name)
    assert isinstance(line, QLineEdit)
    line.setText(text)


def test_the_dialog_shows_what_is_known_and_gives_it_back(dialog: PatientDialog) -> None:
    assert dialog.clinical == KNOWN
    assert dialog.can_accept


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("age_years", "old", "Age: “old” is not a number."),
        ("age_years", "200", "Age must lie between 0 and 120 years, not 200."),
        ("height_cm", "1.68", "Height must lie between 30 and 250 cm, not 1.68."),
        ("diastolic_mmhg", "150", "Diastolic blood pressure (150) must be below the systolic one (140)."),
    ],
)
def test_what_cannot_be_is_said_while_it_is_typed(dialog: PatientDialog, name: str, text: str, said: str) -> None:
    enter(dialog, name, text)
    assert dialog.problem == said
    assert not dialog.can_accept
    assert dialog.clinical is None
    enter(dialog, name, "")
    assert dialog.can_accept
    assert dialog.clinical is not None
    assert getattr(dialog.clinical, name) is None


def test_a_comma_is_a_decimal_sign_too(dialog: PatientDialog) -> None:
    enter(dialog, "weight_kg", "70,5")
    assert dialog.clinical is not None
    assert dialog.clinical.weight_kg == 70.5


def test_sex_and_diabetes_may_be_unknown(dialog: PatientDialog) -> None:
    for name, value in (("sex", "m"), ("diabetes", True), ("sex", None), ("diabetes", None)):
        box = dialog.field(name)
        assert isinstance(box, QComboBox)
        box.setCurrentIndex([box.itemData(row) for row in range(box.count())].index(value))
        assert dialog.clinical is not None
        assert getattr(dialog.clinical, name) == value


def test_every_field_has_a_name_for_those_who_do_not_see_it(dialog: PatientDialog) -> None:
    fields = dialog.findChildren(QLineEdit) + dialog.findChildren(QComboBox)
    assert len(fields) == 7
    assert all(field.accessibleName() for field in fields)


# --- from a table --------------------------------------------------------------------------------------------


def test_a_table_is_one_undo_step(two_pages: Bench, answers: Answers, tmp_path: Path) -> None:
    path = write_table(tmp_path, "page,age,sex\necg-1,63,f\necg-2.png,45,m\nother,1,f\n")
    two_pages.script.files = [path]
    two_pages.window.actions_["import-patients"].trigger()
    two_pages.settle()
    assert clinical(two_pages) == {"ecg-1": Clinical(63, "f"), "ecg-2": Clinical(45, "m")}
    assert [row.page for row in answers.tables[0].strangers] == ["other"]
    assert "pages changed: 2" in two_pages.said[0]
    two_pages.window.bridge.undo.undo()
    assert set(clinical(two_pages).values()) == {UNKNOWN_PATIENT}
    two_pages.window.bridge.undo.redo()
    assert clinical(two_pages)["ecg-2"] == Clinical(45, "m")
    texts = [record.text for record in two_pages.window.bridge.session.audit]
    assert texts.count("Patient values from patients.csv") == 2, "one line for each page"


def test_a_table_that_is_not_wanted_changes_nothing(two_pages: Bench, answers: Answers, tmp_path: Path) -> None:
    answers.takes_table = False
    two_pages.window.patients.import_from(write_table(tmp_path, "page,age\necg-1,63\n"))
    two_pages.settle()
    assert len(answers.tables) == 1
    assert set(clinical(two_pages).values()) == {UNKNOWN_PATIENT}


def test_undoing_a_table_keeps_what_was_said_of_other_pages_since(
    two_pages: Bench, answers: Answers, tmp_path: Path
) -> None:
    window = two_pages.window
    window.patients.import_from(write_table(tmp_path, "page,age\necg-1,63\necg-2,45\n"))
    two_pages.settle()
    first, second = (entry.id for entry in window.bridge.session.entries)
    window.bridge.show(second)
    two_pages.settle()
    window.bridge.comment("faint")
    window.bridge.show(first)
    two_pages.settle()
    window.bridge.undo.undo()
    assert window.bridge.session.corrections(second).comment == "faint"
    assert set(clinical(two_pages).values()) == {UNKNOWN_PATIENT}
    window.bridge.show(second)
    two_pages.settle()
    window.bridge.undo.undo()
    assert window.bridge.session.corrections(second).comment == ""
    assert set(clinical(two_pages).values()) == {UNKNOWN_PATIENT}, "the table's values do not come back with it"


def test_a_table_that_cannot_be_read_is_a_sentence(two_pages: Bench, answers: Answers, tmp_path: Path) -> None:
    two_pages.window.patients.import_from(write_table(tmp_path, "age\n5\n"))
    two_pages.settle()
    assert 'no column with the names of the pages (call it "page")' in two_pages.said[0]
    assert answers.tables == []


def test_a_table_that_says_nothing_new_says_so(two_pages: Bench, answers: Answers, tmp_path: Path) -> None:
    path = write_table(tmp_path, "page,age\necg-1,63\n")
    for _ in range(2):
        two_pages.window.patients.import_from(path)
        two_pages.settle()
    assert "nothing that is not known already" in two_pages.said[0]


def test_the_preview_tells_every_row(qtbot: QtBot, tmp_path: Path) -> None:
    text = "page,age,sex,ward\necg-1,63,f,3\necg-2,50,m,3\necg-3,40,,3\nother,30,f,3\necg-4,abc,f,3\n"
    table = read_clinical_table(write_table(tmp_path, text))
    known = {"ecg-1": UNKNOWN_PATIENT, "ecg-2": Clinical(49, "m"), "ecg-3": Clinical(40), "ecg-4": UNKNOWN_PATIENT}
    dialog = PatientTableDialog(table, match_rows(table, known))
    qtbot.addWidget(dialog)
    assert dialog.rows() == [
        ("2", "ecg-1", "63 years, female", "is added"),
        ("3", "ecg-2", "50 years, male", "replaces what is known"),
        ("4", "ecg-3", "40 years", "is known already"),
        ("5", "other", "", "no such page in this project"),
    ]
    assert dialog.problems == "Row 6, column age: 'abc' is not a number."
    assert dialog.summary == (
        "Pages that get new values: 2. Pages that have theirs already: 1. "
        "Rows about pages that are not in this project: 1. Rows that cannot be used: 1."
    )
    assert dialog.can_import


def test_a_table_that_fits_no_page_cannot_be_imported(qtbot: QtBot, tmp_path: Path) -> None:
    table = read_clinical_table(write_table(tmp_path, "page,age\nother,63\n"))
    dialog = PatientTableDialog(table, match_rows(table, {"ecg-1": UNKNOWN_PATIENT}))
    qtbot.addWidget(dialog)
    assert not dialog.can_import
