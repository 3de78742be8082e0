"""After stage 2: each trace looked at again, its picture and its series together, and mended by a fusion network.

What was read stays as it is; the answer lies beside it and marks every sample that differs. Short unreadable spans are
filled, longer ones stay missing. Training cuts its windows with the same functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.page import Page
from ecgstudio.core.rebuilt import Mark, RebuiltTrace, Reconstruction, spans
from ecgstudio.errors import UserError
from ecgstudio.stages.contract import FloatMap, Reconstructor, StageError, Status
from ecgstudio.stages.settings import ReconstructSettings
from ecgstudio.stages.strips import STRIP_PX_PER_MM, cut_strip, normalised

WINDOW_PX = 512
"""Columns that the network sees at once, 64 mm: a lead of 2.5 s at 25 mm/s."""
STEP_PX = 384
HALF_PX = 192
UNIT_MM = 10.0
"""Heights are given to the network in units of this many millimetres: usually millivolts."""
WINDOWS_PER_CALL = 8
CHANGED_MV = 0.005
"""Smaller differences than a WFDB file of a cart resolves are none."""
LEAST_READ = 25
"""Samples; a trace with fewer is left alone."""
OFF_LINE_MM = 1.0
"""Where a trace's samples lie further from their time's place on the paper, its strip would show something else."""

STAGE = "reconstruct"
"""Its word in keys, failures and progress."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TraceStrip:
    """The paper along one trace with the series as read; column i lies at x0_mm + (i + 0.5) / 8 mm.

    first_mm, zero_mm: where on the paper the trace's first sample and its zero line lie.
    picture: f32[2, 2 * HALF_PX, W], brightest and darkest channel, 0..1, the trace's zero line in the middle.
    series: f32[3, W]: height above the zero line in units of UNIT_MM (bridged where nothing was read), 1 where it was
    read, confidence.
    """

    x0_mm: float
    first_mm: float
    zero_mm: float
    picture: FloatMap
    series: FloatMap


def reconstruct(
    page: Page,
    grid: GridFit,
    ecg: DigitizedEcg,
    *,
    runtime: Reconstructor,
    settings: ReconstructSettings,
    status: Status,
) -> Reconstruction:
    """Mend every trace of a page by its picture, and fill unreadable spans of at most `settings.fill_s`.

    Raises:
        StageError: the weights hold no network for it.
    """
    if not can_reconstruct(runtime):
        raise StageError(STAGE, "not reconstructed: these weights hold no network for it", "switch it off")
    rebuilt = []
    for done, trace in enumerate(ecg.traces):
        status.checkpoint(done / max(len(ecg.traces), 1), STAGE)
        strip = trace_strip(page, grid, trace)
        if strip is None:
            untouched = np.zeros(len(trace.mv), np.uint8)
            rebuilt.append(RebuiltTrace(trace.lead, trace.t0_s, trace.fs, trace.mv, trace.xy, untouched))
        else:
            residual_mm = UNIT_MM * _residual(strip, runtime=runtime)
            rebuilt.append(_rebuilt(trace, grid, strip, residual_mm, fill_s=settings.fill_s))
    return Reconstruction(tuple(rebuilt))


def can_reconstruct(runtime: Reconstructor) -> bool:
    """Tell whether the weights hold a network that mends traces."""
    return bool(reconstructor_of(runtime))


def reconstructor_of(runtime: Reconstructor) -> str:
    """Name the network that mends traces; empty where the weights hold none."""
    try:
        return runtime.reconstructor
    except UserError:
        return ""


def trace_strip(page: Page, grid: GridFit, trace: LeadTrace) -> TraceStrip | None:
    """Cut the strip of a trace, a multiple of windows wide; None if too little was read or it does not lie evenly."""
    read = np.isfinite(trace.mv) & np.isfinite(trace.xy).all(axis=1)
    if read.sum() < LEAST_READ:
        return None
    mm = grid.to_mm(trace.xy[read])
    start_mm = mm[:, 0] - (trace.t_s[read] - trace.t0_s) * grid.scale.mm_per_s
    zero_mm = mm[:, 1] + trace.mv[read] * grid.scale.mm_per_mV
    lies = np.isfinite(start_mm) & np.isfinite(zero_mm)
    if lies.sum() < LEAST_READ:
        return None
    first_mm, middle_mm = float(np.median(start_mm[lies])), float(np.median(zero_mm[lies]))
    off_mm = np.abs(start_mm[lies] - first_mm) + np.abs(zero_mm[lies] - middle_mm)
    if np.median(off_mm) > OFF_LINE_MM:  # a human drew it elsewhere
        return None
    length_px = trace.duration_s * grid.scale.mm_per_s * STRIP_PX_PER_MM
    count = 1 + max(0, int(np.ceil((length_px - WINDOW_PX) / STEP_PX)))
    width = WINDOW_PX + (count - 1) * STEP_PX
    x0_mm = first_mm - (width - length_px) / 2 / STRIP_PX_PER_MM
    picture = cut_strip(page, grid, x0_mm=x0_mm, centre_mm=middle_mm, half_px=HALF_PX, width_px=width)
    at = np.asarray(
        (x0_mm + (np.arange(width) + 0.5) / STRIP_PX_PER_MM - first_mm) / grid.scale.mm_per_s * trace.fs, np.float64
    )
    series = _series(trace, at, mm_per_mV=grid.scale.mm_per_mV)
    return TraceStrip(x0_mm, first_mm, middle_mm, picture, series)


def _series(trace: LeadTrace, at: F64, *, mm_per_mV: float) -> FloatMap:
    """Return value, read and confidence f32[3, W] at fractional sample numbers."""
    known = np.flatnonzero(np.isfinite(trace.mv))
    nearest = np.clip(np.round(at).astype(np.intp), 0, len(trace.mv) - 1)
    inside = (at > -0.5) & (at < len(trace.mv) - 0.5)
    read = inside & np.isfinite(trace.mv[nearest])
    value = np.interp(at, known, trace.mv[known]) * mm_per_mV / UNIT_MM
    sure = np.where(read, trace.confidence[nearest], 0.0)
    return np.stack([value, read, sure]).astype(np.float32)


def windows(strip: TraceStrip) -> Iterator[slice]:
    """Yield the columns of each window of a strip."""
    for first in range(0, strip.series.shape[1] - WINDOW_PX + 1, STEP_PX):
        yield slice(first, first + WINDOW_PX)


def _residual(strip: TraceStrip, *, runtime: Reconstructor) -> F64:
    """Return what the network adds to the series, f64[W] in its units; windows fade into each other."""
    spans = list(windows(strip))
    pictures = normalised(np.stack([strip.picture[..., span] for span in spans]))
    series = np.stack([strip.series[:, span] for span in spans])
    answers = np.concatenate(
        [
            runtime.reconstruct(pictures[first : first + WINDOWS_PER_CALL], series[first : first + WINDOWS_PER_CALL])
            for first in range(0, len(spans), WINDOWS_PER_CALL)
        ]
    )
    fade = np.minimum(np.arange(WINDOW_PX) + 1, np.arange(WINDOW_PX)[::-1] + 1).astype(np.float64)
    total, weight = np.zeros(strip.series.shape[1]), np.zeros(strip.series.shape[1])
    for span, answer in zip(spans, answers, strict=True):
        total[span] += answer * fade
        weight[span] += fade
    return total / weight


def _rebuilt(trace: LeadTrace, grid: GridFit, strip: TraceStrip, residual_mm: F64, *, fill_s: float) -> RebuiltTrace:
    """Add the residual where it says something, and fill what may be filled; everything else stays as read."""
    read, scale = np.isfinite(trace.mv), grid.scale
    columns_mm = strip.x0_mm + (np.arange(len(residual_mm)) + 0.5) / STRIP_PX_PER_MM
    x_mm = strip.first_mm + np.arange(len(read)) / trace.fs * scale.mm_per_s
    known = np.flatnonzero(read)
    bridged_mv = np.interp(np.arange(len(read)), known, trace.mv[known])
    delta_mv = np.interp(x_mm, columns_mm, residual_mm) / scale.mm_per_mV
    filled = fillable(read, longest=round(fill_s * trace.fs))
    changed = read & (np.abs(delta_mv) >= CHANGED_MV)
    mv = np.where(changed | filled, bridged_mv + delta_mv, trace.mv).astype(np.float32)
    mark = np.where(filled, Mark.FILLED, np.where(changed, Mark.CHANGED, Mark.AS_READ)).astype(np.uint8)
    xy = np.array(trace.xy)
    touched = changed | filled
    if touched.any():
        xy[touched] = grid.to_page(np.stack([x_mm, strip.zero_mm - mv * scale.mm_per_mV], axis=1)[touched])
    return RebuiltTrace(trace.lead, trace.t0_s, trace.fs, mv, xy, mark)


def fillable(read: Bools, *, longest: int) -> Bools:
    """Mark the unread spans of at most `longest` samples that have something read on both sides."""
    out = np.zeros(len(read), bool)
    for first, stop in spans(~read):
        if first > 0 and stop < len(read) and stop - first <= longest:
            out[first:stop] = True
    return out
