"""How soon a search finds what: many worlds, several arms, by trials and by compute, with bootstrap intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import optuna

from phashopt.bench.arms import make_arm
from phashopt.bench.worlds import Formula, SyntheticWorld

AT = (5, 10, 20, 40)
SHARES = (0.8, 0.9, 0.95)
RESAMPLES = 2000
MISSED = 2.0  # times the whole search: what a target that was never reached counts as


@dataclass(frozen=True)
class Course:
    """One search: after each trial, the share of the way from usual to best that its choice has come; the compute."""

    arm: str
    world: int
    reached: list[float]
    compute: list[float]

    def until(self, share: float) -> tuple[float, float]:
        """Trials and compute until the choice first came so far; twice the whole where it never did."""
        for trial, (reached, compute) in enumerate(zip(self.reached, self.compute, strict=True), start=1):
            if reached >= share:
                return float(trial), compute
        return MISSED * len(self.reached), MISSED * self.compute[-1]


def replay(formula: Formula, arms: Sequence[str], worlds: int, trials: int, processes: int) -> Iterator[Course]:
    """Every arm in every world, as they finish."""
    jobs = [(formula, arm, world, trials) for world in range(worlds) for arm in arms]
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_course, *zip(*jobs, strict=True))


def _course(formula: Formula, arm: str, world_seed: int, trials: int) -> Course:
    """The choice is the feasible network with the highest accuracy seen; it is judged by what it is really worth."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    world = SyntheticWorld(formula, world_seed)
    search = make_arm(arm, world, world_seed, trials)
    most, worth, spent = -math.inf, -math.inf, 0.0
    paid: set[tuple[int, ...]] = set()
    reached, compute = [], []
    for trial in range(trials):
        point, accuracy = search.step(lambda point, seed=trial: world.train(point, seed))  # type: ignore[misc]
        key = world.space.key(point)
        spent += 0.0 if key in paid else world.compute(point)
        paid.add(key)
        if accuracy > most:
            most, worth = accuracy, world.worth(point)
        reached.append((worth - world.usual) / (world.best - world.usual))
        compute.append(spent)
    return Course(arm, world_seed, reached, compute)


class Estimate(NamedTuple):
    """A mean over worlds and its 90% bootstrap interval."""

    mean: float
    low: float
    high: float


def summary(courses: Sequence[Course], arm: str) -> dict[str, Estimate]:
    """Normalised regret of one arm after some trials, and its trials and compute to some shares of the way."""
    mine = [course for course in courses if course.arm == arm]
    found = {
        f"regret at {at}": _estimate([1 - course.reached[at - 1] for course in mine])
        for at in AT
        if at <= len(mine[0].reached)
    }
    for share in SHARES:
        ends = [course.until(share) for course in mine]
        found[f"trials to {share:.0%}"] = _estimate([trials for trials, _ in ends])
        found[f"compute to {share:.0%}"] = _estimate([compute for _, compute in ends])
    return found


def document(formula: Formula, courses: Sequence[Course], arms: Sequence[str]) -> dict[str, Any]:
    """All of it as JSON."""
    rows = {arm: {name: estimate._asdict() for name, estimate in summary(courses, arm).items()} for arm in arms}
    return {"formula": asdict(formula), "summary": rows, "courses": [asdict(course) for course in courses]}


def _estimate(values: Sequence[float]) -> Estimate:
    sample = np.array(values)
    picks = np.random.default_rng(0).integers(len(sample), size=(RESAMPLES, len(sample)))
    low, high = np.quantile(sample[picks].mean(1), [0.05, 0.95])
    return Estimate(float(sample.mean()), float(low), float(high))
