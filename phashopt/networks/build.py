"""Blueprint in, module out."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from phashopt.plans.blueprint import Block, Blueprint, Conv, Head, MaxPool, Part


class Network(nn.Sequential):
    """A network that knows what it was built from."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__(OrderedDict((name, _module(part)) for name, part in blueprint.parts.items()))
        self.blueprint = blueprint


def build(blueprint: Blueprint, seed: int) -> Network:
    """The network with freshly drawn weights: He-normal convolutions (He et al. 2015), zero biases.

    The draw depends on `seed` alone and leaves the global random state untouched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed the caller's GPUs as well
        network = Network(blueprint)
        network.apply(_initialise)
    return network


class ResidualBlock(nn.Module):
    """relu(second(first(x)) + shortcut(x))."""

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.second(self.first(x)) + self.shortcut(x))
        return out


def _module(part: Part) -> nn.Module:
    match part:
        case Conv():
            return _conv(part)
        case MaxPool():
            return nn.MaxPool2d(2)
        case Block():
            shortcut = nn.Identity() if part.shortcut is None else _conv(part.shortcut)
            return ResidualBlock(_conv(part.first), _conv(part.second), shortcut)
        case Head():
            pool = [("pool", nn.AdaptiveAvgPool2d(1))] if part.pooled else []
            linear = nn.Linear(part.features, part.classes)
            return nn.Sequential(OrderedDict([*pool, ("flatten", nn.Flatten()), ("linear", linear)]))


def _conv(part: Conv) -> nn.Sequential:
    conv = nn.Conv2d(
        part.input.channels, part.kernels, part.size, part.stride, padding=part.size // 2, bias=not part.norm
    )
    modules: list[tuple[str, nn.Module]] = [("conv", conv)]
    if part.norm:
        modules.append(("norm", nn.BatchNorm2d(part.kernels)))
    if part.relu:
        modules.append(("relu", nn.ReLU(inplace=True)))
    return nn.Sequential(OrderedDict(modules))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
