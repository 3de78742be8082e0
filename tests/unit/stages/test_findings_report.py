"""What exports say of findings and patients: what was entered and accepted, and nothing else."""

from ecgstudio.core.clinical import UNKNOWN_PATIENT, Clinical
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections, DiagnosisEdit, FindingEdit
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.stages.classify import STATEMENT
from ecgstudio.stages.contract import Failed, Key, Outcome
from ecgstudio.stages.findings_report import clinical_section, diagnosis_section, header_comments

PATIENT = Clinical(61.5, "f", 170.0, 70.0, 140.0, 85.0, diabetes=False)
EDIT = DiagnosisEdit(
    (FindingEdit("MI", "accept", "old, inferior"), FindingEdit("HYP", "reject"), FindingEdit("CD", "accept"))
)
SAID = Diagnosis((Finding("MI", 0.81234, "fusion abc"), Finding("HYP", 0.5, "fusion abc")))


def outcome(auto: Diagnosis | Failed) -> Outcome[Diagnosis]:
    return Outcome(Key("diagnosis", "p", "w", "", "u"), auto, EDIT, auto, "")


def test_nothing_is_said_where_nothing_was_entered() -> None:
    assert header_comments(NO_CORRECTIONS) == {}
    assert clinical_section(UNKNOWN_PATIENT) is None
    assert diagnosis_section(outcome(SAID), None) is None


def test_the_header_names_what_was_entered_with_units() -> None:
    assert header_comments(Corrections(clinical=PATIENT)) == {
        "Age": "61.5",
        "Height": "170 cm",
        "Weight": "70 kg",
        "Systolic blood pressure": "140 mmHg",
        "Diastolic blood pressure": "85 mmHg",
        "Sex": "F",
        "Diabetes": "no",
    }


def test_the_header_names_accepted_findings_and_no_comment() -> None:
    comments = header_comments(Corrections(diagnosis=EDIT, comment="ask Dr Who"))
    assert comments == {"Accepted findings": "MI, CD", "Findings are": STATEMENT}


def test_rejected_findings_alone_leave_no_line() -> None:
    assert header_comments(Corrections(diagnosis=DiagnosisEdit((FindingEdit("MI", "reject"),)))) == {}


def test_the_report_tells_each_verdict_beside_the_probability() -> None:
    assert diagnosis_section(outcome(SAID), EDIT) == {
        "findings": [
            {"code": "MI", "verdict": "accept", "comment": "old, inferior", "probability": 0.8123},
            {"code": "HYP", "verdict": "reject", "comment": "", "probability": 0.5},
            {"code": "CD", "verdict": "accept", "comment": "", "probability": None},
        ],
        "model": "fusion abc",
        "not_classified": None,
        "statement": STATEMENT,
    }


def test_the_report_says_why_there_are_no_probabilities() -> None:
    section = diagnosis_section(outcome(Failed("diagnosis", "not classified: 3 leads")), EDIT)
    assert section["not_classified"] == "not classified: 3 leads"
    assert {finding["probability"] for finding in section["findings"]} == {None}
    assert section["model"] is None


def test_the_report_lists_only_values_that_were_entered() -> None:
    assert clinical_section(Clinical(sex="m")) == {"sex": "m"}
