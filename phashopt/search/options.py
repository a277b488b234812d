"""The trainings that may be bought next: networks from scratch, children of finished ones, finished ones trained on.

docs/search.md, 7. What each is worth is for `improvement` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from phashopt.search.model import Model
from phashopt.search.record import Record
from phashopt.search.space import LENGTH, Space
from phashopt.search.start import Start, moved

NEAREST = 8  # of the best finished trainings, those that others may go on from
LENGTHS = 5
FURTHER = (1, 2)  # longest lengths that a training may always be gone on with beyond the range

Network = Mapping[str, Any]  # its parameters, at whatever length


@dataclass(frozen=True)
class Option:
    """A training that may be bought; `share` of the longest length is still to be paid.

    What it tells is told of the same training at the longest length, from scratch for as long as the best known one was
    trained, where it begins anew at the rate of `network`, whatever rate is safe for itself. What takes a network that
    is known further `tells` nothing of it.
    """

    params: Mapping[str, Any]
    share: float
    network: Network | None = None
    parent: Record | None = None
    start: Start | None = None
    tells: bool = True

    def shipped(self, longest: Mapping[str, int]) -> Mapping[str, Any]:
        """The parameters of that training."""
        return {**(self.network or self.params), **longest}


def from_scratch(space: Space, networks: Iterable[Network]) -> list[Option]:
    """From the first epoch, at each length worth a thought."""
    return [
        Option(params, _share(space, params), network=network)
        for network in networks
        for params in _at_each_length(space, network)
    ]


def children(model: Model, networks: Sequence[Network]) -> list[Option]:
    """Each network with kernels of the nearest of the best trainings, and the best of them as they are."""
    fitting = (record for record in model.own_parents if _fits(model.space, record))
    own = [(record, record.params) for record in islice(fitting, NEAREST)]
    found = []
    for parent, network in (*_with_nearest(model, networks), *own):
        start, space = model.start(parent, network), model.space
        found += [
            Option(params, _share(space, params), parent=parent, start=start, tells=start.moves)
            for params in _at_each_length(space, network)
        ]
    return found


def extensions(model: Model, spare: float = 0.0) -> list[Option]:
    """The best finished trainings gone on with, as far as their stable phase was kept; `spare` as for `further`."""
    space, length = model.space, model.space.length
    if length is None:
        return []
    kept = (record for record in model.own_parents if record.stable_epochs and _fits(space, record))
    return [
        Option(
            {**record.params, LENGTH: epochs},
            (epochs - (record.stable_epochs or 0)) / length.ends[1],
            parent=record,
            start=record.start,
            tells=epochs <= length.values[-1],
        )
        for record in islice(kept, NEAREST)
        for epochs in _longer(space, record, spare)
    ]


def lengths_of(space: Space) -> list[int]:
    """Those worth a thought, ascending; none where the length is not searched."""
    length = space.length
    return sorted({length.at(fraction) for fraction in np.linspace(0, 1, LENGTHS)}) if length else []


def _with_nearest(model: Model, networks: Iterable[Network]) -> Iterator[tuple[Record, Network]]:
    """Each network with the nearest of the best finished trainings of another one."""
    names, parents = list(model.space.widths), model.parents[:NEAREST]
    for network in networks:
        moves = [sum(moved(names, record.params, network)) for record in parents]
        others = [(move, place) for place, move in enumerate(moves) if move]
        if others:
            yield parents[min(others)[1]], network


def further(record: Record, longest: int, spare: float) -> list[int]:
    """Lengths beyond the range to go on to: for once and twice the `longest`, and to twice as long as it was.

    That where it takes `spare` epochs at most. Steps that stay as they are would soon be no longer than the decay
    that each has to do anew, and a chain would end: at least half of what is paid is new.
    """
    epochs, stable = record.params[LENGTH], record.stable_epochs or 0
    ends = {stable + times * longest for times in FURTHER}
    if 2 * epochs - stable <= spare:
        ends.add(2 * epochs)
    return sorted(end for end in ends if end > longest and 2 * (end - epochs) >= end - stable)


def _longer(space: Space, record: Record, spare: float) -> list[int]:
    """Lengths to go on to; where trials build on others beyond the range.

    Not beyond it where the training was finished early, since it had come to its end.
    """
    lengths, epochs = lengths_of(space), record.params[LENGTH]
    within = [each for each in lengths if each > epochs]
    if not space.inherits or LENGTH in space.fixed or (record.epochs or epochs) < epochs:
        return within
    return within + further(record, lengths[-1], spare)


def _fits(space: Space, record: Record) -> bool:
    """Whether its network could be proposed as it is: ranges may have been changed since."""
    known = record.params.keys() >= {*space.axes, *space.others}
    return known and space.agrees(record.params) and space.holds(record.params)


def _at_each_length(space: Space, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [{**params, LENGTH: epochs} for epochs in lengths_of(space)] if space.length else [params]


def _share(space: Space, params: Mapping[str, Any]) -> float:
    """Its length over the longest."""
    return params[LENGTH] / space.length.ends[1] if space.length else 1.0
