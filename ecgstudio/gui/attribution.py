"""What drove a finding, moment by moment: how much every sample of the record spoke for it, ready to be drawn.

A band under the trace says it by its width, so that nobody has to tell colours apart. Numpy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from ecgstudio.core.arrays import F32, F64
from ecgstudio.core.ecg import EcgRecord, LeadTrace

LEVELS: Final = (0.1, 0.22, 0.36, 0.52, 0.7, 0.88)
"""From which share of the strongest moment on a band gets its next width."""
WIDTHS_MM: Final = (0.9, 1.4, 1.9, 2.4, 3.0, 3.6)
"""How wide the band is on the paper, per level."""
WAVE_S: Final = 0.1
SOFT_S: Final = 0.12
"""A network at 100 Hz points at single samples; a reader looks for waves, and a band shorter than wide is a blot."""
STRONGEST_PERCENTILE: Final = 99.5  # one wild sample must not make all others look like nothing
MAIN_LEADS: Final = 3
LEAST_TOTAL: Final = 1e-12  # what speaks no louder speaks for nothing
LEAST_SHARE: Final = 0.08


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """How much every sample of a record spoke for a finding: `strength` [leads, n], 1 at the strongest moments.

    `shares`: how much of all that spoke for it lies in each lead.
    """

    code: str
    leads: tuple[str, ...]
    fs: float
    strength: F32
    shares: tuple[float, ...]

    def main_leads(self) -> tuple[tuple[str, float], ...]:
        """Return the leads that spoke most for the finding, with their shares."""
        most = sorted(zip(self.leads, self.shares, strict=True), key=lambda each: -each[1])[:MAIN_LEADS]
        return tuple((lead, share) for lead, share in most if share >= LEAST_SHARE)


def attribution_of(code: str, parts: Mapping[str, F32], record: EcgRecord) -> Attribution:
    """Make what each moment of a lead adds to a finding fit to be drawn.

    What speaks against goes, single samples become waves, and the strongest moments of all leads become 1.
    """
    known = np.isfinite(record.mv)
    speaks = np.zeros(record.mv.shape)
    for row, lead in enumerate(record.leads):
        if lead in parts:
            speaks[row] = np.maximum(np.nan_to_num(parts[lead].astype(np.float64)), 0.0)
    speaks[~known] = 0.0
    sums = speaks.sum(axis=1)
    total = float(sums.sum())
    shares = sums / total if total > LEAST_TOTAL else np.zeros_like(sums)
    waves = np.stack([_soft(_widened(row, WAVE_S * record.fs), SOFT_S * record.fs) for row in speaks])
    some = waves[known & (waves > 0)]
    top = float(np.percentile(some, STRONGEST_PERCENTILE)) if some.size else 1.0
    strength = np.where(known, np.clip(waves / top, 0.0, 1.0), 0.0)
    return Attribution(code, record.leads, record.fs, strength.astype(np.float32), tuple(shares.tolist()))


def _widened(row: F64, width: float) -> F64:
    """Return the largest value within a stretch around every sample."""
    half = max(1, round(width / 2))
    return np.lib.stride_tricks.sliding_window_view(np.pad(row, half), 2 * half + 1).max(axis=1)


def _soft(row: F64, width: float) -> F64:
    window = np.hanning(max(1, round(width)) + 2)[1:-1]
    return np.convolve(row, window / window.sum(), mode="same")


@lru_cache(maxsize=64)  # a page has about 13 traces; while one pans they are the same in every frame
def driving_runs(trace: LeadTrace, attribution: Attribution) -> tuple[tuple[int, int, int], ...]:
    """Return (level 1..6, first, behind-last sample) of every stretch of a trace that drove the finding alike."""
    at = np.round(trace.t_s * attribution.fs).astype(int)
    inside = (at >= 0) & (at < attribution.strength.shape[1])
    strength = np.zeros(len(at))
    row = attribution.strength[attribution.leads.index(trace.lead)]
    strength[inside] = row[at[inside]]
    steps = np.searchsorted(np.array(LEVELS), strength, side="right")
    steps[~np.isfinite(trace.mv)] = 0
    edges = np.flatnonzero(np.diff(steps)) + 1
    bounds = np.concatenate([[0], edges, [len(steps)]])
    return tuple((int(steps[a]), a, b) for a, b in itertools.pairwise(bounds.tolist()) if b > a and steps[a])
