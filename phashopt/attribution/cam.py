"""Grad-CAM (Selvaraju et al. 2017; the paper's section III) for any convolution, and Guided Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from phashopt.attribution import recorder
from phashopt.attribution.gradients import guided_backprop
from phashopt.attribution.scores import Target, class_scores, observed, slopes
from phashopt.errors import UserError
from phashopt.signal.units import convolutions


def grad_cam(
    model: nn.Module, images: Tensor, layer: str | None = None, target: Target = None, *, activated: bool = False
) -> Tensor:
    """Where the maps of `layer`, by default the last convolution, speak for `target`: (N, 1, h, w) >= 0, of their size.

    max(0, sum_k alpha_k A_k), alpha_k the mean over positions of d score / d A_k (eq. 1). A is what the module called
    `layer` returned when it ran last; if `activated`, what batch norm, activation and residual sum made of that, which
    is never negative behind a ReLU and makes the better picture. Images, target and errors as in `gradient`;
    `UserError` as well for a layer that is not there, gives no maps (N, K, h, w) or does not lead to the score.
    """
    name = layer or end_convolutions(model, images[:1])[1]
    watch = recorder.activated(model, name) if activated else recorder.recorded(model, [name])
    with observed(model, images) as pixels:
        with watch as maps:
            score = class_scores(model, pixels, target)
        if name not in maps:
            raise UserError(f"layer {name!r} did not run or gave no (N, K, H, W) maps: name a convolution instead")
        values, edge = maps[name]
        (slope,) = slopes(score, [edge])
        if slope is None:
            raise UserError(f"layer {name!r} does not lead to the class scores: name another")
        alpha = slope.mean((2, 3), keepdim=True)  # eq. 1
        return (alpha * values).sum(1, keepdim=True).clamp(min=0)


def guided_grad_cam(
    model: nn.Module, images: Tensor, layer: str | None = None, target: Target = None, *, activated: bool = False
) -> Tensor:
    """Guided backpropagation times the upsampled Grad-CAM: (N, C, H, W); arguments and errors as in `grad_cam`.

    Grad-CAM says where, the other factor draws edges there: see `guided_backprop` for what those are worth.
    """
    heat = upsampled(grad_cam(model, images, layer, target, activated=activated), images.shape[2:])
    return guided_backprop(model, images, target) * heat


def end_convolutions(model: nn.Module, images: Tensor) -> tuple[str, str]:
    """The first and the last convolution on the way from `images` (N, C, H, W) to the class scores.

    The last is the last whose maps have more than one pixel, where there is one: a gate or a head that is written as a
    convolution sees no places. Raises `UserError` as `grad_cam` does, and for a model without convolutions.
    """
    with observed(model, images) as pixels:
        with recorder.recorded(model, convolutions(model)) as maps:
            score = class_scores(model, pixels, None)
        reached = slopes(score, [edge for _, edge in maps.values()]) if maps else []
        used = [name for name, slope in zip(maps, reached, strict=True) if slope is not None]
        if not used:
            raise UserError(f"no convolution of {type(model).__name__} leads to the class scores: nothing to explain")
        wide = [name for name in used if maps[name].values.shape[2:].numel() > 1]
        return used[0], (wide or used)[-1]


def upsampled(heat: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinearly to `size` (H, W), corners not aligned."""
    return F.interpolate(heat, tuple(size), mode="bilinear", align_corners=False)
