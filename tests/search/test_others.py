from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from phashopt.search.others import Number

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
