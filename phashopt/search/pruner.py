"""`PHashPruner`: which trials to stop, and which to finish early, from their curves and their readings."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from optuna.pruners import BasePruner

from phashopt.search.coding import Coding
from phashopt.search.curve import before_decay, best_so_far
from phashopt.search.history import History, trial_trace
from phashopt.search.space import LENGTH
from phashopt.search.stopping import behind, exploded, settled, stuck

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from phashopt.search.stopping import Curve
    from phashopt.trace import Trace


class Verdict(Enum):
    """What to do with a running trial."""

    CONTINUE = "continue"
    FINISH = "finish"  # accuracy and reading have settled: anneal and complete
    STOP = "stop"


class PHashPruner(BasePruner):
    """Stops trials that diverge or fall far behind; finishes those whose accuracy and readings have settled.

    Works under any sampler, from the `trace` that `phashopt.Probe` writes, else from the reported values; accuracies
    are shares in [0, 1], losses positive. A trial is compared with complete ones by the fewest errors up to the same
    epoch: with those of the same length throughout, with others while neither has begun to let its rate decay.

    Args:
        warmup: epochs before a trial can be stopped for being slow.
        peers: complete comparable trials that it takes to call one slow.
    """

    def __init__(self, *, warmup: int = 3, peers: int = 5) -> None:
        self._warmup = warmup
        self._peers = peers
        self._history = History(Coding({}))

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """True for STOP and FINISH: all that Optuna's `should_prune` can say."""
        return self.verdict(study, trial) != Verdict.CONTINUE

    def verdict(self, study: Study, trial: FrozenTrial) -> Verdict:
        """What to do after the last epoch that `trial` recorded or reported."""
        current = study._storage.get_trial(trial._trial_id)
        trace = trial_trace(current, study.direction)
        if not trace.epochs:
            return Verdict.CONTINUE
        if exploded(trace) or _reported_nonsense(current) or self._hopeless(study, current, trace):
            return Verdict.STOP
        return Verdict.FINISH if settled(trace) else Verdict.CONTINUE

    def _hopeless(self, study: Study, trial: FrozenTrial, trace: Trace) -> bool:
        if len(trace.epochs) < 2:
            return False
        own, peers = best_so_far(trace), self._comparable(study, trial, trace)
        slow = len(trace.epochs) >= self._warmup and behind(own, peers, self._peers)
        return slow or stuck(own, peers, self._peers)

    def _comparable(self, study: Study, trial: FrozenTrial, trace: Trace) -> list[Curve]:
        decaying = len(before_decay(trace)) < len(trace.epochs)
        curves: list[Curve] = []
        for record in self._history.read(study, trial.number).records:
            if record.params.get(LENGTH) == trial.params.get(LENGTH):
                curves.append(record.curve)
            elif not decaying:
                curves.append(record.curve_before_decay)
        return curves


def _reported_nonsense(trial: FrozenTrial) -> bool:
    reported = trial.intermediate_values
    return bool(reported) and not math.isfinite(reported[max(reported)])
