"""Images as the training loop sees them: bytes on the device, made float and standardised batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Standardisation:
    """Per-channel mean and standard deviation of the training pixels, in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Standardisation:
        """Measured on images (N, C, H, W); a constant channel keeps its scale."""
        counts = [np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(images.shape[1])]
        levels = np.arange(256) / 255
        means = [float(np.average(levels, weights=count)) for count in counts]
        variances = [np.average((levels - mean) ** 2, weights=count) for mean, count in zip(means, counts, strict=True)]
        return cls(tuple(means), tuple(float(np.sqrt(variance)) or 1.0 for variance in variances))


@dataclass(frozen=True)
class Images:
    """Images (N, C, H, W) uint8 with labels (N,) int64, both on one device."""

    pixels: Tensor
    labels: Tensor
    standardisation: Standardisation

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def device(self) -> torch.device:
        """Where pixels and labels live."""
        return self.pixels.device

    def standardise(self, pixels: Tensor) -> Tensor:
        """Bytes (..., C, H, W) of this device to zero mean and unit variance, float32."""
        mean, scale = self._levels
        return (pixels.float() - mean) * scale

    @cached_property
    def _levels(self) -> tuple[Tensor, Tensor]:
        """Mean and 1 / std, (C, 1, 1) each, of pixels in [0, 255]: sent to the device once, for a copy waits for it."""
        mean = torch.tensor(self.standardisation.mean, device=self.device)[:, None, None] * 255
        scale = 1 / (torch.tensor(self.standardisation.std, device=self.device)[:, None, None] * 255)
        return mean, scale

    def to(self, device: torch.device) -> Images:
        """The same images on another device."""
        return Images(self.pixels.to(device), self.labels.to(device), self.standardisation)
