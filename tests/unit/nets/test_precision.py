"""Half precision: only where the hardware multiplies it, and with nearly the same answers."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import pytest
import torch

from ecgstudio.nets import precision
from ecgstudio.nets.torch_runtime import TorchRuntime, load_runtime

CPU = torch.device("cpu")
T = TypeVar("T")
InBoth: TypeAlias = Callable[[Callable[[TorchRuntime], T]], tuple[T, T]]


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


@pytest.fixture
def in_both(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> InBoth[T]:
    """Ask a runtime in full and in half precision."""

    def ask(of: Callable[[TorchRuntime], T]) -> tuple[T, T]:
        monkeypatch.setattr(precision, "half_pays", lambda device: False)
        full = of(load_runtime("cpu", weights_dir))
        monkeypatch.setattr(precision, "half_pays", lambda device: True)
        return full, of(load_runtime("cpu", weights_dir))

    return ask


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_grid_network_answers_about_the_same(in_both: InBoth) -> None:
    full, half = in_both(lambda runtime: runtime.grid(picture(96, 64)))
    assert not np.array_equal(full.phase, half.phase)
    assert half.phase.dtype == half.points.dtype == np.float32
    np.testing.assert_allclose(half.phase, full.phase, atol=0.03)
    np.testing.assert_allclose(half.axis, full.axis, atol=0.03)


def test_a_reader_of_texts_answers_about_the_same_and_one_of_names_the_same(in_both: InBoth) -> None:
    noise = np.random.default_rng(1)
    texts, names = (noise.normal(size=(3, 1, *size)).astype(np.float32) for size in ((32, 160), (48, 96)))
    full, half = in_both(lambda runtime: runtime.texts(texts))
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=0.03)
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(*in_both(lambda runtime: runtime.names(names)))


def test_names_are_looked_for_in_half_but_scale_and_tilt_are_told_in_full(in_both: InBoth) -> None:
    full, half = in_both(lambda runtime: runtime.keypoints(picture(448, 384)))  # a whole page, made small
    np.testing.assert_array_equal(half.geometry, full.geometry)
    full, half = in_both(lambda runtime: runtime.keypoints(picture(640, 640)))
    assert not np.array_equal(half.labels, full.labels)
    np.testing.assert_allclose(half.labels, full.labels, atol=0.03)
    assert half.labels.dtype == half.geometry.dtype == half.orientation.dtype == np.float32


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
