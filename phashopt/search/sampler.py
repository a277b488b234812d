"""`PHashSampler`: Optuna's side of the search.

The mathematics, and what corresponds to which option of TPE, are in docs/search.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args
from zlib import crc32

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from threadpoolctl import ThreadpoolController

from phashopt.errors import UserError, meant
from phashopt.search.budget import Budget
from phashopt.search.coding import Coding, counted
from phashopt.search.costs import Quadratic
from phashopt.search.history import LONGER_KEY, PROPOSAL_KEY, History, Past
from phashopt.search.lock import OwnLock
from phashopt.search.model import Model
from phashopt.search.proposal import Proposal
from phashopt.search.record import Record
from phashopt.search.rule import propose
from phashopt.search.space import LENGTH, Axis, Limits, Remembered, Space
from phashopt.search.start import NO_PARENT, PARENT_KEY, START_KEY, Start
from phashopt.search.strategy import propose_by_model, shown
from phashopt.search.tried import Tried

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

Strategy = Literal["model", "paper"]

DECISION_KEY = "decision"
WITHOUT_READING_KEY = "proposal_without_reading"
BASE_STREAM = 1
THREADS = ThreadpoolController()  # of the linear algebra that is imported above
UNKNOWN = "It is not known yet which widths there are: the base sampler draws every parameter."
UNKNOWN_BUT_LIMITED = "The search space is not known yet: the smallest widths, which keep every cap if any do."


def _tpe(seed: int) -> BaseSampler:
    return TPESampler(seed=seed)


class PHashSampler(BaseSampler):
    """Proposes widths, length and all other numbers by what finished trials reached and how redundant their layers are.

    Two strategies. `model`: a Bayesian model of what each layer's kernels, the length and every other parameter are
    worth, redundancy among its evidence, maximised under the caps per unit of compute (`phashopt.search.model`,
    `improvement`). `paper`: the rule of the paper's section IV (`phashopt.search.rule`), which leaves parameters that
    are neither widths, `epochs` nor `learning_rate` to the base sampler. Without `limits` there is nothing to weigh
    kernels against, and the rule decides under both.

    Read of a trial are its value, parameters and constraints, and of the `trace` that `phashopt.Probe` writes the
    readings, losses and accuracies; without a trace user attributes `redundancy.<width>`, `duplicates.<width>`,
    `dead.<width>` and the reported values. phashopt's own trials also say how they began and how they may be gone on
    with (`start`, `epochs_used`, `stable_epochs`, `adopted`), and what they took (`train_macs`).

    A proposal keeps every cap, lies on the grid, and repeats no finished, running or enqueued point while another
    feasible one is left: under `paper` no widths and epochs, under `model` none with much the same other parameters. It
    depends on the seed, the trial's number and the trials in the storage, on nothing else; what an enqueued trial fixes
    is kept, and the rest fitted to it. Processes that ask at the same moment may be told the same.
    Each trial carries the system attributes `decision` (in words), `parent` (the trial whose weights it goes on from,
    -1 for none), `proposal` and `proposal_without_reading` (the same strategy and random numbers, had no layer been
    read), a child, and whatever goes on from one, `start` (`phashopt.search.start`).

    Args:
        seed: of everything random; drawn once if None.
        strategy: `model` or `paper`.
        trials: how many the study is to have; the nearer its end, the less compute counts against gain. Without it,
            and without `compute` or `deadline`, the study is always half over.
        compute: the sum of its trials' user attributes `train_macs` at which the study ends, if that comes first.
        deadline: when it ends if nothing else ended it before, as `study.optimize(timeout=...)` does; local time, as
            the times of Optuna's trials are, unless it has a time zone.
        widths: the width parameters, first layer first; by default those of `grid`, else those that a reading is
            recorded for. One whose values are not positive whole numbers is left to the base sampler. A trial need not
            come to all of them: where the depth is a parameter, the cost is that of the deepest networks.
        limits: name -> (cost, cap); `cost` is called with a dict of all `widths`, as kernel counts, and may not fall
            when a width grows; a network is feasible if cost <= cap, which is above 0. The first cost is what trainings
            are priced by. Needs `widths` or `grid`.
        grid: parameter -> its true values, ascending, where the objective suggests an index:
            `suggest_int(name, 0, len(values) - 1)`.
        space: the whole search space. Without it a first trial cannot be proposed as one: its widths are then drawn
            one by one, or, under limits, are the smallest.
        base: from a seed to the sampler of all other parameters.
        inherit: whether trials may build on others, under `model`. One with a `start` that is not its parent's own is
            to begin with `phashopt.inherit(parent, widths, images)` of the trial that `parent` names; any other with a
            parent goes on from that trial's stable phase, for as many epochs in all as `longer` says where that is
            beyond the range of `epochs`.

    Raises:
        UserError: from the constructor if an argument makes no sense; from the first suggestion if no network keeps
            the caps, or from a later one if the trials do not have the widths.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        strategy: Strategy = "model",
        trials: int | None = None,
        compute: float | None = None,
        deadline: datetime | None = None,
        widths: Sequence[str] | None = None,
        limits: Limits | None = None,
        grid: Mapping[str, Sequence[int]] | None = None,
        space: Mapping[str, BaseDistribution] | None = None,
        base: Callable[[int], BaseSampler] = _tpe,
        inherit: bool = False,
    ) -> None:
        self._seed = int(np.random.default_rng().integers(2**32)) if seed is None else seed
        self._strategy = strategy
        self._budget = Budget(trials, compute, deadline and deadline.astimezone().replace(tzinfo=None))
        self._widths = tuple(widths if widths is not None else [name for name in grid or {} if name != LENGTH])
        self._limits = {name: _limit(name, entry) for name, entry in (limits or {}).items()}
        self._space = dict(space or {})
        self._base = base
        self._inherit = inherit
        self._coding = Coding(grid or {}, self._widths)
        self._history = History(self._coding, self._widths)
        self._costs: dict[tuple[tuple[str, Axis], ...], Quadratic] = {}
        self._seen: dict[tuple[tuple[str, ...], tuple[tuple[str, BaseDistribution], ...]], Tried] = {}
        self._lock = OwnLock()
        if strategy not in get_args(Strategy):
            raise UserError(f"strategy is {strategy!r}: take one of {', '.join(get_args(Strategy))}")
        if trials is not None and trials < 1:
            raise UserError(f"trials is {trials}: a study has at least one")
        if compute is not None and compute <= 0:
            raise UserError(f"compute is {compute:g}: a study takes some")
        if self._limits and not self._widths:
            raise UserError("limits need the widths they are a cost of: PHashSampler(widths=[...], limits=...)")
        for name in (grid or {}).keys() - {*self._widths, LENGTH}:
            raise UserError(f"grid[{name!r}] is neither a width nor {LENGTH}: suggest it as it is")

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """`space` if it was given, else what the other trials have asked for, running ones included."""
        self._raise_error_if_multi_objective(study)
        return self._searched(self._history.read(study, trial.number))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A whole point of `search_space`; its story is stored with the trial."""
        self._raise_error_if_multi_objective(study)
        if search_space and search_space.keys() <= trial.params.keys():  # handed back: it goes on as what it was
            return {}
        # Threads that ask at once would all be proposed the same. Matrices are small: more than one thread for them
        # costs time where trainings share the cores, and rounds by how many cores there are.
        with self._lock, THREADS.limit(limits=1, user_api="blas"):
            return self._sample(study, trial, search_space)

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        past = self._history.read(study, trial.number)
        space = self._network_space(past, search_space)
        values: dict[str, Any] = {}
        if space:
            proposed = self._propose(study, trial, space, past)
            values = {name: value for name, value in proposed.items() if name in search_space}
        else:
            unknown = UNKNOWN_BUT_LIMITED if self._limits else UNKNOWN
            _store(study, trial, {DECISION_KEY: unknown, PARENT_KEY: NO_PARENT})
        return values | self._base_values(study, trial, self._rest(search_space, values))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The base sampler's value, or under limits a width's smallest: nothing is known of the other widths here."""
        self._raise_error_if_multi_objective(study)
        if self._limits and param_name in self._widths:
            smallest = self._limited_axis(param_name, param_distribution).values[0]
            return self._coding.encode({param_name: smallest})[param_name]
        base = self._base(self._base_seed(trial.number, crc32(param_name.encode())))
        return base.sample_independent(study, trial, param_name, param_distribution)

    def model(self, study: Study, *, children: bool = True) -> Model:
        """What the study's trials make of each network now; raises `UserError` where there is nothing to model.

        Without `children` what trainings from scratch make of it: a chain of children says little of these. Nothing to
        model is under the paper's strategy, without limits, or before the search space is known.
        """
        past = self._history.read(study, len(study.get_trials(deepcopy=False)))
        space = self._network_space(past, self._searched(past))
        if self._strategy != "model" or space is None or not space.limits:
            raise UserError('there is no model of this study: it takes strategy = "model" and a limit')
        return Model(space, past if children else past.from_scratch)

    def _searched(self, past: Past) -> dict[str, BaseDistribution]:
        """What all trials have asked for, and the widths that any has: a trial may end before it comes to them all."""
        if self._space:
            return dict(self._space)
        widths = {name: past.asked[name] for name in self._widths if name in past.asked}
        return {**past.distributions, **widths}

    def _network_space(self, past: Past, search_space: Mapping[str, BaseDistribution]) -> Space | None:
        """What the strategy decides on; None while the widths are not known, or under limits not all of them."""
        names = self._widths or _read(past.records)
        axis = self._limited_axis if self._limits else self._coding.axis
        axes = {name: axis(name, search_space[name]) for name in names if name in search_space}
        if self._limits and len(axes) < len(names):
            before = {name: _as_before(name, past, names) for name in names if name not in axes}
            if None in before.values():
                return None
            axes = {name: axes.get(name) or before[name] for name in names}
        widths = {name: axis for name, axis in axes.items() if axis}
        if not widths:
            return None
        length = self._coding.axis(LENGTH, search_space[LENGTH]) if LENGTH in search_space else None
        taken = {*widths, *([LENGTH] if length else [])}
        others = {name: each for name, each in search_space.items() if name not in taken and not each.single()}
        return Space(widths, length, self._limits, others, self._inherit)

    def _propose(self, study: Study, trial: FrozenTrial, space: Space, past: Past) -> dict[str, Any]:
        """The strategy's parameters as Optuna stores them."""
        space.require_feasible()
        fixed = self._coding.decode({**trial.system_attrs.get("fixed_params", {}), **trial.params})
        given = {name: int(value) for name in space.axes if (value := counted(fixed.get(name)))}
        others = {name: each for name, each in space.others.items() if name not in fixed}
        settled = {name: each for name, each in space.others.items() if name in fixed}
        space = replace(space.given(given), others=others, fixed=fixed, settled=settled)

        proposal, blank = self._decide(space, past, trial.number)
        same = replace(proposal, reason="") == replace(blank, reason="")
        without = "the same" if same else _in_words(blank)
        notes = {
            PROPOSAL_KEY: {**proposal.point, **proposal.others},
            WITHOUT_READING_KEY: {**blank.point, **blank.others},
            DECISION_KEY: f"{proposal.reason} Without the reading: {without}.",
            PARENT_KEY: NO_PARENT if proposal.parent is None else proposal.parent,
            **({START_KEY: _noted(proposal.start)} if proposal.start or START_KEY in trial.system_attrs else {}),
            **({LONGER_KEY: proposal.longer} if proposal.longer or LONGER_KEY in trial.system_attrs else {}),
        }
        _store(study, trial, notes)
        return {**self._coding.encode(proposal.point), **proposal.others}

    def _decide(self, space: Space, past: Past, number: int) -> tuple[Proposal, Proposal]:
        """What to try next, and what it would be had no layer been read: the same if none was."""
        by_model = self._strategy == "model" and bool(space.limits)
        decide = self._by_model(space, past, number) if by_model else self._by_rule(space, past, number)
        read = any(record.readings for record in (*past.records, *past.stopped))
        blank = decide(False)
        return decide(True) if read else blank, blank

    def _by_model(self, space: Space, past: Past, number: int) -> Callable[[bool], Proposal]:
        """The decision as a function of whether readings count."""
        model, tried = Model(space, past), self._tried(space).update(past)
        left = self._budget.left(past, space)
        blank = Model(space, past.unread) if past.fates_were_read else model  # a second one takes as long again

        def decide(read: bool) -> Proposal:
            believed, posterior = (model, model.posterior) if read else (blank, blank.posterior.silent)
            return propose_by_model(believed, posterior, self._cost(space), tried, self._rng(number), left=left)

        return decide

    def _by_rule(self, space: Space, past: Past, number: int) -> Callable[[bool], Proposal]:
        """The same."""
        records = [record for record in past.records if record.params.keys() >= space.axes.keys()]
        seen = self._tried(replace(space, others={})).update(past).keys

        def decide(read: bool) -> Proposal:
            return propose(space, records if read else [record.unread for record in records], seen, self._rng(number))

        return decide

    def _cost(self, space: Space) -> Quadratic:
        """Found once for each set of axes."""
        key = tuple(space.widths.items())
        if key not in self._costs:
            self._costs[key] = Quadratic(space)
        return self._costs[key]

    def _tried(self, space: Space) -> Tried:
        """Kept for each set of parameters."""
        key = (tuple(space.axes), tuple(space.others.items()))
        if key not in self._seen:
            self._seen[key] = Tried(space)
        return self._seen[key]

    def _rest(
        self, search_space: Mapping[str, BaseDistribution], values: Mapping[str, Any]
    ) -> dict[str, BaseDistribution]:
        """What the base sampler decides on: never a width under limits."""
        limited = self._widths if self._limits else ()
        return {
            name: distribution
            for name, distribution in search_space.items()
            if name not in values and name not in limited and not distribution.single()
        }

    def _base_values(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The base sampler's values; what it leaves out of its joint sample, as TPE does at first, one by one."""
        if not search_space:
            return {}
        base = self._base(self._base_seed(trial.number))
        values = base.sample_relative(study, trial, search_space)
        missing = {name: distribution for name, distribution in search_space.items() if name not in values}
        return values | {
            name: base.sample_independent(study, trial, name, distribution) for name, distribution in missing.items()
        }

    def _limited_axis(self, name: str, distribution: BaseDistribution) -> Axis:
        axis = self._coding.axis(name, distribution)
        if axis is None:
            raise UserError(
                f"limits need whole numbers of kernels: suggest {name} with suggest_int from 1 on, and if earlier "
                "trials did not, give the present ranges as space"
            )
        return axis

    def _rng(self, *stream: int) -> np.random.Generator:
        """Random numbers that depend on nothing but the seed and `stream`, in whatever order workers ask."""
        return np.random.default_rng([self._seed, *stream])

    def _base_seed(self, *stream: int) -> int:
        return int(self._rng(*stream, BASE_STREAM).integers(2**32))


def _limit(name: str, entry: Any) -> tuple[Remembered, float]:
    """Of a cost that is asked once for each network; raises `UserError` for what is no cost with a cap."""
    match entry:
        case [cost, Real() as given] if callable(cost):
            if not 0 < (cap := float(given)) < math.inf:
                raise UserError(f"limits[{name!r}] has the cap {cap:g}: it must be finite and more than 0")
            return Remembered(cost), cap
    raise UserError(f"limits[{name!r}] is {entry!r}: write (cost, cap), a function of all widths and a number")


def _as_before(name: str, past: Past, names: Sequence[str]) -> Axis | None:
    """A width that is searched by nobody here, since another sampler fixes it: as it was in the last training with one.

    None before there is any. Raises `UserError` for one that no trial has, unless it may be one of deeper networks.
    """
    last = next((record for record in reversed(past.records) if name in record.params), None)
    if last:
        return Axis((int(last.params[name]),))
    known = sorted({name for record in past.records for name in record.params})
    misspelt = any(near not in names for near in get_close_matches(name, known, n=1))
    if known and (misspelt or not {*known} & {*names}):
        raise UserError(f"widths: the trials have no {name!r}{meant(name, known)}")
    return None


def _read(records: Sequence[Record]) -> list[str]:
    """The layers that a reading is recorded for, in order."""
    return list(dict.fromkeys(name for record in records for name in record.readings))


def _in_words(proposal: Proposal) -> str:
    """What it would train, and from whose kernels."""
    longer = {LENGTH: proposal.longer} if proposal.longer else {}
    values = proposal.point | longer | {name: shown(value) for name, value in proposal.others.items()}
    whose = "" if proposal.parent is None else f" with the kernels of trial {proposal.parent}"
    return ", ".join(f"{name} {value}" for name, value in values.items()) + whose


def _noted(start: Start | None) -> list[float] | None:
    """None takes back what an earlier proposal to the same trial said."""
    return start.note() if start else None


def _store(study: Study, trial: FrozenTrial, attrs: Mapping[str, Any]) -> None:
    for key, value in attrs.items():
        study._storage.set_trial_system_attr(trial._trial_id, key, value)
