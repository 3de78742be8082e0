"""Pulses of two heights tell that limb and chest leads have gains of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.corrections import NO_GRID_EDIT, apply_grid
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LAYOUTS, Layout
from ecgstudio.stages.gains import gain_of, gains_by_pulse, gains_doubt
from ecgstudio.stages.printed import Row, Slot
from ecgstudio.stages.strip_reading import StripReading

START_MM, WIDTH_MM, SPACING_MM = 20.0, 250.0, 16.0
BESIDE_MM = {"left": 12.0, "right": 276.0}


def printed(template: Layout) -> tuple[list[Slot], list[StripReading]]:
    slots, readings, none = [], [], np.zeros(0)
    for row, leads in enumerate(template.all_rows):
        each = WIDTH_MM / len(leads)
        for k, lead in enumerate(leads):
            slots.append(Slot(lead, row, k, len(leads), START_MM + k * each, START_MM + (k + 1) * each, 0.9, True))
        y_mm = 30.0 + row * SPACING_MM
        readings.append(
            StripReading(
                row=Row(y_mm, START_MM, START_MM + WIDTH_MM, 1.0), x0_mm=0.0, centre_mm=y_mm, half_px=240,
                height_half=none, mass_half=none, presence_half=none, boundary=none,
            )
        )  # fmt: skip
    return slots, readings


def scale(template: Layout, *, limb: float, chest: float, side: str = "left", shift_mm: float = 0.0) -> PaperScale:
    at = 0 if side == "left" else -1
    pulses = tuple(
        (BESIDE_MM[side], 30.0 + row * SPACING_MM + shift_mm, chest if leads[at].startswith("V") else limb)
        for row, leads in enumerate(template.all_rows)
    )
    return PaperScale(25.0, limb, "speed pulse, gain pulse", pulses_mm=pulses)


@given(
    gains=st.sampled_from([(10.0, 5.0), (20.0, 10.0), (10.0, 20.0)]),
    template=st.sampled_from(["12x1", "12x1-cabrera", "12x1+1"]),
    shift_mm=st.floats(-4, 4),
    seen=st.floats(0.95, 1.05),
)
def test_pulses_beside_chest_leads_give_their_gain(
    gains: tuple[float, float], template: str, shift_mm: float, seen: float
) -> None:
    layout = LAYOUTS[template]
    asked = scale(layout, limb=gains[0] * seen, chest=gains[1] * seen, shift_mm=shift_mm)
    assert gains_by_pulse(*printed(layout), asked) == gains
    assert [gain_of(lead, gains) for lead in ("aVR", "V3")] == list(gains)
    assert f"chest leads at {gains[1]:g} mm/mV" in gains_doubt(gains)


def test_a_pulse_on_the_right_belongs_to_the_last_lead_of_its_row() -> None:
    layout = replace(LAYOUTS["3x4+1"], rhythm=("II",))
    asked = scale(layout, limb=10.0, chest=5.0, side="right")
    assert gains_by_pulse(*printed(layout), asked) == (10.0, 5.0)


@pytest.mark.parametrize(("said", "gains"), [(10.0, (10.0, 5.0)), (5.0, None), (None, None), (7.0, None)])
def test_what_is_printed_is_the_limb_leads_gain_where_pulses_stand_beside_chest_leads_only(
    said: float | None, gains: tuple[float, float] | None
) -> None:
    layout = LAYOUTS["6x2"]
    asked = replace(scale(layout, limb=10.0, chest=5.0, side="right"), printed_mm_per_mV=said)
    assert gains_by_pulse(*printed(layout), asked) == gains
    beside_limb = replace(scale(layout, limb=5.0, chest=5.0), printed_mm_per_mV=said)
    assert gains_by_pulse(*printed(layout), beside_limb) is None


@pytest.mark.parametrize("pulses", [0, 1, 6, 7])
def test_too_few_pulses_or_one_gain_for_all_change_nothing(pulses: int) -> None:
    layout = LAYOUTS["12x1"]
    asked = scale(layout, limb=10.0, chest=5.0)
    assert gains_by_pulse(*printed(layout), replace(asked, pulses_mm=asked.pulses_mm[:pulses])) is None
    assert gains_by_pulse(*printed(layout), scale(layout, limb=5.0, chest=5.0)) is None


def test_pulses_that_contradict_one_another_change_nothing() -> None:
    layout = LAYOUTS["12x1"]
    asked = scale(layout, limb=10.0, chest=5.0)
    (x_mm, y_mm, _), *others = asked.pulses_mm
    assert gains_by_pulse(*printed(layout), replace(asked, pulses_mm=((x_mm, y_mm, 5.0), *others))) is None


def test_the_gain_that_a_human_sets_holds_for_all_leads() -> None:
    layout = LAYOUTS["12x1"]
    nodes = np.stack(np.meshgrid(np.arange(4) * 20.0, np.arange(4) * 20.0), axis=-1)
    grid = GridFit(nodes, scale(layout, limb=10.0, chest=5.0), 0.9)
    edited = apply_grid(grid, replace(NO_GRID_EDIT, mm_per_mV=10.0))
    assert edited.scale.pulses_mm == ()
    assert gains_by_pulse(*printed(layout), edited.scale) is None
