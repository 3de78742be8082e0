import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.arrays import frozen_array
from ecgstudio.core.diagnosis import Diagnosis, Finding
from ecgstudio.core.ecg import EcgRecord, LeadTrace
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import (
    CABRERA_ORDER,
    LAYOUTS,
    LEADS,
    Layout,
    canonical_lead,
    einthoven_residual,
    goldberger_residual,
    limb_leads,
)
from ecgstudio.core.page import Page, PageId


def keypoints(**changes: object) -> Keypoints:
    values = {
        "names": ("I", "pulse", "I"),
        "xy": [[1, 2], [3, 4], [5, 6]],
        "confidence": [0.5, 1, 0.9],
        "orientation": 5,
        "orientation_confidence": 0.9,
        "px_per_mm": 8.0,
        "angle_rad": 0.1,
        "mirrored": True,
    }
    return Keypoints(**values | changes)


def trace(**changes: object) -> LeadTrace:
    values = {"lead": "V1", "t0_s": 2.5, "fs": 500.0, "mv": np.zeros(4), "xy": np.zeros((4, 2)), "confidence": [1] * 4}
    return LeadTrace(**values | changes)


@pytest.mark.parametrize(
    ("text", "lead"),
    [("avr", "aVR"), ("AVL", "aVL"), (" v3 ", "V3"), ("DII", "II"), ("C4", "V4"), ("Lead I", "I"), ("vf", "aVF")],
)
def test_lead_names_have_one_spelling(text: str, lead: str) -> None:
    assert canonical_lead(text) == lead


@pytest.mark.parametrize("text", ["", "V7", "-aVR", "IIII", "pulse"])
def test_what_is_no_lead_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        canonical_lead(text)


@given(st.integers(0, 1000))
def test_limb_leads_obey_einthoven_and_goldberger(seed: int) -> None:
    i_mv, ii_mv = np.random.default_rng(seed).normal(size=(2, 9))
    mv = np.vstack([limb_leads(i_mv, ii_mv), np.zeros((6, 9))])
    np.testing.assert_allclose(mv[:2], [i_mv, ii_mv])
    np.testing.assert_allclose(einthoven_residual(mv), 0, atol=1e-12)
    np.testing.assert_allclose(goldberger_residual(mv), 0, atol=1e-12)
    np.testing.assert_allclose(mv[3], -(i_mv + ii_mv) / 2)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_the_rows_columns_and_rhythm_strips_of_its_name(name: str) -> None:
    layout = LAYOUTS[name]
    shape, _, rhythm = name.partition("-")[0].partition("+")
    assert layout.shape == name.partition("-")[0]
    assert f"{len(layout.rows)}x{layout.columns}" == shape
    assert len(layout.rhythm) == int(rhythm or 0)
    assert len(layout.all_rows) == len(layout.rows) + len(layout.rhythm)


def test_layouts_read_column_by_column() -> None:
    assert LAYOUTS["3x4+1"].rows == (
        ("I", "aVR", "V1", "V4"),
        ("II", "aVL", "V2", "V5"),
        ("III", "aVF", "V3", "V6"),
    )
    assert tuple(row[0] for row in LAYOUTS["12x1-cabrera"].rows) == CABRERA_ORDER
    assert set(CABRERA_ORDER) == set(LEADS)


@pytest.mark.parametrize("rows", [(), ((),), (("I", "II"), ("III",)), (("I", "I"),), (("X",),)])
def test_a_layout_that_is_none_is_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="layout"):
        Layout("odd", rows)


def test_a_page_keeps_its_own_read_only_pixels() -> None:
    pixels = np.zeros((5, 7, 3), np.uint8)
    page = Page(PageId("ab", 0), pixels, 200.0, "scan.png")
    pixels[:] = 9
    assert page.pixels.max() == 0
    assert (page.height, page.width) == (5, 7)
    with pytest.raises(ValueError, match="read-only"):
        page.pixels[0, 0, 0] = 1


def test_read_only_pixels_are_not_copied() -> None:
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels.flags.writeable = False
    assert Page(PageId("ab", 0), pixels, None, "scan.png").pixels is pixels


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 4), (0, 7, 3)])
def test_pixels_that_are_no_rgb_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixel"):
        Page(PageId("ab", 0), np.zeros(shape, np.uint8), None, "scan.png")


def test_floats_do_not_pass_for_pixels() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Page(PageId("ab", 0), np.zeros((5, 7, 3)), None, "scan.png")


@pytest.mark.parametrize(("sha256", "index"), [("", 0), ("ab", -1)])
def test_a_page_id_needs_a_hash_and_an_index(sha256: str, index: int) -> None:
    with pytest.raises(ValueError, match="PageId"):
        PageId(sha256, index)


def test_keypoints_of_a_name_are_found() -> None:
    np.testing.assert_array_equal(keypoints().of("I"), [[1, 2], [5, 6]])
    assert keypoints().of("V6").shape == (0, 2)


def test_keypoints_may_be_none_at_all() -> None:
    assert keypoints(names=(), xy=[], confidence=[]).xy.shape == (0, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ("I", "X", "V1")},
        {"xy": [[1, 2], [3, 4]]},
        {"xy": [[1, 2], [3, 4], [5, math.nan]]},
        {"confidence": [0.5, 1, 1.5]},
        {"orientation": 8},
        {"mirrored": False},
        {"px_per_mm": 0.0},
        {"angle_rad": math.inf},
    ],
)
def test_keypoints_that_contradict_themselves_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        keypoints(**changes)


def test_a_trace_knows_its_times() -> None:
    np.testing.assert_allclose(trace().t_s, [2.5, 2.502, 2.504, 2.506])
    assert trace().duration_s == pytest.approx(0.008)


@pytest.mark.parametrize(
    "changes",
    [
        {"lead": "v1"},
        {"fs": 0.0},
        {"t0_s": math.nan},
        {"mv": [0, 0, 0, math.inf]},
        {"mv": np.zeros(3)},
        {"confidence": [1, 1, 1, -1]},
    ],
)
def test_a_trace_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        trace(**changes)


def test_a_record_keeps_missing_samples() -> None:
    mv = np.full((12, 3), np.nan)
    mv[1] = 0.5
    record = EcgRecord(mv, 500.0)
    assert record.mv.dtype == np.float32
    assert np.isnan(record.lead_mv("I")).all()
    np.testing.assert_allclose(record.lead_mv("II"), 0.5)
    np.testing.assert_allclose(record.t_s, [0, 0.002, 0.004])


@pytest.mark.parametrize("leads", [("I", "I"), ("I", "X"), ("I",)])
def test_a_record_with_other_leads_than_rows_is_refused(leads: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        EcgRecord(np.zeros((2, 3)), 500.0, leads)


def test_a_record_does_not_share_its_meta() -> None:
    meta = {"page": "scan.png"}
    record = EcgRecord(np.zeros((12, 3)), 500.0, meta=meta)
    meta["page"] = "other"
    assert record.meta == {"page": "scan.png"}


def test_values_survive_the_way_to_another_process() -> None:
    for value in (keypoints(), trace(), EcgRecord(np.zeros((12, 3)), 500.0, meta={"a": 1})):
        again = pickle.loads(pickle.dumps(value))
        assert repr(again) == repr(value)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_probability_lies_between_zero_and_one(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        Finding("NORM", probability, "model")


def test_a_diagnosis_answers_by_code() -> None:
    diagnosis = Diagnosis((Finding("NORM", 0.9, "model"),))
    assert diagnosis.probability("NORM") == 0.9
    assert math.isnan(diagnosis.probability("MI"))


def test_a_diagnosis_holds_a_code_once() -> None:
    with pytest.raises(ValueError, match="once"):
        Diagnosis((Finding("MI", 0.9, "a"), Finding("MI", 0.1, "b")))


def test_frozen_arrays_keep_nan_and_convert_whole_numbers() -> None:
    array = frozen_array([1, 2], dtype=np.float32, shape=(None,), name="mv")
    assert array.dtype == np.float32
    assert not array.flags.writeable
