"""Strips as the trace network would have read them, drawn from known voltages: no page, no network."""

from __future__ import annotations

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LEADS, Layout
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM

HALF_PX = 240
PX_PER_MV = 10.0 * STRIP_PX_PER_MM
NOISE_PX = 1.0


def drawn_strip(mv: F64, *, rng: np.random.Generator, noise_px: float) -> StripReading:
    """Return a strip on which a voltage per column, from the paper's left edge on, is surely printed at 10 mm/mV."""
    height = HALF_PX - PX_PER_MV * mv + rng.normal(0, noise_px, len(mv))
    ones = np.ones(2 * len(mv))
    return StripReading(
        row=Row(50.0, 0.0, len(mv) / STRIP_PX_PER_MM, 1.0), x0_mm=0.0, centre_mm=50.0, half_px=HALF_PX,
        height_half=np.repeat(height, 2), mass_half=ones, presence_half=ones, boundary=0 * ones,
    )  # fmt: skip


def printed(template: Layout, mv: F64, *, together: bool = False) -> tuple[list[Slot], list[StripReading]]:
    """Print twelve leads [12, columns] in a layout, all names legible; return its slots and its strips as read.

    Its columns of leads follow one another; `together` they all show the first seconds.
    """
    rng = np.random.default_rng(0)
    slots, readings = [], []
    for row, leads in enumerate(template.all_rows):
        each = mv.shape[1] // len(leads)
        width_mm = each / STRIP_PX_PER_MM
        parts = []
        for column, lead in enumerate(leads):
            first = 0 if together else column * each
            parts.append(mv[LEADS.index(lead), first : first + each])
            slots.append(Slot(lead, row, column, len(leads), column * width_mm, (column + 1) * width_mm, 0.9, True))
        readings.append(drawn_strip(np.concatenate(parts), rng=rng, noise_px=NOISE_PX))
    return slots, readings
