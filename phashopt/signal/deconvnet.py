"""Reconstruct channels to pixels: a deconvnet (Zeiler & Fergus 2014; SIGNAL.md, section 1) on any network.

One forward pass records every layer. A channel's map then walks back to the pixels, many channels at a time: by
explicit rules where every operation on its way has one, else by autograd with the deconvnet's rule for activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phashopt.errors import UserError
from phashopt.signal.operations import Convolution, Rectifier, Reversible, Scaling, Treatment
from phashopt.signal.tape import Node, Tape
from phashopt.signal.units import Unit, convolutions, find_layers, rectified

Seed = Literal["map", "top"]
SEEDS = ("map", "top")
# Bytes of maps in flight. On a CPU a chunk should fit its cache; on a GPU it should fill the device.
CPU_BUDGET = 32 << 20
GPU_BUDGET = 1 << 30
# Tensors of the largest size alive at once while walking back.
IN_FLIGHT = 4


@dataclass(frozen=True)
class Caveats:
    """What a layer's reconstruction does not reverse exactly, by function name."""

    fallback_ops: tuple[str, ...]
    approximate_ops: tuple[str, ...]
    no_switches: bool


class Deconvnet:
    """The layers of `model`, in evaluation mode, seen through `images` (N, C, H, W) of the model's type and device.

    `layers` are module names; all convolutions that ran if None. `budget` bounds the bytes in flight. A layer that
    does not exist, did not run or gives no maps raises `UserError`.
    """

    def __init__(
        self, model: nn.Module, images: Tensor, layers: Sequence[str] | None = None, budget: int | None = None
    ) -> None:
        self._budget = budget or (CPU_BUDGET if images.device.type == "cpu" else GPU_BUDGET)
        self._units: dict[str, Unit] = {}
        names = convolutions(model) if layers is None else layers
        self._tape = self._run(model, images, find_layers(model, names))
        for name in names if layers is not None else ():
            if name not in self._units:
                raise UserError(f"layer {name!r} did not run or gave no (N, K, H, W) maps: read a convolution instead")
        if not self._units:
            raise UserError(
                f"no convolution of {type(model).__name__} was seen to run: give the plain, unscripted module"
            )

    @property
    def layers(self) -> list[str]:
        """The layers that ran, in the order of their last results."""
        return sorted(self._units, key=lambda name: self._units[name].end.number)

    def width(self, layer: str) -> int:
        """The number of channels of a layer."""
        return self._units[layer].maps.shape[1]

    def caveats(self, layer: str) -> Caveats:
        """What is not exact between a layer's maps and the pixels: anything so far where views were written through."""
        nodes = self._tape.nodes if self._tape.is_tangled else self._units[layer].end.lineage()
        names: dict[Treatment, set[str]] = {treatment: set() for treatment in Treatment}
        for node in nodes:
            names[node.operation.treatment].add(node.name)
        return Caveats(
            fallback_ops=tuple(sorted(names[Treatment.FALLBACK])),
            approximate_ops=tuple(sorted(names[Treatment.APPROXIMATE])),
            no_switches=bool(names[Treatment.NO_SWITCHES]),
        )

    def reconstruct(self, layer: str, channels: Sequence[int], seed: Seed = "map") -> Iterator[Tensor]:
        """Yield reconstructions (k, N, C, H, W) of `channels`, in order, as many at a time as the budget allows.

        `map` starts from a channel's whole map, `top` from its strongest position.
        """
        unit = self._units[layer]
        for chunk in torch.as_tensor(channels, device=unit.maps.device).split(self._chunk_size(unit)):
            maps = unit.maps[:, chunk]
            start, cotangent = plant(unit.end, maps if seed == "map" else strongest(maps), chunk)
            yield self._walk_back(start, cotangent)

    def _walk_back(self, start: Node, cotangent: Tensor) -> Tensor:
        lineage = start.lineage()
        if self._tape.is_tangled or not has_rules(lineage):
            return walk_by_autograd(start, self._tape.leaf, cotangent)
        return walk_by_rules(lineage, cotangent)

    def _chunk_size(self, unit: Unit) -> int:
        start, patches = unit.end, 0
        convolution = _peeled(unit.end)[0]
        if isinstance(convolution.operation, Convolution):
            start = convolution.parents[0]
            patches = convolution.operation.patches(len(unit.maps))
        largest = max(patches, *(node.shape.numel() for node in start.lineage()))
        return max(1, self._budget // (IN_FLIGHT * largest * unit.maps.element_size()))

    def _run(self, model: nn.Module, images: Tensor, modules: dict[str, nn.Module]) -> Tape:
        tape = Tape(images, self._extend)
        hooks = [module.register_forward_hook(partial(self._open, tape, name)) for name, module in modules.items()]
        try:
            with tape:
                model(tape.entry)
        finally:
            for hook in hooks:
                hook.remove()
        return tape

    def _open(self, tape: Tape, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        node = tape.node_of(output) if isinstance(output, Tensor) and output.dim() == 4 else None
        if node is not None:
            # A module that runs twice is read as it ran last.
            self._units[name] = Unit(rectified(output), node, grows=isinstance(module, nn.Conv2d))

    def _extend(self, node: Node, value: Tensor) -> None:
        for unit in self._units.values():
            if unit.takes(node):
                unit.extend(node, value)


def plant(end: Node, maps: Tensor, channels: Tensor) -> tuple[Node, Tensor]:
    """Keep each channel's map alone: the node to walk back from and its cotangent (k, N, C', H', W').

    `maps` (N, k, H, W) are those of `channels` (k,) at `end`. Behind a convolution the first step is taken at once,
    as it reads a single map; ReLU's rule does nothing to maps, which are positive.
    """
    start, factor = _peeled(end)
    if isinstance(start.operation, Convolution):
        scaled = maps if factor is None else maps * factor[channels]
        return start.parents[0], start.operation.back_from(scaled, channels)
    alone = maps.new_zeros(len(channels), *end.shape)
    alone[torch.arange(len(channels), device=maps.device), :, channels] = maps.transpose(0, 1)
    return end, alone


def _peeled(end: Node) -> tuple[Node, Tensor | None]:
    """The node below an activation and a batch norm, and the batch norm's factor (K, 1, 1)."""
    node = end.parents[0] if isinstance(end.operation, Rectifier) else end
    if node.name == "batch_norm" and isinstance(node.operation, Scaling) and isinstance(node.operation.factor, Tensor):
        return node.parents[0], node.operation.factor
    return node, None


def strongest(maps: Tensor) -> Tensor:
    """Each map's largest position alone: (N, k, H, W)."""
    flat = maps.flatten(2)
    value, position = flat.max(2, keepdim=True)
    return torch.zeros_like(flat).scatter_(2, position, value).view_as(maps)


def has_rules(lineage: list[Node]) -> bool:
    """Whether every operation back to the pixels, which are the last of `lineage`, has an explicit reverse."""
    return all(isinstance(node.operation, Reversible) for node in lineage[:-1])


def walk_by_rules(lineage: list[Node], cotangent: Tensor) -> Tensor:
    """From the first of `lineage`, with its cotangent (k, N, C', H', W'), to the pixels (k, N, C, H, W)."""
    pending = {lineage[0]: cotangent}
    for node in lineage[:-1]:
        assert isinstance(node.operation, Reversible)
        parts = node.operation.back(pending.pop(node))
        for parent, part in zip(node.parents, parts, strict=True):
            pending[parent] = pending[parent] + part if parent in pending else part
    return pending[lineage[-1]]


def walk_by_autograd(start: Node, pixels: Tensor, cotangent: Tensor) -> Tensor:
    """The same by the recorded gradients, all channels batched: right for every network, slower."""
    (result,) = torch.autograd.grad(start.edge, pixels, cotangent, retain_graph=True, is_grads_batched=True)
    return result
