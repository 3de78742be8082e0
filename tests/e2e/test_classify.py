"""`ecgstudio classify` from outside: what it prints for records and pages, and how it ends."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecgstudio import api
from ecgstudio.core.ecg import EcgRecord
from ecgstudio.core.leads import LEADS
from ecgstudio.errors import InputError
from ecgstudio.io.export import export_page
from ecgstudio.nets import torch_runtime
from ecgstudio.paths import sample_folder, weights_folder
from ecgstudio.stages.classify import STATEMENT
from tests import fake_stages
from tests.e2e.command_line import Classifying, Run, draw, files, in_process
from tests.fake_classifier import CODES
from tests.tiny_classifier import tiny_runtime

HEAD = "NORM   MI     STTC   CD     HYP    input\n"


def heart(*, fs: float = 500.0, seconds: float = 10.0, height_mv: float = 1.0) -> np.ndarray:
    t_s = np.arange(round(fs * seconds)) / fs
    return height_mv * np.linspace(0.5, 1, 12)[:, None] * np.sin(2 * np.pi * 1.2 * t_s)


def record(path: Path, mv: np.ndarray | None = None, *, fs: float = 500.0, **more: object) -> Path:
    """Write a WFDB record and return its header."""
    ecg = EcgRecord(heart(fs=fs) if mv is None else mv, fs, **more)
    path.parent.mkdir(parents=True, exist_ok=True)
    return export_page(path.stem, path.parent, ecg, {}, None, formats=("wfdb",), overwrite=False)[0]


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


# --- records and pages -------------------------------------------------------------------------------------------


def test_a_record_becomes_a_row_and_the_numbers_stand_beside_what_they_are_not(
    classifying: Run, tmp_path: Path
) -> None:
    path = record(tmp_path / "a.hea")
    code, out, err = classifying("classify", path)
    head, row, last = out.splitlines(keepends=True)
    assert (code, err) == (0, "")
    assert head == HEAD
    assert row.endswith(f"{path}\n")
    assert last == f"{STATEMENT} (fake 0123456789ab); * from the class's threshold on\n"


def test_what_counts_as_found_is_starred(classifying: Run, tmp_path: Path) -> None:
    _, out, _ = classifying("classify", record(tmp_path / "a.hea", heart(height_mv=3.0)))
    row = out.splitlines()[1].split()
    assert [cell.endswith("*") for cell in row[:5]] == [False, False, True, True, True]


@pytest.mark.parametrize("fs", [100, 250, 257, 500, 1000])
def test_json_holds_all_codes_for_any_rate(classifying: Run, tmp_path: Path, fs: float) -> None:
    path = record(tmp_path / "a.hea", fs=fs)
    code, out, _ = classifying("classify", path, "--json")
    [line] = lines(out)
    assert code == 0
    assert line["source"] == str(path)
    assert line["model"] == "fake 0123456789ab"
    assert [finding["code"] for finding in line["findings"]] == list(CODES)
    for finding in line["findings"]:
        assert finding["found"] == (finding["probability"] >= finding["threshold"])
    assert (line["status"], line["clinical"], line["statement"]) == ("ok", None, STATEMENT)


def test_age_and_sex_reach_the_classifier(classifying: Run, tmp_path: Path) -> None:
    path = record(tmp_path / "a.hea")
    [unknown] = lines(classifying("classify", path, "--json")[1])
    [old] = lines(classifying("classify", path, "--json", "--age", 100, "--sex", "f")[1])
    assert old["clinical"] == {"age_years": 100.0, "sex": "f"}
    assert old["findings"][1]["probability"] > unknown["findings"][1]["probability"] + 0.2


def test_what_a_header_says_of_the_patient_counts_unless_the_user_says_it(classifying: Run, tmp_path: Path) -> None:
    path = record(tmp_path / "a.hea", meta={"Age": "80", "Sex": "Female"})
    [line] = lines(classifying("classify", path, "--json", "--age", 50)[1])
    assert line["clinical"] == {"age_years": 50.0, "sex": "f"}
    odd = record(tmp_path / "b.hea", meta={"Age": "300", "Sex": "unknown"})
    assert lines(classifying("classify", odd, "--json")[1])[0]["clinical"] is None


def test_a_page_is_digitized_and_classified_and_nothing_is_written(classifying: Run, tmp_path: Path) -> None:
    page = draw(tmp_path / "a.png")
    code, out, _ = classifying("classify", page)
    assert code == 0
    assert out.splitlines()[1].endswith(str(page))
    assert files(tmp_path) == ["a.png"]


def test_a_page_gives_the_same_answer_as_its_export(classifying: Run, tmp_path: Path) -> None:
    page = draw(tmp_path / "a.png")
    classifying("digitize", page, "-o", tmp_path / "out")
    first, second = lines(classifying("classify", page, tmp_path / "out" / "a.hea", "--json")[1])
    for one, other in zip(first["findings"], second["findings"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=0.002)


def test_every_page_of_a_file_is_an_input(classifying: Run, tmp_path: Path) -> None:
    path = draw(tmp_path / "a.tiff", pages=2)
    assert [(line["source"], line["page"]) for line in lines(classifying("classify", path, "--json")[1])] == [
        (str(path), 1),
        (str(path), 2),
    ]
    assert f"{path}, page 2" in classifying("classify", path)[1]


def test_folders_hold_records_and_pages(classifying: Run, tmp_path: Path) -> None:
    record(tmp_path / "in" / "r.hea")
    draw(tmp_path / "in" / "deep" / "p.png")
    sources = [Path(str(line["source"])).name for line in lines(classifying("classify", tmp_path / "in", "--json")[1])]
    assert sources == ["r.hea", "p.png"]


# --- what is wrong -----------------------------------------------------------------------------------------------


def test_one_bad_input_does_not_stop_the_others(classifying: Run, tmp_path: Path) -> None:
    good, bad = record(tmp_path / "a.hea"), tmp_path / "b.hea"
    bad.write_text("Dear colleague")
    code, out, err = classifying("classify", bad, good, tmp_path / "none.hea")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()[:1]] == ["failed"]
    assert out.splitlines()[1] + "\n" == HEAD
    assert err == "ecgstudio: 3 inputs: 1 classified, 2 not\n"


def spoiled(name: str, folder: Path) -> Path:
    """Write a record in which this is wrong."""
    mv = heart()
    match name:
        case "slow":
            return record(folder / "a.hea", heart(fs=50), fs=50)
        case "empty":
            return record(folder / "a.hea", np.empty((12, 0)))
        case "constant":
            return record(folder / "a.hea", np.ones((12, 5000)))
        case "unknown":
            return record(folder / "a.hea", np.full((12, 5000), np.nan))
        case "few":
            return record(folder / "a.hea", mv[:3], leads=LEADS[:3])
        case "short":
            return record(folder / "a.hea", mv[:, :300])
        case "no samples":
            path = record(folder / "a.hea")
            path.with_suffix(".dat").unlink()
            return path
    (folder / "a.hea").write_text("this is a letter")
    return folder / "a.hea"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("slow", "not classified: the record has 50 Hz, at least 100 Hz are needed"),
        ("empty", "a.hea"),
        ("constant", "not classified: 0 leads can be used in the first 10 s, at least 6 are needed"),
        ("unknown", "not classified: 0 leads"),
        ("few", "not classified: 3 leads (I, II, III) can be used"),
        ("short", "not classified: 0 leads"),
        ("no samples", "a.hea is there, but not a.dat."),
        ("letter", "a.hea is not the header of a WFDB record, or damaged"),
    ],
)
def test_a_record_that_cannot_be_classified_is_one_line_without_numbers(
    classifying: Run, tmp_path: Path, what: str, words: str
) -> None:
    path = spoiled(what, tmp_path)
    code, out, err = classifying("classify", path)
    assert (code, err, out.count("\n")) == (1, "", 1)
    assert out.startswith(f"failed  {path}: ")
    assert words in out
    [line] = lines(classifying("classify", path, "--json")[1])
    assert (line["status"], line["findings"], line["model"]) == ("failed", [], None)
    assert words in line["reasons"][0]


@pytest.mark.parametrize("content", [np.nan, 0.4])
def test_a_lead_that_is_missing_or_constant_does_no_harm(classifying: Run, tmp_path: Path, content: float) -> None:
    mv = heart()
    mv[4] = content
    code, out, _ = classifying("classify", record(tmp_path / "a.hea", mv), "--json")
    assert code == 0
    [line] = lines(out)
    assert all(0 <= finding["probability"] <= 1 for finding in line["findings"])
    flat = np.isfinite(content)
    assert line["status"] == ("review" if flat else "ok")
    assert line["reasons"] == (["aVL is constant and left out"] if flat else [])


def test_a_page_without_an_ecg_is_not_classified(classifying: Run, tmp_path: Path) -> None:
    code, out, _ = classifying("classify", draw(tmp_path / "a.png", blank=True))
    assert code == 1
    assert "not classified: keypoints: there is no ECG on this page" in out


def test_samples_are_sent_to_their_header(classifying: Run, tmp_path: Path) -> None:
    path = record(tmp_path / "a.hea")
    code, out, _ = classifying("classify", path.with_suffix(".dat"))
    assert code == 1
    assert "name its header a.hea instead" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--age", -3), "age must lie between 0 and 120 years, not -3"),
        (("--age", 200), "age must lie between 0 and 120 years, not 200"),
        (("--age", "nan"), "age must lie between 0 and 120 years, not nan"),
        (("--age", "old"), "could not convert"),
        (("--sex", "x"), "invalid choice: 'x'"),
        ((), "RECORD_OR_IMAGE"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    classifying: Run, tmp_path: Path, arguments: tuple[object, ...], words: str
) -> None:
    code, out, err = classifying("classify", *([tmp_path / "a.hea"] if arguments else []), *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_weights_without_a_classifier_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fake_stages.install(monkeypatch)
    code, out, err = in_process(capsys)("classify", record(tmp_path / "a.hea"))
    assert (code, out, err) == (1, "", "ecgstudio: The network weights hold no classifier.\n")


def test_a_crash_inside_is_one_line(classifying: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("ecgstudio.commands.classify.classify_record", crash)
    code, out, _ = classifying("classify", record(tmp_path / "a.hea"))
    assert code == 1
    assert "unexpected error (ZeroDivisionError: oops); run again with --debug and report it" in out


# --- the same in Python ------------------------------------------------------------------------------------------


def test_python_classifies_records_results_and_paths_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_stages.install(monkeypatch)
    runtime, page = Classifying(), draw(tmp_path / "a.png")
    [result] = api.digitize(page, runtime=runtime)
    assert result.record is not None
    answers = [api.classify(source, runtime=runtime, age=60) for source in (result.record, result, page, str(page))]
    assert answers.count(answers[0]) == 4
    assert api.classify(record(tmp_path / "r.hea"), runtime=runtime).findings


def test_python_refuses_what_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_stages.install(monkeypatch)
    runtime, path = Classifying(), record(tmp_path / "r.hea")
    with pytest.raises(InputError, match="The patient's age must lie between 0 and 120 years, not -3"):
        api.classify(path, runtime=runtime, age=-3)
    with pytest.raises(InputError, match="sex must be f or m"):
        api.classify(path, runtime=runtime, sex="x")
    with pytest.raises(InputError, match="not classified: 0 leads"):
        api.classify(EcgRecord(np.full((12, 5000), np.nan), 500.0), runtime=runtime)
    with pytest.raises(InputError, match=r"a\.tiff has 2 pages"):
        api.classify(draw(tmp_path / "a.tiff", pages=2), runtime=runtime)
    with pytest.raises(InputError, match="blank is not classified"):
        api.classify(api.digitize(draw(tmp_path / "blank.png", blank=True), runtime=runtime)[0], runtime=runtime)


# --- real networks -------------------------------------------------------------------------------------------------


def test_a_network_from_a_file_answers_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = tiny_runtime(tmp_path / "weights")
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: runtime)
    code, out, _ = in_process(capsys)("classify", record(tmp_path / "a.hea"), "--json", "--age", 61)
    [line] = lines(out)
    assert code == 0
    assert line["model"] == runtime.classifier
    assert len({finding["probability"] for finding in line["findings"]}) == 5


def bundled() -> bool:
    return "fusion" in torch_runtime.read_manifest(weights_folder()).entries


@pytest.mark.skipif(not bundled(), reason="no classifier is bundled yet")
def test_the_bundled_classifier_answers_and_agrees_with_itself(tmp_path: Path) -> None:
    runtime = api.load_runtime("cpu")
    assert runtime.classes == CODES
    assert all(0.02 < threshold < 0.98 for threshold in runtime.thresholds)
    [result] = api.digitize(sample_folder() / "page.png", runtime=runtime)
    assert result.record is not None
    diagnosis = api.classify(result, runtime=runtime)
    assert diagnosis == api.classify(result.record, runtime=runtime)
    assert all(0 < finding.probability < 1 for finding in diagnosis.findings)


def test_doctor_names_the_classifier_or_says_that_there_is_none(
    classifying: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_one = classifying("doctor")[1]
    assert f"classifier   fake 0123456789ab for {', '.join(CODES)} ({STATEMENT})\n" in with_one
    monkeypatch.setattr(api, "load_runtime", lambda *_: fake_stages.NoNetworks())
    code, out, _ = classifying("doctor")
    assert code == 0
    assert "classifier   none: The network weights hold no classifier.\n" in out
