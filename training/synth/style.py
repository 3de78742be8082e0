"""Random choices of how a page looks (layout, grid, ink, texts), as one frozen value; nothing is drawn here."""

from dataclasses import dataclass

import numpy as np

from ecgstudio.core.leads import LEADS

Rng = np.random.Generator

LIMB, CHEST = LEADS[:6], LEADS[6:]
CABRERA = ("aVL", "I", "aVR", "II", "aVF", "III")
COLUMNS_3X4 = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
CABRERA_3X4 = (("aVL", "I", "aVR"), ("II", "aVF", "III"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))

LAYOUTS = {
    "3x4": 0.10, "3x4+1": 0.34, "3x4+2": 0.04, "3x4+3": 0.08, "6x2": 0.09, "6x2+1": 0.09,
    "12x1": 0.10, "12x1+1": 0.04, "6x1": 0.05, "4x3": 0.03, "few": 0.04,
}  # fmt: skip
"""How often each layout is drawn; "few" is a strip of one to four leads."""
ORDINARY_WIDTH_MM = 200.0

GRIDS = {"full": 0.62, "dots": 0.07, "major": 0.08, "uniform": 0.17, "dashed": 0.03, "none": 0.03}
GRID_INKS = {
    "red": ((235, 110, 110), 40), "pink": ((240, 150, 170), 30), "orange": ((225, 150, 90), 30),
    "brown": ((170, 120, 90), 30), "blue": ((110, 130, 225), 40), "green": ((90, 175, 120), 40),
    "grey": ((140, 140, 140), 50), "black": ((50, 50, 50), 35), "teal": ((80, 170, 170), 35),
}  # fmt: skip
GRID_INK_WEIGHTS = (0.23, 0.19, 0.1, 0.06, 0.08, 0.08, 0.14, 0.08, 0.04)
SEPARATORS = {"none": 0.38, "tick": 0.34, "line": 0.06, "dotted": 0.05, "double": 0.07, "connect": 0.10}


@dataclass(frozen=True, slots=True)
class RowStyle:
    """One printed row: its leads from left to right."""

    leads: tuple[str, ...]
    rhythm: bool


@dataclass(frozen=True, slots=True)
class PageStyle:
    """Everything random about a sheet; lengths in mm, colours RGB 0..255."""

    layout: str
    rows: tuple[RowStyle, ...]
    size_mm: tuple[float, float]
    left_mm: float
    width_mm: float
    row_mm: tuple[float, ...]  # y of each row's zero line
    mm_per_s: float
    mm_per_mV: tuple[float, float]  # limb, chest
    sequential: bool
    gap_mm: float
    separator: str  # "none" "tick" "line" "dotted" "double" "connect"
    separator_mm: float
    separator_thick_mm: float
    pulse: str  # "none" "left" "first" "right"
    pulse_gap_mm: float
    pulse_flat_mm: float  # line before and after the pulse; 0: the trace begins at its falling edge
    label_place: str  # "above" "below" "left" "high"
    label_dx_mm: float
    label_dy_mm: float
    label_height_mm: float
    label_case: str  # "normal" "upper" "lower"
    labels_missing: float
    grid: str
    grid_origin_mm: tuple[float, float]
    grid_box_mm: tuple[float, float, float, float]
    grid_ink: tuple[int, int, int]
    minor_alpha: float
    major_alpha: float
    minor_mm: float
    major_mm: float
    paper: tuple[int, int, int]
    ink: tuple[int, int, int]
    trace_mm: float
    dot_mm: float  # printer's dot pitch, 0 = smooth
    text_ink: tuple[int, int, int]
    scale_text: str  # "none" "bottom" "top" "row": close under the last row
    header: bool
    ticks: bool
    filter_hz: float  # low-pass of the cart, 0 = none
    baseline_hz: float  # high-pass of the cart, 0 = none


def pick(rng: Rng, table: dict[str, float]) -> str:
    """Draw a key with the probabilities that are its table's values."""
    names = list(table)
    weights = np.array([table[name] for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _rows(rng: Rng, layout: str) -> tuple[RowStyle, ...]:
    """Return the rows of a layout with standard, Cabrera or unusual lead order."""
    order = pick(rng, {"standard": 0.74, "cabrera": 0.06, "shuffled": 0.20})
    limb = CABRERA if order == "cabrera" else LIMB
    twelve = [*limb, *CHEST]
    if order == "shuffled":
        twelve = [str(name) for name in rng.permutation(list(LEADS))]
    columns: tuple[tuple[str, ...], ...] = CABRERA_3X4 if order == "cabrera" else COLUMNS_3X4
    if order == "shuffled":
        columns = tuple(tuple(twelve[3 * k : 3 * k + 3]) for k in range(4))
    rhythm_names = ["II", "V1", "V5", "V2", "I", "III", "aVF", "V3", "V6"]
    rhythm_first = str(rng.choice(rhythm_names, p=[0.5, 0.16, 0.12, 0.06, 0.05, 0.03, 0.03, 0.03, 0.02]))
    rhythms = [rhythm_first, *[n for n in ("V1", "II", "V5", "V2") if n != rhythm_first]]
    base, _, extra = layout.partition("+")
    if base == "3x4":
        rows = [RowStyle(tuple(column[i] for column in columns), rhythm=False) for i in range(3)]
    elif base == "6x2":
        rows = [RowStyle((twelve[i], twelve[6 + i]), rhythm=False) for i in range(6)]
        if order == "shuffled":
            rows = [RowStyle((twelve[2 * i], twelve[2 * i + 1]), rhythm=False) for i in range(6)]
    elif base == "12x1":
        rows = [RowStyle((name,), rhythm=False) for name in twelve]
    elif base == "6x1":
        rows = [RowStyle((name,), rhythm=False) for name in (limb if rng.random() < 0.6 else CHEST)]
    elif base == "4x3":
        rows = [RowStyle(tuple(twelve[3 * i : 3 * i + 3]), rhythm=False) for i in range(4)]
    else:
        count = int(rng.integers(1, 5))
        rows = [RowStyle((name,), rhythm=False) for name in rng.permutation(list(LEADS))[:count].tolist()]
    rows += [RowStyle((name,), rhythm=True) for name in rhythms[: int(extra or 0)]]
    return tuple(rows)


def random_style(rng: Rng, *, layout: str | None = None) -> PageStyle:
    """Draw one page's look, in a layout if one is given; the same generator state gives the same page.

    Raises ValueError for a layout that is not in LAYOUTS.
    """
    if layout is None:
        layout = pick(rng, LAYOUTS)
    elif layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    rows = _rows(rng, layout)
    n = len(rows)
    mm_per_s = float(rng.choice([25.0, 50.0], p=[0.92, 0.08]))
    half = 0.08 if max(len(row.leads) for row in rows) <= 2 else 0.0  # 125 mm: half a standard sheet
    width = float(rng.choice([250.0, 125.0, rng.uniform(150, 262)], p=[0.8 - half, half, 0.2]))
    gain = float(rng.choice([10.0, 5.0, 20.0], p=[0.86, 0.08, 0.06]))
    chest = gain / 2 if gain == 10.0 and rng.random() < 0.05 else gain
    spacing = float(
        np.clip(rng.normal({12: 14.5, 13: 14.0, 7: 24, 6: 25}.get(n, 32.0), 3.5), 9.5 if n >= 12 else 15, 48)
    )
    margin_left = float(rng.choice([rng.uniform(1, 8), rng.uniform(8, 22)], p=[0.35, 0.65]))
    pulse = pick(rng, {"none": 0.28, "left": 0.5, "first": 0.1, "right": 0.12})
    lead_in = margin_left + (rng.uniform(7, 11) if pulse in ("left", "first") else 0.0)
    cropped = rng.random() < 0.35
    top = float(rng.uniform(6, 24) if cropped else rng.uniform(25, 90 if n < 6 else 45))
    bottom = float(rng.uniform(6, 22) if cropped else rng.uniform(12, 45))
    row_y = top + spacing * 0.5 + spacing * np.arange(n) + rng.normal(0, 0.15, n) * (rng.random() < 0.3)
    right = float(rng.uniform(2, 20)) + (9.0 if pulse == "right" else 0.0)
    width = min(width, 268.0)
    size = (lead_in + width + right, float(row_y[-1] + spacing * 0.5 + bottom))
    grid = pick(rng, GRIDS)
    ink_name = str(rng.choice(list(GRID_INKS), p=GRID_INK_WEIGHTS))
    ink, spread = GRID_INKS[ink_name]
    grid_ink = tuple(int(v) for v in np.clip(np.array(ink) + rng.normal(0, spread * 0.5, 3), 10, 250))
    faint = rng.random() < 0.22
    minor_alpha = float(rng.uniform(0.06, 0.25) if faint else rng.uniform(0.25, 0.95))
    major_alpha = float(np.clip(minor_alpha * rng.uniform(1.1, 2.2) + rng.uniform(0.02, 0.25), 0.1, 1.0))
    if rng.random() < 0.06:
        minor_alpha *= 0.15
    tint = rng.random()
    paper = np.array([255.0, 255, 255]) - (rng.uniform(0, 12, 3) if tint < 0.6 else rng.uniform(0, 40, 3))
    if tint > 0.85:  # paper tinted with the grid's own colour
        paper = paper * 0.75 + np.array(grid_ink) * 0.25
    dark = float(rng.choice([rng.uniform(0, 40), rng.uniform(40, 110)], p=[0.75, 0.25]))
    ink_rgb = np.clip(dark + rng.normal(0, 8, 3) + (np.array([0, 0, 60]) if rng.random() < 0.12 else 0), 0, 160)
    if rng.random() < 0.03:
        ink_rgb = np.array([[170, 20, 30], [20, 60, 150], [10, 90, 40]])[int(rng.integers(3))]
    box_margin = 0.0 if rng.random() < 0.6 else float(rng.uniform(0.5, 4))
    header_free = 0.0 if rng.random() < 0.6 else max(0.0, top - float(rng.uniform(2, 10)))
    place = pick(rng, {"above": 0.5, "below": 0.27, "left": 0.12, "high": 0.11})
    if place == "left" and lead_in < 9:
        place = "above"
    # a label must stay nearer to its own row than the row spacing allows
    reach = min(spacing * 0.45, 11.0)
    dy = {"above": -rng.uniform(0.35, 1.0) * reach, "below": rng.uniform(0.3, 0.95) * reach,
          "left": rng.normal(0, 1.0), "high": -spacing * rng.uniform(0.38, 0.5)}[place]  # fmt: skip
    return PageStyle(
        layout=layout, rows=rows, size_mm=size, left_mm=lead_in, width_mm=width,
        row_mm=tuple(float(v) for v in row_y), mm_per_s=mm_per_s, mm_per_mV=(gain, chest),
        sequential=bool(rng.random() < 0.75),
        gap_mm=float(rng.choice([0.0, rng.uniform(0.3, 4)], p=[0.75, 0.25])),
        separator=pick(rng, SEPARATORS),
        separator_mm=float(rng.uniform(1.5, 9)),
        separator_thick_mm=float(rng.choice([rng.uniform(0.12, 0.45), rng.uniform(0.45, 1.2)], p=[0.65, 0.35])),
        pulse=pulse, pulse_gap_mm=float(rng.choice([0.0, rng.uniform(0.2, 2.5)], p=[0.6, 0.4])),
        pulse_flat_mm=float(rng.choice([0.0, rng.uniform(0.4, 1.6)], p=[0.4, 0.6])),
        label_place=place, label_dx_mm=float(rng.uniform(-0.5, 5.0)), label_dy_mm=float(dy),
        label_height_mm=float(np.clip(rng.normal(2.9, 0.75) * (1.5 if rng.random() < 0.15 else 1.0), 1.5, 5.5)),
        label_case=pick(rng, {"normal": 0.86, "upper": 0.11, "lower": 0.03}),
        labels_missing=1.0 if rng.random() < 0.03 else (0.12 if rng.random() < 0.08 else 0.0),
        grid=grid, grid_origin_mm=(float(rng.uniform(-5, 0)), float(rng.uniform(-5, 0))),
        grid_box_mm=(box_margin, max(box_margin, header_free), size[0] - box_margin, size[1] - box_margin),
        grid_ink=(grid_ink[0], grid_ink[1], grid_ink[2]), minor_alpha=minor_alpha, major_alpha=major_alpha,
        minor_mm=float(rng.uniform(0.09, 0.22)), major_mm=float(rng.uniform(0.14, 0.42)),
        paper=(int(paper[0]), int(paper[1]), int(paper[2])),
        ink=(int(ink_rgb[0]), int(ink_rgb[1]), int(ink_rgb[2])),
        trace_mm=float(np.clip(rng.lognormal(np.log(0.28), 0.35), 0.13, 0.75)),
        dot_mm=float(rng.choice([0.0, 0.125, 0.0625], p=[0.75, 0.15, 0.10])),
        text_ink=(int(dark), int(dark), int(dark)),
        scale_text=pick(rng, {"none": 0.22, "bottom": 0.45, "top": 0.13, "row": 0.2}),
        header=bool(not cropped and rng.random() < 0.75), ticks=bool(rng.random() < 0.06),
        filter_hz=float(rng.choice([0.0, 40.0, 100.0, 150.0], p=[0.55, 0.2, 0.1, 0.15])),
        baseline_hz=float(rng.choice([0.0, 0.05, 0.5], p=[0.45, 0.2, 0.35])),
    )  # fmt: skip


def ordinary_style(rng: Rng, *, layout: str | None = None) -> PageStyle:
    """Draw the look of a page of an archive: all that `random_style` draws, less what is rare outside training.

    25 mm/s and 10 mm/mV, leads in their usual order (or Cabrera's), all with their names, columns one after the other,
    at least 8 s wide, on a grid. Raises as `random_style` does.
    """
    while True:
        style = random_style(rng, layout=layout)
        if _is_ordinary(style):
            return style


def _is_ordinary(style: PageStyle) -> bool:
    usual_scale = style.mm_per_s == 25.0 and style.mm_per_mV == (10.0, 10.0)
    columns = list(zip(*(row.leads for row in style.rows if not row.rhythm), strict=True))
    leads = tuple(lead for column in columns for lead in column)
    usual_order = [tuple(lead for lead in order if lead in leads) for order in (LEADS, (*CABRERA, *CHEST))]
    return (
        usual_scale and style.sequential and style.width_mm >= ORDINARY_WIDTH_MM and style.grid != "none"
        and not style.labels_missing and (style.layout == "4x3" or leads in usual_order)
    )  # fmt: skip
