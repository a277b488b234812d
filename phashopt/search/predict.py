"""What a model says when it is asked: finished trials in its order, and the best network under any caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phashopt.search.ascent import Ascent
from phashopt.search.basis import Array
from phashopt.search.costs import Quadratic
from phashopt.search.fit import filled, under_caps
from phashopt.search.model import Model
from phashopt.search.others import Number
from phashopt.search.record import Record
from phashopt.search.rest import RATES
from phashopt.search.space import Limits
from phashopt.search.start import Start

DRAWS = 1000
# of what a training reached beyond its prediction, the share that counts for its network; `gain.MERIT` is more, since
# that also stands for what other trainings of it would show
OWN = 0.2


@dataclass(frozen=True)
class Prediction:
    """Parameters, the nats that they are expected to reach, and these as a value.

    `low` and `high` are the 90% interval of where one training ends that comes to an end: what is not known of the
    network, and the luck of a seed. `survives` is the chance that it does.
    """

    params: Mapping[str, Any]
    nats: float
    value: float
    low: float
    high: float
    survives: float


def ranked(model: Model) -> list[tuple[Record, Prediction]]:
    """The finished trials that may be chosen, the one that most is expected of first.

    A single value carries the luck of its seed and of its few validation images; the model pools those of all trials,
    but knows only what is smooth. So most of the order is its prediction, and a part what the trial itself reached.
    """
    records = model.own
    predictions = predictions_of(model, [record.params for record in records], [record.start for record in records])
    reached = model.response.nats([record.score for record in records])
    predicted = np.array([prediction.nats for prediction in predictions])
    order = np.argsort(-(predicted + OWN * (reached - predicted)), kind="stable")
    return [(records[place], predictions[place]) for place in order]


def best_under(model: Model, limits: Limits) -> Prediction:
    """The best network under other caps, from scratch at the longest length, its numbers where trainings survive.

    Raises `UserError` if none keeps the caps. Source: docs/search.md, 8 and 9.
    """
    space = replace(model.space, limits=limits)
    space.require_feasible()
    weights = model.outlook.mean
    weights = np.where(model.basis.concave, np.maximum(weights, 0), weights)
    cost = Quadratic(space)
    optimum = Ascent(model.basis, cost, weights[None]).maximise().coordinates[0]
    params = model.basis.params(_surviving(model, optimum, weights))
    settle = under_caps if cost.exact else filled
    best = params | settle({name: params[name] for name in space.axes}, space)
    return predictions_of(model, [best])[0]


def _surviving(model: Model, row: Array, weights: Array) -> Array:
    """The network (K,), the rate and all other numbers in turn where what is expected, and may survive, is most.

    Where half of the trainings come to nothing, log 2 nats more must be expected of the others.
    """
    basis = model.basis
    for name, parameter in basis.others.items():
        if isinstance(parameter, Number) and name not in basis.settled:
            rows = np.repeat(row[None], 1 + len(RATES), axis=0)
            rows[1:, basis.columns[name].start] = RATES
            row = rows[(basis.features(rows) @ weights + np.log(model.survival(rows))).argmax()]
    return row


def predictions_of(
    model: Model, points: Sequence[Mapping[str, Any]], starts: Sequence[Start | None] = ()
) -> list[Prediction]:
    """What trainings with these parameters should reach, in the order of the n `points`.

    `starts` (n,) are those of children, if there are any. Source: docs/search.md, 9.
    """
    rng = np.random.default_rng(0)
    draws, noise = model.outlook.draw(DRAWS, rng), model.outlook.noise(DRAWS, rng)
    coordinates = model.basis.coordinates(points, starts)
    worth = model.basis.features(coordinates) @ draws.T
    of_luck = draws[:, model.basis.parts["luck"]]  # where readings tell it, the noise is only what they leave of it
    luck = (of_luck * rng.standard_normal(of_luck.shape)).sum(1)
    low, high = np.quantile(worth + luck + noise, [0.05, 0.95], axis=1)
    nats = np.stack([low, np.median(worth, axis=1), high], axis=1)
    values = np.sort(model.response.value(nats), axis=1)
    return [
        Prediction(dict(params), middle, value, low, high, survives)
        for params, (_, middle, _), (low, value, high), survives in zip(
            points, nats.tolist(), values.tolist(), model.survival(coordinates).tolist(), strict=True
        )
    ]
