"""A caliper: two feet set on a lead, and what lies between them in milliseconds, beats per minute or millivolt."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import LeadTrace
from ecgstudio.core.leads import LEAD_INDEX

CaliperKind = Literal["time", "amplitude"]

MAX_MARCH = 200


class Part(StrEnum):
    """What of a caliper is held."""

    FIRST = "first foot"
    SECOND = "second foot"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Caliper:
    """Two feet on a lead, in the time and voltage of its traces.

    A time caliper stands at `t0_s` and `t1_s` and marches: `count` intervals of the same length follow one another from
    the first foot on (1: no march). `mv0` is where its bar lies. An amplitude caliper stands at `mv0` and `mv1` between
    the moments `t0_s` and `t1_s`. Feet may stand in either order.
    """

    kind: CaliperKind
    lead: str
    t0_s: float
    t1_s: float
    mv0: float = 0.0
    mv1: float = 0.0
    count: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("time", "amplitude"):
            raise ValueError(f"a caliper measures time or amplitude, not {self.kind!r}")
        if self.lead not in LEAD_INDEX:
            raise ValueError(f"{self.lead!r} is no lead")
        if not all(map(math.isfinite, (self.t0_s, self.t1_s, self.mv0, self.mv1))):
            raise ValueError("the feet of a caliper must stand at finite places")
        if not 1 <= self.count <= MAX_MARCH:
            raise ValueError(f"a caliper marches 1 to {MAX_MARCH} times, not {self.count}")

    @property
    def interval_s(self) -> float:
        """Time between the feet, never negative."""
        return abs(self.t1_s - self.t0_s)

    @property
    def amplitude_mv(self) -> float:
        """Voltage of the second foot over the first."""
        return self.mv1 - self.mv0

    @property
    def rate_per_min(self) -> float:
        """Heart rate if the interval is one beat long; NaN where the feet stand together."""
        return 60.0 / self.interval_s if self.interval_s > 0 else math.nan

    @property
    def feet_s(self) -> F64:
        """Moments [count + 1] of all feet of a march, in the order of time, the first foot first."""
        return min(self.t0_s, self.t1_s) + self.interval_s * np.arange(self.count + 1, dtype=np.float64)

    def stands_on(self, trace: LeadTrace) -> bool:
        """Tell whether a foot stands where a trace was printed."""
        return trace.holds(self.t0_s) or trace.holds(self.t1_s)

    def moved(self, part: Part, *, by_s: float, by_mv: float) -> "Caliper":
        """Move a foot, or all of it; the feet of a time caliper have no voltage of their own."""
        first, second = part is not Part.SECOND, part is not Part.FIRST
        if self.kind == "time":
            level = by_mv if part is Part.WHOLE else 0.0
            return replace(
                self, t0_s=self.t0_s + by_s * first, t1_s=self.t1_s + by_s * second,
                mv0=self.mv0 + level, mv1=self.mv1 + level,
            )  # fmt: skip
        along = by_s if part is Part.WHOLE else 0.0
        return replace(
            self, t0_s=self.t0_s + along, t1_s=self.t1_s + along,
            mv0=self.mv0 + by_mv * first, mv1=self.mv1 + by_mv * second,
        )  # fmt: skip

    def marched(self, by: int) -> "Caliper":
        """March more or fewer times; an amplitude does not march."""
        if self.kind == "amplitude":
            return self
        return replace(self, count=min(MAX_MARCH, max(1, self.count + by)))
