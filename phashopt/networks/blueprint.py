"""The parts a network is planned from. A plan knows its cost before anything is built; `build.py` makes it modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class ImageShape(NamedTuple):
    """Channels and size of an image or of a layer's output, in pixels."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one image's forward pass (convolutions and linear layers) and trainable parameters."""

    macs: int
    params: int


@dataclass(frozen=True)
class Conv:
    """A convolution padded to keep the size at stride 1, with batch norm (then no bias) and ReLU behind it if asked."""

    input: ImageShape
    kernels: int
    size: int
    stride: int = 1
    norm: bool = False
    relu: bool = True

    @property
    def output(self) -> ImageShape:
        """Shape behind it: ceil(side / stride) for the odd kernel sizes used here."""
        return ImageShape(self.kernels, -(-self.input.height // self.stride), -(-self.input.width // self.stride))

    @property
    def cost(self) -> Cost:
        """C_out (C_in k^2) MACs a pixel; batch norm adds scale and shift, else there is a bias."""
        weights = self.kernels * self.input.channels * self.size**2
        macs = weights * self.output.height * self.output.width
        return Cost(macs, weights + self.kernels * (2 if self.norm else 1))


@dataclass(frozen=True)
class MaxPool:
    """2x2 max pooling; odd sides lose their last row and column."""

    input: ImageShape

    @property
    def output(self) -> ImageShape:
        """Half the sides, rounded down."""
        return ImageShape(self.input.channels, self.input.height // 2, self.input.width // 2)


@dataclass(frozen=True)
class Block:
    """A post-activation residual block: relu(second(first(x)) + shortcut(x)), identity where `shortcut` is None."""

    first: Conv
    second: Conv
    shortcut: Conv | None

    @property
    def output(self) -> ImageShape:
        """The shape of the sum."""
        return self.second.output


@dataclass(frozen=True)
class Head:
    """One linear layer to the classes, behind global average pooling (`pooled`) or the flattened maps."""

    input: ImageShape
    classes: int
    pooled: bool

    @property
    def features(self) -> int:
        """Inputs of the linear layer."""
        return self.input.channels * (1 if self.pooled else self.input.height * self.input.width)

    @property
    def cost(self) -> Cost:
        """One MAC a weight; the bias counts as parameters only."""
        return Cost(self.features * self.classes, (self.features + 1) * self.classes)


@dataclass(frozen=True)
class Blueprint:
    """A whole network: named parts in order, and which module each width parameter is read on.

    `readouts` maps module names (as in `named_modules` of the built network) to width parameters.
    """

    parts: dict[str, Conv | MaxPool | Block | Head]
    readouts: dict[str, str]

    @property
    def cost(self) -> Cost:
        """The sum over all convolutions and the linear layer."""
        costs = [part.cost for part in self._priced()]
        return Cost(sum(cost.macs for cost in costs), sum(cost.params for cost in costs))

    def _priced(self) -> Iterator[Conv | Head]:
        for part in self.parts.values():
            if isinstance(part, Block):
                yield part.first
                yield part.second
                if part.shortcut is not None:
                    yield part.shortcut
            elif not isinstance(part, MaxPool):
                yield part
