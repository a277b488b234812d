from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from phashopt.search.record import Record, covariate
from phashopt.trace import Reading


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading(0.2, 0.4, 0.9), 0.3),
        (Reading(0.2, math.nan, 0.9), 0.2),
        (Reading(math.nan, 0.4, 0.9), 0.4),
        (Reading(math.nan, math.nan, 1.0), math.nan),
    ],
)
def test_the_covariate_is_the_mean_of_the_known_shares_of_copies(reading: Reading, expected: float) -> None:
    assert covariate(reading) == pytest.approx(expected, nan_ok=True)


def test_a_layer_of_which_nothing_is_known_has_no_covariate(make_record: Callable[..., Record]) -> None:
    record = make_record(0, (8, 8), (0.4, math.nan), duplicates=math.nan)
    assert record.covariates == {"width_00": 0.4}
    assert record.unread.covariates == {}


def test_a_curve_before_the_decay_is_the_beginning_of_the_whole(make_record: Callable[..., Record]) -> None:
    record = make_record(0, (8,), (0.4,))
    for row in record.trace.epochs[4:]:
        row.learning_rate = 0.01
    assert record.curve_before_decay == {epoch: record.curve[epoch] for epoch in (1, 2, 3, 4)}
