"""How large a millimetre is by the bold lines of the paper, where the first look at a page misjudged it grossly.

The first look takes in a whole page at once and knows scales from how sheets of usual sizes look. A page of unusual
size or with unusually small names misleads it by a factor of 1.5 or 4, far beyond what the search for the grid mends.
Every fifth line of the paper is bold: that alone tells the scale, if it is seen at once along and across the page.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.grid import GRID_PITCH_MM
from ecgstudio.stages.view import brightest_and_darkest, unshaded, upright_view

Image = NDArray[np.uint8]

VIEW_PX_PER_MM, MAX_SIDE_PX = 10.0, 3000
BAND_PX, CHUNK_PX, SHADE_PX = 48, 512, 41
PART_BAND_PX, PART_BANDS = 24, 16  # a part of the view, in which perspective hardly shows
LEAST_PARTS, PARTS_SEE = 6, 75  # percentile
ASLANT = 0.03  # by so much the scale of parts differs from the one they share
SHORTEST, LONGEST = 0.2, 2.0  # of the supposed period
LEAST_PERIOD_PX, MOST_PERIOD_PX = 6.0, 128.0
STEPS = 400
NEAR = 0.19  # log ratio of scales: so far off the search for the grid finds it itself
LEAST_SEEN, CLEARLY = -1.0, 1.5  # log power: of bold lines, and how much more than at the supposed scale
PROBABLY = 0.7  # not enough to believe it, but enough to look
WHOLE, SURELY = 0.08, 0.5  # a half or third of the supposed period repeats too where all lines are alike
LEAST_POWER = 1e-3  # of the mean: what is less is no power
HARMONICS = (1.0, 2.0, 3.0)
# where harmonics of a period lie that is 2, 3 or 5 times as long
BETWEEN = (0.2, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.8, 4 / 3, 1.5, 5 / 3, 2.5, 3.5)


@dataclass(frozen=True, slots=True)
class LineScale:
    """The scale that bold lines show, and whether they show it surely; else it is worth a look."""

    px_per_mm: float
    sure: bool


def scale_by_lines(pixels: Image, *, px_per_mm: float, angle_rad: float, mirrored: bool) -> LineScale | None:
    """Return the scale that the bold lines show, if it is another than the one supposed, grossly; else None.

    On a sheet seen aslant lines are parallel and evenly far apart only within small parts of the picture.
    """
    image, zoom = _view(pixels, px_per_mm=px_per_mm, angle_rad=angle_rad, mirrored=mirrored)
    supposed_px = GRID_PITCH_MM * px_per_mm * zoom
    shortest, longest = max(SHORTEST * supposed_px, LEAST_PERIOD_PX), min(LONGEST * supposed_px, MOST_PERIOD_PX)
    if shortest >= longest:
        return None
    periods = np.geomspace(shortest, longest, STEPS)
    likely: LineScale | None = None
    grey = flattened(image)
    for both in (comb(grey, periods), comb_of_parts(grey, periods)):
        seen = both.min(axis=0)
        best, off = int(np.argmax(seen)), np.log(periods / supposed_px)
        if seen[best] < LEAST_SEEN:
            continue
        clearer = seen[best] - seen[np.abs(off) < NEAR].max(initial=-np.inf)
        fine = abs(off[best] + np.log(GRID_PITCH_MM)) < NEAR  # the lines between the bold ones, 1 mm apart
        part = min(abs(off[best] + np.log(k)) for k in (2, 3)) < WHOLE and seen[best] < SURELY
        part = part or _is_part(both, periods, best)
        if clearer < PROBABLY or abs(off[best]) < NEAR or fine:
            continue
        found = LineScale(float(periods[best] / GRID_PITCH_MM / zoom), bool(clearer >= CLEARLY and not part))
        if found.sure:
            return found
        likely = likely or found
    return likely


def _is_part(both: F64, periods_px: F64, best: int) -> bool:
    """Tell whether along or across the page twice or three times the best period is seen more clearly than itself.

    Lines that are all alike repeat with half and a third of their distance, too, and faint ones may do so best.
    """
    for k in (2, 3):
        whole = np.abs(np.log(periods_px / (k * periods_px[best]))) < ASLANT
        if whole.any() and (both[:, whole].max(axis=1) > both[:, best]).any():
            return True
    return False


def lines_confirm(pixels: Image, *, px_per_mm: float, angle_rad: float, mirrored: bool) -> bool:
    """Tell whether bold lines are seen at the supposed scale, and more clearly so than at half of it."""
    image, zoom = _view(pixels, px_per_mm=px_per_mm, angle_rad=angle_rad, mirrored=mirrored)
    supposed_px = GRID_PITCH_MM * px_per_mm * zoom
    half_way = supposed_px / np.sqrt(2)
    periods = np.geomspace(half_way / 2, 2 * half_way, STEPS)
    if periods[0] < LEAST_PERIOD_PX:
        return False
    grey = flattened(image)
    seen = np.maximum(comb(grey, periods).min(axis=0), comb_of_parts(grey, periods).min(axis=0))
    supposed, half = (float(seen[np.abs(np.log(periods / at)) < NEAR].max()) for at in (supposed_px, supposed_px / 2))
    return supposed >= LEAST_SEEN and supposed > half


def _view(pixels: Image, *, px_per_mm: float, angle_rad: float, mirrored: bool) -> tuple[Image, float]:
    """Return the upright view in which lines are looked for, and its pixels per page pixel."""
    view = upright_view(
        (pixels.shape[1], pixels.shape[0]), px_per_mm=px_per_mm, angle_rad=angle_rad, mirrored=mirrored,
        view_px_per_mm=VIEW_PX_PER_MM, max_side_px=MAX_SIDE_PX,
    )  # fmt: skip
    return view.pixels(pixels), 1 / float(np.sqrt(abs(np.linalg.det(view.matrix))))


def comb(grey: NDArray[np.float32], periods_px: F64) -> F64:
    """Return how much what repeats with each period stands out [2, P], along and across: log power of its harmonics.

    The power is that at the harmonics, the weakest counts, against that between them, in a `flattened` picture.
    """
    return np.stack([_comb(part, periods_px) for part in (grey, cv2.transpose(grey))])


def comb_of_parts(grey: NDArray[np.float32], periods_px: F64) -> F64:
    """Return the same as most of the ruled parts of a picture show it, each for itself."""
    width = round(ASLANT / float(np.log(periods_px[1] / periods_px[0])))
    seen = []
    for turned in (grey, cv2.transpose(grey)):
        rows = PART_BAND_PX * PART_BANDS
        tops = range(0, max(1, turned.shape[0] - rows // 2), rows)
        chunk = min(CHUNK_PX, turned.shape[1])
        lefts = range(0, turned.shape[1] - chunk + 1, chunk)
        parts = np.stack([
            _comb(turned[top : top + rows, left : left + chunk], periods_px, band_px=PART_BAND_PX)
            for top in tops for left in lefts
        ])  # fmt: skip
        parts = ndimage.maximum_filter1d(parts[np.isfinite(parts).all(axis=1)], 2 * width + 1, axis=1)
        seen.append(
            np.percentile(parts, PARTS_SEE, axis=0) if len(parts) >= LEAST_PARTS else np.full(len(periods_px), -np.inf)
        )
    return np.stack(seen)


def flattened(image: Image) -> NDArray[np.float32]:
    """Return the dark lines of a picture without its shades; what is much darker counts no more than a line."""
    return unshaded(brightest_and_darkest(image)[1], SHADE_PX)


def _comb(grey: NDArray[np.float32], periods_px: F64, *, band_px: int = BAND_PX) -> F64:
    bands = grey.shape[0] // band_px
    if not bands or not grey.any():
        return np.full(len(periods_px), -np.inf)
    chunk = min(CHUNK_PX, grey.shape[1])
    chunks = grey.shape[1] // chunk
    profile = grey[: bands * band_px, : chunks * chunk].reshape(bands, band_px, chunks, chunk).mean(axis=1)
    profile = (profile - profile.mean(axis=-1, keepdims=True)) * np.hanning(chunk).astype(np.float32)
    size = 8 * chunk
    spectrum = fft.rfft(profile.reshape(-1, chunk), size)
    power = np.median(spectrum.real**2 + spectrum.imag**2, axis=0).astype(np.float64)
    level = np.log(power + LEAST_POWER * power.mean() + 1e-12)

    def at(turns: F64) -> F64:
        return np.asarray(np.interp(turns * size / periods_px, np.arange(len(level)), level))

    on = np.stack([at(np.full(len(periods_px), k)) for k in HARMONICS])
    off = np.stack([at(np.full(len(periods_px), k)) for k in BETWEEN])
    return np.asarray(on.min(axis=0) - off.max(axis=0))
