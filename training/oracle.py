"""The truth of a rendered page in the stages' own terms, and what a page scores when it replaces their answers.

The stages' answers are replaced one after the other, from the first to the last: each step's gain names the part
of the pipeline that had lost it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEAD_INDEX
from ecgstudio.core.page import Page
from ecgstudio.stages import stage0_keypoints, stage1_grid, stage2_trace
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.contract import NULL_STATUS, Failed, Outcome, Runtime, StageError
from ecgstudio.stages.cut_off import cut_off as cut_off_of
from ecgstudio.stages.decode import trace_path
from ecgstudio.stages.lead_places import refine_slots, within_standard
from ecgstudio.stages.pipeline import Analysis
from ecgstudio.stages.printed import Label, PageLayout, Row, Slot
from ecgstudio.stages.same_seconds import columns_are_simultaneous
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.strip_reading import (
    NEAR_EDGE_MM,
    STRIP_HALVES_MM,
    STRIP_MARGIN_MM,
    StripReading,
    read_strips,
)
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from training.configs import TraceTraining
from training.metrics import score_record
from training.sampling import MappedPage
from training.synth.truth import LabelTruth, LeadTruth

FOUND: Final = "found"
CEILING: Final = "sheet"
RUNGS: Final = (FOUND, "orientation", "keypoints", "scale", "grid", "layout", "time", "trace", "decode", CEILING)
"""What is true at each step, with all before it: nothing; the sheet's pose where it was held the wrong way up; names
and their places; speed and gain; lattice; rows, their leads and each lead's own gain; where each lead starts and ends,
and at what time it begins; what the trace network says of the ink in the picture; the heights themselves; those of the
whole sheet, so that only sampling is left."""
ROUND_TRIP: Final = "round_trip"
"""Beside the rungs: the whole sheet decoded from what the trace network ought to say."""

LEAST_POINTS: Final = 8  # of a raster over the sheet, to say how it lies

Bools = NDArray[np.bool_]
T = TypeVar("T")


# --- the stages' answers, from the truth --------------------------------------------------------------------


def true_keypoints(page: MappedPage) -> Keypoints:
    """Return what stage 0 ought to answer: the names that are in the picture, and how the sheet lies."""
    labels = visible_labels(page)
    xy = label_xy(page, labels)
    mirrored = page.truth.orientation >= 4
    jacobian = _mean_jacobian(page)
    turn = jacobian @ np.diag([1.0, -1.0]) if mirrored else jacobian
    return Keypoints(
        names=tuple(label.name for label in labels),
        xy=xy,
        confidence=np.ones(len(labels)),
        orientation=page.truth.orientation,
        orientation_confidence=1.0,
        px_per_mm=float(np.sqrt(abs(np.linalg.det(jacobian)))),
        angle_rad=float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])),
        mirrored=mirrored,
    )


def visible_labels(page: MappedPage) -> list[LabelTruth]:
    """Return the printed names and markers whose middle lies in the picture."""
    labels = page.truth.sheet.labels
    seen = in_picture(page, label_xy(page, labels))
    return [label for label, inside in zip(labels, seen, strict=True) if inside]


def label_xy(page: MappedPage, labels: list[LabelTruth] | tuple[LabelTruth, ...]) -> F64:
    """Return the labels' middles [N, 2] in page pixels."""
    return page.to_page(np.array([label.centre_mm for label in labels], np.float64).reshape(-1, 2))


def in_picture(page: MappedPage, xy: F64) -> Bools:
    """Tell which page pixels [N, 2] are in the picture; a photo need not show the whole sheet."""
    height, width = page.pixels.shape[:2]
    return np.asarray((xy > -0.5).all(axis=1) & (xy[:, 0] < width - 0.5) & (xy[:, 1] < height - 0.5))


def _mean_jacobian(page: MappedPage) -> F64:
    """Return page pixels per millimetre [2, 2] of the sheet as a whole, as far as it is in the picture.

    The map's slope at one point would be that of a crease.
    """
    size = np.array(page.truth.sheet.size_mm)
    raster = np.stack(np.meshgrid(*(np.linspace(0, side, 25) for side in size)), axis=-1).reshape(-1, 2)
    xy = page.to_page(raster)
    seen = in_picture(page, xy)
    if seen.sum() < LEAST_POINTS:
        return np.asarray(page.jacobian(size / 2))
    mm, px = (each[seen] - each[seen].mean(axis=0) for each in (raster, xy))
    return np.asarray(np.linalg.lstsq(mm, px, rcond=None)[0].T)


def true_scale(page: MappedPage) -> PaperScale:
    """Return the printed speed and gain; of several gains that of most leads."""
    sheet = page.truth.sheet
    gain = Counter(lead.mm_per_mV for lead in sheet.leads).most_common(1)[0][0]
    return PaperScale(sheet.mm_per_s, gain, "truth")


def grid_start_mm(page: MappedPage) -> F64:
    """Return the sheet position of the true grid's first node: a crossing of 5-mm lines beside the sheet's corner."""
    return np.asarray(np.mod(page.truth.sheet.grid_origin_mm, GRID_PITCH_MM) - GRID_PITCH_MM)


def true_grid(page: MappedPage) -> GridFit:
    """Return what stage 1 ought to answer: the lattice of the whole sheet, its nodes on the 5-mm lines."""
    start = grid_start_mm(page)
    columns, rows = (int(n) for n in np.ceil((np.array(page.truth.sheet.size_mm) - start) / GRID_PITCH_MM) + 1)
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM, np.arange(rows) * GRID_PITCH_MM)
    nodes = page.to_page(np.stack([x.ravel(), y.ravel()], axis=1) + start)
    return GridFit(nodes.reshape(rows, columns, 2), true_scale(page), 1.0)


def true_layout(page: MappedPage) -> PageLayout:
    """Return the rows, and each lead's place in them, in the millimetres of `true_grid`."""
    left, top = (float(v) for v in grid_start_mm(page))
    rows, slots = [], []
    for index, leads in enumerate(_rows(page)):
        rows.append(
            Row(
                y_mm=float(np.median([lead.axis_mm for lead in leads])) - top,
                start_mm=leads[0].start_mm - left,
                end_mm=leads[-1].end_mm - left,
                strength=1.0,
            )
        )
        slots += [
            Slot(lead.lead, index, column, len(leads), lead.start_mm - left, lead.end_mm - left, 1.0, True)
            for column, lead in enumerate(leads)
        ]
    return PageLayout(page.truth.sheet.layout, tuple(rows), tuple(slots))


def _rows(page: MappedPage) -> Iterator[list[LeadTruth]]:
    """Yield the leads of each row from left to right, from the first row to the last."""
    leads = sorted(page.truth.sheet.leads, key=lambda lead: (lead.row, lead.start_mm))
    for row in sorted({lead.row for lead in leads}):
        yield [lead for lead in leads if lead.row == row]


# --- replacing one answer after the other -------------------------------------------------------------------


def error_budget(
    page: Page, mapped: MappedPage, *, found: Analysis, runtime: Runtime, settings: PipelineSettings
) -> dict[str, float]:
    """Return the page's SNR in dB at every rung of RUNGS, and of the ROUND_TRIP; `found` is what the pipeline found.

    A rung at which a stage gives up scores as a missing record does. What the stages found right is not read again.
    """
    sheet = mapped.truth.sheet

    def snr_db(record: EcgRecord | None) -> float:
        reading_mv, fs = (None, 0.0) if record is None else (record.mv, record.fs)
        return score_record(sheet.record_mv, sheet.record_fs, reading_mv=reading_mv, reading_fs=fs).snr_db

    def fit(keypoints: Keypoints) -> GridFit:
        return stage1_grid.fit_grid(page, keypoints, runtime=runtime, settings=settings.grid, status=NULL_STATUS)

    def read(keypoints: Keypoints, grid: GridFit) -> EcgRecord:
        ecg = stage2_trace.read_traces(
            page, keypoints, grid, runtime=runtime, settings=settings.traces, status=NULL_STATUS
        )
        return assemble(ecg, grid, settings=settings.assemble)

    truth, scale, grid, layout = true_keypoints(mapped), true_scale(mapped), true_grid(mapped), true_layout(mapped)
    rungs = {FOUND: snr_db(record_of(found))}
    upright = known(found.keypoints)
    if upright is not None and upright.orientation == truth.orientation:
        rungs["orientation"] = rungs[FOUND]
    else:
        posed = stage0_keypoints.keypoints_in_pose(page, _pose(truth), runtime=runtime)
        rungs["orientation"] = snr_db(_attempt(lambda: read(posed, fit(posed))))
        upright = posed
    # the coarse scale and tilt stay as found: what stage 1 makes of them is the grid's matter
    keypoints = replace(upright, names=truth.names, xy=truth.xy, confidence=truth.confidence)
    fitted = _attempt(lambda: fit(keypoints))
    rungs["keypoints"] = snr_db(_attempt(lambda: read(keypoints, fitted)) if fitted is not None else None)
    if fitted is None or (fitted.scale.mm_per_s, fitted.scale.mm_per_mV) == (scale.mm_per_s, scale.mm_per_mV):
        rungs["scale"] = rungs["keypoints"]
    else:
        scaled = replace(fitted, scale=scale)
        rungs["scale"] = snr_db(_attempt(lambda: read(keypoints, scaled)))
    rungs["grid"] = snr_db(_attempt(lambda: read(keypoints, grid)))

    names = _lead_names(keypoints, grid)
    readings = read_strips(page, grid, layout.rows, runtime=runtime, flip=settings.traces.flip, names=names)
    cut_off = cut_off_of(page, grid, readings)
    slots = refine_slots(layout, readings, cut=cut_off)
    slots = within_standard(slots, mm_per_s=scale.mm_per_s, cut=cut_off)
    origins_mm = _true_origins_mm(mapped)

    def cut(slots: Sequence[Slot], readings: list[StripReading], origins_mm: list[float]) -> float:
        return snr_db(_record(mapped, slots, readings, grid, origins_mm=origins_mm, settings=settings))

    rungs["layout"] = cut(slots, readings, _believed_origins_mm(slots, readings, mm_per_s=scale.mm_per_s))
    rungs["time"] = cut(layout.slots, readings, origins_mm)
    for rung, whole_sheet, decoded in (
        ("trace", False, True), ("decode", False, False), (CEILING, True, False), (ROUND_TRIP, True, True),
    ):  # fmt: skip
        ideal = ideal_readings(mapped, grid, whole_sheet=whole_sheet, decoded=decoded)
        rungs[rung] = cut(layout.slots, ideal, origins_mm)
    return rungs


def record_of(analysis: Analysis) -> EcgRecord | None:
    """Return the record of an analysis; None if there is none, or the page was given up."""
    quality = known(analysis.quality)
    return None if quality is None or quality.status == "failed" else known(analysis.record)


def known(outcome: Outcome[T] | None) -> T | None:
    """Return a stage's answer; None if it has none."""
    return None if outcome is None or isinstance(outcome.value, Failed) else outcome.value


def _pose(keypoints: Keypoints) -> stage0_keypoints.Pose:
    return stage0_keypoints.Pose(
        keypoints.orientation, 1.0, keypoints.px_per_mm, keypoints.angle_rad, mirrored=keypoints.mirrored
    )


def _lead_names(keypoints: Keypoints, grid: GridFit) -> list[Label]:
    found = zip(keypoints.names, grid.to_mm(keypoints.xy), strict=True)
    return [Label(name, float(x_mm), float(y_mm), 1.0) for name, (x_mm, y_mm) in found if name in LEAD_INDEX]


def _true_origins_mm(page: MappedPage) -> list[float]:
    """Return where the time of each slot of `true_layout` begins: columns may show the same seconds."""
    left_mm = float(grid_start_mm(page)[0])
    mm_per_s = page.truth.sheet.mm_per_s
    return [lead.start_mm - left_mm - lead.t0_s * mm_per_s for row in _rows(page) for lead in row]


def _believed_origins_mm(slots: list[Slot], readings: list[StripReading], *, mm_per_s: float) -> list[float]:
    """Return where the time of each slot begins, as stage 2 decides it: with the page, or with its own column."""
    first_mm = min(slot.start_mm for slot in slots)
    together = columns_are_simultaneous(slots, readings, mm_per_s=mm_per_s)
    return [slot.start_mm if together and slot.columns > 1 else first_mm for slot in slots]


def _attempt(stage: Callable[[], T]) -> T | None:
    try:
        return stage()
    except StageError:
        return None


def _record(
    page: MappedPage,
    slots: Sequence[Slot],
    readings: list[StripReading],
    grid: GridFit,
    *,
    origins_mm: list[float],
    settings: PipelineSettings,
) -> EcgRecord | None:
    """Cut the leads out of the rows as stage 2 does, each with the gain that it was printed with."""
    traces = []
    leads = (lead for row in _rows(page) for lead in row)
    for slot, origin_mm, lead in zip(slots, origins_mm, leads, strict=True):
        trace = stage2_trace.lead_trace(slot, readings[slot.row], grid, origin_mm)
        if trace is not None:
            traces.append(_with_gain(trace, grid.scale.mm_per_mV / lead.mm_per_mV))
    return _attempt(lambda: assemble(DigitizedEcg(tuple(traces), "truth"), grid, settings=settings.assemble))


def _with_gain(trace: LeadTrace, factor: float) -> LeadTrace:
    return trace if factor == 1 else replace(trace, mv=trace.mv * np.float32(factor))


# --- the decoder alone --------------------------------------------------------------------------------------


def ideal_readings(page: MappedPage, grid: GridFit, *, whole_sheet: bool, decoded: bool = True) -> list[StripReading]:
    """Decode every row from the answer that the trace network is trained to give: what decoding alone costs.

    Not `decoded`, the heights are those of the ink itself. The ink goes from the sheet to the picture and back through
    `grid`; outside the picture there is none unless `whole_sheet` asks for it.
    """
    layout = true_layout(page)
    x0_mm = min(row.start_mm for row in layout.rows) - STRIP_MARGIN_MM
    end_mm = max(row.end_mm for row in layout.rows) + STRIP_MARGIN_MM
    width_px = int(-(-(end_mm - x0_mm) * STRIP_PX_PER_MM // 32) * 32)
    readings = []
    for row, leads in zip(layout.rows, _rows(page), strict=True):
        half_px = _half_px(row, leads, top_mm=float(grid_start_mm(page)[1]))
        height, slope = np.full(2 * width_px, np.nan), np.zeros(2 * width_px)
        for lead in leads:
            on_page = page.to_page(lead.line_mm)
            mm = grid.to_mm(on_page)
            seen = np.isfinite(mm).all(axis=1) & (whole_sheet | in_picture(page, on_page))
            x_px = (mm[:, 0] - x0_mm) * STRIP_PX_PER_MM - 0.5
            y_px = (mm[:, 1] - row.y_mm) * STRIP_PX_PER_MM + half_px - 0.5
            _draw_height(height, slope, x_px, np.where(seen, y_px, np.nan))
        printed = np.isfinite(height).astype(np.float64)
        path, mass = height[None], printed[None]
        if decoded:
            path, mass = trace_path(_trained_answer(height, slope, rows=2 * half_px)[None])
        readings.append(
            StripReading(
                row=row,
                x0_mm=x0_mm,
                centre_mm=row.y_mm,
                half_px=half_px,
                height_half=path[0],
                mass_half=mass[0],
                presence_half=printed,
                boundary=np.zeros(2 * width_px),
            )
        )
    return readings


def _half_px(row: Row, leads: list[LeadTruth], *, top_mm: float) -> int:
    """Return half the height of the strip that stage 2 ends up with for this ink."""
    reach_mm = max(float(np.abs(lead.line_mm[:, 1] - top_mm - row.y_mm).max()) for lead in leads)
    half_mm = next((half for half in STRIP_HALVES_MM if reach_mm < half - NEAR_EDGE_MM), STRIP_HALVES_MM[-1])
    return round(half_mm * STRIP_PX_PER_MM / 16) * 16


def _draw_height(height: F64, slope: F64, x_px: F64, y_px: F64) -> None:
    """Write where a line crosses each half-column, and how steeply, into a strip's arrays."""
    x_px = np.maximum.accumulate(x_px + np.arange(len(x_px)) * 1e-7)
    columns = (np.arange(len(height)) + 0.5) / 2 - 0.5
    inside = (columns >= x_px[0]) & (columns <= x_px[-1])
    dense = np.arange(np.floor(x_px[0] * 8), np.ceil(x_px[-1] * 8) + 1) / 8
    steep = np.abs(np.gradient(np.interp(dense, x_px, y_px), 1 / 8))
    height[inside] = np.interp(columns[inside], x_px, y_px)
    slope[inside] = np.nan_to_num(np.interp(columns[inside], dense, steep))


def _trained_answer(height: F64, slope: F64, *, rows: int) -> NDArray[np.float32]:
    """Return the log-probabilities [rows, columns] that the loss of stage 2 asks for: a Gaussian around the height."""
    wanted = TraceTraining()
    sigma = np.sqrt(wanted.sigma_px**2 + (wanted.sigma_per_slope * slope) ** 2).clip(max=wanted.sigma_max_px)
    away = (np.arange(rows)[:, None] - height) / sigma
    energy = np.where(np.isfinite(height) & (height >= 0) & (height <= rows - 1), -0.5 * away**2, 0.0)
    energy -= energy.max(axis=0)
    return (energy - np.log(np.exp(energy).sum(axis=0))).astype(np.float32)
