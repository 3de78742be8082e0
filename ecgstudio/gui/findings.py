"""What the classifier says about the page in front, worked out behind the window, and what a clinician answers to it.

A number that was worked out from other traces, or for another patient, is never shown as if it were up to date.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from PySide6.QtCore import QObject, Signal

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import NO_CORRECTIONS, DiagnosisEdit, FindingEdit
from ecgstudio.core.diagnosis import Diagnosis
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.page import PageId
from ecgstudio.errors import UserError
from ecgstudio.gui.attribution import Attribution, attribution_of
from ecgstudio.gui.bridge import Bridge
from ecgstudio.gui.computing import Computer
from ecgstudio.gui.facts import sentence_of, value_of
from ecgstudio.gui.finding_lines import DiagnosisState, Readiness, lines_of, name_of
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, JobStatus, Pool
from ecgstudio.stages.classify import Steadiness, classify_record, explain, steadiness, thresholds
from ecgstudio.stages.contract import Runtime, StageError

FINDINGS: Final = "findings"
ATTRIBUTION: Final = JobKey("attribution")
KEPT_PAGES: Final = 500
NOTHING_SAID: Final = Diagnosis()

Inputs = tuple[str, Clinical, str]
"""What an answer depends on: the record by its content, the patient, and the classifier."""


@dataclass(frozen=True, slots=True)
class Classified:
    """What the classifier says of a record; `problem` says in a sentence why it says nothing."""

    diagnosis: Diagnosis = NOTHING_SAID
    thresholds: Mapping[str, float] | None = None
    steady: Mapping[str, Steadiness] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """An answer, what it was worked out from, the probabilities that stood there before, and whether all is said."""

    inputs: Inputs
    classified: Classified
    before: Mapping[str, float]
    complete: bool


def classify(record: EcgRecord, clinical: Clinical, runtime: Runtime, status: JobStatus) -> Classified:
    """Classify a record, hand that over, and find out how far the answer moves when the page is read a little wrong."""
    status.checkpoint(0.0)
    try:
        said = Classified(classify_record(record, clinical, runtime=runtime), thresholds(runtime))
        status.partial(said)
        status.checkpoint(0.2)
        return replace(said, steady=steadiness(record, clinical, runtime=runtime))
    except StageError as error:
        return Classified(problem=" ".join(sentence_of(part) for part in (error.reason, error.hint) if part))


class Findings(QObject):
    """Has the page in front classified, remembers what was said of others, and takes answers as undoable edits.

    `at_once` tells whether pages are classified as soon as they are read; if not, somebody has to ask for it.
    """

    changed = Signal()
    attributed = Signal(object)  # Attribution of the chosen finding; None: nothing to draw
    said = Signal(str)

    def __init__(
        self,
        bridge: Bridge,
        *,
        runner: JobRunner,
        computer: Computer,
        at_once: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._runner, self._computer, self._at_once = bridge, runner, computer, at_once
        self._known: OrderedDict[PageId, Known] = OrderedDict()
        self._asked: PageId | None = None
        self._stopped: Inputs | None = None
        self._working_on: tuple[PageId, Inputs] | None = None
        self._chosen = ""
        self._attribution: Attribution | None = None
        self._attributed_to: tuple[PageId, Inputs, str] | None = None
        bridge.changed.connect(self.follow)
        bridge.shown.connect(self._show_page)
        bridge.computed.connect(self.follow)
        bridge.sessionReplaced.connect(self._forget_all)
        computer.ready.connect(self.follow)
        computer.unavailable.connect(self.follow)

    # --- what there is ---------------------------------------------------------------------------------------

    @property
    def chosen(self) -> str:
        """The code of the finding that is looked at; empty if none is."""
        return self._chosen

    @property
    def is_working(self) -> bool:
        """Whether an answer for the page in front is under way."""
        return self._working_on is not None

    def state(self) -> DiagnosisState:
        """Return all that is shown about the page in front."""
        readiness, sentence = self._readiness()
        page = self._front()
        known = self._known.get(page) if page is not None else None
        corrections = self._bridge.session.corrections(page) if page is not None else NO_CORRECTIONS
        said = known.classified if known is not None else Classified()
        lines = lines_of(
            said.diagnosis,
            said.thresholds or {},
            said.steady,
            before=known.before if known is not None else {},
            edit=corrections.diagnosis,
        )
        leads = self._attribution.main_leads() if self._attribution is not None else ()
        return DiagnosisState(
            readiness, sentence, lines, bool(said.diagnosis.findings) and readiness is not Readiness.READY,
            corrections.clinical, self._chosen, leads,
        )  # fmt: skip

    def _front(self) -> PageId | None:
        """Return the page in front; None while it is being taken out."""
        page = self._bridge.current
        return page if page is not None and page in self._bridge.session else None

    def _readiness(self) -> tuple[Readiness, str]:
        bridge, page = self._bridge, self._front()
        if page is None:
            return Readiness.UNREAD, ""
        if self._computer.runtime is None:
            if self._computer.is_hopeless:
                return Readiness.IMPOSSIBLE, self.tr("Without the networks nothing can be classified.")
            return Readiness.WORKING, self.tr("The networks are being loaded.")
        inputs = self._inputs(page)
        analysis = bridge.session.analysis(page)
        if inputs is None:
            if bridge.is_computing(page):
                return Readiness.WORKING, self.tr("The page is being read.")
            if analysis.failure is not None:
                return Readiness.UNREAD, self.tr("The page could not be read, so there is no record to classify.")
            return Readiness.UNREAD, self.tr("The page has not been read yet, so there is no record to classify.")
        if not inputs[2]:
            return Readiness.IMPOSSIBLE, self.tr(
                "The installed networks hold no classifier; pages are read all the same."
            )
        known = self._known.get(page)
        if known is not None and known.inputs == inputs and not bridge.is_computing(page):
            if known.classified.problem:
                return Readiness.IMPOSSIBLE, known.classified.problem
            return Readiness.READY, ""
        if self._working_on is not None:
            return Readiness.WORKING, self.tr("Being worked out.")
        if bridge.is_computing(page):
            return Readiness.WORKING, self.tr("The page is being read again.")
        return Readiness.WAITING, ""

    def _inputs(self, page: PageId) -> Inputs | None:
        """Return what an answer for the page depends on; None if there is no record."""
        outcome, runtime = self._bridge.session.analysis(page).record, self._computer.runtime
        if outcome is None or value_of(outcome) is None or runtime is None:
            return None
        return outcome.digest, self._bridge.session.corrections(page).clinical, classifier_of(runtime)

    # --- working it out --------------------------------------------------------------------------------------

    def follow(self, _: object = None) -> None:
        """Work out what is not known, drop what nobody wants any more, and tell."""
        page = self._front()
        inputs = self._inputs(page) if page is not None else None
        busy = page is not None and self._bridge.is_computing(page)  # with a record that will soon be another one
        if self._working_on is not None and (busy or self._working_on != (page, inputs)):
            self._drop_work()
        if page is not None and inputs is not None and self._is_wanted(page, inputs):
            self._work(page, inputs)
        self._follow_attribution(page, inputs)
        self.changed.emit()

    def ask(self) -> None:
        """Work the findings of the page in front out anew, whatever the preference says."""
        page = self._front()
        if page is not None:
            self._asked, self._stopped = page, None
            known = self._known.get(page)
            if known is not None and known.inputs == self._inputs(page):
                self._known[page] = replace(known, inputs=("", *known.inputs[1:]))
            self._drop_work()
            self.follow()

    def stop(self) -> None:
        """Let it be; it is worked out again when something changes or somebody asks."""
        if self._working_on is not None:
            self._stopped, self._asked = self._working_on[1], None
            self._drop_work()
            self.changed.emit()

    def _is_wanted(self, page: PageId, inputs: Inputs) -> bool:
        known = self._known.get(page)
        if not inputs[2] or self._working_on is not None:
            return False
        if known is not None and known.inputs == inputs and known.complete:
            return False
        if self._bridge.is_computing(page) or self._stopped == inputs:
            return False
        return self._at_once() or self._asked == page

    def _work(self, page: PageId, inputs: Inputs) -> None:
        record, runtime = value_of(self._bridge.session.analysis(page).record), self._computer.runtime
        if record is None or runtime is None:
            return
        self._working_on = page, inputs

        def take(said: Classified, *, complete: bool) -> None:
            self._take(page, inputs, said, complete=complete)

        self._runner.submit(
            Job(
                JobKey(FINDINGS, str(page)),
                lambda status: classify(record, inputs[1], runtime, status),
                lambda said: take(said, complete=True),
                lambda sentence: take(Classified(problem=sentence), complete=True),
                lambda said: take(said, complete=False),
                pool=Pool.CLASSIFY,
            )
        )

    def _take(self, page: PageId, inputs: Inputs, said: Classified, *, complete: bool) -> None:
        old = self._known.get(page)
        if old is not None and old.inputs == inputs:
            before = old.before
        else:
            before = {f.code: f.probability for f in old.classified.diagnosis.findings} if old is not None else {}
        self._known[page] = Known(inputs, said, before, complete)
        self._known.move_to_end(page)
        while len(self._known) > KEPT_PAGES:
            self._known.popitem(last=False)
        if complete:
            self._working_on = None
        self.follow()

    def _drop_work(self) -> None:
        if self._working_on is not None:
            page, self._working_on = self._working_on[0], None
            self._runner.cancel(JobKey(FINDINGS, str(page)))

    def _show_page(self, _: object) -> None:
        self._asked = None
        self.follow()

    def _forget_all(self) -> None:
        self._known.clear()
        self._asked = self._stopped = None

    # --- the finding that is looked at -----------------------------------------------------------------------

    def choose(self, code: str) -> None:
        """Look at a finding: what drove it is drawn; "": at none."""
        if code != self._chosen:
            self._chosen = code
            self.follow()

    def choose_next(self, by: int) -> None:
        """Look at the next finding down the list (-1: up)."""
        codes = [line.code for line in self.state().lines]
        if codes:
            first = 0 if by > 0 else len(codes) - 1
            at = (codes.index(self._chosen) + by) % len(codes) if self._chosen in codes else first
            self.choose(codes[at])

    def _follow_attribution(self, page: PageId | None, inputs: Inputs | None) -> None:
        known = self._known.get(page) if page is not None else None
        there = known is not None and known.inputs == inputs and not known.classified.problem
        wanted = None
        if page is not None and inputs is not None and there and self._chosen and not self._bridge.is_computing(page):
            wanted = page, inputs, self._chosen
        if wanted == self._attributed_to:
            return
        self._attributed_to = wanted
        self._runner.cancel(ATTRIBUTION)
        self._set_attribution(None)  # what drove another answer must not stay on these traces
        if wanted is None or page is None or inputs is None:
            return
        record, runtime, code = (
            value_of(self._bridge.session.analysis(page).record),
            self._computer.runtime,
            self._chosen,
        )
        if (
            record is None
            or runtime is None
            or code not in {f.code for f in self._known[page].classified.diagnosis.findings}
        ):
            return

        def work(status: JobStatus) -> Attribution:
            status.checkpoint(0.0)
            return attribution_of(code, explain(record, inputs[1], code, runtime=runtime), record)

        self._runner.submit(Job(ATTRIBUTION, work, self._take_attribution, self._miss_attribution, pool=Pool.CLASSIFY))

    def _take_attribution(self, attribution: Attribution) -> None:
        self._set_attribution(attribution)
        self.changed.emit()

    def _miss_attribution(self, sentence: str) -> None:
        self.said.emit(self.tr("What drove the finding could not be worked out: %s") % sentence)

    def _set_attribution(self, attribution: Attribution | None) -> None:
        if attribution is not self._attribution:
            self._attribution = attribution
            self.attributed.emit(attribution)

    # --- answers ---------------------------------------------------------------------------------------------

    def answer_of(self, code: str) -> FindingEdit | None:
        """Return what a clinician said about a finding of the page in front."""
        edit = self._bridge.corrections.diagnosis
        return next((f for f in edit.findings if f.code == code), None) if edit is not None else None

    def answer(self, code: str, verdict: str) -> None:
        """Accept or reject a finding of the page in front ("accept", "reject"); the same answer again takes it back."""
        said = self.answer_of(code)
        name = name_of(code)
        if said is not None and said.verdict == verdict:
            text = self.tr("Take the answer back: %s") % name
            self._put(code, FindingEdit(code, "open", said.comment) if said.comment else None, text)
            return
        comment = said.comment if said is not None else ""
        if verdict == "accept":
            self._put(code, FindingEdit(code, "accept", comment), self.tr("Accept the finding: %s") % name)
        else:
            self._put(code, FindingEdit(code, "reject", comment), self.tr("Reject the finding: %s") % name)

    def comment(self, code: str, text: str) -> None:
        """Say something about a finding of the page in front; nothing takes the comment away."""
        said = self.answer_of(code) or FindingEdit(code, "open")
        if text != said.comment:
            after = replace(said, comment=text)
            empty = after.verdict == "open" and not text
            self._put(code, None if empty else after, self.tr("Comment on the finding: %s") % name_of(code))

    def _put(self, code: str, answer: FindingEdit | None, text: str) -> None:
        corrections = self._bridge.corrections
        others = (
            [f for f in corrections.diagnosis.findings if f.code != code] if corrections.diagnosis is not None else []
        )
        findings = tuple(sorted([*others, *([answer] if answer is not None else [])], key=lambda f: f.code))
        self._bridge.edit(replace(corrections, diagnosis=DiagnosisEdit(findings) if findings else None), text)

    def set_clinical(self, clinical: Clinical) -> None:
        """Say what is known about the patient of the page in front."""
        corrections = self._bridge.corrections
        if clinical != corrections.clinical:
            self._bridge.edit(replace(corrections, clinical=clinical), self.tr("Patient values"))


def classifier_of(runtime: Runtime) -> str:
    """Name the classifier of a runtime; empty if it has none."""
    try:
        return runtime.classifier
    except UserError:
        return ""
