"""Crops for the text reader: scale texts of rendered pages, and many more that are drawn onto pages on the spot.

A crop's class is the scale text whose figures and unit ("25 mm/s", without a word before it) have their middle near the
crop's middle. What is off the middle, stands on its head, or says another number is no scale text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.leads import SCALE_TEXTS
from ecgstudio.stages.names import TEXT_PX_PER_MM, TEXT_SHAPE, NameCutter
from training.sampling import WRONG_POSES, MappedPage
from training.synth.text import INK, draw_text, fonts, nonsense

Rng = np.random.Generator
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

NEAR_MM, FAR_MM = 3.2, 5.5  # of the crop's middle: a text is in it, a text is not in it
LINES_PER_PAGE, CROPS_PER_LINE = 12, 8
IN_THE_MIDDLE, WRONG_POSE, PLAIN = 0.8, 0.06, 0.2
DRAW_PX_PER_MM = 2 * TEXT_PX_PER_MM
MARGIN_MM = 6.0
LEAST_CONTRAST = 20.0
WIDEST_PRINT_MM = 21.0  # of a printed label: wider ones begin with a word, and their figures are off their middle
CROP_MM = tuple(side / TEXT_PX_PER_MM for side in TEXT_SHAPE[::-1])
UPRIGHT = np.eye(2)

SPEED_UNITS = ("mm/s", "mm/sec", "mm/s", "mm/sec", "MM/S", "mm/Sec", "mm/sec.", "mm / s", "MM/SEC")
GAIN_UNITS = ("mm/mV", "mm/mV", "mm/mV", "mm/mv", "mm/1mV", "MM/MV", "mm / mV", "mm/MV")
SPEED_WORDS = ("Speed:", "Speed", "Paper speed:", "Vel:", "Velocity", "V:", "Paper", "Spd")
GAIN_WORDS = (
    "Gain:",
    "Gain",
    "Limb:",
    "Chest:",
    "Ampl:",
    "Sens:",
    "Sens.",
    "Amplitude",
    "Limb",
    "Chest",
    "I-aVF:",
    "V1-V6:",
    "All",
)
BESIDE = (
    "0.15 - 100 Hz", "0.05-150 Hz", "100Hz", "40Hz", "F 60~", "x1.0", "x1", "x2.0", "AC50", "60 bpm", "8.0.1",
    "12SL 239", "2*5.0s", "Filter ON", "50 Hz", "0.67~35Hz", "~ 0.15 - 40 Hz", "HR 72", "F 50~ 0.5-40 Hz", "Auto",
    "ADS", "MF", "25 Hz", "W", "0.5-20 Hz", "PBS 0.05-40Hz", "1 of 1", "20 Hz", "10 s", "5 s", "10:25", "12:50:10",
)  # fmt: skip
OTHER_UNITS = (
    "mm/s", "mm/sec", "mm/mV", "mm/mv", "Hz", "ms", "mm", "mV", "s", "bpm", "/min", "years", "m/s", "mm/mV", "mm/s",
    "cm/mV", "kg", "%", "uV",
)  # fmt: skip
ODD_NUMBERS = ("2.5", "6.25", "12.5", "0.5", "7.5", "1.25", "0.25", "5.5", "10.5", "2", "15", "25.5")
LIKE_NUMBERS = (
    "1", "2", "4", "6", "8", "15", "30", "40", "52", "55", "60", "75", "100", "105", "110", "120", "125", "150", "200",
    "250", "500",
)  # fmt: skip
LETTERS = "aaabcdeeeeefghiiijklmmnnnooopqrrrsssttttuuvvwxyz"
SCALE_NUMBERS = ("25", "50", "5", "10", "20", "10.0", "5.0", "25.0")
SPOKEN = {name: (name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")) for name in SCALE_TEXTS}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a line: its text, its class (0: no scale text) and the gap before it in heights of capitals."""

    text: str
    kind: int = 0
    gap: float = 0.8


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line of texts as a mask, with the middles of its pieces along it and its middle height in mm."""

    mask: Pixels
    middles_mm: Floats
    kinds: NDArray[np.intp]
    middle_mm: float


def sample_texts(page: MappedPage, rng: Rng) -> Iterator[tuple[Pixels, int]]:
    """Cut crops around the scale texts of a page and around places without one, and draw texts onto others.

    Yields (crop, class).
    """
    sheet = page.truth.sheet
    centre = np.array(sheet.size_mm) / 2
    cutter = NameCutter(page.pixels, px_per_mm=float(np.sqrt(abs(np.linalg.det(page.jacobian(centre))))))
    height, width = page.pixels.shape[:2]
    printed = [label for label in sheet.labels if label.name in SCALE_TEXTS]

    def cut(at_mm: Floats, pose: Floats = UPRIGHT) -> Pixels | None:
        xy = page.to_page(at_mm[None])[0]
        if not (-0.5 < xy[0] < width - 0.5 and -0.5 < xy[1] < height - 0.5):
            return None
        return cutter.cut_text(xy, page.jacobian(at_mm) @ _spin(rng) @ pose)

    def is_free(at_mm: Floats) -> bool:
        reach_x, reach_y = CROP_MM[0] / 2 + 1, CROP_MM[1] / 2 + 1
        return not any(
            label.box_mm[0] - reach_x < at_mm[0] < label.box_mm[2] + reach_x
            and label.box_mm[1] - reach_y < at_mm[1] < label.box_mm[3] + reach_y
            for label in printed
        )

    def free_spot() -> Floats:
        at = rng.uniform(0, 1, 2) * np.array(sheet.size_mm)
        if rng.random() < 0.4 and sheet.leads:
            lead = sheet.leads[int(rng.integers(len(sheet.leads)))]
            at = lead.line_mm[int(rng.integers(len(lead.line_mm)))] + rng.normal(0, 3, 2)
        elif rng.random() < 0.3 and sheet.labels:
            at = np.array(sheet.labels[int(rng.integers(len(sheet.labels)))].centre_mm) + rng.normal(0, 2, 2)
        return np.asarray(at)

    for label in printed:
        if label.box_mm[2] - label.box_mm[0] > WIDEST_PRINT_MM:
            continue
        spot = np.array(label.centre_mm)
        for _ in range(3):
            crop = cut(spot + _slip(rng))
            if crop is not None:
                yield crop, 1 + SCALE_TEXTS.index(label.name)
        crop = cut(spot + _slip(rng), WRONG_POSES[int(rng.integers(len(WRONG_POSES)))])
        if crop is not None:
            yield crop, 0
    lines = [draw_line(rng) for _ in range(LINES_PER_PAGE)]
    for index in range((CROPS_PER_LINE + 1) * LINES_PER_PAGE):
        at = free_spot()
        crop = cut(at) if is_free(at) else None
        if crop is None:
            continue
        if index >= CROPS_PER_LINE * LINES_PER_PAGE:
            yield crop, 0
            continue
        if rng.random() < PLAIN:
            crop = np.full(TEXT_SHAPE, int(np.percentile(crop, 80)), np.uint8)
        made = print_line(crop, lines[index % LINES_PER_PAGE], rng)
        if made is not None:
            yield made


def draw_line(rng: Rng) -> DrawnLine:
    """Make up a line of texts and write it into a mask."""
    pieces = _line(rng)
    height_mm = float(np.clip(rng.lognormal(np.log(2.3), 0.3), 1.3, 4.4))
    base_mm = MARGIN_MM + height_mm
    longest_mm = sum((0.8 * len(piece.text) + piece.gap) * height_mm for piece in pieces) + 2 * MARGIN_MM
    mask = np.zeros((round((base_mm + MARGIN_MM) * DRAW_PX_PER_MM), round(longest_mm * DRAW_PX_PER_MM)), np.uint8)
    available = fonts()
    font = None if not available or rng.random() < 0.1 else str(rng.choice(available))
    x_mm, middles = MARGIN_MM, []
    for index, piece in enumerate(pieces):
        start_mm = x_mm + (piece.gap * height_mm if index else 0.0)
        at = (start_mm * DRAW_PX_PER_MM, base_mm * DRAW_PX_PER_MM)
        x0, _, x1, _ = draw_text(mask, piece.text, xy=at, height_px=height_mm * DRAW_PX_PER_MM, font=font)
        middles.append((x0 + x1) / 2 / DRAW_PX_PER_MM)
        x_mm = x1 / DRAW_PX_PER_MM
    kinds = np.array([piece.kind for piece in pieces])
    return DrawnLine(mask, np.array(middles), kinds, base_mm - height_mm / 2)


def print_line(background: Pixels, line: DrawnLine, rng: Rng) -> tuple[Pixels, int] | None:
    """Print a part of a line onto a crop without scale texts; None if the text it would show is half in it."""
    scale = np.flatnonzero(line.kinds)
    if not len(scale):
        x_mm = rng.choice(line.middles_mm) + rng.uniform(-5, 5)
    elif rng.random() < IN_THE_MIDDLE:
        x_mm = line.middles_mm[rng.choice(scale)] + rng.uniform(-NEAR_MM, NEAR_MM)
    else:
        x_mm = line.middles_mm[rng.choice(scale)] + rng.choice([-1, 1]) * rng.uniform(FAR_MM, 16)
    away_mm = np.abs(line.middles_mm[scale] - x_mm)
    kind = int(line.kinds[scale[away_mm.argmin()]]) if len(scale) and away_mm.min() <= NEAR_MM else 0
    if len(scale) and NEAR_MM < away_mm.min() < FAR_MM:
        return None
    pose = _spin(rng) @ np.diag([np.exp(rng.normal(0, 0.05)), 1.0])
    if rng.random() < WRONG_POSE:
        pose, kind = pose @ WRONG_POSES[int(rng.integers(len(WRONG_POSES)))], 0
    where = np.array([x_mm, line.middle_mm + rng.normal(0, 0.35)]) * DRAW_PX_PER_MM
    cover = _cut_out(line.mask, where, pose, rng)
    printed = _inked(background, cover, rng)
    inked = cover > 0.5
    if kind and (not inked.any() or float(np.mean(background[inked]) - np.mean(printed[inked])) < LEAST_CONTRAST):
        return None
    return _degraded(printed, rng), kind


def _cut_out(mask: Pixels, where: Floats, pose: Floats, rng: Rng) -> NDArray[np.float32]:
    """Return how far a line's ink covers each pixel of a crop whose middle lies at `where` in its mask."""
    fine = DRAW_PX_PER_MM / TEXT_PX_PER_MM
    size = (round(TEXT_SHAPE[1] * fine), round(TEXT_SHAPE[0] * fine))
    affine = np.column_stack([pose, where - pose @ ((np.array(size) - 1) / 2)])
    cover = cv2.warpAffine(mask, affine, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    if rng.random() < 0.25:
        side = int(rng.integers(2, 4))
        cover = (cv2.dilate if rng.random() < 0.6 else cv2.erode)(cover, np.ones((side, side), np.uint8))
    if rng.random() < 0.5:
        cover = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.6, 2.2)))
    small = cv2.resize(cover, TEXT_SHAPE[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(np.float32) / INK)


def _slip(rng: Rng) -> Floats:
    return np.array([rng.uniform(-2, 2), rng.normal(0, 0.3)])


def _spin(rng: Rng) -> Floats:
    turn, zoom = np.deg2rad(rng.normal(0, 1.8)), np.exp(rng.normal(0, 0.08))
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * zoom


def _line(rng: Rng) -> list[_Piece]:
    """Make up a line: mostly one scale text or two of different kinds, with words and other numbers around them."""
    if rng.random() < 0.24:
        return _other_line(rng)
    first = int(rng.integers(len(SCALE_TEXTS)))
    pieces = _scale_text(SCALE_TEXTS[first], rng)
    if rng.random() < 0.5:  # speed and gain stand side by side, or the gains of limb and chest leads
        speed = SPOKEN[SCALE_TEXTS[first]][0] == "speed"
        kinds = [name for name in SCALE_TEXTS if (SPOKEN[name][0] == "speed") != speed]
        other = _scale_text(str(rng.choice(kinds)), rng)
        pieces = [*pieces, *other] if rng.random() < 0.5 else [*other, *pieces]
    if rng.random() < 0.35:
        pieces.append(_Piece(str(rng.choice(BESIDE)), gap=float(rng.uniform(0.5, 3))))
    if rng.random() < 0.15:
        pieces.insert(0, _Piece(str(rng.choice(BESIDE))))
    return pieces


def _scale_text(name: str, rng: Rng) -> list[_Piece]:
    what, number = SPOKEN[name]
    units, words = (SPEED_UNITS, SPEED_WORDS) if what == "speed" else (GAIN_UNITS, GAIN_WORDS)
    figures = f"{number}.0" if rng.random() < 0.2 else number
    text = figures + ("" if rng.random() < 0.4 else " ") + str(rng.choice(units))
    piece = _Piece(text, 1 + SCALE_TEXTS.index(name), gap=float(rng.choice([rng.uniform(0.5, 1), rng.uniform(1, 6)])))
    if rng.random() < 0.35:
        return [
            _Piece(str(rng.choice(words)), gap=piece.gap),
            _Piece(text, piece.kind, gap=float(rng.uniform(0.1, 0.9))),
        ]
    return [piece]


def _word(rng: Rng) -> str:
    """Make up a word of lower-case letters, capitals or figures."""
    letters = "".join(rng.choice(list(LETTERS), int(rng.integers(2, 11))))
    kind = rng.random()
    if kind < 0.1:
        return str(int(rng.integers(0, 100_000)))
    return letters.upper() if kind < 0.25 else letters.capitalize() if kind < 0.45 else letters


def _other_line(rng: Rng) -> list[_Piece]:
    """Make up a line that names no scale, though many of its units are those of one."""
    if rng.random() < 0.15:
        return [_Piece(nonsense(rng))]
    if rng.random() < 0.25:
        return [_Piece(_word(rng), gap=float(rng.uniform(0.3, 0.6))) for _ in range(int(rng.integers(2, 6)))]
    pieces = []
    for _ in range(int(rng.integers(1, 3))):
        unit = str(rng.choice(OTHER_UNITS))
        draw = rng.random()
        if draw < 0.2:
            number = str(rng.choice(ODD_NUMBERS))
        elif draw < 0.3:  # those of limb and of chest leads in one
            number = f"{rng.choice(['20', '10', '5'])}/{rng.choice(['10', '5', '2.5'])}"
        elif draw < 0.55:
            number = str(rng.choice(LIKE_NUMBERS))
        elif draw < 0.75:
            number = str(int(rng.integers(1, 300)))
        else:  # those of scales, mostly with other units
            number = str(rng.choice(SCALE_NUMBERS))
        kind = "speed" if unit in SPEED_UNITS else "gain" if unit in GAIN_UNITS else ""
        value = number.removesuffix(".0")
        if kind + value in SCALE_TEXTS:
            number = str(rng.choice(ODD_NUMBERS))
        pieces.append(_Piece(number + ("" if rng.random() < 0.4 else " ") + unit, gap=float(rng.uniform(0.5, 4))))
    words = (*SPEED_WORDS, *GAIN_WORDS)
    if rng.random() < 0.3:
        pieces.insert(0, _Piece(str(rng.choice(words))))
    return pieces


def _inked(background: Pixels, cover: NDArray[np.float32], rng: Rng) -> Pixels:
    """Print onto a crop, dark as a rule and sometimes faded."""
    paper = background.astype(np.float32)
    ink = float(rng.uniform(0, 110))
    strength = float(rng.uniform(0.35, 0.75) if rng.random() < 0.25 else rng.uniform(0.75, 1.0))
    target = np.minimum(ink, paper)
    out = paper * (1 - cover * strength) + target * cover * strength
    if rng.random() < 0.1:  # printed on a white field
        out = np.where(cv2.dilate((cover > 0.1).astype(np.uint8), np.ones((9, 13), np.uint8)) > 0,
                       255 * (1 - cover * strength) + ink * cover * strength, paper)  # fmt: skip
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _degraded(crop: Pixels, rng: Rng) -> Pixels:
    """Spoil a crop as cameras, copiers and files do; half of them are left as they are."""
    if rng.random() < 0.4:
        return crop
    size = (crop.shape[1], crop.shape[0])
    if rng.random() < 0.4:
        zoom = float(rng.uniform(0.45, 0.95))
        small = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        crop = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < 0.35:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.4, 1.3))), np.uint8)
    if rng.random() < 0.15:
        reach = int(rng.integers(2, 5))
        kernel = np.ones((1, reach) if rng.random() < 0.5 else (reach, 1), np.float32) / reach
        crop = np.asarray(cv2.filter2D(crop, -1, kernel), np.uint8)
    if rng.random() < 0.4:
        noisy = crop + rng.normal(0, rng.uniform(2, 18), crop.shape)
        crop = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        level = np.percentile(crop, 50) - rng.uniform(15, 70)
        crop = np.where(crop < level, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, file = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 75))])
        crop = np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), np.uint8)
    return crop
