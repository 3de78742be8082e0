"""How wide a page's columns are, as the places of its printed names say it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgstudio.stages.printed import Row
from ecgstudio.stages.seams import Seams, seam_worth

NAMES_FOR_PITCH = 4
NAME_SPREAD_MM = 4.0
NAMES_WITHIN_MM = (-1.0, 12.0)
# where the first names of rows may stand left of their leads, and when those behind them show that they do
MARGIN_MM, MARGIN_SHOWS_MM = (2.0, 14.0), 1.5
UNEVEN_COST = 6.0  # per share of their length by which rows would be too short for their columns

NamePlace = tuple[int, float, float]
"""A name: in which column, at which mm, and where its row starts."""


def pitch_of_names(
    places: Sequence[NamePlace], divided: Sequence[Row], *, columns: int, seams: Seams | None
) -> tuple[float, float] | None:
    """Return mm per column of the `divided` rows and where names stand right of their leads' starts.

    None if too few names say it. Where the first names stand in the margin and the others do not, the others count.
    """
    behind = [place for place in places if place[0]]
    pitch, pitch_behind = _slope(places), _slope(behind)
    if pitch is None:
        return None
    if pitch_behind is not None and abs(pitch - pitch_behind) >= MARGIN_SHOWS_MM:
        return pitch_behind, _habit(behind, pitch_behind)
    even = _divided_evenly(places, divided, columns=columns, pitch=pitch, seams=seams)
    return even or (pitch, _habit(places, pitch))


def _slope(places: Sequence[NamePlace]) -> float | None:
    """Return the mm from column to column by Theil and Sen; None if too few names say it."""
    if len(places) < NAMES_FOR_PITCH or len({place[0] for place in places}) < 2:
        return None
    column, x, _ = (np.array(v, np.float64) for v in zip(*places, strict=True))
    slopes = [
        (x[j] - x[i]) / (column[j] - column[i]) for i in range(len(x)) for j in range(i) if column[i] != column[j]
    ]
    return float(np.median(slopes))


def _habit(places: Sequence[NamePlace], pitch: float) -> float:
    """Return where names stand right of their leads' starts."""
    return float(np.median([x - start - column * pitch for column, x, start in places]))


def _divided_evenly(
    places: Sequence[NamePlace], divided: Sequence[Row], *, columns: int, pitch: float, seams: Seams | None
) -> tuple[float, float] | None:
    """Return the pitch of rows divided evenly, and where names stand then, if that suits better than the names' pitch.

    Where only the first names stand in the margin and too few others were read to show it, all together say that the
    columns are wider than they are, and that the rows end too early.
    """
    start = float(np.median([row.start_mm for row in divided]))
    length = float(np.median([row.end_mm - row.start_mm for row in divided]))
    even, behind = length / columns, [place for place in places if place[0]]
    before = [row_start - x for column, x, row_start in places if not column]
    in_margin = bool(before) and MARGIN_MM[0] <= float(np.median(before)) <= MARGIN_MM[1]
    if not behind or not in_margin or pitch - even < MARGIN_SHOWS_MM:
        return None
    habit = _habit(behind, even)
    if not NAMES_WITHIN_MM[0] <= habit <= NAMES_WITHIN_MM[1]:
        return None
    worth = seam_worth(seams, rows=len(divided)) if seams is not None else None

    def likely(width: float, names_at: float) -> float:
        met = sum(worth(start + k * width) for k in range(1, columns)) if worth else 0.0
        miss = float(np.mean([abs(x - row_start - column * width - names_at) for column, x, row_start in behind]))
        return met - miss / NAME_SPREAD_MM - UNEVEN_COST * abs(width * columns / length - 1)

    return (even, habit) if likely(even, habit) > likely(pitch, _habit(places, pitch)) else None
