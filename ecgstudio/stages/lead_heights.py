"""The heights of one lead along its strip: what was followed between its ends, and how far that is to be trusted."""

from __future__ import annotations

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.decode import sharpened
from ecgstudio.stages.handover import followed_from, followed_to
from ecgstudio.stages.lead_ends import led_to_borders
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading

END_MARGIN_PX = 1.75  # columns this near to a lead's end show its neighbour too
LEAST_PRESENCE = 0.2
HARDLY_PRESENT, CLEARLY_FOLLOWED = 0.02, 0.7  # a lead that ends flat looks like a pulse, though its line is plain


def half_columns_px(count: int) -> F64:
    """Return where a strip's half-columns lie, in whole-column coordinates."""
    return np.arange(count) / 2 - 0.25


def lead_heights(reading: StripReading, slot: Slot, *, mm_per_s: float) -> tuple[F64, F64]:
    """Return heights (strip rows) and confidence of all half-columns of a row as one of its leads has them.

    Confidence is 0 outside the lead. Where its stroke was fitted to the ink, that is its height.
    """
    columns = half_columns_px(len(reading.height_half))
    low, high = reading.x_px(slot.start_mm) + END_MARGIN_PX, reading.x_px(slot.end_mm) - END_MARGIN_PX
    first, last = int(np.searchsorted(columns, low)), int(np.searchsorted(columns, high, side="right")) - 1
    inside = np.zeros(len(columns), bool)
    inside[followed_from(reading, slot, first) : followed_to(reading, slot, last) + 1] = True
    presence = reading.presence_half
    height, mass = led_to_borders(reading, slot, mm_per_s=mm_per_s)
    followed = (presence >= HARDLY_PRESENT) & (mass >= CLEARLY_FOLLOWED)
    confidence = np.where(inside & (followed | (presence >= LEAST_PRESENCE)), mass, 0.0)
    height[inside] = sharpened(height[inside])  # by the lead's own heights alone
    if reading.fitted_half is not None:
        height = np.where(inside & np.isfinite(reading.fitted_half), reading.fitted_half, height)
    return height, confidence
