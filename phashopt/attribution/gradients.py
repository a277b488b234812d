"""How a class's score changes with each pixel: the plain gradient, and guided backpropagation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from phashopt.attribution.guided import GuidedReLU
from phashopt.attribution.scores import Target, class_scores, observed, slopes
from phashopt.errors import UserError


def gradient(model: nn.Module, images: Tensor, target: Target = None) -> Tensor:
    """The gradient (N, C, H, W) of `target`'s score (an int, or N of them; the best class by default) by the pixels.

    `images` (N, C, H, W) are normalised as in training. The model comes back as it was. Raises `UserError` for a model
    that is no classifier, a class that is not there, and NaN or Inf in the weights. Source: Simonyan et al. 2014.
    """
    return _by_pixels(model, images, target, nullcontext())


def guided_backprop(model: nn.Module, images: Tensor, target: Target = None) -> Tensor:
    """The same with every ReLU letting only positive gradients through; a picture of edges more than of evidence.

    It hardly changes when the weights of the later layers are drawn anew (Adebayo et al. 2018), so it shows what is in
    the image, not what the class rests on. Arguments and errors as in `gradient`. Source: Springenberg et al. 2015.
    """
    return _by_pixels(model, images, target, GuidedReLU())


def _by_pixels(model: nn.Module, images: Tensor, target: Target, rule: AbstractContextManager[object]) -> Tensor:
    with observed(model, images) as pixels:
        with rule:
            score = class_scores(model, pixels, target)
        (slope,) = slopes(score, [get_gradient_edge(pixels)])
    if slope is None:
        raise UserError(f"{type(model).__name__} lets no gradient through to the images: detach nothing on the way")
    return slope
