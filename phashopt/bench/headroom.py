"""What there is to be won: networks that fill a cap, and what the best of them has beyond the uniform one."""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from phashopt.bench.contestants import Ring
from phashopt.bench.retrain import Variant
from phashopt.bench.worlds import tight
from phashopt.search.fit import uniform
from phashopt.search.space import LENGTH
from phashopt.service.ranges import middle

LONGER = 4  # times the longest trial of a search
TRIES = 100  # networks drawn for each that is wanted: in a small space most are drawn again and again

Accuracies = NDArray[np.float64]


def filling(ring: Ring, count: int) -> list[Variant]:
    """The uniform network, then as many different random ones that fill the cap as there are, `count` in all at most.

    For four times the longest length, all other numbers those that every contestant begins with.
    """
    rng = np.random.default_rng(0)
    drawn = (uniform(ring.space), *(tight(ring.space, rng) for _ in range(TRIES * count)))
    widths = dict.fromkeys(tuple(point[name] for name in ring.space.widths) for point in drawn)
    numbers = {name: ring.first.get(name, middle(entry)) for name, entry in ring.spec.training.numbers.items()}
    numbers[LENGTH] = LONGER * ring.space.axes[LENGTH].values[-1]
    return [Variant(each, numbers) for each in islice(widths, count)]


def won(tests: Accuracies) -> list[float]:
    """(seeds,) accuracy that the network which is best by all other seeds has beyond the first, with each seed.

    `tests` (networks, seeds) are accuracies in [0, 1]; there are at least two seeds.
    """
    every = range(tests.shape[1])
    best = {seed: int(np.delete(tests, seed, axis=1).mean(1).argmax()) for seed in every}
    return [float(tests[best[seed], seed] - tests[0, seed]) for seed in every]
