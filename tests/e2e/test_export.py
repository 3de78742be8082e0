"""Projects from outside: what `export` writes, and what it and `replay` refuse."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgstudio import api
from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections, GridEdit, Review, TraceEdit
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from ecgstudio.session import Session
from ecgstudio.stages import stage1_grid
from tests import fake_stages
from tests.e2e.command_line import CORRECTED, ERASE, NO_MOVES, Run, contents, draw, files, project

# --- what is written -----------------------------------------------------------------------------------------


def test_a_page_without_corrections_is_exported_as_digitize_writes_it(run: Run, tmp_path: Path) -> None:
    scan = draw(tmp_path / "a.png")
    file = project(tmp_path / "p.ecgproj", (scan, NO_CORRECTIONS))
    code, out, err = run("export", file, "-o", tmp_path / "out", "--format", "wfdb,csv,long,overlay")
    assert (code, err) == (0, "")
    assert out == "a: ok  3x4  25 mm/s 10 mm/mV  conf 0.97\n"
    run("digitize", scan, "-o", tmp_path / "other", "--format", "wfdb,csv,long,overlay")
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


def test_corrections_are_in_the_record_and_in_the_report(run: Run, tmp_path: Path) -> None:
    value = Corrections(
        grid=GridEdit(NO_MOVES, mm_per_s=50.0),
        traces=TraceEdit((ERASE,)),
        review=Review("accepted", "Ada", "2026-01-02T03:04:05+00:00"),
    )
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), value))
    code, out, _ = run("export", file, "-o", tmp_path / "out")
    assert code == 0
    assert "50 mm/s" in out
    report = json.loads((tmp_path / "out" / "a.json").read_text("utf-8"))
    assert report["stages"]["grid"] == report["stages"]["traces"] == "corrected"
    assert report["corrections"]["review"]["by"] == "Ada"
    assert "timings_s" not in report
    record = wfdb.rdrecord(str(tmp_path / "out" / "a"))
    assert np.isnan(record.p_signal[:100, LEADS.index("I")]).all()


def test_every_page_gets_its_own_files_and_a_line(run: Run, tmp_path: Path) -> None:
    scans = [draw(tmp_path / folder / "a.png", shade=shade) for folder, shade in (("x", 250), ("y", 240))]
    file = project(tmp_path / "p.ecgproj", *((scan, NO_CORRECTIONS) for scan in scans))
    code, out, err = run("export", file, "-o", tmp_path / "out", "--format", "csv", "--json")
    assert code == 0
    assert [json.loads(line)["stem"] for line in out.splitlines()] == ["a", "a-2"]
    assert files(tmp_path / "out") == ["a-2.csv", "a.csv"]
    assert "2 pages: 2 ok" in err


def test_the_project_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), Corrections(traces=TraceEdit((ERASE,)))))
    before = file.read_bytes()
    run("export", file, "-o", tmp_path / "out")
    run("replay", file)
    assert file.read_bytes() == before


def test_changes_that_a_crash_kept_from_being_saved_are_named(run: Run, tmp_path: Path) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), NO_CORRECTIONS))
    session = Session.load(file)
    session.set_corrections(session.entries[0].id, CORRECTED, text="corrected")
    session.autosave()
    code, _, err = run("export", file, "-o", tmp_path / "out")
    assert code == 0
    assert "changes that were not saved" in err


def test_an_empty_project_has_nothing_to_export(run: Run, tmp_path: Path) -> None:
    code, out, err = run("export", project(tmp_path / "p.ecgproj"), "-o", tmp_path / "out")
    assert (code, out) == (0, "")
    assert "nothing to export" in err


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.fixture
def conflict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pulse be twice as high as the gain in use makes it."""
    scale = PaperScale(25.0, 10.0, "speed printed, gain printed", pulse_height_mm=20.0)

    def fit_grid(*arguments: object, **others: object) -> GridFit:
        return replace(fake_stages.fit_grid(*arguments, **others), scale=scale)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", fit_grid)


@pytest.mark.usefixtures("conflict")
@pytest.mark.parametrize("command", ["export", "replay"])
def test_a_scale_in_doubt_blocks_the_page_and_says_why(run: Run, tmp_path: Path, command: str) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), NO_CORRECTIONS))
    code, out, err = run(command, file, "-o", tmp_path / "out")
    assert code == 1
    assert out == (
        "a: failed  the scale is in doubt and nobody has answered: the pulse is 20.0 mm high but 10 mm/mV is used"
        " (set or confirm the scale first)\n"
    )
    assert "1 failed (a)" in err
    assert files(tmp_path / "out") == []


@pytest.mark.usefixtures("conflict")
@pytest.mark.parametrize(
    "answer", [Corrections(scale_answer=True), Corrections(grid=GridEdit(NO_MOVES, mm_per_mV=20.0))]
)
def test_an_answered_scale_is_exported(run: Run, tmp_path: Path, answer: Corrections) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), answer))
    code, _, _ = run("export", file, "-o", tmp_path / "out")
    assert code == 0
    assert "a.hea" in files(tmp_path / "out")


def test_a_rejected_page_is_named_and_not_written(run: Run, tmp_path: Path) -> None:
    value = Corrections(review=Review("rejected", "Ada", "now"))
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), value))
    code, out, _ = run("export", file, "-o", tmp_path / "out")
    assert (code, out) == (0, "a: rejected by Ada, not exported\n")
    assert files(tmp_path / "out") == []


def test_results_that_exist_are_kept_unless_overwriting_is_allowed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), NO_CORRECTIONS))
    run("export", file, "-o", tmp_path / "out")
    (tmp_path / "out" / "a.csv").write_text("mine")
    load = api.load_runtime
    monkeypatch.setattr(api, "load_runtime", lambda *_: pytest.fail("work was begun"))
    code, out, _ = run("export", file, "-o", tmp_path / "out")
    assert code == 1
    assert "exists already" in out
    assert (tmp_path / "out" / "a.csv").read_text() == "mine"
    monkeypatch.setattr(api, "load_runtime", load)
    assert run("export", file, "-o", tmp_path / "out", "--overwrite")[0] == 0
    assert (tmp_path / "out" / "a.csv").read_text() != "mine"


def test_a_failed_page_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    scans = [draw(tmp_path / "a.png", blank=True), draw(tmp_path / "b.png")]
    file = project(tmp_path / "p.ecgproj", *((scan, NO_CORRECTIONS) for scan in scans))
    code, out, _ = run("export", file, "-o", tmp_path / "out", "--format", "csv")
    assert code == 1
    assert [line.split()[1] for line in out.splitlines()] == ["failed", "ok"]
    assert "there is no ECG on this page" in out
    assert files(tmp_path / "out") == ["b.csv"]


def test_missing_and_replaced_scans_are_named_and_the_others_written(run: Run, tmp_path: Path) -> None:
    scans = [draw(tmp_path / "in" / f"{name}.png", shade=255 - n) for n, name in enumerate("abc")]
    file = project(tmp_path / "p" / "p.ecgproj", *((scan, NO_CORRECTIONS) for scan in scans))
    scans[0].unlink()
    draw(scans[1], shade=99)
    for command in ("export", "replay"):
        code, out, _ = run(command, file, "-o", tmp_path / command, "--format", "csv")
        lines = out.splitlines()
        assert code == 1
        assert "scan of a is missing" in lines[0]
        assert "--scans" in lines[0]
        assert "scan of b was replaced" in lines[1]
        assert lines[2].startswith("c: ok")
        assert files(tmp_path / command) == ["c.csv"]


def test_moved_scans_are_found_in_the_folders_given(run: Run, tmp_path: Path) -> None:
    scan = draw(tmp_path / "in" / "a.png")
    file = project(tmp_path / "p" / "p.ecgproj", (scan, NO_CORRECTIONS))
    (tmp_path / "elsewhere").mkdir()
    scan.rename(tmp_path / "elsewhere" / "a.png")
    assert run("export", file, "-o", tmp_path / "out")[0] == 1
    code, _, _ = run("export", file, "-o", tmp_path / "out", "--scans", tmp_path / "elsewhere")
    assert code == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"", "is empty"),
        (b"text", "is not an ECG Studio project"),
        (b'{"format": "ecgstudio-project", "version": 1', "is damaged"),
        (b'{"format": "ecgstudio-project", "version": 99}', "newer version"),
    ],
)
def test_a_project_that_cannot_be_opened_is_one_sentence(
    run: Run, tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "p.ecgproj").write_bytes(content)
    code, out, err = run("export", tmp_path / "p.ecgproj", "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["export", "replay"])
def test_networks_that_cannot_be_loaded_are_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def missing(*_: object) -> None:
        raise UserError("The network weights are missing.")

    scans = [draw(tmp_path / f"{name}.png", shade=255 - n) for n, name in enumerate("abc")]
    file = project(tmp_path / "p.ecgproj", *((scan, NO_CORRECTIONS) for scan in scans))
    monkeypatch.setattr(api, "load_runtime", missing)
    code, out, err = run(command, file, "-o", tmp_path / "out")
    assert (code, out, err) == (1, "", "ecgstudio: The network weights are missing.\n")


def test_scans_and_folders_under_impossible_names_are_missing(run: Run, tmp_path: Path) -> None:
    file = project(tmp_path / "p" / "p.ecgproj", (draw(tmp_path / "a.png"), NO_CORRECTIONS))
    document = json.loads(file.read_text())
    document["pages"][0] |= {"source": "/" + "x" * 300, "relative": "y" * 5000}
    file.write_text(json.dumps(document))
    code, out, _ = run("export", file, "-o", tmp_path / "out", "--scans", "z" * 300)
    assert code == 1
    assert "scan of a is missing" in out


def test_an_output_folder_that_is_a_file_is_one_sentence(run: Run, tmp_path: Path) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), NO_CORRECTIONS))
    (tmp_path / "out").write_text("a file")
    code, _, err = run("export", file, "-o", tmp_path / "out")
    assert code == 1
    assert "is a file, not a folder" in err


@pytest.mark.parametrize(
    "arguments", [("export",), ("export", "p"), ("replay",), ("export", "p", "-o", "x", "--format", "doc")]
)
def test_wrong_usage_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2
