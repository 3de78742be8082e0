"""Printed text for rendered pages: fonts found on this machine, lead names, scale texts and invented header lines."""

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rng = np.random.Generator

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "C:/Windows/Fonts", "/Library/Fonts")
UNSUITABLE = ("math", "symbol", "emoji", "icon", "dingbat", "cmex", "cmsy", "cmmi", "nonuni", "sizesym", "display", "stixsiz")
SPEEDS = ("{v}mm/s", "{v} mm/s", "{v} mm/sec", "{v}mm/sec", "Speed: {v} mm/sec", "Speed:{v}mm/s", "{v} MM/S", "{v}.0 mm/s")
GAINS = ("{v}mm/mV", "{v} mm/mV", "{v}.0 mm/mV", "{v} mm/mv", "Gain: {v} mm/mV", "{v}mm/mv", "Limb: {v} mm/mV", "Chest: {v} mm/mV", "Ampl: {v}mm/mV")
WORDS = (
    "Name:", "ID:", "Sinus rhythm", "Normal ECG", "Vent. rate", "PR interval", "QRS duration", "QT/QTc", "P-R-T axes", "bpm", "ms",
    "Male", "Female", "years", "Technician:", "Test ind:", "Referred by:", "Confirmed by", "Unconfirmed", "Abnormal ECG", "Borderline",
    "Left axis deviation", "Nonspecific T wave abnormality", "Atrial fibrillation", "Room:", "Loc:", "Opt:", "12-lead", "HR", "QTcB",
    "0.15-40 Hz", "0.05-150 Hz", "50 Hz", "60 Hz", "F 60~", "W", "PH08", "v241", "CID:", "EID:", "EDT:", "ORDER:", "Page 1 of 1",
)  # fmt: skip


@functools.cache
def fonts() -> tuple[str, ...]:
    """Return the usable TrueType fonts of this machine and of matplotlib, sorted for determinism."""
    import matplotlib

    folders = [Path(matplotlib.get_data_path()) / "fonts" / "ttf", *map(Path, FONT_FOLDERS)]
    found = {p.name: str(p) for folder in folders if folder.is_dir() for p in sorted(folder.rglob("*.[to]tf"))}
    return tuple(found[name] for name in sorted(found) if not any(word in name.lower() for word in UNSUITABLE))


@functools.lru_cache(maxsize=256)
def _font(path: str, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px)


def draw_text(
    canvas: NDArray[np.uint8], text: str, *, xy: tuple[float, float], height_px: float, font: str | None, strength: int = 255
) -> tuple[float, float, float, float]:
    """Draw text with its capital height and left baseline end at xy; return its box in pixels.

    Without a font a stroke font is used (what an old plotter writes).
    """
    x, y = xy
    if font is None:
        scale = height_px / 21.0
        thick = max(1, round(height_px / 9))
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        cv2.putText(canvas, text, (round(x), round(y)), cv2.FONT_HERSHEY_SIMPLEX, scale, strength, thick, cv2.LINE_AA)
        return x, y - h, x + w, y
    face = _font(font, max(6, round(height_px / 0.72)))
    x0, y0, x1, y1 = face.getbbox(text, anchor="ls")
    left, top = int(np.floor(x + x0)) - 1, int(np.floor(y + y0)) - 1
    w, h = int(x1 - x0) + 4, int(y1 - y0) + 4
    tile = Image.new("L", (w, h), 0)
    ImageDraw.Draw(tile).text((x - left, y - top), text, fill=strength, font=face, anchor="ls")
    a0, b0 = max(left, 0), max(top, 0)
    a1, b1 = min(left + w, canvas.shape[1]), min(top + h, canvas.shape[0])
    if a1 > a0 and b1 > b0:
        part = canvas[b0:b1, a0:a1]
        np.maximum(part, np.asarray(tile)[b0 - top : b1 - top, a0 - left : a1 - left], out=part)
    return x + x0, y + y0, x + x1, y + y1


def speed_text(rng: Rng, mm_per_s: float) -> str:
    """Return one of the ways in which carts print the paper speed."""
    return str(rng.choice(SPEEDS)).format(v=int(mm_per_s))


def gain_text(rng: Rng, mm_per_mV: float) -> str:
    """Return one of the ways in which carts print the gain."""
    return str(rng.choice(GAINS)).format(v=int(mm_per_mV))


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
