"""Traces onto one time base: the 12-lead record in which each lead stands at the time at which it was printed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.leads import LEAD_INDEX, LEADS
from ecgstudio.core.rebuilt import RebuiltLeads, Reconstruction
from ecgstudio.stages.contract import StageError
from ecgstudio.stages.settings import AssembleSettings

RECORD_HZ = 500.0
RECORD_SECONDS = 10.0
LONGER_BY_S = 0.3  # a print longer than this beyond 10 s makes the record longer; a little is a matter of measuring


def assemble(
    ecg: DigitizedEcg, grid: GridFit, *, settings: AssembleSettings, reconstruction: Reconstruction | None = None
) -> EcgRecord:
    """Place all traces on a common time base at 500 Hz; what was not printed or read stays NaN.

    Where a lead was printed more than once, the longest print counts. Raises StageError if nothing was read.
    """
    if not ecg.traces:
        raise StageError("record", "no lead was read", "check the lead names and the grid")
    last_s = max(trace.t0_s + trace.duration_s for trace in ecg.traces)
    seconds = last_s if last_s > RECORD_SECONDS + LONGER_BY_S else RECORD_SECONDS
    mv = np.full((len(LEADS), round(seconds * RECORD_HZ)), np.nan, np.float32)
    printed = {}
    rebuilt_mv, mark = mv.copy(), np.zeros(mv.shape, np.uint8)
    for lead in LEADS:
        prints = ecg.of(lead)
        if prints:
            chosen, row = max(prints, key=_read_samples), LEAD_INDEX[lead]
            printed[lead] = _place(mv[row], chosen.mv, t0_s=chosen.t0_s)
            if reconstruction is not None:
                rebuilt = reconstruction.traces[ecg.traces.index(chosen)]
                _place(rebuilt_mv[row], rebuilt.mv, t0_s=rebuilt.t0_s)
                _place(mark[row], rebuilt.mark, t0_s=rebuilt.t0_s)
    return EcgRecord(
        mv=mv, fs=RECORD_HZ, printed=printed,
        rebuilt=RebuiltLeads(rebuilt_mv, mark) if reconstruction is not None else None,
        meta={
            "layout": ecg.layout, "mm_per_s": grid.scale.mm_per_s, "mm_per_mV": grid.scale.mm_per_mV,
            "scale_source": grid.scale.source,
        },
    )  # fmt: skip


def _read_samples(trace: LeadTrace) -> int:
    return int(np.isfinite(trace.mv).sum())


def _place(target: NDArray[Any], values: NDArray[Any], *, t0_s: float) -> tuple[int, int]:
    """Put a trace's values into its row; return from which sample up to which they stand there."""
    first = round(t0_s * RECORD_HZ)
    early = max(0, -first)  # a trace that a human moved may start before the record
    part = values[early : max(early, len(target) - first)]
    start = min(first + early, len(target))
    target[start : start + len(part)] = part
    return start, start + len(part)
