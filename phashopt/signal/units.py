"""Which layers are read, and what counts as a layer's map: a convolution with its batch norm and activation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phashopt.errors import UserError, meant
from phashopt.signal.operations import Rectifier
from phashopt.signal.tape import Node


@dataclass
class Unit:
    """A layer as it ran: `maps` (N, K, H, W) are max(z, 0) of its result, which `end` recorded.

    `grows` until the activation, if any: a batch norm and an activation directly behind a convolution belong to it.
    """

    maps: Tensor
    end: Node
    grows: bool

    def takes(self, node: Node) -> bool:
        """Whether `node`, the next operation on this unit's result, belongs to the unit."""
        is_norm = node.name == "batch_norm" and self.end.name == "conv2d"
        return self.grows and node.parents == (self.end,) and (is_norm or isinstance(node.operation, Rectifier))

    def extend(self, node: Node, value: Tensor) -> None:
        """Read the unit behind `node` from now on."""
        self.maps, self.end = rectified(value), node
        self.grows = not isinstance(node.operation, Rectifier)


def rectified(value: Tensor) -> Tensor:
    """max(z, 0), a copy, as a later operation may write in place."""
    return value.detach().clamp(min=0)


def convolutions(model: nn.Module) -> list[str]:
    """The names of a model's 2-D convolutions, in the order they were defined; `UserError` if there is none."""
    if isinstance(model, torch.jit.ScriptModule):
        raise UserError(f"{type(model).__name__} cannot be looked into: give the plain module that was scripted")
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise UserError(f"{type(model).__name__} has no nn.Conv2d: phashopt reads convolutional networks")
    return names


def find_layers(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """The modules called `names`; `UserError` naming the nearest layer for one that is not there."""
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            raise UserError(
                f"{type(model).__name__} has no layer {name!r}{meant(name, [*filter(None, modules)], alike=0.25)}"
            )
    return {name: modules[name] for name in names}
