"""What is said about a page, step by step: numbers with units, how sure they are, and what is wrong in a sentence.

Pure functions of an analysis; the inspector and the banner show what they return.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from PySide6.QtCore import QCoreApplication

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.rebuilt import RebuiltTrace, Reconstruction
from ecgstudio.gui.states import STEP_NAMES, STEP_OF, Step
from ecgstudio.stages.contract import Failed, Outcome, State
from ecgstudio.stages.pipeline import Analysis, Stage
from ecgstudio.stages.quality import QualityReport
from ecgstudio.stages.several_sheets import tells_of_several

T = TypeVar("T")

QUARTER: Final = math.pi / 2


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the inspector; `confidence` in 0..1 where there is one."""

    label: str
    value: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong in one sentence, and the action that mends it with the word on its button."""

    sentence: str
    state: str
    action: str = ""
    button: str = ""


def tr(text: str) -> str:
    """Return a text of this module in the user's language."""
    return QCoreApplication.translate("facts", text)


_VERDICTS: Final = {"ok": "agrees with itself", "review": "please look at it", "failed": "could not be read"}
_ORIENTATIONS: Final = ("upright", "turned left", "upside down", "turned right")

# What a reason of the self-checks is mended with: a word of the reason, the action, the word on the button.
_MENDS: Final = (
    ("is printed but", "stage-1", "Set scale"),
    ("pulse is", "stage-1", "Set scale"),
    ("assumed", "stage-1", "Set scale"),
    ("grid is uncertain", "stage-1", "Check grid"),
    ("orientation", "stage-0", "Check orientation"),
    ("not found", "stage-2", "Look at the leads"),
    ("strip(s)", "stage-0", "Name the leads"),
    ("ead name", "stage-0", "Name the leads"),
    ("low confidence", "worst-place", "Show the worst place"),
    ("not readable", "worst-place", "Show the worst place"),
    ("may be swapped", "tool-relabel", "Rename leads"),
    ("differ by", "stage-2", "Look at the leads"),
)


def value_of(outcome: Outcome[T] | None) -> T | None:
    """Return an outcome's value; None if there is none or it failed."""
    return None if outcome is None or isinstance(outcome.value, Failed) else outcome.value


def facts(step: Step, analysis: Analysis, corrections: Corrections) -> tuple[Fact, ...]:
    """Return the lines of the inspector for a step."""
    return _FACTS[step](analysis, corrections)


def fine_angle_deg(keypoints: Keypoints) -> float:
    """Return by how much the paper is turned beyond whole quarters, clockwise on the page."""
    return math.degrees(math.remainder(keypoints.angle_rad, QUARTER))


def advice(analysis: Analysis, corrections: Corrections, *, conflicts: tuple[str, ...]) -> tuple[Advice, ...]:
    """Say what is wrong with a page, the worst first."""
    failure = analysis.failure
    if failure is not None:
        return (_failed(failure),)
    said = [
        Advice(sentence_of(text), State.NEEDS_REVIEW.value, "confirm-scale", tr("Confirm the scale"))
        for text in conflicts
    ]
    for stage, outcome in analysis.outcomes():
        if outcome.needs_review and stage in STEP_OF:
            name = tr(STEP_NAMES[STEP_OF[stage]])
            text = tr("The automatic answer beneath your correction has changed (%s): look whether it still holds.")
            said.append(Advice(text % name, State.NEEDS_REVIEW.value, "confirm-corrections", tr("It still holds")))
    if analysis.reconstruct is not None and isinstance(analysis.reconstruct.value, Failed):
        sentence = sentence_of(analysis.reconstruct.value.reason)
        said.append(Advice(sentence, State.NEEDS_REVIEW.value, "reconstruct", tr("Switch it off")))
    quality = value_of(analysis.quality)
    for reason in quality.reasons if quality is not None else ():
        if reason not in conflicts and corrections.review is None:
            said.append(_reason(reason))
    return tuple(said)


def _failed(failure: Failed) -> Advice:
    stage = Stage(failure.stage) if failure.stage in list(Stage) else Stage.KEYPOINTS
    step = STEP_OF.get(stage, Step.REVIEW)
    hint = f" {sentence_of(failure.hint)}" if failure.hint else ""
    text = f"{tr(STEP_NAMES[step])}: {sentence_of(failure.reason)}{hint}"
    if tells_of_several(failure):
        return Advice(text, State.FAILED.value, "divide", tr("Make them pages"))
    return Advice(text, State.FAILED.value, f"stage-{step.value}", tr("Correct by hand"))


def _reason(reason: str) -> Advice:
    for words, action, button in _MENDS:
        if words in reason:
            return Advice(sentence_of(reason), State.NEEDS_REVIEW.value, action, tr(button))
    return Advice(sentence_of(reason), State.NEEDS_REVIEW.value)


def sentence_of(text: str) -> str:
    """Return a reason as a sentence of its own."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _normalize(analysis: Analysis, corrections: Corrections) -> tuple[Fact, ...]:
    keypoints = value_of(analysis.keypoints)
    if keypoints is None:
        return ()
    lies = tr(_ORIENTATIONS[keypoints.orientation % 4]) + (tr(", mirrored") if keypoints.mirrored else "")
    found = [lead for lead in LEADS if lead in keypoints.names]
    missing = [lead for lead in LEADS if lead not in keypoints.names]
    sure = float(keypoints.confidence.mean()) if len(keypoints.names) else None
    lines = [
        Fact(tr("Page lies"), lies, keypoints.orientation_confidence),
        Fact(tr("Fine rotation"), f"{fine_angle_deg(keypoints):+.2f}°"),
        Fact(tr("Lead names"), tr("%d of 12") % len(found), sure),
    ]
    if missing and found:
        lines.append(Fact(tr("Not seen"), ", ".join(missing)))
    markers = [name for name in dict.fromkeys(keypoints.names) if name not in LEADS]
    if markers:
        lines.append(Fact(tr("Markers"), ", ".join(_marker(name) for name in markers)))
    if keypoints.corners is not None:
        lines.append(Fact(tr("Page corners"), tr("placed by you; the grid is looked for in their perspective")))
    return (*lines, Fact(tr("Resolution"), f"{keypoints.px_per_mm:.1f} px/mm"))


def _marker(name: str) -> str:
    for start, unit in (("speed", "mm/s"), ("gain", "mm/mV")):
        if name.startswith(start):
            return f"{name.removeprefix(start)} {unit}"
    return tr("calibration pulse")


def _grid(analysis: Analysis, corrections: Corrections) -> tuple[Fact, ...]:
    grid = value_of(analysis.grid)
    if grid is None:
        return ()
    scale = grid.scale
    lines = [
        Fact(tr("Grid"), f"{grid.size_mm[0]:.0f} × {grid.size_mm[1]:.0f} mm", grid.confidence),
        Fact(tr("Paper speed"), f"{scale.mm_per_s:g} mm/s"),
        Fact(tr("Gain"), f"{scale.mm_per_mV:g} mm/mV"),
        Fact(tr("Scale from"), _scale_from(scale.source)),
    ]
    if scale.pulse_height_mm is not None:
        width = "" if scale.pulse_width_mm is None else f", {scale.pulse_width_mm:.1f} mm {tr('wide')}"
        lines.append(Fact(tr("Calibration pulse"), f"{scale.pulse_height_mm:.1f} mm {tr('high')}{width}"))
    printed = [
        f"{value:g} {unit}"
        for value, unit in ((scale.printed_mm_per_s, "mm/s"), (scale.printed_mm_per_mV, "mm/mV"))
        if value is not None
    ]
    if printed:
        lines.append(Fact(tr("Printed"), ", ".join(printed)))
    return (*lines, Fact(tr("Resolution"), f"{grid.px_per_mm:.2f} px/mm"))


def _scale_from(source: str) -> str:
    """Say in words what decided speed and gain."""
    if source == "human":
        return tr("you")
    words = {
        "pulse": tr("calibration pulse"),
        "printed": tr("printed text"),
        "assumed": tr("assumed"),
        "set": tr("you"),
    }
    said = []
    for part in source.split(", "):
        what, _, by = part.partition(" ")
        said.append(f"{tr(what)}: {words.get(by, by)}" if by else part)
    return ", ".join(said)


def _digitize(analysis: Analysis, corrections: Corrections) -> tuple[Fact, ...]:
    ecg = value_of(analysis.traces)
    if ecg is None:
        return ()
    leads = {trace.lead for trace in ecg.traces}
    sure, read = _sureness(ecg)
    lines = [
        Fact(tr("Layout"), ecg.layout or tr("not recognised")),
        Fact(tr("Leads"), tr("%d of 12, %d traces") % (len(leads), len(ecg.traces)), sure),
        Fact(tr("Read"), tr("%.1f %% of what is printed") % (100 * read)),
    ]
    missing = [lead for lead in LEADS if lead not in leads]
    if missing:
        lines.append(Fact(tr("Not found"), ", ".join(missing)))
    lines += _reconstruction(value_of(analysis.reconstruct))
    return (*lines, *(Fact(tr("Note"), sentence_of(note)) for note in ecg.notes))


def _reconstruction(found: Reconstruction | None) -> list[Fact]:
    """Say how much was reconstructed, and how much of it where nothing was read; nothing where it is off."""
    if found is None:
        return []
    count = sum(len(trace.mark) for trace in found.traces)
    changed = sum(trace.changed * len(trace.mark) for trace in found.traces) / max(count, 1)
    said = [Fact(tr("Reconstructed"), tr("%.1f %% of the samples, beside what was read") % (100 * changed))]
    filled = [span for trace in found.traces for span in trace.filled_s]
    if filled:
        seconds = float(sum(end - start for start, end in filled))
        words = tr("1 gap, %.2f s") % seconds if len(filled) == 1 else tr("%d gaps, %.2f s") % (len(filled), seconds)
        said.append(Fact(tr("Filled"), words))
    return said


def reconstruction_of_lead(trace: RebuiltTrace) -> str:
    """Say in a sentence what the reconstruction did to a lead."""
    parts = [tr("%.1f %% of the samples reconstructed") % (100 * trace.changed)]
    if len(trace.filled_s):
        gaps = ", ".join(f"{start:.2f}–{end:.2f} s" for start, end in trace.filled_s)
        parts.append(tr("filled where not readable: %s") % gaps)
    return f"{trace.lead}: {'; '.join(parts)}. {tr('What was read is kept beside it.')}"


def _sureness(ecg: DigitizedEcg) -> tuple[float | None, float]:
    count = sum(len(trace.mv) for trace in ecg.traces)
    if not count:
        return None, 0.0
    read = np.concatenate([np.isfinite(trace.mv) for trace in ecg.traces])
    sure = np.concatenate([trace.confidence for trace in ecg.traces])
    return (float(sure[read].mean()) if read.any() else None), float(read.mean())


def _review(analysis: Analysis, corrections: Corrections) -> tuple[Fact, ...]:
    quality: QualityReport | None = value_of(analysis.quality)
    lines: list[Fact] = []
    if corrections.review is not None:
        review = corrections.review
        lines.append(Fact(tr("Signed off"), f"{tr(review.verdict)}, {review.by}, {_local(review.at)}"))
    if corrections.comment:
        lines.append(Fact(tr("Comment"), corrections.comment))
    if quality is not None:
        lines.append(Fact(tr("Reading"), tr(_VERDICTS[quality.status]), quality.confidence))
    return tuple(lines)


def _local(at: str) -> str:
    return at[:16].replace("T", " ") + " UTC"


def _export(analysis: Analysis, corrections: Corrections) -> tuple[Fact, ...]:
    record = value_of(analysis.record)
    if record is None:
        return ()
    known = np.isfinite(record.mv)
    leads = [lead for lead, row in zip(record.leads, known, strict=True) if row.any()]
    return (
        Fact(tr("Record"), tr("%d leads, %.1f s at %g Hz") % (len(leads), record.mv.shape[1] / record.fs, record.fs)),
        Fact(tr("Printed and read"), tr("%.1f %%; the rest stays empty") % (100 * known.mean())),
    )


_FACTS: Final[dict[Step, Callable[[Analysis, Corrections], tuple[Fact, ...]]]] = {
    Step.NORMALIZE: _normalize,
    Step.GRID: _grid,
    Step.DIGITIZE: _digitize,
    Step.REVIEW: _review,
    Step.EXPORT: _export,
}

EDITS_OF: Final[dict[Step, tuple[str, ...]]] = {
    Step.NORMALIZE: ("keypoints", "layout"),
    Step.GRID: ("grid",),
    Step.DIGITIZE: ("traces",),
    Step.REVIEW: ("fiducials",),
}
"""The fields of Corrections that belong to a step and can be taken back to automatic (None)."""


def is_corrected(step: Step, corrections: Corrections) -> bool:
    """Tell whether a step carries a correction that can be taken back to automatic."""
    return any(getattr(corrections, field) is not None for field in EDITS_OF.get(step, ()))
