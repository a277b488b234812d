"""Children of a trained network: narrower ones that answer much as it does, wider ones that answer just as it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phashopt.errors import UserError
from phashopt.networks.build import Network, build
from phashopt.networks.refit import refit, refit_macs
from phashopt.plans.blueprint import Blueprint
from phashopt.plans.sites import head_reads, sites
from phashopt.signal import LayerReport, measure

PROBES = 16  # of the images, for the hashes that kernels are grouped by

Kept = dict[str, Tensor]  # width parameter -> the parent's kernels that the child has, (k,)


def shrink(
    parent: Network, widths: Sequence[int], images: Tensor, groups: Mapping[str, NDArray[np.int32]] | None = None
) -> Network:
    """A child of `parent` with fewer kernels, every layer refitted to the parent's responses on `images`.

    `images` (N, C, H, W) are training images, normalised, a thousand or so; `widths` the child's, first layer first. Of
    every group of kernels that show the same the one with the most energy is kept: `groups` maps width parameters to
    labels (K,), as many as the child has kernels, by default of `relative` hashes. Raises `UserError` where a width
    would grow. Source: docs/signal.md, section 7; batch norm is not recalibrated, which gained nothing there.
    """
    blueprint = _plan(parent, widths).resized(widths)
    _refuse(parent.blueprint, blueprint, larger=True)
    report = measure(parent, images[:PROBES], layers=list(blueprint.readouts), relative=True)
    kept = {
        name: torch.from_numpy(_representatives(report[layer], count, groups[name] if groups else None))
        for (layer, name), count in zip(blueprint.readouts.items(), blueprint.widths, strict=True)
    }
    child = build(blueprint, seed=0).to(images.device)
    _copy(parent, child, kept)
    refit(parent, child, kept, images)
    return child


def grow(parent: Network, widths: Sequence[int], seed: int = 0) -> Network:
    """A child of `parent` with more kernels that answers as it does: the new ones, from `seed`, are not heard yet.

    Raises `UserError` where a width would fall. Source: Chen et al. 2016 (Net2Net), with random kernels in place of
    copies, since copies are what redundancy counts.
    """
    blueprint = _plan(parent, widths).resized(widths)
    _refuse(parent.blueprint, blueprint, larger=False)
    child = build(blueprint, seed)
    names = blueprint.readouts.values()
    _copy(
        parent, child, {name: torch.arange(count) for name, count in zip(names, parent.blueprint.widths, strict=True)}
    )
    return child


def inherit(parent: Network, widths: Sequence[int], images: Tensor, seed: int = 0) -> Network:
    """A child of any widths: shrunk if it has fewer kernels than `parent` anywhere, then grown where it has more."""
    narrower = [min(pair) for pair in zip(_plan(parent, widths).widths, widths, strict=True)]
    if narrower != list(parent.blueprint.widths):
        parent = shrink(parent, narrower, images)
    return grow(parent, widths, seed)


def inherit_macs(parent: Blueprint, widths: Sequence[int], images: int) -> int:
    """MACs of `inherit` on so many images (docs/signal.md, 7): what is shrunk is read and refitted, growing is free."""
    narrower = [min(pair) for pair in zip(parent.widths, widths, strict=True)]
    if narrower == list(parent.widths):
        return 0
    return parent.reading_macs(min(PROBES, images)) + refit_macs(parent, parent.resized(narrower), images)


def _plan(parent: Network, widths: Sequence[int]) -> Blueprint:
    """Raise `UserError` for somebody else's network, and for another number of layers."""
    if not isinstance(parent, Network):
        raise UserError(
            f"a {type(parent).__name__} has no plan to be resized by: build it with phashopt.build; "
            "'inspect --cap' shrinks any network"
        )
    if len(widths) != len(parent.blueprint.widths):
        raise UserError(f"{len(widths)} widths for {len(parent.blueprint.widths)} layers; give one a layer")
    return parent.blueprint


def _refuse(parent: Blueprint, child: Blueprint, *, larger: bool) -> None:
    for name, before, after in zip(parent.readouts.values(), parent.widths, child.widths, strict=True):
        if (after > before) if larger else (after < before):
            raise UserError(
                f"{name}: {before} -> {after} kernels; shrink takes fewer, grow takes more, inherit takes either"
            )


def _representatives(report: LayerReport, count: int, labels: NDArray[np.int32] | None) -> NDArray[np.int64]:
    """(count,) ascending: the strongest kernel of each group, then the strongest of those left over."""
    groups = report.groups_at(count) if labels is None else labels
    strongest_first = np.argsort(-report.energy, kind="stable")
    grouped = strongest_first[groups[strongest_first] >= 0]
    _, first = np.unique(groups[grouped], return_index=True)
    chosen = grouped[np.sort(first)][:count]
    rest = strongest_first[~np.isin(strongest_first, chosen)]
    return np.sort(np.concatenate([chosen, rest[: count - len(chosen)]])).astype(np.int64)


@torch.no_grad()
def _copy(parent: Network, child: Network, kept: Kept) -> None:
    """Give the child's first kernels the parent's weights of those kept; they hear nothing of any other."""
    before, after = parent.state_dict(), child.state_dict()
    for site in sites(child.blueprint):
        outputs = kept[site.writes]
        inputs = torch.arange(site.conv.input.channels) if site.reads is None else kept[site.reads]
        weight = after[f"{site.name}.conv.weight"]
        weight[: len(outputs)] = 0
        weight[: len(outputs), : len(inputs)] = before[f"{site.name}.conv.weight"][outputs][:, inputs]
        for vector in ("conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
            name = f"{site.name}.{vector}"
            if name in before:
                after[name][: len(outputs)] = before[name][outputs]
    features = kept[head_reads(child.blueprint)]
    old, new = (state["head.linear.weight"] for state in (before, after))
    channels = dict(zip(parent.blueprint.readouts.values(), parent.blueprint.widths, strict=True))
    pixels = old.shape[1] // channels[head_reads(parent.blueprint)]
    maps = new.view(len(new), -1, pixels)
    maps.zero_()
    maps[:, : len(features)] = old.view(len(old), -1, pixels)[:, features]
    after["head.linear.bias"].copy_(before["head.linear.bias"])
