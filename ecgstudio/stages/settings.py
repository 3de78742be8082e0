"""What a user may choose about the pipeline: one frozen slice per stage, so that a key depends only on its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from ecgstudio.core.leads import AUTO_LAYOUT

__all__ = [
    "AUTO_LAYOUT",
    "AssembleSettings",
    "GridSettings",
    "KeypointSettings",
    "PipelineSettings",
    "QualitySettings",
    "ReconstructSettings",
    "TraceSettings",
]


@dataclass(frozen=True, slots=True)
class KeypointSettings:
    """Choices of stage 0."""


@dataclass(frozen=True, slots=True)
class GridSettings:
    """Choices of stage 1.

    mm_per_s, mm_per_mV: paper speed and gain that the user vouches for; None: as found on the page.
    """

    mm_per_s: float | None = None
    mm_per_mV: float | None = None

    def __post_init__(self) -> None:
        for name in ("mm_per_s", "mm_per_mV"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1000:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Choices of stage 2.

    layout: a template's name that the user vouches for, or "auto".
    flip: read every strip upside down as well and average the two readings (twice the time).
    """

    layout: str = AUTO_LAYOUT
    flip: bool = False


@dataclass(frozen=True, slots=True)
class ReconstructSettings:
    """Choices of what follows stage 2: mending traces by their picture.

    fill_s: the longest unreadable span that is filled.
    """

    enabled: bool = False
    fill_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.fill_s <= 1:
            raise ValueError(f"fill_s must lie between 0 and 1, got {self.fill_s}")


@dataclass(frozen=True, slots=True)
class AssembleSettings:
    """Choices of putting the traces on a common time base."""


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Choices of the self-checks."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Every choice of a run, by stage."""

    keypoints: KeypointSettings = field(default_factory=KeypointSettings)
    grid: GridSettings = field(default_factory=GridSettings)
    traces: TraceSettings = field(default_factory=TraceSettings)
    reconstruct: ReconstructSettings = field(default_factory=ReconstructSettings)
    assemble: AssembleSettings = field(default_factory=AssembleSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
