"""What the reconstruction would have in the place of traces: never mixed with what was read, every sample marked."""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F32, F64, U8, frozen_array
from ecgstudio.core.leads import LEAD_INDEX, LEADS


class Mark(IntEnum):
    """Where a reconstructed sample comes from."""

    AS_READ = 0
    CHANGED = 1
    FILLED = 2


@dataclass(frozen=True, slots=True, eq=False)
class RebuiltTrace:
    """One trace after reconstruction, sample by sample beside the `LeadTrace` that it was made of.

    `mv` [n] is NaN where it stays unknown, `xy` [n, 2] the page pixel of each sample, `mark` [n] a `Mark` each.
    """

    lead: str
    t0_s: float
    fs: float
    mv: F32
    xy: F64
    mark: U8

    def __post_init__(self) -> None:
        if self.lead not in LEAD_INDEX:
            raise ValueError(f"{self.lead!r} is no lead")
        if not (0 < self.fs < math.inf and math.isfinite(self.t0_s)):
            raise ValueError("fs must be positive and t0_s finite")
        mv = frozen_array(self.mv, dtype=np.float32, shape=(None,), name="mv")
        object.__setattr__(self, "mv", mv)
        object.__setattr__(self, "xy", frozen_array(self.xy, dtype=np.float64, shape=(len(mv), 2), name="xy"))
        object.__setattr__(self, "mark", _marks(self.mark, mv))

    @property
    def filled_s(self) -> F64:
        """Begin and end [k, 2] of each span that was filled, in seconds of the record."""
        return self.t0_s + spans(self.mark == Mark.FILLED) / self.fs

    @property
    def changed(self) -> float:
        """The share of samples that were read and are another after reconstruction."""
        return float((self.mark == Mark.CHANGED).mean()) if len(self.mark) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """All traces of a page after reconstruction, in the order of the traces that were read."""

    traces: tuple[RebuiltTrace, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", tuple(self.traces))


@dataclass(frozen=True, slots=True, eq=False)
class RebuiltLeads:
    """The leads of a record after reconstruction: `mv` [12, n] in the order of LEADS, and a `Mark` for each sample."""

    mv: F32
    mark: U8

    def __post_init__(self) -> None:
        mv = frozen_array(self.mv, dtype=np.float32, shape=(len(LEADS), None), name="mv")
        object.__setattr__(self, "mv", mv)
        object.__setattr__(self, "mark", _marks(self.mark, mv))

    def changes(self, lead: str) -> bool:
        """Tell whether any sample of a lead was changed or filled."""
        return bool(self.mark[LEAD_INDEX[lead]].any())


def spans(wanted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return [first, end) of each stretch of samples that are wanted, as an array [k, 2]."""
    return np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8))).reshape(-1, 2)


def _marks(mark: U8, mv: F32) -> U8:
    """Check marks; a sample that is not known was neither changed nor filled."""
    if np.isinf(mv).any():
        raise ValueError("mv must be finite or NaN")
    checked: U8 = frozen_array(mark, dtype=np.uint8, shape=mv.shape, name="mark")
    if checked.max(initial=0) > max(Mark):
        raise ValueError("mark must hold marks")
    if checked[np.isnan(mv)].any():
        raise ValueError("an unknown sample cannot be marked")
    return checked
