"""The exact truth of a rendered page, and its file format; nothing is drawn here."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.geometry import from_upright_pixels, from_upright_xy, to_upright_pixels, to_upright_xy

FORMAT_VERSION = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LeadTruth:
    """One printed stretch of one lead, in sheet millimetres (x right, y down)."""

    lead: str
    row: int
    column: int
    t0_s: float
    start_mm: float
    end_mm: float
    axis_mm: float
    zero_mm: float
    line_mm: Floats  # [n, 2]: the drawn polyline, samples at the source rate
    mm_per_mV: float


@dataclass(frozen=True, slots=True)
class LabelTruth:
    """A printed lead name or scale text, or a calibration pulse: its name and box in sheet millimetres."""

    name: str
    box_mm: tuple[float, float, float, float]  # x0, y0, x1, y1

    @property
    def centre_mm(self) -> tuple[float, float]:
        """Return the middle of the box."""
        x0, y0, x1, y1 = self.box_mm
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True, slots=True)
class SheetTruth:
    """What was drawn on the flat sheet."""

    size_mm: tuple[float, float]
    grid_origin_mm: tuple[float, float]
    grid_style: str  # "full", "major" (5-mm lines only), "uniform" (1-mm lines, no 5-mm emphasis), "none"
    mm_per_s: float
    layout: str
    leads: tuple[LeadTruth, ...]
    labels: tuple[LabelTruth, ...]
    pulses_mm: tuple[Floats, ...]  # polylines of the calibration pulses
    record_mv: NDArray[np.float32]  # [12, n] at record_fs, NaN where nothing is printed
    record_fs: float


@dataclass(frozen=True, slots=True)
class PageTruth:
    """A sheet's truth together with the dense map from the sheet to the pixels of the picture.

    `orientation` 0..7 says how the upright page was mirrored and turned to give the picture; the lattice follows.
    """

    sheet: SheetTruth
    lattice_px: Floats  # [R, C, 2] page pixels of the sheet's lattice points
    lattice_step_mm: float
    kind: str
    orientation: int


def turned(pixels: NDArray[np.uint8], truth: PageTruth, orientation: int) -> tuple[NDArray[np.uint8], PageTruth]:
    """Mirror and turn an upright page into an orientation 0..7; raise ValueError if it is turned already."""
    if truth.orientation != 0:
        raise ValueError(f"the page has orientation {truth.orientation} already")
    page = from_upright_pixels(pixels, orientation)
    lattice_px = from_upright_xy(truth.lattice_px, orientation, page_shape=page.shape)
    return np.ascontiguousarray(page), replace(truth, lattice_px=lattice_px, orientation=orientation)


def upright(pixels: NDArray[np.uint8], truth: PageTruth) -> tuple[NDArray[np.uint8], PageTruth]:
    """Undo `turned`."""
    lattice_px = to_upright_xy(truth.lattice_px, truth.orientation, page_shape=pixels.shape)
    page = to_upright_pixels(pixels, truth.orientation)
    return np.ascontiguousarray(page), replace(truth, lattice_px=lattice_px, orientation=0)


def encode_truth(truth: PageTruth) -> bytes:
    """Return a page's truth as the content of a compressed .npz file without pickled objects."""
    sheet = truth.sheet
    arrays: dict[str, NDArray[np.generic]] = {
        "lattice_px": truth.lattice_px.astype(np.float32),
        "record_mv": sheet.record_mv.astype(np.float32),
    }
    for i, lead in enumerate(sheet.leads):
        arrays[f"line_{i}"] = lead.line_mm.astype(np.float32)
    for i, pulse in enumerate(sheet.pulses_mm):
        arrays[f"pulse_{i}"] = pulse.astype(np.float32)
    about = {
        "version": FORMAT_VERSION,
        "size_mm": sheet.size_mm,
        "grid_origin_mm": sheet.grid_origin_mm,
        "grid_style": sheet.grid_style,
        "mm_per_s": sheet.mm_per_s,
        "layout": sheet.layout,
        "record_fs": sheet.record_fs,
        "lattice_step_mm": truth.lattice_step_mm,
        "kind": truth.kind,
        "orientation": truth.orientation,
        "labels": [[label.name, *label.box_mm] for label in sheet.labels],
        "leads": [
            [x.lead, x.row, x.column, x.t0_s, x.start_mm, x.end_mm, x.axis_mm, x.zero_mm, x.mm_per_mV]
            for x in sheet.leads
        ],
        "pulses": len(sheet.pulses_mm),
    }
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load_truth(path: Path) -> PageTruth:
    """Read a file of `encode_truth`; raise ValueError for another version."""
    with np.load(path, allow_pickle=False) as z:
        about = json.loads(bytes(z["about"]).decode())
        if about["version"] != FORMAT_VERSION:
            raise ValueError(f"{path.name}: truth version {about['version']} is not {FORMAT_VERSION}")
        leads = tuple(
            LeadTruth(
                lead=row[0],
                row=row[1],
                column=row[2],
                t0_s=row[3],
                start_mm=row[4],
                end_mm=row[5],
                axis_mm=row[6],
                zero_mm=row[7],
                line_mm=z[f"line_{i}"].astype(np.float64),
                mm_per_mV=row[8],
            )
            for i, row in enumerate(about["leads"])
        )
        sheet = SheetTruth(
            size_mm=tuple(about["size_mm"]),
            grid_origin_mm=tuple(about["grid_origin_mm"]),
            grid_style=about["grid_style"],
            mm_per_s=about["mm_per_s"],
            layout=about["layout"],
            leads=leads,
            labels=tuple(LabelTruth(row[0], (row[1], row[2], row[3], row[4])) for row in about["labels"]),
            pulses_mm=tuple(z[f"pulse_{i}"].astype(np.float64) for i in range(about["pulses"])),
            record_mv=z["record_mv"],
            record_fs=about["record_fs"],
        )
        return PageTruth(
            sheet=sheet,
            lattice_px=z["lattice_px"].astype(np.float64),
            lattice_step_mm=about["lattice_step_mm"],
            kind=about["kind"],
            orientation=about["orientation"],
        )
