"""The classifier behind the runtime: calibrated answers, thresholds, attributions that add up, and its absence."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ecgstudio.errors import UserError
from ecgstudio.nets.torch_runtime import TorchRuntime, load_runtime
from ecgstudio.nets.weights import Manifest, load_bundled, read_manifest, write_manifest
from ecgstudio.stages.contract import FloatMap, Runtime
from tests.tiny_classifier import TEMPERATURES, THRESHOLDS, bundle_into, tiny_runtime

Inputs = tuple[FloatMap, FloatMap, FloatMap]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> TorchRuntime:
    return tiny_runtime(tmp_path_factory.mktemp("classifier") / "weights")


@pytest.fixture
def inputs() -> Inputs:
    """Three records, of which the third lacks two leads."""
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(3, 12, 1000)).cumsum(axis=2) * 0.03
    mask = np.ones_like(signal)
    mask[2, :2] = 0
    clinical = np.array([[0, 0, 0, 0], [0.5, 1, 1, 0], [-1, 1, 0, 1]])
    return (signal * mask).astype(np.float32), mask.astype(np.float32), clinical.astype(np.float32)


def test_the_answers_are_calibrated_probabilities(runtime: TorchRuntime, inputs: Inputs) -> None:
    network = load_bundled(runtime._manifest, "fusion")
    with torch.no_grad():
        logits = network(*(torch.from_numpy(each) for each in inputs)).numpy()
    answers = runtime.classify(*inputs)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, 1 / (1 + np.exp(-logits / np.array(TEMPERATURES))), atol=1e-5)


def test_a_record_is_answered_alike_alone_and_in_company(runtime: TorchRuntime, inputs: Inputs) -> None:
    alone = np.concatenate([runtime.classify(*(each[row : row + 1] for each in inputs)) for row in range(3)])
    np.testing.assert_allclose(runtime.classify(*inputs), alone, atol=1e-5)


def test_age_and_sex_count(runtime: TorchRuntime, inputs: Inputs) -> None:
    signal, mask, clinical = inputs
    other = clinical.copy()
    other[1] = (1.5, 1, 0, 1)
    changed = np.abs(runtime.classify(signal, mask, other) - runtime.classify(signal, mask, clinical)).max(axis=1)
    assert changed[1] > 1e-3
    assert changed[0] == changed[2] == 0


def test_classes_and_thresholds_come_with_the_weights(runtime: TorchRuntime) -> None:
    assert runtime.classes == ("NORM", "MI", "STTC", "CD", "HYP")
    assert runtime.thresholds == pytest.approx(THRESHOLDS, abs=1e-4)
    sha256 = runtime._manifest.entries["fusion"].sha256
    assert runtime.classifier == f"fusion {sha256[:12]}"


@pytest.mark.parametrize("index", range(5))
def test_the_attribution_adds_up_to_the_log_odds_less_those_of_flat_leads(
    runtime: TorchRuntime, inputs: Inputs, index: int
) -> None:
    signal, mask, clinical = (each[2] for each in inputs)
    parts = runtime.attribution(signal, mask, clinical, index)
    assert parts.shape == (12, 1000)
    assert not parts[:2].any()  # what is not known drove nothing
    both = runtime.classify(np.stack([signal, 0 * signal]), np.stack([mask] * 2), np.stack([clinical] * 2))
    whole, flat = np.log(both[:, index] / (1 - both[:, index])).tolist()
    assert float(parts.sum()) == pytest.approx(whole - flat, abs=0.02 + 0.05 * abs(whole - flat))


def test_there_is_no_attribution_for_a_class_that_is_none(runtime: TorchRuntime, inputs: Inputs) -> None:
    with pytest.raises(IndexError, match="no class number 5"):
        runtime.attribution(inputs[0][0], inputs[1][0], inputs[2][0], 5)


@pytest.mark.parametrize("spoil", ["shape", "nan", "empty", "clinical"])
def test_what_a_classifier_cannot_look_at_is_refused(runtime: TorchRuntime, inputs: Inputs, spoil: str) -> None:
    signal, mask, clinical = inputs
    if spoil == "shape":
        signal = signal[:, :, :500]
    elif spoil == "nan":
        signal = np.where(mask > 0, signal, np.nan).astype(np.float32)
    elif spoil == "empty":
        signal, mask, clinical = signal[:0], mask[:0], clinical[:0]
    else:
        clinical = clinical[:2]
    with pytest.raises(ValueError, match="must be finite with shape"):
        runtime.classify(signal, mask, clinical)


@pytest.mark.logs("the runtime says that the device is full")
def test_a_full_device_hands_over_to_the_cpu(
    runtime: TorchRuntime, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, on = runtime.classify(*inputs), runtime._fusion

    def crowded(device: torch.device) -> torch.nn.Module:
        if device.type != "cpu":
            raise RuntimeError("CUDA out of memory")
        return on(device)

    monkeypatch.setattr(runtime, "_fusion", crowded)
    monkeypatch.setattr(runtime, "_device", torch.device("meta"))
    np.testing.assert_array_equal(runtime.classify(*inputs), expected)


# --- weights without a classifier ------------------------------------------------------------------------------


@pytest.fixture
def old_weights(weights_dir: Path) -> Path:
    """A folder of weights from before there was a classifier."""
    entries = dict(read_manifest(weights_dir).entries)
    del entries["fusion"]
    (weights_dir / "fusion.safetensors").unlink()
    write_manifest(Manifest(weights_dir, entries))
    return weights_dir


def test_weights_without_a_classifier_load_and_say_that_they_have_none(old_weights: Path, inputs: Inputs) -> None:
    runtime: Runtime = load_runtime("cpu", old_weights)
    for ask in (
        lambda: runtime.classifier,
        lambda: runtime.classes,
        lambda: runtime.thresholds,
        lambda: runtime.classify(*inputs),
        lambda: runtime.attribution(inputs[0][0], inputs[1][0], inputs[2][0], 0),
    ):
        with pytest.raises(UserError, match="hold no classifier"):
            ask()


def test_a_classifier_that_joins_reads_no_page_anew(old_weights: Path) -> None:
    before = load_runtime("cpu", old_weights)
    after = load_runtime("cpu", bundle_into(old_weights))
    assert after.weights_hash == before.weights_hash
    assert after.classes


def test_a_damaged_classifier_is_found_before_the_first_page(weights_dir: Path) -> None:
    path = weights_dir / "fusion.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"fusion\.safetensors are damaged"):
        load_runtime("cpu", weights_dir)


def test_another_network_under_its_name_is_refused(weights_dir: Path, inputs: Inputs) -> None:
    entries = dict(read_manifest(weights_dir).entries)
    write_manifest(Manifest(weights_dir, {**entries, "fusion": entries["trace"]}))
    with pytest.raises(UserError, match="is another network"):
        load_runtime("cpu", weights_dir).classify(*inputs)
