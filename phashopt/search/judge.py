"""What a trial's readings say of each layer and of its training, in the terms of the paper's section IV."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

from phashopt.search.record import Record

LOW, HIGH = 1 / 3, 2 / 3
NEVER_HIGH, NEVER_LOW = 0.1, 0.5
MANY_DEAD, MANY_COPIES = 0.25, 0.1


def readings_by_layer(records: Sequence[Record], names: Sequence[str]) -> dict[str, list[float]]:
    """Every known covariate of each layer in the study, ascending."""
    read = [record.covariates for record in records if record.readings]
    return {name: sorted(covariates[name] for covariates in read if name in covariates) for name in names}


def levels(start: Record, by_layer: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """How redundant each layer of `start` is for this study: 0 little, 1/2 as usual or unknown, 1 highly.

    Redundancy depends on width, depth and data, so no threshold holds for every study. A level is the mean of two
    ranks: among the readings of the same layer in the study's trials, which tells a layer that changed, and among the
    layers of the same trial, which tells one that is always fuller of copies than the rest. But the covariate is a
    share of kernels, so the ends of its scale have a meaning too: a layer with less than a tenth of copies is never
    high, one with more than a half never low. `by_layer` holds the study's readings, those of `start` included.
    """
    own = {name: start.covariates[name] for name in by_layer if name in start.covariates}
    ranks = {name: (_rank(own[name], by_layer[name]), _rank(own[name], sorted(own.values()))) for name in own}
    return {name: _mean(ranks.get(name, ())) for name in by_layer}


def is_low(level: float, start: Record, name: str) -> bool:
    """Little redundant: the paper's case for more kernels."""
    return level <= LOW and start.covariates[name] < NEVER_LOW


def is_high(level: float, start: Record, name: str) -> bool:
    """Highly redundant: the paper's case for longer training or fewer kernels."""
    return level >= HIGH and start.covariates[name] > NEVER_HIGH


def overheated(start: Record, names: Iterable[str]) -> list[str]:
    """The layers with many copies and many dead maps at once: the sign of too high a rate (docs/signal.md, 6)."""
    return [
        name
        for name in names
        if name in start.readings
        and start.readings[name].dead >= MANY_DEAD
        and start.readings[name].duplicates >= MANY_COPIES
    ]


def _rank(value: float, group: Sequence[float]) -> float:
    """The share of the others in the sorted `group` below `value`, equal ones counting half; NaN without others."""
    below, up_to = bisect_left(group, value), bisect_right(group, value)
    others = len(group) - 1
    return (below + (up_to - below - 1) / 2) / others if others else math.nan


def _mean(ranks: Iterable[float]) -> float:
    known = [rank for rank in ranks if not math.isnan(rank)]
    return sum(known) / len(known) if known else 0.5
