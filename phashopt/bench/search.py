"""One search in one world: a network is asked for, trained epoch by epoch, and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import optuna
from optuna import Study, Trial
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from phashopt.bench.placed import Placed, Values
from phashopt.bench.worlds import Trained, World
from phashopt.errors import UserError
from phashopt.search import NO_PARENT, PARENT_KEY, STABLE_KEY, PHashPruner, PHashSampler, Verdict, ranked
from phashopt.search.coding import Coding
from phashopt.search.space import LENGTH, Space
from phashopt.search.start import Start
from phashopt.trace import Trace, write_trace

Params = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What was trained and from where, the accuracy it ended with (NaN unless it was complete), and what that cost."""

    params: Params
    accuracy: float
    compute: float
    extends: bool
    start: Start | None


class Choice(NamedTuple):
    """One of the networks that were trained."""

    params: Mapping[str, Any]
    start: Start | None


class Search:
    """`sampler` and `pruner` in `world`; `move` changes a proposal before it is brought to where it can be trained.

    One that `reads` pays for its readings. An extension pays for its own epochs only. With a `judge`, who reads, its
    choice is the first by that sampler's model of the trials, else the one of the highest accuracy. Where somebody
    else's code takes part, what fails in it is told as that of `foreign`, the arm that was asked for.
    """

    judge: PHashSampler | None = None
    foreign: str | None = None

    def __init__(
        self,
        world: World,
        sampler: BaseSampler,
        pruner: BasePruner | None = None,
        *,
        move: Callable[[int, Params], Params] = lambda _, params: params,
        reads: bool = False,
    ) -> None:
        self._world = world
        self._move = move
        self.reads = reads
        self._coding = coding(world.space)
        self._seeds: dict[Hashable, int] = {}
        placed = Placed(sampler, world.distributions, self._place)
        self.study = optuna.create_study(
            study_name="search",  # by which Hyperband deals its brackets
            direction="maximize",
            sampler=placed,
            pruner=pruner or optuna.pruners.NopPruner(),
        )

    def step(self) -> Step:
        """The next trial, from asking to telling; raises `UserError` where a foreign sampler or pruner fails."""
        with told_as(self.foreign) if self.foreign else nullcontext():
            return self._step()

    def _step(self) -> Step:
        trial = self.study.ask(self._world.distributions)
        params = self._coding.decode(trial.params)
        start = Start.read(self.study._storage.get_trial_system_attrs(trial._trial_id))
        seed = self._seeds.setdefault((self._world.key(params), start), trial.number)  # again, it ends as it did
        trained = self._world.train(params, seed, start)
        before = self._paid_before(trial, params, start)
        seen, stopped = self._watch(trial, trained, before)
        write_trace(trial, seen)
        if trained.stable:
            trial.set_user_attr(STABLE_KEY, trained.stable)
        accuracy = seen.epochs[-1].accuracy
        if stopped:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif math.isfinite(accuracy):
            self.study.tell(trial, accuracy)
        else:
            self.study.tell(trial, state=TrialState.FAIL)
        own = [row for row in seen.epochs if row.number > before]
        compute = trained.spent[len(seen.epochs) - 1] - (trained.spent[before - 1] if before else 0.0)
        readings = sum(bool(row.readings) for row in own) if self.reads else 0
        return Step(params, math.nan if stopped else accuracy, compute + readings * trained.reading, before > 0, start)

    def choice(self) -> Choice | None:
        """What the search would give out now; None before anything was complete."""
        if self.judge and (order := self._ranked(self.judge)):
            return order[0]
        complete = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        best = max(complete, key=lambda trial: trial.value or 0.0, default=None)  # the first of equals
        return Choice(self._coding.decode(best.params), Start.read(best.system_attrs)) if best else None

    def _ranked(self, judge: PHashSampler) -> list[Choice]:
        """Trials from the most promising on; none while there is no model of them."""
        try:
            return [Choice(record.params, record.start) for record, _ in ranked(judge.model(self.study))]
        except UserError:
            return []

    def _watch(self, trial: Trial, trained: Trained, before: int) -> tuple[Trace, bool]:
        """The epochs that the pruner, asked after those `before`, lets happen; the last one leaves nothing to save."""
        seen = Trace()
        for row in trained.trace.epochs:
            seen.add(row)
            if math.isfinite(row.accuracy):
                trial.report(row.accuracy, row.number)
            if before < row.number < trained.trace.epochs[-1].number and self._stops(trial, seen):
                return seen, True
        return seen, False

    def _stops(self, trial: Trial, seen: Trace) -> bool:
        pruner = self.study.pruner
        if not isinstance(pruner, PHashPruner):
            return trial.should_prune()
        write_trace(trial, seen)
        return pruner.verdict(self.study, self.study._storage.get_trial(trial._trial_id)) is Verdict.STOP

    def _paid_before(self, trial: Trial, params: Params, start: Start | None) -> int:
        """The epochs of the finished trial whose training this one goes on with; none of a child's."""
        number = self.study._storage.get_trial_system_attrs(trial._trial_id).get(PARENT_KEY, NO_PARENT)
        if number == NO_PARENT:
            return 0
        parent = self.study.get_trials(deepcopy=False)[number]
        same = {**self._coding.decode(parent.params), LENGTH: params.get(LENGTH)} == params
        return int(parent.user_attrs[STABLE_KEY]) if same and Start.read(parent.system_attrs) == start else 0

    def _place(self, study: Study, trial: FrozenTrial, values: Values) -> Values:
        # under Hyperband the study shows one bracket only
        others = study._storage.get_all_trials(study._study_id, deepcopy=False)[: trial.number]
        tried = {self._world.key(self._coding.decode(each.params)) for each in others}
        params = self._move(trial.number, self._coding.decode(values))
        return self._coding.encode(self._world.nearest(params, tried))


@contextmanager
def told_as(arm: str) -> Iterator[None]:
    """Somebody else's code: whatever it raises is one line with the name of the arm."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--arm {arm} fails: {type(error).__name__}: {error}") from error


def coding(space: Space) -> Coding:
    """Widths and lengths are suggested as indices."""
    return Coding({name: list(axis.values) for name, axis in space.axes.items()})
