"""What is said about a page in words and numbers: the dictionary behind the JSON report and the printed line."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ecgstudio import __version__
from ecgstudio.core.clinical import UNKNOWN_PATIENT
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections
from ecgstudio.core.ecg import EcgRecord, LeadTrace
from ecgstudio.core.fiducials import Fiducial, FiducialEdit
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, Part
from ecgstudio.core.rebuilt import RebuiltTrace, Reconstruction
from ecgstudio.stages.contract import Failed, Outcome, Runtime
from ecgstudio.stages.findings_report import clinical_section, diagnosis_section
from ecgstudio.stages.intervals import QTC_FORMULAS, measure_intervals
from ecgstudio.stages.pipeline import Analysis
from ecgstudio.stages.quality import QualityReport, Verdict
from ecgstudio.stages.settings import PipelineSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Summary:
    """A page in one line: its verdict, why, and what was found on it; `confidence` is NaN where nothing was read.

    `doubt` is the chance that the page was read badly (NaN where nothing is known yet).
    """

    status: Verdict
    reasons: tuple[str, ...]
    failure: Failed | None
    layout: str
    mm_per_s: float
    mm_per_mV: float
    confidence: float
    doubt: float

    def __str__(self) -> str:
        words = [str(self.status)]
        if self.layout:
            words.append(self.layout)
        if np.isfinite(self.mm_per_s) and self.failure is None:  # of a page without traces it is only assumed
            words.append(f"{self.mm_per_s:g} mm/s {self.mm_per_mV:g} mm/mV")
        if np.isfinite(self.confidence):
            words.append(f"conf {self.confidence:.2f}")
        return "  ".join([*words, *(["; ".join(self.reasons)] if self.reasons else [])])


def summarize(analysis: Analysis, *, crash: Failed | None = None) -> Summary:
    """Say in one line what an analysis is worth: `failed` if a stage has no answer, or broke down (`crash`)."""
    failure, report = analysis.failure or crash, _known(analysis.quality)
    grid, ecg = _known(analysis.grid), _known(analysis.traces)
    status: Verdict = "ok"
    reasons: tuple[str, ...] = ()
    if failure is not None:
        status, reasons = "failed", (str(failure),)
    elif report is not None:
        status, reasons = report.status, tuple(report.reasons)
    if failure is None and analysis.reconstruct is not None and isinstance(analysis.reconstruct.value, Failed):
        reasons = (*reasons, str(analysis.reconstruct.value))  # the page was read all the same
    return Summary(
        status=status,
        reasons=reasons,
        failure=failure,
        layout=ecg.layout if ecg is not None else "",
        mm_per_s=grid.scale.mm_per_s if grid is not None else np.nan,
        mm_per_mV=grid.scale.mm_per_mV if grid is not None else np.nan,
        confidence=report.confidence if report is not None else np.nan,
        doubt=1.0 if failure is not None else report.doubt if report is not None else np.nan,
    )


def build_report(
    page: Page,
    analysis: Analysis,
    *,
    summary: Summary,
    corrections: Corrections,
    runtime: Runtime,
    settings: PipelineSettings,
    timings_s: Mapping[str, float],
) -> dict[str, object]:
    """Gather everything that the JSON report of a page says."""
    keypoints, grid = _known(analysis.keypoints), _known(analysis.grid)
    ecg, quality = _known(analysis.traces), _known(analysis.quality)
    return {
        "source": page.source,
        **_picture(page.part),
        "status": summary.status,
        "reasons": list(summary.reasons),
        "failure": plain(summary.failure),
        "layout": summary.layout or None,
        "scale": plain(grid.scale) if grid is not None else None,
        "confidence": plain(summary.confidence),
        "doubt": _rounded(summary.doubt, digits=4),
        "traces": [_trace_line(trace) for trace in ecg.traces] if ecg is not None else [],
        **_reconstruction(analysis.reconstruct),
        "checks": _checks(quality),
        "intervals": _intervals(_known(analysis.record), corrections.fiducials),
        "sheet": _sheet(keypoints, grid),
        "page": {
            "sha256": page.id.sha256,
            "index": page.id.index,
            "width_px": page.width,
            "height_px": page.height,
            "dpi": page.dpi,
        },
        "stages": {stage.value: outcome.state.value for stage, outcome in analysis.outcomes()},
        "clinical": clinical_section(corrections.clinical),
        "diagnosis": diagnosis_section(analysis.diagnosis, corrections.diagnosis),
        "corrections": _corrections(corrections),
        "settings": plain(settings),
        "timings_s": {name: round(seconds, 3) for name, seconds in timings_s.items()},
        "device": runtime.device,
        "weights": runtime.weights_hash,
        "version": __version__,
    }


def stage_report(page: Page, analysis: Analysis, *, summary: Summary) -> dict[str, object]:
    """Gather all that the stages reached have found, in page pixels: the JSON of a single stage."""
    return {
        "source": page.source,
        **_picture(page.part),
        "page": {"sha256": page.id.sha256, "index": page.id.index, "width_px": page.width, "height_px": page.height},
        "stages": {stage.value: outcome.state.value for stage, outcome in analysis.outcomes()},
        "failure": plain(summary.failure),
        **{stage.value: plain(outcome.value) for stage, outcome in analysis.outcomes()},
        "version": __version__,
    }


def plain(value: object) -> object:
    """Turn a value into what JSON can say: dataclasses into dictionaries, arrays into lists, NaN into null."""
    match value:
        case enum.Enum():
            return plain(value.value)
        case float():
            return value if math.isfinite(value) else None
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = (field for field in dataclasses.fields(value) if field.init)
            return {field.name: plain(getattr(value, field.name)) for field in fields}
        case _:
            return value


def _picture(part: Part | None) -> dict[str, object]:
    """Say which picture a page was cut out of, and where in it: the box's last column and row are the first outside."""
    if part is None:
        return {}
    left, top, right, bottom = part.box
    return {
        "picture": {
            "source": part.source,
            "sha256": part.picture.sha256,
            "index": part.picture.index,
            "box_px": {"left": left, "top": top, "right": right, "bottom": bottom},
            "outline_px": plain(part.outline.round(1)),
        }
    }


def _corrections(corrections: Corrections) -> object:
    """Return what was corrected on the page; the patient has a section of its own."""
    fields = {field.name: plain(getattr(corrections, field.name)) for field in dataclasses.fields(corrections)}
    fields.pop("clinical")
    return fields if dataclasses.replace(corrections, clinical=UNKNOWN_PATIENT) != NO_CORRECTIONS else None


def _known(outcome: Outcome[T] | None) -> T | None:
    return None if outcome is None or isinstance(outcome.value, Failed) else outcome.value


def _checks(quality: QualityReport | None) -> object:
    """Return the self-checks without what the report says elsewhere."""
    if quality is None:
        return None
    said = ("status", "reasons", "confidence", "leads")
    return {f.name: plain(getattr(quality, f.name)) for f in dataclasses.fields(quality) if f.name not in said}


def _intervals(record: EcgRecord | None, edit: FiducialEdit | None) -> object:
    """Return what was measured in the mean beat, with the fiducials where a human placed them."""
    if record is None:
        return None
    found = measure_intervals(record).with_edit(edit)
    measured_ms = {"pr_ms": found.pr_ms, "qrs_ms": found.qrs_ms, "qt_ms": found.qt_ms}
    corrected_ms = {f"qtc_{formula.lower()}_ms": found.qtc_ms(formula) for formula in QTC_FORMULAS}
    return {
        "rate_per_min": _rounded(found.rate_per_min),
        **{name: _rounded(value_ms) for name, value_ms in {**measured_ms, **corrected_ms}.items()},
        "beats": len(found.beats_s),
        "fiducials_s": {name: _rounded(at_s, digits=4) for name, at_s in found.fiducials.items()},
        "by_hand": [fiducial.value for fiducial in Fiducial if fiducial in found.by_hand],
        "not_measured": dict(found.reasons),
    }


def _rounded(value: float, *, digits: int = 1) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def _trace_line(trace: LeadTrace) -> dict[str, object]:
    read = np.isfinite(trace.mv)
    return {
        "lead": trace.lead,
        "start_s": round(trace.t0_s, 4),
        "duration_s": round(trace.duration_s, 4),
        "read": round(float(read.mean()), 4) if len(read) else 0.0,
        "confidence": round(float(trace.confidence[read].mean()), 4) if read.any() else 0.0,
    }


def _reconstruction(outcome: Outcome[Reconstruction] | None) -> dict[str, object]:
    """Say what was changed and what was filled, or why nothing was; nothing where the reconstruction is off."""
    if outcome is None:
        return {}
    if isinstance(outcome.value, Failed):
        return {"reconstruction": None}
    return {"reconstruction": [_rebuilt_line(trace) for trace in outcome.value.traces]}


def _rebuilt_line(trace: RebuiltTrace) -> dict[str, object]:
    return {
        "lead": trace.lead,
        "start_s": round(trace.t0_s, 4),
        "changed": round(trace.changed, 4),
        "filled_s": plain(trace.filled_s.round(4)),
    }


def _sheet(keypoints: Keypoints | None, grid: GridFit | None) -> dict[str, object]:
    found: dict[str, object] = {}
    if keypoints is not None:
        found |= {
            "orientation": keypoints.orientation,
            "orientation_confidence": keypoints.orientation_confidence,
            "mirrored": keypoints.mirrored,
            "angle_deg": round(float(np.degrees(keypoints.angle_rad)), 3),
        }
    if grid is not None:
        found |= {
            "px_per_mm": round(grid.px_per_mm, 4),
            "grid_confidence": grid.confidence,
            "size_mm": list(grid.size_mm),
        }
    return found
