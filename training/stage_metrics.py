"""How good each stage's answer is on a rendered page, in the stage's own terms: names, millimetres, places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.keypoints import Keypoints
from training.oracle import Bools, in_picture, label_xy, visible_labels
from training.sampling import MappedPage
from training.synth.truth import LabelTruth, LeadTruth

LABEL_REACH_MM = 5.0
GRID_STEP_MM = 10.0
GRID_BORDER_MM = 10.0
ORIGIN_STEP_MM: Mapping[str, float] = {"full": GRID_PITCH_MM, "major": GRID_PITCH_MM, "uniform": 1.0}
"""By how much a found grid may be shifted as a whole and still fit the printed lines; any other style: as one likes."""
PLACE_OVERLAP = 0.8
PLACE_AWAY_MM = 5.0
MIN_VISIBLE = 0.5
TRACE_STEP = 10
SCALE_TOLERANCE = 0.02
LEAST_DEFLECTION_MV = 0.05


@dataclass(frozen=True, slots=True)
class NameCount:
    """How often a name is printed, how often it was found, and how often found where it is printed."""

    printed: int = 0
    found: int = 0
    right: int = 0

    def __add__(self, other: NameCount) -> NameCount:
        return NameCount(self.printed + other.printed, self.found + other.found, self.right + other.right)


@dataclass(frozen=True, slots=True)
class StageScores:
    """What the stages got right on one page; a stage without an answer has found nothing (NaN where it cannot be said).

    leads_printed, leads_placed: printed leads in the picture, and those that were found in their place;
    leads_invented: traces that were found where no such lead is printed; leads_swapped: those of them that lie where
    a lead of another name is printed.
    """

    orientation: bool
    labels: Mapping[str, NameCount]
    grid_median_mm: float
    grid_p95_mm: float
    speed: bool
    gain: bool
    leads_printed: int
    leads_placed: int
    leads_invented: int
    leads_swapped: int = 0
    grid_style: str = ""
    printed_layout: str = ""

    @property
    def all_placed(self) -> bool:
        """Whether every printed lead is in its place and nothing else was found."""
        return self.leads_placed == self.leads_printed and self.leads_invented == 0


def score_stages(
    page: MappedPage, *, keypoints: Keypoints | None, grid: GridFit | None, ecg: DigitizedEcg | None
) -> StageScores:
    """Compare the stages' answers (None: the stage failed) with a rendered page's truth."""
    median_mm, p95_mm = grid_error_mm(page, grid) if grid is not None else (np.nan, np.nan)
    speed, gain = scale_right(page, grid, ecg) if grid is not None else (False, False)
    printed, placed, invented, swapped = place_leads(page, ecg)
    return StageScores(
        orientation=keypoints is not None and keypoints.orientation == page.truth.orientation,
        labels=count_labels(page, keypoints),
        grid_median_mm=median_mm,
        grid_p95_mm=p95_mm,
        speed=speed,
        gain=gain,
        leads_printed=printed,
        leads_placed=placed,
        leads_invented=invented,
        leads_swapped=swapped,
        grid_style=page.truth.sheet.grid_style,
        printed_layout=page.truth.sheet.layout,
    )


def count_labels(page: MappedPage, keypoints: Keypoints | None) -> dict[str, NameCount]:
    """Count by name what is printed in the picture, what was found, and what was found within 5 mm of its place."""
    labels = visible_labels(page)
    names = {label.name for label in labels} | (set(keypoints.names) if keypoints is not None else set())
    return {name: _count_name(page, name, labels, keypoints) for name in sorted(names)}


def _count_name(page: MappedPage, name: str, labels: list[LabelTruth], keypoints: Keypoints | None) -> NameCount:
    printed = [label for label in labels if label.name == name]
    found_xy = np.zeros((0, 2)) if keypoints is None else keypoints.of(name)
    if not printed or not len(found_xy):
        return NameCount(len(printed), len(found_xy), 0)
    xy = label_xy(page, printed)
    mm = np.array([label.centre_mm for label in printed])
    px_per_mm = np.array([np.sqrt(abs(np.linalg.det(page.jacobian(at)))) for at in mm])
    away_mm = np.hypot(*np.moveaxis(found_xy[:, None] - xy[None], -1, 0)) / px_per_mm
    right = 0
    while away_mm.size and away_mm.min() <= LABEL_REACH_MM:  # the closest pair first; each may be used once
        row, column = np.unravel_index(int(np.argmin(away_mm)), away_mm.shape)
        away_mm = np.delete(np.delete(away_mm, row, axis=0), column, axis=1)
        right += 1
    return NameCount(len(printed), len(found_xy), right)


def grid_error_mm(page: MappedPage, grid: GridFit) -> tuple[float, float]:
    """Return median and 95th percentile of the found grid's error in mm, over points of the sheet in the picture.

    The found grid may be shifted as a whole by a multiple of the printed grid's own period: its origin has no meaning.
    NaN if no point of the sheet is in the picture.
    """
    size = page.truth.sheet.size_mm
    raster = np.meshgrid(*(np.arange(GRID_BORDER_MM, side - GRID_BORDER_MM + 1e-6, GRID_STEP_MM) for side in size))
    mm = np.stack(raster, axis=-1).reshape(-1, 2)
    xy = page.to_page(mm)
    seen = in_picture(page, xy)
    error = grid.to_mm(xy[seen]) - (mm[seen] - np.array(page.truth.sheet.grid_origin_mm))
    error = error[np.isfinite(error).all(axis=1)]
    if not len(error):
        return np.nan, np.nan
    shift = np.median(error, axis=0)
    step = ORIGIN_STEP_MM.get(page.truth.sheet.grid_style)
    error -= shift if step is None else np.round(shift / step) * step
    length = np.hypot(error[:, 0], error[:, 1])
    return float(np.median(length)), float(np.percentile(length, 95))


def scale_right(page: MappedPage, grid: GridFit, ecg: DigitizedEcg | None) -> tuple[bool, bool]:
    """Tell whether the speed is the printed one, and the gain that of every printed lead.

    The gain of a lead is that at which its traces were read: chest leads may be read at one of their own. A lead
    without a trace goes by the grid's scale.
    """
    sheet, scale = page.truth.sheet, grid.scale
    speed = _alike(scale.mm_per_s, sheet.mm_per_s)
    read_at = {} if ecg is None else {trace.lead: gain_read(trace, grid) for trace in ecg.traces}
    told = {lead: gain for lead, gain in read_at.items() if np.isfinite(gain)}
    return speed, all(_alike(told.get(lead.lead, scale.mm_per_mV), lead.mm_per_mV) for lead in sheet.leads)


def gain_read(trace: LeadTrace, grid: GridFit) -> float:
    """Return how many mm of paper were taken for a mV of a trace; NaN of one that tells none, as it is flat."""
    mm_down = grid.to_mm(trace.xy)[:, 1]
    read = np.isfinite(trace.mv) & np.isfinite(mm_down)
    if not read.any() or np.ptp(trace.mv[read]) < LEAST_DEFLECTION_MV:
        return np.nan
    return float(-np.polyfit(trace.mv[read].astype(np.float64), mm_down[read], 1)[0])


def _alike(found: float, printed: float) -> bool:
    return abs(found / printed - 1) <= SCALE_TOLERANCE


def place_leads(page: MappedPage, ecg: DigitizedEcg | None) -> tuple[int, int, int, int]:
    """Count the printed leads in the picture, those found in their place, the traces found out of any place, and swaps.

    Swaps are traces out of any place of their own name, but in that of another.
    A trace is in a lead's place if both have one name, cover the same stretch of paper (4/5 of what they cover
    together), and lie within 5 mm of each other at the middle of their distances.
    """
    found = [] if ecg is None else [(trace.lead, _trace_mm(page, trace)) for trace in ecg.traces]
    counted, placed = 0, 0
    used: set[int] = set()
    for lead in page.truth.sheet.leads:
        seen = _seen(page, lead)
        named = [i for i, (name, _) in enumerate(found) if name == lead.lead and i not in used]
        fits = [i for i in named if _same(lead, seen, found[i][1])]
        used.update(fits[:1])
        if seen.mean() >= MIN_VISIBLE:
            counted += 1
            placed += bool(fits)
    astray = [mm for i, (_, mm) in enumerate(found) if i not in used]
    swapped = sum(any(_same(lead, _seen(page, lead), mm) for lead in page.truth.sheet.leads) for mm in astray)
    return counted, placed, len(astray), swapped


def _seen(page: MappedPage, lead: LeadTruth) -> Bools:
    return in_picture(page, page.to_page(lead.line_mm))


def _trace_mm(page: MappedPage, trace: LeadTrace) -> F64:
    """Return every tenth read sample's place [n, 2] in sheet millimetres."""
    xy = trace.xy[np.isfinite(trace.mv)][::TRACE_STEP]
    mm = page.to_mm(xy, np.array(page.truth.sheet.size_mm) / 2) if len(xy) else np.zeros((0, 2))
    return np.asarray(mm[np.isfinite(mm).all(axis=1)])


def _same(lead: LeadTruth, seen: Bools, mm: F64) -> bool:
    if not seen.any() or not len(mm):
        return False
    line = lead.line_mm[seen]
    low, high = float(line[:, 0].min()), float(line[:, 0].max())
    common = min(high, mm[:, 0].max()) - max(low, mm[:, 0].min())
    together = max(high, mm[:, 0].max()) - min(low, mm[:, 0].min())
    away = np.abs(mm[:, 1] - np.interp(mm[:, 0], line[:, 0], line[:, 1]))
    return bool(common >= PLACE_OVERLAP * together and np.median(away) <= PLACE_AWAY_MM)
