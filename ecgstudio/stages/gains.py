"""Limb and chest leads printed at different gains, as carts do where chest leads are tall: told by their pulses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgstudio.core.grid import PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.stages.calibration import GAINS, PULSE_MV, SNAP
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading

CHEST_LEADS = frozenset(LEADS[6:])
LEAST_CHEST_PULSES = 2
NEAR_ROW = 0.5  # of the spacing of rows


def gains_by_pulse(
    slots: Sequence[Slot], readings: Sequence[StripReading], scale: PaperScale
) -> tuple[float, float] | None:
    """Return mm/mV of limb and of chest leads where the pulses beside them differ; None where one gain holds for all.

    A pulse belongs to the lead beside which it stands: the first of its row, or the last. Where all stand beside chest
    leads and another gain is printed, that is the limb leads'.
    """
    found: dict[bool, set[float]] = {False: set(), True: set()}
    counted = {False: 0, True: 0}
    axes_mm = np.array([reading.centre_mm for reading in readings])
    spacing_mm = float(np.median(np.diff(axes_mm))) if len(axes_mm) > 1 else np.inf
    for x_mm, foot_mm, height_mm in scale.pulses_mm:
        row = int(np.argmin(np.abs(axes_mm - foot_mm)))
        beside = sorted((s for s in slots if s.row == row and s.lead), key=lambda s: s.column)
        gain = min(GAINS.values(), key=lambda g: abs(height_mm / PULSE_MV / g - 1))
        if not beside or abs(axes_mm[row] - foot_mm) > NEAR_ROW * spacing_mm or abs(height_mm / gain - 1) > SNAP:
            continue
        middle_mm = (beside[0].start_mm + beside[-1].end_mm) / 2
        chest = (beside[0] if x_mm < middle_mm else beside[-1]).lead in CHEST_LEADS
        found[chest].add(gain)
        counted[chest] += 1
    limb, chests = found[False], found[True]
    if not limb:
        limb = {gain for gain in GAINS.values() if gain == scale.printed_mm_per_mV}
    if len(limb) != 1 or len(chests) != 1 or limb == chests or counted[True] < LEAST_CHEST_PULSES:
        return None
    return limb.pop(), chests.pop()


def gain_of(lead: str, gains: tuple[float, float]) -> float:
    """Return the mm/mV of a lead, given those of limb and chest leads."""
    return gains[lead in CHEST_LEADS]


def gains_doubt(gains: tuple[float, float]) -> str:
    """Say in words which gains were used."""
    return f"limb leads read at {gains[0]:g} mm/mV, chest leads at {gains[1]:g} mm/mV by their pulses: check the gain"
