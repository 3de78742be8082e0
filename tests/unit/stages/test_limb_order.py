"""Limb leads that make one another prove an order; names that deny it were misread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS, LEADS, Layout, limb_leads
from ecgstudio.stages.limb_order import limb_odds, order_by_limb_leads
from ecgstudio.stages.printed import Slot
from tests.drawn_strips import printed

patient = settings(deadline=None, max_examples=25)
COLUMNS = 1680
checked = st.sampled_from(["12x1", "12x1+1", "6x1", "6x2", "12x1-cabrera", "6x1-cabrera"]).map(LAYOUTS.__getitem__)


def record(seed: int) -> F64:
    """Return twelve leads [12, n]: limb leads that obey Einthoven, chest leads of their own."""
    rng = np.random.default_rng(seed)
    t = np.arange(COLUMNS) % 160

    def lead() -> F64:
        waves = ((40, 9, 0.2), (70, 2, 1.0), (75, 2, 0.8), (110, 12, 0.4))
        return np.sum([rng.normal(0, size) * np.exp(-0.5 * ((t - at) / w) ** 2) for at, w, size in waves], axis=0)

    return np.concatenate([limb_leads(lead(), lead()), [lead() for _ in range(6)]])


def names(slots: list[Slot]) -> list[str]:
    return [slot.lead for slot in slots]


@patient
@given(template=checked, seed=st.integers(0, 9999), data=st.data())
def test_names_that_were_lost_or_misread_give_way_to_an_order_that_the_traces_prove(
    template: Layout, seed: int, data: st.DataObject
) -> None:
    slots, readings = printed(template, record(seed))
    legible = data.draw(st.sets(st.integers(0, len(slots) - 1), max_size=2))
    wrong = data.draw(st.sampled_from(LEADS))
    worn = [
        slot if i in legible else replace(slot, lead=wrong if i == 0 else "", confidence=0.5, read=i == 0)
        for i, slot in enumerate(slots)
    ]
    found = order_by_limb_leads(worn, readings)
    assert names(found)[: len(template.leads)] == list(template.leads)
    assert [slot.read for slot in found] == [
        old.read and old.lead == new.lead for old, new in zip(worn, found, strict=True)
    ]


@patient
@given(template=checked, seed=st.integers(0, 9999), data=st.data())
def test_another_order_that_was_read_stays(template: Layout, seed: int, data: st.DataObject) -> None:
    slots, readings = printed(template, record(seed))
    at = data.draw(st.permutations(range(len(readings))))
    moved = sorted((replace(s, row=at.index(s.row)) for s in slots), key=lambda s: (s.row, s.column))
    assert names(order_by_limb_leads(moved, [readings[i] for i in at])) == names(moved)


@pytest.mark.parametrize("template", ["3x4", "4x3", "few"])
def test_where_nothing_can_be_checked_the_names_stay(template: str) -> None:
    layout = LAYOUTS.get(template) or Layout("few", (("V1",), ("II",)))
    slots, _ = printed(layout, record(1))
    other = [printed(layout, record(seed))[1][row] for row, seed in enumerate(range(2, 2 + len(layout.rows)))]
    nameless = [replace(slot, lead="", confidence=0.0, read=False) for slot in slots]
    assert order_by_limb_leads(nameless, other) == nameless


def test_limb_leads_in_their_places_speak_for_themselves() -> None:
    slots, readings = printed(LAYOUTS["6x1"], record(4))
    swapped = [readings[i] for i in (1, 0, 2, 3, 4, 5)]
    assert limb_odds(slots, readings) > 10 > 0 > limb_odds(slots, swapped)
