"""What a layer returns, and what becomes of it before the next layer takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from phashopt.signal.units import find_layers


class Maps(NamedTuple):
    """Maps (N, K, h, w) as they were, even if overwritten since, and their place in the graph of gradients."""

    values: Tensor
    edge: GradientEdge


@contextmanager
def recorded(model: nn.Module, layers: list[str]) -> Iterator[dict[str, Maps]]:
    """Fills a dictionary with the maps that `layers` return, in the order of their last runs."""
    found: dict[str, Maps] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if _are_maps(output):
            found.pop(name, None)
            found[name] = _noted(output)

    modules = find_layers(model, layers)
    hooks = [module.register_forward_hook(partial(note, name)) for name, module in modules.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def activated(model: nn.Module, layer: str) -> Iterator[dict[str, Maps]]:
    """The same for one layer, its maps followed through all that keeps their size, up to the next convolution.

    That is batch norm, activation, residual sum and concatenation: what is left is what pools and classifiers see.
    """
    follower = _Follower(layer)
    hook = find_layers(model, [layer])[layer].register_forward_hook(follower.begin)
    try:
        with follower:
            yield follower.found
    finally:
        hook.remove()


class _Follower(TorchFunctionMode):
    def __init__(self, layer: str) -> None:
        super().__init__()
        self._layer = layer
        self._followed: list[Tensor] = []
        self.found: dict[str, Maps] = {}

    def begin(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """A forward hook; a module that runs twice is followed from its last run."""
        if _are_maps(output):
            self._followed = []
            self._follow(output)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._followed and self._takes(args):
            if func.__name__.startswith("conv"):
                self._followed = []
            elif _are_maps(result) and result.shape[2:] == self._followed[0].shape[2:]:
                self._follow(result)
        return result

    def _takes(self, args: tuple[Any, ...]) -> bool:
        operands = [part for arg in args for part in (arg if isinstance(arg, list | tuple) else [arg])]
        return any(operand is tensor for operand in operands for tensor in self._followed)

    def _follow(self, maps: Tensor) -> None:
        self._followed.append(maps)
        self.found[self._layer] = _noted(maps)


def _are_maps(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4 and value.requires_grad


def _noted(maps: Tensor) -> Maps:
    return Maps(maps.detach().clone(), get_gradient_edge(maps))
