"""Which network to train next, and how long: expected improvement per unit of compute under the caps.

docs/search.md, 7. Weights are drawn from the posterior; each draw is a world with a best network of its own. What
is worth training beats, in many of these worlds, everything that is finished or under way; and a shorter training, or
one that goes on from a finished one or inherits its kernels, may tell as much for less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phashopt.search.ascent import Ascent
from phashopt.search.basis import Array
from phashopt.search.costs import Quadratic
from phashopt.search.evidence import Posterior
from phashopt.search.model import Model
from phashopt.search.record import Record
from phashopt.search.space import LENGTH, RATE
from phashopt.search.start import Start, moved
from phashopt.search.tried import Tried

DRAWS = 128
WORLDS = 12
FINALISTS = 8
LENGTHS = 5
FURTHER = (1, 2)  # longest lengths that a training goes on for beyond the range
PLACES = np.linspace(-1, 1, 17)  # of learning rates: of children, and of all once a training has come to nothing
EVEN = 0.5  # chance of survival below which a training is a gamble
SLOT = 0.5  # price of taking one of a study's trials beside its compute, in longest trainings at the cap


@dataclass(frozen=True)
class Action:
    """A training: its parameters, the finished one whose weights it takes over, and what it is expected to bring.

    It goes on from its parent, or, with a `start` of its own, inherits kernels of it. `nats` and `spread` are mean and
    standard deviation of the prediction, `score` is what actions are ranked by.
    """

    params: Mapping[str, Any]
    parent: Record | None
    start: Start | None
    score: float
    nats: float
    spread: float


@dataclass(frozen=True)
class _Option:
    """A training that may be bought; `epochs` is the share of the longest length that is still to be paid.

    What it tells is told of the same training at the longest length, from scratch for as long as the best known one was
    trained, where it begins anew at the rate of `network`, whatever rate is safe for itself. What takes a network that
    is known further `tells` nothing of it.
    """

    params: Mapping[str, Any]
    epochs: float
    network: Mapping[str, Any] | None = None
    parent: Record | None = None
    start: Start | None = None
    tells: bool = True

    def shipped(self, longest: Mapping[str, int]) -> Mapping[str, Any]:
        """The parameters of that training."""
        return {**(self.network or self.params), **longest}


class Improvement:
    """One round of the search: worlds drawn from `posterior`, their best networks found and weighed.

    `left` in [0, 1] is the share of the budget that is left. The less it is, the less compute counts, and the more what
    a training delivers itself rather than what it tells of longer ones. A network that has been trained at the longest
    length, with much the same other parameters, has no more to show, unless nothing else is left.
    """

    def __init__(
        self,
        model: Model,
        posterior: Posterior,
        cost: Quadratic,
        tried: Tried,
        rng: np.random.Generator,
        *,
        left: float,
    ) -> None:
        self._model = model
        self._cost = cost
        self._tried = tried
        self._left = left
        self._draws = posterior.draw(DRAWS, rng)
        self._noise = posterior.likeliest.sigma**2
        self._ascent = Ascent(model.basis, cost, np.concatenate([posterior.mean[None], self._draws[:WORLDS]]))
        self._incumbent = self._best_so_far()
        self._horizon = self._lasted(posterior.mean)

    def actions(self) -> list[Action]:
        """The most promising networks at several lengths, and finished ones trained on; the best action first.

        Where no gain is to be expected any more, the one that may still turn out best.
        """
        pool = self._pool()
        promise = self._worth(self._at_horizon(pool))
        gain = self._survived(np.maximum(promise - self._incumbent, 0).mean(1), pool)
        finalists = self._finalists(pool[np.argsort(-gain, kind="stable")])
        children = self._children(finalists) if self._model.space.inherits else ()
        trainings = list(self._trainings(finalists))  # each at the best rate of its world, while all of them survive
        anew = self._at_promising_rates(trainings) if self._model.lost else trainings
        actions = self._weighed([*anew, *children, *self._extensions()])
        return sorted(actions, key=lambda action: (-action.score, -(action.nats + action.spread)))

    def _pool(self) -> Array:
        """(n, K) coordinates at the longest length: every world's best network, and those next to them."""
        layers = self._model.basis.layers
        optima = self._ascent.maximise()
        near = self._ascent.neighbours(np.unique(optima.indices, axis=0))
        rest = np.repeat(optima.coordinates[:1, layers:], len(near), axis=0)
        return np.concatenate([optima.coordinates, np.concatenate([self._ascent.coordinates(near), rest], 1)])

    def _finalists(self, ranked: Array) -> list[dict[str, Any]]:
        """The first of `ranked` (n, K) that were not trained from scratch at the longest length; if all were, the first
        ones.
        """
        networks = map(self._model.basis.params, _distinct(ranked))
        fresh = islice((params for params in networks if not self._tried.begun(params, None)), FINALISTS)
        return list(fresh) or [self._model.basis.params(row) for row in ranked[:FINALISTS]]

    def _best_so_far(self) -> Array:
        """(S,) the nats of the best feasible network that is finished or under way, in each draw."""
        known = self._model.known
        return np.asarray((known @ self._draws.T).max(0)) if len(known) else np.zeros(len(self._draws))

    def _lasted(self, weights: Array) -> float:
        """log2 of how long, over the longest length, the best network known to the mean was trained with its ancestors.

        At least 0. Compared with it at a shorter length no network from scratch could promise anything, and a search
        would never leave the chain that it began with.
        """
        known = self._model.known
        if not len(known):
            return 0.0
        return max(0.0, float(known[(known @ weights).argmax(), self._model.basis.parts["length"].start]))

    def _at_horizon(self, rows: Array) -> Array:
        """`rows` (..., K) of trainings from scratch, gone on with for as long as the best known network has been."""
        rows = rows.copy()
        rows[..., self._model.basis.layers] = np.maximum(rows[..., self._model.basis.layers], self._horizon)
        return rows

    def _trainings(self, finalists: Sequence[Mapping[str, Any]]) -> Iterator[_Option]:
        """From the first epoch, at each length worth a thought."""
        for network in finalists:
            for params in self._at_each_length(network):
                yield _Option(params, self._epochs(params), network)

    def _children(self, finalists: Sequence[Mapping[str, Any]]) -> list[_Option]:
        """Each network with kernels of the nearest of the best trainings, and the best of them as they are."""
        own = [(record, record.params) for record in islice(filter(self._fits, self._model.own_parents), FINALISTS)]
        children = []
        for parent, network in (*self._with_nearest(finalists), *own):
            start, lengths = self._model.start(parent, network), self._at_each_length(network)
            children += [_Option(each, self._epochs(each), None, parent, start, start.moves) for each in lengths]
        return self._at_promising_rates(children)

    def _with_nearest(self, finalists: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Record, Mapping[str, Any]]]:
        """Each network with the nearest of the best finished trainings of another one."""
        names = list(self._model.space.widths)
        for network in finalists:
            moves = [sum(moved(names, record.params, network)) for record in self._model.parents[:FINALISTS]]
            others = [(move, place) for place, move in enumerate(moves) if move]
            if others:
                yield self._model.parents[min(others)[1]], network

    def _at_promising_rates(self, options: list[_Option]) -> list[_Option]:
        """Each at the learning rate that promises most, where it may also come to nothing."""
        if not self._model.basis.rate or RATE in self._model.basis.settled or not options:
            return options
        rows = self._at_every_rate(options)
        flat = rows.reshape(-1, rows.shape[-1])
        worth = self._worth(self._promised(rows, options).reshape(flat.shape))
        hoped = self._survived(np.maximum(worth - self._incumbent, 0).mean(1), flat)
        keys = (worth.mean(1) + worth.std(1), hoped)
        best = np.lexsort([key.reshape(len(options), -1) for key in keys], axis=1)[:, -1]
        return self._with_rates(options, rows, best)

    def _promised(self, rows: Array, options: Sequence[_Option]) -> Array:
        """`rows` (n, ..., K) of the n `options`, those from scratch at the horizon."""
        scratch = np.array([option.start is None for option in options])
        rows = rows.copy()
        rows[scratch] = self._at_horizon(rows[scratch])
        return rows

    def _at_every_rate(self, options: Sequence[_Option]) -> Array:
        """(n, 18, K) coordinates of `options` at their own learning rate, and at every place of it."""
        basis = self._model.basis
        own = basis.coordinates([option.params for option in options], [option.start for option in options])
        rows = np.repeat(own[:, None], 1 + len(PLACES), axis=1)
        rows[:, 1:, basis.columns[RATE].start] = PLACES
        return rows

    def _with_rates(self, options: Sequence[_Option], rows: Array, places: NDArray[np.intp]) -> list[_Option]:
        """`options` at the `places` (n,) of their `rows`, as they are at the first."""
        basis = self._model.basis
        found = rows[np.arange(len(rows)), places, basis.columns[RATE]]
        rates = [basis.others[RATE].decode(place) for place in found]
        return [
            replace(option, params={**option.params, RATE: rate}) if place else option
            for option, rate, place in zip(options, rates, places, strict=True)
        ]

    def _extensions(self) -> Iterator[_Option]:
        """The best finished trainings gone on with, as far as their stable phase was kept."""
        length = self._model.space.length
        if length is None:
            return
        kept = (record for record in self._model.own_parents if record.stable_epochs and self._fits(record))
        for record in islice(kept, FINALISTS):
            for epochs in self._longer(record):
                paid = (epochs - (record.stable_epochs or 0)) / length.ends[1]
                params = {**record.params, LENGTH: epochs}
                yield _Option(params, paid, None, record, record.start, epochs <= length.values[-1])

    def _longer(self, record: Record) -> list[int]:
        """Lengths to go on to; where trials build on others beyond the range, for the price of two longest at most.

        Not beyond it where the training was finished early, since it had come to its end, nor for a few epochs more.
        """
        space, longest, epochs = self._model.space, self._lengths[-1], record.params[LENGTH]
        within = [each for each in self._lengths if each > epochs]
        if not space.inherits or LENGTH in space.fixed or (record.epochs or epochs) < epochs:
            return within
        beyond = [(record.stable_epochs or 0) + times * longest for times in FURTHER]
        return within + [each for each in beyond if each > longest and each - epochs >= longest / 2]

    def _fits(self, record: Record) -> bool:
        """Whether its network could be proposed as it is."""
        space = self._model.space
        return record.params.keys() >= {*space.axes, *space.others} and space.agrees(record.params)

    def _weighed(self, options: Sequence[_Option]) -> Iterator[Action]:
        """What each brings by itself and by what it tells of its network at full length, per price."""
        basis = self._model.basis
        params, starts = [option.params for option in options], [option.start for option in options]
        longest = {LENGTH: self._lengths[-1]} if self._lengths else {}
        shipped = self._promised(basis.coordinates([option.shipped(longest) for option in options], starts), options)
        coordinates = basis.coordinates(params, starts)
        worth, promise = self._worth(coordinates), self._worth(shipped)
        delivered, promised = (np.maximum(each - self._incumbent, 0).mean(1) for each in (worth, promise))
        tell = self._left * np.array([option.tells for option in options])
        gains = (1 - tell) * delivered + tell * promised * self._told(worth, promise)
        widths = np.array([[option.params[name] for name in self._model.space.widths] for option in options], float)
        compute = self._cost(widths)[:, 0] * [option.epochs for option in options]
        prices = SLOT + (1 - SLOT) * np.maximum(compute, 1e-6)
        scores = self._survived(gains / prices**self._left, coordinates)
        spreads = np.hypot(worth.std(1), self._noise**0.5)
        for option, score, nats, spread in zip(options, scores, worth.mean(1), spreads, strict=True):
            yield Action(option.params, option.parent, option.start, float(score), float(nats), float(spread))

    def _survived(self, gains: Array, coordinates: Array) -> Array:
        """(n,) the gains, each with its chance of survival; below 0 those that more likely come to nothing.

        What these promise lies where nobody has been, and is easily thought too much of: any other comes first.
        """
        survival = self._model.survival(coordinates)
        return np.where(survival < EVEN, survival - 1, gains * survival)

    def _told(self, shown: Array, shipped: Array) -> Array:
        """(n,) how much of what is unknown of the shipped networks trainings show: correlations in [0, 1]."""
        shared = ((shown - shown.mean(1, keepdims=True)) * (shipped - shipped.mean(1, keepdims=True))).mean(1)
        spread = np.sqrt(shipped.var(1) * (shown.var(1) + self._noise))
        return np.asarray(np.divide(np.abs(shared), spread, out=np.ones_like(spread), where=spread > 0))

    def _at_each_length(self, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if self._model.space.length is None:
            yield params
        for epochs in self._lengths:
            yield {**params, LENGTH: epochs}

    @cached_property
    def _lengths(self) -> list[int]:
        length = self._model.space.length
        return sorted({length.at(fraction) for fraction in np.linspace(0, 1, LENGTHS)}) if length else []

    def _epochs(self, params: Mapping[str, Any]) -> float:
        length = self._model.space.length
        return params[LENGTH] / length.ends[1] if length else 1.0

    def _worth(self, coordinates: Array) -> Array:
        """(n, S) nats in each draw."""
        return np.asarray(self._model.basis.features(coordinates) @ self._draws.T)


def _distinct(rows: Array) -> Iterator[Array]:
    """Each of `rows` (n, K) that is like none before it; of thousands the first few are asked for."""
    seen = set()
    for row in rows:
        if (key := row.tobytes()) not in seen:
            seen.add(key)
            yield row
