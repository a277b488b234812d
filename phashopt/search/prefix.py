"""Where a training that was stopped would have ended, from how the finished ones went on from the same share of theirs.

docs/search.md, 6. The pruner looked only at what is seen here, so the prefix is all there is to know: one Gaussian
observation of the end, no bound. A curve and a study's values may be on different scales: ends are values.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from phashopt.search.basis import Array
from phashopt.search.record import Record
from phashopt.search.space import LENGTH
from phashopt.search.start import Footing, footing

TOLERANCE = 1e-9  # of a share times what it is a share of
RIDGE = 4.0  # trials' worth of belief that all trainings gain alike from here on
UNKNOWN = 0.3  # nats: the spread of ends before any training has shown one
LEAST_SPREAD = 0.02


class End(NamedTuple):
    """A predicted end in nats of error, and its variance."""

    nats: float
    variance: float


class _Line(NamedTuple):
    """What trainings gained from some share of their epochs on: `gap` from the `middle`, and `slope` away from it."""

    gap: float
    slope: float
    middle: float
    variance: float


class Prefixes:
    """Learns from `finished` trainings, whose values were `nats` (n,).

    Those from scratch, children of other networks and of their own go apart.
    """

    def __init__(self, finished: Sequence[Record], nats: Array) -> None:
        self._all = [(record, float(end)) for record, end in zip(finished, nats, strict=True) if record.trace.epochs]
        self._ended: dict[Footing, list[tuple[Record, float]]] = defaultdict(list)
        for record, end in self._all:
            self._ended[footing(record.start)].append((record, end))
        self._line = lru_cache(None)(self._line_at)

    def end(self, prefix: Record) -> End | None:
        """Where `prefix` would have ended; None if it has no curve, or none like it that finished has one.

        Nor is that known of a training that was given more epochs than it had asked for, if nobody says how many.
        """
        curve = {epoch: value for epoch, value in prefix.curve.items() if math.isfinite(value)}
        if not curve or self._overran(prefix):
            return None
        last = max(curve)
        line = self._line(footing(prefix.start), last / self.planned(prefix))
        if line is None:
            return None
        return End(curve[last] + line.gap + line.slope * (curve[last] - line.middle), line.variance)

    def planned(self, record: Record) -> int:
        """The last step that a training was to record, at least the last that it did.

        Where `epochs` is no parameter, what is usual; and steps need not be epochs.
        """
        usual, a_length = self._usual
        length = _length(record)
        return max(round(a_length * length) if length else usual, _last(record), 1)

    def _overran(self, record: Record) -> bool:
        _, a_length = self._usual
        length = _length(record)
        return length is not None and _last(record) > max(1.0, a_length) * length

    @cached_property
    def _usual(self) -> tuple[int, float]:
        """The usual last step, and the usual last step over the length."""
        everybody = [record for record, _ in self._all]
        shares = [_last(record) / length for record in everybody if (length := _length(record))]
        lasts = [_last(record) for record in everybody]
        return round(float(np.median(lasts))) if lasts else 1, float(np.median(shares)) if shares else 1.0

    def _line_at(self, kind: Footing, share: float) -> _Line | None:
        """Of the nats at `share` of each training's epochs and those of its value."""
        reached = [(_reached(record, share), end) for record, end in self._ended[kind]]
        known = [(start, end) for start, end in reached if math.isfinite(start)]
        if not known:
            return None
        starts, ends = np.array(known).T
        gap, middle = float((ends - starts).mean()), float(starts.mean())
        slope = _slope(starts, ends - starts - gap)
        left = ends - starts - gap - slope * (starts - middle)
        variance = (float(left @ left) + UNKNOWN**2) / (len(starts) + 1)
        return _Line(gap, slope, middle, max(variance, LEAST_SPREAD**2))


def _last(record: Record) -> int:
    return record.trace.epochs[-1].number if record.trace.epochs else 1


def _length(record: Record) -> float | None:
    """None where it is no number of epochs."""
    length = record.params.get(LENGTH)
    return length if isinstance(length, int | float) else None


def _reached(record: Record, share: float) -> float:
    """The nats of one training at `share` of its epochs, at the first where that is earlier."""
    epochs = list(record.curve)
    return record.curve[epochs[max(bisect_right(epochs, _last(record) * share + TOLERANCE) - 1, 0)]]


def _slope(starts: Array, gaps: Array) -> float:
    """How much more a training gains that is ahead by one nat, pulled to nothing."""
    centred = starts - starts.mean()
    return float(centred @ gaps) / (float(centred @ centred) + RIDGE * UNKNOWN**2)
