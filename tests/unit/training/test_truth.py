"""A page's truth survives its file, and follows the page when it is turned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.signals import Record
from training.synth.page import render_sheet
from training.synth.sheet_map import lattice_mm
from training.synth.style import PageStyle
from training.synth.truth import PageTruth, encode_truth, load_truth, turned, upright

STEP_MM = 2.5


@pytest.fixture
def truth(record: Record, plain_style: PageStyle) -> PageTruth:
    style = replace(plain_style, pulse="left", scale_text="bottom")
    sheet = render_sheet(record.mv, record.fs, rng=np.random.default_rng(2), px_per_mm=4, style=style)
    lattice = lattice_mm(sheet.truth.size_mm, STEP_MM)
    bent = 4 * lattice + 3 * np.sin(lattice[..., ::-1] / 40) + 7.0
    return PageTruth(sheet.truth, bent, STEP_MM, kind="photo", orientation=0)


def test_a_truth_file_gives_back_the_truth(truth: PageTruth, tmp_path: Path) -> None:
    path = tmp_path / "page.npz"
    path.write_bytes(encode_truth(truth))
    again = load_truth(path)
    sheet, sheet_again = truth.sheet, again.sheet
    for name in ("size_mm", "grid_origin_mm", "grid_style", "mm_per_s", "layout", "labels", "record_fs"):
        assert getattr(sheet_again, name) == getattr(sheet, name)
    assert (again.lattice_step_mm, again.kind, again.orientation) == (STEP_MM, "photo", 0)
    np.testing.assert_allclose(again.lattice_px, truth.lattice_px, atol=1e-4)
    np.testing.assert_array_equal(sheet_again.record_mv, sheet.record_mv)
    for pulse_again, pulse in zip(sheet_again.pulses_mm, sheet.pulses_mm, strict=True):
        np.testing.assert_allclose(pulse_again, pulse, atol=1e-4)
    for lead_again, lead in zip(sheet_again.leads, sheet.leads, strict=True):
        np.testing.assert_allclose(lead_again.line_mm, lead.line_mm, atol=1e-4)
        assert replace(lead_again, line_mm=lead.line_mm) == lead


def test_a_truth_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.npz"
    np.savez(path, about=np.frombuffer(json.dumps({"version": 99}).encode(), np.uint8))
    with pytest.raises(ValueError, match="version 99"):
        load_truth(path)


@pytest.mark.parametrize("orientation", range(8))
def test_the_lattice_follows_a_turned_page(truth: PageTruth, orientation: int) -> None:
    pixels = np.zeros((700, 1200, 3), np.uint8)
    x, y = np.round(truth.lattice_px[12, 60]).astype(int)
    pixels[y, x] = 255
    page, followed = turned(pixels, truth, orientation)
    row, column = np.argwhere(page[..., 0])[0]
    np.testing.assert_allclose(followed.lattice_px[12, 60], (column, row), atol=0.51)
    assert followed.orientation == orientation


@pytest.mark.parametrize("orientation", range(8))
def test_upright_undoes_a_turn(truth: PageTruth, orientation: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (70, 120, 3), np.uint8)
    page, back = upright(*turned(pixels, truth, orientation))
    np.testing.assert_array_equal(page, pixels)
    np.testing.assert_allclose(back.lattice_px, truth.lattice_px, atol=1e-9)
    assert back.orientation == 0


def test_a_turned_page_is_not_turned_again(truth: PageTruth) -> None:
    page, once = turned(np.zeros((70, 120, 3), np.uint8), truth, 3)
    with pytest.raises(ValueError, match="already"):
        turned(page, once, 1)
