"""What a reading says of a network that has learnt nothing: the same architecture with its weights drawn again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from phashopt.signal.probe import Report, measure
from phashopt.signal.state import duplicate, home, undisturbed


def baseline(model: nn.Module, images: Tensor, *, seed: int = 0, **settings: Any) -> Report:
    """`measure` a copy of `model` whose weights are drawn anew; `images` and `settings` are those of `measure`.

    Maps of one image resemble each other in untrained networks too, as a deconvnet partly recovers the image, so this
    stands beside a reading and is never subtracted from it. Model and random state stay as they are; errors as in
    `measure`. Source: docs/signal.md, section 5; Nie et al. 2018.
    """
    with undisturbed(model):
        return measure(untrained(model, seed), images, **settings)


def untrained(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of `model` with its weights drawn anew, the same on every device; call it inside `undisturbed`.

    Parameters that their module cannot reset get their entries shuffled.
    """
    device, _ = home(model)
    fresh = duplicate(model).cpu()
    torch.default_generator.manual_seed(seed)
    shuffling = torch.Generator().manual_seed(seed)
    for module in fresh.modules():
        before = [parameter.detach().clone() for parameter in module.parameters(recurse=False)]
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        for parameter, learnt in zip(module.parameters(recurse=False), before, strict=True):
            if torch.equal(parameter, learnt):
                _shuffle(parameter, shuffling)
    return fresh.to(device)


@torch.no_grad()
def _shuffle(parameter: Tensor, generator: torch.Generator) -> None:
    parameter.copy_(parameter.flatten()[torch.randperm(parameter.numel(), generator=generator)].view_as(parameter))
