"""When a training drew a bad seed: more dead maps in its last layers than its widths and its rate account for.

Of two seeds of one configuration, the one with more of its last layer dead after an epoch or two ends worse, and dead
maps tell so earlier than accuracy does (docs/signal.md, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phashopt.search.basis import Array
from phashopt.search.record import Record
from phashopt.search.space import RATE
from phashopt.trace import Trace

LAST_LAYERS = 2
LEAST_PEERS = 8
RIDGE = 1.0
FAR_ABOVE = 2.5  # robust standard deviations of what widths and rate leave unexplained
LEAST_SPREAD = 0.06  # of a dead share: one kernel of sixteen


def unlucky(params: Mapping[str, Any], trace: Trace, peers: Sequence[Record]) -> bool:
    """Whether dead maps are far more than `peers` with such `params` had at this epoch, and the accuracy no better.

    Eight peers at least must have been read at the same epoch; `params` and theirs are true kernel counts and rates.
    A trace has its layers in the order of the network.
    """
    row = trace.epochs[-1]
    names = list(row.readings)
    alike = [(record, _dead(record.trace, row.number, names)) for record in peers if {*names} <= record.params.keys()]
    known = [(record, dead) for record, dead in alike if math.isfinite(dead)]
    own = _dead(trace, row.number, names)
    if len(known) < LEAST_PEERS or not math.isfinite(own):
        return False
    expected, spread = _expected(
        _places([params, *(record.params for record, _ in known)], names), np.array([dead for _, dead in known])
    )
    accuracies = [_accuracy(record.trace, row.number) for record, _ in known]
    ahead = row.accuracy > float(np.nanmedian(accuracies)) if np.isfinite(accuracies).any() else False
    return own - expected > FAR_ABOVE * max(spread, LEAST_SPREAD) and not ahead


def _expected(places: Array, dead: Array) -> tuple[float, float]:
    """Dead share at the first of `places` (n + 1, k) by ridge regression over the others (n,), and a robust spread."""
    x = places[1:] - places[1:].mean(0)
    middle = float(dead.mean())
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (dead - middle))
    left = dead - middle - x @ weights
    expected = middle + float((places[0] - places[1:].mean(0)) @ weights)
    return min(max(expected, 0.0), 1.0), 1.4826 * float(np.median(np.abs(left - np.median(left))))


def _places(params: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Array:
    """(n, k): mean log-width, the last layers' own, and the log-rate where all have one."""
    # a pruner that was not told their grid takes indices, from 0 on
    widths = np.log1p([[each[name] for name in names] for each in params])
    columns = [widths.mean(1, keepdims=True), widths[:, -LAST_LAYERS:]]
    if all(isinstance(each.get(RATE), int | float) and each[RATE] > 0 for each in params):
        columns.append(np.log([[each[RATE]] for each in params]))
    return np.concatenate(columns, 1)


def _dead(trace: Trace, epoch: int, names: Sequence[str]) -> float:
    """Mean dead share of the last layers at one epoch; NaN if they were not read then."""
    readings = next((row.readings for row in trace.epochs if row.number == epoch), {})
    shares = [readings[name].dead for name in names[-LAST_LAYERS:] if name in readings]
    return float(np.mean(shares)) if len(shares) == len(names[-LAST_LAYERS:]) and shares else math.nan


def _accuracy(trace: Trace, epoch: int) -> float:
    return next((row.accuracy for row in trace.epochs if row.number == epoch), math.nan)
