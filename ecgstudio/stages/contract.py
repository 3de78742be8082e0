"""What a stage and its caller agree on: progress, cancelling, failing, keys, outcomes and the network runtime.

No stage lives here, and nothing here knows which stages exist.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.leads import LEADS, MARKERS

FloatMap = NDArray[np.float32]
Image = NDArray[np.uint8]

T_co = TypeVar("T_co", covariant=True)

LABEL_CLASSES: Final = ("background", *LEADS, *MARKERS)
ORIENTATIONS: Final = 8


# --- progress and cancelling -------------------------------------------------------------------------------


class Cancelled(Exception):
    """The caller asked for the work to stop; nothing was changed and nothing was written."""


class Status(Protocol):
    """Hears how far the work is, and is the place where the work learns that it should stop."""

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Report that `fraction` (0..1) of the work is done.

        Raises:
            Cancelled: the caller no longer wants the answer.
        """
        ...


class _NullStatus:
    """Hears everything, shows nothing, never cancels."""

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Do nothing."""


NULL_STATUS: Final[Status] = _NullStatus()


@dataclass(frozen=True, slots=True)
class PartStatus:
    """Reports a part's 0..1 as the stretch `start`..`end` of the whole it belongs to."""

    whole: Status
    start: float
    end: float

    def checkpoint(self, fraction: float, note: str = "") -> None:
        """Report the part's fraction on the whole's scale; raises what the whole raises."""
        self.whole.checkpoint(self.start + (self.end - self.start) * fraction, note)


# --- failing -----------------------------------------------------------------------------------------------


class StageError(Exception):
    """A stage could not answer: `reason` says what it saw, `hint` what the user can do about it.

    Raised by stage functions; `pipeline.advance` turns it into a `Failed` value.
    """

    def __init__(self, stage: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason, self.hint = stage, reason, hint


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer of a stage that could not answer; a human may supply it, and the chain goes on."""

    stage: str
    reason: str
    hint: str = ""

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("a failure needs a reason that a user can read")

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.stage}: {self.reason}{hint}"


# --- keys and outcomes -------------------------------------------------------------------------------------


class State(StrEnum):
    """What is shown about a stage of a page."""

    COMPUTING = "computing"
    AUTOMATIC = "automatic"
    CORRECTED = "corrected"
    NEEDS_REVIEW = "needs review"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Key:
    """Everything an automatic answer depends on: equal keys promise equal answers."""

    stage: str
    page: str
    weights: str
    settings: str
    upstream: str

    @property
    def digest(self) -> str:
        """Name this key in 64 hexadecimal digits, fit for a file name."""
        return content_digest(self)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """What is known after one stage: the automatic answer and, on top of it, the human's correction.

    `value` is `auto` with `edit` applied; `digest` names the content of `value` for the keys downstream.
    `edited_over` names the automatic answer that the human saw when making `edit`; `needs_review` says that the
    present one is another.
    """

    key: Key
    auto: T_co | Failed
    edit: object | None
    value: T_co | Failed
    digest: str
    edited_over: str = ""
    needs_review: bool = False

    @property
    def state(self) -> State:
        """Which of the states a view shows (an outcome is never still computing)."""
        if isinstance(self.value, Failed):
            return State.FAILED
        if self.needs_review:
            return State.NEEDS_REVIEW
        return State.AUTOMATIC if self.edit is None else State.CORRECTED


def content_digest(value: object) -> str:
    """Name a value by its content: equal values have equal digests in every process and on every machine.

    Takes dataclasses, arrays, mappings, sequences, strings, numbers and None, nested as deep as one likes.

    Raises:
        TypeError: the value holds something whose content has no stable form.
    """
    sha = hashlib.sha256()
    _feed(sha.update, value)
    return sha.hexdigest()


def _feed(update: Callable[[bytes], object], value: object) -> None:
    """Write a value's type and content, each part with its length, so that no two values read the same."""
    match value:
        case np.ndarray():
            _feed_bytes(update, "array", f"{value.dtype.str}{value.shape}".encode())
            _feed_bytes(update, "bytes", np.ascontiguousarray(value).tobytes())
        case None | bool() | int() | float() | str() | np.generic():
            plain = value.item() if isinstance(value, np.generic) else value
            _feed_bytes(update, type(plain).__name__, repr(plain).encode())
        case bytes():
            _feed_bytes(update, "bytes", value)
        case tuple() | list():
            _feed_bytes(update, "sequence", str(len(value)).encode())
            for item in value:
                _feed(update, item)
        case Mapping():
            _feed_bytes(update, "mapping", str(len(value)).encode())
            for name in sorted(value, key=repr):
                _feed(update, name)
                _feed(update, value[name])
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            _feed_bytes(update, "dataclass", type(value).__name__.encode())
            for field in (field for field in dataclasses.fields(value) if field.init):
                _feed(update, field.name)
                _feed(update, getattr(value, field.name))
        case _:
            raise TypeError(f"{type(value).__name__} has no stable content to digest")


def _feed_bytes(update: Callable[[bytes], object], kind: str, content: bytes) -> None:
    update(f"{kind}:{len(content)}:".encode())
    update(content)


# --- networks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeypointMaps:
    """What the keypoint network says about one image of H x W pixels.

    labels: f32[19, H/4, W/4], softmax over `LABEL_CLASSES`.
    orientation: f32[8], softmax; k quarter turns counter-clockwise were applied, +4 if mirrored first.
    geometry: f32[4, H/32, W/32]: paper probability, log2 of px/mm, cos and sin of 4 x the paper's angle.
    """

    labels: FloatMap
    orientation: FloatMap
    geometry: FloatMap

    def __post_init__(self) -> None:
        _check_map("labels", self.labels, (len(LABEL_CLASSES), None, None))
        _check_map("orientation", self.orientation, (ORIENTATIONS,))
        _check_map("geometry", self.geometry, (4, None, None))


@dataclass(frozen=True, slots=True)
class GridMaps:
    """What the grid network says about one image of H x W pixels; every map is H/4 x W/4.

    points: probability of a 5-mm node in the cell.
    phase: f32[4]: cos, sin of 2 pi x_mm / 5 and cos, sin of 2 pi y_mm / 5.
    lines: f32[2]: probability that a vertical, a horizontal 5-mm line crosses the cell.
    axis: probability that a lead's strip axis (its median level, from its start to its end) crosses the cell.
    ink: probability that trace ink is in the cell.
    edge: probability that a lead starts or ends here (a vertical bar of +-4 mm).
    """

    points: FloatMap
    phase: FloatMap
    lines: FloatMap
    axis: FloatMap
    ink: FloatMap
    edge: FloatMap

    def __post_init__(self) -> None:
        _check_map("points", self.points, (None, None))
        cells = self.points.shape
        _check_map("phase", self.phase, (4, *cells))
        _check_map("lines", self.lines, (2, *cells))
        for name in ("axis", "ink", "edge"):
            _check_map(name, getattr(self, name), cells)


@dataclass(frozen=True, slots=True)
class TraceMaps:
    """What the trace network says about B strips of H x W pixels; a half-column is half a pixel wide.

    columns: f32[B, H, 2W], log-softmax over H: where the strip's own trace is in each half-column.
    segmentation: f32[B, 3, H/4, W/2], softmax: background, own trace, another trace.
    presence: f32[B, 2W]: probability that the own lead is printed in the half-column.
    boundary: f32[B, 2W]: probability that a lead starts or ends within 1 px.
    """

    columns: FloatMap
    segmentation: FloatMap
    presence: FloatMap
    boundary: FloatMap

    def __post_init__(self) -> None:
        _check_map("columns", self.columns, (None, None, None))
        batch, _, half_columns = self.columns.shape
        _check_map("segmentation", self.segmentation, (batch, 3, None, None))
        _check_map("presence", self.presence, (batch, half_columns))
        _check_map("boundary", self.boundary, (batch, half_columns))


class Classifier(Protocol):
    """The network that classifies records; it takes what `fusion_input` makes of them.

    Not every set of weights has one: then all of this raises UserError, with a sentence that says so.
    """

    @property
    def classifier(self) -> str:
        """Name the classifier and its weights; part of a diagnosis' key, and its source."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The codes for which it answers, in the order of its answers."""
        ...

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability from which on each class counts as found, chosen on validation records."""
        ...

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        """Return calibrated probabilities f32[B, C] for signals and masks f32[B, 12, 1000] and clinical f32[B, 4]."""
        ...

    def attribution(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap, index: int) -> FloatMap:
        """Say how much each sample of f32[12, 1000] adds to class `index`'s log odds, compared with flat leads.

        The parts f32[12, 1000] (integrated gradients) add up to the log odds less those of flat leads with this mask.
        """
        ...


class Reconstructor(Protocol):
    """The network that mends what stage 2 read.

    Not every set of weights has one: then all of this raises UserError, with a sentence that says so.
    """

    @property
    def reconstructor(self) -> str:
        """Name the network and its weights; part of a reconstruction's key."""
        ...

    def reconstruct(self, pictures: FloatMap, series: FloatMap) -> FloatMap:
        """Return what to add f32[B, 512] to windows of series f32[B, 3, 512], by their pictures f32[B, 2, 384, 512].

        Pictures are normalised as stage 2 does it; `stages.reconstruct` says what a series holds.
        """
        ...


class Runtime(Classifier, Reconstructor, Protocol):
    """The trained networks, wherever they run; stages are handed one and never make one."""

    @property
    def device(self) -> str:
        """Where the networks run: "cpu", "cuda" or "mps"."""
        ...

    @property
    def weights_hash(self) -> str:
        """Name the weights that read pages together; part of every key."""
        ...

    def keypoints(self, image: Image) -> KeypointMaps:
        """Look for lead names, markers, paper and orientation in u8[H, W, 3], H and W multiples of 32."""
        ...

    def names(self, crops: FloatMap) -> FloatMap:
        """Read lead names in normalised crops f32[B, 1, 48, 96]: softmax f32[B, 13], "no name" first, then LEADS."""
        ...

    def texts(self, crops: FloatMap) -> FloatMap:
        """Read scale texts in normalised crops f32[B, 1, 32, 160]: softmax f32[B, 6], none first, then SCALE_TEXTS."""
        ...

    def grid(self, image: Image) -> GridMaps:
        """Look for the grid and the leads' strips in u8[H, W, 3], H and W multiples of 32."""
        ...

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Read the traces along f32[B, 2, H, W] strips, normalised as stage 2 does it."""
        ...


def _check_map(name: str, values: FloatMap, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `values` is float32 with this shape (None: any size)."""
    fits = values.ndim == len(shape) and all(want in (None, got) for got, want in zip(values.shape, shape, strict=True))
    if not fits or values.dtype != np.float32:
        raise ValueError(f"{name}: expected float32 {shape}, got {values.dtype} {values.shape}")
