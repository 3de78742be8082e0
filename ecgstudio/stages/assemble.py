"""Traces onto one time base: the 12-lead record in which each lead stands at the time at which it was printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F32
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.leads import LEAD_INDEX, LEADS
from ecgstudio.core.rebuilt import RebuiltLeads, Reconstruction
from ecgstudio.stages.contract import StageError
from ecgstudio.stages.print_skew import shift_between
from ecgstudio.stages.settings import AssembleSettings

RECORD_HZ = 500.0
RECORD_SECONDS = 10.0
DRAWN = 1.0  # the confidence of what a human drew; no machine is as sure
ALIKE_WITHIN_S = 0.012  # prints that lie further apart in time are not one recording's, or the grid is wrong
LONGER_BY_S = 0.3  # a print longer than this beyond 10 s makes the record longer; a little is a matter of measuring


def assemble(
    ecg: DigitizedEcg, grid: GridFit, *, settings: AssembleSettings, reconstruction: Reconstruction | None = None
) -> EcgRecord:
    """Place all traces on a common time base at 500 Hz; what was not printed or read stays NaN.

    Where a lead was printed more than once, the longest print counts; over the seconds that another print shows too it
    is the mean of both if they are alike. Raises StageError if nothing was read.
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
            mixed = _with_other_prints(chosen, prints)
            printed[lead] = _place(mv[row], mixed, t0_s=chosen.t0_s)
            if reconstruction is not None:
                rebuilt = reconstruction.traces[ecg.traces.index(chosen)]
                _place(rebuilt_mv[row], rebuilt.mv + np.nan_to_num(mixed - chosen.mv), t0_s=rebuilt.t0_s)
                _place(mark[row], rebuilt.mark, t0_s=rebuilt.t0_s)
    return EcgRecord(
        mv=mv, fs=RECORD_HZ, printed=printed,
        rebuilt=RebuiltLeads(rebuilt_mv, mark) if reconstruction is not None else None,
        meta={
            "layout": ecg.layout, "mm_per_s": grid.scale.mm_per_s, "mm_per_mV": grid.scale.mm_per_mV,
            "scale_source": grid.scale.source,
        },
    )  # fmt: skip


def _with_other_prints(chosen: LeadTrace, prints: Sequence[LeadTrace]) -> F32:
    """Return a print's samples, the mean with those of the others that are alike; what a human drew stays as it is."""
    mv = np.array(chosen.mv)
    drawn = chosen.confidence == DRAWN
    for other in prints:
        late = shift_between(other, chosen) if other is not chosen else None
        if late is None or abs(late) > ALIKE_WITHIN_S * RECORD_HZ or (other.confidence == DRAWN).any():
            continue
        first = round((other.t0_s - chosen.t0_s) * RECORD_HZ) + late
        at = np.arange(len(mv)) - first
        read = np.isfinite(other.mv)
        second = np.interp(at, np.flatnonzero(read), other.mv[read], left=np.nan, right=np.nan)
        second[np.interp(at, np.arange(len(read)), read, left=0, right=0) < 1] = np.nan
        both = np.isfinite(second) & np.isfinite(mv)
        level = np.mean(second[both]) - np.mean(mv[both])  # where the axis lies is not known to the microvolt
        mean = both & ~drawn
        mv[mean] = (mv[mean] + second[mean] - level) / 2
    return mv


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
