"""What a model says when it is asked: finished trials in its order, and the best network under any caps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phashopt.search.ascent import Ascent
from phashopt.search.costs import Quadratic
from phashopt.search.fit import under_caps
from phashopt.search.model import Model
from phashopt.search.record import Record
from phashopt.search.space import Limits
from phashopt.search.start import Start

DRAWS = 1000
# of what a training reached beyond its prediction, the share that counts for its network; `gain.MERIT` is more, since
# that also stands for what other trainings of it would show
OWN = 0.2


@dataclass(frozen=True)
class Prediction:
    """Parameters, the nats that they are expected to reach, and these as a value with a 90% interval."""

    params: Mapping[str, Any]
    nats: float
    value: float
    low: float
    high: float


def ranked(model: Model) -> list[tuple[Record, Prediction]]:
    """The finished trials that may be chosen, the one that most is expected of first.

    A single value carries the luck of its seed and of its few validation images; the model pools those of all trials,
    but knows only what is smooth. So most of the order is its prediction, and a part what the trial itself reached.
    """
    pairs = [(record, _predict(model, record.params, record.start)) for record in model.own]
    reached = model.response.nats([record.score for record, _ in pairs])
    expected = [pair[1].nats + OWN * (own - pair[1].nats) for pair, own in zip(pairs, reached, strict=True)]
    return [pairs[place] for place in np.argsort([-each for each in expected], kind="stable")]


def best_under(model: Model, limits: Limits) -> Prediction:
    """The best network under other caps, trained as long as may be; raises `UserError` if none keeps them."""
    space = replace(model.space, limits=limits)
    space.require_feasible()
    weights = model.posterior.mean
    ascent = Ascent(model.basis, Quadratic(space), np.where(model.basis.concave, np.maximum(weights, 0), weights)[None])
    params = model.basis.params(ascent.maximise().coordinates[0])
    return _predict(model, params | under_caps({name: params[name] for name in space.axes}, space))


def _predict(model: Model, params: Mapping[str, Any], start: Start | None = None) -> Prediction:
    draws = model.posterior.draw(DRAWS, np.random.default_rng(0))
    worth = model.basis.features(model.basis.coordinates([params], [start]))[0] @ draws.T
    nats = np.quantile(worth, [0.5, 0.05, 0.95])
    value, *ends = model.response.value(nats).tolist()
    return Prediction(dict(params), float(nats[0]), value, min(ends), max(ends))
