"""Names read at a second look, where they contradict those that were read before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ecgstudio.core.leads import LAYOUTS, LEADS
from ecgstudio.stages.printed import Label, PageLayout, Slot
from ecgstudio.stages.stage2_trace import believed


@pytest.mark.parametrize(
    ("late", "sure", "unread", "kept"),
    [
        ("V4", 0.5, 3, False),  # half-hearted and alone
        ("V4", 0.9, 3, True),
        ("V6", 0.5, 3, True),  # as the order has it
        ("V4", 0.5, 7, True),  # too few names prove the order
    ],
)
def test_a_late_name_needs_to_be_sure_to_contradict_the_others(late: str, sure: float, unread: int, kept: bool) -> None:
    order = LAYOUTS["3x4"].all_rows
    slots = [
        Slot(lead=lead, row=row, column=column, columns=4, start_mm=0.0, end_mm=1.0, confidence=1.0, read=True)
        for row, leads in enumerate(order) for column, lead in enumerate(leads)
    ]  # fmt: skip
    slots[-unread:] = [replace(slot, read=False) for slot in slots[-unread:]]
    layout = PageLayout("3x4", (), tuple(slots), (), contradicted=True)
    label = Label(late, 0.0, 0.0, sure)
    assert believed([(slots[-1], label)], layout) == ([label] if kept else [])


def test_several_late_names_may_contradict_an_order() -> None:
    slots = [
        Slot(lead=lead, row=0, column=0, columns=4, start_mm=0.0, end_mm=1.0, confidence=1.0, read=lead[0] != "V")
        for lead in (*LEADS[:6], *LEADS)
    ]
    swapped = [(slots[-1], Label("V5", 0.0, 0.0, 0.5)), (slots[-2], Label("V6", 0.0, 0.0, 0.5))]
    assert len(believed(swapped, PageLayout("12x1", (), tuple(slots), (), contradicted=False))) == 2
