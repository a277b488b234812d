"""Learning curves in nats of error, and what their shape says: still improving, or on a plateau.

z = -log(1 - accuracy), or -log(loss) where no accuracy is known: 0.1 more is about 10% fewer errors, at any level.
"""

from __future__ import annotations

import math

from phashopt.trace import Epoch, Trace

DOUBLING_GAIN = 0.1
FLOOR = 1e-4


def nats(row: Epoch) -> float:
    """-log(error) at one epoch; NaN where neither an accuracy in [0, 1] nor a positive loss is known."""
    if 0 <= row.accuracy <= 1:
        return -math.log(1 - row.accuracy + FLOOR)
    return -math.log(row.loss) if math.isnan(row.accuracy) and 0 < row.loss < math.inf else math.nan


def before_decay(trace: Trace) -> list[Epoch]:
    """The rows up to the last epoch at the highest learning rate: warm-up and stable phase; all if no rate is known."""
    rates = [row.learning_rate for row in trace.epochs if math.isfinite(row.learning_rate)]
    if not rates:
        return list(trace.epochs)
    last = max(i for i, row in enumerate(trace.epochs) if row.learning_rate >= 0.99 * max(rates))
    return trace.epochs[: last + 1]


def best_so_far(trace: Trace) -> dict[int, float]:
    """By epoch, the most nats reached up to there."""
    best, curve = -math.inf, {}
    for row in trace.epochs:
        if math.isfinite(nats(row)):
            best = max(best, nats(row))
        curve[row.number] = best
    return curve


def still_improving(trace: Trace) -> bool:
    """Whether the second half of the epochs before the decay removed a tenth of the errors: more epochs would help.

    Annealing lifts every curve at its end, so the decay says nothing about length. A run whose stable phase is a
    single epoch is under-trained; of one without a curve nothing is known, and it counts as trained out.
    """
    curve = [nats(row) for row in before_decay(trace) if math.isfinite(nats(row))]
    if len(curve) < 2:
        return bool(curve)
    half = len(curve) // 2
    return max(curve[half:]) - max(curve[:half]) >= DOUBLING_GAIN
