"""Pages of our own renderer through every stage, behind networks that make no mistake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ecgstudio.commands.doctor import record_snr_db
from ecgstudio.core.corrections import Corrections
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.contract import NULL_STATUS, Failed, Runtime
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis, Stage, advance
from ecgstudio.stages.settings import GridSettings, PipelineSettings
from tests.synth_page import BlindRuntime, SynthPage, TruthRuntime, read_page, synth_page

MIN_DB = 20.0

PAGES: dict[str, dict[str, Any]] = {
    "3x4+1": {},
    "3x4+2 at 50 mm/s": {"layout": "3x4+2", "mm_per_s": 50.0},
    "3x4+3 at 5 mm/mV": {"layout": "3x4+3", "gain": 5.0, "width_mm": 110.0},
    "6x2 at 50 mm/s, 20 mm/mV": {"layout": "6x2", "mm_per_s": 50.0, "gain": 20.0, "pulse": "first", "width_mm": 90.0},
    "6x2+1": {"layout": "6x2+1", "width_mm": 90.0},
    "12x1": {"layout": "12x1", "width_mm": 60.0},
    "6x1 at 20 mm/mV": {"layout": "6x1", "gain": 20.0, "pulse": "none", "width_mm": 60.0},
    "4x3-cabrera": {"layout": "4x3-cabrera", "pulse": "right"},
    "3x4 turned left": {"layout": "3x4", "orientation": 1, "width_mm": 75.0},
    "3x4 mirrored": {"layout": "3x4", "orientation": 4, "width_mm": 75.0},
    "3x4 mirrored and turned": {"layout": "3x4", "orientation": 7, "width_mm": 75.0},
}


def analysis_of(page: Page, runtime: Runtime, settings: PipelineSettings | None = None) -> Analysis:
    return advance(
        page, Corrections(), analysis=EMPTY_ANALYSIS, upto=Stage.QUALITY, runtime=runtime,
        settings=settings if settings is not None else PipelineSettings(), status=NULL_STATUS,
    )  # fmt: skip


def snr_db(synth: SynthPage) -> float:
    truth = synth.sheet.record_mv.astype(np.float64)
    return record_snr_db(read_page(synth).record, truth, fs=synth.sheet.record_fs)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_as_it_was_printed(name: str) -> None:
    synth = synth_page(**PAGES[name])
    reading, sheet = read_page(synth), synth.sheet
    assert reading.ecg.layout == sheet.layout
    assert (reading.grid.scale.mm_per_s, reading.grid.scale.mm_per_mV) == (sheet.mm_per_s, sheet.leads[0].mm_per_mV)
    assert snr_db(synth) > MIN_DB
    printed, read = np.isfinite(sheet.record_mv), np.isfinite(reading.record.mv[:, : sheet.record_mv.shape[1]])
    assert (printed ^ read).sum(axis=1).max() <= 15  # 30 ms


@pytest.mark.parametrize("name", ["3x4+1", "12x1", "4x3-cabrera", "3x4 mirrored"])
def test_a_page_that_was_read_well_is_ok(name: str) -> None:
    quality = read_page(synth_page(**PAGES[name])).quality
    assert (quality.status, quality.reasons) == ("ok", ())


def test_a_page_agrees_with_itself() -> None:
    quality = read_page(synth_page()).quality
    assert quality.einthoven_db is not None
    assert quality.einthoven_db > MIN_DB
    assert (quality.twin_lead, quality.scale_agrees) == ("II", True)
    assert quality.twin_db is not None
    assert quality.twin_db > MIN_DB


@pytest.mark.parametrize("swapped", [("I", "II"), ("II", "III")])
def test_swapped_leads_send_a_page_to_review(swapped: tuple[str, str]) -> None:
    synth = synth_page("3x4", swapped=swapped)
    quality = read_page(synth).quality
    assert snr_db(synth) > MIN_DB  # the reading is right; the page is wrong
    assert quality.status == "review"
    assert any("swapped" in reason for reason in quality.reasons)


def test_half_a_record_lacks_nothing() -> None:
    reading = read_page(synth_page(**PAGES["6x1 at 20 mm/mV"]))
    assert [trace.lead for trace in reading.ecg.traces] == list(LEADS[:6])
    assert (reading.quality.status, reading.quality.reasons) == ("ok", ())


def test_without_pulse_or_text_the_scale_is_said_to_be_assumed() -> None:
    reading = read_page(synth_page("3x4", pulse="none", scale_text="none", width_mm=70.0))
    assert reading.quality.status == "review"
    assert any("assumed" in reason for reason in reading.quality.reasons)


def test_the_user_s_scale_makes_the_record() -> None:
    synth = synth_page("3x4", pulse="none", scale_text="none", width_mm=70.0)
    settings = replace(PipelineSettings(), grid=GridSettings(mm_per_s=50.0, mm_per_mV=20.0))
    record = analysis_of(synth.page, TruthRuntime(synth), settings).record
    assert record is not None
    assert not isinstance(record.value, Failed)
    usual = read_page(synth).record
    fast, slow = (r.t_s[np.isfinite(r.mv).any(axis=0)].max() for r in (record.value, usual))
    assert fast == pytest.approx(slow / 2, abs=0.02)
    assert np.nanmax(record.value.mv) == pytest.approx(np.nanmax(usual.mv) / 2, rel=0.05)


@pytest.mark.parametrize("paper", [0.02, 0.9])
def test_a_blank_page_fails_with_a_reason_and_a_hint(paper: float) -> None:
    blank = Page(PageId("4" * 64, 0), np.full((500, 700, 3), 245, np.uint8), None, "blank.png")
    analysis = analysis_of(blank, BlindRuntime(paper=paper))
    assert analysis.record is not None
    assert isinstance(analysis.record.value, Failed)
    assert analysis.failure is not None
    assert analysis.failure.stage == ("keypoints" if paper < 0.5 else "traces")
    assert analysis.failure.hint


def test_every_trace_can_be_drawn_onto_its_page() -> None:
    synth = synth_page(**PAGES["3x4 turned left"])
    height, width = synth.page.pixels.shape[:2]
    for trace in read_page(synth).ecg.traces:
        assert trace.lead in LEADS
        assert ((trace.xy > -0.5) & (trace.xy < [width - 0.5, height - 0.5])).all()
