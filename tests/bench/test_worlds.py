from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from phashopt.bench.worlds import Formula, SyntheticWorld, tight
from phashopt.search.fit import uniform
from phashopt.search.space import LENGTH, Point
from phashopt.search.start import Start

LAYERS = pytest.mark.parametrize("layers", [1, 3, 8, 13])


def _widest(world: SyntheticWorld) -> Point:
    return {name: axis.values[-1] for name, axis in world.space.axes.items()}


@LAYERS
def test_the_best_network_is_worth_more_than_the_usual_one(layers: int) -> None:
    world = SyntheticWorld(Formula(layers), 0)
    full = uniform(world.space) | {LENGTH: world.lengths[-1]}
    assert world.best >= world.worth(full)
    assert world.best >= world.usual


@LAYERS
def test_nothing_under_the_cap_beats_the_best(layers: int) -> None:
    world, rng = SyntheticWorld(Formula(layers), 1), np.random.default_rng(9)
    assert world.best >= max(world.worth(tight(world.space, rng)) for _ in range(200))


@pytest.mark.parametrize(("interior", "cap"), [(0.0, 0.25), (0.5, 0.25), (1.0, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_is_the_best_of_all(interior: float, cap: float, seed: int) -> None:
    world = SyntheticWorld(Formula(3, interior=interior, cap=cap), seed)
    networks = (dict(zip(world.space.widths, widths, strict=True)) for widths in product(world.values, repeat=3))
    able = [{**network, LENGTH: world.lengths[-1]} for network in networks if world.space.feasible(network)]
    assert world.best == pytest.approx(max(map(world.worth, able)))


@LAYERS
def test_a_longer_training_is_worth_and_costs_more(layers: int) -> None:
    world = SyntheticWorld(Formula(layers), 0)
    short, long = ({**uniform(world.space), LENGTH: epochs} for epochs in (4, 16))
    assert world.worth(short) < world.worth(long)
    assert world.compute(long) == pytest.approx(4 * world.compute(short))
    assert world.compute(long) <= 1


def test_the_cap_is_its_share_of_the_widest_networks_cost() -> None:
    world = SyntheticWorld(Formula(5, cap=0.25), 0)
    assert world.compute(_widest(world)) == pytest.approx(4)


def test_the_same_seed_trains_the_same() -> None:
    world = SyntheticWorld(Formula(3), 0)
    point = _widest(world)
    assert world.train(point, 5) == world.train(point, 5) != world.train(point, 6)


def test_without_noise_a_training_ends_at_its_worth() -> None:
    world = SyntheticWorld(Formula(3, noise=0.0, failures=0.0), 0)
    point = _widest(world)
    assert -np.log(1 - world.train(point, 0).trace.epochs[-1].accuracy) == pytest.approx(world.worth(point))


def test_an_interior_optimum_makes_more_kernels_worse() -> None:
    world = SyntheticWorld(Formula(3, interior=1.0, interaction=0.0), 0)
    widest = _widest(world)
    assert any(world.worth(widest | {name: 32}) > world.worth(widest) for name in world.space.widths)


@pytest.mark.parametrize(("knowledge", "low", "high"), [(0.0, -0.35, 0.35), (1.0, 0.8, 1.0)])
def test_the_dial_sets_what_redundancy_knows(knowledge: float, low: float, high: float) -> None:
    """Correlation of few copies with what a step more of kernels would bring, at equal widths."""
    told, gains = [], []
    for seed in range(40):
        world = SyntheticWorld(Formula(5, knowledge=knowledge, interaction=0.0), seed)
        point = {**dict.fromkeys(world.space.widths, 16), LENGTH: 16}
        readings = world.train(point, 0).trace.epochs[-1].readings
        found = [world.worth(point | {name: 24}) - world.worth(point | {name: 12}) for name in world.space.widths]
        gains += np.argsort(np.argsort(found)).tolist()
        told += [-readings[name].duplicates for name in world.space.widths]
    assert low <= np.corrcoef(told, gains)[0, 1] <= high


@pytest.mark.parametrize("length", [2, 8, 16])
def test_a_child_is_worth_what_all_its_epochs_make_it_less_what_is_left_of_its_moves(length: int) -> None:
    world = SyntheticWorld(Formula(3), 0)
    point = tight(world.space, np.random.default_rng(0)) | {LENGTH: length}
    as_long = world.worth(point | {LENGTH: min(length + 6, 16)})
    assert world.worth(point, Start(6, 0.0, 0.0)) == as_long
    near, far = (as_long - world.worth(point, Start(6, *moves)) for moves in ((1.0, 0.0), (1.0, 2.0)))
    assert near == pytest.approx(0.04 * 0.5 ** (length / 4))
    assert far == pytest.approx(3 * near)
