"""Which network to train next, and how long: expected improvement per unit of compute under the caps.

docs/search.md, 7. Weights are drawn from the posterior; each draw is a world with a best network of its own. What
is worth training beats, in many of these worlds, everything that is finished or under way; and a shorter training, or
one that goes on from a finished one or inherits its kernels, may tell as much for less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phashopt.search.ascent import Ascent
from phashopt.search.basis import Array
from phashopt.search.budget import Left
from phashopt.search.costs import Quadratic
from phashopt.search.evidence import Posterior
from phashopt.search.fit import filled, uniform
from phashopt.search.model import Model
from phashopt.search.options import Option, children, extensions, from_scratch, lengths_of
from phashopt.search.record import Record
from phashopt.search.rest import RATES
from phashopt.search.space import LENGTH, RATE
from phashopt.search.start import Start
from phashopt.search.tried import Tried

DRAWS = 128
WORLDS = 12
FINALISTS = 8
FILLED = 64  # networks at most that are filled up one by one, under a cost that is not searched by itself
EVEN = 0.5  # chance of survival below which a training is a gamble
NORMAL, STUDENT = 1.645, 2.132  # half of 90% in standard deviations of a belief, and in scales of a training's noise
SLOT = 0.5  # price of taking one of a study's trials beside its compute, in longest trainings at the cap


@dataclass(frozen=True)
class Action:
    """A training: its parameters, the finished one whose weights it takes over, and what it is expected to bring.

    It goes on from its parent, or, with a `start` of its own, inherits kernels of it. `nats` and `spread` are mean and
    standard deviation of the prediction, `margin` is half of its 90% interval, `score` is what actions are ranked by.
    """

    params: Mapping[str, Any]
    parent: Record | None
    start: Start | None
    score: float
    nats: float
    spread: float
    margin: float


class Improvement:
    """One round of the search: worlds drawn from `posterior`, their best networks found and weighed.

    The smaller the share of the budget that is `left`, the less compute counts, and the more what a training delivers
    itself rather than what it tells of longer ones. A network that has been trained at the longest length, with much
    the same other parameters, has no more to show, unless nothing else is left.
    """

    def __init__(
        self,
        model: Model,
        posterior: Posterior,
        cost: Quadratic,
        tried: Tried,
        rng: np.random.Generator,
        *,
        left: Left,
    ) -> None:
        self._model = model
        self._cost = cost
        self._tried = tried
        self._left = left.share
        self._spare = left.spare
        self._draws = posterior.draw(DRAWS, rng)
        self._noise = posterior.likeliest.sigma**2
        self._ascent = Ascent(model.basis, cost, np.concatenate([posterior.mean[None], self._draws[:WORLDS]]))
        self._optima = self._ascent.maximise()
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
        options = from_scratch(self._model.space, finalists)  # each at the best rate of its world, while all survive
        options = self._at_promising_rates(options) if self._model.lost else options
        if self._model.space.inherits:
            options += self._at_promising_rates(children(self._model, finalists))
        actions = self._weighed([*options, *extensions(self._model, self._spare)])
        return sorted(actions, key=lambda action: (-action.score, -(action.nats + action.spread)))

    def _pool(self) -> Array:
        """(n, K) coordinates at the longest length: every world's best network, and those next to them."""
        layers, optima = self._model.basis.layers, self._optima
        near = self._ascent.neighbours(np.unique(optima.indices, axis=0))
        rest = np.repeat(optima.coordinates[:1, layers:], len(near), axis=0)
        return np.concatenate([optima.coordinates, np.concatenate([self._ascent.coordinates(near), rest], 1)])

    def _finalists(self, ranked: Array) -> list[dict[str, Any]]:
        """The first of `ranked` (n, K) that were not trained from scratch at the longest length; if all were, the first
        ones.
        """
        networks: Iterator[dict[str, Any]] = map(self._model.basis.params, _distinct(ranked))
        if not self._cost.exact:
            networks = (filled(params, self._model.space) for params in islice(networks, FILLED))
        fresh = islice((params for params in networks if not self._tried.begun(params, None)), FINALISTS)
        return list(fresh) or [self._model.basis.params(row) for row in ranked[:FINALISTS]]

    def _best_so_far(self) -> Array:
        """(S,) the nats of the best feasible network that is finished or under way, in each draw.

        Before there is one, of all layers alike: a search would not begin for less, and nats have no zero of their own.
        """
        known = self._model.known if len(self._model.known) else self._model.basis.features(self._alike())
        return np.asarray((known @ self._draws.T).max(0))

    def _alike(self) -> Array:
        """(1, K) coordinates of the uniform network, all else as is best by the mean of the worlds."""
        basis, space = self._model.basis, self._model.space
        even = uniform(space)
        widths = {name: even[name] for name in space.widths}
        return basis.coordinates([{**basis.params(self._optima.coordinates[0]), **widths}])

    def _lasted(self, weights: Array) -> float:
        """log2 of how long, over the longest length, the best network known to the mean was trained with its ancestors.

        At least 0. Compared with it at a shorter length no network from scratch could promise anything, and a search
        would never leave the chain that it began with.
        """
        known = self._model.known
        if not len(known):
            return 0.0
        return max(0.0, float(self._model.known_lengths[(known @ weights).argmax()]))

    def _at_horizon(self, rows: Array) -> Array:
        """`rows` (..., K) of trainings from scratch, gone on with for as long as the best known network has been."""
        rows = rows.copy()
        rows[..., self._model.basis.layers] = np.maximum(rows[..., self._model.basis.layers], self._horizon)
        return rows

    def _at_promising_rates(self, options: list[Option]) -> list[Option]:
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

    def _promised(self, rows: Array, options: Sequence[Option]) -> Array:
        """`rows` (n, ..., K) of the n `options`, those from scratch at the horizon."""
        scratch = np.array([option.start is None for option in options])
        rows = rows.copy()
        rows[scratch] = self._at_horizon(rows[scratch])
        return rows

    def _at_every_rate(self, options: Sequence[Option]) -> Array:
        """(n, 18, K) coordinates of `options` at their own learning rate, and at every place of it."""
        basis = self._model.basis
        own = basis.coordinates([option.params for option in options], [option.start for option in options])
        rows = np.repeat(own[:, None], 1 + len(RATES), axis=1)
        rows[:, 1:, basis.columns[RATE].start] = RATES
        return rows

    def _with_rates(self, options: Sequence[Option], rows: Array, places: NDArray[np.intp]) -> list[Option]:
        """`options` at the `places` (n,) of their `rows`, as they are at the first."""
        basis = self._model.basis
        found = rows[np.arange(len(rows)), places, basis.columns[RATE]]
        rates = [basis.others[RATE].decode(place) for place in found]
        return [
            replace(option, params={**option.params, RATE: rate}) if place else option
            for option, rate, place in zip(options, rates, places, strict=True)
        ]

    def _weighed(self, options: Sequence[Option]) -> Iterator[Action]:
        """What each brings by itself and by what it tells of its network at full length, per price."""
        basis = self._model.basis
        params, starts = [option.params for option in options], [option.start for option in options]
        lengths = lengths_of(self._model.space)
        longest = {LENGTH: lengths[-1]} if lengths else {}
        shipped = self._promised(basis.coordinates([option.shipped(longest) for option in options], starts), options)
        coordinates = basis.coordinates(params, starts)
        worth, promise = self._worth(coordinates), self._worth(shipped)
        delivered, promised = (np.maximum(each - self._incumbent, 0).mean(1) for each in (worth, promise))
        tell = self._left * np.array([option.tells for option in options])
        gains = (1 - tell) * delivered + tell * promised * self._told(worth, promise)
        widths = np.array([[option.params[name] for name in self._model.space.widths] for option in options], float)
        compute = self._cost(widths)[:, 0] * [option.share for option in options]
        prices = SLOT + (1 - SLOT) * np.maximum(compute, 1e-6)
        scores = self._survived(gains / prices**self._left, coordinates)
        spreads = np.hypot(worth.std(1), self._noise**0.5)
        margins = np.hypot(NORMAL * worth.std(1), STUDENT * self._noise**0.5)
        numbers = np.stack([scores, worth.mean(1), spreads, margins], 1).tolist()
        for option, (score, nats, spread, margin) in zip(options, numbers, strict=True):
            yield Action(option.params, option.parent, option.start, score, nats, spread, margin)

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
