"""Who takes part in the live comparison: each one's sampler and pruner, made anew for every trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from phashopt.bench.arms import Blind, DeadOnly, Shuffled, Unlearning, first_values, under_cap
from phashopt.bench.heirs import bequeathed
from phashopt.bench.placed import Listed, Placed, Values
from phashopt.plans import ImageShape
from phashopt.search import PHashPruner, PHashSampler
from phashopt.search.coding import Coding
from phashopt.search.fit import uniform
from phashopt.search.space import LENGTH, Axis, Limits, Space
from phashopt.service.searching import limits
from phashopt.service.spec import Spec

SHARES = (1 / 30, 1 / 10, 1 / 3, 1.0)  # of the budget, at which searches are compared


@dataclass(frozen=True)
class Ring:
    """What a contestant is told: the spec with its seed, the images' shape, the budget in full-length trainings.

    `compute` is the budget in MACs.
    """

    spec: Spec
    image: ImageShape
    classes: int
    budget: float
    compute: float

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What is searched, as Optuna stores it."""
        return self.spec.space

    @cached_property
    def limits(self) -> Limits:
        """The caps."""
        return limits(self.spec, self.image, self.classes)

    @cached_property
    def coding(self) -> Coding:
        """Between true kernel counts and what is stored."""
        return Coding(self.spec.listed)

    @cached_property
    def space(self) -> Space:
        """Widths and length as axes."""
        widths = {name: self._axis(name) for name in self.spec.grids}
        return Space(widths, self._axis(LENGTH), self.limits)

    def ours(self, kind: type[PHashSampler], **settings: Any) -> PHashSampler:
        """As a study of this spec would make it whose compute is its only budget."""
        return kind(
            self.spec.study.seed,
            compute=self.compute,
            widths=list(self.spec.grids),
            limits=self.limits,
            grid=self.spec.listed,
            space=self.distributions,
            **settings,
        )

    @cached_property
    def first(self) -> dict[str, Any]:
        """The first trial, the same for all, with true kernel counts."""
        return self.coding.decode(first_values(self.ours(PHashSampler), self.distributions))

    def _axis(self, name: str) -> Axis:
        axis = self.coding.axis(name, self.distributions[name])
        assert axis is not None
        return axis


@dataclass(frozen=True)
class Contestant:
    """`sampler` of a ring and a trial's number; `reads` if readings are paid for.

    One that is `separate` trains each network for as long as one share of the budget allows: nothing adds up, and the
    best of what no more than a share paid for is its choice there; if it is `shrunk` too, a parent is trained first.
    """

    sampler: Callable[[Ring, int], BaseSampler]
    pruner: Callable[[Ring], BasePruner] = lambda _: NopPruner()
    reads: bool = False
    separate: bool = False
    shrunk: bool = False

    def distributions(self, ring: Ring) -> dict[str, BaseDistribution]:
        """The spec's; where trainings are separate they may be longer than any of a search."""
        if not self.separate:
            return ring.distributions
        return {**ring.distributions, LENGTH: IntDistribution(1, max(_lengths(ring)))}


class AfterEpoch(BasePruner):
    """Lets a trial go on after epoch `number` only if none was better there (Egele et al. 2023)."""

    def __init__(self, number: int) -> None:
        self._number = number

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Asked after every epoch."""
        if trial.last_step != self._number:
            return False
        own = trial.intermediate_values[self._number]
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return any(other.intermediate_values.get(self._number, -1.0) > own for other in finished)


def _ours(kind: type[PHashSampler], **settings: Any) -> Callable[[Ring, int], BaseSampler]:
    return lambda ring, _: ring.ours(kind, **settings)


def _told(
    kind: Callable[[int], BaseSampler],
    change: Callable[[Ring], Mapping[str, Any]] = lambda _: {},
    *,
    inherits: bool = False,
) -> Callable[[Ring, int], BaseSampler]:
    """Optuna's, told the cap; `change` fixes some of its parameters. One that `inherits` is given our actions."""

    def make(ring: Ring, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([ring.spec.study.seed, number]).generate_state(1)[0])
        move = under_cap(ring.space, ring.first)

        def place(study: Study, trial: FrozenTrial, values: Values) -> Values:
            params = {**move(trial.number, ring.coding.decode(values)), **change(ring)}
            if inherits:
                params = bequeathed(ring.space, ring.coding, study, trial, params)
            return ring.coding.encode(params)

        return Placed(kind(seed), ring.distributions, place)

    return make


def _uniform(ring: Ring, _number: int) -> BaseSampler:
    """The uniform net at the cap, trained for all of the compute at once, and for parts of it."""
    widths = uniform(ring.space)
    points = [ring.coding.encode({**ring.first, **widths, LENGTH: epochs}) for epochs in _lengths(ring)]
    return Listed(points, ring.distributions)


def _lengths(ring: Ring) -> list[int]:
    """Epochs that the uniform net can be trained for with each share of the budget."""
    widths = uniform(ring.space)
    cost, cap = ring.limits["macs"]
    share = cost({name: widths[name] for name in ring.space.widths}) / cap
    longest = ring.space.axes[LENGTH].values[-1]
    return [max(1, int(part * ring.budget * longest / share)) for part in SHARES]


def _pruner(ring: Ring) -> BasePruner:
    """As a study of this spec would make it."""
    return PHashPruner(grid=ring.spec.listed)


def _blind(ring: Ring) -> BasePruner:
    """The same where no reading counts."""
    return PHashPruner(read=False, grid=ring.spec.listed)


def _hyperband(ring: Ring) -> BasePruner:
    return HyperbandPruner(min_resource=1, max_resource=ring.space.axes[LENGTH].values[-1])


def _after(number: int) -> Contestant:
    longest = _told(lambda seed: RandomSampler(seed=seed), lambda ring: {LENGTH: ring.space.axes[LENGTH].values[-1]})
    return Contestant(longest, lambda _: AfterEpoch(number))


CONTESTANTS: Mapping[str, Contestant] = {
    "ours": Contestant(_ours(PHashSampler), _pruner, reads=True),
    "children": Contestant(_ours(PHashSampler, inherit=True), _pruner, reads=True),
    "TPE+Hyperband": Contestant(_told(lambda seed: TPESampler(seed=seed, multivariate=True)), _hyperband),
    "TPE+Hyperband, our actions": Contestant(
        _told(lambda seed: TPESampler(seed=seed, multivariate=True), inherits=True), _hyperband
    ),
    "GP+Median": Contestant(_told(lambda seed: GPSampler(seed=seed)), lambda _: MedianPruner()),
    "random": Contestant(_told(lambda seed: RandomSampler(seed=seed))),
    "uniform at the cap": Contestant(_uniform, separate=True),
    "parent shrunk once": Contestant(_uniform, separate=True, shrunk=True),
    "nothing learnt": Contestant(_ours(Unlearning), _pruner, reads=True),
    "paper": Contestant(_ours(PHashSampler, strategy="paper"), _pruner, reads=True),
    "readings off": Contestant(_ours(Blind, inherit=True), _blind),  # these three are `children` but for that
    "readings shuffled": Contestant(_ours(Shuffled, inherit=True), _blind, reads=True),
    "dead share alone": Contestant(_ours(DeadOnly, inherit=True), _blind, reads=True),
    "after epoch 1": _after(1),
    "after epoch 2": _after(2),
    "after epoch 4": _after(4),
}
