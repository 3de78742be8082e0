"""Training settings: defaults, then the TOML file, then the command line."""

from pathlib import Path

import pytest

from training.configs import CropPlan, config_for


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text('steps = 7\nseed = 3\n[stage2]\nencoder = "resnet34d"\n[stage1]\nsteps = 9\n', "utf-8")
    config = config_for("stage2", toml=toml, overrides=["seed=4", "learning_rate=1"])
    assert (config.steps, config.seed, config.encoder, config.learning_rate) == (7, 4, "resnet34d", 1.0)
    assert config_for("stage1", toml=toml).steps == 9


def test_crop_plans_can_be_overridden() -> None:
    config = config_for("stage2", overrides=["crops=[[64, 96, 2, 0.5], [32, 32, 1]]"])
    assert config.crops == (CropPlan(64, 96, 2, 0.5), CropPlan(32, 32, 1))


def test_text_needs_no_quotes() -> None:
    assert config_for("stage0", overrides=["encoder=resnet18d"]).encoder == "resnet18d"


@pytest.mark.parametrize("override", ["colour=red", "steps=many", "steps", "tensorboard=1"])
def test_senseless_overrides_are_refused(override: str) -> None:
    with pytest.raises(ValueError, match=override.split("=")[0]):
        config_for("stage2", overrides=[override])
