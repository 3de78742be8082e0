"""Fiducials: the places in a mean beat between which intervals are measured, and where a human put them."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Fiducial(StrEnum):
    """A place in the mean beat between which intervals are measured."""

    P_ON = "P onset"
    QRS_ON = "QRS onset"
    QRS_OFF = "QRS end"
    T_END = "T end"


@dataclass(frozen=True, slots=True)
class FiducialPlace:
    """Where a human put a fiducial (the value of a `Fiducial`), in seconds from the R peak; it holds for all beats."""

    fiducial: str
    at_s: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "fiducial", Fiducial(self.fiducial).value)  # a plain text: it is written to files
        if not math.isfinite(self.at_s):
            raise ValueError("a fiducial needs a place")


@dataclass(frozen=True, slots=True)
class FiducialEdit:
    """What a human changed about the fiducials: each at most once, in the order of the beat."""

    places: tuple[FiducialPlace, ...]

    def __post_init__(self) -> None:
        order = [fiducial.value for fiducial in Fiducial]
        if len({place.fiducial for place in self.places}) != len(self.places):
            raise ValueError("a fiducial has one place")
        object.__setattr__(self, "places", tuple(sorted(self.places, key=lambda each: order.index(each.fiducial))))
