"""Weights on disk: what is written can be read, and what was changed is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ecgstudio.errors import UserError
from ecgstudio.nets.weights import (
    MANIFEST_NAME,
    build_network,
    check_entry,
    load_bundled,
    read_header,
    read_manifest,
    read_network,
    write_network,
)


def test_bundled_weights_come_back_as_they_were_written(weights_dir: Path) -> None:
    network = load_bundled(read_manifest(weights_dir), "trace")
    written = read_network(weights_dir / "trace.safetensors")
    assert not network.training
    for name, tensor in written.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_a_changed_file_is_refused(weights_dir: Path) -> None:
    path = weights_dir / "grid.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged: their sha256"):
        load_bundled(read_manifest(weights_dir), "grid")


def test_weights_of_another_network_are_refused(weights_dir: Path) -> None:
    path = weights_dir / MANIFEST_NAME
    parsed = json.loads(path.read_text("utf-8"))
    parsed["networks"]["trace"]["file"] = parsed["networks"]["grid"]["file"]
    parsed["networks"]["trace"]["sha256"] = parsed["networks"]["grid"]["sha256"]
    path.write_text(json.dumps(parsed), "utf-8")
    with pytest.raises(UserError, match="do not fit the trace network"):
        load_bundled(read_manifest(weights_dir), "trace")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights are missing: there is no .*manifest\.json"):
        read_manifest(tmp_path)


def test_a_missing_file_is_named(weights_dir: Path) -> None:
    (weights_dir / "keypoint.safetensors").unlink()
    with pytest.raises(UserError, match=r"missing: there is no .*keypoint\.safetensors"):
        check_entry(read_manifest(weights_dir), "keypoint")


@pytest.mark.parametrize("text", ["", "[]", '{"networks": {"trace": {}}}', '{"networks": []}'])
def test_a_senseless_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text, "utf-8")
    with pytest.raises(UserError, match="damaged"):
        read_manifest(tmp_path)


def test_a_manifest_cannot_point_outside_its_folder(weights_dir: Path) -> None:
    path = weights_dir / MANIFEST_NAME
    path.write_text(path.read_text("utf-8").replace("trace.safetensors", "../trace.safetensors"), "utf-8")
    with pytest.raises(UserError, match="not a plain file name"):
        read_manifest(weights_dir)


def test_the_digest_changes_with_any_file(weights_dir: Path) -> None:
    path = weights_dir / MANIFEST_NAME
    before = read_manifest(weights_dir)
    sha256 = before.entries["trace"].sha256
    path.write_text(path.read_text("utf-8").replace(sha256, "0" * 64), "utf-8")
    assert read_manifest(weights_dir).digest != before.digest


def test_half_precision_files_load_as_float32(tmp_path: Path) -> None:
    network = build_network("trace", {})
    write_network(tmp_path / "half.safetensors", network, notes={"stage": "stage2"}, half=True)
    loaded = read_network(tmp_path / "half.safetensors")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert read_header(tmp_path / "half.safetensors")[2] == {"stage": "stage2"}
    assert (tmp_path / "half.safetensors").stat().st_size < 1_000_000


def test_reading_a_manifest_does_not_import_torch(weights_dir: Path) -> None:
    code = (
        "import sys, pathlib; from ecgstudio.nets.weights import read_manifest; "
        "read_manifest(pathlib.Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(weights_dir)], check=True)
