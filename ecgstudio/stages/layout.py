"""Which lead is printed where: rows from the strip axes, columns from the printed names, gaps from known templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.stages.lead_order import Candidates, Order, best_order, shape_of
from ecgstudio.stages.name_pitch import NAMES_WITHIN_MM
from ecgstudio.stages.names import STROKES
from ecgstudio.stages.printed import Label, PageLayout, Row, Slot
from ecgstudio.stages.row_division import (
    OFFSET_COST,
    PITCH_CONFIDENCE,
    USUAL_OFFSET_MM,
    Division,
    at_column,
    divide,
)
from ecgstudio.stages.seams import Seams, seam_worth

FloatMap = NDArray[np.float32]

MIN_ROW_MM = 24.0
MIN_ROW_DISTANCE_MM = 6.5
SAME_ROW_MM = 9.0
NAME_OFFSETS_MM = tuple(np.arange(-14.0, 29.0, 1.5))
CUT_OFFSETS_MM = tuple(np.arange(-56.0, -15.0, 3.0))  # of pages whose first column begins outside the picture
NAME_ABOVE_MM, PANEL_MM = 32.0, 120.0  # names stand near their traces, or on the upper edge of a lead's own panel
LONE_SPACING_MM, MIN_SPACING, IN_LINE_MM, NAMES_FOR_ROW = 30.0, 0.45, 4.0, 2
HEIGHTS_APART, HEIGHTS_WORSE, HEIGHTS_BETTER = 0.6, 1.5, 0.5  # of the spacing of rows; in names read for sure
TICKS, TICK_LINE_MM = 3, 3.0  # no page prints a name so often in one line
SAME_END_MM, ROWS_TO_AGREE, MOST_ROWS = 8.0, 3, 0.55
BEFORE_MM = 8.0  # no name stands so far before its lead, but in the margin


def find_rows(axis: FloatMap, *, cell_mm: float, origin_mm: tuple[float, float]) -> list[Row]:
    """Find the strips in the map of strip axes (rectified: rows are level)."""
    smooth = ndimage.gaussian_filter(axis.astype(np.float64), (1.2, 2.0))
    profile = ndimage.gaussian_filter1d(smooth.sum(axis=1), 0.8)
    peaks, _ = find_peaks(profile, height=0.25 * MIN_ROW_MM / cell_mm, distance=max(1, int(4.0 / cell_mm)))
    candidates = []
    for peak in peaks:
        span = _support(smooth, int(peak), reach=max(1, round(2.5 / cell_mm)))
        if span.sum() * cell_mm >= 0.5 * MIN_ROW_MM:
            candidates.append((int(peak), span, float(profile[peak])))
    merged: list[list[tuple[int, NDArray[np.bool_], float]]] = []
    for candidate in candidates:
        if merged:
            last = merged[-1]
            distance = (candidate[0] - last[-1][0]) * cell_mm
            united = np.any([c[1] for c in last], axis=0)
            overlap = float((united & candidate[1]).sum() / max(1, min(united.sum(), candidate[1].sum())))
            if distance < MIN_ROW_DISTANCE_MM or (distance < SAME_ROW_MM and overlap < 0.3):
                last.append(candidate)
                continue
        merged.append([candidate])
    rows = []
    for group in merged:
        weights = np.array([c[2] for c in group])
        y = float(np.average([c[0] for c in group], weights=weights))
        span = np.any([c[1] for c in group], axis=0)
        span = ndimage.binary_closing(span, np.ones(max(3, int(14 / cell_mm))))
        regions, count = ndimage.label(span)
        if not count:
            continue
        sizes = ndimage.sum(span, regions, np.arange(1, count + 1))
        columns = np.flatnonzero(regions == 1 + int(np.argmax(sizes)))
        length = len(columns) * cell_mm
        if length < MIN_ROW_MM:
            continue
        rows.append(
            Row(
                y_mm=origin_mm[1] + (y + 0.5) * cell_mm,
                start_mm=origin_mm[0] + columns[0] * cell_mm,
                end_mm=origin_mm[0] + (columns[-1] + 1) * cell_mm,
                strength=float(weights.sum() / max(1.0, len(columns))),
            )
        )
    return _plausible(rows)


def _support(smooth: F64, row: int, *, reach: int) -> NDArray[np.bool_]:
    band = smooth[max(0, row - reach) : row + reach + 1].max(axis=0)
    return np.asarray(band > 0.22)


def _plausible(rows: list[Row]) -> list[Row]:
    """Drop rows that are far shorter or fainter than the others."""
    if len(rows) < 2:
        return rows
    long = float(np.median([r.end_mm - r.start_mm for r in rows]))
    strong = float(np.median([r.strength for r in rows]))
    return [r for r in rows if r.end_mm - r.start_mm > 0.35 * long and r.strength > 0.2 * strong]


def solve_layout(
    rows: list[Row],
    labels: list[Label],
    edges: FloatMap,
    *,
    cell_mm: float,
    origin_mm: tuple[float, float],
    wanted: str = "auto",
    seams: Seams | None = None,
) -> PageLayout:
    """Join rows and names: every slot gets a lead, read where possible, otherwise inferred from a template.

    `edges` is what stage 1 saw of ends of leads; `seams`, once the rows were read, know it better.
    """
    rows = _common_ends(rows)
    labels = without_ticks(labels)
    vouched = LAYOUTS.get(wanted)
    known = None
    if vouched is not None and len(vouched.all_rows) == len(rows):
        known = [len(leads) for leads in vouched.all_rows]
    solutions: list[tuple[float, Division, list[tuple[int, int]], Order, Candidates]] = []
    for offset_mm, worse in _name_heights(rows, labels):
        by_row = _labels_of_rows(rows, labels, offset_mm)
        for spots_mm in (NAME_OFFSETS_MM, CUT_OFFSETS_MM):
            division = divide(
                rows, by_row, edges, cell_mm=cell_mm, origin_mm=origin_mm, known=known, seams=seams, offsets_mm=spots_mm
            )
            if spots_mm is CUT_OFFSETS_MM and max(division.counts, default=1) == 1:
                continue
            places = [(row, column) for row, n in enumerate(division.counts) for column in range(n)]
            near = [
                at_column(row, found, n, division.offset_mm, width)
                for row, found, n, width in zip(rows, by_row, division.counts, division.widths_mm, strict=True)
            ]
            at = [near[row].get(column, []) for row, column in places]
            order = best_order(division.counts, at, vouched)
            solutions.append((division.score + order.score - worse, division, places, order, at))
    _, division, places, order, at = max(solutions, key=lambda solution: solution[0])
    counts, widths = division.counts, division.widths_mm
    cut_mm = _cut_off(rows, division, seams)
    starts = [row.start_mm - (cut_mm if n > 1 else 0.0) for row, n in zip(rows, counts, strict=True)]
    shape = shape_of(counts)
    slots: list[Slot] = []
    offsets: list[tuple[float, float]] = []
    for (row, column), naming in zip(places, order.names, strict=True):
        start, width = starts[row], widths[row]
        slots.append(
            Slot(
                lead=naming.lead, row=row, column=column, columns=counts[row],
                start_mm=start + column * width, end_mm=start + (column + 1) * width,
                confidence=naming.confidence, read=naming.label is not None,
            )
        )  # fmt: skip
        if naming.label is not None:
            offsets.append((naming.label.x_mm - start - column * width, naming.label.y_mm - rows[row].y_mm))
    habit = (float(np.median([o[0] for o in offsets])), float(np.median([o[1] for o in offsets]))) if offsets else None
    name = order.template if order.template and not order.contradicted else shape
    in_place = tuple(label for names in at for label, _ in names)
    rows = _as_long_as_divided(rows, starts, counts, widths)
    return PageLayout(name, tuple(rows), tuple(slots), in_place, order.contradicted > 0, habit)


def without_ticks(labels: Sequence[Label]) -> list[Label]:
    """Leave out what is read as the same plain strokes again and again in one line, along or down the page.

    These are ticks of time, their numbers under every row, or separators of columns. Down the page a lead that is
    printed twice may be met once more by a misread name, and a page may show one lead alone, row by row.
    """
    alone = len({label.lead for label in labels}) <= TICKS

    def is_tick(label: Label) -> bool:
        same = [other for other in labels if other.lead == label.lead]
        along = sum(abs(other.y_mm - label.y_mm) < TICK_LINE_MM for other in same)
        down = sum(abs(other.x_mm - label.x_mm) < TICK_LINE_MM for other in same)
        return along >= TICKS or (down > TICKS and not alone)

    return [label for label in labels if label.lead not in STROKES or not is_tick(label)]


def _cut_off(rows: list[Row], division: Division, seams: Seams | None) -> float:
    """Return how many mm of the first column's beginning lie outside the picture.

    Names that stand before their leads belong to leads that begin there, if that is where leads are seen to meet: it is
    the first column that is not as long as the others.
    """
    divided = [i for i, n in enumerate(division.counts) if n > 1]
    if not divided or division.offset_mm >= NAMES_WITHIN_MM[0]:
        return 0.0
    start, end = (float(np.median([getattr(rows[i], side) for i in divided])) for side in ("start_mm", "end_mm"))
    columns, pitch = division.counts[divided[0]], division.widths_mm[divided[0]]
    usual = USUAL_OFFSET_MM - division.offset_mm
    before = division.offset_mm < -BEFORE_MM
    if seams is None:
        whole = start + columns * pitch - end  # if it is the beginning that is missing, not the end
        fits = NAMES_WITHIN_MM[0] <= division.offset_mm + whole <= NAMES_WITHIN_MM[1]
        return 0.0 if not before else whole if fits else usual
    worth = seam_worth(seams, rows=len(divided))

    def evidence(cut_mm: float) -> float:
        met = sum(worth(start - cut_mm + k * pitch) for k in range(1, columns))
        return met - OFFSET_COST * abs(cut_mm - usual)

    nearest, farthest = (within - division.offset_mm for within in NAMES_WITHIN_MM)
    return max([*([] if before else [0.0]), *np.arange(max(nearest, 0.0), farthest).tolist()], key=evidence)


def _as_long_as_divided(
    rows: list[Row], starts_mm: list[float], counts: list[int], widths_mm: list[float]
) -> list[Row]:
    """Let every row reach as far as its columns do; a rhythm strip reaches as far as the longest of them.

    A row whose beginning was not seen reaches no farther than the others.
    """
    ends = [start + n * w for start, n, w in zip(starts_mm, counts, widths_mm, strict=True)]
    farthest = max(max(row.end_mm for row in rows), ends[int(np.argmin(starts_mm))]) if rows else np.inf
    ends = [min(end, farthest) for end in ends]
    last = max((end for end, n in zip(ends, counts, strict=True) if n > 1), default=-np.inf)
    return [
        replace(r, end_mm=end if n > 1 else max(r.end_mm, last)) for r, end, n in zip(rows, ends, counts, strict=True)
    ]


def rows_beside_names(layout: PageLayout, labels: Sequence[Label]) -> list[Row]:
    """Return the rows that were overlooked although their names stand in line with those of the others."""
    if layout.name_offset_mm is None or not layout.rows:
        return []
    dx, dy = layout.name_offset_mm
    y_rows = [row.y_mm for row in layout.rows]
    spacing = float(np.median(np.diff(y_rows))) if len(y_rows) > 1 else LONE_SPACING_MM
    columns = {slot.start_mm + dx for slot in layout.slots if slot.columns > 1}
    lost = sorted(
        (label.y_mm - dy, label.x_mm) for label in labels
        if label.confidence >= PITCH_CONFIDENCE
        and min(abs(label.y_mm - dy - y) for y in y_rows) > MIN_SPACING * spacing
        and any(abs(label.x_mm - x) < IN_LINE_MM for x in columns)
    )  # fmt: skip
    found = []
    while lost:
        y_mm = lost[0][0]
        together = [item for item in lost if item[0] - y_mm < IN_LINE_MM]
        lost = lost[len(together) :]
        if len({round(x / IN_LINE_MM) for _, x in together}) >= NAMES_FOR_ROW:
            y_mm = float(np.median([y for y, _ in together]))
            found.append(replace(layout.rows[0], y_mm=y_mm))
    return found


def _common_ends(rows: list[Row]) -> list[Row]:
    """Give rows that start (or end) at nearly the same place the same start (or end); most rows decide for all."""
    if not rows:
        return rows
    starts = common_ends([r.start_mm for r in rows], within_mm=SAME_END_MM)
    ends = common_ends([r.end_mm for r in rows], within_mm=SAME_END_MM)
    return [replace(r, start_mm=a, end_mm=b) for r, a, b in zip(rows, starts, ends, strict=True)]


def common_ends(at_mm: Sequence[float], *, within_mm: float) -> list[float]:
    """Replace places by their median where they are near to it, and everywhere if most of them are.

    A row whose beginning was lost in a stain still begins where the other rows do.
    """
    median = float(np.median(at_mm))
    near = [abs(at - median) < within_mm for at in at_mm]
    if len(at_mm) >= ROWS_TO_AGREE and np.mean(near) >= MOST_ROWS:
        return [median] * len(at_mm)
    return [median if close else float(at) for close, at in zip(near, at_mm, strict=True)]


def _name_heights(rows: list[Row], labels: list[Label]) -> list[tuple[float, float]]:
    """Return where names may stand below the axes of their rows (mm), the likeliest first, and how much less so.

    Between rows a name may belong to either: what the names then say decides.
    """
    if not rows or not labels:
        return [(0.0, 0.0)]
    y_rows = np.array([r.y_mm for r in rows])
    spacing = _spacing(rows)
    y = np.array([label.y_mm for label in labels])
    sure = np.array([label.confidence for label in labels])
    tolerance = min(2.5, 0.22 * spacing)
    highest_mm = -max(0.75 * min(spacing, NAME_ABOVE_MM), 0.55 * min(spacing, PANEL_MM))
    offsets = np.arange(highest_mm, 0.8 * min(spacing, 25), 0.5)
    miss = np.abs(y[:, None, None] - y_rows[None, :, None] - offsets)
    near = np.exp(-0.5 * (miss / tolerance) ** 2)
    score = (near.max(axis=1) * sure[:, None]).sum(axis=0) + 0.5 * near.max(axis=0).sum(axis=0) - 0.01 * np.abs(offsets)
    chosen: list[int] = []
    for k in np.argsort(-score):
        if all(abs(offsets[k] - offsets[other]) > HEIGHTS_APART * spacing for other in chosen):
            chosen.append(int(k))
    best = score[chosen[0]]
    margins = [0.0, *[HEIGHTS_BETTER] * (len(chosen) - 1)]
    return [
        (float(offsets[k]), float(best - score[k] + margin))
        for k, margin in zip(chosen, margins, strict=True) if score[k] > best - HEIGHTS_WORSE
    ]  # fmt: skip


def _spacing(rows: list[Row]) -> float:
    return float(np.median(np.diff([r.y_mm for r in rows]))) if len(rows) > 1 else 30.0


def _labels_of_rows(rows: list[Row], labels: list[Label], offset_mm: float) -> list[list[Label]]:
    """Assign names to rows through the one vertical offset that suits the whole page."""
    if not rows or not labels:
        return [[] for _ in rows]
    y_rows, spacing = np.array([r.y_mm for r in rows]), _spacing(rows)
    out: list[list[Label]] = [[] for _ in rows]
    limit = float(np.clip(0.25 * spacing, 2.5, 5.0))
    for label in labels:
        miss_mm = np.abs(label.y_mm - y_rows - offset_mm)
        row = int(np.argmin(miss_mm))
        inside = rows[row].start_mm - 18 <= label.x_mm <= rows[row].end_mm + 4
        if miss_mm[row] <= limit and inside:
            out[row].append(label)
    return [sorted(found, key=lambda label: label.x_mm) for found in out]
