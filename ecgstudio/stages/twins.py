"""What strips have in common: the same lead twice, the third limb lead that two others make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LEADS, LIMB_FROM_I_II
from ecgstudio.stages.lead_order import GUESSED_CONFIDENCE
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading

TWIN_LIKENESS = 0.7
TWIN_TIMES, EXPECTED_TIMES, MISREAD_TIMES = 1.3, 2.0, 4.0  # by how much the rival's misfit must be larger
HARDLY_READ, SURELY_READ = 0.5, 0.9  # names between are believed as far as they are sure
LIMB_LEADS = LEADS[:6]
MIN_SPAN_PX = 120


def span_px(reading: StripReading, start_mm: float, end_mm: float) -> tuple[int, int]:
    """Return the columns of a span, a millimetre inside its ends."""
    low, high = (int(np.clip(reading.x_px(x), 0, len(reading.height_px))) for x in (start_mm + 1.0, end_mm - 1.0))
    return low, high


def name_rhythm_strips(slots: list[Slot], readings: list[StripReading], *, together: bool = False) -> list[Slot]:
    """Name full-width strips by their likeness to a short print of the same beats.

    Where all columns show the same seconds (`together`), those are the first of a full-width strip. A name that was
    read stays, unless the strip is much more like another lead: II and III differ by one stroke.
    """
    short = [s for s in slots if s.columns > 1 and s.lead]
    out = list(slots)
    for i, slot in enumerate(slots):
        if slot.columns > 1 or not short:
            continue
        likeness = {
            s.lead: _print_likeness(
                readings[slot.row], readings[s.row], s, from_mm=slot.start_mm if together else s.start_mm - s.blank_mm
            )
            for s in short
        }
        best, *others = sorted(likeness, key=lambda lead: -likeness[lead])
        if likeness[best] <= TWIN_LIKENESS:
            continue
        sure = float(min(likeness[best], 0.9))
        if best == slot.lead:
            out[i] = replace(slot, confidence=max(sure, slot.confidence))
            continue
        rival = slot.lead if slot.lead in likeness else next(iter(others), "")
        if 1 - likeness.get(rival, 0.0) > _times_of(slot) * (1 - likeness[best]):
            out[i] = replace(slot, lead=best, confidence=sure, read=False)
    return out


def _times_of(slot: Slot) -> float:
    """Return how many times less a strip must be like the lead that it was named than like another to be renamed."""
    if not slot.read:
        return EXPECTED_TIMES if slot.lead else TWIN_TIMES
    return float(np.interp(slot.confidence, (HARDLY_READ, SURELY_READ), (EXPECTED_TIMES, MISREAD_TIMES)))


def name_limb_leads(slots: list[Slot], readings: list[StripReading]) -> list[Slot]:
    """Name nameless strips that are what two known limb leads beside them in time make a third one (Einthoven)."""
    out = list(slots)
    for i, slot in enumerate(slots):
        if slot.lead:
            continue
        together = [s for s in out if (s.columns, s.column) == (slot.columns, slot.column)]
        known = {s.lead: readings[s.row] for s in together if s.lead in LIMB_LEADS}
        named = {s.lead for s in out if s.columns == slot.columns}
        likeness = {
            lead: _likeness(readings[slot.row], made, slot)
            for lead, made in _made_of(known, slot).items() if lead not in named
        }  # fmt: skip
        best = max(likeness, key=lambda lead: likeness[lead], default="")
        if best and likeness[best] > TWIN_LIKENESS:
            out[i] = replace(slot, lead=best, confidence=GUESSED_CONFIDENCE)
    nameless = [i for i, s in enumerate(out) if not s.lead]
    rest = [lead for lead in LEADS if lead not in {s.lead for s in out}]
    if len(nameless) == 1 and len(rest) == 1:
        out[nameless[0]] = replace(out[nameless[0]], lead=rest[0], confidence=GUESSED_CONFIDENCE)
    return out


def _made_of(known: dict[str, StripReading], slot: Slot) -> dict[str, F64]:
    """Return the heights that each limb lead must have over a slot, from at least two known ones."""
    n = min((len(reading.height_px) for reading in known.values()), default=0)
    up = {lead: np.median(r.height_px[:n]) - r.height_px[:n] for lead, r in known.items()}
    return {lead: -height for lead, height in limb_leads_from(up).items()}


def limb_leads_from(known: dict[str, F64]) -> dict[str, F64]:
    """Return all six limb leads from at least two independent ones; none if there are fewer."""
    rows = LIMB_FROM_I_II[[LIMB_LEADS.index(lead) for lead in known]] if known else np.zeros((0, 2))
    if np.linalg.matrix_rank(rows) < 2:
        return {}
    both = np.linalg.lstsq(rows, np.stack(list(known.values())), rcond=None)[0]
    return {lead: LIMB_FROM_I_II[k] @ both for k, lead in enumerate(LIMB_LEADS)}


def _likeness(a: StripReading, height_px: F64, slot: Slot) -> float:
    """Return which share of a reading's variance over a slot's span is in other heights too (rows share one time)."""
    low, high = (int(v) for v in (a.x_px(slot.start_mm) + 8, a.x_px(slot.end_mm) - 8))
    both = slice(max(0, low), min(high, len(a.height_px), len(height_px)))
    return common_share(a.height_px[both], height_px[both])


def _print_likeness(long: StripReading, short: StripReading, slot: Slot, *, from_mm: float) -> float:
    """Return the share that a short print has in common with a long one beside it, or with that from `from_mm` on."""
    if from_mm == slot.start_mm or slot.column == 0:
        return _likeness(long, short.height_px, slot)
    low, high = span_px(short, slot.start_mm, slot.end_mm)
    first, _ = span_px(long, from_mm, from_mm + slot.end_mm - slot.start_mm)
    n = min(high - low, len(long.height_px) - first)
    return common_share(long.height_px[first : first + n], short.height_px[low : low + n])


def common_share(x: F64, y: F64) -> float:
    """Return which share of the variance two series have in common, allowing a small shift."""
    if len(x) < MIN_SPAN_PX or x.std() < 1e-3 or y.std() < 1e-3:
        return 0.0
    n = len(x)
    misses = [np.var(x[max(0, k) : n + min(0, k)] - y[max(0, -k) : n + min(0, -k)]) for k in range(-6, 7, 2)]
    return float(1 - min(misses) / max(np.var(x), np.var(y)))
