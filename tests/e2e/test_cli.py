"""The command line from outside: what it prints, what it writes, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import wfdb
from PIL import Image

from ecgstudio import api, cli
from ecgstudio.core.leads import LAYOUTS, LEADS
from ecgstudio.io.export import FORMATS
from ecgstudio.stages import stage1_grid
from tests import fake_stages
from tests.e2e.command_line import Run, draw, files

# --- a page in, a record out ---------------------------------------------------------------------------------


def test_a_page_becomes_a_record_and_one_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out == "a: ok  3x4  25 mm/s 10 mm/mV  conf 0.97\n"
    assert files(tmp_path / "out") == ["a.csv", "a.dat", "a.hea", "a.json"]


def test_the_record_holds_each_lead_when_it_was_printed(run: Run, tmp_path: Path) -> None:
    run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out")
    record = wfdb.rdrecord(str(tmp_path / "out" / "a"))
    assert (record.fs, record.sig_name, record.p_signal.shape) == (500, list(LEADS), (5000, 12))
    printed = np.isfinite(record.p_signal[:, LEADS.index("V1")])
    assert np.flatnonzero(printed)[[0, -1]].tolist() == [2500, 3749]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "overlay"])
def test_only_the_formats_asked_for_are_written(run: Run, tmp_path: Path, name: str) -> None:
    code, _, _ = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--format", name)
    assert code == 0
    assert files(tmp_path / "out") == sorted(f"a{suffix}" for suffix in FORMATS[name].suffixes)


def test_the_overlay_has_the_size_of_the_page(run: Run, tmp_path: Path) -> None:
    run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--format", "csv", "--overlay")
    assert files(tmp_path / "out") == ["a-overlay.png", "a.csv"]
    with Image.open(tmp_path / "out" / "a-overlay.png") as overlay:
        assert overlay.size == (560, 200)


def test_the_report_says_what_was_found_and_how_sure_we_are(run: Run, tmp_path: Path) -> None:
    run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--format", "json")
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert report["status"] == "ok"
    assert report["layout"] == "3x4"
    assert report["scale"]["mm_per_s"] == 25.0
    assert {trace["lead"] for trace in report["traces"]} == set(LEADS)
    assert 0 < report["doubt"] < 0.5
    assert report["weights"] == "no weights"
    assert set(report["timings_s"]) == {"keypoints", "grid", "traces", "record", "quality", "total"}


def test_json_prints_one_object_per_page(run: Run, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "b.png", blank=True)
    code, out, _ = run("digitize", tmp_path / "in", "-o", tmp_path / "out", "--json")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 1
    assert (first["stem"], first["status"]) == ("a", "ok")
    assert (second["stem"], second["status"]) == ("b", "failed")
    assert second["failure"]["stage"] == "keypoints"


def test_later_pages_of_a_file_get_a_number(run: Run, tmp_path: Path) -> None:
    file = draw(tmp_path / "a.tiff", pages=3)
    code, out, _ = run("digitize", file, "-o", tmp_path / "out", "--format", "csv")
    assert code == 0
    assert files(tmp_path / "out") == ["a-p2.csv", "a-p3.csv", "a.csv"]
    assert [line.split(":")[0] for line in out.splitlines()] == ["a", "a-p2", "a-p3"]


def test_two_inputs_of_one_name_do_not_overwrite_each_other(run: Run, tmp_path: Path) -> None:
    one, two = draw(tmp_path / "x" / "a.png"), draw(tmp_path / "y" / "a.png")
    code, _, err = run("digitize", one, two, "-o", tmp_path / "out", "--format", "csv")
    assert code == 0
    assert files(tmp_path / "out") == ["a-2.csv", "a.csv"]
    assert "is written as a-2" in err


def test_folders_and_globs_name_their_pages(run: Run, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "deep" / "b.jpg")
    (tmp_path / "in" / "notes.txt").write_text("not a page")
    draw(tmp_path / "c1.png")
    _, out, _ = run("digitize", tmp_path / "in", tmp_path / "c*.png", "-o", tmp_path / "out")
    assert [line.split(":")[0] for line in out.splitlines()] == ["a", "b", "c1"]


@pytest.mark.parametrize(
    ("stage", "last", "unknown"), [(0, "keypoints", "grid"), (1, "grid", "traces"), (2, "traces", "record")]
)
def test_a_single_stage_writes_its_json_and_overlay(
    run: Run, tmp_path: Path, stage: int, last: str, unknown: str
) -> None:
    code, _, _ = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--stage", stage)
    assert code == 0
    assert files(tmp_path / "out") == [f"a-stage{stage}-overlay.png", f"a-stage{stage}.json"]
    report = json.loads((tmp_path / "out" / f"a-stage{stage}.json").read_text())
    assert last in report
    assert unknown not in report


def test_speed_gain_and_layout_reach_the_stages_that_decide_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def spy(*arguments: object, settings: object, **others: object) -> object:
        seen.append(settings)
        return fake_stages.fit_grid(*arguments, settings=settings, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", spy)
    options = ("--speed", "50", "--gain", "20", "--layout", "6x2", "--format", "json")
    run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", *options)
    settings = json.loads((tmp_path / "out" / "a.json").read_text())["settings"]
    assert [(s.mm_per_s, s.mm_per_mV) for s in seen] == [(50.0, 20.0)]  # type: ignore[attr-defined]
    assert settings["traces"]["layout"] == "6x2"


# --- what goes wrong -----------------------------------------------------------------------------------------


def test_a_page_without_an_ecg_fails_with_its_reason_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    page = draw(tmp_path / "a.png", blank=True)
    code, out, err = run("digitize", page, "-o", tmp_path / "out", "--overlay", "--stage", "2")
    assert code == 1
    assert out == "a: failed  keypoints: there is no ECG on this page (check the file)\n"
    assert "1 failed (a)" in err
    assert files(tmp_path / "out") == []


def test_bad_inputs_get_a_line_each_and_the_others_are_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    inputs = [tmp_path / name for name in ("missing.png", "empty.png", "text.png")]
    code, out, _ = run("digitize", *inputs, draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--format", "csv")
    lines = out.splitlines()
    assert code == 1
    assert [line.split("  ")[0] for line in lines[:3]] == [f"{path}: failed" for path in inputs]
    assert lines[3].startswith("a: ok")
    assert files(tmp_path / "out") == ["a.csv"]


def test_a_glob_that_matches_nothing_fails(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("digitize", tmp_path / "*.png", "-o", tmp_path / "out")
    assert code == 1
    assert "failed" in out


def test_results_that_exist_are_reported_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = draw(tmp_path / "a.png")
    run("digitize", page, "-o", tmp_path / "out")
    before = (tmp_path / "out" / "a.csv").stat().st_mtime_ns
    monkeypatch.setattr(api, "load_runtime", lambda *_: pytest.fail("work was begun"))
    code, out, _ = run("digitize", page, "-o", tmp_path / "out")
    assert code == 1
    assert "exists already" in out
    assert (tmp_path / "out" / "a.csv").stat().st_mtime_ns == before


def test_overwrite_replaces_results(run: Run, tmp_path: Path) -> None:
    page = draw(tmp_path / "a.png")
    run("digitize", page, "-o", tmp_path / "out")
    (tmp_path / "out" / "a.csv").write_text("old")
    code, _, _ = run("digitize", page, "-o", tmp_path / "out", "--overwrite")
    assert code == 0
    assert (tmp_path / "out" / "a.csv").read_text().startswith("time_s,I,II")


def test_an_output_folder_that_is_a_file_stops_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "load_runtime", lambda *_: pytest.fail("work was begun"))
    (tmp_path / "out").write_text("a file")
    code, out, err = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    assert "is a file, not a folder" in err
    assert len(err.splitlines()) == 1


def test_an_unexpected_error_fails_one_page_and_only_that(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(page: object, *arguments: object, **others: object) -> object:
        if "b.png" in page.source:  # type: ignore[attr-defined]
            raise ZeroDivisionError("division by zero")
        return fake_stages.fit_grid(page, *arguments, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", explode)
    pages = [draw(tmp_path / f"{name}.png") for name in "abc"]
    code, out, err = run("digitize", *pages, "-o", tmp_path / "out", "--format", "csv")
    assert code == 1
    assert [line.split()[1] for line in out.splitlines()] == ["ok", "failed", "ok"]
    assert "division by zero" in out
    assert "Traceback" not in err


def test_debug_shows_the_traceback_of_an_unexpected_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage1_grid, "fit_grid", lambda *_, **__: 1 / 0)
    _, _, err = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--debug")
    assert "Traceback" in err


def test_a_full_disk_fails_the_page_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, out, _ = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert code == 1
    assert "the disk is full" in out
    assert files(tmp_path / "out") == []


def test_missing_weights_are_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgstudio.errors import UserError

    def missing(*_: object) -> None:
        raise UserError("The network weights are missing.")

    monkeypatch.setattr(api, "load_runtime", missing)
    code, out, err = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert (code, out, err) == (1, "", "ecgstudio: The network weights are missing.\n")


# --- usage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("digitize",),
        ("digitize", "a.png"),
        ("digitize", "a.png", "-o", "out", "--format", "docx"),
        ("digitize", "a.png", "-o", "out", "--format", ","),
        ("digitize", "a.png", "-o", "out", "--layout", "5x5"),
        ("digitize", "a.png", "-o", "out", "--speed", "30"),
        ("digitize", "a.png", "-o", "out", "--jobs", "0"),
        ("digitize", "a.png", "-o", "out", "--stage", "3"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "ecgstudio" in err


def test_without_a_command_or_with_open_the_workstation_opens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[Path]] = []
    app = ModuleType("ecgstudio.gui.app")
    monkeypatch.setattr(app, "run", lambda paths: opened.append(paths) or 0, raising=False)
    monkeypatch.setitem(sys.modules, "ecgstudio.gui.app", app)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert [run()[0], run("open")[0], run("open", "a.png", "b.ecgproj")[0]] == [0, 0, 0]
    assert opened == [[], [], [Path("a.png"), Path("b.ecgproj")]]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_where_there_is_no_screen_the_workstation_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cli.SCREENS:
        monkeypatch.delenv(name, raising=False)
    code, out, err = run()
    assert (code, out) == (1, "")
    assert "no screen" in err


def test_help_names_every_format_and_layouts_that_exist(run: Run) -> None:
    code, out, _ = run("digitize", "--help")
    assert code == 0
    words = out.replace(",", " ").replace(")", " ").split()
    assert set(FORMATS) <= set(words)
    assert {"3x4+1", "6x2", "12x1", "6x1"} <= set(words) & set(LAYOUTS)


def test_help_and_version_import_nothing_heavy() -> None:
    probe = "import sys, ecgstudio.cli as c; c.main(['--help']); c.main(['--version']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert not [name for name in ("numpy", "torch", "cv2", "PIL", "pandas") if f"'{name}'" in loaded]


# --- processes -----------------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with SIGINT ignored
from ecgstudio import api, cli
from tests import fake_stages
from ecgstudio.stages import stage1_grid
def wait(*_, **__):
    print("working", file=sys.stderr, flush=True)
    threading.Event().wait()
api.load_runtime = lambda *_: fake_stages.NoNetworks()
stage1_grid.fit_grid = wait
from ecgstudio.stages import stage0_keypoints
stage0_keypoints.detect_keypoints = fake_stages.detect_keypoints
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_cleanly_and_leaves_no_file(tmp_path: Path) -> None:
    page = draw(tmp_path / "a.png")
    command = [sys.executable, "-c", INTERRUPTED, "digitize", str(page), "-o", str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert files(tmp_path / "out") == []


def test_a_reader_who_leaves_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m ecgstudio digitize missing-1.png missing-2.png -o {tmp_path / 'out'} --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


# --- doctor --------------------------------------------------------------------------------------------------


def test_doctor_names_version_device_and_libraries(run: Run) -> None:
    from ecgstudio import __version__

    _, out, _ = run("doctor")
    assert f"ECG Studio   {__version__}\n" in out
    assert "device       cpu" in out
    assert "library      numpy" in out
