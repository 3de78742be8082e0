"""A trained classifier becomes bundled weights, with its calibration; others are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ecgstudio.errors import UserError
from ecgstudio.nets.torch_runtime import TorchRuntime
from ecgstudio.nets.weights import Manifest, WeightsEntry, load_bundled, read_manifest, read_network, write_manifest
from tests.tiny_classifier import TEMPERATURES, THRESHOLDS, write_checkpoint
from training.bundle import bundle
from training.cli import main


def test_a_classifier_keeps_weights_temperatures_and_thresholds(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    entry = bundle(checkpoint, folder=tmp_path / "weights", training_data="PTB-XL", licence="CC BY 4.0")
    assert (entry.file, entry.network, entry.licence) == ("fusion.safetensors", "fusion", "CC BY 4.0")
    assert entry.training_data == "PTB-XL; 12 views of records"
    assert entry.metrics == {"val_macro_auc_roc": 0.9}
    bundled = load_bundled(read_manifest(tmp_path / "weights"), "fusion").state_dict()
    for name, tensor in read_network(checkpoint).state_dict().items():
        assert torch.equal(bundled[name], tensor)
    assert bundled["temperature"].tolist() == pytest.approx(TEMPERATURES)
    assert bundled["threshold"].tolist() == pytest.approx(THRESHOLDS)


def test_the_command_bundles_what_the_runtime_then_uses(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    assert main(["bundle", str(checkpoint), "--out", str(tmp_path / "weights")]) == 0
    runtime = TorchRuntime(read_manifest(tmp_path / "weights"), device=torch.device("cpu"))
    assert runtime.classes == ("NORM", "MI", "STTC", "CD", "HYP")


def test_bundling_a_classifier_leaves_the_other_networks_alone(tmp_path: Path) -> None:
    checkpoint, folder = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "weights"
    other = WeightsEntry("trace.safetensors", "0" * 64, "trace", {}, "strips", "pages", "Apache-2.0")
    folder.mkdir()
    write_manifest(Manifest(folder, {"trace": other}))
    bundle(checkpoint, folder=folder)
    entry = bundle(checkpoint, folder=folder, training_data="more")
    assert dict(read_manifest(folder).entries) == {"trace": other, "fusion": entry}


def test_a_classifier_that_was_never_calibrated_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors", calibrated=False)
    with pytest.raises(UserError, match=r"tiny\.safetensors was never calibrated"):
        bundle(checkpoint, folder=tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_classifier_is_not_measured_on_pages(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    with pytest.raises(UserError, match="measured by `classify evaluate`"):
        bundle(checkpoint, folder=tmp_path / "weights", data=tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    checkpoint, folder = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "weights"
    folder.write_text("in the way")
    command = [sys.executable, "-m", "training", "bundle", str(checkpoint), "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"{folder} cannot be written: File exists\n")
    assert folder.read_text() == "in the way"
