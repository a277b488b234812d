"""Numbers a spec leaves open: ranges and lists of choices, and the Optuna distributions they stand for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Range(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    @abstractmethod
    def distribution(self) -> BaseDistribution:
        """As Optuna knows it."""


class IntRange(_Range):
    """Whole numbers from `low` to `high` in steps of `step`, or all of them on a log scale."""

    low: int = Field(ge=1)
    high: int
    step: int = Field(default=1, ge=1)
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> IntRange:
        _check_order(self.low, self.high)
        if self.log and self.step != 1:
            raise ValueError("log and step exclude each other; leave one out")
        reached = self.low + (self.high - self.low) // self.step * self.step
        if reached != self.high:
            raise ValueError(f"steps of {self.step} from {self.low} miss high = {self.high}; make it {reached}")
        return self

    @property
    def distribution(self) -> IntDistribution:
        """As Optuna knows it."""
        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    @property
    def middle(self) -> int:
        """The grid point nearest the middle, geometric on a log scale."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return self.low + round((middle - self.low) / self.step) * self.step


class FloatRange(_Range):
    """Real numbers from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> FloatRange:
        _check_order(self.low, self.high)
        if self.log and self.low <= 0:
            raise ValueError(f"a log scale needs low > 0, not {self.low}")
        return self

    @property
    def distribution(self) -> FloatDistribution:
        """As Optuna knows it."""
        return FloatDistribution(self.low, self.high, log=self.log)

    @property
    def middle(self) -> float:
        """The middle, geometric on a log scale, to two digits."""
        return float(f"{math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2:.2g}")


class Choices(_Range):
    """A few named alternatives."""

    choices: tuple[str | int | float, ...] = Field(min_length=2)

    @field_validator("choices", mode="before")
    @classmethod
    def _words_or_numbers(cls, choices: Any) -> Any:
        if not isinstance(choices, list | tuple):
            return choices
        if any(type(choice) not in (str, int, float) for choice in choices):
            raise ValueError("choices are words or numbers")
        return tuple(choices)

    @model_validator(mode="after")
    def _check(self) -> Choices:
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("a choice is there twice; name each once")
        return self

    @property
    def distribution(self) -> CategoricalDistribution:
        """As Optuna knows it."""
        return CategoricalDistribution(self.choices)

    @property
    def middle(self) -> str | int | float:
        """The first one: a list has no middle."""
        return self.choices[0]


class WidthRange(IntRange):
    """Kernel counts of one layer."""

    def __contains__(self, kernels: int) -> bool:
        return self.low <= kernels <= self.high and (kernels - self.low) % self.step == 0

    def nearest(self, kernels: int) -> int:
        """The grid point nearest to `kernels`."""
        steps = round((min(max(kernels, self.low), self.high) - self.low) / self.step)
        return self.low + steps * self.step

    def encode(self, kernels: int) -> int:
        """The value Optuna stores: the kernel count itself."""
        return kernels

    def decode(self, stored: int) -> int:
        """The inverse of `encode`."""
        return stored

    @property
    def grid(self) -> None:
        """No grid beside the distribution's own."""
        return


class WidthValues(_Range):
    """Kernel counts of one layer from an increasing list; Optuna stores the index in it."""

    values: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> WidthValues:
        if min(self.values) < 1 or list(self.values) != sorted(set(self.values)):
            raise ValueError("values must be increasing kernel counts, each at least 1")
        return self

    @property
    def distribution(self) -> IntDistribution:
        """An ordered index, so that every sampler knows the order."""
        return IntDistribution(0, len(self.values) - 1)

    def __contains__(self, kernels: int) -> bool:
        return kernels in self.values

    def nearest(self, kernels: int) -> int:
        """The listed value nearest to `kernels`."""
        return min(self.values, key=lambda value: abs(value - kernels))

    def encode(self, kernels: int) -> int:
        """The index Optuna stores."""
        return self.values.index(kernels)

    def decode(self, stored: int) -> int:
        """The inverse of `encode`."""
        return self.values[stored]

    @property
    def grid(self) -> list[int]:
        """The values, for `PHashSampler(grid=...)`."""
        return list(self.values)


def distribution(entry: Any) -> BaseDistribution | None:
    """The distribution of a spec's entry; None where it is a plain value."""
    return entry.distribution if isinstance(entry, _Range) else None


def middle(entry: Any) -> Any:
    """The middle of a range, the first of a list; a plain value is its own."""
    return entry.middle if isinstance(entry, IntRange | FloatRange | Choices) else entry


def ends(entry: Any) -> tuple[Any, ...]:
    """The values that stand for all of an entry: both ends of a range, every choice, the value itself."""
    if isinstance(entry, IntRange | FloatRange):
        return entry.low, entry.high
    return entry.choices if isinstance(entry, Choices) else (entry,)


def _check_order(low: float, high: float) -> None:
    if low > high:
        raise ValueError(f"low = {low} is above high = {high}; swap them")
