"""Make a narrower network answer as its parent does, without training: ridge regression, layer by layer.

docs/signal.md, 7. Front to back, each convolution of the child is regressed from the child's own input patches to
the parent's pre-activations of the kernels it kept, so that what earlier layers lost is made up for; then the last
linear layer to the parent's logits.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phashopt.networks.blueprint import Blueprint, Head
from phashopt.networks.build import Network
from phashopt.networks.sites import Site, sites

BATCH = 64  # images whose patches are held at once
ROWS = 40  # patches wanted for every number that is fitted
RIDGE = 1e-2  # of an input's own power
LEAST_POWER = 0.1  # of the inputs' mean: what is hardly ever active would be given enormous weights


@torch.no_grad()
def refit(parent: Network, child: Network, kept: dict[str, Tensor], images: Tensor) -> None:
    """Fit all of `child` in place on `images` (N, C, H, W); it begins with the parent's weights of what it kept.

    `kept` maps width parameters to the parent's kernels.
    """
    modes = [(network, network.training) for network in (parent, child)]
    for network, _ in modes:
        network.eval()
    for site in sites(child.blueprint):
        _fit_convolution(parent, child, site, kept[site.writes], images)
    _fit_head(parent, child, images)
    for network, training in modes:
        network.train(training)


def refit_macs(parent: Blueprint, child: Blueprint, images: int) -> int:
    """MACs of `refit` on so many images (docs/signal.md, 7): both networks pass them for every layer that is fitted.

    Its regression comes on top: products of inputs (rows, d) with themselves and with targets (rows, k); solving does
    not count.
    """
    head = child.parts["head"]
    assert isinstance(head, Head)
    fits = [(images, head.features, head.classes)]  # rows, inputs and targets of each regression
    for site in sites(child):
        inputs, output = site.conv.input.channels * site.conv.size**2, site.conv.output
        fits.append((min(images * output.height * output.width, ROWS * inputs), inputs, output.channels))
    products = sum(rows * (inputs + 1) * (inputs + 1 + targets) for rows, inputs, targets in fits)
    return len(fits) * images * (parent.cost.macs + child.cost.macs) + products


class _Regression:
    """Sums of products of inputs (rows, d) with themselves and with targets (rows, k), in double precision."""

    def __init__(self) -> None:
        self._gram: Tensor | float = 0.0
        self._moment: Tensor | float = 0.0

    def add(self, inputs: Tensor, targets: Tensor) -> None:
        rows = F.pad(inputs.double(), (0, 1), value=1.0)
        self._gram = self._gram + rows.T @ rows
        self._moment = self._moment + rows.T @ targets.double()

    def solve(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (k, d) and intercepts (k,); the weights stay near `start`.

        That is the parent's own: shrunk to zero instead, weights of inputs that say the same become large against one
        another, and training goes astray from there.
        """
        assert isinstance(self._gram, Tensor)
        powers = self._gram.diagonal()
        penalty = RIDGE * powers.clamp_min(LEAST_POWER * float(powers[:-1].mean()) or 1.0)
        penalty[-1] = 0
        pull = penalty[:, None] * F.pad(start.double(), (0, 1)).T
        solution = torch.linalg.solve(self._gram + penalty.diag(), self._moment + pull)
        return solution[:-1].T.float(), solution[-1].float()


def _fit_convolution(parent: Network, child: Network, site: Site, kernels: Tensor, images: Tensor) -> None:
    conv, original = child.get_submodule(f"{site.name}.conv"), parent.get_submodule(f"{site.name}.conv")
    assert isinstance(conv, nn.Conv2d)
    regression = _Regression()
    pixels = site.conv.output.height * site.conv.output.width
    share = min(1.0, ROWS * conv.weight[0].numel() / (len(images) * pixels))
    generator = torch.Generator(images.device).manual_seed(0)
    for (inputs,), outputs in _responses(child, conv, parent, original, images):
        patches = F.unfold(inputs, site.conv.size, padding=site.conv.size // 2, stride=site.conv.stride)
        taken = torch.rand((patches.shape[0], patches.shape[2]), generator=generator, device=images.device) < share
        regression.add(patches.transpose(1, 2)[taken], outputs[:, kernels].flatten(2).transpose(1, 2)[taken])
    weights, intercepts = regression.solve(conv.weight.flatten(1))
    conv.weight.copy_(weights.view_as(conv.weight))
    if conv.bias is not None:
        conv.bias.copy_(intercepts)
    else:  # batch norm subtracts a mean: it takes the intercept
        norm = child.get_submodule(f"{site.name}.norm")
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        norm.running_mean -= intercepts


def _fit_head(parent: Network, child: Network, images: Tensor) -> None:
    linear = child.get_submodule("head.linear")
    assert isinstance(linear, nn.Linear)
    regression = _Regression()
    for (features,), logits in _responses(child, linear, parent, parent.get_submodule("head.linear"), images):
        regression.add(features, logits)
    weights, intercepts = regression.solve(linear.weight)
    linear.weight.copy_(weights)
    linear.bias.copy_(intercepts)


def _responses(
    child: Network, module: nn.Module, parent: Network, original: nn.Module, images: Tensor
) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """What `module` of the child is given, and what `original` of the parent answers, batch by batch.

    The answer is copied, since a ReLU in place would overwrite it.
    """
    seen: dict[str, tuple[Tensor, ...]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.update(inputs=inputs)),
        original.register_forward_hook(lambda _, __, output: seen.update(output=(output.clone(),))),
    ]
    try:
        for batch in images.split(BATCH):
            child(batch)
            parent(batch)
            yield seen["inputs"], seen["output"][0]
    finally:
        for hook in hooks:
            hook.remove()
