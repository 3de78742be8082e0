"""How rows are divided: how many leads stand side by side in each, how wide they are, where their names stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.lead_order import GAP_COST, shape_of
from ecgstudio.stages.name_pitch import MARGIN_MM, NAME_SPREAD_MM, NamePlace, pitch_of_names
from ecgstudio.stages.printed import Label, Row
from ecgstudio.stages.seams import SIDE_BY_SIDE, STRETCH_COST, STRETCHES, Seams, seen_seams

CROWDED = {6: 0.6}  # six leads in a row are rare
USUAL_OFFSET_MM, OFFSET_COST = 2.0, 0.01
NAME_REACH_MM = 8.0
ELSEWHERE_COST, BORDER_WORTH = 0.3, 0.6
# in names read for sure: how much more usual than rows of any number of leads
SHAPE_WORTH, USUAL_WORTH = 0.8, 1.6
KNOWN_SHAPES = frozenset(layout.shape for layout in LAYOUTS.values()) | {"12x1+2", "12x1+3"}
USUAL_SHAPES = frozenset({"3x4", "3x4+1", "3x4+2", "3x4+3", "6x2", "6x2+1", "12x1", "12x1+1"})
PITCH_CONFIDENCE = 0.5
MARGIN_COST_MM = 2.0


@dataclass(frozen=True, slots=True)
class Division:
    """How a page's rows are divided: leads per row, where names stand right of a lead's start, and mm per lead."""

    counts: list[int]
    offset_mm: float
    widths_mm: list[float]
    score: float


def divide(
    rows: list[Row],
    by_row: list[list[Label]],
    edges: FloatMap,
    *,
    cell_mm: float,
    origin_mm: tuple[float, float],
    known: list[int] | None,
    seams: Seams | None,
    offsets_mm: Sequence[float],
) -> Division:
    """Decide how many leads stand side by side in each row, how wide they are, and where their names stand.

    Some first rows share one number of columns (rhythm strips lie below), one pitch and one habit of placing names:
    whatever explains most names with fewest gaps. The pitch may differ from an equal division of the rows as they
    were seen: an end may be cut off or faded.
    """
    lengths = [row.end_mm - row.start_mm for row in rows]
    wanted = [n for n in SIDE_BY_SIDE if n > 1 and (known is None or n in known)]
    offsets = np.asarray(offsets_mm, np.float64)
    widths_mm = np.multiply.outer(lengths, STRETCHES)
    seen = seen_seams(rows, seams)
    single = _explained(rows, by_row, 1, offsets, np.array(lengths)[:, None])[..., 0]
    below = single.sum(axis=1, keepdims=True) - np.cumsum(single, axis=1)
    # of every number of leads, and every stretch: what is scored at these offsets, [offset, number of first rows]
    ways: list[tuple[int, float, int]] = [(1, 1.0, 0)]
    totals = [single.sum(axis=1)[:, None] + _shape_worth([1] * len(rows))]
    for n in wanted:
        borders = np.array([_divided(row, n, edges, cell_mm=cell_mm, origin_mm=origin_mm) for row in rows])
        firsts = np.arange(1, len(rows) + 1)
        worth = np.array([_shape_worth([n] * k + [1] * (len(rows) - k)) for k in firsts])
        by_names = _explained(rows, by_row, n, offsets, widths_mm / n)
        for at, stretch in enumerate(STRETCHES):
            split = by_names[..., at]
            if stretch == 1.0 and seams is None:
                split = split + BORDER_WORTH * (borders - 0.25)
            cost = CROWDED.get(n, 0.0) + STRETCH_COST * abs(stretch - 1)
            said = np.array([seen[int(k), n, stretch] for k in firsts])
            totals.append(np.cumsum(split, axis=1) + below - cost + worth + said)
            ways.extend((n, stretch, int(k)) for k in firsts)
    total = np.concatenate(totals, axis=1) - (OFFSET_COST * np.abs(offsets - USUAL_OFFSET_MM))[:, None]
    every = [[n] * k + [1] * (len(rows) - k) for n, _, k in ways]
    if known is not None:
        total[:, [counts != known for counts in every]] = -np.inf
    where, way = np.unravel_index(int(np.argmax(total)), total.shape)
    counts, stretch, offset, score = every[way], ways[way][1], float(offsets[where]), float(total[where, way])
    widths = [length * (stretch if n > 1 else 1.0) / n for n, length in zip(counts, lengths, strict=True)]
    pitch, offset = _pitch(rows, by_row, counts, offset, widths, seams)
    if pitch is not None:
        widths = [pitch if n > 1 else width for n, width in zip(counts, widths, strict=True)]
    return Division(counts, offset, widths, score)


def _pitch(
    rows: list[Row],
    by_row: list[list[Label]],
    counts: list[int],
    offset: float,
    widths: list[float],
    seams: Seams | None,
) -> tuple[float | None, float]:
    """Return mm per lead and where names stand in it, alike in every column, as they say it; None if too few do."""
    places: list[NamePlace] = [
        (column, label.x_mm, row.start_mm)
        for row, found, n, width in zip(rows, by_row, counts, widths, strict=True) if n > 1
        for column, names in at_column(row, found, n, offset, width).items()
        for label, _ in names if label.confidence >= PITCH_CONFIDENCE
    ]  # fmt: skip
    divided = [row for row, n in zip(rows, counts, strict=True) if n > 1]
    said = pitch_of_names(places, divided, columns=max(counts, default=1), seams=seams)
    return said or (None, offset)


def _shape_worth(counts: list[int]) -> float:
    shape = shape_of(counts)
    return USUAL_WORTH if shape in USUAL_SHAPES else SHAPE_WORTH if shape in KNOWN_SHAPES else 0.0


def _explained(
    rows: Sequence[Row], by_row: Sequence[Sequence[Label]], columns: int, offsets_mm: F64, widths_mm: F64
) -> F64:
    """Score divisions of rows [offset, row, width]: names at expected places, less gaps and names elsewhere.

    `widths_mm` [row, width] are those of a lead.
    """
    out = np.full((len(offsets_mm), *widths_mm.shape), -GAP_COST * columns)
    for i, (row, found) in enumerate(zip(rows, by_row, strict=True)):
        if not found:
            continue
        weight = np.array([_weight(label) for label in found])[:, None, None]
        x_mm = np.array([label.x_mm for label in found])[:, None, None] - row.start_mm
        at = (x_mm - offsets_mm[:, None]) / widths_mm[i]  # [name, offset, width]
        column = np.clip(np.round(at), 0, columns - 1)
        miss = np.abs(at - column) * widths_mm[i]
        in_margin = (column == 0) & (offsets_mm[:, None] > 0) & (-x_mm >= MARGIN_MM[0]) & (-x_mm <= MARGIN_MM[1])
        miss = np.where(in_margin, np.minimum(miss, MARGIN_COST_MM), miss)
        worth = weight * np.exp(-((miss / NAME_SPREAD_MM) ** 2))
        here = (miss <= NAME_REACH_MM) & (column == np.arange(columns)[:, None, None, None])
        named = np.where(here, worth, 0.0).max(axis=1).sum(axis=0)
        used = np.where(here, weight, 0.0).max(axis=1).sum(axis=0)
        gaps = columns - here.any(axis=1).sum(axis=0)
        out[:, i] = named - GAP_COST * gaps - ELSEWHERE_COST * (float(weight.sum()) - used)
    return out


def at_column(
    row: Row, found: list[Label], columns: int, offset_mm: float, width_mm: float
) -> dict[int, list[tuple[Label, float]]]:
    """Return the names near each column's expected place, with their weights there."""
    near: dict[int, list[tuple[Label, float]]] = {}
    for label in found:
        at = (label.x_mm - row.start_mm - offset_mm) / width_mm
        column = min(max(round(at), 0), columns - 1)
        miss = (at - column) * width_mm
        beside_mm = row.start_mm - label.x_mm
        if column == 0 and offset_mm > 0 and MARGIN_MM[0] <= beside_mm <= MARGIN_MM[1]:
            miss = min(abs(miss), MARGIN_COST_MM)
        if abs(miss) <= NAME_REACH_MM:
            near.setdefault(column, []).append((label, _weight(label) * math.exp(-((miss / NAME_SPREAD_MM) ** 2))))
    return near


def _weight(label: Label) -> float:
    """Trust a plain stroke less: a separator or the edge of a pulse looks like the name I."""
    return label.confidence * (0.75 if label.lead == "I" else 1.0)


def _divided(row: Row, columns: int, edges: FloatMap, *, cell_mm: float, origin_mm: tuple[float, float]) -> float:
    """Return the mean evidence of lead edges at the places that this number of columns asks for."""
    y = int((row.y_mm - origin_mm[1]) / cell_mm)
    band = edges[max(0, y - 3) : y + 4].max(axis=0, initial=0.0) if len(edges) else np.zeros(1)
    found = []
    for k in range(1, columns):
        x = int((row.start_mm + k * (row.end_mm - row.start_mm) / columns - origin_mm[0]) / cell_mm)
        found.append(float(band[max(0, x - 4) : x + 5].max(initial=0.0)))
    return float(np.mean(found))
