"""When a training deserves more epochs than it was given: a pure function of traces.

The paper's section IV: copies in a network that is still learning are for lack of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from phashopt.search.curve import before_decay, still_improving
from phashopt.search.judge import MANY_COPIES, MANY_DEAD
from phashopt.search.stopping import Curve
from phashopt.trace import Epoch, Trace

LOSS_FALL = 0.9


def starved(trace: Trace, own: Curve, peers: Sequence[Curve], least_peers: int) -> bool:
    """Whether a training not yet annealed is ahead of most others, learns fast, and shows no other trouble.

    Ahead: among the best quarter of `peers` at this epoch, of which there must be `least_peers`. Fast: the second half
    of its epochs removed a tenth of the errors and of the loss. Trouble is another than too few epochs where its last
    reading finds no copies, or copies beside dead maps, the sign of too high a rate.
    """
    rows = before_decay(trace)
    if len(rows) < len(trace.epochs) or not still_improving(trace):
        return False
    return _loss_falls(rows) and _copies_for_lack_of_training(trace) and _ahead(own, peers, least_peers)


def _loss_falls(rows: Sequence[Epoch]) -> bool:
    """True where the loss is not known."""
    middle, last = rows[len(rows) // 2 - 1].loss, rows[-1].loss
    return math.isnan(middle) or math.isnan(last) or last < LOSS_FALL * middle


def _copies_for_lack_of_training(trace: Trace) -> bool:
    """True where nothing was read."""
    layers = trace.last_readings.values()
    copies = [layer for layer in layers if layer.duplicates >= MANY_COPIES]
    return not layers or (bool(copies) and all(layer.dead < MANY_DEAD for layer in copies))


def _ahead(own: Curve, peers: Sequence[Curve], least_peers: int) -> bool:
    epoch = max(own)
    others = [curve[epoch] for curve in peers if math.isfinite(curve.get(epoch, math.nan))]
    return len(others) >= least_peers and own[epoch] >= float(np.quantile(others, 0.75))
