"""`PHashPruner`: which trials to stop, finish early, train longer or start again, from their curves and readings."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.pruners import BasePruner

from phashopt.errors import UserError
from phashopt.search.coding import Coding
from phashopt.search.curve import before_decay, best_so_far
from phashopt.search.history import History, lengthened, trial_trace
from phashopt.search.space import LENGTH
from phashopt.search.start import Start, footing
from phashopt.search.starving import starved
from phashopt.search.stopping import PEERS, behind, collapsed, exploded, never_learnt, settled, stuck
from phashopt.search.unlucky import unlucky

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from phashopt.search.record import Record
    from phashopt.search.stopping import Curve
    from phashopt.trace import Trace

RESTART_KEY = "restart"  # system attribute: epoch and loss at which a trial was told to start again
EARLY = 1 / 3  # share of the epochs after which another seed would cost too much
LATE = 1 / 2  # share of the epochs before which nobody can say that they are too few


class Verdict(Enum):
    """What to do with a running trial."""

    CONTINUE = "continue"
    EXTEND = "extend"  # it deserves more epochs: let the rate decay later
    FINISH = "finish"  # accuracy and reading have settled: anneal and complete
    STOP = "stop"
    RESTART = "restart"  # once, from another seed


class PHashPruner(BasePruner):
    """Stops trials that diverge, collapse or fall far behind; finishes, lengthens or restarts others.

    Works under any sampler, from the `trace` that `phashopt.Probe` writes, else from the reported values; accuracies
    are shares in [0, 1], losses positive. A trial is compared with complete ones by the fewest errors up to the same
    epoch: with those of the same length throughout, with others while neither has begun to let its rate decay.
    Optuna's `should_prune` hears of STOP and FINISH only; `verdict` says it all.

    Args:
        warmup: epochs before a trial can be stopped for being behind; one at chance, as no other, waits for two only.
        peers: complete comparable trials that it takes to call one slow, or starved.
        without: verdicts that are never given, to measure what each is worth.
        grid: as the sampler's: parameter -> its true values, where the objective suggests an index.
        read: whether readings count; without them accuracy and loss decide alone, and nothing is finished early.

    Raises:
        UserError: if `warmup` or `peers` is less than 1.
    """

    def __init__(
        self,
        *,
        warmup: int = 3,
        peers: int = PEERS,
        without: Collection[Verdict] = (),
        grid: Mapping[str, Sequence[int]] | None = None,
        read: bool = True,
    ) -> None:
        for name, count in (("warmup", warmup), ("peers", peers)):
            if count < 1:
                raise UserError(f"{name} is {count}: write 1 or more")
        self._read = read
        self._warmup = warmup
        self._peers = peers
        self._without = frozenset(without)
        self._coding = Coding(grid or {})
        self._history = History(self._coding)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """True for STOP and FINISH: all that Optuna's `should_prune` can say, as if nothing else could be done."""
        return self._first(study, trial, self._without | {Verdict.EXTEND, Verdict.RESTART}) != Verdict.CONTINUE

    def verdict(self, study: Study, trial: FrozenTrial) -> Verdict:
        """What to do after the last epoch that `trial` recorded or reported.

        The first of these that is so. STOP: its loss exploded. RESTART, once a trial and in its first third: far more
        dead maps in its last layers than its widths and rate predict. STOP: it collapsed to guessing, or is far behind
        its peers. EXTEND, in its second half and before its rate decays, where `epochs` is a parameter that could be
        larger: ahead of its peers and learning fast. FINISH: accuracy and readings stand still. Else CONTINUE.
        """
        return self._first(study, trial, self._without)

    def _first(self, study: Study, trial: FrozenTrial, without: Collection[Verdict]) -> Verdict:
        current = study._storage.get_trial(trial._trial_id)
        trace = trial_trace(current, study.direction)
        trace = trace if self._read else trace.unread
        if not trace.epochs:
            return Verdict.CONTINUE
        verdicts = self._verdicts(study, current, trace, may_restart=Verdict.RESTART not in without)
        return next((verdict for verdict in verdicts if verdict not in without), Verdict.CONTINUE)

    def _verdicts(self, study: Study, trial: FrozenTrial, trace: Trace, *, may_restart: bool) -> Iterator[Verdict]:
        """All that apply, the most urgent first; whoever is told to restart must be able to."""
        start, params = Start.read(trial.system_attrs), self._coding.decode(trial.params)
        if exploded(trace, child=start is not None) or _reported_nonsense(trial):
            yield Verdict.STOP
        past = self._history.read(study, trial.number).records
        records = [each for each in past if footing(each.start) == footing(start)]
        another = start is None or start.moves  # the same kernels once more would have the same luck
        if may_restart and another and _starts_again(study, trial, params, trace, records):
            yield Verdict.RESTART
        own, peers = best_so_far(trace), _comparable(lengthened(trial, params).get(LENGTH), trace, records)
        if collapsed(trace) or self._hopeless(own, peers):
            yield Verdict.STOP
        if self._could_be_longer(trial, params, trace) and starved(trace, own, peers, self._peers):
            yield Verdict.EXTEND
        if settled(trace):
            yield Verdict.STOP if start is None and never_learnt(trace) else Verdict.FINISH

    def _could_be_longer(self, trial: FrozenTrial, params: Mapping[str, Any], trace: Trace) -> bool:
        """Whether a trial is in the second half of a length that its range goes beyond."""
        if LENGTH not in params:
            return False
        lengths = self._coding.axis(LENGTH, trial.distributions[LENGTH])
        longer = lengths is not None and params[LENGTH] < lengths.values[-1]
        return longer and trace.epochs[-1].number >= LATE * params[LENGTH]

    def _hopeless(self, own: Curve, peers: list[Curve]) -> bool:
        if len(own) < 2:
            return False
        slow = len(own) >= self._warmup and behind(own, peers, self._peers)
        return slow or stuck(own, peers, self._peers)


def _comparable(length: int | None, trace: Trace, records: list[Record]) -> list[Curve]:
    """The curves that a trial of this length can be measured by at its last epoch."""
    decaying = len(before_decay(trace)) < len(trace.epochs)
    curves: list[Curve] = []
    for record in records:
        if record.params.get(LENGTH) == length:
            curves.append(record.curve)
        elif not decaying:
            curves.append(record.curve_before_decay)
    return curves


def _starts_again(
    study: Study, trial: FrozenTrial, params: Mapping[str, Any], trace: Trace, records: list[Record]
) -> bool:
    """Whether a trial is unlucky for the first time: the same question gets the same answer, a second course none."""
    row = trace.epochs[-1]
    here = [row.number, row.loss if math.isfinite(row.loss) else None]
    if RESTART_KEY in trial.system_attrs:
        return bool(trial.system_attrs[RESTART_KEY] == here)
    lengths = [record.trace.epochs[-1].number for record in records if record.trace.epochs]
    length = params.get(LENGTH)
    planned = length if isinstance(length, int | float) else float(np.median(lengths)) if lengths else 0.0
    if row.number > max(1.0, EARLY * planned) or not unlucky(params, trace, records):
        return False
    study._storage.set_trial_system_attr(trial._trial_id, RESTART_KEY, here)
    return True


def _reported_nonsense(trial: FrozenTrial) -> bool:
    reported = trial.intermediate_values
    return bool(reported) and not math.isfinite(reported[max(reported)])
