"""Where a network may count in bfloat16: where the hardware multiplies such numbers itself, and faster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

CPU_FEATURES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def half_pays(device: torch.device) -> bool:
    """Say whether convolutions in bfloat16 are faster on a device.

    A CPU needs AMX tiles (Intel, since 2023) or AVX-512's dot products of bfloat16 (AMD, since 2022): with the former
    wide convolutions measured 7 to 10 times as fast, with the latter twice, without either 2 to 16 times slower.
    """
    if device.type == "cpu":
        return any(_cpu_has(feature) for feature in CPU_FEATURES)
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _cpu_has(feature: str) -> bool:
    """Ask torch for a feature of this CPU; what a version of torch cannot tell is not there."""
    tells = getattr(torch.cpu, feature, None)
    return tells is not None and bool(tells())


def in_half(device: torch.device, *, wanted: bool = True) -> AbstractContextManager[object]:
    """Let what follows count in bfloat16 where that is wanted and pays."""
    if not wanted or not half_pays(device):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def in_full(device: torch.device) -> AbstractContextManager[object]:
    """Let what follows count in float32, whatever surrounds it."""
    return torch.autocast(device.type, enabled=False)
