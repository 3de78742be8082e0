"""`ecgstudio classify`: say of every record and page what the classifier makes of it; nothing is written to disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from ecgstudio import api
from ecgstudio.commands.console import PageStatus, Progress
from ecgstudio.commands.digitize import page_count
from ecgstudio.core.clinical import Clinical, Sex
from ecgstudio.core.diagnosis import Diagnosis
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.errors import InputError, UserError
from ecgstudio.io.images import expand_inputs, page_stem, read_page
from ecgstudio.io.records import RECORD_SUFFIX, is_record, read_record
from ecgstudio.stages.classify import LOOKED_AT_S, STATEMENT, classify_record, constant_leads, thresholds
from ecgstudio.stages.contract import Cancelled, Runtime, StageError, Status
from ecgstudio.stages.quality import Verdict

logger = logging.getLogger(__name__)

SAMPLES_SUFFIX: Final = ".dat"
COLUMN: Final = 7
DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """All that the user asked for; `age_years` and `sex` hold for every input."""

    inputs: tuple[str, ...]
    age_years: float | None
    sex: Sex | None
    device: str
    as_json: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A record's header, or one page of a file; `page` counts from 1 where the file has several, else it is None."""

    path: Path
    page: int | None = None

    def __str__(self) -> str:
        return f"{self.path}" if self.page is None else f"{self.path}, page {self.page}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one source: `diagnosis` is None exactly where `status` is "failed"."""

    source: Source
    status: Verdict
    reasons: tuple[str, ...]
    diagnosis: Diagnosis | None = None
    patient: Clinical | None = None


def run(request: ClassifyRequest, *, out: TextIO, err: TextIO) -> bool:
    """Classify every input; return whether all were (a page that needs a review counts).

    Raises:
        UserError: the networks cannot be loaded, or their weights hold no classifier.
    """
    sources = list(_sources(request.inputs))
    runtime = api.load_runtime(request.device)
    from_which_on = thresholds(runtime)
    progress, failed, headed = Progress(err, len(sources)), 0, False
    for source in sources:
        answer = _classify(source, request, runtime=runtime, status=PageStatus(progress, source.path.name))
        progress.clear()
        progress.done += 1
        failed += answer.status == "failed"
        if request.as_json:
            out.write(f"{json.dumps(_json(answer, from_which_on), ensure_ascii=False)}\n")
        else:
            if answer.diagnosis is not None and not headed:
                out.write("".join(f"{code:<{COLUMN}}" for code in from_which_on) + "input\n")
                headed = True
            out.write(f"{_words(answer, from_which_on)}\n")
        out.flush()
    if headed:
        out.write(f"{STATEMENT} ({runtime.classifier}); * from the class's threshold on\n")
    if failed and len(sources) > 1:
        err.write(f"ecgstudio: {len(sources)} inputs: {len(sources) - failed} classified, {failed} not\n")
    return not failed


def _sources(inputs: tuple[str, ...]) -> Iterator[Source]:
    for path in expand_inputs(inputs, records=True):
        if is_record(path):
            yield Source(path)
            continue
        count = page_count(path)
        for number in range(1, count + 1):
            yield Source(path, number if count > 1 else None)


def _classify(source: Source, request: ClassifyRequest, *, runtime: Runtime, status: Status) -> Answer:
    """Classify one source; whatever is wrong with it becomes its answer.

    Raises:
        Cancelled: `status` asked for it.
    """
    try:
        record, verdict, reasons = _record(source, runtime=runtime, status=status)
        patient = api.patient(record, age=request.age_years, sex=request.sex)
        return Answer(source, verdict, reasons, classify_record(record, patient, runtime=runtime), patient)
    except StageError as error:
        return Answer(source, "failed", (f"{error.reason} ({error.hint})",))
    except UserError as error:
        logger.debug("%s is not classified", source.path.name, exc_info=True)
        return Answer(source, "failed", (str(error),))
    except Cancelled:
        raise
    except Exception as error:  # the last boundary: one odd file must not stop the others
        logger.debug("%s broke down", source.path.name, exc_info=True)
        what = "there is not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        return Answer(source, "failed", (f"unexpected error ({what}); run again with --debug and report it",))


def _record(source: Source, *, runtime: Runtime, status: Status) -> tuple[EcgRecord, Verdict, tuple[str, ...]]:
    """Return a source's record, and what is to be said about how it was read."""
    path = source.path
    if is_record(path):
        record = read_record(path, seconds=LOOKED_AT_S)
        flat = constant_leads(record)
        said = f"{', '.join(flat)} {'is' if len(flat) == 1 else 'are'} constant and left out"
        return record, "review" if flat else "ok", (said,) if flat else ()
    if path.suffix.lower() == SAMPLES_SUFFIX:
        header = path.with_suffix(RECORD_SUFFIX).name
        raise InputError(f"{path.name} holds the samples of a record; name its header {header} instead.")
    index = 0 if source.page is None else source.page - 1
    page = read_page(path, index)
    result = api.digitize_page(page, stem=page_stem(path, index), runtime=runtime, status=status)
    if result.record is None:
        raise InputError(f"not classified: {'; '.join(result.summary.reasons)}")
    return result.record, result.status, result.summary.reasons


def _words(answer: Answer, from_which_on: dict[str, float]) -> str:
    """Return a line of the table; a star marks what counts as found."""
    if answer.diagnosis is None:
        return f"failed  {answer.source}: {'; '.join(answer.reasons)}"
    cells = [
        f"{finding.probability:.2f}{'*' if finding.probability >= from_which_on[finding.code] else ''}"
        for finding in answer.diagnosis.findings
    ]
    doubt = f"  {answer.status}: {'; '.join(answer.reasons)}" if answer.status != "ok" else ""
    return "".join(f"{cell:<{COLUMN}}" for cell in cells) + f"{answer.source}{doubt}"


def _json(answer: Answer, from_which_on: dict[str, float]) -> dict[str, object]:
    """Return the line of an input: all codes with their probability, and whether they count as found."""
    findings = answer.diagnosis.findings if answer.diagnosis is not None else ()
    return {
        "source": str(answer.source.path),
        **({"page": answer.source.page} if answer.source.page is not None else {}),
        "status": answer.status,
        "reasons": list(answer.reasons),
        "findings": [
            {
                "code": finding.code,
                "probability": round(finding.probability, DIGITS),
                "threshold": from_which_on[finding.code],
                "found": finding.probability >= from_which_on[finding.code],
            }
            for finding in findings
        ],
        "model": findings[0].source if findings else None,
        "clinical": (answer.patient.entered or None) if answer.patient is not None else None,
        "statement": STATEMENT,
    }
