"""The model's features: what of a trial's parameters its error is taken to depend on, and what is believed beforehand.

docs/search.md, 2. Layers add up, each concave in its log-width; neighbours interact, and a layer narrower than the
one before it may be a bottleneck, much the same one everywhere; longer is better with falling returns; a rate has an
optimum that moves with width; any other parameter has an optimum or, if a category, an effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from phashopt.search.space import LENGTH, RATE, Axis
from phashopt.search.start import Start

Array = NDArray[np.float64]

DEEP = 8  # layers from which one bump a layer is too coarse: the search stalls
HINGES = (0.25, 0.5, 0.75)
SPREAD = 0.75  # how far layers differ from one another, as a share of what is expected of each
LUCK = 4  # readings that tell a lucky run from an unlucky one
STARTS = 3  # of a child: that it is one, and what is left of its moves down and up
FLATTEST = 1e-6  # bend of a parabola below which its optimum is at an end
HALF_LIFE = 1 / 4  # of the longest length: training on for so long wins half of what a move cost back


@dataclass(frozen=True)
class Number:
    """A parameter between two ends, as a coordinate in [-1, 1], logarithmic where its distribution is."""

    distribution: FloatDistribution | IntDistribution

    @property
    def width(self) -> int:
        """Coordinates it takes."""
        return 1

    def encode(self, values: Sequence[Any]) -> Array:
        """(n, 1) their places between the ends; 0, the middle, where there is no value."""
        low, high = self._scale(self.distribution.low), self._scale(self.distribution.high)
        known = np.array(values, dtype=float)
        at = np.log(known) if self.distribution.log else known
        places = 2 * (at - low) / (high - low) - 1 if high > low else np.zeros(len(at))
        return np.where(np.isnan(known), 0.0, places)[:, None]

    def draw(self, rng: np.random.Generator) -> Any:
        """Any allowed value."""
        return self.decode(rng.uniform(-1, 1, 1))

    def decode(self, coordinates: Array) -> Any:
        """The allowed value nearest to a place in [-1, 1]."""
        low, high = self._scale(self.distribution.low), self._scale(self.distribution.high)
        at = low + (min(max(float(coordinates[0]), -1.0), 1.0) + 1) / 2 * (high - low)
        value = math.exp(at) if self.distribution.log else at
        step = self.distribution.step
        if step is not None:
            value = self.distribution.low + round((value - self.distribution.low) / step) * step
        value = min(max(value, self.distribution.low), self.distribution.high)
        return round(value) if isinstance(self.distribution, IntDistribution) else value

    def _scale(self, value: float) -> float:
        return math.log(value) if self.distribution.log else float(value)


@dataclass(frozen=True)
class Category:
    """A parameter with a few named values, as one coordinate each."""

    distribution: CategoricalDistribution

    @property
    def width(self) -> int:
        """Coordinates it takes."""
        return len(self.distribution.choices)

    def encode(self, values: Sequence[Any]) -> Array:
        """(n, width) one for the value that each has; zeros where there is none."""
        none = None not in self.distribution.choices
        rows = np.concatenate([np.eye(self.width), np.zeros((1, self.width))])
        return rows[
            [self.width if none and each is None else int(self.distribution.to_internal_repr(each)) for each in values]
        ]

    def draw(self, rng: np.random.Generator) -> Any:
        """Any of its values."""
        return self.decode(rng.uniform(size=self.width))

    def decode(self, coordinates: Array) -> Any:
        """The value with the largest coordinate."""
        return self.distribution.choices[int(coordinates.argmax())]


Other = Number | Category


def other(distribution: BaseDistribution) -> Other:
    """How a parameter that is neither width nor length is coded."""
    if isinstance(distribution, CategoricalDistribution):
        return Category(distribution)
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return Number(distribution)
    raise TypeError(f"no coding for {type(distribution).__name__}")


@dataclass(frozen=True)
class Basis:
    """Features of `widths` in layer order, of `length` if it is searched, and of all `others`.

    If it `inherits`, trials may be children of others: their lengths count from where their first ancestor began.
    """

    widths: Mapping[str, Axis]
    length: Axis | None
    others: Mapping[str, Other]
    inherits: bool = False

    @property
    def layers(self) -> int:
        """L."""
        return len(self.widths)

    @property
    def bumps(self) -> int:
        """Concave terms a layer."""
        return len(HINGES) if self.layers >= DEEP else 1

    @cached_property
    def columns(self) -> dict[str, slice]:
        """The coordinates of each parameter; the first L are the widths', the next the length's."""
        return _slices({name: parameter.width for name, parameter in self.others.items()}, start=self.layers + 1)

    @cached_property
    def parts(self) -> dict[str, slice]:
        """The weights of each kind, but for those of other parameters, which are `effects`."""
        layers = self.layers
        kinds = {"level": 1, "slopes": layers, "bends": layers * self.bumps, "pairs": layers - 1, "falls": layers - 1}
        return _slices({**kinds, "fall": 1, "length": 3, "luck": LUCK})

    @cached_property
    def effects(self) -> dict[str, slice]:
        """The weights of each other parameter: of a number its slope, its bend, and how its slope moves with width."""
        sizes = {name: each.width if isinstance(each, Category) else 3 for name, each in self.others.items()}
        return _slices(sizes, start=self.parts["luck"].stop)

    @property
    def starts(self) -> int:
        """The last coordinates, all 0 for a trial from scratch; none if nothing inherits."""
        return STARTS if self.inherits else 0

    @property
    def rate(self) -> slice | None:
        """The coordinate of the learning rate, if that is searched."""
        return self.columns[RATE] if isinstance(self.others.get(RATE), Number) else None

    @property
    def coordinate_count(self) -> int:
        """K."""
        return self.layers + 1 + sum(parameter.width for parameter in self.others.values()) + self.starts

    def coordinates(self, params: Sequence[Mapping[str, Any]], starts: Sequence[Start | None] = ()) -> Array:
        """(n, K): log-widths in [0, 1], log2 of the length over the longest, the other parameters' places, the starts.

        A parameter that depends on another may be missing. `starts` (n,) are those of children, if there are any.
        """
        columns = [axis.fractions([each[name] for each in params]) for name, axis in self.widths.items()]
        longest = self.length.values[-1] if self.length else 1
        lengths = np.array([each[LENGTH] / longest if self.length else 1.0 for each in params])
        others = [parameter.encode([each.get(name) for each in params]) for name, parameter in self.others.items()]
        begun = np.zeros((len(params), self.starts))
        if self.inherits and starts:
            before = np.array([start.epochs / longest if start else 0.0 for start in starts])
            moves = np.array([(1.0, start.down, start.up) if start else (0.0, 0.0, 0.0) for start in starts])
            begun = moves * np.stack([np.ones_like(lengths), *[0.5 ** (lengths / HALF_LIFE)] * 2], 1)
            lengths = np.where(moves[:, 0] > 0, np.minimum(lengths + before, np.maximum(lengths, 1.0)), lengths)
        return np.concatenate([np.stack([*columns, np.log2(lengths)], 1), *others, begun], 1)

    def params(self, row: Array) -> dict[str, Any]:
        """The parameters at coordinates (K,)."""
        places = zip(self.widths.items(), row, strict=False)
        params: dict[str, Any] = {name: axis.at(float(place)) for (name, axis), place in places}
        if self.length:
            params[LENGTH] = self.length.nearest(self.length.values[-1] * 2.0 ** float(row[self.layers]))
        return params | {name: parameter.decode(row[self.columns[name]]) for name, parameter in self.others.items()}

    def features(self, coordinates: Array) -> Array:
        """(n, d) from coordinates (n, K); those of luck are zero, as for what has not been run."""
        x, t = coordinates[:, : self.layers], coordinates[:, self.layers]
        mean, centred = x.mean(1), x - 0.5
        falls = -bottleneck(x[:, :-1], x[:, 1:])
        columns = [np.ones((len(x), 1)), x, bump(x, self.bumps), centred[:, :-1] * centred[:, 1:]]
        columns += [falls, falls.sum(1, keepdims=True), np.stack([t, t * mean, -(t**2)], 1)]
        columns.append(np.zeros((len(x), LUCK)))
        for name, parameter in self.others.items():
            places = coordinates[:, self.columns[name]]
            columns.append(places)
            if isinstance(parameter, Number):
                columns += [-(places**2), places * mean[:, None]]
        begun = coordinates[:, coordinates.shape[1] - self.starts :]
        columns.append(begun)
        if self.inherits and self.rate:
            columns.append(begun[:, :1] * coordinates[:, self.rate])
        return np.concatenate(columns, 1)

    def best_rate(self, weights: Array, coordinates: Array) -> Array:
        """(n,) where in [-1, 1] the rate is best for networks and starts like `coordinates`, by `weights` (d,).

        Children want another one than networks from scratch (docs/search.md, section 2).
        """
        linear, bend, coupling = weights[self.effects[RATE]]
        slopes = linear + coupling * coordinates[:, : self.layers].mean(1)
        if self.inherits:
            slopes = slopes + weights[-1] * coordinates[:, -STARTS]
        return top(slopes, bend)

    def prior(self, tau: Array, rho: Array, luck: Array, leans: Array) -> tuple[Array, Array]:
        """Means (B, K, d) and standard deviations (B, d) of the weights, for B beliefs and K ways in which layers lean.

        `tau` and `rho` (B,) as in `evidence.Belief`; `luck` (B,) the nats that each reading of a run's luck is thought
        to move; `leans` (K, L) the share by which each layer is thought to be worth less than it would be.
        """
        slope, count = tau / self.layers, self.layers
        bend = 3 / 8 * slope if self.bumps == 1 else slope
        one, none = np.ones_like(tau), np.zeros_like(tau)
        terms = [
            (one, 2 * one, 1),
            (slope, SPREAD * slope, count),
            (bend, SPREAD * bend, count * self.bumps),
            (none, rho * slope, count - 1),
            (none, rho * slope / 2, count - 1),
            (rho * slope / 4, 1.5 * rho * slope, 1),
            (one / 5, one / 5, 1),
            (none, one / 10, 1),
            (one / 20, one / 20, 1),
            (none, luck, LUCK),
        ]
        for name, parameter in self.others.items():
            if isinstance(parameter, Category):
                terms.append((none, one / 4, parameter.width))
            else:  # the optimum of a learning rate lies inside its range, and moves with width
                half = one / 2 if name == RATE else one / 4
                terms += [(none, half / 2, 1), (half, half / 2, 1), (none, half / 2, 1)]
        if self.inherits:
            terms += [(none, one / 5, 1), (-one / 10, one / 10, STARTS - 1)]
            terms += [(none, one / 4, 1)] if self.rate else []
        sizes = [size for *_, size in terms]
        mean, deviation = (np.repeat(np.stack(part, 1), sizes, axis=1) for part in list(zip(*terms, strict=True))[:2])
        means = np.repeat(mean[:, None], len(leans), axis=1)
        means[..., self.parts["slopes"]] *= 1 - leans
        return means, deviation

    @cached_property
    def concave(self) -> NDArray[np.bool_]:
        """(d,): the weights that are at least 0 in any world believed in: bends, falling returns, optima."""
        ends = [self.parts["luck"].stop, *(part.stop for part in self.effects.values())]
        flags = np.zeros(ends[-1] + self.starts + bool(self.inherits and self.rate), dtype=np.bool_)
        flags[self.parts["bends"]] = True
        flags[self.parts["length"].stop - 1] = True
        for name, parameter in self.others.items():
            if isinstance(parameter, Number):
                flags[self.effects[name].start + 1] = True
        return flags


def _slices(sizes: Mapping[str, int], start: int = 0) -> dict[str, slice]:
    """One after the other."""
    slices = {}
    for name, size in sizes.items():
        slices[name] = slice(start, start + size)
        start += size
    return slices


def top(slopes: Array, bends: Array) -> Array:
    """Where in [-1, 1] slope * x - bend * x**2 is largest; the shapes are broadcast."""
    return np.asarray(np.clip(slopes / np.maximum(2 * bends, FLATTEST), -1, 1))


def bottleneck(before: Array, after: Array) -> Array:
    """How much narrower a layer is than the one before it, in places; additive models of layers cannot say it."""
    return np.asarray(np.maximum(before - after, 0))


def bump(x: Array, kinds: int) -> Array:
    """Concave functions of x in [0, 1] that vanish at both ends, (..., L) to (..., L * kinds), layer by layer.

    One kind: 4x(1-x). Three: hinges at the quarters, in whose place a single bump stalls in deep networks.
    """
    if kinds == 1:
        return 4 * x * (1 - x)
    hinges = np.array(HINGES)
    spread = x[..., None]
    return np.asarray(
        (spread * (1 - hinges) - np.maximum(spread - hinges, 0)).reshape(*x.shape[:-1], x.shape[-1] * kinds)
    )
