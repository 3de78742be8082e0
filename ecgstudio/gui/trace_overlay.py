"""The traces over the page: 2 px wide, one hue per lead group, the ink showing through; doubt and gaps as they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from PySide6.QtGui import QPainter

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, stain
from ecgstudio.gui.doubt import LEVELS, alpha_of, doubtful_runs
from ecgstudio.gui.overlays import draw_lines, on_screen, paint_tag, runs
from ecgstudio.gui.theme import Theme

OPACITY: Final = 0.6
WIDTH_PX, CHOSEN_WIDTH_PX = 2, 3
UNCERTAIN_PX: Final = 11
COARSE_PX: Final = 4.0  # so broad a band has no details that are narrower
HATCH_STEP_PX, HATCH_DEPTH_PX = 7.0, 9.0
SAMPLES_PER_PX: Final = 1.0
TAG_DROP_PX: Final = 30.0


def draw_traces(
    canvas: Canvas, ecg: DigitizedEcg, camera: Camera, *, ratio: float, theme: Theme, chosen: Collection[int] = (),
    uncertain: bool = True,
) -> None:  # fmt: skip
    """Blend the traces in; the chosen ones are wider and opaque."""
    view = camera.visible_box()
    seen = [(index, trace) for index, trace in enumerate(ecg.traces) if in_sight(trace, view)]
    px_per_px = camera.zoom * ratio  # device pixels per page pixel
    if uncertain:
        _shade_doubt(canvas, [trace for _, trace in seen], camera, ratio=ratio, theme=theme)
    layer = canvas.sheet()
    for colour, lines in _by_hue([trace for index, trace in seen if index not in chosen], px_per_px, theme):
        draw_lines(layer, on_screen(lines, camera, ratio=ratio), colour=colour, width=round(WIDTH_PX * ratio))
    canvas.lay_sheet(opacity=OPACITY)
    floors = [trace.xy[[a, b]] for _, trace in seen for a, b in stretches_of(trace).floors]
    hatched = [part for floor in on_screen(floors, camera, ratio=ratio) for part in hatching(floor, ratio=ratio)]
    draw_lines(canvas.picture, hatched, colour=theme.missing, width=max(1, round(ratio)))
    for colour, lines in _by_hue([trace for index, trace in seen if index in chosen], px_per_px, theme):
        draw_lines(
            canvas.picture, on_screen(lines, camera, ratio=ratio), colour=colour, width=round(CHOSEN_WIDTH_PX * ratio)
        )


def _shade_doubt(canvas: Canvas, traces: Sequence[LeadTrace], camera: Camera, *, ratio: float, theme: Theme) -> None:
    """Stain the paper round what was read with doubt, the stronger the less sure."""
    steps = [(trace, sample_step(trace, camera.zoom * ratio / COARSE_PX)) for trace in traces]
    bands = {level: [line for trace, step in steps for line in doubtful_lines(trace, level, step)] for level in LEVELS}
    if not any(bands.values()):
        return
    sheet = canvas.white_sheet()
    for level, lines in bands.items():
        places = on_screen(lines, camera, ratio=ratio)
        colour = stain(theme.uncertain, alpha_of(level))
        draw_lines(sheet, places, colour=colour, width=round(UNCERTAIN_PX * ratio), smooth=False)
    canvas.darken()


def _by_hue(traces: Sequence[LeadTrace], px_per_px: float, theme: Theme) -> list[tuple[str, list[F64]]]:
    """Collect what was read of the traces of one colour, in page pixels."""
    hues: dict[str, list[F64]] = {}
    for trace in traces:
        hues.setdefault(theme.lead(trace.lead), []).extend(read_lines(trace, sample_step(trace, px_per_px)))
    return list(hues.items())


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """What of a trace is drawn how: first and behind-last samples of what was read, and of what is doubtful.

    What is doubtful has its level before it.
    `floors` are the samples between which the floor of a gap lies: the last one before it and the first one after it.
    `box` is left, top, right and bottom in page pixels; None if no sample has a place. `head` are some places [N, 2]
    at its beginning.
    """

    read: tuple[tuple[int, int], ...]
    doubtful: tuple[tuple[float, int, int], ...]
    floors: tuple[tuple[int, int], ...]
    box: tuple[float, float, float, float] | None
    head: F64


@lru_cache(maxsize=64)  # a page has about 13 traces; while one pans they are the same in every frame
def stretches_of(trace: LeadTrace) -> Stretches:
    """Sort a trace's samples by how they are drawn; a gap stays a gap."""
    placed = np.asarray(np.isfinite(trace.xy).all(axis=1))
    read = np.isfinite(trace.mv) & placed
    floors = []
    for a, b in runs(~read & placed):
        first, last = max(0, a - 1), min(len(placed) - 1, b)
        floors.append((first if placed[first] else a, last if placed[last] else b - 1))
    doubtful = tuple(doubtful_runs(trace.confidence, read, fs=trace.fs))
    box = None
    if placed.any():
        (left, top), (right, bottom) = trace.xy[placed].min(axis=0), trace.xy[placed].max(axis=0)
        box = float(left), float(top), float(right), float(bottom)
    at = np.flatnonzero(placed)
    head = trace.xy[at[: max(1, len(at) // 25) : 5]]
    return Stretches(tuple(runs(read)), doubtful, tuple(floors), box, head)


def sample_step(trace: LeadTrace, px_per_px: float) -> int:
    """Return how many samples may share a device pixel, as a power of two: few zooms need lines of their own."""
    box = stretches_of(trace).box
    if box is None:
        return 1
    extent = float(np.hypot(box[2] - box[0], box[3] - box[1])) * px_per_px
    per_px = len(trace.mv) / max(SAMPLES_PER_PX * extent, 1.0)
    return 1 << max(0, int(per_px).bit_length() - 1)


@lru_cache(maxsize=128)
def read_lines(trace: LeadTrace, step: int) -> tuple[F64, ...]:
    """Return the stretches that were read as polylines in page pixels, thinned by a step."""
    return tuple(thinned(trace.xy[a:b], step) for a, b in stretches_of(trace).read)


@lru_cache(maxsize=256)
def doubtful_lines(trace: LeadTrace, level: float, step: int) -> tuple[F64, ...]:
    """Return the stretches that were read with a level of doubt, with a sample on either side, thinned by a step."""
    runs_ = ((a, b) for of, a, b in stretches_of(trace).doubtful if of == level)
    return tuple(thinned(trace.xy[max(0, a - 1) : b + 1], step) for a, b in runs_)


def thinned(line: F64, step: int) -> F64:
    """Keep the highest and the lowest of the samples that share a pixel: the picture is the same, the work is not."""
    if step < 2 or len(line) < 4 * step:
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
    """Return the floor of a gap [2, 2] and the slanted strokes that hang from it."""
    along = floor[-1] - floor[0]
    length = float(np.hypot(*along))
    along = along / max(length, 1e-9)
    down = np.array([-along[1], along[0]]) * (1 if along[0] >= 0 else -1)
    stroke = (down - along) * HATCH_DEPTH_PX * ratio / 1.4
    feet = floor[0] + np.arange(HATCH_STEP_PX * ratio, length, HATCH_STEP_PX * ratio)[:, None] * along
    return [floor, *(np.stack([foot, foot + stroke]) for foot in feet)]


def paint_names(painter: QPainter, ecg: DigitizedEcg, camera: Camera, theme: Theme, *, chosen: Collection[int]) -> None:
    """Write each trace's lead at its left end; the chosen ones have a mark before it."""
    for index, trace in enumerate(ecg.traces):
        head = stretches_of(trace).head
        if len(head):
            head = camera.to_screen(head)
            place = np.array([head[0, 0] - 6, head[:, 1].max() + TAG_DROP_PX])  # names are printed above traces
            text = f"▸ {trace.lead}" if index in chosen else trace.lead
            paint_tag(painter, place, text, theme, role=trace.lead)


def in_sight(trace: LeadTrace, view: tuple[float, float, float, float]) -> bool:
    """Say whether any of a trace can be seen in a view: left, top, right and bottom in page pixels."""
    box = stretches_of(trace).box
    if box is None:
        return False
    left, top, right, bottom = view
    return box[0] <= right and box[2] >= left and box[1] <= bottom and box[3] >= top
