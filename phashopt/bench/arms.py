"""The searches that are compared, by name: ours, with parts switched off, the paper's, and Optuna's, told the cap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import nan
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from phashopt.bench.placed import Listed, within_caps
from phashopt.bench.recorded import RecordedWorld
from phashopt.bench.search import Params, Search, coding, told_as
from phashopt.bench.worlds import World
from phashopt.errors import UserError
from phashopt.search import PHashPruner, PHashSampler, Verdict
from phashopt.search.fit import uniform
from phashopt.search.history import Past, Pending
from phashopt.search.others import other
from phashopt.search.proposal import Proposal
from phashopt.search.record import Record
from phashopt.search.space import Space
from phashopt.service.searching import named
from phashopt.trace import Reading

OURS = "phash"
CHILDREN = "children"
BELIEF = ", by belief"
SHUFFLES, ORDERS = 2, 3  # streams of random numbers of their own
Make = Callable[[World, int, int], Search]


class Unlearning(PHashSampler):
    """Believes what is believed of any network, whatever came of its trials."""

    def _decide(self, space: Space, past: Past, number: int) -> tuple[Proposal, Proposal]:
        planned = [Pending(params) for params in past.points]
        return super()._decide(space, replace(past, records=[], stopped=[], pending=planned), number)


class Blind(PHashSampler):
    """Looks at no reading."""

    def _decide(self, space: Space, past: Past, number: int) -> tuple[Proposal, Proposal]:
        return super()._decide(space, past.unread, number)


class Shuffled(PHashSampler):
    """Each layer's reading is that of a random training whose layer was as wide."""

    def _decide(self, space: Space, past: Past, number: int) -> tuple[Proposal, Proposal]:
        rng, names = self._rng(number, SHUFFLES), list(space.widths)
        records, stopped = (shuffled(part, names, rng) for part in (past.records, past.stopped))
        return super()._decide(space, replace(past, records=records, stopped=stopped), number)


class DeadOnly(PHashSampler):
    """Of all readings it is shown the dead share alone."""

    def _decide(self, space: Space, past: Past, number: int) -> tuple[Proposal, Proposal]:
        records, stopped = (
            [replace(record, readings=_dead_only(record.readings)) for record in part]
            for part in (past.records, past.stopped)
        )
        return super()._decide(space, replace(past, records=records, stopped=stopped), number)


def _dead_only(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    return {name: Reading(nan, nan, each.dead) for name, each in readings.items()}


def shuffled(records: Sequence[Record], widths: Sequence[str], rng: np.random.Generator) -> list[Record]:
    """The same records with each layer's readings dealt anew among those whose layer is as wide."""
    dealt: list[dict[str, Reading]] = [{} for _ in records]
    for name in widths:
        alike: dict[int, list[int]] = defaultdict(list)
        for place, record in enumerate(records):
            if name in record.readings:
                alike[record.params[name]].append(place)
        for places in alike.values():
            for place, source in zip(places, rng.permutation(places).tolist(), strict=True):
                dealt[place][name] = records[source].readings[name]
    return [replace(record.unread, readings=readings) for record, readings in zip(records, dealt, strict=True)]


def make_arm(name: str, world: World, seed: int, trials: int) -> Search:
    """The arm of this name, or a pair `SAMPLER+PRUNER`; raises `UserError` for another.

    Any of them `, by belief` makes the same search, whose choice among its trials is that of our model, for the price
    of the readings that this takes.
    """
    if name.endswith(BELIEF):
        search = make_arm(name.removesuffix(BELIEF), world, seed, trials)
        search.judge, search.reads = ours(PHashSampler, world, seed, trials), True
        return search
    if name in ARMS:
        return ARMS[name](world, seed, trials)
    if name in FIRST_ORDER:
        if not isinstance(world, RecordedWorld):
            raise UserError(f"{name!r} goes through a recorded table, and there is none")
        return Search(world, Listed(_in_order(name, world, seed), world.distributions))
    sampler, _, pruner = name.partition("+")
    if sampler != OURS and ":" not in sampler and sampler not in dir(optuna.samplers):
        known = [*ARMS, *FIRST_ORDER]
        close = get_close_matches(
            name, [*known, *(each for each in dir(optuna.samplers) if each.endswith("Sampler"))], 1
        )
        hint = f"did you mean {close[0]!r}? Or take" if close else "take"
        raise UserError(
            f"there is no arm {name!r}; {hint} one of {', '.join(known)}, or SAMPLER+PRUNER by Optuna's names"
        )
    if sampler == pruner == OURS:
        return _pair(sampler, pruner, world, seed, trials)
    with told_as(name):
        search = _pair(sampler, pruner or "NopPruner", world, seed, trials)
    search.foreign = name
    return search


def _pair(sampler: str, pruner: str, world: World, seed: int, trials: int) -> Search:
    """Any sampler of Optuna's with any pruner, each also as `module:Class` or `phash`."""
    longest = world.space.length.values[-1] if world.space.length else 1
    settings = {"min_resource": 1, "max_resource": longest}
    # what is recorded can be stopped, not changed
    stops: BasePruner = PHashPruner(without=(Verdict.EXTEND, Verdict.FINISH, Verdict.RESTART))
    if pruner != OURS:
        stops = named(pruner, optuna.pruners, BasePruner, "--arm", **settings)
    if sampler == OURS:
        return Search(world, ours(PHashSampler, world, seed, trials), stops, reads=True)
    theirs = named(sampler, optuna.samplers, BaseSampler, "--arm", seed=seed)
    return _theirs(theirs, world, trials, stops, reads=pruner == OURS)


def ours(kind: type[PHashSampler], world: World, seed: int, trials: int, **settings: Any) -> PHashSampler:
    """Our sampler, or one of its `kind`, in this world."""
    space, widths = world.space, list(world.space.widths)
    grid = {name: list(axis.values) for name, axis in space.axes.items()}
    return kind(
        seed, widths=widths, limits=space.limits, grid=grid, space=world.distributions, trials=trials, **settings
    )


def _theirs(
    sampler: BaseSampler, world: World, trials: int, pruner: BasePruner | None = None, *, reads: bool = False
) -> Search:
    """It knows the cap: its proposals are moved under it and filled up to it. Its first trial is ours."""
    first = first_values(ours(PHashSampler, world, 0, trials), world.distributions)
    return Search(world, sampler, pruner, move=under_cap(world.space, coding(world.space).decode(first)), reads=reads)


def first_values(sampler: PHashSampler, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """What ours begins with, whatever its seed."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    return study.ask(dict(space)).params


def under_cap(space: Space, first: Params) -> Callable[[int, Params], Params]:
    """From a trial's number and its proposal to one that keeps the cap and fills it up; to begin with, `first`."""

    def move(number: int, params: Params) -> Params:
        return within_caps(space, params) if number else first

    return move


ARMS: Mapping[str, Make] = {
    "model": lambda world, seed, trials: Search(world, ours(PHashSampler, world, seed, trials), reads=True),
    "readings off": lambda world, seed, trials: Search(world, ours(Blind, world, seed, trials)),
    "readings shuffled": lambda world, seed, trials: Search(world, ours(Shuffled, world, seed, trials), reads=True),
    "dead share alone": lambda world, seed, trials: Search(world, ours(DeadOnly, world, seed, trials), reads=True),
    "nothing learnt": lambda world, seed, trials: Search(world, ours(Unlearning, world, seed, trials), reads=True),
    CHILDREN: lambda world, seed, trials: Search(
        world, ours(PHashSampler, world, seed, trials, inherit=world.inherits), reads=True
    ),
    "paper": lambda world, seed, trials: Search(
        world, ours(PHashSampler, world, seed, trials, strategy="paper"), reads=True
    ),
    "TPE": lambda world, seed, trials: _theirs(optuna.samplers.TPESampler(seed=seed, multivariate=True), world, trials),
    "GP": lambda world, seed, trials: _theirs(optuna.samplers.GPSampler(seed=seed), world, trials),
    "random": lambda world, seed, trials: _theirs(optuna.samplers.RandomSampler(seed=seed), world, trials),
}


def _in_order(name: str, world: RecordedWorld, seed: int) -> list[dict[str, Any]]:
    """The widths as their order has them; of rates, decays and batches it says nothing, so that these are drawn.

    Taken as they were recorded, one order would be one draw of them, the same for every seed.
    """
    rng = np.random.default_rng([seed, ORDERS])
    others = {each: other(distribution) for each, distribution in world.space.others.items()}
    encode = coding(world.space).encode
    return [
        encode({**params, **{each: parameter.draw(rng) for each, parameter in others.items()}})
        for params in world.ordered(FIRST_ORDER[name](world))
    ]


def _largest(world: RecordedWorld) -> Callable[[Mapping[str, Any]], float]:
    return world.macs


def _uniform(world: RecordedWorld) -> Callable[[Mapping[str, Any]], float]:
    """The nearer to all layers alike at the cap, the better."""
    middle = uniform(world.space)
    return lambda params: (
        -sum(
            (axis.fraction(params[name]) - axis.fraction(middle[name])) ** 2
            for name, axis in world.space.widths.items()
        )
    )


def _knapsack(world: RecordedWorld) -> Callable[[Mapping[str, Any]], float]:
    """Every layer worth the same, with the prior's falling returns (docs/search.md, section 2)."""

    def utility(params: Mapping[str, Any]) -> float:
        places = [axis.fraction(params[name]) for name, axis in world.space.widths.items()]
        return sum(place + 4 * place * (1 - place) / 8 for place in places)

    return utility


FIRST_ORDER: Mapping[str, Callable[[RecordedWorld], Callable[[Mapping[str, Any]], float]]] = {
    "largest cost first": _largest,
    "uniform at the cap": _uniform,
    "equal-utility knapsack": _knapsack,
}
