"""The three networks: shapes of their answers, and which input pixel each answer is about."""

import pytest
import torch

from ecgstudio.nets import blocks
from ecgstudio.nets.grid_net import GridConfig, GridNet
from ecgstudio.nets.keypoint_net import KeypointConfig, KeypointNet
from ecgstudio.nets.trace_net import TraceConfig, TraceNet


@pytest.mark.parametrize("encoder", blocks.ENCODERS)
def test_keypoint_net_answers_with_labels_orientation_and_geometry(encoder: str) -> None:
    network = KeypointNet(KeypointConfig(encoder=encoder)).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, 64, 96))
    assert logits.labels.shape == (2, 19, 16, 24)
    assert logits.orientation.shape == (2, 8)
    assert logits.geometry.shape == (2, 4, 2, 3)


@pytest.mark.parametrize("encoder", blocks.ENCODERS)
def test_grid_net_answers_with_six_maps_at_a_quarter(encoder: str) -> None:
    network = GridNet(GridConfig(encoder=encoder)).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 64, 96))
    channels = {name: getattr(logits, name).shape for name in logits._fields}
    assert channels == {
        "points": (1, 1, 16, 24),
        "phase": (1, 4, 16, 24),
        "lines": (1, 2, 16, 24),
        "axis": (1, 1, 16, 24),
        "ink": (1, 1, 16, 24),
        "edge": (1, 1, 16, 24),
    }


@pytest.mark.parametrize("encoder", blocks.ENCODERS)
@pytest.mark.parametrize(("height", "width"), [(64, 48), (96, 112)])
def test_trace_net_takes_any_height_and_width(encoder: str, height: int, width: int) -> None:
    network = TraceNet(TraceConfig(encoder=encoder)).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(2, 2, height, width))
    assert logits.columns.shape == (2, height, 2 * width)
    assert logits.segmentation.shape == (2, 3, height // 4, width // 2)
    assert logits.presence.shape == logits.boundary.shape == (2, 2 * width)


class OneCell(torch.nn.Module):
    """Stands in for the decoder: features that are zero except in one cell."""

    def __init__(self, channels: int, row: int, column: int) -> None:
        super().__init__()
        self.channels, self.row, self.column = channels, row, column

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        answer = torch.zeros(1, self.channels, *features[0].shape[2:])
        answer[:, :, self.row, self.column] = 1.0
        return answer


def test_a_cell_of_the_trace_head_answers_for_the_pixels_that_the_cell_covers() -> None:
    network = TraceNet(TraceConfig()).eval()
    cell_row, cell_column = 5, 7
    network.decoder = OneCell(24, cell_row, cell_column)
    with torch.inference_mode():
        torch.nn.init.zeros_(network.columns.bias)
        torch.nn.init.ones_(network.columns.weight)
        columns = network(torch.zeros(1, 2, 64, 64)).columns[0]
    rows, halves = torch.nonzero(columns, as_tuple=True)
    x = (halves + 0.5) / 2 - 0.5
    assert sorted(set(rows.tolist())) == [20, 21, 22, 23]
    assert sorted(set(x.tolist())) == [13.75, 14.25, 14.75, 15.25]
    assert float(rows.float().mean()) == 4 * cell_row + 1.5
    assert float(x.mean()) == 2 * cell_column + 0.5


def test_sub_pixels_of_the_trace_head_are_ordered_down_then_right() -> None:
    network = TraceNet(TraceConfig()).eval()
    with torch.inference_mode():
        torch.nn.init.zeros_(network.columns.weight)
        network.columns.bias.copy_(torch.arange(16.0))
        columns = network(torch.zeros(1, 2, 32, 16)).columns[0]
    assert torch.equal(columns[:4, :4], torch.arange(16.0).view(4, 4))
    assert torch.equal(columns[4:8, 4:8], torch.arange(16.0).view(4, 4))


def test_presence_and_boundary_answer_half_column_by_half_column() -> None:
    network = TraceNet(TraceConfig()).eval()
    last = network.profile[-1]
    with torch.inference_mode():
        torch.nn.init.zeros_(last.weight)
        last.bias.copy_(torch.arange(8.0))
        logits = network(torch.zeros(1, 2, 32, 16))
    assert logits.presence[0, :8].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert logits.boundary[0, :8].tolist() == [4, 5, 6, 7, 4, 5, 6, 7]


def test_the_grid_net_sees_at_least_300_pixels_around_a_cell() -> None:
    network = GridNet(GridConfig()).eval()
    image = torch.randn(1, 3, 512, 512, requires_grad=True)
    network(image).phase[0, :, 64, 64].sum().backward()
    assert image.grad is not None
    reached = torch.nonzero(image.grad[0].abs().sum(0).sum(1))
    assert int(reached.max() - reached.min()) >= 300
