"""The paper's section IV as a rule: read a promising trial's layers, then widen, lengthen or shrink.

Little redundant: more kernels, gradually. Highly redundant and still improving: longer training at another rate.
Highly redundant and trained out: fewer kernels. Under a cap every gain is paid for by the most redundant other layers,
and every saving goes to the least redundant ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np

from phashopt.search.curve import still_improving
from phashopt.search.fit import fit, nearest_unseen, scatter, uniform
from phashopt.search.judge import is_high, is_low, levels, overheated, readings_by_layer
from phashopt.search.proposal import Proposal
from phashopt.search.record import Record
from phashopt.search.space import LENGTH, RATE, Point, Space

BEGINNING = 3  # complete trials before one of them is a start worth having
PROMISING = 3
EXPLORE = 0.15  # share of the proposals that start from nowhere
NEARBY, FAR = 0.15, 0.35  # of a width's log range
TRIES = 8
LENGTH_STEP = 1.5
RATE_STEP = 1.5


def propose(space: Space, records: Sequence[Record], seen: Set[tuple[int, ...]], rng: np.random.Generator) -> Proposal:
    """The next point of `space`: feasible, and not in `seen` while any other feasible one is left.

    `records` are the complete trials that have all the parameters of `space`, `seen` the keys of all points taken.
    """
    if all(len(axis.values) == 1 for axis in space.axes.values()):
        return Proposal(space.at(0.0), "The network was given; there was nothing to decide.")
    if not space.feasible(space.at(0.0)):
        return Proposal(space.at(0.0), "The widths that were given exceed a cap; the others stay smallest.")
    candidate = Proposal(space.at(0.0), "")
    for candidate in _candidates(space, records, rng):
        if space.key(candidate.point) not in seen:
            return candidate
    point = nearest_unseen(candidate.point, space, seen, rng)
    if point is None:
        return Proposal(candidate.point, "Every feasible point has been tried: one is repeated.")
    return Proposal(point, "All that was suggested has been tried: the nearest point that has not.", candidate.others)


def _candidates(space: Space, records: Sequence[Record], rng: np.random.Generator) -> Iterator[Proposal]:
    """Proposals in the order of preference, tried or not."""
    records = [record for record in records if math.isfinite(record.score)]
    first = uniform(space)
    alike = f"all layers alike, {'as wide as the cap allows' if space.limits else 'of middle width'}"
    yield Proposal(first, f"To begin with: {alike}.")
    if len(records) < BEGINNING:
        for attempt in range(TRIES):
            point = scatter(first, NEARBY * (1 + attempt), space, rng)
            yield Proposal(point, f"Too little is finished to go by: a random step from {alike}.")
    else:
        starts = _promising(records, rng)
        by_layer = readings_by_layer(records, list(space.widths))
        longer_first = bool(rng.random() < 0.5)
        walk = _Walk(space, starts[0], by_layer)
        if rng.random() < EXPLORE:
            yield from walk.elsewhere(first, rng)
        yield from walk.section_four(longer_first)
        for start in starts[1:]:
            yield from _Walk(space, start, by_layer).section_four(longer_first)
        yield from walk.nearby(rng)


def _promising(records: Sequence[Record], rng: np.random.Generator) -> list[Record]:
    """The best few in a random order, the best most likely first, so that simultaneous workers start differently."""
    ranked = sorted(records, key=lambda record: (not record.feasible, -record.score, record.number))[:PROMISING]
    odds = np.array([2.0**-rank for rank in range(len(ranked))])
    return [ranked[index] for index in rng.choice(len(ranked), len(ranked), replace=False, p=odds / odds.sum())]


class _Walk:
    """The steps that lead away from one trial."""

    def __init__(self, space: Space, start: Record, by_layer: Mapping[str, Sequence[float]]) -> None:
        names = list(space.widths)
        level = levels(start, by_layer)
        self._space = space
        self._start = start
        self._point = {name: axis.nearest(start.params[name]) for name, axis in space.axes.items()}
        self._least_first = sorted(names, key=lambda name: (level[name], self._point[name]))
        self._low = [name for name in self._least_first if is_low(level[name], start, name)]
        self._high = [name for name in reversed(self._least_first) if is_high(level[name], start, name)]
        self._hot = overheated(start, names)
        self._rising = still_improving(start.trace)
        self._rate: float | None = start.params.get(RATE) if space.rates else None

    def section_four(self, longer_first: bool) -> Iterator[Proposal]:
        """The paper's steps; which of the two kinds comes first is left open there."""
        steps = (self._longer, self._resize) if longer_first else (self._resize, self._longer)
        for step in steps:
            yield from step()

    def nearby(self, rng: np.random.Generator) -> Iterator[Proposal]:
        """Random steps from the trial, for want of a reading that says where to go."""
        why = "its reading names no layer not followed before" if self._start.readings else "it was not read"
        for attempt in range(TRIES):
            point = scatter(self._point, NEARBY * (1 + attempt), self._space, rng)
            rate = self._moved_rate(RATE_STEP ** rng.uniform(-1, 1))
            yield self._from_start(point, f"{why}: a random step nearby", rate)

    def elsewhere(self, center: Point, rng: np.random.Generator) -> Iterator[Proposal]:
        """Random networks far and wide, at the trial's length but at a rate of their own."""
        length = {} if self._space.length is None else {LENGTH: self._point[LENGTH]}
        for _ in range(TRIES):
            point = scatter(center, FAR, self._space, rng) | length
            yield Proposal(point, f"Exploring: a random network, trained as long as trial {self._start.number}.")

    @property
    def _more_epochs(self) -> int | None:
        """The next length that is worth a try; None where the length is not searched, or is at its end."""
        if self._space.length is None or self._point[LENGTH] == self._space.length.values[-1]:
            return None
        return self._space.length.up(self._point[LENGTH], LENGTH_STEP)

    @property
    def _at_full_length(self) -> bool:
        return self._more_epochs is None

    def _longer(self) -> Iterator[Proposal]:
        if self._high and self._more_epochs and (self._hot or self._rising):
            kept = fit(self._point, self._space, self._least_first[::-1], [])
            point = kept | {LENGTH: self._more_epochs}
            why = f"{self._reading(self._high[0], 'highly')} and more training may mend it"
            change = f"epochs {self._point[LENGTH]} -> {self._more_epochs}"
            yield self._from_start(point, f"{why}: {change}", self._another_rate)

    def _resize(self) -> Iterator[Proposal]:
        for name in self._low:
            yield self._wider(name)
        # Copies that come from too high a rate or too little training are no reason to cut kernels.
        if not self._hot and (self._at_full_length or not self._rising):
            for name in self._high:
                yield self._narrower(name)

    def _wider(self, name: str) -> Proposal:
        others = [other for other in self._least_first if other != name]
        wanted = self._point | {name: self._space.widths[name].up(self._point[name])}
        point = fit(wanted, self._space, [*others[::-1], name], [*others, name])
        return self._resized(name, point, self._reading(name, "little"))

    def _narrower(self, name: str) -> Proposal:
        others = [other for other in self._least_first if other != name]
        wanted = self._point | {name: self._space.widths[name].down(self._point[name])}
        point = fit(wanted, self._space, [*others[::-1], name], others)
        trained = "trained as long as may be" if self._rising else "trained out"
        return self._resized(name, point, f"{self._reading(name, 'highly')} though {trained}")

    def _resized(self, name: str, point: Point, reading: str) -> Proposal:
        why = f"{reading}: {self._point[name]} -> {point[name]} kernels"
        others = [other for other in self._space.widths if other != name]
        paid = [self._change(other, point) for other in others if point[other] < self._point[other]]
        gained = [self._change(other, point) for other in others if point[other] > self._point[other]]
        why += f"; paid for by {', '.join(paid)}" if paid else ""
        why += f"; the room left goes to {', '.join(gained)}" if gained else ""
        mend = self._hot or (self._rising and self._at_full_length)
        return self._from_start(point, why, self._another_rate if mend else self._rate)

    def _from_start(self, point: Point, why: str, rate: float | None) -> Proposal:
        if self._rate and rate and rate != self._rate:
            why += f"; learning rate {self._rate:.3g} -> {rate:.3g}"
            why += f", since {self._hottest}" if self._hot else ""
        others = {} if rate is None else {RATE: rate}
        return Proposal(point, f"From trial {self._start.number} ({self._start.value:.4g}): {why}.", others)

    @property
    def _another_rate(self) -> float | None:
        """Copies beside many dead maps: the rate was too high. Copies alone: too low, or too little training."""
        return self._moved_rate(1 / RATE_STEP if self._hot else RATE_STEP)

    def _moved_rate(self, factor: float) -> float | None:
        """Within the range of the search; downwards only where the rate was too high."""
        if self._rate is None or self._space.rates is None:
            return None
        low, high = self._space.rates
        return min(max(self._rate * (min(factor, 1 / factor) if self._hot else factor), low), high)

    @property
    def _hottest(self) -> str:
        """The layer that shows most clearly that the rate was too high."""
        name = max(self._hot, key=lambda name: self._start.readings[name].dead)
        return f"{self._layer(name)} has copies beside {self._start.readings[name].dead:.0%} dead maps"

    def _layer(self, name: str) -> str:
        return f"layer {list(self._space.widths).index(name) + 1} ({name})"

    def _reading(self, name: str, degree: str) -> str:
        reading = self._start.readings[name]
        shares = {"redundancy": reading.redundancy, "duplicates": reading.duplicates}
        known = ", ".join(f"{quantity} {share:.2f}" for quantity, share in shares.items() if not math.isnan(share))
        return f"{self._layer(name)} is {degree} redundant ({known})"

    def _change(self, name: str, point: Point) -> str:
        return f"{self._layer(name)} {self._point[name]} -> {point[name]}"
