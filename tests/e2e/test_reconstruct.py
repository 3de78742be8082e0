"""Reconstruction from outside: pairs rendered, trained on, evaluated; bad input; `digitize --reconstruct`."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import wfdb
from PIL import Image
from safetensors.numpy import load_file

from ecgstudio import api
from ecgstudio.commands import digitize
from ecgstudio.core.corrections import Corrections, TraceEdit, TraceErase
from ecgstudio.nets.weights import RECONSTRUCT, load_bundled, read_manifest
from ecgstudio.session import Session
from ecgstudio.stages.settings import PipelineSettings, ReconstructSettings
from tests.e2e.command_line import Run, contents, draw, files, project
from tests.fake_stages import Lifting
from training.cli import main

HOLE = TraceErase((60.0, 50.0), (70.0, 50.0))  # of lead I, 0.2 s long
QUICK = ["--epochs", "2", "--batch-size", "4", "--learning-rate", "0.002", "--set", "workers=0"]
QUICK += ["--set", "tensorboard=false"]


def train(data: Path, save: Path, *more: str) -> int:
    return main(["reconstruct", "train", "--data", str(data), "--model-save-path", str(save), *QUICK, *more])


def write_pair(base: Path, *, mv: np.ndarray | None = None, size: tuple[int, int] = (400, 400), fs: int = 100) -> None:
    base.parent.mkdir(parents=True, exist_ok=True)
    t_s = np.arange(250) / 100
    signal = np.sin(2 * np.pi * 1.2 * t_s) if mv is None else mv
    wfdb.wrsamp(
        base.name,
        fs=fs,
        units=["mV"],
        sig_name=["II"],
        p_signal=signal[:, None],
        fmt=["16"],
        write_dir=str(base.parent),
    )
    pixels = np.full((size[1], size[0], 3), 255, np.uint8)
    x = np.linspace(0, size[0] - 1, len(signal)).astype(int)
    pixels[np.clip(size[1] // 2 - (signal * 60), 0, size[1] - 1).astype(int), x] = 0
    Image.fromarray(pixels).save(base.with_suffix(".png"))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    rng = np.random.default_rng(0)
    for number in range(12):
        mv = rng.uniform(0.3, 1) * np.sin(2 * np.pi * (1.2 * np.arange(250) / 100 + rng.random()))
        write_pair(folder / f"case-{number:02d}", mv=mv)
    return folder


# --- one command ---------------------------------------------------------------------------------------------


def test_pairs_that_it_renders_itself_are_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = tmp_path / "pairs", tmp_path / "run"
    assert main(["reconstruct", "pairs", "--out", str(data), "--count", "10", "--kind", "render"]) == 0
    assert {split: len(list((data / split).glob("*.png"))) for split in ("train", "val", "test")} == {
        "train": 8, "val": 1, "test": 1,
    }  # fmt: skip
    with Image.open(next((data / "train").glob("*.png"))) as picture:
        assert picture.size == (400, 400)
    record = wfdb.rdrecord(str(next((data / "train").glob("*.hea")).with_suffix("")))
    assert (record.fs, record.sig_len, record.units) == (500, 1250, ["mV"])
    assert train(data, run) == 0
    assert {"best.safetensors", "last.pt", "history.jsonl", "learning_curves.png"} <= {p.name for p in run.iterdir()}
    evaluation = {p.name for p in (run / "evaluation").iterdir()}
    assert evaluation == {"metrics.json", "examples.csv", "signal_comparison.png", "test_metrics.png"}
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    for kind in ("train", "validation"):
        told = [row for row in rows if row["kind"] == kind]
        assert len(told) == 2  # one for each epoch
        assert {"snr_db", "mse", "mae"} <= set(told[0])
    capsys.readouterr()
    assert main(["reconstruct", "evaluate", str(run), "--data", str(data), "--out", str(tmp_path / "again")]) == 0
    assert "snr_db" in capsys.readouterr().out
    assert (tmp_path / "again" / "metrics.json").is_file()


def test_a_few_steps_make_a_spoilt_series_better(pairs: Path, tmp_path: Path) -> None:
    more = ["--epochs", "20", "--set", "validation_examples=4", "--set", "warmup_steps=5"]
    more += ["--set", "hidden=0.0", "--set", "blur_s=0.0", "--set", "wander_mv=0.0", "--set", "noise_mv=0.3"]
    assert train(pairs, tmp_path / "run", *more) == 0
    figures = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())["as given"]["pairs"]
    assert figures["snr_db"] > figures["snr_before_db"] + 1.5
    assert figures["mae_mv"] < figures["mae_before_mv"]


def test_the_picture_encoder_can_be_a_transformer(pairs: Path, tmp_path: Path) -> None:
    assert train(pairs, tmp_path / "run", "--image-encoder", "vit", "--epochs", "1") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["image_encoder"] == "vit"


def test_a_run_goes_on_where_it_stopped(pairs: Path, tmp_path: Path) -> None:
    assert train(pairs, tmp_path / "run", "--epochs", "1") == 0
    assert train(pairs, tmp_path / "run", "--epochs", "2", "--resume") == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [2, 4]


@pytest.mark.logs("the commands tell errors through the log")
def test_a_run_begins_with_the_weights_of_another(
    pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert train(pairs, tmp_path / "first", "--epochs", "1") == 0
    still = ["--epochs", "1", "--start-from", str(tmp_path / "first"), "--learning-rate", "1e-12"]
    assert train(pairs, tmp_path / "second", *still) == 0
    first, second = (load_file(tmp_path / run / "best.safetensors") for run in ("first", "second"))
    weights = [name for name in first if name.endswith("weight")]
    assert weights
    for name in weights:
        np.testing.assert_allclose(first[name], second[name], atol=1e-6)
    assert train(pairs, tmp_path / "third", *still, "--image-encoder", "vit") == 1
    assert "another shape" in caplog.text


def test_what_was_trained_is_bundled_at_half_the_size(pairs: Path, tmp_path: Path) -> None:
    assert train(pairs, tmp_path / "run") == 0
    best, out = tmp_path / "run" / "best.safetensors", tmp_path / "weights"
    assert main(["bundle", str(best), "--out", str(out), "--data", str(pairs)]) == 0
    entry = read_manifest(out).entries[RECONSTRUCT]
    assert {"snr_db", "snr_before_db"} <= set(entry.metrics)
    assert (out / entry.file).stat().st_size < 0.6 * best.stat().st_size
    assert load_bundled(read_manifest(out), RECONSTRUCT) is not None


@pytest.mark.logs("the commands tell errors through the log")
def test_a_run_is_not_overwritten(pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert train(pairs, tmp_path / "run", "--epochs", "1") == 0
    assert train(pairs, tmp_path / "run", "--epochs", "1") == 1
    assert "use --resume" in caplog.text


# --- bad input: one line that names the file -----------------------------------------------------------------


def spoil_missing_signal(folder: Path) -> str:
    (folder / "case-03.dat").unlink()
    return "case-03.dat is missing"


def spoil_missing_header(folder: Path) -> str:
    (folder / "case-03.hea").unlink()
    return "case-03.hea is missing"


def spoil_missing_picture(folder: Path) -> str:
    (folder / "case-03.png").unlink()
    return "case-03.png is missing"


def spoil_size(folder: Path) -> str:
    write_pair(folder / "case-04", size=(300, 400))
    return "case-04.png has 300 x 400 pixels, not 400 x 400"


def spoil_picture(folder: Path) -> str:
    (folder / "case-04.png").write_bytes(b"no picture")
    return "case-04.png cannot be read as a picture"


def spoil_length(folder: Path) -> str:
    write_pair(folder / "case-05", mv=np.sin(np.arange(200) / 9.0))
    return "case-05.dat holds 1 x 200 samples"


def spoil_rate(folder: Path) -> str:
    write_pair(folder / "case-05", fs=250)
    return "case-05.dat holds 1 x 250 samples at 250 Hz"


def spoil_sample(folder: Path) -> str:
    mv = np.sin(np.arange(250) / 9.0)
    mv[17] = np.nan
    write_pair(folder / "case-06", mv=np.nan_to_num(mv))
    samples = np.fromfile(folder / "case-06.dat", "<i2")
    samples[17] = -32768  # WFDB's invalid sample
    samples.tofile(folder / "case-06.dat")
    return "case-06.dat: sample 17 of lead II is missing"


def spoil_signal(folder: Path) -> str:
    content = (folder / "case-07.dat").read_bytes()
    (folder / "case-07.dat").write_bytes(content[: len(content) // 2])
    return "case-07.dat cannot be read as a WFDB record"


def spoil_all(folder: Path) -> str:
    shutil.rmtree(folder)
    folder.mkdir()
    return "There are no pairs of .png and .dat"


def spoil_folder(folder: Path) -> str:
    shutil.rmtree(folder)
    return "There is no folder"


@pytest.mark.logs("the commands tell errors through the log")
@pytest.mark.parametrize(
    "spoil",
    [
        spoil_missing_signal, spoil_missing_header, spoil_missing_picture, spoil_size, spoil_picture, spoil_length,
        spoil_rate, spoil_sample, spoil_signal, spoil_all, spoil_folder,
    ],
)  # fmt: skip
def test_bad_pairs_are_named_in_one_line(
    spoil: object, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = spoil(pairs)  # type: ignore[operator]
    assert train(pairs, tmp_path / "run") == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert words in line
    assert "\n" not in line
    assert not (tmp_path / "run").exists()


@pytest.mark.logs("the commands tell errors through the log")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--learning-rate", "-1"], "learning_rate must be positive"),
        (["--set", "nonsense=1"], "no setting 'nonsense'"),
        (["--set", "image_encoder=mlp"], "no image encoder is called 'mlp'"),
    ],
)
def test_bad_settings_are_named(
    more: list[str], words: str, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert train(pairs, tmp_path / "run", *more) == 1
    assert words in caplog.text


@pytest.mark.logs("the commands tell errors through the log")
def test_a_file_that_is_no_network_is_named(pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"nothing")
    assert main(["reconstruct", "evaluate", str(tmp_path / "best.safetensors"), "--data", str(pairs)]) == 1
    assert "best.safetensors is not a checkpoint" in caplog.text


# --- in the product ------------------------------------------------------------------------------------------


def test_without_the_network_it_says_so_before_any_page(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digitize, "read_manifest", lambda folder: SimpleNamespace(entries={}))
    code, out, err = run("digitize", draw(tmp_path / "a.png"), "-o", tmp_path / "out", "--reconstruct")
    assert (code, out) == (1, "")
    assert err == "ecgstudio: These weights hold no network for reconstruction; leave --reconstruct out.\n"
    assert files(tmp_path / "out") == []


def test_reconstruction_is_exported_beside_what_was_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: Lifting())
    monkeypatch.setattr(digitize, "read_manifest", lambda folder: SimpleNamespace(entries={RECONSTRUCT: None}))
    page = draw(tmp_path / "a.png")
    assert run("digitize", page, "-o", tmp_path / "plain")[0] == 0
    code, _, err = run("digitize", page, "-o", tmp_path / "out", "--reconstruct", "--overlay")
    assert (code, err) == (0, "")
    plain, both = (wfdb.rdrecord(str(tmp_path / folder / "a")) for folder in ("plain", "out"))
    assert both.sig_name == [*plain.sig_name, *(f"{lead} reconstructed" for lead in plain.sig_name)]
    np.testing.assert_array_equal(both.p_signal[:, :12], plain.p_signal)
    lifted = both.p_signal[:, 12:] - plain.p_signal
    np.testing.assert_allclose(lifted[np.isfinite(lifted)], 0.5, atol=2e-3)
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert report["settings"]["reconstruct"]["enabled"] is True
    assert len(report["reconstruction"]) == 12
    assert "reconstruction" not in json.loads((tmp_path / "plain" / "a.json").read_text())


@pytest.fixture
def reconstructed(tmp_path: Path) -> Path:
    """Make a project in which traces are reconstructed, with a page of which a human erased a piece of lead I."""
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), Corrections(traces=TraceEdit((HOLE,)))))
    session = Session.load(file)
    settings = PipelineSettings(reconstruct=ReconstructSettings(enabled=True, fill_s=0.5))
    session.set_settings(settings, text="Reconstruct traces")
    session.save()
    return file


def test_a_project_keeps_the_switch_and_replays_it_to_the_same_bytes(
    run: Run, tmp_path: Path, reconstructed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "load_runtime", lambda device="auto", weights_folder=None: Lifting())
    everything = ("--format", "wfdb,csv,long,json,overlay")
    assert run("export", reconstructed, "-o", tmp_path / "out", *everything)[0] == 0
    code, _, err = run("replay", reconstructed, *everything)
    assert code == 0, err
    assert contents(tmp_path / "p-replay") == contents(tmp_path / "out")

    header = (tmp_path / "out" / "a.hea").read_text()
    [line] = [line for line in header.splitlines() if line.startswith("# I reconstructed")]
    assert "% of its samples changed, filled where nothing was read: " in line
    [section] = [each for each in json.loads((tmp_path / "out" / "a.json").read_text())["reconstruction"]
                 if each["lead"] == "I"]  # fmt: skip
    [(start, end)] = section["filled_s"]
    assert f"{start:.3f}-{end:.3f} s" in line
    rows = (tmp_path / "out" / "a.csv").read_text().splitlines()
    names = rows[0].split(",")
    read, made, mark = (names.index(name) for name in ("I", "I_reconstructed", "I_reconstructed_mark"))
    cells = [row.split(",") for row in rows[1:]]
    filled = [row for row in cells if row[mark] == "filled"]
    assert len(filled) == round((end - start) * 500)
    assert all(row[read] == "" and row[made] != "" for row in filled)
    assert all(row[read] != "" for row in cells if row[mark] == "changed")
    assert all(row[read] == row[made] for row in cells if row[mark] == "")


def test_a_project_that_reconstructs_is_read_without_the_network_too(
    run: Run, tmp_path: Path, reconstructed: Path
) -> None:
    code, out, _ = run("replay", reconstructed)
    assert code == 0
    assert "not reconstructed: these weights hold no network for it (switch it off)" in out
    record = wfdb.rdrecord(str(tmp_path / "p-replay" / "a"))
    assert len(record.sig_name) == 12
    assert json.loads((tmp_path / "p-replay" / "a.json").read_text())["reconstruction"] is None


def test_a_project_from_before_the_switch_has_it_off(tmp_path: Path) -> None:
    file = project(tmp_path / "p.ecgproj", (draw(tmp_path / "a.png"), Corrections()))
    document = file.read_text()
    [line] = [line for line in document.splitlines() if '"settings"' in line]
    settings = json.loads("{" + line.strip().rstrip(",") + "}")["settings"]
    assert "reconstruct" in json.dumps(settings)
    del settings["reconstruct"]
    file.write_text(document.replace(line, f'"settings": {json.dumps(settings)},'))
    assert Session.load(file).settings == PipelineSettings()
