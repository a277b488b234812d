"""The study's own network as a drawing: its steps, their reverses, and one real pooling window."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from phashopt.figures.labels import TIMES
from phashopt.figures.reverse import Step, Window
from phashopt.inspection.probes import Probes
from phashopt.plans import Blueprint, ImageShape
from phashopt.plans.blueprint import Block, Conv, Head, MaxPool, Part
from phashopt.signal.state import home, undisturbed

PATCH = 4  # pixels a side: four windows of 2x2


def steps(blueprint: Blueprint) -> list[Step]:
    """The parts in order, the way up beside the way back."""
    return [_step(part) for part in blueprint.parts.values()]


def map_sizes(blueprint: Blueprint) -> dict[str, str]:
    """Height and width of each layer's maps, by width parameter."""
    return {width: shape_words(_read_part(blueprint, module)) for module, width in blueprint.readouts.items()}


def shape_words(shape: ImageShape) -> str:
    """`32 x 32`, typeset."""
    return TIMES.join(map(str, shape[1:]))


def pooling_window(network: nn.Module, probes: Probes) -> Window | None:
    """The liveliest 4x4 patch in front of the first 2x2 max pool, for the first image; None where nothing pools.

    What comes back is the signal of the strongest kernel of the convolution behind the pool, carried through the
    transposed convolution.
    """
    found = _around_pool(network, probes.images[:1].to(*home(network)))
    if found is None:
        return None
    maps, behind = found
    pooled, places = F.max_pool2d(maps, 2, return_indices=True)
    returned = _signal_back(behind, pooled)
    unpooled = F.max_unpool2d(returned, places, [2, 2], output_size=maps.shape[2:])
    channel, row, column = _liveliest(pooled[0], returned[0])
    area = np.s_[0, channel, 2 * row : 2 * row + PATCH, 2 * column : 2 * column + PATCH]
    small = np.s_[0, channel, row : row + 2, column : column + 2]
    switched = F.max_unpool2d(torch.ones_like(pooled), places, [2, 2], output_size=maps.shape[2:])
    words = f"kernel {channel} in front of the first pool, rows {2 * row} to {2 * row + 3},\ncolumns {2 * column} to "
    words += f"{2 * column + 3}; image: {probes.labels[0]}"
    return Window(
        _array(maps[area]),
        _array(pooled[small]),
        _array(returned[small]),
        _array(unpooled[area]),
        _array(switched[area]) > 0,
        words,
    )


def _step(part: Part) -> Step:
    match part:
        case Conv():
            size = TIMES.join([str(part.size)] * 2)
            extras = [f"stride {part.stride}"] * (part.stride > 1) + ["batch norm"] * part.norm
            behind = "\n" if extras else " "  # a box has two lines
            return Step(
                f"{size} convolution, {part.kernels} kernels,{behind}{', '.join([*extras, 'ReLU'])}",
                f"ReLU, transposed {size} convolution",
                _maps(part.output),
            )
        case MaxPool():
            return Step(f"2{TIMES}2 max pool", f"2{TIMES}2 unpool", _maps(part.output), pools=True)
        case Block():
            inner = f"{part.first.kernels} and {part.second.kernels} kernels"
            return Step(f"residual block, {inner}", "both convolutions transposed, sum", _maps(part.output))
        case Head():
            pooled = "global average, " if part.pooled else ""
            return Step(f"{pooled}linear layer, {part.classes} classes", "", "")


def _read_part(blueprint: Blueprint, module: str) -> ImageShape:
    part = blueprint.parts[module.split(".", maxsplit=1)[0]]
    return part.first.output if isinstance(part, Block) and ".first." in module else part.output


def _maps(shape: ImageShape) -> str:
    return TIMES.join(map(str, shape))


def _around_pool(network: nn.Module, images: Tensor) -> tuple[Tensor, nn.Module | None] | None:
    """What the first max pool takes in, and the convolution that runs next."""
    taken: list[Tensor] = []
    behind: list[nn.Module] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.MaxPool2d) and not taken:
            taken.append(inputs[0].detach().float().clone())
        elif isinstance(module, nn.Conv2d) and taken and not behind:
            behind.append(module)

    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    try:
        with undisturbed(network), torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not taken or min(taken[0].shape[2:]) < PATCH:
        return None
    return taken[0], behind[0] if behind else None


def _signal_back(behind: nn.Module | None, pooled: Tensor) -> Tensor:
    """The strongest kernel's map through the transposed convolution; without one the pooled maps themselves."""
    if not isinstance(behind, nn.Conv2d):
        return pooled
    leaf = pooled.clone().requires_grad_()
    response = behind(leaf)
    kept = response.detach().clamp(min=0)
    strongest = kept.sum((2, 3), keepdim=True).argmax(1, keepdim=True)
    mask = torch.zeros_like(kept).scatter_(1, strongest.expand(-1, -1, *kept.shape[2:]), 1.0)
    (signal,) = torch.autograd.grad(response, leaf, kept * mask)
    return signal


def _liveliest(pooled: Tensor, returned: Tensor) -> tuple[int, int, int]:
    """Channel, row and column of the 2x2 patch of (K, h, w) through which most goes both ways, or else most goes up."""
    both = pooled * returned.clamp(min=0)
    activity = F.avg_pool2d((both if bool(both.any()) else pooled)[None], 2, stride=1)[0]
    channel, place = divmod(int(activity.argmax()), activity[0].numel())
    row, column = divmod(place, activity.shape[2])
    return channel, row, column


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()
