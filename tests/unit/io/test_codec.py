"""Values become JSON and come back the same; nothing else comes back at all."""

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.corrections import Corrections, GridEdit
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.io.audit import applied, difference
from ecgstudio.io.codec import CodecError, decode, encode
from ecgstudio.stages.contract import content_digest
from tests.corrections_strategy import corrections


@given(corrections)
def test_any_corrections_come_back_from_json_as_they_were(value: Corrections) -> None:
    text = json.dumps(encode(value), allow_nan=False)
    back = decode(json.loads(text))
    assert isinstance(back, Corrections)
    assert content_digest(back) == content_digest(value)
    assert json.dumps(encode(back)) == text


@given(corrections, corrections)
def test_what_differs_turns_one_value_into_the_other_and_back(one: Corrections, other: Corrections) -> None:
    before, after = encode(one), encode(other)
    was, is_now = difference(before, after)
    assert json.dumps(applied(before, is_now)) == json.dumps(after)
    assert json.dumps(applied(after, was)) == json.dumps(before)


def test_a_longer_list_differs_only_in_what_was_added() -> None:
    move = [[1.0, 2.0], [3.0, 4.0]]
    one = Corrections(grid=GridEdit(np.array([move])))
    other = Corrections(grid=GridEdit(np.array([move, [[5.0, 6.0], [7.0, 8.0]]])))
    was, is_now = difference(encode(one), encode(other))
    assert was == {"grid": {"moves": {"from": 1, "items": []}}}
    assert is_now == {"grid": {"moves": {"from": 1, "items": [[[5.0, 6.0], [7.0, 8.0]]]}}}


def test_true_and_one_differ_and_equal_values_do_not() -> None:
    assert difference({"type": "x", "a": True}, {"type": "x", "a": 1}) == ({"a": True}, {"a": 1})
    assert difference({"type": "x", "a": [1]}, {"type": "x", "a": [1]}) == ({}, {})


def test_arrays_keep_their_kind_and_are_stored_once() -> None:
    mv = np.array([[0.1, math.nan]], np.float32)
    record = EcgRecord(mv, 500.0, ("II",), {"n": np.float64(2.5), "list": [1, None, "a"]})
    arrays: list[np.ndarray] = []
    pair = encode((record, record), arrays=arrays)
    back = decode(json.loads(json.dumps(pair)), arrays=arrays)
    assert len(arrays) == 1
    assert isinstance(back, tuple)
    assert content_digest(back[0]) == content_digest(record)
    assert back[0].mv.dtype == np.float32


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), 1j, print])
def test_what_cannot_be_stored_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value, arrays=[])


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"type": "os.system"},
        {"type": "Page"},
        {"type": "Corrections", "unknown": 1},
        {"type": "Corrections", "comment": 5},
        {"type": "Corrections", "grid": {"type": "TraceSplit", "at_xy": [1.0, 2.0]}},
        {"type": "Corrections", "grid": "none"},
        {"type": "TraceSplit", "at_xy": [1.0]},
        {"type": "TraceSplit", "at_xy": ["1", 2.0]},
        {"type": "KeypointEdit", "orientation": True},
        {"type": "Review", "verdict": "perhaps", "by": "a", "at": "b"},
        {"type": "GridEdit", "moves": [[1.0]]},
        {"type": "array", "number": 3},
        {"type": "float", "value": "one"},
        {"type": ["Corrections"]},
    ],
)
def test_what_is_no_value_of_ours_is_refused(document: object) -> None:
    with pytest.raises(CodecError):
        decode(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("type"), inner),
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    with contextlib.suppress(CodecError):
        decode(document)
