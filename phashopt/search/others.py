"""How a parameter that is neither width nor length is coded: as places between two ends, or one coordinate a name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Places = NDArray[np.float64]


@dataclass(frozen=True)
class Number:
    """A parameter between two ends, as a coordinate in [-1, 1], logarithmic where its distribution is."""

    distribution: FloatDistribution | IntDistribution

    @property
    def size(self) -> int:
        """Coordinates it takes."""
        return 1

    def encode(self, values: Sequence[Any]) -> Places:
        """(n, 1) their places between the ends, or at one of these; 0, the middle, where there is no number."""
        low, high = self._scale(self.distribution.low), self._scale(self.distribution.high)
        known = np.clip([_number(value) for value in values], self.distribution.low, self.distribution.high)
        at = np.log(known) if self.distribution.log else known
        places = 2 * (at - low) / (high - low) - 1 if high > low else np.zeros(len(at))
        return np.where(np.isnan(known), 0.0, places)[:, None]

    def draw(self, rng: np.random.Generator) -> Any:
        """Any allowed value."""
        return self.decode(rng.uniform(-1, 1, 1))

    def decode(self, coordinates: Places) -> Any:
        """The allowed value nearest to a place in [-1, 1]."""
        low, high = self._scale(self.distribution.low), self._scale(self.distribution.high)
        at = low + (min(max(float(coordinates[0]), -1.0), 1.0) + 1) / 2 * (high - low)
        value = math.exp(at) if self.distribution.log else at
        step = self.distribution.step
        if step is not None:
            value = self.distribution.low + round((value - self.distribution.low) / step) * step
        value = min(max(value, self.distribution.low), self.distribution.high)
        return round(value) if isinstance(self.distribution, IntDistribution) else value

    def values(self, places: Places) -> Places:
        """What lies at `places`, of any shape, on no grid."""
        low, high = self._scale(self.distribution.low), self._scale(self.distribution.high)
        at = low + (places + 1) / 2 * (high - low)
        return np.asarray(np.exp(at) if self.distribution.log else at)

    @property
    def reach(self) -> float:
        """How many decades there are from its middle to an end, at least one: effects grow with them."""
        low, high = self.distribution.low, self.distribution.high
        return max(1.0, math.log10(high / low) / 2) if self.distribution.log else 1.0

    def _scale(self, value: float) -> float:
        return math.log(value) if self.distribution.log else float(value)


@dataclass(frozen=True)
class Category:
    """A parameter with a few named values, as one coordinate each."""

    distribution: CategoricalDistribution

    @property
    def size(self) -> int:
        """Coordinates it takes."""
        return len(self.distribution.choices)

    def encode(self, values: Sequence[Any]) -> Places:
        """(n, size) one for the value that each has; zeros where it is no choice, or there is none."""
        rows = np.concatenate([np.eye(self.size), np.zeros((1, self.size))])
        return rows[[self._place(each) for each in values]]

    def draw(self, rng: np.random.Generator) -> Any:
        """Any of its values."""
        return self.decode(rng.uniform(size=self.size))

    def decode(self, coordinates: Places) -> Any:
        """The value with the largest coordinate."""
        return self.distribution.choices[int(coordinates.argmax())]

    def _place(self, value: Any) -> int:
        try:
            return int(self.distribution.to_internal_repr(value))
        except ValueError:
            return self.size


Other = Number | Category


def _number(value: Any) -> float:
    """NaN for what is none: anything may be enqueued."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def other(distribution: BaseDistribution) -> Other:
    """How a parameter that is neither width nor length is coded."""
    if isinstance(distribution, CategoricalDistribution):
        return Category(distribution)
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return Number(distribution)
    raise TypeError(f"no coding for {type(distribution).__name__}")
