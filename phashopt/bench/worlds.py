"""Worlds in which a search can be run a thousand times: chains of convolutions whose error is a formula."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from phashopt.search.fit import fit
from phashopt.search.space import LENGTH, Axis, Point, Space
from phashopt.search.start import Start
from phashopt.trace import Epoch, Reading, Trace

SIDE = 16  # pixels of the synthetic images
COLOURS = 3
FAILURE = 0.5  # nats that a failed training loses in silence
MOVED = 0.04  # nats that a doubling of a layer costs a child: 0.3 to 0.8 points after 2 and 3 (`search.start`)
REGAINED = 0.25  # of the longest length: what wins half of it back
TIGHT_SAMPLE = 400
STARTS = 24


@dataclass(frozen=True)
class Trained:
    """A training and what it costs up to each epoch, as shares of the longest one under the cap.

    `reading` is what one reading costs; `stable` the epochs it shares with a longer one, which may go on from there.
    """

    trace: Trace
    spent: Sequence[float]
    reading: float = 0.0
    stable: int = 0


class World(Protocol):
    """What can be searched. Parameters are true kernel counts; lengths are `epochs`.

    One that `inherits` can train children.
    """

    space: Space
    inherits: bool

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Of widths and length the index in the axis, of others what they are."""

    def nearest(self, params: Mapping[str, Any], tried: Set[Hashable]) -> dict[str, Any]:
        """Where a proposal is trained, not among `tried` keys if that can be helped."""

    def key(self, params: Mapping[str, Any]) -> Hashable:
        """What makes two points the same one."""

    def train(self, params: Mapping[str, Any], seed: int, start: Start | None = None) -> Trained:
        """What comes of it, from scratch or of a child."""

    def worth(self, params: Mapping[str, Any], start: Start | None = None) -> float:
        """The judge's nats of error."""

    @property
    def usual(self) -> float:
        """The worth of a middling network under the cap."""

    @property
    def best(self) -> float:
        """The highest there is."""


@dataclass(frozen=True)
class Formula:
    """How a synthetic world's error comes about (docs/search.md, section 12).

    `interaction` couples neighbours, `interior` is the share of layers whose optimum lies inside the grid, `knowledge`
    in [0, 1] how much a layer's redundancy knows of what its next kernels are worth.
    """

    layers: int
    cap: float = 0.25
    noise: float = 0.035
    failures: float = 0.03
    interaction: float = 0.02
    interior: float = 0.0
    knowledge: float = 0.0


class SyntheticWorld:
    """A chain of convolutions with eight widths a layer and 16 epochs; everything in it follows from `seed`."""

    inherits = True
    values = (4, 6, 8, 12, 16, 24, 32, 48)
    lengths = range(2, 17)

    def __init__(self, formula: Formula, seed: int) -> None:
        self.formula = formula
        self._seed = seed
        rng = np.random.default_rng([seed, formula.layers])
        layers = formula.layers
        self._power = rng.uniform(0.4, 1.0, layers)
        weight = rng.lognormal(0, 1, layers)
        self._weight = 0.25 * weight / (weight * 4.0**-self._power).sum()
        self._peak = np.where(rng.random(layers) < formula.interior, rng.uniform(0.3, 0.8, layers), np.inf)
        self._sides = [max(SIDE // 2 ** (3 * layer // max(layers, 3)), 2) for layer in range(layers)]
        self._names = [f"width_{layer:02d}" for layer in range(layers)]
        axes = {name: Axis(self.values) for name in self._names}
        widest = self._macs(dict.fromkeys(self._names, self.values[-1]))
        self._cap = formula.cap * widest
        self.space = Space(axes, Axis(self.lengths), {"macs": (self._macs, self._cap)})

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Indices."""
        return {name: IntDistribution(0, len(axis.values) - 1) for name, axis in self.space.axes.items()}

    def nearest(self, params: Mapping[str, Any], _tried: Set[Hashable]) -> dict[str, Any]:
        """Everything can be trained."""
        return dict(params)

    def key(self, params: Mapping[str, Any]) -> Hashable:
        """All of it."""
        return self.space.key(params)

    def train(self, point: Mapping[str, Any], seed: int, start: Start | None = None) -> Trained:
        """Errors fall with the epochs to what the length allows; noise and failures are the seed's."""
        rng = np.random.default_rng([self._seed, seed, *point.values()])
        end = self.worth(point, start) + self.formula.noise * float(rng.standard_normal())
        end -= FAILURE * float(rng.random() < self.formula.failures)
        rows = []
        for epoch in range(1, point[LENGTH] + 1):
            before_end = 0.6 * (1 - epoch / point[LENGTH]) ** 2
            accuracy = 1 - float(np.exp(-(end - before_end)))
            rows.append(Epoch(epoch, 1 - accuracy, accuracy, 0.1 if epoch < 0.7 * point[LENGTH] else 0.05))
        rows[-1].readings = self._readings(point, rng)
        whole = self.compute(point)
        return Trained(Trace(rows), [whole * row.number / point[LENGTH] for row in rows])

    def worth(self, point: Mapping[str, Any], start: Start | None = None) -> float:
        """-log(error): a power law a layer, a bottleneck's penalty, and falling returns of the length.

        A child is as good as if all epochs had been its own, less what its moves cost, which training wins back.
        """
        if start:
            longest = self.lengths[-1]
            lost = MOVED * (start.down + start.up) * float(0.5 ** (point[LENGTH] / longest / REGAINED))
            return self.worth({**point, LENGTH: min(point[LENGTH] + start.epochs, longest)}) - lost
        widths = np.array([point[name] for name in self._names], dtype=float)
        places = np.log(widths / self.values[0]) / np.log(self.values[-1] / self.values[0])
        beyond = np.maximum(places - self._peak, 0)
        error = 0.05 + float((self._weight * (widths**-self._power + 0.3 * np.where(beyond > 0, beyond, 0))).sum())
        error += self.formula.interaction * float(np.maximum(np.log(widths[:-1] / widths[1:]), 0).sum())
        return -math.log(error) + 0.15 * math.log2(point[LENGTH] / self.lengths[-1])

    def compute(self, point: Mapping[str, Any]) -> float:
        """What a training costs, as a share of the longest one at the cap."""
        return self._macs(point) / self._cap * float(point[LENGTH]) / self.lengths[-1]

    @cached_property
    def usual(self) -> float:
        """The median worth of random networks as large as the cap allows, at full length."""
        rng = np.random.default_rng(1)
        return float(np.median([self.worth(tight(self.space, rng)) for _ in range(TIGHT_SAMPLE)]))

    @cached_property
    def best(self) -> float:
        """The highest worth that exchanges reach from any of many starts."""
        rng = np.random.default_rng(2)
        return max(climbed(self, tight(self.space, rng)) for _ in range(STARTS))

    def _macs(self, point: Mapping[str, int]) -> float:
        total, before = 0.0, COLOURS
        for name, side in zip(self._names, self._sides, strict=True):
            total += 9 * before * point[name] * side**2
            before = point[name]
        return total + 10 * before

    def _readings(self, point: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Reading]:
        """Fuller of copies when wide, and, as far as it knows, where more kernels would gain little."""
        full = {**point, LENGTH: self.lengths[-1]}
        gains = []
        for name in self._names:
            axis = self.space.widths[name]
            low, high = axis.down(point[name]), axis.up(point[name])
            rise = self.worth(full | {name: high}) - self.worth(full | {name: low})
            gains.append(rise / float(np.log2(high / low)))
        rank = np.argsort(np.argsort(gains)) / max(len(gains) - 1, 1) - 0.5
        blur = rng.uniform(-0.5, 0.5, len(gains))
        told = self.formula.knowledge * rank + (1 - self.formula.knowledge) * blur
        shares = {
            name: min(max(0.25 + 0.2 * axis.fraction(point[name]) - 0.3 * lean, 0.0), 1.0)
            for (name, axis), lean in zip(self.space.widths.items(), told.tolist(), strict=True)
        }
        return {name: Reading(share / 2, share, 0.0) for name, share in shares.items()}


@dataclass(frozen=True)
class SyntheticWorlds:
    """A world of one formula for each number."""

    formula: Formula

    def __call__(self, number: int) -> SyntheticWorld:
        """The one that follows from this seed."""
        return SyntheticWorld(self.formula, number)


def tight(space: Space, rng: np.random.Generator) -> Point:
    """A random network grown until nothing fits any more, at full length."""
    order = [str(name) for name in rng.permutation(list(space.widths))]
    point = {name: axis.values[int(rng.integers(len(axis.values)))] for name, axis in space.widths.items()}
    return fit(point, space, order[::-1], order) | {LENGTH: space.axes[LENGTH].values[-1]}


def climbed(world: SyntheticWorld, point: Point) -> float:
    """The worth that exchanges of a step up for steps down lead to from `point`.

    Where optima lie inside, the best need not fill the cap.
    """
    worth = world.worth(point)
    while True:
        moves = [*_exchanges(world.space, point), *(_pairs(world.space, point) if world.formula.interior else ())]
        near = max(moves, key=world.worth, default=point)
        if world.worth(near) <= worth:
            return worth
        point, worth = near, world.worth(near)


def _exchanges(space: Space, point: Point) -> list[Point]:
    """The feasible networks with one layer a step wider, perhaps others narrower."""
    found = []
    for name, axis in space.widths.items():
        wider = point | {name: axis.up(point[name], 1.0)}
        others = [other for other in space.widths if other != name]
        for payer in others:
            rest = [other for other in others if other != payer]
            found.append(fit(wider, space, [payer, *rest, name], [*others, name]))
    return [near for near in found if space.feasible(near) and near != point]


def _pairs(space: Space, point: Point) -> list[Point]:
    """The feasible networks in which two layers have any other widths."""
    found = [
        {**point, one: first, other: second}
        for one, other in combinations(space.widths, 2)
        for first, second in product(space.widths[one].values, space.widths[other].values)
    ]
    return [near for near in found if space.feasible(near) and near != point]
