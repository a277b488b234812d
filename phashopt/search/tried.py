"""Which points trials have had. Finished trials never change, so each is looked at once, however long a study gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from phashopt.search.history import Past, Pending
from phashopt.search.others import other
from phashopt.search.record import Record
from phashopt.search.space import Space
from phashopt.search.start import Start

FINE = 5  # parts of half a parameter's range within which two values count as the same one

Cell = tuple[tuple[int, ...], tuple[int, ...]]  # widths and length as they are, and all else to a tenth of its range
_Begun = dict[Cell, set[int]]  # the epochs that kernels had been trained for before


class Tried:
    """The cells of everything that is finished or under way in one space, but for what another study trained."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._others = {name: other(distribution) for name, distribution in space.others.items()}
        self._known: dict[int, Record] = {}  # by identity, which is quicker to compare than thousands of numbers
        self._finished: _Begun = {}
        self._pending: _Begun = {}

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        cell = self._cell(params)
        return cell in self._finished or cell in self._pending

    def begun(self, params: Mapping[str, Any], start: Start | None) -> bool:
        """Whether it was with kernels as old: what goes on from its own end is another training."""
        cell, age = self._cell(params), _age(start)
        return any(age in trials.get(cell, ()) for trials in (self._finished, self._pending))

    @property
    def keys(self) -> Set[tuple[int, ...]]:
        """Widths and length alone, as `Space.key` has them."""
        return {key for key, _ in (*self._finished, *self._pending)}

    def update(self, past: Past) -> Tried:
        """As of now: itself."""
        records = [*past.records, *past.stopped]
        new = [record for record in records if id(record) not in self._known]
        if len(records) - len(new) < len(self._known):  # another study's
            self._known, self._finished, new = {}, {}, records
        self._known |= {id(record): record for record in new}
        self._pending = {}
        self._note(self._finished, (record for record in new if not record.adopted))
        self._note(self._pending, past.pending)
        return self

    def _note(self, begun: _Begun, trials: Iterable[Record | Pending]) -> None:
        for trial in trials:
            if trial.params.keys() >= self._space.axes.keys():
                begun.setdefault(self._cell(trial.params), set()).add(_age(trial.start))

    def _cell(self, params: Mapping[str, Any]) -> Cell:
        places = [FINE * place for name, each in self._others.items() for place in each.encode([params.get(name)])[0]]
        return self._space.key(params), tuple(np.round(places).astype(int).tolist())


def _age(start: Start | None) -> int:
    return start.epochs if start else 0
