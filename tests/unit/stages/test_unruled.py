"""Where no grid can be seen, rows and pulses tell how the sheet lies and how large a millimetre is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from ecgstudio.core.grid import GridFit
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.page import Page, PageId
from ecgstudio.stages import stage1_grid
from ecgstudio.stages.contract import NULL_STATUS, GridMaps, Image
from ecgstudio.stages.grid_search import search
from ecgstudio.stages.paper_map import rescaled
from ecgstudio.stages.settings import GridSettings
from ecgstudio.stages.stage1_grid import fit_grid
from ecgstudio.stages.unruled import found_by_pulses, grid_by_print, row_length_mm, scaled_by_pulses, scaled_by_rows
from tests.pulses_before import PulsesBefore
from tests.synth_page import PX_PER_MM, BlindRuntime, SynthPage, TruthRuntime, synth_page, true_grid, true_keypoints


@dataclass(frozen=True, slots=True, eq=False)
class NoGridRuntime(TruthRuntime):
    """Networks that see all that is printed but the grid."""

    def grid(self, image: Image) -> GridMaps:
        """Mark strip axes, ink and the ends of leads."""
        maps = super(NoGridRuntime, self).grid(image)
        return replace(maps, points=0 * maps.points, phase=0 * maps.phase, lines=0 * maps.lines)


@pytest.fixture(scope="module")
def ten_seconds() -> SynthPage:
    return synth_page("3x4", width_mm=250.0)


@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.3])
def test_a_rescaled_map_is_of_the_same_paper(ten_seconds: SynthPage, zoom: float) -> None:
    grid = true_grid(ten_seconds)
    other = rescaled(grid, zoom)
    assert other.px_per_mm == pytest.approx(zoom * grid.px_per_mm, rel=1e-3)
    mm = np.array([[20.0, 10.0], [100.0, 55.0]])
    np.testing.assert_allclose(other.to_page(mm / zoom), grid.to_page(mm), atol=0.05)
    assert np.all(np.array(other.size_mm) * zoom >= np.array(grid.size_mm) - 1e-6)


@pytest.mark.parametrize("zoom", [0.975, 1.02])
def test_rows_of_about_ten_seconds_are_taken_to_be_that(ten_seconds: SynthPage, zoom: float) -> None:
    grid = true_grid(ten_seconds)
    wrong = rescaled(grid, zoom)
    found = scaled_by_rows(ten_seconds.page, wrong, sure=True, runtime=TruthRuntime(ten_seconds))
    assert found.px_per_mm == pytest.approx(grid.px_per_mm, rel=0.003)


@pytest.mark.parametrize(("sure", "right"), [(False, True), (True, False)])
def test_a_scale_that_pulses_told_is_changed_less_than_a_guessed_one(
    ten_seconds: SynthPage, sure: bool, right: bool
) -> None:
    wrong = rescaled(true_grid(ten_seconds), 1.11)
    found = scaled_by_rows(ten_seconds.page, wrong, sure=sure, runtime=TruthRuntime(ten_seconds))
    assert (abs(found.px_per_mm / PX_PER_MM - 1) < 0.01) is right


def test_rows_of_five_seconds_tell_the_scale_too() -> None:
    five = synth_page("3x4", width_mm=125.0)
    wrong = rescaled(true_grid(five), 1.04)
    found = scaled_by_rows(five.page, wrong, sure=True, runtime=TruthRuntime(five))
    assert found.px_per_mm == pytest.approx(PX_PER_MM, rel=0.004)


def test_rows_of_another_length_change_nothing() -> None:
    short = synth_page("3x4", width_mm=200.0)
    grid, runtime = true_grid(short), TruthRuntime(short)
    assert row_length_mm(short.page, grid, runtime=runtime) == pytest.approx(200.0, abs=1.0)
    assert scaled_by_rows(short.page, grid, sure=False, runtime=runtime) is grid


def test_a_pulses_foot_is_no_part_of_a_rows_length(ten_seconds: SynthPage) -> None:
    runtime = PulsesBefore(ten_seconds, foot_mm=6.0)
    assert row_length_mm(ten_seconds.page, true_grid(ten_seconds), runtime=runtime) == pytest.approx(250.0, abs=0.4)


def test_rows_that_the_picture_cuts_off_tell_no_length(ten_seconds: SynthPage) -> None:
    cut = round((16.0 + 30.0) * PX_PER_MM)
    page = replace(ten_seconds.page, pixels=np.ascontiguousarray(ten_seconds.page.pixels[:, cut:]))
    grid = true_grid(ten_seconds)
    grid = replace(grid, nodes=grid.nodes - np.array([cut, 0.0]))
    assert row_length_mm(page, grid, runtime=TruthRuntime(ten_seconds)) is None


def test_a_page_without_rows_keeps_its_map(ten_seconds: SynthPage) -> None:
    blank = Page(PageId("3" * 64, 0), np.full((600, 900, 3), 240, np.uint8), None, "blank.png")
    grid = true_grid(ten_seconds)
    assert scaled_by_rows(blank, grid, sure=False, runtime=BlindRuntime()) is grid


def map_of(synth: SynthPage, keypoints: Keypoints) -> GridFit:
    runtime = NoGridRuntime(synth)
    return fit_grid(synth.page, keypoints, runtime=runtime, settings=GridSettings(), status=NULL_STATUS)


def assert_true_to(synth: SynthPage, grid: GridFit, *, share: float, degrees: float) -> None:
    """Check that the map's millimetres are those of the sheet but for a share, and that it is turned by no more."""
    sheet_mm = np.array([[lead.start_mm, lead.axis_mm] for lead in synth.sheet.leads])
    a, b = ((mm - mm.mean(axis=0)) @ np.array([1, 1j]) for mm in (sheet_mm, grid.to_mm(synth.to_page(sheet_mm))))
    zoom = (np.conj(a) * b).sum() / (np.abs(a) ** 2).sum()
    assert abs(abs(zoom) - 1) <= share
    assert abs(np.degrees(np.angle(zoom))) <= degrees


@pytest.mark.parametrize("guess", [0.69, 1.3])
def test_pulses_tell_the_scale_at_which_a_grid_is_found_after_all(guess: float) -> None:
    ruled = synth_page("3x4", width_mm=125.0)
    keypoints = true_keypoints(ruled)
    grid = map_of(ruled, replace(keypoints, px_per_mm=guess * PX_PER_MM))
    assert_true_to(ruled, grid, share=0.001, degrees=0.05)
    assert grid.confidence > 0.5


@pytest.mark.parametrize("guess", [0.69, 0.95])
def test_without_a_grid_pulses_choose_which_standard_length_the_rows_have(guess: float) -> None:
    unruled = synth_page("3x4", width_mm=125.0, grid="none")
    keypoints = true_keypoints(unruled)
    grid = map_of(unruled, replace(keypoints, px_per_mm=guess * PX_PER_MM))
    assert_true_to(unruled, grid, share=0.005, degrees=0.3)
    assert grid.confidence < 0.15


def test_rows_tell_how_far_a_page_without_a_grid_is_turned() -> None:
    unruled = synth_page("3x4", width_mm=125.0, grid="none")
    keypoints = true_keypoints(unruled)
    grid = map_of(unruled, replace(keypoints, angle_rad=keypoints.angle_rad + np.radians(6.0)))
    assert_true_to(unruled, grid, share=0.005, degrees=0.3)


def test_a_page_that_shows_nothing_keeps_the_scale_of_stage_0() -> None:
    blank = Page(PageId("3" * 64, 0), np.full((600, 900, 3), 240, np.uint8), None, "blank.png")
    keypoints = replace(true_keypoints(synth_page("3x4")), names=(), xy=np.zeros((0, 2)), confidence=np.zeros(0))
    grid = fit_grid(blank, keypoints, runtime=BlindRuntime(), settings=GridSettings(), status=NULL_STATUS)
    assert grid.px_per_mm == pytest.approx(PX_PER_MM, rel=0.01)
    assert grid.confidence < 0.15


@dataclass(frozen=True, slots=True, eq=False)
class AskewRuntime(NoGridRuntime):
    """The same, on a sheet whose rows lie at four degrees."""

    def grid(self, image: Image) -> GridMaps:
        """Mark strip axes where they would be on a turned sheet."""
        maps = super(AskewRuntime, self).grid(image)
        rows, columns = maps.axis.shape
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), 4.0, 1.0)
        return replace(maps, axis=np.asarray(cv2.warpAffine(maps.axis, turn, (columns, rows)), np.float32))


def test_rows_that_are_not_level_make_a_map_doubtful() -> None:
    ruled = synth_page("3x4", width_mm=125.0, grid="uniform")
    keypoints = true_keypoints(ruled)
    level, askew = (
        search(ruled.page, keypoints, runtime=runtime(ruled), status=NULL_STATUS).level
        for runtime in (NoGridRuntime, AskewRuntime)
    )
    assert level
    assert not askew


@pytest.mark.parametrize("ruled", [True, False])
def test_a_doubtful_map_gives_way_only_to_a_grid_that_is_seen(ruled: bool) -> None:
    sheet = synth_page("3x4", width_mm=125.0, grid="full" if ruled else "none")
    keypoints = replace(true_keypoints(sheet), px_per_mm=1.2 * PX_PER_MM)
    runtime = NoGridRuntime(sheet)
    found = search(sheet.page, keypoints, runtime=runtime, status=NULL_STATUS)
    doubtful = replace(found, grid=rescaled(true_grid(sheet), 1.2), level=False)
    grid = grid_by_print(sheet.page, keypoints, doubtful, runtime=runtime, settings=GridSettings(), status=NULL_STATUS)
    assert grid.px_per_mm == pytest.approx(PX_PER_MM if ruled else 1.2 * PX_PER_MM, rel=0.002)


@pytest.mark.parametrize(("confidence", "ruled", "right"), [(0.4, True, True), (0.9, True, False), (0.4, False, False)])
def test_a_hardly_confirmed_map_gives_way_to_a_clear_one_at_which_pulses_are_of_standard_size(
    confidence: float, ruled: bool, right: bool
) -> None:
    sheet = synth_page("3x4", width_mm=125.0, grid="full" if ruled else "none", pulse="left")
    keypoints, runtime = true_keypoints(sheet), NoGridRuntime(sheet)
    found = search(sheet.page, keypoints, runtime=runtime, status=NULL_STATUS)
    wrong = replace(found, grid=replace(rescaled(true_grid(sheet), 5 / 3), confidence=confidence), level=True)
    best = found_by_pulses(sheet.page, keypoints, wrong, runtime=runtime, status=NULL_STATUS)
    assert best.grid is not None
    assert best.grid.px_per_mm == pytest.approx(PX_PER_MM * (1 if right else 5 / 3), rel=0.002)


@pytest.mark.parametrize("zoom", [0.835, 1.2])
def test_lines_at_a_wrong_pitch_give_way_to_pulses_and_rows_that_agree(ten_seconds: SynthPage, zoom: float) -> None:
    grid = replace(rescaled(true_grid(ten_seconds), zoom), confidence=0.98)
    keypoints, runtime = true_keypoints(ten_seconds), TruthRuntime(ten_seconds)
    again = scaled_by_pulses(ten_seconds.page, keypoints, grid, runtime=runtime)
    assert again is not None
    assert again.px_per_mm == pytest.approx(PX_PER_MM, rel=0.003)
    assert again.confidence < 0.45  # asks for a review


def test_stage_1_uses_the_scale_that_pulses_and_rows_ask_for(
    ten_seconds: SynthPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    keypoints, runtime = true_keypoints(ten_seconds), TruthRuntime(ten_seconds)
    found = search(ten_seconds.page, keypoints, runtime=runtime, status=NULL_STATUS)
    wrong = replace(found, grid=replace(rescaled(true_grid(ten_seconds), 1.2), confidence=0.98), level=True)
    monkeypatch.setattr(stage1_grid, "search", lambda *_, **__: wrong)
    grid = fit_grid(ten_seconds.page, keypoints, runtime=runtime, settings=GridSettings(), status=NULL_STATUS)
    assert grid.px_per_mm == pytest.approx(PX_PER_MM, rel=0.003)
    assert grid.scale.pulse_height_mm == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize(("width_mm", "zoom"), [(250.0, 1.0), (200.0, 1.0), (200.0, 1.2)])
def test_lines_keep_their_scale_where_pulses_or_rows_do_not_ask_for_another(width_mm: float, zoom: float) -> None:
    synth = synth_page("3x4", width_mm=width_mm)
    grid = rescaled(true_grid(synth), zoom)
    assert scaled_by_pulses(synth.page, true_keypoints(synth), grid, runtime=TruthRuntime(synth)) is None
