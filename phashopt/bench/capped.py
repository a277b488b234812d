"""The rival of a live comparison: Optuna's TPE, told the caps, as the sampler of a study like any other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from phashopt.bench.placed import Placed, Values, within_caps
from phashopt.search.coding import Coding
from phashopt.search.space import Limits, Space


class CappedTPE(Placed):
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
        coding = Coding(grid)
        axes = {name: coding.axis(name, space[name]) for name in widths}
        capped = Space({name: axis for name, axis in axes.items() if axis is not None}, limits=limits)

        def place(study: Study, trial: FrozenTrial, values: Values) -> Values:
            return values | coding.encode(within_caps(capped, coding.decode({name: values[name] for name in widths})))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(TPESampler(seed=seed, multivariate=True), space, place)
