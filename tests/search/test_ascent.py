from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from phashopt.search.ascent import Ascent
from phashopt.search.basis import Basis
from phashopt.search.costs import Quadratic
from phashopt.search.others import other
from phashopt.search.space import Space

from .conftest import worlds_of

MakeSpace = Callable[..., Space]
RATE = {"learning_rate": other(FloatDistribution(1e-3, 0.1, log=True))}


@pytest.mark.parametrize("cap", [200.0, 1000.0, 4000.0, 1e9])
def test_nearly_every_worlds_optimum_is_the_one_that_trying_all_finds(make_space: MakeSpace, cap: float) -> None:
    space = make_space(cap)
    basis = Basis(space.widths, None, {})
    weights = worlds_of(basis, 25)
    found = Ascent(basis, Quadratic(space), weights).maximise()
    grid = product(*(axis.values for axis in space.widths.values()))
    points = [dict(zip(space.widths, values, strict=True)) for values in grid]
    feasible = [point for point in points if space.feasible(point)]
    worth = basis.features(basis.coordinates(feasible)) @ weights.T
    reached = (basis.features(found.coordinates) * weights).sum(1)
    gap = worth.max(0) - reached
    assert (gap > -1e-9).all()
    assert np.mean(gap < 1e-9) >= 0.9
    assert gap.max() < 0.05


@pytest.mark.parametrize("cap", [200.0, 1000.0])
def test_optima_and_their_neighbours_keep_the_cap(make_space: MakeSpace, cap: float) -> None:
    space = make_space(cap)
    basis = Basis(space.widths, None, {})
    ascent = Ascent(basis, Quadratic(space), worlds_of(basis, 10))
    optima = ascent.maximise()
    near = ascent.neighbours(optima.indices)
    for row in np.concatenate([optima.indices, near]):
        point = {name: axis.values[index] for (name, axis), index in zip(space.widths.items(), row, strict=True)}
        assert space.feasible(point)


def test_a_rate_is_put_at_its_parabolas_top(make_space: MakeSpace) -> None:
    space = make_space()
    basis = Basis(space.widths, None, RATE)
    weights = worlds_of(basis, 1)
    weights[0, basis.effects["learning_rate"]] = (0.3, 0.5, 0.0)
    place = Ascent(basis, Quadratic(space), weights).maximise().coordinates[0, basis.columns["learning_rate"]]
    assert place == pytest.approx([0.3])


def test_a_rate_without_an_optimum_goes_to_an_end(make_space: MakeSpace) -> None:
    space = make_space()
    basis = Basis(space.widths, None, RATE)
    weights = worlds_of(basis, 1)
    weights[0, basis.effects["learning_rate"]] = (-0.3, 0.0, 0.0)
    place = Ascent(basis, Quadratic(space), weights).maximise().coordinates[0, basis.columns["learning_rate"]]
    assert place == pytest.approx([-1.0])
