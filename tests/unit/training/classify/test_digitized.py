"""Records printed, read from their pages and classified: what is kept, what is scored, what is said."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.errors import InputError
from ecgstudio.nets.torch_runtime import load_runtime
from tests.fake_classifier import FakeClassifier
from training.classify import digitized
from training.classify.digitized import PagesPlan, as_classified, evaluate_on_pages, read_page_of, write_results
from training.classify.records import as_examples, labelled_records
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

    def read(record: Record, plan: PagesPlan, *, kind: str | None, runtime: object) -> EcgRecord | None:
        asked.append(record.id)
        assert kind is None
        return None if record.id == "r/3" else EcgRecord(record.mv, record.fs)

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


def test_kinds_are_shown_in_turn_and_scored_by_themselves(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, str | None] = {}

    def read(record: Record, plan: PagesPlan, *, kind: str | None, runtime: object) -> EcgRecord:
        shown[record.id] = kind
        return EcgRecord(-record.mv if kind == "scan" else record.mv, record.fs)

    monkeypatch.setattr(digitized, "read_page_of", read)
    plan = PagesPlan(tmp_path, tmp_path / "out", kinds=("render", "scan"))
    examples, results = evaluate_on_pages(plan, runtime=Runtime())  # type: ignore[arg-type]
    assert [shown[record.id] for record in records] == ["render", "scan"] * (COUNT // 2)
    counts = {result.shown: result.count for result in results}
    assert counts["read from pages"] == COUNT
    assert counts["scan: read from pages"] == counts["render: only what is printed"] == COUNT // 2
    true = as_examples(records, where="records").inputs["signal"]
    assert np.nanmax(np.abs(examples.inputs["signal"][0] - true[0])) < 1e-3
    assert np.nanmax(np.abs(examples.inputs["signal"][1] + true[1])) < 1e-3
    assert "render, scan" in write_results(plan, examples, results)
    one = PagesPlan(tmp_path, tmp_path / "out", kinds=("scan",))  # what it shares with the other plan is there
    shown.clear()
    evaluate_on_pages(one, runtime=Runtime())  # type: ignore[arg-type]
    assert set(shown) == {record.id for record in records[::2]}


def test_a_reading_of_too_few_leads_is_refused_as_in_the_application(records: list[Record]) -> None:
    mv = records[0].mv.copy()
    assert np.isfinite(as_classified(EcgRecord(mv, records[0].fs))).any()
    mv[5:] = np.nan
    assert np.isnan(as_classified(EcgRecord(mv, records[0].fs))).all()
    assert np.isnan(as_classified(None)).all()


def test_a_record_is_printed_and_read(records: list[Record], tmp_path: Path) -> None:
    plan = PagesPlan(tmp_path, tmp_path / "out")
    read = as_classified(read_page_of(records[0], plan, kind="render", runtime=load_runtime("cpu")))
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
