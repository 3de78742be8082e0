"""The wide trace network reads where the hardware is fast enough for it, and in bfloat16 where a CPU counts in that."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgstudio.nets import precision
from ecgstudio.nets.torch_runtime import load_runtime
from ecgstudio.nets.weights import (
    TRACE,
    TRACE_WIDE,
    Manifest,
    build_network,
    load_bundled,
    read_manifest,
    write_manifest,
    write_network,
)

CHANNELS = [32, 48, 64, 96]


@pytest.fixture
def both(weights_dir: Path) -> Path:
    """Weights with a wide trace network beside the usual one."""
    network = build_network(TRACE, {"channels": CHANNELS})
    write_network(weights_dir / "wide.safetensors", network, notes={})
    entries = read_manifest(weights_dir).entries
    wide = replace(
        entries[TRACE],
        file="wide.safetensors",
        sha256=hashlib.sha256((weights_dir / "wide.safetensors").read_bytes()).hexdigest(),
        config=asdict(network.config),  # type: ignore[call-overload]
    )
    write_manifest(Manifest(weights_dir, {**entries, TRACE_WIDE: wide}))
    return weights_dir


@pytest.fixture
def strips() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 2, 64, 48)).astype(np.float32)


@pytest.mark.parametrize(("fast", "name"), [(False, TRACE), (True, TRACE_WIDE)])
def test_it_reads_where_half_precision_pays(
    both: Path, strips: np.ndarray, monkeypatch: pytest.MonkeyPatch, fast: bool, name: str
) -> None:
    monkeypatch.setattr(precision, "half_pays", lambda device: fast)
    runtime = load_runtime("cpu", both)
    assert runtime.trace_network == name
    assert runtime.weights_hash == read_manifest(both).digest(trace=name)
    monkeypatch.setattr(precision, "in_half", lambda device, wanted: precision.in_full(device))
    with torch.inference_mode():
        logits = load_bundled(read_manifest(both), name)(torch.from_numpy(strips.copy()))
    np.testing.assert_allclose(runtime.trace(strips).columns, logits.columns.log_softmax(1).numpy(), atol=1e-4)


def test_weights_without_it_read_as_ever(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "half_pays", lambda device: True)
    runtime = load_runtime("cpu", weights_dir)
    assert runtime.trace_network == TRACE
    assert runtime.weights_hash == read_manifest(weights_dir).digest()


def test_records_of_the_two_are_told_apart(both: Path) -> None:
    manifest = read_manifest(both)
    assert manifest.digest() != manifest.digest(trace=TRACE_WIDE)
    lone = replace(manifest, entries={name: each for name, each in manifest.entries.items() if name != TRACE_WIDE})
    assert manifest.digest() == lone.digest()  # what the usual one read stays read


def test_half_precision_answers_about_the_same(
    weights_dir: Path, strips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "half_pays", lambda device: False)
    full = load_runtime("cpu", weights_dir).trace(strips)
    monkeypatch.setattr(precision, "half_pays", lambda device: True)
    half = load_runtime("cpu", weights_dir).trace(strips)
    assert half.columns.dtype == np.float32
    np.testing.assert_allclose(half.columns, full.columns, atol=0.02)
    np.testing.assert_allclose(half.presence, full.presence, atol=0.02)
    np.testing.assert_allclose(np.exp(half.columns).sum(1), 1, atol=1e-5)  # a sum of 64 rows: counted in full
