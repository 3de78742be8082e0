"""A page without names is divided as the shapes of its beats say, if so many rows are usual."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.stages import stage2_trace, unnamed
from ecgstudio.stages.contract import NULL_STATUS, StageError
from ecgstudio.stages.printed import Row
from ecgstudio.stages.settings import TraceSettings
from ecgstudio.stages.stage2_trace import read_page
from ecgstudio.stages.strip_reading import StripReading
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from ecgstudio.stages.unnamed import shape_within, usual_layout
from tests.synth_page import TruthRuntime, synth_page, true_grid, true_keypoints

START_MM, LENGTH_MM, HALF_PX = 20.0, 250.0, 240


def beat(t_s: F64, seed: int) -> F64:
    """Return the QRS complex of a lead: three waves whose sizes are its own."""
    sizes = np.random.default_rng(seed).uniform(-1.5, 1.5, 3)
    return np.asarray(sum(size * np.exp(-(((t_s - 0.03 * k) / 0.012) ** 2)) for k, size in enumerate(sizes, -1)))


def row_of(leads: list[int], *, y_mm: float, seed: int, noise_px: float = 1.0) -> StripReading:
    """Return a row of leads side by side without anything between them, 11 beats or so in all."""
    random = np.random.default_rng(seed)
    width = round(300 * STRIP_PX_PER_MM)
    at_mm = (np.arange(width) + 0.5) / STRIP_PX_PER_MM
    t_s = (at_mm - START_MM) / 25.0
    part = np.clip((t_s / 10.0 * len(leads)).astype(int), 0, len(leads) - 1)
    height = np.full(width, float(HALF_PX)) + random.normal(0, noise_px, width)
    for at_s in np.arange(0.4, 10.0, 0.87):
        near = np.abs(t_s - at_s) < 0.15
        for k, lead in enumerate(leads):
            here = near & (part == k)
            height[here] -= 60 * beat(t_s[here] - at_s, lead)
    present = (at_mm > START_MM) & (at_mm < START_MM + LENGTH_MM)
    ones = np.ones(2 * width)
    return StripReading(
        row=Row(y_mm, START_MM, START_MM + LENGTH_MM, 1.0), x0_mm=0.0, centre_mm=y_mm, half_px=HALF_PX,
        height_half=np.repeat(height, 2), mass_half=ones, presence_half=np.repeat(present.astype(float), 2),
        boundary=0 * ones,
    )  # fmt: skip


def page(layout: str, *, seed: int) -> list[StripReading]:
    """Return the rows of a layout; a rhythm strip's lead is that of its name."""
    rows = LAYOUTS[layout].all_rows
    names = sorted({name for row in rows for name in row})
    return [
        row_of([100 * seed + names.index(name) for name in row], y_mm=30.0 * (k + 1), seed=seed + k)
        for k, row in enumerate(rows)
    ]


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_columns_are_told_by_their_beats(seed: int) -> None:
    for layout in ("3x4", "3x4+1", "6x2+1"):
        assert usual_layout(page(layout, seed=seed)).removesuffix("-cabrera") in (layout, "")
    assert usual_layout(page("3x4+1", seed=seed)) == "3x4+1"


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_rows_of_one_lead_each_are_not_divided(seed: int) -> None:
    for layout in ("12x1", "6x1"):
        assert usual_layout(page(layout, seed=seed)) == ""
    assert usual_layout(page("12x1", seed=seed)[:3]) == ""


def test_so_many_rows_that_no_layout_has_them_are_not_divided() -> None:
    assert usual_layout(page("3x4+1", seed=1) * 5) == ""


@pytest.mark.parametrize("beats", [np.zeros(0), np.array([500.0]), np.array([500.0, 900.0, 1300.0])])
def test_too_few_beats_tell_nothing(beats: F64) -> None:
    ends_mm = START_MM, START_MM + LENGTH_MM
    assert shape_within(page("3x4", seed=1)[0], beats, ends_mm=ends_mm, columns=4) == 1.0


def test_a_flat_row_tells_nothing() -> None:
    flat = replace(page("3x4", seed=1)[0], height_half=np.full(2 * round(300 * STRIP_PX_PER_MM), 240.0))
    beats = np.arange(300.0, 2100.0, 150.0)
    assert shape_within(flat, beats, ends_mm=(START_MM, START_MM + LENGTH_MM), columns=4) == 1.0


def test_a_layout_that_a_human_vouches_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("6x1")
    nameless = replace(true_keypoints(synth), names=(), xy=np.zeros((0, 2)), confidence=np.zeros(0))
    monkeypatch.setattr(stage2_trace, "usual_layout", lambda _: "6x2")
    columns = []
    for layout in ("6x1", "auto"):
        found = read_page(
            synth.page, nameless, true_grid(synth), runtime=TruthRuntime(synth), settings=TraceSettings(layout=layout),
            status=NULL_STATUS,
        )  # fmt: skip
        columns.append({slot.columns for slot in found.slots})
    assert columns == [{1}, {2}]


def test_a_page_without_names_is_read_in_the_standard_order(monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("3x4", width_mm=250.0)
    keypoints = true_keypoints(synth)
    nameless = replace(keypoints, names=(), xy=np.zeros((0, 2)), confidence=np.zeros(0))
    monkeypatch.setattr(stage2_trace, "seams_of", lambda _: None)  # nor is it seen where leads meet
    read = partial(
        read_page, synth.page, nameless, true_grid(synth), runtime=TruthRuntime(synth), settings=TraceSettings(),
        status=NULL_STATUS,
    )  # fmt: skip
    found = read()
    assert [slot.lead for slot in found.slots] == [lead for row in LAYOUTS["3x4"].rows for lead in row]
    assert any("no lead name could be read" in doubt for doubt in found.doubts)
    monkeypatch.setattr(stage2_trace, "usual_layout", lambda _: "")
    with pytest.raises(StageError, match="no known layout fits"):
        read()


@pytest.mark.parametrize(("within_rhythm", "layout"), [(0.73, "3x4+1"), (0.62, "")])
def test_a_rhythm_strip_is_not_divided_as_the_other_rows_are(
    within_rhythm: float, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = page("3x4+1", seed=1)

    def within(reading: StripReading, *_: object, columns: int, **__: object) -> float:
        return 1.0 if columns != 4 else within_rhythm if reading is readings[-1] else 0.39

    monkeypatch.setattr(unnamed, "shape_within", within)
    assert usual_layout(readings).removesuffix("-cabrera") == layout
