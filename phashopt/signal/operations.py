"""How each operation of a forward pass is walked backwards by a deconvnet (docs/signal.md, section 1).

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
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

# Below this many input channels matrix products and shifted sums beat a transposed convolution 2 to 4 times on a CPU.
FEW_CHANNELS = 4
# Elements of a kernel that stays in a CPU's cache: up to there channels are best laid out last, beyond first.
SMALL_KERNEL = 1 << 18


def fastest_layout(weight: Tensor, groups: int) -> torch.memory_format:
    """The layout in which a transposed convolution with `weight` (K, C / groups, kh, kw) runs fastest."""
    is_plain = groups == 1 or weight.shape[1] == 1
    is_small = weight.numel() <= SMALL_KERNEL and is_plain and weight.device.type == "cpu"
    return torch.channels_last if is_small else torch.contiguous_format


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
    layout: torch.memory_format = torch.contiguous_format  # of `weight`, and what maps are brought into

    def back(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        transpose = self._fold if self._folds else self._transpose
        return (transpose(cotangent.flatten(0, 1)).unflatten(0, cotangent.shape[:2]),)

    def gathered(self, result: torch.Size) -> int:
        """The elements that `back` gathers a channel, besides operands and result (N, K, H', W')."""
        if not self._folds:
            return 0
        colours, _, columns = self.weight.shape[1:]
        return len(result) * self.stride[0] * columns * colours * self._strides(0, result[2]) * result[3]

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
        maps = maps.contiguous(memory_format=self.layout)
        return F.conv_transpose2d(
            maps, self.weight, None, self.stride, self.padding, skipped, self.groups, self.dilation
        )

    def _fold(self, maps: Tensor) -> Tensor:
        """Matrix products that add up the kernel's rows as they go, then a shifted sum for each of its columns."""
        count, (height, width) = len(maps), maps.shape[2:]
        colours, _, columns = self.weight.shape[1:]
        lines, reach = self._strides(0, height), self._strides(1, width)
        sums = maps.new_zeros(count, self.stride[0] * columns * colours, lines * width)
        for shift, filters in self._shifted_rows:
            place = sums[:, : len(filters), shift * width : (shift + height) * width]
            place.baddbmm_(filters.expand(count, -1, -1), maps.flatten(2))
        canvas = maps.new_zeros(count, self.stride[0], colours, lines, self.stride[1], reach)
        for column, part in enumerate(sums.view(count, self.stride[0], columns, colours, lines, width).unbind(2)):
            shift, phase = divmod(column * self.dilation[1], self.stride[1])
            canvas[..., phase, shift : shift + width] += part
        image = canvas.permute(0, 2, 3, 1, 5, 4).flatten(4, 5).flatten(2, 3)
        return image[..., self.padding[0] :, self.padding[1] :][..., : self.plane[0], : self.plane[1]]

    @cached_property
    def _shifted_rows(self) -> list[tuple[int, Tensor]]:
        """By how many strides rows of the kernel reach down, and their filters (phases * kw * C, K).

        Rows of one shift write to lines of different phases in the input plane, so that one product serves them all.
        """
        rows: dict[int, dict[int, Tensor]] = {}
        for row, filters in enumerate(self.weight.permute(2, 3, 1, 0).flatten(1, 2)):
            shift, phase = divmod(row * self.dilation[0], self.stride[0])
            rows.setdefault(shift, {})[phase] = filters
        none = torch.zeros_like(filters)
        return [
            (shift, torch.cat([found.get(phase, none) for phase in range(max(found) + 1)]))
            for shift, found in rows.items()
        ]

    def _strides(self, axis: int, side: int) -> int:
        """How many strides cover the padded input plane, and all that `side` positions of the result reach."""
        covered = -(-(self.plane[axis] + self.padding[axis]) // self.stride[axis])
        return max(covered, side + self._reach(axis) // self.stride[axis])

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
