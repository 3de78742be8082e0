"""Perfect networks for one drawn page: what they see is computed from the page's truth, no weights needed.

A runtime is shown views of the page, not told which: the page's red and green channels are ramps along x and y, so that
any view of it tells where it was taken from. Lines and traces are drawn around them.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import from_upright_pixels
from ecgstudio.core.leads import LAYOUTS, LEADS, SCALE_TEXTS, limb_leads
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.contract import LABEL_CLASSES, ORIENTATIONS, FloatMap, GridMaps, Image, KeypointMaps, TraceMaps
from ecgstudio.stages.names import TEXT_PX_PER_MM
from tests.fake_classifier import NoClassifier

PX_PER_MM = 6.0
SHEET_MM = (290.0, 190.0)
LAYOUT = LAYOUTS["3x4+1"]
ROW_MM = (45.0, 80.0, 115.0, 150.0)
START_MM, END_MM = 20.0, 270.0
MM_PER_S, MM_PER_MV, FS = 25.0, 10.0, 500.0
RAMP_LOW, RAMP_SPAN = 150.0, 90.0
LINE_DEPTH, FINE_LINE_DEPTH, INK = 70.0, 45.0, 10.0
CELL_PX = 4
PRINTED_SCALE = (("speed25", 100.0, 178.0), ("gain10", 130.0, 178.0))  # drawn as bars, whose length says which
BAR_MM, BAR_STEP_MM, BAR_HEIGHT_MM = 4.0, 2.0, 2.4
BAR_REACH_MM = 3.0
INK_BELOW = -2.0  # the brightest channel of a normalised strip where there is ink
INK_HALF_PX = 1.0
HALF_ROW_PX = 120  # of a strip at 8 px/mm


@dataclass(frozen=True)
class DrawnPage:
    """A flat 3x4+1 page with its truth: mV [12, 5000] at 500 Hz, NaN where not printed."""

    page: Page
    mv: F64 = field(repr=False)


@dataclass(frozen=True)
class FakeRuntime(NoClassifier):
    """Answers as perfect networks would for views of a page made by `draw_page`."""

    device: str = "cpu"
    weights_hash: str = "perfect"

    def keypoints(self, image: Image) -> KeypointMaps:
        """Mark every printed name, and say how the view lies."""
        to_upright = _view_of(image)
        x_mm, y_mm = _cells_mm(image, to_upright)
        labels = np.zeros((len(LABEL_CLASSES), *x_mm.shape), np.float32)
        for lead, name_x, name_y in (*_names(), *PRINTED_SCALE):
            here = (np.abs(x_mm - name_x) < 2.5) & (np.abs(y_mm - name_y) < 1.6)
            labels[LABEL_CLASSES.index(lead)][here] = 0.97
        labels[0] = 1 - labels.sum(axis=0)
        axis = np.linalg.inv(to_upright[:, :2])[:, 0]  # where the paper's x axis points in the view
        angle = float(np.arctan2(axis[1], axis[0]))
        mirrored = np.linalg.det(to_upright[:, :2]) < 0
        turns = round((np.pi - angle if mirrored else -angle) / (np.pi / 2)) % 4
        orientation = np.full(ORIENTATIONS, 0.01 / 7, np.float32)
        orientation[turns + 4 * mirrored] = 0.99
        geometry = np.empty((4, image.shape[0] // 32, image.shape[1] // 32), np.float32)
        geometry[0] = 0.98
        geometry[1] = np.log2(np.hypot(*axis) * PX_PER_MM)
        geometry[2], geometry[3] = np.cos(4 * angle), np.sin(4 * angle)
        return KeypointMaps(labels, orientation, geometry)

    def names(self, crops: FloatMap) -> FloatMap:
        """See a name in every crop, and leave it to the keypoint maps which."""
        answer = np.full((len(crops), 1 + len(LEADS)), 1 / len(LEADS), np.float32)
        answer[:, 0] = 0
        return answer

    def texts(self, crops: FloatMap) -> FloatMap:
        """Tell scale texts by the length of the bar nearest to the middle of each crop."""
        answers = np.zeros((len(crops), 1 + len(SCALE_TEXTS)), np.float32)
        for crop, answer in zip(crops[:, 0], answers, strict=True):
            row = crop[crop.shape[0] // 2]
            dark = np.flatnonzero(np.diff(row < (row.min() + row.max()) / 2, prepend=False, append=False))
            first, end = dark.reshape(-1, 2).T
            away_px = np.abs((first + end - len(row)) / 2)
            nearest = int(np.argmin(away_px))
            kind = round(((end - first)[nearest] / TEXT_PX_PER_MM - BAR_MM) / BAR_STEP_MM)
            seen = 0 <= kind < len(SCALE_TEXTS) and away_px[nearest] < BAR_REACH_MM * TEXT_PX_PER_MM
            answer[1 + kind if seen else 0] = 0.97
        return answers

    def grid(self, image: Image) -> GridMaps:
        """Mark nodes, lines, strip axes, ink and the ends of leads."""
        x_mm, y_mm = _cells_mm(image, _view_of(image))
        inside = (x_mm > 0) & (y_mm > 0) & (x_mm < SHEET_MM[0]) & (y_mm < SHEET_MM[1])
        x_turn, y_turn = 2 * np.pi * x_mm / 5, 2 * np.pi * y_mm / 5
        phase = np.stack([np.cos(x_turn), np.sin(x_turn), np.cos(y_turn), np.sin(y_turn)]) * inside
        vertical, horizontal = ((np.abs((mm + 2.5) % 5 - 2.5) < 0.4) & inside for mm in (x_mm, y_mm))
        in_row = (x_mm > START_MM) & (x_mm < END_MM)
        axis, edge = np.zeros(x_mm.shape, bool), np.zeros(x_mm.shape, bool)
        for row_mm, leads in zip(ROW_MM, LAYOUT.all_rows, strict=True):
            axis |= (np.abs(y_mm - row_mm) < 0.5) & in_row
            for end_mm in np.linspace(START_MM, END_MM, len(leads) + 1):
                edge |= (np.abs(x_mm - end_mm) < 0.5) & (np.abs(y_mm - row_mm) < 4)
        maps = (vertical & horizontal, phase, np.stack([vertical, horizontal]), axis, axis, edge)
        return GridMaps(*(np.asarray(each, np.float32) * np.float32(0.95) for each in maps))

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Take the dark pixels around the middle of each strip for its own trace."""
        batch, _, height, width = strips.shape
        weight = np.clip(INK_BELOW - strips[:, 0], 0, None)  # lines darken only one channel
        rows = np.arange(height)
        weight[:, np.abs(rows - height / 2) > HALF_ROW_PX] = 0
        mass = weight.sum(axis=1)
        centre = (weight * rows[:, None]).sum(axis=1) / np.maximum(mass, 1e-6)
        printed = np.repeat(mass > 0, 2, axis=1)
        away = rows[:, None] - np.repeat(centre, 2, axis=1)[:, None]
        logits = np.where(printed[:, None], -0.5 * away**2, 0.0)
        columns = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        segmentation = np.zeros((batch, 3, height // 4, width // 2), np.float32)
        segmentation[:, 1] = (weight > 0).reshape(batch, height // 4, 4, width // 2, 2).any(axis=(2, 4))
        segmentation[:, 0] = 1 - segmentation[:, 1]
        presence = np.where(printed, 0.98, 0.02).astype(np.float32)
        return TraceMaps(columns.astype(np.float32), segmentation, presence, np.zeros_like(presence))


def draw_page(*, orientation: int = 0, seed: int = 0) -> DrawnPage:
    """Draw a page at 6 px/mm, 25 mm/s and 10 mm/mV, turned as `orientation` says."""
    width, height = (round(side * PX_PER_MM) for side in SHEET_MM)
    pixels = np.full((height, width, 3), 255.0)
    pixels[..., 0] = RAMP_LOW + RAMP_SPAN * np.arange(width) / width
    pixels[..., 1] = (RAMP_LOW + RAMP_SPAN * np.arange(height) / height)[:, None]
    darkest = pixels[..., :2].min(axis=2)
    for pitch_mm, depth in ((1, FINE_LINE_DEPTH), (5, LINE_DEPTH)):
        across, down = _lines(width, pitch_mm)[None, :], _lines(height, pitch_mm)[:, None]
        cover = np.maximum(across, down)
        blue = (1 - cover) * 255 + cover * (darkest - depth)
        pixels[..., 2] = np.minimum(pixels[..., 2], blue)
    cover = np.zeros((height, width))
    signals, mv = _signals(np.random.default_rng(seed)), np.full((12, 5000), np.nan)
    for row_mm, leads in zip(ROW_MM, LAYOUT.all_rows, strict=True):
        count = 5000 // len(leads)
        for column, lead in enumerate(leads):
            part = slice(column * count, (column + 1) * count)
            mv[LEADS.index(lead), part] = signals[LEADS.index(lead), part]
        row_mv = np.concatenate(
            [signals[LEADS.index(lead)][i * count : (i + 1) * count] for i, lead in enumerate(leads)]
        )
        cover = np.maximum(cover, _ink(row_mm, row_mv, shape=(height, width)))
    for name, middle_mm, height_mm in PRINTED_SCALE:
        half_mm = np.array([bar_mm(name), BAR_HEIGHT_MM]) / 2
        (x0, y0), (x1, y1) = (
            np.round((np.array([middle_mm, height_mm]) + side) * PX_PER_MM).astype(int) for side in (-half_mm, half_mm)
        )
        cover[y0:y1, x0:x1] = 1
    cover = cover[..., None]
    upright = np.round(pixels * (1 - cover) + INK * cover).astype(np.uint8)
    turned = np.ascontiguousarray(from_upright_pixels(upright, orientation))
    return DrawnPage(Page(PageId(f"{seed:064d}", orientation), turned, None, "drawn.png"), mv)


def bar_mm(name: str) -> float:
    """Return the length of the bar that stands for a scale text."""
    return BAR_MM + BAR_STEP_MM * SCALE_TEXTS.index(name)


def _lines(length: int, pitch_mm: int) -> F64:
    """How far the lines cover each of a row of pixels, 0..1; line centres lie on whole millimetres."""
    mm = (np.arange(length) + 0.5) / PX_PER_MM
    away_px = np.abs((mm + pitch_mm / 2) % pitch_mm - pitch_mm / 2) * PX_PER_MM
    return np.clip(1.2 - away_px, 0, 1)


def _ink(row_mm: float, row_mv: F64, *, shape: tuple[int, int]) -> F64:
    """How far a row's trace covers each pixel, 0..1, from the distance to its middle line."""
    x_mm = (np.arange(shape[1]) + 0.5) / PX_PER_MM
    sample = (x_mm - START_MM) / MM_PER_S * FS
    y_px = (row_mm - np.interp(sample, np.arange(5000), row_mv) * MM_PER_MV) * PX_PER_MM - 0.5
    away_px = np.abs(np.arange(shape[0])[:, None] - y_px) / np.hypot(1, np.gradient(y_px))
    return np.clip(INK_HALF_PX + 0.5 - away_px, 0, 1) * ((sample >= 0) & (sample < 5000))


def _names() -> list[tuple[str, float, float]]:
    """Each printed name with the middle of its box in mm: above the start of its trace."""
    return [
        (lead, START_MM + column * (END_MM - START_MM) / len(leads) + 4.0, row_mm - 12.0)
        for row_mm, leads in zip(ROW_MM, LAYOUT.all_rows, strict=True)
        for column, lead in enumerate(leads)
    ]


def _signals(rng: np.random.Generator) -> F64:
    """Twelve leads [12, 5000] in mV that obey Einthoven, slow enough for a column of pixels to tell the height."""
    t_s = np.arange(5000) / FS
    waves = ((-0.25, 0.05, 0.12), (-0.05, 0.05, 0.8), (0.07, 0.05, -0.2), (0.3, 0.08, 0.28))  # at s, width s, mV

    def beat() -> F64:
        phase_s = (t_s + 0.3) % 0.8 - 0.35
        shapes = [rng.uniform(0.5, 1.1) * a * np.exp(-0.5 * ((phase_s - at) / w) ** 2) for at, w, a in waves]
        return np.sum(shapes, axis=0)

    return np.concatenate([limb_leads(beat(), beat()), [beat() for _ in range(6)]])


def _view_of(image: Image) -> F64:
    """Find the affine map 2 x 3 from view pixels to upright page pixels from the ramps, by trimmed least squares."""
    sizes = np.array([round(side * PX_PER_MM) for side in SHEET_MM])
    y, x = np.mgrid[0 : image.shape[0] : 3, 0 : image.shape[1] : 3]
    ramps = image[::3, ::3, :2].astype(np.float64)
    inside = ((ramps > RAMP_LOW + 1.5) & (ramps < RAMP_LOW + RAMP_SPAN - 1.5)).all(axis=2)
    at = np.column_stack([x[inside], y[inside], np.ones(inside.sum())])
    seen = (ramps[inside] - RAMP_LOW) / RAMP_SPAN * sizes
    keep = np.ones(len(at), bool)
    for _ in range(4):
        solution, *_ = np.linalg.lstsq(at[keep], seen[keep], rcond=None)
        miss = np.abs(at @ solution - seen).max(axis=1)
        keep = miss < max(15.0, 3 * float(np.median(miss)))
    return np.asarray(solution.T)


def _cells_mm(image: Image, to_upright: F64) -> tuple[F64, F64]:
    """Paper millimetres of the middles of 4 x 4 cells."""
    rows, columns = image.shape[0] // CELL_PX, image.shape[1] // CELL_PX
    x, y = np.meshgrid(*((np.arange(count) + 0.5) * CELL_PX - 0.5 for count in (columns, rows)))
    px: NDArray[np.float64] = np.stack([x, y, np.ones_like(x)], axis=-1) @ to_upright.T
    return (px[..., 0] + 0.5) / PX_PER_MM, (px[..., 1] + 0.5) / PX_PER_MM
