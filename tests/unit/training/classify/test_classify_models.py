"""Every model of the zoo learns, runs are repeatable and can be resumed, pretrained weights are taken over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ecgstudio.errors import InputError
from ecgstudio.nets.fusion_net import FusionConfig, FusionNet
from training.classify.batches import plain_batches
from training.classify.checkpoint import BEST_FILE, BUNDLE_FILE, read_trained
from training.classify.dataset import Examples, Splits
from training.classify.loop import fit, predict
from training.classify.plots import read_history
from training.classify.records import normal_or_not
from training.classify.settings import FULL_SIZE, ClassifySettings, settings_for
from training.classify.vision import ResNet18, load_pretrained
from training.classify.zoo import FIVE_CLASS_MODELS, ZOO, FusionClassifier, build

FULL_SHAPES = {
    "signal": (12, 1000), "clinical": (4,), "gaf": (3, 224, 224), "mtf": (3, 224, 224),
    "strip": (3, 250, 2500), "series": (1000,),
}  # fmt: skip


@pytest.fixture(scope="module")
def clinical_splits(examples: Examples) -> Splits:
    """Strips, series and clinical values of the same records, normal or abnormal."""
    binary = normal_or_not(examples)
    signals = examples.inputs["signal"][:, 1]
    strips = np.random.default_rng(0).integers(0, 255, (len(examples), 3, 16, 100)).astype(np.uint8)
    made = Examples(
        binary.ids,
        {"strip": strips, "series": signals, "clinical": examples.inputs["clinical"][:, :2]},
        binary.labels,
        binary.classes,
    )
    return Splits(made, made, made)


@pytest.mark.parametrize("model", ZOO)
def test_every_model_learns(
    model: str, splits: Splits, clinical_splits: Splits, tiny: ClassifySettings, tmp_path: Path
) -> None:
    settings = replace(tiny, image=ZOO[model].defaults.get("image", "gaf"), epochs=6)
    data = clinical_splits if ZOO[model].family == "clinical" else splits
    result = fit(model, settings, data, folder=tmp_path)
    history = read_history(tmp_path)
    assert history[-1]["train_loss"] < 0.97 * history[0]["train_loss"]
    assert result.path.is_file()
    assert predict(read_trained(result.path).network, data.test).shape == data.test.labels.shape


def test_the_zoo_holds_every_model_that_was_asked_for() -> None:
    assert {"gru", "bigru", "lstm", "bilstm", "bigru_attention", "cnn_bigru_attention"} <= set(FIVE_CLASS_MODELS)
    assert {"alexnet", "vgg", "resnet", "joint_fusion", "fusion"} <= set(FIVE_CLASS_MODELS)
    assert {f"alexnet_{kind}" for kind in ("channel", "spatial", "cbam", "self")} <= set(FIVE_CLASS_MODELS)
    assert ZOO["clinical_fusion"].family == "clinical"


@pytest.mark.parametrize("model", ["alexnet_cbam", "vgg", "resnet", "clinical_fusion"])
def test_the_published_sizes_are_a_matter_of_settings(model: str) -> None:
    settings = settings_for(ZOO[model].defaults, full=True)
    with torch.device("meta"):  # shapes without memory
        network = build(model, settings, FULL_SHAPES, ("A", "B"))
        inputs = {name: torch.empty(2, *shape) for name, shape in FULL_SHAPES.items()}
        assert network(inputs).shape == (2, 2)
    assert settings.image_size == FULL_SIZE["image_size"] == 224


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = settings_for(ZOO["bigru"].defaults)
    assert (settings.learning_rate, settings.weight_decay, settings.batch, settings.epochs) == (1e-3, 1e-4, 32, 50)
    assert (settings.hidden, settings.layers, settings.dropout, settings.patience) == (128, 2, 0.3, 5)
    assert (settings.optimizer, settings.schedule, settings.plateau_factor) == ("adam", "plateau", 0.5)


def test_the_same_seed_gives_the_same_weights_resumed_or_not(
    splits: Splits, tiny: ClassifySettings, tmp_path: Path
) -> None:
    settings = replace(tiny, epochs=4, dropout=0.2, ema=0.9, paper=0.5, mixup=0.3, schedule="plateau")
    fit("bigru", settings, splits, folder=tmp_path / "once")
    fit("bigru", replace(settings, epochs=2), splits, folder=tmp_path / "twice")
    _go_on(tmp_path / "twice")
    fit("bigru", settings, splits, folder=tmp_path / "twice", resume=True)
    once, twice = (load_file(tmp_path / name / BEST_FILE) for name in ("once", "twice"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
    other = replace(settings, seed=1, epochs=1)
    fit("bigru", other, splits, folder=tmp_path / "other")
    assert not torch.equal(load_file(tmp_path / "other" / BEST_FILE)["head.1.weight"], once["head.1.weight"])


def _go_on(run: Path) -> None:
    """Undo that a run of two epochs is finished: a longer one was interrupted here."""
    from safetensors import safe_open

    path = run / "last.safetensors"
    with safe_open(path, framework="pt") as file:
        header = {name: text.replace('"finished": true', '"finished": false') for name, text in file.metadata().items()}
    save_file(load_file(path), path, metadata=header)


def test_a_run_is_not_overwritten(splits: Splits, tiny: ClassifySettings, tmp_path: Path) -> None:
    fit("gru", replace(tiny, epochs=1), splits, folder=tmp_path)
    with pytest.raises(InputError, match="holds a run already"):
        fit("gru", tiny, splits, folder=tmp_path)


def test_training_stops_early_and_halves_the_rate(splits: Splits, tiny: ClassifySettings, tmp_path: Path) -> None:
    hopeless = replace(tiny, epochs=20, patience=4, plateau_patience=1, learning_rate=1e-12, batch=40)
    result = fit("gru", hopeless, splits, folder=tmp_path)
    rates = [row["learning_rate"] for row in read_history(tmp_path)]
    assert result.epochs < 20
    assert rates[-1] <= 0.5 * rates[0]


def test_a_run_ends_when_its_time_is_up(splits: Splits, tiny: ClassifySettings, tmp_path: Path) -> None:
    assert fit("gru", replace(tiny, epochs=20, minutes=1e-6), splits, folder=tmp_path).epochs == 1


def test_tensorboard_is_fed(splits: Splits, tiny: ClassifySettings, tmp_path: Path) -> None:
    fit("gru", replace(tiny, epochs=1, tensorboard=True), splits, folder=tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_model_whose_data_lack_something_says_what(splits: Splits, tiny: ClassifySettings, tmp_path: Path) -> None:
    bare = Examples(
        splits.train.ids, {"signal": splits.train.inputs["signal"]}, splits.train.labels, splits.train.classes
    )
    with pytest.raises(InputError, match="alexnet needs gaf"):
        fit("alexnet", tiny, Splits(bare, bare, bare), folder=tmp_path)


@pytest.mark.parametrize("setting", ["hiden=3", "hidden=many", "hidden"])
def test_a_wrong_setting_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match="hid"):
        settings_for({}, overrides=[setting])


def test_a_file_and_overrides_set_paths_sizes_and_device(tmp_path: Path) -> None:
    toml = tmp_path / "settings.toml"
    toml.write_text('records = "data"\nbatch = 8\ndevice = "cpu"\n[gru]\nhidden = 7\n[lstm]\nhidden = 9\n')
    settings = settings_for({"batch": 64}, table="gru", toml=toml, overrides=["image_size=96"])
    assert (settings.records, settings.batch, settings.device) == ("data", 8, "cpu")
    assert (settings.hidden, settings.image_size) == (7, 96)


# --- the application's network


def test_the_bundle_holds_the_network_with_its_calibration(
    splits: Splits, tiny: ClassifySettings, tmp_path: Path
) -> None:
    fit("fusion", replace(tiny, epochs=1), splits, folder=tmp_path)
    trained = read_trained(tmp_path / BEST_FILE)
    state = load_file(tmp_path / BUNDLE_FILE)
    network = FusionNet()
    network.load_state_dict(state)
    assert network.temperature.tolist() == pytest.approx(trained.calibration.temperature)
    assert network.threshold.tolist() == pytest.approx(trained.calibration.threshold)


def test_statements_are_a_second_task_that_use_does_not_need(
    splits: Splits, tiny: ClassifySettings, tmp_path: Path
) -> None:
    said = splits.train.labels[:, 1:3].astype(np.float32)
    train = splits.train.having(statements=said)
    with_said = Splits(train, train, train)
    settings = replace(tiny, statements=2.0, epochs=12)
    fit("fusion", settings, with_said, folder=tmp_path / "taught")
    trained = read_trained(tmp_path / "taught" / BEST_FILE)
    plain = predict(trained.network, splits.test)
    np.testing.assert_array_equal(plain, predict(trained.network, with_said.test))
    assert isinstance(trained.network, FusionClassifier)
    (inputs,) = plain_batches(with_said.test, batch=len(said))
    logits, statements = trained.network.with_statements(inputs)
    np.testing.assert_allclose(logits.detach().numpy(), plain, atol=1e-5)
    taught = statements.detach().numpy()
    assert all(taught[said[:, k] > 0, k].mean() > taught[said[:, k] == 0, k].mean() + 0.1 for k in range(2))
    FusionNet().load_state_dict(load_file(tmp_path / "taught" / BUNDLE_FILE))
    untaught = build("fusion", tiny, FULL_SHAPES | {"statements": (2,)}, train.classes)
    with pytest.raises(ValueError, match="without statements"):
        untaught.with_statements(inputs)  # type: ignore[operator]


def test_what_was_not_printed_does_not_change_the_answer() -> None:
    network = FusionNet(FusionConfig()).eval()
    signal, mask, clinical = torch.randn(1, 12, 1000), torch.ones(1, 12, 1000), torch.zeros(1, 4)
    assert network(signal, mask, clinical).shape == (1, 5)
    assert torch.isfinite(network(signal * 0, mask * 0, clinical)).all()


# --- pretrained weights


@pytest.fixture(scope="module")
def torchvision_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict with torchvision's names and shapes, its last layer for 1000 classes among them."""
    torch.manual_seed(5)
    state = ResNet18(3, size=224, width=1.0).state_dict()
    state |= {"fc.weight": torch.randn(1000, 512), "fc.bias": torch.randn(1000)}
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(state, path)
    return path


def test_pretrained_weights_are_taken_over(torchvision_like: Path) -> None:
    settings = replace(ClassifySettings(), width=1.0, pretrained=str(torchvision_like))
    network = build("clinical_fusion", settings, FULL_SHAPES | {"strip": (3, 25, 250)}, ("ABNORMAL",))
    given = torch.load(torchvision_like, weights_only=True)
    own = network.state_dict()
    assert len(given) == 122
    for name, tensor in given.items():
        if not name.startswith("fc."):
            assert torch.equal(own[f"encoders.strip.{name}"], tensor)


def test_rgb_filters_fit_a_grey_encoder(torchvision_like: Path) -> None:
    encoder = ResNet18(1, size=224, width=1.0)
    load_pretrained(encoder, torchvision_like)
    filters = torch.load(torchvision_like, weights_only=True)["conv1.weight"]
    assert torch.allclose(encoder.conv1.weight, filters.sum(1, keepdim=True))


def test_weights_that_do_not_fit_are_refused(torchvision_like: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"width=1\.0"):
        load_pretrained(ResNet18(3, size=224, width=0.25), torchvision_like)
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="lacks bn1"):
        load_pretrained(ResNet18(3, size=224, width=1.0), tmp_path / "other.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read"):
        load_pretrained(ResNet18(3, size=224, width=1.0), tmp_path / "broken.pth")
