"""How each operation of a forward pass is walked backwards by a deconvnet (SIGNAL.md, section 1).

A cotangent is a tensor (k, N, C, H, W): k channels being reconstructed over N probes. `back` takes it from an
operation's result to its operands; no bias takes part, so every rule is linear, but for the ReLU's. Cotangents are
overwritten where that saves a pass over memory, which on a CPU costs as much as the arithmetic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
import torch.nn.functional as F
from torch import Tensor

# Below this many input channels a matrix product and shifted sums beat a transposed convolution 2 to 4 times on a CPU.
FEW_CHANNELS = 4


class Treatment(Enum):
    """What a report must say of an operation."""

    EXACT = "exact"
    APPROXIMATE = "approximate"  # an activation reversed as if it were ReLU
    FALLBACK = "fallback"  # reversed by its plain gradient, for want of a rule
    NO_SWITCHES = "no_switches"  # a strided convolution: nothing recorded which positions mattered


@dataclass(frozen=True)
class Operation:
    """An operation that autograd reverses, for want of a rule here."""

    treatment: Treatment = Treatment.EXACT


@dataclass(frozen=True)
class Reversible(Operation, ABC):
    """An operation with an explicit reverse."""

    @abstractmethod
    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """The operands' cotangents, in their order, each the caller's to overwrite; `cotangent` is this method's."""


@dataclass(frozen=True)
class Rectifier(Reversible):
    """ReLU: max(r, 0), without a forward mask."""

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        return (cotangent.clamp_(min=0),)


@dataclass(frozen=True, kw_only=True)
class Scaling(Reversible):
    """Batch norm in evaluation mode, a constant factor, or a gate recorded as one: r times `factor`."""

    factor: Tensor | float

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        return (cotangent.mul_(self.factor),)


@dataclass(frozen=True, kw_only=True)
class Sum(Reversible):
    """A residual add: both branches get all of it."""

    operands: int

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        return (cotangent, *(cotangent.clone() for _ in range(1, self.operands)))


@dataclass(frozen=True, kw_only=True)
class Concatenation(Reversible):
    """Concatenation of channels: each operand gets its own."""

    sizes: tuple[int, ...]

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        return torch.split(cotangent, list(self.sizes), 2)


@dataclass(frozen=True, kw_only=True)
class MaxPool(Reversible):
    """Scatter-add to the recorded switches; windows that overlap may share one."""

    switches: Tensor  # (N, C, h, w), positions in the flattened plane
    plane: tuple[int, int]

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        values = cotangent.flatten(3)
        positions = self.switches.flatten(2).expand(values.shape)
        height, width = self.plane
        unpooled = values.new_zeros(*values.shape[:3], height * width).scatter_add_(3, positions, values)
        return (unpooled.unflatten(3, self.plane),)


@dataclass(frozen=True, kw_only=True)
class Averaging(Reversible):
    """Average and adaptive pools: the transpose of `forward`, which is linear and keeps images apart."""

    forward: Callable[[Tensor], Tensor]
    plane: tuple[int, int]

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        images = cotangent.flatten(0, 1)
        with torch.enable_grad():
            blank = images.new_zeros(*images.shape[:2], *self.plane).requires_grad_()
            (result,) = torch.autograd.grad(self.forward(blank), blank, images)
        return (result.unflatten(0, cotangent.shape[:2]),)


@dataclass(frozen=True, kw_only=True)
class Convolution(Reversible):
    """A convolution with zero padding: the transposed convolution, up to the recorded input plane."""

    weight: Tensor  # (K, C / groups, kh, kw)
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    plane: tuple[int, int]

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        transpose = self._fold if self._folds else self._transpose
        return (transpose(cotangent.flatten(0, 1)).unflatten(0, cotangent.shape[:2]),)

    def gathered(self, result: torch.Size) -> int:
        """The elements that `back` gathers a channel, besides operands and result (N, K, H', W')."""
        return math.prod((len(result), self.weight.shape[1], self.weight.shape[3], *result[2:])) if self._folds else 0

    def back_from(self, maps: Tensor, channels: Tensor) -> Tensor:
        """`back` of each of `channels` (k,) alone: maps (N, k, H', W') to (k, N, C, H, W).

        A channel's transposed convolution reads one map, so the other K - 1, all zero, are never made.
        """
        group_width, kernel = self.weight.shape[1], self.weight.shape[2:]
        filters = self.weight[channels].flip(2, 3).flatten(2)[:, None]
        patches = F.unfold(self._spread(maps.transpose(0, 1).flatten(0, 1)[:, None]), kernel, dilation=self.dilation)
        planes: Tensor = (filters @ patches.unflatten(0, (len(channels), -1))).unflatten(3, self.plane)
        if self.groups == 1:
            return planes
        full: Tensor = planes.new_zeros(*planes.shape[:2], self.groups, group_width, *self.plane)
        group = channels // (len(self.weight) // self.groups)
        full[torch.arange(len(channels), device=channels.device), :, group] = planes
        return full.flatten(2, 3)

    def patches(self, probes: int) -> int:
        """The elements that `back_from` gathers a channel."""
        return probes * math.prod(self.weight.shape[2:]) * math.prod(self.plane)

    @property
    def _folds(self) -> bool:
        return self.weight.shape[1] <= FEW_CHANNELS and self.groups == 1

    def _transpose(self, maps: Tensor) -> Tensor:
        # What the stride skipped at the end of the input plane gets zeros.
        skipped = [
            (self.plane[axis] + 2 * self.padding[axis] - self._reach(axis) - 1) % self.stride[axis] for axis in (0, 1)
        ]
        return F.conv_transpose2d(
            maps, self.weight, None, self.stride, self.padding, skipped, self.groups, self.dilation
        )

    def _fold(self, maps: Tensor) -> Tensor:
        """A matrix product for each row of the kernel, and a shifted sum for each of its positions."""
        colours, _, width = self.weight.shape[1:]
        ends = [(side - 1) * stride + 1 for side, stride in zip(maps.shape[2:], self.stride, strict=True)]
        padded = [side + 2 * padding for side, padding in zip(self.plane, self.padding, strict=True)]
        canvas = maps.new_zeros(len(maps), colours, *padded)
        for row, filters in enumerate(self.weight.permute(2, 1, 3, 0).flatten(1, 2)):
            taps = (filters @ maps.flatten(2)).view(len(maps), colours, width, *maps.shape[2:])
            lines = canvas[:, :, row * self.dilation[0] :][:, :, : ends[0] : self.stride[0]]
            for column in range(width):
                lines[..., column * self.dilation[1] :][..., : ends[1] : self.stride[1]] += taps[:, :, column]
        return canvas[..., self.padding[0] :, self.padding[1] :][..., : self.plane[0], : self.plane[1]]

    def _spread(self, maps: Tensor) -> Tensor:
        """Put the stride's zeros between the values, and the margins that make patches cover the input plane."""
        height, width = maps.shape[2:]
        spread = maps.new_zeros(*maps.shape[:2], (height - 1) * self.stride[0] + 1, (width - 1) * self.stride[1] + 1)
        spread[..., :: self.stride[0], :: self.stride[1]] = maps
        margins: list[int] = []
        for axis in (1, 0):
            before = self._reach(axis) - self.padding[axis]
            after = self.plane[axis] - spread.shape[2 + axis] - before + self._reach(axis)
            margins += [before, after]
        return F.pad(spread, margins)

    def _reach(self, axis: int) -> int:
        """The kernel's extent, less one."""
        return self.dilation[axis] * (self.weight.shape[2 + axis] - 1)
