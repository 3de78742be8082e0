"""Projects from outside: `export` and `replay` through the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from PIL import Image

from ecgstudio import api, cli
from ecgstudio.commands.doctor import record_snr_db
from ecgstudio.core.corrections import (
    NO_CORRECTIONS,
    Corrections,
    FiducialEdit,
    FiducialPlace,
    GridEdit,
    Review,
    TraceDelete,
    TraceEdit,
    TraceErase,
    TraceRelabel,
)
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import PageId
from ecgstudio.errors import UserError
from ecgstudio.io.scans import page_entries
from ecgstudio.session import Session
from ecgstudio.stages import stage1_grid, stage2_trace
from ecgstudio.stages.pipeline import Stage
from ecgstudio.stages.settings import TraceSettings
from tests import fake_stages
from tests.fake_runtime import FakeRuntime, draw_page

Run = Callable[..., tuple[int, str, str]]

ERASE = TraceErase((20.0, 50.0), (40.0, 50.0))
NO_MOVES = np.empty((0, 2, 2))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line on fake stages; return exit code, stdout and stderr."""
    fake_stages.install(monkeypatch)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def draw(path: Path, *, shade: int = 255, blank: bool = False) -> Path:
    pixels = np.full((200, 560, 3), shade, np.uint8)
    if not blank:
        pixels[100:103] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def project(path: Path, *scans: tuple[Path, Corrections]) -> Path:
    session = Session.new(user="Ada")
    for file, corrections in scans:
        [entry] = page_entries(file)
        session.add_pages([entry])
        session.set_corrections(entry.id, corrections, text="corrected")
    session.save(path)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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


# --- replay --------------------------------------------------------------------------------------------------

CORRECTED = Corrections(
    grid=GridEdit(np.array([[[10.0, 10.0], [11.0, 10.5]]]), mm_per_mV=5.0),
    traces=TraceEdit((ERASE, TraceRelabel((300.0, 50.0), "V6"), TraceDelete((300.0, 110.0)))),
    scale_answer=True,
    comment="faint",
)


def test_a_replay_gives_the_bytes_of_the_export(run: Run, tmp_path: Path) -> None:
    scans = [(draw(tmp_path / "a.png"), CORRECTED), (draw(tmp_path / "b.png", shade=250), NO_CORRECTIONS)]
    file = project(tmp_path / "p.ecgproj", *scans)
    everything = ("--format", "wfdb,csv,long,json,overlay")
    run("export", file, "-o", tmp_path / "out", *everything)
    code, _, err = run("replay", file, *everything)
    assert code == 0, err
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out")
    run("export", file, "-o", tmp_path / "again", *everything)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_a_replay_gives_the_same_bytes_after_everything_moved(run: Run, tmp_path: Path) -> None:
    file = project(tmp_path / "old" / "p.ecgproj", (draw(tmp_path / "old" / "a.png"), CORRECTED))
    run("export", file, "-o", tmp_path / "out")
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new" / "deep").mkdir()
    (tmp_path / "new" / "a.png").rename(tmp_path / "new" / "deep" / "renamed.png")
    code, _, _ = run("replay", tmp_path / "new" / "p.ecgproj", "-o", tmp_path / "again")
    assert code == 0
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_what_needs_review_does_so_in_a_replay_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = draw(tmp_path / "a.png")
    session = Session.new(user="Ada")
    [entry] = page_entries(scan)
    session.add_pages([entry])
    session.set_corrections(entry.id, CORRECTED, text="corrected")
    page = api.page_from_array(np.asarray(Image.open(scan)))
    result = api.digitize_page(
        replace(page, id=entry.id), stem="a", runtime=fake_stages.NoNetworks(), corrections=CORRECTED
    )
    session.set_analysis(entry.id, result.analysis)
    session.save(tmp_path / "p.ecgproj")

    def other(*arguments: object, **others: object) -> GridFit:
        return replace(fake_stages.fit_grid(*arguments, **others), confidence=0.99)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", other)
    run("export", tmp_path / "p.ecgproj", "-o", tmp_path / "out")
    run("replay", tmp_path / "p.ecgproj")
    assert json.loads((tmp_path / "out" / "a.json").read_text())["stages"]["grid"] == "needs review"
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out")


def test_export_uses_what_was_computed_and_replay_does_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecgstudio.io.cache import OutcomeCache

    scan = draw(tmp_path / "a.png")
    file = project(tmp_path / "p.ecgproj", (scan, CORRECTED))
    [entry] = page_entries(scan)
    page = replace(api.page_from_array(np.asarray(Image.open(scan))), id=entry.id)
    result = api.digitize_page(page, stem="a", runtime=fake_stages.NoNetworks(), corrections=CORRECTED)
    OutcomeCache().store_analysis(entry.id, result.analysis)
    calls: list[PageId] = []

    def spy(*arguments: object, **others: object) -> GridFit:
        calls.append(entry.id)
        return fake_stages.fit_grid(*arguments, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", spy)
    run("export", file, "-o", tmp_path / "out")
    assert not calls
    run("replay", file)
    assert calls
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out")


def test_other_weights_are_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = draw(tmp_path / "a.png")
    session = Session.new(user="Ada")
    [entry] = page_entries(scan)
    session.add_pages([entry])
    page = replace(api.page_from_array(np.asarray(Image.open(scan))), id=entry.id)
    old = fake_stages.NoNetworks(weights_hash="old")
    session.set_analysis(entry.id, api.digitize_page(page, stem="a", runtime=old).analysis)
    session.save(tmp_path / "p.ecgproj")
    code, _, err = run("replay", tmp_path / "p.ecgproj")
    assert code == 0
    assert "other network weights" in err


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


# --- real stages ---------------------------------------------------------------------------------------------


def test_a_correction_makes_a_real_page_right_again_and_replays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A page whose gain was set wrong by the settings of the project is put right by a human's correction."""
    from ecgstudio.stages.settings import GridSettings, PipelineSettings

    monkeypatch.setattr(api, "load_runtime", lambda *_: FakeRuntime())
    drawn = draw_page(seed=3)
    Image.fromarray(drawn.page.pixels).save(tmp_path / "a.png")
    session = Session.new(user="Ada", settings=PipelineSettings(grid=GridSettings(mm_per_mV=20.0)))
    [entry] = page_entries(tmp_path / "a.png")
    session.add_pages([entry])
    file = tmp_path / "p.ecgproj"
    session.save(file)
    assert cli.main(["export", str(file), "-o", str(tmp_path / "wrong"), "--format", "wfdb"]) == 1  # the print says 10
    session.set_corrections(entry.id, Corrections(grid=GridEdit(NO_MOVES, mm_per_mV=10.0)), text="gain")
    session.save()
    assert cli.main(["export", str(file), "-o", str(tmp_path / "out"), "--format", "wfdb,json"]) == 0
    assert cli.main(["replay", str(file), "--format", "wfdb,json"]) == 0
    record = wfdb.rdrecord(str(tmp_path / "out" / "a"))
    assert record_snr_db(EcgRecord(record.p_signal.T, record.fs), drawn.mv, fs=500.0) > 30
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out")


# --- what belongs to a page ----------------------------------------------------------------------------------


def test_the_layout_of_a_page_is_that_of_its_export_and_replay(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_traces(*arguments: object, settings: TraceSettings, **others: object) -> DigitizedEcg:
        return replace(fake_stages.read_traces(*arguments, **others), layout=settings.layout)  # type: ignore[arg-type]

    monkeypatch.setattr(stage2_trace, "read_traces", read_traces)
    scans = [
        (draw(tmp_path / "a.png"), Corrections(layout="6x2")),
        (draw(tmp_path / "b.png", shade=250), NO_CORRECTIONS),
    ]
    file = project(tmp_path / "p.ecgproj", *scans)
    everything = ("--format", "wfdb,csv,long,json,overlay")
    run("export", file, "-o", tmp_path / "out", *everything)
    run("replay", file, *everything)
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out")
    reports = [json.loads((tmp_path / "out" / f"{stem}.json").read_text("utf-8")) for stem in ("a", "b")]
    assert [report["layout"] for report in reports] == ["6x2", "auto"]
    assert reports[0]["corrections"]["layout"] == "6x2"


@pytest.fixture(scope="module")
def drawn_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "ecg.png"
    Image.fromarray(draw_page(seed=3).page.pixels).save(path)
    return path


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line on perfect networks."""
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: FakeRuntime())

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_fiducials_that_a_human_placed_are_those_of_the_report_and_the_replay(
    perfect: Run, tmp_path: Path, drawn_scan: Path
) -> None:
    placed = Corrections(fiducials=FiducialEdit((FiducialPlace("QRS onset", -0.1), FiducialPlace("T end", 0.35))))
    reports = []
    for name, value in (("found", NO_CORRECTIONS), ("placed", placed)):
        file = project(tmp_path / f"{name}.ecgproj", (drawn_scan, value))
        perfect("export", file, "-o", tmp_path / name)
        reports.append(json.loads((tmp_path / name / "ecg.json").read_text("utf-8"))["intervals"])
    assert reports[0]["by_hand"] == []
    assert reports[1]["by_hand"] == ["QRS onset", "T end"]
    assert reports[1]["qt_ms"] == pytest.approx(450.0)
    assert reports[1]["qt_ms"] != reports[0]["qt_ms"]
    assert reports[1]["rate_per_min"] == reports[0]["rate_per_min"] == pytest.approx(75.0, abs=0.5)
    perfect("replay", tmp_path / "placed.ecgproj", "--format", "wfdb,csv,json")
    assert contents(tmp_path / "placed-replay")["ecg.json"] == contents(tmp_path / "placed")["ecg.json"]


def test_erased_samples_are_missing_in_every_format_and_never_zero(
    perfect: Run, tmp_path: Path, drawn_scan: Path
) -> None:
    page = replace(api.page_from_array(np.asarray(Image.open(drawn_scan))), source="ecg.png")
    automatic = api.digitize_page(page, stem="ecg", runtime=FakeRuntime())
    assert automatic.record is not None
    trace = automatic.analysis.traces.value.of("V2")[0]  # type: ignore[union-attr]
    ends = [(float(x), float(y)) for x, y in trace.xy[[0, 500]]]
    first = round(trace.t0_s * 500)
    file = project(tmp_path / "p.ecgproj", (drawn_scan, Corrections(traces=TraceEdit((TraceErase(*ends),)))))
    code, _, _ = perfect("export", file, "-o", tmp_path / "out", "--format", "wfdb,csv,long,json")
    assert code == 0
    gone = slice(first, first + 501)
    v2 = LEADS.index("V2")
    table = np.genfromtxt(tmp_path / "out" / "ecg.csv", delimiter=",", names=True)
    assert np.isfinite(automatic.record.mv[v2, gone]).mean() > 0.98
    assert np.isnan(table["V2"][gone]).all()
    assert np.isfinite(table["V2"][first + 501 : first + 1200]).all()
    assert np.isnan(wfdb.rdrecord(str(tmp_path / "out" / "ecg")).p_signal[gone, v2]).all()
    rows = [line.split(",") for line in (tmp_path / "out" / "ecg-long.csv").read_text().splitlines()]
    values = [value for name, value in rows if name.endswith("_V2")]
    assert values[:501] == [""] * 501  # the next samples keep their time
    assert float(values[600]) == pytest.approx(table["V2"][first + 600], abs=1e-3)
    for lead in ("V1", "V3"):
        np.testing.assert_allclose(table[lead], automatic.record.mv[LEADS.index(lead)], atol=1e-3, equal_nan=True)


def test_a_corrected_grid_is_replayed_to_the_same_bytes(perfect: Run, tmp_path: Path, drawn_scan: Path) -> None:
    page = api.page_from_array(np.asarray(Image.open(drawn_scan)))
    automatic = api.digitize_page(page, stem="ecg", runtime=FakeRuntime(), upto=Stage.GRID).analysis
    node = automatic.grid.value.nodes[10, 20]  # type: ignore[union-attr]
    file = project(
        tmp_path / "p.ecgproj",
        (drawn_scan, Corrections(grid=GridEdit(np.array([[node, node + np.array([0.0, 6.0])]])))),
    )
    everything = ("--format", "wfdb,csv,long,json,overlay")
    perfect("export", file, "-o", tmp_path / "out", *everything)
    perfect("export", file, "-o", tmp_path / "again", *everything)  # from what the first one kept
    perfect("replay", file, *everything)
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out") == contents(tmp_path / "again")
