"""Strips that print the same beats name one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LEADS, limb_leads
from ecgstudio.stages.printed import Slot
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.twins import name_limb_leads, name_rhythm_strips
from tests.drawn_strips import drawn_strip

COLUMNS = 1600


def beats_mv(seed: int) -> F64:
    rng = np.random.default_rng(seed)
    t = np.arange(COLUMNS) % 160
    return np.sum(
        [rng.normal(0, 0.6) * np.exp(-0.5 * ((t - at) / w) ** 2) for at, w in ((40, 9), (70, 2), (74, 2), (110, 12))],
        axis=0,
    )


def limbs_mv() -> F64:
    return limb_leads(beats_mv(1), beats_mv(2))


def strip(mv: F64, *, noise_px: float = 0.4) -> StripReading:
    return drawn_strip(mv, rng=np.random.default_rng(len(mv)), noise_px=noise_px)


def slot(lead: str, row: int, *, columns: int = 1, column: int = 0, read: bool = True) -> Slot:
    width = COLUMNS / 8 / columns
    return Slot(lead, row, column, columns, column * width, (column + 1) * width, 0.9 if read else 0.0, read)


@pytest.mark.parametrize("lost", LEADS[:6])
def test_a_nameless_limb_lead_is_known_from_two_others(lost: str) -> None:
    mv = limbs_mv()
    known = [lead for lead in LEADS[:6] if lead != lost][:2]
    leads = [*known, lost]
    slots = [slot(lead if lead != lost else "", i, read=lead != lost) for i, lead in enumerate(leads)]
    named = name_limb_leads(slots, [strip(mv[LEADS.index(lead)]) for lead in leads])
    assert [s.lead for s in named] == leads
    assert not named[-1].read


def test_a_strip_that_no_limb_lead_explains_stays_nameless() -> None:
    mv = limbs_mv()
    slots = [slot("I", 0), slot("II", 1), slot("", 2, read=False)]
    named = name_limb_leads(slots, [strip(mv[0]), strip(mv[1]), strip(beats_mv(9))])
    assert named[-1].lead == ""


def test_a_rhythm_strip_is_named_by_the_short_print_of_its_lead() -> None:
    mv = limbs_mv()
    slots = [*(slot(lead, i, columns=4) for i, lead in enumerate(LEADS[:3])), slot("", 3, read=False)]
    named = name_rhythm_strips(slots, [strip(row) for row in (mv[0], mv[1], mv[2], mv[2])])
    assert named[-1].lead == "III"


def test_a_misread_rhythm_strip_gives_way_only_to_what_it_clearly_is() -> None:
    mv = limbs_mv()
    short = [slot(lead, i, columns=4) for i, lead in enumerate(LEADS[:3])]
    strips = [strip(row) for row in (mv[0], mv[1], mv[2])]
    assert name_rhythm_strips([*short, slot("I", 3)], [*strips, strip(mv[1])])[-1].lead == "II"
    between = strip(0.45 * mv[0] + 0.55 * mv[1])
    assert name_rhythm_strips([*short, slot("I", 3)], [*strips, between])[-1].lead == "I"


@pytest.mark.parametrize(("confidence", "name"), [(0.55, "II"), (0.9, "I")])
def test_a_name_that_is_hardly_legible_gives_way_sooner(confidence: float, name: str) -> None:
    mv = limbs_mv()
    slots = [*(slot(lead, i, columns=4) for i, lead in enumerate(LEADS[:3])), slot("I", 3)]
    slots[-1] = replace(slots[-1], confidence=confidence)
    strips = [strip(row) for row in (mv[0], mv[1], mv[2], 0.4 * mv[0] + 0.6 * mv[1])]
    assert name_rhythm_strips(slots, strips)[-1].lead == name


@pytest.mark.parametrize("together", [True, False])
def test_a_short_print_of_the_same_seconds_names_a_rhythm_strip_from_its_beginning(together: bool) -> None:
    rng = np.random.default_rng(0)
    long = {lead: beats_mv(i) * rng.uniform(0.8, 1.2, COLUMNS) for i, lead in enumerate(("II", "V1", "V5", "I"))}
    each, rows = COLUMNS // 2, (("I", "V1"), ("II", "V5"))
    slots = [slot(lead, row, columns=2, column=k) for row, leads in enumerate(rows) for k, lead in enumerate(leads)]
    drawn = [
        np.concatenate([long[a][:each], long[b][:each] if together else long[b][each:]]) for a, b in rows
    ]  # fmt: skip
    slots.append(slot("", 2, read=False))
    named = name_rhythm_strips(slots, [*map(strip, drawn), strip(long["V5"])], together=together)
    assert named[-1].lead == "V5"
