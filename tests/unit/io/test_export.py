import csv
import enum
import errno
import json
import math
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from ecgstudio.io import atomic
from ecgstudio.io.export import FORMATS, export_page, output_paths, parse_formats

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="The inplace keyword")  # wfdb 4.3 with pandas 3.1, when imported
    import wfdb

Signals = npt.NDArray[np.float32]

voltages = st.floats(-32.75, 32.75, width=32) | st.just(math.nan)
signals = arrays(np.float32, st.tuples(st.just(12), st.integers(1, 30)), elements=voltages)


def export(
    folder: Path,
    mv: Signals,
    formats: str,
    *,
    stem: str = "page",
    fs: float = 500.0,
    overwrite: bool = False,
    report: Mapping[str, object] | None = None,
    overlay: bytes | None = b"png",
    meta: Mapping[str, object] | None = None,
) -> list[Path]:
    record = EcgRecord(mv, fs, meta=meta or {})
    return export_page(stem, folder, record, report or {}, overlay, formats=parse_formats(formats), overwrite=overwrite)


def flat(samples: int = 5) -> Signals:
    return np.zeros((12, samples), np.float32)


@settings(max_examples=60)
@given(signals, st.sampled_from([500.0, 250.0, 360.5]))
def test_wfdb_reads_back_what_was_written(mv: Signals, fs: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder), mv, "wfdb", fs=fs)
        record = wfdb.rdrecord(str(Path(folder, "page")))
        as_integers = wfdb.rdrecord(str(Path(folder, "page")), physical=False)
    np.testing.assert_allclose(record.p_signal.T, mv, atol=0.000501, equal_nan=True)
    assert record.sig_name == list(LEADS)
    assert (record.fs, record.units, record.fmt) == (fs, ["mV"] * 12, ["16"] * 12)
    assert record.adc_gain == [1000.0] * 12
    assert [value % 65536 for value in as_integers.checksum] == as_integers.calc_checksum()
    assert as_integers.init_value == as_integers.d_signal[0].tolist()


def test_a_missing_sample_is_the_invalid_sample_of_wfdb(tmp_path: Path) -> None:
    mv = flat()
    mv[3, 2] = np.nan
    export(tmp_path, mv, "wfdb")
    raw = np.frombuffer((tmp_path / "page.dat").read_bytes(), "<i2").reshape(-1, 12)
    assert raw[2, 3] == -32768
    assert np.count_nonzero(raw) == 1


@pytest.mark.parametrize("peak", [32.767, 32.768, 60.0, -40.0, 3000.0])
def test_a_voltage_is_never_clipped(tmp_path: Path, peak: float) -> None:
    mv = flat()
    mv[5, 1] = peak
    export(tmp_path, mv, "wfdb")
    record = wfdb.rdrecord(str(tmp_path / "page"))
    assert record.p_signal[1, 5] == pytest.approx(peak, rel=1e-3)
    assert record.adc_gain[0] == 1000


def test_a_voltage_that_wfdb_cannot_hold_is_an_error(tmp_path: Path) -> None:
    mv = flat()
    mv[11] = 40_000
    with pytest.raises(UserError, match="Lead V6 reaches 40000 mV"):
        export(tmp_path, mv, "wfdb,csv")
    assert list(tmp_path.iterdir()) == []


def test_the_provenance_is_in_the_header(tmp_path: Path) -> None:
    meta = {"source": "Müller\nscan.png", "layout": "3x4+1", "mm_per_s": 25.0, "weights": np.float32(1.5)}
    export(tmp_path, flat(), "wfdb", meta=meta)
    comments = wfdb.rdheader(str(tmp_path / "page")).comments
    assert comments[0].startswith("Digitized from paper by ECG Studio")
    assert comments[1:] == ["source: Muller scan.png", "layout: 3x4+1", "mm_per_s: 25.0", "weights: 1.5"]


@settings(max_examples=60)
@given(signals)
def test_csv_reads_back_what_was_written(mv: Signals) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (path,) = export(Path(folder), mv, "csv")
        with path.open(newline="") as stream:
            head, *rows = csv.reader(stream)
    assert head == ["time_s", *LEADS]
    values = np.array([[float(cell or "nan") for cell in row] for row in rows])
    np.testing.assert_allclose(values[:, 0], np.arange(mv.shape[1]) / 500, atol=1e-9)
    np.testing.assert_allclose(values[:, 1:].T, mv, atol=5.1e-5, equal_nan=True)
    assert not any("nan" in cell or cell == "-0.0000" for row in rows for cell in row)


def test_long_rows_count_from_where_a_lead_was_printed_though_it_could_not_be_read_there(tmp_path: Path) -> None:
    mv = np.full((12, 10), np.nan, np.float32)
    mv[1, 4:6] = 0.5
    record = EcgRecord(mv, 500.0, printed={"II": (2, 8)})
    (path,) = export_page("a", tmp_path, record, {}, None, formats=("long",), overwrite=False)
    lines = path.read_text("utf-8").splitlines()[1:]
    assert lines == ["a_0_II,", "a_1_II,", "a_2_II,0.5000", "a_3_II,0.5000", "a_4_II,", "a_5_II,"]


def test_long_rows_count_from_the_first_printed_sample_of_each_lead(tmp_path: Path) -> None:
    mv = np.full((12, 6), np.nan, np.float32)
    mv[0, :2] = 1
    mv[4, 2:6] = [0.1, np.nan, 0.3, np.nan]
    (path,) = export(tmp_path, mv, "long", stem="ecg-7")
    assert path.read_text().splitlines() == [
        "id,value",
        "ecg-7_0_I,1.0000",
        "ecg-7_1_I,1.0000",
        "ecg-7_0_aVL,0.1000",
        "ecg-7_1_aVL,",
        "ecg-7_2_aVL,0.3000",
    ]


class Grade(enum.StrEnum):
    REVIEW = "review"


def test_a_report_keeps_its_order_and_says_null_for_what_is_not_known(tmp_path: Path) -> None:
    report = {
        "status": Grade.REVIEW,
        "confidence": {"V1": np.float32(0.5), "I": math.nan},
        "speed": math.inf,
        "xy": np.array([[1.0, np.nan]]),
        "leads": ("I", "II"),
        "ok": np.bool_(True),
        "name": "Ä",
    }
    (path,) = export(tmp_path, flat(), "json", report=report)
    text = path.read_text(encoding="utf-8")
    assert "Ä" in text
    assert list(json.loads(text).items()) == [
        ("status", "review"),
        ("confidence", {"V1": 0.5, "I": None}),
        ("speed", None),
        ("xy", [[1.0, None]]),
        ("leads", ["I", "II"]),
        ("ok", True),
        ("name", "Ä"),
    ]


def test_a_report_with_something_json_cannot_say_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        export(tmp_path, flat(), "json", report={"a": object()})


def test_an_overlay_is_written_as_given(tmp_path: Path) -> None:
    assert export(tmp_path, flat(), "overlay") == [tmp_path / "page-overlay.png"]
    assert (tmp_path / "page-overlay.png").read_bytes() == b"png"
    with pytest.raises(ValueError, match="overlay"):
        export(tmp_path, flat(), "overlay", stem="other", overlay=None)


def test_every_format_goes_into_one_folder_side_by_side(tmp_path: Path) -> None:
    written = export(tmp_path / "out", flat(), ",".join(FORMATS))
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    assert written == output_paths("page", tmp_path / "out", tuple(FORMATS))
    assert len({path.name for path in written}) == len(written)


@pytest.mark.parametrize("existing", ["page.hea", "page.dat", "page.json"])
def test_an_existing_file_is_not_overwritten_unasked(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_bytes(b"old")
    with pytest.raises(UserError, match=f"{existing.replace('.', '[.]')} exists already"):
        export(tmp_path, flat(), "csv,wfdb,json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {existing: b"old"}
    export(tmp_path, flat(), "csv,wfdb,json", overwrite=True)
    assert (tmp_path / existing).read_bytes() != b"old"


def test_a_full_disk_leaves_no_file_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def no_space_for_the_third(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", no_space_for_the_third)
    with pytest.raises(UserError, match="the disk is full"):
        export(tmp_path, flat(), "wfdb,csv,json")
    assert list(tmp_path.iterdir()) == []


def test_a_stem_cannot_leave_the_folder(tmp_path: Path) -> None:
    (path,) = export(tmp_path / "out", flat(), "csv", stem="../../evil name")
    assert path.parent == tmp_path / "out"
    assert path.name == "_evil_name.csv"


def test_formats_are_named_once_in_the_order_given() -> None:
    assert parse_formats(" CSV,wfdb,csv") == ("csv", "wfdb")


@pytest.mark.parametrize("text", ["docx", "wfdb,docx", "", " , "])
def test_an_unknown_format_names_the_known_ones(text: str) -> None:
    with pytest.raises(UserError, match="wfdb, csv, long, json, overlay"):
        parse_formats(text)
