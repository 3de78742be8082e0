"""Where a network may count in bfloat16: where the hardware multiplies such numbers itself, and faster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def half_pays(device: torch.device) -> bool:
    """Say whether convolutions in bfloat16 are faster on a device.

    A CPU needs AMX tiles (Intel, since 2023): with them wide convolutions measured 7 to 10 times as fast, without them
    3 to 16 times slower.
    """
    if device.type == "cpu":
        has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)
        return has_tiles is not None and bool(has_tiles())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def in_half(device: torch.device, *, wanted: bool = True) -> AbstractContextManager[object]:
    """Let what follows count in bfloat16 where that is wanted and pays."""
    if not wanted or not half_pays(device):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def in_full(device: torch.device) -> AbstractContextManager[object]:
    """Let what follows count in float32, whatever surrounds it."""
    return torch.autocast(device.type, enabled=False)
