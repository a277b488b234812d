"""Searches whose sampler or pruner is somebody else's: what these do wrong is told in a line, as the user's to mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from phashopt.bench.placed import Values
from phashopt.bench.search import Search, Step
from phashopt.errors import UserError


@contextmanager
def blamed(arm: str) -> Iterator[None]:
    """Turn whatever is raised, except a `UserError`, into one that names `arm`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of code that may do anything
        told = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise UserError(f"--arm {arm} cannot search ({told}); mend it, or leave it out") from error


class Foreign(Search):
    """The search of the pair `arm`."""

    def __init__(self, arm: str, *parts: Any, **settings: Any) -> None:
        super().__init__(*parts, **settings)
        self._arm = arm

    def step(self) -> Step:
        """The next trial; raises `UserError` where the pair cannot do it."""
        with blamed(self._arm):
            return super().step()

    def _place(self, study: Study, trial: FrozenTrial, values: Values) -> Values:
        for name, distribution in self._world.distributions.items():
            if not _holds(distribution, values[name]):
                raise UserError(f"--arm {self._arm} proposes {name} = {values[name]!r}, which is not in {distribution}")
        return super()._place(study, trial, values)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value lies in its range; a real one by a millionth, since samplers round."""
    inside = distribution.to_internal_repr(value)
    if not isinstance(distribution, FloatDistribution):
        return distribution._contains(inside)
    slack = 1e-6 * (distribution.high - distribution.low)
    return distribution.low - slack <= inside <= distribution.high + slack
