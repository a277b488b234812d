"""The parts a network is planned from. A plan knows its cost before anything is built; `build.py` makes it modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
    def output(self) -> ImageShape:
        """One number a class."""
        return ImageShape(self.classes, 1, 1)

    @property
    def features(self) -> int:
        """Inputs of the linear layer."""
        return self.input.channels * (1 if self.pooled else self.input.height * self.input.width)

    @property
    def cost(self) -> Cost:
        """One MAC a weight; the bias counts as parameters only."""
        return Cost(self.features * self.classes, (self.features + 1) * self.classes)


Part = Conv | MaxPool | Block | Head


@dataclass(frozen=True)
class Blueprint:
    """A whole network: named parts in order, and which module each width parameter is read on.

    `readouts` maps module names (as in `named_modules` of the built network) to width parameters, first layer first.
    `widths` are the kernel counts in that order; `resized` plans the same network with others.
    """

    parts: dict[str, Part]
    readouts: dict[str, str]
    widths: tuple[int, ...]
    resized: Callable[[Sequence[int]], Blueprint] = field(compare=False, repr=False)

    @property
    def cost(self) -> Cost:
        """The sum over all convolutions and the linear layer."""
        costs = [part.cost for part in self._priced()]
        return Cost(sum(cost.macs for cost in costs), sum(cost.params for cost in costs))

    def reading_macs(self, images: int, channels: int | None = None, *, calibration: int = 0) -> int:
        """MACs of one reading of `images` probes (docs/signal.md, 8): a forward pass, then each channel's way back.

        The first reverse step of a channel is a convolution from one channel; below it every layer is passed whole.
        At most `channels` of a layer are read, all by default. Batch norm is recalibrated on `calibration` images.
        """
        total, below = self.cost.macs, 0
        for name, part in self.parts.items():
            for suffix, conv in _convolutions(name, part):
                if suffix in self.readouts:
                    read = min(conv.kernels, channels or conv.kernels)
                    total += read * below + conv.cost.macs * read // conv.kernels
                below += conv.cost.macs
            if f"{name}.relu" in self.readouts:
                total += min(part.output.channels, channels or part.output.channels) * below
        return total * images + (calibration * self.cost.macs if self._normed else 0)

    @property
    def _normed(self) -> bool:
        return any(conv.norm for name, part in self.parts.items() for _, conv in _convolutions(name, part))

    def _priced(self) -> Iterator[Conv | Head]:
        for name, part in self.parts.items():
            yield from (conv for _, conv in _convolutions(name, part))
            if isinstance(part, Head):
                yield part


def _convolutions(name: str, part: Part) -> list[tuple[str, Conv]]:
    """A part's convolutions under their module names, in the order they run."""
    match part:
        case Conv():
            return [(f"{name}.conv", part)]
        case Block():
            inner = {"first": part.first, "second": part.second, "shortcut": part.shortcut}
            return [(f"{name}.{role}.conv", conv) for role, conv in inner.items() if conv is not None]
        case _:
            return []
