"""One finished trial as the search sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from phashopt.search.curve import before_decay, best_so_far
from phashopt.search.start import NO_PARENT, Start
from phashopt.search.stopping import collapsed
from phashopt.trace import Reading, Trace


def covariate(reading: Reading) -> float:
    """The one number by which a layer counts as redundant; any other in [0, 1] may take its place. NaN if unknown.

    The mean of rho, strict copies at similarity 0.90, and of the duplicates at 0.80: rho alone is 0 in every layer of
    a small network, the duplicates alone also follow the state of the training.
    """
    known = [share for share in (reading.redundancy, reading.duplicates) if not math.isnan(share)]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Record:
    """A finished trial: `value` as told, `score` the same with more being better, `params` with true kernel counts.

    Value and score are NaN unless it is `complete`.
    """

    number: int
    value: float
    score: float
    complete: bool
    feasible: bool
    params: Mapping[str, Any]
    trace: Trace
    readings: Mapping[str, Reading] = field(default_factory=dict)
    stable_epochs: int | None = None  # from which it can go on as if it had been meant longer
    epochs: int | None = None  # that were trained, where that is known
    failed: bool = False  # with or without a trace
    adopted: bool = False  # from another study, whose budget paid for it
    start: Start | None = None  # of a child
    parent: int = NO_PARENT  # whose weights it took over
    compute: float = 0.0  # MACs, where they are known

    @cached_property
    def covariates(self) -> dict[str, float]:
        """Each layer's covariate, where it is known."""
        every = {name: covariate(reading) for name, reading in self.readings.items()}
        return {name: value for name, value in every.items() if not math.isnan(value)}

    @property
    def learnt(self) -> bool:
        """Whether an epoch of it was recorded that says how good it was."""
        return any(math.isfinite(nats) for nats in self.curve.values())

    @cached_property
    def collapsed(self) -> bool:
        """Whether it guessed at its end, and would not have learnt any more."""
        return bool(self.trace.epochs) and collapsed(self.trace)

    @cached_property
    def collapsed_as_read(self) -> bool:
        """Whether a reading alone says that it would not have learnt any more."""
        return self.collapsed and not collapsed(self.trace.unread)

    @cached_property
    def curve(self) -> dict[int, float]:
        """By epoch, the most nats reached up to there."""
        return best_so_far(self.trace)

    @cached_property
    def curve_before_decay(self) -> dict[int, float]:
        """The same, up to where the learning rate begins to fall for good."""
        return best_so_far(Trace(before_decay(self.trace)))

    @cached_property
    def unread(self) -> Record:
        """The same trial as if its feature maps had never been looked at."""
        return replace(self, readings={}, trace=self.trace.unread)
