"""The rival of a live comparison: Optuna's TPE, told the caps, as the sampler of a study like any other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from phashopt.search.coding import Coding
from phashopt.search.fit import fit
from phashopt.search.space import Limits, Space


class CappedTPE(TPESampler):
    """Multivariate TPE whose networks are moved under the caps and filled up to them: none of its trials is wasted.

    `search.sampler = "phashopt.bench.capped:CappedTPE"` in a spec; the arguments are those of `PHashSampler`.
    """

    def __init__(
        self,
        seed: int,
        *,
        widths: Sequence[str],
        limits: Limits,
        grid: Mapping[str, Sequence[int]],
        space: Mapping[str, BaseDistribution],
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(seed=seed, multivariate=True)
        self._all = dict(space)
        self._coding = Coding(grid)
        axes = {name: self._coding.axis(name, space[name]) for name in widths}
        self._capped = Space({name: axis for name, axis in axes.items() if axis is not None}, limits=limits)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All of it, from the first trial on: a cap binds the widths together."""
        return self._all

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """TPE's proposal, or its random ones at the start, under the caps."""
        values = super().sample_relative(study, trial, search_space)
        values |= {
            name: self.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
            if name not in values
        }
        wanted = self._coding.decode({name: values[name] for name in self._capped.widths})
        widest_first = sorted(wanted, key=lambda name: -wanted[name])
        return values | self._coding.encode(fit(wanted, self._capped, widest_first, widest_first[::-1]))
