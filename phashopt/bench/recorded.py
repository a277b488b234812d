"""A recorded table as a world to search in: under a cap, on one seed, judged by another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.optimize import nnls

from phashopt.bench.table import Params, Table, key
from phashopt.bench.worlds import Trained
from phashopt.errors import UserError
from phashopt.search.basis import Array
from phashopt.search.curve import nats
from phashopt.search.others import other
from phashopt.search.space import LENGTH, Axis, Point, Space
from phashopt.search.start import Start
from phashopt.search.stopping import collapsed
from phashopt.trace import Epoch

LOG_RATIO = 10  # between the ends of a real parameter: from here on it is searched on a log scale
FEW_TIGHT = 5


class RecordedWorld:
    """`table` under `cap`, a share of the dearest configuration's MACs, searched on `seed` of its search seeds.

    Raises `UserError` where nothing keeps the cap.
    """

    inherits = False

    def __init__(self, table: Table, cap: float, seed: int) -> None:
        self._table = table
        self._seed = seed
        self._cap = cap * max(table.costs)
        self.feasible = [place for place, cost in enumerate(table.costs) if cost <= self._cap]
        if len(self.feasible) < 2:
            mend = "raise it" if cap < 1 else "record more"
            raise UserError(f"the table holds {len(self.feasible)} configurations under a cap of {cap:.0%}; {mend}")
        values = {name: sorted({params[name] for params in table.configs}) for name in table.configs[0]}
        widths = {name: Axis(values[name]) for name in table.widths}
        lengths = Axis(values[LENGTH]) if len(values[LENGTH]) > 1 else None
        names = [name for name in values if name not in widths and name != LENGTH and len(values[name]) > 1]
        others = {name: _distribution(values[name]) for name in names}
        self.space = Space(widths, lengths, {"macs": (cost_of(table), self._cap)}, others)
        self._searched = [*self.space.axes, *others]
        self._unit = max(self._total(place) for place in self.feasible)
        if not self.best > self.usual:
            raise UserError(
                f"nothing in the table is better than usual under a cap of {cap:.0%}, so there is nothing to search; "
                "give another --cap, or record networks that differ"
            )

    @property
    def in_words(self) -> str:
        """What is searched, and on what, in one line."""
        table = self._table
        left_out = f", {table.left_out} left out for want of a seed or an end" if table.left_out else ""
        return (
            f"{', '.join(self._searched)} of {len(self.feasible)} configurations of at most {self._cap:,.0f} MACs "
            f"(of {len(table.configs)}{left_out}), on seeds {', '.join(map(str, table.seeds))}, judged by "
            f"seed {table.held_out}"
        )

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Of widths and length the index, of all others what was recorded."""
        axes = {name: IntDistribution(0, len(axis.values) - 1) for name, axis in self.space.axes.items()}
        return {**axes, **self.space.others}

    @property
    def points(self) -> list[dict[str, Any]]:
        """The configurations under the cap."""
        return [self._shown(place) for place in self.feasible]

    @cached_property
    def longest(self) -> list[int]:
        """The feasible configurations of the greatest length, whatever the others."""
        most = max(self._table.configs[place][LENGTH] for place in self.feasible)
        return [place for place in self.feasible if self._table.configs[place][LENGTH] == most]

    def nearest(self, params: Params, tried: Set[Any]) -> dict[str, Any]:
        """The recorded configuration under the cap next to `params` whose key is not in `tried`; any if all are."""
        keys = [self.key(self._table.configs[place]) for place in self.feasible]
        free = np.array([each not in tried for each in keys])
        distances = ((self._coordinates - self._coordinate(params)) ** 2).sum(1)
        if free.any():
            distances[~free] = math.inf
        return self._shown(self.feasible[int(distances.argmin())])

    def key(self, params: Params) -> tuple[Any, ...]:
        """What makes two points the same one."""
        return tuple(params[name] for name in self._searched)

    def train(self, params: Params, _number: int, _start: Start | None = None) -> Trained:
        """As it was recorded; it shares its beginning with the longer one of the same network that shares most."""
        place = self._place(params)
        training = self._table.trainings[place, self._seed]
        return Trained(
            training.trace,
            [macs / self._unit for macs in training.macs],
            reading=self._table.reading[place] / self._unit,
            stable=max((self._table.shared_epochs(place, each, self._seed) for each in self._longer(place)), default=0),
        )

    def worth(self, params: Params, _start: Start | None = None) -> float:
        """Nats of error of the seed that judges; 0 if it diverged."""
        return self._worth(self._place(params))

    def ended(self, params: Params) -> bool:
        """Whether the training of the seed that judges came to anything: it neither diverged nor guesses."""
        training = self._table.trainings[self._place(params), self._table.held_out]
        return math.isfinite(training.accuracy) and not collapsed(training.trace)

    @cached_property
    def usual(self) -> float:
        """The median worth of the longest configurations that no width of which could grow under the cap."""
        tight = [place for place in self.longest if self._is_tight(self._shown(place))]
        return float(np.median([self._worth(place) for place in (tight if len(tight) >= FEW_TIGHT else self.longest)]))

    @cached_property
    def best(self) -> float:
        """The highest worth under the cap."""
        return max(self._worth(place) for place in self.feasible)

    @cached_property
    def chosen(self) -> float:
        """The worth of what a search chooses that has trained everything under the cap: it sees another seed."""
        seen = {place: self._table.trainings[place, self._seed].accuracy for place in self.feasible}
        return self._worth(max(self.feasible, key=lambda place: -1.0 if math.isnan(seen[place]) else seen[place]))

    def targets(self, share: float) -> int:
        """How many configurations under the cap have come so far on the way from usual to best."""
        goal = self.usual + share * (self.best - self.usual)
        return sum(self._worth(place) >= goal for place in self.feasible)

    def ordered(self, utility: Callable[[Params], float]) -> list[dict[str, Any]]:
        """The longest configurations, those first that `utility` of their parameters makes most of."""
        shown = [self._shown(place) for place in self.longest]
        return sorted(shown, key=lambda params: -utility(params))

    def macs(self, params: Params) -> float:
        """Of one image."""
        return self._table.costs[self._place(params)]

    def _shown(self, place: int) -> dict[str, Any]:
        return {name: self._table.configs[place][name] for name in self._searched}

    def _place(self, params: Params) -> int:
        fixed = {name: value for name, value in self._table.configs[0].items() if name not in self._searched}
        return self._table.places[key({**fixed, **params})]

    def _longer(self, place: int) -> list[int]:
        params = self._table.configs[place]
        lengths = self.space.length.values if self.space.length else ()
        every = [self._table.places.get(key({**params, LENGTH: length})) for length in lengths]
        return [each for each in every if each is not None and self._table.configs[each][LENGTH] > params[LENGTH]]

    def _total(self, place: int) -> float:
        return max(self._table.trainings[place, seed].macs[-1] for seed in self._table.seeds)

    def _worth(self, place: int) -> float:
        accuracy = self._table.trainings[place, self._table.held_out].accuracy
        return 0.0 if math.isnan(accuracy) else nats(Epoch(0, accuracy=accuracy))

    def _is_tight(self, params: Params) -> bool:
        grown = [{**params, name: axis.up(params[name], 1.0)} for name, axis in self.space.widths.items()]
        return not any(self.space.feasible(each) for each in grown if each != params)

    @cached_property
    def _coordinates(self) -> Array:
        return np.array([self._coordinate(self._table.configs[place]) for place in self.feasible])

    def _coordinate(self, params: Params) -> Array:
        """A place in the unit cube: logarithmic where the axis is, a category two of its corners apart."""
        axes = [axis.fraction(params[name]) for name, axis in self.space.axes.items()]
        rest = [
            place / 2 for name, entry in self.space.others.items() for place in other(entry).encode([params[name]])[0]
        ]
        return np.array([*axes, *rest])


def cost_of(table: Table) -> Callable[[Point], float]:
    """MACs of any network of the grid: a quadratic without negative terms, which convolutions fulfil exactly."""
    most = np.array([max(params[name] for params in table.configs) for name in table.widths], dtype=float)

    def terms(points: Sequence[Params]) -> Array:
        shares = np.array([[point[name] for name in table.widths] for point in points]) / most
        pairs = [shares[:, one] * shares[:, two] for one, two in combinations_with_replacement(range(len(most)), 2)]
        return np.column_stack([np.ones(len(points)), shares, *pairs])

    weights, _ = nnls(terms(table.configs), np.array(table.costs))
    return lambda point: round(float((terms([point]) @ weights)[0]), 3)


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    """What of a parameter was recorded: real numbers are a range, anything else is a choice."""
    if not all(isinstance(value, float) for value in values):
        return CategoricalDistribution(values)
    low, high = min(values), max(values)
    return FloatDistribution(low, high, log=low > 0 and high / low >= LOG_RATIO)
