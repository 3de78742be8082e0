"""The training loop: it learns, it stops when it should, and it goes on as if never interrupted."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import IterableDataset

from ecgstudio.nets.weights import build_network, read_header, read_network
from training.bundle import bundle
from training.configs import TraceTraining
from training.loop import Batch, _descend, _Meter, learning_rate, train, validate
from training.run_folder import BEST_FILE, LAST_FILE, Counters, Trained

HEIGHT, WIDTH = 64, 64
BASE = TraceTraining(
    steps=8,
    warmup_steps=2,
    log_every=4,
    validate_every=1000,
    validation_batches=1,
    tensorboard=False,
    device="cpu",
    mixed_precision=False,  # bounds must hold whatever the processor is good at
)


def sine_batch(seed: int) -> Batch:
    """Draw two strips with one soft line each, whose height is known exactly."""
    generator = torch.Generator().manual_seed(seed)
    phase = torch.rand(2, 1, generator=generator) * 6
    x = (torch.arange(2 * WIDTH) + 0.5) / 2 - 0.5
    height = 32 + 9 * torch.sin(x / 9 + phase)
    slope = torch.cos(x / 9 + phase).abs()
    rows = torch.arange(HEIGHT).view(1, -1, 1)
    ink = torch.exp(-0.5 * ((rows - (height[:, None, 0::2] + height[:, None, 1::2]) / 2) / 1.0) ** 2)
    strips = (torch.stack([-ink, -ink], 1) + 0.03 * torch.randn(2, 2, HEIGHT, WIDTH, generator=generator)) / 0.25
    return {
        "strips": strips,
        "height": height,
        "slope": slope,
        "presence": torch.ones_like(height),
        "boundary": torch.zeros_like(height),
        "segmentation": torch.zeros(2, HEIGHT // 4, WIDTH // 2, dtype=torch.long),
    }


class Sines(IterableDataset[Batch]):
    """An endless stream; ``distinct`` batches come round again and again."""

    def __init__(self, *, seed: int, distinct: int) -> None:
        self.seed, self.distinct = seed, distinct

    def __iter__(self) -> Iterator[Batch]:
        index = 0
        while True:
            yield sine_batch(self.seed * 1000 + index % self.distinct)
            index += 1


class SeekableSines(Sines):
    """The same stream, able to begin in the middle."""

    start = 0

    def set_start(self, batch: int) -> None:
        self.start = batch

    def __iter__(self) -> Iterator[Batch]:
        index = self.start
        while True:
            yield sine_batch(self.seed * 1000 + index % self.distinct)
            index += 1


def one_batch(split: str, *, seed: int) -> Sines:
    return Sines(seed=0, distinct=1)


def many_batches(split: str, *, seed: int) -> Sines:
    return Sines(seed=seed, distinct=50)


def many_seekable_batches(split: str, *, seed: int) -> Sines:
    return SeekableSines(seed=seed, distinct=50)


def same_tensors(first: Path, second: Path) -> bool:
    a, b = load_file(first), load_file(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class InterruptAfter:
    """Says at the n-th question that the run shall stop."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_one_tiny_batch_is_learned_to_a_fraction_of_a_pixel(tmp_path: Path) -> None:
    # 120 steps reach .2 to .27 px, as each kind of CPU rounds; these .1
    config = replace(BASE, steps=160, warmup_steps=10, ema_decay=0.9, learning_rate=4e-3)
    train("stage2", config, one_batch, folder=tmp_path)
    values = validate(read_network(tmp_path / BEST_FILE), [sine_batch(0)], config)
    assert values["gross_fraction"] == 0
    assert values["height_error_px"] < 0.25


@pytest.mark.parametrize("factory", [many_batches, many_seekable_batches])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, factory: object) -> None:
    config = replace(BASE, accumulate=2)
    train("stage2", config, factory, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt, match="after 3 steps"):
        train("stage2", config, factory, folder=tmp_path / "parts", interrupted=InterruptAfter(3))
    train("stage2", config, factory, folder=tmp_path / "parts", resume=True)
    assert same_tensors(tmp_path / "whole" / LAST_FILE, tmp_path / "parts" / LAST_FILE)
    whole, parts = (
        torch.load(tmp_path / name / "last.pt", weights_only=True)["network"] for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    config = replace(BASE, steps=1)
    train("stage2", config, one_batch, folder=tmp_path)
    with pytest.raises(FileExistsError, match="--resume"):
        train("stage2", config, one_batch, folder=tmp_path)


def test_validation_without_progress_ends_the_run(tmp_path: Path) -> None:
    config = replace(BASE, steps=50, validate_every=1, patience=3, learning_rate=0.0, ema_decay=0.0)
    result = train("stage2", replace(config, monitor="segmentation"), one_batch, folder=tmp_path)
    assert result.stopped_early
    assert result.steps < 50


def test_a_run_given_in_minutes_ends_on_time_with_a_rate_of_zero(tmp_path: Path) -> None:
    config = replace(BASE, minutes=0.04, log_every=1)
    result = train("stage2", config, one_batch, folder=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text("utf-8").splitlines()]
    assert result.steps > BASE.steps
    assert rows[-1]["elapsed_s"] == pytest.approx(2.4, abs=1.5)
    assert min(row["lr"] for row in rows if row["kind"] == "train") < 0.05 * config.learning_rate


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    config = replace(BASE, warmup_steps=10, constant_until=0.4, learning_rate=1.0)
    assert learning_rate(0, 0.0, config) == pytest.approx(0.1)
    assert learning_rate(100, 0.4, config) == 1.0
    assert learning_rate(100, 0.7, config) == pytest.approx(0.5)
    assert learning_rate(100, 1.0, config) == pytest.approx(0.0)


def test_the_log_names_every_loss_term_and_the_speed(tmp_path: Path) -> None:
    train("stage2", BASE, one_batch, folder=tmp_path)
    row = json.loads((tmp_path / "history.jsonl").read_text("utf-8").splitlines()[0])
    for name in ("loss", "columns", "presence", "boundary", "segmentation", "crops_per_s", "lr", "gradient"):
        assert math.isfinite(row[name])


@pytest.mark.logs("each step that is left out is announced")
def test_a_run_of_nothing_but_infinite_gradients_ends_with_a_reason(tmp_path: Path) -> None:
    def broken(split: str, *, seed: int) -> Sines:
        class Broken(Sines):
            def __iter__(self) -> Iterator[Batch]:
                for batch in super().__iter__():
                    yield batch | {"strips": torch.full_like(batch["strips"], torch.inf)}

        return Broken(seed=0, distinct=1)

    with pytest.raises(FloatingPointError, match="no finite gradient"):
        train("stage2", replace(BASE, steps=100), broken, folder=tmp_path)


def test_a_run_can_begin_with_the_weights_of_another(tmp_path: Path) -> None:
    train("stage2", replace(BASE, steps=3), one_batch, folder=tmp_path / "first")
    start = tmp_path / "first" / LAST_FILE
    config = replace(BASE, steps=1, learning_rate=0.0, start_from=str(start))
    train("stage2", config, one_batch, folder=tmp_path / "second")
    first, second = load_file(start), load_file(tmp_path / "second" / LAST_FILE)
    assert torch.equal(first["columns.weight"], second["columns.weight"])


def test_the_crops_of_earlier_runs_are_counted(tmp_path: Path) -> None:
    first = train("stage2", replace(BASE, steps=3), one_batch, folder=tmp_path / "first")
    assert first.samples == 3 * 2
    on = replace(BASE, steps=2, start_from=str(tmp_path / "first" / LAST_FILE))
    assert train("stage2", on, one_batch, folder=tmp_path / "second").samples == first.samples + 2 * 2
    assert read_header(tmp_path / "second" / LAST_FILE)[2]["samples"] == first.samples + 2 * 2


def test_a_network_is_compiled_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def remember(network: nn.Module, *, dynamic: bool) -> nn.Module:
        assert not dynamic  # a network for all shapes is slower than one for each
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", remember)
    train("stage2", replace(BASE, steps=1), one_batch, folder=tmp_path / "plain")
    assert not compiled
    train("stage2", replace(BASE, steps=1, compile=True), one_batch, folder=tmp_path / "compiled")
    assert [type(network).__name__ for network in compiled] == ["TraceNet"]


def test_the_crops_of_all_processes_are_counted() -> None:
    network = build_network("trace", {})
    trained = Trained(network, network, torch.optim.SGD(network.parameters(), 1e-4), Counters())
    _descend(
        network, trained, iter(Sines(seed=0, distinct=1)), BASE, rate=1e-4, progress=0.0, meter=_Meter(), processes=3
    )
    assert trained.counters.samples == 3 * 2


def test_a_checkpoint_becomes_bundled_weights(tmp_path: Path) -> None:
    from ecgstudio.nets.weights import load_bundled, read_manifest

    train("stage2", replace(BASE, steps=2), one_batch, folder=tmp_path)
    entry = bundle(tmp_path / BEST_FILE, folder=tmp_path / "weights")
    manifest = read_manifest(tmp_path / "weights")
    assert manifest.entries["trace"] == entry
    assert entry.file == "stage2.safetensors"
    assert entry.metrics["loss"] == pytest.approx(read_header(tmp_path / BEST_FILE)[2]["metrics"]["loss"], abs=1e-4)
    network = load_bundled(manifest, "trace")
    best = load_file(tmp_path / BEST_FILE)
    assert torch.equal(network.state_dict()["columns.weight"], best["columns.weight"])


def test_the_command_line_lists_its_commands_without_importing_torch() -> None:
    code = (
        "import sys; from training.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: sys.exit('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for command in ("synth", "train", "evaluate", "bundle"):
        assert command in answer.stdout
