"""Where each trace stands on the signal view's paper: as on the page, or twelve leads in a stack. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.leads import LEADS, einthoven_residual, goldberger_residual
from ecgstudio.core.rebuilt import RebuiltTrace, Reconstruction

MIN_ROW_MM, MAX_ROW_MM, ROW_AIR_MM = 17.0, 45.0, 5.0
CHECK_ROW_MM = 11.0
SAME_ROW_S = 0.45  # as a length on the paper: rows of a page are further apart, 11 mm at 25 mm/s
OVERLAP_S = 0.3  # a trace that begins this little before its neighbour's end still stands at its own time
GAP_S = 0.2  # between columns that show the same seconds
EINTHOVEN, GOLDBERGER = "II − (I + III)", "aVR + aVL + aVF"


class Arrangement(StrEnum):
    """How the traces are arranged."""

    PAGE = "page"
    STACKED = "stacked"


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A trace in its place: its first sample stands `at_s` behind the left end of the paper's time axis, in `row`.

    `rebuilt` is what the reconstruction would have, sample by sample.
    """

    trace: LeadTrace
    row: int
    at_s: float
    rebuilt: RebuiltTrace | None = None

    @property
    def end_s(self) -> float:
        """Where it ends on the paper's time axis."""
        return self.at_s + self.trace.duration_s

    def holds(self, t_s: float) -> bool:
        """Say whether the trace was printed at a moment."""
        return self.trace.holds(t_s)


@dataclass(frozen=True, slots=True, eq=False)
class CheckLine:
    """What should be zero: a sum of leads [n] in mV, drawn from `at_s` on in a row of its own."""

    name: str
    mv: F64
    fs: float
    at_s: float
    row: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row's place on the paper in mm: its top, its zero line, its bottom; `label` where it holds no trace."""

    top_mm: float
    zero_mm: float
    bottom_mm: float
    label: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class StripLayout:
    """All strips, the rows they stand in, and how long the paper's time axis is."""

    strips: tuple[Strip, ...]
    rows: tuple[Row, ...]
    checks: tuple[CheckLine, ...]
    duration_s: float

    @property
    def height_mm(self) -> float:
        """From the top of the first row to the bottom of the last."""
        return self.rows[-1].bottom_mm if self.rows else 0.0

    def of(self, lead: str) -> tuple[Strip, ...]:
        """Return the strips of a lead."""
        return tuple(strip for strip in self.strips if strip.trace.lead == lead)


@lru_cache(maxsize=4)  # the same is asked for again whenever the view gets wider or narrower
def lay_out(
    ecg: DigitizedEcg | None, record: EcgRecord | None, *, arrangement: Arrangement, mm_per_mV: float, checks: bool
) -> StripLayout:
    """Arrange the traces of a page, or of a record where there is no page."""
    traces = ecg.traces if ecg is not None else _traces_of(record)
    traces = tuple(trace for trace in traces if len(trace.mv))
    if arrangement is Arrangement.STACKED:
        strips, labels = _stacked(traces)
    else:
        strips, labels = _like_the_page(traces)
    heights = [_height_mm([s.trace for s in strips if s.row == row], mm_per_mV) for row in range(len(labels))]
    lines = _check_lines(record, strips, first_row=len(labels)) if checks and record is not None else ()
    for _ in sorted({line.row for line in lines}):
        heights.append((CHECK_ROW_MM / 2, CHECK_ROW_MM / 2))
        labels = [*labels, ""]
    rows: list[Row] = []
    top = 0.0
    for (above, below), label in zip(heights, labels, strict=True):
        rows.append(Row(top, top + above, top + above + below, label))
        top += above + below
    ends = [strip.end_s for strip in strips] + [line.at_s + len(line.mv) / line.fs for line in lines]
    return StripLayout(tuple(strips), tuple(rows), tuple(lines), max([10.0, *ends]))


def with_rebuilt(layout: StripLayout, ecg: DigitizedEcg | None, reconstruction: Reconstruction | None) -> StripLayout:
    """Put the traces of a reconstruction beside those that they were made of."""
    if ecg is None or reconstruction is None:
        return layout
    of = {id(trace): rebuilt for trace, rebuilt in zip(ecg.traces, reconstruction.traces, strict=True)}
    return replace(layout, strips=tuple(replace(strip, rebuilt=of.get(id(strip.trace))) for strip in layout.strips))


def page_rows(traces: Sequence[LeadTrace]) -> list[list[LeadTrace]]:
    """Group traces into the rows in which they lie on the page, top to bottom, each from left to right.

    The page may be turned, mirrored or bent: along and across come from the traces themselves, up from where voltages
    grow. Traces without a place come last, each in a row of its own.
    """
    placed = [(trace, np.isfinite(trace.xy).all(axis=1) & np.isfinite(trace.mv)) for trace in traces]
    lost = [[trace] for trace, known in placed if known.sum() < 2]
    placed = [(trace, known) for trace, known in placed if known.sum() >= 2]
    if not placed:
        return lost
    spans = np.array([trace.xy[known][-1] - trace.xy[known][0] for trace, known in placed])
    seconds = np.array([(np.flatnonzero(known)[-1] - np.flatnonzero(known)[0]) / trace.fs for trace, known in placed])
    along = spans.sum(axis=0) / max(float(np.hypot(*spans.sum(axis=0))), 1e-9)
    px_per_s = float(np.median(np.hypot(*spans.T) / np.maximum(seconds, 1e-3)))
    across = np.array([-along[1], along[0]])
    rise = sum(float(np.cov(trace.mv[known], trace.xy[known] @ across)[0, 1]) for trace, known in placed)
    if rise > 0:
        across = -across  # voltage grows upwards
    px_per_mv = _px_per_mv(placed, across)
    level = [float(np.median(t.xy[known] @ across + px_per_mv * t.mv[known])) for t, known in placed]
    reach = [(float((t.xy[known] @ along).min()), float((t.xy[known] @ along).max())) for t, known in placed]
    rows: list[list[int]] = []
    for index in np.argsort(level):
        here = int(index)
        if (
            rows
            and level[here] - np.mean([level[i] for i in rows[-1]]) < SAME_ROW_S * px_per_s
            and not any(
                min(reach[here][1], reach[i][1]) - max(reach[here][0], reach[i][0]) > OVERLAP_S * px_per_s
                for i in rows[-1]
            )
        ):
            rows[-1].append(here)
        else:
            rows.append([here])
    return [[placed[i][0] for i in sorted(row, key=lambda i: reach[i][0])] for row in rows] + lost


def _px_per_mv(placed: list[tuple[LeadTrace, np.ndarray[tuple[int], np.dtype[np.bool_]]]], across: F64) -> float:
    slopes = []
    for trace, known in placed:
        variance = float(np.var(trace.mv[known]))
        if variance > 1e-6:
            slopes.append(-float(np.cov(trace.mv[known], trace.xy[known] @ across, bias=True)[0, 1]) / variance)
    return float(np.median(slopes)) if slopes else 0.0


def _traces_of(record: EcgRecord | None) -> tuple[LeadTrace, ...]:
    """Cut a record into one trace per lead, from its first to its last known sample."""
    traces = []
    for lead, mv in zip(record.leads, record.mv, strict=True) if record is not None else ():
        known = np.flatnonzero(np.isfinite(mv))
        if record is not None and len(known):
            part = mv[known[0] : known[-1] + 1]
            nowhere = np.full((len(part), 2), np.nan)
            sure = np.isfinite(part).astype(np.float32)
            traces.append(LeadTrace(lead, known[0] / record.fs, record.fs, part, nowhere, sure))
    return tuple(traces)


def _stacked(traces: Sequence[LeadTrace]) -> tuple[list[Strip], list[str]]:
    """Give every lead a row, printed or not; where it was printed more than once, the print with most read counts."""
    strips = []
    labels = list(LEADS)
    for row, lead in enumerate(LEADS):
        prints = [trace for trace in traces if trace.lead == lead]
        if prints:
            longest = max(prints, key=lambda trace: int(np.isfinite(trace.mv).sum()))
            strips.append(Strip(longest, row, longest.t0_s))
            labels[row] = ""
    return strips, labels


def _like_the_page(traces: Sequence[LeadTrace]) -> tuple[list[Strip], list[str]]:
    """Keep the page's rows; columns that show the same seconds stand side by side all the same."""
    strips = []
    rows = page_rows(traces)
    for number, row in enumerate(rows):
        end_s = 0.0
        for place, trace in enumerate(row):
            fits = place == 0 or trace.t0_s >= end_s - OVERLAP_S
            at_s = trace.t0_s if fits else end_s + GAP_S
            strips.append(Strip(trace, number, at_s))
            end_s = at_s + trace.duration_s
    return strips, [""] * len(rows)


def _height_mm(traces: Sequence[LeadTrace], mm_per_mV: float) -> tuple[float, float]:
    """Return how far a row reaches above and below its zero line."""
    known = np.concatenate([trace.mv[np.isfinite(trace.mv)] for trace in traces] or [np.zeros(0, np.float32)])
    high, low = (float(known.max()), float(known.min())) if len(known) else (0.0, 0.0)
    above = max(high, 0.0) * mm_per_mV + ROW_AIR_MM
    below = max(-low, 0.0) * mm_per_mV + ROW_AIR_MM
    grow = max(0.0, MIN_ROW_MM - above - below) / 2
    shrink = min(1.0, MAX_ROW_MM / (above + below))
    return (above + grow) * shrink, (below + grow) * shrink


def _check_lines(record: EcgRecord, strips: Sequence[Strip], *, first_row: int) -> tuple[CheckLine, ...]:
    """Return what should be zero, where the leads it is made of were printed at the same time."""
    if set(record.leads) != set(LEADS):
        return ()
    mv = np.stack([record.lead_mv(lead) for lead in LEADS]).astype(np.float64)
    lines: list[CheckLine] = []
    row, end_s = first_row, -1.0
    for name, residual, lead in (
        (EINTHOVEN, einthoven_residual(mv), "I"),
        (GOLDBERGER, goldberger_residual(mv), "aVR"),
    ):
        known = np.flatnonzero(np.isfinite(residual))
        home = next((strip for strip in strips if strip.trace.lead == lead), None)
        if not len(known) or home is None:
            continue
        at_s = home.at_s + known[0] / record.fs - home.trace.t0_s
        if lines and at_s < end_s - OVERLAP_S:
            row += 1
        part = np.asarray(residual[known[0] : known[-1] + 1], np.float64)
        part = part - np.nanmedian(part)  # where zero lies on the paper is each lead's own matter
        lines.append(CheckLine(name, part, record.fs, at_s, row))
        end_s = at_s + len(part) / record.fs
    return tuple(lines)
