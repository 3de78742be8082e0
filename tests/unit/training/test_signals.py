"""Records of a PTB-XL folder and of packs: decoded exactly, split respected, faulty ones replaced."""

from __future__ import annotations

import csv
import logging
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgstudio.errors import InputError
from training.signals import Record, open_source
from training.signals.record import ScreenedSource, resample_mirrored

LEAD_NAMES = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]


def waves_uv(rng: np.random.Generator, count: int) -> NDArray[np.int16]:
    """Draw 12 leads of rounded sines in microvolt that obey Einthoven up to rounding."""
    time = np.arange(count)
    leads = np.zeros((12, count))
    for row in (0, 1, *range(6, 12)):
        leads[row] = rng.uniform(200, 900) * np.sin(time * rng.uniform(0.01, 0.05) + rng.uniform(0, 6))
    leads[2] = leads[1] - leads[0]
    leads[3] = -(leads[0] + leads[1]) / 2
    leads[4] = (leads[0] - leads[2]) / 2
    leads[5] = (leads[1] + leads[2]) / 2
    return np.round(leads).astype(np.int16)


def write_pack(
    path: Path, ids: list[object], uv: NDArray[np.int16], *, fs: int, offsets: list[int] | None = None
) -> None:
    """Encode uv[n, 12, t] as packs are: zigzagged second differences, residuals of Einthoven's relations."""
    stored = uv[:, [0, 1, 6, 7, 8, 9, 10, 11]]
    differences = stored
    for _ in range(2):
        before = np.concatenate([np.zeros_like(differences[..., :1]), differences[..., :-1]], axis=-1)
        differences = (differences - before).astype(np.int16)
    zigzag = ((differences.astype(np.uint16) << 1) ^ (differences >> 15).view(np.uint16)).astype(np.uint16)
    wide = uv.astype(np.int32)
    residuals = np.stack(
        [
            wide[:, 2] - (wide[:, 1] - wide[:, 0]),
            wide[:, 3] + ((wide[:, 0] + wide[:, 1]) >> 1),
            wide[:, 4] - ((wide[:, 0] - wide[:, 2]) >> 1),
            wide[:, 5] - ((wide[:, 1] + wide[:, 2]) >> 1),
        ],
        axis=1,
    )
    exceptions = np.argwhere(np.abs(residuals) > 127)
    arrays = {
        "ids": np.array(ids),
        "fs": np.array([fs]),
        "uv_per_unit": np.array([1.0]),
        "leads": np.array(LEAD_NAMES),
        "lo": (zigzag & 255).astype(np.uint8),
        "hi": (zigzag >> 8).astype(np.uint8),
        "res": np.clip(residuals, -127, 127).astype(np.int8),
        "ex": exceptions.astype(np.int32),
        "exv": residuals[tuple(exceptions.T)].astype(np.int32),
    }
    if offsets is not None:
        arrays["off"] = np.array(offsets)
    np.savez_compressed(path, **arrays)


def write_labels(path: Path, splits: dict[int, str]) -> None:
    """Write the labels file of the PTB-XL packs with the given split of each record."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["ecg_id", "split", "patient_id", "age", "sex", *("NORM", "MI", "STTC", "CD", "HYP")])
        for ecg_id, split in splits.items():
            writer.writerow([ecg_id, split, f"{ecg_id}.0", 63.0, 1.0, 0, 1, 0, 0, 0])


@pytest.fixture
def packs(tmp_path: Path) -> tuple[Path, NDArray[np.int16]]:
    """A folder of 500 Hz records: 1 and 2 for training, 3 for validation, 4 for testing; 9 has no label."""
    uv = np.stack([waves_uv(np.random.default_rng(seed), 600) for seed in range(5)])
    uv[1, 3, 40] += 900  # a glitch that breaks Einthoven by more than a residual byte holds
    write_pack(tmp_path / "ptbxl_500hz.npz", [1, 2, 3, 4, 9], uv, fs=500)
    write_labels(tmp_path / "ptbxl_labels.csv", {1: "train", 2: "train", 3: "val", 4: "test"})
    return tmp_path, uv


def ids_of(spec: Path, split: str = "train") -> list[str]:
    """List the ids that a folder gives for a split."""
    return [record.id for record in open_source(str(spec), split)]  # type: ignore[attr-defined]


def test_packs_are_decoded_to_the_microvolt(packs: tuple[Path, NDArray[np.int16]]) -> None:
    folder, uv = packs
    source = open_source(str(folder))
    for index in range(2):
        np.testing.assert_array_equal(np.round(source[index].mv * 1000), uv[index])


def test_validation_rows_keep_their_exceptions(tmp_path: Path) -> None:
    uv = np.stack([waves_uv(np.random.default_rng(seed), 300) for seed in range(3)])
    uv[2, 5, 7] -= 1000
    write_pack(tmp_path / "ptbxl_500hz.npz", [1, 2, 3], uv, fs=500)
    write_labels(tmp_path / "ptbxl_labels.csv", {1: "train", 2: "train", 3: "val"})
    np.testing.assert_array_equal(np.round(open_source(str(tmp_path), "val")[0].mv * 1000), uv[2])


def test_only_the_split_asked_for_is_given(packs: tuple[Path, NDArray[np.int16]]) -> None:
    folder, _ = packs
    assert ids_of(folder) == ["ptbxl-1", "ptbxl-2"]
    assert ids_of(folder, "val") == ["ptbxl-3"]


@pytest.mark.parametrize("split", ["test", "all", ""])
def test_the_test_split_is_refused(packs: tuple[Path, NDArray[np.int16]], split: str) -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        open_source(str(packs[0]), split)


def test_the_test_split_is_given_to_those_who_measure(packs: tuple[Path, NDArray[np.int16]]) -> None:
    folder, uv = packs
    [record] = open_source(str(folder), "test", scoring=True)  # type: ignore[call-overload]
    np.testing.assert_array_equal(np.round(record.mv * 1000), uv[3])
    assert open_source("synthetic", "test", scoring=True)[0].split == "test"


def test_packs_with_splits_need_their_labels(packs: tuple[Path, NDArray[np.int16]]) -> None:
    (packs[0] / "ptbxl_labels.csv").unlink()
    with pytest.raises(InputError, match=r"ptbxl_labels\.csv is needed"):
        open_source(str(packs[0]))


def spoilt(text: str, line: int, column: str, value: str) -> str:
    """Return the text of a table with another cell; line 1 is the header."""
    table = [row.split(",") for row in text.splitlines()]
    table[line - 1][table[0].index(column)] = value
    return "\n".join(map(",".join, table)) + "\n"


LABEL_FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "nothing": (lambda _: "", r"is empty: it has no header"),
    "no rows": (lambda text: text.splitlines()[0] + "\n", r"is empty: it has a header and no rows"),
    "no names": (lambda text: text.replace("ecg_id", "who"), r'no column "ecg_id"\. Its columns are who, '),
    "no split": (lambda text: text.replace("split", "part"), r'no column "split"'),
    "no class": (lambda text: text.replace("MI", "XX"), r'no column "MI"'),
    "twice": (lambda text: spoilt(text, 3, "ecg_id", "1"), r"row 1 occurs more than once \(lines 2, 3\)"),
    "no name": (lambda text: spoilt(text, 3, "ecg_id", ""), r"line 3, column ecg_id: .* missing"),
    "word": (lambda text: spoilt(text, 2, "age", "old"), r"row \w+, column age: 'old' is not a number"),
    "nan": (lambda text: spoilt(text, 2, "age", "nan"), r"row \w+, column age: 'nan' is not a number"),
    "label": (lambda text: spoilt(text, 2, "MI", "2"), r"row \w+, column MI: '2' is neither 0 nor 1"),
    "split": (lambda text: spoilt(text, 2, "split", "training"), r"column split: 'training' is none of train, val"),
}


@pytest.mark.parametrize("fault", LABEL_FAULTS)
def test_a_fault_in_the_labels_is_named(packs: tuple[Path, NDArray[np.int16]], fault: str) -> None:
    path = packs[0] / "ptbxl_labels.csv"
    change, message = LABEL_FAULTS[fault]
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(InputError, match=message):
        open_source(str(packs[0]))


def test_labels_travel_with_the_record(packs: tuple[Path, NDArray[np.int16]]) -> None:
    record = open_source(str(packs[0]))[0]
    assert record.split == "train"
    assert {name: record.labels[name] for name in ("age", "MI", "NORM", "patient_id")} == {
        "age": 63.0,
        "MI": 1,
        "NORM": 0,
        "patient_id": "1",
    }


def test_ragged_records_keep_their_lengths_and_train_only(tmp_path: Path) -> None:
    uv = waves_uv(np.random.default_rng(7), 900)
    write_pack(tmp_path / "challenge_500hz.npz", ["A1", "Q2"], uv[None], fs=500, offsets=[0, 350, 900])
    source = open_source(str(tmp_path))
    np.testing.assert_array_equal(np.round(source[0].mv * 1000), uv[:, :350])
    np.testing.assert_array_equal(np.round(source[1].mv * 1000), uv[:, 350:])
    assert source[0].split is None
    assert len(open_source(str(tmp_path), "val")) == 0


def test_slow_packs_are_resampled_and_say_so(tmp_path: Path) -> None:
    uv = waves_uv(np.random.default_rng(3), 1000)
    write_pack(tmp_path / "ptbxl_100hz.npz", [5], uv[None], fs=100)
    write_labels(tmp_path / "ptbxl_labels.csv", {5: "train"})
    record = open_source(str(tmp_path))[0]
    assert (record.fs, record.mv.shape) == (500.0, (12, 5000))
    assert record.labels["resampled_from_hz"] == 100.0
    np.testing.assert_allclose(record.mv[:, ::5], uv / 1000, atol=1e-5)
    assert len(open_source(str(tmp_path), include_resampled=False)) == 0


@pytest.mark.parametrize(
    ("fault", "reason"), [("artefact", "artefact"), ("flat", "flat lead"), ("nan", "missing samples")]
)
def test_a_faulty_record_is_replaced_by_the_next_and_logged_once(
    caplog: pytest.LogCaptureFixture, fault: str, reason: str
) -> None:
    mv = np.tile(np.sin(np.arange(500, dtype=np.float32) / 20), (3, 12, 1))
    mv[1, 4, 10:] = {"artefact": 11.0, "flat": mv[1, 4, 10], "nan": np.nan}[fault]
    if fault == "flat":
        mv[1, 4] = 0.3
    source = ScreenedSource(lambda i: Record(f"r{i}", mv[i], 500.0, "made"), 3)
    with caplog.at_level(logging.INFO, logger="training.signals"):
        assert [source[index].id for index in (0, 1, 2, 1)] == ["r0", "r2", "r2", "r2"]
    assert [record.getMessage() for record in caplog.records] == [
        next(record.getMessage() for record in caplog.records if reason in record.getMessage())
    ]


def test_a_source_without_usable_records_says_so() -> None:
    source = ScreenedSource(lambda i: Record(f"r{i}", np.zeros((12, 9), np.float32), 500.0, "made"), 2)
    with pytest.raises(ValueError, match="no usable record"):
        source[0]


def write_wfdb(stem: Path, uv: NDArray[np.int16], *, fs: int) -> None:
    """Write uv[12, t] with wfdb itself, as PTB-XL's records are stored."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():  # wfdb 4.3 handles its tables in a way that pandas 3 calls deprecated
        warnings.filterwarnings("ignore", message="The inplace keyword")
        import wfdb

        wfdb.wrsamp(
            stem.name,
            fs=fs,
            units=["mV"] * 12,
            sig_name=[lead.upper() for lead in LEAD_NAMES],
            p_signal=uv.T / 1000,
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(stem.parent),
        )


@pytest.fixture(scope="module")
def ptbxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.int16]]:
    """A PTB-XL folder: records 1 to 3 of folds 3, 9, 10; 4 of fold 1 at 100 Hz only; 5 not downloaded."""
    folder = tmp_path_factory.mktemp("ptbxl")
    uv = np.stack([waves_uv(np.random.default_rng(40 + number), 1000) for number in range(4)])
    rows = []
    for ecg_id, fold in ((1, 3), (2, 9), (3, 10), (4, 1), (5, 2)):
        low, high = f"records100/00000/{ecg_id:05d}_lr", f"records500/00000/{ecg_id:05d}_hr"
        age = 300.0 if ecg_id == 1 else 50.0
        rows.append([ecg_id, f"{ecg_id}.0", age, 1, "", 70, "{'IMI': 80.0, 'SR': 0.0}", fold, low, high])
        if ecg_id == 5:
            continue
        name, fs = (low, 100) if ecg_id == 4 else (high, 500)
        write_wfdb(folder / name, uv[ecg_id - 1], fs=fs)
    with (folder / "ptbxl_database.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            [
                *("ecg_id", "patient_id", "age", "sex", "height", "weight", "scp_codes", "strat_fold"),
                *("filename_lr", "filename_hr"),
            ]
        )
        writer.writerows(rows)
    (folder / "scp_statements.csv").write_text(
        ",description,diagnostic,form,rhythm,diagnostic_class\nIMI,inferior,1.0,,,MI\nSR,sinus,,,1.0,\n",
        encoding="utf-8",
    )
    return folder, uv


def test_a_ptbxl_folder_gives_its_official_folds(ptbxl: tuple[Path, NDArray[np.int16]]) -> None:
    assert ids_of(ptbxl[0]) == ["ptbxl-1", "ptbxl-4"]
    assert ids_of(ptbxl[0], "val") == ["ptbxl-2"]


def test_a_ptbxl_record_is_read_in_millivolt(ptbxl: tuple[Path, NDArray[np.int16]]) -> None:
    folder, uv = ptbxl
    np.testing.assert_allclose(open_source(str(folder))[0].mv, uv[0] / 1000, atol=1e-6)


def test_a_ptbxl_record_at_100_hz_is_resampled(ptbxl: tuple[Path, NDArray[np.int16]]) -> None:
    record = open_source(str(ptbxl[0]))[1]
    assert (record.fs, record.mv.shape[1]) == (500.0, 5000)
    assert record.labels["resampled_from_hz"] == 100.0
    np.testing.assert_allclose(record.mv[:, ::5], ptbxl[1][3] / 1000, atol=1e-5)


def test_ptbxl_statements_become_classes(ptbxl: tuple[Path, NDArray[np.int16]]) -> None:
    labels = open_source(str(ptbxl[0]))[0].labels
    assert (labels["MI"], labels["NORM"], labels["scp_keys"]) == (1, 0, "IMI SR")
    assert labels["age"] == 90.0


def test_a_source_crosses_process_borders(packs: tuple[Path, NDArray[np.int16]]) -> None:
    source = open_source(str(packs[0]))
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[1].mv, source[1].mv)
    assert pickle.loads(pickle.dumps(source[1])).labels == source[1].labels


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither ptbxl_database\.csv nor record packs"):
        open_source(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        open_source(str(tmp_path / "absent"))


def test_a_record_is_read_only_and_checked() -> None:
    record = Record("a", np.ones((12, 4), np.float32), 500.0, "made")
    with pytest.raises(ValueError, match="read-only"):
        record.mv[0, 0] = 2
    with pytest.raises(ValueError, match=r"must be \(12, n\)"):
        Record("a", np.ones((8, 4), np.float32), 500.0, "made")


@settings(deadline=None, max_examples=40)
@given(
    frequency_hz=st.floats(0.5, 30.0), phase=st.floats(0.0, 6.28), level_mv=st.floats(-2.0, 2.0),
    count=st.integers(300, 1200),
)  # fmt: skip
def test_resampling_keeps_time_and_shape(
    frequency_hz: float, phase: float, level_mv: float, count: int
) -> None:
    """A sine on an offset comes back within 1 % inside, and its ends do not ring."""

    def sine(fs: float, samples: int) -> NDArray[np.float32]:
        time_s = np.arange(samples) / fs
        return (level_mv + np.sin(2 * np.pi * frequency_hz * time_s + phase)).astype(np.float32)

    resampled = resample_mirrored(sine(100.0, count), 100.0, 500.0)
    expected = sine(500.0, 5 * count)
    assert resampled.shape == expected.shape
    np.testing.assert_allclose(resampled[250:-250], expected[250:-250], atol=0.02)
    assert np.abs(resampled - level_mv).max() < 1.5
