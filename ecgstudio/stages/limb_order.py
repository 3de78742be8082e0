"""What the traces say of the order of leads: limb leads that were printed together must make one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.stages.lead_order import GUESSED_CONFIDENCE, known_orders
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.twins import LIMB_LEADS, common_share, limb_leads_from, span_px

# log odds that a strip is the lead which the others make it, by the share of variance that they have in common
SHARES, SAYS = (0.0, 0.5, 0.8, 0.95), (-2.0, -1.0, 1.0, 3.0)
CONVINCING, BETTER_BY = 3.0, 4.0  # log odds at which traces are believed
NAME_SAYS = 1.5  # log odds of a name that was read for sure
LEAST_TO_MAKE = 3  # limb leads side by side, of which each is made of the others
LEAST_PRESENT = 0.5


def order_by_limb_leads(slots: list[Slot], readings: Sequence[StripReading]) -> list[Slot]:
    """Name the leads in a usual order if the limb leads make one another in it, and in the order as read do not.

    Chest leads cannot be checked by that and follow the order; what was not read but inferred is marked as such.
    """
    counts = [sum(slot.row == row for slot in slots) for row in range(len(readings))]
    now = limb_odds(slots, readings)
    if now > CONVINCING and all(slot.lead for slot in slots):
        return slots
    best, best_odds = slots, max(now, 0.0) + BETTER_BY
    for _, rows in known_orders(counts):
        leads = [lead for row in rows for lead in row]
        if len(leads) != len(slots):
            continue
        named = [_named(slot, lead) for slot, lead in zip(slots, leads, strict=True)]
        overruled = sum(old.confidence for old, new in zip(slots, named, strict=True) if old.read and not new.read)
        odds = limb_odds(named, readings) - NAME_SAYS * overruled
        if odds >= max(CONVINCING, best_odds):
            best, best_odds = named, odds
    return best


def _named(slot: Slot, lead: str) -> Slot:
    if not lead or slot.lead == lead:
        return slot
    return replace(slot, lead=lead, confidence=GUESSED_CONFIDENCE, read=False)


def limb_odds(slots: Sequence[Slot], readings: Sequence[StripReading]) -> float:
    """Return the log odds that the limb leads are where the slots say, by what leads of one column make each other."""
    columns = {(slot.columns, slot.column) for slot in slots}
    return sum(_column_odds([s for s in slots if (s.columns, s.column) == key], readings) for key in sorted(columns))


def _column_odds(slots: list[Slot], readings: Sequence[StripReading]) -> float:
    limb = {slot.lead: slot for slot in slots if slot.lead in LIMB_LEADS}
    if len(limb) < LEAST_TO_MAKE:
        return 0.0
    spans = {lead: span_px(readings[s.row], s.start_mm, s.end_mm) for lead, s in limb.items()}
    first, last = max(low for low, _ in spans.values()), min(high for _, high in spans.values())
    mv = {lead: _up(readings[s.row], first, last) for lead, s in limb.items()}
    odds = 0.0
    for lead, own in mv.items():
        made = limb_leads_from({other: values for other, values in mv.items() if other != lead})
        if lead in made:
            odds += float(np.interp(common_share(own, made[lead]), SHARES, SAYS))
    return odds


def _up(reading: StripReading, first: int, last: int) -> F64:
    part = reading.height_px[first:last]
    return np.asarray(np.median(part) - part if len(part) else part)
