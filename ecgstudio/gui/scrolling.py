"""Panning as scrolling: what was drawn before is moved, and only what comes into view is drawn. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ecgstudio.gui.camera import Camera
from ecgstudio.gui.canvas import Canvas, Image

WHOLE = 1e-3  # device px: a picture that lies off by less is the same


def whole_shift(before: Camera, after: Camera, *, ratio: float) -> tuple[int, int] | None:
    """Return by how many device pixels the picture moves to the right and down.

    None if it does more than that, if it moves by parts of a pixel, or so far that nothing is left.
    """
    if replace(after, centre=before.centre) != before:
        return None
    dx, dy = (after.to_screen(before.centre) - np.array(after.size) / 2) * ratio
    shift = round(dx), round(dy)
    if max(abs(dx - shift[0]), abs(dy - shift[1])) > WHOLE:
        return None
    width, height = (side * ratio for side in after.size)
    return shift if abs(shift[0]) < width and abs(shift[1]) < height else None


def scroll(
    canvas: Canvas, shift: tuple[int, int], camera: Camera, *, ratio: float, draw: Callable[[Camera], Image]
) -> None:
    """Move the picture by a shift; `draw` gives what a camera sees of the strips that come into view."""
    dx, dy = shift
    pixels = canvas.turn_over()
    out = canvas.picture
    height, width = pixels.shape[:2]
    to_y, to_x = _overlap(dy, height), _overlap(dx, width)
    from_y, from_x = _overlap(-dy, height), _overlap(-dx, width)
    out[to_y, to_x] = pixels[from_y, from_x]
    strips = []
    if dy:
        strips.append((0, 0 if dy > 0 else height + dy, width, abs(dy)))
    if dx:
        strips.append((0 if dx > 0 else width + dx, 0, abs(dx), height))
    for left, top, across, down in strips:
        part = draw(part_camera(camera, left=left / ratio, top=top / ratio, size=(across / ratio, down / ratio)))
        out[top : top + down, left : left + across] = part[:down, :across]


def part_camera(camera: Camera, *, left: float, top: float, size: tuple[float, float]) -> Camera:
    """Return the camera that sees a part of what another one sees; its size is rounded up to whole pixels."""
    whole = (math.ceil(size[0]), math.ceil(size[1]))
    x, y = camera.to_page((left + whole[0] / 2, top + whole[1] / 2))
    return replace(camera, size=whole, centre=(float(x), float(y)))


def _overlap(shift: int, length: int) -> slice:
    return slice(max(0, shift), length + min(0, shift))
