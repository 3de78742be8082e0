"""A record drawn as a flat ECG sheet with its exact truth: ink positions are computed first, then drawn."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.leads import LEADS
from training.synth.style import PageStyle, random_style
from training.synth.text import draw_text, fonts, gain_text, nonsense, speed_text
from training.synth.truth import LabelTruth, LeadTruth, SheetTruth

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

SHIFT = 4  # cv2's fixed-point bits for sub-pixel drawing
TRACE_SCALE = 2  # traces are drawn this much larger, then averaged down
RECORD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A drawn sheet: RGB pixels, its resolution and its truth. Sheet mm x lies at pixel x * px_per_mm - 0.5."""

    pixels: Pixels
    px_per_mm: float
    truth: SheetTruth


def render_sheet(
    mv: NDArray[np.float32], fs: float, *, rng: Rng, px_per_mm: float = 8.0, style: PageStyle | None = None
) -> Sheet:
    """Draw a 12-lead record (mV, [12, n], rows in the order of LEADS) on a sheet of random or given style."""
    style = random_style(rng) if style is None else style
    printed = _cart_filter(np.asarray(mv, np.float64), fs, style)
    leads = _lay_out(printed, fs, style, rng)
    width = max(8, round(style.size_mm[0] * px_per_mm))
    height = max(8, round(style.size_mm[1] * px_per_mm))
    pixels = _paper_and_grid((height, width), px_per_mm, style, rng)
    text = np.zeros((height, width), np.uint8)
    labels, pulses = _write_texts(text, leads, px_per_mm, style, rng)
    trace = _draw_traces((height, width), leads, pulses, px_per_mm, style)
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
        labels=tuple(labels),
        pulses_mm=tuple(pulses),
        record_mv=printed_record(leads, style.mm_per_s),
        record_fs=500.0,
    )
    return Sheet(pixels=pixels, px_per_mm=px_per_mm, truth=truth)


def printed_record(leads: list[LeadTruth], mm_per_s: float, *, fs: float = 500.0) -> NDArray[np.float32]:
    """Return mV [12, n] on the page's time base, NaN where nothing is printed; the longest print of a lead counts."""
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
    from scipy.signal import butter, sosfiltfilt

    if style.filter_hz and style.filter_hz < 0.45 * fs:
        mv = sosfiltfilt(butter(2, style.filter_hz, fs=fs, output="sos"), mv, axis=1)
    if style.baseline_hz:
        mv = sosfiltfilt(butter(1, style.baseline_hz, btype="high", fs=fs, output="sos"), mv, axis=1, padlen=min(mv.shape[1] - 1, int(3 * fs)))
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
            leads.append(
                LeadTruth(
                    lead=name, row=row, column=column, t0_s=t0_s, start_mm=start_mm, end_mm=float(x[-1]),
                    axis_mm=float(np.median(y)), zero_mm=zero_mm, line_mm=np.stack([x, y], axis=1), mm_per_mV=gain,
                )  # fmt: skip
            )
    return leads


def _coverage(n: int, px_per_mm: float, origin_mm: float, pitch_mm: float, width_mm: float, first_mm: float, last_mm: float) -> Floats:
    """Return how much of each pixel a set of equal lines covers (1-D, 0..1)."""
    centre_mm = (np.arange(n) + 0.5) / px_per_mm
    away = np.abs((centre_mm - origin_mm + pitch_mm / 2) % pitch_mm - pitch_mm / 2) * px_per_mm
    w = width_mm * px_per_mm
    cover = np.clip(w / 2 + 0.5 - away, 0.0, min(1.0, w))
    cover[(centre_mm < first_mm) | (centre_mm > last_mm)] = 0.0
    return cover


def _paper_and_grid(shape: tuple[int, int], px_per_mm: float, style: PageStyle, rng: Rng) -> Pixels:
    """Draw paper and grid; lines are separable, so 1-D profiles suffice."""
    height, width = shape
    x0, y0, x1, y1 = style.grid_box_mm

    def lines(pitch: float, thick: float) -> tuple[Floats, Floats]:
        return (
            _coverage(width, px_per_mm, style.grid_origin_mm[0], pitch, thick, x0, x1),
            _coverage(height, px_per_mm, style.grid_origin_mm[1], pitch, thick, y0, y1),
        )

    inside_x = _coverage(width, px_per_mm, 0.0, 1e6, 1e7, x0, x1) > 0
    inside_y = _coverage(height, px_per_mm, 0.0, 1e6, 1e7, y0, y1) > 0
    alpha = np.zeros(shape, np.uint8)

    def add(vx: Floats, vy: Floats, strength: float, *, product: bool = False) -> None:
        a, b = (vx * 255).astype(np.uint8), (vy * 255).astype(np.uint8)
        if product:
            layer = (np.outer(vy, vx) * (255 * strength)).astype(np.uint8)
        else:
            a = np.where(inside_x, a * strength, 0).astype(np.uint8)
            b = np.where(inside_y, b * strength, 0).astype(np.uint8)
            layer = np.maximum(np.where(inside_y[:, None], a[None, :], 0), np.where(inside_x[None, :], b[:, None], 0)).astype(np.uint8)
        np.maximum(alpha, layer, out=alpha)

    if style.grid in ("full", "uniform"):
        add(*lines(1.0, style.minor_mm), style.minor_alpha)
    elif style.grid == "dots":
        add(*lines(1.0, style.minor_mm * 2.2), min(1.0, style.minor_alpha * 1.5), product=True)
    elif style.grid == "dashed":
        vx, vy = lines(1.0, style.minor_mm)
        dash_x = _coverage(width, px_per_mm, style.grid_origin_mm[0], 0.5, 0.25, x0, x1)
        dash_y = _coverage(height, px_per_mm, style.grid_origin_mm[1], 0.5, 0.25, y0, y1)
        dashed = np.maximum(np.outer(dash_y, vx), np.outer(vy, dash_x)) * (255 * style.minor_alpha)
        np.maximum(alpha, dashed.astype(np.uint8), out=alpha)
    if style.grid in ("full", "dots", "dashed", "major"):
        vx, vy = lines(5.0, style.major_mm)
        if style.grid == "dots" and rng.random() < 0.5:  # 5 mm lines made of denser dots
            dash_x = _coverage(width, px_per_mm, style.grid_origin_mm[0], 1.0, 0.5, x0, x1)
            dash_y = _coverage(height, px_per_mm, style.grid_origin_mm[1], 1.0, 0.5, y0, y1)
            dotted = np.maximum(np.outer(dash_y, vx), np.outer(vy, dash_x)) * (255 * style.major_alpha)
            np.maximum(alpha, dotted.astype(np.uint8), out=alpha)
        else:
            add(vx, vy, style.major_alpha)
    paper, ink = np.array(style.paper, np.float64), np.array(style.grid_ink, np.float64)
    a = np.arange(256)[:, None] / 255.0
    table = np.clip(paper * (1 - a) + np.minimum(ink, paper) * a, 0, 255).astype(np.uint8)
    return cv2.LUT(cv2.merge([alpha] * 3), table[None])


def _draw_traces(shape: tuple[int, int], leads: list[LeadTruth], pulses: list[Floats], px_per_mm: float, style: PageStyle) -> Pixels:
    """Draw traces and pulses as an ink-coverage mask."""
    k = px_per_mm * TRACE_SCALE
    mask = np.zeros((shape[0] * TRACE_SCALE, shape[1] * TRACE_SCALE), np.uint8)
    thick = max(1, round(style.trace_mm * k))
    lines = [lead.line_mm for lead in leads] + pulses
    if style.separator == "connect":
        for a, b in zip(leads[:-1], leads[1:], strict=True):
            if a.row == b.row:
                lines.append(np.stack([a.line_mm[-1], b.line_mm[0]]))
    for line in lines:
        points = line.copy()
        if style.dot_mm:
            points[:, 1] = np.round(points[:, 1] / style.dot_mm) * style.dot_mm
        fixed = np.round((points * k - 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(mask, [fixed[:, None]], False, 255, thick, cv2.LINE_AA, SHIFT)
    return cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def _draw_separators(mask: Pixels, leads: list[LeadTruth], px_per_mm: float, style: PageStyle, rng: Rng) -> None:
    """Draw what carts put between the columns, and time ticks."""
    thick = max(1, round(rng.uniform(0.12, 0.45) * px_per_mm))
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


def _write_texts(
    mask: Pixels, leads: list[LeadTruth], px_per_mm: float, style: PageStyle, rng: Rng
) -> tuple[list[LabelTruth], list[Floats]]:
    """Write lead names, scale texts and the header; lay out the calibration pulses."""
    available = fonts()
    font = None if rng.random() < 0.08 else str(rng.choice(available))
    labels: list[LabelTruth] = []

    def write(text: str, name: str | None, x: float, y: float, height_mm: float, face: str | None) -> float:
        box = draw_text(mask, text, xy=(x * px_per_mm - 0.5, y * px_per_mm - 0.5), height_px=height_mm * px_per_mm, font=face)
        x0, y0, x1, y1 = ((v + 0.5) / px_per_mm for v in box)
        inside = x0 >= 0 and y0 >= 0 and x1 <= style.size_mm[0] and y1 <= style.size_mm[1]
        if name is not None and inside:
            labels.append(LabelTruth(name, (float(x0), float(y0), float(x1), float(y1))))
        return float(x1)

    pulses: list[Floats] = []
    for row, zero_mm in enumerate(style.row_mm):
        of_row = [lead for lead in leads if lead.row == row]
        if not of_row or style.pulse == "none" or (style.pulse == "first" and row > 0):
            continue
        gain = of_row[0].mm_per_mV if style.pulse != "right" else of_row[-1].mm_per_mV
        wide, flat = 0.2 * style.mm_per_s, float(rng.uniform(0.4, 1.6))
        shape = np.array([[0, 0], [flat, 0], [flat, -gain], [flat + wide, -gain], [flat + wide, 0], [2 * flat + wide, 0]])
        if style.pulse == "right":
            x = max(lead.end_mm for lead in of_row) + style.pulse_gap_mm
        else:
            x = style.left_mm - style.pulse_gap_mm - shape[-1, 0]
        line = shape + np.array([x, zero_mm])
        if line[0, 0] < 0.2 or line[-1, 0] > style.size_mm[0] - 0.2:
            continue
        pulses.append(line)
        labels.append(LabelTruth("pulse", (x, zero_mm - gain, float(line[-1, 0]), zero_mm)))
    for lead in leads:
        if rng.random() < style.labels_missing:
            continue
        name = {"upper": lead.lead.upper(), "lower": lead.lead.lower(), "normal": lead.lead}[style.label_case]
        if style.layout.startswith("3x4") and style.label_case == "normal" and lead.lead == "II" and rng.random() < 0.03:
            name = "II "
        x = lead.start_mm + style.label_dx_mm
        if style.label_place == "left":
            x = max(0.5, style.left_mm - 8.5 if lead.column == 0 else lead.start_mm + 1)
        base = lead.zero_mm + style.label_dy_mm + style.label_height_mm * (0.5 if style.label_place == "left" else 0.0)
        base += style.label_height_mm if style.label_place == "below" else 0.0
        write(name, lead.lead, x, base, style.label_height_mm, font)
    small = float(rng.uniform(1.5, 2.6))
    if style.scale_text != "none":
        y = style.size_mm[1] - rng.uniform(2, 6) if style.scale_text == "bottom" else rng.uniform(4, 8)
        x = float(rng.uniform(2, style.size_mm[0] * 0.5))
        x = write(speed_text(rng, style.mm_per_s), f"speed{int(style.mm_per_s)}", x, y, small, font) + rng.uniform(2, 12)
        x = write(gain_text(rng, style.mm_per_mV[0]), f"gain{int(style.mm_per_mV[0])}", x, y, small, font) + rng.uniform(2, 12)
        if rng.random() < 0.5:
            write(nonsense(rng), None, x, y, small, font)
    if style.header:
        face = font if rng.random() < 0.7 else str(rng.choice(available))
        bottom = min(style.row_mm) - 22
        for column_x in np.sort(rng.uniform(2, style.size_mm[0] * 0.75, int(rng.integers(1, 4)))):
            y, size = float(rng.uniform(4, 10)), float(rng.uniform(1.4, 3.2))
            while y < bottom and rng.random() < 0.9:
                write(nonsense(rng), None, float(column_x), y, size, face)
                y += size * rng.uniform(1.4, 2.2)
    return labels, pulses


def _multiply(pixels: Pixels, mask: Pixels, ink: tuple[int, int, int]) -> None:
    """Lay ink over pixels in place: transmitted light falls with coverage."""
    a = np.arange(256)[:, None] / 255.0
    table = np.round(255 * (1 - a) + np.array(ink) * a).astype(np.uint8)
    cv2.multiply(pixels, cv2.LUT(cv2.merge([mask] * 3), table[None]), dst=pixels, scale=1 / 255.0)


def with_layout(style: PageStyle, **changes: object) -> PageStyle:
    """Return a style with some fields replaced (for tests and samples)."""
    return replace(style, **changes)  # type: ignore[arg-type]
