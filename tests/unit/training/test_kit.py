"""Sheets of ecg-image-kit carry the truth of what it drew; a stand-in for its renderer keeps to the same contract."""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from training import cli
from training.signals import Record
from training.synth import kit
from training.synth.kit import KitStyle, can_print, kit_style, render_kit_sheet
from training.synth.page import Sheet
from training.synth.truth import load_truth
from training.synth.write import synthesize_kit_page

STAND_IN = '''
import random
import numpy as np
from matplotlib import pyplot as plt

standard_values = {"lead_fontsize": 11.0, "grid_line_width": 0.5}
leadNames_12 = ["III", "aVF", "V3", "V6", "II", "aVL", "V2", "V5", "I", "aVR", "V1", "V4"]

def ecg_plot(
    ecg, sample_rate, columns, rec_file_name, output_dir, resolution=200, lead_index=None, full_mode="None",
    style=None, show_lead_name=True, show_grid=False, show_dc_pulse=False, standard_colours=0, line_width=0.75,
):
    figure, axes = plt.subplots(figsize=(11, 8.5))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set_xlim(0, 11 * 25.4 / 25); axes.set_ylim(0, 8.5 * 25.4 / 10)
    ink = (0, 0, random.uniform(0, 0.2))
    rows = 12 // columns
    pulse_s = 0.2 if show_dc_pulse else 0.0

    def row(y, x, signal, name, pulsed):
        if show_lead_name:
            axes.text(x, y - 0.6, name, fontsize=standard_values["lead_fontsize"])
        if pulsed:
            axes.plot([0.3, 0.3, 0.5, 0.5], [y, y + 1, y + 1, y], linewidth=line_width, color=ink)
        axes.plot(np.arange(len(signal)) / sample_rate + x + pulse_s, signal + y, linewidth=line_width, color=ink)

    for i, name in enumerate(lead_index):
        seconds = len(ecg[name]) / sample_rate
        x = i % columns * seconds + 0.3
        row((i // columns + 2) * 19 / (rows + 2), x, ecg[name], name, show_dc_pulse and i % columns == 0)
    if full_mode != "None":
        row(19 / (rows + 2), 0.3, ecg["full" + full_mode], full_mode, show_dc_pulse)
    axes.text(2, 0.5, "25mm/s"); axes.text(4, 0.5, "10mm/mV")
'''
PLAIN = KitStyle(
    columns=4, rhythm="II", dpi=100, names=True, pulse=True, grid=True, scale_texts=2, black=True, colours=0,
    trace_pt=1.0, grid_pt=0.5, name_pt=9.0, font="DejaVu Sans", seed=3,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "renderer.py"
    path.write_text(STAND_IN)
    monkeypatch.setattr(
        importlib.metadata, "distribution", lambda name: SimpleNamespace(locate_file=lambda relative: path)
    )
    kit._renderer.cache_clear()
    yield
    kit._renderer.cache_clear()


def drawn(record: Record, style: KitStyle) -> Sheet:
    return render_kit_sheet(record.mv, record.fs, rng=np.random.default_rng(2), style=style)


@pytest.fixture
def ten_seconds(record: Record) -> Record:
    mv = np.clip(np.tile(record.mv, (1, int(np.ceil(5500 / record.mv.shape[1])))), -2, 2)
    return replace(record, mv=mv.astype(np.float32), fs=500.0)


@pytest.mark.parametrize("style", [
    PLAIN,
    replace(PLAIN, rhythm="None", pulse=False, dpi=150),
    replace(PLAIN, columns=1, rhythm="None", names=False, scale_texts=0),
], ids=["3x4+1", "3x4", "12x1"])  # fmt: skip
def test_the_ink_lies_on_the_lines_of_the_truth(ten_seconds: Record, style: KitStyle) -> None:
    sheet = drawn(ten_seconds, style)
    truth = sheet.truth
    columns = 4 if style.columns == 4 else 1
    assert truth.layout == f"{12 // columns}x{columns}" + ("+1" if style.rhythm != "None" else "")
    dark = ndimage.maximum_filter(255.0 - sheet.pixels.mean(axis=2), 3)  # the program snaps pulses to whole pixels
    for line in [*(lead.line_mm for lead in truth.leads), *truth.pulses_mm]:
        xy = line * sheet.px_per_mm - 0.5
        along = np.linspace(0, len(xy) - 1, 400)
        points = np.stack([np.interp(along, np.arange(len(xy)), xy[:, k]) for k in (0, 1)], axis=1)
        column, row = np.round(points).astype(int).T
        assert np.median(dark[row, column]) > 150
        assert np.median(dark[row + 6, column + 6]) < 50
    assert len(truth.pulses_mm) == (len({lead.row for lead in truth.leads}) if style.pulse else 0)
    names = [label.name for label in truth.labels if label.name in LEADS]
    assert sorted(names) == (sorted(lead.lead for lead in truth.leads) if style.names else [])
    assert sum(label.name in ("speed25", "gain10") for label in truth.labels) == style.scale_texts


def test_leads_stand_in_their_rows_and_show_their_seconds(ten_seconds: Record) -> None:
    truth = drawn(ten_seconds, PLAIN).truth
    assert [lead.lead for lead in truth.leads[:4]] == ["I", "aVR", "V1", "V4"]
    assert [lead.t0_s for lead in truth.leads[:4]] == [0.0, 2.5, 5.0, 7.5]
    assert truth.leads[-1].lead == "II"
    assert truth.leads[-1].row == 3
    assert np.isfinite(truth.record_mv[LEADS.index("II")]).all()
    assert np.isfinite(truth.record_mv[LEADS.index("V1")]).sum() in (1250, 1251)
    box = next(label.box_mm for label in truth.labels if label.name == "V4")
    lead = truth.leads[3]
    assert abs(box[0] - lead.start_mm + 5.0) < 1.0  # the trace begins a pulse's width after its name
    assert lead.zero_mm < box[1] < lead.zero_mm + 6


def test_the_same_seed_gives_the_same_sheet_and_leaves_other_chances_alone(ten_seconds: Record) -> None:
    state = random.getstate()
    first, second = (
        render_kit_sheet(ten_seconds.mv, 500.0, rng=np.random.default_rng(9)) for _ in range(2)
    )  # fmt: skip
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert random.getstate() == state
    assert len({kit_style(np.random.default_rng(seed)) for seed in range(8)}) == 8


def test_undegraded_sheets_stay_as_they_were_drawn(ten_seconds: Record) -> None:
    page = synthesize_kit_page(ten_seconds.mv, 500.0, rng=np.random.default_rng(5), kind="render")
    sheet = render_kit_sheet(ten_seconds.mv, 500.0, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(page.pixels, sheet.pixels)
    assert page.lossless
    at = page.truth.lattice_px[2, 3] + 0.5
    np.testing.assert_allclose(at, np.array([7.5, 5.0]) * sheet.px_per_mm)
    assert synthesize_kit_page(ten_seconds.mv, 500.0, rng=np.random.default_rng(5), kind="scan").truth.kind == "scan"


def test_records_that_it_cannot_print_are_refused(ten_seconds: Record) -> None:
    assert can_print(ten_seconds.mv, 500.0)
    for mv, fs in ((ten_seconds.mv, 250.0), (ten_seconds.mv[:, :4999], 500.0), (ten_seconds.mv * 10, 500.0)):
        assert not can_print(mv, fs)
        with pytest.raises(ValueError, match="10 s at 500 Hz"):
            render_kit_sheet(mv, fs, rng=np.random.default_rng(0))


def test_pages_are_written_with_their_truth(tmp_path: Path) -> None:
    assert cli.main(["synth", "--printer", "kit", "--kind", "render", "--count", "1", "--out", str(tmp_path / "out"),
                     "--jobs", "1"]) == 0  # fmt: skip
    (truth,) = (tmp_path / "out").glob("*.npz")
    assert load_truth(truth).sheet.layout.startswith(("3x4", "12x1"))


@pytest.mark.logs("the error messages")
def test_what_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    out = ["--out", str(tmp_path / "out"), "--count", "1", "--jobs", "1"]
    assert cli.main(["synth", "--printer", "kit", "--layout", "6x2", *out]) == 1
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert cli.main(["synth", "--printer", "kit", *out]) == 1
    assert "layouts of its own" in caplog.messages[0]
    assert "pip install --no-deps torch-ecg" in caplog.messages[1]
    assert not list(tmp_path.glob("out/*"))
    with pytest.raises(UserError, match="torch-ecg"):
        kit._renderer()
