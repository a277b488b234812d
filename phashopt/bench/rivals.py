"""What others read from the same layers and probes: the signals that redundancy has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from phashopt.signal.state import undisturbed

CHIP_PROBES = 8
NOTHING = 1e-12
STEP, REACH = 0.5, 24.0  # of the nodes in log s: the rule is exact to exp(-pi^2 / STEP), the ends to exp(-REACH)


def rival_signals(network: nn.Module, images: Tensor, readouts: Mapping[str, str]) -> dict[str, float]:
    """`SIGNAL.width_00` and so on, of each layer's rectified maps on `images` (N, C, H, W); NaN where undefined.

    `rank`: effective rank of the maps as a share of their number (Roy & Vetterli 2007). `correlation`: mean absolute
    correlation of two maps. `chip`: share of the nuclear norm that a map takes with it when it is left out (CHIP, Sui
    et al. 2021). `cosine`: mean absolute cosine of two kernels. `silent`: share of maps that are zero on every probe.
    """
    maps = _maps(network, images, readouts)
    found: dict[str, float] = {}
    for layer, name in readouts.items():
        module = network.get_submodule(layer)
        found |= {f"{signal}.{name}": value for signal, value in map_signals(maps[layer]).items()}
        found[f"cosine.{name}"] = (
            mean_cosine(module.weight.detach().flatten(1)) if isinstance(module, nn.Conv2d) else math.nan
        )
    return found


def map_signals(maps: Tensor) -> dict[str, float]:
    """The signals of one layer's maps (N, K, H, W)."""
    rows = maps.double().transpose(0, 1).flatten(1)
    return {
        "rank": effective_rank(rows) / len(rows),
        "correlation": mean_cosine(rows - rows.mean(1, keepdim=True)),
        "chip": mean_independence(maps[:CHIP_PROBES].double().flatten(2)),
        "silent": float((rows == 0).all(1).double().mean()),
    }


def effective_rank(rows: Tensor) -> float:
    """exp of the entropy of the normalised singular values of (K, P); 0 of a zero matrix."""
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0).sqrt()
    if values.sum() <= NOTHING:
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def mean_cosine(rows: Tensor) -> float:
    """Mean absolute cosine between two of the rows (K, P) that are not zero; NaN for fewer than two."""
    lengths = rows.norm(dim=1)
    rows = (rows / lengths[:, None])[lengths > NOTHING]
    pairs = torch.triu_indices(len(rows), len(rows), offset=1)
    return float((rows @ rows.T)[pairs[0], pairs[1]].abs().mean()) if len(rows) > 1 else math.nan


def mean_independence(maps: Tensor) -> float:
    """Mean over channels of the share of the nuclear norm of (N, K, P) that is gone without the channel.

    One eigendecomposition an image in place of K: sqrt(x) is 1 / (2 pi) times the integral of log(1 + x / t) / sqrt(t)
    over t > 0, and det(G + t) / det(G' + t), G' being the Gram matrix G without row and column k, is 1 over
    r = [1 / (G + t)]_kk (Cramer). So the norm lost is 1 / pi times the integral of -log(s^2 r(s^2)) over s > 0. By the
    trapezoidal rule in log s.
    """
    values, vectors = torch.linalg.eigh(maps @ maps.transpose(1, 2))
    values = values.clamp(min=0)[:, :, None]
    largest = values[:, -1:].clamp(min=NOTHING)
    nodes = torch.arange(-REACH, REACH, STEP, dtype=maps.dtype, device=maps.device).exp()
    squares = largest * nodes**2  # (N, 1, T)
    weights = vectors.square()
    left, taken = weights @ (squares / (values + squares)), weights @ (values / (values + squares))
    logs = torch.where(nodes < 1, -left.log(), -torch.log1p(-taken))  # left + taken = 1; each exact where it is small
    gone = (logs @ nodes) * (STEP / math.pi) * largest[:, 0].sqrt()
    whole = values.sqrt().sum(1)
    shares = (gone / whole)[whole[:, 0] > NOTHING]
    return float(shares.mean()) if len(shares) else math.nan


def _maps(network: nn.Module, images: Tensor, readouts: Mapping[str, str]) -> dict[str, Tensor]:
    """What the networks' layers pass on: a convolution's maps behind its batch norm and activation."""
    maps: dict[str, Tensor] = {}

    def keep(layer: str) -> torch.utils.hooks.RemovableHandle:
        module = network.get_submodule(layer.removesuffix(".conv"))
        return module.register_forward_hook(lambda _module, _inputs, output: maps.update({layer: output.clone()}))

    handles = [keep(layer) for layer in readouts]
    try:
        with undisturbed(network), torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return maps
