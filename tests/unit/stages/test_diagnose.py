"""A diagnosis beside the pipeline: computed on demand, never in the way of a page, with the clinician's word on top."""

import numpy as np
import pytest

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections, DiagnosisEdit, FindingEdit
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.page import PageId
from ecgstudio.errors import UserError
from ecgstudio.stages.contract import Failed, FloatMap, Key, Outcome, State, content_digest
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, diagnose
from tests.fake_classifier import CODES, FakeClassifier, NoClassifier

PAGE = PageId("0" * 64, 0)
ACCEPTED = DiagnosisEdit((FindingEdit("MI", "accept"), FindingEdit("NORM", "reject", "see V2")))


class Counting(FakeClassifier):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        self.asked += 1
        return super().classify(signal, mask, clinical)


class Damaged(FakeClassifier):
    """Has weights that turn out to be damaged."""

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        raise UserError("The weights are damaged.")


def read(record: EcgRecord | Failed, *, name: str = "r1") -> Analysis:
    """An analysis of which only the record is known."""
    key = Key("record", str(PAGE), "", "", name)
    return Analysis(record=Outcome(key, record, None, record, content_digest((name, record))))


@pytest.fixture
def record() -> EcgRecord:
    mv = np.sin(np.arange(5000) / 40) * np.linspace(0.3, 1, 12)[:, None]
    return EcgRecord(mv, 500.0)


def outcome(analysis: Analysis) -> Outcome[object]:
    assert analysis.diagnosis is not None
    return analysis.diagnosis


def reason(analysis: Analysis) -> str:
    value = outcome(analysis).value
    assert isinstance(value, Failed)
    return value.reason


def test_a_record_gets_its_diagnosis(record: EcgRecord) -> None:
    found = diagnose(PAGE, NO_CORRECTIONS, analysis=read(record), runtime=FakeClassifier())
    assert outcome(found).state is State.AUTOMATIC
    assert [finding.code for finding in outcome(found).value.findings] == list(CODES)


def test_the_same_record_is_classified_once(record: EcgRecord) -> None:
    counting = Counting()
    once = diagnose(PAGE, NO_CORRECTIONS, analysis=read(record), runtime=counting)
    assert diagnose(PAGE, NO_CORRECTIONS, analysis=once, runtime=counting).diagnosis is once.diagnosis
    diagnose(PAGE, Corrections(comment="faint", diagnosis=ACCEPTED), analysis=once, runtime=counting)
    assert counting.asked == 1


@pytest.mark.parametrize("change", ["patient", "record", "weights"])
def test_what_the_answer_depends_on_asks_anew(record: EcgRecord, change: str) -> None:
    counting = Counting()
    analysis = diagnose(PAGE, NO_CORRECTIONS, analysis=read(record), runtime=counting)
    corrections, runtime = NO_CORRECTIONS, counting
    if change == "patient":
        corrections = Corrections(clinical=Clinical(age_years=70.0))
    elif change == "record":
        analysis = Analysis(record=read(record, name="r2").record, diagnosis=analysis.diagnosis)
    else:

        class Newer(Counting):
            classifier = "fake ffff"

        runtime = Newer()
    before = outcome(analysis)
    after = outcome(diagnose(PAGE, corrections, analysis=analysis, runtime=runtime))
    assert after.key != before.key
    assert counting.asked + (runtime.asked if runtime is not counting else 0) == 2


def test_the_clinicians_word_lies_on_top_and_the_answer_stays_beneath(record: EcgRecord) -> None:
    found = outcome(diagnose(PAGE, Corrections(diagnosis=ACCEPTED), analysis=read(record), runtime=FakeClassifier()))
    assert found.state is State.CORRECTED
    assert (found.value.probability("MI"), found.value.probability("NORM")) == (1.0, 0.0)
    assert 0 < found.auto.probability("MI") < 1


def test_a_page_without_a_record_says_what_it_waits_for() -> None:
    failed = Failed("record", "no lead was read")
    for analysis in (EMPTY_ANALYSIS, read(failed)):
        found = diagnose(PAGE, NO_CORRECTIONS, analysis=analysis, runtime=FakeClassifier())
        assert reason(found) == "not classified: there is no record"


def test_weights_without_a_classifier_are_an_answer(record: EcgRecord) -> None:
    found = diagnose(PAGE, NO_CORRECTIONS, analysis=read(record), runtime=NoClassifier())
    assert reason(found) == "not classified: The network weights hold no classifier."
    later = diagnose(PAGE, NO_CORRECTIONS, analysis=found, runtime=FakeClassifier())
    assert outcome(later).state is State.AUTOMATIC


def test_damaged_weights_are_an_answer(record: EcgRecord) -> None:
    found = diagnose(PAGE, NO_CORRECTIONS, analysis=read(record), runtime=Damaged())
    assert reason(found) == "not classified: The weights are damaged."


def test_too_few_leads_are_an_answer(record: EcgRecord) -> None:
    few = EcgRecord(record.mv[:3], 500.0, ("I", "II", "III"))
    assert "not classified: 3 leads" in reason(
        diagnose(PAGE, NO_CORRECTIONS, analysis=read(few), runtime=FakeClassifier())
    )


def test_no_answer_fails_the_page(record: EcgRecord) -> None:
    found = diagnose(PAGE, NO_CORRECTIONS, analysis=read(record), runtime=NoClassifier())
    assert found.failure is None
    assert [stage.value for stage, _ in found.outcomes()] == ["record"]


def test_a_clinician_may_judge_what_nobody_classified(record: EcgRecord) -> None:
    found = outcome(diagnose(PAGE, Corrections(diagnosis=ACCEPTED), analysis=read(record), runtime=NoClassifier()))
    assert isinstance(found.auto, Failed)
    assert found.value.probability("MI") == 1.0
