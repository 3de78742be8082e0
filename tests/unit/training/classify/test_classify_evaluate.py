"""Figures, calibration, and the files of a comparison, through the command line."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from ecgstudio.errors import InputError
from training.classify.calibration import best_f1_threshold, calibrate, calibration_error
from training.classify.checkpoint import BEST_FILE, read_trained
from training.classify.dataset import Examples, Splits
from training.classify.evaluate import Evaluation, evaluate_model
from training.classify.folder_tree import write_tree
from training.classify.metrics import bootstrap_aucs, bootstrap_f1s, interval, macro_auc, score
from training.classify.report import summary
from training.classify.write_tables import write_splits
from training.cli import main

FILES = (
    "01_macro_comparison.csv", "02_per_class_f1_comparison.csv", "03_per_class_sensitivity_comparison.csv",
    "04_per_class_auc_roc_comparison.csv", "05_best_model_detailed.csv", "EVALUATION_SUMMARY.txt",
    "DETAILED_METRICS_REPORT.txt", "06_model_comparison_bars.png", "07_heatmap_f1_score.png",
    "07_heatmap_sensitivity.png", "07_heatmap_specificity.png", "07_heatmap_auc_roc.png", "08_confusion_matrices.png",
    "09_roc_curves.png", "10_pr_curves.png",
)  # fmt: skip
SMALL = (
    "--set", "hidden=8", "--set", "layers=1", "--set", "fold=20", "--set", "width=0.1", "--set", "image_size=32",
    "--set", "tensorboard=false", "--set", "strip_width=100", "--set", "strip_height=16", "--epochs", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two five-class models and the clinical one, trained and evaluated by the command line."""
    folder = tmp_path_factory.mktemp("classify")
    for part in ("train", "val", "test"):
        write_tree(examples, folder / "tree" / part)
    named = {
        part: Examples(
            tuple(f"{part}-{name}" for name in examples.ids), examples.inputs, examples.labels, examples.classes
        )
        for part in ("train", "val", "test")
    }
    write_splits(Splits(**named), folder / "tables", limit=10)
    runs = folder / "runs"
    tables = [f"--{name}={folder}/tables/{name}.csv" for name in ("series", "clinical", "labels")]
    common = ["--runs", str(runs)]
    for model in ("gru", "alexnet"):
        assert main(["classify", "train", model, "--records", str(folder / "tree"), *common, *SMALL]) == 0
    strips = f"--images={folder}/tables/images"
    assert main(["classify", "train", "clinical_fusion", strips, *tables, *common, *SMALL]) == 0
    assert main(["classify", "evaluate", *common]) == 0
    return runs


@pytest.mark.parametrize("name", FILES)
def test_a_comparison_writes_every_file(runs: Path, name: str) -> None:
    for folder in (runs / "evaluation", runs / "evaluation" / "normal_or_abnormal"):
        content = (folder / name).read_bytes()
        assert content.startswith(b"\x89PNG") if name.endswith(".png") else content


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_tables_say_what_scikit_learn_says(runs: Path, examples: Examples) -> None:
    tables = {path.name: rows(path) for path in (runs / "evaluation").glob("*.csv")}
    for model in ("gru", "alexnet"):
        trained = read_trained(runs / model / BEST_FILE)
        evaluation = evaluate_model(trained, examples, resamples=10)
        truth, shown = examples.labels, evaluation.probabilities
        decided = shown >= np.array(trained.calibration.threshold)
        macro = next(row for row in tables["01_macro_comparison.csv"] if row["model"] == model)
        assert float(macro["auc_roc"]) == pytest.approx(sk.roc_auc_score(truth, shown, average="macro"), abs=1e-6)
        assert float(macro["auc_pr"]) == pytest.approx(
            sk.average_precision_score(truth, shown, average="macro"), abs=1e-6
        )
        assert float(macro["f1_score"]) == pytest.approx(sk.f1_score(truth, decided, average="macro"), abs=1e-6)
        assert float(macro["micro_f1_score"]) == pytest.approx(sk.f1_score(truth, decided, average="micro"), abs=1e-6)
        per_class = next(row for row in tables["02_per_class_f1_comparison.csv"] if row["model"] == model)
        for column, name in enumerate(examples.classes):
            wanted = sk.f1_score(truth[:, column], decided[:, column])
            assert float(per_class[name]) == pytest.approx(wanted, abs=1e-6)
    best = tables["01_macro_comparison.csv"][0]["model"]
    decided = evaluate_model(read_trained(runs / best / BEST_FILE), examples, resamples=10)
    for row, name in zip(tables["05_best_model_detailed.csv"], examples.classes, strict=False):
        assert row["class"] == name
        assert int(row["tp"]) + int(row["fn"]) == int(row["support"]) == decided.scores.per_class[name]["support"]


def test_the_summary_sets_measured_beside_expected(runs: Path) -> None:
    text = (runs / "evaluation" / "EVALUATION_SUMMARY.txt").read_text("utf-8")
    assert "NOT PTB-XL's official protocol" in text
    assert "expected 0.82 - 0.89" in text
    assert "not trained" in text


def test_the_summary_holds_a_table_per_class_with_intervals(runs: Path) -> None:
    text = (runs / "evaluation" / "EVALUATION_SUMMARY.txt").read_text("utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert [(row[0], row[1]) for row in cells if row[1] == "macro"] == [
        (row[0], "macro") for row in cells if row[3]
    ]  # fmt: skip
    assert {row[0] for row in cells} == {"gru", "alexnet"}  # the only ones of their families
    for row in cells:
        for cell in (row[2], row[4]):
            value, low, high = (float(each) for each in re.findall(r"0\.\d+|1\.0+", cell))
            assert low <= value <= high
    tables = {row["model"]: row for row in rows(runs / "evaluation" / "02_per_class_f1_comparison.csv")}
    assert all(float(row[2].split()[0]) == pytest.approx(float(tables[row[0]][row[1]]), abs=1e-3) for row in cells)


def test_age_and_sex_can_be_hidden(runs: Path, tmp_path: Path) -> None:
    assert main(["classify", "evaluate", "--runs", str(runs), "--out", str(tmp_path), "--unknown"]) == 0
    assert "Age and sex are hidden" in (tmp_path / "EVALUATION_SUMMARY.txt").read_text("utf-8")


def test_a_fused_model_is_set_against_the_best_single_ones() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, (300, 2)).astype(np.uint8)

    def shown(name: str, model: str, spread: float) -> Evaluation:
        probabilities = 1 / (1 + np.exp(-(2.0 * labels - 1 + spread * rng.normal(size=labels.shape))))
        cuts = np.full(2, 0.5)
        aucs = bootstrap_aucs(labels, probabilities).mean(axis=1)
        return Evaluation(
            name, model, labels, probabilities, cuts, score(labels, probabilities, cuts, classes=("A", "B")),
            interval(aucs), ((0.0, 1.0), (0.0, 1.0)), 1,
        )  # fmt: skip

    good, fair, poor = shown("good", "joint_fusion", 0.5), shown("fair", "gru", 1.0), shown("poor", "lstm", 4.0)
    text = summary([good, fair, poor])
    [line] = [each for each in text.splitlines() if each.startswith("  signal  ")]
    assert "fair" in line  # the better of the two
    gain, low, high = (float(each) for each in re.findall(r"[+-]\d\.\d+", line))
    assert gain == pytest.approx(good.scores.macro["auc_roc"] - fair.scores.macro["auc_roc"], abs=1e-4)
    assert 0 < low < gain < high
    assert "no image model was trained" in text


def test_the_bootstrap_computes_the_same_f1_as_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels, decided = (rng.integers(0, 2, (60, 3)).astype(np.uint8) for _ in range(2))
    again = np.random.default_rng(4)
    for found in bootstrap_f1s(labels, decided, resamples=20, seed=4):
        drawn = again.integers(0, 60, 60)
        assert found == pytest.approx([sk.f1_score(labels[drawn, k], decided[drawn, k]) for k in range(3)])


def test_training_leaves_curves_of_each_model(runs: Path) -> None:
    names = {path.name for path in (runs / "curves").iterdir()}
    assert {"training_gru.png", "training_alexnet.png", "training_comparison.png"} <= names


def test_a_layout_can_be_evaluated_and_the_console_says_what_the_file_says(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "evaluate", "--runs", str(runs), "--out", str(tmp_path), "--layout", "3x4"]) == 0
    text = (tmp_path / "EVALUATION_SUMMARY.txt").read_text("utf-8")
    assert "(seed 0) as from 3x4 pages" in text
    assert text in capsys.readouterr().out


@pytest.mark.logs("the command says what is missing")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "gru"], "--records is needed"),
        (["train", "gru", "--records", "nowhere"], "nowhere .--records. does not exist"),
        (["train", "clinical_fusion"], "--images is needed"),
        (["evaluate", "--runs", "nowhere"], "holds no trained classifier"),
        (["train", "gru", "--set", "colour=3"], "no setting 'colour'"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], message: str, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["classify", *arguments]) == 1
    assert [record for record in caplog.records if re.search(message, record.getMessage())]


def test_a_model_of_other_classes_is_not_scored(runs: Path, examples: Examples) -> None:
    with pytest.raises(InputError, match="answers for ABNORMAL"):
        evaluate_model(read_trained(runs / "clinical_fusion" / BEST_FILE), examples)


def test_rates_are_those_of_the_confusion_matrix() -> None:
    labels = np.array([[1], [1], [1], [0], [0]], np.uint8)
    probabilities = np.array([[0.9], [0.8], [0.2], [0.7], [0.1]])
    figures = score(labels, probabilities, np.array([0.5]), classes=["A"]).per_class["A"]
    assert (figures["tp"], figures["fn"], figures["fp"], figures["tn"]) == (2, 1, 1, 1)
    assert figures["sensitivity"] == pytest.approx(2 / 3)
    assert figures["specificity"] == pytest.approx(1 / 2)
    assert figures["npv"] == pytest.approx(1 / 2)
    assert figures["precision"] == pytest.approx(2 / 3)


def test_an_interval_holds_the_value_and_narrows_with_examples() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (100, 1600):
        labels = rng.integers(0, 2, (count, 1)).astype(np.uint8)
        shown = labels + rng.normal(size=(count, 1))
        low, high = interval(bootstrap_aucs(labels, shown, resamples=200).mean(axis=1))
        assert low < macro_auc(labels, shown) < high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_the_bootstrap_computes_the_same_auc_as_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, (60, 3)).astype(np.uint8)
    shown = np.round(rng.random((60, 3)), 1)  # with ties
    aucs = bootstrap_aucs(labels, shown, resamples=20, seed=4)
    again = np.random.default_rng(4)
    for found in aucs:
        rows = again.integers(0, 60, 60)
        wanted = [sk.roc_auc_score(labels[rows, column], shown[rows, column]) for column in range(3)]
        assert found == pytest.approx(wanted)


def test_calibration_takes_back_overconfidence() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 1)) * 2
    labels = (rng.random((4000, 1)) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    found = calibrate(3 * logits, labels)
    assert found.temperature[0] == pytest.approx(3, rel=0.1)
    loud = 1 / (1 + np.exp(-3 * logits))
    assert calibration_error(labels, found.probabilities(3 * logits)) < 0.3 * calibration_error(labels, loud)


def test_the_threshold_is_the_one_of_best_f1() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 60).astype(np.uint8)
    shown = np.clip(truth * 0.3 + rng.random(60) * 0.7, 0, 1)
    best = max(sk.f1_score(truth, shown >= cut) for cut in shown)
    assert sk.f1_score(truth, shown >= best_f1_threshold(truth, shown)) == pytest.approx(best)
