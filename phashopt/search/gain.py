"""What more compute would bring before any of it is spent: trainings imagined in worlds drawn from the posterior.

docs/search.md, 9.
In each world the imagined trainings end where that world has them, give or take the noise of a trial; what they would
teach of all networks is the Gaussian update, and the network then chosen is worth what the world says. So a gain
counts luck that would be mistaken for merit as the loss it is. Of what the model leaves unexplained, half is taken for
a network's own merit, which another training would show too: without it, gains come out many times too small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from phashopt.search.ascent import Ascent
from phashopt.search.basis import Array
from phashopt.search.costs import Quadratic
from phashopt.search.model import Model
from phashopt.search.options import children, further
from phashopt.search.record import Record
from phashopt.search.space import LENGTH
from phashopt.search.start import Start

DRAWS = 1024
WORLDS = 32  # whose best networks are candidates
CANDIDATES = 8  # finished networks that may be trained on
MOST = 24  # imagined trainings
MERIT = 0.5  # share of the unexplained variance that is the network's own, and not its seed's

Price = Callable[[Mapping[str, Any], int], float]  # parameters and epochs paid already -> what is still to be paid


@dataclass(frozen=True)
class Training:
    """A training that could be bought: from scratch, or of a finished `parent`, gone on with or in a child.

    A child has a `start` of its own, what is gone on with that of its parent.
    """

    params: Mapping[str, Any]
    price: float
    parent: Record | None = None
    start: Start | None = None

    @property
    def extends(self) -> Record | None:
        """The finished one that it goes on from."""
        return self.parent if self.parent and self.start == self.parent.start else None

    @property
    def known(self) -> Record | None:
        """The finished one that is the same network."""
        return self.parent if self.extends or (self.start and not self.start.moves) else None


@dataclass(frozen=True)
class Gain:
    """What trainings bring over the network in hand: expected score, its 90% interval, and which they are.

    `before` is the score that is expected of the one in hand: what it reached, less the luck that was part of it.
    """

    trainings: list[Training]
    before: float
    mean: float
    low: float
    high: float


def in_hand(model: Model) -> Record | None:
    """The finished feasible network that most is expected of: what the model predicts, and part of what was beyond."""
    able = model.own
    if not able:
        return None
    predicted = _worth(model, able, model.posterior.mean[None])[:, 0]
    return able[int((predicted + MERIT * (_reached(model, able) - predicted)).argmax())]


def by_searching(model: Model, budget: float, price: Price) -> Gain:
    """New networks within `budget`, the most promising first, each as long as can be paid.

    Where trials build on others they are also children of finished ones, and these gone on with: that is searching.
    """
    draws = model.posterior.draw(WORLDS, np.random.default_rng(1))
    rows = Ascent(model.basis, Quadratic(model.space), draws).maximise().coordinates
    wanted = [model.basis.params(row) for row in np.unique(rows, axis=0)]
    length = model.space.length
    lengths = sorted(length.values, reverse=True) if length else []
    options = []
    for params in wanted:
        versions = [{**params, LENGTH: epochs} for epochs in lengths] or [params]
        priced = (Training(version, price(version, 0)) for version in versions)
        options += [next((each for each in priced if each.price <= budget), None)]
    if model.space.inherits:
        options += [*_children(model, wanted, budget, price), *_longer(model, price)]
    return _gain(model, budget, [option for option in options if option])


def by_training_longer(model: Model, budget: float, price: Price) -> Gain | None:
    """Finished networks trained on, to the longest length and beyond it; None if that is fixed."""
    return _gain(model, budget, _longer(model, price)) if model.space.length else None


def _children(model: Model, networks: Sequence[Mapping[str, Any]], budget: float, price: Price) -> list[Training]:
    """Of each parent and network the longest that can be paid."""
    longest: dict[tuple[Any, ...], Training] = {}
    for option in children(model, networks):  # of a network the longest last
        training = Training(option.params, price(option.params, 0), option.parent, option.start)
        if training.price <= budget:
            longest[option.start, *(option.params[name] for name in model.space.widths)] = training
    return list(longest.values())


def _longer(model: Model, price: Price) -> list[Training]:
    """The most promising finished networks, at the longest length and beyond it."""
    length = model.space.length
    if length is None:
        return []
    able = model.own
    order = np.argsort(-_worth(model, able, model.posterior.mean[None])[:, 0], kind="stable")[:CANDIDATES]
    longest = length.values[-1]
    options = []
    for record in (able[index] for index in order):
        within = [longest] if record.params[LENGTH] < longest else []
        for epochs in (*within, *further(record, longest, math.inf)):
            params = {**record.params, LENGTH: epochs}
            options.append(Training(params, price(params, record.stable_epochs or 0), record, record.start))
    return options


def _gain(model: Model, budget: float, options: Sequence[Training]) -> Gain:
    """From as many `options` as `budget` buys, those first of which a training in itself promises most."""
    rng = np.random.default_rng(0)
    draws = model.posterior.draw(DRAWS, rng)
    sigma = model.posterior.likeliest.sigma
    finished = model.own
    predicted = _worth(model, finished, draws)
    merits = MERIT * (_reached(model, finished)[:, None] - predicted)
    merits += sigma * (MERIT * (1 - MERIT)) ** 0.5 * rng.standard_normal(predicted.shape)
    before = predicted + merits
    hand = int(before.mean(1).argmax())
    kept = {record.number: merit for record, merit in zip(finished, merits, strict=True)}
    promise = np.maximum(_worth(model, options, draws) + _kept(options, kept) - before[hand], 0).mean(1)
    bought: list[Training] = []
    for index in np.argsort(-promise, kind="stable"):
        option = options[index]
        again = option.known is not None and any(option.known is each.known for each in bought)
        if not again and len(bought) < MOST and sum(each.price for each in bought) + option.price <= budget:
            bought.append(option)
    scores = model.response.score(before[hand])
    if not bought:
        return Gain([], float(scores.mean()), 0.0, 0.0, 0.0)
    after = _worth(model, bought, draws) + _kept(bought, kept)
    new = np.array([each.known is None for each in bought])
    after[new] += sigma * MERIT**0.5 * rng.standard_normal((int(new.sum()), DRAWS))
    worth = chosen(before, after, sigma * (1 - MERIT) ** 0.5, rng)
    gains = model.response.score(worth) - scores
    low, high = np.quantile(gains, [0.05, 0.95])
    return Gain(bought, float(scores.mean()), float(gains.mean()), float(low), float(high))


def _kept(trainings: Sequence[Training], merits: Mapping[int, Array]) -> Array:
    """(n, S) the merit of the networks that are known, by the number of the trial; 0 of those that are new."""
    rows = [merits[each.known.number] if each.known else np.zeros(DRAWS) for each in trainings]
    return np.array(rows).reshape(len(rows), DRAWS)


def _worth(model: Model, trainings: Sequence[Record | Training], draws: Array) -> Array:
    """(n, S) nats in each world."""
    params, starts = [each.params for each in trainings], [each.start for each in trainings]
    return np.asarray(model.basis.features(model.basis.coordinates(params, starts)) @ draws.T)


def _reached(model: Model, records: Sequence[Record]) -> Array:
    """(n,) nats as they were scored."""
    return model.response.nats([record.score for record in records])


def chosen(before: Array, after: Array, sigma: float, rng: np.random.Generator) -> Array:
    """(S,) the nats of the network that is chosen once the ends of `after` (m, S), with noise `sigma`, are known."""
    everything = np.concatenate([before, after])
    middle = everything.mean(1, keepdims=True)
    seen = after + sigma * rng.standard_normal(after.shape)
    deviations = after - after.mean(1, keepdims=True)
    count = after.shape[1]
    spread = deviations @ deviations.T / count + sigma**2 * np.eye(len(after))
    shared = (everything - middle) @ deviations.T / count
    expected = middle + shared @ cho_solve(cho_factor(spread), seen - after.mean(1, keepdims=True))
    return np.asarray(everything[expected.argmax(0), np.arange(count)])
