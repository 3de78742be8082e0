"""Records printed, read from their pages and classified: what is kept, what is scored, what is said."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ecgstudio.errors import InputError
from ecgstudio.nets.torch_runtime import load_runtime
from tests.fake_classifier import FakeClassifier
from training.classify import digitized
from training.classify.digitized import PagesPlan, evaluate_on_pages, read_page_of, write_results
from training.classify.records import labelled_records
from training.signals import Record, synthesize_record
from training.signals.record import DIAGNOSTIC_CLASSES

COUNT = 10


class Runtime(FakeClassifier):
    """A classifier beside networks that are not asked."""

    weights_hash = "0123"
    device = "cpu"


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Ten labelled records; those labelled HYP are tall."""
    rng = np.random.default_rng(4)
    made = []
    for index in range(COUNT):
        name = DIAGNOSTIC_CLASSES[index % len(DIAGNOSTIC_CLASSES)]
        base = synthesize_record(rng)
        tall = 3.0 if name == "HYP" else 1.0
        made.append(Record(f"r/{index}", base.mv * tall, base.fs, "test", "test", {name: 1, "age": 50.0, "sex": 1.0}))
    monkeypatch.setattr(digitized, "labelled_records", lambda folder, split: list(made))
    return made


def test_what_was_read_is_kept_and_not_read_again(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read(record: Record, plan: PagesPlan, *, runtime: object) -> np.ndarray:
        asked.append(record.id)
        if record.id == "r/3":
            return np.full((12, 1000), np.nan, np.float32)
        return record.mv[:, ::5][:, :1000].astype(np.float32)

    monkeypatch.setattr(digitized, "read_page_of", read)
    plan = PagesPlan(tmp_path, tmp_path / "out")
    examples, results = evaluate_on_pages(plan, runtime=Runtime())  # type: ignore[arg-type]
    assert asked == [record.id for record in records]
    assert np.isnan(examples.inputs["signal"][3]).all()
    assert [result.shown for result in results] == [
        "true signals", "only what the layout prints", "the same, with the noise of training", "read from pages",
    ]  # fmt: skip
    tall = DIAGNOSTIC_CLASSES.index("HYP")
    assert results[0].classes[tall] > 0.8
    evaluate_on_pages(plan, runtime=Runtime())  # type: ignore[arg-type]
    assert len(asked) == COUNT
    evaluate_on_pages(PagesPlan(tmp_path, tmp_path / "out", seed=1), runtime=Runtime())  # type: ignore[arg-type]
    assert len(asked) == 2 * COUNT

    text = write_results(plan, examples, results)
    assert "10 records of test" in text
    assert "1 could not be read" in text
    with (tmp_path / "out" / "pages.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * (1 + len(DIAGNOSTIC_CLASSES))
    assert float(rows[0]["low"]) <= float(rows[0]["auc_roc"]) <= float(rows[0]["high"])


def test_a_record_is_printed_and_read(records: list[Record], tmp_path: Path) -> None:
    plan = PagesPlan(tmp_path, tmp_path / "out", kind="render")
    read = read_page_of(records[0], plan, runtime=load_runtime("cpu"))
    true = records[0].mv[:, ::5][:, :1000]
    assert read.shape == (12, 1000)
    known = np.isfinite(read)
    shares = np.sort(known.mean(axis=1))
    assert shares[-1] > 0.9  # the rhythm strip
    assert shares[:-1].min() > 0.2
    assert shares[:-1].max() < 0.4
    likeness = [
        max(np.corrcoef(a[seen], np.roll(b, lag)[seen])[0, 1] for lag in range(-20, 21))
        for a, b, seen in zip(read, true, known, strict=True)
    ]
    assert np.median(likeness) > 0.95


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither"):
        labelled_records(tmp_path, "test")
