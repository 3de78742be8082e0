"""Agg's lines lie where the truth says, as thin as asked for, at the resolution of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import cli
from training.signals import Record
from training.synth.agg import DPI, AggPen, agg_pen, agg_px_per_mm, with_agg_lines
from training.synth.page import Pen, Sheet, render_sheet, soft_pen
from training.synth.scan import MM_PER_INCH
from training.synth.style import random_style
from training.synth.truth import PageTruth, load_truth
from training.synth.write import synthesize_agg_page

PLAIN = AggPen(thins_out=False, join="round", cap="butt")


def ramp(slope: float, y: float) -> np.ndarray:
    x = np.linspace(4.0, 76.0, 200)
    return np.stack([x, y + slope * (x - 40)], axis=1)


@settings(max_examples=25, deadline=None)
@given(slope=st.floats(0.1, 0.8), y=st.floats(38, 42), thick=st.floats(0.6, 4.0), thins=st.booleans())
def test_a_line_lies_where_it_should_and_is_as_thick(slope: float, y: float, thick: float, thins: bool) -> None:
    ink = AggPen(thins, "round", "butt")((80, 80), [ramp(slope, y)], thick)[:, 20:60] / 255.0
    middle = (ink * (np.arange(80) + 0.5)[:, None]).sum(0) / ink.sum(0)
    expected = y + slope * (np.arange(20, 60) + 0.5 - 40)
    assert abs(np.mean(middle - expected)) < 0.03
    assert np.abs(middle - expected).max() < 0.2
    assert ink.sum(0).mean() == pytest.approx(thick * np.hypot(1, slope), rel=0.04)


def test_its_lines_are_thinner_than_those_drawn_large_and_averaged() -> None:
    line = ramp(0.3, 40.2)
    thin, soft = PLAIN((80, 80), [line], 1.0), soft_pen((80, 80), [line], 1.0)
    assert thin[:, 20:60].sum() < 0.6 * soft[:, 20:60].sum()


def test_lines_are_thinned_out_as_matplotlib_does() -> None:
    x = np.linspace(4.0, 76.0, 400)
    wavy = np.stack([x, 40 + 0.08 * np.sin(9 * x)], axis=1)
    thinned = AggPen(True, "round", "butt")((80, 80), [wavy], 1.0)
    assert not np.array_equal(thinned, PLAIN((80, 80), [wavy], 1.0))


def test_pens_and_resolutions_are_drawn_from_what_programs_choose() -> None:
    rng = np.random.default_rng(1)
    pens = [agg_pen(rng) for _ in range(60)]
    assert {pen.thins_out for pen in pens} == {True, False}
    assert len({pen.join for pen in pens}) > 1
    assert {round(agg_px_per_mm(rng) * MM_PER_INCH) for _ in range(60)} <= set(DPI)
    style = with_agg_lines(random_style(rng), rng)
    assert style.dot_mm == 0
    assert 0.1 < style.trace_mm < 0.6


def test_the_ink_of_a_sheet_covers_its_truth(record: Record) -> None:
    rng = np.random.default_rng(4)
    style = with_agg_lines(random_style(rng, layout="6x2"), rng)

    def drawn(pen: Pen) -> Sheet:
        mv, fs = record.mv, record.fs
        return render_sheet(mv, fs, rng=np.random.default_rng(4), px_per_mm=6.0, style=style, pen=pen)

    sheet, blank = drawn(PLAIN), drawn(lambda shape, lines, thick: np.zeros(shape, np.uint8))
    inked = np.abs(sheet.pixels.astype(int) - blank.pixels).sum(axis=2) > 0
    height, width = inked.shape
    for lead in sheet.truth.leads:
        at = np.floor(lead.line_mm * sheet.px_per_mm).astype(int)
        at = at[(at[:, 0] >= 0) & (at[:, 0] < width) & (at[:, 1] >= 0) & (at[:, 1] < height)]
        assert inked[at[:, 1], at[:, 0]].mean() > 0.98
    assert sheet.truth.layout == "6x2"


def dpi_as_drawn(truth: PageTruth) -> float:
    """Return the resolution along the sheet's width; it is stored in single precision."""
    step_px = truth.lattice_px[0, 1, 0] - truth.lattice_px[0, 0, 0]
    return float(np.round(step_px / truth.lattice_step_mm * MM_PER_INCH, 3))


def test_a_clean_page_stays_at_its_resolution(record: Record) -> None:
    page = synthesize_agg_page(record.mv, record.fs, rng=np.random.default_rng(6), kind="render")
    assert page.lossless
    assert page.truth.kind == "render"
    assert dpi_as_drawn(page.truth) in DPI
    scanned = synthesize_agg_page(record.mv, record.fs, rng=np.random.default_rng(6), kind="scan")
    assert scanned.truth.kind == "scan"


def test_pages_are_written_by_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ["synth", "--printer", "agg", "--layout", "3x4", "--kind", "render", "--count", "2", "--out", str(out)]
    assert cli.main([*asked, "--jobs", "1"]) == 0
    truths = [load_truth(path) for path in sorted(out.glob("*.npz"))]
    assert [truth.sheet.layout for truth in truths] == ["3x4", "3x4"]
    assert {dpi_as_drawn(truth) for truth in truths} <= set(DPI)  # our other pen's sheets are resampled
