"""What is computed when nobody waits: around the page in front, or all pages if asked for, in bounded memory."""

import gc
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from ecgstudio.core.corrections import GridEdit
from ecgstudio.core.page import Page, PageId
from ecgstudio.errors import UserError
from ecgstudio.gui.backlog import KEPT_ANALYSES, PAGES_AHEAD, SMALL_PROJECT
from ecgstudio.gui.page_store import KEPT_PAGES
from ecgstudio.gui.states import page_state
from ecgstudio.stages import stage1_grid
from ecgstudio.stages.contract import State
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS
from tests import fake_stages
from tests.gui.workstation import Bench, write_page

MANY = SMALL_PROJECT + 10


def folder_of(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(count):
        write_page(folder / f"{number:03}.png", seed=number)
    return folder


def known(bench: Bench) -> list[PageId]:
    session = bench.window.bridge.session
    return [e.id for e in session.entries if session.outline(e.id).quality is not None]


def in_memory(bench: Bench) -> list[PageId]:
    session = bench.window.bridge.session
    return [e.id for e in session.entries if session.analysis(e.id) is not EMPTY_ANALYSIS]


def test_of_a_large_project_only_the_next_pages_are_read_until_all_are_asked_for(bench: Bench, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    bench.open(folder_of(tmp_path, MANY))
    assert len(known(bench)) == 1 + PAGES_AHEAD
    front = bench.page
    bench.window.bridge.backlog.advanced.connect(lambda done, total: heard.append((done, total)))
    bench.window.actions_["compute-all"].trigger()
    bench.settle()
    assert len(known(bench)) == MANY
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert heard[-1] == (MANY, MANY)
    assert bench.page == front
    assert f"All {MANY} pages are done" in bench.said[0]
    assert not bench.window.actions_["cancel"].isEnabled()


def test_memory_holds_the_signals_of_a_few_pages_and_the_states_of_all(bench: Bench, tmp_path: Path) -> None:
    bench.open(folder_of(tmp_path, MANY))
    bench.window.actions_["compute-all"].trigger()
    bench.settle()
    session = bench.window.bridge.session
    assert len(in_memory(bench)) == KEPT_ANALYSES
    assert bench.page in in_memory(bench)
    states = {page_state(session, entry.id, computing=False) for entry in session.entries}
    assert states <= {State.AUTOMATIC.value, State.NEEDS_REVIEW.value}


def test_a_page_whose_signals_were_let_go_of_is_there_again_without_being_read(
    bench: Bench, tmp_path: Path, decoded: list[PageId]
) -> None:
    bench.open(folder_of(tmp_path, MANY))
    bench.window.actions_["compute-all"].trigger()
    bench.settle()
    session, before = bench.window.bridge.session, len(decoded)
    resting = next(e.id for e in session.entries if e.id not in in_memory(bench))
    urgency = session.urgency(resting)
    bench.window.bridge.show(resting)
    bench.settle()
    assert bench.window.bridge.values.traces is not None
    assert bench.window.page_view.shown.traces is bench.window.bridge.values.traces
    assert session.urgency(resting) == urgency
    assert len(decoded) == before
    assert len(in_memory(bench)) == KEPT_ANALYSES


def test_stopping_leaves_the_rest_unread(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, third = threading.Event(), threading.Event()
    calls: list[None] = []
    fit = stage1_grid.fit_grid

    def slow(*values: object, **more: object) -> object:
        calls.append(None)
        if len(calls) > PAGES_AHEAD + 3:
            third.set()
            assert go.wait(20)
        return fit(*values, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", slow)
    bench.open(folder_of(tmp_path, MANY))
    bench.window.actions_["compute-all"].trigger()
    bench.qtbot.waitUntil(third.is_set, timeout=20_000)
    bench.window.refresh()
    assert bench.window.actions_["cancel"].isEnabled()
    bench.window.actions_["cancel"].trigger()
    go.set()
    bench.settle()
    assert len(known(bench)) == PAGES_AHEAD + 3
    assert not bench.window.bridge.backlog.asked_for_all


def test_pages_that_an_earlier_session_read_are_not_decoded_again(
    bench: Bench, tmp_path: Path, decoded: list[PageId], qtbot: QtBot
) -> None:
    folder = folder_of(tmp_path, 5)
    bench.open(folder)
    assert len(decoded) == 4  # all but the one in front, whose pixels were there
    decoded.clear()
    bench.window.bridge.session.discard_autosave()
    again = Bench(qtbot, tmp_path)
    again.open(folder)
    assert len(known(again)) == 5
    assert not decoded


def test_a_correction_is_computed_even_if_the_user_goes_on_at_once(bench: Bench, tmp_path: Path) -> None:
    bench.open(folder_of(tmp_path, 3))
    bridge, edited = bench.window.bridge, bench.page
    other = next(entry.id for entry in bridge.session.entries if entry.id != edited)
    bridge.edit_grid(GridEdit(moves=np.empty((0, 2, 2)), mm_per_s=50.0), "Set paper speed")
    bridge.show(other)
    bench.settle()
    assert State.COMPUTING not in bridge.session.stage_states(edited).values()


def test_reading_a_page_again_does_not_take_the_answer_from_the_cache(
    bench: Bench, tmp_path: Path, computed: Counter[str]
) -> None:
    bench.open(write_page(tmp_path / "a.png"))
    before = Counter(computed)
    bench.press(Qt.Key.Key_F5)
    bench.settle()
    assert computed - before == Counter(detect_keypoints=1, fit_grid=1, read_traces=1)


def test_a_page_that_fails_is_not_tried_for_ever(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []

    def broken(*_: object, **__: object) -> object:
        calls.append(None)
        raise RuntimeError("odd")

    monkeypatch.setattr(stage1_grid, "fit_grid", broken)
    bench.open(folder_of(tmp_path, 3))
    assert len(calls) == 3
    bench.window.actions_["compute-all"].trigger()
    bench.settle()
    assert len(calls) == 6
    assert not bench.window.bridge.backlog.asked_for_all


def test_without_networks_reading_all_is_refused_with_a_sentence(qtbot: QtBot, tmp_path: Path) -> None:
    def none(device: str) -> object:
        raise UserError("there are none")

    bench = Bench(qtbot, tmp_path, load_runtime=none)  # type: ignore[arg-type]
    bench.open(write_page(tmp_path / "a.png"))
    bench.window.actions_["compute-all"].trigger()
    assert "Without the networks" in bench.said[0]
    assert not bench.window.bridge.backlog.asked_for_all


def test_waiting_for_the_networks_keeps_the_pixels_of_one_page_at_most(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stages.install(monkeypatch)
    go = threading.Event()

    def late(device: str) -> fake_stages.NoNetworks:
        assert go.wait(20)
        return fake_stages.NoNetworks()

    bench = Bench(qtbot, tmp_path, load_runtime=late)  # type: ignore[arg-type]
    bench.window.start((folder_of(tmp_path, 8),))
    bridge = bench.window.bridge
    qtbot.waitUntil(lambda: bridge.page is not None, timeout=20_000)
    for entry in bridge.session.entries:
        bridge.show(entry.id)
        qtbot.waitUntil(lambda: bridge.page is not None, timeout=20_000)
    gc.collect()
    own = {entry.id for entry in bridge.session.entries}  # other tests may keep pages of theirs
    # isinstance would ask every object for its class, of which torch has some that warn
    assert sum(type(each) is Page and each.id in own for each in gc.get_objects()) <= KEPT_PAGES + 1
    go.set()
    bench.settle()
    assert len(known(bench)) == 8


def test_letting_go_of_signals_keeps_what_a_list_says(bench: Bench, tmp_path: Path) -> None:
    bench.open(write_page(tmp_path / "a.png"), write_page(tmp_path / "b.png", blank=True))
    session = bench.window.bridge.session
    before = [
        (session.urgency(e.id), session.stage_states(e.id), session.open_conflicts(e.id)) for e in session.entries
    ]
    for entry in session.entries:
        session.rest(entry.id)
        assert session.analysis(entry.id) is EMPTY_ANALYSIS
        traces = session.outline(entry.id).traces
        assert traces is None or traces.state is State.FAILED or traces.value is None
    after = [(session.urgency(e.id), session.stage_states(e.id), session.open_conflicts(e.id)) for e in session.entries]
    assert before == after
    session.set_corrections(
        session.entries[0].id, replace(session.corrections(session.entries[0].id), comment="x"), text="comment"
    )
    assert session.stage_states(session.entries[0].id)
