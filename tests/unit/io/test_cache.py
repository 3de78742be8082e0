"""Outcomes on disk: they come back whole or not at all, and never trouble the caller."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgstudio import api
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections, GridEdit, TraceEdit, TraceErase
from ecgstudio.core.page import Page
from ecgstudio.errors import OutputError
from ecgstudio.io import cache as cache_module
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.stages import stage0_keypoints, stage1_grid, stage2_trace
from ecgstudio.stages.contract import Failed, content_digest
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis
from tests import fake_stages

CORRECTED = Corrections(
    grid=GridEdit(np.array([[[10.0, 10.0], [11.0, 10.0]]]), mm_per_mV=20.0),
    traces=TraceEdit((TraceErase((20.0, 50.0), (40.0, 50.0)),)),
)

Analyse = Callable[..., Analysis]


@pytest.fixture
def picture() -> Page:
    pixels = np.full((200, 560, 3), 255, np.uint8)
    pixels[100:103] = 0
    return api.page_from_array(pixels)


@pytest.fixture
def analyse(monkeypatch: pytest.MonkeyPatch, picture: Page) -> Analyse:
    fake_stages.install(monkeypatch)

    def run(corrections: Corrections = NO_CORRECTIONS, analysis: Analysis = EMPTY_ANALYSIS) -> Analysis:
        return api.digitize_page(
            picture, stem="a", runtime=fake_stages.NoNetworks(), corrections=corrections, analysis=analysis
        ).analysis

    return run


@pytest.fixture
def cache(tmp_path: Path) -> OutcomeCache:
    return OutcomeCache(tmp_path / "cache")


def files(cache: OutcomeCache) -> list[Path]:
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("corrections", [NO_CORRECTIONS, CORRECTED])
def test_an_analysis_comes_back_as_it_was(
    cache: OutcomeCache, analyse: Analyse, picture: Page, corrections: Corrections
) -> None:
    before = analyse(corrections)
    assert cache.store_analysis(picture.id, before)
    after = cache.load_analysis(picture.id)
    for (stage, one), (other_stage, other) in zip(before.outcomes(), after.outcomes(), strict=True):
        assert stage is other_stage
        assert (one.key, one.digest, one.state, one.edited_over) == (
            other.key,
            other.digest,
            other.state,
            other.edited_over,
        )
        assert type(one.value) is type(other.value)


def test_what_comes_back_need_not_be_computed_again(
    cache: OutcomeCache, analyse: Analyse, picture: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store_analysis(picture.id, analyse(CORRECTED))
    for module, name in (
        (stage0_keypoints, "detect_keypoints"),
        (stage1_grid, "fit_grid"),
        (stage2_trace, "read_traces"),
    ):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("computed again"))
    known = cache.load_analysis(picture.id)
    again = analyse(CORRECTED, known)
    assert [one is other for (_, one), (_, other) in zip(known.outcomes(), again.outcomes(), strict=True)] == [True] * 5


def test_a_failure_comes_back_too(cache: OutcomeCache, analyse: Analyse, picture: Page) -> None:
    outcome = analyse().keypoints
    assert outcome is not None
    failed = Failed("keypoints", "there is no ECG on this page", "check the file")
    cache.store(replace(outcome, auto=failed, value=failed, digest=content_digest(failed)))
    back = cache.load(outcome.key)
    assert back is not None
    assert back.value == failed


def test_nothing_is_unpickled(cache: OutcomeCache, analyse: Analyse) -> None:
    outcome = analyse().keypoints
    assert outcome is not None
    cache.store(outcome)
    [path] = files(cache)
    np.savez(path, json=np.array([{"a": 1}], dtype=object))
    assert cache.load(outcome.key) is None


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_outcome_is_a_miss_and_is_removed(
    cache: OutcomeCache, analyse: Analyse, at: float, *, cut: bool
) -> None:
    outcome = analyse().traces
    assert outcome is not None
    cache.store(outcome)
    [path] = files(cache)
    content = bytearray(path.read_bytes())
    place = int(at * len(content))
    content = content[:place] if cut else content[:place] + bytes(8) + content[place + 8 :]
    path.write_bytes(content)
    found = cache.load(outcome.key)
    assert found is None or found.digest == outcome.digest  # a byte that nobody reads may change
    assert found is not None or not path.exists()
    assert cache.store(outcome)
    assert cache.load(outcome.key) is not None


def test_an_outcome_under_another_key_is_a_miss(cache: OutcomeCache, analyse: Analyse) -> None:
    analysis = analyse()
    assert analysis.keypoints is not None
    assert analysis.grid is not None
    cache.store(analysis.keypoints)
    [path] = files(cache)
    wrong = cache.folder / analysis.grid.key.digest[:2] / f"{analysis.grid.key.digest}.npz"
    wrong.parent.mkdir(exist_ok=True)
    path.rename(wrong)
    assert cache.load(analysis.grid.key) is None


def test_later_outcomes_do_not_come_back_without_the_earlier_ones(
    cache: OutcomeCache, analyse: Analyse, picture: Page
) -> None:
    analysis = analyse()
    cache.store_analysis(picture.id, analysis)
    assert analysis.grid is not None
    (cache.folder / analysis.grid.key.digest[:2] / f"{analysis.grid.key.digest}.npz").unlink()
    found = cache.load_analysis(picture.id)
    assert [stage.value for stage, _ in found.outcomes()] == ["keypoints"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"version": 1, "outcomes": 5}'])
def test_a_damaged_list_of_outcomes_is_a_miss(
    cache: OutcomeCache, analyse: Analyse, picture: Page, content: bytes
) -> None:
    cache.store_analysis(picture.id, analyse())
    [index] = [path for path in files(cache) if path.suffix == ".json"]
    index.write_bytes(content)
    assert cache.load_analysis(picture.id) is EMPTY_ANALYSIS


def test_an_unknown_page_is_not_known(cache: OutcomeCache, picture: Page) -> None:
    assert cache.load_analysis(picture.id) is EMPTY_ANALYSIS


def test_another_version_of_the_program_computes_again(
    cache: OutcomeCache, analyse: Analyse, picture: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store_analysis(picture.id, analyse())
    monkeypatch.setattr(cache_module, "VERSION", "of tomorrow")
    assert cache.load_analysis(picture.id) is EMPTY_ANALYSIS


def test_only_what_is_new_is_written(cache: OutcomeCache, analyse: Analyse, picture: Page) -> None:
    first = analyse()
    cache.store_analysis(picture.id, first)
    for path in files(cache):
        os.utime(path, (0, 0))
    cache.store_analysis(picture.id, analyse(CORRECTED, first), known=first)
    untouched = [path for path in files(cache) if path.stat().st_mtime == 0]
    assert len(untouched) == 4  # keypoints; and the traces, record and quality that the old grid gave


def test_pruning_takes_what_was_not_used_for_longest(cache: OutcomeCache, analyse: Analyse) -> None:
    outcomes = [outcome for _, outcome in analyse().outcomes()]
    for age, outcome in enumerate(outcomes):
        cache.store(outcome)
        path = cache.folder / outcome.key.digest[:2] / f"{outcome.key.digest}.npz"
        os.utime(path, (1000.0 + age, 1000.0 + age))
    assert cache.load(outcomes[0].key) is not None  # used now
    sizes = {o.key: (cache.folder / o.key.digest[:2] / f"{o.key.digest}.npz").stat().st_size for o in outcomes}
    room = sizes[outcomes[0].key] + sizes[outcomes[4].key]
    assert cache.prune(room) == room
    assert [cache.load(outcome.key) is not None for outcome in outcomes] == [True, False, False, False, True]
    cache.clear()
    assert files(cache) == []


def test_a_full_disk_does_not_stop_the_work(
    cache: OutcomeCache, analyse: Analyse, picture: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(cache_module, "write_bytes", full)
    assert not cache.store_analysis(picture.id, analyse())
    assert cache.load_analysis(picture.id) is EMPTY_ANALYSIS
