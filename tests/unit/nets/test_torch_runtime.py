"""The torch runtime: maps as the contract promises them, whatever the device does."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgstudio.errors import UserError
from ecgstudio.nets import precision, torch_runtime
from ecgstudio.nets.torch_runtime import TorchRuntime, load_runtime
from ecgstudio.nets.weights import read_manifest, read_network
from ecgstudio.stages.contract import Runtime


@pytest.fixture
def runtime(weights_dir: Path) -> TorchRuntime:
    return load_runtime("cpu", weights_dir)


@pytest.fixture
def image() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    return pixels


@pytest.fixture
def strips() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(3, 2, 64, 48)).astype(np.float32)
    values.flags.writeable = False
    return values


def test_it_is_a_runtime_of_the_contract(runtime: TorchRuntime, weights_dir: Path) -> None:
    promised: Runtime = runtime
    assert promised.device == "cpu"
    assert promised.weights_hash == read_manifest(weights_dir).digest


def test_keypoint_maps_are_probabilities(runtime: TorchRuntime, image: np.ndarray) -> None:
    maps = runtime.keypoints(image)
    assert maps.labels.shape == (19, 24, 16)
    assert maps.geometry.shape == (4, 3, 2)
    np.testing.assert_allclose(maps.labels.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(maps.orientation.sum(), 1, atol=1e-5)
    assert ((maps.geometry[0] > 0) & (maps.geometry[0] < 1)).all()


def test_grid_maps_are_probabilities(runtime: TorchRuntime, image: np.ndarray) -> None:
    maps = runtime.grid(image)
    assert maps.phase.shape == (4, 24, 16)
    for name in ("points", "lines", "axis", "ink", "edge"):
        values = getattr(maps, name)
        assert values.shape[-2:] == (24, 16)
        assert ((values >= 0) & (values <= 1)).all()


def test_trace_maps_are_log_softmax_over_the_rows(runtime: TorchRuntime, strips: np.ndarray) -> None:
    maps = runtime.trace(strips)
    assert maps.columns.shape == (3, 64, 96)
    np.testing.assert_allclose(np.exp(maps.columns).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(maps.segmentation.sum(1), 1, atol=1e-5)
    assert ((maps.presence >= 0) & (maps.presence <= 1)).all()


def test_answers_are_those_of_the_network(
    runtime: TorchRuntime, weights_dir: Path, strips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "half_pays", lambda device: False)
    with torch.inference_mode():
        logits = read_network(weights_dir / "trace.safetensors")(torch.from_numpy(strips.copy()))
    np.testing.assert_allclose(runtime.trace(strips).columns, logits.columns.log_softmax(1).numpy(), atol=1e-4)


def test_strips_read_one_by_one_give_the_same_answer(
    runtime: TorchRuntime, strips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = runtime.trace(strips)
    monkeypatch.setitem(torch_runtime.STRIP_PIXELS_PER_CALL, "cpu", 1)
    apart = runtime.trace(strips)
    np.testing.assert_allclose(apart.columns, together.columns, atol=1e-5)
    np.testing.assert_allclose(apart.boundary, together.boundary, atol=1e-5)


def test_threads_share_one_runtime(runtime: TorchRuntime, image: np.ndarray) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: runtime.grid(image).points, range(8)))
    for answer in answers:
        np.testing.assert_allclose(answer, answers[0], atol=1e-6)


@pytest.mark.logs("the fallback is announced")
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_device_without_room_leaves_the_work_to_the_cpu(
    weights_dir: Path,
    image: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: RuntimeError,
) -> None:
    runtime = TorchRuntime(read_manifest(weights_dir), device=torch.device("cuda"))
    build = runtime._network

    def full(name: str, device: torch.device) -> torch.nn.Module:
        if device.type == "cuda":
            raise error
        return build(name, device)

    def on_device(device: torch.device, name: str, pixels: torch.Tensor, *, half: bool) -> list[np.ndarray]:
        full(name, device)
        return run_on(device, name, pixels, half=half)

    run_on = runtime._run_on
    monkeypatch.setattr(runtime, "_run_on", on_device)
    assert runtime.grid(image).points.shape == (24, 16)
    assert "cuda is out of memory: the grid network runs on the CPU" in caplog.text


def test_other_device_errors_are_not_hidden(
    weights_dir: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal instruction was encountered")

    runtime = TorchRuntime(read_manifest(weights_dir), device=torch.device("cuda"))
    monkeypatch.setattr(runtime, "_run_on", broken)
    with pytest.raises(RuntimeError, match="illegal instruction"):
        runtime.grid(image)


@pytest.mark.parametrize("device", ["tpu", "cuda:x"])
def test_an_unknown_device_is_refused(weights_dir: Path, device: str) -> None:
    with pytest.raises(UserError, match="device"):
        load_runtime(device, weights_dir)


def test_missing_weights_are_found_before_any_work(weights_dir: Path) -> None:
    (weights_dir / "trace.safetensors").unlink()
    with pytest.raises(UserError, match="weights of the trace network are missing"):
        load_runtime("cpu", weights_dir)


def test_damaged_weights_are_found_before_any_work(weights_dir: Path) -> None:
    path = weights_dir / "trace.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="are damaged"):
        load_runtime("cpu", weights_dir)


def test_a_wrong_size_is_refused(runtime: TorchRuntime) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        runtime.grid(np.zeros((100, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="multiples of 32 and 16"):
        runtime.trace(np.zeros((1, 2, 64, 40), np.float32))
