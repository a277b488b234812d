"""How soon a search finds what: many worlds, several arms, by trials and by compute, with bootstrap intervals."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from scipy import stats

from phashopt.bench.actions import Taken, taken
from phashopt.bench.arms import FIRST_ORDER, make_arm
from phashopt.bench.recorded import RecordedWorld
from phashopt.bench.table import Table, read_table
from phashopt.bench.worlds import World
from phashopt.errors import UserError

AT = (5, 10, 20, 40)
SHARES = (0.8, 0.9, 0.95)
RESAMPLES = 2000
TARGET = 0.9
LATE = 10  # trials
HALF = 0.5  # of the searches
FEWEST_TARGETS = 5
MISSED = 2.0  # times all trials, and the most compute of any arm in that world: what is never reached counts as


@dataclass(frozen=True)
class Course:
    """One search: after each trial, the share of the way from usual to best that its choice has come; the compute.

    `actions` are its trials that did not begin from scratch.
    """

    arm: str
    world: int
    reached: list[float]
    compute: list[float]
    actions: list[Taken] = field(default_factory=list)

    def until(self, share: float) -> tuple[float, float] | None:
        """Trials and compute until the choice first came so far; None where it never did."""
        for trial, (reached, compute) in enumerate(zip(self.reached, self.compute, strict=True), start=1):
            if reached >= share:
                return float(trial), compute
        return None


@dataclass(frozen=True)
class Replayed:
    """A recorded table under a cap: a world for each number, its search seeds in turn."""

    path: Path
    cap: float

    def __call__(self, number: int) -> RecordedWorld:
        """The world searched on one seed of the table."""
        table = _read(self.path)
        return RecordedWorld(table, self.cap, table.seeds[number % len(table.seeds)])


def replay(
    make: Callable[[int], World], searches: Iterable[tuple[int, str]], trials: int, processes: int
) -> Iterator[Course]:
    """Every search, a world's number and an arm, as they finish; those of one world are best kept together."""
    jobs = [(make, arm, world, trials) for world, arm in searches]
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_course, *zip(*jobs, strict=True))


def _course(make: Callable[[int], World], arm: str, number: int, trials: int) -> Course:
    """The search's choice is judged by what it is really worth."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    world = _world(make, number)
    if not world.best > world.usual:
        raise UserError("no network is better than a usual one under this cap: lower it")
    search = make_arm(arm, world, number, trials)
    spent = 0.0
    paid: dict[Hashable, float] = defaultdict(float)
    reached, compute = [], []
    for _ in range(trials):
        step = search.step()
        key = (world.key(step.params), step.start)
        spent += max(step.compute - paid[key], 0.0)
        paid[key] = max(step.compute, paid[key])
        choice = search.choice()
        worth = world.worth(choice.params, choice.start) if choice else 0.0
        reached.append((worth - world.usual) / (world.best - world.usual))
        compute.append(spent)
    return Course(arm, number, reached, compute, taken(search.study))


@lru_cache(2)
def _world(make: Callable[[int], World], number: int) -> World:
    """Kept, since what is usual and best in a deep one takes longer to find than a search takes."""
    return make(number)


@lru_cache(1)
def _read(path: Path) -> Table:
    return read_table(path)


def counts(make: Replayed, courses: Sequence[Course]) -> dict[str, Any]:
    """Whether a table proves anything: what needs no search must not find its target, nor may that be a single point.

    `courses` hold those of the first-order arms. `floor` is the regret that is left, over the search seeds, to a search
    that has trained everything: it chooses by a seed that does not judge.
    """
    first_order = [course for course in courses if course.arm in FIRST_ORDER]
    late = {arm: _late([course for course in first_order if course.arm == arm]) for arm in FIRST_ORDER}
    worlds = [make(number) for number in range(len(_read(make.path).seeds))]
    targets = worlds[0].targets(TARGET)
    floors = [(world.best - world.chosen) / (world.best - world.usual) for world in worlds]
    return {
        "floor": float(np.mean(floors)),
        "counts": all(share is not None and share >= HALF for share in late.values()) and targets >= FEWEST_TARGETS,
        "targets": targets,
        "late": late,
    }


def _late(courses: Sequence[Course]) -> float | None:
    """The share that needed more than `LATE` trials; None where a search had fewer and nobody knows."""
    if any(len(course.reached) < LATE for course in courses):
        return None
    ends = [course.until(TARGET) for course in courses]
    return float(np.mean([end is None or end[0] > LATE for end in ends]))


def in_words(verdict: Mapping[str, Any]) -> str:
    """What `counts` found, less whether it counts."""
    shares = {arm: "nobody knows" if share is None else f"{share:.0%}" for arm, share in verdict["late"].items()}
    late = ", ".join(f"{arm} {share}" for arm, share in shares.items())
    return (
        f"{verdict['targets']} configurations reach {TARGET:.0%}; of the searches without a model these needed more "
        f"than {LATE} trials to it: {late}. To a search that had trained everything a regret of "
        f"{verdict['floor']:.2f} would be left, since another seed judges."
    )


class Estimate(NamedTuple):
    """A mean and its 90% interval."""

    mean: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """An accuracy in words, with the interval if there is one: what of that lies beyond 0 and 1 is none."""
        interval = f" [{max(self.low, 0):.2%}, {min(self.high, 1):.2%}]" if math.isfinite(self.low) else ""
        return f"{self.mean:.2%}{interval}"


def summary(courses: Sequence[Course], arm: str) -> dict[str, Estimate]:
    """Normalised regret of one arm after some trials, and its trials and compute to some shares of the way."""
    mine = [course for course in courses if course.arm == arm]
    most: dict[int, float] = defaultdict(float)
    for course in courses:
        most[course.world] = max(most[course.world], course.compute[-1])
    found = {
        f"regret at {at}": estimate([1 - course.reached[at - 1] for course in mine])
        for at in AT
        if at <= len(mine[0].reached)
    }
    for share in SHARES:
        ends = [course.until(share) or (MISSED * len(course.reached), MISSED * most[course.world]) for course in mine]
        found[f"trials to {share:.0%}"] = estimate([trials for trials, _ in ends])
        found[f"compute to {share:.0%}"] = estimate([compute for _, compute in ends])
    return found


def document(courses: Sequence[Course], arms: Sequence[str]) -> dict[str, Any]:
    """All of it as JSON."""
    rows = {arm: {name: estimate._asdict() for name, estimate in summary(courses, arm).items()} for arm in arms}
    return {"summary": rows, "courses": [asdict(course) for course in courses]}


def of_few(values: Sequence[float]) -> Estimate:
    """Of a handful of values, among which a bootstrap sees too little: Student's interval; infinite for one."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.95, len(values) - 1) * stats.sem(values)) if len(values) > 1 else math.inf
    return Estimate(mean, mean - half, mean + half)


def estimate(values: Sequence[float]) -> Estimate:
    """Of values, one a world, by bootstrap."""
    sample = np.array(values)
    picks = np.random.default_rng(0).integers(len(sample), size=(RESAMPLES, len(sample)))
    low, high = np.quantile(sample[picks].mean(1), [0.05, 0.95])
    return Estimate(float(sample.mean()), float(low), float(high))
