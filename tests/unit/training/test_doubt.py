"""The doubt is fitted to what the self-checks said of rendered pages, and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgstudio.stages.quality import DOUBT_WEIGHTS, LeadQuality, QualityReport
from training import cli
from training.doubt import cross_validated, design, fit
from training.metrics import roc_auc
from training.page_score import PageScore, PageTask
from training.score_store import ScoreStore
from training.stage_metrics import StageScores

SURE = QualityReport(
    status="ok", reasons=(), confidence=0.99, leads=(LeadQuality("I", 0.99, 1.0),), einthoven_db=25.0,
    goldberger_db=25.0, twin_lead="II", twin_db=25.0, twin_uv=10.0, pulse_mm=10.0, scale_agrees=True,
    grid_confidence=0.99, orientation_confidence=0.99,
)  # fmt: skip
PLACED = StageScores(
    orientation=True, labels={}, grid_median_mm=0.1, grid_p95_mm=0.2, speed=True, gain=True, leads_printed=12,
    leads_placed=12, leads_invented=0,
)  # fmt: skip


def page(name: str, snr_db: float, **checks: object) -> PageScore:
    return PageScore(
        name=name, tier="scan", status="ok", reasons=(), confidence=0.9, layout="3x4", seconds=1.0, snr_db=snr_db,
        stages=PLACED, quality=replace(SURE, **checks),
    )  # type: ignore[arg-type]  # fmt: skip


def pages(count: int = 60) -> list[PageScore]:
    """Pages of which the grid's confidence tells, with some noise, how good they are."""
    rng = np.random.default_rng(3)
    sure = rng.random(count)
    return [
        page(f"p{k}", 20.0 * sure[k] + rng.normal(0, 2), grid_confidence=float(sure[k])) for k in range(count)
    ]  # fmt: skip


def keep(folder: Path, scores: list[PageScore]) -> Path:
    store = ScoreStore(folder, "w")
    for score in scores:
        store.keep(score, PageTask(score.name, score.tier, folder / score.name, None, rendered=True))
    return folder


def test_the_weight_goes_to_the_check_that_tells() -> None:
    _, weights = fit(*design(pages()), ridge=0.02)
    found = dict(zip(DOUBT_WEIGHTS, weights, strict=True))
    assert found["grid"] > DOUBT_WEIGHTS["grid"] + 3
    assert all(found[name] < weight + 0.5 for name, weight in DOUBT_WEIGHTS.items() if name != "grid")


def test_few_pages_change_the_weights_in_use_little() -> None:
    _, weights = fit(*design(pages()), ridge=1e4)
    np.testing.assert_allclose(weights, list(DOUBT_WEIGHTS.values()), atol=0.1)


def test_the_chances_mean_pages_of_which_so_many_are_bad() -> None:
    seen, bad = design(pages(400))
    means = []
    for bad_share in (0.1, 0.5):
        bias, weights = fit(seen, bad, ridge=0.02, bad_share=bad_share)
        chance = 1 / (1 + np.exp(-(bias + seen @ weights)))
        means.append(bad_share * chance[bad].mean() + (1 - bad_share) * chance[~bad].mean())
    assert means == pytest.approx([0.1, 0.5], abs=0.02)


def test_what_speaks_against_a_page_never_speaks_for_it() -> None:
    turned = [replace(score, snr_db=20 - score.snr_db) for score in pages()]
    _, weights = fit(*design(turned), ridge=0.02)
    assert weights.min() >= 0


def test_pages_left_out_of_the_fit_are_told_apart_too() -> None:
    seen, bad = design(pages())
    assert roc_auc(list(cross_validated(seen, bad, ridge=0.02)), list(bad)) > 0.9


def test_the_command_writes_the_formula_for_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep(tmp_path, pages())
    assert cli.main(["doubt", "--scores", str(folder)]) == 0
    text = capsys.readouterr().out
    formula: dict[str, object] = {}
    exec(text[text.index("DOUBT_BIAS") :], {"Final": dict, "Mapping": dict}, formula)
    weights = formula["DOUBT_WEIGHTS"]
    assert isinstance(weights, dict)
    assert list(weights) == list(DOUBT_WEIGHTS)
    assert "left out" in text


@pytest.mark.logs("why nothing is fitted")
@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([replace(score, stages=None) for score in pages(30)], "development pages are for measuring"),
        (pages(10), "at least 20"),
        ([replace(score, snr_db=20.0) for score in pages(30)], "0 of them below 10 dB"),
        ([], "There are 0 pages"),
    ],
)
def test_pages_that_must_not_or_cannot_be_fitted_to_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    scores: list[PageScore],
    words: str,
) -> None:
    assert cli.main(["doubt", "--scores", str(keep(tmp_path, scores))]) == 1
    assert words in caplog.text
    assert capsys.readouterr().out == ""
