"""From local phases of a periodic grid to a smooth map between page pixels and paper millimetres.

Phases are unwrapped in two dimensions (as in fringe analysis), a homography takes the bulk, a smoothed residual the
rest; then the map is refined on the original pixels by demodulating the printed lines themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import unwrap_phase

from ecgstudio.core.arrays import F64
from ecgstudio.core.geometry import apply_homography, fit_homography
from ecgstudio.core.grid import GRID_PITCH_MM, GridFit, PaperScale
from ecgstudio.stages.ink import without_ink
from ecgstudio.stages.line_offsets import FIVE_MM, ONE_MM, POLISH, Image, Step, line_offsets, rectified
from ecgstudio.stages.view import brightest_and_darkest, unshaded

Complex = NDArray[np.complex128]

TRUSTED_VECTOR = 0.35  # a smoothed phase vector longer than this is trusted
MAX_SCALE_ERROR = 0.35  # coarse px/mm of stage 0 may be off by this share
UNKNOWN_SCALE = PaperScale(25.0, 10.0, "assumed")


@dataclass(frozen=True, slots=True, eq=False)
class AxisField:
    """One paper coordinate over a raster of cells: mm f64[R, C] (up to a constant) and how far to trust it, 0..1."""

    mm: F64
    weight: F64


def unwrap_axis(phase: Complex, nominal_mm: F64, *, period_mm: float) -> AxisField | None:
    """Turn wrapped phases of one paper axis into millimetres.

    `phase` [R, C] holds vectors exp(2 pi i x_mm / period), shorter where unsure; `nominal_mm` [R, C] is the coordinate
    that stage 0 expects. None when no coherent region is found.
    """
    residual = phase * np.exp(-2j * np.pi * nominal_mm / period_mm)
    rows, columns = residual.shape
    size = (_fast(2 * rows), _fast(2 * columns))
    spectrum = np.abs(np.fft.fft2(residual, size))
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None, :]
    gy, gx = (np.median(np.gradient(nominal_mm, axis=k)) / period_mm for k in (0, 1))
    limit = MAX_SCALE_ERROR * float(np.hypot(gx, gy))
    spectrum[(np.abs(fy) > limit) | (np.abs(fx) > limit)] = 0
    peak = np.unravel_index(int(np.argmax(spectrum)), spectrum.shape)
    ramp = fy[peak[0], 0] * np.arange(rows)[:, None] + fx[0, peak[1]] * np.arange(columns)[None, :]
    flat = residual * np.exp(-2j * np.pi * ramp)
    smooth = ndimage.gaussian_filter(flat.real, 1.5) + 1j * ndimage.gaussian_filter(flat.imag, 1.5)
    weight = np.abs(smooth)
    sure = weight > TRUSTED_VECTOR
    regions, count = ndimage.label(ndimage.binary_opening(sure))
    if count == 0:
        return None
    masses = ndimage.sum(weight, regions, np.arange(1, count + 1))
    main = regions == 1 + int(np.argmax(masses))
    if main.sum() < 60:
        return None
    unwrapped = unwrap_phase(np.ma.masked_array(np.angle(smooth), ~main))
    turns = np.ma.filled(unwrapped, 0.0) / (2 * np.pi)
    mm = nominal_mm + period_mm * (turns + ramp)
    return AxisField(mm=mm, weight=np.where(main, np.clip(weight, 0, 1), 0.0))


def _fast(n: int) -> int:
    return int(cv2.getOptimalDFTSize(n))


@dataclass(frozen=True, slots=True, eq=False)
class CellMap:
    """Cell positions [N, 2] in page pixels -> mm: a homography and a smoothed residual on the raster of cells."""

    homography: F64  # cell (column, row) -> mm
    residual: F64  # [R, C, 2] mm
    weight: F64  # [R, C]

    def to_mm(self, cells: F64) -> F64:
        """Map cell coordinates (column, row) [N, 2] to mm."""
        at = [cells[:, 1], cells[:, 0]]
        extra = [ndimage.map_coordinates(self.residual[..., k], at, order=1, mode="nearest") for k in (0, 1)]
        return apply_homography(self.homography, cells) + np.stack(extra, axis=1)

    def to_cells(self, mm: F64) -> F64:
        """Invert `to_mm` by fixed-point steps (the residual is small and smooth)."""
        inverse = np.asarray(np.linalg.inv(self.homography), np.float64)
        cells = apply_homography(inverse, mm)
        for _ in range(8):
            at = [cells[:, 1], cells[:, 0]]
            extra = [ndimage.map_coordinates(self.residual[..., k], at, order=1, mode="nearest") for k in (0, 1)]
            cells = apply_homography(inverse, mm - np.stack(extra, axis=1))
        return cells


def fit_cells(x: AxisField, y: AxisField) -> CellMap | None:
    """Join both axes: a robust homography from cells to mm, then the smoothed residual."""
    weight = np.sqrt(x.weight * y.weight)
    rows, columns = weight.shape
    r, c = np.nonzero(weight > 0)
    if len(r) < 60:
        return None
    pick = np.random.default_rng(0).permutation(len(r))[:700]
    cells = np.stack([c[pick], r[pick]], axis=1).astype(np.float64)
    mm = np.stack([x.mm[r[pick], c[pick]], y.mm[r[pick], c[pick]]], axis=1)
    base = weight[r[pick], c[pick]]
    trust = base.copy()
    homography = np.eye(3)
    for _ in range(6):
        try:
            homography = fit_homography(cells, mm, weights=trust)
        except ValueError:
            return None
        miss = np.hypot(*(apply_homography(homography, cells) - mm).T)
        spread = max(0.15, 1.5 * float(np.median(miss)))
        trust = base / (1 + (miss / spread) ** 2)
    raster = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(np.float64)
    model = apply_homography(homography, raster).reshape(rows, columns, 2)
    if not np.isfinite(model).all():
        return None
    miss_mm = np.stack([x.mm, y.mm], axis=-1) - model
    w = np.where(np.abs(miss_mm).max(axis=-1) < 12.0, weight, 0.0)
    residual = np.stack([smoothed(miss_mm[..., k], w, sigmas=(2.5, 6.0, 16.0)) for k in (0, 1)], axis=-1)
    return CellMap(homography, residual, weight)


def smoothed(values: F64, weight: F64, *, sigmas: tuple[float, ...]) -> F64:
    """Average values by weight with Gaussians from wide to narrow: the narrow one counts where it has evidence."""
    out = np.zeros_like(values)
    for sigma in sorted(sigmas, reverse=True):
        mass = ndimage.gaussian_filter(weight, sigma, mode="constant")
        mean = ndimage.gaussian_filter(values * weight, sigma, mode="constant") / np.maximum(mass, 1e-6)
        share = mass / (mass + 0.08)
        out = out * (1 - share) + mean * share
    return out


def nodes_from_cells(cell_map: CellMap, *, cells_to_page: F64, margin_mm: float = 90.0) -> F64:
    """Return the 5-mm lattice [R, C, 2] in page pixels over the region in which the grid was seen.

    `cells_to_page` is the 2 x 3 matrix from cell (column, row) to page pixels.
    """
    r, c = np.nonzero(cell_map.weight > 0)
    seen = cell_map.to_mm(np.stack([c, r], axis=1).astype(np.float64))
    rows, columns = cell_map.weight.shape
    border = np.array([[0.0, 0], [columns - 1, 0], [0, rows - 1], [columns - 1, rows - 1]])
    edge = cell_map.to_mm(border)
    low = np.maximum(np.percentile(seen, 0.5, axis=0) - margin_mm, edge.min(axis=0) - 5)
    high = np.minimum(np.percentile(seen, 99.5, axis=0) + margin_mm, edge.max(axis=0) + 5)
    first = np.floor(low / GRID_PITCH_MM) * GRID_PITCH_MM
    count = np.maximum(np.ceil((high - first) / GRID_PITCH_MM).astype(int) + 1, 4)
    count = np.minimum(count, 160)
    x, y = np.meshgrid(first[0] + GRID_PITCH_MM * np.arange(count[0]), first[1] + GRID_PITCH_MM * np.arange(count[1]))
    cells = cell_map.to_cells(np.stack([x.ravel(), y.ravel()], axis=1))
    page = cells @ cells_to_page[:, :2].T + cells_to_page[:, 2]
    return page.reshape(count[1], count[0], 2)


CROP_MARGIN_MM = 60.0
SMOOTH_ORDER = 6
NODE_NOISE_MM, SEEN_NOISE_MM, UNSEEN = 0.06, 0.03, 0.02  # of any nodes, of those on lines; what the others count
DETAIL_BLUR, DETAIL_REACH = 1.0, 8.0  # in nodes, 5 mm apart
BOLD_SHARE = 0.12
LIKELY = 0.5  # of what confirms the best confirmed map
BOLD, BOLDER = 1.8, 1.5  # what repeats every 5 mm against what does not; and against that of another map
LITTLE_CONFIRMED, SAME_PITCH = 0.1, 0.02  # of the same; log ratio of scales
BOLD_PX_PER_MM, BOLD_SMOOTH_PX = 4.0, 20
BOLD_BAND_MM, BOLD_CHUNK_MM = 20.0, 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A map after refinement, with what speaks for it.

    `lines` is the share of the area where printed lines confirm it, `moved_mm` the rms of the last correction,
    `rough_mm` the rms of what no smooth bend of the sheet explains; `bold` tells how much stronger what repeats every
    5 mm is than what repeats a little more or less often: about 1 without emphasised lines, or with a wrong scale.
    """

    grid: GridFit
    lines: float
    seen_px: float
    moved_mm: float
    rough_mm: float
    bold: float = 1.0

    @property
    def confirmed_px(self) -> float:
        """How much of the page the printed lines confirm, less where they do so only here and there."""
        return self.seen_px * self.lines

    def merit(self, expected_px_per_mm: float, *, paper_px: float) -> float:
        """Rank competing maps: confirmed share of the paper, less the signs of a slip to another line or harmonic."""
        off = np.log(self.grid.px_per_mm / expected_px_per_mm) / 0.12
        slips = 0.5 * min(self.moved_mm / 0.1, 1.0) + min(self.rough_mm / 0.4, 1.0) + 0.5 * min(off**2, 2.0)
        return min(self.seen_px / paper_px, 1.0) - slips


def likeliest(candidates: Sequence[Refined], expected_px_per_mm: float) -> Refined:
    """Choose the map whose every fifth line is bold, else among those that the paper confirms alike the likeliest.

    The coarse scale of stage 0 may be off by a quarter: it does not outweigh what is seen.
    """
    confirmed = max(c.confirmed_px for c in candidates)
    likely = [c for c in candidates if c.confirmed_px >= LIKELY * confirmed]
    boldest = max(candidates, key=lambda c: c.bold)
    others = [c.bold for c in candidates if c is not boldest]
    if boldest.confirmed_px > 0 and boldest.bold >= BOLD and all(boldest.bold >= BOLDER * bold for bold in others):
        alike = [c for c in likely if abs(np.log(c.grid.px_per_mm / boldest.grid.px_per_mm)) < SAME_PITCH]
        if boldest.confirmed_px >= LITTLE_CONFIRMED * confirmed or not alike:
            return boldest
        likely = alike  # a scrap of the paper tells how far its lines are apart, a map of more of it where they are
    paper_px = max(1.0, *(c.seen_px for c in candidates))
    return max(likely, key=lambda c: c.merit(expected_px_per_mm, paper_px=paper_px))


def refine(pixels: Image, grid: GridFit, *, anchored: bool) -> Refined:
    """Move the map onto the printed 1-mm lines, before that onto the 5-mm lines if the map claims to know those."""
    darkest = brightest_and_darkest(pixels)[1]
    return finished(pixels, darkest, moved_onto_lines(darkest, grid, anchored=anchored), anchored=anchored)


def moved_onto_lines(darkest: Image, grid: GridFit, *, anchored: bool) -> Refined:
    """Move the map as `refine` does, given the darkest channel, but for the last of it: enough to compare maps."""
    lines, seen_px, moved = 0.0, 0.0, np.inf
    for step in (FIVE_MM, *ONE_MM) if anchored else ONE_MM:
        shift, seen = _towards_lines(darkest, grid, step)
        if seen.mean() < 0.01:
            continue
        grid = shifted(grid, shift, block_mm=step.block_mm)
        if step.grows:
            continue
        moved = float(np.sqrt((shift[seen] ** 2).mean()))
        if step.period_mm == 1.0 or lines == 0.0:
            seen_px = float(seen.sum()) * (step.block_mm * grid.px_per_mm) ** 2
            cropped, lines = _cropped(grid, seen, block_mm=step.block_mm)
            if not anchored:  # what the network saw reaches further than the lines that are clear enough to confirm it
                grid = cropped
    return Refined(grid, lines, seen_px, moved, _roughness_mm(grid))


def finished(pixels: Image, darkest: Image, found: Refined, *, anchored: bool) -> Refined:
    """Tell the millimetres of a moved map by its bold lines, unless it was anchored to these, and take the ink off."""
    grid, lines, seen_px, moved = found.grid, found.lines, found.seen_px, found.moved_mm
    if not anchored and lines > 0:
        if _is_harmonic(darkest, grid):
            lines, seen_px, moved = 0.0, 0.0, np.inf
        grid = _on_bold_lines(darkest, grid)
    bare = without_ink(pixels, px_per_mm=grid.px_per_mm) if lines > 0 else None
    if bare is not None:
        grid = shifted(grid, _towards_lines(bare, grid, POLISH)[0], block_mm=POLISH.block_mm)
    return Refined(grid, lines, seen_px, moved, _roughness_mm(grid), _boldness(darkest, grid))


def rescaled(grid: GridFit, zoom: float, *, zoom_down: float | None = None) -> GridFit:
    """Return the map of the same paper whose millimetres are `zoom` times as long, down the page `zoom_down` times."""
    steps_mm = GRID_PITCH_MM * zoom, GRID_PITCH_MM * (zoom if zoom_down is None else zoom_down)
    columns, rows = (max(2, int(np.ceil(s / step)) + 1) for s, step in zip(grid.size_mm, steps_mm, strict=True))
    x, y = np.meshgrid(np.arange(columns) * steps_mm[0], np.arange(rows) * steps_mm[1])
    nodes = grid.to_page(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(rows, columns, 2)
    return GridFit(nodes, grid.scale, grid.confidence)


def _towards_lines(grey: Image, grid: GridFit, step: Step) -> tuple[F64, NDArray[np.bool_]]:
    """Return how far in mm each block of the map has to move to lie on the lines, and where these are clearly seen."""
    delta, weight = line_offsets(grey, grid, step)
    sigmas = (step.sigma, 4.0, 10.0)
    shift = np.stack([smoothed(delta[..., k], weight[..., k], sigmas=sigmas) for k in (0, 1)], axis=-1)
    return shift, weight.min(axis=-1) > 0.5


def steadied(grid: GridFit, *, seen: NDArray[np.bool_] | None = None) -> GridFit:
    """Keep of the map's local detail only what stands out of its noise (like a Wiener filter on nodes, but steeper).

    Printed lines are snapped to pixels and traces pull at their phase, which moves nodes by some hundredths of a
    millimetre, most of all under a QRS complex; a sheet's own bends are larger or smoother. Nodes where lines are
    `seen` [R, C] (if that is known) err less, and tell how the sheet bends: beyond them there may be none.
    """
    rows, columns = grid.nodes.shape[:2]
    order = min(SMOOTH_ORDER, rows - 2, columns - 2)
    if order < 1:
        return grid
    weight = np.ones((rows, columns)) if seen is None else np.where(ndimage.binary_dilation(seen), 1.0, UNSEEN)
    smooth = _smooth_surface(grid, order=order, weight=weight)
    detail = _mean_near(grid.nodes - smooth, weight[..., None], sigma=DETAIL_BLUR)
    power = _mean_near((detail**2).mean(axis=-1), weight, sigma=DETAIL_REACH)
    noise = ((NODE_NOISE_MM if seen is None else SEEN_NOISE_MM) * grid.px_per_mm) ** 2
    return GridFit(smooth + detail * (power**2 / (power**2 + noise**2))[..., None], grid.scale, grid.confidence)


def _mean_near(values: F64, weight: F64, *, sigma: float) -> F64:
    sigmas = (sigma, sigma, 0)[: values.ndim]
    total, share = (ndimage.gaussian_filter(each, sigmas, mode="nearest") for each in (values * weight, weight))
    return np.asarray(total / share)


def smooth_map(grid: GridFit, *, order: int) -> GridFit:
    """Return the map without what no bend of this order explains."""
    return GridFit(_smooth_surface(grid, order=order), grid.scale, grid.confidence)


def _smooth_surface(grid: GridFit, *, order: int, weight: F64 | None = None) -> F64:
    """Return the nodes of the homography, bent by a polynomial, that lies nearest to the map's nodes (by `weight`)."""
    rows, columns = grid.nodes.shape[:2]
    y, x = (v.ravel() for v in np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j])
    nodes, at = grid.nodes.reshape(-1, 2), np.stack([x, y], axis=1)
    counts = np.ones(len(at)) if weight is None else weight.ravel()
    flat = apply_homography(fit_homography(at, nodes, weights=counts), at)
    terms = np.stack([x**i * y**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1)
    by_weight = np.sqrt(counts)[:, None]
    bend, *_ = np.linalg.lstsq(terms * by_weight, (nodes - flat) * by_weight, rcond=None)
    return np.asarray((flat + terms @ bend).reshape(rows, columns, 2))


def _roughness_mm(grid: GridFit) -> float:
    """Return the rms distance of the nodes from the best surface of sixth order, in mm: a slip by a line shows here."""
    away = _smooth_surface(grid, order=SMOOTH_ORDER) - grid.nodes
    return float(np.sqrt((away**2).mean()) / grid.px_per_mm)


def _is_harmonic(darkest: Image, grid: GridFit) -> bool:
    """Tell whether what the map takes for 1-mm lines are harmonics of 5-mm lines: bold lines 4 or 6 of its mm apart."""

    def share(period_mm: float) -> float:
        step = Step(period_mm, period_mm, 1.5, 1.6, grows=False, px_per_mm=BOLD_PX_PER_MM)
        _, weight = line_offsets(darkest, grid, step)
        return float((weight.min(axis=-1) > 0.5).mean())

    other = max(share(4.0), share(6.0))
    return other > BOLD_SHARE and other > 2 * share(GRID_PITCH_MM)


def _boldness(darkest: Image, grid: GridFit) -> float:
    """Compare what repeats every 5 mm with what does so 11 and 13 times in 60 mm, where neither grid nor text is."""
    width_mm, height_mm = grid.size_mm
    shape = (int(height_mm * BOLD_PX_PER_MM), int(width_mm * BOLD_PX_PER_MM))
    raster = rectified(darkest, grid, px_per_mm=BOLD_PX_PER_MM, origin_mm=(0.0, 0.0), shape=shape)
    image = unshaded(raster, 2 * BOLD_SMOOTH_PX + 1)
    band, chunk = round(BOLD_BAND_MM * BOLD_PX_PER_MM), round(BOLD_CHUNK_MM * BOLD_PX_PER_MM)
    times = np.arange(chunk) / chunk
    ratios = []
    for part in (image, image.T):
        bands, chunks = part.shape[0] // band, part.shape[1] // chunk
        if not bands or not chunks:
            return 1.0
        profile = part[: bands * band].reshape(bands, band, -1).mean(axis=1)[:, : chunks * chunk]
        profile = profile.reshape(bands, chunks, chunk)
        profile -= profile.mean(axis=-1, keepdims=True)
        every = BOLD_CHUNK_MM / GRID_PITCH_MM
        strength = [
            float(np.median(np.abs((profile * np.exp(-2j * np.pi * repeats * times)).mean(axis=-1))))
            for repeats in (every, every - 1, every + 1)
        ]
        ratios.append(strength[0] / max((strength[1] + strength[2]) / 2, 1e-3))
    return float(np.sqrt(ratios[0] * ratios[1]))


def _on_bold_lines(darkest: Image, grid: GridFit) -> GridFit:
    """Renumber the millimetres so that nodes lie on the emphasised 5-mm lines, if the paper has them."""
    delta, weight = line_offsets(darkest, grid, replace(FIVE_MM, px_per_mm=BOLD_PX_PER_MM))
    whole = []
    for k in (0, 1):
        mean = (weight[..., k] * np.exp(2j * np.pi * delta[..., k] / 5.0)).sum() / max(weight[..., k].sum(), 1e-9)
        clear = abs(mean) > 0.5 and (weight[..., k] > 0.5).mean() > 0.2
        whole.append(round(float(np.angle(mean)) / (2 * np.pi) * 5.0) if clear else 0)
    if not any(whole):
        return grid
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM - whole[0], np.arange(rows) * GRID_PITCH_MM - whole[1])
    nodes = grid.to_page(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(rows, columns, 2)
    return GridFit(nodes, grid.scale, grid.confidence)


def _cropped(grid: GridFit, seen: NDArray[np.bool_], *, block_mm: float) -> tuple[GridFit, float]:
    """Cut the lattice to where lines were seen, with a margin; also return the share of lines in that box."""
    rows, columns = np.nonzero(ndimage.binary_opening(seen))
    if not len(rows):
        return grid, float(seen.mean())
    last = np.array(grid.nodes.shape[:2]) - 1
    margin = CROP_MARGIN_MM / GRID_PITCH_MM
    ratio = block_mm / GRID_PITCH_MM
    low = np.clip(np.floor(np.array([rows.min(), columns.min()]) * ratio - margin), 0, last - 3).astype(int)
    high = np.clip(np.ceil((np.array([rows.max(), columns.max()]) + 1) * ratio + margin), low + 3, last).astype(int)
    tight = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    share = min(1.0, float(seen.sum()) / float(tight))
    return GridFit(grid.nodes[low[0] : high[0] + 1, low[1] : high[1] + 1], grid.scale, grid.confidence), share


def shifted(grid: GridFit, shift_mm: F64, block_mm: float) -> GridFit:
    """Return the grid in which a point now called m is called m + shift(m)."""
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * GRID_PITCH_MM, np.arange(rows) * GRID_PITCH_MM)
    true_mm = np.stack([x.ravel(), y.ravel()], axis=1)
    old_mm = true_mm.copy()
    for _ in range(3):
        at = [old_mm[:, 1] / block_mm - 0.5, old_mm[:, 0] / block_mm - 0.5]
        shift = [ndimage.map_coordinates(shift_mm[..., k], at, order=1, mode="nearest") for k in (0, 1)]
        old_mm = true_mm - np.stack(shift, axis=1)
    return GridFit(grid.to_page(old_mm).reshape(rows, columns, 2), grid.scale, grid.confidence)
