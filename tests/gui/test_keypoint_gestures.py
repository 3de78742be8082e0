"""Stage 0 by hand: names and markers, turning, mirroring, corners and templates."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.corrections import KeypointEdit, KeypointMove, apply_keypoints
from ecgstudio.core.geometry import apply_homography, fit_homography, to_upright_pixels
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.gui.gestures import Done
from ecgstudio.gui.hand import Hand
from ecgstudio.gui.keypoint_gestures import (
    add_keypoint,
    angle_of_corners,
    delete_keypoint,
    flipped,
    move_keypoint,
    page_corners,
    rename_keypoint,
    sheet_corners,
    turned,
)
from ecgstudio.gui.template import place_template
from ecgstudio.gui.tools import Tool
from tests.gui.gesture_scene import SIZE, Answers, at, grid, keypoints, scene


def drag(
    tool: Tool, start: tuple[float, float], end: tuple[float, float], ask: Answers | None = None, **values: object
) -> Done | None:
    hand = Hand()
    hand.take(tool)
    hand.press(scene(**values), at(*start))
    hand.move(scene(**values), at(*end))
    return hand.release(at(*end), ask or Answers())


def test_dragging_a_name_moves_it_and_nothing_else() -> None:
    done = drag(Tool.KEYPOINT, (101, 79), (151, 99))
    value = apply_keypoints(keypoints(), done.edit)
    assert value.of("I").tolist() == [[150, 100]]
    assert sorted(value.names) == sorted(keypoints().names)


def test_dragging_a_name_twice_leaves_one_move() -> None:
    first = move_keypoint(keypoints(), None, index=0, to_xy=(150.0, 100.0))
    value = apply_keypoints(keypoints(), first)
    second = move_keypoint(value, first, index=value.names.index("I"), to_xy=(90.0, 70.0))
    assert second.moves == (KeypointMove("I", (100.0, 80.0), (90.0, 70.0)),)


def test_renaming_and_deleting_refer_to_what_the_machine_saw() -> None:
    edit = rename_keypoint(keypoints(), None, index=0, name="V6")
    value = apply_keypoints(keypoints(), edit)
    assert value.of("V6").tolist() == [[100, 80]]
    edit = delete_keypoint(value, edit, index=value.names.index("V6"))
    assert edit.moves == (KeypointMove("V6", (100.0, 80.0), None),)
    assert len(apply_keypoints(keypoints(), edit).names) == 4


def test_deleting_what_was_added_leaves_no_trace() -> None:
    edit = add_keypoint(None, name="aVR", xy=(300.0, 300.0))
    value = apply_keypoints(keypoints(), edit)
    assert delete_keypoint(value, edit, index=value.names.index("aVR")) == KeypointEdit()


def test_a_click_on_empty_paper_adds_the_name_that_is_chosen_and_offers_missing_leads_first() -> None:
    ask = Answers(name="aVF")
    done = drag(Tool.KEYPOINT, (300, 400), (300, 400), ask)
    assert done.edit.moves == (KeypointMove("aVF", None, (300.0, 400.0)),)
    assert ask.asked[0][1][0] == "III"


def test_letting_go_of_the_question_changes_nothing() -> None:
    assert drag(Tool.KEYPOINT, (300, 400), (300, 400)) is None


@pytest.mark.parametrize("orientation", range(8))
@pytest.mark.parametrize("change", ["right", "left", "mirror"])
def test_turning_and_mirroring_turn_the_upright_picture(orientation: int, change: str) -> None:
    pixels = np.arange(12).reshape(3, 4)
    base = (math.pi if orientation >= 4 else 0.0) - math.pi / 2 * (orientation % 4)
    value = replace(keypoints(), orientation=orientation, mirrored=orientation >= 4, angle_rad=base + 0.02)
    if change == "mirror":
        edit, wanted = flipped(value, None, size=SIZE), np.fliplr(to_upright_pixels(pixels, orientation))
    else:
        by = math.pi / 2 if change == "right" else -math.pi / 2
        edit = turned(value, None, by_rad=by, size=SIZE)
        wanted = np.rot90(to_upright_pixels(pixels, orientation), -1 if change == "right" else 1)
    assert edit.orientation is not None
    assert np.array_equal(to_upright_pixels(pixels, edit.orientation), wanted)
    new = (math.pi if edit.orientation >= 4 else 0.0) - math.pi / 2 * (edit.orientation % 4)
    assert math.cos(edit.angle_rad - new - 0.02) == pytest.approx(1.0)  # the small tilt of the sheet stays


def test_turning_a_page_that_the_machine_could_not_place_supplies_all_of_stage_0() -> None:
    value = apply_keypoints(None, turned(None, None, by_rad=math.pi / 2, size=SIZE))
    assert value.orientation == 1
    assert value.px_per_mm > 0


def test_dragging_round_the_middle_turns_the_page_by_that_angle() -> None:
    done = drag(Tool.ROTATE, (600, 240), (400 + 200 * math.cos(0.1), 240 + 200 * math.sin(0.1)))
    assert done.edit.angle_rad == pytest.approx(-0.1)
    assert done.edit.orientation == 0


def test_shift_turns_by_steps_of_five_degrees() -> None:
    hand = Hand()
    hand.take(Tool.ROTATE)
    hand.press(scene(), at(600, 240))
    end = at(400 + 200 * math.cos(0.1), 240 + 200 * math.sin(0.1), coarse=True)
    hand.move(scene(), end)
    done = hand.release(end, Answers())
    assert done is not None
    assert math.degrees(done.edit.angle_rad) == pytest.approx(-5)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.3, -1.6, 3.0])
def test_corners_of_a_sheet_tell_its_angle(angle: float, mirrored: bool) -> None:
    orientation = 4 if mirrored else 0
    value = replace(keypoints(), angle_rad=angle, mirrored=mirrored, orientation=orientation)
    found = angle_of_corners(page_corners(SIZE, value), mirrored=mirrored)
    assert math.cos(found - angle) == pytest.approx(1.0)


def test_dragging_both_right_corners_down_turns_the_sheet_and_keeps_the_corners() -> None:
    first = drag(Tool.CORNERS, (800, 0), (800, 40))
    value = apply_keypoints(keypoints(), first.edit)
    second = drag(Tool.CORNERS, (800, 480), (800, 520), keypoints=value, keypoint_edit=first.edit)
    assert second.edit.corners[1] == pytest.approx((800, 40), abs=1.0)
    assert second.edit.corners[2] == pytest.approx((800, 520), abs=1.0)
    assert 0.02 < second.edit.angle_rad <= math.atan2(40, 800) + 2e-3


def test_corners_stand_where_the_grid_says_that_the_paper_is_flat() -> None:
    onto = fit_homography(
        np.array([[0, 0], [200, 0], [200, 120], [0, 120]]), np.array([[60, 20], [760, 60], [800, 470], [10, 440]])
    )
    x, y = np.meshgrid(np.arange(0, 201, 5), np.arange(0, 121, 5))
    aslant = replace(grid(), nodes=apply_homography(onto, np.stack([x, y], axis=-1)))
    corners = sheet_corners(scene(grid=aslant))
    mm = aslant.to_mm(corners)
    assert mm[0] == pytest.approx([mm[3, 0], mm[1, 1]], abs=1e-3)  # a rectangle of the paper
    assert mm[2] == pytest.approx([mm[1, 0], mm[3, 1]], abs=1e-3)
    assert ((corners > -1) & (corners < SIZE)).all()


def test_a_corner_stops_where_the_sheet_would_fold_over() -> None:
    done = drag(Tool.CORNERS, (800, 0), (790, 10))
    assert done is not None
    value = apply_keypoints(keypoints(), done.edit)
    assert drag(Tool.CORNERS, (790, 10), (100, 470), keypoints=value, keypoint_edit=done.edit) is None


@pytest.mark.parametrize("change", ["turned", "mirrored"])
def test_corners_go_with_a_page_that_is_turned_or_mirrored(change: str) -> None:
    edit = replace(KeypointEdit(), corners=((10.0, 20.0), (790.0, 30.0), (780.0, 460.0), (20.0, 470.0)))
    value = apply_keypoints(keypoints(), edit)
    if change == "turned":
        after = turned(value, edit, by_rad=math.pi / 2, size=SIZE)  # the sheet's top left is where bottom left was
        assert after.corners == (edit.corners[3], *edit.corners[:3])
    else:
        after = flipped(value, edit, size=SIZE)
        assert after.corners == tuple(edit.corners[i] for i in (1, 0, 3, 2))
    assert apply_keypoints(keypoints(), after).corners is not None


def names_of(layout: str, **jitter: float) -> Keypoints:
    rows = LAYOUTS[layout].all_rows
    places = [(60 + 180 * c, 100 + 80 * r) for r, row in enumerate(rows) for c, _ in enumerate(row)]
    names = [lead for row in rows for lead in row]
    xy = np.array(places, np.float64) + np.random.default_rng(3).normal(size=(len(places), 2)) * jitter.get("px", 0)
    return Keypoints(tuple(names), xy, np.full(len(names), 0.5), 0, 0.9, 4.0, 0.0, False)


def test_a_template_over_names_that_fit_changes_nothing() -> None:
    value = names_of("3x4+1", px=4.0)
    edit = place_template(LAYOUTS["3x4+1"], value, None, size=SIZE)
    assert edit.moves == ()


def test_a_template_adds_what_is_missing_where_the_others_say() -> None:
    value = names_of("3x4+1")
    without = apply_keypoints(value, delete_keypoint(value, None, index=value.names.index("V5")))
    edit = place_template(LAYOUTS["3x4+1"], without, None, size=SIZE)
    after = apply_keypoints(without, edit)
    assert np.allclose(after.of("V5"), value.of("V5"), atol=1.0)


def test_a_template_renames_what_was_misread_and_drops_what_is_nowhere() -> None:
    value = names_of("3x4+1")
    misread = apply_keypoints(value, rename_keypoint(value, None, index=value.names.index("V3"), name="V5"))
    misread = apply_keypoints(misread, add_keypoint(None, name="I", xy=(700.0, 20.0)))
    after = apply_keypoints(misread, place_template(LAYOUTS["3x4+1"], misread, None, size=SIZE))
    assert sorted(after.names) == sorted(value.names)
    assert np.allclose(after.of("V3"), value.of("V3"))


def test_a_template_fills_a_page_on_which_nothing_was_read() -> None:
    empty = replace(keypoints(), names=(), xy=np.empty((0, 2)), confidence=np.empty(0))
    after = apply_keypoints(empty, place_template(LAYOUTS["6x2"], empty, None, size=SIZE))
    assert len(after.names) == 12
    assert (after.xy > 0).all()
    assert (after.xy < SIZE).all()
    assert (after.of("V1") - after.of("I"))[0, 0] > 200
    assert after.of("I")[0, 1] == after.of("V1")[0, 1]


def test_a_template_keeps_markers() -> None:
    after = apply_keypoints(keypoints(), place_template(LAYOUTS["3x4"], keypoints(), None, size=SIZE))
    assert after.of("pulse").tolist() == [[40, 120]]
