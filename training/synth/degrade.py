"""Turn a flat rendered sheet into what a user would hand in: a clean render, a scan or a photo, damaged or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.synth.damage import DamageOdds, harm
from training.synth.photo import PhotoOdds, photograph
from training.synth.scan import ScanOdds, resample_clean, scan
from training.synth.screen import ScreenOdds, photograph_screen
from training.synth.textures import chance, pick

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from training.synth.warp import Warp


USUAL_DAMAGE, USUAL_SCAN, USUAL_PHOTO, USUAL_SCREEN = DamageOdds(), ScanOdds(), PhotoOdds(), ScreenOdds()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: which camera looks at the sheet, how often it was harmed before, and how hard it is hit."""

    cameras: Mapping[str, float]
    damaged: float
    damage: DamageOdds = USUAL_DAMAGE
    scan: ScanOdds = USUAL_SCAN
    photo: PhotoOdds = USUAL_PHOTO
    screen: ScreenOdds = USUAL_SCREEN
    hard: float = 0.15  # share drawn from the hard rows below instead
    jpeg: float = 0.35
    crop: float = 0.3


MILD_DAMAGE = DamageOdds(
    stain=0.1,
    soak=0.03,
    mould=0.03,
    crease=0.2,
    wrinkle=0.05,
    hole=0.1,
    ring=0.05,
    pen=0.4,
    stamp=0.15,
    tape=0.05,
    marker=0.08,
    patch=0.15,
    yellowing=0.2,
)
HEAVY_DAMAGE = DamageOdds(
    stain=0.5,
    soak=0.3,
    mould=0.25,
    crease=0.5,
    wrinkle=0.3,
    hole=0.25,
    ring=0.2,
    pen=0.3,
    stamp=0.15,
    tape=0.15,
    marker=0.1,
    patch=0.1,
    yellowing=0.4,
)
HARD_PHOTO = PhotoOdds(
    tilt_deg=16,
    turn_deg=7,
    curl=0.9,
    fold=0.5,
    crumple=0.5,
    ripple=0.6,
    jitter=0.7,
    shadow=0.7,
    gradient=0.9,
    glare=0.3,
    strong_tint=0.5,
    dim=0.5,
    defocus=0.8,
    motion=0.25,
    noise=0.95,
    fingers=0.08,
)
HARD_SCAN = ScanOdds(
    large_skew=0.3,
    bent=0.4,
    outside=0.5,
    colour=0.2,
    grey=0.3,
    threshold=0.25,
    diffusion=0.12,
    fax=0.13,
    streaks=0.5,
    speckle=0.5,
    uneven=0.6,
    noise=0.8,
)
# One-bit scans of stained paper leave nothing a human could read.
DAMAGED_SCAN = ScanOdds(bent=0.4, colour=0.6, grey=0.4, threshold=0.0, diffusion=0.03, fax=0.0, outside=0.4)
GRIDDED_COPY = ScanOdds(colour=0.0, grey=0.0, threshold=0.75, diffusion=0.0, fax=0.25, jpeg=0.5, level=(0.84, 0.97))
KINDS: Mapping[str, Kind] = {
    "render": Kind({"render": 1.0}, damaged=0.0),
    "scan": Kind({"scan": 1.0}, damaged=0.3, damage=MILD_DAMAGE),
    "photo": Kind({"photo": 1.0}, damaged=0.25, damage=MILD_DAMAGE),
    "screen": Kind({"screen": 1.0}, damaged=0.05, damage=MILD_DAMAGE, hard=0.0),
    "damage": Kind({"photo": 0.65, "scan": 0.35}, damaged=1.0, damage=HEAVY_DAMAGE, scan=DAMAGED_SCAN, hard=0.3),
    # one-bit copies on which the grid is as black as the trace: few among scans, and hard to read
    "copy": Kind({"scan": 1.0}, damaged=0.0, scan=GRIDDED_COPY, hard=0.0),
}


@dataclass(frozen=True, slots=True)
class Degraded:
    """A degraded page: RGB bytes [h, w, 3] and the exact map from its pixels to the sheet's.

    The pixels already went through JPEG of `jpeg_quality` (None: lossless), so a page stored at that quality
    again hardly changes. `notes` says what was done; its "photo_px_per_mm" is the scale at the page's middle.
    """

    pixels: NDArray[np.uint8]
    warp: Warp
    kind: str
    jpeg_quality: int | None
    notes: Mapping[str, object]


def degrade(sheet_rgb: NDArray[np.uint8], *, px_per_mm: float, kind: str, rng: np.random.Generator) -> Degraded:
    """Degrade a flat sheet u8[H, W, 3]; the same generator state gives the same bytes.

    Raises ValueError for an unknown kind or a sheet that is not RGB bytes.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; choose one of {', '.join(KINDS)}")
    if sheet_rgb.ndim != 3 or sheet_rgb.shape[2] != 3 or sheet_rgb.dtype != np.uint8:
        raise ValueError("the sheet must be RGB bytes [H, W, 3]")
    row = KINDS[kind]
    sheet = np.ascontiguousarray(sheet_rgb)
    harms: list[str] = []
    if chance(rng, row.damaged):
        sheet, harms = harm(sheet, px_per_mm=px_per_mm, rng=rng, odds=row.damage)
    hard = chance(rng, row.hard)
    camera = pick(rng, dict(row.cameras))
    taken: tuple[NDArray[np.uint8], Warp, int | None, dict[str, object]]
    if camera == "photo":
        taken = photograph(sheet, px_per_mm=px_per_mm, rng=rng, odds=HARD_PHOTO if hard else row.photo)
    elif camera == "scan":
        taken = scan(sheet, px_per_mm=px_per_mm, rng=rng, odds=HARD_SCAN if hard and not harms else row.scan)
    elif camera == "screen":
        taken = photograph_screen(sheet, px_per_mm=px_per_mm, rng=rng, odds=row.screen)
    else:
        taken = resample_clean(sheet, px_per_mm=px_per_mm, rng=rng, jpeg=row.jpeg, crop=row.crop)
    pixels, warp, quality, notes = taken
    return Degraded(
        np.ascontiguousarray(pixels), warp, kind, quality, {**notes, "camera": camera, "hard": hard, "damage": harms}
    )
