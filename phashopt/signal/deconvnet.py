"""Reconstruct channels to pixels: a deconvnet (Zeiler & Fergus 2014; docs/signal.md, section 1) on any network.

One forward pass records every layer. A channel's map then walks back to the pixels, many channels at a time: by
explicit rules where every operation on its way has one, else by autograd with the deconvnet's rule for activations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phashopt.errors import UserError
from phashopt.signal.operations import Convolution, Rectifier, Reversible, Scaling, Treatment
from phashopt.signal.tape import Node, Tape
from phashopt.signal.threads import in_threads
from phashopt.signal.units import Unit, convolutions, find_layers, rectified

Seed = Literal["map", "top"]
SEEDS = ("map", "top")
# Bytes of maps in flight: on a GPU they should fill the device.
CPU_BUDGET = 32 << 20
GPU_BUDGET = 1 << 30
# Tensors of the largest size alive at once while walking back.
IN_FLIGHT = 4
# On a CPU a step's operand and result should stay in its cache, at this many bytes each.
CPU_STEP = 1 << 20


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
        is_cpu = images.device.type == "cpu"
        share = (budget or (CPU_BUDGET if is_cpu else GPU_BUDGET)) // IN_FLIGHT
        # Threads share the budget, so that there are no more than have a full step each.
        self._threads = max(1, min(torch.get_num_threads(), share // CPU_STEP)) if is_cpu else 1
        share //= self._threads
        self._limit = share // images.element_size()
        self._step = (min(share, CPU_STEP) if is_cpu else share) // images.element_size()
        self._units: dict[str, Unit] = {}
        self._unseen: list[str] = []
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

    @property
    def unread(self) -> list[str]:
        """The layers that gave maps of which it was not seen how they follow from the images."""
        return [name for name in self._unseen if name not in self._units]

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
        size = min(self._chunk_size(unit), math.ceil(len(channels) / self._threads))
        chunks = torch.as_tensor(channels, device=unit.maps.device).split(max(size, 1))
        return in_threads(partial(self._reconstruct, unit, seed), chunks, self._threads)

    def _reconstruct(self, unit: Unit, seed: Seed, channels: Tensor) -> Tensor:
        maps = unit.maps[:, channels]
        start, cotangent = plant(unit.end, maps if seed == "map" else strongest(maps), channels)
        return self._walk_back(start, cotangent)

    def _walk_back(self, start: Node, cotangent: Tensor) -> Tensor:
        lineage = start.lineage()
        if self._has_rules(lineage):
            return walk_by_rules(lineage, {start: cotangent}, self._step)
        return walk_by_autograd(start, self._tape.leaf, cotangent)

    def _has_rules(self, lineage: list[Node]) -> bool:
        return not self._tape.is_tangled and has_rules(lineage)

    def _chunk_size(self, unit: Unit) -> int:
        """Channels to plant at once: rules split them as maps grow, autograd takes all of them all the way."""
        start, planted = unit.end, unit.end.shape.numel()
        convolution = _peeled(unit.end)[0]
        if isinstance(convolution.operation, Convolution):
            start = convolution.parents[0]
            planted = max(start.shape.numel(), convolution.operation.patches(len(unit.maps)))
        lineage = start.lineage()
        if self._has_rules(lineage):
            return max(1, min(self._step // planted, self._limit // self._tape.leaf.numel()))
        return max(1, self._limit // max(planted, *(node.shape.numel() for node in lineage)))

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
        if not isinstance(output, Tensor) or output.dim() != 4:
            return
        node = tape.node_of(output)
        if node is None:
            self._unseen.append(name)
        else:
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


def walk_by_rules(lineage: list[Node], pending: dict[Node, Tensor], step: int) -> Tensor:
    """From `pending` cotangents (k, N, C', H', W'), the first of `lineage`'s at least, to the pixels (k, N, C, H, W).

    Where a tensor would have more than `step` elements the channels go on in parts, so that each operation takes as
    many as it should: deep layers many, those near the pixels few. `pending` is overwritten.
    """
    for position, node in enumerate(lineage[:-1]):
        fitting = max(1, step // _elements(node))
        if len(pending[node]) > fitting:
            parts = zip(*(cotangent.split(fitting) for cotangent in pending.values()), strict=True)
            rest = lineage[position:]
            return torch.cat([walk_by_rules(rest, dict(zip(pending, part, strict=True)), step) for part in parts])
        assert isinstance(node.operation, Reversible)
        for parent, part in zip(node.parents, node.operation.back(pending.pop(node)), strict=True):
            pending[parent] = pending[parent].add_(part) if parent in pending else part
    return pending[lineage[-1]]


def _elements(node: Node) -> int:
    """The elements of the largest tensor, a channel, in the step back from `node`."""
    gathered = node.operation.gathered(node.shape) if isinstance(node.operation, Convolution) else 0
    return max(gathered, node.shape.numel(), *(parent.shape.numel() for parent in node.parents))


def walk_by_autograd(start: Node, pixels: Tensor, cotangent: Tensor) -> Tensor:
    """The same by the recorded gradients, all channels batched: right for every network, slower."""
    (result,) = torch.autograd.grad(start.edge, pixels, cotangent, retain_graph=True, is_grads_batched=True)
    return result
