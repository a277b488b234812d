"""Which points trials have had. Finished trials never change, so each is looked at once, however long a study gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from phashopt.search.history import Past
from phashopt.search.others import other
from phashopt.search.record import Record
from phashopt.search.space import Space

FINE = 5  # parts of half a parameter's range within which two values count as the same one

Cell = tuple[tuple[int, ...], tuple[int, ...]]  # widths and length as they are, and all else to a tenth of its range


class Tried:
    """The cells of everything that is finished or under way in one space, but for what another study trained."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._others = {name: other(distribution) for name, distribution in space.others.items()}
        self._known: dict[int, Record] = {}  # by identity, which is quicker to compare than thousands of numbers
        self._finished: set[Cell] = set()
        self._cells: set[Cell] = set()

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        return self._cell(params) in self._cells

    @property
    def keys(self) -> Set[tuple[int, ...]]:
        """Widths and length alone, as `Space.key` has them."""
        return {key for key, _ in self._cells}

    def update(self, past: Past) -> Tried:
        """As of now: itself."""
        records = [*past.records, *past.stopped]
        new = [record for record in records if id(record) not in self._known]
        if len(records) - len(new) < len(self._known):  # another study's
            self._known, self._finished, new = {}, set(), records
        self._known |= {id(record): record for record in new}
        self._finished |= self._cells_of([record.params for record in new if not record.adopted])
        self._cells = self._finished | self._cells_of([trial.params for trial in past.pending])
        return self

    def _cells_of(self, points: Sequence[Mapping[str, Any]]) -> set[Cell]:
        return {self._cell(params) for params in points if params.keys() >= self._space.axes.keys()}

    def _cell(self, params: Mapping[str, Any]) -> Cell:
        places = [FINE * place for name, each in self._others.items() for place in each.encode([params.get(name)])[0]]
        return self._space.key(params), tuple(np.round(places).astype(int).tolist())
