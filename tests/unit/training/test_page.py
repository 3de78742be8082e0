"""A sheet's ink, labels and record are where its truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.leads import LEADS
from training.signals import Record
from training.synth.page import Sheet, render_sheet
from training.synth.style import LAYOUTS, PageStyle, ordinary_style, random_style

FLAT_MM_PER_MM = 0.05


def darkness(sheet: Sheet) -> np.ndarray:
    return 255.0 - sheet.pixels.mean(axis=2)


def drawn(record: Record, style: PageStyle, *, seed: int = 1, px_per_mm: float = 8.0) -> Sheet:
    return render_sheet(record.mv, record.fs, rng=np.random.default_rng(seed), px_per_mm=px_per_mm, style=style)


def test_the_same_seed_gives_the_same_sheet(record: Record) -> None:
    first, second = (render_sheet(record.mv, record.fs, rng=np.random.default_rng(4), px_per_mm=4) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.truth.record_mv, second.truth.record_mv)
    assert first.truth.labels == second.truth.labels


@pytest.mark.parametrize("layout", ["3x4+1", "3x4", "6x2", "12x1"])
def test_an_ordinary_page_shows_every_lead_in_a_usual_order_and_scale(layout: str) -> None:
    orders = set()
    for seed in range(20):
        style = ordinary_style(np.random.default_rng(seed), layout=layout)
        rows = [row.leads for row in style.rows if not row.rhythm]
        orders.add(tuple(lead for column in zip(*rows, strict=True) for lead in column))
        assert (style.mm_per_s, style.mm_per_mV, style.labels_missing) == (25.0, (10.0, 10.0), 0.0)
        assert style.layout == layout
        assert style.sequential
        assert style.grid != "none"
    assert LEADS in orders
    assert all(set(order) == set(LEADS) and order[6:] == LEADS[6:] for order in orders)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_prints_the_leads_of_its_style(record: Record, layout: str) -> None:
    style = random_style(np.random.default_rng(7), layout=layout)
    sheet = drawn(record, style, px_per_mm=4)
    printed = [tuple(x.lead for x in sheet.truth.leads if x.row == row) for row in range(len(style.rows))]
    assert printed == [row.leads for row in style.rows]
    assert darkness(sheet).max() > 60


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown layout"):
        random_style(np.random.default_rng(0), layout="5x5")


@pytest.mark.parametrize("seed", range(12))
def test_labels_lie_inside_the_sheet(record: Record, seed: int) -> None:
    sheet = render_sheet(record.mv, record.fs, rng=np.random.default_rng(seed), px_per_mm=4)
    width, height = sheet.truth.size_mm
    for label in sheet.truth.labels:
        x0, y0, x1, y1 = label.box_mm
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height


@pytest.mark.parametrize("seed", [1, 5])
def test_lead_names_are_printed_in_their_boxes(record: Record, plain_style: PageStyle, seed: int) -> None:
    sheet = drawn(record, plain_style, seed=seed)
    nameless = drawn(record, replace(plain_style, labels_missing=1.0), seed=seed)
    names = darkness(sheet) - darkness(nameless)
    assert len(sheet.truth.labels) == len(sheet.truth.leads)
    for label in sheet.truth.labels:
        x0, y0, x1, y1 = (round(v * 8) for v in label.box_mm)
        assert names[y0:y1, x0:x1].max() > 60
        names[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = 0
    assert names.max() == 0


@pytest.mark.parametrize("trace_mm", [0.15, 0.3, 0.5])
@pytest.mark.parametrize("px_per_mm", [8.0, 6.3])
def test_ink_of_flat_parts_is_centred_on_the_polyline(
    plain_style: PageStyle, trace_mm: float, px_per_mm: float
) -> None:
    time_s = np.arange(5000) / 500
    waves = np.array([0.4 * np.sin(2 * np.pi * (0.2 + 0.02 * k) * time_s + k) for k in range(12)], np.float32)
    style = replace(plain_style, trace_mm=trace_mm, labels_missing=1.0)
    sheet = render_sheet(waves, 500.0, rng=np.random.default_rng(0), px_per_mm=px_per_mm, style=style)
    dark, errors = darkness(sheet), []
    for lead in sheet.truth.leads:
        x_mm, y_mm = lead.line_mm.T
        columns = np.arange(np.ceil(x_mm[0] * px_per_mm) + 3, np.floor(x_mm[-1] * px_per_mm) - 3)
        at_mm = (columns + 0.5) / px_per_mm
        expected = np.interp(at_mm, x_mm, y_mm) * px_per_mm - 0.5
        flat = np.abs(np.interp(at_mm, x_mm, np.gradient(y_mm, x_mm))) < FLAT_MM_PER_MM
        for column, y in zip(columns[flat].astype(int), expected[flat], strict=True):
            rows = np.arange(round(y) - 8, round(y) + 9)
            ink = dark[rows, column]
            errors.append((ink * rows).sum() / ink.sum() - y)
    assert len(errors) > 500
    assert abs(np.median(errors)) < 0.1


def test_ink_of_upright_strokes_is_centred_on_the_polyline(record: Record, plain_style: PageStyle) -> None:
    sheet = drawn(record, replace(plain_style, pulse="left", labels_missing=1.0))
    dark, errors = darkness(sheet), []
    assert len(sheet.truth.pulses_mm) == len(plain_style.rows)
    for pulse in sheet.truth.pulses_mm:
        for start, end in ((1, 2), (3, 4)):
            x = pulse[start, 0] * 8 - 0.5
            low, high = sorted((pulse[start, 1] * 8 - 0.5, pulse[end, 1] * 8 - 0.5))
            columns = np.arange(round(x) - 5, round(x) + 6)
            for row in range(round(low) + 8, round(high) - 8):
                ink = dark[row, columns]
                errors.append((ink * columns).sum() / ink.sum() - x)
    assert abs(np.median(errors)) < 0.1


def test_the_grid_crosses_at_the_nodes(record: Record, plain_style: PageStyle) -> None:
    style = replace(
        plain_style, grid="major", grid_origin_mm=(-2.3, -1.4), grid_box_mm=(0.0, 0.0, *plain_style.size_mm),
        grid_ink=(200, 60, 60), major_alpha=1.0, major_mm=0.4, labels_missing=1.0,
    )  # fmt: skip
    dark = darkness(drawn(record, style))
    x, y = (-2.3 + 5 * np.arange(1, 50)) * 8 - 0.5, (-1.4 + 5 * np.arange(1, 20)) * 8 - 0.5
    across, down = np.median(dark, axis=0), np.median(dark, axis=1)
    for profile, lines in ((across, x), (down, y)):
        for line in lines:
            near = np.arange(round(line) - 6, round(line) + 7)
            assert np.average(near, weights=profile[near]) == pytest.approx(line, abs=0.1)


def test_the_record_is_missing_where_nothing_is_printed(record: Record, plain_style: PageStyle) -> None:
    truth = drawn(record, plain_style, px_per_mm=4).truth
    expected = np.zeros(truth.record_mv.shape, bool)
    for lead in truth.leads:
        first = round(lead.t0_s * truth.record_fs)
        last = round((lead.t0_s + (lead.end_mm - lead.start_mm) / truth.mm_per_s) * truth.record_fs)
        expected[LEADS.index(lead.lead), first : last + 1] = True
    np.testing.assert_array_equal(np.isfinite(truth.record_mv), expected)
    assert 0.25 < expected.mean() < 0.35


def test_sequential_columns_stand_at_their_time(record: Record, plain_style: PageStyle) -> None:
    truth = drawn(record, plain_style, px_per_mm=4).truth
    printed = np.isfinite(truth.record_mv)
    np.testing.assert_allclose(truth.record_mv[printed], record.mv[printed], atol=2e-3)


def test_simultaneous_columns_all_show_the_first_seconds(record: Record, plain_style: PageStyle) -> None:
    truth = drawn(record, replace(plain_style, sequential=False), px_per_mm=4).truth
    v6 = truth.record_mv[LEADS.index("V6")]
    assert np.isfinite(v6[:1250]).all()
    assert np.isnan(v6[1260:]).all()
    np.testing.assert_allclose(v6[:1250], record.mv[LEADS.index("V6"), :1250], atol=2e-3)


def test_the_longest_print_of_a_lead_counts(record: Record, plain_style: PageStyle) -> None:
    truth = drawn(record, plain_style, px_per_mm=4).truth
    assert [x.lead for x in truth.leads].count("II") == 2
    assert np.isfinite(truth.record_mv[LEADS.index("II")]).all()
