"""How time and voltage of a trace lie on the page: what a place means, and where a moment is. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit

SOME_SAMPLES = 60  # to_mm solves for every point; the median of some will do


@dataclass(frozen=True, slots=True)
class TraceFrame:
    """Where on the paper second 0 of the page's time axis and 0 mV of a trace lie, in mm."""

    x0_mm: float
    y0_mm: float

    def place(self, t_s: Floats | float, mv: Floats | float, grid: GridFit) -> F64:
        """Map times and voltages to page pixels [..., 2]."""
        x_mm, y_mm = (
            self.x0_mm + np.asarray(t_s) * grid.scale.mm_per_s,
            self.y0_mm - np.asarray(mv) * grid.scale.mm_per_mV,
        )
        return grid.to_page(np.stack(np.broadcast_arrays(x_mm, y_mm), axis=-1))

    def read(self, xy: F64, grid: GridFit) -> tuple[float, float]:
        """Return seconds and millivolts of a page pixel [2]; NaN where the grid does not reach."""
        x_mm, y_mm = grid.to_mm(xy)
        return float((x_mm - self.x0_mm) / grid.scale.mm_per_s), float((self.y0_mm - y_mm) / grid.scale.mm_per_mV)


def frame_of(trace: LeadTrace, grid: GridFit) -> TraceFrame:
    """Find a trace's time and zero level from how its own samples lie on the paper."""
    placed = np.flatnonzero(np.isfinite(trace.xy).all(axis=1))
    if not placed.size:
        return TraceFrame(np.nan, np.nan)
    some = placed[:: max(1, placed.size // SOME_SAMPLES)]
    mm = grid.to_mm(trace.xy[some])
    x0 = mm[:, 0] - trace.t_s[some] * grid.scale.mm_per_s
    y0 = mm[:, 1] + trace.mv[some] * grid.scale.mm_per_mV
    level = y0[np.isfinite(y0)]
    if not level.size:  # nothing was read: the floor on which its samples lie is the best guess of its zero level
        level = mm[np.isfinite(mm[:, 1]), 1]
    x0 = x0[np.isfinite(x0)]
    return TraceFrame(float(np.median(x0)) if x0.size else np.nan, float(np.median(level)) if level.size else np.nan)


def trace_of_lead(ecg: DigitizedEcg | None, lead: str, t_s: float) -> LeadTrace | None:
    """Return the lead's trace that was printed at a moment; where two were, the one with less on it comes first."""
    traces = [trace for trace in (ecg.of(lead) if ecg is not None else ()) if len(trace.mv)]
    here = [trace for trace in traces if trace.t0_s <= t_s <= trace.t0_s + trace.duration_s]
    return min(here or traces, key=lambda trace: len(trace.mv), default=None)
