"""What every reader of images shares: the limits of a page's size, and the way from any samples to RGB bytes."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ecgstudio.core.arrays import U8
from ecgstudio.errors import InputError

MIN_SIDE_PX = 100
"""An ECG page below this cannot hold a readable trace: 12 leads in 100 px are 8 px each."""

MAX_PIXELS = 200_000_000
"""An A3 sheet at 600 dpi has 70 million; more than three times that is a mistake or an attack."""

MIN_TRUE_DPI = 98.0
"""72 and 96 are what software writes that does not know; no scan of an ECG is that coarse."""

MAX_TRUE_DPI = 2400.0


class PageReader(Protocol):
    """An open file: says how many pages it holds and decodes one at a time."""

    @property
    def count(self) -> int:
        """Number of pages."""
        ...

    def read(self, index: int) -> tuple[U8, float | None]:
        """Decode a page: RGB pixels and dots per inch, None if not known. Raises InputError."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def check_size(width: int, height: int, name: str) -> None:
    """Raise InputError if a page of that size is too small or too large; call it before anything is decoded."""
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} is too large ({width} x {height} pixels, at most {MAX_PIXELS // 1_000_000} million);"
            " save it at a lower resolution."
        )
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{name} is too small to hold an ECG ({width} x {height} pixels, at least {MIN_SIDE_PX} per side)."
        )


def damaged(name: str) -> InputError:
    """Return the error for a file whose end or middle is missing."""
    return InputError(f"{name} is damaged or not complete; copy or scan it again.")


def true_dpi(dpi: float | None) -> float | None:
    """Return the resolution if it can be that of a scan, None if it is a placeholder."""
    return float(dpi) if dpi is not None and MIN_TRUE_DPI <= dpi <= MAX_TRUE_DPI else None


def bytes_from_samples(samples: npt.NDArray[Any]) -> U8:
    """Scale grey samples of more than 8 bits to bytes.

    Whole numbers are taken as 8, 10, 12, 14 or 16 bits, the fewest that hold the largest one: scanners store
    12 bits in 16. Anything else is stretched from its smallest to its largest value.
    """
    if samples.dtype == np.uint8:
        return samples
    finite = samples[np.isfinite(samples)] if samples.dtype.kind == "f" else samples
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if samples.dtype.kind in "ui" and low >= 0:
        full = next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits), None)
        if full is not None:
            low, high = 0.0, float(full)
    return stretch(samples, low, high)


def stretch(samples: npt.NDArray[Any], low: float, high: float) -> U8:
    """Map samples linearly so that `low` becomes 0 and `high` 255; outside values and NaN are clipped."""
    scaled = (samples.astype(np.float32) - np.float32(low)) * np.float32(255.0 / max(high - low, 1e-12))
    return np.asarray(np.clip(np.nan_to_num(np.rint(scaled)), 0, 255).astype(np.uint8))


def rgb_from_grey(grey: U8) -> U8:
    """Repeat a grey image [H, W] in three channels."""
    return np.repeat(grey[:, :, None], 3, axis=2)
