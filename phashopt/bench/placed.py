"""Samplers around samplers: what one proposes is moved to where it may be trained, before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from phashopt.search.fit import fit
from phashopt.search.space import Space

Values = dict[str, Any]  # as Optuna stores them
Place = Callable[[Study, FrozenTrial, Values], Values]


class Placed(BaseSampler):
    """`base`, asked for a whole point of `space` at once, and `place`, which says what becomes of it."""

    def __init__(self, base: BaseSampler, space: Mapping[str, BaseDistribution], place: Place) -> None:
        self._base = base
        self._space = dict(space)
        self._place = place

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All of it."""
        return dict(self._space)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> Values:
        """What the base sampler leaves out of its joint sample, as TPE does at first, it draws one by one."""
        joint = self._base.infer_relative_search_space(study, trial)
        values = self._base.sample_relative(study, trial, joint)
        for name, distribution in self._space.items():
            if name not in values:
                values[name] = self._base.sample_independent(study, trial, name, distribution)
            if not _holds(distribution, values[name]):
                raise ValueError(f"{values[name]!r} is no {name} of {distribution}")
        return self._place(study, trial, values)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Of what is not in the space."""
        return self._base.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the base sampler does."""
        self._base.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the base sampler does."""
        self._base.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """As the base sampler does."""
        self._base.reseed_rng()


def within_caps(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """`params`, true values, with the widths moved under the caps, the widest first, and filled up to them."""
    point = {name: params[name] for name in space.axes}
    widest_first = sorted(space.widths, key=lambda name: -point[name])
    return {**params, **fit(point, space, widest_first, widest_first[::-1])}


class Listed(BaseSampler):
    """No search: one point of the list after the other, from its beginning again at its end."""

    def __init__(self, points: Sequence[Values], space: Mapping[str, BaseDistribution]) -> None:
        self._points = points
        self._space = dict(space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All of it."""
        return dict(self._space)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> Values:
        """The next one."""
        return dict(self._points[trial.number % len(self._points)])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The same."""
        return self._points[trial.number % len(self._points)][param_name]


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value lies in its range; a real one to a millionth of it, since samplers round."""
    inside = distribution.to_internal_repr(value)
    if not isinstance(distribution, FloatDistribution):
        return distribution._contains(inside)
    slack = 1e-6 * (distribution.high - distribution.low)
    return distribution.low - slack <= inside <= distribution.high + slack
