"""Starting a wider network from a narrower one's weights, answer for answer the same at first.

Net2Net (Chen, Goodfellow, Shlens 2016), by the simplest of its ways: old channels keep their weights and take nothing
from the new ones, which begin random. Training then finds a use for them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgstudio.nets.trace_net import HALF_COLUMNS_PER_CELL


@torch.no_grad()
def widen(narrow: nn.Module, wide: nn.Module) -> None:
    """Give `wide` the weights of `narrow`, whose layers are the same or have fewer channels.

    Raises:
        ValueError: the networks differ in more than width.
    """
    old, new = narrow.state_dict(), wide.state_dict()
    if old.keys() != new.keys():
        raise ValueError("only networks of the same layers can be widened")
    for name, values in new.items():
        if values.dim() == 3 and old[name].shape != values.shape:
            values.copy_(_profile_grown(name, old[name], values))
        else:
            values.copy_(_grown(name, old[name], values))


def _profile_grown(name: str, old: Tensor, new: Tensor) -> Tensor:
    """Widen what looks at the finest features twice, side by side, and at a few numbers beside them (`TraceNet`)."""
    beside = HALF_COLUMNS_PER_CELL
    few, many = (values.shape[1] - beside for values in (old, new))
    if old.shape[::2] != new.shape[::2] or few % 2 or many % 2 or few > many:
        raise ValueError(f"{name}: {tuple(old.shape)} does not widen to {tuple(new.shape)}")
    grown = torch.zeros_like(new)
    for part in (0, 1):
        grown[:, part * many // 2 : part * many // 2 + few // 2] = old[:, part * few // 2 : (part + 1) * few // 2]
    grown[:, many:] = old[:, few:]
    return grown


def _grown(name: str, old: Tensor, new: Tensor) -> Tensor:
    if old.shape == new.shape:
        return old
    fits = old.dim() == new.dim() and all(a <= b for a, b in zip(old.shape, new.shape, strict=True))
    if not fits or old.shape[2:] != new.shape[2:]:
        raise ValueError(f"{name}: {tuple(old.shape)} does not widen to {tuple(new.shape)}")
    grown = new.clone()
    if old.dim() > 1:
        grown[: old.shape[0], old.shape[1] :] = 0.0
        grown[: old.shape[0], : old.shape[1]] = old
    else:
        grown[: old.shape[0]] = old
    return grown
