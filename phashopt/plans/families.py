"""The three families: widths in, blueprint out. A family is also its own table in a study spec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from phashopt.errors import UserError
from phashopt.plans.blueprint import Block, Blueprint, Conv, Head, ImageShape, MaxPool, Part

Kernel = Literal[1, 3, 5, 7, 9, 11]
Stages = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
SMALLEST_POOLED_SIDE = 4  # pooling leaves at least 2x2


def width_name(index: int) -> str:
    """`width_00`, `width_01`, ...: zero-padded, so that the dashboard's columns sort."""
    return f"width_{index:02d}"


class Family(BaseModel, ABC):
    """What all families share; fields are the family's options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def depth(self, given: int) -> int:
        """How many widths the family takes, where `given` are offered."""

    @abstractmethod
    def plan(self, widths: Sequence[int], image: ImageShape, classes: int) -> Blueprint:
        """Lay out the network with `widths` kernels; `UserError` if they do not fit the family or the image."""

    def _check(self, widths: Sequence[int]) -> None:
        if len(widths) != self.depth(len(widths)) or not widths:
            raise UserError(f"this network takes {self.depth(len(widths)) or 'at least 1'} widths, not {len(widths)}")


class Plain(Family):
    """The paper's network (section II-B): convolutions with ReLU, 2x2 max pools, one linear layer.

    `pools` are the layers with a pool behind them; by default every layer, as long as 2x2 pixels remain.
    """

    family: Literal["plain"] = "plain"
    kernel_size: Kernel = 5
    pools: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    batch_norm: bool = False

    def depth(self, given: int) -> int:
        return given

    def plan(self, widths: Sequence[int], image: ImageShape, classes: int) -> Blueprint:
        self._check(widths)
        if self.pools is not None and max(self.pools, default=0) >= len(widths):
            raise UserError(f"network.pools names layer {max(self.pools)}, the last layer is {len(widths) - 1}")
        if self.pools is not None and len(set(self.pools)) < len(self.pools):
            raise UserError("network.pools names a layer twice; one pool fits behind each")
        parts: dict[str, Part] = {}
        shape = image
        for index, kernels in enumerate(widths):
            conv = Conv(shape, kernels, self.kernel_size, norm=self.batch_norm)
            parts[f"layer{index}"], shape = conv, conv.output
            if self._pooled(index, shape):
                pool = MaxPool(shape)
                parts[f"pool{index}"], shape = pool, pool.output
                if min(shape.height, shape.width) < 1:
                    raise UserError(f"network.pools: nothing is left of the image behind layer {index}")
        parts["head"] = Head(shape, classes, pooled=False)
        readouts = {f"layer{index}.conv": width_name(index) for index in range(len(widths))}
        return Blueprint(parts, readouts, tuple(widths), partial(self.plan, image=image, classes=classes))

    def _pooled(self, index: int, shape: ImageShape) -> bool:
        if self.pools is None:
            return min(shape.height, shape.width) >= SMALLEST_POOLED_SIDE
        return index in self.pools


class Vgg(Family):
    """Stages of 3x3 convolution, batch norm, ReLU, with a 2x2 max pool between stages and global average pooling.

    `stages` are the convolutions of each stage (Simonyan & Zisserman 2015, with batch norm).
    """

    family: Literal["vgg"] = "vgg"
    stages: Stages = (2, 2, 2)

    def depth(self, given: int) -> int:
        return sum(self.stages)

    def plan(self, widths: Sequence[int], image: ImageShape, classes: int) -> Blueprint:
        self._check(widths)
        _check_stages(len(self.stages), image)
        parts: dict[str, Part] = {}
        shape, index = image, 0
        for stage, length in enumerate(self.stages):
            if stage:
                pool = MaxPool(shape)
                parts[f"pool{stage - 1}"], shape = pool, pool.output
            for kernels in widths[index : index + length]:
                conv = Conv(shape, kernels, 3, norm=True)
                parts[f"layer{index}"], shape = conv, conv.output
                index += 1
        parts["head"] = Head(shape, classes, pooled=True)
        readouts = {f"layer{index}.conv": width_name(index) for index in range(len(widths))}
        return Blueprint(parts, readouts, tuple(widths), partial(self.plan, image=image, classes=classes))


class ResNet(Family):
    """Post-activation residual blocks of two 3x3 convolutions (He et al. 2016), `blocks` a stage; (3, 3, 3): ResNet-20.

    Widths, stage by stage: the residual path's, shared by all that write to it, then each block's inner one.
    """

    family: Literal["resnet"] = "resnet"
    blocks: Stages = (3, 3, 3)

    def depth(self, given: int) -> int:
        return len(self.blocks) + sum(self.blocks)

    def plan(self, widths: Sequence[int], image: ImageShape, classes: int) -> Blueprint:
        self._check(widths)
        _check_stages(len(self.blocks), image)
        stem = Conv(image, widths[0], 3, norm=True)
        parts: dict[str, Part] = {"stem": stem}
        readouts: dict[str, str] = {}
        shape, index = stem.output, 0
        for stage, length in enumerate(self.blocks):
            path = index
            for position in range(length):
                index += 1
                stride = 2 if stage and not position else 1
                block = _block(shape, widths[index], widths[path], stride)
                name = f"stage{stage}_block{position}"
                parts[name], shape = block, block.output
                readouts[f"{name}.first.conv"] = width_name(index)
            readouts[f"stage{stage}_block{length - 1}.relu"] = width_name(path)
            index += 1
        parts["head"] = Head(shape, classes, pooled=True)
        by_width = dict(sorted(readouts.items(), key=lambda item: item[1]))
        return Blueprint(parts, by_width, tuple(widths), partial(self.plan, image=image, classes=classes))


def _block(shape: ImageShape, inner: int, path: int, stride: int) -> Block:
    first = Conv(shape, inner, 3, stride, norm=True)
    second = Conv(first.output, path, 3, norm=True, relu=False)
    same = shape == second.output
    return Block(first, second, None if same else Conv(shape, path, 1, stride, norm=True, relu=False))


def _check_stages(stages: int, image: ImageShape) -> None:
    if min(image.height, image.width) < 2 ** (stages - 1):
        raise UserError(f"{stages} stages halve a {image.height}x{image.width} image to nothing: take fewer stages")


FAMILIES: dict[str, type[Family]] = {"plain": Plain, "vgg": Vgg, "resnet": ResNet}
