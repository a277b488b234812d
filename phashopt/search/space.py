"""The grid of networks a study may propose, and which of its points keep every cap."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution

from phashopt.errors import UserError

LENGTH = "epochs"
RATE = "learning_rate"

Point = dict[str, int]
Limits = Mapping[str, tuple[Callable[[Point], float], float]]

COSTS_KEPT = 2**16
STEP = 4 / 3  # one gradual step of a width, where the grid is fine enough for it


def numbered(name: str) -> list[str | int]:
    """Sorts `conv10` behind `conv9`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@dataclass(frozen=True)
class Axis:
    """The values one parameter may take: positive whole numbers, ascending.

    `whole` are the ends of its range where only a part of that may be taken; places are told on the whole of it.
    """

    values: Sequence[int]
    whole: tuple[int, int] | None = None

    @property
    def ends(self) -> tuple[int, int]:
        """Of the range."""
        return self.whole or (self.values[0], self.values[-1])

    def only(self, value: int) -> Axis:
        """This one value, on the grid or not, at its place in the range."""
        return Axis((value,), self.ends)

    def nearest(self, value: float) -> int:
        """The grid value nearest to `value` on a log scale."""
        value = max(value, self.values[0])
        place = bisect_left(self.values, value)
        around = self.values[max(place - 1, 0) : place + 1]
        return min(around, key=lambda candidate: abs(math.log(candidate / value)))

    def at(self, fraction: float) -> int:
        """The grid value at `fraction` in [0, 1] of the log range."""
        low, high = self.ends
        return self.nearest(low * (high / low) ** min(max(fraction, 0.0), 1.0))

    def fraction(self, value: int) -> float:
        """The inverse of `at`; 1/2 where the axis has a single value."""
        return float(self.fractions([value])[0])

    def fractions(self, values: Sequence[int]) -> NDArray[np.float64]:
        """(n,) the inverse of `at` for each."""
        low, high = self.ends
        return np.log(np.divide(values, low)) / math.log(high / low) if high > low else np.full(len(values), 0.5)

    def up(self, value: int, factor: float = STEP) -> int:
        """About `factor` times `value`, at least one grid value more, where there is one."""
        above = self.values[bisect_right(self.values, value) :]
        return max(self.nearest(value * factor), above[0]) if above else value

    def down(self, value: int, factor: float = STEP) -> int:
        """About `value / factor`, at least one grid value less, where there is one."""
        below = self.values[: bisect_left(self.values, value)]
        return min(self.nearest(value / factor), below[-1]) if below else value

    def between(self, low: int, high: int) -> Sequence[int]:
        """The grid values in [low, high]."""
        return self.values[bisect_left(self.values, low) : bisect_right(self.values, high)]

    def neighbours(self, value: int) -> list[int]:
        """The next grid value below and above, as far as there are any."""
        place = bisect_left(self.values, value)
        return [*self.values[max(place - 1, 0) : place], *self.values[bisect_right(self.values, value) :][:1]]


class Remembered:
    """`cost`, asked once for each network: one proposal after the other weighs much the same ones."""

    def __init__(self, cost: Callable[[Point], float]) -> None:
        self._cost = cost
        self._of = lru_cache(COSTS_KEPT)(lambda widths: cost(dict(widths)))

    def __call__(self, point: Point) -> float:
        told = self._of(tuple(point.items()))
        try:
            cost = float(told)
        except OverflowError:  # of whole numbers beyond any float
            return math.inf
        except (TypeError, ValueError):
            cost = math.nan
        if math.isnan(cost):
            raise UserError(f"a cost of limits is {told!r} for {point}: return a number, or inf where nothing fits")
        return cost

    def __reduce__(self) -> tuple[type[Remembered], tuple[Callable[[Point], float]]]:
        return Remembered, (self._cost,)  # a sampler is pickled to go on with a study; what is remembered is not


@dataclass(frozen=True)
class Space:
    """Width axes in layer order, perhaps an axis of lengths in epochs, the caps on the widths, all other parameters.

    A limit is `(cost, cap)`: `cost` gets the widths as true kernel counts and may not fall when a width grows; a point
    is feasible if every cost is at most its cap. Where it `inherits`, a trial may be the child of another. `fixed` are
    the values of parameters that are given and searched no more, `settled` the ranges of those that are no axes: what
    they are worth is still learnt from the trials that had others.
    """

    widths: dict[str, Axis]
    length: Axis | None = None
    limits: Limits = field(default_factory=dict)
    others: Mapping[str, BaseDistribution] = field(default_factory=dict)
    inherits: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    settled: Mapping[str, BaseDistribution] = field(default_factory=dict)

    @property
    def rates(self) -> tuple[float, float] | None:
        """The range of the learning rate, if that is searched and continuous."""
        rate = self.others.get(RATE)
        return (rate.low, rate.high) if isinstance(rate, FloatDistribution) and rate.step is None else None

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """The widths and, last, the length."""
        return self.widths if self.length is None else self.widths | {LENGTH: self.length}

    def key(self, point: Mapping[str, int]) -> tuple[int, ...]:
        """What makes two points the same one."""
        return tuple(map(point.__getitem__, self.axes))

    def covers(self, params: Mapping[str, Any]) -> bool:
        """Whether `params` have a number on every axis: anything may be enqueued."""
        return all(isinstance(params.get(name), int | float) for name in self.axes)

    def feasible(self, point: Mapping[str, int]) -> bool:
        """Whether `point` keeps every cap."""
        widths = {name: point[name] for name in self.widths}
        return all(cost(widths) <= cap for cost, cap in self.limits.values())

    def agrees(self, params: Mapping[str, Any]) -> bool:
        """Whether `params` are as is fixed here, whatever the length."""
        return all(params.get(name) == value for name, value in self.fixed.items() if name != LENGTH)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether `params`, which have all that is searched here, lie in its ranges, whatever the length."""
        widths = all(params[name] in axis.values for name, axis in self.widths.items())
        return widths and all(each._contains(each.to_internal_repr(params[name])) for name, each in self.others.items())

    def at(self, fraction: float, length: float = 0.5) -> Point:
        """Every width at the same fraction of its log range."""
        point = {name: axis.at(fraction) for name, axis in self.widths.items()}
        return point if self.length is None else point | {LENGTH: self.length.at(length)}

    def given(self, fixed: Mapping[str, int]) -> Space:
        """The part of the space in which the parameters in `fixed` have these values, on the grid or not."""
        widths = {name: axis.only(fixed[name]) if name in fixed else axis for name, axis in self.widths.items()}
        length = self.length.only(fixed[LENGTH]) if LENGTH in fixed and self.length else self.length
        return replace(self, widths=widths, length=length)

    def require_feasible(self) -> None:
        """Raise `UserError` if even the smallest network exceeds a cap."""
        smallest = {name: axis.values[0] for name, axis in self.widths.items()}
        for name, (cost, cap) in self.limits.items():
            least = cost(smallest)
            if not least <= cap:
                raise UserError(
                    f"no network of the grid keeps {name} <= {cap:g}: the smallest has {least:g}; "
                    "raise the cap or lower the widths"
                )
