"""How far predictions can be trusted: recorded networks that the model has not seen, from some that it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from phashopt.bench.arms import ours
from phashopt.bench.placed import Listed
from phashopt.bench.recorded import RecordedWorld
from phashopt.bench.search import Search, coding
from phashopt.search import PHashSampler, predictions_of
from phashopt.search.basis import Array
from phashopt.search.curve import nats
from phashopt.search.model import Model
from phashopt.search.stopping import collapsed
from phashopt.trace import Epoch

BEST = 0.1  # the share of the networks that most is predicted of


@dataclass(frozen=True)
class Calibration:
    """Predictions beside what a seed reached that nobody learnt from.

    `order` is Spearman's correlation and `error` the root mean square of the difference in nats; `own_order` and
    `own_error` are the same of a training of each of these very networks with the seed that was learnt from. `inside`
    is the share in the 90% intervals, `best_inside` that of the networks that most is predicted of. `survives` is the
    chance to survive that was given to those that did, `survives_lost` to those that came to nothing (NaN without any).
    """

    order: float
    own_order: float
    error: float
    own_error: float
    inside: float
    best_inside: float
    survives: float
    survives_lost: float


def calibration(world: RecordedWorld, trainings: int, rng: np.random.Generator) -> Calibration:
    """Of the longest networks that are not among so many `trainings`, drawn from all under the cap by `rng`.

    Order, errors and intervals are of those that come to anything with both seeds, as predictions are.
    """
    drawn = [world.points[place] for place in rng.permutation(len(world.points))[:trainings]]
    seen = {world.key(params) for params in drawn}
    rest = [params for params in world.ordered(lambda _: 0.0) if world.key(params) not in seen]
    foretold = predictions_of(_model(world, drawn), rest)
    values, low, high, survives = np.array([(each.value, each.low, each.high, each.survives) for each in foretold]).T
    ended = np.array([world.ended(params) for params in rest])
    own = np.array([_ended(world, params) for params in rest])
    known = ended & np.isfinite(own)
    reached = np.array([world.worth(params) for params in rest])[known]
    own, expected, low, high = own[known], _nats(values[known]), low[known], high[known]
    inside = (_nats(low) <= reached) & (reached <= _nats(high))
    best = np.argsort(-expected)[: max(1, round(BEST * len(expected)))]
    return Calibration(
        order=_correlation(expected, reached),
        own_order=_correlation(own, reached),
        error=_distance(expected, reached),
        own_error=_distance(own, reached),
        inside=float(inside.mean()),
        best_inside=float(inside[best].mean()),
        survives=float(survives[ended].mean()),
        survives_lost=float(survives[~ended].mean()) if not ended.all() else math.nan,
    )


def _model(world: RecordedWorld, drawn: list[dict[str, Any]]) -> Model:
    """What trainings of these teach."""
    listed = Listed([coding(world.space).encode(params) for params in drawn], world.distributions)
    search = Search(world, listed)
    for _ in drawn:
        search.step()
    return ours(PHashSampler, world, 0, trials=1 + len(drawn)).model(search.study)


def _ended(world: RecordedWorld, params: dict[str, Any]) -> float:
    """The nats that it ends with on the seed that is learnt from; NaN if it came to nothing."""
    trace = world.train(params, 0).trace
    return math.nan if collapsed(trace) else nats(trace.epochs[-1])


def _nats(accuracies: Array) -> Array:
    return np.array([nats(Epoch(0, accuracy=accuracy)) for accuracy in accuracies])


def _correlation(one: Array, other: Array) -> float:
    """Spearman's; 0 where one is the same everywhere."""
    return float(spearmanr(one, other).statistic) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0


def _distance(one: Array, other: Array) -> float:
    return math.sqrt(float(np.mean((one - other) ** 2)))
