"""The searches that are compared, by name: ours, with parts switched off, the paper's, and Optuna's, told the cap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from phashopt.bench.worlds import SyntheticWorld
from phashopt.search import PHashSampler
from phashopt.search.fit import fit, uniform
from phashopt.search.history import Past
from phashopt.search.proposal import Proposal
from phashopt.search.space import LENGTH, Point, Space
from phashopt.trace import Trace, write_trace


class Arm(ABC):
    """One search in one world: asked for a network, told what came of it."""

    def __init__(self, world: SyntheticWorld, sampler: BaseSampler) -> None:
        self._world = world
        self._study = optuna.create_study(direction="maximize", sampler=sampler)

    @abstractmethod
    def step(self, train: Callable[[Point], Trace]) -> tuple[Point, float]:
        """Propose a network, train it, and learn from it; returns it and the accuracy it ended with."""


class Ours(Arm):
    """`PHashSampler`; `alter` changes what it is shown of a training."""

    def __init__(
        self, world: SyntheticWorld, sampler: PHashSampler, alter: Callable[[Point, Trace], Trace] = lambda _, t: t
    ) -> None:
        super().__init__(world, sampler)
        self._alter = alter

    def step(self, train: Callable[[Point], Trace]) -> tuple[Point, float]:
        """As a worker does."""
        trial = self._study.ask(_indices(self._world.space))
        point = _decoded(self._world.space, trial.params)
        trace = train(point)
        write_trace(trial, self._alter(point, trace))
        self._study.tell(trial, trace.epochs[-1].accuracy)
        return point, trace.epochs[-1].accuracy


class Theirs(Arm):
    """An Optuna sampler that knows the cap: its proposals are moved under it and filled up to it, and told as such.

    Its first trial is ours, and it is not charged for networks that it repeats.
    """

    def step(self, train: Callable[[Point], Trace]) -> tuple[Point, float]:
        """What the sampler suggests is replaced by the network that was trained."""
        space, distributions = self._world.space, _indices(self._world.space)
        trial = self._study.ask(distributions)
        point = _decoded(space, trial.params)
        widest_first = sorted(space.widths, key=lambda name: -point[name])
        point = fit(point, space, widest_first, widest_first[::-1])
        if not self._study.get_trials(states=[TrialState.COMPLETE]):
            point = uniform(space) | {LENGTH: space.axes[LENGTH].values[-1]}
        accuracy = train(point).epochs[-1].accuracy
        self._study.tell(trial, state=TrialState.FAIL)
        told = {name: list(axis.values).index(point[name]) for name, axis in space.axes.items()}
        self._study.add_trial(create_trial(params=told, distributions=distributions, value=accuracy))
        return point, accuracy


class _Unlearning(PHashSampler):
    """Believes what is believed of any network, whatever came of its trials."""

    def _decide(self, space: Space, past: Past, seen: Set[tuple[int, ...]], number: int, *, read: bool) -> Proposal:
        blank = replace(past, records=[], stopped=[], pending=past.points)
        return super()._decide(space, blank, seen, number, read=read)


class _Shuffle:
    """Each layer's reading becomes that of a random training whose layer was as wide."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._read: dict[tuple[str, int], list[Any]] = defaultdict(list)

    def __call__(self, point: Point, trace: Trace) -> Trace:
        last = trace.epochs[-1]
        readings = {}
        for name, reading in last.readings.items():
            alike = self._read[name, point[name]]
            alike.append(reading)
            readings[name] = alike[int(self._rng.integers(len(alike)))]
        return Trace([*trace.epochs[:-1], replace(last, readings=readings)])


def _blind(_: Point, trace: Trace) -> Trace:
    return Trace([replace(row, readings={}) for row in trace.epochs])


def make_arm(name: str, world: SyntheticWorld, seed: int, trials: int) -> Arm:
    """The arm of this name; raises `KeyError` for another."""
    return ARMS[name](world, seed, trials)


def _ours(kind: type[PHashSampler], world: SyntheticWorld, seed: int, trials: int, **settings: Any) -> PHashSampler:
    space, widths = world.space, list(world.space.widths)
    grid = {name: list(axis.values) for name, axis in space.axes.items()}
    return kind(seed, widths=widths, limits=space.limits, grid=grid, space=_indices(space), trials=trials, **settings)


ARMS: Mapping[str, Callable[[SyntheticWorld, int, int], Arm]] = {
    "model": lambda world, seed, trials: Ours(world, _ours(PHashSampler, world, seed, trials)),
    "readings off": lambda world, seed, trials: Ours(world, _ours(PHashSampler, world, seed, trials), _blind),
    "readings shuffled": lambda world, seed, trials: Ours(
        world, _ours(PHashSampler, world, seed, trials), _Shuffle(seed)
    ),
    "nothing learnt": lambda world, seed, trials: Ours(world, _ours(_Unlearning, world, seed, trials)),
    "paper": lambda world, seed, trials: Ours(world, _ours(PHashSampler, world, seed, trials, strategy="paper")),
    "TPE": lambda world, seed, trials: Theirs(world, TPESampler(seed=seed, multivariate=True)),
    "GP": lambda world, seed, trials: Theirs(world, GPSampler(seed=seed)),
    "random": lambda world, seed, trials: Theirs(world, RandomSampler(seed=seed)),
}


def _indices(space: Space) -> dict[str, BaseDistribution]:
    return {name: IntDistribution(0, len(axis.values) - 1) for name, axis in space.axes.items()}


def _decoded(space: Space, params: Mapping[str, int]) -> Point:
    return {name: axis.values[params[name]] for name, axis in space.axes.items()}
