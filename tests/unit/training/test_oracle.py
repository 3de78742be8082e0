"""The oracle's answers are the truth, and the stages' measures see every kind of error that they are there for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.grid import GridFit
from ecgstudio.stages.contract import NULL_STATUS, Failed, Key, Outcome
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis
from ecgstudio.stages.settings import PipelineSettings
from ecgstudio.stages.stage0_keypoints import detect_keypoints
from tests.page_truth import mapped
from tests.synth_page import Reading, SynthPage, TruthRuntime, read_page, synth_page
from training.oracle import ROUND_TRIP, RUNGS, error_budget, true_grid, true_keypoints, true_layout
from training.sampling import MappedPage
from training.stage_metrics import NameCount, StageScores, grid_error_mm, score_stages

SETTINGS = PipelineSettings()


@pytest.fixture(scope="module")
def synth() -> SynthPage:
    return synth_page()


@pytest.fixture(scope="module")
def page(synth: SynthPage) -> MappedPage:
    return mapped(synth)


def stages_of(synth: SynthPage, page: MappedPage, **changes: object) -> StageScores:
    """Score what the pipeline found, with some of its answers replaced."""
    reading = read_page(synth)
    found = {"keypoints": reading.keypoints, "grid": reading.grid, "ecg": reading.ecg} | changes
    return score_stages(page, **found)  # type: ignore[arg-type]


# --- the oracle -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(8))
def test_true_keypoints_are_what_stage_0_finds_with_perfect_networks(orientation: int) -> None:
    turned = synth_page(orientation=orientation)
    found = detect_keypoints(
        turned.page, runtime=TruthRuntime(turned), settings=SETTINGS.keypoints, status=NULL_STATUS
    )
    truth = true_keypoints(mapped(turned))
    assert (truth.orientation, truth.mirrored) == (found.orientation, found.mirrored)
    assert truth.px_per_mm == pytest.approx(found.px_per_mm, rel=0.03)
    assert np.cos(truth.angle_rad - found.angle_rad) > 0.999
    assert sorted(truth.names) == sorted(found.names)


def test_the_true_grid_has_no_error(page: MappedPage) -> None:
    assert max(grid_error_mm(page, true_grid(page))) < 0.01


def test_the_true_layout_names_every_printed_lead(page: MappedPage) -> None:
    layout = true_layout(page)
    assert len(layout.rows) == 4
    assert [slot.lead for slot in layout.slots] == [lead.lead for lead in page.truth.sheet.leads]


@pytest.fixture(scope="module")
def rungs(synth: SynthPage, page: MappedPage) -> dict[str, float]:
    """The budget of a page on which the pipeline found nothing, behind perfect networks."""
    return budget_of(synth, EMPTY_ANALYSIS)


def budget_of(synth: SynthPage, found: Analysis) -> dict[str, float]:
    return error_budget(synth.page, mapped(synth), found=found, runtime=TruthRuntime(synth), settings=SETTINGS)


def outcome(value: object) -> Outcome[Any]:
    return Outcome(key=Key("test", "", "", "", ""), auto=value, edit=None, value=value, digest="")


def analysis_of(reading: Reading) -> Analysis:
    """What the pipeline knows when it has come to its end."""
    stages = {"keypoints": reading.keypoints, "grid": reading.grid, "traces": reading.ecg, "record": reading.record}
    return Analysis(**{name: outcome(value) for name, value in stages.items()}, quality=outcome(reading.quality))


def test_a_page_without_a_record_loses_all_that_the_truth_gives_back(rungs: dict[str, float]) -> None:
    assert tuple(rungs) == (*RUNGS, ROUND_TRIP)
    assert rungs["found"] < 3
    assert rungs["keypoints"] > 15


def test_perfect_networks_come_near_to_what_decoding_allows(rungs: dict[str, float]) -> None:
    assert rungs["round_trip"] > 25
    assert 25 < rungs["time"] < rungs["round_trip"] + 1


def test_a_sheet_that_is_all_in_the_picture_loses_nothing_outside_it(rungs: dict[str, float]) -> None:
    assert rungs["trace"] == pytest.approx(rungs["round_trip"])
    assert rungs["decode"] == pytest.approx(rungs["sheet"])


def test_heights_from_the_ink_itself_are_the_ceiling(rungs: dict[str, float]) -> None:
    assert rungs["sheet"] > 35
    assert rungs["sheet"] >= rungs["round_trip"] - 0.5


def test_a_page_that_was_read_well_loses_little_before_its_traces(synth: SynthPage) -> None:
    budget = budget_of(synth, analysis_of(read_page(synth)))
    assert budget["found"] > 20
    assert max(abs(budget[rung] - budget["found"]) for rung in ("orientation", "keypoints", "scale")) < 1


def test_a_page_held_the_wrong_way_up_loses_by_its_orientation() -> None:
    turned = synth_page(orientation=2)
    reading = read_page(turned)
    wrong = replace(reading.keypoints, orientation=0, angle_rad=reading.keypoints.angle_rad + np.pi)
    nothing = Failed("traces", "no ECG strip was found")
    found = replace(analysis_of(reading), keypoints=outcome(wrong), traces=outcome(nothing), record=outcome(nothing))
    budget = budget_of(turned, replace(found, quality=outcome(nothing)))
    assert budget["found"] < 3
    assert budget["orientation"] > 20
    assert budget["keypoints"] == pytest.approx(budget["orientation"], abs=1)


@pytest.mark.parametrize("sequential", [True, False])
def test_leads_begin_when_they_were_printed_to_begin(sequential: bool) -> None:
    budget = budget_of(synth_page("3x4", width_mm=200.0, sequential=sequential), EMPTY_ANALYSIS)
    assert min(budget["time"], budget["sheet"]) > 20


def test_how_a_sheet_lies_is_not_what_a_crease_says(synth: SynthPage, page: MappedPage) -> None:
    middle = np.array(page.truth.lattice_px.shape[:2]) // 2
    lattice_px = page.truth.lattice_px.copy()
    lattice_px[middle[0] - 1 : middle[0] + 2, middle[1] :] += (0.0, 4.0)
    creased = MappedPage(page.pixels, replace(page.truth, lattice_px=lattice_px))
    assert true_keypoints(creased).angle_rad == pytest.approx(true_keypoints(page).angle_rad, abs=0.005)
    assert true_keypoints(creased).px_per_mm == pytest.approx(6.0, rel=0.01)


# --- the stages' measures ---------------------------------------------------------------------------------------


def test_a_page_read_without_a_mistake_is_right_in_every_respect(synth: SynthPage, page: MappedPage) -> None:
    stages = stages_of(synth, page)
    assert (stages.orientation, stages.speed, stages.gain, stages.all_placed) == (True, True, True, True)
    assert stages.leads_printed == len(page.truth.sheet.leads)
    assert stages.labels["V3"] == NameCount(printed=1, found=1, right=1)
    assert stages.grid_p95_mm < 0.3


def test_a_stage_that_failed_has_found_nothing(page: MappedPage) -> None:
    stages = score_stages(page, keypoints=None, grid=None, ecg=None)
    assert (stages.orientation, stages.speed, stages.all_placed, stages.leads_placed) == (False, False, False, 0)
    assert np.isnan(stages.grid_median_mm)
    assert stages.labels["V3"] == NameCount(printed=1, found=0, right=0)


def test_exchanged_names_are_wrong_names_and_wrong_places(synth: SynthPage, page: MappedPage) -> None:
    reading = read_page(synth)
    other = {"V1": "V2", "V2": "V1"}
    names = tuple(other.get(name, name) for name in reading.keypoints.names)
    traces = tuple(replace(trace, lead=other.get(trace.lead, trace.lead)) for trace in reading.ecg.traces)
    keypoints, ecg = replace(reading.keypoints, names=names), DigitizedEcg(traces, reading.ecg.layout)
    stages = stages_of(synth, page, keypoints=keypoints, ecg=ecg)
    assert stages.labels["V1"] == NameCount(printed=1, found=1, right=0)
    assert (stages.leads_printed - stages.leads_placed, stages.leads_invented, stages.leads_swapped) == (2, 2, 2)


def test_a_trace_where_no_lead_is_printed_is_invented_but_not_swapped(synth: SynthPage, page: MappedPage) -> None:
    reading = read_page(synth)
    traces = list(reading.ecg.traces)
    traces[0] = replace(traces[0], xy=traces[0].xy + np.array([0.0, 90.0]))
    stages = stages_of(synth, page, ecg=DigitizedEcg(tuple(traces), reading.ecg.layout))
    assert (stages.leads_invented, stages.leads_swapped) == (1, 0)


def moved(grid: GridFit, shift_mm: float) -> GridFit:
    """Move the whole lattice along the paper's x axis."""
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * 5.0 + shift_mm, np.arange(rows) * 5.0)
    return replace(grid, nodes=grid.to_page(np.stack([x, y], axis=-1)))


@pytest.mark.parametrize(("shift_mm", "error_mm"), [(5.0, 0.0), (1.0, 1.0)])
def test_a_grid_may_start_at_any_printed_line_but_not_between(
    page: MappedPage, shift_mm: float, error_mm: float
) -> None:
    assert grid_error_mm(page, moved(true_grid(page), shift_mm))[0] == pytest.approx(error_mm, abs=0.02)


def test_the_origin_of_an_unprinted_grid_is_anywhere(synth: SynthPage) -> None:
    blank = replace(synth, sheet=replace(synth.sheet, grid_style="none"))
    page = mapped(blank)
    assert grid_error_mm(page, moved(true_grid(page), 1.7))[0] == pytest.approx(0, abs=0.02)


def test_a_grid_of_the_wrong_scale_is_wrong_far_from_its_middle(page: MappedPage) -> None:
    grid = true_grid(page)
    rows, columns = grid.nodes.shape[:2]
    x, y = np.meshgrid(np.arange(columns) * 5.1, np.arange(rows) * 5.1)
    stretched = replace(grid, nodes=grid.to_page(np.stack([x, y], axis=-1)))
    median_mm, p95_mm = grid_error_mm(page, stretched)
    assert p95_mm > median_mm > 0.5


def test_the_wrong_speed_and_gain_are_told_apart(synth: SynthPage, page: MappedPage) -> None:
    grid = read_page(synth).grid
    scale = replace(grid.scale, mm_per_mV=5.0)
    stages = stages_of(synth, page, grid=replace(grid, scale=scale), ecg=None)
    assert (stages.speed, stages.gain) == (True, False)
    stages = stages_of(synth, page, grid=replace(grid, scale=replace(scale, mm_per_s=50.0, mm_per_mV=10.0)), ecg=None)
    assert (stages.speed, stages.gain) == (False, True)


@pytest.mark.parametrize(("chest_mm_per_mV", "right"), [(5.0, True), (10.0, False), (20.0, False)])
def test_chest_leads_may_be_printed_and_read_at_a_gain_of_their_own(
    synth: SynthPage, chest_mm_per_mV: float, right: bool
) -> None:
    leads = tuple(replace(x, mm_per_mV=5.0) if x.lead.startswith("V") else x for x in synth.sheet.leads)
    printed = mapped(replace(synth, sheet=replace(synth.sheet, leads=leads)))
    read = read_page(synth).ecg
    factor = np.float32(10.0 / chest_mm_per_mV)
    traces = tuple(replace(x, mv=x.mv * factor) if x.lead.startswith("V") else x for x in read.traces)
    assert stages_of(synth, printed, ecg=replace(read, traces=traces)).gain is right


def test_a_flat_trace_tells_no_gain_of_its_own(synth: SynthPage, page: MappedPage) -> None:
    read = read_page(synth).ecg
    traces = tuple(replace(trace, mv=trace.mv * np.float32(0)) for trace in read.traces)
    assert stages_of(synth, page, ecg=replace(read, traces=traces)).gain
