"""Small classifiers, each with something that an attribution must get right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Build = Callable[..., tuple[nn.Module, Tensor]]


def chain(in_place: bool = False) -> nn.Module:
    """Convolutions, a batch norm, overlapping and plain pools, two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(in_place), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(in_place), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.LazyLinear(10), nn.ReLU(in_place), nn.Linear(10, 5)),
    )


class Residual(nn.Module):
    """Post-activation blocks, strided, one grouped; `in_place` reuses one ReLU and adds in place."""

    def __init__(self, in_place: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.first = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)
        self.relus = nn.ModuleList([nn.ReLU(in_place)] * 3 if in_place else [nn.ReLU(), nn.ReLU(), nn.ReLU()])
        self.in_place = in_place

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relus[0](self.stem(images))
        branch = self.second(self.relus[1](self.first(maps)))
        if self.in_place:
            branch += maps
        else:
            branch = branch + maps
        return self.head(self.relus[2](branch).mean((2, 3)))


class Functional(nn.Module):
    """`chain`'s like with every way of calling ReLU but as a module; captum sees none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ModuleList([nn.Conv2d(3, 4, 3), *(nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))])
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.conv[0](images))
        maps = torch.relu_(self.conv[1](maps))
        maps = self.conv[2](maps).clamp(min=0)
        maps = F.relu(self.conv[3](maps), inplace=True)
        return self.head(self.conv[4](maps).relu().mean((2, 3)))


class Modular(Functional):
    """The same with ReLU as modules, out of place."""

    def __init__(self) -> None:
        super().__init__()
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(5))

    def forward(self, images: Tensor) -> Tensor:
        for conv, relu in zip(self.conv, self.relus, strict=True):
            images = relu(conv(images))
        return self.head(images.mean((2, 3)))


class Gated(nn.Module):
    """A squeeze-excite gate and a head that are written as convolutions, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(1, 1, 1)
        self.last = nn.Conv2d(4, 5, 3)
        self.stem = nn.Conv2d(1, 4, 3)
        self.gate = nn.Conv2d(4, 4, 1)
        self.head = nn.Conv2d(5, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.silu(self.stem(images))
        maps = maps * torch.sigmoid(self.gate(maps.mean((2, 3), keepdim=True)))
        return self.head(F.silu(self.last(maps)).mean((2, 3), keepdim=True)).flatten(1)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "chain": (chain, 3),
    "chain_in_place": (lambda: chain(True), 3),
    "residual": (Residual, 2),
    "residual_in_place": (lambda: Residual(True), 2),
    "functional": (Functional, 3),
    "modular": (Modular, 3),
    "gated": (Gated, 1),
}


@pytest.fixture
def build() -> Build:
    """`build(name)`: one of the networks in evaluation mode and float64, and four images it takes."""

    def make(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
        torch.manual_seed(seed)
        network, colours = NETWORKS[name]
        images = torch.randn(4, colours, 13, 16, dtype=torch.float64)
        model = network().double().eval()
        model(images)
        return model, images

    return make
