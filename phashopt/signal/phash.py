"""The perceptual hash: the signs of an image's low frequencies (docs/signal.md, section 3; paper, section IV)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from phashopt.errors import UserError

HashMode = Literal["mean", "median"]
MODES = ("mean", "median")
SIDE = 8
LARGEST_SIDE = 32


def perceptual_hash(images: Tensor, mode: HashMode = "mean") -> Tensor:
    """Hash every image: (..., H, W) to 63 bits (`mean`, the paper's rule) or 64 (`median`, equal to `imagehash.phash`).

    Integer images are transformed in float64, half-precision ones in float32. A bit is set where its coefficient
    exceeds the threshold, so scaling an image changes nothing and negating it flips every bit. An unknown mode
    raises `UserError`.
    """
    return threshold(spectrum(images), mode)


def spectrum(images: Tensor) -> Tensor:
    """The orthonormal 2-D DCT-II's first 8 rows and columns: (..., H, W) to (..., 8, 8).

    Sides of 8 to 32 are transformed as they are; longer ones are averaged to 32 and shorter ones interpolated to 8
    before. Both are linear in each side, so they fold into the transform.
    """
    images = images.to(_working_dtype(images.dtype))
    height, width = images.shape[-2:]
    # Columns first: whole rows of pixels are added up at a time, which is twice as fast.
    columns = _basis(height, images.dtype, images.device) @ images
    return columns @ _basis(width, images.dtype, images.device).T


def threshold(coefficients: Tensor, mode: HashMode) -> Tensor:
    """The bits of (..., 8, 8) coefficients: (..., 63) without the DC term for `mean`, (..., 64) for `median`."""
    if mode == "mean":
        ac = alternating(coefficients)
        return ac > ac.mean(-1, keepdim=True)
    if mode == "median":
        plain = (coefficients * _plain_scale().to(coefficients)).flatten(-2)
        middle = plain.sort(-1).values[..., 31:33].mean(-1, keepdim=True)
        return plain > middle
    raise UserError(f"there is no hash {mode!r}: choose one of {', '.join(MODES)}")


def alternating(coefficients: Tensor) -> Tensor:
    """The 63 coefficients that are not the DC term: (..., 8, 8) to (..., 63)."""
    return coefficients.flatten(-2)[..., 1:]


def _working_dtype(dtype: torch.dtype) -> torch.dtype:
    if not dtype.is_floating_point:
        return torch.float64
    return torch.promote_types(dtype, torch.float32)


@lru_cache(maxsize=64)
def _basis(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(8, side): resize one side to 8..32 pixels, then take its first 8 cosines."""
    size = min(max(side, SIDE), LARGEST_SIDE)
    frequency = torch.arange(SIDE, dtype=torch.float64)[:, None]
    position = torch.arange(size, dtype=torch.float64)
    cosines = torch.cos(math.pi / size * frequency * (position + 0.5)) * math.sqrt(2 / size)
    cosines[0] *= math.sqrt(0.5)
    if size != side:
        impulses = torch.eye(side, dtype=torch.float64)[:, None]
        cosines = cosines @ F.interpolate(impulses, size, mode="area" if size < side else "linear")[:, 0].T
    return cosines.to(device, dtype)


@lru_cache(maxsize=1)
def _plain_scale() -> Tensor:
    """What turns orthonormal coefficients into `imagehash`'s unscaled ones, up to one common factor."""
    scale = torch.ones(SIDE, dtype=torch.float64)
    scale[0] = math.sqrt(2)
    return torch.outer(scale, scale)
