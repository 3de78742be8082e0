"""Tables of patient values: what is read, what fits which page, and what is said about the rest."""

import csv
import io
import string
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.clinical import RANGES, UNKNOWN_PATIENT, Clinical
from ecgstudio.errors import InputError
from ecgstudio.io.clinical_table import Matching, match_rows, read_clinical_table

FULL = Clinical(63, "f", 168, 72.5, 140, 85, True)
HEADING = "Page;Age (years);Sex;Height [cm];Weight_kg;Systolic;Diastolic;Diabetes;Ward"


def table(folder: Path, text: str, name: str = "patients.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def matched(path: Path, **pages: Clinical) -> Matching:
    return match_rows(read_clinical_table(path), pages or {"ecg-1": UNKNOWN_PATIENT, "ecg-2": UNKNOWN_PATIENT})


def test_all_values_are_read_whatever_the_columns_order_units_and_decimal_sign(tmp_path: Path) -> None:
    read = read_clinical_table(table(tmp_path, f"{HEADING}\necg-1;63;Female;168;72,5;140;85;yes;3B\n"))
    [match] = match_rows(read, {"ecg-1": UNKNOWN_PATIENT}).matches
    assert match.after == FULL
    assert match.line == 2
    assert read.unused == ("Ward",)


def test_a_workbook_says_the_same_as_a_text_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["page", "age", "sex", "height", "weight", "blood pressure", "diabetes"])
    book.active.append(["ecg-1", 63, "f", 168.0, 72.5, "140/85", True])
    book.save(tmp_path / "patients.xlsx")
    [match] = matched(tmp_path / "patients.xlsx").matches
    assert match.after == FULL


@pytest.mark.parametrize("name", ["ecg-1", "ECG-1", "ecg-1.png", "scans/ecg-1.png", "C:\\scans\\ecg-1.TIF"])
def test_a_page_is_found_by_its_name_its_file_or_a_path(tmp_path: Path, name: str) -> None:
    [match] = matched(table(tmp_path, f"page,age\n{name},50\n")).matches
    assert (match.page, match.after.age_years) == ("ecg-1", 50)


def test_a_page_that_was_renamed_is_found_by_its_file(tmp_path: Path) -> None:
    read = read_clinical_table(table(tmp_path, "page,age\nscan_0007.png,50\n"))
    [match] = match_rows(read, {"ecg-1": UNKNOWN_PATIENT}, {"scan_0007.png": "ecg-1"}).matches
    assert match.page == "ecg-1"


def test_an_empty_cell_leaves_what_is_known(tmp_path: Path) -> None:
    path = table(tmp_path, "page,age,sex,diabetes\necg-1,64,,unknown\n")
    [match] = matched(path, **{"ecg-1": FULL}).matches
    assert match.after == Clinical(64, "f", 168, 72.5, 140, 85, True)


def test_pages_that_are_not_in_the_project_are_told(tmp_path: Path) -> None:
    found = matched(table(tmp_path, "page,age\necg-1,50\nother,51\n"))
    assert [row.page for row in found.strangers] == ["other"]
    assert len(found.matches) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("ecg-1;abc;f;;;;;;", "Row 2, column Age (years): 'abc' is not a number."),
        ("ecg-1;900;f;;;;;;", "Row 2, column Age (years): age must lie between 0 and 120 years, not 900."),
        ("ecg-1;50;x;;;;;;", "Row 2, column Sex: 'x' is neither f nor m."),
        ("ecg-1;50;f;;;;;perhaps;", "Row 2, column Diabetes: 'perhaps' is neither yes nor no."),
        ("ecg-1;inf;f;;;;;;", "Row 2, column Age (years): age must lie between 0 and 120 years, not inf."),
        (";50;f;;;;;;", "Row 2, column Page: the name of the page is missing."),
    ],
)
def test_a_cell_that_cannot_be_is_named_by_row_and_column(tmp_path: Path, row: str, said: str) -> None:
    found = matched(table(tmp_path, f"{HEADING}\n{row}\necg-2;40;m;;;;;;\n"))
    assert found.problems == (said,)
    assert [match.page for match in found.matches] == ["ecg-2"], "the good rows can be used all the same"


def test_a_blood_pressure_upside_down_names_both_columns(tmp_path: Path) -> None:
    [problem] = matched(table(tmp_path, f"{HEADING}\necg-1;;;;;80;120;;\n")).problems
    assert problem.startswith("Row 2, columns Systolic and Diastolic: diastolic blood pressure (120) must be below")


def test_a_value_that_contradicts_what_is_known_is_told(tmp_path: Path) -> None:
    [problem] = matched(table(tmp_path, "page,systolic\necg-1,80\n"), **{"ecg-1": FULL}).problems
    assert problem.startswith("Row 2, ecg-1: diastolic blood pressure (85) must be below")


def test_of_two_rows_for_one_page_neither_is_taken(tmp_path: Path) -> None:
    found = matched(table(tmp_path, "page,age\necg-1,50\necg-2,40\necg-1.png,51\n"))
    assert found.problems == ("Rows 2, 4: they are all about ecg-1; leave one of them.",)
    assert [match.page for match in found.matches] == ["ecg-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("page,age\n", "has a heading and no rows"),
        ("age,sex\n50,f\n", 'has no column with the names of the pages (call it "page")'),
        ("page,ward\necg-1,3B\n", "has no column with patient values"),
        ("page,age,Age (years)\necg-1,50,51\n", "columns age and Age (years): both are age"),
        ("page,age\necg-1,5\0\n", "is not a text table"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_clinical_table(table(tmp_path, text))
    assert said in str(error.value)
    assert "patients.csv" in str(error.value)


@pytest.mark.parametrize("name", ["patients.xlsx", "patients.doc", "missing.csv"])
def test_a_file_that_is_no_table_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    if name != "missing.csv":
        (tmp_path / name).write_bytes(b"PK\3\4 not a workbook")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_clinical_table(tmp_path / name)


def test_a_table_from_an_old_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes("page;age;Größe\r\necg-1;50;168\r\n".encode("cp1252"))
    read = read_clinical_table(path)
    assert read.rows[0].values == {"age_years": 50.0}
    assert read.unused == ("Größe",)


numbers = {name: st.none() | st.integers(int(low) + 1, int(high)) for name, (low, high) in RANGES.items()}
names = st.lists(
    st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=9), min_size=1, unique_by=str.casefold
)


@given(
    pages=names,
    clinical=st.fixed_dictionaries(
        {**numbers, "sex": st.sampled_from([None, "f", "m"]), "diabetes": st.sampled_from([None, True, False])}
    ),
    delimiter=st.sampled_from(",;\t"),
)
def test_what_a_table_says_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, pages: list[str], clinical: dict[str, object], delimiter: str
) -> None:
    try:
        wanted = Clinical(**clinical)  # type: ignore[arg-type]
    except ValueError:
        wanted = None  # a diastolic pressure above the systolic one
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["page", *clinical])
    cells = [{"None": "", "True": "yes", "False": "no"}.get(str(value), value) for value in clinical.values()]
    for page in pages:
        writer.writerow([page, *cells])
    read = read_clinical_table(table(tmp_path_factory.mktemp("table"), text.getvalue()))
    found = match_rows(read, dict.fromkeys(pages, UNKNOWN_PATIENT))
    if wanted is None:
        assert len(found.problems) == len(pages)
    else:
        assert {match.page: match.after for match in found.matches} == dict.fromkeys(pages, wanted)
        assert not found.problems


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("table") / "patients.csv"
    path.write_text(text, "utf-8", errors="ignore")
    said = ""
    try:
        match_rows(read_clinical_table(path), {"ecg-1": UNKNOWN_PATIENT})
    except InputError as error:
        said = str(error)
    assert not said or said.startswith("patients.csv")
