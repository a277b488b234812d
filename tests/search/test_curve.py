from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from phashopt.search.curve import before_decay, best_so_far, nats, still_improving
from phashopt.trace import Epoch, Trace


def test_nats_are_the_log_of_the_error() -> None:
    assert nats(Epoch(1, accuracy=0.9)) == pytest.approx(math.log(10), abs=2e-3)
    assert nats(Epoch(1, loss=0.1)) == pytest.approx(math.log(10))
    assert math.isfinite(nats(Epoch(1, accuracy=1.0)))


@pytest.mark.parametrize("row", [Epoch(1), Epoch(1, accuracy=93.0), Epoch(1, loss=-1.0), Epoch(1, loss=math.inf)])
def test_nats_of_what_is_no_error_are_unknown(row: Epoch) -> None:
    assert math.isnan(nats(row))


@pytest.mark.parametrize(
    ("rates", "kept"),
    [
        ([0.1, 0.1, 0.1], 3),
        ([0.02, 0.06, 0.1, 0.1, 0.05, 0.01], 4),
        ([0.02, 0.06], 2),
        ([math.nan, math.nan], 2),
        ([0.1, 0.09, 0.06, 0.03], 1),
    ],
)
def test_the_decay_begins_where_the_rate_falls_for_good(rates: list[float], kept: int) -> None:
    trace = Trace([Epoch(number, learning_rate=rate) for number, rate in enumerate(rates, start=1)])
    assert len(before_decay(trace)) == kept


def test_the_best_so_far_never_falls_and_skips_what_is_unknown(make_trace: Callable[..., Trace]) -> None:
    curve = best_so_far(make_trace([0.5, math.nan, 0.9, 0.7]))
    assert curve[1] == curve[2] < curve[3] == curve[4]


@pytest.mark.parametrize(
    ("accuracies", "rates", "improving"),
    [
        ([0.5, 0.7, 0.8, 0.85], [0.1] * 4, True),
        ([0.5, 0.9, 0.9, 0.9], [0.1] * 4, False),
        ([0.5, 0.9, 0.9, 0.9, 0.95, 0.97], [0.1] * 4 + [0.05, 0.01], False),
        ([0.5, 0.9], [0.1, 0.01], True),
        ([math.nan] * 4, [0.1] * 4, False),
    ],
    ids=["rising", "flat", "rising only by annealing", "one stable epoch", "no curve"],
)
def test_only_gains_before_the_decay_say_that_more_epochs_would_help(
    accuracies: list[float], rates: list[float], improving: bool, make_trace: Callable[..., Trace]
) -> None:
    assert still_improving(make_trace(accuracies, rates)) == improving
