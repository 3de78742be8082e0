"""Small synthetic pages with their truth, and networks that answer from that truth: no weights, exact maps.

A runtime is shown views and strips, not told where they were taken. So the printed page goes into the darker half of
the blue and green channels, and the red channel, always the brightest, carries a code from which any view can be
located: bands of the paper in turn hold a ramp along x and a ramp along y.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord
from ecgstudio.core.geometry import from_upright_pixels, from_upright_xy, to_upright_pixels, to_upright_xy
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS, LEADS, SCALE_TEXTS
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.contract import (
    LABEL_CLASSES,
    NULL_STATUS,
    ORIENTATIONS,
    FloatMap,
    GridMaps,
    Image,
    KeypointMaps,
    TraceMaps,
)
from ecgstudio.stages.names import NAME_PX_PER_MM, NAME_SHAPE, TEXT_PX_PER_MM, TEXT_SHAPE
from ecgstudio.stages.quality import QualityReport, assess
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.stage0_keypoints import detect_keypoints
from ecgstudio.stages.stage1_grid import fit_grid
from ecgstudio.stages.stage2_trace import read_traces
from tests.fake_classifier import NoClassifier
from training.signals import synthesize_record
from training.synth.page import render_sheet
from training.synth.style import PageStyle, RowStyle, random_style
from training.synth.truth import LeadTruth, SheetTruth

PX_PER_MM = 6.0
GRID_ORIGIN_MM = (-2.0, -3.0)
PRINT_LEVELS = 120  # paper white in blue and green; what is printed is darker
X_LOW, Y_LOW, RAMP_SPAN = 136.0, 196.0, 45.0  # not 128, with which stage 0 pads
OUTSIDE = 255
BAND_MM, FRAME_MM = 6.0, 1.0
CELL_PX = 4
ENOUGH_PX = 30_000  # of a view, to find where it was taken
CONTRAST = 0.25  # of a normalised strip
EDGE_PX, NAME_REACH_MM, TEXT_REACH_MM, ALIKE = 8, 2.0, 3.2, 0.75  # of crops: edge left out, slips, least likeness
NEAR_MM = 9.0  # a strip further than this from every axis is of no lead
LEFT_MM = 16.0
ROW_SPACING_MM = {1: 32.0, 4: 32.0, 7: 25.0, 12: 16.0}
SETTINGS = PipelineSettings()


@dataclass(frozen=True, slots=True, eq=False)
class SynthPage:
    """A flat page at 6 px/mm with what was printed on it; `upright_wh` is the upright page's size in pixels."""

    page: Page
    sheet: SheetTruth = field(repr=False)
    orientation: int
    upright_wh: tuple[int, int]

    def to_page(self, sheet_mm: F64) -> F64:
        """Map sheet millimetres [N, 2] to pixels of the page as it is."""
        return from_upright_xy(sheet_mm * PX_PER_MM - 0.5, self.orientation, page_shape=self.page.pixels.shape)

    def to_sheet(self, xy: F64) -> F64:
        """Map pixels of the page as it is [N, 2] to sheet millimetres."""
        return (to_upright_xy(xy, self.orientation, page_shape=self.page.pixels.shape) + 0.5) / PX_PER_MM


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What every stage answered for a page."""

    keypoints: Keypoints
    grid: GridFit
    ecg: DigitizedEcg
    record: EcgRecord
    quality: QualityReport


@functools.cache
def same_fonts_everywhere(font: str) -> tuple[str, ...]:
    """Return the one font that pages are printed in: by those of a machine, texts would have other lengths."""
    import matplotlib  # heavy, and only its fonts are needed

    return (str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"),)


@functools.cache
def synth_page(
    layout: str = "3x4+1",
    *,
    font: str = "STIXGeneral",
    mm_per_s: float = 25.0,
    gain: float = 10.0,
    width_mm: float = 130.0,
    orientation: int = 0,
    pulse: str = "left",
    scale_text: str = "bottom",
    swapped: tuple[str, str] | None = None,
    rhythm: str | None = None,
    sequential: bool = True,
    grid: str = "full",
    seed: int = 5,
) -> SynthPage:
    """Print a record in a template's layout.

    `swapped` names two leads whose names changed places, `rhythm` the lead of all rhythm strips; columns that are not
    `sequential` show the same seconds.
    """
    record = synthesize_record(np.random.default_rng(seed))
    style = page_style(layout, mm_per_s=mm_per_s, gain=gain, width_mm=width_mm, pulse=pulse, scale_text=scale_text)
    if rhythm is not None:
        style = replace(style, rows=tuple(replace(r, leads=(rhythm,)) if r.rhythm else r for r in style.rows))
    style = replace(style, sequential=sequential, grid=grid)
    mv = record.mv.copy()
    if swapped is not None:
        first, second = map(LEADS.index, swapped)
        mv[[first, second]] = mv[[second, first]]
    sheet = render_sheet(
        mv, record.fs, rng=np.random.default_rng(seed), px_per_mm=PX_PER_MM, style=style,
        fonts=same_fonts_everywhere(font),
    )  # fmt: skip
    return coded(sheet.pixels, sheet.truth, orientation)


def page_style(
    layout: str, *, mm_per_s: float, gain: float, width_mm: float, pulse: str = "left", scale_text: str = "bottom"
) -> PageStyle:
    """Return a plain look: full grid, names above their traces, nothing at random that matters."""
    template = LAYOUTS[layout]
    rows = tuple(RowStyle(leads, rhythm=i >= len(template.rows)) for i, leads in enumerate(template.all_rows))
    spacing = next(mm for most, mm in sorted(ROW_SPACING_MM.items()) if len(rows) <= most)
    row_mm = tuple(float(v) for v in 36.0 + spacing * np.arange(len(rows)))
    size_mm = (LEFT_MM + width_mm + 12.0, row_mm[-1] + 30.0)
    return replace(
        random_style(np.random.default_rng(8), layout="3x4"),
        layout=layout, rows=rows, size_mm=size_mm, left_mm=LEFT_MM, width_mm=width_mm, row_mm=row_mm,
        mm_per_s=mm_per_s, mm_per_mV=(gain, gain), sequential=True, gap_mm=0.0, separator="none", pulse=pulse,
        pulse_gap_mm=0.5, pulse_flat_mm=1.0, label_place="above", label_dx_mm=1.0, label_dy_mm=-6.0,
        label_height_mm=2.8,
        label_case="normal", labels_missing=0.0, grid="full", grid_origin_mm=GRID_ORIGIN_MM,
        grid_box_mm=(0.0, 0.0, *size_mm), grid_ink=(235, 110, 110), minor_alpha=0.6, major_alpha=0.95, minor_mm=0.15,
        major_mm=0.35, paper=(255, 255, 255), ink=(0, 0, 0), trace_mm=0.3, dot_mm=0.0, text_ink=(0, 0, 0),
        scale_text=scale_text, header=False, ticks=False, filter_hz=0.0, baseline_hz=0.0,
    )  # fmt: skip


def coded(pixels: Image, sheet: SheetTruth, orientation: int) -> SynthPage:
    """Take an upright printed sheet at 6 px/mm for a page: add the code that locates views, then turn it."""
    height, width = pixels.shape[:2]
    printed = np.round(pixels.min(axis=2) / 255 * PRINT_LEVELS).astype(np.uint8)
    x, y = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    along_x = np.broadcast_to((np.arange(height) / PX_PER_MM // BAND_MM % 2 == 0)[:, None], (height, width))
    code = np.where(along_x, X_LOW + RAMP_SPAN * x, Y_LOW + RAMP_SPAN * y)
    frame = round(FRAME_MM * PX_PER_MM)
    red = np.full((height, width), OUTSIDE, np.uint8)
    red[frame:-frame, frame:-frame] = np.round(code[frame:-frame, frame:-frame])
    turned = np.ascontiguousarray(from_upright_pixels(np.stack([red, printed, printed], axis=2), orientation))
    page = Page(PageId("5" * 64, orientation), turned, None, "synthetic.png")
    return SynthPage(page, sheet, orientation, (width, height))


@functools.cache
def read_page(synth: SynthPage) -> Reading:
    """Run every stage over a page behind networks that make no mistake."""
    runtime = TruthRuntime(synth)
    keypoints = detect_keypoints(synth.page, runtime=runtime, settings=SETTINGS.keypoints, status=NULL_STATUS)
    grid = fit_grid(synth.page, keypoints, runtime=runtime, settings=SETTINGS.grid, status=NULL_STATUS)
    ecg = read_traces(synth.page, keypoints, grid, runtime=runtime, settings=SETTINGS.traces, status=NULL_STATUS)
    record = assemble(ecg, grid, settings=SETTINGS.assemble)
    return Reading(keypoints, grid, ecg, record, assess(keypoints, grid, ecg, record, settings=SETTINGS.quality))


def true_keypoints(synth: SynthPage) -> Keypoints:
    """Return what stage 0 ought to answer."""
    labels = synth.sheet.labels
    ahead = np.diff(synth.to_page(np.array([[0.0, 0.0], [1.0, 0.0]])), axis=0)[0]
    return Keypoints(
        names=tuple(label.name for label in labels),
        xy=synth.to_page(np.array([label.centre_mm for label in labels], np.float64).reshape(-1, 2)),
        confidence=np.ones(len(labels)),
        orientation=synth.orientation,
        orientation_confidence=1.0,
        px_per_mm=PX_PER_MM,
        angle_rad=float(np.arctan2(ahead[1], ahead[0])),
        mirrored=synth.orientation >= 4,
    )


def true_grid(synth: SynthPage, *, skew: float = 0.0) -> GridFit:
    """Return the lattice of the whole sheet, its nodes on the printed 5-mm lines.

    With a `skew` the lines down the paper lean to the left of the print: on the lattice it moves by this many mm to the
    right per mm downwards.
    """
    counts = (int(np.ceil((side - at) / 5)) + 1 for side, at in zip(synth.sheet.size_mm, GRID_ORIGIN_MM, strict=True))
    x, y = np.meshgrid(*(np.arange(n) * 5.0 + at for n, at in zip(counts, GRID_ORIGIN_MM, strict=True)))
    gain = synth.sheet.leads[0].mm_per_mV if synth.sheet.leads else 10.0
    nodes = synth.to_page(np.stack([(x - skew * y).ravel(), y.ravel()], axis=1)).reshape(*x.shape, 2)
    return GridFit(nodes, PaperScale(synth.sheet.mm_per_s, gain, "truth"), 0.99)


def draw_cells(kind: FloatMap, x_px: F64, y_px: F64) -> None:
    """Mark the cells of a segmentation map, 4 rows x 2 columns each, that a line runs through."""
    cells = np.stack([(x_px + 0.5) / 2 - 0.5, (y_px + 0.5) / 4 - 0.5], axis=1)
    fixed = np.round(np.clip(cells, -2000, 4000) * 16).astype(np.int32)
    if len(fixed) > 1:
        cv2.polylines(kind, [fixed[:, None]], False, 1.0, 1, cv2.LINE_8, 4)


@dataclass(frozen=True, slots=True, eq=False)
class TruthRuntime(NoClassifier):
    """Answers as perfect networks would for views of one page."""

    synth: SynthPage
    device: str = "cpu"
    weights_hash: str = "truth"
    name_zoom: float = 1.0  # of the crops in which names are known

    def keypoints(self, image: Image) -> KeypointMaps:
        """Mark every printed name and marker, and say how the view lies."""
        place = self._place(image[..., 0].astype(np.float64), at_least=50)
        rows, columns = image.shape[0] // CELL_PX, image.shape[1] // CELL_PX
        x_mm, y_mm = _cells_mm(place, rows, columns)
        labels = np.zeros((len(LABEL_CLASSES), rows, columns), np.float32)
        for label in sorted(self.synth.sheet.labels, key=lambda label: label.name != "pulse"):
            x0, y0, x1, y1 = label.box_mm
            here = (x_mm > x0 - 0.4) & (x_mm < x1 + 0.4) & (y_mm > y0 - 0.4) & (y_mm < y1 + 0.4)
            labels[:, here] = 0
            labels[LABEL_CLASSES.index(label.name)][here] = 0.97
        labels[0] = 1 - labels.sum(axis=0)
        across = np.linalg.inv(place[:, :2])[:, 0]  # the paper's x axis in the view, px per mm
        angle = float(np.arctan2(across[1], across[0]))
        mirrored = np.linalg.det(place[:, :2]) < 0
        turns = round((np.pi - angle if mirrored else -angle) / (np.pi / 2)) % 4
        orientation = np.full(ORIENTATIONS, 0.01 / 7, np.float32)
        orientation[turns + 4 * mirrored] = 0.99
        geometry = np.empty((4, image.shape[0] // 32, image.shape[1] // 32), np.float32)
        geometry[0] = 0.98
        geometry[1] = np.log2(np.hypot(*across))
        geometry[2], geometry[3] = np.cos(4 * angle), np.sin(4 * angle)
        return KeypointMaps(labels, orientation, geometry)

    def names(self, crops: FloatMap) -> FloatMap:
        """Compare the middle of each crop with the print around every lead name."""
        px_per_mm = self.name_zoom * NAME_PX_PER_MM
        return _most_alike(crops, _patches(self.synth, LEADS, NAME_SHAPE, px_per_mm, NAME_REACH_MM), LEADS)

    def texts(self, crops: FloatMap) -> FloatMap:
        """Compare the middle of each crop with the print around every scale text."""
        patches = _patches(self.synth, SCALE_TEXTS, TEXT_SHAPE, TEXT_PX_PER_MM, TEXT_REACH_MM)
        return _most_alike(crops, patches, SCALE_TEXTS)

    def grid(self, image: Image) -> GridMaps:
        """Mark nodes, lines, strip axes, ink and the ends of leads."""
        sheet = self.synth.sheet
        place = self._place(image[..., 0].astype(np.float64), at_least=50)
        x_mm, y_mm = _cells_mm(place, image.shape[0] // CELL_PX, image.shape[1] // CELL_PX)
        inside = (x_mm > 0) & (y_mm > 0) & (x_mm < sheet.size_mm[0]) & (y_mm < sheet.size_mm[1])
        away = [mm - at for mm, at in zip((x_mm, y_mm), sheet.grid_origin_mm, strict=True)]
        phase = np.stack([wave(2 * np.pi * mm / 5) for mm in away for wave in (np.cos, np.sin)]) * inside
        lines = np.stack([(np.abs((mm + 2.5) % 5 - 2.5) < 0.4) & inside for mm in away])
        axis, ink, edge = (np.zeros(x_mm.shape, bool) for _ in range(3))
        for lead in sheet.leads:
            along = (x_mm > lead.start_mm) & (x_mm < lead.end_mm)
            axis |= along & (np.abs(y_mm - lead.axis_mm) < 0.5)
            ink |= along & (np.abs(y_mm - np.interp(x_mm, *lead.line_mm.T)) < 0.5)
            for end_mm in (lead.start_mm, lead.end_mm):
                edge |= (np.abs(x_mm - end_mm) < 0.5) & (np.abs(y_mm - lead.axis_mm) < 4)
        maps = (lines[0] & lines[1], phase, lines, axis, ink, edge)
        return GridMaps(*(np.asarray(each, np.float32) * np.float32(0.95) for each in maps))

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Put a Gaussian at the true height of the trace whose axis is nearest to each strip's middle."""
        batch, _, height, width = strips.shape
        columns = np.full((batch, height, 2 * width), -np.log(height), np.float32)
        presence, boundary = (np.full((batch, 2 * width), 0.02, np.float32) for _ in range(2))
        segmentation = np.zeros((batch, 3, height // 4, width // 2), np.float32)
        at_px = (np.arange(2 * width) + 0.5) / 2 - 0.5
        for strip, column, kinds, printed, end in zip(strips, columns, segmentation, presence, boundary, strict=True):
            # the brightness of the paper in the darker channel is known, and with it what normalising took away
            shift = PRINT_LEVELS / 255 - CONTRAST * np.percentile(strip[1], 97)
            place = self._place((CONTRAST * strip[0].astype(np.float64) + shift) * 255, at_least=2000)
            middle = (height - 1) / 2
            x_mm, y_mm = place @ np.stack([at_px, np.full_like(at_px, middle), np.ones_like(at_px)])
            own = self._nearest_row(float(np.median(y_mm)))
            if not own:
                continue
            pulses = [p for p in self.synth.sheet.pulses_mm if abs(p[0, 1] - own[0].zero_mm) < 0.5]
            for line_mm in (*pulses, *(lead.line_mm for lead in own)):
                here = (x_mm >= line_mm[0, 0]) & (x_mm <= line_mm[-1, 0])
                if here.sum() < 2:
                    continue
                y = middle + (np.interp(x_mm, *line_mm.T) - y_mm) / place[1, 1]
                sigma = np.clip(np.hypot(1.0, 0.5 * np.gradient(y)), 1.0, 8.0)
                column[:, here] = -0.5 * (((np.arange(height)[:, None] - y) / sigma)[:, here]) ** 2
            for lead in self.synth.sheet.leads:
                y = middle + (np.interp(x_mm, *lead.line_mm.T) - y_mm) / place[1, 1]
                here = (x_mm >= lead.line_mm[0, 0]) & (x_mm <= lead.line_mm[-1, 0])
                draw_cells(kinds[1 if lead in own else 2], at_px[here], y[here])
            for lead in own:
                printed[(x_mm >= lead.start_mm) & (x_mm <= lead.end_mm)] = 0.98
                for end_mm in (lead.start_mm, lead.end_mm):
                    end[np.abs(x_mm - end_mm) < 0.15] = 0.95
        columns -= columns.max(axis=1, keepdims=True)
        columns -= np.log(np.exp(columns).sum(axis=1, keepdims=True))
        segmentation[:, 0] = 1 - segmentation[:, 1:].max(axis=1)
        return TraceMaps(columns, segmentation, presence, boundary)

    def _nearest_row(self, y_mm: float) -> list[LeadTruth]:
        """Return the leads of the row whose axis is nearest, none if it is far away."""
        leads = self.synth.sheet.leads
        nearest = min(leads, key=lambda lead: abs(lead.axis_mm - y_mm), default=None)
        if nearest is None or abs(nearest.axis_mm - y_mm) > NEAR_MM:
            return []
        return [lead for lead in leads if lead.row == nearest.row]

    def _place(self, code: F64, *, at_least: int) -> F64:
        """Find the affine map [2, 3] from view pixels to sheet mm from the code in its brightest channel."""
        width, height = self.synth.upright_wh
        out = np.empty((2, 3))
        for k, (low, pixels) in enumerate(((X_LOW, width), (Y_LOW, height))):
            ours = ((code > low - 3) & (code < low + RAMP_SPAN + 3)).astype(np.uint8)
            ours = cv2.erode(ours, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
            y, x = np.nonzero(ours)
            if len(y) < at_least:
                raise AssertionError(f"no page of ours in a view of {code.shape}")
            if len(y) > ENOUGH_PX:  # at random: evenly spaced ones would share the code's rounding
                some = np.random.default_rng(0).integers(0, len(y), ENOUGH_PX)
                y, x = y[some], x[some]
            design = np.column_stack([x, y, np.ones(len(x))])
            mm = (code[y, x] - low) / RAMP_SPAN * pixels / PX_PER_MM
            keep = np.ones(len(mm), bool)
            for _ in range(4):
                out[k], *_ = np.linalg.lstsq(design[keep], mm[keep], rcond=None)
                miss = np.abs(design @ out[k] - mm)
                keep = miss < max(6.0, 3 * float(np.median(miss)))
        return out


@dataclass(frozen=True, slots=True)
class BlindRuntime(NoClassifier):
    """Answers as networks would for a page with nothing on it; `paper` says whether they take it for ECG paper."""

    paper: float = 0.02
    device: str = "cpu"
    weights_hash: str = "blind"

    def keypoints(self, image: Image) -> KeypointMaps:
        """See no name; take all orientations for equally likely."""
        height, width = image.shape[:2]
        labels = np.zeros((len(LABEL_CLASSES), height // 4, width // 4), np.float32)
        labels[0] = 1
        geometry = np.zeros((4, height // 32, width // 32), np.float32)
        geometry[0], geometry[1], geometry[2] = self.paper, np.log2(3.0), 1.0
        return KeypointMaps(labels, np.full(ORIENTATIONS, 1 / ORIENTATIONS, np.float32), geometry)

    def names(self, crops: FloatMap) -> FloatMap:
        """Read no name."""
        answers = np.zeros((len(crops), 1 + len(LEADS)), np.float32)
        answers[:, 0] = 1
        return answers

    def texts(self, crops: FloatMap) -> FloatMap:
        """Read no scale text."""
        answers = np.zeros((len(crops), 1 + len(SCALE_TEXTS)), np.float32)
        answers[:, 0] = 1
        return answers

    def grid(self, image: Image) -> GridMaps:
        """See no grid and no strip."""
        shape = image.shape[0] // 4, image.shape[1] // 4
        one, two, four = (np.zeros((*n, *shape), np.float32) for n in ((), (2,), (4,)))
        return GridMaps(one, four, two, one, one, one)

    def trace(self, strips: FloatMap) -> TraceMaps:
        """See no trace."""
        batch, _, height, width = strips.shape
        columns = np.full((batch, height, 2 * width), -np.log(height), np.float32)
        none = np.zeros((batch, 2 * width), np.float32)
        return TraceMaps(columns, np.zeros((batch, 3, height // 4, width // 2), np.float32), none, none)


def _cells_mm(place: NDArray[np.float64], rows: int, columns: int) -> tuple[F64, F64]:
    """Return the sheet millimetres of the middles of 4 x 4 cells."""
    x, y = np.meshgrid(*((np.arange(count) + 0.5) * CELL_PX - 0.5 for count in (columns, rows)))
    mm = np.stack([x, y, np.ones_like(x)], axis=-1) @ place.T
    return mm[..., 0], mm[..., 1]


def _most_alike(crops: FloatMap, patches: list[tuple[str, FloatMap]], names: tuple[str, ...]) -> FloatMap:
    """Answer for crops [B, 1, H, W] by the print that their middles are like: "none" first, then `names`."""
    answers = np.full((len(crops), 1 + len(names)), 0.03 / len(names), np.float32)
    for crop, answer in zip(crops[:, 0], answers, strict=True):
        middle = np.ascontiguousarray(crop[EDGE_PX:-EDGE_PX, 3 * EDGE_PX : -3 * EDGE_PX])
        likeness = [
            (float(cv2.matchTemplate(patch, middle, cv2.TM_CCOEFF_NORMED).max()), name) for name, patch in patches
        ]
        best, name = max(likeness, default=(0.0, ""))
        answer[1 + names.index(name) if best > ALIKE else 0] = 0.97
    return answers


@functools.cache
def _patches(
    synth: SynthPage, names: tuple[str, ...], shape: tuple[int, int], px_per_mm: float, reach_mm: float
) -> list[tuple[str, FloatMap]]:
    """Return the print around every label of these names, at the resolution of crops and a little larger."""
    upright = to_upright_pixels(synth.page.pixels, synth.orientation)[..., 2]
    zoom = px_per_mm / PX_PER_MM
    print_ = cv2.resize(upright, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    half = np.array(shape[::-1]) / 2 - [3 * EDGE_PX, EDGE_PX] + reach_mm * px_per_mm
    margin = int(half.max()) + 1
    print_ = cv2.copyMakeBorder(print_, *[margin] * 4, cv2.BORDER_REPLICATE)
    patches = []
    for label in synth.sheet.labels:
        if label.name in names:
            low = np.round(np.array(label.centre_mm) * px_per_mm - half + margin).astype(int)
            high = np.round(np.array(label.centre_mm) * px_per_mm + half + margin).astype(int)
            patches.append((label.name, np.ascontiguousarray(print_[low[1] : high[1], low[0] : high[0]])))
    return patches
