"""Printed text for rendered pages: fonts found on this machine, lead names, scale texts and invented header lines."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.synth.style import PageStyle
from training.synth.truth import LabelTruth, LeadTruth

Rng = np.random.Generator
Pixels = NDArray[np.uint8]

INK = 255
STROKE_FONT = 0.08  # share of pages in the stroke font of an old plotter
NOTES = 0.12  # share of pages with phrases printed over the traces
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "C:/Windows/Fonts", "/Library/Fonts")
UNSUITABLE = (
    "math", "symbol", "emoji", "icon", "dingbat", "cmex", "cmsy", "cmmi", "nonuni", "sizesym", "display", "stixsiz",
    "lastresort",
)  # fmt: skip
SPEEDS = (
    "{v}mm/s", "{v} mm/s", "{v} mm/sec", "{v}mm/sec", "Speed: {v} mm/sec", "Speed:{v}mm/s", "{v} MM/S", "{v}.0 mm/s",
)  # fmt: skip
GAINS = (
    "{v}mm/mV", "{v} mm/mV", "{v}.0 mm/mV", "{v} mm/mv", "Gain: {v} mm/mV", "{v}mm/mv", "Limb: {v} mm/mV",
    "Chest: {v} mm/mV", "Ampl: {v}mm/mV",
)  # fmt: skip
WORDS = (
    "Name:", "ID:", "Sinus rhythm", "Normal ECG", "Vent. rate", "PR interval", "QRS duration", "QT/QTc", "P-R-T axes",
    "bpm", "ms", "Male", "Female", "years", "Technician:", "Test ind:", "Referred by:", "Confirmed by", "Unconfirmed",
    "Abnormal ECG", "Borderline", "Left axis deviation", "Nonspecific T wave abnormality", "Atrial fibrillation",
    "Room:", "Loc:", "Opt:", "12-lead", "HR", "QTcB", "0.15-40 Hz", "0.05-150 Hz", "50 Hz", "60 Hz", "F 60~", "W",
    "PH08", "v241", "CID:", "EID:", "EDT:", "ORDER:", "Page 1 of 1",
)  # fmt: skip


class _Writer:
    """A mask that is written on in mm; keeps the boxes of what has a name and is wholly on the sheet."""

    def __init__(self, shape: tuple[int, int], px_per_mm: float) -> None:
        self.mask = np.zeros(shape, np.uint8)
        self.labels: list[LabelTruth] = []
        self._px_per_mm = px_per_mm

    def write(
        self, text: str, *, at_mm: tuple[float, float], height_mm: float, font: str | None, name: str | None = None
    ) -> float:
        """Write with the left baseline end at a place; return where the text ends, in mm."""
        k = self._px_per_mm
        box = draw_text(self.mask, text, xy=(at_mm[0] * k, at_mm[1] * k), height_px=height_mm * k, font=font)
        x0, y0, x1, y1 = (float(v) / k for v in box)
        height, width = self.mask.shape
        if name is not None and x0 >= 0 and y0 >= 0 and x1 <= width / k and y1 <= height / k:
            self.labels.append(LabelTruth(name, (x0, y0, x1, y1)))
        return x1


def write_texts(
    shape: tuple[int, int],
    leads: Sequence[LeadTruth],
    px_per_mm: float,
    *,
    style: PageStyle,
    rng: Rng,
    available: Sequence[str] | None = None,
) -> tuple[Pixels, list[LabelTruth]]:
    """Write lead names, scale texts and the header into a mask of ink; return it with the labels.

    `available` are font files to choose from, by default those of this machine; of none, the stroke font is left.
    """
    available = fonts() if available is None else available
    font = None if not available or rng.random() < STROKE_FONT else str(rng.choice(available))
    writer = _Writer(shape, px_per_mm)
    for lead in leads:
        if rng.random() >= style.labels_missing:
            _write_lead_name(writer, lead, style, font)
    if style.scale_text != "none":
        _write_scale(writer, style, rng, font)
    if style.header:
        face = font if not available or rng.random() < 0.7 else str(rng.choice(available))
        _write_header(writer, style, rng, face)
    if rng.random() < NOTES:
        _write_notes(writer, style, rng, font)
    return writer.mask, writer.labels


def _write_lead_name(writer: _Writer, lead: LeadTruth, style: PageStyle, font: str | None) -> None:
    text = {"upper": lead.lead.upper(), "lower": lead.lead.lower(), "normal": lead.lead}[style.label_case]
    x, base = lead.start_mm + style.label_dx_mm, lead.zero_mm + style.label_dy_mm
    if style.label_place == "left":
        x = max(0.5, style.left_mm - 8.5 if lead.column == 0 else lead.start_mm + 1)
        base += style.label_height_mm / 2
    elif style.label_place == "below":
        base += style.label_height_mm
    writer.write(text, at_mm=(x, base), height_mm=style.label_height_mm, font=font, name=lead.lead)


def _write_scale(writer: _Writer, style: PageStyle, rng: Rng, font: str | None) -> None:
    small = float(rng.uniform(1.5, 3.4))
    if style.scale_text == "bottom":
        y = style.size_mm[1] - rng.uniform(2, 6)
    elif style.scale_text == "row":
        y = min(style.row_mm[-1] + rng.uniform(3, 16), style.size_mm[1] - 1)
    else:
        y = rng.uniform(4, 8)
    x = float(rng.uniform(2, style.size_mm[0] * 0.5))
    speed, gain = int(style.mm_per_s), int(style.mm_per_mV[0])
    for text, name in ((speed_text(rng, speed), f"speed{speed}"), (gain_text(rng, gain), f"gain{gain}")):
        x = writer.write(text, at_mm=(x, y), height_mm=small, font=font, name=name) + rng.uniform(2, 12)
    if rng.random() < 0.5:
        writer.write(nonsense(rng), at_mm=(x, y), height_mm=small, font=font)


def _write_notes(writer: _Writer, style: PageStyle, rng: Rng, font: str | None) -> None:
    """Print phrases over the traces: filters, measurements, names of doctors."""
    for _ in range(int(rng.integers(1, 5))):
        x = style.left_mm + rng.uniform(0, 0.9) * style.width_mm
        y = rng.uniform(style.row_mm[0] - 8, style.row_mm[-1] + 12)
        writer.write(nonsense(rng), at_mm=(x, y), height_mm=float(rng.uniform(1.5, 4.0)), font=font)


def _write_header(writer: _Writer, style: PageStyle, rng: Rng, font: str | None) -> None:
    bottom = min(style.row_mm) - 22
    for x in np.sort(rng.uniform(2, style.size_mm[0] * 0.75, int(rng.integers(1, 4)))):
        y, size = float(rng.uniform(4, 10)), float(rng.uniform(1.4, 3.2))
        while y < bottom and rng.random() < 0.9:
            writer.write(nonsense(rng), at_mm=(float(x), y), height_mm=size, font=font)
            y += size * rng.uniform(1.4, 2.2)


@functools.cache
def fonts() -> tuple[str, ...]:
    """Return the usable TrueType fonts of this machine and of matplotlib, sorted for determinism."""
    import matplotlib  # heavy, and only its fonts are needed

    folders = [Path(matplotlib.get_data_path()) / "fonts" / "ttf", *map(Path, FONT_FOLDERS)]
    found = {p.name: str(p) for folder in folders if folder.is_dir() for p in sorted(folder.rglob("*.[to]tf"))}
    return tuple(found[name] for name in sorted(found) if not any(word in name.lower() for word in UNSUITABLE))


@functools.lru_cache(maxsize=256)
def _font(path: str, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px)


def draw_text(
    canvas: Pixels, text: str, *, xy: tuple[float, float], height_px: float, font: str | None
) -> tuple[float, float, float, float]:
    """Draw text with its capital height and left baseline end at xy; return its box x0, y0, x1, y1.

    Positions count from the canvas's corner, not from the first pixel's centre. Without a font a stroke font is
    used (what an old plotter writes).
    """
    x, y = xy
    if font is None:
        scale = height_px / 21.0
        thick = max(1, round(height_px / 9))
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        left, base = round(x - 0.5), round(y - 0.5)
        cv2.putText(canvas, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, thick, cv2.LINE_AA)
        return left + 0.5, base + 0.5 - h, left + 0.5 + w, base + 0.5
    face = _font(font, max(6, round(height_px / 0.72)))
    x0, y0, x1, y1 = face.getbbox(text, anchor="ls")
    left, top = int(np.floor(x + x0)) - 1, int(np.floor(y + y0)) - 1
    w, h = int(x1 - x0) + 4, int(y1 - y0) + 4
    tile = Image.new("L", (w, h), 0)
    ImageDraw.Draw(tile).text((x - left, y - top), text, fill=INK, font=face, anchor="ls")
    a0, b0 = max(left, 0), max(top, 0)
    a1, b1 = min(left + w, canvas.shape[1]), min(top + h, canvas.shape[0])
    if a1 > a0 and b1 > b0:
        part = canvas[b0:b1, a0:a1]
        np.maximum(part, np.asarray(tile)[b0 - top : b1 - top, a0 - left : a1 - left], out=part)
    return x + x0, y + y0, x + x1, y + y1


def speed_text(rng: Rng, mm_per_s: int) -> str:
    """Return one of the ways in which carts print the paper speed."""
    return str(rng.choice(SPEEDS)).format(v=mm_per_s)


def gain_text(rng: Rng, mm_per_mV: int) -> str:
    """Return one of the ways in which carts print the gain."""
    return str(rng.choice(GAINS)).format(v=mm_per_mV)


def nonsense(rng: Rng) -> str:
    """Return an invented header phrase: words and numbers, never a lead name alone."""
    parts = [str(rng.choice(WORDS)) for _ in range(int(rng.integers(1, 4)))]
    if rng.random() < 0.6:
        parts.append(str(int(rng.integers(1, 99999))))
    if rng.random() < 0.15:
        parts.append(f"{int(rng.integers(1, 29)):02d}.{int(rng.integers(1, 13)):02d}.{int(rng.integers(1990, 2026))}")
    if rng.random() < 0.1:
        parts.append("ECG in leads " + ", ".join(str(v) for v in rng.choice(["V1", "V4", "II", "aVL", "V6"], 2)))
    return "  ".join(parts)
