"""What is not found among a page's rulings is looked for without them; what was found stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import Page
from ecgstudio.stages import clear_page as clear_page_module
from ecgstudio.stages import stage2_trace
from ecgstudio.stages.clear_page import CLEAR_PX_PER_MM, Cleared, clear_page, names_joined, seen_on_clear
from ecgstudio.stages.contract import NULL_STATUS, StageError
from ecgstudio.stages.printed import Label, Row
from ecgstudio.stages.settings import TraceSettings
from ecgstudio.stages.stage2_trace import read_page, read_traces
from ecgstudio.stages.strip_reading import as_pictured, read_strips
from tests.synth_page import BlindRuntime, SynthPage, TruthRuntime, synth_page, true_grid, true_keypoints


def nameless(synth: SynthPage, *lost: str) -> Keypoints:
    """Return what is seen on a page but for some names."""
    seen = true_keypoints(synth)
    keep = np.array([name not in lost for name in seen.names])
    names = tuple(name for name in seen.names if name not in lost)
    return replace(seen, names=names, xy=seen.xy[keep], confidence=seen.confidence[keep])


def in_clear(synth: SynthPage, seen: Keypoints) -> Keypoints:
    """Return where what is seen on a page lies on its clear page."""
    return replace(seen, xy=true_grid(synth).to_mm(seen.xy) * CLEAR_PX_PER_MM - 0.5)


def read_names(synth: SynthPage, seen: Keypoints) -> dict[str, bool]:
    """Read a page; return whether the name of each lead was read."""
    grid, runtime = true_grid(synth), TruthRuntime(synth)
    found = read_page(
        synth.page, seen, grid, runtime=runtime, settings=TraceSettings(), status=NULL_STATUS,
        cleared=Cleared(synth.page, seen, grid, runtime=runtime),
    )  # fmt: skip
    return {slot.lead: slot.read for slot in found.slots}


def test_names_that_were_overlooked_are_seen_on_the_clear_page(monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("3x4+1")
    monkeypatch.setattr(clear_page_module, "keypoints_in_pose", lambda *_, **__: in_clear(synth, true_keypoints(synth)))
    monkeypatch.setattr(stage2_trace, "second_look", lambda *_, **__: [])
    assert all(read_names(synth, nameless(synth, "aVL", "V5")).values())


def test_what_was_read_before_is_not_given_up_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("3x4+1")
    few = in_clear(synth, nameless(synth, *LEADS[2:]))
    monkeypatch.setattr(clear_page_module, "keypoints_in_pose", lambda *_, **__: few)
    monkeypatch.setattr(stage2_trace, "second_look", lambda *_, **__: [])
    read = read_names(synth, nameless(synth, "aVL"))
    assert [lead for lead, known in read.items() if not known] == ["aVL"]


def test_a_page_all_of_whose_names_are_read_is_not_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    synth = synth_page("3x4+1")

    def cleared(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(clear_page_module, "clear_page", cleared)
    assert all(read_names(synth, true_keypoints(synth)).values())


class Readings:
    """Stands in for reading a page: what each way of reading it comes to, a name for a failure."""

    def __init__(self, as_it_is: float | str, clear: float | str) -> None:
        self.answers, self.pages = (as_it_is, clear), list[Page]()

    def read_page(self, page: Page, *_: object, **__: object) -> float:
        """Return how doubtful this way of reading is."""
        self.pages.append(page)
        answer = self.answers[self.pages[0] is not page]
        if isinstance(answer, str):
            raise StageError("traces", answer, "")
        return answer


def chosen(monkeypatch: pytest.MonkeyPatch, readings: Readings) -> object:
    """Return the reading that counts."""
    synth = synth_page("3x4+1")
    monkeypatch.setattr(stage2_trace, "read_page", readings.read_page)
    monkeypatch.setattr(stage2_trace, "_doubt", lambda reading, *_, **__: reading)
    monkeypatch.setattr(stage2_trace, "_traces_of", lambda reading, *_, **__: reading)
    seen, grid = true_keypoints(synth), true_grid(synth)
    return read_traces(
        synth.page, seen, grid, runtime=TruthRuntime(synth), settings=TraceSettings(), status=NULL_STATUS
    )


@pytest.mark.parametrize(
    ("as_it_is", "clear", "counts"),
    [(0.01, 0.0, 0.01), (0.5, 0.05, 0.05), (0.5, 0.45, 0.5), (0.5, "nothing", 0.5), ("nothing", 0.9, 0.9)],
)
def test_the_less_doubted_reading_counts(
    monkeypatch: pytest.MonkeyPatch, as_it_is: float | str, clear: float | str, counts: float
) -> None:
    readings = Readings(as_it_is, clear)
    assert chosen(monkeypatch, readings) == counts
    assert len(readings.pages) == (1 if as_it_is == 0.01 else 2)
    assert all((page.pixels[..., 0] == page.pixels[..., 2]).all() for page in readings.pages[1:])


def test_a_page_on_which_nothing_is_found_either_way_says_what_it_said_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError, match="no strip"):
        chosen(monkeypatch, Readings("no strip", "no name"))


def test_names_that_a_human_set_stay_on_the_clear_page() -> None:
    synth = synth_page("3x4+1")
    grid, told = true_grid(synth), true_keypoints(synth)
    last = len(told.names) - 1
    told = replace(told, confidence=np.where(np.arange(last + 1) == last, 1.0, 0.5))
    clear, lattice = clear_page(synth.page, grid)
    seen = seen_on_clear(clear, lattice, human=(told, grid), runtime=BlindRuntime())
    assert seen.names == (told.names[last],)
    assert np.allclose(lattice.to_mm(seen.xy), grid.to_mm(told.xy[last:]), atol=1e-6)


def test_a_name_seen_twice_is_one_and_the_surer_reading_counts() -> None:
    known = [Label("I", 20.0, 50.0, 0.9), Label("V1", 20.0, 80.0, 0.6)]
    seen = [
        Label("I", 21.0, 50.0, 0.95),
        Label("V4", 20.0, 81.0, 0.8),
        Label("V1", 20.5, 79.5, 0.7),
        Label("V6", 20.0, 110.0, 0.5),
    ]
    joined = names_joined(known, seen)
    assert [(each.lead, each.x_mm) for each in joined] == [("I", 20.0), ("V4", 20.0), ("V6", 20.0)]
    assert names_joined(joined, seen[:2]) == joined


def test_a_reading_of_the_clear_page_is_shown_what_the_page_itself_looks_like() -> None:
    synth = synth_page("3x4+1")
    grid, runtime = true_grid(synth), BlindRuntime()
    rows = (Row(60.0, 20.0, 140.0, 1.0),)
    (reading,) = read_strips(synth.page, grid, rows, runtime=runtime, flip=False)
    assert reading.looked is not None
    inverted = replace(synth.page, pixels=255 - synth.page.pixels)
    (other,) = read_strips(inverted, grid, rows, runtime=runtime, flip=False)
    shown = as_pictured(other, synth.page, grid)
    assert shown.looked is not None
    assert np.array_equal(shown.looked.brightest, reading.looked.brightest)
    assert np.array_equal(shown.height_half, other.height_half)
    without = replace(other, looked=None)
    assert as_pictured(without, synth.page, grid) is without
