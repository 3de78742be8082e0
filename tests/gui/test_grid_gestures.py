"""Stage 1 by hand: nodes and lines like rubber, the scale by two clicks, a lattice by its corners, snapping."""

import numpy as np
import pytest

from ecgstudio.core.corrections import GridEdit, apply_grid, apply_keypoints
from ecgstudio.gui.gestures import Done
from ecgstudio.gui.grid_gestures import edit_of, pulled_line, pulled_nodes
from ecgstudio.gui.hand import Hand
from ecgstudio.gui.hit_test import Kind
from ecgstudio.gui.snapping import snap_to_crossing, snap_to_ink
from ecgstudio.gui.tools import Tool
from tests.gui.gesture_scene import SIZE, Answers, at, grid, page, scene


def drag(
    tool: Tool, start: tuple[float, float], end: tuple[float, float], *, alone: bool = False, **values: object
) -> Done | None:
    hand = Hand()
    hand.take(tool)
    hand.press(scene(**values), at(*start))
    hand.move(scene(**values), at(*end, alone=alone))
    return hand.release(at(*end, alone=alone), Answers())


def test_a_node_goes_where_it_is_dragged_and_its_neighbours_follow_less_the_further_they_are() -> None:
    done = drag(Tool.NODE, (200, 200), (206, 203))
    after = apply_grid(grid(), done.edit).nodes - grid().nodes
    assert after[10, 10] == pytest.approx([6, 3])
    steps = after[10, 10:16, 0]
    assert (np.diff(steps) <= 0).all()
    assert 0 < steps[1] < 6
    assert steps[-1] == 0
    assert not after[:, 20:].any()


def test_with_alt_only_that_node_moves() -> None:
    done = drag(Tool.NODE, (200, 200), (206, 203), alone=True)
    assert len(done.edit.moves) == 1


def test_a_long_drag_reaches_further_so_that_the_lattice_does_not_fold() -> None:
    nodes = pulled_nodes(grid(), row=12, column=20, by_px=(150.0, 0.0))
    assert (np.diff(nodes[..., 0], axis=1) > 0).all()


def test_dragging_a_node_again_keeps_one_move_per_node() -> None:
    first = drag(Tool.NODE, (200, 200), (206, 203)).edit
    value = apply_grid(grid(), first)
    second = drag(Tool.NODE, (206, 203), (210, 200), grid=value, grid_edit=first).edit
    after = apply_grid(grid(), second).nodes
    assert after[10, 10] == pytest.approx([210, 200])
    assert len(second.moves) == len(first.moves)


def test_an_edit_of_nodes_gives_just_these_nodes() -> None:
    nodes = grid().nodes + np.random.default_rng(0).normal(size=grid().nodes.shape)
    assert np.allclose(apply_grid(grid(), edit_of(grid(), None, nodes)).nodes, nodes)


def test_a_whole_line_goes_sideways_only() -> None:
    done = drag(Tool.LINE, (150, 100), (170, 104))
    moved = apply_grid(grid(), done.edit).nodes - grid().nodes
    assert np.allclose(moved[5], (0, 4))
    assert np.allclose(moved[..., 0], 0)
    assert np.allclose(moved[10:], 0)


def test_columns_are_lines_too() -> None:
    nodes = pulled_line(grid(), kind=Kind.COLUMN, index=3, by_px=(2.0, 0.0))
    assert np.allclose(nodes[:, 3, 0], 62)


def test_a_press_beside_the_grid_lines_takes_nothing() -> None:
    assert drag(Tool.NODE, (210, 210), (220, 220)) is None


def clicks(tool: Tool, places: list[tuple[float, float]], ask: Answers, **values: object) -> Done | None:
    hand, done = Hand(), None
    hand.take(tool)
    for place in places:
        hand.move(scene(**values), at(*place))
        hand.press(scene(**values), at(*place))
        done = hand.release(at(*place), ask)
    return done


def test_two_clicks_set_the_scale_of_the_whole_grid() -> None:
    ask = Answers(mm=(50.0,))
    done = clicks(Tool.SCALE, [(200, 200), (300, 200)], ask)
    assert ask.asked[0][1] == 25
    after = apply_grid(grid(), done.edit)
    assert after.px_per_mm == pytest.approx(2.0)
    mm = after.to_mm(np.array([[200.0, 200.0], [300.0, 200.0]]))
    assert np.hypot(*(mm[1] - mm[0])) == pytest.approx(50.0)
    assert after.nodes[0, 0].max() <= 0  # it still covers the page
    assert (after.nodes[-1, -1] >= np.array(SIZE)).all()


def test_the_scale_keeps_the_phase_of_the_grid_at_the_first_click() -> None:
    done = clicks(Tool.SCALE, [(200, 200), (300, 200)], Answers(mm=(50.0,)))
    mm = apply_grid(grid(), done.edit).to_mm(np.array([200.0, 200.0]))
    assert np.allclose(mm / 5, np.round(mm / 5))


def test_the_scale_keeps_a_speed_that_was_set() -> None:
    edit = GridEdit(np.empty((0, 2, 2)), mm_per_s=50.0)
    done = clicks(Tool.SCALE, [(200, 200), (300, 200)], Answers(mm=(50.0,)), grid_edit=edit)
    assert done.edit.mm_per_s == 50.0


def test_a_drag_from_place_to_place_sets_the_scale_as_well() -> None:
    hand = Hand()
    hand.take(Tool.SCALE)
    hand.press(scene(), at(200, 200))
    hand.move(scene(), at(300, 200))
    assert hand.release(at(300, 200), Answers(mm=(20.0,))) is not None


def test_without_a_grid_two_clicks_lay_one_over_the_page() -> None:
    done = clicks(Tool.SCALE, [(200, 200), (300, 200)], Answers(mm=(20.0,)), grid=None)
    after = apply_grid(None, done.edit)
    assert after.px_per_mm == pytest.approx(5.0)
    assert np.hypot(*(after.nodes - np.array([200, 200])).reshape(-1, 2).T).min() < 1e-6


def test_without_anything_two_clicks_mend_stage_0() -> None:
    done = clicks(Tool.SCALE, [(200, 200), (300, 200)], Answers(mm=(20.0,)), grid=None, keypoints=None)
    assert apply_keypoints(None, done.edit).px_per_mm == pytest.approx(5.0)


def test_not_answering_how_long_it_is_changes_nothing() -> None:
    assert clicks(Tool.SCALE, [(200, 200), (300, 200)], Answers(mm=(None,))) is None


def test_four_corners_of_a_printed_rectangle_lay_a_grid_in_perspective() -> None:
    corners = [(100.0, 100.0), (700.0, 140.0), (680.0, 420.0), (120.0, 380.0)]
    done = clicks(Tool.LATTICE, corners, Answers(mm=(150.0, 70.0)), grid=None)
    mm = apply_grid(None, done.edit).to_mm(np.array(corners))
    mm -= mm[0]
    assert np.allclose(mm, [[0, 0], [150, 0], [150, 70], [0, 70]], atol=0.05)


def test_a_node_is_caught_by_the_printed_crossing_beside_it() -> None:
    x, y = snap_to_crossing(page().pixels, (262.6, 219.2), grid=grid())
    assert (x, y) == (pytest.approx(261.0, abs=0.3), pytest.approx(221.0, abs=0.3))


def test_where_nothing_is_printed_a_node_stays_where_it_is_put() -> None:
    blank = np.full((480, 800, 3), 250, np.uint8)
    assert snap_to_crossing(blank, (262.6, 219.2), grid=grid()) == pytest.approx((262.6, 219.2))


def test_a_dragged_node_snaps_unless_that_is_switched_off() -> None:
    pixels = page().pixels
    snapped = drag(Tool.NODE, (260, 220), (262, 222), pixels=pixels, snap=True)
    free = drag(Tool.NODE, (260, 220), (262, 222), pixels=pixels, snap=False)
    assert apply_grid(grid(), snapped.edit).nodes[11, 13] == pytest.approx([261, 221], abs=0.3)
    assert apply_grid(grid(), free.edit).nodes[11, 13] == pytest.approx([262, 222])


def test_a_drawn_line_finds_the_ink_beside_it_and_leaves_blank_paper_alone() -> None:
    drawn = np.stack([np.arange(100.0, 120.0), np.full(20, 142.0)], axis=1)
    assert np.allclose(snap_to_ink(page().pixels, drawn, grid=grid())[:, 1], 140, atol=0.4)
    blank = drawn + np.array([0, 80])
    assert np.allclose(snap_to_ink(page().pixels, blank, grid=grid()), blank)
