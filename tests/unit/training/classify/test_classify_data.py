"""Data of the classifiers: records, the folder tree, tables; what is wrong with them is said by row and column."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgstudio.core.leads import LAYOUTS, LEAD_INDEX
from ecgstudio.errors import InputError
from ecgstudio.stages.fusion_input import at_100_hz, clinical_input, signal_and_mask
from training.classify.dataset import Examples, Splits
from training.classify.folder_tree import open_tree, read_tree, write_tree
from training.classify.gaf_mtf import images_of
from training.classify.paper import QUIET, TRAINING_LAYOUTS, as_paper, printed
from training.classify.records import STATEMENTS, as_examples, normal_or_not
from training.classify.settings import ClassifySettings
from training.classify.sources import open_examples
from training.classify.splitting import stratified
from training.classify.tables import open_tables
from training.classify.write_tables import write_splits
from training.signals import Record

Break = Callable[[Path], None]


# --- records


def record(name: str, mv: np.ndarray, **labels: object) -> Record:
    return Record(name, mv.astype(np.float32), 500.0, "test", "train", labels)


def waves(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.normal(size=(12, 5000)), axis=1) * 0.01


def five(rng: np.random.Generator) -> list[Record]:
    names = ("NORM", "MI", "STTC", "CD", "HYP")
    return [record(name, waves(rng), age=50.0, sex=1.0, **{name: 1}) for name in names]


def test_records_without_a_class_are_left_out() -> None:
    rng = np.random.default_rng(0)
    made = as_examples([*five(rng), record("none", waves(rng), age=50.0)], where="here")
    assert made.ids == ("NORM", "MI", "STTC", "CD", "HYP")
    assert (made.labels == np.eye(5)).all()
    assert made.inputs["signal"].shape == (5, 12, 1000)


def test_statements_are_read_where_they_are_known() -> None:
    rng = np.random.default_rng(0)
    records = five(rng)
    assert "statements" not in as_examples(records, where="here").inputs
    said = record("said", waves(rng), HYP=1, scp_keys="LVH SR RARE_ONE")
    statements = as_examples([*records, said], where="here").inputs["statements"]
    assert statements.shape == (6, len(STATEMENTS))
    assert [STATEMENTS[k] for k in np.flatnonzero(statements[5])] == ["SR", "LVH"]
    assert not statements[:5].any()


def test_a_flat_lead_of_a_record_is_unknown() -> None:
    rng = np.random.default_rng(0)
    records = five(rng)
    flat = np.array(records[0].mv)
    flat[3] = 0.4
    made = as_examples([record("flat", flat, NORM=1), *records[1:]], where="here")
    assert np.isnan(made.inputs["signal"][0, 3]).all()
    assert np.isfinite(made.inputs["signal"][0, [0, 1, 2, 4]]).all()


def test_whatever_is_not_purely_normal_is_abnormal() -> None:
    labels = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], np.uint8)
    binary = normal_or_not(Examples(("a", "b", "c"), {}, labels, ("NORM", "MI", "STTC", "CD", "HYP")))
    assert binary.labels.ravel().tolist() == [0, 1, 1]


def test_a_record_at_100_hz_keeps_its_waves_and_its_holes() -> None:
    at_s = np.arange(5000) / 500
    mv = np.sin(2 * np.pi * 3 * at_s)[None].repeat(12, axis=0)
    mv[4, 1000:2000] = np.nan
    slow = at_100_hz(mv, 500.0)
    assert np.isnan(slow[4, 200:400]).all()
    assert np.isfinite(slow[4, :200]).all()
    inner = slow[0, 20:-20] - np.sin(2 * np.pi * 3 * np.arange(1000) / 100)[20:-20]
    assert np.abs(inner).max() < 0.01


def test_a_record_below_100_hz_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 100 Hz"):
        at_100_hz(np.zeros((12, 500)), 50.0)


def test_nothing_known_is_zero_in_signal_and_mask() -> None:
    mv = np.full((2, 10), 5.0, np.float32)
    mv[0, :4] = np.nan
    mv[1] = np.nan
    centred, mask = signal_and_mask(mv)
    assert (centred == 0).all()
    assert mask.sum() == 6


def test_unknown_age_and_sex_are_told_from_known_ones() -> None:
    assert clinical_input(None, None).tolist() == [0, 0, 0, 0]
    assert clinical_input(80, "f").tolist() == [1, 1, 0, 1]
    assert clinical_input(float("nan"), 0.0).tolist() == [0, 0, 1, 0]


# --- views of paper


@pytest.mark.parametrize("name", [name for name, _ in TRAINING_LAYOUTS])
def test_a_lead_is_seen_only_where_its_layout_prints_it(name: str) -> None:
    rng = np.random.default_rng(0)
    mv = rng.normal(size=(12, 1000)).astype(np.float32)
    layout = LAYOUTS[name]
    view = as_paper(mv, layout, rng, noise=QUIET)
    assert (np.isfinite(view) == printed(layout, 1000)).all()
    assert np.allclose(view[np.isfinite(view)], mv[np.isfinite(view)])


def test_a_rhythm_strip_shows_lead_ii_for_ten_seconds() -> None:
    seen = printed(LAYOUTS["3x4+1"], 1000).sum(axis=1)
    assert seen[LEAD_INDEX["II"]] == 1000
    assert seen[LEAD_INDEX["V6"]] == 250


def test_views_of_paper_differ_by_the_seed_only() -> None:
    mv = np.random.default_rng(1).normal(size=(12, 1000)).astype(np.float32)
    first, again, other = (as_paper(mv, LAYOUTS["3x4"], np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


# --- images


def test_images_hold_every_lead_and_come_back_from_the_cache(tmp_path: Path, examples: Examples) -> None:
    signals = examples.inputs["signal"][:3]
    made = images_of(signals, kind="gaf", size=64, cache=tmp_path)
    assert made.shape == (3, 3, 64, 64)
    assert not (made.reshape(3, 3, 2, 32, 2, 32).std(axis=(3, 5)) == 0).any()  # no tile is empty
    assert np.array_equal(images_of(signals, kind="gaf", size=64, cache=tmp_path), made)
    assert np.array_equal(images_of(signals, kind="gaf", size=64), made)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_gramian_field_tells_tall_from_small_waves(examples: Examples) -> None:
    signals = examples.inputs["signal"][:1]
    small, tall = (images_of(signals * gain, kind="gaf", size=64).astype(float) for gain in (0.3, 1.0))
    assert np.abs(small - tall).mean() > 5


def test_markov_fields_of_the_full_size_are_stretched_not_cut(examples: Examples) -> None:
    made = images_of(examples.inputs["signal"][:1], kind="mtf", size=224)
    assert made.shape == (1, 3, 224, 224)
    assert made[:, :, -8:, -8:].any()


# --- splits


def test_a_stratified_split_is_8_1_1_in_every_class() -> None:
    labels = (np.arange(400) % 4 == 0).astype(np.uint8)[:, None]
    parts = stratified(labels, seed=3)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [320, 40, 40]
    assert [int(labels[parts[name]].sum()) for name in ("train", "val", "test")] == [80, 10, 10]
    assert len(np.unique(np.concatenate(list(parts.values())))) == 400


# --- folder tree


def test_a_folder_tree_comes_back_as_it_was_written(tmp_path: Path, examples: Examples) -> None:
    write_tree(examples, tmp_path, batch=7)
    back = read_tree(tmp_path)
    assert np.array_equal(back.labels, examples.labels)
    for name in ("signal", "gaf", "mtf"):
        assert np.array_equal(back.inputs[name], examples.inputs[name])


def test_a_tree_without_splits_is_divided(tmp_path: Path, examples: Examples) -> None:
    whole = examples.take(list(range(40)) * 5)
    write_tree(whole, tmp_path)
    splits = open_tree(tmp_path, seed=0)
    assert [len(part) for part in splits.named().values()] == [160, 20, 20]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_images_of_a_tree_are_used_in_the_size_asked_for(
    tmp_path: Path, examples: Examples, tiny: ClassifySettings, kind: type
) -> None:
    grey = np.full((len(examples), 3, 48, 48), 7, kind)
    for part in ("train", "val", "test"):
        write_tree(examples.having(gaf=grey), tmp_path / part)
    made = open_examples("alexnet", replace(tiny, records=str(tmp_path))).test.inputs["gaf"]
    assert made.shape == (len(examples), 3, tiny.image_size, tiny.image_size)
    assert np.allclose(made, 7)
    assert made.dtype == kind


def spoil(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)))


def put(value: float, *at: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float32)
        array[at] = value
        return array

    return change


def flat_lead(array: np.ndarray) -> np.ndarray:
    array[2, :, 8] = 0.25
    return array


TREE_FAULTS: dict[str, tuple[Break, str]] = {
    "nan": (lambda f: spoil(f / "signals/batch_0.npy", put(np.nan, 3, 17, 6)), r"batch_0:3, lead V1: sample 17"),
    "constant": (lambda f: spoil(f / "signals/batch_0.npy", flat_lead), r"batch_0:2, lead V3: .*constant"),
    "rate": (lambda f: spoil(f / "signals/batch_0.npy", lambda a: a[:, ::2]), r"50 Hz, but 100 Hz"),
    "one class": (lambda f: spoil(f / "labels/y_0.npy", lambda a: a * [1, 1, 0, 1, 1]), r"column STTC: no row"),
    "label": (lambda f: spoil(f / "labels/y_0.npy", put(2, 4, 1)), r"batch_0:4, column MI: 2.0 is neither"),
    "empty": (lambda f: (f / "signals/batch_0.npy").unlink(), r"signals is empty"),
    "count": (lambda f: spoil(f / "labels/y_0.npy", lambda a: a[:-1]), r"y_0.npy holds 39 rows, but there are 40"),
    "columns": (lambda f: spoil(f / "labels/y_0.npy", lambda a: a[:, :4]), r"labels must be \(n, 5\)"),
    "images": (lambda f: spoil(f / "images/gaf/batch_0.npy", lambda a: a[1:]), r"holds 39 rows"),
}


@pytest.mark.parametrize("fault", TREE_FAULTS)
def test_a_fault_in_a_tree_is_named(tmp_path: Path, examples: Examples, fault: str) -> None:
    write_tree(examples, tmp_path)
    break_it, message = TREE_FAULTS[fault]
    break_it(tmp_path)
    with pytest.raises(InputError, match=message):
        read_tree(tmp_path)


# --- tables


PER_SPLIT = 20


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, splits: Splits) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    assert write_splits(splits_of_their_own(splits), folder, limit=PER_SPLIT) == 3 * PER_SPLIT
    return folder


@pytest.fixture
def tables(tmp_path: Path, written: Path) -> Path:
    """Sixty rows of strips, series, clinical values and labels, to be spoilt."""
    return shutil.copytree(written, tmp_path / "tables")


def splits_of_their_own(splits: Splits) -> Splits:
    """Give every split its own names: tables have one row per index."""
    named = {
        name: Examples(tuple(f"{name}-{each}" for each in part.ids), part.inputs, part.labels, part.classes)
        for name, part in splits.named().items()
    }
    return Splits(**named)


def settings_of(folder: Path, tiny: ClassifySettings) -> ClassifySettings:
    paths = {name: str(folder / f"{name}.csv") for name in ("series", "clinical", "labels")}
    return replace(tiny, images=str(folder / "images"), series_hz=100.0, **paths)


def test_tables_are_joined_scored_and_split_as_they_say(tables: Path, tiny: ClassifySettings) -> None:
    made = open_tables(settings_of(tables, tiny))
    assert [len(part) for part in made.named().values()] == [PER_SPLIT] * 3
    assert made.train.inputs["strip"].shape == (PER_SPLIT, 3, 16, 100)
    for name in ("series", "clinical"):
        values = made.train.inputs[name]
        assert np.allclose(values.mean(axis=0), 0, atol=1e-4)
        assert np.allclose(values.std(axis=0), 1, atol=1e-3)


def rewrite(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


def cell(row: int, column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object})
        table.loc[row, column] = value
        return table

    return change


def flat_row(table: pd.DataFrame) -> pd.DataFrame:
    table.iloc[4, 1:] = 0.5
    return table


def test_without_a_split_column_tables_are_divided_8_1_1(tables: Path, tiny: ClassifySettings) -> None:
    rewrite(tables / "labels.csv", lambda table: table.drop(columns="split"))
    assert [len(part) for part in open_tables(settings_of(tables, tiny)).named().values()] == [48, 6, 6]


def test_borderline_rows_are_left_out(tables: Path, tiny: ClassifySettings) -> None:
    rewrite(tables / "labels.csv", cell(7, "label", "Borderline"))
    made = open_tables(settings_of(tables, tiny))
    assert "train-record-7" not in made.train.ids
    assert len(made.train) == PER_SPLIT - 1


@pytest.mark.logs("a row without a strip is left out")
def test_rows_that_a_modality_lacks_are_left_out(tables: Path, tiny: ClassifySettings) -> None:
    (tables / "images" / "train-record-3.png").unlink()
    assert "train-record-3" not in open_tables(settings_of(tables, tiny)).train.ids


@pytest.mark.logs("a row without a value is left out")
def test_rows_with_missing_values_may_be_left_out(tables: Path, tiny: ClassifySettings) -> None:
    rewrite(tables / "clinical.csv", cell(5, "age", None))
    settings = replace(settings_of(tables, tiny), missing="drop")
    assert "train-record-5" not in open_tables(settings).train.ids


def test_an_excel_table_says_the_same(tables: Path, tiny: ClassifySettings) -> None:
    settings = settings_of(tables, tiny)
    wanted = open_tables(settings).train.inputs["clinical"]
    pd.read_csv(tables / "clinical.csv").to_excel(tables / "clinical.xlsx", index=False)
    found = open_tables(replace(settings, clinical=str(tables / "clinical.xlsx"))).train.inputs["clinical"]
    assert np.array_equal(found, wanted)


def uneven(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={name: f"{float(name) * 2:.2f}" for name in table.columns[1:]})


TABLE_FAULTS: dict[str, tuple[Break, str]] = {
    "index column": (
        lambda f: rewrite(f / "clinical.csv", lambda t: t.rename(columns={"index": "who"})),
        r'clinical.csv has no column "index". Its columns are who, age, sex',
    ),
    "label column": (
        lambda f: rewrite(f / "labels.csv", lambda t: t.drop(columns="label")), r'labels.csv has no column "label"',
    ),
    "duplicate": (
        lambda f: rewrite(f / "clinical.csv", cell(6, "index", "train-record-2")),
        r"clinical.csv, column index: row train-record-2 occurs more than once \(lines 4, 8\)",
    ),
    "no index": (
        lambda f: rewrite(f / "series.csv", cell(6, "index", None)), r"series.csv, line 8, column index: .*missing",
    ),
    "unmatched": (
        lambda f: rewrite(f / "clinical.csv", lambda t: t.assign(index="x" + t["index"])),
        r"labels.csv, row train-record-0, column index: there is no such row in .*clinical.csv",
    ),
    "nan": (lambda f: rewrite(f / "clinical.csv", cell(5, "age", None)), r"row train-record-5, column age: .*missing"),
    "nan in series": (
        lambda f: rewrite(f / "series.csv", cell(5, "0.07", None)), r"series.csv, row train-record-5, column 0.07",
    ),
    "text": (lambda f: rewrite(f / "clinical.csv", cell(5, "age", "old")), r"row train-record-5, column age: 'old'"),
    "label": (lambda f: rewrite(f / "labels.csv", cell(1, "label", "sick")), r"train-record-1, column label: 'sick'"),
    "constant": (
        lambda f: rewrite(f / "series.csv", flat_row), r"series.csv, row train-record-4, columns 0.00 to 9.99",
    ),
    "rate": (lambda f: rewrite(f / "series.csv", uneven), r"series.csv, column 0.02: .* 50 Hz, but 100 Hz"),
    "one class": (
        lambda f: rewrite(f / "labels.csv", lambda t: t.assign(label="normal")), r"column ABNORMAL: no row is positive",
    ),
    "no rows": (lambda f: rewrite(f / "clinical.csv", lambda t: t[:0]), r"clinical.csv is empty: it has a header"),
    "nothing": (lambda f: (f / "series.csv").write_text(""), r"series.csv is empty"),
    "no strip": (lambda f: (f / "images" / "val-record-3.png").write_bytes(b"x"), r"val-record-3.png is not an image"),
}  # fmt: skip


@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_a_fault_in_a_table_is_named(tables: Path, tiny: ClassifySettings, fault: str) -> None:
    break_it, message = TABLE_FAULTS[fault]
    break_it(tables)
    with pytest.raises(InputError, match=message):
        open_tables(settings_of(tables, tiny))


def test_an_unmatched_row_may_be_an_error(tables: Path, tiny: ClassifySettings) -> None:
    rewrite(tables / "clinical.csv", lambda table: table.drop(index=9))
    settings = replace(settings_of(tables, tiny), unmatched="error")
    with pytest.raises(InputError, match=r"row train-record-9, column index: there is no such row in .*clinical.csv"):
        open_tables(settings)
