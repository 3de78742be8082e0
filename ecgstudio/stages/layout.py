"""Which lead is printed where: rows from the strip axes, columns from the printed names, gaps from known templates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS, LEAD_INDEX, Layout

FloatMap = NDArray[np.float32]

MIN_ROW_MM = 24.0
MIN_ROW_DISTANCE_MM = 6.5
SAME_ROW_MM = 9.0
SIDE_BY_SIDE = (1, 2, 3, 4, 6)
CROWDED = {6: 0.6}  # six leads in a row are rare
NAME_OFFSETS_MM = (-14.0, 16.0, 1.0)
USUAL_OFFSET_MM, OFFSET_COST = 2.0, 0.01
NAME_SPREAD_MM, NAME_REACH_MM = 4.0, 8.0
GAP_COST, ELSEWHERE_COST, BORDER_WORTH = 0.35, 0.3, 0.6
GUESSED_CONFIDENCE = 0.35
UNLABELLED_CONFIDENCE = 0.12


@dataclass(frozen=True, slots=True)
class Label:
    """A printed lead name at a paper position."""

    lead: str
    x_mm: float
    y_mm: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Row:
    """A strip: the height of its axis and where its ink starts and ends."""

    y_mm: float
    start_mm: float
    end_mm: float
    strength: float


@dataclass(frozen=True, slots=True)
class Slot:
    """One lead's place: row number, span on the paper, and how sure its name is (read or only inferred)."""

    lead: str
    row: int
    column: int
    columns: int
    start_mm: float
    end_mm: float
    confidence: float
    read: bool


@dataclass(frozen=True, slots=True)
class PageLayout:
    """What is printed where; `name` is a template's name or rows x columns.

    A slot without a lead could not be named.
    """

    name: str
    rows: tuple[Row, ...]
    slots: tuple[Slot, ...]
    notes: tuple[str, ...] = ()
    name_offset_mm: tuple[float, float] | None = None  # from a slot's start and axis to its name; None: none was read


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
) -> PageLayout:
    """Join rows and names: every slot gets a lead, read where possible, otherwise inferred from a template."""
    notes: list[str] = []
    rows = _common_ends(rows)
    by_row = _labels_of_rows(rows, labels)
    vouched = LAYOUTS.get(wanted)
    if vouched is not None and len(vouched.all_rows) == len(rows):
        counts: list[int] | None = [len(leads) for leads in vouched.all_rows]
    else:
        counts = None
    counts, offset = _columns(rows, by_row, edges, cell_mm=cell_mm, origin_mm=origin_mm, known=counts)
    slots: list[Slot] = []
    places: list[tuple[float, float]] = []
    for index, (row, found, n) in enumerate(zip(rows, by_row, counts, strict=True)):
        width = (row.end_mm - row.start_mm) / n
        named = _named(row, found, n, offset)
        places += [(x.x_mm - row.start_mm - k * width, x.y_mm - row.y_mm) for k, x in named.items()]
        for column in range(n):
            read = named.get(column)
            slots.append(
                Slot(
                    lead=read.lead if read else "",
                    row=index,
                    column=column,
                    columns=n,
                    start_mm=row.start_mm + column * width,
                    end_mm=row.start_mm + (column + 1) * width,
                    confidence=read.confidence if read else 0.0,
                    read=read is not None,
                )
            )
    habit = (float(np.median([p[0] for p in places])), float(np.median([p[1] for p in places]))) if places else None
    slots = _without_doubles(slots)
    slots, name = _completed(slots, counts, wanted, notes)
    return PageLayout(name, tuple(rows), tuple(slots), tuple(notes), habit)


def _common_ends(rows: list[Row]) -> list[Row]:
    """Give rows that start (or end) at nearly the same place the same start (or end)."""
    if not rows:
        return rows
    start = float(np.median([r.start_mm for r in rows]))
    end = float(np.median([r.end_mm for r in rows]))
    return [
        replace(
            r,
            start_mm=start if abs(r.start_mm - start) < 8 else r.start_mm,
            end_mm=end if abs(r.end_mm - end) < 8 else r.end_mm,
        )
        for r in rows
    ]


def _labels_of_rows(rows: list[Row], labels: list[Label]) -> list[list[Label]]:
    """Assign names to rows through the one vertical offset that suits the whole page."""
    if not rows or not labels:
        return [[] for _ in rows]
    y_rows = np.array([r.y_mm for r in rows])
    spacing = float(np.median(np.diff(y_rows))) if len(rows) > 1 else 30.0
    y = np.array([label.y_mm for label in labels])
    sure = np.array([label.confidence for label in labels])
    tolerance = min(2.5, 0.22 * spacing)
    best, best_score = 0.0, -np.inf
    for offset in np.arange(-0.75 * min(spacing, 32), 0.8 * min(spacing, 25), 0.5):
        miss = np.abs(y[:, None] - y_rows[None, :] - offset)
        near = np.exp(-0.5 * (miss / tolerance) ** 2)
        score = float((near.max(axis=1) * sure).sum() + 0.5 * near.max(axis=0).sum() - 0.01 * abs(offset))
        if score > best_score:
            best, best_score = float(offset), score
    out: list[list[Label]] = [[] for _ in rows]
    limit = float(np.clip(0.25 * spacing, 2.5, 5.0))
    for label in labels:
        miss_mm = np.abs(label.y_mm - y_rows - best)
        row = int(np.argmin(miss_mm))
        inside = rows[row].start_mm - 18 <= label.x_mm <= rows[row].end_mm + 4
        if miss_mm[row] <= limit and inside:
            out[row].append(label)
    return [sorted(found, key=lambda label: label.x_mm) for found in out]


def _columns(
    rows: list[Row],
    by_row: list[list[Label]],
    edges: FloatMap,
    *,
    cell_mm: float,
    origin_mm: tuple[float, float],
    known: list[int] | None,
) -> tuple[list[int], float]:
    """Decide how many leads stand side by side in each row, and how far right of its lead's start a name stands.

    All rows share one number of columns (a rhythm strip has one lead) and one habit of placing names: the pair that
    explains most names with fewest gaps wins.
    """
    best: tuple[float, list[int], float] = (-np.inf, [1] * len(rows), 0.0)
    for n in SIDE_BY_SIDE:
        borders = [_divided(row, n, edges, cell_mm=cell_mm, origin_mm=origin_mm) if n > 1 else 0.0 for row in rows]
        for offset in np.arange(*NAME_OFFSETS_MM):
            total, counts = -OFFSET_COST * abs(offset - USUAL_OFFSET_MM) - CROWDED.get(n, 0.0), []
            for index, (row, found) in enumerate(zip(rows, by_row, strict=True)):
                options = (n, 1) if known is None else (known[index],)
                border = BORDER_WORTH * (borders[index] - 0.25)
                score, count = max(
                    (_explained(row, found, m, offset) + (border if m > 1 else 0.0), m) for m in options
                )
                total += score
                counts.append(count)
            if total > best[0]:
                best = (total, counts, float(offset))
    return (best[1] if known is not None else _rhythm_below(best[1])), best[2]


def _rhythm_below(counts: list[int]) -> list[int]:
    """Take a single strip between divided rows for a divided row whose names were not read: rhythm strips lie below."""
    last = max((i for i, n in enumerate(counts) if n > 1), default=-1)
    side_by_side = max(counts, default=1)
    return [side_by_side if n == 1 and i < last else n for i, n in enumerate(counts)]


def _explained(row: Row, found: list[Label], columns: int, offset_mm: float) -> float:
    """Score a division of a row: names at expected places, less gaps and names elsewhere."""
    named = _named(row, found, columns, offset_mm)
    width = (row.end_mm - row.start_mm) / columns
    worth = 0.0
    for column, label in named.items():
        miss = label.x_mm - row.start_mm - offset_mm - column * width
        worth += _weight(label) * float(np.exp(-((miss / NAME_SPREAD_MM) ** 2)))
    elsewhere = sum(_weight(label) for label in found) - sum(_weight(label) for label in named.values())
    return worth - GAP_COST * (columns - len(named)) - ELSEWHERE_COST * elsewhere


def _named(row: Row, found: list[Label], columns: int, offset_mm: float) -> dict[int, Label]:
    """Return the best name near each column's expected place."""
    width = (row.end_mm - row.start_mm) / columns
    named: dict[int, tuple[float, Label]] = {}
    for label in found:
        at = (label.x_mm - row.start_mm - offset_mm) / width
        column = int(np.clip(round(at), 0, columns - 1))
        miss = (at - column) * width
        score = _weight(label) * float(np.exp(-((miss / NAME_SPREAD_MM) ** 2)))
        if abs(miss) <= NAME_REACH_MM and score > named.get(column, (0.0, label))[0]:
            named[column] = (score, label)
    return {column: label for column, (_, label) in named.items()}


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


def _without_doubles(slots: list[Slot]) -> list[Slot]:
    """Among slots of the same lead and the same width keep the surest name; the others become unnamed.

    A page of single strips may print a lead twice when it has more strips than there are leads (rhythm strips).
    """
    out = list(slots)
    spare = max(0, len(slots) - len(LEAD_INDEX)) if all(s.columns == 1 for s in slots) else 0
    for lead in LEAD_INDEX:
        same = [i for i, s in enumerate(out) if s.lead == lead]
        for columns in {out[i].columns for i in same}:
            group = sorted((i for i in same if out[i].columns == columns), key=lambda i: -out[i].confidence)
            for i in group[1:]:
                if spare:
                    spare -= 1
                    continue
                out[i] = replace(out[i], lead="", confidence=0.0, read=False)
    return out


def _completed(slots: list[Slot], counts: list[int], wanted: str, notes: list[str]) -> tuple[list[Slot], str]:
    """Name the unnamed slots from the template that agrees best with the names that were read."""
    grid = [n for n in counts if n > 1]
    if grid:
        rows, columns, rhythm = len(grid), max(set(grid), key=grid.count), sum(n == 1 for n in counts)
    else:
        rows, columns, rhythm = len(counts), 1, 0
    shape = f"{rows}x{columns}" + (f"+{rhythm}" if rhythm else "")
    read = sum(s.read for s in slots)
    missing = [i for i, s in enumerate(slots) if not s.lead]
    template = _template(slots, counts, shape, wanted)
    name = template.name if template is not None and _agreement(slots, counts, template)[1] == 0 else shape
    if not missing:
        return slots, name
    used = {s.lead for s in slots if s.lead and s.columns == columns}
    out = list(slots)
    if template is not None:
        agree, disagree = _agreement(slots, counts, template)
        confidence = GUESSED_CONFIDENCE if agree >= 3 and disagree == 0 else UNLABELLED_CONFIDENCE
        expected = _expected(slots, counts, template)
        for i in missing:
            lead = expected.get(i, "")
            if lead and (lead not in used or (out[i].columns == 1 and columns > 1)):
                out[i] = replace(out[i], lead=lead, confidence=confidence, read=False)
                used.add(lead)
    left = [s for s in out if not s.lead]
    rest = [lead for lead in LEAD_INDEX if lead not in {s.lead for s in out}]
    if len(left) == 1 and len(rest) == 1:  # whatever the order, the last name goes to the last strip
        out = [replace(s, lead=rest[0], confidence=GUESSED_CONFIDENCE) if not s.lead else s for s in out]
    inferred = sum(bool(s.lead) for s in out) - read
    if inferred:
        some = f"{inferred} lead name(s) not read, inferred from the layout"
        notes.append(some if read else "no lead name could be read: standard order assumed")
    return out, name


def _expected(slots: list[Slot], counts: list[int], template: Layout) -> dict[int, str]:
    """Return which lead a template expects in each slot."""
    rows = list(template.all_rows)
    if len(rows) != len(counts):
        return {}
    return {i: rows[s.row][s.column] for i, s in enumerate(slots) if len(rows[s.row]) == s.columns}


def _agreement(slots: list[Slot], counts: list[int], template: Layout) -> tuple[int, int]:
    """Count read names that agree and disagree with a template (rhythm strips may hold any lead)."""
    expected = _expected(slots, counts, template)
    if not expected:
        return 0, len(slots)
    wide = template.columns
    pairs = [(s.lead, expected.get(i)) for i, s in enumerate(slots) if s.lead and (s.columns == wide)]
    return sum(a == b for a, b in pairs), sum(a != b for a, b in pairs)


def _template(slots: list[Slot], counts: list[int], shape: str, wanted: str) -> Layout | None:
    """Return the template of this shape that agrees best, or the one that the user asked for."""
    if wanted != "auto":
        return LAYOUTS.get(wanted)
    options = [t for t in LAYOUTS.values() if t.name.removesuffix("-cabrera") == shape]
    if not options:
        return None
    scored = []
    for k, option in enumerate(options):
        agree, disagree = _agreement(slots, counts, option)
        scored.append((agree - 2 * disagree, -k, option))
    best = max(scored, key=lambda item: item[:2])
    agree, disagree = _agreement(slots, counts, best[2])
    return best[2] if disagree <= agree // 2 else None
