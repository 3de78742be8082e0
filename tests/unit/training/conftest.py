"""Sheets, pages and records that the tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from training.sampling import MappedPage
from training.signals import Record, synthesize_record
from training.synth.page import Sheet
from training.synth.sheet_map import lattice_mm
from training.synth.style import COLUMNS_3X4, PageStyle, RowStyle, random_style
from training.synth.truth import PageTruth

FlatPage = Callable[[Sheet], MappedPage]


@pytest.fixture(scope="session")
def record() -> Record:
    return synthesize_record(np.random.default_rng(3))


@pytest.fixture(scope="session")
def plain_style() -> PageStyle:
    """A 3x4+1 page of traces and lead names only: no grid, no filter, no pulse, nothing between the columns."""
    style = random_style(np.random.default_rng(8), layout="3x4+1")
    rows = [RowStyle(leads, rhythm=False) for leads in zip(*COLUMNS_3X4, strict=True)]
    return replace(
        style, rows=(*rows, RowStyle(("II",), rhythm=True)),
        grid="none", separator="none", pulse="none", scale_text="none", header=False, ticks=False,
        mm_per_s=25.0, mm_per_mV=(10.0, 10.0), left_mm=12.0, width_mm=250.0, size_mm=(275.0, style.row_mm[-1] + 30.0),
        gap_mm=0.0, sequential=True, filter_hz=0.0, baseline_hz=0.0, dot_mm=0.0, trace_mm=0.3, labels_missing=0.0,
        paper=(255, 255, 255), ink=(0, 0, 0), text_ink=(0, 0, 0),
    )  # fmt: skip


@pytest.fixture(scope="session")
def flat_page() -> FlatPage:
    """Take a sheet as it is for a page."""

    def make(sheet: Sheet) -> MappedPage:
        lattice_px = lattice_mm(sheet.truth.size_mm, 2.5) * sheet.px_per_mm - 0.5
        return MappedPage(sheet.pixels, PageTruth(sheet.truth, lattice_px, 2.5, kind="render", orientation=0))

    return make
