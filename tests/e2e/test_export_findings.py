"""Accepted findings and a patient's values on their way out of a project: header, report, replay."""

import json
from pathlib import Path

import wfdb

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import Corrections, DiagnosisEdit, FindingEdit
from ecgstudio.session import Session
from ecgstudio.stages.classify import STATEMENT
from tests.e2e.command_line import Run, contents, draw, project

JUDGED = Corrections(
    diagnosis=DiagnosisEdit((FindingEdit("MI", "accept", "seen before"), FindingEdit("HYP", "reject"))),
    clinical=Clinical(age_years=61.0, sex="f", diabetes=True),
)


def test_the_header_carries_what_was_entered_and_accepted(classifying: Run, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), JUDGED))
    assert classifying("export", path, "-o", tmp_path / "out")[0] == 0
    comments = wfdb.rdheader(str(tmp_path / "out" / "a")).comments
    for line in ("Age: 61", "Sex: F", "Diabetes: yes", "Accepted findings: MI", f"Findings are: {STATEMENT}"):
        assert line in comments
    assert not [line for line in comments if "HYP" in line or "seen before" in line or "eight" in line]


def test_the_report_carries_verdicts_comments_and_probabilities(classifying: Run, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), JUDGED))
    classifying("export", path, "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert report["clinical"] == {"age_years": 61.0, "sex": "f", "diabetes": True}
    diagnosis = report["diagnosis"]
    assert [(said["code"], said["verdict"], said["comment"]) for said in diagnosis["findings"]] == [
        ("MI", "accept", "seen before"),
        ("HYP", "reject", ""),
    ]
    assert all(0 < said["probability"] < 1 for said in diagnosis["findings"])
    assert (diagnosis["model"], diagnosis["statement"]) == ("fake 0123456789ab", STATEMENT)
    assert "age" not in json.dumps(report["corrections"])


def test_a_page_that_nobody_judged_carries_nothing(classifying: Run, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), Corrections(comment="faint")))
    classifying("export", path, "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (report["clinical"], report["diagnosis"]) == (None, None)
    comments = wfdb.rdheader(str(tmp_path / "out" / "a")).comments
    assert not [line for line in comments if line.startswith(("Age", "Sex", "Accepted", "Findings"))]


def test_replay_says_the_same(classifying: Run, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), JUDGED))
    classifying("export", path, "-o", tmp_path / "one")
    assert classifying("replay", path, "-o", tmp_path / "two")[0] == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_old_weights_export_the_verdicts_without_probabilities(run: Run, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), JUDGED))
    assert run("export", path, "-o", tmp_path / "out")[0] == 0
    diagnosis = json.loads((tmp_path / "out" / "a.json").read_text())["diagnosis"]
    assert diagnosis["not_classified"] == "not classified: The network weights hold no classifier."
    assert [said["probability"] for said in diagnosis["findings"]] == [None, None]


def test_the_patients_values_are_saved_undone_and_logged_as_all_corrections_are(tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), JUDGED))
    session = Session.load(path)
    [entry] = session.entries
    assert session.corrections(entry.id) == JUDGED
    assert "age_years" in json.dumps([record.after for record in session.audit])
    change = session.set_corrections(entry.id, Corrections(clinical=Clinical(sex="m")), text="sex")
    assert not change.stages  # no page is read again because somebody typed an age
    session.set_corrections(entry.id, JUDGED, text="undo")
    assert session.corrections(entry.id) == JUDGED


def test_a_project_from_before_there_were_patients_loads(tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), Corrections(comment="faint")))
    text = path.read_text()
    start = text.index(', "clinical": {')
    old = text[:start] + text[text.index("}", start) + 1 :]
    path.write_text(old)
    session = Session.load(path)
    assert session.corrections(session.entries[0].id) == Corrections(comment="faint")


def test_a_patient_that_cannot_be_makes_a_damaged_project_and_no_crash(run: Run, tmp_path: Path) -> None:
    path = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), JUDGED))
    path.write_text(path.read_text().replace('"age_years": 61.0', '"age_years": 610.0'))
    code, _, err = run("export", path, "-o", tmp_path / "out")
    assert code == 1
    assert err.startswith("ecgstudio: p.ecgproj is damaged and cannot be opened as it is.")
    assert err.count("\n") == 1
