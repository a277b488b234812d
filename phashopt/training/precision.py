"""Where half precision pays: bf16 on CUDA and on CPUs with matrix tiles, float32 elsewhere."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """The forward pass in bf16 where the device multiplies matrices in it; weights and loss stay float32.

    On two cores with AMX, a step of the paper's network in channels_last takes a third of its float32 time; on a CPU
    that only has the bf16 instructions of AVX-512, or none, float32 is faster.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda" or _has_tiles())


def _has_tiles() -> bool:
    return bool(torch.cpu._is_amx_tile_supported())
