"""Digital records from disk: any WFDB record becomes leads in mV, anything else one sentence."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS
from ecgstudio.errors import InputError
from ecgstudio.io.export import export_page
from ecgstudio.io.images import expand_inputs
from ecgstudio.io.records import MAX_HEADER_BYTES, is_record, read_record

Written = Callable[..., Path]


def wfdb_pair(
    folder: Path,
    name: str = "rec",
    *,
    leads: tuple[str, ...] = LEADS,
    fs: float = 500.0,
    count: int = 1000,
    unit: str = "mV",
    gain: float = 1000.0,
    comments: tuple[str, ...] = (),
) -> Path:
    """Write a record of ramps (lead n climbs to n units) and return its header."""
    ramps = np.linspace(0, 1, count)[:, None] * np.arange(1, len(leads) + 1)
    (folder / f"{name}.dat").write_bytes(np.rint(ramps * gain).astype("<i2").tobytes())
    lines = [f"{name} {len(leads)} {fs:g} {count}"]
    lines += [f"{name}.dat 16 {gain:g}/{unit} 16 0 0 0 0 {lead}" for lead in leads]
    path = folder / f"{name}.hea"
    path.write_text("\n".join([*lines, *(f"# {comment}" for comment in comments)]) + "\n")
    return path


# --- what can be read ------------------------------------------------------------------------------------------------


def test_a_record_is_read_in_millivolt_at_its_own_rate(tmp_path: Path) -> None:
    record = read_record(wfdb_pair(tmp_path, fs=257))
    assert (record.leads, record.fs, record.mv.shape) == (LEADS, 257.0, (12, 1000))
    np.testing.assert_allclose(record.mv[:, -1], np.arange(1, 13), atol=1e-3)


@pytest.mark.parametrize(("unit", "gain", "mv"), [("uV", 1.0, 0.001), ("V", 1000.0, 1000.0), ("MV", 1000.0, 1.0)])
def test_other_units_become_millivolt(tmp_path: Path, unit: str, gain: float, mv: float) -> None:
    record = read_record(wfdb_pair(tmp_path, unit=unit, gain=gain))
    assert record.lead_mv("I")[-1] == pytest.approx(mv)


def test_leads_are_found_by_any_spelling_and_others_left_out(tmp_path: Path) -> None:
    record = read_record(wfdb_pair(tmp_path, leads=("V5", "avr", "Resp", "DII", "MLII", "v5")))
    assert record.leads == ("II", "aVR", "V5")
    assert record.mv[:, -1].tolist() == pytest.approx([4, 2, 1])


def test_no_more_is_read_than_asked_for(tmp_path: Path) -> None:
    assert read_record(wfdb_pair(tmp_path, count=6000), seconds=10.5).mv.shape == (12, 5250)
    assert read_record(wfdb_pair(tmp_path, count=300), seconds=10.5).mv.shape == (12, 300)


def test_our_own_export_comes_back_with_gaps_and_scale(tmp_path: Path) -> None:
    mv = np.random.default_rng(0).normal(size=(12, 5000)).round(3).astype(np.float32)
    mv[3, 100:900] = np.nan
    meta = {"layout": "3x4+1", "mm_per_s": 25.0, "mm_per_mV": 10.0, "Age": "61", "Sex": "F"}
    export_page("a", tmp_path, EcgRecord(mv, 500.0, meta=meta), {}, None, formats=("wfdb",), overwrite=False)
    record = read_record(tmp_path / "a.hea")
    np.testing.assert_allclose(record.mv, mv, atol=1e-6)
    assert record.meta == {"layout": "3x4+1", "mm_per_s": 25.0, "mm_per_mV": 10.0, "age": 61.0, "sex": "F"}


def test_comments_that_may_name_the_patient_are_left_behind(tmp_path: Path) -> None:
    path = wfdb_pair(tmp_path, comments=("Age: 56", "Sex: Female", "Name: Jane Doe", "Dx: 426783006", "Age"))
    assert read_record(path).meta == {"age": 56.0, "sex": "Female"}


def test_a_header_may_be_renamed_with_dots(tmp_path: Path) -> None:
    path = wfdb_pair(tmp_path).rename(tmp_path / "a.b.hea")
    assert read_record(path).leads == LEADS


# --- what cannot -----------------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_record(path, seconds=11)
    text = str(refused.value)
    assert "\n" not in text
    assert text.endswith(".") or text.endswith(").")
    return text


@pytest.mark.parametrize(
    "text", ["Dear colleague,\nthe patient was well.\n", "rec twelve 500\n", "\x00\x01\x02", "rec 12 500 1000\n"]
)
def test_a_text_that_is_called_hea_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "letter.hea"
    path.write_text(text)
    assert "letter.hea is not the header of a WFDB record, or damaged" in refusal(path)


def test_an_empty_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.hea").touch()
    assert refusal(tmp_path / "a.hea") == "a.hea is empty."


def test_a_header_without_its_samples_names_the_file_that_is_missing(tmp_path: Path) -> None:
    path = wfdb_pair(tmp_path)
    (tmp_path / "rec.dat").unlink()
    assert refusal(path) == "rec.hea is there, but not rec.dat."


def test_samples_that_were_cut_off_are_refused(tmp_path: Path) -> None:
    path = wfdb_pair(tmp_path)
    (tmp_path / "rec.dat").write_bytes((tmp_path / "rec.dat").read_bytes()[:1000])
    assert "rec.hea is not the header of a WFDB record, or damaged" in refusal(path)


def test_a_header_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 0 500 1000\n")
    assert refusal(tmp_path / "a.hea") == "a.hea holds no samples."
    (tmp_path / "rec.dat").touch()
    (tmp_path / "rec.hea").write_text("rec 1 500 0\nrec.dat 16 1000/mV 16 0 0 0 0 I\n")
    assert "rec.hea" in refusal(tmp_path / "rec.hea")


def test_signals_that_are_no_leads_are_named(tmp_path: Path) -> None:
    assert (
        refusal(wfdb_pair(tmp_path, leads=("Resp", "ABP"))) == "rec.hea holds none of the twelve leads, only Resp, ABP."
    )


def test_a_unit_that_is_no_voltage_is_named(tmp_path: Path) -> None:
    assert refusal(wfdb_pair(tmp_path, unit="mmHg")) == "rec.hea: a lead is given in mmHg, which is no voltage."


def test_a_rate_of_zero_is_refused(tmp_path: Path) -> None:
    assert "0 samples per second" in refusal(wfdb_pair(tmp_path, fs=0))


def test_a_length_beyond_all_memory_is_refused(tmp_path: Path) -> None:
    path = wfdb_pair(tmp_path)
    path.write_text(path.read_text().replace("500 1000", "500 99999999999"))
    with pytest.raises(InputError):
        read_record(path)
    assert "rec.hea" in refusal(path)


def test_what_is_not_there_or_no_file_is_said(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.hea") == f"There is no file {tmp_path / 'a.hea'}."
    (tmp_path / "b.hea").mkdir()
    assert refusal(tmp_path / "b.hea") == "b.hea is not a file that can be read."


def test_a_header_as_large_as_a_film_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_bytes(b"#" * (MAX_HEADER_BYTES + 1))
    assert "too large to be the header" in refusal(tmp_path / "a.hea")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_a_closed_file_is_said(tmp_path: Path) -> None:
    path = wfdb_pair(tmp_path)
    path.chmod(stat.S_IWUSR)
    assert "Permission denied" in refusal(path)


@given(noise=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_a_header_is_more_than_a_sentence(tmp_path: Path, noise: list[tuple[int, int]]) -> None:
    path = wfdb_pair(tmp_path)
    content = bytearray(path.read_bytes())
    for at, value in noise:
        content[at % len(content)] = value
    path.write_bytes(content)
    try:
        assert isinstance(read_record(path, seconds=11), EcgRecord)
    except InputError as error:
        assert "rec.hea" in str(error)  # noqa: PT017 - either is right


# --- among other files -----------------------------------------------------------------------------------------------


def test_records_are_found_beside_pages_only_where_they_are_wanted(tmp_path: Path) -> None:
    header = wfdb_pair(tmp_path)
    (tmp_path / "page.png").write_bytes(b"x")
    (tmp_path / ".hidden.hea").write_text("x")
    assert is_record(header)
    assert expand_inputs([tmp_path]) == [tmp_path / "page.png"]
    assert expand_inputs([tmp_path], records=True) == [tmp_path / "page.png", header]
    assert expand_inputs([str(tmp_path / "*")], records=True) == [tmp_path / "page.png", header]
