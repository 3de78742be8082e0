"""Reading again only what a correction of the grid has moved; all other strips keep what was read on them.

What a corrected page says depends on the automatic grid and the corrected one, never on the order in which it was
corrected: a replay takes the same path.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar, cast

import numpy as np

from ecgstudio.core.grid import GRID_PITCH_MM, GridFit
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.core.page import Page
from ecgstudio.stages.contract import Runtime, StageError, content_digest
from ecgstudio.stages.cut_off import NOT_CUT, CutOff
from ecgstudio.stages.ink_fit import fitted_to_ink
from ecgstudio.stages.meetings import read_together
from ecgstudio.stages.printed import Label, PageLayout, Row, Slot
from ecgstudio.stages.pulse_feet import off_pulse_tops
from ecgstudio.stages.settings import TraceSettings
from ecgstudio.stages.strip_reading import (
    STRIP_MARGIN_MM,
    StripReading,
    beginning_at,
    printed_strips,
    read_beside_names,
    read_strips,
)
from ecgstudio.stages.strips import STRIP_PX_PER_MM

MOVED_MM: Final = 0.02  # a tenth of a pixel of a strip at 300 dpi: no reading tells it
LOCAL_MM: Final = 5.0  # nodes moved further than this may have been laid through other rows
NEAR_MM: Final = 40.0  # nodes further from a row do not bend its strip: the spline fades by 0.27 a node
TRACE_MARGIN_MM: Final = 2.0
LEAST_HALF_MM: Final = 5.0
STEP_MM: Final = 2.5
REMEMBERED: Final = 64  # readings of whole pages (0.6 MB) and single strips

T = TypeVar("T")


class ReadingMemo:
    """Remembers the last readings by all that they depend on; what it forgot is read again, to the same end."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._known: OrderedDict[str, object] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, key: str, make: Callable[[], T]) -> T:
        """Return what is known under a key, or make it; what `make` raises is not remembered."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return cast("T", self._known[key])
        made = make()
        with self._lock:
            self._known[key] = made
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True, eq=False)
class PageReading:
    """All strips of a page as read, and which lead is where: what traces are made of once the scale is known.

    `names` are those that were known when the strips were first read; the layout's own were found with their help.
    `cut` tells what of the rows lies outside the picture.
    """

    layout: PageLayout
    readings: tuple[StripReading, ...]
    slots: tuple[Slot, ...]
    doubts: tuple[str, ...]
    names: tuple[Label, ...]
    cut: CutOff = NOT_CUT


@dataclass(frozen=True, slots=True, eq=False)
class RowAgain:
    """A row that was moved: the grid near it, its reading there, and which slots of the page it is about."""

    grid: GridFit
    reading: StripReading
    slots: frozenset[int]


def read_moved_rows(
    page: Page,
    found: PageReading,
    before: GridFit,
    after: GridFit,
    *,
    runtime: Runtime,
    settings: TraceSettings,
    memo: ReadingMemo,
) -> dict[int, RowAgain] | None:
    """Read the rows again of which a lead was moved from one grid to another.

    None where the page should be read anew as a whole: its layout was in doubt, or nodes were moved too far.
    """
    sure = found.layout.name in LAYOUTS and not found.doubts and all(slot.lead for slot in found.slots)
    if not sure or not _is_local(before, after):
        return None
    again: dict[int, RowAgain] = {}
    for number, reading in enumerate(found.readings):
        near = grid_near(reading.row.y_mm, before=before, after=after)
        moved = frozenset(
            i for i, slot in enumerate(found.slots) if slot.row == number and _is_moved(slot, reading, before, near)
        )
        if not moved:
            continue
        names = [_carried(each, before, near) for each in (found.names, found.layout.names)]
        row = _row_on(near, reading.row, before=before)
        key = content_digest(
            [
                str(page.id),
                runtime.weights_hash,
                settings,
                near.nodes,
                row,
                reading.x0_mm,
                reading.begins_mm,
                len(reading.height_px),
                names,
                found.slots,
                [(each.centre_mm, each.half_px, each.height_half) for each in found.readings],
            ]
        )
        read = partial(_read_again, page, near, row, found, number, names=names, runtime=runtime, settings=settings)
        try:
            fresh = memo.recall(key, read)
        except StageError:
            return None
        again[number] = RowAgain(near, fresh, moved)
    return again


def grid_near(y_mm: float, *, before: GridFit, after: GridFit) -> GridFit:
    """Return the grid that has only those moves in it that are made near a row: what lies elsewhere is as it was."""
    away_mm = np.abs(np.arange(before.nodes.shape[0]) * GRID_PITCH_MM - y_mm)
    nodes = np.where((away_mm <= NEAR_MM)[:, None, None], after.nodes, before.nodes)
    return GridFit(nodes, after.scale, after.confidence)


def _is_local(before: GridFit, after: GridFit) -> bool:
    if before.nodes.shape != after.nodes.shape:
        return False
    moved_px = np.hypot(*np.moveaxis(after.nodes - before.nodes, -1, 0)).max()
    return bool(moved_px <= LOCAL_MM * before.px_per_mm)


def _is_moved(slot: Slot, reading: StripReading, before: GridFit, after: GridFit) -> bool:
    """Tell whether the paper on which a lead is drawn lies elsewhere on the page."""
    first, last = slot.start_mm - TRACE_MARGIN_MM, slot.end_mm + TRACE_MARGIN_MM
    columns = np.clip(reading.x_px(np.array([first, last])), 0, len(reading.height_px)).astype(int)
    span = slice(columns[0], columns[1])
    drawn = reading.presence[span] > 0.5
    away_mm = (reading.height_px[span][drawn] - reading.half_px) / STRIP_PX_PER_MM
    top = reading.centre_mm + min(float(away_mm.min(initial=0.0)) - TRACE_MARGIN_MM, -LEAST_HALF_MM)
    bottom = reading.centre_mm + max(float(away_mm.max(initial=0.0)) + TRACE_MARGIN_MM, LEAST_HALF_MM)
    x_mm, y_mm = (np.arange(low, high + STEP_MM, STEP_MM) for low, high in ((first, last), (top, bottom)))
    moved_px = np.hypot(*np.moveaxis(after.lattice_to_page(x_mm, y_mm) - before.lattice_to_page(x_mm, y_mm), -1, 0))
    return bool(moved_px.max() > MOVED_MM * before.px_per_mm)


def _carried(names: Sequence[Label], before: GridFit, after: GridFit) -> tuple[Label, ...]:
    """Return printed names where they lie on another grid."""
    if not names:
        return ()
    places = after.to_mm(before.to_page(np.array([(name.x_mm, name.y_mm) for name in names])))
    return tuple(
        replace(name, x_mm=float(x_mm), y_mm=float(y_mm)) if math.isfinite(x_mm + y_mm) else name
        for name, (x_mm, y_mm) in zip(names, places, strict=True)
    )


def _row_on(after: GridFit, row: Row, *, before: GridFit) -> Row:
    """Return a row at the height at which most of its axis lies on another grid."""
    x_mm = np.arange(row.start_mm, row.end_mm + STEP_MM, STEP_MM)
    now_mm = after.to_mm(before.lattice_to_page(x_mm, np.array([row.y_mm]))[0])[:, 1]
    shift_mm = float(np.nanmedian(now_mm - row.y_mm)) if np.isfinite(now_mm).any() else 0.0
    return row if abs(shift_mm) < MOVED_MM else replace(row, y_mm=row.y_mm + shift_mm)


def _read_again(
    page: Page,
    grid: GridFit,
    row: Row,
    page_reading: PageReading,
    number: int,
    *,
    names: Sequence[Sequence[Label]],
    runtime: Runtime,
    settings: TraceSettings,
) -> StripReading:
    """Read one row column by column as it was read before, together with the others where it meets them, and fit it.

    Raises StageError if no trace can be followed.
    """
    known, found = names
    readings = page_reading.readings
    before = readings[number]
    end_mm = before.x0_mm + (len(before.height_px) - 0.1) / STRIP_PX_PER_MM  # not a hair longer than before
    whole = replace(row, start_mm=before.x0_mm + STRIP_MARGIN_MM, end_mm=end_mm - STRIP_MARGIN_MM)
    fresh = read_strips(page, grid, (whole,), runtime=runtime, flip=settings.flip, names=known)
    printed = printed_strips([replace(each, row=row, x0_mm=before.x0_mm) for each in fresh])
    printed = [beginning_at(each, before.begins_mm) for each in printed]
    (reading,) = read_beside_names(page, grid, printed, found, before=known, runtime=runtime, flip=settings.flip)
    together = read_together([reading if i == number else each for i, each in enumerate(readings)], only={number})
    together = off_pulse_tops(together, page_reading.slots)
    return replace(fitted_to_ink(together, page_reading.slots, only={number})[number], looked=None)
