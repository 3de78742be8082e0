"""Stage 2: what voltage was printed at each instant of each lead; samples the original pixels once, strip by strip."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.clear_page import Cleared, names_joined, on_picture
from ecgstudio.stages.contract import PartStatus, Runtime, StageError, Status, content_digest
from ecgstudio.stages.cut_off import cut_off, lost_share
from ecgstudio.stages.decode import resample_heights
from ecgstudio.stages.drawn_lines import ending_with_lines, lines_along, lines_on_paper
from ecgstudio.stages.faint_rows import (
    clearly_followed,
    hardly_seen,
    reaching_names,
    rows_at_names,
    rows_beyond,
    with_rows,
)
from ecgstudio.stages.gains import gain_of, gains_by_pulse, gains_doubt
from ecgstudio.stages.ink_fit import fitted_to_ink
from ecgstudio.stages.layout import find_rows, rows_beside_names, solve_layout
from ecgstudio.stages.lead_heights import half_columns_px, lead_heights
from ecgstudio.stages.lead_order import name_doubts
from ecgstudio.stages.lead_places import COMMON_END_MM, refine_slots, within_standard
from ecgstudio.stages.limb_order import order_by_limb_leads
from ecgstudio.stages.line_offsets import rectified
from ecgstudio.stages.meetings import read_together
from ecgstudio.stages.names import NameCutter, normalised_names
from ecgstudio.stages.pacing_spikes import pacing_spikes, with_spikes
from ecgstudio.stages.print_skew import print_skew, supposed_skew
from ecgstudio.stages.printed import Label, PageLayout, Row, Slot
from ecgstudio.stages.pulse_feet import begins_after_foot, off_pulse_tops
from ecgstudio.stages.quality import assess
from ecgstudio.stages.reread import PageReading, ReadingMemo, RowAgain, read_moved_rows
from ecgstudio.stages.same_seconds import CLEAR, columns_are_simultaneous, simultaneity
from ecgstudio.stages.seams import Seams
from ecgstudio.stages.settings import AUTO_LAYOUT, AssembleSettings, QualitySettings, TraceSettings
from ecgstudio.stages.strip_reading import (
    STRIP_MARGIN_MM,
    StripReading,
    as_pictured,
    beginning_at,
    is_ruled,
    printed_strips,
    read_beside_names,
    read_strips,
    read_to_the_ends,
    row_ends,
)
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from ecgstudio.stages.strokes import strays
from ecgstudio.stages.twins import name_limb_leads, name_rhythm_strips
from ecgstudio.stages.unnamed import usual_layout

DOUBTED, LESS_DOUBTED = 0.1, 0.6  # readings worth another one, and what of their doubt that one may leave
AGAIN_FROM = 0.85  # where another reading begins on the progress bar
LAYOUT_PX_PER_MM = 5.0
LAYOUT_CELL_MM = 4 / LAYOUT_PX_PER_MM
LOOK_AROUND_MM = tuple((x, y) for x in (-1.5, 0.0, 1.5) for y in (-0.7, 0.7))
LOOK_CONFIDENCE, LOOK_AGAINST = 0.45, 0.8
OUTPUT_HZ = 500.0
END_DOUBT_MM = 0.2  # how well the ends of leads are known
SUREST = 0.999  # only what a human drew is certain
MAX_BRIDGE_S = 0.06  # longer unreadable stretches stay missing


def read_traces(
    page: Page,
    keypoints: Keypoints,
    grid: GridFit,
    *,
    runtime: Runtime,
    settings: TraceSettings,
    status: Status,
    uncorrected: GridFit | None = None,
    supposed: PaperScale | None = None,
    memo: ReadingMemo | None = None,
) -> DigitizedEcg:
    """Find the rows, name the leads and read every trace.

    A page on which nothing is found, or whose reading is doubted, is read again without its rulings (`clear_page`); the
    less doubted reading counts. `supposed` is the scale by which that is judged, if a human has set another one since.
    `uncorrected` is the automatic grid of which a human moved some nodes: leads that were not moved by that are as they
    are read on it. `memo` spares reading again what was read before. Raises StageError if there is no strip or no
    nameable lead on the page.
    """
    memo = memo if memo is not None else ReadingMemo()

    def recalled(lattice: GridFit, way: str, read: Callable[[], PageReading]) -> PageReading:
        return memo.recall(
            content_digest([str(page.id), keypoints, lattice.nodes, runtime.weights_hash, settings, way]), read
        )

    def without_rulings(cleared: Cleared) -> PageReading:
        part, (clear, its_grid) = PartStatus(status, AGAIN_FROM, 1.0), cleared.picture
        return read_page(
            clear, cleared.seen, its_grid, runtime=runtime, settings=settings, status=part, drawn_on=cleared.origin
        )

    def judged(reading: PageReading, lattice: GridFit) -> _Judged:
        by_scale = lattice if supposed is None else replace(lattice, scale=supposed)
        ecg = _traces_of(reading, by_scale, lines=page.lines)
        return _Judged(reading, ecg, _doubt(ecg, keypoints, by_scale))

    def reading_on(lattice: GridFit) -> _Judged:
        cleared = Cleared(page, keypoints, lattice, runtime=runtime)
        again = functools.partial(recalled, lattice, "clear", lambda: without_rulings(cleared))
        try:
            first = recalled(
                lattice, "as it is",
                lambda: read_page(
                    page, keypoints, lattice, runtime=runtime, settings=settings, status=status, cleared=cleared
                ),
            )  # fmt: skip
        except StageError as error:
            try:
                return judged(again(), lattice)
            except StageError:
                raise error from None
        before = judged(first, lattice)
        if before.doubt < DOUBTED:
            return before
        try:
            after = judged(again(), lattice)
        except StageError:
            return before
        return after if after.doubt < LESS_DOUBTED * before.doubt else before

    if uncorrected is not None:
        try:
            found = reading_on(uncorrected).reading
            again = read_moved_rows(page, found, uncorrected, grid, runtime=runtime, settings=settings, memo=memo)
        except StageError:  # perhaps a human moved the nodes because of that
            again = None
        if again is not None:
            return _traces_of(found, replace(uncorrected, scale=grid.scale), again=again, lines=page.lines)
    best = reading_on(grid)
    return best.ecg if supposed is None else _traces_of(best.reading, grid, lines=page.lines)


class _Judged(NamedTuple):
    """A reading of a page, its traces, and how likely it is a bad one."""

    reading: PageReading
    ecg: DigitizedEcg
    doubt: float


def _doubt(ecg: DigitizedEcg, keypoints: Keypoints, grid: GridFit) -> float:
    """Return how likely a reading is a bad one, by what the page's self-checks say of its traces."""
    if not ecg.traces:
        return 1.0
    record = assemble(ecg, grid, settings=AssembleSettings())
    return assess(keypoints, grid, ecg, record, settings=QualitySettings()).doubt


def read_page(
    page: Page,
    keypoints: Keypoints,
    grid: GridFit,
    *,
    runtime: Runtime,
    settings: TraceSettings,
    status: Status,
    cleared: Cleared | None = None,
    drawn_on: tuple[Page, GridFit] | None = None,
) -> PageReading:
    """Read all strips of a page and name their leads; what a millimetre means does not matter yet.

    Names that are missing are looked for on the page without its rulings (`cleared`). Of a page made from another one,
    `drawn_on`, leads are fitted to the other one's ink, and end at its edges. Raises StageError as read_traces does.
    """
    axis, edges = strip_maps(page, grid, runtime=runtime)
    labels = _labels(keypoints, grid)
    rows = reaching_names(strips_in(axis), labels, width_mm=grid.size_mm[0])
    status.checkpoint(0.3, "strips found")
    solve = functools.partial(
        solve_layout, edges=edges, cell_mm=LAYOUT_CELL_MM, origin_mm=(0.0, 0.0), wanted=settings.layout
    )
    read = functools.partial(read_strips, page, grid, runtime=runtime, flip=settings.flip)
    if cleared is not None and solve(rows, labels).lacks_names:
        seen = _labels(cleared.seen, cleared.picture[1])
        several = labels, names_joined(labels, seen), seen
        labels = max(several, key=lambda each: solve(rows, each).names_read)
        rows = reaching_names(strips_in(axis), labels, width_mm=grid.size_mm[0])
    thin = rows_at_names(rows, labels)
    if thin and (clear := clearly_followed(read(tuple(thin)), named=True)):
        rows = with_rows(rows, clear)
    # only what stands where names are printed is one: noise that was taken for a name must not repel the trace
    sketch = solve(rows, labels)
    beside = rows_beside_names(sketch, labels)
    if beside:
        rows = with_rows(rows, beside)
        sketch = solve(rows, labels)
    faint = hardly_seen(axis, rows, cell_mm=LAYOUT_CELL_MM, origin_mm=(0.0, 0.0))
    if faint and (clear := clearly_followed(read(tuple(faint), names=sketch.names))):
        rows = with_rows(rows, clear)
        sketch = solve(rows, labels)
    while sketch.lacks_leads and (beyond := rows_beyond(rows, height_mm=grid.size_mm[1])):
        clear = clearly_followed(read(tuple(beyond), names=sketch.names))
        if not clear:
            break
        rows = with_rows(rows, clear)
        sketch = solve(rows, labels)
    readings = read_to_the_ends(functools.partial(read, names=sketch.names), sketch.rows, width_mm=grid.size_mm[0])
    status.checkpoint(0.8, "traces read")
    layout = solve([reading.row for reading in readings], labels, seams=seams_of(readings))
    names = sketch.names
    if _reaches_beyond(layout, readings, grid):
        readings, names = printed_strips(read(layout.rows, names=layout.names)), layout.names
        layout = solve([reading.row for reading in readings], labels, seams=seams_of(readings))
    plain = [reading for reading in readings if not is_ruled(reading)]
    if plain and len(plain) < len(readings):
        without = solve([reading.row for reading in plain], labels, seams=seams_of(plain))
        if without.names_read >= layout.names_read:  # a line beside which no name stands is no lead that was off
            readings, layout = plain, without
    pulses = [(label.x_mm, label.y_mm) for label in _labels(keypoints, grid, wanted=("pulse",))]
    begins = begins_after_foot(readings, refine_slots(layout, readings), markers_mm=pulses)
    if begins is not None:
        readings = [beginning_at(reading, at_mm) for reading, at_mm in zip(readings, begins, strict=True)]
        layout = solve([reading.row for reading in readings], labels, seams=seams_of(readings))
    if settings.layout == AUTO_LAYOUT and layout.is_guessed and (usual := usual_layout(readings)):
        layout = solve([reading.row for reading in readings], labels, seams=seams_of(readings), wanted=usual)
    overlooked = second_look(page, grid, layout, runtime=runtime)
    if overlooked:
        layout = solve([reading.row for reading in readings], [*labels, *overlooked], seams=seams_of(readings))
    readings = read_beside_names(page, grid, readings, layout.names, before=names, runtime=runtime, flip=settings.flip)
    readings = read_together(readings)
    cut = cut_off(*(drawn_on or (page, grid)), readings)
    as_read = refine_slots(layout, readings, cut=cut)
    ordered = order_by_limb_leads(as_read, readings)
    together = columns_are_simultaneous([slot for slot in ordered if slot.lead], readings)
    slots = name_limb_leads(name_rhythm_strips(ordered, readings, together=together), readings)
    if not any(slot.lead for slot in slots):
        raise StageError("traces", "no lead name could be read and no known layout fits", "name the strips by hand")
    if drawn_on is not None:
        readings = [as_pictured(each, *drawn_on) for each in readings]
    readings = [replace(each, looked=None) for each in fitted_to_ink(off_pulse_tops(readings, slots), slots)]
    overruled = any(old.read and not new.read for old, new in zip(as_read, ordered, strict=True))
    doubts = *name_doubts(slots, contradicted=layout.contradicted or overruled), *stray_doubts(slots, readings)
    return PageReading(layout, tuple(readings), tuple(slots), doubts, names, cut)


def _traces_of(
    found: PageReading,
    grid: GridFit,
    *,
    again: Mapping[int, RowAgain] | None = None,
    lines: Sequence[F64] = (),
) -> DigitizedEcg:
    """Turn what was read on a grid into traces; leads that were read again follow their new grid, the others stay.

    Where a lead was read along one of the page's own `lines`, that is its trace.
    """
    mm_per_s = grid.scale.mm_per_s
    named = within_standard([slot for slot in found.slots if slot.lead], mm_per_s=mm_per_s, cut=found.cut)
    on_paper = lines_on_paper(lines, grid)
    along = [lines_along(on_paper, slot, found.readings[slot.row]) for slot in named]
    named = ending_with_lines(named, along)
    origin_mm = min(slot.start_mm for slot in named)
    odds = simultaneity(named, list(found.readings), mm_per_s=mm_per_s)
    together, doubts = odds > 0, found.doubts if abs(odds) >= CLEAR else (*found.doubts, _seconds_doubt(odds))
    drawn = [(slot, found.readings[slot.row], grid) for slot in named]
    now = [again[i].reading if again and i in again else each for i, each in enumerate(found.readings)]
    if again:
        moved = {number: row for row in again.values() for number in row.slots}
        fresh = refine_slots(found.layout, now, cut=found.cut)
        for number, row in moved.items():
            slot = replace(named[number], start_mm=fresh[number].start_mm, end_mm=fresh[number].end_mm)
            drawn[number] = slot, row.reading, row.grid
        first = {i for i, slot in enumerate(named) if slot.start_mm < origin_mm + COMMON_END_MM}
        if first <= moved.keys():  # nothing holds the beginning of time where it was
            trimmed = within_standard([slot for slot, _, _ in drawn], mm_per_s=mm_per_s, cut=found.cut)
            drawn = [(slot, reading, lattice) for slot, (_, reading, lattice) in zip(trimmed, drawn, strict=True)]
            origin_mm = min(slot.start_mm for slot in trimmed)
    automatic_mm = min(slot.start_mm for slot in named)
    skew = _skew(named, found.readings, grid, [_begin_mm(slot, automatic_mm, together=together) for slot in named])
    middle_mm = float(np.mean([reading.centre_mm for reading in found.readings]))
    if again:
        along = [
            lines_along(lines_on_paper(lines, lattice), slot, reading) if i in moved else along[i]
            for i, (slot, reading, lattice) in enumerate(drawn)
        ]
    spikes = pacing_spikes(found.readings, named, skew=skew)
    spikes_now = pacing_spikes(now, [slot for slot, _, _ in drawn], skew=skew) if again else spikes
    traces = []
    for (slot, reading, lattice), own in zip(drawn, along, strict=True):
        right_mm = skew * (reading.centre_mm - middle_mm)
        moved_slot = replace(slot, start_mm=slot.start_mm + right_mm, end_mm=slot.end_mm + right_mm)
        start_mm = _begin_mm(slot, origin_mm, together=together) + right_mm
        tips = (spikes if reading is found.readings[slot.row] else spikes_now)[slot.row]
        traces.append(lead_trace(moved_slot, reading, lattice, start_mm, lines_mm=own, spikes_mm=tips))
    read = tuple(t for t in traces if t is not None and np.isfinite(t.mv).any())
    gains = gains_by_pulse(named, found.readings, grid.scale)
    if gains is not None:
        used = grid.scale.mm_per_mV
        read = tuple(replace(t, mv=t.mv * np.float32(used / gain_of(t.lead, gains))) for t in read)
        doubts = *doubts, gains_doubt(gains)
    share, outside = lost_share(named, found.readings, found.cut, mm_per_s=mm_per_s)
    if outside:
        doubts = *doubts, f"partly outside the picture: {', '.join(outside)}"
    nameless = sum(not slot.lead for slot in found.slots)
    return DigitizedEcg(read, found.layout.name, doubts, nameless=nameless, cut_share=share)


def _begin_mm(slot: Slot, origin_mm: float, *, together: bool) -> float:
    """Return where the time of a lead begins: where its column does if all columns show the same seconds."""
    return slot.start_mm if together and slot.columns > 1 else origin_mm + slot.blank_mm


def _skew(slots: Sequence[Slot], readings: Sequence[StripReading], grid: GridFit, begins_mm: Sequence[float]) -> float:
    """Measure the skew of the print: by leads in a column and in a row of their own, else by beats and beginnings."""
    columns: dict[tuple[int, int], list[tuple[LeadTrace, float]]] = {}
    prints: dict[str, list[tuple[LeadTrace, float]]] = {}
    for slot, begin_mm in zip(slots, begins_mm, strict=True):
        trace = lead_trace(slot, readings[slot.row], grid, begin_mm)
        if trace is not None:
            at = trace, readings[slot.row].centre_mm
            columns.setdefault((slot.columns, slot.column), []).append(at)
            prints.setdefault(slot.lead, []).append(at)
    mm_per_s = grid.scale.mm_per_s
    twice = [sorted(found, key=lambda at: at[0].duration_s) for found in prints.values() if len(found) > 1]
    if twice:
        return print_skew([(a, b, b_mm - a_mm) for (a, a_mm), *_, (b, b_mm) in twice], mm_per_s=mm_per_s)
    starts = [(reading.centre_mm, row_ends(reading)[0]) for reading in readings]
    return supposed_skew(list(columns.values()), starts, mm_per_s=mm_per_s)


def _seconds_doubt(odds: float) -> str:
    read_as = "the same seconds side by side" if odds > 0 else "one after the other"
    return f"columns read as {read_as}, but the beats do not show it clearly: check when the leads begin"


def seams_of(readings: Sequence[StripReading]) -> Seams:
    """Return where the strips look as if two leads met."""
    length = min(len(reading.boundary) for reading in readings)
    evidence = np.stack([reading.boundary[:length] for reading in readings])
    return Seams(readings[0].x0_mm, 0.5 / STRIP_PX_PER_MM, evidence)


def find_strips(page: Page, grid: GridFit, *, runtime: Runtime) -> list[Row]:
    """Find the rows on the rectified page; raises StageError if there is none."""
    return strips_in(strip_maps(page, grid, runtime=runtime)[0])


def strip_maps(page: Page, grid: GridFit, *, runtime: Runtime) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the maps of strip axes and of lead edges on the rectified page."""
    width_mm, height_mm = grid.size_mm
    shape = tuple(int(-(-v * LAYOUT_PX_PER_MM // 32) * 32) for v in (height_mm, width_mm))
    image = rectified(page.pixels, grid, px_per_mm=LAYOUT_PX_PER_MM, origin_mm=(0.0, 0.0), shape=(shape[0], shape[1]))
    maps = runtime.grid(image)
    axis = np.where(on_picture(page, grid, maps.axis.shape, cell_mm=LAYOUT_CELL_MM), maps.axis, 0.0).astype(np.float32)
    return axis, maps.edge


def strips_in(axis: NDArray[np.float32]) -> list[Row]:
    """Find the rows in a map of strip axes; raises StageError if there is none."""
    rows = find_rows(axis, cell_mm=LAYOUT_CELL_MM, origin_mm=(0.0, 0.0))
    if not rows:
        hint = "check the grid, or mark the lead names by hand"
        raise StageError("traces", "no ECG strip was found on the page", hint)
    return rows


def _labels(keypoints: Keypoints, grid: GridFit, *, wanted: Collection[str] = LEADS) -> list[Label]:
    """Return the lead names at their paper positions, or whatever else is wanted of what was seen."""
    chosen = [i for i, name in enumerate(keypoints.names) if name in wanted]
    mm = grid.to_mm(keypoints.xy[chosen]) if chosen else np.zeros((0, 2))
    return [
        Label(keypoints.names[i], float(p[0]), float(p[1]), float(keypoints.confidence[i]))
        for i, p in zip(chosen, mm, strict=True)
        if np.isfinite(p).all()
    ]


def stray_doubts(slots: Sequence[Slot], readings: Sequence[StripReading]) -> tuple[str, ...]:
    """Say which leads were followed over blank paper to where none of their beats go: that line is another one."""
    astray = []
    for slot in slots:
        reading = readings[slot.row]
        first, last, *leaps = (
            round(2 * float(reading.x_px(x_mm))) for x_mm in (slot.start_mm, slot.end_mm, *reading.leaps_mm)
        )
        if slot.lead and any(strays(reading.height_half, leap, first=max(first, 0), last=last) for leap in leaps):
            astray.append(slot.lead)
    return (f"read beside the trace, on another line: {', '.join(astray)}",) if astray else ()


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
    found: list[tuple[Slot, Label]] = []
    for slot, answer, around in zip(unread, answers, spots.reshape(len(unread), -1, 2), strict=True):
        best = np.sort(answer, axis=0)[-2:].mean(axis=0)  # two crops must agree
        for k in np.argsort(-best)[:2]:
            lead = LEADS[int(k)]
            if best[k] >= LOOK_CONFIDENCE and ((lead, slot.columns) not in taken or slot.columns == 1):
                at = around[int(np.argmax(answer[:, k]))]
                found.append((slot, Label(lead, float(at[0]), float(at[1]), float(best[k]))))
                break
    return believed(found, layout)


def believed(found: Sequence[tuple[Slot, Label]], layout: PageLayout) -> list[Label]:
    """Leave out a name read late and half-heartedly that alone contradicts an order which most names prove."""
    against = [label for slot, label in found if slot.lead not in ("", label.lead)]
    proven = 2 * layout.names_read > len(layout.slots)
    if proven and len(against) == 1 and against[0].confidence < LOOK_AGAINST:
        return [label for _, label in found if label is not against[0]]
    return [label for _, label in found]


def _reaches_beyond(layout: PageLayout, readings: list[StripReading], grid: GridFit) -> bool:
    """Tell whether the leads go on where nothing was read, because stage 1 lost sight of their rows."""
    end_mm = readings[0].x0_mm + len(readings[0].height_px) / STRIP_PX_PER_MM
    wanted_mm = min(max(row.end_mm for row in layout.rows), grid.size_mm[0])
    return wanted_mm > end_mm + STRIP_MARGIN_MM / 2


def lead_trace(
    slot: Slot,
    reading: StripReading,
    grid: GridFit,
    origin_mm: float,
    *,
    lines_mm: Sequence[F64] = (),
    spikes_mm: Iterable[F64] = (),
) -> LeadTrace | None:
    """Sample one lead evenly in time and express it in mV and in page pixels.

    A lead reaches as far as its ends may lie, at the value that was last seen. Lines that are its trace (paper mm)
    replace what was read; tips of pacing spikes (paper mm) are added to it.
    """
    scale = grid.scale
    start_mm, end_mm = max(slot.start_mm - END_DOUBT_MM, origin_mm), slot.end_mm + END_DOUBT_MM
    t0_s = (start_mm - origin_mm) / scale.mm_per_s
    count = int(np.floor((end_mm - start_mm) / scale.mm_per_s * OUTPUT_HZ + 0.5))
    if count < 25:
        return None
    t0_s = round(t0_s * OUTPUT_HZ) / OUTPUT_HZ
    x_mm = origin_mm + (t0_s + np.arange(count) / OUTPUT_HZ) * scale.mm_per_s
    fine_px, confidence = lead_heights(reading, slot, mm_per_s=scale.mm_per_s)
    columns, max_gap_px = half_columns_px(len(fine_px)), MAX_BRIDGE_S * scale.mm_per_s * STRIP_PX_PER_MM
    height, sure = resample_heights(columns, fine_px, confidence, reading.x_px(x_mm), max_gap_px=max_gap_px)
    y_mm = reading.centre_mm + (height - reading.half_px + 0.5) / STRIP_PX_PER_MM
    y_mm = with_spikes(x_mm, y_mm, spikes_mm, mm_per_s=scale.mm_per_s)
    for line in lines_mm:
        under = (x_mm >= line[0, 0] - END_DOUBT_MM) & (x_mm <= line[-1, 0] + END_DOUBT_MM)
        y_mm[under], sure[under] = np.interp(x_mm[under], line[:, 0], line[:, 1]), SUREST
    mv = (reading.centre_mm - y_mm) / scale.mm_per_mV
    mm = np.stack([x_mm, np.where(np.isfinite(y_mm), y_mm, reading.centre_mm)], axis=1)
    return LeadTrace(
        lead=slot.lead, t0_s=float(t0_s), fs=OUTPUT_HZ, mv=mv.astype(np.float32), xy=grid.to_page(mm),
        confidence=(np.clip(sure, 0, SUREST) * min(1.0, 0.5 + slot.confidence / 2)).astype(np.float32),
    )  # fmt: skip
