from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phashopt.bench.contestants import Ring
from phashopt.bench.headroom import filling, won
from phashopt.bench.live import LiveTask
from phashopt.plans import ImageShape
from phashopt.search.fit import uniform
from phashopt.service.spec import load_as

MNIST = Path(__file__).parents[2] / "studies/live/mnist.toml"
BEYOND = 0.3


@pytest.fixture
def ring() -> Ring:
    return Ring(load_as(LiveTask, MNIST), ImageShape(1, 14, 14), 10, 40, 1e9)


def wider(ring: Ring, widths: tuple[int, ...]) -> list[dict[str, int]]:
    point = dict(zip(ring.space.widths, widths, strict=True))
    return [point | {name: axis.up(point[name], 1.0)} for name, axis in ring.space.widths.items()]


def test_no_layer_of_a_network_that_fills_the_cap_can_be_wider(ring: Ring) -> None:
    for variant in filling(ring, 24):
        assert ring.space.feasible(dict(zip(ring.space.widths, variant.widths, strict=True)))
        assert not any(
            max(point.values()) <= 32 and ring.space.feasible(point) and tuple(point.values()) != variant.widths
            for point in wider(ring, variant.widths)
        )


def test_a_small_space_is_drawn_to_its_end_and_the_uniform_network_is_first(ring: Ring) -> None:
    found = [variant.widths for variant in filling(ring, 24)]
    assert len(found) == len(set(found)) == 13
    assert found[0] == tuple(uniform(ring.space)[name] for name in ring.space.widths)
    assert [variant.widths for variant in filling(ring, 5)] == found[:5]


def test_what_is_better_with_every_seed_is_won_in_full() -> None:
    tests = np.array([[0.5, 0.6, 0.4], [0.5, 0.6, 0.4]])
    tests[1] += BEYOND
    assert won(tests) == pytest.approx([BEYOND] * 3)


def test_a_lucky_seed_wins_nothing_where_it_is_judged() -> None:
    tests = np.zeros((3, 4))
    tests[1, 2] = BEYOND
    assert won(tests)[2] == 0
    assert won(tests)[:2] == [0, 0]


def test_nothing_is_won_on_average_where_all_networks_are_alike() -> None:
    noise = np.random.default_rng(0).standard_normal((500, 6, 5))
    gains = [won(tests) for tests in noise]
    assert np.mean(gains) == pytest.approx(0, abs=0.1)
    assert np.mean(noise.max(axis=1) - noise[:, 0]) > 1
