from __future__ import annotations

import math

import pytest
import torch

from phashopt.bench.rivals import (
    effective_rank,
    map_signals,
    mean_cosine,
    mean_independence,
    rival_signals,
)
from phashopt.networks import build
from phashopt.plans import ImageShape, Plain, ResNet


def _rows(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_orthogonal_rows_have_full_rank_and_copies_rank_one() -> None:
    assert effective_rank(torch.eye(5, 8, dtype=torch.float64)) == pytest.approx(5)
    assert effective_rank(torch.ones(5, 8, dtype=torch.float64)) == pytest.approx(1, abs=1e-4)


def test_a_cosine_knows_no_sign_and_no_length() -> None:
    row = _rows(1, 6)
    assert mean_cosine(torch.cat([row, -3 * row, 0 * row])) == pytest.approx(1)
    assert math.isnan(mean_cosine(row))


def test_one_of_two_copies_takes_little_with_it_and_a_lone_map_half() -> None:
    lone = torch.eye(2, 8, dtype=torch.float64)[None]
    copies = torch.ones(1, 2, 8, dtype=torch.float64)
    assert mean_independence(lone) == pytest.approx(0.5)
    assert mean_independence(copies) == pytest.approx(1 - 0.5**0.5)


@pytest.mark.parametrize("shape", [(4, 3, 9), (4, 9, 3), (2, 32, 50), (3, 1, 9)])
def test_the_share_that_a_map_takes_with_it_is_that_of_the_norm_without_it(shape: tuple[int, int, int]) -> None:
    maps = _rows(*shape).relu()
    maps[:, 0], maps[0, -1] = maps[:, -1], 0
    whole = torch.linalg.matrix_norm(maps, "nuc")
    without = [torch.linalg.matrix_norm(maps[:, torch.arange(shape[1]) != k], "nuc") for k in range(shape[1])]
    shares = 1 - torch.stack(without, 1)[whole > 0] / whole[whole > 0, None]
    assert mean_independence(maps) == pytest.approx(float(shares.mean()), abs=1e-7)


def test_a_layer_that_is_zero_everywhere_is_silent() -> None:
    signals = map_signals(torch.zeros(8, 3, 4, 4))
    assert signals["silent"] == 1
    assert signals["rank"] == 0
    assert math.isnan(signals["correlation"])
    assert math.isnan(signals["chip"])


@pytest.mark.parametrize("family", [Plain(kernel_size=3, batch_norm=True), ResNet(blocks=(1, 1))])
def test_every_width_has_every_signal_and_the_network_is_left_alone(family: Plain | ResNet) -> None:
    blueprint = family.plan([4] * family.depth(2), ImageShape(1, 8, 8), 10)
    network = build(blueprint, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    signals = rival_signals(network, torch.rand(8, 1, 8, 8), blueprint.readouts)
    names = ("rank", "correlation", "chip", "cosine", "silent")
    assert signals.keys() == {f"{name}.{width}" for name in names for width in blueprint.readouts.values()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training
