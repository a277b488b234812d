"""Why a network chose the classes it chose, for a few images: what the paper's Fig. 7 and 8 show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from phashopt.attribution import end_convolutions, grad_cam, guided_backprop, logits, upsampled
from phashopt.figures.explanations import Explained
from phashopt.inspection.probes import Probes


@dataclass(frozen=True)
class Explanation:
    """The layers that Grad-CAM was taken at, and the images explained."""

    first: str
    last: str
    images: list[Explained]


def explain(network: nn.Module, probes: Probes, chosen: Sequence[int], classes: Sequence[str]) -> Explanation:
    """Explain the probes numbered `chosen`; `UserError` for a network that is no classifier or has no gradient."""
    images = probes.images[list(chosen)]
    first, last = end_convolutions(network, images)
    scores = logits(network, images)
    target = scores.argmax(1)
    size = images.shape[2:]
    early, late = (upsampled(grad_cam(network, images, layer, target, activated=True), size) for layer in (first, last))
    guided = guided_backprop(network, images, target)
    pictures = zip(*(_arrays(tensor) for tensor in (early[:, 0], late[:, 0], guided, guided * late)), strict=True)
    names = classes if len(classes) == scores.shape[1] else [f"class {index}" for index in range(scores.shape[1])]
    said = [names[index] for index in target.tolist()]
    return Explanation(
        first,
        last,
        [
            Explained(f"{probes.labels[number]}\nsaid: {name}", probes.pixels[number], *parts)
            for number, name, parts in zip(chosen, said, pictures, strict=True)
        ],
    )


def _arrays(tensor: Tensor) -> list[NDArray[np.float32]]:
    return list(tensor.float().cpu().numpy())
