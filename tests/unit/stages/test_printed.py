"""What a layout says of itself: which leads are named by print, and whether that is enough."""

from collections.abc import Collection

import pytest

from ecgstudio.core.leads import LEADS
from ecgstudio.stages.printed import PageLayout, Row, Slot

ROWS = tuple(Row(20.0 + 30 * k, 10.0, 260.0, 1.0) for k in range(4))


def layout(name: str = "3x4+1", *, unread: Collection[int] = (), leads: Collection[str] = LEADS) -> PageLayout:
    """Three rows of four and a rhythm strip (slot 12), but for some names all read."""
    slots = [
        Slot(lead, k % 3, k // 3, 4, 10.0, 70.0, 0.9, k not in unread)
        for k, lead in enumerate(LEADS) if lead in leads
    ]  # fmt: skip
    rhythm = Slot("II", 3, 0, 1, 10.0, 260.0, 0.9, 12 not in unread)
    return PageLayout(name, ROWS, (*slots, rhythm))


@pytest.mark.parametrize(
    ("known", "missed"), [(layout(), False), (layout(unread=[8]), True), (layout(unread=[12]), True)]
)
def test_names_are_missed_on_rhythm_strips_too(known: PageLayout, missed: bool) -> None:
    assert known.lacks_names is missed


def test_names_read_count_each_lead_once() -> None:
    assert layout().names_read == 12
    assert layout(unread=[12, 0]).names_read == 11
    assert layout(unread=range(13)).names_read == 0


def test_leads_lack_against_the_template_or_against_twelve() -> None:
    assert not layout().lacks_leads
    assert layout(leads=LEADS[:11]).lacks_leads
    assert layout("4 x 3", leads=LEADS[:11]).lacks_leads


def test_an_order_is_guessed_where_neither_names_nor_columns_tell() -> None:
    assert layout("4 x 3", unread=range(13)).is_guessed
    assert not layout("4 x 3", unread=range(12)).is_guessed
    assert not layout(unread=range(13)).is_guessed
