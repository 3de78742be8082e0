"""Traces as read from a page, and the 12-lead record assembled from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ecgstudio.core.arrays import F32, F64, check_probability, frozen_array
from ecgstudio.core.leads import LEAD_INDEX, LEADS
from ecgstudio.core.rebuilt import RebuiltLeads


@dataclass(frozen=True, slots=True, eq=False)
class LeadTrace:
    """One printed stretch of one lead.

    `t0_s` is the time of the first sample from the left end of the page's time axis, `mv` [n] the voltages
    (NaN = not on paper or not readable), `xy` [n, 2] the page pixel of each sample, `confidence` [n] in [0,
    1]. A lead may be printed twice (its short stretch and a rhythm strip): these are two traces.
    """

    lead: str
    t0_s: float
    fs: float
    mv: F32
    xy: F64
    confidence: F32

    def __post_init__(self) -> None:
        if self.lead not in LEAD_INDEX:
            raise ValueError(f"{self.lead!r} is no lead")
        if not (0 < self.fs < math.inf and math.isfinite(self.t0_s)):
            raise ValueError("fs must be positive and t0_s finite")
        mv = frozen_array(self.mv, dtype=np.float32, shape=(None,), name="mv")
        if np.isinf(mv).any():
            raise ValueError("mv must be finite or NaN")
        confidence = frozen_array(self.confidence, dtype=np.float32, shape=mv.shape, name="confidence")
        check_probability(confidence, "confidence")
        object.__setattr__(self, "mv", mv)
        object.__setattr__(self, "xy", frozen_array(self.xy, dtype=np.float64, shape=(len(mv), 2), name="xy"))
        object.__setattr__(self, "confidence", confidence)

    @property
    def t_s(self) -> F64:
        """Time of every sample in seconds."""
        return self.t0_s + np.arange(len(self.mv)) / self.fs

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.mv) / self.fs

    def holds(self, t_s: float) -> bool:
        """Tell whether the trace was printed at a moment."""
        return self.t0_s <= t_s <= self.t0_s + self.duration_s


@dataclass(frozen=True, slots=True, eq=False)
class DigitizedEcg:
    """All traces of a page, the name of the layout they were found in, and doubts about it in words.

    `nameless` strips were seen, too, but nothing tells which lead they show. `cut_share` (0..1) of what is printed lies
    outside the picture.
    """

    traces: tuple[LeadTrace, ...]
    layout: str
    notes: tuple[str, ...] = ()
    nameless: int = 0
    cut_share: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", tuple(self.traces))
        object.__setattr__(self, "notes", tuple(self.notes))

    def of(self, lead: str) -> tuple[LeadTrace, ...]:
        """Return the traces of a lead, in the order of the page."""
        return tuple(trace for trace in self.traces if trace.lead == lead)


@dataclass(frozen=True, slots=True, eq=False)
class EcgRecord:
    """A record on one time base: `mv` [leads, n] in mV, NaN where a lead was not printed or not read.

    `meta` says where the record came from; its keys become comments in a WFDB header. `printed` says from which sample
    up to which (not including it) a lead was printed, read or not; what it does not name was printed where it is known.
    `rebuilt` is what the reconstruction would have in its place, of all LEADS; None if it is off.
    """

    mv: F32
    fs: float
    leads: tuple[str, ...] = LEADS
    meta: Mapping[str, object] = field(default_factory=dict)
    printed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    rebuilt: RebuiltLeads | None = None

    def __post_init__(self) -> None:
        leads = tuple(self.leads)
        if len(set(leads)) != len(leads) or any(lead not in LEAD_INDEX for lead in leads):
            raise ValueError(f"leads must be distinct lead names, not {leads}")
        mv = frozen_array(self.mv, dtype=np.float32, shape=(len(leads), None), name="mv")
        if np.isinf(mv).any():
            raise ValueError("mv must be finite or NaN")
        if not 0 < self.fs < math.inf:
            raise ValueError("fs must be positive")
        object.__setattr__(self, "mv", mv)
        object.__setattr__(self, "leads", leads)
        object.__setattr__(self, "meta", dict(self.meta))
        for lead, (first, last) in self.printed.items():
            if lead not in leads or not 0 <= first <= last <= mv.shape[1]:
                raise ValueError(f"{lead} cannot be printed from sample {first} to {last}")
        object.__setattr__(self, "printed", dict(self.printed))
        if self.rebuilt is not None and self.rebuilt.mv.shape[1] != mv.shape[1]:
            raise ValueError("a reconstruction must be as long as its record")

    @property
    def t_s(self) -> F64:
        """Time of every sample in seconds."""
        return np.arange(self.mv.shape[1]) / self.fs

    def span(self, lead: str) -> tuple[int, int]:
        """Return from which sample up to which (not including it) a lead was printed; (0, 0) if it was not."""
        if lead in self.printed:
            return self.printed[lead]
        known = np.flatnonzero(~np.isnan(self.lead_mv(lead)))
        return (int(known[0]), int(known[-1]) + 1) if known.size else (0, 0)

    def lead_mv(self, lead: str) -> F32:
        """Return the samples of one lead."""
        return np.asarray(self.mv[self.leads.index(lead)])
