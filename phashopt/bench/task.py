"""What a table is recorded of: a study spec with a table `[record]`, and the configurations that it asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import Field, model_validator

from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.search.space import LENGTH
from phashopt.service.searching import limits
from phashopt.service.spec import Spec, Table

PATIENCE = 1000  # draws in a row that were there already
DIGITS = 4  # of real numbers

Params = dict[str, Any]  # with true kernel counts
Seed = Annotated[int, Field(ge=0)]


class RecordTable(Table):
    """Which trainings: so many networks drawn from the spec's space, each at every length, with every seed.

    Searches run on the accuracies of `seeds` and are judged by those of `held_out`. `limits` of the spec bound what is
    recorded.
    """

    configurations: int = Field(ge=2)
    lengths: tuple[int, ...] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(min_length=1)
    held_out: Seed

    @model_validator(mode="after")
    def _check(self) -> RecordTable:
        if list(self.lengths) != sorted(set(self.lengths)) or self.lengths[0] < 1:
            raise ValueError("lengths must be increasing numbers of epochs, each at least 1")
        if self.held_out in self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("give every seed once, and a held_out that is none of seeds")
        return self

    @property
    def every_seed(self) -> tuple[int, ...]:
        """Those that are searched on, then the one that judges."""
        return (*self.seeds, self.held_out)


class RecordTask(Spec):
    """A spec whose trainings are recorded; its own `epochs` is replaced by the lengths of the table."""

    record: RecordTable


def configurations(task: RecordTask, image: ImageShape, classes: int) -> list[Params]:
    """Different ones within the spec's limits, in an order that depends on its seed alone; lengths are left out.

    Raises `UserError` where the space does not hold so many.
    """
    rng = np.random.default_rng(task.study.seed)
    caps = limits(task, image, classes)
    space = {name: entry for name, entry in task.space.items() if name != LENGTH}
    found: dict[tuple[Any, ...], Params] = {}
    misses = 0
    while len(found) < task.record.configurations:
        drawn = {name: draw(entry, rng) for name, entry in space.items()}
        params = drawn | {name: grid.decode(drawn[name]) for name, grid in task.grids.items()}
        key = tuple(params.values())
        fits = all(cost(params) <= cap for cost, cap in caps.values())
        misses = 0 if fits and key not in found else misses + 1
        if fits:
            found.setdefault(key, params)
        if misses == PATIENCE:
            if not found:
                raise UserError(f"no network keeps the limits ({', '.join(caps)}); raise them, or lower the widths")
            raise UserError(f"record.configurations: {len(found)} are all that were found; ask for no more")
    return list(found.values())


def draw(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """A value drawn uniformly, on the log scale where the distribution has one."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[int(rng.integers(len(distribution.choices)))]
        case IntDistribution(log=True):
            low, high = math.log(distribution.low - 0.5), math.log(distribution.high + 0.5)
            return round(math.exp(rng.uniform(low, high)))
        case IntDistribution():
            steps = (distribution.high - distribution.low) // distribution.step
            return distribution.low + distribution.step * int(rng.integers(steps + 1))
        case FloatDistribution(log=True):
            value = math.exp(rng.uniform(math.log(distribution.low), math.log(distribution.high)))
            return float(f"{value:.{DIGITS}g}")
        case FloatDistribution():
            return float(f"{rng.uniform(distribution.low, distribution.high):.{DIGITS}g}")
        case _:
            raise TypeError(f"nothing is known of {type(distribution).__name__}")


def widths_of(params: Mapping[str, Any], task: Spec) -> list[int]:
    """True kernel counts, first layer first."""
    return [params[name] for name in task.grids]
