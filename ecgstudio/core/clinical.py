"""What is known about the patient besides the record: age, sex, size, blood pressure, diabetes; no name, no number."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final, Literal, get_args

Sex = Literal["f", "m"]

RANGES: Final = {
    "age_years": (0.0, 120.0),
    "height_cm": (30.0, 250.0),
    "weight_kg": (0.3, 400.0),
    "systolic_mmhg": (40.0, 320.0),
    "diastolic_mmhg": (20.0, 220.0),
}
"""From which to which value a number can belong to a living patient; others are slips of the hand."""
LABELS: Final = {
    "age_years": "age",
    "height_cm": "height",
    "weight_kg": "weight",
    "systolic_mmhg": "systolic blood pressure",
    "diastolic_mmhg": "diastolic blood pressure",
}
UNITS: Final = {
    "age_years": "years",
    "height_cm": "cm",
    "weight_kg": "kg",
    "systolic_mmhg": "mmHg",
    "diastolic_mmhg": "mmHg",
}


@dataclass(frozen=True, slots=True)
class Clinical:
    """A patient's values on the day of the record; None where nobody said. Raises ValueError for impossible ones."""

    age_years: float | None = None
    sex: Sex | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    systolic_mmhg: float | None = None
    diastolic_mmhg: float | None = None
    diabetes: bool | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{LABELS[name]} must lie between {low:g} and {high:g} {UNITS[name]}, not {value:g}")
        if self.sex is not None and self.sex not in get_args(Sex):
            raise ValueError(f"sex must be f or m, not {self.sex!r}")
        if self.diabetes is not None and not isinstance(self.diabetes, bool):
            raise ValueError(f"diabetes must be yes or no, not {self.diabetes!r}")
        above, below = self.systolic_mmhg, self.diastolic_mmhg
        if above is not None and below is not None and below >= above:
            raise ValueError(f"diastolic blood pressure ({below:g}) must be below the systolic one ({above:g})")

    @property
    def entered(self) -> dict[str, float | str | bool]:
        """The values that somebody entered, by the names of the fields."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}


UNKNOWN_PATIENT: Final = Clinical()
