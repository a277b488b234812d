"""Between the values Optuna stores and true values: a grid's parameter is stored as an index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from phashopt.errors import UserError
from phashopt.search.space import LENGTH, Axis


class Coding:
    """`grid` maps a parameter that is suggested as an index to the true values behind it; `widths` count kernels."""

    def __init__(self, grid: Mapping[str, Sequence[int]], widths: Collection[str] = ()) -> None:
        for name, values in grid.items():
            if not values or values[0] < 1 or any(low >= high for low, high in pairwise(values)):
                raise UserError(f"grid[{name!r}] = {list(values)} must list positive whole numbers in ascending order")
        self._grid = {name: tuple(int(value) for value in values) for name, values in grid.items()}
        self._counts = {*grid, *widths, LENGTH}

    def axis(self, name: str, distribution: BaseDistribution) -> Axis | None:
        """The true values of a parameter; None unless they are positive whole numbers."""
        if name in self._grid:
            return self._grid_axis(name, distribution)
        if isinstance(distribution, IntDistribution) and distribution.low > 0:
            return Axis(range(distribution.low, distribution.high + 1, distribution.step))
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            if all(isinstance(choice, int) and not isinstance(choice, bool) and choice > 0 for choice in choices):
                return Axis(tuple(sorted({int(choice) for choice in choices if choice is not None})))
        return None

    def decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Stored values to true ones. What cannot be is left out: an index outside its grid, from before the grid was
        changed, and less than one kernel or epoch, since Optuna stores whatever a trial was enqueued with.
        """
        true = {name: self._true(name, value) for name, value in params.items()}
        return {name: value for name, value in true.items() if value is not None or name not in self._counts}

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """True values to stored ones."""
        return {name: self._grid[name].index(value) if name in self._grid else value for name, value in params.items()}

    def _true(self, name: str, value: Any) -> Any:
        """None for a width or a length that is none."""
        if name in self._grid:
            return self._grid[name][int(value)] if value in range(len(self._grid[name])) else None
        return counted(value) if name in self._counts else value

    def _grid_axis(self, name: str, distribution: BaseDistribution) -> Axis:
        last = len(self._grid[name]) - 1
        if not (isinstance(distribution, IntDistribution) and distribution.low == 0 and distribution.high == last):
            raise UserError(
                f"{name} has a grid of {last + 1} values: suggest it as suggest_int({name!r}, 0, {last}), "
                "and if earlier trials had another grid, give the present ranges as space"
            )
        return Axis(self._grid[name])


def counted(value: Any) -> Any:
    """A number of kernels or epochs, of 8, 8.0 or "8", as a whole number; None for nothing, and for less than 1.

    A fraction or a name stays as it is: nobody here searches it.
    """
    try:
        number = float(value)
    except ValueError:
        return value
    except TypeError:
        return None
    if not number > 0:
        return None
    return int(number) if number.is_integer() else value
