"""A page: the upright-or-not pixels of one sheet as they came from a file, and its identity."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64, U8, check_finite, frozen_array


@dataclass(frozen=True, slots=True, order=True)
class PageId:
    """Identity of a page by content: sha256 of the file's bytes and the page's index (from 0) in the file."""

    sha256: str
    index: int

    def __post_init__(self) -> None:
        if not self.sha256 or self.index < 0:
            raise ValueError("a PageId needs the hash of its file and an index from 0")

    def __str__(self) -> str:
        return f"{self.sha256}-{self.index}"


def identity_of(pixels: U8) -> PageId:
    """Return the identity of a page that is no page of a file: that of its pixels."""
    content = f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()
    return PageId(hashlib.sha256(content).hexdigest(), 0)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Where a page was cut out of a picture of several ECGs: which picture, and the outline [N, 2] in its pixels.

    The outline is convex and goes along the edges of pixels: that of a whole picture begins at (-0.5, -0.5).
    """

    picture: PageId
    source: str
    outline: F64

    def __post_init__(self) -> None:
        outline = frozen_array(self.outline, dtype=np.float64, shape=(None, 2), name="outline")
        check_finite(outline, "outline")
        if len(outline) < 3:
            raise ValueError("an outline has three corners at least")
        object.__setattr__(self, "outline", outline)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The pixels of the picture that hold the outline: left, top, and the first beyond it right and below."""
        return box_of(self.outline)


def box_of(outline: F64) -> tuple[int, int, int, int]:
    """Return the pixels whose centres lie in an outline's box: left, top, first beyond it right and below."""
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    slack = 1e-6  # of a pixel
    return (
        int(np.ceil(left - slack)), int(np.ceil(top - slack)),
        int(np.floor(right + slack)) + 1, int(np.floor(bottom + slack)) + 1,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page: RGB pixels [H, W, 3], dots per inch if the file tells, and its source for messages.

    `part` says where it was cut out of a picture that shows several ECGs; `lines` are those [N, 2] that a program drew
    on it, in its pixels, if the file is a drawing.
    """

    id: PageId
    pixels: U8
    dpi: float | None
    source: str
    part: Part | None = None
    lines: tuple[F64, ...] = ()

    def __post_init__(self) -> None:
        pixels = frozen_array(self.pixels, dtype=np.uint8, shape=(None, None, 3), name="pixels")
        if not pixels.size:
            raise ValueError("a page needs at least one pixel")
        if self.dpi is not None and not (0 < self.dpi < np.inf):
            raise ValueError(f"dpi must be positive or None, not {self.dpi}")
        lines = tuple(frozen_array(line, dtype=np.float64, shape=(None, 2), name="lines") for line in self.lines)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "lines", lines)

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.pixels.shape[1])
