"""When a training is lost, and when it has nothing more to gain: pure functions of traces.

Each is meant to err on the side of patience: a stopped trial is lost, a slow one only dear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from phashopt.search.curve import before_decay, nats
from phashopt.trace import Epoch, Trace

EXPLODED = 3.0  # times the first loss
LEAST_LOSS = 1e-6  # that it is compared with
STUCK = 0.25  # of the nats of the peers' lower quartile
WELL_ABOVE = 0.5  # nats
BEHIND = 2.5  # robust standard deviations
LEAST_SPREAD = 0.3  # nats: ten errors of 400 validation images are known no better than that
PEERS = 5  # that a training is measured by, at least
GUESSING = 1.2  # times exp(-loss): a network that has learnt is right more often than it is sure
GUESSABLE = 0.6  # an accuracy that no guessing among balanced classes reaches
ALL_DEAD = 0.99
PLATEAU_EPOCHS = 4
PLATEAU_GAIN = 0.02  # nats
PLATEAU_READING = 0.03

Curve = Mapping[int, float]  # by epoch, the most nats so far


def exploded(trace: Trace, *, child: bool = False) -> bool:
    """Whether the loss is infinite, or NaN after finite ones, or thrice what it was at first; or the accuracy NaN.

    A loss that was not recorded is NaN too: never, or beside an accuracy that still rises, it proves nothing. A `child`
    begins with so little that a higher rate than its parent's makes much of it for a while: half of its accuracy must
    be gone too.
    """
    if not trace.epochs:
        return False
    if math.isinf(trace.epochs[-1].loss):
        return True
    *before, last = trace.epochs
    accuracies = [row.accuracy for row in before if math.isfinite(row.accuracy)]
    losses = [row.loss for row in trace.epochs if math.isfinite(row.loss)]
    if not losses:
        return bool(accuracies) and math.isnan(last.accuracy)
    if math.isnan(last.loss):
        return not last.accuracy > max(accuracies, default=math.inf)
    grown = last.loss > EXPLODED * max(abs(losses[0]), LEAST_LOSS)
    return grown and not (child and last.accuracy > trace.epochs[0].accuracy / 2)


def at_chance(row: Epoch) -> bool:
    """Whether a network only guesses: where every class is as likely as it is frequent, exp(-loss) is the accuracy.

    False where loss or accuracy is not known, or the loss is no cross-entropy: below 0.
    """
    return row.accuracy < GUESSABLE and row.loss >= 0 and row.accuracy < GUESSING * math.exp(-row.loss)


def collapsed(trace: Trace) -> bool:
    """Whether a network guesses and will not learn.

    That is known at once if a layer is wholly dead, at the second such epoch if it had been well above, and after four
    epochs in which the loss did not fall by 1%.
    """
    rows = trace.epochs
    if not at_chance(rows[-1]):
        return False
    if any(reading.dead >= ALL_DEAD for reading in rows[-1].readings.values()):
        return True
    fell = _best(rows) - nats(rows[-1]) > WELL_ABOVE and at_chance(rows[-2])
    flat = len(rows) >= PLATEAU_EPOCHS and rows[-1].loss > 0.99 * rows[0].loss
    return fell or (flat and all(map(at_chance, rows)))


def never_learnt(trace: Trace) -> bool:
    """Whether no epoch was better than the first one, and that one not half right; of a few epochs nobody knows."""
    if len(trace.epochs) < PLATEAU_EPOCHS:
        return False
    first = nats(trace.epochs[0])
    return _best(trace.epochs) - first < PLATEAU_GAIN and trace.epochs[0].accuracy < 0.5


def guessing_below(reached: Sequence[float]) -> float:
    """The nats far below the lower quartile of what others have `reached`: less is no better than guessing."""
    quartile = float(np.quantile(reached, 0.25))
    return min(STUCK * quartile, quartile - WELL_ABOVE)


def chance(epoch: int, peers: Sequence[Curve], least_peers: int) -> float:
    """The nats below which a training is still at chance at `epoch`; -inf where too few peers came so far."""
    others = _at(epoch, peers)
    return guessing_below(others) if len(others) >= least_peers else -math.inf


def stuck(own: Curve, peers: Sequence[Curve], least_peers: int) -> bool:
    """Whether a trial is still at chance at its last epoch, where nearly all of its peers were well above."""
    epoch = max(own)
    return math.isfinite(own[epoch]) and own[epoch] < chance(epoch, peers, least_peers)


def behind(own: Curve, peers: Sequence[Curve], least_peers: int) -> bool:
    """Whether a trial was an outlier below its peers at each of its last two epochs."""
    latest = sorted(own)[-2:]
    return len(latest) == 2 and all(_outlier(own[epoch], _at(epoch, peers), least_peers) for epoch in latest)


def settled(trace: Trace) -> bool:
    """Whether accuracy and reading have both stopped moving at a rate that has not begun to decay.

    Accuracy: the last third of the epochs, four at least, gained less than 2% of the errors. Reading: no layer's
    redundancy or duplicates moved by more than 0.03 between the last reading and the one before the last third.
    """
    rows = before_decay(trace)
    window = max(PLATEAU_EPOCHS, len(rows) // 3)
    if len(rows) < len(trace.epochs) or len(rows) < 2 * window:
        return False
    earlier, later = _best(rows[:-window]), _best(rows[-window:])
    return later - earlier < PLATEAU_GAIN and _reading_settled(rows)


def _reading_settled(rows: Sequence[Epoch]) -> bool:
    read = [row for row in rows if row.readings]
    if not read or read[-1].number < rows[-1].number / 2:
        return False
    before = [row for row in read if row.number <= read[-1].number * 2 / 3]
    if not before:
        return False
    moves = [
        abs(after - start)
        for name in before[-1].readings.keys() & read[-1].readings.keys()
        for start, after in (
            (before[-1].readings[name].redundancy, read[-1].readings[name].redundancy),
            (before[-1].readings[name].duplicates, read[-1].readings[name].duplicates),
        )
        if math.isfinite(abs(after - start))
    ]
    return bool(moves) and max(moves) <= PLATEAU_READING


def _outlier(own: float, others: Sequence[float], least_peers: int) -> bool:
    if len(others) < least_peers or not math.isfinite(own):
        return False
    middle = float(np.median(others))
    spread = 1.4826 * float(np.median(np.abs(np.asarray(others) - middle)))
    return own < middle - BEHIND * max(spread, LEAST_SPREAD)


def _at(epoch: int, curves: Sequence[Curve]) -> list[float]:
    return [curve[epoch] for curve in curves if math.isfinite(curve.get(epoch, math.nan))]


def _best(rows: Sequence[Epoch]) -> float:
    return max((nats(row) for row in rows if math.isfinite(nats(row))), default=math.nan)
