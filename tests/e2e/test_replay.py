"""Projects from outside: `replay` gives what `export` gave, byte by byte, from scans and corrections alone."""

import json
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
    TraceEdit,
    TraceErase,
)
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord
from ecgstudio.core.grid import GridFit
from ecgstudio.core.leads import LEADS
from ecgstudio.core.page import PageId
from ecgstudio.io.scans import page_entries
from ecgstudio.session import Session
from ecgstudio.stages import stage1_grid, stage2_trace
from ecgstudio.stages.pipeline import Stage
from ecgstudio.stages.settings import TraceSettings
from tests import fake_stages
from tests.e2e.command_line import CORRECTED, NO_MOVES, Run, contents, draw, in_process, project
from tests.fake_runtime import FakeRuntime, draw_page


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
    return in_process(capsys)


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
