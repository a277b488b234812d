"""The model's features: what of a trial's parameters its error is taken to depend on, and what is believed beforehand.

docs/search.md, 2. Layers add up, each concave in its log-width; neighbours interact, and a layer narrower than the
one before it may be a bottleneck, much the same one everywhere; longer is better with falling returns, which level off
beyond the longest length; a rate has an optimum that moves with width; any other parameter has an optimum or, if a
category, an effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phashopt.search.others import Category, Number, Other, other
from phashopt.search.space import LENGTH, RATE, Axis, Space
from phashopt.search.start import Start

Array = NDArray[np.float64]

DEEP = 8  # layers from which one bump a layer is too coarse: the search stalls
HINGES = (0.25, 0.5, 0.75)
SPREAD = 0.75  # how far layers differ from one another, as a share of what is expected of each
LUCK = 4  # readings that tell a lucky run from an unlucky one
LEAST_RATE = 1e-12  # where a range begins at 0
MOVES = 3  # of a child: that it is one, and what is left of its moves down and up
FLATTEST = 1e-6  # bend of a parabola below which its optimum is at an end
LEVELLING = 0.6  # what a doubling beyond the longest length adds falls by this exponent with every one before it
HALF_LIFE = 1 / 4  # of the longest length: training on for so long wins half of what a move cost back


@dataclass(frozen=True)
class Basis:
    """Features of `widths` in layer order, of `length` if it is searched, and of all `others`.

    If it `inherits`, trials may be children of others, whose trainings count as far as they last. `usual` are the
    epochs of a training where no length is searched, `settled` the values of the others that are searched no more.
    """

    widths: Mapping[str, Axis]
    length: Axis | None
    others: Mapping[str, Other]
    inherits: bool = False
    usual: int = 1
    settled: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, space: Space, usual: int = 1) -> Basis:
        """For the trainings of a space."""
        ranges = {**space.others, **space.settled}
        others = {name: other(distribution) for name, distribution in ranges.items()}
        settled = {name: space.fixed[name] for name in space.settled}
        return cls(space.widths, space.length, others, space.inherits, usual, settled)

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
        return _slices({name: parameter.size for name, parameter in self.others.items()}, start=self.layers + 1)

    @cached_property
    def rest(self) -> slice:
        """The coordinates of all other parameters."""
        return slice(self.layers + 1, self.layers + 1 + self._chosen)

    @cached_property
    def parts(self) -> dict[str, slice]:
        """The weights of each kind, but for those of other parameters, which are `effects`."""
        layers = self.layers
        kinds = {"level": 1, "slopes": layers, "bends": layers * self.bumps, "pairs": layers - 1, "falls": layers - 1}
        return _slices({**kinds, "fall": 1, "length": 3, "luck": LUCK})

    @cached_property
    def effects(self) -> dict[str, slice]:
        """The weights of each other parameter.

        Of a number its slope, its bend, and how its slope moves with width. Of a category the level of each value and,
        where a learning rate is searched, what each adds to the slope of that.
        """
        kinds = 2 if self.rate else 1
        sizes = {name: kinds * each.size if isinstance(each, Category) else 3 for name, each in self.others.items()}
        return _slices(sizes, start=self.parts["luck"].stop)

    @property
    def starts(self) -> int:
        """The last coordinates, all 0 for a trial from scratch; none if nothing inherits.

        Of a child its moves, the length that it inherits over its own, and the other parameters of that length.
        """
        return MOVES + 1 + self._chosen if self.inherits else 0

    @cached_property
    def begun(self) -> dict[str, slice]:
        """These coordinates of a child by what they are."""
        return _slices({"moves": MOVES, "inherited": 1, "before": self._chosen}, start=self.rest.stop)

    @property
    def rate(self) -> slice | None:
        """The coordinate of the learning rate, if that is searched."""
        return self.columns[RATE] if isinstance(self.others.get(RATE), Number) else None

    def coordinates(self, params: Sequence[Mapping[str, Any]], starts: Sequence[Start | None] = ()) -> Array:
        """(n, K): log-widths in [0, 1], log2 of a trial's own length over the longest, the others' places, the starts.

        A parameter that depends on another may be missing. `starts` (n,) are those of children, if there are any.
        """
        columns = [axis.fractions([each[name] for each in params]) for name, axis in self.widths.items()]
        longest = self.length.ends[1] if self.length else self.usual
        lengths = np.array([each[LENGTH] / longest if self.length else 1.0 for each in params])
        others, begun = self._places(params), np.zeros((len(params), self.starts))
        if self.inherits and any(starts):
            moves = np.array([(1.0, start.down, start.up) if start else (0.0, 0.0, 0.0) for start in starts])
            before = np.array([start.epochs / longest if start else 0.0 for start in starts])
            begun[:, :MOVES] = moves * np.stack([np.ones_like(lengths), *[0.5 ** (lengths / HALF_LIFE)] * 2], 1)
            begun[:, MOVES] = before / lengths
            begun[:, MOVES + 1 :] = self._places(
                [{**each, **start.before} if start else {} for each, start in zip(params, starts, strict=True)]
            )
        return np.concatenate([np.stack([*columns, np.log2(lengths)], 1), others, begun], 1)

    def lasting(self, coordinates: Array) -> Array:
        """(n, 1 + k) the length and the places of the other parameters that are left of a training and its ancestors'.

        Each counts by how far kernels go under it, rate times epochs: at a low rate they stay as they were. The length
        is that in which they would have gone as far at the rate that lasts.
        """
        own = coordinates[:, self.rest]
        if not self.inherits:
            return coordinates[:, self.layers : self.rest.stop]
        ratio, before = coordinates[:, self.begun["inherited"].start], coordinates[:, self.begun["before"]]
        rates = self._rates(own)
        inherited = ratio * self._rates(before) / rates
        places = own + (inherited / (1 + inherited))[:, None] * (before - own)
        lengths = coordinates[:, self.layers] + np.log2((1 + inherited) * rates / self._rates(places))
        return np.column_stack([lengths, places])

    def params(self, row: Array) -> dict[str, Any]:
        """The parameters at coordinates (K,)."""
        places = zip(self.widths.items(), row, strict=False)
        params: dict[str, Any] = {name: axis.at(float(place)) for (name, axis), place in places}
        if self.length:
            params[LENGTH] = self.length.nearest(self.length.ends[1] * 2.0 ** float(row[self.layers]))
        others = {name: parameter.decode(row[self.columns[name]]) for name, parameter in self.others.items()}
        return {**params, **others, **self.settled}

    def features(self, coordinates: Array) -> Array:
        """(n, d) from coordinates (n, K); those of luck are zero, as for what has not been run."""
        x, lasting = coordinates[:, : self.layers], self.lasting(coordinates)
        t, lasting = lasting[:, 0], lasting[:, 1:]
        mean, centred = x.mean(1), x - 0.5
        falls = -bottleneck(x[:, :-1], x[:, 1:])
        columns = [np.ones((len(x), 1)), x, bump(x, self.bumps), centred[:, :-1] * centred[:, 1:]]
        within, longer = np.minimum(t, 0), levelled(np.maximum(t, 0))
        columns += [falls, falls.sum(1, keepdims=True)]
        columns.append(np.stack([within + longer, (within + longer) * mean, -(within**2)], 1))
        columns.append(np.zeros((len(x), LUCK)))
        for name, parameter in self.others.items():
            places = lasting[:, self._within(name)]
            columns.append(places)
            if isinstance(parameter, Number):
                columns += [-(places**2), places * mean[:, None]]
            elif self.rate:
                columns.append(places * lasting[:, self._within(RATE)])
        if self.inherits:
            moves = coordinates[:, self.begun["moves"]]
            columns += [longer[:, None], moves]
            columns += [moves[:, :1] * lasting[:, self._within(RATE)]] if self.rate else []
        return np.concatenate(columns, 1)

    def prior(self, tau: Array, gamma: Array, luck: Array, leans: Array) -> tuple[Array, Array]:
        """Means (B, J, d) and standard deviations (B, d) of the weights, for B beliefs and J ways in which layers lean.

        `tau` and `gamma` (B,) as in `evidence.Belief`; `luck` (B,) the nats that each reading of a run's luck is
        thought to move; `leans` (J, L) the share by which each layer is thought to be worth less than it would be.
        """
        slope, count = tau / self.layers, self.layers
        bend = 3 / 8 * slope if self.bumps == 1 else slope
        one, none, rate = np.ones_like(tau), np.zeros_like(tau), self.others.get(RATE)
        terms = [
            (one, 2 * one, 1),
            (slope, SPREAD * slope, count),
            (bend, SPREAD * bend, count * self.bumps),
            (none, gamma * slope, count - 1),
            (none, gamma * slope / 2, count - 1),
            (gamma * slope / 4, 1.5 * gamma * slope, 1),
            (one / 5, one / 5, 1),
            (none, one / 10, 1),
            (one / 20, one / 20, 1),
            (none, luck, LUCK),
        ]
        for name, parameter in self.others.items():
            if isinstance(parameter, Category):
                terms.append((none, one / 4, parameter.size))
                terms += [(none, rate.reach / 4 * one, parameter.size)] if isinstance(rate, Number) else []
            else:  # the optimum of a learning rate lies inside its range, and moves with width
                decade, reach = one / 2 if name == RATE else one / 4, parameter.reach
                linear, curved = (none, decade / 2 * reach, 1), (decade * reach**2, decade / 2 * reach**2, 1)
                terms += [linear, curved, linear]
        if self.inherits:
            terms += [(none, one / 20, 1), (none, one / 5, 1), (-one / 10, one / 10, MOVES - 1)]
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
        flags = np.zeros(ends[-1] + self.inherits * (1 + MOVES + bool(self.rate)), dtype=np.bool_)
        flags[self.parts["bends"]] = True
        flags[self.parts["length"].stop - 1] = True
        for name, parameter in self.others.items():
            if isinstance(parameter, Number):
                flags[self.effects[name].start + 1] = True
        return flags

    def left_by(self, parent: Mapping[str, Any], before: Start | None) -> Start:
        """What `parent`, trained for its own length, leaves to a child of its widths; it began as `before` itself."""
        lasting = self.lasting(self.coordinates([parent], [before]))[0, 1:]
        epochs = int(parent.get(LENGTH, self.usual)) + (before.epochs if before else 0)
        known = {*parent, *(before.before if before else ())}
        others = {name: each.decode(lasting[self._within(name)]) for name, each in self.others.items() if name in known}
        return Start(epochs, 0.0, 0.0, others)

    @cached_property
    def _chosen(self) -> int:
        """Coordinates of all other parameters."""
        return sum(parameter.size for parameter in self.others.values())

    def _places(self, params: Sequence[Mapping[str, Any]]) -> Array:
        """(n, k) of the other parameters."""
        places = [parameter.encode([each.get(name) for each in params]) for name, parameter in self.others.items()]
        return np.concatenate([np.zeros((len(params), 0)), *places], 1)

    def _within(self, name: str) -> slice:
        """Where a parameter's places are among those of all others."""
        return slice(*(end - self.rest.start for end in (self.columns[name].start, self.columns[name].stop)))

    def _rates(self, places: Array) -> Array:
        """(n,) learning rates at the places (n, k) of all others; 1 where none is searched."""
        rate = self.others.get(RATE)
        if not isinstance(rate, Number):
            return np.ones(len(places))
        return np.maximum(rate.values(places[:, self._within(RATE)][:, 0]), LEAST_RATE)


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


def levelled(doublings: Array) -> Array:
    """(n,) what `doublings` (n,) of the length beyond the longest count for: each less than the one before, 5/3 in all.

    A parabola fitted to short trainings has its top not far beyond them: no chain would be long. docs/search.md, 2.
    """
    return np.asarray(-np.expm1(-LEVELLING * doublings) / LEVELLING)


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
