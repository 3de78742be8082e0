import math
from collections.abc import Callable

import numpy as np
import pytest

from ecgstudio.core.corrections import (
    NO_CORRECTIONS,
    Corrections,
    DiagnosisEdit,
    FiducialEdit,
    FiducialPlace,
    FindingEdit,
    GridEdit,
    KeypointEdit,
    KeypointMove,
    TraceEdit,
    TraceErase,
    TraceRedraw,
    TraceRelabel,
    TraceShift,
    apply_diagnosis,
    apply_grid,
    apply_keypoints,
    apply_traces,
)
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints

PX_PER_MM = 8.0
FS = 500.0


@pytest.fixture
def keypoints() -> Keypoints:
    return Keypoints(("I", "II"), np.array([[100, 100], [100, 300.0]]), np.array([0.7, 0.8]), 0, 0.9, 8.0, 0.0, False)


@pytest.fixture
def grid() -> GridFit:
    y, x = np.mgrid[:30, :40] * 5 * PX_PER_MM
    return GridFit(np.stack([x, y], -1), PaperScale(25, 10, "pulse"), 0.9)


def printed(lead: str, *, zero_y_px: float, seconds: float = 2.0) -> LeadTrace:
    """A sine of 0.5 mV at 25 mm/s and 10 mm/mV that starts 80 px from the left."""
    t = np.arange(int(seconds * FS)) / FS
    mv = 0.5 * np.sin(2 * np.pi * t)
    xy = np.column_stack([80 + t * 25 * PX_PER_MM, zero_y_px - mv * 10 * PX_PER_MM])
    return LeadTrace(lead, 0.0, FS, mv, xy, np.full(len(t), 0.6))


@pytest.fixture
def ecg() -> DigitizedEcg:
    return DigitizedEcg((printed("I", zero_y_px=300), printed("II", zero_y_px=600)), "12x1")


def test_without_corrections_the_answers_stand(keypoints: Keypoints, grid: GridFit, ecg: DigitizedEcg) -> None:
    assert apply_keypoints(keypoints, NO_CORRECTIONS.keypoints) is keypoints
    assert apply_grid(grid, NO_CORRECTIONS.grid) is grid
    assert apply_traces(ecg, NO_CORRECTIONS.traces, grid=grid).traces == ecg.traces


def test_a_keypoint_is_moved_renamed_added_and_deleted_by_place(keypoints: Keypoints) -> None:
    edit = KeypointEdit(
        (
            KeypointMove("III", (103.0, 298.0), (110.0, 310.0)),
            KeypointMove("V1", None, (500.0, 100.0)),
            KeypointMove("I", (99.0, 101.0), None),
        )
    )
    corrected = apply_keypoints(keypoints, edit)
    assert corrected.names == ("III", "V1")
    np.testing.assert_array_equal(corrected.xy, [[110, 310], [500, 100]])
    np.testing.assert_array_equal(corrected.confidence, [1, 1])


def test_a_move_whose_keypoint_is_gone_still_puts_one_where_the_human_said(keypoints: Keypoints) -> None:
    corrected = apply_keypoints(keypoints, KeypointEdit((KeypointMove("V1", (900.0, 900.0), (910.0, 900.0)),)))
    assert corrected.names == ("I", "II", "V1")


def test_a_human_can_turn_the_page(keypoints: Keypoints) -> None:
    corrected = apply_keypoints(keypoints, KeypointEdit(orientation=6))
    assert (corrected.orientation, corrected.mirrored, corrected.orientation_confidence) == (6, True, 1.0)


def test_a_human_can_supply_keypoints_where_the_machine_has_none() -> None:
    edit = KeypointEdit((KeypointMove("I", None, (5.0, 5.0)),), orientation=0, px_per_mm=8.0, angle_rad=0.0)
    assert apply_keypoints(None, edit).names == ("I",)
    with pytest.raises(ValueError, match="must be set"):
        apply_keypoints(None, KeypointEdit())


def test_a_node_is_moved_by_place(grid: GridFit) -> None:
    start = grid.nodes[7, 9]
    corrected = apply_grid(grid, GridEdit(np.array([[start + 3, start + np.array([6.0, -4.0])]])))
    np.testing.assert_allclose(corrected.nodes[7, 9], start + np.array([6, -4]))
    assert (corrected.nodes != grid.nodes).any(axis=-1).sum() == 1


def test_a_move_far_from_every_node_is_left_out(grid: GridFit) -> None:
    corrected = apply_grid(grid, GridEdit(np.array([[[-500.0, -500.0], [0.0, 0.0]]])))
    np.testing.assert_array_equal(corrected.nodes, grid.nodes)


def test_a_human_sets_speed_and_gain(grid: GridFit) -> None:
    corrected = apply_grid(grid, GridEdit(np.empty((0, 2, 2)), mm_per_s=50.0))
    assert corrected.scale == PaperScale(50.0, 10, "human")


def test_a_human_can_supply_the_grid_where_the_machine_has_none(grid: GridFit) -> None:
    none = np.empty((0, 2, 2))
    edit = GridEdit(none, nodes=grid.nodes, mm_per_s=25.0, mm_per_mV=5.0)
    assert apply_grid(None, edit).scale == PaperScale(25.0, 5.0, "human")
    with pytest.raises(ValueError, match="must be set"):
        apply_grid(None, GridEdit(none, nodes=grid.nodes))


def test_erased_samples_are_missing_and_the_rest_stands(ecg: DigitizedEcg, grid: GridFit) -> None:
    first = ecg.traces[0]
    edit = TraceEdit((TraceErase(tuple(first.xy[100]), tuple(first.xy[150])),))
    corrected = apply_traces(ecg, edit, grid=grid).traces[0]
    assert np.flatnonzero(np.isnan(corrected.mv)).tolist() == list(range(100, 151))
    np.testing.assert_array_equal(corrected.mv[:100], first.mv[:100])
    assert corrected.confidence[120] == 0


def test_a_redrawn_line_is_read_against_the_zero_level_of_its_trace(ecg: DigitizedEcg, grid: GridFit) -> None:
    # 1 mV above the zero level of lead II (600 px), from 0.5 s to 1.0 s
    line = np.array([[80 + 0.5 * 200, 600 - 80.0], [80 + 1.0 * 200, 600 - 80.0]])
    corrected = apply_traces(ecg, TraceEdit((TraceRedraw(line),)), grid=grid)
    second = corrected.of("II")[0]
    np.testing.assert_allclose(second.mv[250:501], 1.0, atol=1e-3)
    np.testing.assert_allclose(second.xy[250:501, 1], 520, atol=1e-3)
    assert second.confidence[300] == 1
    np.testing.assert_array_equal(second.mv[:249], ecg.traces[1].mv[:249])
    np.testing.assert_array_equal(corrected.of("I")[0].mv, ecg.traces[0].mv)


def test_a_trace_is_relabelled_and_shifted_by_place(ecg: DigitizedEcg, grid: GridFit) -> None:
    place = tuple(ecg.traces[1].xy[10] + 4)
    edit = TraceEdit((TraceRelabel(place, "V5"), TraceShift(place, shift_s=0.02, shift_mv=-0.1)))
    corrected = apply_traces(ecg, edit, grid=grid).of("V5")[0]
    assert corrected.t0_s == pytest.approx(0.02)
    np.testing.assert_allclose(corrected.mv, ecg.traces[1].mv - 0.1, atol=1e-6)


def test_a_change_far_from_every_trace_is_left_out(ecg: DigitizedEcg, grid: GridFit) -> None:
    edit = TraceEdit((TraceRelabel((5000.0, 5000.0), "V5"),))
    assert [trace.lead for trace in apply_traces(ecg, edit, grid=grid).traces] == ["I", "II"]


def test_without_traces_there_is_nothing_to_correct(grid: GridFit) -> None:
    with pytest.raises(ValueError, match="nothing"):
        apply_traces(None, None, grid=grid)


def test_a_clinicians_verdict_replaces_the_probability() -> None:
    auto = Diagnosis((Finding("NORM", 0.9, "model"), Finding("MI", 0.2, "model")))
    edit = DiagnosisEdit((FindingEdit("NORM", "reject"), FindingEdit("CD", "accept", "left bundle branch block")))
    corrected = apply_diagnosis(auto, edit)
    assert corrected.probability("NORM") == 0
    assert corrected.probability("MI") == 0.2
    assert corrected.probability("CD") == 1
    assert math.isnan(corrected.probability("HYP"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: KeypointMove("nose", None, (1.0, 2.0)),
        lambda: KeypointMove("I", None, None),
        lambda: TraceRelabel((1.0, 2.0), "X"),
        lambda: TraceRedraw(np.zeros((1, 2))),
        lambda: TraceRedraw(np.zeros((2, 2)), "X"),
        lambda: GridEdit(np.array([[[0, 0], [0, np.nan]]])),
        lambda: Corrections(layout="5x5"),
        lambda: FiducialPlace("U end", 0.4),
        lambda: FiducialPlace("T end", math.nan),
        lambda: FiducialEdit((FiducialPlace("T end", 0.4), FiducialPlace("T end", 0.5))),
    ],
)
def test_an_edit_that_says_nothing_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        make()
