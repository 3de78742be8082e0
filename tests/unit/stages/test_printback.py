"""The print-back residual on rendered pages whose traces are known: what is taken away must be found."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages.printback import Residual, print_back
from tests.synth_page import page_style
from training.signals import synthesize_record
from training.synth.page import render_sheet

PX_PER_MM = 8.0
SHEET = {"mm_per_s": 25.0, "gain": 10.0, "width_mm": 240.0}


@dataclass(frozen=True)
class Rendered:
    page: Page
    grid: GridFit
    ecg: DigitizedEcg
    keypoints: Keypoints

    def without(self, lead: str) -> DigitizedEcg:
        return DigitizedEcg(tuple(t for t in self.ecg.traces if t.lead != lead), self.ecg.layout)


def rendered(**look: object) -> Rendered:
    """Print a page and say, as the stages would without a mistake, what is on it."""
    record = synthesize_record(np.random.default_rng(5))
    style = replace(page_style("3x4", **SHEET), **look)
    sheet = render_sheet(record.mv, record.fs, rng=np.random.default_rng(5), px_per_mm=PX_PER_MM, style=style)
    traces = []
    for lead in sheet.truth.leads:
        xy = lead.line_mm * PX_PER_MM - 0.5
        mv = (lead.zero_mm - lead.line_mm[:, 1]) / lead.mm_per_mV
        traces.append(LeadTrace(lead.lead, lead.t0_s, 500.0, mv, xy, np.ones(len(xy))))
    labels = sheet.truth.labels
    places = np.array([label.centre_mm for label in labels]) * PX_PER_MM - 0.5
    keypoints = Keypoints(
        tuple(label.name for label in labels), places, np.ones(len(labels)), 0, 1.0, PX_PER_MM, 0.0, False
    )
    columns, rows = (int(side // 5) + 1 for side in style.size_mm)
    nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1) * 5.0 * PX_PER_MM - 0.5
    page = Page(PageId("a" * 64, 0), sheet.pixels, 200.0, "rendered.png")
    return Rendered(
        page, GridFit(nodes, PaperScale(25.0, 10.0, "truth"), 1.0), DigitizedEcg(tuple(traces), "3x4"), keypoints
    )


@pytest.fixture(scope="module")
def sheet() -> Rendered:
    return rendered()


def residual(sheet: Rendered, ecg: DigitizedEcg) -> Residual:
    return print_back(sheet.page, sheet.grid, ecg, keypoints=sheet.keypoints)


def near(trace: LeadTrace, xy: tuple[float, float]) -> bool:
    return bool(np.hypot(*(trace.xy - xy).T).min() < 2 * PX_PER_MM)


def test_a_page_whose_every_trace_was_read_leaves_next_to_nothing(sheet: Rendered) -> None:
    assert residual(sheet, sheet.ecg).share < 0.03


def test_a_missed_lead_is_the_worst_place(sheet: Rendered) -> None:
    found = residual(sheet, sheet.without("V2"))
    assert near(sheet.ecg.of("V2")[0], found.places[0].xy)
    assert found.share > 0.04
    row, column = (np.array(found.places[0].xy[::-1]) / found.zoom[::-1]).astype(int)
    assert found.mask[row - 1 : row + 2, column - 1 : column + 2].any()


def test_a_stretch_that_was_not_read_is_found(sheet: Rendered) -> None:
    lead = sheet.ecg.of("I")[0]
    mv = np.array(lead.mv)
    mv[300:700] = np.nan
    ecg = replace(sheet.ecg, traces=(replace(lead, mv=mv), *sheet.ecg.traces[1:]))
    worst = residual(sheet, ecg).places[0].xy
    assert near(replace(lead, mv=lead.mv[300:700], xy=lead.xy[300:700], confidence=lead.confidence[300:700]), worst)


def test_a_trace_that_follows_something_else_leaves_its_ink(sheet: Rendered) -> None:
    aside = replace(sheet.ecg.of("V5")[0], xy=sheet.ecg.of("V5")[0].xy + np.array([0.0, 5 * PX_PER_MM]))
    ecg = replace(sheet.ecg, traces=tuple(aside if t.lead == "V5" else t for t in sheet.ecg.traces))
    assert near(sheet.ecg.of("V5")[0], residual(sheet, ecg).places[0].xy)


@pytest.mark.parametrize(
    "look",
    [
        {"grid_ink": (120, 120, 120), "major_alpha": 0.6, "minor_alpha": 0.35},
        {"grid_ink": (90, 170, 110)},
        {"ink": (20, 30, 150)},
        {"grid_ink": (225, 130, 40), "major_mm": 0.5},
    ],
    ids=["grey grid", "green grid", "blue ink", "bold orange grid"],
)
def test_the_grid_is_no_ink_whatever_its_colour(look: dict[str, object]) -> None:
    sheet = rendered(**look)
    assert residual(sheet, sheet.ecg).share < 0.06
    assert near(sheet.ecg.of("aVF")[0], residual(sheet, sheet.without("aVF")).places[0].xy)


def test_places_are_ranked_and_visited_in_turn(sheet: Rendered) -> None:
    ecg = DigitizedEcg(tuple(t for t in sheet.ecg.traces if t.lead not in ("III", "V6")), "3x4")
    found = residual(sheet, ecg)
    inks = [place.ink_mm2 for place in found.places]
    assert inks == sorted(inks, reverse=True)
    first = found.after(None)
    second = found.after(first.xy) if first else None
    assert first == found.places[0]
    assert second == found.places[1]
    assert found.after(found.places[-1].xy) == first


def test_without_a_trace_there_is_nothing_to_compare_with(sheet: Rendered) -> None:
    found = residual(sheet, DigitizedEcg((), "3x4"))
    assert not found.mask.any()
    assert found.after(None) is None


def test_a_page_of_200_dpi_takes_less_than_half_a_second(sheet: Rendered) -> None:
    assert sheet.page.width > 2000
    best = min(timed(sheet) for _ in range(3))
    assert best < 0.5


def timed(sheet: Rendered) -> float:
    start = time.perf_counter()
    residual(sheet, sheet.ecg)
    return time.perf_counter() - start
