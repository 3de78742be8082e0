"""Half precision: only where the hardware multiplies it, and with nearly the same answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ecgstudio.nets import precision
from ecgstudio.nets.torch_runtime import load_runtime

CPU = torch.device("cpu")


@pytest.fixture
def strips() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 2, 64, 48)).astype(np.float32)


def test_the_trace_network_answers_about_the_same(
    weights_dir: Path, strips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "half_pays", lambda device: False)
    full = load_runtime("cpu", weights_dir).trace(strips)
    monkeypatch.setattr(precision, "half_pays", lambda device: True)
    half = load_runtime("cpu", weights_dir).trace(strips)
    assert not np.array_equal(half.columns, full.columns)
    assert half.columns.dtype == half.presence.dtype == np.float32
    np.testing.assert_allclose(half.columns, full.columns, atol=0.02)
    np.testing.assert_allclose(half.presence, full.presence, atol=0.02)
    np.testing.assert_allclose(np.exp(half.columns).sum(1), 1, atol=1e-5)  # a sum of 64 rows: counted in full


def test_other_networks_count_in_full(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    monkeypatch.setattr(precision, "half_pays", lambda device: False)
    full = load_runtime("cpu", weights_dir).grid(image)
    monkeypatch.setattr(precision, "half_pays", lambda device: True)
    np.testing.assert_array_equal(load_runtime("cpu", weights_dir).grid(image).phase, full.phase)


@pytest.mark.parametrize("feature", precision.CPU_FEATURES)
@pytest.mark.parametrize("there", [False, True])
def test_a_cpu_needs_hardware_for_it(feature: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in precision.CPU_FEATURES:
        monkeypatch.setattr(torch.cpu, each, lambda has=there and each == feature: has)
    assert precision.half_pays(CPU) is there
    product = torch.ones(2, 2)
    with precision.in_half(CPU):
        assert (product @ product).dtype == (torch.bfloat16 if there else torch.float32)
        with precision.in_full(CPU):
            assert (product @ product).dtype == torch.float32
    with precision.in_half(CPU, wanted=False):
        assert (product @ product).dtype == torch.float32


def test_a_torch_that_cannot_tell_counts_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in precision.CPU_FEATURES:
        monkeypatch.delattr(torch.cpu, each)
    assert not precision.half_pays(CPU)
    assert not precision.half_pays(torch.device("mps"))
