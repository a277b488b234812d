"""What a study's trials make of each network: the model's inputs gathered, learnt from, and asked.

Complete trials enter with what they reached, stopped ones with where they would have ended, and those that came to
nothing tell only where trainings diverge.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property, lru_cache, partial
from itertools import compress, islice
from operator import attrgetter
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phashopt.search.basis import LUCK, Array, Basis
from phashopt.search.divergence import OF_OTHERS, OF_RATES, OF_WIDTHS, Survival
from phashopt.search.evidence import OF_ANSWERS, Observations, Posterior, learn
from phashopt.search.excess import layer_excess, luck
from phashopt.search.history import Past, Pending
from phashopt.search.others import Number
from phashopt.search.prefix import End, Prefixes
from phashopt.search.record import Record
from phashopt.search.response import Response, Scale
from phashopt.search.space import LENGTH, RATE, Space
from phashopt.search.start import Footing, Start, footing
from phashopt.search.stopping import (
    EXPLODED,
    GUESSING,
    PEERS,
    STUCK,
    Curve,
    chance,
    exploded,
    guessing_below,
    never_learnt,
)
from phashopt.trace import Reading

RECALL = 300  # trainings learnt from: more teach little and cost time
KEPT = 100  # older ones that stay, the best, since they are what has to be beaten
READ_LAYERS = 2  # the last ones, whose dead maps and copies tell a lucky run
UNREAD = Reading(math.nan, math.nan, math.nan)


class Model:
    """Learns from `past` in `space`."""

    def __init__(self, space: Space, past: Past) -> None:
        self.space = space
        finished = _recalled(past.records, space.axes.keys())
        self.basis = Basis.of(space, _usual_epochs(finished))
        self.response = Response([record.score for record in finished], past.sign)
        nats = self._nats_of(finished)
        nats[_guesses(finished, nats, self.response.scale)] = -math.inf
        self._nothing = _nothing(nats[np.isfinite(nats)], self.response.scale)
        hopeless = ~np.isfinite(nats) | (nats < self._nothing)
        self.finished = [record for record, lost in zip(finished, hopeless, strict=True) if not lost]
        self._nats = nats[~hopeless]
        stopped = _latest(past.stopped, space.axes.keys())
        self._ends, lost = self._fates(stopped)
        self._partial = [record for record in stopped if record.number in self._ends]
        self.lost = [*(record for record, nothing in zip(finished, hopeless, strict=True) if nothing), *lost]
        self._spent = past.spent
        self.pending = [trial for trial in past.pending if space.covers(trial.params)]
        self._left_by: dict[int, Start] = {}  # by a parent, to a child of the same widths

    @cached_property
    def posterior(self) -> Posterior:
        """What is known of the weights."""
        return learn(self.basis, self._observations(), self.excess)

    @cached_property
    def outlook(self) -> Posterior:
        """The same for whoever asks: noise may be larger than a search had better think, to which failures are news."""
        return learn(self.basis, self._observations(), self.excess, OF_ANSWERS)

    @cached_property
    def own(self) -> list[Record]:
        """The finished trainings that may be chosen: feasible ones that are this study's."""
        return list(compress(self.finished, self._eligible))

    @cached_property
    def parents(self) -> list[Record]:
        """The finished trainings whose weights others may go on from, the best first, feasible or not."""
        kept = [record for record in self.finished if not record.adopted and record.number not in self._spent]
        return sorted(kept, key=lambda record: -record.score)

    @cached_property
    def own_parents(self) -> list[Record]:
        """Those of them that may be chosen."""
        own = {record.number for record in self.own}
        return [record for record in self.parents if record.number in own]

    @cached_property
    def best(self) -> Record | None:
        """The finished training that may be chosen with the highest score, the first of equals."""
        return max(self.own, key=lambda record: (record.score, -record.number), default=None)

    @cached_property
    def excess(self) -> Array:
        """(L,) redundancy beyond what width and training explain, in standard deviations."""
        names = list(self.space.widths)
        covariates = np.array(
            [[record.covariates.get(name, math.nan) for name in names] for record in self.finished]
        ).reshape(len(self.finished), len(names))
        return layer_excess(covariates, self._explaining(self.places))

    @cached_property
    def places(self) -> Array:
        """(n, K) coordinates of the finished trainings."""
        return self._places(self.finished)

    @cached_property
    def known(self) -> Array:
        """(n, d) features of the trainings that may be chosen and of the feasible ones that are under way."""
        return np.concatenate([self._features[self._eligible], self.basis.features(self._awaited)])

    @cached_property
    def known_lengths(self) -> Array:
        """(n,) log2 over the longest length of how long these are trained, with what is left of their ancestors."""
        return self.basis.lasting(np.concatenate([self.places[self._eligible], self._awaited]))[:, 0]

    def survival(self, coordinates: Array) -> Array:
        """(n,) the probability that a training comes to an end; while none was lost the same everywhere."""
        if not self.lost:
            return np.ones(len(coordinates))
        return self._survival(self._risky(coordinates))

    def start(self, parent: Record, child: Mapping[str, Any]) -> Start:
        """What a child would begin with."""
        if parent.number not in self._left_by:
            epochs = parent.epochs or parent.params.get(LENGTH, self.basis.usual)  # it may have been finished early
            trained = {**parent.params, LENGTH: epochs}
            self._left_by[parent.number] = self.basis.left_by(trained, parent.start)
        return self._left_by[parent.number].resized(self.space.widths, parent.params, child)

    @cached_property
    def _eligible(self) -> NDArray[np.bool_]:
        """(n,) which of the finished trainings may be chosen."""
        able = (each.feasible and not each.adopted and self.space.feasible(each.params) for each in self.finished)
        return np.fromiter(able, np.bool_, len(self.finished))

    @cached_property
    def _awaited(self) -> Array:
        """(m, K) coordinates of the feasible trainings that are under way."""
        return self._places([trial for trial in self.pending if self.space.feasible(trial.params)])

    @cached_property
    def _features(self) -> Array:
        """(n, d) of the finished trainings, whatever their luck."""
        return self.basis.features(self.places)

    def _nats_of(self, records: Sequence[Record]) -> Array:
        """(n,) nats as they were told; -inf where a value is infinite, which is no value at all."""
        scores = np.array([record.score for record in records], dtype=float)
        known = np.isfinite(scores)
        nats = np.full(len(scores), -math.inf)
        nats[known] = self.response.nats(scores[known])
        return nats

    def _fates(self, stopped: Sequence[Record]) -> tuple[dict[int, End], list[Record]]:
        """Where stopped trainings would have ended, by number, and those that came to nothing.

        Of the others nothing is known: they were stopped before anything like them had finished.
        """
        prefixes = Prefixes(self.finished, self._nats)
        peers: dict[Footing, list[Curve]] = defaultdict(list)
        for record in self.finished:
            peers[footing(record.start)].append(record.curve)
        line = lru_cache(lambda kind, epoch: chance(epoch, peers[kind], PEERS))
        ends, lost = {}, []
        for record in stopped:
            diverged = _came_to_nothing(record, partial(line, footing(record.start)))
            end = None if diverged else prefixes.end(record)
            if end and end.nats >= self._nothing:
                ends[record.number] = end
            elif end or diverged:
                lost.append(record)
        return ends, lost

    def _observations(self) -> Observations:
        records = [*self.finished, *self._partial]
        stopped = self._places(self._partial)
        coordinates = np.concatenate([self.places, stopped])
        ends = np.array([self._ends[record.number] for record in self._partial]).reshape(-1, 2)
        features = np.concatenate([self._features, self.basis.features(stopped)])
        features[:, self.basis.parts["luck"]] = self._luck(records, coordinates)
        return Observations(
            features,
            np.concatenate([self._nats, ends[:, 0]]),
            np.concatenate([np.zeros(len(self.finished)), ends[:, 1]]),
        )

    def _luck(self, records: Sequence[Record], coordinates: Array) -> Array:
        if not records:
            return np.zeros((0, LUCK))
        names = list(self.space.widths)[-READ_LAYERS:]
        read = [[record.readings.get(name, UNREAD) for name in names] for record in records]
        shares = np.array([[(reading.dead, reading.duplicates) for reading in row] for row in read])
        missing = [(0, 0), (0, READ_LAYERS - len(names)), (0, 0)]
        known = np.pad(shares, missing, constant_values=math.nan).reshape(len(records), -1)
        return luck(known, self._explaining(coordinates))

    def _explaining(self, coordinates: Array) -> Array:
        """What may explain a reading (n, k): widths, length and all else as they lasted, and moves if there are any."""
        kinds = [coordinates[:, : self.basis.layers], self.basis.lasting(coordinates)]
        if self.basis.inherits:
            moves = coordinates[:, self.basis.begun["moves"]]
            kinds.append(moves[:, moves.any(0)])
        return np.concatenate(kinds, 1)

    @cached_property
    def _survival(self) -> Survival:
        coordinates = np.concatenate([self.places, self._places([*self._partial, *self.lost])])
        lost = (np.arange(len(coordinates)) >= len(coordinates) - len(self.lost)).astype(float)
        risky = self._risky(coordinates)
        first = OF_RATES if self.basis.rate else OF_WIDTHS
        return Survival(risky, lost, [first, *[OF_OTHERS] * (risky.shape[1] - 1)])

    def _places(self, records: Sequence[Record | Pending]) -> Array:
        return self.basis.coordinates([record.params for record in records], [record.start for record in records])

    def _risky(self, coordinates: Array) -> Array:
        """(n, k) the places in [-1, 1] that survival depends on: of the rate and of all other numbers.

        Where no rate is searched the widths, on average, take its place.
        """
        rate, columns = self.basis.rate, self.basis.columns
        first = coordinates[:, rate][:, 0] if rate else 2 * coordinates[:, : self.basis.layers].mean(1) - 1
        numbers = [name for name, each in self.basis.others.items() if isinstance(each, Number) and name != RATE]
        return np.column_stack([first, *(coordinates[:, columns[name]] for name in numbers)])


def _guesses(records: Sequence[Record], nats: Array, scale: Scale) -> NDArray[np.bool_]:
    """(n,) which of those that ended with `nats` collapsed or, far below the best and from scratch, never learnt.

    Where many trainings do, what the others have reached does not say that these came to nothing.
    """
    low = nats < STUCK * nats.max(initial=0.0) if scale is Scale.ACCURACY else np.zeros(len(nats), dtype=np.bool_)
    vain = [
        each.collapsed or (below and each.start is None and never_learnt(each.trace))
        for each, below in zip(records, low, strict=True)
    ]
    return np.array(vain, dtype=np.bool_) & ~_told_better(records)


def _told_better(records: Sequence[Record]) -> NDArray[np.bool_]:
    """(n,) which were told with more than they ended with: somebody may tell the best epoch."""
    ends = [each.trace.epochs[-1].accuracy if each.trace.epochs else math.nan for each in records]
    return np.array([each.score for each in records]) > GUESSING * np.array(ends)


def _came_to_nothing(record: Record, line: Callable[[int], float]) -> bool:
    """Whether a stopped training exploded, collapsed to guessing, or guessed at an epoch, below its `line`."""
    if not record.learnt:
        return record.failed or exploded(record.trace)
    last, child = max(record.curve), record.start is not None
    return exploded(record.trace, child=child) or record.collapsed or -math.inf < record.curve[last] < line(last)


def _usual_epochs(records: Sequence[Record]) -> int:
    """What a training takes where the length is no parameter."""
    known = [record.epochs for record in records if record.epochs]
    return round(median(known)) if known else 1


def _latest(records: Sequence[Record], names: Set[str]) -> list[Record]:
    """The last ones that have all parameters in `names`; of ten thousand the others are not looked at."""
    known = (record for record in reversed(records) if record.params.keys() >= names)
    return list(islice(known, RECALL))[::-1]


def _recalled(records: Sequence[Record], names: Set[str]) -> list[Record]:
    """The latest, and of the older ones the best."""
    latest = _latest(records, names)
    older = records[: bisect_left(records, latest[0].number, key=attrgetter("number"))] if latest else []
    order = np.argsort([-record.score for record in older], kind="stable")
    best = (older[place] for place in order if older[place].params.keys() >= names)
    return [*sorted(islice(best, KEPT), key=attrgetter("number")), *latest]


def _nothing(nats: Array, scale: Scale) -> float:
    """The nats below which a training came to nothing; those of losses shift with the unit, so that a ratio decides."""
    if not len(nats) or scale is Scale.OTHER:
        return -math.inf
    return float(np.quantile(nats, 0.25)) - math.log(EXPLODED) if scale is Scale.LOSS else guessing_below(nats.tolist())
