"""One search in one world: a network is asked for, trained epoch by epoch, and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna import Study, Trial
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from phashopt.bench.placed import Placed, Values
from phashopt.bench.worlds import Trained, World
from phashopt.search import NO_PARENT, PARENT_KEY, STABLE_KEY, PHashPruner, Verdict
from phashopt.search.space import LENGTH, Space
from phashopt.trace import Epoch, Trace, write_trace

Params = dict[str, Any]
Alter = Callable[[Mapping[str, Any], Trace], Trace]


@dataclass(frozen=True)
class Step:
    """What was trained, the accuracy it ended with (NaN unless it was complete), and what that cost."""

    params: Params
    accuracy: float
    compute: float
    extends: bool


class Search:
    """`sampler` and `pruner` in `world`; `move` changes a proposal before it is brought to where it can be trained.

    One that `reads` is shown the readings, as `alter` leaves them, and pays for them. An extension pays for its own
    epochs only.
    """

    def __init__(
        self,
        world: World,
        sampler: BaseSampler,
        pruner: BasePruner | None = None,
        *,
        move: Callable[[int, Params], Params] = lambda _, params: params,
        reads: bool = False,
        alter: Alter = lambda _, trace: trace,
    ) -> None:
        self._world = world
        self._move = move
        self._reads = reads
        self._alter = alter
        placed = Placed(sampler, world.distributions, self._place)
        self._study = optuna.create_study(
            direction="maximize", sampler=placed, pruner=pruner or optuna.pruners.NopPruner()
        )

    def step(self) -> Step:
        """The next trial, from asking to telling."""
        trial = self._study.ask(self._world.distributions)
        params = decoded(self._world.space, trial.params)
        trained = self._world.train(params, trial.number)
        seen, stopped = self._watch(trial, params, trained)
        write_trace(trial, self._shown(params, seen))
        if trained.stable:
            trial.set_user_attr(STABLE_KEY, trained.stable)
        before = self._paid_before(trial, params)
        accuracy = seen.epochs[-1].accuracy
        if stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif math.isfinite(accuracy):
            self._study.tell(trial, accuracy)
        else:
            self._study.tell(trial, state=TrialState.FAIL)
        own = [row for row in seen.epochs if row.number > before]
        compute = trained.spent[len(seen.epochs) - 1] - (trained.spent[before - 1] if before else 0.0)
        readings = sum(bool(row.readings) for row in own) if self._reads else 0
        return Step(params, math.nan if stopped else accuracy, compute + readings * trained.reading, before > 0)

    def _watch(self, trial: Trial, params: Params, trained: Trained) -> tuple[Trace, bool]:
        """The epochs that the pruner lets happen; after the last one there is nothing left to save."""
        seen = Trace()
        for row in trained.trace.epochs:
            seen.add(row)
            if math.isfinite(row.accuracy):
                trial.report(row.accuracy, row.number)
            if row is not trained.trace.epochs[-1] and self._stops(trial, params, seen):
                return seen, True
        return seen, False

    def _stops(self, trial: Trial, params: Params, seen: Trace) -> bool:
        pruner = self._study.pruner
        if not isinstance(pruner, PHashPruner):
            return trial.should_prune()
        write_trace(trial, self._shown(params, seen))
        return pruner.verdict(self._study, self._study._storage.get_trial(trial._trial_id)) is Verdict.STOP

    def _shown(self, params: Params, seen: Trace) -> Trace:
        return self._alter(params, seen) if self._reads else without_readings(params, seen)

    def _paid_before(self, trial: Trial, params: Params) -> int:
        """The epochs of the finished trial that this one goes on from, if it is the same network."""
        parent = self._study._storage.get_trial_system_attrs(trial._trial_id).get(PARENT_KEY, NO_PARENT)
        if parent == NO_PARENT:
            return 0
        start = self._study.get_trials(deepcopy=False)[parent]
        same = {**decoded(self._world.space, start.params), LENGTH: params.get(LENGTH)} == params
        return int(start.user_attrs[STABLE_KEY]) if same else 0

    def _place(self, study: Study, trial: FrozenTrial, values: Values) -> Values:
        # under Hyperband the study shows one bracket only
        others = study._storage.get_all_trials(study._study_id, deepcopy=False)[: trial.number]
        tried = {self._world.key(decoded(self._world.space, each.params)) for each in others}
        params = self._move(trial.number, decoded(self._world.space, values))
        return encoded(self._world.space, self._world.nearest(params, tried))


def without_readings(_: Mapping[str, Any], trace: Trace) -> Trace:
    """As a search sees it that does not look."""
    return Trace([Epoch(row.number, row.loss, row.accuracy, row.learning_rate) for row in trace.epochs])


def decoded(space: Space, values: Mapping[str, Any]) -> Params:
    """From indices to true values."""
    return {name: space.axes[name].values[value] if name in space.axes else value for name, value in values.items()}


def encoded(space: Space, params: Mapping[str, Any]) -> Values:
    """From true values to indices."""
    return {
        name: list(space.axes[name].values).index(value) if name in space.axes else value
        for name, value in params.items()
    }
