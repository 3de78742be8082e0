"""What the classifier (or a clinician) says about a record."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One diagnostic class with its probability, and who said so (a model's name or "clinician")."""

    code: str
    probability: float
    source: str

    def __post_init__(self) -> None:
        if not self.code:
            raise ValueError("a finding needs a code")
        if not (math.isfinite(self.probability) and 0 <= self.probability <= 1):
            raise ValueError(f"probability must lie in [0, 1], not {self.probability}")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings of a record, one per code."""

    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        findings = tuple(self.findings)
        if len({finding.code for finding in findings}) != len(findings):
            raise ValueError("a diagnosis may hold each code only once")
        object.__setattr__(self, "findings", findings)

    def probability(self, code: str) -> float:
        """Return the probability of a code; NaN if nobody answered for it."""
        return next((finding.probability for finding in self.findings if finding.code == code), math.nan)
