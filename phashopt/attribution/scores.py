"""The number that is explained, one class's score, and the state in which it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from phashopt.errors import UserError
from phashopt.signal.state import home, refuse_broken_weights, undisturbed

Target = int | Sequence[int] | Tensor | None


@contextmanager
def observed(model: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Yield `images` as a leaf of `model`'s type and device; the model is in evaluation mode and leaves as it came."""
    if images.dim() != 4 or not images.is_floating_point():
        kind = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        raise UserError(f"images are float tensors (N, C, H, W), normalised as in training, not {kind}")
    refuse_broken_weights(model)
    with undisturbed(model):
        yield images.detach().to(*home(model)).clone().requires_grad_()


def class_scores(model: nn.Module, pixels: Tensor, target: Target) -> Tensor:
    """The sum over images of the score before softmax of `target`, by default of each image's best class."""
    scores = _logits(model, pixels)
    if not scores.requires_grad:
        raise UserError(f"{type(model).__name__} lets no gradient through: run its forward without no_grad")
    # In evaluation mode images do not touch each other, so one backward pass serves them all.
    return scores.gather(1, _classes(scores, target)[:, None]).sum()


def slopes(score: Tensor, places: Sequence[GradientEdge]) -> list[Tensor | None]:
    """d score / d value at each of `places` in the graph; None where the score does not depend on it."""
    return list(torch.autograd.grad(score, list(places), allow_unused=True))


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """The scores before softmax (N, classes); the model leaves as it came. Raises `UserError` as `gradient` does."""
    with observed(model, images) as pixels:
        return _logits(model, pixels).detach()


def _logits(model: nn.Module, pixels: Tensor) -> Tensor:
    # A copy, as the first layer may write in place, which a leaf forbids.
    scores = model(pixels.clone())
    if not isinstance(scores, Tensor) or scores.dim() != 2 or len(scores) != len(pixels):
        raise UserError(f"{type(model).__name__} gives no class scores (N, classes): only classifiers can be explained")
    return scores


def _classes(scores: Tensor, target: Target) -> Tensor:
    count, classes = scores.shape
    if target is None:
        return scores.argmax(1)
    wanted = torch.as_tensor(target, device=scores.device)
    if wanted.dim() > 1 or wanted.is_floating_point() or (wanted.dim() == 1 and len(wanted) != count):
        raise UserError(f"target is one class or one for each of the {count} images, not shape {tuple(wanted.shape)}")
    if not bool(((wanted >= 0) & (wanted < classes)).all()):
        raise UserError(f"the model has classes 0 to {classes - 1}: target names another")
    return wanted.long().expand(count)
