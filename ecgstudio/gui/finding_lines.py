"""Findings in words and numbers: what each class is called, how sure, how steady, and what a clinician said to it.

Pure functions and values; the panel shows them, the export dialog names them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from PySide6.QtCore import QCoreApplication

from ecgstudio.core.clinical import UNKNOWN_PATIENT, Clinical
from ecgstudio.core.corrections import DiagnosisEdit
from ecgstudio.core.diagnosis import Diagnosis
from ecgstudio.stages.classify import Steadiness

NAMES: Final = {
    "NORM": "Normal",
    "MI": "Myocardial infarction",
    "STTC": "ST/T change",
    "CD": "Conduction disturbance",
    "HYP": "Hypertrophy",
}
CAUSES: Final = {"scale": "the scale", "rotation": "the rotation", "trace": "the traces"}
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
SEXES: Final = {"f": "female", "m": "male"}


def tr(text: str) -> str:
    """Return a text of this module in the user's language."""
    return QCoreApplication.translate("findings", text)


def name_of(code: str) -> str:
    """Return what a class is called; a code that nobody gave a name stays as it is."""
    return tr(NAMES[code]) if code in NAMES else code


class Readiness(StrEnum):
    """What can be said about the numbers that are shown."""

    UNREAD = "unread"  # there is no record
    IMPOSSIBLE = "impossible"  # no classifier, or too little of the record is known
    WAITING = "waiting"  # for somebody to ask
    WORKING = "working"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A class with its probability (None: nobody computed one) and the answer ("accept", "reject", "open") to it.

    `low` and `high`: how far the probability moves when the page is read a little wrong; None until that is known.
    `before`: the probability before the last change. `cause`: what moves it most.
    """

    code: str
    probability: float | None
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    cause: str = ""
    before: float | None = None
    verdict: str = "open"
    comment: str = ""

    @property
    def found(self) -> bool:
        """Whether the probability reaches its threshold."""
        return self.probability is not None and self.threshold is not None and self.probability >= self.threshold

    @property
    def wavers(self) -> bool:
        """Whether small errors of reading would carry it over its threshold, either way."""
        if self.threshold is None or self.low is None or self.high is None:
            return False
        return self.low < self.threshold <= self.high

    @property
    def flipped(self) -> bool:
        """Whether the last change carried it over its threshold, either way."""
        if self.before is None or self.threshold is None or self.probability is None:
            return False
        return (self.before >= self.threshold) != self.found


@dataclass(frozen=True, slots=True)
class DiagnosisState:
    """All that the panel shows; `stale` numbers were worked out from something that has changed since."""

    readiness: Readiness = Readiness.UNREAD
    sentence: str = ""
    lines: tuple[FindingLine, ...] = ()
    stale: bool = False
    clinical: Clinical = UNKNOWN_PATIENT
    chosen: str = ""
    leads: tuple[tuple[str, float], ...] = ()

    @property
    def line(self) -> FindingLine | None:
        """The finding that is looked at."""
        return next((line for line in self.lines if line.code == self.chosen), None)


def lines_of(
    diagnosis: Diagnosis,
    thresholds: Mapping[str, float],
    steady: Mapping[str, Steadiness] | None,
    *,
    before: Mapping[str, float],
    edit: DiagnosisEdit | None,
) -> tuple[FindingLine, ...]:
    """Put numbers and answers together, the most probable first; what was answered is there even without a number."""
    answers = {finding.code: finding for finding in edit.findings} if edit is not None else {}
    probabilities: dict[str, float | None] = {finding.code: finding.probability for finding in diagnosis.findings}
    lines = []
    for code in [*probabilities, *(code for code in answers if code not in probabilities)]:
        moves, answer = (steady or {}).get(code), answers.get(code)
        lines.append(
            FindingLine(
                code,
                probabilities.get(code),
                thresholds.get(code),
                low=None if moves is None else moves.low,
                high=None if moves is None else moves.high,
                cause="" if moves is None else _main_cause(moves),
                before=before.get(code),
                verdict="open" if answer is None else answer.verdict,
                comment="" if answer is None else answer.comment,
            )
        )
    return tuple(sorted(lines, key=lambda line: -1.0 if line.probability is None else line.probability, reverse=True))


def _main_cause(moves: Steadiness) -> str:
    return max(moves.by_cause, key=lambda cause: moves.by_cause[cause][1] - moves.by_cause[cause][0], default="")


def percent(probability: float | None) -> str:
    """Write a probability; close to certainty it never says that it is certain."""
    if probability is None or not math.isfinite(probability):
        return "–"
    if probability < 0.01:
        return f"<{NO_BREAK}1{NO_BREAK}%"
    if probability > 0.99:
        return f">{NO_BREAK}99{NO_BREAK}%"
    return f"{100 * probability:.0f}{NO_BREAK}%"


def span(low: float, high: float) -> str:
    """Write a stretch of probabilities."""
    first, last = percent(low), percent(high)
    return first if first == last else tr("%s to %s") % (first, last)


def compared(line: FindingLine) -> str:
    """Say where a probability lies beside its threshold, and whether that is new."""
    if line.probability is None:
        return tr("Not worked out.")
    if line.threshold is None:
        return f"{percent(line.probability)}."
    words = tr("%s, above its threshold of %s.") if line.found else tr("%s, below its threshold of %s.")
    text = words % (percent(line.probability), percent(line.threshold))
    if line.flipped and line.before is not None:
        text += " " + tr("Before the last change it was %s.") % percent(line.before)
    return text


def steadiness_words(line: FindingLine) -> str:
    """Say how far small errors of reading move a probability."""
    if line.low is None or line.high is None:
        return ""
    if percent(line.low) == percent(line.high):
        return tr("It stays there when the page is read a little differently.")
    text = tr("%s when the page is read a little differently") % span(line.low, line.high)
    if line.cause:
        text += tr(", most of all by %s") % tr(CAUSES.get(line.cause, line.cause))
    return text + (tr(": not steady, it crosses the threshold.") if line.wavers else ".")


def answer_word(line: FindingLine) -> str:
    """Return the word for a clinician's answer; empty if there is none."""
    return {"accept": tr("accepted"), "reject": tr("rejected")}.get(line.verdict, "")


def spoken(line: FindingLine, *, stale: bool) -> str:
    """Say a line for those who do not see it."""
    parts = [f"{name_of(line.code)}: {compared(line)}", steadiness_words(line), answer_word(line), line.comment]
    if stale:
        parts.insert(1, tr("This is from before the last change."))
    return " ".join(part for part in parts if part)


def patient_words(clinical: Clinical) -> str:
    """Say what is known about a patient; empty if nothing is."""
    said = []
    if clinical.age_years is not None:
        said.append(tr("%g years") % clinical.age_years)
    if clinical.sex is not None:
        said.append(tr(SEXES[clinical.sex]))
    if clinical.height_cm is not None:
        said.append(f"{clinical.height_cm:g} cm")
    if clinical.weight_kg is not None:
        said.append(f"{clinical.weight_kg:g} kg")
    if clinical.systolic_mmhg is not None or clinical.diastolic_mmhg is not None:
        high, low = (
            "–" if value is None else f"{value:g}" for value in (clinical.systolic_mmhg, clinical.diastolic_mmhg)
        )
        said.append(f"{high}/{low} mmHg")
    if clinical.diabetes is not None:
        said.append(tr("diabetes") if clinical.diabetes else tr("no diabetes"))
    return ", ".join(said)


def accepted_names(edit: DiagnosisEdit | None) -> tuple[str, ...]:
    """Return what the findings are called that a clinician has accepted."""
    return tuple(name_of(f.code) for f in edit.findings if f.verdict == "accept") if edit is not None else ()
