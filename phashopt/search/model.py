"""What a study's trials make of each network: the model's inputs gathered, learnt from, and asked.

Complete trials enter with what they reached, stopped ones with where they would have ended, and those that came to
nothing tell only where trainings diverge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np

from phashopt.search.basis import Array, Basis, other
from phashopt.search.divergence import divergence_features, divergence_weights, survival
from phashopt.search.evidence import Observations, Posterior, learn
from phashopt.search.excess import layer_excess, luck
from phashopt.search.history import Past, Pending
from phashopt.search.prefix import expected_end
from phashopt.search.record import Record
from phashopt.search.response import Response
from phashopt.search.space import LENGTH, Space
from phashopt.search.start import Start
from phashopt.search.stopping import STUCK, WELL_ABOVE, exploded
from phashopt.trace import Reading

RECALL = 300  # trainings learnt from: more teach little and cost time
KEPT = 100  # older ones that stay, the best, since they are what has to be beaten
READ_LAYERS = 2  # the last ones, whose dead maps and copies tell a lucky run
UNREAD = Reading(math.nan, math.nan, math.nan)


class Model:
    """Learns from `past` in `space`."""

    def __init__(self, space: Space, past: Past) -> None:
        self.space = space
        others = {name: other(each) for name, each in space.others.items()}
        self.basis = Basis(space.widths, space.length, others, space.inherits)
        known = {*space.axes, *space.others}
        finished = _recalled([record for record in past.records if record.params.keys() >= known])
        self.response = Response([record.score for record in finished])
        nats = self.response.nats([record.score for record in finished])
        hopeless = nats < _nothing(nats)
        self.finished = [record for record, lost in zip(finished, hopeless, strict=True) if not lost]
        self._nats = nats[~hopeless]
        self._lost = [record for record, lost in zip(finished, hopeless, strict=True) if lost]
        self._ends: dict[int, tuple[float, float]] = {}
        stopped = [record for record in past.stopped if record.params.keys() >= known][-RECALL:]
        self._partial = [record for record in stopped if self._has_end(record)]
        self.pending = [trial for trial in past.pending if trial.params.keys() >= known]

    @cached_property
    def posterior(self) -> Posterior:
        """What is known of the weights."""
        return learn(self.basis, self._observations(), self.excess)

    @cached_property
    def best(self) -> Record | None:
        """The feasible finished training with the highest score, the first of equals."""
        feasible = [record for record in self.finished if record.feasible]
        return max(feasible, key=lambda record: (record.score, -record.number), default=None)

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
        """(n, d) features of the feasible trainings that are finished or under way."""
        done = self.places[[record.feasible for record in self.finished]]
        pending = self._places([trial for trial in self.pending if self.space.feasible(trial.params)])
        return self.basis.features(np.concatenate([done, pending]))

    def survival(self, coordinates: Array) -> Array:
        """(n,) the probability that a training comes to an end."""
        return survival(self._divergence_features(coordinates), self._divergence)

    def start(self, parent: Record, child: Mapping[str, Any]) -> Start:
        """What a child would begin with; `parent` has a length only if that is searched, else all are as long."""
        epochs = int(parent.params.get(LENGTH, 1)) + (parent.start.epochs if parent.start else 0)
        return Start.between(self.space.widths, parent.params, child, epochs)

    def _has_end(self, record: Record) -> bool:
        """Whether a stopped training would have come to something; where, is noted."""
        alike = [each for each in self.finished if bool(each.start) == bool(record.start)]
        end = None if exploded(record.trace) else expected_end(record, alike or self.finished)
        if end is None or end.nats < _nothing(self._nats):
            if record.trace.epochs:
                self._lost.append(record)
            return False
        self._ends[record.number] = (end.nats, end.variance)
        return True

    def _observations(self) -> Observations:
        records = [*self.finished, *self._partial]
        coordinates = np.concatenate([self.places, self._places(self._partial)])
        ends = np.array([self._ends[record.number] for record in self._partial]).reshape(-1, 2)
        return Observations(
            self.basis.features(coordinates, self._luck(records, coordinates)),
            np.concatenate([self._nats, ends[:, 0]]),
            np.concatenate([np.zeros(len(self.finished)), ends[:, 1]]),
        )

    def _luck(self, records: Sequence[Record], coordinates: Array) -> Array | None:
        if not records:
            return None
        names = list(self.space.widths)[-READ_LAYERS:]
        read = [[record.readings.get(name, UNREAD) for name in names] for record in records]
        shares = np.array([[(reading.dead, reading.duplicates) for reading in row] for row in read])
        missing = [(0, 0), (0, READ_LAYERS - len(names)), (0, 0)]
        known = np.pad(shares, missing, constant_values=math.nan).reshape(len(records), -1)
        return luck(known, self._explaining(coordinates))

    def _explaining(self, coordinates: Array) -> Array:
        """The coordinates (n, k) that may explain a reading: while there is no child, its columns do not."""
        used = np.asarray(coordinates.any(0))
        used[: self.basis.coordinate_count - self.basis.starts] = True
        return coordinates[:, used]

    @cached_property
    def _divergence(self) -> Array:
        coordinates = np.concatenate([self.places, self._places([*self._partial, *self._lost])])
        lost = np.arange(len(coordinates)) >= len(coordinates) - len(self._lost)
        return divergence_weights(self._divergence_features(coordinates), lost.astype(float))

    def _places(self, records: Sequence[Record | Pending]) -> Array:
        return self.basis.coordinates([record.params for record in records], [record.start for record in records])

    def _divergence_features(self, coordinates: Array) -> Array:
        return divergence_features(coordinates, self.basis.layers, self.basis.rate)


def _recalled(records: list[Record]) -> list[Record]:
    """The latest, and of the older ones the best."""
    older = sorted(records[:-RECALL], key=attrgetter("score"), reverse=True)[:KEPT]
    return [*sorted(older, key=attrgetter("number")), *records[-RECALL:]]


def _nothing(nats: Array) -> float:
    """The nats below which a training came to nothing, as `stopping.stuck` has it; they may be negative for a loss."""
    if not len(nats):
        return -math.inf
    quartile = float(np.quantile(nats, 0.25))
    return min(STUCK * quartile, quartile - WELL_ABOVE)
