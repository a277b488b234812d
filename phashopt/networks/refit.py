"""Make a narrower network answer as its parent does, without training: ridge regression, layer by layer.

docs/signal.md, 7. Front to back, each convolution of the child is regressed from the child's own input patches to
the parent's pre-activations of the kernels it kept, so that what earlier layers lost is made up for; then the last
linear layer to the parent's logits. Either network passes the images once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phashopt.networks.build import Network, ResidualBlock
from phashopt.plans.blueprint import Block, Blueprint, Head
from phashopt.plans.sites import Site, sites

BATCH = 64  # images whose patches are held at once
ROWS = 40  # patches wanted for every number that is fitted
RIDGE = 1e-2  # of an input's own power
LEAST_POWER = 0.1  # of the inputs' mean: what is hardly ever active would be given enormous weights

Answers = list[tuple[Tensor, Tensor]]  # of a batch: which pixels were taken, (N, pixels); the answers there, (rows, K)


@torch.no_grad()
def refit(parent: Network, child: Network, kept: dict[str, Tensor], images: Tensor) -> None:
    """Fit all of `child` in place on `images` (N, C, H, W); it begins with the parent's weights of what it kept.

    `kept` maps width parameters to the parent's kernels. The responses of one layer to all images are held at once.
    """
    modes = [(network, network.training) for network in (parent, child)]
    for network, _ in modes:
        network.eval()
    answers, logits = _answers(parent, child.blueprint, kept, images)
    batches = list(images.split(BATCH))
    for name, part in child.named_children():
        for site in sites(child.blueprint):
            if site.name.partition(".")[0] == name:
                _fit_convolution(child, site, [_read(part, site, batch) for batch in batches], answers[site.name])
        if name == "head":
            _fit_linear(part, batches, logits)
        else:
            batches = [part(batch) for batch in batches]
    for network, training in modes:
        network.train(training)


def refit_macs(parent: Blueprint, child: Blueprint, images: int) -> int:
    """MACs of `refit` on so many images (docs/signal.md, 7): a pass of both networks, and the regressions.

    These are products of inputs (rows, d) with themselves and with targets (rows, k); solving does not count. Of a
    child's block the first convolution runs once more, for what the second reads; its linear layer not at all.
    """
    head = child.parts["head"]
    assert isinstance(head, Head)
    fits = [(images, head.features, head.classes)]  # rows, inputs and targets of each regression
    for site in sites(child):
        pixels = site.conv.output.height * site.conv.output.width
        fits.append((min(images * pixels, ROWS * _inputs(site)), _inputs(site), site.conv.kernels))
    products = sum(rows * (inputs + 1) * (inputs + 1 + targets) for rows, inputs, targets in fits)
    again = sum(part.first.cost.macs for part in child.parts.values() if isinstance(part, Block))
    return images * (parent.cost.macs + child.cost.macs - head.cost.macs + again) + products


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


def _answers(
    parent: Network, child: Blueprint, kept: dict[str, Tensor], images: Tensor
) -> tuple[dict[str, Answers], list[Tensor]]:
    """What the parent's convolutions answer with the kernels kept, at pixels drawn at random, and its logits."""
    answers: dict[str, Answers] = defaultdict(list)

    def note(site: Site, share: float, generator: torch.Generator, _: nn.Module, __: object, output: Tensor) -> None:
        rows = output[:, kept[site.writes]].flatten(2).transpose(1, 2)
        taken = torch.rand(rows.shape[:2], generator=generator, device=rows.device) < share
        answers[site.name].append((taken, rows[taken]))

    hooks = []
    for site in sites(child):
        pixels = site.conv.output.height * site.conv.output.width
        share = min(1.0, ROWS * _inputs(site) / (len(images) * pixels))
        generator = torch.Generator(images.device).manual_seed(0)
        conv = parent.get_submodule(f"{site.name}.conv")
        hooks.append(conv.register_forward_hook(partial(note, site, share, generator)))
    try:
        return answers, [parent(batch) for batch in images.split(BATCH)]
    finally:
        for hook in hooks:
            hook.remove()


def _inputs(site: Site) -> int:
    """Numbers in a patch."""
    return site.conv.input.channels * site.conv.size**2


def _read(part: nn.Module, site: Site, batch: Tensor) -> Tensor:
    """What the site is given where its part is given `batch`."""
    return part.first(batch) if isinstance(part, ResidualBlock) and site.name.endswith(".second") else batch


def _fit_convolution(child: Network, site: Site, batches: Sequence[Tensor], answers: Answers) -> None:
    conv = child.get_submodule(f"{site.name}.conv")
    assert isinstance(conv, nn.Conv2d)
    regression = _Regression()
    for batch, (taken, targets) in zip(batches, answers, strict=True):
        patches = F.unfold(batch, site.conv.size, padding=site.conv.size // 2, stride=site.conv.stride)
        regression.add(patches.transpose(1, 2)[taken], targets)
    weights, intercepts = regression.solve(conv.weight.flatten(1))
    conv.weight.copy_(weights.view_as(conv.weight))
    if conv.bias is not None:
        conv.bias.copy_(intercepts)
    else:  # batch norm subtracts a mean: it takes the intercept
        norm = child.get_submodule(f"{site.name}.norm")
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        norm.running_mean -= intercepts


def _fit_linear(head: nn.Module, batches: Sequence[Tensor], logits: Sequence[Tensor]) -> None:
    assert isinstance(head, nn.Sequential)
    *before, linear = head
    assert isinstance(linear, nn.Linear)
    features, regression = nn.Sequential(*before), _Regression()
    for batch, targets in zip(batches, logits, strict=True):
        regression.add(features(batch), targets)
    weights, intercepts = regression.solve(linear.weight)
    linear.weight.copy_(weights)
    linear.bias.copy_(intercepts)
