"""Small networks, each with something that a reconstruction must get right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def norm(width: int) -> nn.BatchNorm2d:
    """A batch norm as training leaves it: statistics and factors away from 0 and 1, one factor negative."""
    layer = nn.BatchNorm2d(width)
    layer.running_mean.normal_(0, 0.2)
    layer.running_var.uniform_(0.5, 2)
    nn.init.uniform_(layer.weight, 0.4, 1.5)
    nn.init.normal_(layer.bias, 0, 0.2)
    with torch.no_grad():
        layer.weight[0] *= -1
    return layer


class Block(nn.Module):
    """A post-activation residual block with one ReLU used twice, in place, and an add in place."""

    def __init__(self, inner: int, outer: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(outer, inner, 3, stride, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(outer, width, 1, stride, bias=False), norm(width))

    def forward(self, maps: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(maps)))
        out = self.bn2(self.conv2(out))
        out += self.down(maps)
        return self.relu(out)


class OutOfPlaceBlock(Block):
    """The same with one ReLU a place and nothing in place, as captum needs it."""

    def __init__(self, inner: int, outer: int, width: int, stride: int = 1) -> None:
        super().__init__(inner, outer, width, stride)
        self.relu = nn.ReLU()
        self.last = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(maps)))
        return self.last(self.bn2(self.conv2(out)) + self.down(maps))


class Preactivation(nn.Module):
    """x -> conv -> (x + conv(relu(bn(x)))) -> conv: the branch's ReLU must not touch the other branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.bn = norm(6)
        self.branch = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Conv2d(6, 5, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        return self.head(maps + self.branch(F.relu(self.bn(maps))))


class Gated(nn.Module):
    """Squeeze-excite between SiLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.squeeze = nn.Conv2d(6, 2, 1)
        self.excite = nn.Conv2d(2, 6, 1)
        self.second = nn.Conv2d(6, 5, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.silu(self.first(images))
        gate = torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(maps, 1)))))
        return F.silu(self.second(maps * gate))


class Shuffled(nn.Module):
    """Channels split, shuffled and concatenated, which only autograd reverses."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.side = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.last = nn.Conv2d(8, 6, 3)

    def forward(self, images: Tensor) -> Tensor:
        left, right = self.first(images).relu().chunk(2, 1)
        maps = torch.cat([left, self.side(right).clamp(min=0)], 1)
        maps = maps.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)
        return torch.relu(self.last(maps))


class Dense(nn.Module):
    """Concatenated features, an average pool, a normalisation layer that the unit does not own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 3, 3, padding=1)
        self.bn = norm(7)
        self.third = nn.Conv2d(7, 5, 1)
        self.last = nn.Conv2d(5, 6, 3, padding=2, dilation=2)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.first(images * 2 - 1))
        maps = torch.cat([maps, self.second(maps)], 1)
        maps = F.avg_pool2d(self.third(F.relu(self.bn(maps))), 3, 2, 1)
        return self.last(F.dropout(maps, training=self.training))


def chain() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5, padding=2), norm(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(8, 7, 3), norm(7), nn.ReLU()),
    )


def mobile() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1, bias=False), norm(8), nn.ReLU6(inplace=True)),
        *(nn.Conv2d(8, 8, 3, padding="same", groups=8), norm(8), nn.ReLU6()),
        *(nn.Conv2d(8, 6, 4, padding="same", groups=2), nn.AdaptiveAvgPool2d(3), nn.Conv2d(6, 9, 1, groups=3)),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "chain": (chain, 3),
    "mobile": (mobile, 3),
    "residual": (lambda: nn.Sequential(Block(5, 3, 6), Block(4, 6, 8, 2)), 3),
    "residual_out_of_place": (lambda: nn.Sequential(OutOfPlaceBlock(5, 3, 6), OutOfPlaceBlock(4, 6, 8, 2)), 3),
    "preactivation": (Preactivation, 2),
    "gated": (Gated, 3),
    "shuffled": (Shuffled, 3),
    "dense": (Dense, 1),
}


@pytest.fixture
def build() -> Callable[..., tuple[nn.Module, Tensor]]:
    """`build(name)`: one of the networks, in evaluation mode and float64, with four images it takes."""

    def make(name: str, seed: int = 0, size: int = 14) -> tuple[nn.Module, Tensor]:
        torch.manual_seed(seed)
        network, colours = NETWORKS[name]
        return network().double().eval(), torch.randn(4, colours, size, size + 1, dtype=torch.float64)

    return make
