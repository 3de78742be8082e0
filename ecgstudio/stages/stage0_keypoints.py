"""Stage 0: which way is up, how large is a millimetre, and where are the lead names; networks look, geometry joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgstudio.core.arrays import F64
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS, SCALE_TEXTS
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import LABEL_CLASSES, FloatMap, KeypointMaps, Runtime, StageError, Status
from ecgstudio.stages.grid_search import seen_px_per_mm
from ecgstudio.stages.line_scale import lines_confirm, scale_by_lines
from ecgstudio.stages.names import STROKES, NameCutter, normalised_names
from ecgstudio.stages.scale_texts import read_scale_texts
from ecgstudio.stages.settings import KeypointSettings
from ecgstudio.stages.view import View, upright_view

Image = NDArray[np.uint8]

POSE_SIDE_PX = 448
READ_PX_PER_MM = 5.0
READ_CELL_PX = 4
MAX_READ_PX = 2304
LARGEST_READ_PX = 3 * MAX_READ_PX  # of a sheet whose lines say that it is so large: it is read in tiles
TILE_MARGIN_PX = 128
TILE_STEP_PX = MAX_READ_PX - 2 * TILE_MARGIN_PX
SURE_ORIENTATION = 0.8
# people hand in pages upright, hardly ever mirrored
ORIENTATION_PRIOR = (0.80, 0.06, 0.06, 0.06, 0.005, 0.005, 0.005, 0.005)
UNLIKELY = 0.005
NEARLY_ALL_NAMES, MANY_NAMES, SOME_NAMES = 9.0, 4.5, 2.5  # sums of confidences of distinct lead names
OTHER_SCALE, CLEARLY_MORE, FAR_MORE, LITTLE = 1.08, 0.5, 2.0, 0.1
TWICE = 2.0  # a scale that is taken for half or twice as large is the most usual error
STROKE_WORTH = 0.25
MIN_PAPER = 0.5
POSE_CELL_PX = 32
PAPER_MARGIN_CELLS = 0.75
FILLING = 0.9  # of the picture's longer side: a sheet that takes so much is not looked at again
MIN_LABEL_CELLS = 2
MIN_LABEL_CONFIDENCE = 0.5
PLACE_MASS = 0.3
SECOND_OPINION = 0.03  # how little the keypoint network's classes count where they are flat
NAME_SHIFTS_MM = (np.array([0.0, 0.0]), np.array([0.5, 0.2]), np.array([-0.5, -0.2]))
LEAD_CLASSES = slice(1, 1 + len(LEADS))
PULSE_CLASS = LABEL_CLASSES.index("pulse")
TEXT_CLASSES = [LABEL_CLASSES.index(name) for name in SCALE_TEXTS]


@dataclass(frozen=True, slots=True)
class Pose:
    """How the sheet lies in the page: coarse scale and the angle of the paper's x axis, in the page as it is."""

    orientation: int
    confidence: float
    px_per_mm: float
    angle_rad: float
    mirrored: bool


def detect_keypoints(page: Page, *, runtime: Runtime, settings: KeypointSettings, status: Status) -> Keypoints:
    """Find orientation, coarse scale and all printed lead names and markers.

    Raises StageError if nothing on the page looks like ECG paper.
    """
    poses = _poses(page.pixels, runtime)
    status.checkpoint(0.3, "orientation")
    best: tuple[float, Pose, _Reading] | None = None
    for tried in range(len(poses)):
        pose = poses[tried]
        reading = _read(page.pixels, pose, runtime)
        legible = reading.legible
        if tried == 0:
            by_lines = _by_its_lines(page.pixels, pose, reading, runtime=runtime)
            if by_lines is not None:
                reading, px_per_mm = by_lines
                poses = [replace(each, px_per_mm=px_per_mm) for each in poses]
                pose, legible = poses[0], reading.legible
        if tried == 0 and legible < MANY_NAMES:
            again = _by_its_grid(page.pixels, pose, legible=legible, runtime=runtime)
            if again is not None:
                reading, px_per_mm = again
                poses = [replace(each, px_per_mm=px_per_mm) for each in poses]
                pose, legible = poses[0], reading.legible
        score = legible + 2.0 * pose.confidence
        if best is None or score > best[0]:
            best = (score, pose, reading)
        if legible >= MANY_NAMES or (pose.confidence >= SURE_ORIENTATION and legible >= SOME_NAMES):
            break  # legible names prove the orientation
        status.checkpoint(0.3 + 0.6 * (tried + 1) / len(poses), "trying to read it another way up")
    assert best is not None
    _, pose, reading = best
    status.checkpoint(1.0, "lead names")
    return _keypoints(pose, reading)


def _by_its_lines(
    pixels: Image, pose: Pose, reading: _Reading, *, runtime: Runtime
) -> tuple[_Reading, float] | None:
    """Read a page at the scale of its bold lines, if that is grossly another; None unless that reads as much.

    What lines show less surely, or cannot show, names must make up for: they have to read better by far. Names that are
    read as if the sheet were half as large are small, and do not change its scale, where lines confirm that.
    """
    legible = reading.legible
    said = scale_by_lines(pixels, px_per_mm=pose.px_per_mm, angle_rad=pose.angle_rad, mirrored=pose.mirrored)
    sure = said is not None and said.sure
    if said is not None and (sure or legible < NEARLY_ALL_NAMES):
        scales = [said.px_per_mm] if sure else [said.px_per_mm, TWICE * said.px_per_mm]
    else:
        scales = [pose.px_per_mm / TWICE] if legible < SOME_NAMES else []
    best, least = None, legible if sure else legible + FAR_MORE
    for px_per_mm in scales:
        if abs(np.log(px_per_mm / pose.px_per_mm)) > np.log(OTHER_SCALE):
            other = _read(pixels, replace(pose, px_per_mm=px_per_mm), runtime, max_side_px=LARGEST_READ_PX)
            if other.legible >= least:
                best, least = (other, px_per_mm), other.legible + LITTLE
    if (
        best is not None
        and said is None
        and lines_confirm(pixels, px_per_mm=pose.px_per_mm, angle_rad=pose.angle_rad, mirrored=pose.mirrored)
    ):
        return replace(reading, names=best[0].names), pose.px_per_mm
    return best


def _by_its_grid(pixels: Image, pose: Pose, *, legible: float, runtime: Runtime) -> tuple[_Reading, float] | None:
    """Read a page whose names are hardly legible at the scale of its grid instead; None unless that reads more.

    Names so much larger or smaller than usual mislead the first guess of the scale.
    """
    px_per_mm = seen_px_per_mm(
        pixels, px_per_mm=pose.px_per_mm, angle_rad=pose.angle_rad, mirrored=pose.mirrored, runtime=runtime
    )
    if px_per_mm is None or abs(np.log(px_per_mm / pose.px_per_mm)) < np.log(OTHER_SCALE):
        return None
    reading = _read(pixels, replace(pose, px_per_mm=px_per_mm), runtime)
    return (reading, px_per_mm) if reading.legible > legible + CLEARLY_MORE else None


def keypoints_in_pose(page: Page, pose: Pose, *, runtime: Runtime, scales: bool = True) -> Keypoints:
    """Find all printed lead names and markers of a page of which it is known how the sheet lies.

    Printed `scales` cost as much as all the others.
    """
    reading = _read(page.pixels, pose, runtime)
    return _keypoints(pose, reading if scales else replace(reading, texts=list))


def _keypoints(pose: Pose, reading: _Reading) -> Keypoints:
    labels = [*reading.names, *reading.pulses, *reading.texts()]
    return Keypoints(
        names=tuple(label.name for label in labels),
        xy=np.array([label.xy for label in labels], np.float64).reshape(-1, 2),
        confidence=np.array([label.confidence for label in labels], np.float64),
        orientation=pose.orientation,
        orientation_confidence=_orientation_confidence(pose, reading),
        px_per_mm=pose.px_per_mm,
        angle_rad=pose.angle_rad,
        mirrored=pose.mirrored,
    )


def _orientation_confidence(pose: Pose, reading: _Reading) -> float:
    """Judge the orientation by the network and by how many names could be read this way up."""
    legible = reading.legible
    return float(np.clip(1 - (1 - pose.confidence) * np.exp(-legible / 2.5), 0, 1))


@dataclass(frozen=True, slots=True)
class _Label:
    name: str
    xy: tuple[float, float]
    confidence: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of a page one way up; printed scales only if asked for, as they cost most and prove no way up."""

    names: list[_Label]
    pulses: list[_Label]
    texts: Callable[[], list[_Label]]

    @property
    def legible(self) -> float:
        """How many different lead names can be read this way up, in names read for sure."""
        best: dict[str, float] = {}
        for label in self.names:
            best[label.name] = max(best.get(label.name, 0.0), label.confidence)
        return sum(sure * (STROKE_WORTH if name in STROKES else 1.0) for name, sure in best.items())


def _poses(pixels: Image, runtime: Runtime) -> list[Pose]:
    """Return all poses: the quarter turns first, then the mirrored ones, each kind most likely first."""
    small, first, paper = _look(pixels, runtime)
    if paper.max() < MIN_PAPER:
        raise StageError("keypoints", "nothing on this page looks like ECG paper", "check that the file is an ECG page")
    part = _paper_part(paper, (pixels.shape[0], pixels.shape[1]))
    if part is not None:  # a sheet that is a small part of a photo tells its scale only from nearby
        nearer = _look(pixels[part], runtime)
        if nearer[2].max() >= MIN_PAPER:
            pixels, (small, first, paper) = pixels[part], nearer
    zoom = small.shape[1] / pixels.shape[1]
    probabilities = np.zeros(8)
    probabilities += first.orientation
    if first.orientation.max() < SURE_ORIENTATION:  # look at it from another side: the answers must turn with it
        for turns in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(small, turns))
            answer = runtime.keypoints(_padded(turned)).orientation
            for seen in range(8):
                probabilities[(seen % 4 - turns) % 4 + 4 * (seen // 4)] += answer[seen]
    probabilities /= probabilities.sum()
    geometry = first.geometry
    weight = np.where(paper >= MIN_PAPER, paper, 0.0)
    log_scale = _weighted_median(geometry[1][weight > 0], weight[weight > 0])
    px_per_mm = float(2.0**log_scale) / zoom
    tilt = float(np.arctan2((geometry[3] * weight).sum(), (geometry[2] * weight).sum()) / 4)
    probabilities = probabilities * np.array(ORIENTATION_PRIOR)
    probabilities /= probabilities.sum()
    likely = [int(k) for k in np.argsort(-probabilities)]
    soon = [k for k in likely if k < 4 or probabilities[k] >= UNLIKELY]
    order = [*soon, *(k for k in likely if k not in soon)]
    return [Pose(k, float(probabilities[k]), px_per_mm, _paper_angle(k, tilt), k >= 4) for k in order]


def _look(pixels: Image, runtime: Runtime) -> tuple[Image, KeypointMaps, F64]:
    """Look at a whole picture, made small; returns it, what the network says, and how probably each cell is paper."""
    zoom = POSE_SIDE_PX / max(pixels.shape[:2])
    size = (max(32, round(pixels.shape[1] * zoom)), max(32, round(pixels.shape[0] * zoom)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    maps = runtime.keypoints(_padded(small))
    inside = np.zeros(maps.geometry.shape[1:], bool)
    inside[: max(1, size[1] // POSE_CELL_PX), : max(1, size[0] // POSE_CELL_PX)] = True
    return small, maps, np.where(inside, maps.geometry[0], 0.0).astype(np.float64)


def _paper_part(paper: F64, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Return the part of a picture in which the sheet lies, and a little around it; None if it fills the picture."""
    regions, count = ndimage.label(paper >= MIN_PAPER, np.ones((3, 3)))
    if not count:
        return None
    largest = 1 + int(np.argmax(ndimage.sum_labels(paper, regions, np.arange(1, count + 1))))
    box = ndimage.find_objects(regions)[largest - 1]
    cell_px = max(shape) / POSE_SIDE_PX * POSE_CELL_PX
    ends = np.array([(side.start - PAPER_MARGIN_CELLS, side.stop + PAPER_MARGIN_CELLS) for side in box]) * cell_px
    (top, bottom), (left, right) = np.clip(np.round(ends).astype(int), 0, np.array(shape)[:, None])
    longer, shorter = max(bottom - top, right - left), min(bottom - top, right - left)
    if longer > FILLING * max(shape) or shorter < POSE_CELL_PX:
        return None
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _paper_angle(orientation: int, tilt_rad: float) -> float:
    """Return the direction of the paper's x axis in the page, from the orientation and the tilt modulo 90 degrees."""
    # np.rot90 turns counter-clockwise on screen: the x axis (1, 0) goes to (0, -1), an angle of -90 degrees with y down
    base = -np.pi / 2 * (orientation % 4)
    if orientation >= 4:
        base += np.pi  # mirrored left-right first: the x axis points left before the turns
    angle = base + tilt_rad
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def _padded(image: Image) -> Image:
    """Pad to multiples of 32 on the right and at the bottom with grey."""
    h, w = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -h % 32, 0, -w % 32, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    return np.asarray(padded, np.uint8)


def _weighted_median(values: NDArray[np.float32], weights: F64) -> float:
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(mass, mass[-1] / 2)])


def _read(pixels: Image, pose: Pose, runtime: Runtime, *, max_side_px: int = MAX_READ_PX) -> _Reading:
    """Find texts on the upright page with the keypoint network; the name reader says which lead each one names."""
    view = upright_view(
        (pixels.shape[1], pixels.shape[0]), px_per_mm=pose.px_per_mm, angle_rad=pose.angle_rad, mirrored=pose.mirrored,
        view_px_per_mm=READ_PX_PER_MM, max_side_px=max_side_px,
    )  # fmt: skip
    labels = _seen_labels(view.pixels(pixels), runtime)
    to_page_mm = view.matrix * READ_PX_PER_MM
    cutter = NameCutter(pixels, px_per_mm=float(np.sqrt(abs(np.linalg.det(to_page_mm)))))
    mass = labels[TEXT_CLASSES].sum(axis=0)
    cells = View(view.to_page(np.full((1, 2), READ_CELL_PX / 2 - 0.5))[0], view.matrix * READ_CELL_PX, mass.shape)
    cell_mm = READ_CELL_PX / READ_PX_PER_MM

    def texts() -> list[_Label]:
        found = read_scale_texts(mass, cells, cell_mm=cell_mm, cutter=cutter, runtime=runtime)
        return [_Label(text.name, (float(text.xy[0]), float(text.xy[1])), text.confidence) for text in found]

    names = _names(cutter, to_page_mm, _places(labels[LEAD_CLASSES], view), runtime)
    return _Reading(names, _pulses(labels[PULSE_CLASS], view), texts)


def _seen_labels(image: Image, runtime: Runtime) -> FloatMap:
    """Return the label map of an upright view; of a very large one it is put together from tiles."""
    if max(image.shape[:2]) <= MAX_READ_PX:
        return runtime.keypoints(image).labels
    tops, lefts = (range(0, max(1, side - 2 * TILE_MARGIN_PX), TILE_STEP_PX) for side in image.shape[:2])
    labels: FloatMap | None = None
    for top in tops:
        for left in lefts:
            tile = np.ascontiguousarray(image[top : top + MAX_READ_PX, left : left + MAX_READ_PX])
            seen = runtime.keypoints(tile).labels
            if labels is None:
                labels = np.zeros((len(seen), *(side // READ_CELL_PX for side in image.shape[:2])), seen.dtype)
            skip = [TILE_MARGIN_PX // READ_CELL_PX if first else 0 for first in (top, left)]
            y, x = (first // READ_CELL_PX + margin for first, margin in zip((top, left), skip, strict=True))
            inner = seen[:, skip[0] :, skip[1] :]
            labels[:, y : y + inner.shape[1], x : x + inner.shape[2]] = inner
    assert labels is not None
    return labels


def _places(leads: FloatMap, view: View) -> tuple[F64, F64]:
    """Return where names may be printed, page pixels [N, 2], and what the keypoint network takes them for [N, 12]."""
    mass = leads.sum(axis=0)
    regions, _ = ndimage.label(mass > PLACE_MASS, structure=np.ones((3, 3)))
    middles, shares = [], []
    for index, where in enumerate(ndimage.find_objects(regions), 1):
        if (regions[where] == index).sum() >= MIN_LABEL_CELLS:
            rows, columns = where
            middles.append([(columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2])
            shares.append(leads[(slice(None), *where)][:, regions[where] == index].mean(axis=1))
    if not middles:
        return np.zeros((0, 2)), np.zeros((0, len(LEADS)))
    return view.to_page(np.array(middles) * READ_CELL_PX - 0.5), np.array(shares, np.float64)


def _names(cutter: NameCutter, to_page_mm: F64, found: tuple[F64, F64], runtime: Runtime) -> list[_Label]:
    """Read the lead names at these places, each from a few crops around it; drop what is no name.

    The reader decides; the keypoint network's own opinion breaks near-ties.
    """
    places, shares = found
    if not len(places):
        return []
    crops = np.stack([cutter.cut(xy + to_page_mm @ shift, to_page_mm) for xy in places for shift in NAME_SHIFTS_MM])
    answers = runtime.names(normalised_names(crops)).reshape(len(places), len(NAME_SHIFTS_MM), -1).mean(axis=1)
    voted = answers[:, 1:] * (shares + SECOND_OPINION)
    voted *= (1 - answers[:, :1]) / np.maximum(voted.sum(axis=1, keepdims=True), 1e-12)
    winners = voted.argmax(axis=1)
    return [
        _Label(LEADS[winner], (float(xy[0]), float(xy[1])), float(min(1.0, vote[winner])))
        for xy, vote, winner in zip(places, voted, winners, strict=True)
        if vote[winner] >= MIN_LABEL_CONFIDENCE
    ]


def _pulses(mass: FloatMap, view: View) -> list[_Label]:
    """Return the calibration pulses: the regions where one is likelier than all else."""
    found = []
    regions, _ = ndimage.label(mass > 0.5, structure=np.ones((3, 3)))
    for index, where in enumerate(ndimage.find_objects(regions), 1):
        mask = regions[where] == index
        if mask.sum() < MIN_LABEL_CELLS:
            continue
        weight = mass[where] * mask
        confidence = float(weight.sum() / mask.sum())
        if confidence < MIN_LABEL_CONFIDENCE:
            continue
        rows, columns = np.mgrid[where]
        centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        xy = view.to_page(((centre + 0.5) * READ_CELL_PX - 0.5)[None])[0]
        found.append(_Label("pulse", (float(xy[0]), float(xy[1])), confidence))
    return found
