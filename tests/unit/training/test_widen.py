"""Wider networks begin with the answers of the narrower ones that they come from."""

from __future__ import annotations

import pytest
import torch

from ecgstudio.nets.trace_net import TraceConfig, TraceNet
from training.widen import widen

NARROW = TraceConfig(channels=(8, 12, 16, 24), depths=(1, 2, 1, 2), profile_channels=8)


def trace_net(**changes: object) -> TraceNet:
    values = {"channels": NARROW.channels, "depths": NARROW.depths, "profile_channels": 8} | changes
    return TraceNet(TraceConfig(**values)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("finest", [8, 20])
def test_a_widened_network_answers_as_before(finest: int) -> None:
    torch.manual_seed(0)
    narrow, wide = trace_net(), trace_net(channels=(finest, 16, 40, 48))
    with torch.no_grad():  # statistics as after training
        narrow.train()(torch.randn(4, 2, 64, 64))
        narrow.eval()
    strips = torch.randn(2, 2, 96, 64)
    assert not torch.allclose(narrow(strips).columns, wide(strips).columns, atol=1e-3)
    widen(narrow, wide)
    for before, after in zip(narrow(strips), wide(strips), strict=True):
        torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)


def test_new_channels_learn() -> None:
    torch.manual_seed(0)
    wide = trace_net(channels=(8, 16, 40, 48))
    widen(trace_net(), wide)
    wide.train()(torch.randn(2, 2, 64, 64)).columns.square().mean().backward()
    gradient = wide.decoder.narrow[0].weight.grad  # type: ignore[union-attr]
    assert float(gradient[:16, 24:].abs().sum()) > 0  # what old channels begin to take from new ones


@pytest.mark.parametrize(
    "changes",
    [{"channels": (4, 12, 16, 24)}, {"channels": (8, 12, 12, 24)}, {"depths": (1, 2, 2, 2)}, {"profile_channels": 12}],
)
def test_other_differences_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"widen|layers"):
        widen(trace_net(), trace_net(**changes))
