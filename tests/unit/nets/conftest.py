"""A folder of freshly initialised weights, standing in for the bundled ones."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from ecgstudio.nets.weights import (
    NETWORK_NAMES,
    Manifest,
    WeightsEntry,
    build_network,
    write_manifest,
    write_network,
)


@pytest.fixture
def weights_dir(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    entries = {}
    for name in NETWORK_NAMES:
        network = build_network(name, {})
        path = tmp_path / f"{name}.safetensors"
        write_network(path, network, notes={})
        entries[name] = WeightsEntry(
            file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            network=name,
            config=asdict(network.config),
            input="test",
            training_data="none",
            licence="Apache-2.0",
        )
    write_manifest(Manifest(tmp_path, entries))
    return tmp_path
