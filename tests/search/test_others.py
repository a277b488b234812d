from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from phashopt.search.others import Number, other

RATE = Number(FloatDistribution(1e-3, 0.1, log=True))
DECAY = Number(FloatDistribution(0.0, 0.2))
BATCH = Number(IntDistribution(32, 128, step=32))


@pytest.mark.parametrize(("place", "value"), [(-2.0, 32), (-0.4, 64), (1.0, 128)])
def test_a_stepped_number_lands_on_its_grid(place: float, value: int) -> None:
    assert BATCH.decode(np.array([place])) == value


@pytest.mark.parametrize(
    ("number", "values"), [(RATE, [1e-3, 0.02, 0.1]), (DECAY, [0.0, 0.07, 0.2]), (BATCH, [32, 128])]
)
def test_what_lies_at_a_values_place_is_the_value(number: Number, values: list[float]) -> None:
    assert number.values(number.encode(values))[:, 0] == pytest.approx(values)


def test_what_is_missing_lies_in_the_middle() -> None:
    assert RATE.encode([None])[0, 0] == 0.0


@pytest.mark.parametrize("value", [None, "rms", "0.1.2", [1]])
@pytest.mark.parametrize(
    "distribution", [FloatDistribution(0, 1), IntDistribution(1, 9), CategoricalDistribution(["sgd", "adam"])]
)
def test_what_is_no_value_has_the_place_of_none(value: Any, distribution: BaseDistribution) -> None:
    assert not other(distribution).encode([value]).any()
