from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from phashopt.errors import UserError
from phashopt.search.history import Past
from phashopt.search.model import Model
from phashopt.search.predict import best_under, ranked
from phashopt.search.record import Record

Cost = Callable[[Mapping[str, int]], int]


def test_a_lucky_trial_is_not_ranked_by_its_luck(model: Model) -> None:
    first, _ = ranked(model)[0]
    assert max(model.finished, key=lambda record: record.score).number == 24
    assert first.number != 24
    assert first.params["width_01"] == max(record.params["width_01"] for record in model.own)


def test_of_two_that_are_expected_to_be_alike_the_one_that_reached_more_comes_first(model: Model) -> None:
    best = ranked(model)[0][0]
    twin = replace(best, number=99, score=best.score - 0.001, value=best.value - 0.001)
    numbers = [record.number for record, _ in ranked(Model(model.space, Past([twin, *model.own], [], [], {})))]
    assert numbers.index(best.number) < numbers.index(99)


def test_predictions_are_near_what_was_reached(model: Model) -> None:
    for record, prediction in ranked(model):
        assert prediction.low <= prediction.value <= prediction.high
        if record.number != 24:
            assert prediction.value == pytest.approx(record.value, abs=0.03)


@pytest.mark.parametrize("cap", [200.0, 800.0, 3000.0])
def test_the_best_network_keeps_the_cap_it_is_asked_for(model: Model, chain_cost: Cost, cap: float) -> None:
    params = best_under(model, {"macs": (chain_cost, cap)}).params
    assert chain_cost({name: params[name] for name in model.space.widths}) <= cap
    assert params["epochs"] == 16


def test_a_looser_cap_promises_more(model: Model, chain_cost: Cost) -> None:
    promised = [best_under(model, {"macs": (chain_cost, cap)}).nats for cap in (200, 800, 3000)]
    assert promised == sorted(promised)


def test_a_cap_that_nothing_keeps_is_refused(model: Model, chain_cost: Cost) -> None:
    with pytest.raises(UserError, match="no network of the grid keeps macs <= 10"):
        best_under(model, {"macs": (chain_cost, 10)})


def test_the_best_network_is_trained_at_a_rate_that_it_survives(
    model: Model, chain_cost: Cost, make_record: Callable[..., Record]
) -> None:
    """What survived is the better the higher the rate, and at the highest ones nothing did."""
    rates = np.geomspace(1e-3, 0.3, 25).tolist()
    records = []
    for record, rate in zip(model.finished, rates, strict=True):
        params = {**record.params, "learning_rate": rate}
        guess = make_record(record.number, (8, 8, 8), (0.1,) * 3, value=0.1, accuracies=[0.1] * 6)
        value = 0.7 + 0.05 * math.log10(rate / 1e-3)
        lost = rate > 0.05
        records.append(replace(guess if lost else replace(record, value=value, score=value), params=params))
    taught = Model(model.space, Past(records, [], [], {}))
    found = best_under(taught, {"macs": (chain_cost, 800)})
    assert len(taught.lost) == sum(rate > 0.05 for rate in rates)
    assert 0.005 < found.params["learning_rate"] < 0.06
    assert found.survives > 0.7


def test_while_nothing_was_lost_everything_survives(model: Model) -> None:
    assert {prediction.survives for _, prediction in ranked(model)} == {1.0}
