"""The traces over the page: 2 px wide, one hue per lead group, the ink showing through; doubt and gaps as they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QPainter

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.overlays import Image, blend, draw_lines, paint_tag, runs
from ecgstudio.gui.theme import Theme

OPACITY: Final = 0.6
WIDTH_PX, CHOSEN_WIDTH_PX = 2, 3
UNCERTAIN_BELOW: Final = 0.5
UNCERTAIN_PX: Final = 11
HATCH_STEP_PX, HATCH_HALF_PX = 6.0, 5.0
SAMPLES_PER_PX: Final = 1.0


def draw_traces(
    picture: Image, ecg: DigitizedEcg, camera: Camera, *, ratio: float, theme: Theme, chosen: Collection[int] = (),
    uncertain: bool = True,
) -> Image:  # fmt: skip
    """Return the picture with the traces blended in; the chosen ones are wider and opaque."""
    layer = picture.copy()
    seen = [(index, trace, camera.to_screen(trace.xy) * ratio) for index, trace in enumerate(ecg.traces)]
    seen = [(index, trace, line) for index, trace, line in seen if _in_sight(line, picture)]
    for _, trace, line in seen:
        unsure = is_read(trace) & (trace.confidence < UNCERTAIN_BELOW)
        if uncertain and unsure.any():
            bands = [thinned(line[max(0, a - 1) : b + 1]) for a, b in runs(unsure)]
            draw_lines(layer, bands, colour=theme.uncertain, width=round(UNCERTAIN_PX * ratio))
    for _, trace, line in seen:
        missing = ~is_read(trace) & np.isfinite(trace.xy).all(axis=1)
        for a, b in runs(missing):
            floor = thinned(line[max(0, a - 1) : b + 1])
            draw_lines(layer, [floor, *hatching(floor, ratio=ratio)], colour=theme.missing, width=max(1, round(ratio)))
    for index, trace, line in seen:
        if index not in chosen:
            draw_lines(layer, read_lines(trace, line), colour=theme.lead(trace.lead), width=round(WIDTH_PX * ratio))
    picture = blend(picture, layer, opacity=OPACITY)
    for index, trace, line in seen:
        if index in chosen:
            width = round(CHOSEN_WIDTH_PX * ratio)
            draw_lines(picture, read_lines(trace, line), colour=theme.lead(trace.lead), width=width)
    return picture


def is_read(trace: LeadTrace) -> NDArray[np.bool_]:
    """Return which samples have both a voltage and a place on the page."""
    return np.asarray(np.isfinite(trace.mv) & np.isfinite(trace.xy).all(axis=1))


def read_lines(trace: LeadTrace, line: F64) -> list[F64]:
    """Return the stretches that were read as lines; a gap stays a gap."""
    return [thinned(line[a:b]) for a, b in runs(is_read(trace))]


def thinned(line: F64) -> F64:
    """Keep the highest and the lowest of the samples that share a pixel: the picture is the same, the work is not."""
    if len(line) < 4:
        return line
    extent = float(np.hypot(*(line[-1] - line[0])))
    step = int(len(line) / (SAMPLES_PER_PX * max(extent, 1.0)))
    if step < 2:
        return line
    step *= 2
    count = len(line) // step
    blocks = line[: count * step].reshape(count, step, 2)
    # across the line's run, whichever way the page lies on the screen
    normal = np.array([line[0, 1] - line[-1, 1], line[-1, 0] - line[0, 0]])
    height = blocks @ normal
    ends = np.sort(np.stack([height.argmin(axis=1), height.argmax(axis=1)], axis=1), axis=1)
    kept = np.take_along_axis(blocks, ends[..., None], axis=1).reshape(-1, 2)
    return np.concatenate([line[:1], kept, line[-1:]])


def hatching(floor: F64, *, ratio: float) -> list[F64]:
    """Return the slanted strokes that stand on the floor of a gap."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(floor, axis=0).T))])
    at = np.arange(0.0, length[-1], HATCH_STEP_PX * ratio)
    feet = np.stack([np.interp(at, length, floor[:, axis]) for axis in range(2)], axis=1)
    along = floor[-1] - floor[0]
    along = along / max(float(np.hypot(*along)), 1e-9)
    half = HATCH_HALF_PX * ratio
    slant = np.array([along[0] - along[1], along[1] + along[0]]) * half
    return [np.stack([foot - slant / 2, foot + slant / 2]) for foot in feet]


def paint_names(painter: QPainter, ecg: DigitizedEcg, camera: Camera, theme: Theme, *, chosen: Collection[int]) -> None:
    """Write each trace's lead at its left end; the chosen ones have a mark before it."""
    for index, trace in enumerate(ecg.traces):
        placed = np.flatnonzero(np.isfinite(trace.xy).all(axis=1))
        if placed.size:
            head = camera.to_screen(trace.xy[placed[: max(1, len(placed) // 25)]])
            place = np.array([head[0, 0] - 6, head[:, 1].min() - 2])
            text = f"▸ {trace.lead}" if index in chosen else trace.lead
            paint_tag(painter, place, text, theme, role=trace.lead)


def _in_sight(line: F64, picture: Image) -> bool:
    finite = line[np.isfinite(line).all(axis=1)]
    if not len(finite):
        return False
    height, width = picture.shape[:2]
    low, high = finite.min(axis=0), finite.max(axis=0)
    return bool(high[0] >= 0 and high[1] >= 0 and low[0] <= width and low[1] <= height)
