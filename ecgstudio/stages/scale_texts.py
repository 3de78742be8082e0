"""Reading printed paper speed and gain: the keypoint network says where small print may say so, a reader says what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import SCALE_TEXTS
from ecgstudio.stages.contract import FloatMap, Runtime
from ecgstudio.stages.names import NameCutter, normalised_names
from ecgstudio.stages.view import View

TEXT_MASS = 0.25  # summed over the classes of texts: the keypoint network finds print, but hardly reads its figures
LEAST_WIDTH_MM = 3.0
STEP_MM = 2.5  # the reader answers to a text within 3.2 mm of a crop's middle: at least two crops see it
ONE_LINE_MM, LINE_STEP_MM = 6.5, 1.5
MOST_CROPS = 1200  # .4 s on two cores
SURE_TEXT = 0.6  # of two neighbouring crops that agree: a misread scale is worse than one that is not read


@dataclass(frozen=True, slots=True)
class ScaleText:
    """A printed speed or gain: one of `SCALE_TEXTS`, where it stands in page pixels, and how sure it is."""

    name: str
    xy: F64
    confidence: float


def read_scale_texts(
    mass: FloatMap, cells: View, *, cell_mm: float, cutter: NameCutter, runtime: Runtime
) -> list[ScaleText]:
    """Read the scale texts where the map of an upright page says that some are; those not sure are left out.

    `mass` [H, W] is how likely any scale text is in a cell of `cell_mm`; `cells` says where cells lie on the page.
    """
    lines = _cheapest(_lines(mass, cell_mm))
    if not lines:
        return []
    places = [cells.to_page(line) for line in lines]
    crops = np.stack([cutter.cut_text(xy, cells.matrix / cell_mm) for xy in np.concatenate(places)])
    answers = runtime.texts(normalised_names(crops))[:, 1:]
    of_lines = np.split(answers, np.cumsum([len(line) for line in lines])[:-1])
    found = [text for line, said in zip(places, of_lines, strict=True) for text in _agreed(line, said)]
    px_per_mm = float(np.sqrt(abs(np.linalg.det(cells.matrix)))) / cell_mm
    return _once(found, apart_px=ONE_LINE_MM * px_per_mm)


def _once(found: list[ScaleText], *, apart_px: float) -> list[ScaleText]:
    """Keep the surest of readings of one text by neighbouring lines of crops."""
    kept: list[ScaleText] = []
    for text in sorted(found, key=lambda text: -text.confidence):
        if not any(one.name == text.name and np.hypot(*(one.xy - text.xy)) < apart_px for one in kept):
            kept.append(text)
    return kept


def _cheapest(regions: Iterator[list[F64]]) -> list[F64]:
    """Return the lines of as many regions as `MOST_CROPS` allows, those first that need the fewest crops.

    Scales stand in short lines; what needs many crops is a paragraph, or noise.
    """
    by_cost = sorted(regions, key=_crops)
    fit = int(np.searchsorted(np.cumsum([_crops(region) for region in by_cost]), MOST_CROPS, side="right"))
    return [line for region in by_cost[:fit] for line in region]


def _crops(region: list[F64]) -> int:
    return sum(map(len, region))


def _lines(mass: FloatMap, cell_mm: float) -> Iterator[list[F64]]:
    """Yield for every region that may hold scale texts the places [N, 2] (cells) along its lines."""
    regions, _ = ndimage.label(mass > TEXT_MASS, structure=np.ones((3, 3)))
    for index, (rows, columns) in enumerate(ndimage.find_objects(regions)):
        width_mm, height_mm = (columns.stop - columns.start) * cell_mm, (rows.stop - rows.start) * cell_mm
        if width_mm < LEAST_WIDTH_MM:
            continue
        inside = np.where(regions[rows, columns] == index + 1, mass[rows, columns], 0.0)
        step, count = STEP_MM / cell_mm, max(2, round(width_mm / STEP_MM))
        x = (columns.start + columns.stop - 1) / 2 + step * (np.arange(count) - (count - 1) / 2)
        if height_mm <= ONE_LINE_MM:
            heights = _heights(inside, x - columns.start, reach=2 * step)
            yield [np.column_stack([x, rows.start + heights])]
            continue
        tried = np.linspace(rows.start + 1, rows.stop - 2, round(height_mm / LINE_STEP_MM))
        yield [np.column_stack([x, np.full(count, y)]) for y in tried]


def _heights(inside: NDArray[np.float64], x: F64, *, reach: float) -> F64:
    """Return the mean row of a region around each column, so that a tilted line is followed."""
    rows, columns = np.mgrid[: inside.shape[0], : inside.shape[1]]
    near = np.exp(-0.5 * ((columns[None] - x[:, None, None]) / reach) ** 2) * inside
    return np.asarray((near * rows).sum(axis=(1, 2)) / np.maximum(near.sum(axis=(1, 2)), 1e-9))


def _agreed(line: F64, answers: NDArray[np.float32]) -> Iterator[ScaleText]:
    """Yield what two neighbouring places of a line [N, 2] say alike and for sure (answers [N, 5]), each text once."""
    both = np.minimum(answers[:-1], answers[1:])
    for kind, name in enumerate(SCALE_TEXTS):
        runs, count = ndimage.label(both[:, kind] >= SURE_TEXT)
        for run in range(1, count + 1):
            pairs = np.flatnonzero(runs == run)
            seen = line[pairs[0] : pairs[-1] + 2]
            yield ScaleText(name, seen.mean(axis=0), float(both[pairs, kind].max()))
