"""A page: the upright-or-not pixels of one sheet as they came from a file, and its identity."""

from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import U8, frozen_array


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


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page: RGB pixels [H, W, 3], dots per inch if the file tells, and its source for messages."""

    id: PageId
    pixels: U8
    dpi: float | None
    source: str

    def __post_init__(self) -> None:
        pixels = frozen_array(self.pixels, dtype=np.uint8, shape=(None, None, 3), name="pixels")
        if not pixels.size:
            raise ValueError("a page needs at least one pixel")
        if self.dpi is not None and not (0 < self.dpi < np.inf):
            raise ValueError(f"dpi must be positive or None, not {self.dpi}")
        object.__setattr__(self, "pixels", pixels)

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.pixels.shape[1])
