"""A small classifier of its own, and a data set of noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from phashopt.training.data import RawData


class Small(nn.Module):
    """Two convolutions, functional ReLU, global pooling: takes any image size."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 10, 3, stride=2)
        self.head = nn.Linear(10, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.norm(self.first(images)))
        return self.head(torch.relu(self.second(maps)).mean((2, 3)))


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def raw() -> RawData:
    """Sixty colour images of 12x12 in four classes, without a test split; the first ten of each class are flat."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 3, 12, 12), dtype=np.uint8)
    labels = np.repeat(np.arange(4), 15)
    for label in range(4):
        images[15 * label : 15 * label + 10] = 40 * label
    return RawData(images, labels, None, ("ape", "bee", "cat", "dog"), mirrored=True)
