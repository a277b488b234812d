"""Where a training that was stopped would have ended, from how the finished ones went on from the same share of theirs.

SAMPLER.md, section 6. The pruner looked only at what is seen here, so the prefix is all there is to know: one Gaussian
observation of the end, no bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from phashopt.search.basis import Array
from phashopt.search.record import Record
from phashopt.search.space import LENGTH

BINS = 8
RIDGE = 4.0  # trials' worth of belief that all trainings gain alike from here on
UNKNOWN = 0.3  # nats: the spread of ends before any training has shown one
LEAST_SPREAD = 0.02


class End(NamedTuple):
    """A predicted end in nats of error, and its variance."""

    nats: float
    variance: float


def planned(record: Record) -> int:
    """The epochs that a training was to have, at least those that it had."""
    last = record.trace.epochs[-1].number if record.trace.epochs else 1
    return max(int(record.params.get(LENGTH, last)), last)


def expected_end(prefix: Record, finished: Sequence[Record]) -> End | None:
    """Where `prefix` would have ended, from `finished` trainings; None if it has no curve, or none of them has one."""
    curve = {epoch: value for epoch, value in prefix.curve.items() if math.isfinite(value)}
    if not curve:
        return None
    share = _bin(max(curve) / planned(prefix))
    pairs = [pair for record in finished if (pair := _pair(record, share)) is not None]
    if not pairs:
        return None
    starts, ends = np.array(pairs).T
    gap = float((ends - starts).mean())
    slope = _slope(starts, ends - starts - gap)
    left = ends - starts - gap - slope * (starts - starts.mean())
    variance = (float(left @ left) + UNKNOWN**2) / (len(pairs) + 1)
    nats = curve[max(curve)] + gap + slope * (curve[max(curve)] - float(starts.mean()))
    return End(nats, max(variance, LEAST_SPREAD**2))


def _bin(share: float) -> float:
    return min(max(math.ceil(share * BINS), 1), BINS) / BINS


def _pair(record: Record, share: float) -> tuple[float, float] | None:
    """The nats of one training at `share` of its epochs, and at its end."""
    epochs = [row.number for row in record.trace.epochs]
    if not epochs:
        return None
    until = max(epochs) * share
    before = [record.curve[epoch] for epoch in epochs if epoch <= max(until, min(epochs))]
    start, end = before[-1], record.curve[max(epochs)]
    return (start, end) if math.isfinite(start) and math.isfinite(end) else None


def _slope(starts: Array, gaps: Array) -> float:
    """How much more a training gains that is ahead by one nat, pulled to nothing."""
    centred = starts - starts.mean()
    return float(centred @ gaps) / (float(centred @ centred) + RIDGE * UNKNOWN**2)
