"""What is written about findings and the patient: header comments and sections of the JSON report.

Only what somebody entered is written, and only findings that a clinician took a stand on.
"""

from __future__ import annotations

from ecgstudio.core.clinical import LABELS, UNITS, Clinical
from ecgstudio.core.corrections import Corrections, DiagnosisEdit
from ecgstudio.core.diagnosis import Diagnosis
from ecgstudio.stages.classify import STATEMENT
from ecgstudio.stages.contract import Failed, Outcome


def header_comments(corrections: Corrections) -> dict[str, object]:
    """Return the lines for a record's header: the patient's values, and the codes that a clinician accepted."""
    clinical, edit = corrections.clinical, corrections.diagnosis
    comments: dict[str, object] = {}
    for name, value in clinical.entered.items():
        if name in UNITS:
            unit = "" if name == "age_years" else f" {UNITS[name]}"
            comments[LABELS[name].capitalize()] = f"{value:g}{unit}"
    if clinical.sex is not None:
        comments["Sex"] = clinical.sex.upper()
    if clinical.diabetes is not None:
        comments["Diabetes"] = "yes" if clinical.diabetes else "no"
    accepted = [finding.code for finding in edit.findings if finding.verdict == "accept"] if edit else []
    if accepted:
        comments["Accepted findings"] = ", ".join(accepted)
        comments["Findings are"] = STATEMENT
    return comments


def clinical_section(clinical: Clinical) -> object:
    """Return what was entered about the patient; None if nothing was."""
    return clinical.entered or None


def diagnosis_section(outcome: Outcome[Diagnosis] | None, edit: DiagnosisEdit | None) -> object:
    """Return the findings that a clinician judged, each beside the classifier's probability; None if there are none."""
    if edit is None or not edit.findings:
        return None
    auto = None if outcome is None or isinstance(outcome.auto, Failed) else outcome.auto
    by_code = {finding.code: finding for finding in auto.findings} if auto is not None else {}
    return {
        "findings": [
            {
                "code": said.code,
                "verdict": said.verdict,
                "comment": said.comment,
                "probability": round(by_code[said.code].probability, 4) if said.code in by_code else None,
            }
            for said in edit.findings
        ],
        "model": next((finding.source for finding in by_code.values()), None),
        "not_classified": outcome.auto.reason if outcome is not None and isinstance(outcome.auto, Failed) else None,
        "statement": STATEMENT,
    }
