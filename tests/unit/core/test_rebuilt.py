"""Values of the reconstruction check themselves: a mark for every sample, and none for what is not known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.rebuilt import Mark, RebuiltLeads, RebuiltTrace, spans


def trace(*, mv: list[float], mark: list[int]) -> RebuiltTrace:
    values = np.array(mv, np.float32)
    return RebuiltTrace("II", 0.0, 500.0, values, np.zeros((len(values), 2)), np.array(mark, np.uint8))


def test_arrays_are_read_only() -> None:
    made = trace(mv=[0.0, 1.0], mark=[Mark.AS_READ, Mark.CHANGED])
    assert not any(values.flags.writeable for values in (made.mv, made.mark, made.xy))


@pytest.mark.parametrize(
    ("mv", "mark", "words"),
    [
        ([np.nan, 1.0], [Mark.FILLED, 0], "unknown sample"),
        ([0.0, 1.0], [0, 3], "must hold marks"),
        ([0.0, 1.0], [0], "shape"),
        ([np.inf, 1.0], [0, 0], "finite or NaN"),
    ],
)
def test_marks_that_make_no_sense_are_refused(mv: list[float], mark: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trace(mv=mv, mark=mark)


def test_a_lead_changes_if_one_of_its_samples_does() -> None:
    mark = np.zeros((12, 5), np.uint8)
    mark[1, 2] = Mark.FILLED
    leads = RebuiltLeads(np.zeros((12, 5), np.float32), mark)
    assert leads.changes("II")
    assert not leads.changes("I")


def test_a_reconstruction_is_as_long_as_its_record() -> None:
    rebuilt = RebuiltLeads(np.zeros((12, 4), np.float32), np.zeros((12, 4), np.uint8))
    with pytest.raises(ValueError, match="as long as its record"):
        EcgRecord(np.zeros((12, 5), np.float32), 500.0, rebuilt=rebuilt)


def test_a_trace_tells_what_was_filled_and_how_much_was_changed() -> None:
    mark = [Mark.AS_READ, Mark.FILLED, Mark.FILLED, Mark.CHANGED, Mark.FILLED]
    made = RebuiltTrace("II", 2.0, 10.0, np.zeros(5, np.float32), np.zeros((5, 2)), np.array(mark, np.uint8))
    np.testing.assert_allclose(made.filled_s, [[2.1, 2.3], [2.4, 2.5]])
    assert made.changed == 0.2


@given(st.lists(st.booleans(), max_size=40))
def test_spans_are_the_stretches_of_what_is_wanted(wanted: list[bool]) -> None:
    found = spans(np.array(wanted, bool))
    again = np.zeros(len(wanted), bool)
    for first, end in found:
        assert first < end
        again[first:end] = True
    assert again.tolist() == wanted
    assert (found[1:, 0] > found[:-1, 1]).all()
