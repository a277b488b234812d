"""Reconstructed maps at the size a sheet can show them."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from phashopt.signal import reconstruct

CHUNK = 64  # kernels reconstructed at a time
SIDE = 112  # pixels of a map in a sheet, about what its cell has


def all_maps(network: nn.Module, layer: str, image: Tensor, kernels: int) -> NDArray[np.float32]:
    """The maps (K, C, h, w) of `image` (1, C, H, W), averaged down, some kernels at a time."""
    chunks = [range(start, min(start + CHUNK, kernels)) for start in range(0, kernels, CHUNK)]
    return np.concatenate([shrunk(reconstruct(network, image, layer, chunk)[0]) for chunk in chunks])


def shrunk(maps: Tensor) -> NDArray[np.float32]:
    """(N, C, H, W) averaged down to at most `SIDE` pixels a side."""
    height, width = (min(side, SIDE) for side in maps.shape[2:])
    small: NDArray[np.float32] = F.interpolate(maps.float(), (height, width), mode="area").cpu().numpy()
    return small
