"""Where leads meet on a page, as the strips show it: evidence for how its rows are divided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.stages.printed import Row

SIDE_BY_SIDE = (1, 2, 3, 4, 6)
SEAM_REACH_MM, SEAM_EDGE_MM, SEAM_BLUR = 2.0, 8.0, 5
SEAM_WORTH, SEAM_NEUTRAL, SEAM_MOST, SEAM_LEAST = 2.0, 0.04, 1.2, -0.15
SEAM_PLACES = tuple(sorted({k / n for n in (2, 3, 4) for k in range(1, n)}))
STRETCHES, STRETCH_COST = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3), 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Seams:
    """Where the strips look like two leads that meet: `evidence` [rows, half-columns], 0..1, from `x0_mm` on."""

    x0_mm: float
    step_mm: float
    evidence: F64


def seen_seams(rows: list[Row], seams: Seams | None) -> defaultdict[tuple[int, int, float], float]:
    """Return what the seams say for the first k rows holding n leads each, at a stretch, by (k, n, stretch).

    Where leads meet in all rows at once, and nowhere else, a page is divided; that none is seen says little.
    """
    found: defaultdict[tuple[int, int, float], float] = defaultdict(float)
    if seams is None or not rows:
        return found
    for k in range(1, len(rows) + 1):
        worth = seam_worth(seams, rows=k)
        start, end = (float(np.median([getattr(row, side) for row in rows[:k]])) for side in ("start_mm", "end_mm"))
        weight = SEAM_WORTH * min(1.0, (k - 1) / 2)  # a single row has other reasons to jump
        for n in SIDE_BY_SIDE:
            for stretch in STRETCHES if n > 1 else (1.0,):
                pitch = (end - start) * stretch / n
                own = [start + j * pitch for j in range(1, n)]
                own = [at for at in own if at < end - SEAM_EDGE_MM]
                others = [start + p * (end - start) for p in SEAM_PLACES]
                others = [at for at in others if all(abs(at - mine) > 2 * SEAM_REACH_MM for mine in own)]
                found[k, n, stretch] = weight * (sum(map(worth, own)) - sum(max(worth(at), 0.0) for at in others))
    return found


def seam_worth(seams: Seams, *, rows: int) -> Callable[[float], float]:
    """Return what it says for leads to meet at a place (mm), by the first so many rows together."""
    blurred = ndimage.uniform_filter1d(seams.evidence[:rows], SEAM_BLUR, axis=1)
    reach = round(SEAM_REACH_MM / seams.step_mm)
    pooled = ndimage.maximum_filter1d(blurred.mean(axis=0), 2 * reach + 1)

    def worth(at_mm: float) -> float:
        column = round((at_mm - seams.x0_mm) / seams.step_mm)
        strength = pooled[column] if 0 <= column < len(pooled) else 0.0
        return float(np.clip(np.log10(max(strength, 1e-3) / SEAM_NEUTRAL), SEAM_LEAST, SEAM_MOST))

    return worth
