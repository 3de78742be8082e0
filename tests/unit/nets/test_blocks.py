"""Encoders, decoders and the folding of normalisation."""

import pytest
import torch

from ecgstudio.nets import blocks


def parameter_count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet18d", 11.196), ("resnet34", 21.285), ("resnet34d", 21.304)],
)
def test_resnet_encoders_have_the_published_number_of_parameters(name: str, millions: float) -> None:
    encoder = blocks.ResNetEncoder(name, 3, entry=(4, 4))
    assert parameter_count(encoder) / 1e6 == pytest.approx(millions, abs=0.001)


@pytest.mark.parametrize("entry", [(4, 4), (4, 2)])
@pytest.mark.parametrize("name", blocks.ENCODERS)
def test_every_encoder_reaches_its_first_decoded_level_at_the_entry_stride(name: str, entry: blocks.Stride) -> None:
    encoder: blocks.CompactEncoder | blocks.ResNetEncoder
    if name == "compact":
        encoder = blocks.CompactEncoder(2, (8, 12, 16, 20), entry=entry, depths=(1, 1, 1, 1))
    else:
        encoder = blocks.ResNetEncoder(name, 2, entry=entry)
    features = encoder.eval()(encoder.enter(torch.zeros(1, 2, 64, 64)))
    sizes = [tuple(feature.shape[2:]) for feature in features]
    assert sizes == [(64 // (entry[0] * 2**k), 64 // (entry[1] * 2**k)) for k in range(4)]
    decoded = blocks.decoder_for(encoder, coordinates=True).eval()(features)
    assert tuple(decoded.shape[2:]) == sizes[0]


def test_space_to_depth_keeps_each_pixel_in_the_cell_that_covers_it() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    image = torch.stack([rows, columns]).unsqueeze(0)
    cells = blocks.space_to_depth(image, (4, 2))
    assert cells.shape == (1, 16, 2, 3)
    assert torch.equal(cells[0, :8] // 4, torch.tensor([[0.0], [1.0]]).expand(8, 2, 3))
    assert torch.equal(cells[0, 8:] // 2, torch.tensor([0.0, 1.0, 2.0]).expand(8, 2, 3))
    assert cells[0, :8, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_y_ramp_is_odd_about_the_middle_and_counts_pixels() -> None:
    ramp = blocks.y_ramp(torch.zeros(1, 1, 30, 5), stride_px=4, unit_px=120.0)[0, 0, :, 0]
    assert torch.allclose(ramp, -ramp.flip(0))
    assert float(ramp[0]) == pytest.approx((2 - 60) / 120)


@pytest.mark.parametrize("name", ["compact", "resnet18d"])
def test_folding_the_normalisation_changes_no_answer(name: str) -> None:
    torch.manual_seed(0)
    encoder: blocks.CompactEncoder | blocks.ResNetEncoder
    if name == "compact":
        encoder = blocks.CompactEncoder(3, (8, 12, 16, 20), entry=(4, 4), depths=(2, 1, 1, 1))
    else:
        encoder = blocks.ResNetEncoder(name, 3, entry=(4, 4))
    blocks.initialise(encoder)
    image = torch.randn(2, 3, 64, 64)
    encoder(encoder.enter(image))
    encoder.eval()
    before = encoder(encoder.enter(image))[-1]
    blocks.fuse_for_inference(encoder)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
    assert torch.allclose(encoder(encoder.enter(image))[-1], before, rtol=1e-4, atol=1e-5)


def test_an_unknown_setting_is_refused() -> None:
    from ecgstudio.nets.trace_net import TraceConfig

    with pytest.raises(ValueError, match="TraceConfig has no colour"):
        blocks.config_from_mapping(TraceConfig, {"colour": "red"})
