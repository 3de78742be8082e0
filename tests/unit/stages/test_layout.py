"""Rows come from the strip axes, names from the page, and gaps from a template that agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgstudio.core.leads import LAYOUTS, LEADS, Layout
from ecgstudio.stages.contract import FloatMap
from ecgstudio.stages.layout import common_ends, find_rows, rows_beside_names, solve_layout
from ecgstudio.stages.lead_order import name_doubts
from ecgstudio.stages.printed import Label, PageLayout, Row
from ecgstudio.stages.seams import Seams

CELL_MM = 0.8
patient = settings(deadline=None, max_examples=25)
START_MM = 22.0
PLACES = {"above": (2.0, -7.0), "below": (2.0, 6.0), "left": (-5.0, 0.5), "on the trace": (3.0, -2.0)}

templates = st.sampled_from(sorted(LAYOUTS)).map(LAYOUTS.__getitem__)
places = st.sampled_from(sorted(PLACES)).map(PLACES.__getitem__)
widths_mm = st.sampled_from([125.0, 200.0, 250.0])


def spacing_of(template: Layout) -> float:
    return 14.0 if len(template.all_rows) == 12 else 26.0


def rows_of(template: Layout, *, width_mm: float = 250.0, jitter_mm: float = 0.0, seed: int = 0) -> list[Row]:
    shift = np.random.default_rng(seed).uniform(-jitter_mm, jitter_mm, (len(template.all_rows), 3))
    spacing = spacing_of(template)
    return [
        Row(30.0 + i * spacing + s[0], START_MM + s[1], START_MM + width_mm + s[2], 0.9) for i, s in enumerate(shift)
    ]


def labels_of(
    template: Layout,
    *,
    width_mm: float = 250.0,
    place: tuple[float, float] = PLACES["above"],
    jitter_mm: float = 0.0,
    seed: int = 0,
) -> list[Label]:
    """Return every printed name; names that stand left of the first column stand inside the others."""
    rng = np.random.default_rng(seed)
    labels = []
    for i, leads in enumerate(template.all_rows):
        for column, lead in enumerate(leads):
            dx = place[0] if column == 0 or place[0] > 0 else 1.5
            x = START_MM + column * width_mm / len(leads) + dx
            y = 30.0 + i * spacing_of(template) + place[1] * spacing_of(template) / 26.0
            labels.append(Label(lead, *(np.array([x, y]) + rng.uniform(-jitter_mm, jitter_mm, 2)).tolist(), 0.9))
    return labels


def edges_of(template: Layout, *, width_mm: float = 250.0) -> FloatMap:
    """Return the map of the leads' ends, as stage 1 draws it."""
    edges = np.zeros((round((30 + 12 * 26 + 20) / CELL_MM), round((START_MM + width_mm + 30) / CELL_MM)), np.float32)
    for i, leads in enumerate(template.all_rows):
        y = 30.0 + i * spacing_of(template)
        for x in np.linspace(START_MM, START_MM + width_mm, len(leads) + 1):
            edges[int((y - 4) / CELL_MM) : int((y + 4) / CELL_MM), int(x / CELL_MM)] = 0.9
    return edges


def notes_of(layout: PageLayout) -> tuple[str, ...]:
    return name_doubts(layout.slots, contradicted=layout.contradicted)


def solve(
    template: Layout,
    labels: list[Label],
    *,
    rows: list[Row] | None = None,
    width_mm: float = 250.0,
    wanted: str = "auto",
) -> PageLayout:
    return solve_layout(
        rows if rows is not None else rows_of(template, width_mm=width_mm), labels,
        edges_of(template, width_mm=width_mm), cell_mm=CELL_MM, origin_mm=(0.0, 0.0), wanted=wanted,
    )  # fmt: skip


def placed(layout: PageLayout) -> list[tuple[int, int, str]]:
    return sorted((slot.row, slot.column, slot.lead) for slot in layout.slots)


def expected(template: Layout) -> list[tuple[int, int, str]]:
    return sorted((i, k, lead) for i, leads in enumerate(template.all_rows) for k, lead in enumerate(leads))


# --- all names are read -------------------------------------------------------------------------------------


@patient
@given(template=templates, place=places, width_mm=widths_mm, seed=st.integers(0, 9999))
def test_every_layout_is_found_from_its_names(
    template: Layout, place: tuple[float, float], width_mm: float, seed: int
) -> None:
    labels = labels_of(template, width_mm=width_mm, place=place, jitter_mm=1.0, seed=seed)
    rows = rows_of(template, width_mm=width_mm, jitter_mm=1.5, seed=seed)
    layout = solve(template, labels, rows=rows, width_mm=width_mm)
    assert layout.name == template.name
    assert placed(layout) == expected(template)
    assert all(slot.read for slot in layout.slots)
    assert notes_of(layout) == ()


@patient
@given(template=templates, width_mm=widths_mm)
def test_slots_divide_their_row_evenly(template: Layout, width_mm: float) -> None:
    for slot in solve(template, labels_of(template, width_mm=width_mm), width_mm=width_mm).slots:
        each_mm = width_mm / len(template.all_rows[slot.row])
        assert slot.start_mm == pytest.approx(START_MM + slot.column * each_mm)
        assert slot.end_mm == pytest.approx(slot.start_mm + each_mm)


@patient
@given(template=templates, seed=st.integers(0, 9999))
def test_the_order_of_the_names_does_not_matter(template: Layout, seed: int) -> None:
    labels = labels_of(template)
    shuffled = [labels[i] for i in np.random.default_rng(seed).permutation(len(labels))]
    assert placed(solve(template, shuffled)) == expected(template)


@patient
@given(seed=st.integers(0, 9999), name=st.sampled_from(["3x4", "6x2", "12x1", "4x3"]))
def test_an_unknown_order_is_taken_from_the_page(seed: int, name: str) -> None:
    template = LAYOUTS[name]
    order = [LEADS[i] for i in np.random.default_rng(seed).permutation(12)]
    rows = tuple(tuple(order[i * template.columns : (i + 1) * template.columns]) for i in range(len(template.rows)))
    odd = Layout("odd", rows)
    layout = solve(odd, labels_of(odd))
    assert placed(layout) == expected(odd)
    assert layout.name.removesuffix("-cabrera") == name


@patient
@given(lead=st.sampled_from(LEADS))
def test_a_rhythm_strip_may_hold_any_lead(lead: str) -> None:
    odd = Layout("odd", LAYOUTS["3x4"].rows, (lead,))
    layout = solve(odd, labels_of(odd))
    assert placed(layout) == expected(odd)
    assert layout.name == "3x4+1"


# --- some names are missing, doubled or wrong ---------------------------------------------------------------


@patient
@given(data=st.data(), template=templates, place=places)
def test_missing_names_come_from_the_layout(data: st.DataObject, template: Layout, place: tuple[float, float]) -> None:
    labels = labels_of(template, place=place)
    lost = data.draw(st.sets(st.integers(0, len(labels) - 1), min_size=1, max_size=2))
    row_of = [i for i, leads in enumerate(template.all_rows) for _ in leads]
    lost_of_row = [sum(row_of[k] == row for k in lost) for row in range(len(template.all_rows))]
    assume(all(n <= max(1, len(leads) // 2) for n, leads in zip(lost_of_row, template.all_rows, strict=True)))
    layout = solve(template, [label for i, label in enumerate(labels) if i not in lost])
    assert placed(layout) == expected(template)
    guessed = [slot for slot in layout.slots if not slot.read]
    assert len(guessed) == len(lost)
    assert all(slot.confidence < 0.5 for slot in guessed)
    assert any("inferred" in note for note in notes_of(layout))


@pytest.mark.parametrize("unread", [{"I", "V4"}, {"III", "aVF"}, {"aVR", "V1", "V5"}])
def test_missing_names_of_an_order_that_is_read_across_are_known(unread: set[str]) -> None:
    rows = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
    template = Layout("4x3", rows)
    layout = solve(template, [label for label in labels_of(template) if label.lead not in unread])
    assert placed(layout) == expected(template)
    assert {slot.lead for slot in layout.slots if not slot.read} == unread


@patient
@given(data=st.data(), template=templates)
def test_a_name_found_twice_counts_once(data: st.DataObject, template: Layout) -> None:
    labels = labels_of(template)
    twice = data.draw(st.sampled_from(labels))
    weaker = replace(twice, x_mm=twice.x_mm + 3.0, y_mm=twice.y_mm + 0.5, confidence=0.6)
    assert placed(solve(template, [*labels, weaker])) == expected(template)


@patient
@given(data=st.data(), template=templates)
def test_a_name_misread_as_another_gives_way(data: st.DataObject, template: Layout) -> None:
    labels = labels_of(template)
    wrong = data.draw(st.integers(0, len(template.leads) - 1))
    lead = data.draw(st.sampled_from([lead for lead in template.leads if lead != labels[wrong].lead]))
    labels[wrong] = replace(labels[wrong], lead=lead, confidence=0.5)
    layout = solve(template, labels)
    assert placed(layout) == expected(template)
    assert [slot.read for slot in layout.slots].count(False) == 1


@pytest.mark.parametrize("y_mm", [4.0, 400.0])
def test_a_name_in_the_header_is_not_a_lead(y_mm: float) -> None:
    template = LAYOUTS["3x4+1"]
    header = Label("V3", START_MM + 2.0, y_mm, 0.95)
    assert placed(solve(template, [*labels_of(template), header])) == expected(template)


@pytest.mark.parametrize("name", ["12x1", "6x1"])
def test_without_any_name_the_standard_order_is_assumed_and_said(name: str) -> None:
    layout = solve(LAYOUTS[name], [])
    assert placed(layout) == expected(LAYOUTS[name])
    assert all(not slot.read and slot.confidence < 0.2 for slot in layout.slots)
    assert any("no lead name could be read" in note for note in notes_of(layout))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("legible", ["", "V"])
def test_the_layout_that_the_user_names_fills_the_gaps(name: str, legible: str) -> None:
    template = LAYOUTS[name]
    labels = [label for label in labels_of(template) if legible and label.lead.startswith(legible)]
    layout = solve(template, labels, wanted=name)
    assert placed(layout) == expected(template)
    assert layout.name == name


def test_a_row_whose_beginning_is_not_seen_reaches_no_farther_than_the_others() -> None:
    template = LAYOUTS["6x2"]
    seen_from = (0.0, 0.0, 0.0, 70.0, 110.0, 180.0)  # of thin traces parts are seen
    rows = [replace(row, start_mm=START_MM + mm) for row, mm in zip(rows_of(template), seen_from, strict=True)]
    found = solve(template, labels_of(template), rows=rows)
    assert [row.end_mm for row in found.rows] == pytest.approx([START_MM + 250.0] * 6, abs=1.0)


def test_no_rows_give_no_slots() -> None:
    layout = solve(LAYOUTS["3x4"], labels_of(LAYOUTS["3x4"]), rows=[])
    assert layout.slots == ()


# --- rows ---------------------------------------------------------------------------------------------------


def axis_map(rows: list[Row], *, height_mm: float = 230.0, width_mm: float = 300.0, slope: float = 0.0) -> FloatMap:
    axis = np.zeros((round(height_mm / CELL_MM), round(width_mm / CELL_MM)), np.float32)
    x = np.arange(axis.shape[1])
    for row in rows:
        here = x[(x * CELL_MM >= row.start_mm) & (x * CELL_MM < row.end_mm)]
        y = (row.y_mm + slope * (here * CELL_MM - row.start_mm)) / CELL_MM - 0.5
        for low in (np.floor(y).astype(int), np.floor(y).astype(int) + 1):
            share = 1 - np.abs(y - low)
            axis[low, here] = np.maximum(axis[low, here], share)
    return axis


@patient
@given(template=templates, width_mm=widths_mm, seed=st.integers(0, 9999))
def test_every_drawn_row_is_found(template: Layout, width_mm: float, seed: int) -> None:
    drawn = rows_of(template, width_mm=width_mm, jitter_mm=1.0, seed=seed)
    found = find_rows(axis_map(drawn, height_mm=370.0), cell_mm=CELL_MM, origin_mm=(0.0, 0.0))
    assert len(found) == len(drawn)
    for row, true in zip(found, drawn, strict=True):
        assert row.y_mm == pytest.approx(true.y_mm, abs=0.8)
        assert row.start_mm == pytest.approx(true.start_mm, abs=2.5)
        assert row.end_mm == pytest.approx(true.end_mm, abs=2.5)


def test_rows_are_told_in_the_frame_of_the_origin() -> None:
    drawn = rows_of(LAYOUTS["3x4"])
    here, there = (
        find_rows(axis_map(drawn), cell_mm=CELL_MM, origin_mm=origin) for origin in ((0.0, 0.0), (7.0, -3.0))
    )
    np.testing.assert_allclose([(r.start_mm - 7.0, r.y_mm + 3.0) for r in there], [(r.start_mm, r.y_mm) for r in here])


def test_a_row_of_separate_leads_is_one_row() -> None:
    row = Row(60.0, 30.0, 200.0, 1.0)
    axis = axis_map([row])
    axis[:, 100:108] = 0  # 6 mm between two leads
    found = find_rows(axis, cell_mm=CELL_MM, origin_mm=(0.0, 0.0))
    assert len(found) == 1
    assert found[0].end_mm - found[0].start_mm == pytest.approx(170.0, abs=4.0)


def test_leads_of_one_row_at_slightly_different_heights_are_one_row() -> None:
    axis = axis_map([Row(60.0, 30.0, 100.0, 1.0), Row(65.0, 100.0, 170.0, 1.0)])
    found = find_rows(axis, cell_mm=CELL_MM, origin_mm=(0.0, 0.0))
    assert len(found) == 1
    assert found[0].end_mm - found[0].start_mm == pytest.approx(140.0, abs=4.0)


def test_a_mark_much_shorter_than_the_rows_is_no_row() -> None:
    rows = rows_of(LAYOUTS["3x4"])
    mark = Row(150.0, 50.0, 80.0, 1.0)
    assert len(find_rows(axis_map([*rows, mark]), cell_mm=CELL_MM, origin_mm=(0.0, 0.0))) == len(rows)


def test_an_empty_map_has_no_rows() -> None:
    assert find_rows(np.zeros((100, 200), np.float32), cell_mm=CELL_MM, origin_mm=(0.0, 0.0)) == []


# --- when rows were not seen as they are ----------------------------------------------------------------------


wide = st.sampled_from(["3x4", "3x4+1", "6x2", "6x2+1"]).map(LAYOUTS.__getitem__)


@patient
@given(template=wide, seen=st.sampled_from([0.8, 0.88, 0.94]))
def test_columns_are_as_wide_as_their_names_say(template: Layout, seen: float) -> None:
    rows = [replace(row, end_mm=START_MM + seen * 250.0) for row in rows_of(template)]  # the ends have faded
    layout = solve(template, labels_of(template), rows=rows)
    assert placed(layout) == expected(template)
    for slot in layout.slots:
        if slot.columns > 1:
            assert slot.start_mm == pytest.approx(START_MM + slot.column * 250.0 / slot.columns, abs=0.5)
    assert max(row.end_mm for row in layout.rows) == pytest.approx(START_MM + 250.0, abs=1.0)


@patient
@given(template=wide, lost=st.integers(0, 5))
def test_a_row_that_only_its_names_show_is_found(template: Layout, lost: int) -> None:
    rows, labels = rows_of(template), labels_of(template)
    lost = lost % len(template.rows)
    kept = [row for i, row in enumerate(rows) if i != lost]
    layout = solve(template, labels, rows=kept)
    (found,) = rows_beside_names(layout, labels)
    assert found.y_mm == pytest.approx(rows[lost].y_mm, abs=1.0)
    again = solve(template, labels, rows=sorted([*kept, found], key=lambda row: row.y_mm))
    assert placed(again) == expected(template)


@patient
@given(template=wide)
def test_no_row_is_made_of_names_that_have_one(template: Layout) -> None:
    labels = labels_of(template)
    stray = Label("V3", START_MM + 40.0, 3.0, 0.9)  # one word in the header
    assert rows_beside_names(solve(template, labels), [*labels, stray]) == []


def test_most_rows_decide_where_all_begin() -> None:
    assert common_ends([20.0, 20.4, 19.8, 61.0], within_mm=6.0) == pytest.approx([20.2] * 4)
    assert common_ends([20.0, 60.0, 100.0], within_mm=6.0) == pytest.approx([20.0, 60.0, 100.0])


@patient
@given(data=st.data())
def test_a_false_name_in_a_single_strip_divides_nothing(data: st.DataObject) -> None:
    template = LAYOUTS["12x1"]
    labels = labels_of(template)
    row = data.draw(st.integers(0, 11))
    x_mm = data.draw(st.floats(START_MM + 30, START_MM + 240))
    false = replace(labels[row], lead="I", x_mm=x_mm, confidence=0.8)
    assert placed(solve(template, [*labels, false])) == expected(template)


def test_two_names_that_changed_places_are_believed() -> None:
    template = LAYOUTS["3x4+1"]
    swap = {"aVR": "aVL", "aVL": "aVR"}
    labels = [replace(label, lead=swap.get(label.lead, label.lead)) for label in labels_of(template)]
    layout = solve(template, labels)
    assert [(s.lead, s.read) for s in layout.slots if s.column == 1] == [("aVL", True), ("aVR", True), ("aVF", True)]


@patient
@given(data=st.data())
def test_one_misread_name_does_not_reorder_the_page(data: st.DataObject) -> None:
    template = LAYOUTS["3x4+1"]
    labels = labels_of(template)
    lost, misread = data.draw(st.permutations(range(12)))[:2]
    wrong = replace(labels[misread], lead=labels[lost].lead, confidence=0.5)  # as unlucky as can be
    layout = solve(template, [wrong if i == misread else x for i, x in enumerate(labels) if i != lost])
    assert placed(layout) == expected(template)
    assert any("does not fit" in note for note in notes_of(layout))


@pytest.mark.parametrize(("read", "printed"), [("I", "II"), ("I", "III"), ("II", "III")])
def test_a_numeral_that_lost_strokes_does_not_reorder_the_page(read: str, printed: str) -> None:
    template = LAYOUTS["3x4"]
    labels = [label for label in labels_of(template) if label.lead != read]  # the name itself was not read
    layout = solve(template, [replace(x, lead=read, confidence=0.8) if x.lead == printed else x for x in labels])
    assert placed(layout) == expected(template)
    assert {s.lead for s in layout.slots if not s.read} == {read, printed}
    assert any("does not fit" in note for note in notes_of(layout))


# --- what is no name, and what divides a page without names ------------------------------------------------


def seams_of(template: Layout, *, strength: float, width_mm: float = 250.0) -> Seams:
    """Return what strips show where leads of the template meet: a blot half a millimetre wide."""
    step_mm = 1 / 16
    evidence = np.full((len(template.all_rows), round((width_mm + 2 * START_MM) / step_mm)), 0.005)
    for row, leads in zip(evidence, template.all_rows, strict=True):
        for k in range(1, len(leads)):
            at = round((START_MM + k * width_mm / len(leads)) / step_mm)
            row[at - 4 : at + 5] = strength
    return Seams(0.0, step_mm, evidence)


@patient
@given(
    template=st.sampled_from(["3x4", "6x2", "6x2+1"]).map(LAYOUTS.__getitem__),
    strength=st.floats(0.3, 1.0),
    shift_mm=st.floats(-1, 1),
)
def test_leads_that_meet_divide_a_page_of_which_only_the_first_names_are_read(
    template: Layout, strength: float, shift_mm: float
) -> None:
    first = [label for label in labels_of(template) if label.x_mm < START_MM + 20]
    rows = [replace(row, end_mm=row.end_mm + shift_mm) for row in rows_of(template)]
    seams = seams_of(template, strength=strength)
    layout = solve_layout(rows, first, edges_of(template), cell_mm=CELL_MM, origin_mm=(0.0, 0.0), seams=seams)
    assert placed(layout) == expected(template)


@patient
@given(template=templates, strength=st.sampled_from([0.0, 0.02, 0.9]))
def test_names_outweigh_seams_that_nobody_saw(template: Layout, strength: float) -> None:
    seams = seams_of(template, strength=strength)
    layout = solve_layout(
        rows_of(template), labels_of(template), edges_of(template), cell_mm=CELL_MM, origin_mm=(0.0, 0.0), seams=seams
    )
    assert placed(layout) == expected(template)


@patient
@given(template=st.sampled_from(["3x4", "3x4+1", "4x3"]).map(LAYOUTS.__getitem__))
def test_the_first_names_may_stand_in_the_margin(template: Layout) -> None:
    labels = [
        replace(label, x_mm=label.x_mm - 9.0 if label.x_mm < START_MM + 20 else label.x_mm + 4.0)
        for label in labels_of(template)
    ]
    layout = solve(template, labels)
    assert placed(layout) == expected(template)
    assert all(slot.read for slot in layout.slots)  # those of rhythm strips too
    for slot in layout.slots:
        if slot.columns > 1:
            assert slot.start_mm == pytest.approx(START_MM + slot.column * 250.0 / slot.columns, abs=1.0)


@patient
@given(missing=st.sampled_from([0, 11]), share=st.floats(0.42, 0.58))
def test_names_between_rows_belong_to_those_that_they_fit(missing: int, share: float) -> None:
    template = LAYOUTS["12x1"]
    y_mm = -share * spacing_of(template)
    labels = [
        replace(label, y_mm=row.y_mm + y_mm) for label, row in zip(labels_of(template), rows_of(template), strict=True)
    ]
    layout = solve(template, [label for i, label in enumerate(labels) if i != missing])
    assert placed(layout) == expected(template)


# --- pages that the picture does not show from their beginning ------------------------------------------------


@pytest.mark.parametrize("cut_mm", [10.0, 20.0, 35.0, 50.0])
@pytest.mark.parametrize("name", ["3x4", "3x4+1", "3x4+3"])
@pytest.mark.parametrize("seen", [True, False])
def test_a_first_column_of_which_the_beginning_is_cut_off_begins_outside_the_picture(
    cut_mm: float, name: str, seen: bool
) -> None:
    template = LAYOUTS[name]
    rows = [replace(row, start_mm=row.start_mm + cut_mm) for row in rows_of(template)]
    labels = [label for label in labels_of(template) if label.x_mm > START_MM + cut_mm]
    layout = solve_layout(
        rows, labels, edges_of(template), cell_mm=CELL_MM, origin_mm=(0.0, 0.0),
        seams=seams_of(template, strength=0.7) if seen else None,
    )  # fmt: skip
    assert placed(layout) == expected(template)
    for slot in layout.slots:
        start_mm = START_MM + slot.column * 250.0 / slot.columns if slot.columns > 1 else START_MM + cut_mm
        assert slot.start_mm == pytest.approx(start_mm, abs=3.0 if seen or cut_mm > 12 else 12.0)


def test_names_in_the_margin_are_no_reason_to_think_that_something_is_cut_off() -> None:
    template = LAYOUTS["6x1"] if "6x1" in LAYOUTS else LAYOUTS["12x1"]
    layout = solve(template, labels_of(template, place=(-12.0, 0.5)))
    assert [slot.start_mm for slot in layout.slots] == [START_MM] * len(layout.slots)


@pytest.mark.parametrize("spacing_mm", [50.0, 70.0, 90.0])
def test_names_on_the_upper_edge_of_tall_panels_belong_to_the_traces_below(spacing_mm: float) -> None:
    template = LAYOUTS["3x4+1"]
    rows = [replace(row, y_mm=45.0 + i * spacing_mm) for i, row in enumerate(rows_of(template))]
    labels = [
        Label(lead, START_MM + column * 250.0 / len(leads) + 2.0, 45.0 + (i - 0.46) * spacing_mm, 0.95)
        for i, leads in enumerate(template.all_rows)
        for column, lead in enumerate(leads)
    ]
    found = solve_layout(rows, labels, np.zeros((500, 500), np.float32), cell_mm=CELL_MM, origin_mm=(0.0, 0.0))
    assert placed(found) == expected(template)
    assert all(slot.read for slot in found.slots)
