"""What helps to find out why a training does not do what it should: more words, tracebacks, few batches, given GPUs."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ecgstudio.nets.weights import read_network
from tests.unit.training.test_loop import BASE, many_batches, one_batch, sine_batch
from training import cli, loop
from training.configs import config_for
from training.loop import World, train, validate
from training.run_folder import BEST_FILE


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Pretend that there are four GPUs; what is chosen ends the run and is noted."""
    chosen: list[torch.device] = []

    def note(device: torch.device) -> None:
        chosen.append(device)
        raise InterruptedError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", note)
    return chosen


@pytest.mark.parametrize(
    ("overrides", "rank", "expected"),
    [
        (["gpus=[2,3]"], 0, "cuda:2"),
        (["gpus=[2,3]"], 1, "cuda:3"),
        ([], 1, "cuda:1"),
        (["device=cuda"], 1, "cuda:1"),
        (["device=cuda:3"], 0, "cuda:3"),
    ],
)
def test_every_process_takes_its_gpu(
    gpus: list[torch.device], tmp_path: Path, overrides: list[str], rank: int, expected: str
) -> None:
    config = config_for("stage2", overrides=overrides)
    with pytest.raises(InterruptedError):
        train("stage2", config, one_batch, folder=tmp_path, world=World(rank, 2, rank))
    assert gpus == [torch.device(expected)]


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(("numbers", "rank", "complaint"), [((7,), 0, "no GPU 7"), ((0,), 1, "1 GPUs are named")])
def test_a_gpu_that_is_not_there_is_named(tmp_path: Path, numbers: tuple[int, ...], rank: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        train("stage2", replace(BASE, gpus=numbers), one_batch, folder=tmp_path, world=World(rank, 2, rank))


@pytest.mark.logs("the error messages")
def test_the_command_line_takes_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for numbers in ("1,2", "a"):
        assert cli.main(["train", "stage2", "--data", "none", "--out", str(tmp_path), "--gpus", numbers]) == 1
    assert "there is no GPU 1" in caplog.text
    assert "gpus takes a list of whole numbers" in caplog.text


def test_a_few_batches_are_learned_by_heart(tmp_path: Path) -> None:
    config = replace(BASE, steps=120, warmup_steps=10, ema_decay=0.9, learning_rate=4e-3, overfit_batches=1)
    result = train("stage2", config, many_batches, folder=tmp_path)
    learned = validate(read_network(tmp_path / BEST_FILE), [sine_batch(0)], config)  # the first of the many
    assert learned["height_error_px"] < 0.5
    assert result.best == pytest.approx(learned["loss"], rel=1e-3)


def test_every_step_is_told_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "training"):
        train("stage2", replace(BASE, steps=3), one_batch, folder=tmp_path)
    told = (tmp_path / "log.txt").read_text("utf-8")
    assert [f"step {number} loss" in told for number in (1, 2, 3, 4)] == [True, True, True, False]


def test_steps_are_not_told_unless_asked(tmp_path: Path) -> None:
    train("stage2", replace(BASE, steps=3), one_batch, folder=tmp_path)
    assert "step 1 loss" not in (tmp_path / "log.txt").read_text("utf-8")


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.filterwarnings("ignore:Error detected in SqrtBackward0:UserWarning")
def test_debugging_names_the_operation_that_made_a_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(outputs: object, batch: dict[str, Tensor], *_: object, **__: object) -> dict[str, Tensor]:
        weight = nn.Parameter(torch.zeros(1))
        return {"loss": (torch.sqrt(weight) * 0.0).sum()}

    monkeypatch.setitem(loop.LOSSES, "trace", broken)
    with pytest.raises(RuntimeError, match="SqrtBackward0"):
        train("stage2", replace(BASE, detect_anomaly=True), one_batch, folder=tmp_path)


@pytest.mark.parametrize(("options", "shown"), [([], False), (["--verbose"], False), (["--debug"], True)])
def test_debugging_shows_the_traceback_of_an_error(tmp_path: Path, options: list[str], shown: bool) -> None:
    command = [sys.executable, "-m", "training", "evaluate", "--data", str(tmp_path / "none"), *options]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "There is no folder" in said.stderr
    assert ("Traceback" in said.stderr) == shown


def test_synth_names_every_page_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for option, named in (("-v", True), ("--jobs=1", False)):
        caplog.clear()
        options = ["--count", "1", "--kind", "render", "--jobs", "1", option]
        assert cli.main(["synth", "--out", str(tmp_path), *options]) == 0
        assert ("page-000-000000" in caplog.text) == named
