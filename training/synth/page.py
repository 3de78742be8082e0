"""A record drawn as a flat ECG sheet with its exact truth: ink positions are computed first, then drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from ecgstudio.core.leads import LEADS
from training.synth.paper import paper_and_grid
from training.synth.style import PageStyle, random_style
from training.synth.text import write_texts
from training.synth.truth import LabelTruth, LeadTruth, SheetTruth

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Pen = Callable[[tuple[int, int], Sequence[Floats], float], Pixels]
"""Draws lines (x, y in px from the picture's upper left corner) of a thickness in px as ink coverage u8[h, w]."""

PULSE_S = 0.2  # every cart's 1 mV lasts so long
SHIFT = 4  # cv2's fixed-point bits for sub-pixel drawing
TRACE_SCALE = 2  # traces are drawn this much larger, then averaged down
RECORD_SECONDS = 10.0
RECORD_FS = 500.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A drawn sheet: RGB pixels, its resolution and its truth. Sheet mm x lies at pixel x * px_per_mm - 0.5."""

    pixels: Pixels
    px_per_mm: float
    truth: SheetTruth


def render_sheet(
    mv: NDArray[np.float32],
    fs: float,
    *,
    rng: Rng,
    px_per_mm: float = 8.0,
    style: PageStyle | None = None,
    fonts: Sequence[str] | None = None,
    pen: Pen | None = None,
) -> Sheet:
    """Draw a 12-lead record (mV, [12, n], rows in the order of LEADS) on a sheet of random or given style.

    The same generator state gives the same sheet on a machine with the same fonts, or anywhere with `fonts` given.
    `pen` draws its traces and pulses.
    """
    style = random_style(rng) if style is None else style
    printed = _cart_filter(np.asarray(mv, np.float64), fs, style)
    leads = _lay_out(printed, fs, style, rng)
    width = max(8, round(style.size_mm[0] * px_per_mm))
    height = max(8, round(style.size_mm[1] * px_per_mm))
    shape = (height, width)
    pixels = paper_and_grid(shape, px_per_mm, style=style, rng=rng)
    pulses, pulse_labels = _lay_out_pulses(leads, style, rng)
    text, text_labels = write_texts(shape, leads, px_per_mm, style=style, rng=rng, available=fonts)
    trace = (pen or soft_pen)(shape, _trace_lines(leads, pulses, px_per_mm, style), style.trace_mm * px_per_mm)
    _draw_separators(trace, leads, px_per_mm, style, rng)
    _multiply(pixels, text, style.text_ink)
    _multiply(pixels, trace, style.ink)
    truth = SheetTruth(
        size_mm=(width / px_per_mm, height / px_per_mm),
        grid_origin_mm=style.grid_origin_mm,
        grid_style="full" if style.grid in ("dots", "dashed") else style.grid,
        mm_per_s=style.mm_per_s,
        layout=style.layout,
        leads=tuple(leads),
        labels=(*pulse_labels, *text_labels),
        pulses_mm=tuple(pulses),
        record_mv=printed_record(leads, style.mm_per_s),
        record_fs=RECORD_FS,
    )
    return Sheet(pixels=pixels, px_per_mm=px_per_mm, truth=truth)


def printed_record(leads: list[LeadTruth], mm_per_s: float, *, fs: float = RECORD_FS) -> NDArray[np.float32]:
    """Return mV [12, n] on the page's time base, NaN where nothing is printed.

    Of a lead that is printed twice the longest print counts. At least RECORD_SECONDS long.
    """
    seconds = max([RECORD_SECONDS, *[lead.t0_s + (lead.end_mm - lead.start_mm) / mm_per_s for lead in leads]])
    out = np.full((len(LEADS), int(np.ceil(seconds * fs - 1e-6))), np.nan, np.float32)
    for lead in sorted(leads, key=lambda x: x.end_mm - x.start_mm):
        first = int(np.ceil(lead.t0_s * fs - 1e-6))
        last = int(np.floor((lead.t0_s + (lead.line_mm[-1, 0] - lead.start_mm) / mm_per_s) * fs + 1e-6))
        index = np.arange(first, min(last + 1, out.shape[1]))
        at_mm = lead.start_mm + (index / fs - lead.t0_s) * mm_per_s
        y_mm = np.interp(at_mm, lead.line_mm[:, 0], lead.line_mm[:, 1])
        row = LEADS.index(lead.lead)
        out[row] = np.nan
        out[row, index] = (lead.zero_mm - y_mm) / lead.mm_per_mV
    return out


def _cart_filter(mv: Floats, fs: float, style: PageStyle) -> Floats:
    """Return the signal as the cart would print it (its filters are part of what is on paper)."""
    if style.filter_hz and style.filter_hz < 0.45 * fs:
        mv = sosfiltfilt(butter(2, style.filter_hz, fs=fs, output="sos"), mv, axis=1)
    if style.baseline_hz:
        high_pass = butter(1, style.baseline_hz, btype="high", fs=fs, output="sos")
        mv = sosfiltfilt(high_pass, mv, axis=1, padlen=min(mv.shape[1] - 1, int(3 * fs)))
    elif style.filter_hz:
        mv = mv - np.median(mv, axis=1, keepdims=True)
    return np.asarray(mv)


def _lay_out(mv: Floats, fs: float, style: PageStyle, rng: Rng) -> list[LeadTruth]:
    """Compute where each lead's ink goes."""
    leads: list[LeadTruth] = []
    total_s = style.width_mm / style.mm_per_s
    total_s = min(total_s, mv.shape[1] / fs)
    source_s = float(rng.uniform(0, max(0.0, mv.shape[1] / fs - total_s)))
    for row, (row_style, zero_mm) in enumerate(zip(style.rows, style.row_mm, strict=True)):
        n = len(row_style.leads)
        each_s = total_s / n
        for column, name in enumerate(row_style.leads):
            t0_s = column * each_s
            start_mm = style.left_mm + t0_s * style.mm_per_s
            printed_s = each_s - (style.gap_mm / style.mm_per_s if column < n - 1 else 0.0)
            from_s = source_s + (t0_s if style.sequential else 0.0)
            a, b = round(from_s * fs), round((from_s + printed_s) * fs)
            values = mv[LEADS.index(name), a : min(b + 1, mv.shape[1])]
            if len(values) < 8:
                continue
            gain = style.mm_per_mV[1] if name.startswith("V") else style.mm_per_mV[0]
            x = start_mm + np.arange(len(values)) / fs * style.mm_per_s
            y = zero_mm - values * gain
            lead = LeadTruth(
                lead=name, row=row, column=column, t0_s=t0_s if style.sequential else 0.0,
                start_mm=start_mm, end_mm=float(x[-1]), axis_mm=float(np.median(y)),
                zero_mm=zero_mm, line_mm=np.stack([x, y], axis=1), mm_per_mV=gain,
            )  # fmt: skip
            leads.append(lead)
    return leads


def _trace_lines(
    leads: list[LeadTruth], pulses: list[Floats], px_per_mm: float, style: PageStyle
) -> list[Floats]:
    """Return the lines of traces and pulses in pixels."""
    lines = [lead.line_mm for lead in leads] + pulses
    if style.separator == "connect":
        lines += [np.stack([a.line_mm[-1], b.line_mm[0]]) for a, b in pairwise(leads) if a.row == b.row]
    if style.dot_mm:
        lines = [np.stack([x, np.round(y / style.dot_mm) * style.dot_mm], axis=1) for x, y in (k.T for k in lines)]
    return [line * px_per_mm for line in lines]


def soft_pen(shape: tuple[int, int], lines_px: Sequence[Floats], thick_px: float) -> Pixels:
    """Draw lines larger and average them down; their thickness is a whole number of the larger pixels."""
    mask = np.zeros((shape[0] * TRACE_SCALE, shape[1] * TRACE_SCALE), np.uint8)
    thick = max(1, round(thick_px * TRACE_SCALE))
    for line in lines_px:
        fixed = np.round((line * TRACE_SCALE - 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(mask, [fixed[:, None]], False, 255, thick, cv2.LINE_AA, SHIFT)
    return cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def _draw_separators(mask: Pixels, leads: list[LeadTruth], px_per_mm: float, style: PageStyle, rng: Rng) -> None:
    """Draw what carts put between the columns, and time ticks."""
    thick = max(1, round(style.separator_thick_mm * px_per_mm))
    top_mm, bottom_mm = min(style.row_mm) - 10, max(style.row_mm) + 8

    def stroke(x: float, y0: float, y1: float) -> None:
        a, b = ((round((v * px_per_mm - 0.5) * 16)) for v in (y0, y1))
        at = round((x * px_per_mm - 0.5) * 16)
        cv2.line(mask, (at, a), (at, b), 255, thick, cv2.LINE_AA, SHIFT)

    always = rng.random() < 0.25  # also before the first column
    for lead in leads:
        if (lead.column == 0 and not always) or style.separator in ("none", "connect"):
            continue
        x = lead.start_mm - style.gap_mm / 2
        half = style.separator_mm / 2
        middle = lead.zero_mm if rng.random() < 0.9 else lead.axis_mm
        if style.separator == "tick":
            stroke(x, middle - half, middle + half)
        elif style.separator == "double":
            stroke(x, middle - half - 3, middle - 3 + half * 0.2)
            stroke(x, middle + 3 - half * 0.2, middle + half + 3)
        elif style.separator == "line" and lead.row == 0:
            stroke(x, top_mm, bottom_mm)
        elif style.separator == "dotted" and lead.row == 0:
            for y in np.arange(top_mm, bottom_mm, 2.0):
                stroke(x, float(y), float(y) + 0.8)
    if style.ticks:
        for t in np.arange(0, style.width_mm / style.mm_per_s, 1.0):
            x = style.left_mm + t * style.mm_per_s
            stroke(x, bottom_mm, bottom_mm + 2)


def _lay_out_pulses(leads: list[LeadTruth], style: PageStyle, rng: Rng) -> tuple[list[Floats], list[LabelTruth]]:
    """Compute the calibration pulses' polylines; a pulse that is not wholly on the sheet gets no label."""
    pulses: list[Floats] = []
    labels: list[LabelTruth] = []
    if style.pulse == "none":
        return pulses, labels
    wide = PULSE_S * style.mm_per_s
    for row, zero_mm in enumerate(style.row_mm):
        of_row = [lead for lead in leads if lead.row == row]
        if not of_row or (style.pulse == "first" and row > 0):
            continue
        gain = (of_row[-1] if style.pulse == "right" else of_row[0]).mm_per_mV
        # without a gap nobody could tell the pulse's own line from the lead: then the lead meets the pulse's edge
        meets = style.pulse_gap_mm == 0
        before = 0.0 if meets and style.pulse == "right" else style.pulse_flat_mm
        after = 0.0 if meets and style.pulse != "right" else style.pulse_flat_mm
        long = before + wide + after
        if style.pulse == "right":
            x = max(lead.end_mm for lead in of_row) + style.pulse_gap_mm
        else:
            x = style.left_mm - style.pulse_gap_mm - long
        if x < 0.2 or x + long > style.size_mm[0] - 0.2:
            continue
        rise, fall = before, before + wide
        shape = [[0.0, 0.0], [rise, 0.0], [rise, -gain], [fall, -gain], [fall, 0.0], [long, 0.0]]
        pulses.append(np.array(shape) + np.array([x, zero_mm]))
        if zero_mm >= gain:
            labels.append(LabelTruth("pulse", (x, zero_mm - gain, x + long, zero_mm)))
    return pulses, labels


def _multiply(pixels: Pixels, mask: Pixels, ink: tuple[int, int, int]) -> None:
    """Lay ink over pixels in place: transmitted light falls with coverage."""
    a = np.arange(256)[:, None] / 255.0
    table = np.round(255 * (1 - a) + np.array(ink) * a).astype(np.uint8)
    cv2.multiply(pixels, cv2.LUT(cv2.merge([mask] * 3), table[None]), dst=pixels, scale=1 / 255.0)
