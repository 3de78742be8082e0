"""An evaluation finds the pages, scores them against what truth they have, and says so in tables, JSON and CSV."""

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from ecgstudio.io.export import FORMATS, PageResults
from ecgstudio.nets.weights import READING_NETWORKS, build_network, read_manifest, write_network
from ecgstudio.stages.contract import NULL_STATUS
from tests import fake_stages
from tests.evaluation_cases import case, picture
from tests.page_truth import truth_of
from tests.synth_page import SynthPage, TruthRuntime, synth_page
from training import evaluate
from training.evaluate import Engine, find_pages, spread, weights_from
from training.metrics import Reliability, no_samples
from training.oracle import ROUND_TRIP, RUNGS
from training.page_score import PageScore, PageTask, score_page
from training.report_table import Column, Table
from training.score_report import make_tables, pages_csv
from training.stage_metrics import StageScores
from training.stage_report import losses
from training.synth.truth import encode_truth


def rendered(path: Path, synth: SynthPage) -> Path:
    """Write a page as `training synth` does."""
    picture(path, np.asarray(synth.page.pixels))
    path.with_suffix(".npz").write_bytes(encode_truth(truth_of(synth)))
    return path


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages and networks that answer at once."""
    fake_stages.install(monkeypatch)
    monkeypatch.setattr(Engine, "load", lambda self: fake_stages.NoNetworks())


def run(*arguments: object) -> int:
    """Evaluate as the command line does."""
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.main(parser.parse_args([str(argument) for argument in arguments]))


def page(name: str = "a", **changes: object) -> PageScore:
    """A page's score of which only what a test is about is said."""
    said = {"tier": "scan", "status": "ok", "reasons": (), "confidence": 0.9, "layout": "3x4", "seconds": 1.0}
    return PageScore(name=name, **{**said, **changes})  # type: ignore[arg-type]


def table(scores: list[PageScore], key: str) -> list[dict[str, object]]:
    return next(table for table in make_tables(scores) if table.key == key).as_json()


# --- which pages ------------------------------------------------------------------------------------------------


def test_cases_are_found_with_their_tier_and_truth(tmp_path: Path) -> None:
    case(tmp_path, "clean", "c1")
    picture(tmp_path / "real" / "r1.jpg")
    assert [(task.name, task.tier, task.truth is not None, task.rendered) for task in find_pages(tmp_path)] == [
        ("c1", "clean", True, False),
        ("r1", "real", False, False),
    ]


def test_one_tier_of_cases_finds_the_truth_beside_it(tmp_path: Path) -> None:
    case(tmp_path, "clean", "c1")
    [task] = find_pages(tmp_path / "clean")
    assert (task.tier, task.truth) == ("clean", tmp_path / "truth" / "c1.npz")


def test_rendered_pages_are_split_as_training_splits_them(tmp_path: Path) -> None:
    truth = encode_truth(truth_of(synth_page(), kind="photo"))
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png").with_suffix(".npz").write_bytes(truth)
    assert [(task.name, task.tier, task.rendered) for task in find_pages(tmp_path)] == [("a", "photo", True)]
    assert [task.name for task in find_pages(tmp_path, split="all")] == ["a", "b", "c"]


def test_a_tree_gives_the_pages_of_a_split_with_the_best_truth_there_is(tmp_path: Path) -> None:
    for name in ("val/images/a.png", "val/images/b.jpeg", "test/images/c.JPG"):
        picture(tmp_path / name)
    annotation, series = tmp_path / "val" / "annotations" / "a.npz", tmp_path / "val" / "series" / "b.csv"
    for path, content in ((annotation, encode_truth(truth_of(synth_page(), kind="photo"))), (series, b"time_s,I\n")):
        path.parent.mkdir()
        path.write_bytes(content)
    assert [(task.name, task.tier, task.truth, task.rendered) for task in find_pages(tmp_path)] == [
        ("a", "photo", annotation, True),
        ("b", "val", series, False),
    ]
    [task] = find_pages(tmp_path, split="test")
    assert (task.name, task.tier, task.truth) == ("c", "test", None)
    assert len(find_pages(tmp_path, split="all")) == 3


def test_a_page_of_a_tree_is_scored_by_its_series(tmp_path: Path, fakes: None) -> None:
    found = fake_stages.read_traces(None, None, None, status=NULL_STATUS)  # type: ignore[arg-type]
    mv = np.full((12, 5000), np.nan, np.float32)
    for trace in found.traces:
        first = round(trace.t0_s * trace.fs)
        mv[LEADS.index(trace.lead), first : first + len(trace.mv)] = trace.mv
    mv[LEADS.index("V6")] *= 1.1
    series = FORMATS["csv"].encode(PageResults("a", EcgRecord(mv, 500.0), {}, None))[0]
    picture(tmp_path / "test" / "images" / "a.jpeg")
    (tmp_path / "test" / "series").mkdir()
    (tmp_path / "test" / "series" / "a.csv").write_bytes(series)
    [task] = find_pages(tmp_path, split="test")
    score = score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)
    assert score.lead_db["V6"] == pytest.approx(20.8, abs=0.2)
    assert score.lead_db["V1"] > 40


@pytest.mark.parametrize("content", ["", "time_s,I\n", "a,b\n1,2\n3,4\n", "time_s,I\n1,0\n1,0\n"])
def test_a_series_that_is_no_record_is_named(tmp_path: Path, fakes: None, content: str) -> None:
    picture(tmp_path / "val" / "images" / "a.png")
    (tmp_path / "val" / "series").mkdir()
    (tmp_path / "val" / "series" / "a.csv").write_text(content, "utf-8")
    [task] = find_pages(tmp_path)
    with pytest.raises(UserError, match=r"a\.csv cannot be read"):
        score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)


def test_a_folder_without_pages_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pages"):
        find_pages(tmp_path)


def test_a_limit_takes_pages_from_everywhere() -> None:
    tasks = [PageTask(str(i), "t", Path("x"), None, rendered=False) for i in range(101)]
    assert [task.name for task in spread(tasks, limit=5)] == ["0", "25", "50", "75", "100"]


# --- scores -----------------------------------------------------------------------------------------------------


def test_a_case_is_scored_by_its_signal(tmp_path: Path, fakes: None) -> None:
    case(tmp_path, "clean", "c1", error_mv=0.1)
    [task] = find_pages(tmp_path)
    score = score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)
    assert score.lead_db["V1"] == pytest.approx(20, abs=0.2)
    assert score.status == "ok"
    total, within = score.reliability.kept_from(0.95)
    assert total == 12 * 1250
    assert within == pytest.approx(1 / 3, abs=0.05)  # a sine is below half its size a third of the time
    assert score.stages is None


def test_leads_of_a_case_that_changed_places_are_counted(tmp_path: Path, fakes: None) -> None:
    case(tmp_path, "clean", "c1")
    truth = tmp_path / "truth" / "c1.npz"
    with np.load(truth) as stored:
        mv = stored["mv"]
    mv[[0, 1]] = mv[[1, 0]]
    np.savez(truth, mv=mv, fs=500.0)
    [task] = find_pages(tmp_path)
    assert score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS).swapped == 2


def test_a_page_that_cannot_be_read_scores_as_zeros_and_says_why(tmp_path: Path, fakes: None) -> None:
    case(tmp_path, "clean", "c1")
    picture(tmp_path / "clean" / "c1.png", np.full((360, 480, 3), 255, np.uint8))
    [task] = find_pages(tmp_path)
    score = score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)
    assert score.snr_db == pytest.approx(0, abs=0.5)
    assert (score.status, "no ECG" in score.reasons[0]) == ("failed", True)


@pytest.mark.logs("the traceback of a page that breaks the pipeline")
def test_a_page_that_breaks_the_pipeline_does_not_stop_the_others(
    tmp_path: Path, fakes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(fake_stages.stage1_grid, "fit_grid", broken)
    case(tmp_path, "clean", "c1")
    [task] = find_pages(tmp_path)
    score = score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)
    assert (score.status, score.reasons) == ("failed", ("page: unexpected error: oh",))


def test_a_damaged_truth_is_an_error(tmp_path: Path, fakes: None) -> None:
    case(tmp_path, "clean", "c1")
    (tmp_path / "truth" / "c1.npz").write_bytes(b"no truth")
    [task] = find_pages(tmp_path)
    with pytest.raises(UserError, match=r"c1\.npz"):
        score_page(task, runtime=fake_stages.NoNetworks(), settings=evaluate.SETTINGS)


# --- the command ------------------------------------------------------------------------------------------------


def test_the_tables_of_cases_and_of_pages_without_truth(
    tmp_path: Path, fakes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    case(tmp_path / "data", "clean", "c1")
    case(tmp_path / "data", "scan", "s1", error_mv=0.5)
    picture(tmp_path / "data" / "real" / "r1.png")
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out") == 0
    text = capsys.readouterr().out
    assert "SNR per tier" in text
    assert "Pages without truth" in text
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["tier"] for row in summary["scores"]] == ["clean", "scan", "ALL"]
    assert [row["name"] for row in summary["unscored"]] == ["r1"]
    assert summary["about"]["pages"] == 3
    with (tmp_path / "out" / "pages.csv").open(newline="") as stream:
        lines = {line["name"]: line for line in csv.DictReader(stream)}
    assert float(lines["c1"]["snr_db"]) > 40
    assert lines["r1"]["snr_db"] == ""
    assert len(list((tmp_path / "out" / "worst").glob("*.png"))) == 3
    assert (tmp_path / "out" / "tables.txt").read_text("utf-8").strip() == text.strip()
    with (tmp_path / "out" / "tables" / "scores.csv").open(newline="") as stream:
        assert [line["tier"] for line in csv.DictReader(stream)] == ["clean", "scan", "ALL"]


def test_every_page_is_drawn_when_asked(tmp_path: Path, fakes: None) -> None:
    case(tmp_path / "data", "clean", "c1")
    picture(tmp_path / "data" / "real" / "r 1.jpg")
    assert run("--data", tmp_path / "data", "--overlays", tmp_path / "drawn") == 0
    drawn = {
        path.relative_to(tmp_path / "drawn").as_posix(): cv2.imread(str(path)) for path in tmp_path.rglob("drawn/*/*")
    }
    assert drawn.keys() == {"clean/c1.png", "real/r_1.png"}
    page = cv2.imread(str(tmp_path / "data" / "clean" / "c1.png"))
    assert (drawn["clean/c1.png"] != page).any()


def test_only_the_worst_pages_are_drawn_and_listed_when_so_many_are_asked_for(tmp_path: Path, fakes: None) -> None:
    for name, error_mv in (("c1", 0.01), ("c2", 0.6), ("c3", 0.3)):
        case(tmp_path / "data", "clean", name, error_mv=error_mv)
    drawn, out = tmp_path / "drawn", tmp_path / "out"
    assert run("--data", tmp_path / "data", "--overlays", drawn, "--worst", 2, "--out", out) == 0
    assert {path.relative_to(drawn).as_posix() for path in drawn.rglob("*.png")} == {"clean/c2.png", "clean/c3.png"}
    assert [path.name[:5] for path in sorted((out / "worst").glob("*.png"))] == ["01-c2", "02-c3"]
    summary = json.loads((out / "summary.json").read_text())
    assert [row["name"] for row in summary["worst"]] == ["c2", "c3"]


@pytest.mark.parametrize("options", [("--worst", 0), ("--limit", 0), ("--jobs", 0), ("--resume",)])
def test_options_that_make_no_sense_are_refused(tmp_path: Path, fakes: None, options: tuple[object, ...]) -> None:
    case(tmp_path, "clean", "c1")
    with pytest.raises(UserError, match="--"):
        run("--data", tmp_path, *options)


def test_an_evaluation_with_oracle_names_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    synth = synth_page()
    rendered(tmp_path / "p1.png", synth)
    monkeypatch.setattr(Engine, "load", lambda self: TruthRuntime(synth))
    assert run("--data", tmp_path, "--oracle") == 0
    text = capsys.readouterr().out
    for title in ("Stages", "Printed names", "Mean dB lost by"):
        assert title in text


def test_checkpoints_become_a_folder_of_weights(tmp_path: Path) -> None:
    networks = {"stage0": "keypoint", "names": "name", "texts": "text", "stage1": "grid", "stage2": "trace"}
    for stage, name in networks.items():
        path = tmp_path / stage / "best.safetensors"
        path.parent.mkdir()
        notes = {"stage": stage, "metrics": {}, "samples": 0, "step": 0}
        write_network(path, build_network(name, {}), notes=notes)
    with weights_from(None, tmp_path) as folder:
        assert folder is not None
        assert set(read_manifest(folder).entries) == set(READING_NETWORKS)


def test_a_run_without_checkpoints_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"best\.safetensors"), weights_from(None, tmp_path):
        pass


# --- the tables -------------------------------------------------------------------------------------------------


def test_text_and_json_of_a_table_say_the_same() -> None:
    small = Table("k", "Title", (Column("name"), Column("db", ".1f")), (("a", 1.25), ("bcd", float("nan"))))
    assert small.text() == "Title\n  name   db\n  a     1.2\n  bcd     -\n"
    assert small.as_json() == [{"name": "a", "db": 1.25}, {"name": "bcd", "db": None}]


def test_every_tier_and_all_of_them_are_summarised() -> None:
    rows = table([page("a", snr_db=20.0), page("b", tier="photo", status="review", snr_db=4.0)], "scores")
    assert [(row["tier"], row["mean_db"], row["below_5db"], row["review"]) for row in rows] == [
        ("photo", 4.0, 1, 1),
        ("scan", 20.0, 0, 0),
        ("ALL", 12.0, 1, 1),
    ]


def test_a_verdict_that_finds_every_bad_page_has_an_auc_of_1() -> None:
    scores = [page("a", snr_db=20.0, confidence=0.4), page("b", snr_db=2.0, status="review", confidence=0.6)]
    trust = table(scores, "trust")[-1]
    assert (trust["auc_status"], trust["auc_confidence"], trust["auc_both"]) == (1.0, 0.0, 1.0)


def test_a_doubt_that_finds_every_bad_page_has_an_auc_of_1() -> None:
    scores = [page(str(db), snr_db=db, doubt=doubt) for db, doubt in ((2.0, 0.7), (9.0, 0.4), (11.0, 0.3))]
    assert table(scores, "trust")[-1]["auc_doubt"] == 1.0
    rows = {row["doubt"]: (row["pages"], row["below_10db"]) for row in table(scores, "doubts")}
    assert rows["0.25-0.50"] == (2, 0.5)
    assert rows["0.50-0.75"] == (1, 1.0)


def test_a_page_that_is_given_up_is_doubted_wholly() -> None:
    rows = {row["doubt"]: row["pages"] for row in table([page(snr_db=0.0, status="failed", doubt=1.0)], "doubts")}
    assert rows["0.75-1.00"] == 1


def test_leads_taken_for_others_are_silent_where_the_status_is_ok() -> None:
    scores = [
        page("a", snr_db=2.0, swapped=2),
        page("b", snr_db=2.0, swapped=1, status="review"),
        page("c", snr_db=20.0),
    ]
    order = table(scores, "order")[-1]
    assert (order["wrong_order"], order["silent"], order["of_ok"]) == (2, 1, 0.5)


def test_the_surest_samples_are_told_per_tier() -> None:
    scores = [page("a", snr_db=20.0, reliability=sure_samples(10, 9)),
              page("b", snr_db=20.0, tier="photo", reliability=sure_samples(10, 5))]  # fmt: skip
    kept = {row["tier"]: row["sure_within_50uv"] for row in table(scores, "sure")}
    assert kept == {"scan": 0.9, "photo": 0.5, "ALL": 0.7}


def sure_samples(count: int, good: int) -> Reliability:
    """Count samples of the surest bin."""
    nothing = no_samples()
    samples, kept = nothing.samples.copy(), nothing.good.copy()
    samples[-1], kept[-1] = count, good
    return Reliability(samples, kept, 0.99 * samples)


def test_pages_add_up_to_one_reliability() -> None:
    sure = sure_samples(10, 9)
    rows = table([page("a", snr_db=20.0, reliability=sure), page("b", snr_db=20.0, reliability=sure)], "reliability")
    assert (rows[-1]["samples"], rows[-1]["within_50uv"]) == (20, 0.9)
    assert rows[0]["within_50uv"] is None


def stages(*, orientation: bool) -> StageScores:
    return StageScores(
        orientation=orientation, labels={}, grid_median_mm=0.1, grid_p95_mm=0.2, speed=True, gain=True,
        leads_printed=12, leads_placed=12, leads_invented=0,
    )  # fmt: skip


def budget(*snr_db: float, round_trip: float = 31.0) -> dict[str, float]:
    return dict(zip(RUNGS, snr_db, strict=True)) | {ROUND_TRIP: round_trip}


def test_every_part_loses_what_its_truth_mends() -> None:
    rungs = budget(2.0, 10.0, 10.5, 10.5, 11.0, 14.0, 15.0, 30.0, 32.0, 33.0)
    assert losses(page(snr_db=2.0, rungs=rungs)) == {
        "orientation": 8, "keypoints": 0.5, "scale": 0, "grid": 0.5, "layout": 3, "time": 1, "trace": 15, "decode": 2,
        "outside": 1,
    }  # fmt: skip


def test_what_is_lost_is_told_per_tier_and_per_layout() -> None:
    low, high = (budget(*np.linspace(first, 30, len(RUNGS))) for first in (12.0, 21.0))
    seen = stages(orientation=True)
    scores = [page("a", snr_db=12.0, rungs=low, stages=replace(seen, printed_layout="12x1")),
              page("b", tier="photo", snr_db=21.0, rungs=high, stages=replace(seen, printed_layout="3x4"))]  # fmt: skip
    lost = {row["tier"]: (row["trace"], row["snr_db"], row["ceiling"]) for row in table(scores, "losses")}
    assert lost == {"photo": (1.0, 21.0, 30.0), "scan": (2.0, 12.0, 30.0), "ALL": (1.5, 16.5, 30.0)}
    assert {row["printed"]: row["trace"] for row in table(scores, "losses_by_layout")} == {"12x1": 2.0, "3x4": 1.0}
    assert [row["printed"] for row in table(scores, "scores_by_layout")] == ["12x1", "3x4"]


def test_a_table_of_numbers_is_a_csv_with_nothing_for_what_is_unknown() -> None:
    small = Table("k", "Title", (Column("name"), Column("db", ".1f")), (("a", 1.25), ("b,c", float("nan"))))
    assert small.as_csv() == 'name,db\na,1.25\n"b,c",\n'


def test_pages_of_unlike_kinds_share_one_csv() -> None:
    text = pages_csv([page("a"), page("b", snr_db=10.0, stages=stages(orientation=True))])
    lines = list(csv.DictReader(text.splitlines()))
    assert (lines[0]["orientation"], lines[1]["orientation"], lines[1]["leads_placed"]) == ("", "True", "12")
