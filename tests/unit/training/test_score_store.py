"""Scores come back from their files as they were, and an evaluation that was stopped goes on where it was."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import fake_stages
from tests.evaluation_cases import case
from training import evaluate
from training.evaluate import Engine, find_pages
from training.metrics import Reliability, no_samples
from training.page_score import PageScore, PageTask, score_page
from training.score_store import ScoreStore, from_plain, read_scores, to_plain
from training.stage_metrics import NameCount, StageScores

numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))
counts = st.integers(0, 10**9)
texts = st.text(max_size=12)
stage_scores = st.builds(
    StageScores,
    orientation=st.booleans(), speed=st.booleans(), gain=st.booleans(),
    labels=st.dictionaries(texts, st.builds(NameCount, counts, counts, counts), max_size=3),
    grid_median_mm=numbers, grid_p95_mm=numbers,
    leads_printed=counts, leads_placed=counts, leads_invented=counts, leads_swapped=counts,
    grid_style=texts, printed_layout=texts,
)  # fmt: skip
BINS = len(no_samples().samples)
reliabilities = st.builds(
    lambda seed: Reliability(*(np.random.default_rng((seed, k)).integers(0, 99, BINS) for k in range(2)),
                             np.random.default_rng((seed, 2)).random(BINS)),
    st.integers(0, 99),
)  # fmt: skip
page_scores = st.builds(
    PageScore,
    name=texts, tier=texts, status=st.sampled_from(("ok", "review", "failed")),
    reasons=st.lists(texts, max_size=3).map(tuple), confidence=numbers, layout=texts, seconds=numbers, snr_db=numbers,
    lead_db=st.dictionaries(texts, numbers, max_size=3), reliability=reliabilities,
    stages=st.none() | stage_scores, rungs=st.dictionaries(texts, numbers, max_size=3), doubt=numbers, swapped=counts,
    quality=st.none(),
)  # fmt: skip


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages and networks that answer at once."""
    fake_stages.install(monkeypatch)
    monkeypatch.setattr(Engine, "load", lambda self: fake_stages.NoNetworks())


def scored(task: PageTask) -> PageScore:
    return score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)  # type: ignore[arg-type]


def pages(folder: Path, count: int) -> list[PageTask]:
    for number in range(count):
        case(folder, "clean", f"c{number}", error_mv=0.1 * number)
    return find_pages(folder)


@given(page_scores)
def test_a_score_comes_back_as_it_was(score: PageScore) -> None:
    again = from_plain(json.loads(json.dumps(to_plain(score))))
    np.testing.assert_equal(to_plain(again), to_plain(score))
    assert isinstance(again.reliability + no_samples(), Reliability)


def test_a_page_of_the_pipeline_comes_back_with_its_self_checks(tmp_path: Path, fakes: None) -> None:
    [task] = pages(tmp_path, 1)
    store = ScoreStore(tmp_path / "out", "w")
    score = scored(task)
    store.keep(score, task)
    again = store.kept(task, budget=True)
    assert again is not None
    assert again.quality == score.quality
    assert again.snr_db == score.snr_db
    assert [each.name for each in read_scores(tmp_path / "out")] == [task.name]


def test_a_score_of_other_weights_or_of_another_picture_is_not_taken(tmp_path: Path, fakes: None) -> None:
    [task] = pages(tmp_path, 1)
    ScoreStore(tmp_path / "out", "w").keep(scored(task), task)
    assert ScoreStore(tmp_path / "out", "other").kept(task, budget=False) is None
    task.path.write_bytes(task.path.read_bytes() + b" ")
    assert ScoreStore(tmp_path / "out", "w").kept(task, budget=False) is None


@pytest.mark.logs("which file is not used")
@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1, "weights": "w", "page": []}', "\x00"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, fakes: None, content: str) -> None:
    [task] = pages(tmp_path, 1)
    store = ScoreStore(tmp_path / "out", "w")
    store.keep(scored(task), task)
    store.path_of(task.tier, task.name).write_text(content, "utf-8")
    assert store.kept(task, budget=False) is None
    with pytest.raises(ValueError, match="is no score"):
        read_scores(tmp_path / "out")


def test_an_evaluation_goes_on_where_it_was_stopped(
    tmp_path: Path, fakes: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages(tmp_path / "data", 3)
    real, done = Engine.score, []

    def counted(self: Engine, task: PageTask, runtime: object) -> PageScore:
        if len(done) == 2 and "stop" in stops:
            raise KeyboardInterrupt
        done.append(task.name)
        return real(self, task, runtime)  # type: ignore[arg-type]

    def run(*more: str) -> None:
        parser = argparse.ArgumentParser()
        evaluate.add_arguments(parser)
        arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), *more]
        assert evaluate.main(parser.parse_args(arguments)) == 0

    monkeypatch.setattr(Engine, "score", counted)
    stops = ["stop"]
    with pytest.raises(KeyboardInterrupt):
        run()
    stops.clear()
    capsys.readouterr()
    run("--resume")
    assert done == ["c0", "c1", "c2"]
    resumed = capsys.readouterr().out
    run()  # without --resume all over again
    assert len(done) == 6
    again = capsys.readouterr().out
    assert [line.split()[:4] for line in resumed.splitlines()] == [line.split()[:4] for line in again.splitlines()]
