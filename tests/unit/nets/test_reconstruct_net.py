"""The fusion network for series: shapes with both encoders, no change before training, its place in the runtime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgstudio.errors import UserError
from ecgstudio.nets.reconstruct_net import IMAGE_ENCODERS, ReconstructConfig, ReconstructNet
from ecgstudio.nets.torch_runtime import load_runtime
from ecgstudio.nets.weights import RECONSTRUCT, Manifest, build_network, read_manifest, write_manifest

SMALL = ReconstructConfig(
    samples=64, image_height=64, image_width=64, rows_per_unit=10.0, channels=(8, 8), vit_heads=2, vit_depth=1,
    signal_channels=8, latent=16, band_rows=8,
)  # fmt: skip


def inputs(config: ReconstructConfig, *, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    picture = torch.randn(batch, 2, config.image_height, config.image_width)
    return picture, torch.randn(batch, 3 * config.leads, config.samples)


@pytest.mark.parametrize("encoder", IMAGE_ENCODERS)
@pytest.mark.parametrize(("leads", "samples"), [(1, 64), (12, 64), (1, 50)])
def test_there_is_an_answer_for_every_sample_of_every_lead(encoder: str, leads: int, samples: int) -> None:
    config = replace(SMALL, image_encoder=encoder, leads=leads, samples=samples)
    answer = ReconstructNet(config)(*inputs(config))
    assert answer.shape == (2, leads, samples)


@pytest.mark.parametrize("encoder", IMAGE_ENCODERS)
def test_an_untrained_network_changes_nothing(encoder: str) -> None:
    config = replace(SMALL, image_encoder=encoder)
    assert not ReconstructNet(config)(*inputs(config)).any()


@pytest.mark.parametrize("encoder", IMAGE_ENCODERS)
def test_it_learns_from_picture_and_series(encoder: str) -> None:
    torch.manual_seed(0)
    config = replace(SMALL, image_encoder=encoder)
    network = ReconstructNet(config)
    torch.nn.init.normal_(network.head.weight)
    picture, series = (each.requires_grad_(True) for each in inputs(config))
    network(picture, series).square().sum().backward()
    assert picture.grad is not None
    assert series.grad is not None
    assert picture.grad.abs().sum() > 0
    assert series.grad.abs().sum() > 0


def test_bands_are_the_picture_as_the_series_runs_through_it() -> None:
    config = replace(SMALL, band_steps=(1,))
    network = ReconstructNet(config)
    height, width = config.image_height, config.image_width
    value = torch.linspace(-1.5, 1.5, width)[None]
    rows = torch.arange(height, dtype=torch.float32)[:, None]
    ink_row = (height - 1) / 2 - value[0] * config.rows_per_unit
    picture = torch.exp(-0.5 * ((rows - ink_row) / 1.5) ** 2).expand(1, 2, height, width)
    band = network._along(picture, value)[0].view(2, config.band_rows, width)[0]
    middle = (torch.arange(config.band_rows) - (config.band_rows - 1) / 2)[:, None]
    centre = (band * middle).sum(0) / band.sum(0)
    assert centre.abs().max() < 0.1  # straightened: the ink lies in the band's middle wherever the series goes


def test_without_a_known_scale_there_are_no_bands() -> None:
    assert ReconstructNet(replace(SMALL, rows_per_unit=0.0)).band is None
    assert ReconstructNet(replace(SMALL, leads=2)).band is None


@pytest.mark.parametrize("wrong", [{"image_encoder": "mlp"}, {"samples": 2}, {"image_height": 60}, {"image_width": 62}])
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"choose from|samples"):
        replace(SMALL, **wrong)


def test_the_runtime_answers_for_windows(weights_dir: Path) -> None:
    runtime = load_runtime("cpu", weights_dir)
    assert runtime.reconstructor.startswith("reconstruct ")
    pictures, series = np.zeros((2, 2, 384, 512), np.float32), np.zeros((2, 3, 512), np.float32)
    answer = runtime.reconstruct(pictures, series)
    assert (answer.shape, answer.dtype) == ((2, 512), np.float32)
    assert not answer.any()  # untrained


def test_the_runtime_refuses_other_shapes(weights_dir: Path) -> None:
    runtime = load_runtime("cpu", weights_dir)
    with pytest.raises(ValueError, match="not windows of traces"):
        runtime.reconstruct(np.zeros((1, 2, 384, 500), np.float32), np.zeros((1, 3, 512), np.float32))


def test_weights_may_lack_it(weights_dir: Path) -> None:
    manifest = read_manifest(weights_dir)
    entries = {name: entry for name, entry in manifest.entries.items() if name != RECONSTRUCT}
    write_manifest(Manifest(weights_dir, entries))
    without = load_runtime("cpu", weights_dir)
    assert without.weights_hash == manifest.digest  # pages that were read stay read
    with pytest.raises(UserError, match="no network for reconstruction"):
        _ = without.reconstructor
    with pytest.raises(UserError, match="no network for reconstruction"):
        without.reconstruct(np.zeros((1, 2, 384, 512), np.float32), np.zeros((1, 3, 512), np.float32))


def test_its_default_size_suits_a_cpu() -> None:
    count = sum(p.numel() for p in build_network(RECONSTRUCT, {}).parameters())
    assert count < 1_000_000
