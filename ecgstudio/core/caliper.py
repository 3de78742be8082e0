"""A caliper: two feet set on a lead, and what lies between them in milliseconds, beats per minute or millivolt."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LEAD_INDEX

CaliperKind = Literal["time", "amplitude"]

MAX_MARCH = 200


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
