"""Stage 2: what voltage was printed at each instant of each lead; samples the original pixels once, strip by strip."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEAD_INDEX, LEADS, LIMB_FROM_I_II
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import FloatMap, Runtime, StageError, Status
from ecgstudio.stages.decode import falling_edges, pair_average, resample_heights, trace_path
from ecgstudio.stages.layout import GUESSED_CONFIDENCE, Label, PageLayout, Row, Slot, common_ends, find_rows, name_doubts, rows_beside_names, solve_layout
from ecgstudio.stages.names import NameCutter, normalised_names
from ecgstudio.stages.paper_map import rectified
from ecgstudio.stages.settings import TraceSettings
from ecgstudio.stages.strips import STRIP_PX_PER_MM, cut_strip, normalised

STRIP_HALF_MM = 30.0
TALL_HALF_MM = 54.0
STRIP_MARGIN_MM = 12.0
LAYOUT_PX_PER_MM = 5.0
LAYOUT_CELL_MM = 4 / LAYOUT_PX_PER_MM
MIN_PRINTED = 0.4
FLIP_AGREE_PX = 10.0
NAME_PENALTY = np.float32(5.0)  # nats
NAME_HALF_MM, NAME_HALF_MM_PER_LETTER, NAME_HALF_HEIGHT_MM = 0.8, 0.95, 2.2
COMMON_END_MM = 6.0  # rows that start or end this near to the others do so where the others do
LOOK_AROUND_MM = tuple((x, y) for x in (-1.5, 0.0, 1.5) for y in (-0.7, 0.7))
LOOK_CONFIDENCE = 0.45
TWIN_LIKENESS = 0.7
SAME_BEATS, SAME_BEATS_ALONE = 0.6, 0.75  # correlation of beats; more is asked where no rhythm strip can object
SYNCHRONY_REACH_PX = 6
TWIN_TIMES, EXPECTED_TIMES, MISREAD_TIMES = 1.3, 2.0, 4.0  # by how much the rival's misfit must be larger
LIMB_LEADS = LEADS[:6]
SAME_TRACE_MM = 1.2
OUTPUT_HZ = 500.0
END_MARGIN_PX = 1.5  # columns this near to a lead's end show its neighbour too
BOUNDARY_SEARCH_MM = 3.0
MAX_BRIDGE_S = 0.06  # longer unreadable stretches stay missing
CLIPPED_MM = 3.0
LEAST_PRESENCE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class StripReading:
    """One row as read: heights in strip pixels per whole column, with probabilities.

    Column i lies at x0 + (i + 0.5) / 8 mm.
    """

    row: Row
    x0_mm: float
    centre_mm: float
    half_px: int
    height_px: F64
    mass: F64
    presence: F64
    boundary: F64  # per half-column
    presence_half: F64

    def x_px(self, x_mm: float | F64) -> F64:
        """Return whole-column coordinates of paper x."""
        return np.asarray((np.asarray(x_mm) - self.x0_mm) * STRIP_PX_PER_MM - 0.5)


def read_traces(
    page: Page, keypoints: Keypoints, grid: GridFit, *, runtime: Runtime, settings: TraceSettings, status: Status
) -> DigitizedEcg:
    """Find the rows, name the leads and read every trace.

    Raises StageError if there is no strip or no nameable lead on the page.
    """
    rows, edges = find_strips(page, grid, runtime=runtime)
    status.checkpoint(0.3, "strips found")
    labels = _labels(keypoints, grid)
    solve = functools.partial(
        solve_layout, edges=edges, cell_mm=LAYOUT_CELL_MM, origin_mm=(0.0, 0.0), wanted=settings.layout
    )
    # only what stands where names are printed is one: noise that was taken for a name must not repel the trace
    sketch = solve(list(rows), labels)
    beside = rows_beside_names(sketch, labels)
    if beside:
        sketch = solve(sorted([*rows, *beside], key=lambda row: row.y_mm), labels)
    rows, names = sketch.rows, sketch.names
    readings = read_strips(page, grid, rows, runtime=runtime, flip=settings.flip, names=names)
    readings = one_per_trace([r for r in readings if _is_printed(r)])
    if not readings:
        raise StageError("traces", "no ECG strip could be followed", "check the grid, or draw the traces by hand")
    status.checkpoint(0.8, "traces read")
    readings = [_ending_where_seen(reading) for reading in readings]
    printed = [reading.row for reading in readings]
    layout = solve(printed, labels)
    overlooked = second_look(page, grid, layout, runtime=runtime)
    if overlooked:
        layout = solve(printed, [*labels, *overlooked])
    readings = _read_beside(page, grid, readings, layout.names, before=names, runtime=runtime, flip=settings.flip)
    slots = name_limb_leads(name_rhythm_strips(refine_slots(layout, readings), readings), readings)
    doubts = name_doubts(slots, contradicted=layout.contradicted)
    slots = [slot for slot in slots if slot.lead]
    if not slots:
        raise StageError("traces", "no lead name could be read and no known layout fits", "name the strips by hand")
    origin_mm = min(slot.start_mm for slot in slots)
    together = columns_are_simultaneous(slots, readings)
    traces = [
        _lead_trace(slot, readings[slot.row], grid, slot.start_mm if together and slot.columns > 1 else origin_mm)
        for slot in slots
    ]
    found = tuple(t for t in traces if t is not None and np.isfinite(t.mv).any())
    return DigitizedEcg(found, layout.name, doubts)


def find_strips(page: Page, grid: GridFit, *, runtime: Runtime) -> tuple[tuple[Row, ...], NDArray[np.float32]]:
    """Find the rows on the rectified page; returns them and the map of lead edges.

    Raises StageError if there is none.
    """
    width_mm, height_mm = grid.size_mm
    shape = tuple(int(-(-v * LAYOUT_PX_PER_MM // 32) * 32) for v in (height_mm, width_mm))
    image = rectified(page.pixels, grid, px_per_mm=LAYOUT_PX_PER_MM, origin_mm=(0.0, 0.0), shape=(shape[0], shape[1]))
    maps = runtime.grid(image)
    axis = np.where(_inside_page(page, grid, maps.axis.shape), maps.axis, 0.0).astype(np.float32)
    rows = find_rows(axis, cell_mm=LAYOUT_CELL_MM, origin_mm=(0.0, 0.0))
    if not rows:
        hint = "check the grid, or mark the lead names by hand"
        raise StageError("traces", "no ECG strip was found on the page", hint)
    return tuple(rows), maps.edge


def _labels(keypoints: Keypoints, grid: GridFit) -> list[Label]:
    """Return the lead names at their paper positions."""
    chosen = [i for i, name in enumerate(keypoints.names) if name in LEAD_INDEX]
    mm = grid.to_mm(keypoints.xy[chosen]) if chosen else np.zeros((0, 2))
    return [
        Label(keypoints.names[i], float(p[0]), float(p[1]), float(keypoints.confidence[i]))
        for i, p in zip(chosen, mm, strict=True)
        if np.isfinite(p).all()
    ]


def second_look(page: Page, grid: GridFit, layout: PageLayout, *, runtime: Runtime) -> list[Label]:
    """Read the names that stage 0 overlooked, where this page's habit of placing names says they are."""
    unread = [slot for slot in layout.slots if not slot.read]
    if layout.name_offset_mm is None or not unread:
        return []
    dx, dy = layout.name_offset_mm
    middles = [(s.start_mm + dx, layout.rows[s.row].y_mm + dy) for s in unread]
    spots = np.array([(x + right, y + down) for x, y in middles for right, down in LOOK_AROUND_MM])
    cutter = NameCutter(page.pixels, px_per_mm=grid.px_per_mm)
    places = zip(grid.to_page(spots), grid.jacobian(spots), strict=True)
    crops = np.stack([cutter.cut(xy, jacobian) for xy, jacobian in places])
    answers = runtime.names(normalised_names(crops)).reshape(len(unread), len(LOOK_AROUND_MM), -1)[..., 1:]
    taken = {(slot.lead, slot.columns) for slot in layout.slots if slot.read}
    found = []
    for slot, answer, around in zip(unread, answers, spots.reshape(len(unread), -1, 2), strict=True):
        best = np.sort(answer, axis=0)[-2:].mean(axis=0)  # two crops must agree
        for k in np.argsort(-best)[:2]:
            lead = LEADS[int(k)]
            if best[k] >= LOOK_CONFIDENCE and ((lead, slot.columns) not in taken or slot.columns == 1):
                at = around[int(np.argmax(answer[:, k]))]
                found.append(Label(lead, float(at[0]), float(at[1]), float(best[k])))
                break
    return found


def _read_beside(
    page: Page,
    grid: GridFit,
    readings: list[StripReading],
    names: Sequence[Label],
    *,
    before: Sequence[Label],
    runtime: Runtime,
    flip: bool,
) -> list[StripReading]:
    """Read those strips again whose trace runs through a printed name that was not known to be one before."""
    fresh = [name for name in names if name not in before]
    out = list(readings)
    for i, reading in enumerate(readings):
        if any(_runs_through(reading, name) for name in fresh):
            span_mm = reading.x0_mm, reading.x0_mm + len(reading.height_px) / STRIP_PX_PER_MM
            half_mm = reading.half_px / STRIP_PX_PER_MM
            (again,) = _read(
                page, grid, (reading.row,), span_mm=span_mm, half_mm=half_mm, runtime=runtime, flip=flip, names=names
            )
            out[i] = _ending_where_seen(again)
    return out


def _runs_through(reading: StripReading, name: Label) -> bool:
    half_mm = NAME_HALF_MM + NAME_HALF_MM_PER_LETTER * len(name.lead)
    low, high = (int(np.clip(reading.x_px(name.x_mm + s * half_mm), 0, len(reading.height_px))) for s in (-1, 1))
    return bool((np.abs(_y_mm(reading)[low:high] - name.y_mm) < NAME_HALF_HEIGHT_MM).any())


def _is_printed(reading: StripReading) -> bool:
    """Tell whether a trace runs along most of a strip."""
    ends = reading.x_px(np.array([reading.row.start_mm, reading.row.end_mm]))
    low, high = np.clip(ends, 0, len(reading.presence)).astype(int)
    span = reading.presence[low:high]
    return bool(len(span) and (span > 0.5).mean() > MIN_PRINTED)


def one_per_trace(readings: list[StripReading]) -> list[StripReading]:
    """Where two strips followed the same trace, keep the one whose axis lies nearer to it."""
    kept: list[StripReading] = []
    for reading in readings:
        if kept and _same_trace(kept[-1], reading):
            if _distance_mm(reading) < _distance_mm(kept[-1]):
                kept[-1] = reading
            continue
        kept.append(reading)
    return kept


def _y_mm(reading: StripReading) -> F64:
    return np.asarray(reading.centre_mm + (reading.height_px - reading.half_px + 0.5) / STRIP_PX_PER_MM)


def _same_trace(a: StripReading, b: StripReading) -> bool:
    n = min(len(a.height_px), len(b.height_px))
    both = (a.presence[:n] > 0.5) & (b.presence[:n] > 0.5)
    return bool(both.sum() > 40 and (np.abs(_y_mm(a)[:n] - _y_mm(b)[:n])[both] < SAME_TRACE_MM).mean() > 0.5)


def _distance_mm(reading: StripReading) -> float:
    present = reading.presence > 0.5
    return float(abs(np.median(_y_mm(reading)[present]) - reading.centre_mm)) if present.any() else np.inf


def _inside_page(page: Page, grid: GridFit, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the layout cells that lie on the picture."""
    cell_mm = LAYOUT_CELL_MM
    xy = grid.lattice_to_page((np.arange(shape[1]) + 0.5) * cell_mm, (np.arange(shape[0]) + 0.5) * cell_mm)
    height, width = page.pixels.shape[:2]
    return np.asarray((xy > -0.5).all(axis=-1) & (xy[..., 0] < width - 0.5) & (xy[..., 1] < height - 0.5))


def read_strips(
    page: Page,
    grid: GridFit,
    rows: tuple[Row, ...],
    *,
    runtime: Runtime,
    flip: bool = False,
    names: Sequence[Label] = (),
) -> list[StripReading]:
    """Read all rows; a row whose trace touches the strip's edge is read again with a taller strip."""
    # one span for all, read again or not: strips are compared column by column
    span_mm = min(r.start_mm for r in rows) - STRIP_MARGIN_MM, max(r.end_mm for r in rows) + STRIP_MARGIN_MM
    readings = _read(page, grid, rows, span_mm=span_mm, half_mm=STRIP_HALF_MM, runtime=runtime, flip=flip, names=names)
    for i, reading in enumerate(readings):
        printed = reading.presence > 0.5
        if not printed.any():
            continue
        away = np.abs(reading.height_px - reading.half_px)[printed] / STRIP_PX_PER_MM
        if away.max() > STRIP_HALF_MM - CLIPPED_MM:
            (readings[i],) = _read(
                page, grid, (rows[i],), span_mm=span_mm, half_mm=TALL_HALF_MM, runtime=runtime, flip=flip, names=names
            )
    return readings


def _read(
    page: Page,
    grid: GridFit,
    rows: tuple[Row, ...],
    *,
    span_mm: tuple[float, float],
    half_mm: float,
    runtime: Runtime,
    flip: bool,
    names: Sequence[Label],
) -> list[StripReading]:
    half_px = round(half_mm * STRIP_PX_PER_MM / 16) * 16
    start, end = span_mm
    width = int(-(-(end - start) * STRIP_PX_PER_MM // 32) * 32)
    strips = normalised(np.stack([
        cut_strip(page, grid, x0_mm=start, centre_mm=row.y_mm, half_px=half_px, width_px=width) for row in rows
    ]))  # fmt: skip
    maps = runtime.trace(strips)
    height, mass = trace_path(_beside_names(maps.columns, rows, names, x0_mm=start, half_px=half_px))
    presence, boundary = maps.presence.astype(np.float64), maps.boundary.astype(np.float64)
    if flip:
        mirrored = runtime.trace(np.ascontiguousarray(strips[..., ::-1]))
        turned = np.ascontiguousarray(mirrored.columns[..., ::-1])
        other, other_mass = trace_path(_beside_names(turned, rows, names, x0_mm=start, half_px=half_px))
        agree = np.abs(height - other) < FLIP_AGREE_PX  # two different strokes have no meaningful middle
        surer = np.where(mass >= other_mass, height, other)
        height, mass = np.where(agree, (height + other) / 2, surer), np.minimum(mass, other_mass)
        presence = (presence + mirrored.presence[..., ::-1]) / 2
        boundary = (boundary + mirrored.boundary[..., ::-1]) / 2
    return [
        StripReading(
            row=row,
            x0_mm=start,
            centre_mm=row.y_mm,
            half_px=half_px,
            height_px=pair_average(height[i]),
            mass=pair_average(mass[i]),
            presence=pair_average(presence[i]),
            boundary=boundary[i],
            presence_half=presence[i],
        )
        for i, row in enumerate(rows)
    ]


def _beside_names(
    columns: FloatMap, rows: tuple[Row, ...], names: Sequence[Label], *, x0_mm: float, half_px: int
) -> FloatMap:
    """Make it unlikely that a trace runs along a printed name: a V under a beat looks like an S wave.

    Only an alternative elsewhere in the column can win by this; a trace that does cross a name is still followed.
    """
    out = columns.copy()
    for i, row in enumerate(rows):
        touched = np.zeros(out.shape[2], bool)
        for name in names:
            half_width_mm = NAME_HALF_MM + NAME_HALF_MM_PER_LETTER * len(name.lead)
            top = round((name.y_mm - NAME_HALF_HEIGHT_MM - row.y_mm) * STRIP_PX_PER_MM) + half_px
            bottom = round((name.y_mm + NAME_HALF_HEIGHT_MM - row.y_mm) * STRIP_PX_PER_MM) + half_px
            left, right = (round((name.x_mm + side * half_width_mm - x0_mm) * 2 * STRIP_PX_PER_MM) for side in (-1, 1))
            top, left = max(top, 0), max(left, 0)
            if bottom > top and right > left:
                out[i, top:bottom, left:right] -= NAME_PENALTY
                touched[left:right] = True
        if touched.any():
            part = out[i][:, touched]
            out[i][:, touched] = part - np.log(np.exp(part).sum(axis=0))
    return out


def refine_slots(layout: PageLayout, readings: list[StripReading]) -> list[Slot]:
    """Move starts and ends onto what the trace network saw; the columns' borders are common to all rows."""
    ends = [_row_ends(reading) for reading in readings]
    starts = np.array(common_ends([e[0] for e in ends], within_mm=COMMON_END_MM))
    stops = np.array(common_ends([e[1] for e in ends], within_mm=COMMON_END_MM))
    slots = list(layout.slots)
    borders: dict[tuple[int, int], float] = {}
    for columns in {s.columns for s in slots if s.columns > 1}:
        rows = sorted({s.row for s in slots if s.columns == columns})
        expected = [
            float(np.median([s.start_mm for s in slots if (s.columns, s.column) == (columns, k)]))
            for k in range(1, columns)
        ]
        # all columns last equally long: what the borders have in common is believed, not what one of them says
        common = float(np.median([_border(at, [readings[r] for r in rows]) - at for at in expected]))
        borders |= {(columns, k): float(at + common) for k, at in enumerate(expected, 1)}
    out = []
    for s in slots:
        first = starts[s.row] if s.column == 0 else borders[s.columns, s.column]
        last = stops[s.row] if s.column == s.columns - 1 else borders[s.columns, s.column + 1]
        if last - first < 4.0:
            first, last = s.start_mm, s.end_mm
        out.append(replace(s, start_mm=float(first), end_mm=float(last)))
    return out


def _ending_where_seen(reading: StripReading) -> StripReading:
    first, last = _row_ends(reading)
    return replace(reading, row=replace(reading.row, start_mm=first, end_mm=last))


def _row_ends(reading: StripReading) -> tuple[float, float]:
    """Return the first and last mm of a row by the presence of its trace, near where stage 1 saw its axis."""
    stretches = falling_edges(reading.presence_half)
    half_mm = 0.5 / STRIP_PX_PER_MM
    spans = [(reading.x0_mm + a * half_mm, reading.x0_mm + (b + 1) * half_mm) for a, b in stretches]
    spans = [s for s in spans if s[1] > reading.row.start_mm and s[0] < reading.row.end_mm and s[1] - s[0] > 5]
    if not spans:
        return reading.row.start_mm, reading.row.end_mm
    return min(s[0] for s in spans), max(s[1] for s in spans)


def _border(expected_mm: float, readings: list[StripReading]) -> float:
    """Return where the column border lies: the pooled boundary evidence near the expected place."""
    reach = int(BOUNDARY_SEARCH_MM * 2 * STRIP_PX_PER_MM)
    centre = (expected_mm - readings[0].x0_mm) * 2 * STRIP_PX_PER_MM - 0.5
    at = round(centre) + np.arange(-reach, reach + 1)
    pooled = np.zeros(len(at))
    for reading in readings:
        pooled += np.interp(at, np.arange(len(reading.boundary)), reading.boundary, left=0, right=0)
    prior = np.exp(-0.5 * ((at - centre) / (0.6 * reach)) ** 2)
    weight = np.maximum(pooled * prior - 0.1 * len(readings), 0)
    if weight.sum() < 0.5:
        return expected_mm
    peak = int(np.argmax(np.convolve(weight, np.ones(9), mode="same")))
    near = slice(max(0, peak - 6), peak + 7)
    half_column = float((at[near] * weight[near]).sum() / weight[near].sum())
    return readings[0].x0_mm + (half_column + 0.5) / (2 * STRIP_PX_PER_MM)


def columns_are_simultaneous(slots: list[Slot], readings: list[StripReading]) -> bool:
    """Tell whether all columns show the same seconds, by when their beats come.

    Carts print columns one after the other in time, or the same seconds side by side; no mark on the paper says which.
    The beats do: they repeat those of the first column exactly, or go on with those of the rhythm strip.
    """
    columns = max((s.columns for s in slots), default=1)
    parts = [[s for s in slots if s.columns == columns and s.column == k] for k in range(columns)]
    if columns == 1 or not all(parts):
        return False
    spans = [(part[0].start_mm, part[0].end_mm) for part in parts]
    activity = [
        sum((_activity(readings[s.row], *span) for s in part), start=np.zeros(1))
        for part, span in zip(parts, spans, strict=True)
    ]
    rhythm = [readings[s.row] for s in slots if s.columns == 1]
    for k in range(1, columns):
        same = _synchrony(activity[0], activity[k])
        going_on = max((_synchrony(_activity(r, *spans[k]), activity[k]) for r in rhythm), default=0.0)
        if same < (SAME_BEATS_ALONE if not rhythm else SAME_BEATS) or same < going_on:
            return False
    return True


def _activity(reading: StripReading, start_mm: float, end_mm: float) -> F64:
    """Return how fast a trace moves along a span: the beats stand out."""
    low, high = (int(np.clip(reading.x_px(x), 0, len(reading.height_px))) for x in (start_mm + 1.0, end_mm - 1.0))
    speed = np.abs(np.diff(reading.height_px[low:high]))
    if len(speed) < 50:
        return np.zeros(1)
    smooth = ndimage.gaussian_filter1d(np.minimum(speed, np.percentile(speed, 99)), 3.0)
    beats = np.maximum(smooth - 1.5 * np.median(smooth), 0)  # a noisy lead must not drown the others
    return np.asarray(beats / (np.percentile(beats, 98) + 0.05))


def _synchrony(a: F64, b: F64) -> float:
    """Return the correlation of two activities that start together, allowing a few pixels."""
    n = min(len(a), len(b)) - 2 * SYNCHRONY_REACH_PX
    if n < 100:
        return 0.0
    middle = a[SYNCHRONY_REACH_PX : SYNCHRONY_REACH_PX + n]
    return float(max(np.corrcoef(middle, b[k : k + n])[0, 1] for k in range(2 * SYNCHRONY_REACH_PX + 1)))


def name_rhythm_strips(slots: list[Slot], readings: list[StripReading]) -> list[Slot]:
    """Name full-width strips by their likeness to a short print of the same beats.

    A name that was read stays, unless the strip is much more like another lead: II and III differ by one stroke.
    """
    short = [s for s in slots if s.columns > 1 and s.lead]
    out = list(slots)
    for i, slot in enumerate(slots):
        if slot.columns > 1 or not short:
            continue
        likeness = {s.lead: _likeness(readings[slot.row], readings[s.row], s) for s in short}
        best, *others = sorted(likeness, key=lambda lead: -likeness[lead])
        if likeness[best] <= TWIN_LIKENESS:
            continue
        sure = float(min(likeness[best], 0.9))
        if best == slot.lead:
            out[i] = replace(slot, confidence=max(sure, slot.confidence))
            continue
        rival = slot.lead if slot.lead in likeness else next(iter(others), "")
        times = MISREAD_TIMES if slot.read else EXPECTED_TIMES if slot.lead else TWIN_TIMES
        if 1 - likeness.get(rival, 0.0) > times * (1 - likeness[best]):
            out[i] = replace(slot, lead=best, confidence=sure, read=False)
    return out


def name_limb_leads(slots: list[Slot], readings: list[StripReading]) -> list[Slot]:
    """Name nameless strips that are what two known limb leads beside them in time make a third one (Einthoven)."""
    out = list(slots)
    for i, slot in enumerate(slots):
        if slot.lead:
            continue
        together = [s for s in out if (s.columns, s.column) == (slot.columns, slot.column)]
        known = {s.lead: readings[s.row] for s in together if s.lead in LIMB_LEADS}
        named = {s.lead for s in out if s.columns == slot.columns}
        likeness = {
            lead: _likeness_to(readings[slot.row], made, slot)
            for lead, made in _made_of(known, slot).items() if lead not in named
        }  # fmt: skip
        best = max(likeness, key=lambda lead: likeness[lead], default="")
        if best and likeness[best] > TWIN_LIKENESS:
            out[i] = replace(slot, lead=best, confidence=GUESSED_CONFIDENCE)
    nameless = [i for i, s in enumerate(out) if not s.lead]
    rest = [lead for lead in LEADS if lead not in {s.lead for s in out}]
    if len(nameless) == 1 and len(rest) == 1:
        out[nameless[0]] = replace(out[nameless[0]], lead=rest[0], confidence=GUESSED_CONFIDENCE)
    return out


def _made_of(known: dict[str, StripReading], slot: Slot) -> dict[str, F64]:
    """Return the heights that each limb lead must have over a slot, from at least two known ones."""
    if len(known) < 2:
        return {}
    rows = LIMB_FROM_I_II[[LIMB_LEADS.index(lead) for lead in known]]
    if np.linalg.matrix_rank(rows) < 2:
        return {}
    n = min(len(reading.height_px) for reading in known.values())
    up = np.stack([np.median(r.height_px[:n]) - r.height_px[:n] for r in known.values()])
    both = np.linalg.lstsq(rows, up, rcond=None)[0]
    return {lead: -(LIMB_FROM_I_II[k] @ both) for k, lead in enumerate(LIMB_LEADS)}


def _likeness(a: StripReading, b: StripReading, slot: Slot) -> float:
    """Return which share of the variance over a slot's span the two readings have in common (rows share one time)."""
    return _likeness_to(a, b.height_px, slot)


def _likeness_to(a: StripReading, height_px: F64, slot: Slot) -> float:
    """Return which share of the variance of a reading over a slot's span is in the other heights too."""
    low, high = (int(v) for v in (a.x_px(slot.start_mm) + 8, a.x_px(slot.end_mm) - 8))
    both = slice(max(0, low), min(high, len(a.height_px), len(height_px)))
    x, y = a.height_px[both], height_px[both]
    if len(x) < 120 or x.std() < 1e-3 or y.std() < 1e-3:
        return 0.0
    n = len(x)
    misses = [np.var(x[max(0, k) : n + min(0, k)] - y[max(0, -k) : n + min(0, -k)]) for k in range(-6, 7, 2)]
    return float(1 - min(misses) / max(np.var(x), np.var(y)))


def _lead_trace(slot: Slot, reading: StripReading, grid: GridFit, origin_mm: float) -> LeadTrace | None:
    """Sample one lead evenly in time and express it in mV and in page pixels."""
    scale = grid.scale
    t0_s = (slot.start_mm - origin_mm) / scale.mm_per_s
    count = int(np.floor((slot.end_mm - slot.start_mm) / scale.mm_per_s * OUTPUT_HZ + 0.5))
    if count < 25:
        return None
    t0_s = round(t0_s * OUTPUT_HZ) / OUTPUT_HZ
    x_mm = origin_mm + (t0_s + np.arange(count) / OUTPUT_HZ) * scale.mm_per_s
    columns = np.arange(len(reading.height_px), dtype=np.float64)
    low, high = reading.x_px(slot.start_mm) + END_MARGIN_PX, reading.x_px(slot.end_mm) - END_MARGIN_PX
    inside = (columns >= low) & (columns <= high)
    confidence = np.where(inside & (reading.presence >= LEAST_PRESENCE), reading.mass, 0.0)
    max_gap_px = MAX_BRIDGE_S * scale.mm_per_s * STRIP_PX_PER_MM
    height, sure = resample_heights(columns, reading.height_px, confidence, reading.x_px(x_mm), max_gap_px=max_gap_px)
    y_mm = reading.centre_mm + (height - reading.half_px + 0.5) / STRIP_PX_PER_MM
    mv = (reading.centre_mm - y_mm) / scale.mm_per_mV
    mm = np.stack([x_mm, np.where(np.isfinite(y_mm), y_mm, reading.centre_mm)], axis=1)
    return LeadTrace(
        lead=slot.lead, t0_s=float(t0_s), fs=OUTPUT_HZ, mv=mv.astype(np.float32), xy=grid.to_page(mm),
        confidence=(np.clip(sure, 0, 1) * min(1.0, 0.5 + slot.confidence / 2)).astype(np.float32),
    )  # fmt: skip
